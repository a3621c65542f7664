"""Passes of many images through a network that start at one of its blocks: what is before it runs once."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_logits
from resnet_explore.analysis.skips.block_sums import wrapped_forward
from resnet_explore.analysis.topology.structure import TracedBlock

_Given = tuple[tuple[Any, ...], dict[str, Any]]  # what a block is called with


class _ReachedError(Exception):
    """Ends a pass at the block whose input was asked for."""


class Passes:
    """Passes of some batches through a network, begun at the block to which one last went.

    What enters that block is kept, for one block at a time: a pass calls the network as ever, but each block
    before it hands on at once a tensor of NaN, and the block itself takes what was kept. That is right only
    where all that comes from earlier blocks comes through it: see `is_chain`. Where it is not, with
    `chain=False`, passes are whole.
    """

    def __init__(
        self, net: nn.Module, blocks: Sequence[TracedBlock], batches: Sequence[Tensor], chain: bool = True
    ) -> None:
        self.net, self.blocks, self.batches, self.chain = net, blocks, batches, chain
        self._at = -1  # the block whose input is kept; -1 before the first
        self._kept: list[_Given] = []
        self._dummies: dict[tuple[Any, ...], Tensor] = {}

    def go_to(self, place: int) -> None:
        """Keep what enters the `place`-th block of the network as it is now."""
        if not self.chain or place == self._at:
            return
        start = self._at if self._at < place else -1  # there is no way back but from the images
        before: list[_Given | None] = [*self._kept] if start >= 0 else [None] * len(self.batches)
        self._kept, self._at = [], -1
        made: list[_Given] = []
        for i, batch in enumerate(self.batches):
            made.append(self._entering(place, start, batch, before[i]))
            before[i] = None  # of each batch one input is held, not two
        self._kept, self._at = made, place

    def outputs(self, order: Sequence[str] = ()) -> Iterator[Any]:
        """Yield what the network gives for each batch.

        order  names of its blocks in the order in which they run now, if that is another
        """
        names = list(order) or [block.name for block in self.blocks]
        for i, batch in enumerate(self.batches):
            with ExitStack() as stack:
                if self.chain and self._at >= 0:
                    stack.enter_context(self._begun(names, self._at, batch, self._kept[i]))
                yield answer(self.net, batch.clone())  # a network may overwrite what it gets

    def _entering(self, place: int, start: int, batch: Tensor, kept: _Given | None) -> _Given:
        found: list[_Given] = []

        def reached(_run: Any, *args: Any, **kwargs: Any) -> Any:
            found.append((args, kwargs))
            raise _ReachedError

        names = [block.name for block in self.blocks]
        with ExitStack() as stack:
            if kept is not None:
                stack.enter_context(self._begun(names, start, batch, kept))
            stack.enter_context(wrapped_forward(self.net.get_submodule(names[place]), reached))
            try:
                answer(self.net, batch.clone())
            except _ReachedError:
                return found[0]
        raise RuntimeError(f"the block {names[place]!r} did not run")

    @contextmanager
    def _begun(self, names: Sequence[str], at: int, batch: Tensor, kept: _Given) -> Iterator[None]:
        """Let passes begin at the `at`-th of the blocks named."""
        gives = {block.name: block.gives for block in self.blocks}
        with ExitStack() as stack:
            for name in names[:at]:
                dummy = self._dummy((len(batch), *gives[name]), batch)
                stack.enter_context(
                    wrapped_forward(self.net.get_submodule(name), lambda *_, dummy=dummy, **__: dummy)
                )

            def begin(run: Any, *_: Any, **__: Any) -> Any:
                args, kwargs = kept
                return run(*map(_copy, args), **{name: _copy(value) for name, value in kwargs.items()})

            stack.enter_context(wrapped_forward(self.net.get_submodule(names[at]), begin))
            yield

    def _dummy(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        key = (shape, like.dtype)
        if key not in self._dummies:
            self._dummies[key] = like.new_full(shape, float("nan"))
        return self._dummies[key]


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value  # a block may overwrite what it gets


def is_chain(net: nn.Module, blocks: Sequence[TracedBlock], image: Tensor) -> bool:
    """Whether a pass that starts at any block gives what the whole one gives: tried with (1, C, H, W).

    What a later part takes from before a block by another way is NaN then, and so shows.
    """
    if any(block.runs != 1 for block in blocks):
        return False
    whole, passes = as_logits(answer(net, image.clone()), 1), Passes(net, blocks, [image])
    try:
        for place in range(len(blocks)):
            passes.go_to(place)
            (found,) = (as_logits(output, 1) for output in passes.outputs())
            if not torch.allclose(found, whole, rtol=1e-5, atol=1e-6, equal_nan=True):
                return False
    except Exception:  # whatever a network that we did not write makes of tensors of NaN
        return False
    return True
