"""All sentences of the playground."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resnet_explore.widgets.core.words import factor, listed, percent
from resnet_explore.widgets.playground.curves import SMOOTH, measured_at

if TYPE_CHECKING:
    from resnet_explore.training.race import Change
    from resnet_explore.widgets.playground.jobs import Standing
    from resnet_explore.widgets.playground.state import PlaygroundState

WAITING = "Networks that train side by side, drawn as they go."
TWICE = "This network is in the race already."
LAST_ONE = "A race needs a network."
NO_MORE = "All networks of these depths are in the race already."
FULL = "Four networks are the most."
REMOVE = "Remove this network"
OWN_SHORTCUT = "as written"
SKIPS_TIP = "What the shortcuts are multiplied by: change it while they train"

KINDS = {"plain": "plain", "residual": "residual"}
NORMS = {"batch": "batch norm", "group": "group norm", "none": "no norm"}
INITS = {"he": "He", "rezero": "ReZero", "skipinit": "SkipInit", "fixup": "Fixup"}
ORDERS = {
    "post": "after the addition",
    "pre": "pre-activation",
    "relu_only_pre": "ReLU first",
    "relu_before_add": "ReLU before the addition",
    "bn_after_add": "norm after the addition",
}
# He et al. 2016, Table 1; a gate's bias is the one that did best there.
SHORTCUTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "identity": ("x itself", {}),
    "projection": ("1×1 where shapes differ", {"shortcut": "projection"}),
    "projection_all": ("1×1 everywhere", {"shortcut": "projection_all"}),
    "half": ("half x, half branch", {"skip": 0.5, "branch": 0.5}),
    "exclusive": ("exclusive gate", {"gate": "exclusive", "bias": -6.0}),
    "shortcut_only": ("gate on x alone", {"gate": "shortcut_only", "bias": -6.0}),
    "dropout": ("half of x dropped", {"dropout": 0.5}),
}
DATA = {
    "digits": "digits",
    "spirals": "two spirals",
    "circles": "disc and ring",
    "xor": "XOR quarters",
    "cifar10": "CIFAR-10",
    "folder": "your folder",
}
NOT_HERE = 'CIFAR-10 is not on this computer: run rx.load_dataset("cifar10") once (170 MB).'
NO_FOLDER = "Name the folder of your images first, under More."
GLOSSARY = {
    "held-out": "Images that the networks are not trained on.",
    "loss": "Cross-entropy: minus the log of the share that the network gives to the right class.",
    "level": "Errors that differ by less than two standard errors, so perhaps by chance.",
}
WHY = (
    "All networks take the same steps on the same images, so only how they are built tells them apart. "
    "A step has to suit all layers at once; the last chart shows how differently they are asked to move. "
    "A skip lets each block begin from what came before and add to it, which makes depth easy to train."
)


OPENING_QUESTION = (
    "Two networks of 56 layers, one plain, one with skips, get 60 steps of training. Which one is ahead?"
)
OPENING_GUESSES = {
    "plain": "The plain one: it has less to coordinate",
    "level": "Neither: 60 steps are too few",
    "residual": "The one with skips",
}
OPENING_RULE = "Ahead means fewer errors on new images, by more than two standard errors."
WHY_AHEAD = (
    "Both start from the same weights and see the same images. "
    "In the plain one each layer has to cope with what all layers before it change at the same time. "
    "With skips each block begins from what came before and only adds to it, so it can learn at once."
)


def opening_told(errors: Mapping[str, float]) -> str:
    """Return what was measured after the first steps, errors in percent by name."""
    said = [f"{name} gets {percent(error)} of new images wrong" for name, error in errors.items()]
    return f"{listed(said)}."


def network_label(k: int) -> str:
    """Return what a row of menus is called."""
    return f"Network {k + 1}"


def skips_words(value: float | None) -> str:
    """Return a factor on skips in words."""
    if value is None:
        return "none"
    return "× 0, taken away" if value == 0 else f"× {value:g}"


def width_words(widths: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Return widths in words, 0 for what suits the images."""
    return {width: "usual" if width == "0" else f"{width} channels" for width in widths}


def more_label(options: Sequence[str]) -> str:
    """Return the word that a row's other menus are folded behind, with what is not as usual."""
    return f"More: {' '.join(options)}" if options else "More"


def outcome(standing: "Standing", step: int, errors: Mapping[str, float], places: Mapping[str, int]) -> str:
    """Return the finding at a step."""
    left = [
        name
        for name, curve in standing.curves.items()
        if curve.broke_at is not None and curve.broke_at < step
    ]
    if left:
        curve = standing.curves[left[0]]
        return f"{left[0]} left at step {curve.broke_at}: its loss is no longer a number."
    names = sorted(errors, key=lambda name: errors[name])
    best, last = names[0], names[-1]
    step = measured_at(standing.curves[best], step)
    if not step:
        return f"Before the first step all guess: {percent(errors[best])} or more wrong."
    when = f"After {step:,} steps"
    if len(names) == 1:
        return f"{when} {best} gets {percent(errors[best])} of held-out images wrong."
    if len(set(places.values())) == 1:
        span = " to ".join(dict.fromkeys([percent(errors[best]), percent(errors[last])]))
        who = "both are" if len(names) == 2 else "all are"
        return f"{when} {who} level: {span} of held-out images wrong."
    most = percent(errors[last])
    return f"{when} {best} gets {percent(errors[best])} of held-out images wrong, {last} {most}."


def status(standing: "Standing", name: str, step: int) -> str:
    """Return how a network's skips are, or that it has left."""
    curve = standing.curves[name]
    if curve.broke_at is not None and curve.broke_at < step:
        return f"left at step {curve.broke_at}"
    changes = [change for change in standing.changes if change.what == name]
    done = [change.after for change in changes if change.step < step]
    first = changes[0].before if changes else curve.skip
    return skips_words(done[-1] if done else first)


def place_words(name: str, places: Mapping[str, int]) -> str:
    """Return a place, and that it is shared: "1, level"."""
    if name not in places:
        return "–"
    shared = list(places.values()).count(places[name]) > 1
    return f"{places[name]}{', level' if shared else ''}"


def spread_words(norms: Any) -> str:
    """Return the largest gradient over the smallest, of those above 0."""
    known = [float(n) for n in norms if math.isfinite(n) and n > 0]
    return f"{factor(max(known) / min(known))}×" if known else "–"


def change_label(change: "Change") -> str:
    """Return a change in a few letters, for a chart."""
    if change.what == "lr":
        return f"rate {change.after:g}"
    return "skips off" if not change.after else f"skips × {change.after:g}"


def change_words(changes: "Sequence[Change]") -> str:
    """Return all changes in one sentence, "" for none."""
    said = [
        f"before step {c.step} "
        + (
            f"the rate from {c.before:g} to {c.after:g}"
            if c.what == "lr"
            else f"the skips of {c.what} from {skips_words(c.before)} to {skips_words(c.after)}"
        )
        for c in changes
    ]
    return f"Changed on the way: {'; '.join(said)}." if said else ""


def conditions(state: "PlaygroundState", standing: "Standing") -> tuple[str, ...]:
    """Return under what the race is run."""
    networks = listed([f"{n} ({len(c.layers)} weighted layers)" for n, c in standing.curves.items()])
    return tuple(
        filter(
            None,
            (
                f"Trained on {standing.images}; errors are those of {standing.held_out} held-out images, in "
                "eval mode, every 10 steps.",
                f"SGD with momentum 0.9, rate {standing.first_lr:g} at first, {state.batch_size} images a "
                f"step, seed {state.seed} for weights and batches: another may end otherwise.",
                change_words(standing.changes),
                f"The loss is that of each step's batch, in train mode, as the mean of the last {SMOOTH}. A "
                "gradient is the norm of a layer's weight gradient in that step.",
                "Errors are called level that differ by less than two standard errors of their difference.",
                f"Networks: {networks}.",
                "Faint lines are earlier races." if standing.ghosts else "",
            ),
        )
    )


CHANGED_NOTE = "rate and skips were changed on the way: explorer.call has the race as it went."
