"""What the architecture explorer says."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_explore.analysis.topology.structure import Structure

# How many boxes a detector keeps depends on values, and with it how much it computes.
_BY_VALUE = {"nonzero", "torchvision.nms", "masked_select"}
_OTHER_COUNTS = {
    "res2net": "which counts the 3×3 convolutions that follow each other in a block as one",
    "wrn": "which counts three projections and not the fully connected layer",
}

GLOSSARY = {
    "multiply-adds": "One multiplication and one addition, the unit in which papers count how much a network "
    "computes (often called FLOPs).",
    "skip connections": "Ways on which a block's input is added to its output, past the block's layers.",
    "skips": "Ways on which a block's input is added to its output, past the block's layers.",
    "receptive field": "How many pixels across one output of the last stage can depend on at most.",
    "top-1": "The share of pictures for which the network's first answer is right.",
    "projection": "A 1×1 convolution that brings a block's input to the shape of its output.",
}

DRAWING_CONDITIONS = (
    "The boxes are read off one pass through the live network, so the drawing can't differ from what runs.",
    "Layers are convolutions and fully connected layers on the longest way from image to answer. A "
    "projection beside that way does not count.",
    "Multiply-adds are those of convolutions and fully connected layers, for one input of the size that is "
    "stated.",
)
DRAWING_WHY = (
    "Both networks are built and one input goes through each. Whatever adds a second way to the same sum "
    "counts as a skip, however it is written."
)

# Moving the stride of three blocks from the 3×3 convolution to the 1×1 before it doubles the steps of that
# 3×3: 2 · (8 - 4) + 2 · (16 - 8) + 2 · (32 - 16) pixels.
_LAYOUT = (
    "From 50 layers on, a block halves its maps in the 3×3 convolution, as in torchvision. In He et al.'s "
    "own layout the first 1×1 does it, and an output sees 56 pixels further (483 instead of 427 at 50 "
    "layers)."
)

FAMILY_CONDITIONS = (
    "Layers, parameters, multiply-adds (MACs) and how many pixels across an output of the last stage can see "
    "are measured on the live networks.",
    "Layers are convolutions and fully connected ones on the longest way from image to answer; a projection "
    "beside it does not count.",
    "A name may count otherwise. res2net50 has 74 layers: the 3×3 convolutions of a block follow each "
    "other, and its name counts them as one. The 28 of wrn28_10 counts three projections and not the "
    "fully connected layer.",
    "Accuracies are published ones, on one crop of ImageNet's 50,000 validation pictures or on CIFAR-10's "
    "10,000 test pictures. CIFAR-10 has 10 classes and not 1,000, so compare within a column.",
    "A newer recipe changes the training, not the network.",
)


# --- the question that comes first --------------------------------------------------------------------------

HARDLY, HALF = 1.02, 1.5  # times as many parameters
MORE = {
    "hardly": "hardly any: up to 2 % more",
    "some": "some: up to half as many again",
    "many": "many: over half as many again",
}
MORE_RULE = "All weights and biases are counted, those of batch norm too."
MORE_REPLIES = {"many": "Nothing is doubled: the layers stay as they are, and a skip leads past them."}
MORE_WHY = (
    "A skip is an addition, which has no weights of its own. Only where maps shrink and channels double, "
    "the input has to be projected before it can be added: three of the 16 skips. So twins can be compared "
    "fairly: what sets them apart is the way that a signal takes, and not their size."
)


def more_question(plain: str, residual: str) -> str:
    """Return what is asked of twins."""
    return f"{residual} is {plain} with 16 skips added. How many more parameters does it have?"


def more_told(plain: int, residual: int) -> str:
    """Return both counts of parameters."""
    return (
        f"It has {residual / 1e6:.2f} million instead of {plain / 1e6:.2f} million: "
        f"{100 * (residual / plain - 1):.1f} % more."
    )


def named_depth(name: str) -> int | None:
    """Return the depth that a name states: 50 for "res2net50_26w_4s", None for "hrnet_w18"."""
    found = re.search(r"(?:net|next|netv2_|plain|wrn|vgg)(\d+)", name)
    return int(found[1]) if found else None


def _by_name(name: str, depth: int) -> str:
    """Return in brackets why the name says another number, if it does and we know why."""
    named = named_depth(name)
    reason = next((words for start, words in _OTHER_COUNTS.items() if name.startswith(start)), "")
    return f" ({named} by its name, {reason})" if reason and named != depth else ""


def facts(name: str, found: "Structure") -> str:
    """Return a line on one network: layers, parameters, multiply-adds and skips."""
    size = _input(found.input_shape)
    macs = f"{giga(found.macs)} multiply-adds for {size}"
    if any(operation.kind in _BY_VALUE for operation in found.operations):
        macs = f"about {found.macs / 1e9:.2g} G multiply-adds for {size} (they depend on what it finds)"
    resting = f" ({found.idle / 1e6:,.2f} M of them rest in eval mode)" if found.idle else ""
    layers = f"{found.depth} layers with weights{_by_name(name, found.depth)}"
    parameters = f"{found.parameters / 1e6:,.2f} M parameters{resting}"
    return f"{layers}, {parameters}, {macs}, {found.skips or 'no'} skip connections"


def _input(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return f"an image of {'×'.join(map(str, shape[1:]))}"
    if len(shape) == 4:
        return f"a clip of {shape[1]} frames of {shape[2]}×{shape[3]}"
    return f"an input of {'×'.join(map(str, shape))}"


def giga(macs: float) -> str:
    """Return "4.09 G", for small networks "40.6 M"."""
    return f"{macs / 1e9:,.2f} G" if macs >= 1e9 else f"{macs / 1e6:,.1f} M"


def comparison(upper: tuple[str, "Structure"], lower: tuple[str, "Structure"]) -> str:
    """Return a sentence that says what sets two networks apart."""
    (name, a), (other, b) = upper, lower
    if name == other:
        return f"{name}, twice."
    few, most = sorted((a.skips, b.skips))
    if a.depth == b.depth and a.macs and abs(a.macs / b.macs - 1) < 0.1 and few == 0 < most:
        return f"{name} and {other} have the same {a.depth} layers; {most} skips set them apart."
    if (a.depth, a.parameters) < (b.depth, b.parameters):
        (name, a), (other, b) = lower, upper
    share = portion(a.parameters / max(b.parameters, 1))
    if a.depth == b.depth:
        return f"{name} has as many layers as {other} ({a.depth}) and {share} parameters."
    return f"{name} is {ratio(a.depth / b.depth)} as deep as {other}, with {share} parameters."


def ratio(value: float) -> str:
    """Return how many times: "8×", "1.3×", "1,838×"."""
    return f"{value:,.1f}×".replace(".0×", "×") if value < 10 else f"{value:,.0f}×"


def portion(value: float) -> str:
    """Return how many of something, compared with another network: "as many", "42 % of its", "1.2× its"."""
    if abs(value - 1) < 0.01:
        return "as many"
    return f"{100 * value:.2g} % of its" if value < 1 else f"{ratio(value)} its"


def growth(row: Mapping[str, Any]) -> str:
    """Return a sentence on one depth of a series."""
    size = f"{row['parameters'] / 1e6:,.2f} M parameters, {giga(row['macs'])} multiply-adds"
    return f"{row['depth']:.0f} layers: {size}, and an output sees {row['receptive_field']:,.0f} pixels."


def growth_conditions(data: str, side: int) -> tuple[str, ...]:
    """Return what the curves over depth are measured on."""
    return (
        "All axes are linear and begin at 0: a straight line means that each further layer adds as much "
        "as the one before.",
        f"Measured on the live networks for one image of {side}×{side} ({data}). Multiply-adds are those "
        "of convolutions and fully connected layers. The receptive field is how many pixels across one "
        "output of the last stage can depend on at most.",
        *([_LAYOUT] if data == "ImageNet" else []),
    )


GROWTH_WHY = (
    "Each point is one network of the series, counted layer by layer. The dashed line is the image's own "
    "size: above it, an output can depend on the whole image."
)


COMPARED = ("resnet50", "vgg19")


def best_of(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the table shows at its best: more parameters don't mean more right answers."""
    one, other = (rows[name] for name in COMPARED)
    more = ratio(other["parameters"] / one["parameters"])
    return (
        f"{COMPARED[0]} gets {one['accuracy']:.1f} % of ImageNet right; {COMPARED[1]} "
        f"{other['accuracy']:.1f} % with {more} the parameters."
    )
