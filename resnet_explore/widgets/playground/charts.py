"""The charts of a race: loss and error over steps, gradients over layers."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Line, Look, Mark, Series, decades
from resnet_explore.widgets.core.view import Over
from resnet_explore.widgets.playground import captions
from resnet_explore.widgets.playground.curves import (
    error_line,
    gradients_at,
    kind_of,
    loss_line,
    round_end,
)
from resnet_explore.widgets.playground.state import NOW

if TYPE_CHECKING:
    from resnet_explore.widgets.playground.jobs import Standing

_LOOKS: Sequence[tuple[Line, Look]] = (
    ("solid", "full"),
    ("dashed", "full"),
    ("dotted", "full"),
    ("solid", "open"),
)
_LABEL = 0.35  # of the axis: what a label of a change takes


def looks_of(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how each network is drawn: in the colour of its family, in which lines differ."""
    seen = {"plain": 0, "residual": 0}
    looks = {}
    for name in names:
        kind = kind_of(name)
        line, look = _LOOKS[seen[kind]]
        looks[name] = {"kind": kind, "line": line, "look": look, "marker": "none"}
        seen[kind] += 1
    return looks


def race_charts(standing: "Standing", stops: Sequence[int]) -> tuple[Chart, Chart, Chart]:
    """Return loss, error and gradients; `stops` are the slider's, () for the last step."""
    looks = looks_of(list(standing.curves))
    x = Axis("step", -0.01 * (end := round_end(standing.steps)), end, whole=True)
    chosen = Over("step", {stop: None if stop == NOW else stop for stop in stops}) if stops else None
    marks = _marks(standing, end)
    loss = Chart(
        "Training loss",
        x,
        Axis("training loss", 0, _loss_top(standing)),
        [
            *(
                Series(g.name, *g.loss, kind=g.kind, look="ghost", listed=False, marker="none")
                for g in standing.ghosts
            ),
            *(Series(n, *loss_line(c), **looks[n]) for n, c in standing.curves.items()),
        ],
        marks,
        chosen,
    )
    error = Chart(
        "Error on held-out images",
        x,
        Axis("error on held-out images", -3, 103, unit="%"),
        [
            *(
                Series(g.name, *g.error, kind=g.kind, look="ghost", listed=False, marker="none")
                for g in standing.ghosts
            ),
            *(Series(n, *error_line(c), **looks[n]) for n, c in standing.curves.items()),
        ],
        (),
        chosen,
    )
    return loss, error, gradient_chart(standing, looks, stops)


def gradient_chart(standing: "Standing", looks: Mapping[str, Any], stops: Sequence[int]) -> Chart:
    """Return each layer's gradient, from the image to the classes, in the step that is looked at."""
    most = max(len(curve.layers) for curve in standing.curves.values())
    series = []
    for name, curve in standing.curves.items():
        at = {stop: gradients_at(curve, standing.steps if stop == NOW else stop) for stop in stops}
        y = Over("step", at) if stops else gradients_at(curve, standing.steps)
        series.append(Series(name, np.arange(1, len(curve.layers) + 1), y, **looks[name]))
    return Chart(
        "Gradient of each layer",
        Axis("layer (1 sees the image)", 0, most + 1, name="layer", whole=True),
        Axis("gradient norm of the weights", *_gradient_ends(standing), "log"),
        series,
    )


def _marks(standing: "Standing", end: float) -> list[Mark]:
    """Return a mark where something was changed; the last ones for which there is room say what."""
    by_step = {change.step: change for change in standing.changes}
    marks, free = [], math.inf
    for step in sorted(by_step, reverse=True):
        told = free - step > _LABEL * end
        marks.append(Mark(captions.change_label(by_step[step]) if told else "", x=step))
        free = step if told else free
    return marks[::-1]


def _loss_top(standing: "Standing") -> float:
    """Return where the axis of losses ends: above that of guessing, so that what goes wrong is seen, too."""
    guessing = math.log(standing.classes)
    lines = [loss_line(curve)[1] for curve in standing.curves.values()]
    largest = max((float(np.nanmax(line)) for line in lines if len(line)), default=guessing)
    return next((top for top in (1.25, 2.0, 3.0) if largest <= top * guessing), 3.0) * guessing


def _gradient_ends(standing: "Standing") -> tuple[float, float]:
    """Return whole powers of ten around all gradients of the race, so that the axis rests."""
    known = [
        curve.gradients[np.isfinite(curve.gradients) & (curve.gradients > 0)]
        for curve in standing.curves.values()
    ]
    every = np.concatenate([row.ravel() for row in known])
    if not every.size:
        return 1e-3, 1e1
    return decades(max(float(every.min()), 1e-12), min(float(every.max()), 1e12))
