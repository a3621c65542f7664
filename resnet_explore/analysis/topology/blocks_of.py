"""The blocks of a network whose input nobody gives: the trace of an image of a usual size, made once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

from torch import nn

from resnet_explore.analysis.topology.structure import TracedBlock, structure
from resnet_explore.errors import ExploreError, an
from resnet_explore.models.dry_run import as_size

_SIDES = (224, 64, 32, 28)


@dataclass(frozen=True, eq=False)
class _Traced:
    """What a trace found, and the modules that the network had then."""

    size: tuple[int, ...]
    blocks: tuple[TracedBlock, ...]
    modules: tuple["ref[nn.Module]", ...]

    def holds_for(self, model: nn.Module, size: tuple[int, ...] | None) -> bool:
        """Whether the network still is made of the same modules, in whatever order."""
        return size in (None, self.size) and {m() for m in self.modules} == set(model.modules())


_TRACED: WeakKeyDictionary[nn.Module, _Traced] = WeakKeyDictionary()


def blocks_of(model: nn.Module, input_size: tuple[int, ...] | None = None) -> tuple[TracedBlock, ...]:
    """Return `structure(model, input_size).blocks`, which is kept for the next time.

    Without a size, (C, H, W), images of usual sizes are tried. Raises ExploreError if the network takes none.
    """
    size = None if input_size is None else as_size(input_size)
    known = _TRACED.get(model)
    if known is None or not known.holds_for(model, size):
        known = _TRACED[model] = _trace(model, _usual(model) if size is None else [size])
    return known.blocks


@contextmanager
def traces_kept(model: nn.Module) -> Iterator[None]:
    """Forget on leaving what was traced inside: that was another network, as an edited one is."""
    known = _TRACED.get(model)
    try:
        yield
    finally:
        if known is None:
            _TRACED.pop(model, None)
        else:
            _TRACED[model] = known


def _trace(model: nn.Module, sizes: list[tuple[int, ...]]) -> _Traced:
    for size in sizes:
        try:
            blocks = structure(model, size).blocks
        except ExploreError:
            if len(sizes) == 1:
                raise
            continue
        return _Traced(size, blocks, tuple(ref(module) for module in model.modules()))
    tried = ", ".join(map(str, sizes))
    raise ExploreError(
        f"The model, {an(model)}, takes no image of a usual size ({tried}); say what it takes with "
        "input_size=(C, H, W)."
    )


def _usual(model: nn.Module) -> list[tuple[int, ...]]:
    """Return sizes of images that the first layer can take."""
    first = next((m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d, nn.Linear))), None)
    if isinstance(first, nn.Linear):
        return [(first.in_features,)]
    if isinstance(first, nn.Conv3d):
        return [(first.in_channels, 16, side, side) for side in (112, 224)]
    channels = 3 if first is None else first.in_channels
    return [(channels, side, side) for side in _SIDES]
