"""How much memory is left."""

from pathlib import Path

import psutil
import torch

from resnet_explore.models.devices import own_memory

_GROUP = Path("/sys/fs/cgroup")


def free_memory(device: torch.device) -> int:
    """Return how many bytes can still be had on a device; in a container, how many of its share."""
    own = own_memory(device)
    if own is not None and device.type != "mps":
        return own
    free = psutil.virtual_memory().available
    if own is not None:  # an Apple chip's GPU shares the processor's memory
        return min(free, own)
    try:
        limit, used = (int((_GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        return min(free, max(0, limit - used))
    except (OSError, ValueError):  # no container, or "max": no limit
        return free


def in_words(count: float) -> str:
    """Return "340 MB" or "2.1 GB"."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
