"""What of a block's heatmap came through the skip, and what through the residual branch?

A block gives y = act(s + b): s came through the skip, b through the branch, and act is nothing or a ReLU. A
ReLU lets a sum pass whole or not at all, y = m s + m b with m = [s + b > 0], and a map is a sum of weights
times activations, M = sum_k w_k y_k. So with the weights held fixed

    M = sum_k w_k m_k s_k + sum_k w_k m_k b_k,

the part of the skip and the part of the branch. They add up to the map of the block's output exactly.

A transformer's block adds twice, y = (x + a) + m with what its attention and its MLP made: s is then x, and b
is a + m.
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
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.capture.layers import select_layers
from resnet_explore.analysis.explain.maps import ActivationMaps, class_activation_maps, weighted_sum
from resnet_explore.analysis.topology.tokens import slow_attention
from resnet_explore.errors import ExploreError
from resnet_explore.models.blocks import Block

_SUMS = ("add", "__add__", "__iadd__", "add_", "__radd__")
_SHAPES = ("reshape", "view", "flatten")


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
        names = [layer.removesuffix("[0]") for layer in blocks]
        with (
            torch.no_grad(),
            slow_attention(),
            Capture(model, names, restore=False) as seen,
            listener.listening(),
        ):
            answer(model, batch.clone())
    found, problems = {}, []
    for layer in blocks:
        output = seen.outputs[layer]
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


@dataclass(frozen=True, eq=False)
class _Sum:
    """What came by a skip, what was added to it, and both as the network summed them."""

    skip: Tensor
    branch: Tensor
    total: Tensor

    def reshaped(self, shape: Sequence[int]) -> "_Sum":
        return _Sum(*(part.reshape(shape) for part in (self.skip, self.branch, self.total)))

    def adds_up(self) -> bool:
        """Whether the two give the total, up to the rounding of a few sums."""
        parts = self.skip, self.branch, self.total
        rounding = max(torch.finfo(part.dtype).eps * float(part.abs().max()) for part in parts)
        return float((self.skip + self.branch - self.total).abs().max()) <= 16 * rounding


def _gated(layer: str, output: Tensor, summed: _Sum | None) -> tuple[Tensor, Tensor]:
    if summed is None or summed.total.numel() != output.numel():
        raise ExploreError(
            f"In {layer!r} no sum of a skip and a branch was found, so its map can't be split."
        )
    summed = summed.reshaped(output.shape)
    if not summed.adds_up():
        raise ExploreError(
            f"In {layer!r} the parts that were seen do not add up to its sum, as they are weighed or changed "
            "on the way, so its map can't be split."
        )
    if torch.equal(output, summed.total):
        return summed.skip, summed.branch
    if not torch.equal(output, summed.total.relu()):
        raise ExploreError(f"In {layer!r} more than a ReLU follows the sum, so its map can't be split.")
    passed = summed.total > 0
    return summed.skip * passed, summed.branch * passed


class _Listener(TorchFunctionMode):
    """Notes for each block the last sum of what came by its skip and what its branches made.

    Ours say themselves what they add. In a foreign block the skip is the summand that is the block's own
    input or its `downsample`'s output, by identity; an in-place sum is seen before it overwrites anything.
    What is added to such a sum later, as by a transformer's MLP, belongs to the branch.
    """

    def __init__(self, blocks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.blocks = blocks
        self.sums: dict[str, _Sum] = {}
        # With what the skip may carry, and the sums so far by the tensor that they gave.
        self._running: list[tuple[str, list[Any], list[tuple[Tensor, _Sum]]]] = []

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
        name, pair = getattr(func, "__name__", ""), args[:2]
        summed = self._summed(pair) if self._running and name in _SUMS and len(pair) == 2 else None
        result = func(*args, **(kwargs or {}))
        if summed is not None:
            block, _, sums = self._running[-1]
            # A copy, as a ReLU may overwrite the sum; and one that is kept to be known again by identity.
            self.sums[block] = replace(summed, total=result.clone())
            sums.append((result, self.sums[block]))
        elif self._running and args and name in _SHAPES and (before := self._sum_of(args[0])) is not None:
            self._running[-1][2].append((result, before.reshaped(result.shape)))
        return result

    def _summed(self, pair: Any) -> _Sum | None:
        """Return what is summed if one of a pair came by the skip; its total is not known yet."""
        if not all(isinstance(one, Tensor) for one in pair):
            return None
        carried = self._running[-1][1]
        first, second = (any(one is c for c in carried) or self._sum_of(one) is not None for one in pair)
        if first == second or pair[0].shape != pair[1].shape:
            return None
        skip, branch = pair if first else pair[::-1]
        before = self._sum_of(skip)
        if before is None:
            return _Sum(skip.clone(), branch.clone(), skip)
        return _Sum(before.skip, before.branch + branch, skip)

    def _sum_of(self, tensor: Any) -> _Sum | None:
        """Return the sum that a tensor of the running block is; of several in place the last."""
        return next((one for made, one in reversed(self._running[-1][2]) if made is tensor), None)

    def _ours(self, name: str, add: Any) -> Any:
        def hook(_module: nn.Module, summands: Any) -> None:
            branch, skip = summands
            skip, branch = add.skip_scale * skip, add.branch_scale * branch
            self.sums[name] = _Sum(skip, branch, skip + branch)

        return hook

    def _enter(self, name: str) -> Any:
        def hook(_module: nn.Module, inputs: Any) -> None:
            self._running.append((name, list(inputs), []))

        return hook

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def _carry(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if self._running:
            self._running[-1][1].append(output)
