"""A copy of a network that can be hooked: no activation works in place, and each is called once."""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnet_explore.analysis._batch import answer
from resnet_explore.errors import ExploreError

# What DeepLift has rules for, and must therefore see once each.
_ACTIVATIONS = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool2d)


def hookable(model: nn.Module, batch: Tensor) -> tuple[nn.Module, set[str]]:
    """Return a copy with activations out of place, called once each, and those called as functions."""
    try:
        twin = copy.deepcopy(model).eval()
    except (RuntimeError, TypeError) as error:
        raise ExploreError(
            f"The model can't be copied to be hooked ({str(error).splitlines()[0]})."
        ) from None
    for module in twin.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    listener = _CallListener(twin)
    with torch.no_grad(), listener.listening():
        answer(twin, batch[:1].clone())
    spread = {module: _Spread(module, calls) for module, calls in listener.calls.items() if calls > 1}
    for path, module in list(twin.named_modules(remove_duplicate=False)):
        if module in spread and path:
            parent, _, name = path.rpartition(".")
            setattr(twin.get_submodule(parent), name, spread[module])

    def begin(*_: Any) -> None:
        for one in spread.values():
            one.called = 0

    twin.register_forward_pre_hook(begin)
    return twin, listener.functional


class _Spread(nn.Module):
    """As many copies of an activation as it is called in one pass, each called once."""

    def __init__(self, module: nn.Module, calls: int) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(module) for _ in range(calls))
        self.called = 0

    def forward(self, x: Tensor) -> Tensor:
        self.called += 1
        return self.copies[(self.called - 1) % len(self.copies)](x)


class _CallListener(TorchFunctionMode):
    """Counts the calls of activations that are modules, and notes those that are called as functions."""

    _FUNCTIONS = frozenset(("relu", "relu_", "leaky_relu", "elu", "clamp_min", "relu6", "threshold"))

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.modules = [module for module in model.modules() if isinstance(module, _ACTIVATIONS)]
        self.calls: Counter[nn.Module] = Counter()
        self.functional: set[str] = set()
        self._inside = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module in self.modules:
                stack.callback(module.register_forward_pre_hook(self._enter).remove)
                stack.callback(module.register_forward_hook(self._leave, always_call=True).remove)
            with self:
                yield

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in self._FUNCTIONS and not self._inside:
            self.functional.add(name)
        return func(*args, **(kwargs or {}))

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        self.calls[module] += 1
        self._inside += 1

    def _leave(self, *_: Any) -> None:
        self._inside -= 1
