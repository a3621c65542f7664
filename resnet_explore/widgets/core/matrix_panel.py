"""The panel that shows matrices as colours on one logarithmic scale, read out cell by cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from resnet_explore.widgets.core.view import Part


@dataclass(frozen=True, eq=False)
class Matrix:
    """One matrix.

    title    what it is of
    values   (rows, columns); row 0 is drawn at the bottom; NaN is left empty
    columns  what each column is called
    kind     "plain" or "residual", which colours the title, or ""
    """

    title: str
    values: np.ndarray
    columns: Sequence[str]
    kind: str = ""


@dataclass(frozen=True)
class Matrices(Part):
    """Matrices beside each other, from `low` to `high` in colours; black and red are what lies beyond.

    label    what a value is; column, row  what theirs are called in the read-out, rows counted from 1
    """

    kind: ClassVar[str] = "matrices"
    height: ClassVar[float] = 330
    key: str
    matrices: Any
    low: float
    high: float
    label: str
    column: str
    row: str

    def draw(self, figure: Any) -> None:
        """Draw all matrices with their scale."""
        from resnet_explore.figures.gradients import fill_heatmap

        maps = {m.kind or m.title: (m.columns, m.values.T) for m in self.matrices}
        fill_heatmap(figure, maps, (self.low, self.high), self.label)

    def numbers(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each cell."""
        for matrix in self.matrices:
            for r, row in enumerate(matrix.values):
                for name, value in zip(matrix.columns, row, strict=True):
                    yield {"of": matrix.title, self.column: name, self.row: r + 1, self.label: float(value)}
