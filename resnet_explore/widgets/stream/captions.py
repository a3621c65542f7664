"""All sentences of the stream explorer."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resnet_explore.widgets.core.words import listed, multiple, percent, signed

if TYPE_CHECKING:
    from resnet_explore.widgets.stream.jobs import Carried, Flow, Losses

WAITING = {
    "adds": "What each block adds to the answer, from the image to the logits.",
    "skip": "What each skip carries, beside what its branch adds.",
    "loss": "What each block had added, beside what changes without it.",
    "early": "How early the answer could be read: a probe behind each block.",
}

WHY = (
    "Along the skips the last features are a sum: what the stem gave and what each block added. Pooling and "
    "classifier are linear, so each summand has its own share of every logit, and the shares add up. It is "
    "what a block says to the answer directly: what later blocks make of it counts as theirs."
)

WHY_SKIP = (
    "A skip hands on what comes in, and the branch adds to it. The ratio compares how long both are: the "
    "root of the sum of all squares. The cosine says which way the branch points: along with the skip (1), "
    "across (0) or against it (−1). A plain block has no skip: behind it is only what its layers make anew."
)

WHY_LOSS = (
    "What a block adds is what it says to the answer itself. Without it, all later blocks get another input, "
    "and add something else: that is lost, too. So the losses don't add up to the logit. Behind the last "
    "block little is left that could respond, and both numbers are close."
)

WHY_EARLY = (
    "A probe is a linear classifier, fitted to the features behind one block, averaged over all places; the "
    "network itself stays as it is. What a probe reads is there, whether later blocks use it or not. The "
    "network's own head was fitted to the last features alone, so early it may miss what a probe finds."
)

GLOSSARY = {
    "logit": "A network's score for a class, before softmax makes shares of all scores.",
    "logits": "A network's scores for the classes, before softmax makes shares of them.",
    "softmax": "Turns scores into shares that add up to 100 %: exp(score), divided by their sum.",
    "stem": "The layers before the first block.",
    "head": "What stands behind the last block: pooling over all places, then the classifier.",
    "probe": "A linear classifier of the features at one place, fitted afterwards.",
    "probes": "Linear classifiers, one for the features at each place, fitted afterwards.",
    "branch": "The layers of a block; the skip leads past them.",
    "cosine": "1 for the same direction, 0 for a right angle, −1 for the opposite one.",
    "bias": "What layers add whatever comes in.",
}


# --- the question that comes first --------------------------------------------------------------------------

NEARLY_ALL, MOST = 0.75, 0.5  # shares of the logit
STAGES = {"nearly": "over three quarters", "most": "half to three quarters", "less": "less than half"}
STAGE_RULE = "The two blocks' shares of the logit, added up; stem, other blocks and biases are the rest."
STAGE_REPLIES = {
    "less": "All blocks write on one stream, so one may expect equal parts.",
    "most": "All blocks write on one stream, so one may expect more equal parts.",
}
STAGE_WHY = (
    "The head reads the stream once, behind the last block. Early blocks write edges and textures, which "
    "tell few classes apart; later blocks read these and write what does. So early blocks count by what "
    "others make of their work."
)


def stage_question(blocks: int) -> str:
    """Return what is asked of the first photo."""
    return (
        f"{blocks} blocks add to one stream, and the answer is read off their sum. How much of the score for "
        "the network's own answer comes from the last two?"
    )


def stage_told(share: float, label: str) -> str:
    """Return what was measured."""
    return f"The last two blocks add {percent(100 * share)} of the logit for “{label}”."


# --- on the page --------------------------------------------------------------------------------------------


def place_name(flow: "Flow", place: int) -> str:
    """Return what stands below the slider."""
    if place == 0:
        return "stem"
    return "bias" if place == len(flow.places) - 1 else str(place)


def _adds(flow: "Flow", place: int) -> str:
    if place == 0:
        return "the stem adds"
    return "biases add" if place == len(flow.places) - 1 else f"block {place} adds"


def headline(flow: "Flow", place: int, target: int) -> str:
    """Return what a place adds."""
    added, total = flow.added[place, target], flow.logits[target]
    label = flow.classes[target]
    adds = _adds(flow, place)
    return f"{adds[0].upper()}{adds[1:]} {signed(added)} to “{label}”, whose logit is {signed(total)}."


def heading(flow: "Flow", place: int, target: int) -> str:
    """Return what stands above the heatmap."""
    return f"what {_adds(flow, place)} to “{flow.classes[target]}”"


MEANING = "{plus} speaks for the class, {minus} against it"
UNIT = "logit"


def alt(flow: "Flow", place: int, target: int) -> str:
    """Return what the heatmap shows, for who can't see it."""
    return f"A heatmap of what {_adds(flow, place)} to “{flow.classes[target]}”, place by place."


def no_maps(flow: "Flow") -> str:
    """Return why nothing can be laid over the photo."""
    return f"Where in the photo it lies can't be said: {flow.why_no_maps}."


ADDED, BUILT, SAID = "What each adds to the logit", "Added up so far", "What the head would say here"


def answers_title(flow: "Flow", place: int) -> str:
    """Return what stands above the answers."""
    if place == 0:
        return "The answer if all blocks added nothing"
    if place >= flow.blocks:
        return "The answer"
    return f"The answer if blocks after {place} added nothing"


def answers_note(flow: "Flow", place: int) -> str:
    """Return why the network beside has no answer there."""
    if flow.beside is None or not has_no_answer(flow, place):
        return ""
    name = flow.networks[0].name
    if not flow.one_path:
        return f"{name} has no answer here: it has another number of blocks."
    return f"{name} has no answer here: later layers must run, as no skip passes them by."


def has_no_answer(flow: "Flow", place: int) -> bool:
    """Whether the network beside can't be asked behind a place."""
    return flow.beside is not None and flow.beside[place, 0] != flow.beside[place, 0]


def said_note(flow: "Flow") -> str:
    """Return from where on the network beside can be asked."""
    if flow.beside is None or not flow.one_path:
        return ""
    asked = [k for k in range(len(flow.places) - 1) if not has_no_answer(flow, k)]
    name = flow.networks[0].name
    if len(asked) < 2:
        return f"{name} has one path: its head can only be asked at the end."
    return f"{name} has one path: its head fits what comes from block {asked[0]} on alone."


def exactness(error: float) -> str:
    """Return an error as percent."""
    return "0.0001 %" if error < 1e-6 else f"{100 * error:.4f} %"


# --- skip and branch ----------------------------------------------------------------------------------------

RATIO, COSINE, KEPT = (
    "Branch, compared with the skip",
    "Which way the branch points",
    "What comes in, and goes out",
)
EQUAL, ACROSS = "as long as the skip", "across"


def carried_headline(place: int, ratio: float, cosine: float) -> str:
    """Return how long a branch is beside its skip, and which way it points; NaN for no single sum."""
    if math.isnan(ratio):
        return f"Block {place} has no skip of its own."
    return f"Block {place} adds {ratio:.2f} times what its skip carries, at a cosine of {signed(cosine)}."


def kept_note(flow: "Flow", carried: "Carried") -> str:
    """Return where input and output can't be compared."""
    gaps = [str(k + 1) for k, value in enumerate(carried.kept[-1]) if value != value]
    return (
        f"Not at {'block' if len(gaps) == 1 else 'blocks'} {listed(gaps)}: the shape changes there."
        if gaps
        else ""
    )


# --- without a block ----------------------------------------------------------------------------------------

ADDED_AND_LOST, LOST, LEFT = "Added, and lost without it", "What each loss takes", "The answer without it"
IT_ADDED, ITS_LOSS = "it had added", "its loss takes"


def deleting(name: str) -> str:
    """Return what is done meanwhile."""
    return f"Deleting each block of {name}, one at a time ..."


def loss_headline(ratio: float, label: str, any_goes: bool) -> str:
    """Return how many times as much is lost as was added; NaN where nothing was added."""
    if not any_goes:
        return "No block can go: each changes the shape."
    if not math.isfinite(ratio):
        return f"No block had added anything to “{label}”."
    return f"On average, losing a block changes “{label}” {multiple(ratio)} as much as it had added."


def two_numbers(place: int, added: float, lost: float) -> str:
    """Return what a block had added, and what its loss takes; NaN for one that can't go."""
    if math.isnan(lost):
        return f"Block {place} had added {signed(added)}; it can't go: the shape changes there."
    return f"Block {place} had added {signed(added)}; its loss takes {signed(lost)}."


def stays_note(flow: "Flow", losses: "Losses") -> str:
    """Return which blocks of the network beside can't be lost."""
    if flow.beside is None:
        return ""
    name = flow.networks[0].name
    if len(losses.without) == 1:
        return f"{name} has another number of blocks."
    stay = [str(k) for k in range(1, flow.blocks + 1) if stays(losses, k)]
    what = "block" if len(stay) == 1 else "blocks"
    return f"{name} can't do without {what} {listed(stay)}: the shape changes there." if stay else ""


def stays(losses: "Losses", place: int) -> bool:
    """Whether the network beside can't do without a block."""
    value = losses.without[0][place, 0]
    return bool(value != value)


def without_title(place: int) -> str:
    """Return what stands above the answers."""
    return f"The answer without block {place}"


def without_note(flow: "Flow", losses: "Losses", place: int) -> str:
    """Return why the network beside has no answer."""
    if len(losses.without) == 1 or not stays(losses, place):
        return ""
    name = flow.networks[0].name
    return f"{name} has no answer here: without this block the next one gets the wrong shape."


# --- how early ----------------------------------------------------------------------------------------------

READ, PROBED, CHANCE = "Test images that probes get right", "What a probe says here", "chance"


def no_probes(depths: Sequence[int]) -> str:
    """Return why there are no probes; `depths` are those of which there are."""
    if depths:
        return f"Probes ship of these twins with {listed([str(depth) for depth in depths])} layers"
    return "Probes ship for the twins of the menu; rx.linear_probes fits them to networks of your own"


def early_headline(place: int, plain: float, residual: float) -> str:
    """Return what probes read behind a place."""
    where = f"block {place}" if place else "the stem"
    return f"Behind {where} probes read {plain:.0f} % (plain) and {residual:.0f} % (residual) of test images."


def seeds_note(seeds: int) -> str:
    """Return what a band is."""
    return f"Lines are means, bands the range of {seeds} seeds." if seeds > 1 else ""


def probed_title(place: int) -> str:
    """Return what stands above the answers."""
    return f"What probes say behind {f'block {place}' if place else 'the stem'}"


# --- conditions ---------------------------------------------------------------------------------------------


def conditions(view: str, flow: "Flow") -> tuple[str, ...]:
    """Return under what conditions the numbers of a view were measured."""
    of = {
        "adds": _of_adding(flow),
        "skip": _of_carrying(flow),
        "loss": _of_losing(flow),
        "early": _of_reading(flow),
    }
    return (*of[view], f"Picture: {flow.about}.", *(f"{network.cited}." for network in flow.networks))


def _of_carrying(flow: "Flow") -> list[str]:
    return [
        "Skip and branch are compared as they are added, in front of the ReLU behind the sum.",
        "Where the shape changes, the skip is what its convolution makes of the input, or the input padded.",
        "What comes in and what goes out are compared behind that ReLU, in both networks alike.",
    ]


def _of_losing(flow: "Flow") -> list[str]:
    return [
        "Each block is deleted alone and nothing is trained again: its branch adds nothing, its skip stays.",
        "The headline divides two means over all blocks that can go: of what each loss changes, and of what "
        "each had added, both without their sign.",
        "Batch norm keeps the numbers that it learned with all blocks in place.",
    ]


def _of_reading(flow: "Flow") -> list[str]:
    return [
        "Probes are logistic regressions on features averaged over all places, fitted to training images.",
        "What is said of this image is of seed 0; of all test images it is the mean over the seeds.",
        "That a probe can read a class does not say that the network uses it.",
    ]


def _of_adding(flow: "Flow") -> list[str]:
    name = flow.networks[-1].name
    said = [
        f"Stem, blocks and bias add up to {name}'s logits within {exactness(flow.error)} of the largest.",
        "ReLUs on the stream are held at what they did on this image; norms run in eval mode.",
        "A share counts what a block adds directly, not what later blocks make of it.",
    ]
    if flow.one_path:
        beside = flow.networks[0].name
        said.append(f"{beside} has no skip, so all of its logits come from its last block.")
    if flow.maps is not None:
        height, width = flow.maps.shape[-2:]
        said.append(f"The last features have {height}×{width} places; each has its share of the mean.")
    return said


def out_of_range(name: str, value: int, labels: "tuple[str, ...]") -> str:
    """Return which classes there are."""
    return f"{name} must lie in 0..{len(labels) - 1}, as there are {len(labels)} classes, not {value}."


def other_classes(beside: int, count: int) -> str:
    """Return that two networks tell different classes apart."""
    return f"Two networks need the same classes, but these have {beside} and {count}."


def series_names(flow: "Flow", target: int, rival: int) -> tuple[str, str]:
    """Return what the two curves of logits are called."""
    return f"for “{flow.classes[target]}”", f"for “{flow.classes[rival]}”"


def in_words(flow: "Flow", target: int) -> str:
    """Return the bars in words, for who can't see them."""
    added = flow.added[:, target]
    named = [f"{place_name(flow, k)} {signed(float(value))}" for k, value in enumerate(added)]
    return f"{listed(named)}." if len(named) <= 12 else f"The largest: block {flow.largest(target)}."
