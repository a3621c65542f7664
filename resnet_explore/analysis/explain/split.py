"""What of a block's heatmap came through the skip, and what through the residual branch?

A block gives y = act(s + b): s came through the skip, b through the branch, and act is nothing or a ReLU. A
ReLU lets a sum pass whole or not at all, y = m s + m b with m = [s + b > 0], and a map is a sum of weights
times activations, M = sum_k w_k y_k. So with the weights held fixed

    M = sum_k w_k m_k s_k + sum_k w_k m_k b_k,

the part of the skip and the part of the branch. They add up to the map of the block's output exactly.

A transformer's block adds twice, y = (x + a) + m with what its attention and its MLP made: s is then x, and b
is a + m.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.capture.layers import select_layers
from resnet_explore.analysis.explain.maps import ActivationMaps, class_activation_maps, weighted_sum
from resnet_explore.analysis.topology.sums import Stream, Sums
from resnet_explore.errors import ExploreError
from resnet_explore.models.blocks import Block
from resnet_explore.models.dispatch import uncompiled


@dataclass(frozen=True, eq=False, repr=False)
class SplitMaps(Brief):
    """Three maps of each block: `whole[layer] = skip[layer] + branch[layer]`, up to rounding.

    A plain block has no skip: its part is 0 everywhere. `left_out` names the blocks that can't be split.
    """

    whole: ActivationMaps
    skip: ActivationMaps
    branch: ActivationMaps
    left_out: tuple[str, ...] = ()


def split_maps(
    model: nn.Module,
    images: Tensor,
    targets: Any = None,
    layers: str | Sequence[str] | None = None,
    method: str = "grad_cam",
    **trials: Any,
) -> SplitMaps:
    """Return the maps of residual blocks, and what of them came through the skip and through the branch.

    Arguments and errors are those of `class_activation_maps`. `layers` must be blocks: ours and those of
    others that add what passed by (torchvision's, timm's); without it those of `choose_layers` that can be
    split. Raises ExploreError for a layer in which no sum of a skip and a branch is found, or after whose sum
    there is more than a ReLU; without `layers` only if all are so.
    """
    whole = class_activation_maps(model, images, targets, layers, method, **trials)
    modules = select_layers(model)
    # A block may give more than a sum: "blocks.0[0]" is the first thing that "blocks.0" gives.
    strange = next((layer for layer in whole if layer.removesuffix("[0]") not in modules), None)
    if strange is not None:
        raise ExploreError(f"{strange!r} is one of several runs, so its map can't be split; leave it out.")
    blocks = {layer: modules[layer.removesuffix("[0]")] for layer in whole}
    parts = _summands(model, as_images(model, images), blocks, some=layers is None)
    left_out = tuple(layer for layer in whole if layer not in parts)
    maps, weights = ({layer: one[layer] for layer in parts} for one in (whole.maps, whole.weights))
    whole = replace(whole, maps=maps, weights=weights)
    skip, branch = {}, {}
    for layer, summands in parts.items():
        grid = whole.grids.get(layer)
        carried, made = summands if grid is None else map(grid.lay, summands)
        skip[layer] = weighted_sum(whole.weights[layer], carried)
        branch[layer] = weighted_sum(whole.weights[layer], made)
    return SplitMaps(whole, replace(whole, maps=skip), replace(whole, maps=branch), left_out)


def _summands(
    model: nn.Module, batch: Tensor, blocks: dict[str, nn.Module], some: bool
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return for each block what of its output came through the skip and what through the branch.

    With `some` those are left out of which that can't be told, unless it is all.
    """
    names = [layer.removesuffix("[0]") for layer in blocks]
    with measuring(model), torch.no_grad(), uncompiled():
        model.eval()
        sums = Sums(model, layers=names)
        with Capture(model, names, restore=False) as seen, sums.watching(batch) as streams:
            answer(model, batch)
    found, problems = {}, []
    for layer, name in zip(blocks, names, strict=True):
        output = seen.outputs[layer]
        try:
            if isinstance(blocks[layer], Block) and blocks[layer].add is None:
                found[layer] = (torch.zeros_like(output), output)
            else:
                found[layer] = _gated(layer, output, streams.get(name))
        except ExploreError as problem:
            problems.append(problem)
    if problems and not (some and found):
        raise problems[0]
    return found


def _gated(layer: str, output: Tensor, stream: Stream | None) -> tuple[Tensor, Tensor]:
    """Return the parts of a block's output: those of its sum, as far as a ReLU behind it lets them pass."""
    if stream is None or stream.skip.numel() != output.numel():
        raise ExploreError(
            f"In {layer!r} no sum of a skip and a branch was found, so its map can't be split."
        )
    skip, branch = stream.skip.reshape(output.shape), stream.branch.reshape(output.shape)
    total = skip + branch
    # The network may have added in another order, so up to the rounding of a few sums.
    rounding = 16 * torch.finfo(output.dtype).eps * float(max(skip.abs().max(), branch.abs().max()))
    if _within(rounding, output, total):
        return skip, branch
    if not _within(rounding, output, total.relu()):
        raise ExploreError(
            f"In {layer!r} more than a ReLU follows the sum of skip and branch, so its map can't be split."
        )
    passed = output > 0
    return skip * passed, branch * passed


def _within(rounding: float, first: Tensor, second: Tensor) -> bool:
    return float((first - second).abs().max()) <= rounding
