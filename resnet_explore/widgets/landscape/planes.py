"""Landscapes beside each other: of both twins, at every depth, over every plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from resnet_explore.analysis.landscape.plane import Landscape
    from resnet_explore.analysis.landscape.recorded import Sharpness

RANDOM = ("random-0", "random-1", "random-2")
TRAINING = "training"
Mode = Literal["train", "eval"]
MODES: tuple[Mode, ...] = ("train", "eval")
_NAMES = {"plain": "plain-{}", "residual": "residual-{}"}


@dataclass(frozen=True, eq=False)
class Planes:
    """Landscapes of networks beside each other.

    landscapes  {(kind, depth, plane): the landscape}; a plane is called as `plane_key` says
    names       {kind: what the network is called, with {} for its depth}, plain first
    sharpness   a row for each training and mode; none where that was not measured
    images      which images the loss is of, in words
    snapshots   what each step of a training's way is called, in order
    """

    landscapes: Mapping[tuple[str, int, str], "Landscape"]
    names: Mapping[str, str] = field(default_factory=lambda: _NAMES)
    sharpness: Sequence["Sharpness"] = ()
    images: str = ""
    snapshots: Sequence[str] = ()

    @cached_property
    def planes(self) -> tuple[str, ...]:
        """The planes that there are, without the mode."""
        return tuple(plane for plane in (*RANDOM, TRAINING) if self.modes(plane))

    def modes(self, plane: str) -> tuple[Mode, ...]:
        """Return the modes of batch norm that a plane was measured in."""
        return tuple(mode for mode in MODES if self.depths(plane_key(plane, mode)))

    def depths(self, key: str) -> tuple[int, ...]:
        """Return the depths that a plane of every network was measured at, the least first."""
        there = sorted({depth for _, depth, plane in self.landscapes if plane == key})
        return tuple(depth for depth in there if all((k, depth, key) in self.landscapes for k in self.names))

    def of(self, depth: int, key: str) -> list[tuple[str, "Landscape"]]:
        """Return the kinds and landscapes of a depth, plain first."""
        return [(kind, self.landscapes[kind, depth, key]) for kind in self.names]

    def random(self, kind: str, depth: int, mode: str) -> dict[int, "Landscape"]:
        """Return all random planes of a network, by the seed of their directions."""
        keys = {seed_of(plane): (kind, depth, plane_key(plane, mode)) for plane in RANDOM}
        return {seed: self.landscapes[key] for seed, key in keys.items() if key in self.landscapes}

    def sharp(self, kind: str, depth: int, mode: str) -> list["Sharpness"]:
        """Return the sharpness of every training of a network, by its seed."""
        rows = [row for row in self.sharpness if (row.kind, row.depth, row.mode) == (kind, depth, mode)]
        return sorted(rows, key=lambda row: row.seed)


def plane_key(plane: str, mode: str) -> str:
    """Return what a plane is called with batch norm in a mode; that of a training has one only."""
    return f"{plane}-train" if mode == "train" and plane != TRAINING else plane


def seed_of(plane: str) -> int:
    """Return the seed of a random plane's directions from what it is called, with its mode or without."""
    return int(plane.split("-")[1])
