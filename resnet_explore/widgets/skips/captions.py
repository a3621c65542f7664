"""What the skip explorer says."""

import math
from collections.abc import Sequence

from resnet_explore.widgets.core.words import listed, multiple, percent, signed
from resnet_explore.widgets.skips.edit import Edit

WAITING = "Two trained twins, block by block. They differ by their skips alone."

GLOSSARY = {
    "branch": "The layers of a block: F(x). What they give is added to what the skip carries.",
    "branches": "The layers of the blocks: F(x). What they give is added to what the skips carry.",
    "skip": "The way past a block's layers, on which its input x is added to their output F(x).",
    "skips": "The ways past the blocks' layers, on which a block's input x is added to F(x).",
    "batch norm": "A layer that shifts and scales each channel. When it answers, it uses the mean and spread "
    "that it saw while it was trained.",
    "twins": "Two networks with the same layers, trained alike. One has skips, the other has none.",
    "Grad-CAM": "A heatmap of the places that speak for an answer, found from gradients at the last block.",
    "τ": "Kendall's τ, how much of an order is left: 1 is the order as it was, 0 a random one.",
    "Kendall's τ": "How much of an order is left: 1 is the order as it was, 0 is a random one, −1 backwards.",
    "seeds": "Numbers that all chance of a training comes from: starting weights and order of the images.",
    "cross-entropy": "The usual loss of a classifier: minus the logarithm of the right class's probability.",
    "held-out": "Kept back from training.",
}

WHY = {
    "worst": "A block that comes early is what all others build on, so they miss it most. Later blocks add "
    "little to x, which comes through without them.",
    "deleted": "A residual block gives x + F(x). Without F the image still comes through as x, and the other "
    "blocks go on adding to it. A plain block gives only F(x): the blocks behind it get what none of them "
    "has ever seen.",
    "cut": "The layers behind a block were trained on x + F(x). With less of x, what they get is another "
    "sum, and all that earlier blocks have found comes through weaker or not at all. A plain network has no "
    "x to lose.",
    "order": "Each residual block adds something to x, and most add little. So a block that runs earlier or "
    "later gets nearly the x that it was trained on. In a plain network each block was trained on what the "
    "one before it gives, and gets something else now.",
    "branch": "Each block adds more or less than it was trained to. In a residual network x still comes "
    "through as it is. In a plain network all that is handed on is scaled, block after block.",
    "inside": "A residual block gives x + F(x), then a ReLU. The skip carries x, the branch computes F(x), "
    "and the sum is made number by number at each place. The plain twin has no x to add: what its layers "
    "give is all there is.",
    "effects": "Both networks get the same images before and after the edit. What the edit does not touch "
    "stays as it was, so all that differs comes from the edit.",
    "studies": "With skips, a signal can go through each block or past it, so n blocks make 2ⁿ paths through "
    "a network (Veit et al. 2016). Taking a block out closes half of them. In a plain network there is one "
    "path, and it is gone.",
    "training": "The factor before x is changed while the network learns, for all blocks together. At 0 the "
    "network is a plain one, with the same layers and the same random start.",
}


def why(edit: Edit) -> str:
    """Return how the numbers come about, for what was changed first of all."""
    if edit.deleted or edit.nothing:
        return WHY["deleted"]
    if edit.cut or edit.skip != 1:
        return WHY["cut"]
    return WHY["order"] if edit.order else WHY["branch"]


def edit_words(edit: Edit) -> str:
    """Return what was changed, in a few words."""
    parts = [_numbered("Block", edit.deleted, "out")] if edit.deleted else []
    parts += (
        [_numbered("skip of block" if len(edit.cut) < 2 else "skips of block", edit.cut, "cut")]
        if edit.cut
        else []
    )
    parts += [_moved(edit.order)] if edit.order else []
    parts += [f"skips × {edit.skip:g}"] if edit.skip != 1 else []
    parts += [f"branches × {edit.branch:g}"] if edit.branch != 1 else []
    if len(parts) > 2:
        return f"{len(parts)} kinds of change"
    words = listed(parts)
    return words[:1].upper() + words[1:]


def _moved(order: Sequence[int]) -> str:
    away = [k for place, k in enumerate(order, 1) if k != place]
    return f"blocks {min(away)} and {max(away)} swapped" if len(away) == 2 else f"{len(away)} blocks moved"


def _numbered(what: str, numbers: Sequence[int], done: str) -> str:
    if len(numbers) > 2:
        return (
            f"{len(numbers)} {what.lower().replace('block', 'blocks').replace('skip of', 'skips of')} {done}"
        )
    plural = "s" if len(numbers) > 1 else ""
    return f"{what}{plural} {listed([str(k) for k in numbers])} {done}"


def headline(
    edit: Edit,
    names: Sequence[str],
    errors: Sequence[float],
    firsts: Sequence[str],
    stays: Sequence[int],
    skips: Sequence[bool],
) -> str:
    """Return the finding: both errors, or both answers where there are no test images.

    stays  how many of the blocks that should be out each network keeps
    skips  whether each network has skips
    """
    whose = [
        f"{_kind(name)}{_kept(count, edit) or _spared(has, edit)}"
        for name, count, has in zip(names, stays, skips, strict=True)
    ]
    if any(math.isnan(error) for error in errors):
        told = [f"{name} says {first}" for name, first in zip(names, firsts, strict=True)]
    else:
        verbs = ["errs on", *["on"] * len(names)]
        told = [f"{n} {v} {percent(e)}" for n, v, e in zip(whose, verbs, errors, strict=False)]
    return f"{'Nothing changed' if edit.nothing else edit_words(edit)}: {', '.join(told)}"


def _spared(has_skips: bool, edit: Edit) -> str:
    """Return that a network has no skips, where nothing but skips is changed."""
    only_skips = edit == Edit(cut=edit.cut, skip=edit.skip) and not edit.nothing
    return " (has none)" if only_skips and not has_skips else ""


def _kept(count: int, edit: Edit) -> str:
    """Return that a network keeps blocks that should be out."""
    if not count:
        return ""
    if count < len(edit.deleted):
        return f" (keeps {count})"
    return " (keeps it)" if count == 1 else " (keeps them)"


def _kind(name: str) -> str:
    """Return "plain" for "Plain-20"."""
    return name.partition("-")[0].lower() if name.startswith(("Plain", "Residual")) else name


def error_text(wrong: int, of: int) -> str:
    """Return an error and what it was counted over."""
    return f"{percent(100 * wrong / of)} ({wrong:,} of {of:,})"


def stays(takes: Sequence[int], gives: Sequence[int]) -> str:
    """Return why a block can't be taken out."""
    into, out = ("×".join(map(str, shape)) for shape in (takes, gives))
    return f"it stays: without a skip nothing else turns {into} into {out}"


def stays_note(stays: Sequence[int]) -> str:
    """Return that some blocks were left in."""
    if not stays:
        return ""
    blocks = f"Block{'s' if len(stays) > 1 else ''} {listed([str(k) for k in stays])}"
    return f"{blocks} stay{'' if len(stays) > 1 else 's'}: nothing else brings the maps to their new shape."


def edit_conditions(names: Sequence[str], cited: Sequence[str], tests: str, missing: str) -> tuple[str, ...]:
    """Return on what the answers rest."""
    return (
        *(f"{one}." for one in cited),
        missing
        or f"Errors are over {tests}, which no network was trained on; of large images "
        "100 are counted first and the rest behind that. Whiskers are 95 % intervals (Wilson 1927).",
        "Nothing is trained again. Batch norm keeps the means and spreads of the training, which no longer "
        "fit behind an edit; under “Many edits” some errors are shown with numbers taken anew, too.",
        "A block that is taken out adds nothing, and its skip stays, with the ReLU behind the sum. A plain "
        "block is passed by, where its input has the shape of its output. A projection counts as a skip.",
        "Veit et al. 2016 compared a residual network with VGG, which has no batch norm. These twins differ "
        "by the skips alone.",
    )


def scaled(what: str, factor: float) -> str:
    """Return "x", or "0.5 · x" for what is scaled."""
    return what if factor == 1 else f"{factor:g} · {what}"


def inside_headline(edit: Edit, block: int, name: str, ratio: float | None) -> str:
    """Return how much a block's branch adds, against what its skip carries (the ratio of their lengths)."""
    if ratio is None:
        return f"Block {block} of {name} adds nothing up: it has no skip."
    if block in edit.deleted:
        return f"Block {block} is out: its branch adds nothing to what the skip carries."
    if block in edit.cut or not edit.skip:
        return f"Block {block}'s skip carries nothing: what the branch gives is all there is."
    if ratio < 1:
        return f"Block {block}: the branch adds {percent(100 * ratio)} of what the skip carries."
    return f"Block {block}: the branch adds {ratio:.1f}× what the skip carries."


SIGNS = "{plus} is above 0, {minus} below"
INSIDE_CONDITIONS = (
    "One image, one channel. All pictures share one colour scale, so colours add up as numbers do.",
    "The sum is shown as it is made, before the ReLU that sets what is below 0 to 0.",
    "Of the plain twin what its block gives is shown, after its ReLU. Its channels mean something else than "
    "those of the other network.",
    "The headline compares lengths (root of the sum of squares) over all channels.",
)
EFFECT_CONDITIONS = {
    "gradients": (
        "L2 norm of the gradient of the mean cross-entropy by each layer's weights, over 64 held-out "
        "images, in eval mode: batch norm uses the statistics of the training.",
    ),
    "heatmaps": (
        "Grad-CAM at the last block (Selvaraju et al. 2017), without its last ReLU. Both maps of a network "
        "are for the class that it named before the edit; all are on one scale. The score is that class's "
        "logit: the network's answer before it is made into probabilities.",
    ),
    "maps": (
        "What comes out of the block that the slider is at, one channel, before and after the edit, on one "
        "scale.",
    ),
}
_COARSE = 4  # places a side, of which each is a part of the image that one can name


def heat_signs(rows: int, columns: int) -> str:
    """Return what a heatmap's colours mean, and how fine it is where it has few places."""
    signs = "{plus} speaks for the answer, {minus} against"
    if max(rows, columns) > _COARSE:
        return signs
    return f"{signs}. The last block sees {rows}×{columns} places, so a colour spreads over dark corners, too"


EFFECTS = {"gradients": "Gradients", "heatmaps": "Heatmaps", "maps": "Feature maps"}
STUDIES = {
    "each": "Each block alone",
    "count": "Several blocks out",
    "order": "Another order",
    "dial": "Skips and branches turned",
    "paths": "Paths through the network",
}
STUDY_CONDITIONS = {
    "each": ("Each block is taken out alone, over all held-out images that are shown with the answers.",),
    "count": (
        "So many blocks are taken out at random; lines are means and bands reach from the least to the "
        "largest error over random choices. In the plain network only blocks that keep their shape can go.",
        "“Norms anew”: behind the first block that is out, batch norm's means and spreads are taken again "
        "from training images, with the edit in place.",
        "Veit et al. 2016: of the 54 blocks of a residual network with 110 layers, ten can go before the "
        "error reaches 20 %, and it rises smoothly. VGG is at chance once one layer is gone.",
    ),
    "order": (
        "Two blocks of a stage whose shapes agree are swapped, again and again. Each point is one order.",
        "Veit et al. 2016 found a smooth rise of the error with the distance from the usual order, too.",
    ),
    "dial": (
        "Every skip, or every branch, is multiplied by one factor while the weights stay.",
        "“Norms anew”: batch norm's means and spreads are taken again from training images with the factor "
        "in place. Where that helps much, most of the damage was old numbers in batch norm.",
    ),
    "paths": (
        "The norm of the loss's gradient that comes back to an image along one path, sampled as in Veit et "
        "al. 2016, section 5. Gradients of several paths can cancel, so shares are of the sum of norms.",
        "Veit et al. 2016: of 54 blocks, paths through 5 to 17 carry nearly all of the gradient, 0.45 % of "
        "all paths.",
    ),
}
NO_STUDY = "This was not recorded for these networks. rx.lesion_study measures it on your own images."
NO_PATHS = "Paths were not recorded for these networks. rx.path_lengths measures them on your own images."
NO_TESTS = "Without labelled test images there is no loss, so there are no gradients to compare."


def each_headline(names: Sequence[str], medians: Sequence[float], worst: int, error: float) -> str:
    """Return what one block costs usually, and which matters most to the last network."""
    told = [f"{_kind(name)} {percent(median)}" for name, median in zip(names, medians, strict=True)]
    return f"One block out, median error: {', '.join(told)} (block {worst}: {percent(error)})"


# --- questions ----------------------------------------------------------------------------------------------

FAILS = 50.0  # percent, above which a network is said to fail
OUT_RULE = f"A network fails if it is wrong on more than {FAILS:.0f} % of the test images."
OUT_ANSWERS = {
    "plain": "only the plain one fails",
    "residual": "only the residual one fails",
    "both": "both fail",
    "neither": "neither fails",
}
OUT_REPLIES = {
    "both": "A block less is a network that was never trained, so this is what one would expect.",
    "neither": "Of nine blocks one seems little, but the others were trained with it.",
}
WORST_RULE = "The right one is the block without which the error is largest."


def out_question(depth: int, block: int) -> str:
    """Return what is asked of one block that is taken out."""
    return (
        f"Two networks of {depth} layers were trained alike, a plain and a residual one. Block {block} is "
        "taken out of both, and nothing is trained again. What happens?"
    )


def out_told(block: int, plain: float, residual: float) -> str:
    """Return both errors without a block."""
    return (
        f"Without block {block} the plain network is wrong on {percent(plain)}, the residual one on "
        f"{percent(residual)}."
    )


def worst_question(name: str) -> str:
    """Return which block is asked for."""
    return f"Which block can {name} least do without?"


def worst_told(name: str, worst: int, error: float, median: float) -> str:
    """Return what the block costs, beside what one costs usually."""
    return (
        f"{name} errs on {percent(error)} without block {worst}; the median of all blocks is "
        f"{percent(median)}."
    )


def count_headline(count: int, plain: float, residual: float) -> str:
    """Return both mean errors with so many blocks out."""
    blocks = f"{count} block{'' if count == 1 else 's'}"
    return f"{blocks} out: plain errs on {percent(plain)}, residual on {percent(residual)}"


def order_headline(plain: float, residual: float) -> str:
    """Return both median errors of orders that are not far from the usual one."""
    return f"τ above 0.8, median error: plain {percent(plain)}, residual {percent(residual)}"


def dial_headline(raw: float, anew: float) -> str:
    """Return the error with all skips at half."""
    return f"All skips at half: residual errs on {percent(raw)}; with norms taken anew, {percent(anew)}"


def paths_headline(length: int, of_paths: float, share: float) -> str:
    """Return how much of the gradient short paths carry, and how many they are."""
    blocks = f"{length} block{'' if length == 1 else 's'}"
    return (
        f"Paths through at most {blocks}, {percent(of_paths)} of all, carry {percent(share)} of the gradient"
    )


def gradient_headline(names: Sequence[str], factors: Sequence[float]) -> str:
    """Return what became of the gradient that the first layer gets."""
    said = [multiple(f) if math.isfinite(f) else "?" for f in factors]
    told = [f"{words} in {_kind(name)}" for words, name in zip(said, names, strict=True)]
    return f"First layer's gradient after the edit: {', '.join(told)}"


def score_headline(names: Sequence[str], scores: Sequence[tuple[str, float, float]]) -> str:
    """Return what became of each network's score for the class that it named before."""
    told = [
        f"{_kind(name)} {signed(was, '.1f')} → {signed(now, '.1f')}"
        for name, (_, was, now) in zip(names, scores, strict=True)
    ]
    return f"Score for {listed(list(dict.fromkeys(each[0] for each in scores)))}: {', '.join(told)}"


def kept_headline(what: str, names: Sequence[str], kept: Sequence[float]) -> str:
    """Return how alike pictures are before and after: a correlation."""
    said = [signed(r) if math.isfinite(r) else "?" for r in kept]
    told = [f"{words} in {_kind(name)}" for words, name in zip(said, names, strict=True)]
    return f"{what} before and after: correlation {', '.join(told)}"


TRAINED = {
    "none": "plain twin",
    "0.25": "x × 0.25",
    "0.5": "x × 0.5",
    "0.75": "x × 0.75",
    "1": "residual (x × 1)",
    "1-then-0-after-4": "removed after epoch 4",
    "0-then-1-after-4": "given after epoch 4",
    "1-to-0-by-4": "removed slowly, by epoch 4",
    "1-to-0-by-8": "removed slowly, by epoch 8",
}


def training_headline(slowly: float, never: float) -> str:
    """Return what became of skips that went slowly."""
    return f"Skips removed slowly: {percent(slowly)} error at the end. Never had any: {percent(never)}"


def training_conditions(depth: int, seeds: int, ends: Sequence[str]) -> tuple[str, ...]:
    """Return on what the curves rest."""
    return (
        f"Networks of {depth} layers on the digits, {seeds} seeds; lines are means, bands go from the best "
        "to the worst seed. Recorded; data/digits/skips says how to make it again.",
        "Every skip is multiplied by the factor, in training and in testing. “Slowly” is a little less with "
        "every epoch, down to 0.",
        f"Test error after the last epoch, mean ± standard deviation: {', '.join(ends)}.",
        "With a factor of 0 the network is its plain twin, number for number.",
    )
