"""What the architecture explorer says about networks."""

import re
from collections.abc import Mapping
from typing import Any

from resnet_explore.analysis.structure import Structure
from resnet_explore.figures.style import COLORS
from resnet_explore.models.presets import config_of, usual_name
from resnet_explore.widgets.blueprint import blueprint

# How many boxes a detector keeps depends on values, and with it how much it computes.
_BY_VALUE = {"nonzero", "torchvision.nms", "masked_select"}
_OTHER_COUNTS = {
    "res2net": "which counts the 3×3 convolutions that follow each other in a block as one",
    "wrn": "which counts three projections and not the fully connected layer",
}


def named_depth(name: str) -> int | None:
    """Return the depth that a name states: 50 for "res2net50_26w_4s", None for "hrnet_w18"."""
    found = re.search(r"(?:net|next|netv2_|plain|wrn|vgg)(\d+)", name)
    return int(found[1]) if found else None


def _by_name(name: str, depth: int) -> str:
    """Return in brackets why the name says another number, if it does and we know why."""
    named = named_depth(name)
    reason = next((words for start, words in _OTHER_COUNTS.items() if name.startswith(start)), "")
    return f" ({named} by its name, {reason})" if reason and named != depth else ""


def reading(name: str) -> str:
    """Return what is being done while a network is not yet drawn."""
    depths = getattr(config_of(name), "depths", ()) if usual_name(name) else ()
    blocks = f" with its {sum(depths)} blocks" if depths else ""
    return f"Building {name}{blocks} and following an image through it ..."


def _varies(found: Structure) -> bool:
    return any(operation.kind in _BY_VALUE for operation in found.operations)


def drawn(name: str, found: Structure) -> dict[str, Any]:
    """Return a network as `Blueprint` takes it, with a line of facts."""
    size = _input(found.input_shape)
    macs = f"{giga(found.macs)} multiply-adds for {size}"
    if _varies(found):
        macs = f"about {found.macs / 1e9:.2g} G multiply-adds for {size} (they depend on what it finds)"
    facts = (
        f"{found.depth} weighted layers on the longest way{_by_name(name, found.depth)}, "
        f"{found.parameters / 1e6:,.2f} M parameters{_resting(found)}, {macs}, "
        f"{found.skips or 'no'} skip connections"
    )
    return blueprint(found, name, facts, COLORS["residual" if found.skips else "plain"])


def _input(shape: tuple[int, ...]) -> str:
    sides = "×".join(map(str, shape[1:]))
    if len(shape) == 3:
        return f"an image of {sides}"
    if len(shape) == 4:
        return f"a clip of {shape[1]} frames of {shape[2]}×{shape[3]}"
    return f"an input of {'×'.join(map(str, shape))}"


def _resting(found: Structure) -> str:
    return f" ({found.idle / 1e6:,.2f} M of them rest in eval mode)" if found.idle else ""


def giga(macs: float) -> str:
    """Return "4.09 G", for small networks "40.6 M"."""
    return f"{macs / 1e9:,.2f} G" if macs >= 1e9 else f"{macs / 1e6:,.1f} M"


def comparison(upper: tuple[str, Structure], lower: tuple[str, Structure]) -> str:
    """Return a sentence that says what sets two networks apart."""
    (name, a), (other, b) = upper, lower
    if name == other:
        return f"{name}, twice."
    if a.depth == b.depth and a.macs and abs(a.macs / b.macs - 1) < 0.1:
        skips = [a.skips, b.skips]
        if skips[0] != skips[1] and 0 in skips:
            return f"{name} and {other} have the same {a.depth} layers; {max(skips)} skips set them apart."
    if (a.depth, a.macs) < (b.depth, b.macs):
        (name, a), (other, b) = lower, upper
    layers = (
        f"{a.depth} layers against {b.depth} in {other}"
        if a.depth > b.depth
        else f"as many layers as {other} ({a.depth})"
    )
    parameters, macs = a.parameters / max(b.parameters, 1), a.macs / max(b.macs, 1)
    word = "yet" if max(parameters, macs) < 1 else "with"
    more = times(parameters, "parameters")
    if a.input_shape[1:] == b.input_shape[1:]:  # else multiply-adds don't compare
        vague = _varies(a) or _varies(b)
        more += f" and {'about ' * vague}{times(macs, 'multiply-adds', digits=1 if vague else 2)}"
    else:
        word = "yet" if parameters < 1 else "with"
    return f"{name} has {layers}, {word} {more}."


def times(ratio: float, what: str, digits: int = 2) -> str:
    """Return "2.39 times fewer parameters", or the like."""
    if abs(ratio - 1) < 0.01:
        return f"as many {what}"
    larger = max(ratio, 1 / ratio) if ratio else 0.0
    return f"{larger:,.{digits if larger < 100 else 0}f} times {'the' if ratio > 1 else 'fewer'} {what}"


def growth(row: Mapping[str, Any], side: int) -> str:
    """Return a sentence on one depth of a series, for images of side × side pixels."""
    field = int(row["receptive_field"])
    sees = "more than the whole image" if field > side else f"less than the image's {side}"
    size = f"{row['parameters'] / 1e6:,.2f} M parameters, {giga(row['macs'])} multiply-adds"
    return f"{row['depth']} layers: {size}, and an output that looks at {field:,} pixels across, {sees}."
