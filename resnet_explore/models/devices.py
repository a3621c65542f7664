"""Which device computes here, and what it can do."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices

from resnet_explore.errors import ExploreError

_BF16_FROM_MACOS = 14, 0
# With channels last the backward pass of batch norm gives wrong gradients on Apple chips without a word, and
# that of average pooling ends the process (PyTorch issues 175189 and 175190, of 2026).
_LAYOUTS = {"cuda": torch.channels_last, "mps": torch.contiguous_format, "cpu": torch.channels_last}

# What torch says where it raises a plain RuntimeError: Apple's allocator, its limit for one tensor, and
# CUDA's libraries, which ask for memory of their own.
_FULL = ("out of memory", "Invalid buffer size", "ALLOC_FAILED")


@dataclass(frozen=True)
class Device:
    """What a device can do.

    kind       "cuda", "mps" (an Apple chip's GPU) or "cpu", as torch calls it
    words      where a network is then trained, in words
    bf16       whether autocast to bf16 works on it
    fast_bf16  whether it is known to compute in bf16 and not to emulate it
    fused      whether torch takes a step of SGD in one call on it
    layout     how images lie in memory when a network is trained on it
    """

    kind: str
    words: str
    bf16: bool
    fast_bf16: bool
    fused: bool
    layout: torch.memory_format


def kind_for(accelerator: str = "auto") -> str:
    """Return "cuda", "mps" or "cpu", as asked; for "auto" the first of these that there is.

    Raises ExploreError for one that there is not.
    """
    has: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if accelerator == "auto":
        accelerator = next(kind for kind, is_there in has.items() if is_there())
    elif not has[accelerator]():
        what = "Apple chip" if accelerator == "mps" else "GPU"
        raise ExploreError(f"There is no {what} that torch can use here: choose accelerator 'cpu' or 'auto'.")
    return accelerator


def gpu_count(kind: str) -> int:
    """Return how many GPUs of a kind there are, each for one process; 0 for the processor."""
    return {"cuda": torch.cuda.device_count, "mps": lambda: 1, "cpu": lambda: 0}[kind]()


def device_for(accelerator: str = "auto") -> Device:
    """Return what a device can do here; arguments and errors are those of `kind_for`."""
    return _MAKERS[kind_for(accelerator)]()


def _cuda() -> Device:
    return Device(
        "cuda",
        "on the GPU (cuda)",
        bf16=torch.cuda.is_bf16_supported(),
        fast_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        fused=_has_fused("cuda"),
        layout=_LAYOUTS["cuda"],
    )


def _mps() -> Device:
    return Device(
        "mps",
        "on the Apple chip's GPU (mps)",
        bf16=torch.backends.mps.is_macos_or_newer(*_BF16_FROM_MACOS),
        fast_bf16=False,  # the first Apple chips emulate it, and torch can't tell which this is
        fused=_has_fused("mps"),
        layout=_LAYOUTS["mps"],
    )


def _cpu() -> Device:
    return Device(
        "cpu",
        "on the processor",
        bf16=True,  # slow without instructions for it
        fast_bf16=torch.cpu._is_avx512_bf16_supported(),
        fused=_has_fused("cpu"),
        layout=_LAYOUTS["cpu"],
    )


_MAKERS = {"cuda": _cuda, "mps": _mps, "cpu": _cpu}


def _has_fused(kind: str) -> bool:
    return kind in _get_fused_kernels_supported_devices()


def refuse_precision(device: Device, precision: str) -> None:
    """Raise ExploreError if a device can't compute in "bf16" where that is asked for."""
    if precision == "bf16" and not device.bf16:
        since = " before macOS 14" if device.kind == "mps" else ""
        raise ExploreError(
            f"bf16 can't be had {device.words}{since}: choose precision 'fp32', or accelerator 'cpu'."
        )


def layout_on(device: torch.device) -> torch.memory_format:
    """Return how images should lie in memory for a network on a device."""
    return _LAYOUTS.get(device.type, torch.contiguous_format)


def widest(device: torch.device) -> torch.dtype:
    """Return the floating-point type with the most digits that a device has; Apple chips have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def exact(tensor: Tensor) -> Tensor:
    """Return a tensor in float64: where it is, or on the processor if its device has none."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def eigenvectors(symmetric: Tensor) -> Tensor:
    """Return the eigenvectors of symmetric matrices (..., n, n) as columns, by rising eigenvalue.

    Torch 2.9 has none on an Apple chip, so these are computed on the processor.
    """
    where = symmetric.device
    found = torch.linalg.eigh(symmetric.cpu() if where.type == "mps" else symmetric).eigenvectors
    return found.to(where)


def is_full(error: BaseException) -> bool:
    """Whether an exception says that an accelerator's memory does not suffice."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def give_back_memory(device: torch.device) -> None:
    """Give back what torch holds of an accelerator's memory without using it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def own_memory(device: torch.device) -> int | None:
    """Return how many bytes of an accelerator's memory can still be had; None for the processor."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None
