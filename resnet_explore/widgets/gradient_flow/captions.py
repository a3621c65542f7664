"""What the gradient explorer says."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.gradients.conditions import OWN, STEPS, WITHOUT_NORM, Conditions
from resnet_explore.analysis.gradients.profiles import Profile
from resnet_explore.analysis.gradients.slope import EXPLODES, GROWS, LEVEL, SHRINKS, STAYS, STEEP, VANISHES
from resnet_explore.widgets.core.words import data_in_brief, first_of, multiple, power

if TYPE_CHECKING:
    from resnet_explore.analysis.gradients.flow import GradientFlow
    from resnet_explore.analysis.gradients.lab import Batch, GradientLab
    from resnet_explore.widgets.gradient_flow.recording import Recording

GLOSSARY = {
    "batch norm": "Batch normalisation: each channel is shifted and scaled to mean 0 and variance 1.",
    "group norm": "Like batch norm, but over groups of channels of one image: no batch is needed.",
    "train mode": "Batch norm uses the mean and variance of the very batch that goes through.",
    "eval mode": "Batch norm uses its running averages; in a new network they are 0 and 1.",
    "He initialisation": "Random weights scaled so that ReLU networks without norm keep a signal's size.",
    "Fixup": "A start for networks without norm: branches are scaled down, and end in zeros.",
    "SkipInit": "A start for networks without norm: each branch is multiplied by a number that begins at 0.",
    "ReZero": "A start: each branch is multiplied by a number that begins at 0.",
    "SGD": "Stochastic gradient descent: steps against the gradient of a small batch of images.",
    "singular values": "By how much a linear map stretches each of its main directions.",
    "Jacobian": "The derivative of a block: what it makes of any small change of its input.",
    "root mean square": "The square root of the mean of squares; large values count most.",
    "Frobenius": "The root of the sum of all squares, as for the length of a vector.",
    "level": f"From 1/{LEVEL:g} to {LEVEL:g} times, as networks where nothing grows differ by chance.",
    "momentum": "Each step also goes on by a share of the step before.",
    "seed": "The number that all chance comes from: the starting weights and the choice of images.",
    "cross-entropy": "The usual loss of a classifier: minus the logarithm of the right class's probability.",
    "Lanczos": "A way to find how a linear map stretches without writing the whole map down.",
}

# --- choices ------------------------------------------------------------------------------------------------

SOURCES = {
    "digits": "recorded: digits", "cifar10": "recorded: CIFAR-10", "imagenette": "recorded: Imagenette",
}  # fmt: skip
MODES = {"train": "train mode", "eval": "eval mode"}
NORMS = {"batch": "batch norm", "group": "group norm", "none": "none"}
STARTS = {"he": "He", "rezero": "ReZero", "skipinit": "SkipInit", "fixup": "Fixup"}
ACTIVATIONS = {"relu": "ReLU", "tanh": "tanh", "gelu": "GELU", "linear": "none (linear)"}
DATA = {
    "digits": "digits, 8×8",
    "cifar10": "CIFAR-10, 32×32 (downloaded once, 170 MB)",
    "noise": "noise, 32×32",
}
SHOWN = {
    "weight_gradient": "weight gradient",
    "activation_gradient": "activation gradient",
    "activation": "activations",
    "weight": "weights",
    "relative_gradient": "gradient / weight",
}
AXES = {
    "weight_gradient": "gradient norm of the weights",
    "activation_gradient": "gradient norm of the activations",
    "activation": "norm of the activations",
    "weight": "norm of the weights",
    "relative_gradient": "weight gradient over weight",
}
_NOUNS = {
    "weight_gradient": "gradients",
    "activation_gradient": "activation gradients",
    "activation": "activations",
    "weight": "weights",
    "relative_gradient": "relative gradients",
}
_VERBS = {EXPLODES: "explode", GROWS: "grow", STAYS: "stay level", SHRINKS: "shrink", VANISHES: "vanish"}
GUESSES = {
    EXPLODES: f"explodes: over {STEEP:g} times",
    GROWS: f"grows: {LEVEL:g} to {STEEP:g} times",
    STAYS: f"stays level: 1/{LEVEL:g} to {LEVEL:g} times",
    SHRINKS: f"shrinks: 1/{STEEP:g} to 1/{LEVEL:g}",
    VANISHES: f"vanishes: under 1/{STEEP:g}",
}
LEVEL_MEANS = f"Level means 1/{LEVEL:g} to {LEVEL:g} times."


def norm_words(norm: str, start: str) -> str:
    """Return what the menu calls a norm, with the reason where the start leaves no other."""
    return f"none, as {STARTS[start]} does" if norm == "none" and start in WITHOUT_NORM else NORMS[norm]


def start_words(start: str, asked: str) -> str:
    """Return what the menu calls a start, with the reason where it stands in for another."""
    return f"He ({STARTS[asked]} has no norm)" if start == "he" and asked in WITHOUT_NORM else STARTS[start]


# --- ratios -------------------------------------------------------------------------------------------------


def _of(ratio: float, last: str) -> str:
    """Return "1,700× the last's" or "1/17 of the last's"."""
    said = multiple(ratio)
    return f"{said} {last}" if said.endswith("×") else f"{said} of {last}"


def outcome(profile: Profile, trouble: str = "") -> str:
    """Return in a few words what norms come to: "3.7×", "exactly 0 at 54 of 56 layers"."""
    if trouble:
        return trouble
    if profile.outcome == "ratio":
        return multiple(profile.ratio)
    if profile.outcome == "nothing finite":
        return "no finite number"
    if profile.outcome == "overflow":
        return f"up to {power(profile.high)}"
    if profile.outcome == "dead end":
        return f"exactly 0 at the {' and the '.join(profile.dead)} {profile.parts}"
    if profile.outcome == "zeros":
        where = (
            "every layer"
            if profile.zeros == profile.layers
            else f"{profile.zeros} of {profile.layers} layers"
        )
        return f"exactly 0 at {where}"
    return f"{profile.low:.2g} to {profile.high:.2g}"


def _brief(profile: Profile, trouble: str) -> str:
    """Return the same in fewest words, for what stands in brackets."""
    if profile.outcome == "zeros" and not trouble:
        return "exactly 0" if profile.zeros == profile.layers else "mostly exactly 0"
    return outcome(profile, trouble)


def headline(
    profiles: Mapping[str, Profile], troubles: Mapping[str, str], shown: str, step: int | None = None
) -> str:
    """Return the finding about twins.

    Such as "Plain gradients explode: the first block's is 1,000× the last's (residual: 3.7×)."
    step  of a recorded training, None for what is measured here
    """
    plain, residual = profiles["plain"], profiles["residual"]
    twin = f"(residual: {_brief(residual, troubles.get('residual', ''))})"
    noun = _NOUNS[shown]
    name = f"Plain {noun}" if step is None else f"Step {step:,}: plain {noun}"
    if troubles.get("plain") or plain.outcome != "ratio":
        return f"{name}: {outcome(plain, troubles.get('plain', ''))} {twin}."
    if "gradient" not in shown:
        are = _of(plain.ratio, "the last's")
        return f"{name}: the first block's are {are} {twin}."
    verb = _VERBS[plain.verdict]
    if plain.tiny:
        return f"{name} are tiny, {_size(plain)}, and {verb}: {multiple(plain.ratio)} {twin}."
    return f"{name} {verb}: the first block's is {_of(plain.ratio, 'the last')}'s {twin}."


def _size(profile: Profile) -> str:
    """Return between which powers of ten norms lie: "about 10⁻⁷ to 10⁻⁶"."""
    low, high = power(profile.low), power(profile.high)
    if not profile.low:
        return f"0 to {high}"
    return f"about {low}" if low == high else f"{low} to {high}"


def strength_headline(profiles: Mapping[str, Profile], strength: float, shown: str) -> str:
    """Return the finding about skips of a strength; profiles are of "plain", "residual" and "skip"."""
    ends = f"(plain: {_brief(profiles['plain'], '')}, residual: {_brief(profiles['residual'], '')})"
    middle, noun = profiles["skip"], _NOUNS[shown]
    noun = noun.removesuffix("s") if "gradient" in shown else noun
    if middle.outcome != "ratio":
        return f"Skip × {strength:g}: {outcome(middle)} {ends}."
    return f"Skip × {strength:g}: first block's {noun} {_of(middle.ratio, 'the last')}'s {ends}."


def own_headline(profiles: Mapping[str, Profile], troubles: Mapping[str, str], shown: str, step: int) -> str:
    """Return the finding about a person's own networks."""
    said = [f"{name} {_brief(profile, troubles.get(name, ''))}" for name, profile in profiles.items()]
    ratios = any(p.outcome == "ratio" and not troubles.get(n) for n, p in profiles.items())
    what = f"First over last {SHOWN[shown]}" if ratios else SHOWN[shown].capitalize()
    return f"{what} at step {step}: {first_of(said, 2)}."


def heatmap_headline(steps: np.ndarray, ratios: Mapping[str, np.ndarray]) -> str:
    """Return how a ratio begins in a recorded training, and when it turns; ratios are (S,) of each twin."""
    plain, residual = ratios["plain"], ratios["residual"]
    turn = _turn(steps, plain)
    return (
        f"Plain gradients: {multiple(plain[0])} at step {steps[0]}{turn} (residual: {multiple(residual[0])})."
    )


def _turn(steps: np.ndarray, ratios: np.ndarray) -> str:
    """Return when a slope is another than at the first step, "" if it never is: from a comma on."""
    for bound, words in ((1 / LEVEL, f"under 1/{LEVEL:g}"), (LEVEL, "level")):
        below = np.flatnonzero(ratios < bound)
        if len(below) and below[0]:
            return f", {words} by step {steps[below[0]]:,}"
    return ""


def jacobian_headline(medians: Mapping[str, np.ndarray], back: Mapping[str, np.ndarray]) -> str:
    """Return what a block does to most directions, and what to a gradient on average."""
    plain, residual = (float(np.exp(np.log(back[kind]).mean())) for kind in ("plain", "residual"))
    most = "squeeze" if np.median(medians["plain"]) < 0.95 else "keep"
    yet = "yet stretch" if most == "squeeze" and plain > 1 else "and multiply"
    return f"Plain blocks {most} most directions, {yet} a gradient {plain:.2f}× (residual: {residual:.2f}×)."


# --- conditions ---------------------------------------------------------------------------------------------


def batch_words(batch: "Batch") -> str:
    """Return what a gradient is taken over: "64 training images of digits, 8×8"."""
    count, size = len(batch.images), "×".join(str(n) for n in batch.images.shape[2:])
    if batch.data == OWN:
        return f"{count} image{'' if count == 1 else 's'} of yours, {size}"
    if batch.data == "noise":
        return f"{count} images of {size} Gaussian noise with random labels"
    return f"{count} training images of {data_in_brief(batch.data)}, {size}"


def network_words(given: Conditions) -> str:
    """Return what a network is like: "batch norm in train mode, He initialisation, ReLU"."""
    norm = "no norm," if given.norm == "none" else f"{NORMS[given.norm]} in"
    activation = "no activation" if given.activation == "linear" else ACTIVATIONS[given.activation]
    start = f"{STARTS[given.start]} initialisation"
    if given.start != "he":  # which is a way to scale branches, so plain networks have none
        start = f"{STARTS[given.start]} for the residual network and He initialisation for the plain one"
    return f"{norm} {given.mode} mode, {start}, {activation}"


def when_words(steps: int, batch: "Batch") -> str:
    """Return at which step of training something is measured."""
    return f"step {steps}" + (f" of SGD (rate {batch.lr:g}, momentum 0.9)" if steps else "")


def here_conditions(given: Conditions, batch: "Batch", seed: int, shown: str = "") -> tuple[str, ...]:
    """Return what holds at all positions, for networks of ours that are measured now."""
    return (
        f"Measured here: {batch_words(batch)}; first stage {batch.width} channels wide; seed {seed}.",
        f"Networks: {network_words(given)}.",
        "Another seed, batch or data set changes these ratios, sometimes several times over.",
        *([_drawn(shown)] if shown else []),
    )


def _drawn(shown: str) -> str:
    return f"Drawn: {AXES[shown]} of each layer, over the whole batch (Frobenius norm)."


def own_conditions(
    given: Conditions, batch: "Batch", seed: int, shown: str, known: Sequence[str]
) -> tuple[str, ...]:
    """Return what holds at all steps, for a person's own networks; known is what is known of those."""
    drawn = f" SGD draws batches of {len(batch.images)} with seed {seed}." if given.steps else ""
    return (
        f"Measured here: {batch_words(batch)}; {given.mode} mode.{drawn}",
        *known,
        _drawn(shown),
    )


def compared(profile: Profile, shown: str) -> str:
    """Return which layers a ratio compares, a sentence."""
    if not profile.ends:
        return "No two parts of the network are alike, so there is no ratio."
    first, last = (_span(end) for end in profile.ends)
    if profile.parts != "block":
        what = "" if profile.parts == "layer" else f"{profile.parts}s at "
        return f"Compared: {what}{first} and {last}. {LEVEL_MEANS}"
    how = (
        "its last layer stands for a block"
        if shown.startswith("activation")
        else "a block's norm is that of all its weights"
    )
    return f"Compared: the first block ({first}) with the last ({last}); {how}. {LEVEL_MEANS}"


def _span(layers: Sequence[int]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}–{layers[-1]}"


def between(profiles: Mapping[str, Profile]) -> str:
    """Return which networks don't go one way between their ends, a sentence, "" if all do."""
    uneven = [name for name, p in profiles.items() if p.outcome == "ratio" and not p.steady]
    return f"Between the ends the norm goes up and down: {', '.join(uneven)}." if uneven else ""


def trouble_words(flow: "GradientFlow", broke: int | None) -> str:
    """Return in a few words why a flow's numbers are not finite, "" if they are."""
    if not flow.trouble:
        return ""
    if not flow.images_finite:
        return "the images hold numbers that are not finite"
    return "blown up" if broke is None else f"blown up at step {broke}"


def trouble_sentence(name: str, flow: "GradientFlow", broke: int | None) -> str:
    """Return where numbers first stopped being finite, "" if they all are."""
    if not flow.trouble:
        return ""
    if broke is not None:
        return f"{name}: the loss was first not finite at step {broke}, and no weight is by now."
    return f"{name}: {flow.trouble}"


def frozen_words(flows: "Mapping[str, GradientFlow]") -> list[str]:
    """Return a sentence for each network that has frozen layers."""
    said = []
    for name, flow in flows.items():
        still = [str(i + 1) for i, frozen in enumerate(flow.frozen) if frozen]
        if still:
            said.append(f"{name} has {len(still)} frozen of {len(flow.names)} layers: {first_of(still)}.")
    return said


def record_conditions(recording: "Recording") -> tuple[str, ...]:
    """Return what was recorded."""
    run = recording.run
    return (
        f"Recorded: {recording.data}, batches of {run['batch_size']}; first stage {run['width']} channels "
        "wide; seed 0.",
        f"Training: SGD, {run['schedule']} rate up to {run['lr']:g}, {run['epochs']} epochs. Networks: "
        "batch norm in train mode, He initialisation, ReLU.",
        "Drawn: gradient norm of each layer's weights, of each step's own batch (Frobenius norm).",
    )


def strength_conditions(depth: int) -> str:
    """Return what a strength means."""
    return (
        f"{depth} layers; every block is F(x) + s x with s the strength of its skip. Faint: plain (s = 0) "
        "and residual (s = 1)."
    )


JACOBIAN_CONDITIONS = (
    "Singular values of each block's Jacobian at one image: how many times it stretches a small change of "
    "its input, for each direction.",
    "Bands: where 90 % and half of the directions lie, estimated by 12 Lanczos steps. Dashed: root mean "
    "square for a gradient that comes back, over all directions. Batch statistics are held constant.",
    "On the right: gradient of each block's output over that of the last block's. Dashed and dotted lines "
    "multiply the blocks' mean squares and medians; what leaves the axis is drawn as triangles on its edge.",
)


def median_note(ways: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[str, ...]:
    """Return why gradients grow where most directions shrink, with the numbers of a depth."""
    plain = {name: multiple(float(values[0])) for name, values in ways["plain"].items()}
    return (
        "Most directions shrink, and still the gradient grows? A gradient lies in all directions at once, "
        "and its length follows the root mean square of their stretching (dashed), which a few strongly "
        "stretched ones carry above 1. The median direction (dotted) says nothing of it.",
        f"From the last plain block to the first, mean squares multiply to {plain['square']} and medians to "
        f"{plain['median']}; measured is {plain['measured']}.",
    )


# --- why ----------------------------------------------------------------------------------------------------

_WHY_EXPLOSION = (
    "A ReLU's outputs have a mean above 0, which the next batch norm subtracts; what is left is scaled up, "
    "and with it the gradient that comes back, by about 1.2 a layer. So in a plain network it grows "
    "exponentially with depth, while a skip passes the gradient of a block's output to its input unscaled. "
    "This is the opposite of the vanishing gradient of many textbooks."
)
_WHY_TRAINED = (
    "The first layers, whose gradients are the largest, move most at each step of SGD. What they pass on "
    "soon carries little gradient back to them: the explosion ends, and in deep plain networks the slope "
    "turns round. In the residual twin the way through the skips stays open."
)
_WHY_NO_NORM = (
    "Without normalisation a plain network's signal shrinks from layer to layer, and on its way back the "
    "gradient of the activations does, too. A weight's gradient is a product of the two, so it is tiny but "
    "about alike at every layer: nothing explodes, nothing vanishes towards the image."
)
_WHY_EVAL = (
    "In eval mode batch norm uses running averages, which are still 0 and 1 in a new network: it does "
    "nothing. You see the network without normalisation, which is not the one that is trained. A "
    "measurement in the wrong "
    'mode "proves" the textbook.'
)
_WHY_LINEAR = (
    "Without the ReLU, batch norm alone keeps the length of a gradient: theory gives it √((B−2)/(B−3)) a "
    "layer for a batch of B, next to nothing. So it is the ReLU behind the batch norm that makes gradients "
    "grow."
)
_WHY_CLOSED = (
    "This start begins with branches that add nothing, so in the residual network most weights get a "
    "gradient of exactly 0 at step 0. The first steps of SGD open the branches: take ten. The plain twin "
    "has no branches to close and begins with He's weights."
)
WHY_STRENGTH = (
    "At strength s a block passes s times the gradient of its output to its input, past the branch. What "
    "comes through all skips is s multiplied by itself once a block, so half a skip is nearer to none than "
    "to a whole one."
)
WHY_JACOBIAN = (
    "On its way back a gradient is multiplied by each block's Jacobian, transposed. It lies in all "
    "directions, so its length follows their root mean square; the few directions that are stretched most "
    "count most. That is why plain gradients grow though the median direction shrinks."
)
WHY_OWN = (
    "Each line is one of your networks: one forward and one backward pass over your images. A line that "
    "rises to the left, towards the image, is a gradient that grows on its way back. Take steps of SGD to "
    "see what training makes of it; your networks themselves are left as they are."
)


def why(given: Conditions, shown: str) -> str:
    """Return how what is measured here comes about."""
    if given.start != "he" and not given.steps:
        return _WHY_CLOSED
    if given.mode == "eval" and given.norm == "batch" and not given.steps:
        return _WHY_EVAL
    if given.norm == "none":
        return _WHY_NO_NORM if not given.steps else ""
    if given.steps:
        return _WHY_TRAINED
    if given.activation == "linear":
        return _WHY_LINEAR
    return (
        _WHY_EXPLOSION
        if given.activation == "relu" and given.norm == "batch" and given.mode == "train"
        else ""
    )


def record_why(step: int) -> str:
    """Return how a recorded step comes about."""
    return _WHY_TRAINED if step else _WHY_EXPLOSION


# --- questions ----------------------------------------------------------------------------------------------


PUZZLE_RULE = "Compared is the norm of the first block's weight gradient with the last block's."
FIRST_ANSWERS = {"larger": "much larger", "level": "about as large", "smaller": "much smaller"}
FIRST_RULE = f"“About as large” means 1/{LEVEL:g} to {LEVEL:g} times; a gradient's size is its norm."
FIRST_REPLIES = {
    "smaller": "Vanishing gradients are what many textbooks tell; they describe networks without batch norm, "
    "or trained ones.",
    "level": "He et al. (2015) report healthy gradient norms with batch norm, too.",
}


def told(profile: Profile) -> str:
    """Return what was measured of a puzzle's network."""
    return f"The first block's gradient is {_of(profile.ratio, 'the last')}'s."


def first_question(depth: int) -> str:
    """Return what is asked before the first picture."""
    return (
        f"A new plain network of {depth} layers with batch norm, before its first training step: how large "
        "is the first block's gradient, beside the last block's?"
    )


def first_told(profiles: Mapping[str, Profile]) -> str:
    """Return what was measured of new twins."""
    plain, residual = profiles["plain"].ratio, profiles["residual"].ratio
    return f"It is {_of(plain, 'the last')}'s; in the residual twin {multiple(residual)}."


def puzzle_headline(text: str, profile: Profile) -> str:
    """Return what a puzzle's network does."""
    return f"{text}: {multiple(profile.ratio)}."


def record_name(name: str) -> str:
    """Return what the menu calls a record."""
    return SOURCES.get(name, f"recorded: {name}")


def more_label(changed: Sequence[str]) -> str:
    """Return what the fold of rarely used switches is called, with those that are not as at first."""
    return "More" + (f": {', '.join(changed)}" if changed else "")


TAKE = f"Take {STEPS} SGD steps"


def known_of(lab: "GradientLab") -> tuple[str, ...]:
    """Return what is known of a person's own networks: norm, start, loss."""
    from resnet_explore.analysis.capture.layers import norms_of

    norms = {name: norms_of(model) for name, model in lab.models.items()}
    starts = {name: _start_of(model) for name, model in lab.models.items()}
    loss = "your own loss" if lab.loss else "mean cross-entropy"
    return (f"Networks: {_each(norms)}; {_each(starts)}; seed of the weights not known; {loss}.",)


def _start_of(model: Any) -> str:
    """Return how a network was built to start, if it says so; it may have been trained since."""
    start = getattr(getattr(model, "config", None), "init", None)
    return f"built with {STARTS[start]} initialisation" if start in STARTS else "initialisation not known"


def _each(said: Mapping[str, str]) -> str:
    """Return what is said of all, or of each if that differs."""
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{name}: {words}" for name, words in said.items())
