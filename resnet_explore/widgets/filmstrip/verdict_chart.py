"""Which methods can be believed? Recorded verdicts of many images as one picture."""

import re
from collections.abc import Sequence

import pandas as pd

from resnet_explore.analysis.explain.methods.registry import METHODS
from resnet_explore.analysis.explain.scoring.evaluation import Evaluation, load_verdicts
from resnet_explore.figures.style import SCREEN_SCALE, to_png
from resnet_explore.figures.verdicts import verdict_chart
from resnet_explore.training.coverage import among
from resnet_explore.widgets.filmstrip.filmstrip import Filmstrip

_METRICS = {
    "deletion": "Deletion",
    "insertion": "Insertion",
    "road": "ROAD",
    "randomisation": "Random weights",
    "stability": "Stability",
}
_PLACES = ("deletion", "insertion", "road")


class VerdictChart(Filmstrip):
    """Methods against metrics for several networks, what `evaluate` found or what ships.

    evaluation  by default that of the photo twins which ships
    """

    def __init__(self, evaluation: Evaluation | None = None) -> None:
        found = load_verdicts() if evaluation is None else evaluation
        table = found.table()
        kinds = {name: kind_of(name) for name in found.networks}
        figure = verdict_chart(table, kinds, {m: _METRICS[m] for m in found.metrics}, _titles())
        title = finding(table, found.networks)
        super().__init__(
            frames=[to_png(figure)],
            titles=[title],
            captions=[conditions(found, table)],
            alts=[f"Dots for each method and metric. {title}"],
            scale=SCREEN_SCALE,
        )


def kind_of(network: str) -> str:
    """Return "plain" or "residual" for names such as plain18 and cifar_resnet20, others as they are."""
    if "plain" in network:
        return "plain"
    return "residual" if "res" in network else network


def called(network: str) -> str:
    """Return what is said of a network: "Plain-18" for plain18 and cifar_plain18, others as they are."""
    match = re.fullmatch(r"(?:cifar_)?(plain|resnet)(\d+)", network)
    return network if match is None else f"{'Plain' if match[1] == 'plain' else 'Residual'}-{match[2]}"


def finding(table: pd.DataFrame, networks: Sequence[str]) -> str:
    """Say how many methods are better than chance at saying where, and which are at everything."""
    where = table[table["metric"].isin(_PLACES)] if set(table["metric"]) & set(_PLACES) else table
    total = table["method"].nunique()
    good = {n: where[where["network"] == n].groupby("method")["passed"].all() for n in networks}
    parts = [f"{int(good[n].sum())} for {called(n)}" for n in networks]
    every = table.groupby("method", sort=False)["passed"].all()
    names = [_titles().get(str(m), str(m)) for m in every[every].index]
    best = f"{among(names, '')} pass{'es' if len(names) == 1 else ''}" if names else "none passes"
    return (
        f"Of {total} methods {' and '.join(parts)} point at what the network uses better than random maps; "
        f"{best} every check for {'both' if len(networks) == 2 else 'all'}."
    )


def _titles() -> dict[str, str]:
    return {name: one.title for name, one in METHODS.items()}


def conditions(found: Evaluation, table: pd.DataFrame) -> str:
    """Say what was measured, on what."""
    layers = [name for name in dict.fromkeys(table["layer"]) if name]
    about, asked = found.about, found.about.get("asked", {})
    parts = [f"{int(table['images'].max())} test images"]
    parts[0] += f" of {about['test images']:,}, {about['data']}" if "data" in about else ""
    parts[0] += f", drawn with seed {asked['seed']}" if "seed" in asked else ""
    parts.append("each explained for the class that the network gives it, in eval mode")
    if layers:
        parts.append(f"upper group: maps of block {among(layers, '')}; lower: of the pixels")
    return (
        f"{'; '.join(parts)}. How much better than random maps of the same size, image by image: mean ± "
        "standard error; further right is better. Full: the 95 % confidence interval of that mean (Student's "
        "t) lies above 0; for random weights above -0.1, so that once all are drawn anew the map is shown to "
        "be hardly more like what it was than random maps are."
    )
