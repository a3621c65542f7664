"""Where are the middles of the windows that a convolution, a pool or an enlargement looks through?"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

WINDOWS = frozenset(
    (
        *(
            "convolution",
            "_convolution",
            "cudnn_convolution",
            "mkldnn_convolution",
            "convolution_overrideable",
        ),
        *("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"),
        *("max_pool2d_with_indices", "max_pool3d_with_indices", "mkldnn_max_pool2d", "quantized_max_pool2d"),
        *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_avg_pool2d"),
    )
)
SCALED = frozenset(
    (
        *("upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d"),
        *("upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
    )
)


def window_middles(name: str, given: dict[str, Any], axis: int, before: int, after: int) -> Tensor | None:
    """Return the middles along one axis, in steps of the input, (after,); None for a window over all of it.

    `name` is the operation and `given` its arguments by name; the axis is counted among those of space, and
    has so many values before and after.
    """
    steps = torch.arange(after, dtype=torch.float64)
    if name in SCALED:
        if given.get("align_corners"):
            return steps * ((before - 1) / max(1, after - 1))
        return (steps + 0.5) * (before / after) - 0.5
    if "adaptive" in name:
        if after == 1 and before > 1:
            return None
        first, last = (steps * before / after).floor(), ((steps + 1) * before / after).ceil()
        return (first + last - 1) / 2
    kernel = given["weight"].shape[2:] if "weight" in given else given["kernel_size"]
    size, padding = _of(kernel, axis), _of(given.get("padding", 0), axis)
    half = _of(given.get("dilation", 1), axis) * (size - 1) / 2
    stride = _of(given.get("stride") or kernel, axis)
    if given.get("transposed"):
        return (steps + padding - half) / stride
    if after == 1 and size >= before > 1:
        return None
    return steps * stride - padding + half


def inside(middles: Tensor, size: int) -> bool:
    """Whether each middle is one of the positions 0, ..., size - 1."""
    return bool((middles == middles.round()).all() and (middles >= 0).all() and (middles < size).all())


def between(rows: Tensor, axis: int, middles: Tensor) -> Tensor:
    """Return rows at positions along an axis, in between by straight lines, which go on beyond the ends."""
    size = rows.shape[axis]
    if size == 1:
        return rows.index_select(axis, torch.zeros(len(middles), dtype=torch.int64))
    lower = middles.floor().clamp(0, size - 2).long()
    share = (middles - lower).reshape([-1 if a == axis else 1 for a in range(rows.ndim)])
    low, high = rows.index_select(axis, lower), rows.index_select(axis, lower + 1)
    return torch.where(share == 0, low, torch.where(share == 1, high, low + share * (high - low)))


def _of(value: int | Sequence[int], axis: int) -> float:
    """Return what holds for an axis where one number stands for all of them."""
    if isinstance(value, Sequence):
        return value[axis] if axis < len(value) else value[-1]
    return value
