"""Tasks whose answer is read off an explorer; the truth is measured, or taken from the recorded runs."""

import copy
import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from resnet_explore.analysis.explain.maps import class_activation_maps
from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.lab import GradientLab
from resnet_explore.analysis.skips.lesions import lesion_study
from resnet_explore.exercises.answers import NotAnAnswerError, as_choice, as_number, as_parts, named
from resnet_explore.exercises.registry import SEE, exercise
from resnet_explore.exercises.result import Remark, right, wrong
from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.inputs.images import sample_photos, to_batch
from resnet_explore.models.presets import build
from resnet_explore.paths import shipped
from resnet_explore.training.recorded import open_record
from resnet_explore.training.summary import summarize

_DEPTH = 56
_ABOUT = 2.5  # seeds and batches change a ratio of gradients that much


@exercise(
    "Where does the plain network fail?",
    SEE,
    3,
    "Pass one number: the smallest depth on the slider at which the plain network is wrong on more than "
    "half of its training images.",
    "Move the slider Depth and read the plain network's training error, the solid orange line.",
)
def plain_fails(answer: Any) -> Iterator[Remark]:
    """Yield a remark on a depth."""
    depth = as_number(answer, "a depth, one number")
    errors = _training_errors()
    truth = min(d for d, error in errors.items() if error > 50)
    if depth not in errors:
        there = ", ".join(f"{d:g}" for d in errors)
        yield wrong(f"There is no plain network of {depth:g} layers here.", f"The slider offers {there}.")
    elif depth == truth:
        yield right(f"At {depth:g} layers it is wrong on {errors[depth]:.0f} % of its own training images.")
    elif errors[depth] > 50:
        yield wrong(
            f"At {depth:g} layers it fails, {errors[depth]:.0f} %, but not there first.",
            "Go to smaller depths, one step at a time.",
        )
    else:
        yield wrong(
            f"At {depth:g} layers it is wrong on {errors[depth]:.0f} % of its training images only.",
            "Go deeper. Look at the plain network, orange, and at the training error, solid.",
        )


def _training_errors() -> dict[float, float]:
    table = summarize(open_record(shipped("data", "digits")).table())
    return {float(depth): float(error) for depth, error in table["train_error"]["plain"].items()}


@exercise(
    "Which block has the larger gradient?",
    SEE,
    4,
    'Pass two things: "first" or "last", the block of a new plain network of 56 layers whose gradient is '
    "larger, and by what factor, about.",
    "Set Depth to 56 and read the orange line, before any step of training, in train mode.",
)
def larger_gradient(answer: Any) -> Iterator[Remark]:
    """Yield remarks on ("first" or "last", factor)."""
    parts = as_parts(answer, 2, 'two things, "first" or "last" and a factor')
    words = [
        part for part in parts if isinstance(part, str) and any(w in part.lower() for w in ("first", "last"))
    ]
    if len(words) != 1:
        raise NotAnAnswerError('This asks for "first" or "last", and for a factor.')
    [factor] = [as_number(part, "a factor") for part in parts if part is not words[0]]
    truth = _ratio("plain", "train")
    if "first" not in words[0].lower():
        yield wrong(
            "It is not the last block's.",
            "That is what many textbooks say. Look again: the image is on the left, and the axis is "
            "logarithmic.",
        )
    else:
        yield right("The first block's gradient is larger: it explodes towards the image.")
    if truth / _ABOUT <= factor <= truth * _ABOUT:
        yield right(f"About {factor:,.0f} times; measured here: {truth:,.0f}.")
        return
    known = {
        _ratio("plain", "eval"): "You have measured in eval mode. Set Mode to train.",
        _ratio("residual", "train"): "That is the residual network's. The plain one is orange.",
        1 / truth: "You have divided the other way round: larger by smaller.",
    }
    close = [hint for ratio, hint in known.items() if ratio / 1.3 <= factor <= ratio * 1.3]
    usual = (
        "Each thick line of a logarithmic axis is ten times the one before. The headline has the number, too."
    )
    yield wrong(f"{factor:,.3g} is not the factor.", close[0] if close else usual)


@cache
def _ratio(kind: str, mode: str, norm: str = "batch") -> float:
    """Return the first block's gradient over the last's, of a new network."""
    return GradientLab().flow(kind, _DEPTH, Conditions(mode=mode, norm=norm)).ratio


def _new() -> nn.Module:
    return build(f"cifar_plain{_DEPTH}")


def _other_weights_in_eval_mode() -> bool:
    network = _new()
    before = copy.deepcopy(network.state_dict())
    after = network.eval().state_dict()
    return not all(value.equal(after[name]) for name, value in before.items())


# The reasons that are offered, and how each is tried.
_REASONS: dict[str, Callable[[], bool]] = {
    "a": lambda: any(isinstance(module, _DropoutNd) for module in _new().modules()),
    "b": lambda: math.isclose(_ratio("plain", "eval"), _ratio("plain", "train", "none"), rel_tol=0.01),
    "c": lambda: not math.isfinite(_ratio("plain", "eval")),
    "d": _other_weights_in_eval_mode,
}


@exercise(
    "Why does eval mode show another picture?",
    SEE,
    5,
    "Pass a letter. At step 0 the explosion is gone in eval mode, because (a) dropout is switched off, "
    "(b) batch norm then uses running averages that are still 0 and 1, so it does nothing, (c) no "
    "gradients are computed in eval mode, (d) the weights are others.",
    "Switch Mode to eval, and then back and Norm to none. Compare the two pictures.",
)
def eval_mode(answer: Any) -> Iterator[Remark]:
    """Yield a remark on a letter."""
    letter = as_choice(answer, "".join(_REASONS))
    if _REASONS[letter]():
        yield right(
            f"In eval mode the first block's gradient is {_ratio('plain', 'eval'):.1f} times the last's; in "
            f"train mode without any norm it is {_ratio('plain', 'train', 'none'):.1f} times, the same."
        )
        return
    hints = {
        "a": "These networks have no dropout. Which layer of theirs works in two ways?",
        "c": "The picture does show gradients. Only no_grad would stop them, which is another thing.",
        "d": "The weights are the same. Which layer reads other numbers in eval mode?",
    }
    yield wrong(f"({letter}) is not why.", hints[letter])


# What lies where on the photo of the man behind the camera: (top, bottom, left, right) in an 8×8 map.
_PLACES = {
    "a": ("the sky", (0, 2, 2, 8)),
    "b": ("the buildings on the right", (3, 5, 5, 8)),
    "c": ("the man's coat", (4, 8, 0, 3)),
    "d": ("the legs of the tripod", (6, 8, 3, 6)),
}


@exercise(
    "Read a heatmap",
    SEE,
    5,
    "Pass a letter. The residual network takes a man behind a camera for a chain saw. What speaks most "
    "strongly for that: (a) the sky, (b) the buildings on the right, (c) the man's coat, (d) the legs of "
    "the tripod?",
    "Look at the right picture, of the residual network. Red speaks for the class, blue against it.",
)
def read_heatmap(answer: Any) -> Iterator[Remark]:
    """Yield a remark on a letter."""
    letter = as_choice(answer, "".join(_PLACES))
    speaks = _heat()
    words, _ = _PLACES[letter]
    if letter == max(speaks, key=lambda one: speaks[one]):
        yield right(f"It is {words}, and neither man nor camera: the network is wrong, and so is its reason.")
    elif speaks[letter] < 0:
        yield wrong(f"Not {words}: that is blue.", "Blue speaks against the class. Look for the deepest red.")
    else:
        yield wrong(f"Not {words}.", "Look for the deepest red, in the picture of the residual network.")


@cache
def _heat() -> dict[str, float]:
    """Return the mean of Grad-CAM in each place, at the block that the explorer opens on."""
    network = build("resnet18", weights="imagenette").eval()
    about = network.about
    photo = to_batch(sample_photos()["camera"].load(), about["input_size"][-1], about["mean"], about["std"])
    heat = class_activation_maps(network, photo, layers="layer3.1")["layer3.1"][0]
    return {
        letter: float(heat[top:bottom, left:right].mean())
        for letter, (_, (top, bottom, left, right)) in _PLACES.items()
    }


@exercise(
    "Find the block that matters most",
    SEE,
    6,
    "Pass the number of the block, as on the boxes, without which the trained residual network of 20 "
    'layers is wrong most often; its name, "layer2.1", does as well.',
    "Take out one block at a time, or open the tab Many edits. In code: with rx.edited(model, delete=[...]).",
)
def most_important_block(answer: Any) -> Iterator[Remark]:
    """Yield a remark on a block's number or name."""
    errors = _errors_without()
    names = list(errors)
    name = _block(answer, names)
    worst = max(errors, key=lambda one: errors[one])
    place = names.index(name) + 1
    said = f"Without block {place} ({name}) the error is {errors[name]:.0f} %"
    if name == worst:
        yield right(f"{said}, more than without any other.")
    elif name == min(errors, key=lambda one: errors[one]):
        yield wrong(f"{said}: that is the one that matters least.", "Look for the largest error.")
    else:
        yield wrong(
            f"{said}. Another costs more.", "Put it back before you take out the next one. Try all nine."
        )


def _block(answer: Any, names: list[str]) -> str:
    """Return the name of a block that was given by name or by number."""
    asked = f"a block: a number from 1 to {len(names)}, or its name"
    if isinstance(answer, str):
        tidy = answer.strip().lower().removeprefix("block").strip()
        if tidy in names:
            return tidy
        answer = tidy if tidy.isdigit() else answer
    number = as_number(answer, asked)
    if number not in range(1, len(names) + 1):
        raise NotAnAnswerError(f"This asks for {asked}, not for {named(answer)}.")
    return names[int(number) - 1]


@cache
def _errors_without() -> dict[str, float]:
    """Return the error in percent without each block."""
    network = build("cifar_resnet20", weights="digits").eval()
    test = load_dataset("digits", split="test")
    with torch.no_grad():
        table = lesion_study(network, test.normalized(), test.labels, counts=(1,)).table
    return dict(zip(table["blocks"], table["error"], strict=True))
