"""The hardest task: make a plain network of 56 layers learn without skips; it is trained to see."""

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_explore.analysis.topology.structure import structure
from resnet_explore.errors import ExploreError
from resnet_explore.exercises.answers import NotAnAnswerError, as_tensor, name_of, named, run
from resnet_explore.exercises.registry import CODE, exercise
from resnet_explore.exercises.result import Remark, right, wrong
from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.presets import build, config_of
from resnet_explore.models.summary import describe
from resnet_explore.models.threads import one_thread
from resnet_explore.training.live import LiveTraining

_DEPTH, _WIDTH = 56, 8
_IMAGE = (1, 8, 8)
_STEPS, _RATE, _BATCH = 100, 0.02, 64
_GOOD = 40  # percent wrong at most; as it comes, the network is wrong on 60 to 75
_WHOSE = "Your network"


@exercise(
    "Make 56 layers learn without skips",
    CODE,
    30,
    "Pass a function: f(network) changes the plain network of 56 layers that it gets, its weights or its "
    f"layers, and may return it. It is then trained on digits for {_STEPS} steps. At the end at most "
    f"{_GOOD} % of the training images may be wrong.",
    "A skip makes each block begin near the identity. Which starting weights let a plain block begin "
    "there? And what does a ReLU after each layer do to what passes? You may change both, but add no "
    "skip.",
)
def train_plain(answer: Any) -> Iterator[Remark]:
    """Yield remarks on a function that prepares a network, or that makes one, or on a network."""
    network = _prepared(answer)
    x = torch.randn(32, *_IMAGE)
    logits = as_tensor(run(_WHOSE, network, x), _WHOSE)
    if logits.shape != (len(x), 10):
        said = f"For {len(x)} digits it gives {tuple(logits.shape)}."
        yield wrong(said, f"It should give ten logits for each: ({len(x)}, 10).")
        return
    try:
        depth, skips = describe(network, _IMAGE).depth, structure(network, _IMAGE).skips
    except ExploreError as error:
        raise NotAnAnswerError(f"Your network can't be looked at: {error}") from None
    if skips:
        yield wrong(
            f"It has {skips} skips.", "The task is to do without: no sum with something that passed by."
        )
        return
    yield right("It has no skips.")
    if depth < _DEPTH:
        yield wrong(f"It has {depth} layers.", f"Keep at least {_DEPTH}: fewer are no difficulty.")
        return
    yield right(f"It has {depth} layers with weights.")
    if _is_as_given(network):
        yield wrong("It is as it came: nothing has changed.", "Change its weights or its layers, in place.")
        return
    if _is_linear(network, x):
        yield wrong(
            "It is linear: all its layers together can do no more than one.",
            "Keep something that bends. It need not be a ReLU that cuts off all that is below 0.",
        )
        return
    yield _trained(network)


def _trained(network: nn.Module) -> Remark:
    """Train the network for some seconds, and judge its error on the training images."""
    digits = load_dataset("digits")
    images, labels = digits.normalized(), digits.labels
    with one_thread():
        training = LiveTraining(network, images, labels, _RATE, _BATCH)
        run("The training", training.take, _STEPS)
        with torch.no_grad():
            answers = network.train()(images).argmax(1)
    error = 100 * float((answers != labels).float().mean())
    said = f"After {_STEPS} steps it is wrong on {error:.0f} % of the training images"
    if error <= _GOOD:
        return right(f"{said}: it learns.")
    hint = (
        "Compare your network's gradients before the first step with the residual twin's, by "
        "rx.gradient_flow: the closer to level, the better."
    )
    return wrong(f"{said}; at most {_GOOD} % may be.", hint)


def _prepared(answer: Any) -> nn.Module:
    """Return the student's network, ready to be trained."""
    if isinstance(answer, nn.Module):
        return run("Copying your network", copy.deepcopy, answer)
    if not callable(answer):
        raise NotAnAnswerError(f"This asks for a function that prepares a network, not for {named(answer)}.")
    given = _plain()
    whose = f"{name_of(answer)}({'network' if _takes_one(answer) else ''})"
    made = run(whose, answer, given) if _takes_one(answer) else run(whose, answer)
    if made is None and _takes_one(answer):
        made = given
    if not isinstance(made, nn.Module):
        raise NotAnAnswerError(f"{whose} gives back {named(made)}, not a network.")
    return made


def _takes_one(function: Any) -> bool:
    """Return whether a function has to be given something."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(
        p.kind is p.VAR_POSITIONAL or p.default is p.empty for p in parameters if p.kind is not p.VAR_KEYWORD
    )


def _plain() -> nn.Module:
    config = config_of(f"cifar_plain{_DEPTH}")
    if not isinstance(config, ResNetConfig):
        raise TypeError("a CIFAR network is a ResNet")
    widths = (_WIDTH, 2 * _WIDTH, 4 * _WIDTH)
    return build(config.replace(in_channels=_IMAGE[0], widths=widths))


def _is_as_given(network: nn.Module) -> bool:
    given = _plain()
    here, there = network.state_dict(), given.state_dict()
    same = str(network) == str(given) and here.keys() == there.keys()
    return same and all(value.equal(there[name]) for name, value in here.items() if value.is_floating_point())


def _is_linear(network: nn.Module, x: Tensor) -> bool:
    """Return whether f(x) + f(-x) = 2 f(0) in eval mode, where batch norm is linear."""
    fitted = run("Copying your network", copy.deepcopy, network)
    for module in fitted.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0  # so that one pass gives the statistics with which a signal gets through
    with torch.no_grad():
        run(_WHOSE, fitted.train(), x)
        ups, downs, rests = (run(_WHOSE, fitted.eval(), z) for z in (x, -x, torch.zeros_like(x)))
    return bool((ups + downs - 2 * rests).abs().max() <= 1e-3 * (ups - downs).abs().max())
