"""The panel that shows matrices as colours on one scale, read out cell by cell; a cell can be chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from resnet_explore.figures.chart import Scale
from resnet_explore.widgets.core.view import Can, Part


@dataclass(frozen=True, eq=False)
class Matrix:
    """One matrix.

    title    what it is of
    values   (rows, columns); row 0 is drawn at the bottom; NaN is left empty
    columns  what stands below each column
    kind     "plain" or "residual", which colours the title, or ""
    rows_named, columns_named  what rows and columns are called where they are read out; () for their number
             and for what stands below
    """

    title: str
    values: np.ndarray
    columns: Sequence[str]
    kind: str = ""
    rows_named: Sequence[str] = ()
    columns_named: Sequence[str] = ()


@dataclass(frozen=True)
class Matrices(Part):
    """Matrices beside each other, from `low` to `high` in colours.

    What lies beyond is black and red on a logarithmic scale, and on a linear one as its end.

    label    what a value is; column, row  what theirs are called, rows counted from 1
    scale    "log" or "linear"
    chooses  the state's field that a click or Enter sets to (matrix, row, column), each counted from 0, or
             "" where a cell can't be chosen
    chosen   that cell, None where none is
    tip      what choosing a cell is good for, a sentence
    square   whether cells are as high as wide
    """

    kind: ClassVar[str] = "matrices"
    key: str
    matrices: Any
    low: float
    high: float
    label: str
    column: str
    row: str
    scale: Scale = "log"
    chooses: str = ""
    chosen: Any = None
    tip: str = ""
    square: bool = False

    @property
    def height(self) -> float:  # type: ignore[override]
        """CSS pixels that all matrices take in a saved picture."""
        return 480.0 if self.square else 330.0

    def offline(self, can: Can) -> Part:
        """Choose no cell: what is asked of it is not known beforehand."""
        return replace(self, chooses="", tip="")

    def draw(self, figure: Any) -> None:
        """Draw all matrices with their scale."""
        from resnet_explore.figures.gradients import fill_heatmap

        fill_heatmap(
            figure,
            {m.kind or m.title: (m.columns, m.values.T) for m in self.matrices},
            (self.low, self.high),
            self.label,
            self.scale,
            (self.column, self.row),
            [m.title for m in self.matrices],
            self.square,
        )

    def numbers(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each cell."""
        for matrix in self.matrices:
            columns = matrix.columns_named or matrix.columns
            rows = matrix.rows_named or range(1, len(matrix.values) + 1)
            named = f"{self.column} across" if self.column == self.row else self.column
            for name, row in zip(rows, matrix.values, strict=True):
                for other, value in zip(columns, row, strict=True):
                    yield {"of": matrix.title, named: other, self.row: name, self.label: float(value)}
