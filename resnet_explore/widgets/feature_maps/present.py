"""From the state of the feature-map explorer to its page."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnet_explore.widgets.catalog.images import SMALL
from resnet_explore.widgets.catalog.networks import Networks
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.tiles_panel import Tiles
from resnet_explore.widgets.core.view import Choice, Menu, Over, Part, Prose, Slider, Tabs, View
from resnet_explore.widgets.feature_maps import captions
from resnet_explore.widgets.feature_maps.curves import curves
from resnet_explore.widgets.feature_maps.scene import Scene
from resnet_explore.widgets.feature_maps.state import FeatureMapState

_TABS = Tabs(
    "view",
    (
        Choice("maps", "Feature maps", "What comes out of each block"),
        Choice("parts", "Skip and branch", "What a skip carries, what the branch adds, and their sum"),
        Choice("filters", "First layer", "The weights that see the image itself"),
    ),
)


def present(
    state: FeatureMapState,
    entries: Mapping[str, Networks],
    images: Sequence[Part],
    scenes: Mapping[int, Scene],
    exact: Mapping[str, Any] | None,
) -> View:
    """Return the page.

    entries  the networks that the menu offers
    images   the controls that choose an image
    scenes   what has been measured, by depth; that of the state's depth, or all of them
    exact    what `ReadChannel` found of the channel that is enlarged, None as long as there is nothing
    """
    menu = Menu("networks", "Networks", tuple(Choice(e.key, e.label, e.tip) for e in entries.values()))
    asked = ([menu] if len(entries) > 1 else []) + list(images)
    at = state.depth if entries[state.networks].depths else 0
    question = _question(state, scenes.get(at))
    if at not in scenes:
        return View(
            tabs=_TABS,
            ask=asked,
            panels=None,
            waiting=captions.WAITING,
            question=question,
            glossary=captions.GLOSSARY,
        )
    depths = entries[state.networks].depths
    every = len(scenes) > 1 and set(scenes) == set(depths)  # else the others are still being measured
    pages = {depth: _Page(scene, state.view) for depth, scene in scenes.items() if every or depth == at}

    def over(name: str) -> Any:
        each = {depth: getattr(page, name) for depth, page in pages.items()}
        return Over("depth", each) if every else each[at]

    return View(
        tabs=_TABS,
        ask=asked,
        headline=over("headline"),
        why=captions.WHY[state.view],
        panels=((_panel(state, scenes[at], over("shown")),),),
        sliders=_sliders(state, depths, over("stops"), pages if every else {}),
        below=((Charts("curves", over("charts"), chooses="block"),),) if state.view != "filters" else (),
        conditions=over("conditions"),
        glossary=captions.GLOSSARY,
        aside={"tiles": {"of": _place(state), **exact}} if exact else {},
        question=question,
    )


def _question(state: FeatureMapState, scene: Scene | None) -> Question | None:
    """Return what is asked about the networks and the photo that come first; of nothing else."""
    usual = FeatureMapState()
    if any(getattr(state, name) != getattr(usual, name) for name in _ASKED):
        return None
    right, told = None, ""
    if scene is not None:
        found = scene.first_correlations
        alike, count = int((found >= captions.ALIKE).sum()), len(found)
        share = alike / count
        right = "hardly" if share <= captions.HARDLY else "most" if share >= captions.MOST else "some"
        told = captions.channels_told(alike, count, float(found.max()))
    return Question(
        f"feature_maps/alike/{state.networks}-{state.depth}/{state.image}",
        captions.channels_question(_FIRST_CHANNELS),
        tuple(Choice(*pair) for pair in captions.CHANNELS.items()),
        right,
        captions.CHANNELS_RULE,
        told,
        captions.CHANNELS_WHY,
        captions.CHANNELS_REPLIES if right == "hardly" else {},
    )


# What the first question is about: who has changed one of them is past it.
_ASKED = ("view", "networks", "depth", "image")
_FIRST_CHANNELS = 16  # of the first block of CIFAR networks


class _Page:
    """What the page shows of one depth; whatever differs from block to block is picked by the browser."""

    def __init__(self, scene: Scene, view: str) -> None:
        self.scene, self.view = scene, view

    @property
    def stops(self) -> tuple[Choice, ...]:
        layers = (" and ".join(dict.fromkeys(one.name for one in each)) for each in self.scene.steps)
        return tuple(Choice(k, str(k), name) for k, name in enumerate(layers, 1))

    @property
    def shown(self) -> Any:
        if self.view == "filters":
            return self.scene.first_filters
        found = self.scene.maps if self.view == "maps" else self.scene.parts
        return Over("block", found) if found else None

    @property
    def headline(self) -> Any:
        scene = self.scene
        if self.view == "filters":
            shapes = [named[1].shape for named in scene.filters if named is not None]
            return captions.filters_headline(shapes) if scene.first_filters else captions.NO_FILTERS
        names, which = [network.name for network in scene.networks], scene.streaming
        if self.view == "parts" and which is None:
            return captions.NO_PARTS
        said = {
            k: captions.maps_headline(k, names, layers)
            if which is None or self.view == "maps"
            else captions.parts_headline(k, names[which], layers[which])
            for k, layers in enumerate(scene.steps, 1)
        }
        return Over("block", said)

    @property
    def charts(self) -> Any:
        return curves(self.scene, self.view)

    @property
    def conditions(self) -> tuple[str, ...]:
        return captions.conditions(self.scene, self.view, SMALL)


def _panel(state: FeatureMapState, scene: Scene, shown: Any) -> Part:
    if shown is None:
        return Prose("nothing", (captions.NO_PARTS if state.view == "parts" else captions.NO_FILTERS,))
    bare = state.view == "filters"  # weights lie over no image
    orders = captions.FILTER_ORDERS if bare else captions.ORDERS
    return Tiles("tiles", shown, orders, None if bare else scene.colors)


def _sliders(
    state: FeatureMapState, depths: Sequence[int], stops: Any, pages: Mapping[int, _Page]
) -> tuple[Slider, ...]:
    layers = tuple(Choice(depth, str(depth)) for depth in depths)
    blocks = {depth: [stop.value for stop in page.stops] for depth, page in pages.items()}
    depth = Slider("depth", "Depth", layers, play=True, tip="Layers with weights", carries={"block": blocks})
    block = Slider("block", "Block", stops, play=True, tip="Which block, in the order of the forward pass")
    return (*([] if state.view == "filters" else [block]), *([depth] if depths else []))


def _place(state: FeatureMapState) -> dict[str, Any]:
    """Return the fields to which exact values belong."""
    names = ("view", "networks", "depth", "image", "block", "channel")
    return {name: getattr(state, name) for name in names}
