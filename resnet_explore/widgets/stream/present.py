"""From the state of the stream explorer to its page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series
from resnet_explore.widgets.catalog.networks import Networks
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.heatmap_panel import Heatmap, Heatmaps, largest, step
from resnet_explore.widgets.core.view import Choice, Menu, Part, Prose, Slider, Tabs, View
from resnet_explore.widgets.stream import captions, carried, early, loss
from resnet_explore.widgets.stream.drawing import across, answers, over, shares
from resnet_explore.widgets.stream.jobs import Carried, Flow, Losses, Reading
from resnet_explore.widgets.stream.state import StreamState

_OPACITY, _PALETTE = 0.7, "red and blue"
# What the first question is about: who has changed one of them is past it.
_ASKED = ("view", "networks", "image", "target", "rival")
_FIRST_BLOCKS = 8  # of the photo twins


def places_of(view: str, flow: Flow) -> range:
    """Return where the slider can stand in a view."""
    if view == "adds":
        return range(len(flow.places))
    return {"skip": carried, "loss": loss, "early": early}[view].places(flow)


def present(
    state: StreamState,
    entries: Mapping[str, Networks],
    images: Sequence[Part],
    flow: Flow | None,
    further: Carried | Losses | Reading | None,
    probed: Sequence[int],
) -> View:
    """Return the page.

    images   the controls that choose an image
    flow     what was found, None as long as there is nothing
    further  what else the view shows, None as long as it is not known
    probed   of which depths of the networks there are probes
    """
    menu = Menu("networks", "Networks", tuple(Choice(e.key, e.label, e.tip) for e in entries.values()))
    ask: list[Part] = [*images, *([menu] if len(entries) > 1 else []), *_classes(state, flow)]
    depths = entries[state.networks].depths
    there = state.depth in probed if depths else bool(probed)
    view = View(
        tabs=_tabs("" if there else captions.no_probes(probed)),
        ask=ask,
        panels=None,
        waiting=captions.WAITING[state.view],
        glossary=captions.GLOSSARY,
        question=_question(state, flow),
    )
    if flow is None:
        return view
    view = replace(
        view,
        sliders=_sliders(_shown(depths, state.view, probed), flow, places_of(state.view, flow)),
        conditions=captions.conditions(state.view, flow),
    )
    target = flow.first(state.target)
    if isinstance(further, Carried):
        return _carried(view, state, flow, further, target)
    if isinstance(further, Losses):
        return _lost(view, state, flow, further, target)
    if isinstance(further, Reading):
        return _read(view, state, flow, further, target)
    return _added(view, state, flow, target) if state.view == "adds" else view


def _shown(depths: Sequence[int], view: str, probed: Sequence[int]) -> list[int]:
    """Return the depths that a view has."""
    return [depth for depth in depths if view != "early" or depth in probed]


def _tabs(missing: str) -> Tabs:
    return Tabs(
        "view",
        (
            Choice("adds", "What blocks add", "The answer as a sum over the blocks"),
            Choice("skip", "Skip and branch", "What each skip carries, beside what its branch adds"),
            Choice("loss", "Without a block", "What really happens if a block is taken out"),
            Choice(
                "early",
                "How early?",
                "What a linear probe can read behind each block",
                missing,
            ),
        ),
    )


def _added(view: View, state: StreamState, flow: Flow, target: int) -> View:
    """Return the page of what each block adds."""
    places = places_of("adds", flow)
    return replace(
        view,
        headline=over(places, lambda place: captions.headline(flow, place, target)),
        why=captions.WHY,
        panels=((_charts(flow, target, flow.next(target, state.rival)),),),
        below=((_heatmaps(state, flow, target, places), _answers(flow, places)),),
    )


def _carried(view: View, state: StreamState, flow: Flow, found: Carried, target: int) -> View:
    """Return the page of what skips carry."""
    return replace(
        view,
        headline=carried.headline(flow, found),
        why=captions.WHY_SKIP,
        panels=((carried.charts(flow, found),),),
        below=((_heatmaps(state, flow, target, carried.places(flow)), _answers(flow, carried.places(flow))),),
    )


def _lost(view: View, state: StreamState, flow: Flow, losses: Losses, target: int) -> View:
    """Return the page of what each block's loss changes."""
    maps = _heatmaps(state, flow, target, loss.places(flow))
    return replace(
        view,
        headline=loss.headline(flow, losses, target),
        why=captions.WHY_LOSS,
        panels=((loss.charts(flow, losses, target),),),
        below=((maps, loss.without(flow, losses)),),
    )


def _read(view: View, state: StreamState, flow: Flow, reading: Reading, target: int) -> View:
    """Return the page of what probes read."""
    places = early.places(flow)
    said = _said(flow, target, places)
    return replace(
        view,
        headline=early.headline(flow, reading),
        why=captions.WHY_EARLY,
        panels=((early.charts(flow, reading, said, target),),),
        below=((_heatmaps(state, flow, target, places), early.probed(flow, reading)),),
    )


def _classes(state: StreamState, flow: Flow | None) -> list[Part]:
    labels = () if flow is None else flow.classes
    every = tuple(Choice(k, label) for k, label in enumerate(labels))
    target = Menu("target", "Class", (Choice(None, "its own answer"), *every))
    rival = Menu("rival", "Rival", (Choice(None, "the next likely"), *every))
    return [target, rival] if state.view == "adds" else [target]


def _sliders(depths: Sequence[int], flow: Flow, places: range) -> tuple[Slider, ...]:
    stops = tuple(
        Choice(k, captions.place_name(flow, k), "" if flow.places[k] in ("stem", "bias") else flow.places[k])
        for k in places
    )
    block = Slider("block", "Block", stops, play=True, tip="Which block, in the order of the forward pass")
    layers = tuple(Choice(depth, str(depth)) for depth in depths)
    depth = Slider("depth", "Depth", layers, tip="Layers with weights")
    return (block, *([depth] if depths else []))


def _heatmaps(state: StreamState, flow: Flow, target: int, places: range) -> Part:
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
        steps=over(places, shown),
        together=together,
        unit=captions.UNIT,
        meaning=captions.MEANING,
        columns=1,
        alt=over(places, lambda place: captions.alt(flow, place, target)),
        opacity=_OPACITY,
        palette=_PALETTE,
        shared=True,
    )


def _answers(flow: Flow, places: range) -> Any:
    """Return what both networks would answer behind each place."""
    both = [flow.so_far] if flow.beside is None else [flow.beside, flow.so_far]
    return answers(
        flow,
        places,
        both,
        lambda place: captions.answers_title(flow, place),
        lambda place: captions.answers_note(flow, place),
    )


# --- charts -------------------------------------------------------------------------------------------------


def _charts(flow: Flow, target: int, rival: int) -> Charts:
    places = places_of("adds", flow)
    x, every, at = across(flow, places), np.array(places), over(places, float)
    names = captions.series_names(flow, target, rival)
    added, built = flow.added[:, [target, rival]], flow.added[:, [target, rival]].cumsum(0)
    kind = flow.networks[-1].kind
    adds = Chart(
        captions.ADDED,
        x,
        Axis.around("logit", added),
        (
            Series(names[0], every, added[:, 0], kind, line="bars"),
            Series(names[1], every, added[:, 1], "ink", line="none", marker="diamond"),
        ),
        chosen=at,
        kind=kind,
        says=captions.in_words(flow, target),
    )
    up = Chart(
        captions.BUILT,
        x,
        Axis.around("logit", built),
        (
            Series(names[0], every, built[:, 0], kind),
            Series(names[1], every, built[:, 1], "ink", line="dashed"),
        ),
        chosen=at,
        kind=kind,
    )
    return Charts("charts", (adds, up, _said(flow, target, places)), chooses="block")


def _said(flow: Flow, target: int, places: range) -> Chart:
    """Return how likely the class would be behind each place, in both networks."""
    both = [flow.so_far] if flow.beside is None else [flow.beside, flow.so_far]
    every = np.array(places)
    lines = tuple(
        Series(network.name, every, 100 * shares(logits)[every, target], network.kind)
        for network, logits in zip(flow.networks, both, strict=True)
    )
    return Chart(
        captions.SAID,
        across(flow, places),
        Axis(f"“{flow.classes[target]}”", 0, 100, unit="%"),
        lines,
        chosen=over(places, float),
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
