"""What each block adds to the answer: the logits as a sum over what stem and blocks put on the skips."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.activations.followed import Followed, Node, Plain, Start, StreamSum
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.analysis.topology.structure import TracedBlock
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError, an, unknown
from resnet_explore.models.dispatch import uncompiled
from resnet_explore.models.memory import free_memory, in_words

BIAS, STEM = "bias", "stem"
_AT_ONCE = 2**26  # numbers of all summands of one layer that are held at a time


@dataclass(frozen=True, eq=False, repr=False)
class LogitContributions(Brief, Mapping[str, Tensor]):
    """What each part of a network adds to every logit: (N, classes) by name, in the order of execution.

    The keys are "stem" for what entered the first block, the names of the blocks, and "bias" for all that
    the layers on the skips and behind the last sum add whatever they get. Values are in the model's dtype.

    names      the keys
    each       the contributions, (names, N, classes)
    logits     what the network gave, (N, classes)
    running    the logits if the branches of all later blocks added nothing, (blocks, N, classes): what the
               network's own head makes of the stream behind each block. ReLUs and norms see that stream,
               gates on a skip stay as they were. NaN before a block without a skip
    blocks     the names of the blocks, as `running` has them
    start      the same of the stem alone, (N, classes)
    places     float32 (names, N, classes, h, w): see `maps`; None where there are no such maps
    """

    names: tuple[str, ...]
    each: Tensor
    logits: Tensor
    running: Tensor
    blocks: tuple[str, ...]
    start: Tensor
    places: Tensor | None = None
    why_no_places: str = ""

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(name)
        return self.each[self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def remainder(self) -> Tensor:
        """What the contributions lack to be the logits, by rounding alone: (N, classes)."""
        return self.logits - self.each.sum(0)

    @property
    def error(self) -> float:
        """The largest remainder as a share of the largest logit, in magnitude; 0 is exact."""
        largest = float(self.logits.abs().max())
        return float(self.remainder.abs().max()) / largest if largest else float(self.remainder.abs().max())

    def maps(self, name: str, target: int | Sequence[int] | Tensor) -> Tensor:
        """Return where on the last feature map a contribution to a class comes from: float32 (N, h, w).

        Each map adds up to the contribution. What the layers behind the pooling add of their own lies at no
        place; in the map of "bias" it is spread evenly.

        Parameters
        ----------
        name : one of the keys
        target : a class for all images, or one for each

        Raises
        ------
        ExploreError
            For unknown names and classes, and if the network does not average maps before its classifier, as
            one that reads a class token.
        """
        if name not in self.names:
            raise unknown("part", name, self.names)
        if self.places is None:
            raise ExploreError(f"There are no maps of contributions: {self.why_no_places}.")
        count = len(self.logits)
        targets = as_classes(
            "target", np.full(count, target) if np.ndim(target) == 0 else target, self.logits
        )
        return self.places[self.names.index(name), torch.arange(count), targets]


def logit_contributions(model: nn.Module, images: Tensor) -> LogitContributions:
    """Split every logit into what the stem, each block, and the biases behind them add to it.

    Along its skips, a network's last features are a sum: what the stem gave and what each branch added. What
    is behind is linear but for activations and norms, so each summand has a share of its own of every logit,
    and the shares add up to it. In detail:

    - Summands pass what later skips do to them: a subsampling, a padding, a projection with the norm behind
      it. What such layers add whatever they get is "bias".
    - Each activation on the stream, behind every sum of He et al. 2015 and before the classifier of He et al.
      2016, is held at what it did in this pass: a ReLU lets a place through or sets it to 0 for all summands
      alike. So the split is exact for this input; without a summand other places would pass.
    - Batch norm is linear in eval mode. Layer and group norm measure their input: their standard deviation
      is held at what it was, while their centring is linear ("frozen norm"). So are gates on a skip.
    - A block without a skip ends what was there before: all that comes from it is its own.

    Parameters
    ----------
    model : any network whose skips `structure` finds as sums; run in eval mode and left as found
    images : float (N, C, H, W), standardised as the model expects

    Raises
    ------
    ExploreError
        For a network without skips that add, one whose stream passes an operation of which it is not known
        what it does to a summand, one without logits, images that don't fit, and too many for the memory.

    Sources: Elhage et al. 2021, A mathematical framework for transformer circuits (direct logit attribution);
    Veit et al. 2016, arXiv 1605.06431, section 3 (the unravelled view); nostalgebraist 2020, interpreting
    GPT: the logit lens (for `running`).
    """
    batch = as_images(model, images)
    net = unwrapped(model)
    blocks = _blocks_with_skips(net, tuple(batch.shape[1:]))
    parts = torch.split(batch, _images_at_once(blocks))
    with measuring(net), torch.no_grad(), uncompiled():
        net.eval()
        found = [_split(net, part, blocks, len(batch)) for part in parts]
    return _together(found)


def _blocks_with_skips(net: nn.Module, size: tuple[int, ...]) -> tuple[TracedBlock, ...]:
    """Return the blocks from the first one with a skip on.

    Raises ExploreError if there is none, or it can't be told where one adds.
    """
    blocks = blocks_of(net, size)
    first = next((i for i, block in enumerate(blocks) if block.sums), None)
    if first is None:
        raise ExploreError(
            f"The model, {an(net)}, has no skip that ends in a sum, so its logits are no sum over blocks: it "
            "has one path, and all of the logits come from its last block; give a residual network."
        )
    for block in blocks[first:]:
        if any(end.call < 1 for end in block.sums):
            raise ExploreError(
                f"The block {block.name!r} can't be taken apart: where it adds skip and branch is not known."
            )
        if block.runs > 1:
            raise ExploreError(
                f"The block {block.name!r} runs {block.runs} times in one pass, so what it adds is no one "
                "contribution; give a network that runs each block once."
            )
    return blocks[first:]


def _images_at_once(blocks: Sequence[TracedBlock]) -> int:
    largest = max((k + 3) * math.prod(block.gives) for k, block in enumerate(blocks))
    return max(1, _AT_ONCE // largest)


def _split(net: nn.Module, images: Tensor, blocks: Sequence[TracedBlock], in_all: int) -> LogitContributions:
    """Split the logits of some images, of so many in all."""
    followed = Followed(net, blocks)
    with followed.watching(images):
        output = answer(net, images)
    logits = as_logits(output, len(images), "; contributions are to logits")
    end = followed.node_of(logits)
    names = [block.name for block in blocks]
    order = _way_to(end)
    stacks = _summands(order, names)
    each = _grown(stacks[end], 2 + len(names))
    pooled, why = _last_pooling(order)
    places = None
    if pooled is not None:
        before = stacks[pooled.parents[0]]
        _require_memory(before, in_all, logits)
        places = _at_places(before, pooled, order, end)
        places = _grown(places, 2 + len(names))
        rest = each[0] - places[0].sum((-2, -1))
        places[0] += rest[..., None, None] / math.prod(places.shape[-2:])
        places = _bias_last(places.float())
    start, *_ = running = _repeated(_running(order, names)[end], 1 + len(names))
    keys = (STEM, *names, BIAS)
    return LogitContributions(
        keys, _bias_last(each), logits.detach(), running[1:], tuple(names), start, places, why
    )


def _require_memory(before: Tensor, images: int, logits: Tensor) -> None:
    """Raise ExploreError if what all places of all images add to all classes does not fit."""
    height, width = before.shape[-2:]
    needed, free = 4 * len(before) * images * logits.shape[1] * height * width, free_memory(logits.device)
    if 2 * needed > free:  # they are put together of parts
        raise ExploreError(
            f"What each of {height}×{width} places adds for {images} images takes {in_words(2 * needed)} of "
            f"memory and {in_words(free)} are free: give fewer images at a time."
        )


def _bias_last(stack: Tensor) -> Tensor:
    return torch.cat([stack[1:], stack[:1]])


def _way_to(end: Node) -> list[Node]:
    """Return all operations that lead to one, in the order of execution."""
    found, waiting = {end}, [end]
    while waiting:
        new = [parent for parent in waiting.pop().parents if parent not in found]
        found.update(new)
        waiting.extend(new)
    return sorted(found, key=lambda node: node.number)


def _last_uses(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """Return for each operation those whose results nobody needs behind it."""
    last = {parent: node for node in order for parent in node.parents}
    done: dict[Node, list[Node]] = {}
    for parent, node in last.items():
        done.setdefault(node, []).append(parent)
    return done


def _summands(order: Sequence[Node], names: Sequence[str]) -> dict[Node, Tensor]:
    """Push the summands along: (rows, N, ...) per operation, rows being bias, stem and blocks so far.

    Kept are those of the last operation and those that enter a pooling.
    """
    stacks: dict[Node, Tensor] = {}
    done = _last_uses(order)
    for node in order:
        if isinstance(node, Start):
            stack = torch.stack([torch.zeros_like(node.value), node.value])
        elif isinstance(node, StreamSum):
            row = 2 + names.index(node.block)
            stack = _grown(stacks[node.parents[0]], row + 1).clone()
            stack[row] += node.added
        elif isinstance(node, Plain):
            row = 2 + names.index(node.block)
            stack = _grown(node.value[None].mul(0), row + 1).clone()
            stack[row] = node.value
        else:
            parents = [stacks[parent] for parent in node.parents]
            rows = max(map(len, parents))
            stack = _each(node.linear, [_grown(parent, rows) for parent in parents])
            if node.constant is not None:
                stack = torch.cat([stack[:1] + node.constant, stack[1:]])
        stacks[node] = stack
        for parent in done.get(node, ()):
            if not node.pools:
                del stacks[parent]
    return stacks


def _running(order: Sequence[Node], names: Sequence[str]) -> dict[Node, Tensor]:
    """Run what is behind each block without the branches of later ones: (rows, N, ...), stem and blocks."""
    stacks: dict[Node, Tensor] = {}
    done = _last_uses(order)
    for node in order:
        if isinstance(node, Start):
            stack = node.value[None]
        elif isinstance(node, StreamSum):
            row = 1 + names.index(node.block)
            stack = _repeated(stacks[node.parents[0]], row + 1).clone()
            stack[row] += node.added
        elif isinstance(node, Plain):
            row = 1 + names.index(node.block)
            stack = torch.full_like(node.value, torch.nan).expand(row, *node.value.shape)
            stack = torch.cat([stack, node.value[None]])
        else:
            parents = [stacks[parent] for parent in node.parents]
            rows = max(map(len, parents))
            stack = _each(node.run, [_repeated(parent, rows) for parent in parents])
        stacks[node] = stack
        for parent in done.get(node, ()):
            del stacks[parent]
    return stacks


def _last_pooling(order: Sequence[Node]) -> tuple[Node | None, str]:
    """Return the mean over places through which all passes on its way to the logits, or why there is none."""
    pooled = next((node for node in reversed(order) if node.pools), None)
    if pooled is None:
        return None, "the network takes no mean over the places of a map before its classifier"
    behind = {pooled}
    for node in order[order.index(pooled) + 1 :]:
        if isinstance(node, (Start, StreamSum, Plain)) or not behind.issuperset(node.parents):
            return None, "not all that leads to the logits passes one mean over the places of a map"
        behind.add(node)
    return pooled, ""


def _at_places(before: Tensor, pooled: Node, order: Sequence[Node], end: Node) -> Tensor:
    """Return what each place of the map before the pooling adds to the logits: (rows, N, classes, h, w)."""
    height, width = before.shape[-2:]
    behind = order[order.index(pooled) + 1 :]
    found = []
    for row in before:  # of one summand at a time, as each place is a summand of its own now
        alone = row.permute(2, 3, 0, 1).reshape(height * width, *row.shape[:2]) / (height * width)
        values = {pooled: alone.reshape(len(alone), *pooled.linear(row).shape)}
        for node in behind:
            values[node] = _each(node.linear, [values[parent] for parent in node.parents])
        found.append(values[end].reshape(height, width, *values[end].shape[1:]).permute(2, 3, 0, 1))
    return torch.stack(found)


def _each(operation: Callable[..., Tensor], stacks: Sequence[Tensor]) -> Tensor:
    return torch.vmap(operation)(*stacks)


def _grown(stack: Tensor, rows: int) -> Tensor:
    """Return summands with zeros for those that come later."""
    missing = rows - len(stack)
    return torch.cat([stack, stack.new_zeros(missing, *stack.shape[1:])]) if missing > 0 else stack


def _repeated(stack: Tensor, rows: int) -> Tensor:
    """Return streams with the last one again for each block that adds nothing to it."""
    missing = rows - len(stack)
    return torch.cat([stack, stack[-1:].expand(missing, *stack.shape[1:])]) if missing > 0 else stack


def _together(parts: Sequence[LogitContributions]) -> LogitContributions:
    """Return the contributions of several batches as those of one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    places = None
    if first.places is not None:
        places = torch.cat([part.places for part in parts if part.places is not None], 1)
    return LogitContributions(
        first.names,
        torch.cat([part.each for part in parts], 1),
        torch.cat([part.logits for part in parts]),
        torch.cat([part.running for part in parts], 1),
        first.blocks,
        torch.cat([part.start for part in parts]),
        places,
        first.why_no_places,
    )
