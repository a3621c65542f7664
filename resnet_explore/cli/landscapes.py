"""`resnet-explore landscapes`: planes through the weights of trained twins, and how sharply they bend."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.cli import kept
from resnet_explore.cli.arguments import counts, odd, odd_or_none, positive, several
from resnet_explore.cli.as_trained import as_trained, drawn
from resnet_explore.cli.named_twins import NamedTwin, add_twins, depths_of, trained_twins, twins_of
from resnet_explore.errors import ExploreError, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from resnet_explore.analysis.landscape.plane import Landscape
    from resnet_explore.analysis.landscape.recorded import Sharpness
    from resnet_explore.models.network import Network

_USUAL: Mapping[str, Any] = {
    "depths": None,
    "images": 360,
    "size": 25,
    "planes": 3,
    "further": 17,
    "curvature": 11,
    "steps": 25,
    "trained": (),
}
_UPDATES = 180  # of a training, 8 epochs of digits
_LOW = 1.0  # nats: of ten classes, less than half of what chance gives
_SMALL, _AT_ONCE = 16, 32  # of images of more pixels a side so many at a time take the least time, one by one
_ABOUT = "about.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_twins(parser, "landscapes")
    add = parser.add_argument
    add("--images", type=several, help="training images, drawn at random (default: %(default)s)")
    add("--size", type=odd, help="points along each axis of the first plane (default: %(default)s)")
    add("--planes", type=positive, help="random planes for each network (default: %(default)s)")
    add("--further", type=odd, help="points along each axis of further planes (default: %(default)s)")
    add(
        "--curvature",
        type=odd_or_none,
        help="points of the planes beside eigenvalues; 0: none (default: %(default)s)",
    )
    add("--steps", type=positive, help="for each eigenvalue, at most (default: %(default)s)")
    add("--trained", type=counts, metavar="20,56", help="depths to train anew for the plane of a training")
    add("--runs", type=Path, help="the sweep's folder, for the eigenvalues of other seeds")
    parser.set_defaults(**_USUAL)


def interrupted(options: argparse.Namespace) -> str:
    """Return what to say after Ctrl-C."""
    return kept.interrupted(_out(options), "plane was measured")


def measure_landscapes(options: argparse.Namespace) -> None:
    """Measure what is not measured yet, and say a line for each.

    OUT/planes.npz, sharpness.csv and about.json are written as each is done, OUT/README.md in the end;
    OUT/parts keeps what the command goes on from. Raises ExploreError where OUT holds others.
    """
    from resnet_explore.cli.terminal import StatusLine

    with StatusLine(sys.stdout) as line:
        try:
            _measure(options, line.say, line.hint)
        except OSError as error:
            raise ExploreError(f"{_out(options)} can't be written to ({error.strerror}).") from None


def _measure(options: argparse.Namespace, say: Callable[[str], None], hint: Callable[[str], None]) -> None:
    import torch

    from resnet_explore.models.threads import one_thread
    from resnet_explore.training.runs import write_text

    asked = {"weights": options.weights, **{name: getattr(options, name) for name in _USUAL}}
    asked |= {"depths": depths_of(options.weights, options.depths), "trained": list(options.trained)}
    for depth in asked["trained"]:
        if depth not in asked["depths"]:
            raise unknown(
                "depth to train anew", depth, map(str, asked["depths"]), "It must be among --depths."
            )
    out = _out(options)
    nets = list(trained_twins(options.weights, asked["depths"], options.runs))
    data = _TrainingImages(nets[0].net.about, options)
    if data.large:  # in this layout convolutions take less time
        for one in nets:
            one.net.to(memory_format=torch.channels_last)
    made_of = {f"{one}, seed {one.seed}": _digest(one.net, data) for one in nets}
    keep = _PlaneKeeper(out, asked, made_of, options.data or data.source, data.of, options.runs is not None)
    say(
        f"Planes of {len(nets)} networks, on {len(data.labels)} of {data.of:,} training images; kept in "
        f"{out}."
    )
    with one_thread():
        for name, measure in _Survey(nets, data, options, keep).tasks():
            hint(f"{name} ...")
            measure()
            say(f"{name:<28} {keep.minutes:6.1f} core-minutes")
    write_text(out / "README.md", _page(out))


# --- what is measured --------------------------------------------------------------------------------------


class _TrainingImages:
    """Training images as the networks were trained on them."""

    images: "Tensor"

    def __init__(self, about: Mapping[str, Any], options: argparse.Namespace) -> None:
        train, order = drawn(about, options.weights, "train", options.root, options.images)
        self.images, self.labels = train.normalized(order), train.labels[order]
        self.of, self.source = len(train), train.source
        self.large = max(self.images.shape[2:]) > _SMALL


def _digest(net: "Network", data: _TrainingImages) -> str:
    """Return what tells a network on its images from another one, or from the same on others."""
    from resnet_explore.analysis.landscape.grid_file import digest

    return digest([*net.state_dict().values(), data.images, data.labels])


@dataclass(frozen=True, eq=False)
class _Survey:
    """What is measured of which networks, on which images, and where it is kept."""

    nets: Sequence[NamedTwin]
    data: _TrainingImages
    options: argparse.Namespace
    keep: "_PlaneKeeper"

    def tasks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield names of measurements, and what makes each: first those of which most is shown."""
        for seed in range(self.options.planes):
            for mode in ("eval", "train"):
                for one in self.nets:
                    if one.ships:
                        name = f"{one}/random-{seed}{'' if mode == 'eval' else '-train'}"
                        yield name, partial(self.plane, name, one, seed, mode)
            if seed == 0:
                for depth in self.options.trained:
                    yield f"trainings of {depth} layers", partial(self.trainings, depth)
                for one in self.nets if self.options.curvature else ():
                    for mode in ("eval", "train"):
                        name = f"{one}/seed-{one.seed}-{mode}"
                        yield name, partial(self.sharpness, name, one, mode)

    def plane(self, name: str, one: NamedTwin, seed: int, mode: str) -> None:
        """Measure a random plane."""
        if not self.keep.has_plane(name):
            size = self.options.further if seed else self.options.size
            self.keep.add_plane(name, self._surface(name, one.net, size=size, seed=seed, mode=mode))

    def trainings(self, depth: int) -> None:
        """Train both twins anew, with snapshots, and measure the plane of each training."""
        from resnet_explore.analysis.landscape.recorded import SNAPSHOT_EVERY
        from resnet_explore.training.race import Race

        names = [f"{kind}-{depth}" for kind in ("plain", "residual")]
        if all(self.keep.has_plane(f"{name}/training") for name in names):
            return
        about = next(one.net.about for one in self.nets if one.depth == depth)
        train, test = (
            as_trained(about, self.options.weights, split, self.options.root) for split in ("train", "test")
        )
        race = Race(names, train, test)
        snapshots: dict[str, list[dict[str, Tensor]]] = {name: [] for name in names}
        for _ in range(_UPDATES // SNAPSHOT_EVERY + 1):
            for name, net in race.models.items():
                snapshots[name].append({key: value.clone() for key, value in net.state_dict().items()})
            if race.steps < _UPDATES:
                race.advance(SNAPSHOT_EVERY)
        size = self.options.size
        for name, net in race.models.items():
            plane = f"{name}/training"
            found = self._surface(plane, net, size=size, trajectory=snapshots[name], mode="train")
            self.keep.add_plane(plane, found)

    def sharpness(self, name: str, one: NamedTwin, mode: str) -> None:
        """Measure eigenvalues, and a coarse plane beside them."""
        from resnet_explore.analysis.landscape.curvature import top_hessian_eigenvalue
        from resnet_explore.analysis.landscape.recorded import Sharpness

        if self.keep.has_row(one, mode):
            return
        points = self.options.curvature
        plane = self._surface(name, one.net, size=points, mode=mode)
        measure = partial(
            top_hessian_eigenvalue, one.net, self.data.images, self.data.labels, steps=self.options.steps
        )
        plain, fair = (measure(mode=mode, normalised=normalised) for normalised in (False, True))
        self.keep.add_row(
            Sharpness(
                kind=one.kind,
                depth=one.depth,
                seed=one.seed,
                mode=mode,
                loss=plane.here,
                error=plane.error_here,
                eigenvalue=plain.value,
                eigenvalue_error=plain.error,
                normalised=fair.value,
                normalised_error=fair.error,
                lowest=fair.lowest,
                low=plane.under(_LOW),
                minima=plane.minima,
                points=points,
            )
        )

    def _surface(self, name: str, net: "Network", mode: str, **asked: Any) -> "Landscape":
        from resnet_explore.analysis.landscape.surface import loss_landscape

        # By the statistics of a batch the loss depends on what is in it, so there all images are one.
        at_once = _AT_ONCE if mode == "eval" and self.data.large else len(self.data.images)
        path, images, labels = self.keep.part(f"{name}.npz"), self.data.images, self.data.labels
        return loss_landscape(net, images, labels, mode=mode, batch_size=at_once, path=path, **asked)


# --- what is kept ------------------------------------------------------------------------------------------


class _PlaneKeeper:
    """Writes what is measured so far whenever something is added."""

    def __init__(
        self,
        out: Path,
        asked: Mapping[str, Any],
        made_of: Mapping[str, str],
        data: str,
        of: int,
        runs: bool,
    ) -> None:
        from resnet_explore.analysis.landscape.recorded import (
            PLANES,
            SHARPNESS,
            recorded_landscapes,
            recorded_sharpness,
        )

        self.out, self.asked, self.data, self.of, self._runs = out, asked, data, of, runs
        known = out / _ABOUT
        before: dict[str, Any] = _read_about(known) if known.is_file() else {"asked": asked}
        if other := " and ".join(name for name in asked if before["asked"].get(name) != asked[name]):
            raise ExploreError(
                f"{out} holds landscapes with other {other}: choose another folder with --out."
            )
        self._made_of = {**before.get("made of", {}), **made_of}
        changed = [name for name, found in before.get("made of", {}).items() if found != self._made_of[name]]
        if changed:
            raise ExploreError(
                f"{out} holds landscapes of other weights or images of {changed[0]}: choose another folder "
                "with --out."
            )
        self._before, self._started = before, time.process_time()
        self._planes: dict[str, Landscape] = {}
        if (out / PLANES).is_file():
            self._planes = {str(name): plane for name, plane in recorded_landscapes(out).items()}
        self._rows: list[Sharpness] = []
        if (out / SHARPNESS).is_file():
            self._rows = list(recorded_sharpness(out))

    @property
    def minutes(self) -> float:
        """What it took so far, with what it took before it was stopped."""
        return float(self._before.get("minutes", 0.0)) + (time.process_time() - self._started) / 60

    def part(self, name: str) -> Path:
        """Return where a measurement is kept that may be unfinished."""
        path = self.out / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def has_plane(self, name: str) -> bool:
        """Whether a plane is ready."""
        return name in self._planes

    def add_plane(self, name: str, plane: "Landscape") -> None:
        """Keep a plane."""
        self._planes[name] = plane
        self._write()

    def has_row(self, one: NamedTwin, mode: str) -> bool:
        """Whether the eigenvalues of a network are ready."""
        asked = (one.kind, one.depth, one.seed, mode)
        return any((row.kind, row.depth, row.seed, row.mode) == asked for row in self._rows)

    def add_row(self, row: "Sharpness") -> None:
        """Keep the eigenvalues of a network."""
        self._rows.append(row)
        self._write()

    def _write(self) -> None:
        import numpy as np
        import pandas as pd

        from resnet_explore.analysis.landscape.recorded import PLANES, SHARPNESS, as_arrays
        from resnet_explore.training.runs import write_json, write_text

        self.out.mkdir(parents=True, exist_ok=True)
        # What it is of comes first: should the process die in between, nothing goes unchecked.
        write_json(self.out / _ABOUT, self._about())
        arrays: dict[str, Any] = {
            f"{name}/{part}": array
            for name, plane in sorted(self._planes.items())
            for part, array in as_arrays(plane).items()
        }
        unfinished = self.out / f".{PLANES}"
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)
        unfinished.replace(self.out / PLANES)
        if self._rows:
            rows = sorted(map(asdict, self._rows), key=lambda row: [*row.values()][:4])
            write_text(self.out / SHARPNESS, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))

    def _about(self) -> dict[str, Any]:
        """Return how all came about: where it was begun, and where and when it was continued, if it was."""
        from resnet_explore.training.record import commit

        usual = {**_USUAL, "depths": list(twins_of(self.asked["weights"])), "trained": []}
        command = kept.command_line("landscapes", self.asked["weights"], self.asked, usual)
        if self._runs or len({row.seed for row in self._rows}) > 1:
            command += f" --runs runs/{self.asked['weights']}"
        about = kept.provenance(command, commit(), self.minutes, self.data, self.of, self.asked)
        now = {name: about[name] for name in ("commit", "date")}
        begun = {name: self._before.get(name, now[name]) for name in now}
        about |= begun
        if begun != now or "finished" in self._before:
            about["finished"] = now
        return {**about, "training images": about.pop("test images"), "made of": self._made_of}


def _read_about(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        if {"asked", "commit", "minutes"} <= {*found} and isinstance(found["asked"], dict):
            return found
    except (TypeError, ValueError):
        pass
    raise ExploreError(f"{path} is damaged, or of something else: choose another folder with --out.")


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("runs") / f"landscapes-{options.weights}"


# --- the page ----------------------------------------------------------------------------------------------


def _page(out: Path) -> str:
    """Return what a person reads first, in Markdown."""
    from resnet_explore.analysis.landscape.recorded import recorded_landscapes, recorded_sharpness

    about, planes = json.loads((out / _ABOUT).read_text()), recorded_landscapes(out)
    asked = about["asked"]
    images = min(asked["images"], about["training images"])
    lines = [
        f"# Is the loss surface smoother with skips? {asked['weights']}",
        "",
        f"{images:,} of {about['training images']:,} training images, drawn with seed 0;",
        f"data: {about['data']}. Made by",
        "",
        f"    {about['command']}",
        "",
        f"{_when(about)} with torch {about['torch']}, in {about['minutes']:g} minutes of one core.",
        "`recorded_landscapes` of `resnet_explore.analysis.landscape.recorded` reads the planes, and",
        "`recorded_sharpness` the eigenvalues where there are any.",
        "",
        "| plane | loss in the middle | at most 1 nat | beyond 100 nats | minima | points |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {key} | {plane.here:.3g} | {100 * plane.under(_LOW):.1f} % "
            f"| {100 * plane.beyond.mean():.1f} % | {plane.minima} | {len(plane.y)}×{len(plane.x)} |"
            for key, plane in sorted(planes.items())
        ),
        "",
        'Planes whose names end in "-train", and those of trainings, use the statistics of the images in',
        "batch norm, as training does; others the running statistics, which fit the network in the middle",
        "only.",
        "",
    ]
    if (out / "sharpness.csv").is_file():
        lines += _table(recorded_sharpness(out))
    return "\n".join(lines)


def _when(about: Mapping[str, Any]) -> str:
    """Say at which commit and on which day something was measured, or begun and finished."""
    begun, last = f"at commit {about['commit']} on {about['date']}", about.get("finished")
    return f"begun {begun} and finished at {last['commit']} on {last['date']}" if last else begun


def _table(rows: "Sequence[Sharpness]") -> list[str]:
    import pandas as pd

    heads = ["eigenvalue", "normalised", "lowest", "low", "minima"]
    lines = [f"| network | mode | seeds | {' | '.join(heads)} |", "| --- " * (len(heads) + 3) + "|"]
    for (kind, depth, mode), found in pd.DataFrame(map(asdict, rows)).groupby(["kind", "depth", "mode"]):
        cells = [_spread(found[name]) for name in heads]
        lines.append(f"| {kind}-{depth} | {mode} | {len(found)} | {' | '.join(cells)} |")
    points = rows[0].points
    return [
        *lines,
        "",
        "Medians over seeds of the training, and in brackets the least and the greatest. Eigenvalue: of",
        "the Hessian, the largest in magnitude. Normalised: the same in directions measured in filters'",
        "norms, by which networks can be compared; lowest: its least. Low: the share of points with a loss",
        f"of at most 1 nat in random plane 0, and its minima, at {points}×{points} points.",
        "",
    ]


def _spread(values: Any) -> str:
    if len(values) == 1:
        return f"{values.iloc[0]:.3g}"
    return f"{values.median():.3g} ({values.min():.3g} to {values.max():.3g})"
