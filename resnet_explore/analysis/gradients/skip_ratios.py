"""How large is what a block adds, beside what its skip carries?

De and Smith 2020, arXiv 2002.10444: at initialisation batch norm keeps every branch at about unit variance,
while the skip's variance grows by one a block, so the l-th block's branch is about 1/sqrt(l) of its skip:
deep residual networks start close to the identity.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._norms import gather
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.gradients.flow import check_batch
from resnet_explore.errors import ExploreError
from resnet_explore.models.shortcuts import Add


@dataclass(frozen=True, eq=False, repr=False)
class SkipRatios(Brief):
    """Standard deviations at each addition, over images, channels and pixels: float64 (blocks,).

    names    of the blocks, in the order of execution
    branch   of scaled F(x)
    skip     of what the scaled shortcut carries
    """

    names: tuple[str, ...]
    branch: np.ndarray
    skip: np.ndarray
    mode: str

    @property
    def ratios(self) -> np.ndarray:
        """Branch over skip; inf where the skip carries nothing that varies."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.branch / self.skip

    def __str__(self) -> str:
        return (
            f"{len(self.names)} blocks, {self.mode} mode: the branch adds {self.ratios[0]:.2g} of what the "
            f"skip carries at {self.names[0]}, {self.ratios[-1]:.2g} at {self.names[-1]}."
        )


def skip_ratios(model: nn.Module, images: Tensor, mode: str = "train") -> SkipRatios:
    """Measure branch and skip at each addition of a residual network of ours, in one forward pass.

    Raises ExploreError for images that don't fit, an unknown mode, and a network without such additions.
    """
    batch = check_batch(model, images, mode)
    additions = {name: m for name, m in model.named_modules() if isinstance(m, Add)}
    if not additions:
        raise ExploreError(
            "The model has no skip connections that can be looked at; those of rx.build(...) with "
            "residual=True have."
        )
    names: list[str] = []
    seen: list[Tensor] = []

    def watch(name: str, add: Add) -> Any:
        def look(_module: nn.Module, args: tuple[Tensor, Tensor], _sum: Tensor) -> None:
            names.append(name.rpartition(".")[0])
            scaled = zip(args, (add.branch_scale, add.skip_scale), strict=True)
            seen.extend(x.detach().float().std(correction=0) * abs(scale) for x, scale in scaled)

        return add.register_forward_hook(look)

    handles = [watch(name, add) for name, add in additions.items()]
    try:
        with measuring(model), torch.no_grad():
            model.train(mode == "train")
            answer(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    branch, skip = gather(seen).reshape(-1, 2).T
    return SkipRatios(tuple(names), branch, skip, mode)
