"""`resnet-explore lesions`: trained twins with blocks deleted, reordered and scaled, kept as it is ready."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.cli import kept
from resnet_explore.cli.arguments import positive, several
from resnet_explore.cli.as_trained import drawn
from resnet_explore.cli.named_twins import add_twins, depth_and_kind, depths_of, twins_of
from resnet_explore.errors import ExploreError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

_DELETED = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48)
_SWAPPED = (1, 2, 4, 8, 16, 32)
_FACTORS = tuple(i / 8 for i in range(13))
_COUNTS: Mapping[str, Sequence[int]] = {"delete": _DELETED, "shuffle": _SWAPPED}
_USUAL: Mapping[str, Any] = {
    "depths": None,
    "images": 1000,
    "recalibrate": 512,
    "seeds": 5,
    "path_images": 64,
}
_ORDER = ("whole", "delete", "shuffle", "skip", "branch")  # of the rows
_WRITTEN_EVERY = 5.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_twins(parser, "lesions")
    add = parser.add_argument
    add("--images", type=positive, help="how many test images, drawn at random (default: %(default)s)")
    add("--recalibrate", type=several, help="training images for batch norm (default: %(default)s)")
    add("--seeds", type=positive, help="draws of blocks for each count (default: %(default)s)")
    add("--path-images", type=positive, help="images for the lengths of paths (default: %(default)s)")
    parser.set_defaults(**_USUAL)


def interrupted(options: argparse.Namespace) -> str:
    """Return what to say after Ctrl-C."""
    return kept.interrupted(_out(options), "block was deleted")


def study_lesions(options: argparse.Namespace) -> None:
    """Measure what is not measured yet, and say a line for each network and kind of lesion.

    OUT/lesions.csv, paths.csv and about.json are written every few seconds and when it stops; README.md in
    the end. What OUT holds grows with further depths and seeds. Raises ExploreError, and leaves OUT alone,
    where it holds a study of other images.
    """
    from resnet_explore.cli.terminal import StatusLine

    with StatusLine(sys.stdout) as line:
        try:
            _study(options, line.say, line.hint)
        except OSError as error:
            raise ExploreError(f"{_out(options)} can't be written to ({error.strerror}).") from None


def _study(options: argparse.Namespace, say: Callable[[str], None], hint: Callable[[str], None]) -> None:
    from resnet_explore.analysis.skips.lesions import possible_lesions
    from resnet_explore.models.presets import build
    from resnet_explore.models.threads import one_thread
    from resnet_explore.training.runs import write_text

    twins = twins_of(options.weights)
    depths = depths_of(options.weights, options.depths)
    asked = {"weights": options.weights, **{name: getattr(options, name) for name in _USUAL}}
    asked["depths"] = depths
    out = _out(options)
    asked = _grown(out, asked)
    # In this layout convolutions take less time.
    nets = {name: build(name, weights=options.weights) for depth in depths for name in twins[depth]}
    data = _Data(next(iter(nets.values())).about, options)
    keep = _TrialKeeper(out, asked, options.data or data.source, data.of)
    say(f"Cutting {len(nets)} networks, on {len(data.labels)} of {data.of:,} test images; kept in {out}.")
    with keep, one_thread():
        for name, net in nets.items():
            able = possible_lesions(net, tuple(data.images.shape[1:]))
            for what in able:
                _lesions(name, _fast(net), what, data, options.seeds, keep, hint)
                say(f"{name:<16} {what:<8} {keep.minutes:6.1f} core-minutes")
            if "skip" in able and not keep.has_paths(name):
                hint(f"{name}, paths ...")
                keep.add_paths(name, _paths(net, data, options.path_images))
    page = _page(out)
    write_text(out / "README.md", page)
    say(page)


def _fast(net: "nn.Module") -> "nn.Module":
    import torch

    return net.to(memory_format=torch.channels_last)


def _lesions(
    name: str,
    net: "nn.Module",
    what: str,
    data: "_Data",
    seeds: int,
    keep: "_TrialKeeper",
    hint: Callable[[str], None],
) -> None:
    from resnet_explore.analysis.skips.lesions import lesion_study

    def progress(done: int, total: int, row: Mapping[str, Any]) -> None:
        keep.add(name, row)
        hint(f"{name}, {what}: {done} of {total} ...")

    found = lesion_study(
        net,
        data.images,
        data.labels,
        what,
        counts=_COUNTS.get(what, (1,)),
        factors=_FACTORS,
        seeds=range(seeds),
        recalibrate=data.fresh,
        known=keep.known(name, what),
        progress=progress,
    )
    keep.add_whole(name, found.unedited)


def _paths(net: "nn.Module", data: "_Data", images: int) -> "pd.DataFrame":
    from resnet_explore.analysis.skips.paths import path_lengths

    found = path_lengths(net, data.images[:images], data.labels[:images])
    return found.table.assign(paths=[str(count) for count in found.paths])  # exact, beyond any float


class _Data:
    """The images that are asked for, as the networks were trained on them."""

    images: "Tensor"
    fresh: "Tensor"

    def __init__(self, about: Mapping[str, Any], options: argparse.Namespace) -> None:
        test, chosen = drawn(about, options.weights, "test", options.root, options.images)
        self.images, self.labels = test.normalized(chosen), test.labels[chosen]
        self.of, self.source = len(test), test.source
        train, chosen = drawn(about, options.weights, "train", options.root, options.recalibrate)
        self.fresh = train.normalized(chosen)


class _TrialKeeper:
    """Writes what is measured so far every few seconds, and when it is left."""

    def __init__(self, out: Path, asked: Mapping[str, Any], data: str, of: int) -> None:
        import pandas as pd

        from resnet_explore.training.record import commit

        self.out, self.asked, self.data, self.of = out, asked, data, of
        known = out / "about.json"
        before: dict[str, Any] = json.loads(known.read_text()) if known.is_file() else {"asked": asked}
        self._before, self._changed = before.get("minutes", 0.0), before["asked"] != asked
        self._commit, self._started, self._written = commit(), time.process_time(), time.monotonic()
        self._rows: list[dict[str, Any]] = self._read(pd, "lesions.csv", {"blocks": str})
        self._paths: list[dict[str, Any]] = self._read(pd, "paths.csv", {"paths": str})

    def _read(self, pd: Any, name: str, kinds: Mapping[str, Any]) -> list[dict[str, Any]]:
        path = self.out / name
        if not path.is_file():
            return []
        return _records(pd.read_csv(path, dtype=kinds))

    @property
    def minutes(self) -> float:
        """What it took so far, with what it took before it was stopped."""
        return float(self._before) + (time.process_time() - self._started) / 60

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._changed:
            self._write()

    def known(self, network: str, what: str) -> "pd.DataFrame | None":
        """Return a network's trials that are done."""
        import pandas as pd

        rows = [row for row in self._rows if row["network"] == network and row["what"] == what]
        return pd.DataFrame(rows) if rows else None

    def add(self, network: str, row: Mapping[str, Any]) -> None:
        """Keep a trial."""
        self._rows.append({"network": network, **row})
        self._changed = True
        if time.monotonic() - self._written > _WRITTEN_EVERY:
            self._write()

    def add_whole(self, network: str, unedited: Mapping[str, float]) -> None:
        """Keep what a network gives as it is, once."""
        if not any(row["network"] == network and row["what"] == "whole" for row in self._rows):
            about = {"what": "whole", "blocks": "", "count": 0, "seed": 0, "tau": 1.0, "factor": None}
            self.add(network, {**about, **unedited, "error_recalibrated": None})

    def has_paths(self, network: str) -> bool:
        """Whether a network's path lengths are known."""
        return any(row["network"] == network for row in self._paths)

    def add_paths(self, network: str, table: "pd.DataFrame") -> None:
        """Keep a network's path lengths."""
        self._paths += [{"network": network, **row} for row in _records(table)]
        self._write()

    def _write(self) -> None:
        import pandas as pd

        from resnet_explore.training.runs import write_json, write_text

        about = kept.provenance(
            _command(self.asked), self._commit, self.minutes, self.data, self.of, self.asked
        )
        self.out.mkdir(parents=True, exist_ok=True)
        for name, rows in (("lesions.csv", sorted(self._rows, key=_place)), ("paths.csv", self._paths)):
            if rows:
                write_text(self.out / name, pd.DataFrame(rows).to_csv(index=False, float_format="%.5g"))
        write_json(self.out / "about.json", about)
        self._written, self._changed = time.monotonic(), False


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return by what rows are sorted, however often the command was stopped."""
    name, factor = row["network"], row["factor"]
    by = (*depth_and_kind(name), _ORDER.index(row["what"]), row["count"], row["seed"])
    return (*by, -1.0 if factor is None or factor != factor else factor)


def _grown(out: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a folder holds once it holds also what is asked; it must be of the same images."""
    if not (out / "about.json").is_file():
        return dict(asked)
    before = json.loads((out / "about.json").read_text())["asked"]
    same = [name for name in asked if name not in ("depths", "seeds")]
    if other := " and ".join(name for name in same if before.get(name) != asked[name]):
        raise ExploreError(f"{out} holds a study with other {other}: choose another folder with --out.")
    depths = sorted({*before["depths"], *asked["depths"]})
    return {**asked, "depths": depths, "seeds": max(before["seeds"], asked["seeds"])}


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("runs") / f"lesions-{options.weights}"


def _command(asked: Mapping[str, Any]) -> str:
    """Return the command that was given, without where the data lay."""
    usual = {**_USUAL, "depths": list(twins_of(asked["weights"]))}
    return kept.command_line("lesions", asked["weights"], asked, usual)


# --- the page ----------------------------------------------------------------------------------------------


def _page(out: Path) -> str:
    """Return what a person reads first, in Markdown."""
    from resnet_explore.analysis.skips.recorded import load_lesions

    about = json.loads((out / "about.json").read_text())
    asked, table = about["asked"], load_lesions(out)
    images = min(asked["images"], about["test images"])
    return "\n".join(
        [
            f"# What becomes of networks whose blocks are cut? {asked['weights']}",
            "",
            f"{images:,} of {about['test images']:,} test images, {asked['recalibrate']:,} training images "
            "to recalibrate batch norm, drawn with seed 0;",
            f"data: {about['data']}. Made by",
            "",
            f"    {about['command']}",
            "",
            f"at commit {about['commit']} on {about['date']} with torch {about['torch']}, in "
            f"{about['minutes']:g} minutes of one core.",
            "`lesions.csv` has a row for each trial, `paths.csv` one for each length of paths through a "
            "residual network;",
            "`load_lesions` and `load_paths` of `resnet_explore` read them.",
            "",
            *_errors(table),
            "",
            "Test error in percent, in brackets after batch norm's statistics were taken anew behind the "
            "cut;",
            "means over blocks or draws.",
            "A plain block that changes the shape can't be deleted.",
            "",
        ]
    )


def _errors(table: "pd.DataFrame") -> list[str]:
    heads = ["as it is", "one block deleted", "the worst block", "4 deleted", "10 deleted", "8 swaps"]
    lines = [f"| network | {' | '.join(heads)} |", "| --- " * (len(heads) + 1) + "|"]
    for name, rows in table.groupby("network", sort=False):
        whole = rows.loc[rows["what"] == "whole", "error"].iloc[0]
        gone, swapped = rows[rows["what"] == "delete"], rows[rows["what"] == "shuffle"]
        one = gone[gone["count"] == 1]
        worst = one.loc[[one["error"].idxmax()]]
        parts = [one, worst, gone[gone["count"] == 4], gone[gone["count"] == 10]]
        cells = [f"{whole:.1f}", *map(_cell, [*parts, swapped[swapped["count"] == 8]])]
        cells[2] += f" {worst['blocks'].iloc[0]}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(rows: "pd.DataFrame") -> str:
    if rows.empty:
        return ""
    return f"{rows['error'].mean():.1f} ({rows['error_recalibrated'].mean():.1f})"
