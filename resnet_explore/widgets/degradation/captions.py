"""What the degradation explorer says."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.inputs.folders import LAYOUT
from resnet_explore.training.coverage import among, in_words
from resnet_explore.training.plan import KINDS
from resnet_explore.training.published import IMAGENET_TOP1_ERROR, PAPER
from resnet_explore.training.skip_scale import ALL, NONE, skip_scale
from resnet_explore.widgets.core.words import factor, first_of, multiple, percent

if TYPE_CHECKING:
    from resnet_explore.inputs.folders import Survey
    from resnet_explore.training.sweep import Progress
    from resnet_explore.widgets.catalog.layers import OfDepth
    from resnet_explore.widgets.degradation.runs import Row, Runs

_AUGMENTED = {"crop": ", shifted and mirrored at random", "zoom": ", enlarged and mirrored at random"}

NO_LAYERS = "Nothing was noted of the layers in these runs."

GLOSSARY = {
    "batch norm": "A layer that shifts and scales each channel to mean 0 and standard deviation 1 over a "
    "batch, "
    "and then by two learned numbers.",
    "eval mode": "How a trained network is used: batch norm takes the averages that it has gathered in "
    "training.",
    "train mode": "How a network is trained: batch norm takes mean and deviation of the batch that goes "
    "through.",
    "seed": "The number that all chance comes from: the starting weights and the order of the images.",
    "seeds": "Numbers that all chance comes from: the starting weights and the order of the images.",
    "gradient norm": "The length of the vector of all derivatives of the loss by a layer's weights: how "
    "strongly "
    "a step of training pulls at them.",
    "one-cycle": "A learning rate that goes up to its peak, and then down to 0, once.",
    "bf16": "Numbers of 16 bits, of which 8 are for the size: faster, and less precise.",
    "SGD": "Stochastic gradient descent: each step goes down the slope of a batch's loss.",
}

TWINS_WHY = (
    "Plain and residual networks of one depth have the same layers, the same starting weights and see the "
    "same "
    "images in the same order; only the skip connections differ. An error is the share of images whose "
    "class a "
    "network gets wrong. A network that overfits is good on its training images, so a high training error is "
    "something else: the network could not be trained."
)
GRADIENTS_WHY = (
    "A block's gradient norm is taken over all of its weights, for the batch of that step. The headline "
    "divides "
    "the first block's by the last block's, both shaded in the picture. Far above 1 it explodes on its way "
    "back "
    "to the image, far below 1 it vanishes."
)
RESPONSES_WHY = (
    "A response is what a convolution gives after batch norm, before the ReLU or the addition. Its standard "
    "deviation says how much a layer changes what it is given. The paper finds weaker responses in residual "
    "layers, which only add to what the skip carries."
)
PAPER_WHY = (
    "The paper trains networks of several depths with and without skips, as we do, and compares their "
    "errors. Its "
    "images are others and its training is far longer, so the values differ. What can be compared is whether "
    "greater depth helps or hurts."
)


# --- the question that comes first --------------------------------------------------------------------------

SAME = 2.0  # percentage points, up to which two errors count as the same
DEEPER = {"falls": "it falls", "same": "it stays about the same", "rises": "it rises"}
DEEPER_RULE = (
    f"A difference of up to {SAME:g} percentage points counts as the same. Training error: the share of the "
    "images it was trained on that a network gets wrong."
)
DEEPER_REPLIES = {
    "falls": "A deeper network could do all that the shallow one does, with some layers that do nothing; "
    "training does not find that.",
    "same": "A deeper network could do as well, with some layers that do nothing; training does not find "
    "that.",
}
DEEPER_WHY = (
    "This is not overfitting: a network that overfits is good on the images it was trained on. The deeper "
    "plain network can't be trained as well, which He and others (2015) call degradation. Skip connections "
    "take it away."
)


def deeper_question(shallow: int, deep: int) -> str:
    """Return what is asked of two depths."""
    return (
        f"Plain networks, without skips: what happens to the error on their own training images as they grow "
        f"from {shallow} to {deep} layers?"
    )


def deeper_told(shallow: int, deep: int, plain: Sequence[float], residual: Sequence[float]) -> str:
    """Return both networks' errors at two depths."""
    (a, b), (c, d) = (map(percent, errors) for errors in (plain, residual))
    return f"From {shallow} to {deep} layers it goes from {a} to {b}; with skips from {c} to {d}."


# --- errors -------------------------------------------------------------------------------------------------


def errors(runs: "Runs", depth: int, expected: float = math.nan, going: bool = False) -> str:
    """Compare the twins of a depth: at their end, else after as many epochs as both have.

    expected  seconds until the depth's first epoch ends, where that is known
    """
    done = [runs.epochs_done(kind, depth) for kind in KINDS]
    plain, residual = (runs.mean(kind, depth) for kind in KINDS)
    if math.isfinite(plain) and math.isfinite(residual):
        return (
            f"{depth} layers: plain gets {percent(plain)} of its training images wrong, "
            f"residual {percent(residual)}."
        )
    if not any(done):
        return _awaited(depth, expected, going)
    if not all(done):
        kind, other = KINDS if done[0] else KINDS[::-1]
        epoch = max(done)
        when = "" if epoch == runs.epochs else f" after {epoch} of {runs.epochs} epochs"
        wrong = percent(runs.after(kind, depth, epoch))
        return f"{depth} layers{when}: {kind} gets {wrong} wrong; {other} isn't trained yet."
    epoch = min(done)
    plain, residual = (runs.after(kind, depth, epoch) for kind in KINDS)
    return (
        f"{depth} layers after {epoch} of {runs.epochs} epochs: plain gets {percent(plain)} wrong, "
        f"residual {percent(residual)}."
    )


def _awaited(depth: int, expected: float, going: bool) -> str:
    if not going:
        return f"{depth} layers: not a single epoch is finished."
    if math.isfinite(expected):
        return f"{depth} layers: the first epoch ends in about {_seconds(expected)}."
    return f"{depth} layers: the first epoch is still to come; shallow networks are trained first."


def _seconds(seconds: float) -> str:
    rounded = 5 * max(1, round(seconds / 5))
    return f"{rounded} s" if rounded < 90 else f"{round(seconds / 60)} min"


def so_far(runs: "Runs") -> str:
    """Return "after 3 to 5 of 8 epochs" of the runs that are not finished, "" if all are."""
    epochs = [row["epoch"] for row in runs.unfinished]
    if not epochs:
        return ""
    low, high = min(epochs), max(epochs)
    return f"after {f'{low} to {high}' if high > low else low} of {runs.epochs} epochs"


def error_conditions(runs: "Runs", whose: str, data: str, lacking: str, ghosts: bool) -> list[str]:
    """Return what the errors are measured on and how they are drawn."""
    said = [*recipe(runs, whose, data), measured(runs.recipe), *_drawn(runs, "means")]
    if ghosts:
        said.append(GHOSTS)
    if unfinished := so_far(runs):
        said.append(f"Open marks, which no line joins, are runs that are not finished: {unfinished}.")
    if len(runs.depths) == 1:
        said.append(f"Only {runs.depths[0]} layers were trained, so this compares the twins and not depths.")
    return [*said, *([f"{lacking}."] if lacking else [])]


def recipe(runs: "Runs", whose: str, data: str) -> list[str]:
    """Return whose runs these are, on what data, and how they were trained."""
    run = runs.recipe
    precision = ", bf16" if run.get("precision") == "bf16" else ""
    scale = run.get("skip_scale", NONE)
    skips = [] if scale in (ALL, NONE) else [f"The residual twin trained with {skip_scale(scale).words}."]
    rate = "one-cycle to" if run.get("schedule", "one-cycle") == "one-cycle" else "in steps from"
    return [
        f"{whose}: {data}{_AUGMENTED.get(str(run['augment']), '')}; {in_words(runs.places, elsewhere=True)}.",
        f"Both twins: {run['epochs']} epochs of SGD, batch {run['batch_size']}, learning rate {rate} "
        f"{run['lr']:g}{precision}; the first stage is {run['width']} channels wide.",
        *skips,
    ]


def measured(run: "Row") -> str:
    """Say of which images the errors are: of all, or until the last epoch of some."""
    about = run["step"] / run["epoch"] * run["batch_size"]  # training images, to within a batch
    if run["eval_images"] >= about:
        return "Errors are measured in eval mode, on all images without changes."
    return (
        f"Errors are measured in eval mode on {run['eval_images']:,} images of each set, after the last "
        f"epoch on "
        "all."
    )


def _drawn(runs: "Runs", lines: str) -> list[str]:
    counts = {len(runs.seeds_of(kind, depth)) for kind in KINDS for depth in runs.depths} - {0}
    if max(counts, default=1) < 2:
        return []
    some = " where there are several" if min(counts) == 1 else ""
    return [f"Lines are {lines} over seeds{some}, and bands reach from the least to the largest of them."]


# --- layers -------------------------------------------------------------------------------------------------


def no_layers_of(depth: int) -> str:
    """Say that a depth has nothing to show."""
    return f"Nothing is noted yet of the layers in networks of {depth} layers."


def gradient(depth: int, step: int, ratios: Mapping[str, float]) -> str:
    """Compare the first block's gradient with the last block's; a kind that has none is missing or NaN."""
    known = {kind: ratio for kind, ratio in ratios.items() if not math.isnan(ratio)}
    start = f"{depth} layers, step {step:,}"
    if not known:
        return f"{start}: no two blocks' gradients to compare."
    kind, *others = known
    which = "First" if kind == "plain" else "First residual"
    rest = f" ({others[0]}: {multiple(known[others[0]])})" if others else ""
    return f"{start}. {which} block's gradient: {_of(known[kind])} the last block's{rest}."


def _of(ratio: float) -> str:
    said = multiple(ratio)
    return said if said.endswith("×") else f"{said} of"


def response(depth: int, step: int, means: Mapping[str, np.ndarray]) -> str:
    """Say from where to where the responses of the layers reach, (layers,) for each kind."""
    known = {kind: values[np.isfinite(values)] for kind, values in means.items()}
    known = {kind: values for kind, values in known.items() if len(values)}
    start = f"{depth} layers, step {step:,}"
    if not known:
        return f"{start}: nothing is noted yet."
    if all(abs(values - 1).max() < 0.02 for values in known.values()):
        return f"{start}: every layer's response is 1, which is how batch norm starts."
    (kind, reach), *others = [(kind, f"{factor(v.min())} to {factor(v.max())}") for kind, v in known.items()]
    return f"{start}: {kind} responses span {reach}{''.join(f', {k} ones {r}' for k, r in others)}."


def layer_conditions(
    runs: "Runs", of_depth: "OfDepth | None", view: str, whose: str, data: str, lacking: str
) -> list[str]:
    """Return what the layers' numbers are, whose they are and how they are drawn."""
    said = _GRADIENTS if view == "gradients" else _RESPONSES
    drawn = []
    if of_depth is not None:
        seeds = sorted({seed for found in of_depth.seeds.values() for seed in found})
        lines = "geometric means" if view == "gradients" else "means"
        many = (
            f"Lines are {lines} over {among(seeds)}, and bands reach from the least to the largest of them."
        )
        drawn = [many] if len(seeds) > 1 else []
    return [*said, *drawn, *recipe(runs, whose, data), *([f"{lacking}."] if lacking else [])]


_GRADIENTS = (
    "Gradient norm: of the training loss's gradient by each layer's weights, for that step's batch, in "
    "train mode "
    "with batch norm.",
    "A block's is the norm over the weights of all its layers. One logarithmic axis serves all steps of a "
    "depth.",
)
_RESPONSES = (
    "Response: the standard deviation of a convolution's output after batch norm, before the ReLU or the "
    "addition, "
    "for that step's batch in train mode. He et al. 2015, Fig. 7, don't say in which mode theirs is.",
    "The fully connected layer has no batch norm and is left out. One axis serves all steps of a depth.",
)


def moment(step: int, ends: Mapping[int, int]) -> str:
    """Return more about a step; `ends` maps steps done at the end of an epoch to that epoch."""
    if step == 0:
        return "before training"
    return f"end of epoch {ends[step + 1]}" if step + 1 in ends else ""


# --- beside the paper ---------------------------------------------------------------------------------------


def beside(runs: "Runs") -> str:
    """Say what greater depth did here and there; the paper's own pair of depths where there is one."""
    pair = (20, 56) if {20, 56} <= set(runs.depths) else (runs.depths[0], runs.depths[-1])
    ours = [runs.mean("plain", depth, "test") for depth in pair]
    if pair[0] == pair[1] or not np.isfinite(ours).all():
        return "Our errors, and those of the paper."
    verb = "rises" if ours[1] > ours[0] else "falls"
    theirs = [IMAGENET_TOP1_ERROR[depth]["plain"] for depth in (18, 34)]
    return (
        f"Plain test error {verb} with depth: ours {'→'.join(f'{error:.1f}' for error in ours)} % "
        f"({pair[0]}→{pair[1]}), the paper's {'→'.join(f'{error:.1f}' for error in theirs)} % (18→34)."
    )


def paper_conditions(runs: "Runs", whose: str, data: str, lacking: str) -> list[str]:
    """Return what the numbers are, ours and theirs."""
    counts = {len(runs.seeds_of(kind, depth)) for kind in KINDS for depth in runs.depths} - {0}
    spread = "mean and standard deviation (±) over seeds" if max(counts, default=1) > 1 else "one seed each"
    if max(counts, default=1) > 1 and min(counts) == 1:
        spread += " where there are several"
    epochs = runs.epochs
    return [
        f"Ours: errors after the last epoch, {spread}.",
        *recipe(runs, whose, data),
        f"Theirs (shaded): {PAPER}.",
        "Table 2: top-1 error on ImageNet's validation images, ten crops an image. Table 6: test error on "
        "the "
        "original CIFAR-10 after 64,000 steps (164 epochs) with crops and flips; at 110 layers the best of "
        "five "
        "runs (6.61 ± 0.16). It has no plain networks: the paper draws them as curves only.",
        f"Compare the order and not the values: the data differ, and ours were trained for {epochs} "
        f"epoch{'s' if epochs > 1 else ''} only.",
        *([f"{lacking}."] if lacking else []),
    ]


# --- training -----------------------------------------------------------------------------------------------


def starting(data: str) -> str:
    """Say that workers start."""
    return f"Starting the workers. They train on {data} ..."


def trained(progress: "Progress", seconds: float) -> str:
    """Say how far a training is, and how long it still takes where that is known."""
    from resnet_explore.training.time_left import left

    return (
        f"Trained {progress.epochs_done} of {progress.epochs_total} epochs in {progress.seconds:.0f} s"
        f"{left(seconds)}."
    )


def outcome(
    finished: bool, count: int, seconds: float | None, resumed: bool, begun: bool, lost: Sequence[str]
) -> str:
    """Say what came of a training.

    seconds  that it took now; None where all was trained earlier
    resumed  whether it went on with an earlier one
    begun    whether any epoch is finished
    lost     images that it was told to leave out
    """
    if finished:
        took = "earlier" if seconds is None else f"in {seconds:.0f} s"
        took += ", after an earlier start" if seconds is not None and resumed else ""
        said = f"All {count} networks were trained here {took}. Another seed trains them anew."
    elif begun:
        said = "Stopped. Train goes on from the last finished epochs."
    else:
        said = "Stopped before an epoch was finished. Train begins again."
    return said + (f" Left out, since they can't be read: {first_of(lost)}." if lost else "")


def unreadable(found: str) -> str:
    """Say what can be done about images that can't be read."""
    return f'{found}: mend or remove them, or tick "{LEAVE_OUT}".'


def offer(count: int, begun: bool, cost: float) -> str:
    """Say what *Train* does.

    begun  whether it was begun with this seed
    cost   seconds of one core that one seed took when it was recorded; NaN where that is not known
    """
    if begun:
        return "Train shows your run of this seed, and goes on where it was stopped."
    took = f" This took {cost:.0f} s of one core where it was recorded." if math.isfinite(cost) else ""
    return f"Train trains these {count} networks here, with the seed beside it.{took}"


def folder(found: "Survey", depths: Sequence[int], epochs: int) -> str:
    """Say what would be trained on a folder of images."""
    return (
        f"{found.images:,} training images of {len(found.classes)} classes "
        f"({first_of(list(found.classes))}). "
        f"Train trains {2 * len(depths)} networks of {', '.join(map(str, depths[:-1]))} and {depths[-1]} "
        f"layers on "
        f"them, {epochs} epochs each."
    )


def repeated(minutes: Any, count: int, on_other_data: bool) -> str:
    """Say how long a record's runs took, and what the commands that repeat it do."""
    took = f"took {minutes:.0f} minutes of training, summed" if minutes else "take long"
    said = f"These {count} runs {took}; they are trained again in a terminal."
    if on_other_data:
        said += (
            " The commands download the original data and train on those, where errors may differ; --root "
            "FOLDER "
            "names data of yours."
        )
    return said


NAME_A_FOLDER = (
    f"Name a folder of images that lie as {LAYOUT}. The networks see them as 32×32 pixels, and they stay on "
    f"this "
    "computer."
)
LEAVE_OUT = "Leave out broken images"
READING_LAYERS = "Reading what was noted of the layers ..."
LOOKING = "Looking at the folder ..."
LOADING = "Starting: loading torch takes some seconds ..."
NO_EPOCH = "Curves are drawn here once the first epoch is finished; shallow networks are trained first."
GHOSTS = "Faint lines are the recorded runs of the same recipe, for comparison: means over their seeds."
NO_FOLDER = "Name a folder of images first."
NOTHING_TRAINED = "Nothing has been trained on these data here yet."
LIES_THERE = "A run of this seed lies on this computer: press Train to see it, or to go on with it."
NOT_HERE = "These runs take long: they are trained in a terminal, by the commands below."
IS_TRAINING = "A training is going on: stop it first."
NOT_TRAINING = "Nothing is being trained."
