"""How much of an output to keep: where, how exactly, how large. A full ResNet-152 is 53 MB an image."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from resnet_explore.errors import ExploreError, unknown

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8)


@dataclass(frozen=True)
class Keep:
    """What `Capture` keeps of each output and gradient, as in `Capture(model, keep=Keep(device="cpu"))`.

    device  where: "cpu", "cuda:1", ...; None for where it was made
    dtype   how exactly: torch.float16 takes half the bytes of float32; torch.uint8 a quarter, as 256 levels
            between an output's least and greatest value, so that it is off by at most 1/510 of that range;
            None for as it was made. Numbers too large for float16 become infinite there.
    size    how large: maps (N, C, h, w) are shrunk by averaging until neither side is longer than `size`
            pixels; None for as they are

    Ready-made ones go by name: "full", "cpu", "half" (float16), "uint8", and "thumbnails" (7 pixels, uint8).
    To keep only statistics, over a whole data set batch by batch, there is `layer_statistics`.
    What is read from a capture that is kept as uint8 are floats in the dtype of the output. Integers and
    truth values are only moved. Where an output isn't finite it has no range: float16 is kept, not uint8.

    Raises ExploreError for a device that isn't there, another dtype, and a size that isn't positive.
    """

    device: str | torch.device | None = None
    dtype: torch.dtype | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ExploreError(f"dtype must be one of {', '.join(map(str, DTYPES))}, not {self.dtype!r}.")
        if self.size is not None and not (type(self.size) is int and self.size > 0):
            raise ExploreError(f"size must be a positive whole number of pixels, not {self.size!r}.")
        if self.device is not None:
            try:
                torch.empty(0, device=self.device)
            except (RuntimeError, AssertionError, TypeError) as error:
                reason = str(error).splitlines()[0].rstrip(".")
                raise ExploreError(f"device {str(self.device)!r} can't be used here: {reason}.") from None

    def __call__(self, tensor: Tensor) -> "Tensor | Levels":
        """Return a copy that shares no memory with `tensor`."""
        small = self._shrunk(tensor)
        if not tensor.is_floating_point():
            return small.to(self.device, copy=True)
        if self.dtype is torch.uint8:
            return _levels(small, self.device)
        return small.to(self.device, self.dtype or small.dtype, copy=small is tensor)

    def _shrunk(self, tensor: Tensor) -> Tensor:
        if self.size is None or tensor.ndim != 4 or not tensor.is_floating_point():
            return tensor
        height, width = tensor.shape[2:]
        if max(height, width) <= self.size:
            return tensor
        scale = self.size / max(height, width)
        return F.adaptive_avg_pool2d(tensor, (max(1, round(height * scale)), max(1, round(width * scale))))


@dataclass(frozen=True)
class Levels:
    """A tensor in 256 levels: value = low + step * levels."""

    levels: Tensor
    low: float
    step: float
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """Return the values, in the dtype that they came in."""
        wide = torch.promote_types(self.dtype, torch.float32)
        return self.levels.to(wide).mul_(self.step).add_(self.low).to(self.dtype)


READY = {
    "full": Keep(),
    "cpu": Keep(device="cpu"),
    "half": Keep(dtype=torch.float16),
    "uint8": Keep(dtype=torch.uint8),
    "thumbnails": Keep(dtype=torch.uint8, size=7),
}


def as_keep(keep: Any) -> Callable[[Tensor], Any]:
    """Return what `keep` means: a ready-made one's name, a function of a tensor, or None for a full copy."""
    if keep is None:
        return READY["full"]
    if isinstance(keep, str):
        if keep not in READY:
            hint = "For others use rx.Keep(device, dtype, size); for statistics over a data set, batch by "
            hint += "batch, rx.layer_statistics."
            raise unknown("keep", keep, READY, hint)
        return READY[keep]
    if not callable(keep):
        raise ExploreError(f"keep must be a name, a rx.Keep or a function of a tensor, not {keep!r:.60}.")
    return keep


def _levels(tensor: Tensor, device: str | torch.device | None) -> "Tensor | Levels":
    if not tensor.numel():
        return tensor.to(device, copy=True)
    low, high = (float(value) for value in torch.aminmax(tensor))
    step = (high - low) / 255
    if not math.isfinite(step):
        return tensor.to(device, torch.float16)
    # In float32 and in place: one temporary copy, gone before the next output is made.
    wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32), copy=True)
    levels = wide.sub_(low).div_(step or 1.0).round_().clamp_(0, 255).to(torch.uint8)
    return Levels(levels.to(device), low, step, tensor.dtype)
