"""How we listen to torch below the modules, without loading what compiles networks.

Both save what an open notebook costs: torch's own way loads torch._dynamo and sympy, 160 MB and two seconds.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary


class OperationMode(TorchDispatchMode):
    """A TorchDispatchMode that does not load torch's compiler only to keep it out of here.

    Enter it within `uncompiled()`, so that there is nothing to be kept out.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def uncompiled() -> AbstractContextManager[object]:
    """Let what went through torch.compile run as it was written, so that its modules call their hooks."""
    if "torch._dynamo" not in sys.modules:  # nothing can be compiled yet, and importing it is slow
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors in a nested structure, in order.

    It is torch's `tree_leaves` that knows every structure. What operations are given is nearly always made of
    Python's own, and there are thousands of operations in a pass, so we look at those ourselves.
    """
    found: list[Tensor] = []
    _gather(values, found)
    return found


_WITHOUT_TENSORS = (int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)


def _gather(values: Any, found: list[Tensor]) -> None:
    if isinstance(values, Tensor):
        found.append(values)
    elif type(values) is tuple or type(values) is list:
        for value in values:
            _gather(value, found)
    elif type(values) is dict:
        for value in values.values():
            _gather(value, found)
    elif not isinstance(values, _WITHOUT_TENSORS):
        found += [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def noted(notes: WeakTensorKeyDictionary, tensors: Iterable[Tensor]) -> list[Any]:
    """Return the notes on those tensors that have one, in order."""
    return [note for note in map(notes.get, tensors) if note is not None]


class Shapes(OperationMode):
    """Answers the commonest operations on tensors without values; torch does the others.

    torch asks its compiler for shapes, in Python. For what residual networks are made of, contiguous and in
    eval mode, they are simple enough.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = _RULES.get(func)
        shaping = {name for name in kwargs or () if name != "alpha"}  # a sum's factor changes no shape
        if rule is not None and not shaping and all(_plain(a, func in _IN_ANY_ORDER) for a in args):
            result = rule(*args)
            if result is not None:
                return result
        return func(*args, **(kwargs or {}))


def _plain(argument: Any, in_any_order: bool) -> bool:
    if not isinstance(argument, Tensor):
        return True
    ordered = in_any_order or argument.is_contiguous()
    return argument.is_meta and argument.is_floating_point() and ordered


# --- one rule for each operation: the result, or None for what torch had better do itself ------------------


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _output_padding: list[int],
    groups: int,
) -> Tensor | None:
    axes = weight.ndim - 2
    if transposed or x.ndim != weight.ndim or x.shape[1] != groups * weight.shape[1]:
        return None
    if x.dtype != weight.dtype or not len(stride) == len(padding) == len(dilation) == axes:
        return None
    size = _windows(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return None if size is None else x.new_empty((len(x), len(weight), *size))


def _norm(
    x: Tensor,
    _weight: Tensor | None,
    _bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    _momentum: float,
    _eps: float,
) -> tuple[Tensor, Tensor, Tensor] | None:
    if training or mean is None or variance is None or mean.shape != x.shape[1:2]:
        return None
    # As in training it keeps a mean and a deviation for each channel, in single precision at least.
    exact = torch.promote_types(x.dtype, torch.float32)
    kept = x.new_empty(mean.shape, dtype=exact), x.new_empty(mean.shape, dtype=exact)
    return x.new_empty(x.shape), *kept


def _same(x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _itself(x: Tensor) -> Tensor:
    return x


def _elementwise(x: Tensor, y: Any) -> Tensor | None:
    if not isinstance(y, Tensor):
        return x.new_empty(x.shape) if isinstance(y, int | float) else None
    if x.dtype != y.dtype:
        return None
    try:
        return x.new_empty(np.broadcast_shapes(x.shape, y.shape))
    except ValueError:  # torch says what is wrong
        return None


def _into(x: Tensor, y: Any) -> Tensor | None:
    result = _elementwise(x, y)
    return x if result is not None and result.shape == x.shape else None


def _max_pool(
    x: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor] | None:
    result = _avg_pool(x, kernel, stride, padding, ceil_mode, dilation=dilation)
    return None if result is None else (result, result.new_empty(result.shape, dtype=torch.int64))


def _avg_pool(
    x: Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    *_divided_by: Any,
    dilation: Sequence[int] = (1,),
) -> Tensor | None:
    if ceil_mode or x.ndim != 4:
        return None
    kernel, stride, padding, dilation = map(_both, (kernel, stride or kernel, padding, dilation))
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        return None
    size = _windows(x.shape[2:], kernel, stride, padding, dilation)
    return None if size is None else x.new_empty((*x.shape[:2], *size))


def _both(values: Sequence[int]) -> list[int]:
    return [*values] * 2 if len(values) == 1 else [*values]


def _adaptive_pool(x: Tensor, size: list[int]) -> Tensor | None:
    return x.new_empty((*x.shape[:2], *size)) if x.ndim == 4 and len(size) == 2 else None


def _mean(x: Tensor, dims: list[int] | None, keep: bool = False) -> Tensor | None:
    if not dims:
        return None
    gone = {d % x.ndim for d in dims}
    kept = [1 if d in gone else size for d, size in enumerate(x.shape) if keep or d not in gone]
    return x.new_empty(kept)


def _addmm(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor | None:
    fits = x.ndim == weight.ndim == 2 and x.shape[1] == weight.shape[0]
    if not fits or bias.shape != weight.shape[1:] or not bias.dtype == x.dtype == weight.dtype:
        return None
    return x.new_empty((len(x), weight.shape[1]))


def _windows(sizes: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> list[int] | None:
    """Return how many places a sliding window has along each axis; None where it has none."""
    found = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    return found if min(found) > 0 else None


_aten = torch.ops.aten
_RULES: dict[Any, Callable[..., Any]] = {
    _aten.convolution.default: _convolution,
    _aten.native_batch_norm.default: _norm,
    _aten.relu.default: _same,
    _aten.relu_.default: _itself,
    _aten.sigmoid.default: _same,
    _aten.add.Tensor: _elementwise,
    _aten.add_.Tensor: _into,
    _aten.mul.Tensor: _elementwise,
    _aten.max_pool2d_with_indices.default: _max_pool,
    _aten.avg_pool2d.default: _avg_pool,
    _aten._adaptive_avg_pool2d.default: _adaptive_pool,
    _aten.mean.dim: _mean,
    _aten.addmm.default: _addmm,
}
_IN_ANY_ORDER = (_aten.addmm.default,)  # a linear layer's weight comes transposed
