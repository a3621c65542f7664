"""The panel on which networks are edited: rows of blocks, of which some are taken out, cut off or moved."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from resnet_explore.widgets.core.view import Can, Part


@dataclass(frozen=True)
class DrawnBlock:
    """One block.

    number    counted from 1, the same in both twins
    stage     the list of blocks in which it stands, "layer1"
    shape     of what it gives, (C, h, w)
    skip      which kind it has, as in `structure(model).blocks`; "" for none
    stays     why it can't be taken out, "" where it can
    partners  the numbers of the blocks that could stand in its place
    error     in percent, with this block alone taken out; None where that is not known or can't be
    """

    number: int
    name: str
    stage: str
    shape: Sequence[int]
    skip: str
    stays: str
    partners: Sequence[int]
    error: float | None = None


@dataclass(frozen=True)
class DrawnRow:
    """One network's blocks, in the order in which it was trained."""

    title: str
    color: str
    blocks: Sequence[DrawnBlock]


@dataclass(frozen=True)
class Cuts(Part):
    """Networks as rows of blocks with their skips as arcs: a click takes a block out or cuts a skip, a drag
    moves a block. The state's fields of the same names hold what was done.

    looked               the state's field of the block that is looked into, "" for none
    still                whether no block can be moved
    uncut                whether no skip can be cut
    deleted, cut, order  what was done when the view was made, for files; the page looks into its state
    """

    kind: ClassVar[str] = "cuts"
    key: str
    rows: Sequence[DrawnRow]
    deleted: Sequence[int] = ()
    cut: Sequence[int] = ()
    order: Sequence[int] = ()
    looked: str = ""
    still: bool = False
    uncut: bool = False

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield what a click on each block and on each arc leads to; orders can't be listed."""
        for block in self.rows[-1].blocks if self.rows else ():
            if not block.stays:
                yield "deleted", tuple(sorted(set(self.deleted) ^ {block.number}))
            if block.skip and not self.uncut:
                yield "cut", tuple(sorted(set(self.cut) ^ {block.number}))

    def offline(self, can: Can) -> "Cuts":
        """Let no block be moved: there are too many orders to know them all beforehand."""
        return replace(self, still=True)

    def follows(self) -> tuple[str, ...]:
        """Return the field of the block that is marked."""
        return (self.looked,) if self.looked else ()

    @property
    def height(self) -> float:  # type: ignore[override]
        """CSS pixels that all rows take in a saved picture."""
        return (110.0 + 60.0 * self._told) * len(self.rows)

    @property
    def _told(self) -> bool:
        """Whether it is known what the networks do without some block."""
        return any(block.error is not None for row in self.rows for block in row.blocks)

    def draw(self, figure: Any) -> None:
        """Draw all rows as they are edited."""
        from resnet_explore.figures.cuts import draw_cuts

        rows = [(row.title, row.color, row.blocks) for row in self.rows]
        draw_cuts(figure, rows, self.deleted, self.cut, self.order)

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each block of each network."""
        for row in self.rows:
            order = tuple(self.order) or tuple(block.number for block in row.blocks)
            for block in row.blocks:
                yield {
                    "network": row.title,
                    "block": block.number,
                    "name": block.name,
                    "runs as number": order.index(block.number) + 1,
                    "taken out": block.number in self.deleted and not block.stays,
                    "skip cut": block.number in self.cut and bool(block.skip),
                    "error without it": math.nan if block.error is None else block.error,
                }
