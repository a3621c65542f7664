"""All sentences of the landscape explorer."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.widgets.core.words import factor, listed, percent, power
from resnet_explore.widgets.landscape.planes import seed_of

if TYPE_CHECKING:
    from resnet_explore.analysis.landscape.plane import Landscape
    from resnet_explore.widgets.landscape.planes import Planes

LOW = 1.0  # nats; a guess among ten classes has 2.3

WAITING = "The loss over a plane of weights, of both networks on one scale."
_NO_NUMBER = "no number"
NO_NUMBERS = "How sharply the loss bends was not measured for these networks."

WHY = (
    "The trained network stands in the middle. Both directions change all of its filters at random, each "
    "by a share of its own length, so large weights make nothing look flat. Every point is another "
    "network: its loss on the same images is the height. With at most 1 it knows most of them; a guess "
    "among k classes has ln k, 2.3 for ten. Small dots are lower than all points around them, mostly by very "
    "little."
)
WHY_TRAINING = (
    "The line is the way that the training took; its end stands in the middle. The plane is spanned by the "
    "two main directions of that way, and every point of it is another network. Random planes miss the "
    "way: it is almost at right angles to them."
)
WHY_SHARP = (
    "The Hessian holds all second derivatives of the loss. Its largest eigenvalue says how sharply the loss "
    "bends where it bends most, in a direction that no picture need contain. Directions are measured in the "
    "length of filters, as in the planes: else rescaled weights, which are the same network, would change it."
)

GLOSSARY = {
    "loss": "Mean cross-entropy over the images, in nats: 0 is certain and right. A guess among k classes "
    "has ln k, 2.3 for ten.",
    "nats": "The unit of cross-entropy with natural logarithms.",
    "Hessian": "The matrix of all second derivatives of the loss with respect to the weights.",
    "eigenvalue": "How much a matrix stretches a direction that it does not turn.",
    "filter": "The weights that make one channel of a convolution's output.",
    "filters": "The weights that make one channel of a convolution's output, each.",
    "eval mode": "Batch norm uses the means and variances that it kept in training.",
    "train mode": "Batch norm uses the means and variances of the images at hand.",
}

PLANE_TIP = "Which two directions through the network"
STEP_TIP = "How many updates the training has made"
MODE_TIP = "Which means and variances batch norm takes at every point"
MODES = {
    "train": ("Train mode", "Those of the images, at every point anew, as in training"),
    "eval": ("Eval mode", "Those that the network kept; they fit the middle alone"),
}


def plane_name(plane: str) -> str:
    """Return what a menu calls a plane."""
    return "Of the training" if plane == "training" else f"Random, seed {seed_of(plane)}"


def plane_tip(plane: str) -> str:
    """Return more about a plane."""
    if plane == "training":
        return "The two main directions of the weights on their way"
    return "Two random directions, normalised filter by filter"


# --- the question that comes first --------------------------------------------------------------------------

SAME = 2  # climbs that differ by no more than this factor count as equal
STEEPER = {
    "plain": "Around the plain network",
    "residual": "Around the residual network",
    "same": "About the same around both",
}
STEEPER_RULE = (
    "Compared: the largest loss on the plane over the smallest. What differs by less than "
    f"{SAME}× counts as the same."
)
STEEPER_REPLIES = {
    "plain": "Many books show a rugged land without skips, so one may expect that.",
    "same": "Both have as many weights, moved by as much, so one may expect that.",
}
STEEPER_WHY = (
    "Around the residual network there is a bowl, and training has come down to its foot. The plain network "
    "has learned little: it stands on a plateau near a guess, 2.3, with dents that are shallow. So a flat "
    "surface is not an easy one. A plane shows two directions of many: in others there are ways down."
)


def steeper_question(depth: int) -> str:
    """Return what is asked of the twins that come first."""
    return (
        f"Take both trained networks of {depth} layers and change all of their filters in two random "
        "directions. Around which one does the loss change more?"
    )


def climb(found: "Landscape") -> float:
    """Return the largest loss on a plane over the smallest, of those that are known."""
    known = found.loss[np.isfinite(found.loss)]
    return float(known.max() / known.min())


def steeper_told(plain: "Landscape", residual: "Landscape") -> str:
    """Return what was measured."""
    ends = _from_to(plain.loss), _from_to(residual.loss)
    return f"The loss goes {ends[0]} around the plain network, {ends[1]} around the other."


# --- surfaces and maps --------------------------------------------------------------------------------------

MIDDLE, WAY, DENT = "the trained network", "the training at this update", "lower than all around it"


def headline(planes: "Planes", depth: int, key: str) -> str:
    """Return on how much of a plane the loss is low, or how far a training went."""
    if key == "training":
        plain, residual = (_travelled(found) for _, found in planes.of(depth, key))
        return (
            f"{depth} layers: in this plane training carries plain weights {plain} away, residual ones "
            f"{residual}."
        )
    shares = [percent(100 * found.under(LOW)) for _, found in planes.of(depth, key)]
    if not depth:  # networks that were given have names of their own
        around = [f"{share} around {name}" for share, name in zip(shares, planes.names.values(), strict=True)]
        return f"Points of this plane with a loss of at most {LOW:g}: {listed(around)}."
    return f"{depth} layers: residual loss at most {LOW:g} on {shares[1]} of points, plain {shares[0]}."


def _travelled(found: "Landscape") -> str:
    """Return how far the start of a training lies from its end, in its plane."""
    way = found.trajectory
    if way is None:
        return "?"
    length = float(np.hypot(*(way[0] - way[-1])))
    return f"{length:.{0 if length >= 9.5 else 1}f}"


def reach(planes: "Planes", depth: int, key: str) -> str:
    """Return from where to where the loss of a plane goes."""
    said = []
    for kind, found in planes.of(depth, key):
        said.append(f"{_from_to(found.loss)} around {planes.names[kind].format(depth)}")
    return f"Loss on this plane: {listed(said)}."


def _from_to(loss: np.ndarray) -> str:
    known = loss[np.isfinite(loss)]
    return f"from {number(known.min())} to {number(known.max())}" if known.size else _NO_NUMBER


def spread(planes: "Planes", depth: int, mode: str) -> str:
    """Return what all random planes say together."""
    every = {kind: planes.random(kind, depth, mode) for kind in planes.names}
    shares = []
    for kind, by_seed in every.items():
        share = _range([plane.under(LOW) for plane in by_seed.values()])
        shares.append(f"{share} around {planes.names[kind].format(depth)}".replace(" %", "\u00a0%"))
    seeds = listed([*map(str, next(iter(every.values())))])
    return f"Points with a loss of at most {LOW:g} in the random planes of seed {seeds}: {listed(shares)}."


def _range(shares: Sequence[float]) -> str:
    low, high = (percent(100 * share) for share in (min(shares), max(shares)))
    return low if low == high else f"{low.removesuffix(' %')}–{high}"


def cut(high: float) -> str:
    """Return what is to be said of points that are cut."""
    return f"hatched: above {high:,g}, or no number"


def alt(found: "Landscape") -> str:
    """Return a surface in words, for who can't see it."""
    return f"Loss in the middle: {number(found.here)}, on the plane: {_from_to(found.loss)}."


def number(value: float) -> str:
    """Return a loss with three digits, or in words where it is beyond all or not finite."""
    if not math.isfinite(value):
        return _NO_NUMBER
    if value >= 1e6:
        return f"{value / 1e6:,.1f} million" if value < 1e9 else power(value)
    if value and value < 1e-3:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(value))) if value else 0
    return f"{value:,.{digits}f}"


def conditions(planes: "Planes", depth: int, key: str, scale: tuple[float, float]) -> tuple[str, ...]:
    """Return under what conditions a plane was measured."""
    every = [found for _, found in planes.of(depth, key)]
    first = every[0]
    rows, columns = first.loss.shape
    images = f"{first.images:,} {planes.images}" if planes.images else f"the {first.images:,} images given"
    middle = listed(
        [f"{planes.names[kind].format(depth)} {number(found.here)}" for kind, found in planes.of(depth, key)]
    )
    return (
        f"Loss: mean cross-entropy in nats over {images}. In the middle: {middle}.",
        _directions(key, every),
        (
            f"Batch norm in {first.mode} mode{_mode(first.mode)}. Biases and its own parameters stay as they "
            "are."
        ),
        f"{rows}×{columns} points; what lies between them is drawn straight.",
        "Small dots are lower than all points around them on this grid; another grid has another number.",
        f"Height and colour: the logarithm of the loss, from {scale[0]:g} to {scale[1]:g} in all pictures "
        "of this plane; what is higher is cut.",
        *(
            []
            if key != "training"
            else ["Each network has a plane of its own: places in one are none in the other."]
        ),
    )


def _mode(mode: str) -> str:
    if mode == "eval":
        return ", with the statistics of the network in the middle"
    return ", with the statistics of the images, at every point anew"


def _directions(key: str, every: "Sequence[Landscape]") -> str:
    if key != "training":
        return (
            f"Plane: two random directions, seed {seed_of(key)}; a step of 1 is as long as the filter "
            "itself, in each filter (Li et al. 2018)."
        )
    shares = listed([percent(100 * found.share) for found in every if found.share is not None])
    return (
        "Plane: the two main directions of a further training of each network, seen from its end (Li et "
        f"al. 2018). They hold {shares} of how its snapshots vary; distances are measured in the plane."
    )


# --- numbers ------------------------------------------------------------------------------------------------

SHARPNESS = "How sharply the loss bends"
LOW_POINTS = f"Points with a loss of at most {LOW:g}"
EIGENVALUE_TIP = "Of the Hessian in the length of filters: the largest in magnitude"
ERROR_TIP = "An eigenvalue is no farther away"
LEAST_TIP = "Below 0 the loss bends down in some direction"
RAW_TIP = "Not to be compared between networks: rescaled weights change it"
LOW_TIP = "Of the points of random plane 0"


def sharpness(planes: "Planes", depth: int, mode: str) -> str:
    """Return how much more sharply the loss bends at one of both."""
    plain, residual = (
        factor(float(np.median([abs(row.normalised) for row in planes.sharp(kind, depth, mode)] or [np.nan])))
        for kind in ("plain", "residual")
    )
    return f"{depth} layers: at its sharpest the plain loss bends by {plain}, the residual by {residual}."


def number_conditions(planes: "Planes", mode: str) -> tuple[str, ...]:
    """Return how sharpness was measured."""
    points = planes.sharpness[0].points
    images = next(iter(planes.landscapes.values())).images
    return (
        "Bend: the eigenvalue of the Hessian that is largest in magnitude, by Lanczos' method, with "
        "directions in the length of filters.",
        "Lines are medians over trainings with other seeds, bands reach from the least to the greatest; "
        "the table has every training."
        if len({row.seed for row in planes.sharpness}) > 1
        else "One training of each network.",
        f"Shares: on {points}×{points} points of the random plane of seed 0.",
        f"Batch norm in {mode} mode{_mode(mode)}. Loss over {images:,} {planes.images}.",
    )
