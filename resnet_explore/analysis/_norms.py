"""Norms that survive gradients of any size, gathered on the device and moved from it once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from resnet_explore.models.devices import widest

# Inside, no square that matters under- or overflows float32; outside, float64 has the last word.
_SAFE = 1e-15, 1e18


def norm(tensor: Tensor) -> Tensor:
    """Return the Frobenius norm as a tensor without dimensions; it stays on the device.

    The square of an exploding float32 gradient overflows long before the gradient does, so squares are summed
    in float64 where that is needed. On the processor, where float64 takes nine times as long and looking at
    the result costs nothing, that is only where the float32 norm says so.
    """
    kind = tensor.device.type
    if kind == "cpu" and tensor.dtype != torch.float64:
        quick = torch.linalg.vector_norm(tensor, dtype=torch.float32)
        if _SAFE[0] < quick.item() < _SAFE[1]:
            return quick
    return torch.linalg.vector_norm(tensor, dtype=widest(tensor.device))


def each_norm(tensors: list[Tensor]) -> Tensor:
    """Return the `norm` of each of some tensors on one device, (tensors,), by a call for all of them."""
    if tensors[0].device.type != "cpu" or any(t.dtype != torch.float32 for t in tensors):
        return torch.stack([norm(tensor) for tensor in tensors])
    quick = torch.stack(torch._foreach_norm(tensors))
    doubtful = ((quick <= _SAFE[0]) | (quick >= _SAFE[1]) | quick.isnan()).nonzero().flatten().tolist()
    if not doubtful:
        return quick
    exact = quick.double()
    for i in doubtful:
        exact[i] = torch.linalg.vector_norm(tensors[i], dtype=torch.float64)
    return exact


def gather(numbers: Sequence[Tensor]) -> np.ndarray:
    """Return tensors of up to one dimension, on one device, as a read-only float64 array, in one transfer."""
    kind = widest(numbers[0].device)
    if any(n.dtype != numbers[0].dtype for n in numbers):
        numbers = [n if n.dtype == kind else n.to(kind) for n in numbers]
    values = torch.cat([n.reshape(-1) for n in numbers]).cpu().double().numpy()
    values.setflags(write=False)
    return values
