"""Step 4: is it the gradient? Gradients layer by layer, before training and after a few updates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_explore.analysis.gradients.profiles import Profile, read_profile
from resnet_explore.analysis.gradients.slope import EXPLODES, VANISHES, slope
from resnet_explore.errors import unknown
from resnet_explore.figures.chart import Axis, Chart, Series, spread
from resnet_explore.widgets.catalog.layers import OfDepth, by_depth
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.view import Choice, Over, Prose, Slider, View
from resnet_explore.widgets.lesson import captions
from resnet_explore.widgets.lesson.state import LessonState

FIELDS = ("depth", "after")
DEPTHS = (20, 56, 110)
UPDATES = (0, 1, 3, 10, 30, 43)
_KINDS = ("plain", "residual")
_ASKED = 110  # layers that the question is about: moving on to others asks nothing again
_LOWEST, _HIGHEST = 1e-15, 1e9  # of a layer's gradient over the last block's


@dataclass(frozen=True)
class ReadGradients(Job):
    """Read what the recorded trainings noted of their gradients."""

    says = "Reading recorded gradients ..."

    def run(self, task: Task) -> Mapping[int, OfDepth]:
        """Return it by depth."""
        from resnet_explore.training.recorded import list_records

        return by_depth(list_records()[0].layers())


def check(state: LessonState) -> None:
    """Raise `ExploreError` for a depth or an update that was not recorded."""
    if state.depth not in DEPTHS:
        raise unknown("depth", state.depth, map(str, DEPTHS))
    if state.after not in UPDATES:
        raise unknown("after", state.after, map(str, UPDATES))


def plan(state: LessonState) -> Sequence[Job]:
    """Return what is read."""
    return (ReadGradients(),)


def present(state: LessonState, found: Mapping[Job, Any]) -> View:
    """Return the page: both twins' gradients by layer, at the update where the slider is."""
    noted: Mapping[int, OfDepth] | None = found.get(ReadGradients())
    if noted is None:
        return View(panels=None, waiting="Do gradients vanish in deep networks? Measured layer by layer.")
    sliders = (
        Slider("after", "Updates", tuple(Choice(k, str(k)) for k in UPDATES), play=True),
        Slider("depth", "Layers", tuple(Choice(depth, str(depth)) for depth in DEPTHS)),
    )
    charts = {depth: Over("after", {k: _chart(noted[depth], k) for k in UPDATES}) for depth in DEPTHS}
    headlines = {depth: Over("after", {k: _headline(noted[depth], k) for k in UPDATES}) for depth in DEPTHS}
    words = {depth: Over("after", _words(noted[depth])) for depth in DEPTHS}
    seeds = len(noted[state.depth].seeds["plain"])
    return View(
        headline=Over("depth", headlines),
        why=Over("depth", {depth: captions.gradients_why(_growth(noted[depth], depth)) for depth in DEPTHS}),
        question=_question(noted[_ASKED], _ASKED),
        panels=((Prose("words", Over("depth", words)), Charts("gradients", (Over("depth", charts),))),),
        sliders=sliders,
        conditions=captions.gradients_conditions(seeds),
        glossary=captions.GLOSSARY,
    )


def profile(noted: OfDepth, kind: str, update: int) -> Profile:
    """Return what the gradient of a network does from its last block to its first, of the mean over seeds."""
    norms = _mean(noted, kind, update)
    return read_profile(norms, noted.alike, noted.alike.norms(norms))


def _mean(noted: OfDepth, kind: str, update: int) -> np.ndarray:
    """Return the geometric mean over the seeds of each layer's gradient norm, (layers,)."""
    values = noted.values["gradient_norm", kind][noted.steps.index(update)]
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.log(values).mean(axis=1)))


def _headline(noted: OfDepth, update: int) -> str:
    plain, residual = (profile(noted, kind, update).ratio for kind in _KINDS)
    return captions.gradients_headline(update, (plain, slope(plain)), residual)


def _words(noted: OfDepth) -> Mapping[int, Sequence[str]]:
    """Return the paragraphs beside the gradients after each number of updates."""
    ratios = [profile(noted, "residual", k).ratio for k in UPDATES]
    apart = max(max(ratio, 1 / ratio) for ratio in ratios)
    return {k: captions.gradients_words(slope(profile(noted, "plain", k).ratio), apart) for k in UPDATES}


def _growth(noted: OfDepth, depth: int) -> float:
    """Return how many times as long each layer makes a new plain network's gradient, on average."""
    between = depth - 4  # layers from the middle of the first block to that of the last
    return float(profile(noted, "plain", 0).ratio ** (1 / between))


def _question(noted: OfDepth, depth: int) -> Question:
    """Return what is asked before the gradients are seen."""
    plain, residual = (profile(noted, kind, 0).ratio for kind in _KINDS)
    choices = tuple(Choice(*pair) for pair in captions.GRADIENTS_GUESSES.items())
    right = {EXPLODES: "explodes", VANISHES: "vanishes"}.get(slope(plain), "level")
    return Question(
        "lesson/gradients",
        captions.GRADIENTS_QUESTION.format(depth=depth),
        choices,
        right,
        captions.GRADIENTS_RULE,
        captions.gradients_told(plain, residual),
        captions.gradients_short_why(_growth(noted, depth), depth),
        captions.GRADIENTS_REPLIES,
    )


def _chart(noted: OfDepth, update: int) -> Chart:
    series, count = [], 0
    for kind in _KINDS:
        values = noted.values["gradient_norm", kind][noted.steps.index(update)]
        last = noted.alike.norms(values)[-1]  # of each seed
        count = len(values) - 1  # the classifier belongs to no block
        relative = values[:count] / last
        layers = np.arange(1, count + 1)
        with np.errstate(divide="ignore"):
            band = spread(relative, lambda logs, axis: np.exp(np.nanmean(np.log(logs), axis=axis)))
        series.append(Series(kind.capitalize(), layers, kind=kind, marker="none", **band))
    return Chart(
        "Gradient of each layer, compared with the last block's",
        Axis("layer (1 sees the image)", 0.4, count + 0.6, name="layer", whole=True),
        Axis("times the last block's gradient", _LOWEST, _HIGHEST, "log", unit="×"),
        series,
    )
