"""What both measurements ask for: whole numbers, and how batch norm works."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_explore.errors import ExploreError, unknown

MODES = ("eval", "train")


def require_whole(name: str, value: Any, least: int) -> None:
    """Raise ExploreError for what is no whole number of at least `least`, or larger than torch takes."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) < 2**63:
        raise ExploreError(f"{name} must be a whole number of at least {least}, not {value!r:.60}.")


def require_mode(mode: Any) -> None:
    """Raise ExploreError for an unknown mode."""
    if mode not in MODES:
        raise unknown("mode", mode, MODES)


def batch_norms(net: nn.Module) -> list[_BatchNorm]:
    """Return a network's batch norms."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def working_in(net: nn.Module, mode: str, batches: Sequence[Tensor]) -> None:
    """Let batch norm work as the mode says, and all else, such as dropout, as in eval mode."""
    net.eval()
    norms = batch_norms(net)
    if mode == "train" and norms:
        if min(map(len, batches)) < 2:
            raise ExploreError(
                "In train mode batch norm needs at least 2 images at a time; choose eval mode."
            )
        for norm in norms:
            norm.train()
