"""What a network answers without each of its blocks, one at a time."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images, as_logits
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.skips.edited import edited
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError, an
from resnet_explore.models.dispatch import uncompiled


@dataclass(frozen=True, eq=False, repr=False)
class WithoutEach(Brief):
    """The logits of a network that lacks one block.

    blocks   the blocks' names, in the order of execution
    logits   (blocks, N, classes), NaN without a plain block that changes the shape: it can't be left out
    whole    (N, classes), with all blocks
    """

    blocks: tuple[str, ...]
    logits: Tensor
    whole: Tensor

    @property
    def lost(self) -> Tensor:
        """What goes from each logit with each block, (blocks, N, classes): the block's total effect."""
        return self.whole - self.logits


def without_each(model: nn.Module, images: Tensor) -> WithoutEach:
    """Delete each block alone, as `edited` does, and ask the network.

    All later blocks see another input then, and answer to it. So what goes from a logit is the block's total
    effect, where `logit_contributions` gives its direct one. One pass a block.

    Parameters
    ----------
    model : run in eval mode and left as found
    images : float (N, C, H, W), standardised as the model expects

    Raises
    ------
    ExploreError
        For a network without blocks, one without logits, and images that don't fit.

    Source: Veit et al. 2016, arXiv 1605.06431, section 4.1.
    """
    net, batch = unwrapped(model), as_images(model, images)
    size = tuple(batch.shape[1:])
    blocks = blocks_of(net, size)
    if not blocks:
        raise ExploreError(f"The model, {an(net)}, has no blocks, so there is none to delete.")
    with measuring(net), uncompiled(), torch.no_grad():
        net.eval()
        whole = as_logits(answer(net, batch.clone()), len(batch))
        found = []
        for block in blocks:
            if not block.can_go:
                found.append(torch.full_like(whole, math.nan))
                continue
            with edited(net, delete=block.name, input_size=size):
                found.append(as_logits(answer(net, batch.clone()), len(batch)))
    return WithoutEach(tuple(block.name for block in blocks), torch.stack(found), whole)
