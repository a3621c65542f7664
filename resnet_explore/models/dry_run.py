"""Send one input through any network to see what happens there, and leave no trace in it."""

import copy
import operator
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from resnet_explore.errors import ExploreError, require_module
from resnet_explore.models.chance import chance_kept
from resnet_explore.models.dispatch import Shapes, uncompiled


class Watcher(Protocol):
    """What can watch a run."""

    def watching(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which the model will run."""


W = TypeVar("W", bound=Watcher)


def dry_run(
    model: nn.Module,
    input_size: tuple[int, ...],
    watcher: Callable[[Tensor, Iterable[Tensor]], W],
    computing: bool = True,
) -> W:
    """Return what `watcher` (called with the input and the weights) saw of one pass in eval mode.

    input_size is (C, H, W) or (C, T, H, W), without the batch. Where it can, only shapes are traced and
    nothing is computed; a network whose shapes depend on values (a detector) runs once, on noise, unless
    `computing` is False. Raises ExploreError if the model can't take such an input. The model is left as it
    was.
    """
    require_module(model)
    size = as_size(input_size)
    try:
        return _run(model, size, watcher, torch.device("meta"))
    except Exception as error:  # whatever a model raises that can't do without values
        reason = _first_line(error)
    if computing:
        try:
            return _run(model, size, watcher, None)
        except Exception as error:
            reason = _first_line(error)
    # The errors themselves are let go: with their tracebacks they would hold all results of the passes.
    raise ExploreError(f"The model can't take an input of size {size} ({reason}).")


def as_size(input_size: Any) -> tuple[int, ...]:
    """Return a size as a tuple of whole numbers; ExploreError for what is none."""
    try:
        size = tuple(operator.index(side) for side in input_size)
    except TypeError:
        size = ()
    if not size or min(size) < 1:
        raise ExploreError(f"input_size must be such as (3, 224, 224), not {input_size!r:.60}.")
    return size


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@torch.inference_mode(False)  # in it torch hides operations from whoever watches them
def _run(
    model: nn.Module,
    size: tuple[int, ...],
    watcher: Callable[[Tensor, Iterable[Tensor]], W],
    device: torch.device | None,
) -> W:
    """Run one input, with shapes alone if a device is given, else with the weights' values.

    A copy runs that shares the weights: models also note things outside of them, detectors their anchors.
    """
    own = model.state_dict(keep_vars=True)
    copied = _copy(model, own.values()).eval()
    stand_ins: dict[int, Tensor] = {}  # one for each weight, also where it goes by two names
    for value in own.values():
        if id(value) not in stand_ins:
            stand_ins[id(value)] = _stand_in(value, device)
    state = {name: stand_ins[id(value)] for name, value in own.items()}
    first = next((v for v in state.values() if v.is_floating_point()), torch.empty(0))
    if device is not None:  # an input may be too large to be made
        image = torch.empty(1, *size, device=device, dtype=first.dtype)
    else:
        noise = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
        image = noise.to(device=first.device, dtype=first.dtype)
    watch = watcher(image, stand_ins.values())
    # The mode that is entered last hears first, so the watch hears of what the shapes answer.
    shapes = nullcontext() if device is None else Shapes()
    with chance_kept(copied), torch.enable_grad(), uncompiled(), shapes, watch.watching(copied):
        functional_call(copied, state, (image,))
    return watch


def _stand_in(value: Tensor, device: torch.device | None) -> Tensor:
    parameter = isinstance(value, nn.Parameter)
    if device is not None:
        # empty_like would do it in Python there, by way of sympy: 35 MB.
        value = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
    value = value.detach() if parameter else value.detach().clone()
    # Also where frozen: all networks are measured alike.
    return value.requires_grad_(parameter and value.is_floating_point())


def _copy(model: nn.Module, weights: Iterable[Tensor]) -> nn.Module:
    """Return a copy that shares the weights and has none of the hooks that look at outputs.

    Hooks before a forward stay: weight normalisation makes its weights there.
    """
    shared = {id(weight): weight for weight in weights}
    copied = copy.deepcopy(model, shared)
    for module in copied.modules():
        module._forward_hooks.clear()
    return copied
