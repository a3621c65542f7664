"""What of a block's heatmap came through the skip, and what through the residual branch?

A block gives y = act(s + b): s came through the skip, b through the branch, and act is nothing or a ReLU. A
ReLU lets a sum pass whole or not at all, y = m s + m b with m = [s + b > 0], and a map is a sum of weights
times activations, M = sum_k w_k y_k. So with the weights held fixed

    M = sum_k w_k m_k s_k + sum_k w_k m_k b_k,

the part of the skip and the part of the branch. They add up to the map of the block's output exactly.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.cam_methods import weighted_sum
from resnet_explore.analysis.cams import ActivationMaps, class_activation_maps
from resnet_explore.analysis.capture import Capture
from resnet_explore.analysis.layers import select_layers
from resnet_explore.errors import ExploreError
from resnet_explore.models.blocks import Block

_SUMS = ("add", "__add__", "__iadd__", "add_", "__radd__")


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
    strange = next((layer for layer in whole if layer not in modules), None)
    if strange is not None:
        raise ExploreError(f"{strange!r} is one of several runs, so its map can't be split; leave it out.")
    blocks = {layer: modules[layer] for layer in whole}
    parts = _summands(model, as_images(model, images), blocks, some=layers is None)
    left_out = tuple(layer for layer in whole if layer not in parts)
    maps, weights = ({layer: one[layer] for layer in parts} for one in (whole.maps, whole.weights))
    whole = replace(whole, maps=maps, weights=weights)
    skip, branch = {}, {}
    for layer, (carried, made) in parts.items():
        skip[layer] = weighted_sum(whole.weights[layer], carried)
        branch[layer] = weighted_sum(whole.weights[layer], made)
    return SplitMaps(whole, replace(whole, maps=skip), replace(whole, maps=branch), left_out)


@torch.no_grad()
def _summands(
    model: nn.Module, batch: Tensor, blocks: dict[str, nn.Module], some: bool
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return for each block what of its output came through the skip and what through the branch.

    With `some` those are left out of which that can't be told, unless it is all.
    """
    listener = _Listener(blocks)
    with measuring(model):
        model.eval()
        with torch.no_grad(), Capture(model, list(blocks), restore=False) as seen, listener.listening():
            answer(model, batch.clone())
    found, problems = {}, []
    for layer, output in seen.outputs.items():
        try:
            if isinstance(blocks[layer], Block) and blocks[layer].add is None:
                found[layer] = (torch.zeros_like(output), output)
            else:
                found[layer] = _gated(layer, output, listener.sums.get(layer))
        except ExploreError as problem:
            problems.append(problem)
    if problems and not (some and found):
        raise problems[0]
    return found


def _gated(layer: str, output: Tensor, summands: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    if summands is None:
        raise ExploreError(
            f"In {layer!r} no sum of a skip and a branch was found, so its map can't be split."
        )
    skip, branch = summands
    total = skip + branch
    if torch.equal(output, total):
        return skip, branch
    if not torch.equal(output, total.relu()):
        raise ExploreError(f"In {layer!r} more than a ReLU follows the sum, so its map can't be split.")
    passed = total > 0
    return skip * passed, branch * passed


class _Listener(TorchFunctionMode):
    """Notes for each block the last sum of what came by its skip and what its branch made.

    Ours say themselves what they add. In a foreign block the skip is the summand that is the block's own
    input or its `downsample`'s output, by identity; an in-place sum is seen before it overwrites anything.
    """

    def __init__(self, blocks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.blocks = blocks
        self.sums: dict[str, tuple[Tensor, Tensor]] = {}
        self._running: list[tuple[str, list[Any]]] = []  # with what the skip may carry

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow which block runs."""
        with ExitStack() as stack:
            for name, block in self.blocks.items():
                if isinstance(block, Block):
                    if block.add is not None:
                        handle = block.add.register_forward_pre_hook(self._ours(name, block.add))
                        stack.callback(handle.remove)
                    continue
                stack.callback(block.register_forward_pre_hook(self._enter(name)).remove)
                stack.callback(block.register_forward_hook(self._leave, always_call=True).remove)
                shortcut = getattr(block, "downsample", None)
                if isinstance(shortcut, nn.Module):
                    stack.callback(shortcut.register_forward_hook(self._carry).remove)
            with self:
                yield

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        pair = args[:2]
        if self._running and getattr(func, "__name__", "") in _SUMS and len(pair) == 2:
            name, carried = self._running[-1]
            first, second = (any(one is c for c in carried) for one in pair)
            if first != second and pair[0].shape == pair[1].shape:
                skip, branch = pair if first else pair[::-1]
                self.sums[name] = (skip.clone(), branch.clone())
        return func(*args, **(kwargs or {}))

    def _ours(self, name: str, add: Any) -> Any:
        def hook(_module: nn.Module, summands: Any) -> None:
            branch, skip = summands
            self.sums[name] = (add.skip_scale * skip, add.branch_scale * branch)

        return hook

    def _enter(self, name: str) -> Any:
        def hook(_module: nn.Module, inputs: Any) -> None:
            self._running.append((name, list(inputs)))

        return hook

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def _carry(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if self._running:
            self._running[-1][1].append(output)
