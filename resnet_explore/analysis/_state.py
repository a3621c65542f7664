"""To measure without changing: whatever happens to a model inside, it is left exactly as it was found."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError
from resnet_explore.models.chance import chance_kept


class ModelState:
    """The training flags and buffers of a model as they are now, to be put back later."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = list(model.modules())  # to walk through a deep network takes long enough to do it once
        self._training = [(module, module.training) for module in self.modules]
        # All buffers are copied, not only those of normalisation in train mode: some modules count or cache
        # in eval mode too, and their version counters don't tell (batch norm writes without moving them).
        self._buffers = [
            (module, name, buffer, buffer.clone())
            for module in self.modules
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]

    def put_back(self) -> None:
        """Undo what happened to them since."""
        for module, flag in self._training:
            if module.training != flag:  # to set an attribute of a module is slow
                module.training = flag
        for module, name, buffer, copy in self._buffers:
            module._buffers[name] = buffer
            # Through .data, so that a graph the caller still holds doesn't see a modified buffer.
            buffer.data.copy_(copy)


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """On leaving, also by an exception, undo what the block did to the state of `model`.

    Put back are every module's training flag, every parameter's requires_grad and .grad (the same object
    with the same values), and every buffer, such as the running statistics of batch normalisation.
    Inside the block .grad starts as None, so a backward pass there can't add to the caller's gradients.
    The values of parameters are not saved: running a model doesn't change them.
    """
    found = ModelState(model)
    owned = dict.fromkeys(p for module in found.modules for p in module._parameters.values() if p is not None)
    parameters = [(p, p.requires_grad, p.grad) for p in owned]
    for parameter, _, grad in parameters:
        if grad is not None:
            parameter.grad = None
    try:
        yield
    finally:
        found.put_back()
        for parameter, requires_grad, grad in parameters:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
            if parameter.grad is not grad:
                parameter.grad = grad


_ALONE = threading.Lock()
_MEASURED: "WeakKeyDictionary[nn.Module, threading.RLock]" = WeakKeyDictionary()


def turn_of(model: nn.Module) -> "threading.RLock":
    """Return the lock of whoever measures or edits a model, or what it is wrapped in."""
    with _ALONE:
        return _MEASURED.setdefault(unwrapped(model), threading.RLock())


@contextmanager
def measuring(model: nn.Module, chance: bool = False) -> Iterator[None]:
    """What our own forward and backward passes run in: `left_as_found`, with gradients on.

    chance  whether something of the caller's runs there too that may draw random numbers

    Threads that measure the same model, as two explorers of it do, take turns: hooks of one would see the
    passes of the other, and one would put back what the other has changed. A part of a model that is
    measured by itself has a turn of its own.
    The random states of the processor and of the model's GPUs are put back too, where passes of the model may
    draw: dropout does, and a training run that is looked at must go on as if it had not been. They are those
    of the whole process, so for such a model that holds only as long as no other thread draws numbers.
    """
    with (
        turn_of(model),
        chance_kept(model, chance),
        torch.inference_mode(False),
        torch.enable_grad(),
        left_as_found(model),
    ):
        yield


def refuse_replicas(model: nn.Module) -> None:
    """Raise ExploreError if DataParallel would run copies of a network at once, in any order."""
    for name, module in model.named_modules():
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise ExploreError(
                f"{name or 'The model'} is a DataParallel that runs {len(module.device_ids)} copies at once, "
                "whose outputs can't be told apart: take the network inside, its .module."
            )
