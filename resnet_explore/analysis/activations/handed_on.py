"""How much of what enters a block is still there behind it?"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.models.dispatch import uncompiled


def handed_on(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the cosine between what enters a block and what leaves it, by block, float32 (N,) from -1 to 1.

    1 is a block that changes nothing but the size of its input. NaN for a block that changes the shape, and
    for a sum inside of a block, whose ends are no module's. The model runs in eval mode and is left as found.
    Raises ExploreError for images that don't fit.
    """
    batch = as_images(model, images)
    blocks = [block.name for block in blocks_of(model, tuple(batch.shape[1:]))]
    modules = dict(model.named_modules())
    found = {name: torch.full((len(batch),), torch.nan) for name in blocks}

    def keep(name: str, _: nn.Module, entered: tuple[Any, ...], left: Any) -> None:
        if isinstance(left, Tensor) and entered and left.shape == getattr(entered[0], "shape", None):
            found[name] = cosine_similarity(entered[0].flatten(1), left.flatten(1)).float().cpu()

    with measuring(model), torch.no_grad(), uncompiled():
        model.eval()
        handles = [modules[n].register_forward_hook(partial(keep, n)) for n in blocks if n in modules]
        try:
            answer(model, batch.clone())
        finally:
            for handle in handles:
                handle.remove()
    return found
