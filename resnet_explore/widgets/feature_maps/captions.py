"""What the feature-map explorer says."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.widgets.core.view import Choice
from resnet_explore.widgets.core.words import factor, percent, signed

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

NO_PARTS = "No skip was found here, so there is no sum to take apart."
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
    "seed": "The number that all chance of a training comes from: starting weights and order of the images.",
}

WHY = {
    "maps": "A channel says at each place of the image how strongly it finds one pattern. The ReLU at a "
    "block's end turns every negative value into zero. Many zeros: each channel waits for its own pattern. "
    "Few: most channels answer nearly everywhere.",
    "parts": "A residual block adds its branch F(x) to its input x. The number compares the L2 norms of the "
    "two, before any norm or ReLU that follows. Well below 1, the block only corrects what passes by.",
    "filters": "The first layer sees the image itself, so its weights can be looked at as little pictures. "
    "Most networks learn edges and spots of colour there. Twins begin with the same filters.",
}


# --- the question that comes first --------------------------------------------------------------------------

ALIKE = 0.8  # correlation of two maps from which they count as alike
HARDLY, MOST = 0.25, 0.75  # shares of the channels
CHANNELS = {"most": "most of them", "some": "about half of them", "hardly": "hardly any"}
CHANNELS_RULE = (
    f"Two maps are alike if they correlate by {ALIKE:g} or more over the photo. Hardly any: up to a quarter "
    "of the channels; most: three quarters or more."
)
CHANNELS_REPLIES = {
    "most": "With equal weights at the start one may expect that.",
    "some": "With equal weights at the start one may expect that.",
}
CHANNELS_WHY = (
    "Nothing ties a pattern to a channel's number. From the first step on the two networks get other "
    "gradients, as one passes them by skips, so each channel learns what is of use beside all others in its "
    "own network. What a network knows lies in its channels together."
)


def channels_question(count: int) -> str:
    """Return what is asked about the first block's channels."""
    return (
        "Two networks that differ by their skips alone started with equal weights and saw the same images. "
        f"Of the {count} channels of their first block, how many say the same to a photo after training?"
    )


def channels_told(alike: int, count: int, largest: float) -> str:
    """Return how many channels are alike, and the largest correlation."""
    return f"{alike} of {count} are alike; the largest correlation is {signed(largest)}."


# --- headlines ----------------------------------------------------------------------------------------------


def block_name(block: int) -> str:
    """Return what a stop of the block slider is called."""
    return f"block {block}"


def maps_headline(block: int, names: Sequence[str], layers: "Sequence[Layer]") -> str:
    """Return how many of a block's values are 0 on the image that is shown."""
    zeros = [percent(100 * layer.here.overall[2]) for layer in layers]
    if len(names) == 1:
        return f"Block {block} on this image: {zeros[0]} of the values are zero."
    return f"Block {block} on this image: {zeros[0]} zeros in {names[0]}, {zeros[1]} in {names[1]}."


def parts_headline(block: int, name: str, layer: "Layer") -> str:
    """Return how large what the branch adds is."""
    if layer.ratio is None:
        return no_sum(block, name)
    return f"{name}, block {block}: the branch adds {times(layer.ratio)} what the skip carries."


def filters_headline(shapes: Sequence[tuple[int, ...]]) -> str:
    """Return how many filters the first layers have."""
    sizes = dict.fromkeys(f"{shape[0]} filters of {shape[2]}×{shape[3]}" for shape in shapes)
    return f"The first layer: {' and '.join(sizes)}."


def times(value: float) -> str:
    """Return how many times as much: "0.84×", "12×"."""
    return f"{factor(value)}×" if math.isfinite(value) else "infinitely many times"


def no_sum(block: int, name: str) -> str:
    """Return that a block adds nothing to its input."""
    return f"{name}, block {block}: no skip ends here, so there is no sum to take apart."


# --- below the tiles ----------------------------------------------------------------------------------------


def heading(name: str, layer: "Layer", layers: "Sequence[Layer]") -> str:
    """Return a network's name, with the layer's where the one beside it is another."""
    return name if len({other.name for other in layers}) == 1 else f"{name}, {layer.name}"


def output(block: int, layers: "Sequence[Layer]") -> str:
    """Return which layers a block is, and what it gives."""

    def words(layer: "Layer") -> str:
        count, height, width = layer.shape
        shown = layer.maps.shape[1:]
        less = "" if shown == (height, width) else f", shown averaged to {shown[0]}×{shown[1]}"
        return f"{layer.name}, a {layer.kind} that gives {count} maps of {height}×{width}{less}"

    return f"Block {block} is {', and '.join(dict.fromkeys(map(words, layers)))}."


def dead(names: Sequence[str], layers: "Sequence[Layer]") -> str:
    """Return how many channels are dead, "" where none is."""
    counts = [
        (name, int(one.statistics.dead.sum()), one.shape[0]) for name, one in zip(names, layers, strict=True)
    ]
    some = [f"{count} of {of} in {name}" for name, count, of in counts if count]
    return f"Dead channels: {', '.join(some)}." if some else ""


def scaled(scale: float, count: int) -> str:
    """Return what the brightest colour stands for."""
    where = {1: "", 2: " in both networks"}.get(count, " in all three")
    return f"The brightest colour means ±{scale:.2g}{where}; 0.1 % of the values are larger."


def parts_note(block: int, name: str, layer: "Layer") -> str:
    """Return what the three sheets of a sum are."""
    return f"Block {block} of {name} is {layer.name}, seen before any norm or ReLU that follows its sum."


def filters_note(inputs: int, rgb: bool) -> str:
    """Return what the tiles of filters are."""
    if rgb:
        return "Each tile is one filter: its weights for red, green and blue. Grey is 0."
    averaged = "" if inputs == 1 else f", averaged over {inputs} input channels"
    return f"Each tile is the weights of one filter{averaged}."


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
    if count == 1:
        why = "" if scene.small else f", as it is larger than {small}×{small}"
        return f"All numbers are of this image alone{why}."
    return (
        "Zeros, means and spreads of outputs are of this image alone. Dead and saturated channels, and the "
        f"spread after norms, are counted over {count} images, this one among them."
    )


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
