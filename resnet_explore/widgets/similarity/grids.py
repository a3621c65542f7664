"""The matrices that are shown: which layers of which networks, recorded or measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.analysis.similarity_record import KINDS, Similarities, distant, like_last, same
from resnet_explore.widgets.similarity import captions

if TYPE_CHECKING:
    from resnet_explore.analysis.similarity import Similarity


@dataclass(frozen=True, eq=False)
class Grid:
    """One matrix.

    title    what stands above it
    kind     "plain" or "residual", "" for one of both
    values   debiased linear CKA, float (rows, columns), NaN where a layer can't be compared
    rows, columns  the layers' names
    blocks   the blocks' names, among the rows and among the columns; () of a network without blocks
    networks the place of the network of the rows and of that of the columns; None for one that is not here
    names    what both are called
    network  what the network of the rows is called without its seed
    """

    title: str
    kind: str
    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    blocks: tuple[Sequence[str], Sequence[str]]
    networks: tuple[int, int | None]
    names: tuple[str, str]
    network: str

    @property
    def lost(self) -> dict[str, tuple[str, ...]]:
        """The layers that can't be compared, by the names of their networks."""
        none = np.isnan(self.values)
        sides = zip(self.names, (self.rows, self.columns), (none.all(1), none.all(0)), strict=True)
        return {name: tuple(np.array(layers)[gone]) for name, layers, gone in sides if gone.any()}

    @property
    def noun(self) -> str:
        """What the headline counts: "blocks", or "layers" where a network has no blocks."""
        return "blocks" if all(self.blocks) else "layers"

    @property
    def of_blocks(self) -> np.ndarray:
        """The matrix of blocks alone; of a network without blocks, of all its layers."""
        rows, columns = (
            [there.index(name) for name in blocks or there if name in there]
            for there, blocks in zip((list(self.rows), list(self.columns)), self.blocks, strict=True)
        )
        return self.values[np.ix_(rows, columns)]

    @property
    def distant(self) -> float:
        """Mean CKA of blocks at least a third of the depth apart; NaN where there are no two."""
        return distant(self.of_blocks)

    @property
    def like_last(self) -> float:
        """Share of the other blocks that resemble the last one; 0 where nothing can be said of that."""
        return float(np.nan_to_num(like_last(self.of_blocks)))

    @property
    def same(self) -> float:
        """Mean CKA of each block with the same one of the other network; NaN where they differ in number."""
        rows, columns = self.of_blocks.shape
        return same(self.of_blocks) if rows == columns else float("nan")

    @property
    def _branches(self) -> list[int]:
        """The places of the last layer inside of each block that shows any."""
        inside = [[k for k, n in enumerate(self.rows) if n.startswith(f"{b}.")] for b in self.blocks[0]]
        return [places[-1] for places in inside if places]

    @property
    def has_branches(self) -> bool:
        """Whether layers inside of two blocks are shown."""
        return len(self._branches) > 1

    @property
    def neighbours(self) -> tuple[float, float]:
        """Mean CKA of the outputs of neighbouring blocks, and of what their branches end in."""
        ends = [list(self.rows).index(block) for block in self.blocks[0]], self._branches
        outputs, branches = (np.array([self.values[a, b] for a, b in pairwise(k)]) for k in ends)
        return float(np.nanmean(outputs)), float(np.nanmean(branches))


def recorded_grids(record: Similarities, depth: int, comparing: str, layers: str) -> tuple[Grid, ...]:
    """Return the matrices of one depth, plain first."""
    rows, blocks = record.layers(depth, layers), record.layers(depth)

    def grid(title: str, kind: str, networks: tuple[int, int | None], names: tuple[str, str]) -> Grid:
        values = record.matrix(depth, comparing, kind, record.seeds[0], layers)
        network = f"{KINDS[networks[0]].capitalize()}-{depth}"
        return Grid(title, kind, values, rows, rows, (blocks, blocks), networks, names, network)

    names = tuple(f"{kind.capitalize()}-{depth}" for kind in KINDS)
    if comparing == "twins":
        return (grid(captions.with_each_other(*names), "", (0, 1), (names[0], names[1])),)
    if comparing == "seeds":
        both = [captions.seeds_of(name, record.seeds[:2]) for name in names]
        return tuple(
            grid(captions.across_seeds(names[k], record.seeds[:2]), kind, (k, None), both[k])
            for k, kind in enumerate(KINDS)
        )
    return tuple(grid(names[k], kind, (k, k), (names[k],) * 2) for k, kind in enumerate(KINDS))


@dataclass(frozen=True, eq=False)
class ComparedNetworks:
    """What was measured of a person's own networks.

    names, kinds  of each network
    blocks        of each, in order; () of one without blocks
    found         by the places of the two networks that were compared
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]
    found: "Mapping[tuple[int, int], Similarity]"

    @property
    def images(self) -> int:
        """How many images it rests on."""
        return next(iter(self.found.values())).images

    @property
    def constant(self) -> tuple[str, ...]:
        """Layers that give the same for all images."""
        return tuple(dict.fromkeys(name for one in self.found.values() for name in one.constant))

    def grids(self, comparing: str, layers: str) -> tuple[Grid, ...]:
        """Return the matrices, those of the first network first."""
        if comparing == "twins":
            title = captions.with_each_other(*self.names)
            return (self._grid(title, "", (0, 1), layers),)
        return tuple(
            self._grid(name, kind, (k, k), layers)
            for k, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True))
        )

    def _grid(self, title: str, kind: str, pair: tuple[int, int], layers: str) -> Grid:
        one = self.found[pair]
        sides = (one.rows, one.columns)
        blocks = tuple(
            tuple(n for n in self.blocks[k] if n in there) for k, there in zip(pair, sides, strict=True)
        )
        shown = (
            [own or side for own, side in zip(blocks, sides, strict=True)] if layers == "blocks" else sides
        )
        places = [[there.index(n) for n in side] for there, side in zip(sides, shown, strict=True)]
        values = one.matrix[np.ix_(*places)]
        names = (self.names[pair[0]], self.names[pair[1]])
        return Grid(title, kind, values, shown[0], shown[1], (blocks[0], blocks[1]), pair, names, names[0])
