"""Maps of what is no map yet, tokens and outputs with channels last, laid out as they lie on the image."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._brief import counted
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.capture.layers import Layers
from resnet_explore.analysis.topology.places import Places
from resnet_explore.models.dispatch import uncompiled

# What can bring values into another order. Without any of these an output with four axes is a map
# (N, C, h, w) as it stands. A transposed weight is one of them, so that every Linear counts.
_REORDERS = (
    *("permute", "transpose", "t", "view", "_unsafe_view", "_reshape_alias", "as_strided", "unfold", "roll"),
    *("flip", "rot90", "index", "index_select", "gather", "bmm", "mm", "addmm", "im2col", "stack"),
)
REORDERS = frozenset(_REORDERS)  # as dispatch calls them
_IN_GRAPH = tuple(f"{name.title().replace('_', '')}Backward" for name in _REORDERS)  # as autograd does
_ALIKE = 1 / 64  # pixels within which two tokens lie in one row


@dataclass(frozen=True, eq=False, repr=False)
class TokenGrid:
    """How the values of one output lie on the image, so that `lay` makes a map (N, C, h, w) of it.

    shape    of the output without its batch
    axes     those of them, counted with the batch, along which the place changes
    order    the position along these, as one number, of each place of the map, row by row, int64 (h w,)
    size     (h, w)
    left     how many tokens are left out as they lie at no place, such as the class token
    words    all this in a sentence; "" for what is such a map as it stands
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    order: Tensor
    size: tuple[int, int]
    left: int
    words: str

    def __repr__(self) -> str:
        return f"<TokenGrid: {self.words or 'a map as it stands'}>"

    @property
    def plain(self) -> bool:
        """Whether the output is a map (N, C, h, w) as it stands."""
        return not self.words

    def fits(self, output: Tensor) -> bool:
        """Whether an output, or its gradient, has the shape that this is about."""
        return tuple(output.shape[1:]) == self.shape

    def lay(self, output: Tensor) -> Tensor:
        """Return an output (N, ...), or its gradient, as maps (N, C, h, w)."""
        if self.plain:
            return output
        tokens = self._flat(output).index_select(2, self.order.to(output.device))
        return tokens.reshape(*tokens.shape[:2], *self.size)

    def put(self, maps: Tensor, output: Tensor) -> Tensor:
        """Return a copy of an output with maps in place of what `lay` takes from it."""
        if self.plain:
            return maps.clone()
        tokens = self._flat(output).clone()
        tokens[:, :, self.order.to(output.device)] = maps.flatten(2)
        rest = [a for a in range(1, output.ndim) if a not in self.axes]
        sizes = [output.shape[a] for a in (*rest, *self.axes)]
        back = tokens.reshape(len(output), *sizes)
        return back.permute(
            0, *(1 + (*rest, *self.axes).index(a) for a in range(1, output.ndim))
        ).contiguous()

    def _flat(self, output: Tensor) -> Tensor:
        """Return an output as (N, channels, tokens)."""
        rest = [a for a in range(1, output.ndim) if a not in self.axes]
        channels = math.prod(output.shape[a] for a in rest)
        return output.permute(0, *rest, *self.axes).reshape(len(output), channels, -1)


def grids(model: nn.Module, images: Tensor, layers: Layers) -> dict[str, TokenGrid | str]:
    """Return for each output of some layers how it lies on the image, or why that is not known.

    One more pass of the first image, in the mode that the model is in. Names are those of `Capture`.
    """
    image = images[:1].detach().clone()
    places = Places(image)
    keep = partial(grid_of, places)
    with (
        uncompiled(),
        slow_attention(),
        torch.no_grad(),
        Capture(model, layers, keep=keep, restore=False) as seen,
        places,
    ):
        answer(model, image)
    return dict(seen.outputs)  # type: ignore[arg-type]


def reordered(nodes: Iterable[Any]) -> bool:
    """Whether anything on the way to some nodes of a graph can have brought values into another order."""
    waiting = list(nodes)
    known = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.name().startswith(_IN_GRAPH) or isinstance(node, BackwardCFunction):  # which can do anything
            return True
        for before, _ in node.next_functions:
            if before is not None and before not in known:
                known.add(before)
                waiting.append(before)
    return False


@contextmanager
def slow_attention() -> Iterator[None]:
    """Let torch's transformers call their modules one by one, not one operation in place of all of them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def grid_of(places: Places, output: Tensor) -> TokenGrid | str:
    """Return how an output of the one image that `places` follows lies on it, or why that is not known."""
    found = places.of(output)
    if found is None and output.ndim == 4 and len(output) == 1 and places.stands(output):
        size = (output.shape[2], output.shape[3])
        return TokenGrid(tuple(output.shape[1:]), (2, 3), torch.arange(math.prod(size)), size, 0, "")
    if output.ndim < 3 or found is None or not found.any():
        return "nothing tells where on the image its values lie"
    if output.shape[0] != 1:
        return f"its first axis holds {output.shape[0]} parts of an image, not images"
    axes = tuple(a for a in range(1, output.ndim) if _changes(found, a))
    rest = [a for a in range(1, output.ndim) if a not in axes]
    if not rest:
        return "its channels lie at different places of the image"
    numbers = found.permute(0, *rest, *axes).flatten(len(rest) + 1) if axes else found[..., None]
    numbers = numbers[(0,) * (numbers.ndim - 1)]
    there = (numbers > 0).nonzero()[:, 0]
    if int(there[-1] - there[0]) + 1 != len(there):
        return f"of its {len(numbers):,} tokens only {len(there):,}, in between, lie at a known place"
    rows, columns = ((places.table[numbers[there], k] / _ALIKE).round() for k in (0, 1))
    heights, widths = torch.unique(rows), torch.unique(columns)
    size = len(heights), len(widths)
    where = torch.searchsorted(heights, rows) * size[1] + torch.searchsorted(widths, columns)
    if len(torch.unique(where)) < len(where):
        return f"several of its {len(where):,} tokens lie at one place of the image"
    if len(where) != math.prod(size):
        return f"the places of its {len(where):,} tokens are no grid"
    order = there[where.argsort()]
    left, shape = len(numbers) - len(there), tuple(output.shape[1:])
    in_order = bool((there.diff() > 0).all() and (order.diff() > 0).all())
    plain = output.ndim == 4 and in_order and not left and set(axes) <= {2, 3} and size == output.shape[2:]
    words = "" if plain else _words(output, axes, size, there, left, in_order)
    return TokenGrid(shape, axes, order, size, left, words)


def _changes(places: Tensor, axis: int) -> bool:
    if places.stride(axis) == 0 or places.shape[axis] == 1:
        return False
    return not torch.equal(places, places.narrow(axis, 0, 1).expand(places.shape))


def _words(
    output: Tensor, axes: tuple[int, ...], size: tuple[int, int], there: Tensor, left: int, in_order: bool
) -> str:
    height, width = size
    if output.ndim == 4 and len(axes) == 2 and not left and in_order:
        return f"a map of {height}×{width} with its channels last"
    said = f"{counted(height * width, 'token')} laid out as a map of {height}×{width}"
    if not in_order:
        said += ", put in the image's order"
    if left:
        first = bool(there[0] == left)
        which = f"the first {left}" if first else f"{left}"
        which, lies = ("the first" if first else "one", "lies") if left == 1 else (which, "lie")
        said += f"; {which} of {height * width + left:,}, which {lies} nowhere on it, left out"
    return said
