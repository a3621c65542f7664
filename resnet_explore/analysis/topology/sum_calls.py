"""The sums of two tensors that a forward calls for, one after the other, however they are written.

`x + y`, `x += y`, `torch.add(x, y)` and `x.add_(y)` are such calls; `x + 1` is none. Their order is the same
at every pass through the same code, so a number tells a sum of a trace again in a pass that computes.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

_NAMES = ("add", "add_", "__add__", "__iadd__", "__radd__")


class SumCalls(TorchFunctionMode):
    """Counts the sums while it is active; what computes a sum may be changed by `summed`.

    count   how many there were so far, with the one that runs
    inside  whether one runs now
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.inside = False

    def summed(self, add: Callable[..., Any], first: Tensor, second: Tensor, **options: Any) -> Any:
        """Return what the sum gives."""
        return add(first, second, **options)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if len(args) == 1 and "other" in kwargs:
            args = (*args, kwargs.pop("other"))
        is_sum = getattr(func, "__name__", "") in _NAMES and len(args) == 2
        if not is_sum or not all(isinstance(a, Tensor) for a in args):
            return func(*args, **kwargs)
        self.count += 1
        self.inside = True
        try:
            return self.summed(func, *args, **kwargs)
        finally:
            self.inside = False
