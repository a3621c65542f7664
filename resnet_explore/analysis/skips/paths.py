"""How long are the paths through a residual network, and through which does the gradient come?

n sums make 2^n paths from the output back to the input, as each goes through the branch or past it: C(n, k)
of them lead through k branches. What comes back along one path is found by a backward pass that keeps to it:
at each sum the gradient goes on by the branch alone, or by the skip alone, while the forward pass is that of
the whole network (Veit et al. 2016, arXiv 1605.06431, section 5).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.skips.block_sums import (
    IN_PLACE,
    BlockSums,
    refuse_out_of_reach,
    wrapped_forward,
)
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.analysis.topology.structure import SkipSum, TracedBlock
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError, an
from resnet_explore.models.dispatch import uncompiled
from resnet_explore.models.shortcuts import Add

if TYPE_CHECKING:
    import pandas as pd

_MIDDLE = 0.9  # of the gradient, by whose paths the effective lengths are told


@dataclass(frozen=True, eq=False, repr=False)
class PathLengths(Brief):
    """Paths through a network's residual branches by how many they lead through: entries 0, 1, ..., n.

    paths     how many there are of each length, exact
    gradient  mean L2 norm of what comes back to an image along one of them: float64 (n + 1,)
    spread    standard deviation of that over images and paths: float64 (n + 1,)
    sampled   how many paths of each length were followed, for each image
    share     paths times gradient, as a part of its sum over all lengths: float64 (n + 1,). Gradients of
              several paths can cancel, so it is no part of the gradient itself but of what makes it up
    """

    paths: tuple[int, ...]
    gradient: np.ndarray
    spread: np.ndarray
    sampled: tuple[int, ...]

    @property
    def lengths(self) -> np.ndarray:
        """Branches that a path leads through, 0 to n: int (n + 1,)."""
        return np.arange(len(self.paths))

    @property
    def share(self) -> np.ndarray:
        """Which part of the sum of all paths' gradient magnitudes each length has."""
        with np.errstate(divide="ignore"):  # the counts of deep networks are beyond any float
            logs = np.array([math.log(count) for count in self.paths]) + np.log(self.gradient)
        if not np.isfinite(logs.max()):
            return np.full(len(logs), np.nan)
        parts = np.exp(logs - logs.max())
        return parts / parts.sum()

    @property
    def effective(self) -> tuple[int, int]:
        """The shortest and the longest of the lengths that have the middle 90 % of `share`."""
        up_to = np.cumsum(self.share)
        if np.isnan(up_to[-1]):
            return 0, len(self.paths) - 1
        tail = (1 - _MIDDLE) / 2
        return int(np.searchsorted(up_to, tail)), int(np.searchsorted(up_to, 1 - tail))

    @property
    def effective_paths(self) -> float:
        """Which part of all paths has an effective length."""
        first, last = self.effective
        return sum(self.paths[first : last + 1]) / sum(self.paths)

    def share_up_to(self, length: int) -> float:
        """Return which part of `share` paths through at most so many branches have."""
        return float(self.share[: length + 1].sum())

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each length."""
        import pandas as pd

        columns = {"length": self.lengths, "paths": [float(count) for count in self.paths]}
        about = {"gradient": self.gradient, "spread": self.spread, "share": self.share}
        return pd.DataFrame(columns | about)

    def __str__(self) -> str:
        first, last = self.effective
        return (
            f"{len(self.paths) - 1} branches, 2^{len(self.paths) - 1} paths: those through {first} to {last} "
            f"branches, {self.effective_paths:.2g} of all, make up {_MIDDLE:.0%} of the gradient's magnitude."
        )


def path_lengths(
    model: nn.Module, images: Tensor, labels: Any, samples: int = 4, seed: int = 0
) -> PathLengths:
    """Measure how large a gradient comes back to the images along paths of each length, in eval mode.

    images   float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    labels   N class indices; the gradient is that of each image's cross-entropy by the image
    samples  how many paths of each length are followed for each image, each image its own; all, each once,
             where there are no more than that
    seed     of the choice of paths

    A block that adds twice, such as a transformer's, counts as two branches. One forward pass, and for each
    length as many backward passes as samples. The model is left as found. Raises ExploreError for images or
    labels that don't fit, samples below 1, a seed below 0, networks without skips, and blocks that run
    several times in a pass.
    """
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise ExploreError(f"samples must be a whole number of at least 1, not {samples!r}.")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ExploreError(f"seed must be a whole number of at least 0, not {seed!r}.")
    net, batch = unwrapped(model), as_images(model, images)
    gates = _Gates([block for block in blocks_of(net, tuple(batch.shape[1:])) if block.sums])
    for block in gates.blocks:
        if block.runs > 1:
            raise ExploreError(
                f"The block {block.name!r} runs {block.runs} times in a pass, so its paths can't be told."
            )
    if not gates.count:
        raise ExploreError(f"The model, {an(net)}, has no skips, so all of it is one path.")
    random = np.random.default_rng(seed)
    norms: list[np.ndarray] = []
    with measuring(net), uncompiled():
        net.eval()
        net.requires_grad_(False)
        batch.requires_grad_()
        with gates.watching(net):
            output = answer(net, batch * 1)  # which the model may overwrite
        logits = as_logits(output, len(batch))
        loss = F.cross_entropy(logits, as_classes("labels", labels, logits), reduction="sum")
        for length in range(gates.count + 1):
            found = []
            for through in _chosen(gates.count, length, len(batch), samples, random):
                gates.through = torch.as_tensor(through, dtype=batch.dtype, device=batch.device)
                (gradient,) = torch.autograd.grad(loss, batch, retain_graph=True)
                # Of paths through many branches so little comes back that its square would be 0.
                found.append(gradient.flatten(1).cpu().double().norm(dim=1).numpy())
            norms.append(np.stack(found))
    return PathLengths(
        paths=tuple(math.comb(gates.count, length) for length in range(gates.count + 1)),
        gradient=np.array([found.mean() for found in norms]),
        spread=np.array([found.std() for found in norms]),
        sampled=tuple(len(found) for found in norms),
    )


def _chosen(
    count: int, length: int, images: int, samples: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield which branches each image's path leads through, bool (images, count)."""
    if math.comb(count, length) <= samples:
        for branches in combinations(range(count), length):
            yield np.tile(np.isin(np.arange(count), branches), (images, 1))
    else:
        for _ in range(samples):
            yield random.random((images, count)).argsort(1) < length


class _Gates:
    """What lets a gradient through by the branch or by the skip, at each of a network's `count` sums.

    through  which of both: 1 for the branch, 0 for the skip, (images, count)
    """

    def __init__(self, blocks: list[TracedBlock]) -> None:
        self.blocks = blocks
        self._numbers = {
            (block.name, end.call): number
            for number, (block, end) in enumerate((block, end) for block in blocks for end in block.sums)
        }
        self.count = len(self._numbers)
        self.through = torch.empty(0)

    @contextmanager
    def watching(self, net: nn.Module) -> Iterator[None]:
        """Put the gates into what the network computes while inside."""
        with ExitStack() as stack:
            for block in self.blocks:
                module = net.get_submodule(block.name)
                add = getattr(module, "add", None)
                if isinstance(add, Add):
                    hook = self._ours(self._numbers[block.name, block.sums[0].call])
                    stack.callback(add.register_forward_pre_hook(hook).remove)
                else:
                    refuse_out_of_reach(block)
                    stack.enter_context(wrapped_forward(module, self._theirs(block)))
            yield

    def gated(self, branch: Tensor, skip: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Return both with the gates of a sum behind them."""

        def of_branch(gradient: Tensor) -> Tensor:
            return gradient * self._column(number, gradient)

        def of_skip(gradient: Tensor) -> Tensor:
            return gradient * (1 - self._column(number, gradient))

        return _Gate.apply(branch, of_branch), _Gate.apply(skip, of_skip)

    def _column(self, number: int, like: Tensor) -> Tensor:
        return self.through[:, number].reshape(-1, *[1] * (like.ndim - 1))

    def _ours(self, number: int) -> Callable[..., tuple[Tensor, Tensor]]:
        return lambda _module, summands: self.gated(summands[0], summands[1], number)

    def _theirs(self, block: TracedBlock) -> Callable[..., Any]:
        def forward(run: Any, *args: Any, **kwargs: Any) -> Any:
            return _GatedSums(block, self, self._numbers).around(run, *args, **kwargs)

        return forward


class _GatedSums(BlockSums):
    def __init__(self, block: TracedBlock, gates: _Gates, numbers: dict[tuple[str, int], int]) -> None:
        super().__init__(block)
        self._name, self._gates, self._numbers = block.name, gates, numbers

    def ended(self, add: Any, first: Tensor, second: Tensor, end: SkipSum, options: dict[str, Any]) -> Any:
        number = self._numbers[self._name, end.call]
        if end.skip_first:
            one, other = self._gates.gated(second, first, number)[::-1]
        else:
            one, other = self._gates.gated(first, second, number)
        total = torch.add(one, other, **options)
        return first.copy_(total) if add.__name__ in IN_PLACE else total


class _Gate(torch.autograd.Function):
    """What passes as it is forward, and by a function backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, back: Callable[[Tensor], Tensor]) -> Tensor:
        """Return x."""
        ctx.back = back
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return what is let through."""
        return ctx.back(gradient), None
