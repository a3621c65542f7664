"""Panels of the lesson: a line to be drawn, a block with its addition, and the ways through three blocks."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from resnet_explore.figures.chart import Chart, Series
from resnet_explore.widgets.core.view import Now, Part

_DRAWN, _SHOWN, _SKIP = Now("drawn"), Now("shown"), Now("skip")


@dataclass(frozen=True)
class Sketch(Part):
    """A chart on which a person draws a line before the measured ones appear.

    The state's field `drawn` holds the line, a value for each stop, () as long as there is none; `drawn_end`
    its last value in whole units, -1 for none; `shown` whether the measured lines are to be seen.

    chart   the measured lines, all with points at the stops
    stops   the x at which values are drawn, rising
    start   the value at the first stop, which is given
    step    of a press of an arrow key, in units of y
    """

    kind: ClassVar[str] = "sketch"
    height: ClassVar[float] = 330.0
    key: str
    chart: Chart
    stops: Sequence[float]
    start: float
    step: float
    drawn: Any = _DRAWN
    shown: Any = _SHOWN

    def follows(self) -> tuple[str, ...]:
        """Return the field that goes with the line."""
        return ("drawn_end",)

    def draw(self, figure: Any) -> None:
        """Draw the line that was drawn, and the measured ones if they are shown."""
        from resnet_explore.figures.chart_figure import fill

        fill(figure, [replace(self.chart, series=self._lines())])

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each stop of each line that is to be seen."""
        for line in self._lines():
            for x, y in zip(line.x, line.y, strict=True):
                yield {"line": line.name, self.chart.x.label: float(x), self.chart.y.title: float(y)}

    def _lines(self) -> list[Series]:
        own = [Series("your guess", self.stops, self.drawn, "ink", line="dashed")] if self.drawn else []
        return [*own, *(self.chart.series if self.shown else ())]


@dataclass(frozen=True, eq=False)
class Sum(Part):
    """One residual block with what goes through it: x, F(x) and their sum, each value to be pointed at.

    x, branch  float32 (h, w), or `Over`s of them: what the skip carries and what the layers add
    scale      the magnitude of full colour, or an `Over`
    layers     what stands in the branch, in order
    colors     uint8 (256, 4), for -scale to scale
    picture    the photo that comes in, bytes of a PNG
    meaning    what the colours say
    joined     whether the two are added; else the layers' result goes on alone
    """

    kind: ClassVar[str] = "sum"
    height: ClassVar[float] = 380.0
    key: str
    x: Any
    branch: Any
    scale: Any
    layers: Sequence[str]
    colors: np.ndarray
    picture: bytes
    meaning: str
    joined: Any = _SKIP

    @property
    def _maps(self) -> tuple[tuple[str, np.ndarray], ...]:
        total = self.x + self.branch if self.joined else self.branch
        return ("x", self.x), ("F(x)", self.branch), ("x + F(x)" if self.joined else "F(x) alone", total)

    def draw(self, figure: Any) -> None:
        """Draw the three pictures beside each other."""
        from resnet_explore.figures.lesson import draw_sum

        draw_sum(figure, self._maps, self.scale, self.colors)

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each place."""
        for row, column in np.ndindex(self.x.shape):
            place = {"row": row + 1, "column": column + 1}
            yield place | {name: float(values[row, column]) for name, values in self._maps}

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the three maps."""
        return dict(self._maps)


@dataclass(frozen=True)
class Ways(Part):
    """All ways through a few blocks in a row: one without skips, and 2 to the power of the blocks with them.

    blocks  their numbers, in order
    gone    those that are taken out of each network, by "plain" and "residual"
    """

    kind: ClassVar[str] = "ways"
    height: ClassVar[float] = 220.0
    key: str
    blocks: Sequence[int]
    gone: Mapping[str, Sequence[int]]

    @property
    def through(self) -> Mapping[str, tuple[tuple[bool, ...], ...]]:
        """For each way of each network whether it leads through each block, most blocks first."""
        count = len(self.blocks)
        every = itertools.product((True, False), repeat=count)
        return {"plain": ((True,) * count,), "residual": tuple(sorted(every, key=sum, reverse=True))}

    def is_open(self, kind: str, way: Sequence[bool]) -> bool:
        """Whether a way of a network leads through no block that is taken out of it."""
        gone = self.gone[kind]
        return not any(inside and k in gone for inside, k in zip(way, self.blocks, strict=True))

    def draw(self, figure: Any) -> None:
        """Draw each way as a line with a square for each block that it leads through."""
        from resnet_explore.figures.lesson import draw_ways

        lanes = {k: [(way, self.is_open(k, way)) for way in ways] for k, ways in self.through.items()}
        draw_ways(figure, self.blocks, lanes)

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each way."""
        for kind, ways in self.through.items():
            for way in ways:
                inside = [str(k) for k, each in zip(self.blocks, way, strict=True) if each]
                yield {"network": kind, "through blocks": " ".join(inside), "open": self.is_open(kind, way)}
