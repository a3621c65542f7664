"""Step 1: deeper should not be worse. Draw what you expect, then see what was measured."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.figures.chart import Axis, Chart, Mark, Series, spread
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.view import Over, Prose, View
from resnet_explore.widgets.lesson import captions
from resnet_explore.widgets.lesson.panels import Sketch
from resnet_explore.widgets.lesson.state import LessonState

FIELDS = ("drawn", "drawn_end", "shown")
_STEP = 5  # percent, of a press of an arrow key
_KINDS = ("plain", "residual")


@dataclass(frozen=True, eq=False)
class Errors:
    """Training errors at the end, in percent: by kind (depths, seeds)."""

    depths: Sequence[int]
    by_kind: Mapping[str, np.ndarray]

    def mean(self, kind: str, k: int) -> float:
        """Return the mean over the seeds at the k-th depth."""
        return float(np.nanmean(self.by_kind[kind][k]))


@dataclass(frozen=True)
class ReadErrors(Job):
    """Read the recorded training errors of the digits."""

    says = "Reading recorded errors ..."

    def run(self, task: Task) -> Errors:
        """Return them by depth and seed."""
        return _recorded()


@functools.cache
def _recorded() -> Errors:
    from resnet_explore.training.recorded import list_records

    rows = list_records()[0].rows()
    depths, seeds = (sorted({row[name] for row in rows}) for name in ("depth", "seed"))
    last = max(row["epoch"] for row in rows)
    found = {kind: np.full((len(depths), len(seeds)), np.nan) for kind in _KINDS}
    for row in rows:
        if row["epoch"] == last:
            place = depths.index(row["depth"]), seeds.index(row["seed"])
            found[row["kind"]][place] = row["train_error"]
    return Errors(depths, found)


def settle(state: LessonState) -> LessonState:
    """Let the end of a drawing follow it. Raises `ExploreError` for a drawing that leaves the axes."""
    if not all(0 <= value <= 100 for value in state.drawn):
        raise ExploreError(f"drawn must be errors from 0 to 100 percent, got {list(state.drawn)!r:.80}.")
    depths = _recorded().depths if state.drawn else ()
    if len(state.drawn) != len(depths):
        raise ExploreError(
            f"drawn must have an error for each of {len(depths)} depths, got {len(state.drawn)}."
        )
    end = round(state.drawn[-1]) if state.drawn else -1
    return replace(state, drawn_end=int(end))


def plan(state: LessonState) -> Sequence[Job]:
    """Return what is read."""
    return (ReadErrors(),)


def present(state: LessonState, found: Mapping[Job, Any]) -> View:
    """Return the page: a chart to draw on, then the measured lines over it."""
    errors: Errors | None = found.get(ReadErrors())
    if errors is None:
        return View(panels=None, waiting=captions.DEEPER_QUESTION)
    last = len(errors.depths) - 1
    plain, residual = (errors.mean(kind, last) for kind in _KINDS)
    depth = errors.depths[-1]
    ends = range(-1, 101)
    compared = {end: (captions.compared(end, plain, depth), *captions.DEEPER_SHOWN) for end in ends}
    paragraphs = {False: captions.DEEPER_ASKED, True: Over("drawn_end", compared)}
    headline = {False: captions.DEEPER_QUESTION, True: captions.deeper_headline(plain, residual, depth)}
    sketch = Sketch("drawn", _chart(errors), errors.depths, errors.mean("plain", 0), _STEP)
    return View(
        headline=Over("shown", headline),
        panels=((Prose("words", Over("shown", paragraphs)), sketch),),
        conditions=captions.deeper_conditions(errors.by_kind["plain"].shape[1]),
        glossary=captions.GLOSSARY,
    )


def _chart(errors: Errors) -> Chart:
    depths = errors.depths
    return Chart(
        "Training error after training",
        Axis(
            "depth (layers with weights)",
            depths[0] * 0.9,
            depths[-1] * 1.1,
            "log",
            name="layers",
            ticks=depths,
        ),
        Axis("wrong answers on the training images", -3, 103, unit="%"),
        [Series(kind.capitalize(), depths, kind=kind, **spread(errors.by_kind[kind])) for kind in _KINDS],
        (Mark(captions.GUESSING, y=90.0),),
        note=captions.BANDS.format(seeds=errors.by_kind["plain"].shape[1]),
    )
