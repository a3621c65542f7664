"""Panels of the skip explorer: two rows of blocks that can be edited, and what both networks answer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from resnet_explore.widgets.core.view import Can, Part
from resnet_explore.widgets.skips import captions
from resnet_explore.widgets.skips.lab import OpenTwins


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

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield what a click on each block and on each arc leads to; orders can't be listed."""
        for block in self.rows[-1].blocks if self.rows else ():
            if not block.stays:
                yield "deleted", tuple(sorted(set(self.deleted) ^ {block.number}))
            if block.skip:
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


def drawn(twins: OpenTwins, errors: Sequence[np.ndarray] = ()) -> tuple[DrawnRow, ...]:
    """Return both networks as they are drawn; `errors` are those without each block, of each network."""
    known = errors or [np.full(len(blocks), np.nan) for blocks in twins.blocks]
    return tuple(
        DrawnRow(
            network.name,
            network.kind,
            tuple(
                DrawnBlock(
                    k,
                    block.name,
                    block.stage,
                    block.gives,
                    block.skip,
                    "" if block.can_go else captions.stays(block.takes, block.gives),
                    twins.partners[k - 1],
                    None if math.isnan(own[k - 1]) else float(own[k - 1]),
                )
                for k, block in enumerate(blocks, 1)
            ),
        )
        for network, blocks, own in zip(twins.networks, twins.blocks, known, strict=True)
    )


@dataclass(frozen=True)
class OutcomeBar:
    """One bar.

    share      its length, 0 to 1
    text       its number in words
    low, high  the ends of its whisker, None for none
    before     where it was without the edit, None where that is not known
    """

    label: str
    share: float
    text: str
    low: float | None = None
    high: float | None = None
    before: float | None = None


@dataclass(frozen=True)
class Side:
    """What one network does: its error, and its answers to one image."""

    name: str
    color: str
    error: OutcomeBar | None
    answers: Sequence[OutcomeBar]
    note: str = ""


@dataclass(frozen=True)
class OutcomeBars(Part):
    """Both networks' errors and answers, side by side.

    asked    what the answers are to, in words
    missing  why there are no errors, in words; "" where there are
    picture  the image that is looked at, bytes of a PNG; `picture_key` says which it is, "" for none
    """

    kind: ClassVar[str] = "outcome"
    key: str
    sides: Any
    asked: str = ""
    picture: bytes = b""
    picture_key: str = ""
    missing: str = ""

    height: ClassVar[float] = 170.0

    def draw(self, figure: Any) -> None:
        """Draw the bars."""
        from resnet_explore.figures.cuts import draw_bars

        draw_bars(figure, [(s.name, s.color, [*filter(None, [s.error]), *s.answers]) for s in self.sides])

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each bar."""
        for side in self.sides:
            for bar in [*filter(None, [side.error]), *side.answers]:
                row = {"network": side.name, "what": bar.label, "percent": 100 * bar.share}
                for name in ("low", "high", "before"):
                    value = getattr(bar, name)
                    row[name] = math.nan if value is None else 100 * value
                yield row
