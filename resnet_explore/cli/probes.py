"""`resnet-explore probes`: linear probes behind each block of trained twins, and how much each can read."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.cli import kept
from resnet_explore.cli.arguments import positive
from resnet_explore.cli.as_trained import drawn
from resnet_explore.cli.named_twins import NamedTwin, add_twins, depths_of, trained_twins, twins_of
from resnet_explore.errors import ExploreError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from resnet_explore.analysis.activations.probes import Probes

_USUAL: Mapping[str, Any] = {"depths": None, "images": 4000, "test_images": 2500, "runs": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_twins(parser, "probes")
    add = parser.add_argument
    add("--images", type=positive, help="training images, drawn at random (default: %(default)s)")
    add("--test-images", type=positive, help="test images, drawn at random (default: %(default)s)")
    add("--runs", type=Path, help="the sweep's folder, to measure other seeds of the twins as well")
    parser.set_defaults(**_USUAL)


def interrupted(options: argparse.Namespace) -> str:
    """Return what to say after Ctrl-C."""
    return f"Stopped. Nothing was written to {_out(options)}."


def train_probes(options: argparse.Namespace) -> None:
    """Fit the probes of each twin, count what they get right, and write both; a line for each network.

    OUT/probes.safetensors has the probes of the networks that ship, accuracy.csv a row for each probe of
    each seed, about.json and README.md how they came about. Raises ExploreError, before the first is fitted,
    if OUT can't be written to.
    """
    from resnet_explore.cli.terminal import StatusLine

    with StatusLine(sys.stdout) as line:
        try:
            _train(options, line.say, line.hint)
        except OSError as error:
            raise ExploreError(f"{_out(options)} can't be written to ({error.strerror}).") from None


def _train(options: argparse.Namespace, say: Callable[[str], None], hint: Callable[[str], None]) -> None:
    from resnet_explore.models.threads import one_thread

    depths = depths_of(options.weights, options.depths)
    twins = trained_twins(options.weights, depths, options.runs)
    kept.require_folder(_out(options))
    started, data = time.process_time(), None
    found: dict[str, Probes] = {}
    tables = []
    with one_thread():
        for one in twins:
            hint(f"{one.name}, seed {one.seed} ...")
            data = data or _Drawn(one.net.about, options)
            probes, table = _probed(one, data)
            found.setdefault(one.name, probes)  # those of the network that ships come first
            tables.append(table)
            first, last = table["accuracy"].iloc[[0, -1]]
            who = f"{one.name:<16} seed {one.seed}"
            say(f"{who}: {first:.1f} % behind the stem, {last:.1f} % behind the last block")
    if data is not None:
        _write(options, depths, found, tables, data, (time.process_time() - started) / 60)
    say(f"Written to {_out(options)}.")


def _write(
    options: argparse.Namespace,
    depths: list[int],
    found: "Mapping[str, Probes]",
    tables: "list[pd.DataFrame]",
    data: "_Drawn",
    minutes: float,
) -> None:
    import pandas as pd

    from resnet_explore.analysis.activations.probes import as_tensors
    from resnet_explore.analysis.activations.recorded_probes import FILE, TABLE
    from resnet_explore.training.record import commit
    from resnet_explore.training.runs import save_tensors, write_json, write_text

    out, numbers = _out(options), {"images": options.images, "test_images": options.test_images}
    asked = {"weights": options.weights, "depths": depths, **numbers}
    usual = {**_USUAL, "depths": list(twins_of(options.weights))}
    command = kept.command_line("probes", options.weights, asked, usual)
    if options.runs:
        command += f" --runs runs/{options.weights}"
    about = kept.provenance(command, commit(), minutes, options.data or data.source, data.of, asked)
    out.mkdir(parents=True, exist_ok=True)
    save_tensors(out / FILE, *as_tensors(found))
    write_text(out / TABLE, pd.concat(tables).to_csv(index=False, float_format="%.5g"))
    write_json(
        out / "about.json", {**about, "fitted to": len(data.labels), "tested on": len(data.test_labels)}
    )
    write_text(out / "README.md", _page(out))


class _Drawn:
    """The images, as the networks were trained on them."""

    images: "Tensor"
    test: "Tensor"

    def __init__(self, about: Mapping[str, Any], options: argparse.Namespace) -> None:
        train, chosen = drawn(about, options.weights, "train", options.root, options.images)
        self.images, self.labels = train.normalized(chosen), train.labels[chosen]
        test, chosen = drawn(about, options.weights, "test", options.root, options.test_images)
        self.test, self.test_labels = test.normalized(chosen), test.labels[chosen]
        self.of, self.source = len(test), test.source


def _probed(one: NamedTwin, data: _Drawn) -> "tuple[Probes, pd.DataFrame]":
    """Return a network's probes and how many test images they get right."""
    import pandas as pd

    from resnet_explore.analysis.activations.probes import linear_probes

    probes = linear_probes(one.net, data.images, data.labels)
    accuracy = 100 * probes.accuracy(one.net, data.test, data.test_labels)
    about = {"network": one.name, "kind": one.kind, "depth": one.depth, "seed": one.seed}
    return probes, pd.DataFrame(
        {**about, "place": range(len(accuracy)), "block": probes.names, "accuracy": accuracy}
    )


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("runs") / f"probes-{options.weights}"


# --- the page ----------------------------------------------------------------------------------------------


def _page(out: Path) -> str:
    """Return what a person reads first, in Markdown."""
    from resnet_explore.analysis.activations.recorded_probes import load_probe_accuracies

    about, table = json.loads((out / "about.json").read_text()), load_probe_accuracies(out)
    return "\n".join(
        [
            f"# How early could the answer be read? {about['asked']['weights']}",
            "",
            "Behind the stem and each block of the twins a linear probe (logistic regression on features",
            f"averaged over all places) was fitted to {about['fitted to']:,} training images and tested on "
            f"{about['tested on']:,} of",
            f"{about['test images']:,} test images, drawn with seed 0; data: {about['data']}. Made by",
            "",
            f"    {about['command']}",
            "",
            f"at commit {about['commit']} on {about['date']} with torch {about['torch']}, in "
            f"{about['minutes']:g} minutes of one core.",
            "`probes.safetensors` has the probes of the networks that ship (`resnet_explore.load_probes`",
            "reads it), `accuracy.csv` what share of the test images each probe gets right.",
            "",
            "| network | seeds | stem | best | best behind block | last block |",
            "| --- | --- | --- | --- | --- | --- |",
            *(_line(str(name), rows) for name, rows in table.groupby("network", sort=False)),
            "",
            "Test accuracy in percent; mean ± standard deviation over seeds where there are several. Which",
            "place is the best was seen on the same test images.",
            "",
        ]
    )


def _line(name: str, rows: "pd.DataFrame") -> str:
    places, seeds = rows.groupby("place")["accuracy"], rows["seed"].nunique()
    mean, spread = places.mean(), places.std()
    best, last = int(mean.to_numpy().argmax()), len(mean) - 1
    cells = [f"{mean[k]:.1f}" + (f" ± {spread[k]:.1f}" if seeds > 1 else "") for k in (0, best, last)]
    return f"| {name} | {seeds} | {cells[0]} | {cells[1]} | {best} of {last} | {cells[2]} |"
