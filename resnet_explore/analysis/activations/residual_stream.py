"""What the skip carried and what the branch added, at every sum of a network, also one that we did not write.

`topology.sums` finds the sums, in one pass.
"""

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.topology.sums import Stream, Streams, Sums, sum_grids
from resnet_explore.analysis.topology.tokens import TokenGrid
from resnet_explore.models.dispatch import uncompiled


def residual_stream(model: nn.Module, images: Tensor, layers: Collection[str] | None = None) -> Streams:
    """Return the sums of one pass in eval mode, by the module that holds them, in the order of execution.

    images  float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    layers  only the sums of these modules

    Of several sums in one module the last one counts, and with it those before it in the same stream: a
    transformer's block, which adds twice, is "blocks.0:1", "blocks.0:2", and "blocks.0" for both, see
    `Streams`. Empty for a network without skips. The model is left as it was. Raises ExploreError for images
    that don't fit.
    """
    batch = as_images(model, images)
    with measuring(model), torch.no_grad():
        model.eval()
        sums = Sums(model, layers=layers)
        with uncompiled(), sums.watching(batch) as found:
            answer(model, batch)
        if sums.reorders and found:
            known = sum_grids(model, images, layers)
            for streams in (found, found.whole):
                streams.update({name: _laid(stream, known.get(name, "")) for name, stream in streams.items()})
    return found


def _laid(stream: Stream, grid: TokenGrid | str) -> Stream:
    if isinstance(grid, TokenGrid) and grid.fits(stream.skip):
        return Stream(grid.lay(stream.skip), grid.lay(stream.branch), grid.words)
    return stream if stream.skip.ndim == 4 and not grid else replace(stream, layout=f"not laid out: {grid}")
