"""`resnet-explore judge`: methods and metrics on a data set's images, kept as they are ready."""

import argparse
import json
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.analysis.explain.methods.registry import methods
from resnet_explore.cli import kept
from resnet_explore.cli.arguments import count, positive, several, words
from resnet_explore.cli.as_trained import as_trained
from resnet_explore.errors import ExploreError, unknown

if TYPE_CHECKING:
    from resnet_explore.analysis.explain.scoring.evaluation import Evaluation

# The twins that ship; one depth of CIFAR's, whichever others there are.
_TWINS = {
    "imagenette": ("plain18", "resnet18"),
    "cifar10": ("cifar_plain20", "cifar_resnet20"),
    "digits": ("cifar_plain20", "cifar_resnet20"),
}
# These are left to those who ask: they take as long as all the others.
_ONLY_IF_ASKED = ("occlusion", "gradient_shap")
_USUAL: Mapping[str, Any] = {
    "models": None,
    "methods": tuple(name for name in methods() if name not in _ONLY_IF_ASKED),
    "metrics": ("deletion", "insertion", "road", "randomisation", "stability"),
    "images": 32,
    "layer": None,
    "draws": 2,
    "seed": 0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("dataset", nargs="?", default="imagenette", help="one with shipped twins (default: %(default)s)")
    add("--root", help="where the data lie (default: downloaded to the cache)")
    add("--data", default="", help="what lies there, in words, for the record")
    add("--models", type=words, metavar="A,B", help="networks whose weights ship (default: the twins)")
    add(
        "--methods",
        type=words,
        metavar="A,B,...",
        help=f"(default: {len(_USUAL['methods'])} of the {len(methods())})",
    )
    add("--metrics", type=words, metavar="A,B,...", help="(default: all five)")
    add(
        "--images",
        type=several,
        help="how many test images, at least 2; below 5 no method can pass (default: %(default)s)",
    )
    add("--layer", help="of the methods that have one (default: the last block before the last stage)")
    add("--draws", type=positive, help="of random maps for each image (default: %(default)s)")
    add("--seed", type=count, help="of the images and of all that is drawn (default: %(default)s)")
    add("--out", type=Path, help="folder to write to (default: runs/judged-DATASET)")
    parser.set_defaults(**_USUAL)


def interrupted(options: argparse.Namespace) -> str:
    """Return what to say after Ctrl-C."""
    return kept.interrupted(_out(options), "method was judged")


def judge_data(options: argparse.Namespace) -> None:
    """Judge what is not judged yet, and say a line for each network and method, and in the end the table.

    OUT/values.csv and about.json are whole after each of them; README.md is written in the end. A terminal
    also sees how far a method is. Raises ExploreError, and leaves OUT alone, where it holds an evaluation of
    something else.
    """
    from resnet_explore.cli.terminal import StatusLine

    with StatusLine(sys.stdout) as line:
        _judge(options, line.say, line.hint)


def _judge(options: argparse.Namespace, say: Callable[[str], None], hint: Callable[[str], None]) -> None:
    import torch

    from resnet_explore.analysis.explain.scoring.evaluation import FEWEST, evaluate, load_verdicts
    from resnet_explore.analysis.explain.scoring.verdict import known_methods, known_metrics
    from resnet_explore.models.presets import build
    from resnet_explore.models.threads import one_thread
    from resnet_explore.training.runs import write_text

    if options.dataset not in _TWINS:
        raise unknown("dataset", options.dataset, _TWINS)
    asked = {name: getattr(options, name) for name in _USUAL}
    asked = json.loads(json.dumps({"dataset": options.dataset, **asked}))
    asked["models"] = asked["models"] or list(_TWINS[options.dataset])
    # Both raise for a name that there is not: before the data are read, which takes a while.
    known_methods(asked["methods"])
    known_metrics(asked["metrics"])
    out = _out(options)
    before = load_verdicts(out) if (out / "about.json").is_file() else None
    if before is not None and (other := _differing(before.about.get("asked", {}), asked)):
        raise ExploreError(f"{out} holds an evaluation with other {other}: choose another folder with --out.")
    # In this layout backward passes take half the time.
    networks = {
        name: build(name, weights=options.dataset).to(memory_format=torch.channels_last)
        for name in asked["models"]
    }
    say(f"Reading {options.dataset} ...")
    data = as_trained(next(iter(networks.values())).about, options.dataset, root=options.root)
    few = f" (none can pass with fewer than {FEWEST})" if asked["images"] < FEWEST else ""
    methods, images = len(asked["methods"]), min(asked["images"], len(data))
    say(
        f"Judging {methods} method{'s' * (methods > 1)}, and maps that know nothing, on {images} of "
        f"{len(data):,} test images{few}: a line for each that is done and kept in {out}."
    )

    def watch(network: str, method: str, done: int) -> None:
        hint(f"{network}, {method}: image {done + 1} of {asked['images']} ...")

    keep = _Keeper(out, asked, options.data or data.source, len(data), before, say)
    try:
        with one_thread():
            evaluate(
                networks,
                data,
                **{name: asked[name] for name in _USUAL if name != "models"},
                known=None if before is None else before.values,
                progress=keep,
                watch=watch,
            )
        page = _page(load_verdicts(out))
        write_text(out / "README.md", page)
    except OSError as error:
        raise ExploreError(f"{out} can't be written to ({error.strerror}).") from None
    say(page)


class _Keeper:
    """Writes what is judged so far, after each network and method."""

    def __init__(
        self,
        out: Path,
        asked: Mapping[str, Any],
        data: str,
        of: int,
        before: "Evaluation | None",
        say: Callable[[str], None],
    ) -> None:
        from resnet_explore.training.record import commit

        self.out, self.asked, self.data, self.of, self.say = out, asked, data, of, say
        self.rows = 0 if before is None else len(before.values)
        self.minutes = 0.0 if before is None else float(before.about["minutes"])
        self.commit, self.started = commit(), time.process_time()

    def __call__(self, done: int, total: int, values: Any) -> None:
        from resnet_explore.training.runs import write_json, write_text

        if len(values) == self.rows:  # known from before
            return
        self.rows = len(values)
        minutes = self.minutes + (time.process_time() - self.started) / 60
        about = kept.provenance(_command(self.asked), self.commit, minutes, self.data, self.of, self.asked)
        self.out.mkdir(parents=True, exist_ok=True)
        write_text(self.out / "values.csv", values.to_csv(index=False, float_format="%.5g"))
        write_json(self.out / "about.json", about)
        last = values.iloc[-1]
        self.say(f"{done:>3}/{total}  {last['network']:<15} {last['method']:<21} {minutes:6.1f} core-minutes")


def _differing(before: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    return " and ".join(name for name in asked if before.get(name) != asked[name])


def _out(options: argparse.Namespace) -> Path:
    return options.out or Path("runs") / f"judged-{options.dataset}"


def _command(asked: Mapping[str, Any]) -> str:
    """Return the command that was given, without where the data lay."""
    usual = json.loads(json.dumps(_USUAL)) | {"models": list(_TWINS[asked["dataset"]])}
    return kept.command_line("judge", asked["dataset"], asked, usual)


def _page(found: "Evaluation") -> str:
    """Return what a person reads first, in Markdown."""
    from resnet_explore.analysis.explain.scoring.evaluation import RULE

    about, table = found.about, found.table()
    asked, layers = about["asked"], [name for name in found.values["layer"].unique() if name]
    heads = [f"{metric}, {network}" for metric in found.metrics for network in found.networks]
    lines = [f"| method | {' | '.join(heads)} |", "| --- " * (len(heads) + 1) + "|"]
    rows = table.to_dict("records")
    cells = {(row["method"], row["metric"], row["network"]): row for row in rows}
    blind = {(row["layer"], row["metric"], row["network"]): row for row in rows}
    for layer in dict.fromkeys(table["layer"]):
        named = f"{layer} map" if layer else "pixel map"
        for way in ("random", "centre"):
            row = [f"{blind[layer, m, n][way]:z.3f}" for m in found.metrics for n in found.networks]
            lines.append(f"| *{way} {named}* | {' | '.join(row)} |")
        for method in dict.fromkeys(table.loc[table["layer"] == layer, "method"]):
            each = [cells[method, m, n] for m in found.metrics for n in found.networks]
            row = [f"{c['value']:z.3f} ± {c['error']:.3f}{' ✓' if c['passed'] else ''}" for c in each]
            lines.append(f"| {method} | {' | '.join(row)} |")
    return "\n".join(
        [
            f"# Which heatmaps are better than chance? {asked['dataset']}",
            "",
            f"{table['images'].max()} of {about['test images']:,} test images (seed {asked['seed']}), each "
            "explained for the class that the",
            f"network gives it; data: {about['data']}. Made by",
            "",
            f"    {about['command']}",
            "",
            f"at commit {about['commit']} on {about['date']} with torch {about['torch']}, in "
            f"{about['minutes']:g} minutes of one core.",
            f"The maps of CAM methods are those of {' and '.join(layers) or 'no block'}. "
            "`values.csv` has a row for each network, method and image;",
            "`resnet_explore.load_verdicts` reads it.",
            "",
            *lines,
            "",
            "Mean ± standard error over the images. Deletion, and likeness after randomisation, are good",
            "when low, the others when high.",
            "",
            *textwrap.wrap(RULE, 100),
            "",
        ]
    )
