"""How much memory will it take to look at a network? Known from shapes alone, before any is spent."""

import math
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis.capture.layers import Layers, select_layers, token_blocks
from resnet_explore.analysis.topology.map_layers import map_names
from resnet_explore.errors import ExploreError, an
from resnet_explore.models.dispatch import OperationMode, tensors_in
from resnet_explore.models.dry_run import dry_run
from resnet_explore.models.memory import free_memory, in_words

_PARTS = 3  # a block's maps are kept, and the skip and the branch that they are the sum of
_GROWING = (nn.ConvTranspose2d, nn.Upsample, nn.PixelShuffle)


@dataclass(frozen=True)
class Footprint:
    """Bytes that a batch takes beside the weights.

    running  results that are alive at once, at the busiest moment of a pass without gradients
    kept     the layers' maps of one image, float32, each with a skip and a branch as large
    """

    running: int
    kept: int


def footprint(
    model: nn.Module, images: Tensor, layers: Layers = None, largest: int | None = None
) -> Footprint:
    """Return what `feature_maps` of the same arguments will need, from shapes alone: nothing is computed.

    What single operations need for themselves comes on top. Raises ExploreError for a model that can't take
    such images, or whose shapes depend on values, as a detector's do.
    """
    names = list(select_layers(model, map_names(model) if layers is None else layers))
    ledger = dry_run(
        model, tuple(images.shape[1:]), lambda x, weights: _Ledger(x, weights, names), computing=False
    )
    # Blocks of tokens may give their channels last, as Swin's do; which it is, only the values would tell.
    orders = ((1, 2, 3), (3, 1, 2)) if token_blocks(model) else ((1, 2, 3),)
    kept = sum(_kept(shape, largest, orders) for shape in ledger.shapes if len(shape) in (3, 4))
    return Footprint(ledger.peak * len(images), kept)


def foretold(model: nn.Module, images: Tensor, layers: Layers = None, largest: int | None = None) -> str:
    """Return in words how much memory `feature_maps` will take, or "" where that is little or not known.

    Raises ExploreError if it is more than there is.
    """
    free = free_memory(next(model.parameters(), images).device)
    if _roughly(model, images) < free / 2:
        return ""
    needed = images.numel() * images.element_size()  # a copy of them
    try:
        found: Footprint | None = footprint(model, images, layers, largest)
    except ExploreError:
        found = None
    if found is not None:
        needed += found.running + found.kept
    if needed > free:
        maps = "" if found is None else f", {in_words(found.kept)} of it for maps,"
        raise ExploreError(
            f"The model, {an(model)}, needs about {in_words(needed)} of memory for images of "
            f"shape {tuple(images.shape)}{maps} and {in_words(free)} are free, so it was not run: give fewer "
            "or smaller images, or fewer layers with `layers`."
        )
    if found is None:
        return ""  # the run itself will tell what is wrong, if anything is
    return f"about {in_words(needed)} of the {in_words(free)} of memory that are free"


def _roughly(model: nn.Module, images: Tensor) -> float:
    """Return more bytes than will be needed, unless a network enlarges its maps in a function."""
    modules = list(model.modules())
    if any(isinstance(module, _GROWING) for module in modules):
        return math.inf
    channels = [m.out_channels for m in modules if isinstance(m, nn.Conv2d)] or [0]
    pixels = math.prod(images.shape[2:])
    return 4 * _PARTS * pixels * (len(images) * max(channels) + sum(channels))


def _kept(shape: tuple[int, ...], largest: int | None, orders: Iterable[tuple[int, int, int]]) -> int:
    """Return what a layer's maps take, by the axes of channels, height and width that make it most."""
    if len(shape) == 3:  # tokens, laid out as maps
        return 4 * _PARTS * math.prod(shape[1:])
    values = 0.0
    for order in orders:
        channels, *size = (shape[axis] for axis in order)
        scale = 1.0 if largest is None else min(1.0, largest / max(size))
        values = max(values, channels * math.prod(side * scale for side in size))
    return round(4 * _PARTS * values)


class _Ledger(OperationMode):
    """Keeps account of the bytes that results hold, and of the shapes of some modules' outputs."""

    def __init__(self, image: Tensor, weights: Iterable[Tensor], names: Iterable[str]) -> None:
        super().__init__()
        self.peak = self._alive = 0
        self.shapes: list[tuple[int, ...]] = []
        self._names = list(names)
        # What is there before is always held, so that a transposed weight is no new memory.
        self._there = [tensor.untyped_storage() for tensor in (image, *weights)]
        self._holders = Counter(storage._cdata for storage in self._there)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Keep account inside the with block; the model is a copy, so hooks may stay."""
        for name in self._names:
            model.get_submodule(name).register_forward_hook(self._note)
        with torch.no_grad(), self:
            yield

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            storage = tensor.untyped_storage()
            place, size = storage._cdata, storage.nbytes()
            if not self._holders[place]:
                self._alive += size
            self._holders[place] += 1
            weakref.finalize(tensor, self._leave, place, size)
        self.peak = max(self.peak, self._alive)
        return result

    def _leave(self, place: int, size: int) -> None:
        self._holders[place] -= 1
        if not self._holders[place]:
            self._alive -= size

    def _note(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self.shapes += [tuple(tensor.shape) for tensor in tensors_in(output)]
