"""Errors of a table of runs as a strip: all depths in an overview, and the learning curves of one."""

from typing import Any

import numpy as np
import pandas as pd

from resnet_explore.figures.degradation import DegradationFigure
from resnet_explore.figures.style import to_png
from resnet_explore.training.coverage import in_words, places_of
from resnet_explore.training.plan import KINDS
from resnet_explore.training.summary import final_errors, learning_curves, unfinished
from resnet_explore.widgets.words import percent

_TOPS = (5, 10, 25, 50, 100)  # where the axis of errors may end, in percent
_AUGMENTED = {"crop": ", shifted and mirrored at random", "zoom": ", enlarged and mirrored at random"}


def error_pictures(
    table: pd.DataFrame, source: str, data: str, depths: list[int], narrow: bool = False
) -> dict[str, Any]:
    """Return what `Filmstrip.show` takes: a picture, a title and a tick for each of the depths.

    `source` and `data` say in words whose runs these are and what they were trained on.
    """
    epochs = int(table["epochs"].max())
    by_depth = {kind: final_errors(table, kind, depths) for kind in KINDS}
    so_far = {
        str(kind): list(zip(rows["depth"], rows["train_error"], strict=True))
        for kind, rows in unfinished(table).groupby("kind")
    }
    figure = DegradationFigure(depths, epochs, _top(table), so_far, _so_far(table), narrow)
    frames = []
    for depth in depths:
        by_epoch = {kind: learning_curves(table, kind, depth, epochs) for kind in KINDS}
        frames.append(to_png(figure.draw(by_depth, by_epoch, depth)))
    return {
        "frames": frames,
        "titles": [_finding(table, depth) for depth in depths],
        "captions": [f"{source}: {conditions(table, data)} {_measured(table)}{_cautions(table, depths)}"],
        "ticks": [str(depth) for depth in depths],
    }


def first_failure(table: pd.DataFrame, depths: list[int]) -> int:
    """Return the step that makes the point: the first of the depths where plain fails and residual doesn't.

    Where none of them fails outright, the depth that sets them furthest apart.
    """
    gaps = []
    for i, depth in enumerate(depths):
        plain, residual = (final(table, kind, depth) for kind in KINDS)
        if plain > 40 and residual < 10:
            return i
        gaps.append(plain - residual if np.isfinite(plain - residual) else -np.inf)
    return int(np.argmax(gaps))


def final(table: pd.DataFrame, kind: str, depth: int, split: str = "train") -> float:
    """Return the finished runs' error at their end in percent, the mean over seeds; nan if there is none."""
    errors = final_errors(table, kind, [depth])[split]
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else float("nan")


def conditions(table: pd.DataFrame, data: str, drawn: str = "means") -> str:
    """Say how the runs of a table were trained, over which seeds, and how these are drawn.

    `drawn` says what lines are where there are several seeds; "" if nothing is drawn.
    """
    run = table.iloc[0].to_dict()  # the recipe is the same in all
    seeds = table.groupby(["kind", "depth"], observed=True)["seed"].nunique()
    spread = ""
    if drawn and seeds.max() > 1:
        spread = (
            f"; lines are {drawn}, and bands {'or bars ' if seeds.min() == 1 else ''}the range over seeds"
        )
        spread += " where there are several" if seeds.min() == 1 else ""
    precision = ", bf16" if run.get("precision") == "bf16" else ""
    rate = "one-cycle to" if run.get("schedule", "one-cycle") == "one-cycle" else "in steps from"
    return (
        f"{data}{_AUGMENTED.get(str(run['augment']), '')}; first stage {run['width']} channels wide, "
        f"{run['epochs']} epochs of SGD (batch {run['batch_size']}, {rate} {run['lr']:g}{precision}), the "
        f"same for both; {in_words(places_of(table), elsewhere=True)}{spread}."
    )


def _measured(table: pd.DataFrame) -> str:
    """Say of which images the errors are: of all, or until the last epoch of some."""
    run = table.iloc[0]
    about = run["step"] / run["epoch"] * run["batch_size"]  # training images, to within a batch
    if run["eval_images"] >= about:
        return "Errors in eval mode."
    some = f"{run['eval_images']:,} images of each set"
    return f"Errors in eval mode, of {some}, after the last epoch of all images."


def _so_far(table: pd.DataFrame) -> str:
    """Return "after 3 to 5 of 8 epochs" of the runs that are not finished, "" if all are."""
    epochs = unfinished(table)["epoch"]
    if not len(epochs):
        return ""
    low, high = int(epochs.min()), int(epochs.max())
    span = f"{low} to {high}" if high > low else f"{low}"
    return f"after {span} of {table['epochs'].max()} epochs"


def _cautions(table: pd.DataFrame, depths: list[int]) -> str:
    """Say what keeps a picture from showing what depth does."""
    said = ""
    if so_far := _so_far(table):
        said += f" Open marks, which no line joins: runs that are not finished, {so_far}."
    if len(depths) == 1:
        said += f" Only {depths[0]} layers were trained: this compares the twins, it can't compare depths."
    return said


def _top(table: pd.DataFrame) -> float:
    """Return where all axes end: 100 while runs are going on, so that it doesn't move under their feet."""
    if table.groupby("run")["epoch"].max().min() < table["epochs"].max():
        return 100
    highest = float(table[["train_error", "test_error"]].to_numpy().max())
    return next((top for top in _TOPS if top >= highest), 100)


def _finding(table: pd.DataFrame, depth: int) -> str:
    """Compare the twins of a depth: where they are finished, else after as many epochs as both have."""
    here = table[table["depth"] == depth]
    ended = here[here["epoch"] == here["epochs"]]
    epoch = min(max(here.loc[here["kind"] == kind, "epoch"], default=0) for kind in KINDS)
    if not epoch and len(ended) and ended["kind"].nunique() == 1:
        alone = ended["kind"].iloc[0]
        other = next(kind for kind in KINDS if kind != alone)
        wrong = percent(ended["train_error"].mean())
        return (
            f"{depth} layers: the {alone} network gets {wrong} of its training images wrong; "
            f"the {other} one is not trained yet."
        )
    if not epoch:
        return f"{depth} layers: no finished epoch yet of both twins."
    compared = ended if set(ended["kind"]) == set(KINDS) else here[here["epoch"] == epoch]
    when = "" if compared is ended else f" after {epoch} of {table['epochs'].max()} epochs"
    plain, residual = (compared.loc[compared["kind"] == kind, "train_error"].mean() for kind in KINDS)
    return (
        f"{depth} layers{when}: the plain network gets {percent(plain)} of its training images wrong, "
        f"the residual one {percent(residual)}."
    )
