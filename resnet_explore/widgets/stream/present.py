"""From the state of the stream explorer to its page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series
from resnet_explore.widgets.catalog.networks import Networks
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.heatmap_panel import Heatmap, Heatmaps, largest, step
from resnet_explore.widgets.core.view import (
    AnswerBars,
    Bar,
    Choice,
    Choices,
    Menu,
    Named,
    Over,
    Part,
    Prose,
    Slider,
    View,
)
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.jobs import Flow
from resnet_explore.widgets.stream.state import StreamState

_ANSWERS = 5
_MANY = 20  # places along an axis that can all be named
_OPACITY, _PALETTE = 0.7, "red and blue"
# What the first question is about: who has changed one of them is past it.
_ASKED = ("networks", "image", "target", "rival")
_FIRST_BLOCKS = 8  # of the photo twins


def present(
    state: StreamState, entries: Mapping[str, Networks], images: Sequence[Part], flow: Flow | None
) -> View:
    """Return the page.

    images  the controls that choose an image
    flow    what was found, None as long as there is nothing
    """
    menu = Menu("networks", "Networks", tuple(Choice(e.key, e.label, e.tip) for e in entries.values()))
    ask: list[Part] = [*images, *([menu] if len(entries) > 1 else []), *_classes(flow)]
    question = _question(state, flow)
    if flow is None:
        return View(ask=ask, panels=None, waiting=captions.WAITING, question=question)
    target = flow.first(state.target)
    rival = flow.next(target, state.rival)
    return View(
        ask=ask,
        headline=_over(flow, lambda place: captions.headline(flow, place, target)),
        why=captions.WHY,
        panels=((_charts(flow, target, rival),),),
        sliders=_sliders(entries[state.networks].depths, flow),
        below=((_heatmaps(state, flow, target), _answers(flow)),),
        conditions=captions.conditions(flow),
        glossary=captions.GLOSSARY,
        question=question,
    )


def _over(flow: Flow, make: Any) -> Over:
    return Over("block", {place: make(place) for place in range(len(flow.places))})


def _classes(flow: Flow | None) -> list[Part]:
    labels = () if flow is None else flow.classes
    every = tuple(Choice(k, label) for k, label in enumerate(labels))
    return [
        Menu("target", "Class", (Choice(None, "its own answer"), *every)),
        Menu("rival", "Rival", (Choice(None, "the next likely"), *every)),
    ]


def _sliders(depths: Sequence[int], flow: Flow) -> tuple[Slider, ...]:
    stops = tuple(
        Choice(k, captions.place_name(flow, k), "" if name in ("stem", "bias") else name)
        for k, name in enumerate(flow.places)
    )
    block = Slider("block", "Block", stops, play=True, tip="Which block, in the order of the forward pass")
    layers = tuple(Choice(depth, str(depth)) for depth in depths)
    depth = Slider("depth", "Depth", layers, tip="Layers with weights")
    return (block, *([depth] if depths else []))


def _heatmaps(state: StreamState, flow: Flow, target: int) -> Part:
    if flow.maps is None:
        return Prose("nothing", (captions.no_maps(flow),))
    maps, residual = flow.maps[:, target], flow.networks[-1]
    together = max(largest(values) for values in maps) or 1.0

    def shown(place: int) -> Any:
        heatmap = Heatmap(maps[place], residual.name, captions.heading(flow, place, target), residual.kind)
        return step([heatmap], captions.place_name(flow, place), together)

    return Heatmaps(
        "maps",
        picture=flow.picture,
        picture_key=state.image,
        steps=_over(flow, shown),
        together=together,
        unit=captions.UNIT,
        meaning=captions.MEANING,
        columns=1,
        alt=_over(flow, lambda place: captions.alt(flow, place, target)),
        opacity=_OPACITY,
        palette=_PALETTE,
        shared=True,
    )


def _answers(flow: Flow) -> Any:
    """Return what both networks would answer behind each place, always the same classes."""
    both = [] if flow.beside is None else [_shares(flow.beside)]
    shares = [*both, _shares(flow.so_far)]
    order = np.argsort(-flow.logits, kind="stable")
    names = tuple(Named(network.name, network.kind) for network in flow.networks)

    def shown(place: int) -> Choices:
        answers = tuple(
            AnswerBars(
                int(k),
                flow.classes[k],
                tuple(_bar(float(one[place, k]), name) for one, name in zip(shares, names, strict=True)),
            )
            for k in order[:_ANSWERS]
        )
        title, note = captions.answers_title(flow, place), captions.answers_note(flow, place)
        return Choices("target", title, names, answers, note)

    return _over(flow, shown)


def _bar(share: float, name: Named) -> Bar:
    known = np.isfinite(share)
    text = f"{100 * share:.{0 if share > 0.0995 else 1}f} %" if known else "–"  # short, as room is scarce
    return Bar(share if known else 0.0, text, name.color)


def _shares(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits, (places, classes)."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    shares: np.ndarray = raised / raised.sum(1, keepdims=True)
    return shares


# --- charts -------------------------------------------------------------------------------------------------


def _charts(flow: Flow, target: int, rival: int) -> Charts:
    count = len(flow.places)
    every = np.arange(count)
    names = captions.series_names(flow, target, rival)
    apart = 1 if count <= _MANY else 10
    ticks = [(float(k), captions.place_name(flow, k)) for k in (*range(0, count - 1, apart), count - 1)]
    across = Axis("block", -0.6, count - 0.4, name="block", ticks=tuple(ticks), whole=True)
    added, built = flow.added[:, [target, rival]], flow.added[:, [target, rival]].cumsum(0)
    kind = flow.networks[-1].kind
    adds = Chart(
        captions.ADDED,
        across,
        Axis.around("logit", added),
        (
            Series(names[0], every, added[:, 0], kind, line="bars"),
            Series(names[1], every, added[:, 1], "ink", line="none", marker="diamond"),
        ),
        chosen=_over(flow, float),
        kind=kind,
        says=captions.in_words(flow, target),
    )
    up = Chart(
        captions.BUILT,
        across,
        Axis.around("logit", built),
        (
            Series(names[0], every, built[:, 0], kind),
            Series(names[1], every, built[:, 1], "ink", line="dashed"),
        ),
        chosen=_over(flow, float),
        kind=kind,
    )
    return Charts("charts", (adds, up, _said(flow, target, across)), chooses="block")


def _said(flow: Flow, target: int, across: Axis) -> Chart:
    """Return how likely the class would be behind each place, in both networks."""
    both = [flow.so_far] if flow.beside is None else [flow.beside, flow.so_far]
    every = np.arange(len(flow.places))
    lines = tuple(
        Series(network.name, every, 100 * _shares(logits)[:, target], network.kind)
        for network, logits in zip(flow.networks, both, strict=True)
    )
    return Chart(
        captions.SAID,
        across,
        Axis(f"“{flow.classes[target]}”", 0, 100, unit="%"),
        lines,
        chosen=_over(flow, float),
        note=captions.said_note(flow),
    )


# --- the question -------------------------------------------------------------------------------------------


def _question(state: StreamState, flow: Flow | None) -> Question | None:
    """Return what is asked about the networks and the photo that come first; of nothing else."""
    usual = StreamState()
    if any(getattr(state, name) != getattr(usual, name) for name in _ASKED):
        return None
    right, told = None, ""
    if flow is not None:
        target = flow.first(None)
        share = float(flow.added[-3:-1, target].sum() / flow.logits[target])
        right = "nearly" if share > captions.NEARLY_ALL else "most" if share >= captions.MOST else "less"
        told = captions.stage_told(share, flow.classes[target])
    return Question(
        f"stream/last_two/{state.networks}/{state.image}",
        captions.stage_question(_FIRST_BLOCKS),
        tuple(Choice(*pair) for pair in captions.STAGES.items()),
        right,
        captions.STAGE_RULE,
        told,
        captions.STAGE_WHY,
        captions.STAGE_REPLIES if right == "nearly" else {},
    )
