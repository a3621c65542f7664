"""All sentences of the similarity explorer."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.analysis.similarity_record import Similarities
from resnet_explore.widgets.core.view import Choice
from resnet_explore.widgets.core.words import data_in_brief, first_of, percent, signed

if TYPE_CHECKING:
    from resnet_explore.widgets.similarity.grids import ComparedNetworks, Grid
    from resnet_explore.widgets.similarity.jobs import TwoLayers

WAITING = "How alike the layers of a network are, two by two."

TABS = (
    Choice("matrices", "Layer by layer", "Each layer with each other one"),
    Choice("depth", "Through depth", "What becomes of it in deeper networks"),
)
COMPARING = (
    Choice("itself", "each with itself", "Layers of one network with each other"),
    Choice("twins", "with each other", "Layers of one network with those of the other"),
    Choice(
        "seeds", "with another seed", "Layers of a network with those of one that began from other weights"
    ),
)
LAYERS = (
    Choice("blocks", "blocks", "What each block gives on"),
    Choice("all", "all layers", "Convolutions and the classifier, too"),
)
ORDERS = (Choice("activation", "by activation"), Choice("channel", "by channel"))
NOT_TWO = "There is one network."
NO_SEEDS = "Only recorded networks have several seeds."
ONE_SEED = "One seed is recorded."
ONE_DEPTH = "These networks have one depth."
TIP = "Click it to see what both layers make of a picture."
PAIR = "these layers"

GLOSSARY = {
    "CKA": "Centred kernel alignment: 1 where two layers find the same pairs of images alike, 0 where they "
    "have nothing in common. It doesn't matter how many channels they have, or in which order.",
    "seed": "The number that decides the first weights and the order of the images in training.",
    "alike": "Measured by CKA: 1 where two layers find the same pairs of images alike, 0 where they have "
    "nothing in common.",
    "Distant": "At least a third of the depth apart.",
    "resemble": "Have a CKA above 0.9 to it.",
    "branches": "What stands beside the skip in a block; here what its last convolution gives.",
}

WHY = {
    "itself": "CKA asks whether two layers find the same pairs of images alike. A residual block gives on "
    "its input plus what it adds, so pairs that are alike stay alike over many blocks. A plain block puts "
    "something new in the place of its input, and small changes add up.",
    "twins": "CKA asks whether two layers find the same pairs of images alike. Shallow twins learn the same "
    "task and sort the images alike. The deeper they are, the less the plain one learns of it.",
    "layers": "CKA asks whether two layers find the same pairs of images alike. Each layer changes what it "
    "gets. Small changes add up, so layers that lie far apart are often less alike.",
    "two": "CKA asks whether two layers find the same pairs of images alike. Channels may be many or few, "
    "and in any order. So two networks can have different weights and still do the same.",
    "seeds": "Both runs see the same images, from other first weights. A likely reason: a skip hands on what "
    "the image itself says, which is the same for both. A deep plain network knows only what its own layers "
    "have left of it.",
    "depth": "A skip hands on what came in, so residual blocks stay alike at any depth. A plain block puts "
    "something new in its place.",
}
LEFT_WHY = (
    " In deep plain networks there are blocks behind which images differ along a single direction: one "
    "number is left of each, and which one depends on the seed."
)
GRID_WHY = (
    "Behind a sum stands all that the skip has carried, so neighbours are alike. What a branch adds is new, "
    "so branches are less alike: a grid of lines, as Kornblith and others saw in 2019. A plain network has "
    "no such two kinds of layers."
)


def collapsed(name: str, block: int, directions: float) -> str:
    """Return what is to be said of a network with a block behind which images lie on a line."""
    return (
        f" Behind block {block} of {name} images differ along {directions:.1f} directions: one number is left"
        " of each. Blocks that only hand it on make a bright square."
    )


# --- the question that comes first --------------------------------------------------------------------------

CLOSE = 0.05  # of CKA: below it, two networks are said to be as alike
ANSWERS = {"plain": "in the plain one", "residual": "in the residual one", "both": "about as much in both"}
RULE = "By the mean CKA of such blocks; a difference below 0.05 counts as none."
REPLIES = {
    "plain": "One may expect it: of very deep plain networks it has been reported that most layers resemble "
    "the last one. Here that comes at 110 layers.",
}
QUESTION_WHY = WHY["itself"]


def question(depth: int) -> str:
    """Return what is asked of the first pair of twins."""
    return (
        f"Take two blocks of a network of {depth} layers that lie far apart. In which of the twins are they "
        "more alike: find the same pairs of images alike?"
    )


def told(plain: float, residual: float) -> str:
    """Return what was measured."""
    return (
        f"Mean CKA of blocks far apart: {residual:.2f} in the residual network, {plain:.2f} in the plain one."
    )


# --- headlines ----------------------------------------------------------------------------------------------

MOST = 0.5  # share of blocks that resemble the last one: Kornblith et al. 2019, figure 3
AGAIN = 0.6  # mean CKA from which on blocks are said to be found again


def headline(grids: "Sequence[Grid]", comparing: str, layers: str) -> str:
    """Return what the matrices say."""
    if comparing == "twins":
        grid = grids[0]
        first, second = grid.names
        if not math.isfinite(grid.same):
            return f"Distant {grid.noun} of {first} and {second} are {grid.distant:.2f} alike."
        one = grid.noun.removesuffix("s")
        return f"{one.capitalize()} for {one}, {first} and {second} are {grid.same:.2f} alike."
    for grid in grids:
        if not math.isfinite(grid.distant):
            return f"{grid.title} has no two {grid.noun} that can be compared."
    if len(grids) == 1:
        return f"Distant {grids[0].noun} of {grids[0].title} are {grids[0].distant:.2f} alike."
    if comparing == "seeds":
        return _seeds_headline(grids)
    if layers == "all" and all(grid.has_branches for grid in grids):
        return _neighbours_headline(grids)
    if max(grid.like_last for grid in grids) > MOST:
        return _last_headline(grids)
    return _distant_headline(grids)


def _last_headline(grids: "Sequence[Grid]") -> str:
    most, other = sorted(grids, key=lambda grid: -grid.like_last)
    return (
        f"{percent(100 * most.like_last)} of {most.title}'s {most.noun} resemble its last one "
        f"({other.title}: {percent(100 * other.like_last)})."
    )


def _distant_headline(grids: "Sequence[Grid]") -> str:
    less, more = sorted(grids, key=lambda grid: grid.distant)
    noun = _noun(grids)
    if more.distant - less.distant < CLOSE:
        both = ", ".join(f"{grid.title} {grid.distant:.2f}" for grid in grids)
        return f"Distant {noun} are about as alike in both: {both}."
    return f"Distant {noun} are {more.distant:.2f} alike in {more.title}, {less.distant:.2f} in {less.title}."


def _noun(grids: "Sequence[Grid]") -> str:
    return "blocks" if all(grid.noun == "blocks" for grid in grids) else "layers"


def _neighbours_headline(grids: "Sequence[Grid]") -> str:
    other, one = grids
    (outputs, branches), (beside, inside) = one.neighbours, other.neighbours
    return (
        f"Neighbouring blocks of {one.title} are {outputs:.2f} alike, their branches {branches:.2f} "
        f"({other.title}: {beside:.2f}, {inside:.2f})."
    )


def _seeds_headline(grids: "Sequence[Grid]") -> str:
    plain, residual = grids
    (name, found), (other, again) = ((grid.network, grid.same) for grid in (plain, residual))
    if min(found, again) >= AGAIN:
        return f"From two seeds, both find like blocks: {name} {found:.2f}, {other} {again:.2f} alike."
    return f"From another seed, {other}'s blocks come back {again:.2f} alike, {name}'s {found:.2f}."


def depth_headline(depths: Sequence[int], plain: Sequence[float], residual: Sequence[float]) -> str:
    """Return how the mean CKA of distant blocks goes from the first depth to the last."""
    ends = [f"{values[0]:.2f} to {values[-1]:.2f}" for values in (plain, residual)]
    return f"Distant blocks' CKA, {depths[0]} to {depths[-1]} layers: plain {ends[0]}, residual {ends[1]}."


# --- matrices -----------------------------------------------------------------------------------------------

LABEL = "CKA"


def why_measured(grids: "Sequence[Grid]", comparing: str) -> str:
    """Return why a person's own networks, of which nothing more is known, are as alike as they are."""
    if comparing == "twins":
        return WHY["two"]
    return WHY["itself"] if _noun(grids) == "blocks" else WHY["layers"]


def axis(grids: "Sequence[Grid]", layers: str) -> str:
    """Return what rows and columns are."""
    return "layer" if layers == "all" else _noun(grids).removesuffix("s")


def with_each_other(first: str, second: str) -> str:
    """Return what a matrix of two networks is called; rows come first."""
    return f"{first} (up) with {second} (across)"


def across_seeds(name: str, seeds: Sequence[int]) -> str:
    """Return what a matrix of one network and the same of another seed is called."""
    return f"{name}, seed {seeds[0]} (up) with {seeds[1]} (across)"


def seeds_of(name: str, seeds: Sequence[int]) -> tuple[str, str]:
    """Return what the networks of two seeds are called."""
    return f"{name}, seed {seeds[0]}", f"{name}, seed {seeds[1]}"


def layer_name(layer: str, blocks: Sequence[str]) -> str:
    """Return what a layer is called where it is read out."""
    return f"block {list(blocks).index(layer) + 1} ({layer})" if layer in blocks else layer


# --- two layers ---------------------------------------------------------------------------------------------


def heading(network: str, layer: str, shape: Sequence[int]) -> str:
    """Return what stands above a layer's maps."""
    return f"{network}, {layer}: {shape[0]} maps of {shape[1]}×{shape[2]}"


def no_maps(network: str, layer: str) -> str:
    """Return that a layer gives numbers, and no maps."""
    return f"{layer} of {network} gives no maps."


def not_here(network: str) -> str:
    """Return that a network's weights don't ship."""
    return f"{network}: its similarities are recorded, its weights don't ship."


def scaled(scale: float) -> str:
    """Return what the brightest colour stands for."""
    return f"The brightest colour means ±{scale:.2g}; 0.1 % of the values are larger."


# --- conditions ---------------------------------------------------------------------------------------------

MEASURE = "Debiased linear CKA; 1 at most, and a little below 0 where two layers have nothing in common."
DISTANT = "Distant {} are at least a third of the depth apart."
ROWS = "Row 1, at the bottom, is nearest to the image."


def distant(grids: "Sequence[Grid]") -> str:
    """Return what is called distant."""
    return DISTANT.format(_noun(grids))


def recorded(record: Similarities) -> str:
    """Return what a record rests on."""
    name = data_in_brief(record.data)
    return f"{name[0].upper()}{name[1:]}: recorded with {record.images} test images, to 0.001."


def errors(depth: int, plain: float, residual: float, seed: int) -> str:
    """Return how well both networks have learned."""
    return (
        f"Seed {seed}, {depth} layers: test error {percent(plain)} (plain), {percent(residual)} (residual)."
    )


def over_all_seeds(what: str, seeds: Sequence[int], plain: Sequence[float], residual: Sequence[float]) -> str:
    """Return how far what the headline says holds for networks of other seeds."""
    noun = {
        "itself": "Distant blocks",
        "twins": "Same block of both",
        "seeds": "Same block of the next seed",
    }[what]
    spreads = [
        f"{name} {mean} ({least} to {most})"
        for name, values in (("plain", plain), ("residual", residual))
        for mean, least, most in [[signed(float(f(values))) for f in (np.nanmean, np.nanmin, np.nanmax)]]
    ]
    if what == "twins":
        spreads = [spreads[0].removeprefix("plain ")]
    drawn = "seeds 0 and 1" if what == "seeds" else "seed 0"
    return f"Drawn: {drawn}. {noun}, mean of seeds {seeds[0]} to {seeds[-1]}: {', '.join(spreads)}."


def empty(network: str, layers: Sequence[str]) -> str:
    """Return which layers of a network can't be compared, so that their cells are empty."""
    return (
        f"Empty, as it gives the same for all images, or all but one: {network}, {first_of(list(layers), 3)}."
    )


def left_out(layers: Sequence[str]) -> str:
    """Return which layers can't be compared and are not shown, "" for none."""
    return f"Left out, as they give the same for all images: {first_of(list(layers))}." if layers else ""


def measured(found: "ComparedNetworks") -> str:
    """Return what a measurement rests on."""
    few = " That is few: give more for steadier values." if found.images < 100 else ""
    return f"Measured with {found.images} images, in eval mode.{few}"


def looked(found: "TwoLayers") -> str:
    """Return which picture the maps are of."""
    return f"Maps of: {found.about}."


# --- through depth ------------------------------------------------------------------------------------------

DISTANT_TITLE, SEEDS_TITLE, LEFT_TITLE = "Distant blocks", "Same block, another seed", "The narrowest block"
LEFT_AXIS = "directions in which images differ"


def over_seeds(record: Similarities) -> tuple[str, ...]:
    """Return under what conditions the charts were made."""
    count = len(record.seeds)
    several = (
        f"Means of seeds {record.seeds[0]} to {record.seeds[-1]}; bands reach from the least to the most."
    )
    return (
        recorded(record),
        several if count > 1 else "One network of each kind and depth, so no spread is known.",
        MEASURE,
        DISTANT.format("blocks"),
        "Untrained: the same networks with fresh weights, in eval mode.",
        "Directions: (sum of the variances)² over the sum of their squares, along the principal axes.",
    )


def constant(depth: int, blocks: int, seeds: int) -> str:
    """Return how many blocks give the same for all images."""
    whose = "one seed" if seeds == 1 else f"{seeds} seeds"
    return (
        f"Plain, {depth} layers: {blocks} blocks of {whose} give the same for all images, or all but one, "
        "and are left out."
    )


# --- what there is not --------------------------------------------------------------------------------------


def no_pair(sizes: Sequence[tuple[int, int]]) -> str:
    """Return which cells there are."""
    rows, columns = sizes[0]
    count = "one matrix" if len(sizes) == 1 else f"{len(sizes)} matrices"
    return (
        f"pair must be (matrix, row, column) of {count} with {rows} rows and {columns} columns, each counted "
        "from 0."
    )


def cannot_compare(comparing: str, why: str) -> str:
    """Return why something can't be compared."""
    return f"comparing={comparing!r} can't be shown: {why[0].lower()}{why[1:]}"
