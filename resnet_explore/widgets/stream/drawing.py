"""What the views of the stream explorer have in common: places along an axis, answers as bars."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis
from resnet_explore.widgets.core.view import AnswerBars, Bar, Choices, Named, Over
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.jobs import Flow

_ANSWERS = 5
_MANY = 20  # places along an axis that can all be named


def over(places: range, make: Callable[[int], Any]) -> Over:
    """Return what depends on the place at which the slider stands."""
    return Over("block", {place: make(place) for place in places})


def across(flow: Flow, places: range) -> Axis:
    """Return the axis along which places lie."""
    apart = 1 if len(places) <= _MANY else 10
    named = dict.fromkeys((*(k for k in places[:-1] if k % apart == 0), places[-1]))
    ticks = tuple((float(k), captions.place_name(flow, k)) for k in named)
    return Axis("block", places[0] - 0.6, places[-1] + 0.6, name="block", ticks=ticks, whole=True)


def shares(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits, (places, classes)."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    found: np.ndarray = raised / raised.sum(1, keepdims=True)
    return found


def answers(
    flow: Flow,
    places: range,
    logits: Sequence[np.ndarray],
    title: Callable[[int], str],
    note: Callable[[int], str],
) -> Over:
    """Return what networks answer at each place, always the same classes.

    logits  (places from the stem on, classes) of each network, NaN where there is no answer
    """
    found = [shares(one) for one in logits]
    order = np.argsort(-flow.logits, kind="stable")[:_ANSWERS]
    names = tuple(Named(network.name, network.kind) for network in flow.networks)[-len(found) :]

    def shown(place: int) -> Choices:
        rows = tuple(
            AnswerBars(
                int(k),
                flow.classes[k],
                tuple(_bar(float(one[place, k]), name) for one, name in zip(found, names, strict=True)),
            )
            for k in order
        )
        return Choices("target", title(place), names, rows, note(place))

    return over(places, shown)


def _bar(share: float, name: Named) -> Bar:
    known = np.isfinite(share)
    text = f"{100 * share:.{0 if share > 0.0995 else 1}f} %" if known else "–"  # short, as room is scarce
    return Bar(share if known else 0.0, text, name.color)
