"""The panel that says whether a heatmap is better than chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from resnet_explore.widgets.core.view import Named, Part


@dataclass(frozen=True)
class Cell:
    """What one measure says of one network's map: its value, and in words what chance gets."""

    passed: bool
    value: str
    chance: str


@dataclass(frozen=True)
class Row:
    """One measure for all networks; None for a cell that is yet to come."""

    measure: str
    tip: str
    cells: Sequence[Cell | None]


@dataclass(frozen=True)
class VerdictRows:
    """What is known of one block's maps so far.

    of     (depth, block) that it is about: a person may be further on
    press  what the button says that calls `act`, "" for no button
    """

    of: tuple[int, int]
    title: str
    names: Sequence[Named] = ()
    rows: Sequence[Row] = ()
    note: str = ""
    press: str = ""
    act: str = ""

    def numbers(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each measure and network."""
        for row in self.rows:
            for name, cell in zip(self.names, row.cells, strict=True):
                if cell is not None:
                    passed = {"value": cell.value, "chance": cell.chance, "passed": cell.passed}
                    yield {"measure": row.measure, "network": name.name, **passed}


@dataclass(frozen=True)
class VerdictTable(Part):
    """Measures against networks; what it says comes aside, as `VerdictRows`: oftener than the maps change."""

    kind: ClassVar[str] = "verdict"
    key: str
