"""What the feature-map explorer says."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.widgets.core.view import Choice
from resnet_explore.widgets.core.words import factor, percent

if TYPE_CHECKING:
    from resnet_explore.analysis.activations.feature_maps import Layer
    from resnet_explore.widgets.feature_maps.scene import Scene

ORDERS = (
    Choice("activation", "by activation"),
    Choice("difference", "by how much the twins differ"),
    Choice("channel", "by channel"),
)
FILTER_ORDERS = (Choice("activation", "by size of the weights"), Choice("channel", "by channel"))
TOGETHER, APART = "both together", "each by itself"

PARTS = (
    ("", "x: what the skip carries"),
    ("+", "F(x): what the branch adds"),
    ("=", "x + F(x): their sum"),
)

STATISTICS = (
    ("Mean of outputs", "mean"),
    ("Spread of outputs", "standard deviation"),
    ("Zeros in outputs", "share (%)"),
)
RESPONSES = ("Spread after norms", "standard deviation")
RATIO = ("Branch ÷ skip", "ratio of L2 norms")

NO_PARTS = "No sum was found in which a skip ends, so there are no summands to show."
NO_FILTERS = "A network here has no 2-D convolution of which the weights can be shown."
WAITING = "Every channel of a block as a tile: black is 0, orange above, blue below."

GLOSSARY = {
    "channel": "One of the maps that a layer gives: how strongly a pattern is found at each place.",
    "channels": "The maps that a layer gives: each says how strongly one pattern is found at each place.",
    "block": "A few layers that a skip leads past; in the plain twin the same layers without it.",
    "branch": "The layers of a block, past which the skip leads.",
    "skip": "The way on which a block's input reaches the sum unchanged, past the block's layers.",
    "dead": "0 at every place of every image that was looked at. On few images that proves little.",
    "saturated": "At its upper bound nearly everywhere. ReLU has no bound, ReLU6 and the sigmoid have one.",
    "eval mode": "As in use after training: batch norm takes its stored mean and deviation.",
    "L2 norms": "The root of the sum of all squared values.",
    "zeros": "A ReLU makes 0 of every negative value.",
}

WHY = {
    "maps": "A channel says at every place of the image how strongly it finds one pattern. The ReLU at a "
    "block's end makes 0 of all that is negative, so the share of zeros tells how choosy the channels are. "
    "Many zeros: each waits for its own pattern; few: most answer nearly everywhere.",
    "parts": "A residual block computes F(x) and adds it to its input x. The number compares the L2 norms of "
    "the two, before any norm or ReLU behind the sum. Well below 1, the block only corrects what passes by.",
    "filters": "The first layer sees the image itself, so its weights can be looked at as little pictures. "
    "Edges and spots of colour are what most networks learn there. In twins they began equal.",
}


# --- headlines ----------------------------------------------------------------------------------------------


def maps_headline(names: Sequence[str], layers: "Sequence[Layer]") -> str:
    """Return how many of a block's values are 0, in a sentence."""
    zeros = [percent(100 * layer.statistics.overall[2]) for layer in layers]
    where = layers[-1].name
    if len(names) == 1:
        return f"{where}: {zeros[0]} of the values are 0."
    return f"{where}: {zeros[0]} of values are 0 in {names[0]}, {zeros[1]} in {names[1]}."


def parts_headline(layer: "Layer") -> str:
    """Return how large what the branch adds is."""
    if layer.ratio is None:
        return no_sum(layer.name)
    return f"{layer.name}: the branch adds {times(layer.ratio)} what the skip carries."


def filters_headline(shapes: Sequence[tuple[int, ...]]) -> str:
    """Return how many filters the first layers have."""
    sizes = dict.fromkeys(f"{shape[0]} filters of {shape[2]}×{shape[3]}" for shape in shapes)
    return f"The first layer: {' and '.join(sizes)}."


def times(value: float) -> str:
    """Return how many times as much: "0.84×", "12×"."""
    return f"{factor(value)}×" if math.isfinite(value) else "infinitely many times"


def no_sum(name: str) -> str:
    """Return that a block adds nothing to its input."""
    return f"{name} has no sum in which a skip ends."


# --- below the tiles ----------------------------------------------------------------------------------------


def heading(name: str, layer: "Layer", layers: "Sequence[Layer]") -> str:
    """Return a network's name, with the layer's where the one beside it is another."""
    return name if len({other.name for other in layers}) == 1 else f"{name}, {layer.name}"


def output(layers: "Sequence[Layer]") -> str:
    """Return what the tiles are outputs of."""

    def words(layer: "Layer") -> str:
        count, height, width = layer.shape
        shown = layer.maps.shape[1:]
        less = "" if shown == (height, width) else f", shown averaged to {shown[0]}×{shown[1]}"
        return f"{layer.name} ({layer.kind}, {count} maps of {height}×{width}{less})"

    return f"What comes out of {' and '.join(dict.fromkeys(map(words, layers)))}."


def dead(names: Sequence[str], layers: "Sequence[Layer]") -> str:
    """Return how many channels are dead, "" where none is."""
    counts = [
        (name, int(one.statistics.dead.sum()), one.shape[0]) for name, one in zip(names, layers, strict=True)
    ]
    some = [f"{count} of {of} in {name}" for name, count, of in counts if count]
    return f"Dead channels: {', '.join(some)}." if some else ""


def scaled(scale: float, count: int) -> str:
    """Return what the brightest colour stands for."""
    both = {1: "", 2: ", the same for both"}.get(count, ", the same for all")
    return f"The brightest colour is ±{scale:.2g}{both}; the largest 0.1 % lie beyond."


def parts_note(name: str) -> str:
    """Return what the three sheets of a sum are."""
    return f"{name}, before any norm or ReLU behind the sum."


def filters_note(inputs: int, rgb: bool) -> str:
    """Return what the tiles of filters are."""
    if rgb:
        return "Weights over red, green and blue; grey is 0, and one network's filters share a scale."
    return "Weights." if inputs == 1 else f"Weights, averaged over {inputs} input channels."


# --- curves -------------------------------------------------------------------------------------------------


def curve(lines: Sequence[tuple[str, np.ndarray]]) -> str:
    """Return the ends of curves in words, for who can't see them."""
    ends = [f"{name} {values[0]:.2g} to {values[-1]:.2g}" for name, values in lines if len(values)]
    return f"From the first block to the last: {', '.join(ends)}."


# --- conditions ---------------------------------------------------------------------------------------------


def conditions(scene: "Scene", view: str, small: int) -> tuple[str, ...]:
    """Return under what conditions a view of a scene was measured."""
    cited = tuple(f"{network.cited}." for network in scene.networks)
    if view == "filters":
        return cited
    said = ["The networks run in eval mode.", _over(scene, view, small), f"Picture: {scene.about}."]
    layers = [layer for maps in scene.measured for layer in maps.values()]
    said += dict.fromkeys(f"{layer.name}: {layer.layout}." for layer in layers if layer.layout)
    said += signs([layer.name for layer in layers])
    alone = [n.name for n, maps in zip(scene.networks, scene.measured, strict=True) if len(maps) == 1]
    said += [f"{name} has one layer with maps." for name in alone]
    return (*said, *scene.averaged, *cited)


def _over(scene: "Scene", view: str, small: int) -> str:
    """Return which images a view's numbers are over."""
    if view == "parts":
        return "Tiles and ratios are of this image alone."
    count = scene.measured[0].count
    alone = "this image" if scene.small else f"this image alone, as it is larger than {small}×{small}"
    over = alone if count == 1 else f"{count} images, this one among them"
    return f"Zeros, dead and saturated channels and the curves are counted over {over}."


def signs(names: Sequence[str]) -> list[str]:
    """Return what the signs in names of layers mean, where there are any."""
    said = []
    if any(":" in name for name in names):
        said.append("A number after a colon says which call of a layer that is called more than once.")
    if any("[" in name for name in names):
        second = "; a second pair, which part of that" if any("][" in name for name in names) else ""
        said.append(f"Brackets say which part of what a layer returns, by name or counted from 0{second}.")
    return said


def averaged(name: str, side: int, layers: int, size: str) -> str:
    """Return that a network's tiles are smaller than they could be."""
    return (
        f"Tiles of {name} are averaged to {side} pixels a side, as its {layers} layers hold {size}; an "
        "enlarged channel's values are exact."
    )


def not_finite(name: str, found: Sequence[str], layers: int, why: str) -> str:
    """Return where NaN or infinity begins in a network, and whether its own numbers bring it in."""
    return (
        f"{name} gives values that are not finite numbers in {len(found)} of {layers} layers, "
        f"first in {found[0]}, though the image is finite: {why}."
    )


def too_large(whole: str, free: str) -> str:
    """Return that there is no memory for all maps at full size."""
    return (
        f"All maps at full size are {whole} and {free} of memory are free; save the CSV, or name fewer "
        "layers with `layers`."
    )
