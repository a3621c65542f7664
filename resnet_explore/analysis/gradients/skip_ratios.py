"""How large is what a block adds, beside what its skip carries?

De and Smith 2020, arXiv 2002.10444: at initialisation batch norm keeps every branch at about unit variance,
while the skip's variance grows by one a block, so the l-th block's branch is about 1/sqrt(l) of its skip:
deep residual networks start close to the identity.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._norms import gather
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.gradients.flow import check_batch
from resnet_explore.analysis.topology.blocks import innermost
from resnet_explore.analysis.topology.laid import module_name
from resnet_explore.analysis.topology.sums import Sums
from resnet_explore.errors import ExploreError
from resnet_explore.models.dispatch import uncompiled


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
    """Measure branch and skip at each addition of a residual network's blocks, in one forward pass.

    A block that adds twice, as a transformer's, has a row for each: "blocks.0:1" and "blocks.0:2".

    Raises ExploreError for images that don't fit, an unknown mode, and a network without such additions.
    """
    batch = check_batch(model, images, mode)
    with measuring(model), torch.no_grad(), uncompiled():
        model.train(mode == "train")
        with Sums(model, keep=_spread, axes=2).watching(batch) as found:
            answer(model, batch)
    holders = innermost(dict.fromkeys(module_name(name) for name in found))
    kept = {name: one for name, one in found.items() if module_name(name) in holders}
    if not kept:
        raise ExploreError(
            "The model has no skip connections that can be looked at: no block of it adds what passed it by."
        )
    pairs = [(stream.branch, stream.skip) for stream in kept.values()]
    branch, skip = gather([spread for pair in pairs for spread in pair]).reshape(-1, 2).T
    return SkipRatios(tuple(kept), branch, skip, mode)


def _spread(summand: Tensor) -> Tensor:
    return summand.float().std(correction=0)
