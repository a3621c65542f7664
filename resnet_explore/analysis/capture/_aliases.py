"""Several tensors, one memory: which of them has the gradient of a module's output, and of nothing else?

An `nn.Identity` returns its very input, which others may use as well, but the gradient of what it returns is
that of its own uses. So `Capture` lets such a module return a view, which is a node of its own in the graph.

An in-place operation on a view cuts the view's node off: autograd then goes through the tensor that it is a
view of, whose gradient up to that moment stands in.
"""

from typing import Any

import torch
from torch import Tensor, nn


def hands_on(module: nn.Module, args: Any, output: Any) -> bool:
    """Whether a module returns its very input, in a pass that has a graph, and does not write to it."""
    return (
        any(output is arg for arg in args)
        and output.requires_grad
        and torch.is_grad_enabled()
        and not getattr(module, "inplace", False)
    )


def viewed(tensor: Tensor) -> Tensor | None:
    """Return the tensor that `tensor` is a view of, if it is one of all of it in the same order.

    A leaf is left out: what views it can't be written to.
    """
    base = tensor._base
    if base is None or base.is_leaf or base.numel() != tensor.numel():
        return None
    same = base.shape == tensor.shape and base.stride() == tensor.stride()
    return base if same or (base.is_contiguous() and tensor.is_contiguous()) else None


class Writes:
    """Tells whether a tensor has been written to since, without keeping its memory."""

    def __init__(self, tensor: Tensor) -> None:
        self._counter = tensor.detach()  # shares the count of writes, also when its data are let go
        self._counter.data = tensor.new_empty(0)
        self._then = self._counter._version

    def __bool__(self) -> bool:
        return self._counter._version != self._then
