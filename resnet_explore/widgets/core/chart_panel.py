"""The panel that shows charts: lines of numbers that can be read out, and points that can be chosen."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from resnet_explore.widgets.core.view import Part

_HIGH, _WIDE = 330.0, 960.0  # CSS pixels of a row in a saved picture


@dataclass(frozen=True)
class Charts(Part):
    """A row of charts (`figures.chart.Chart`), beside each other where there is room and below where not.

    chooses  the state's field that a click on a point sets to the point's x, in those charts that mark what
             is `chosen`; "" where a click chooses nothing; or one for each chart
    """

    kind: ClassVar[str] = "charts"
    key: str
    charts: Any
    chooses: str | Sequence[str] = ""

    @property
    def height(self) -> float:  # type: ignore[override]
        """CSS pixels that all charts take in a saved picture."""
        from resnet_explore.figures.chart_figure import columns_of

        charts = self._shown()
        return _HIGH * math.ceil(len(charts) / columns_of(charts, _WIDE)) if charts else 0

    def draw(self, figure: Any) -> None:
        """Draw all charts."""
        from resnet_explore.figures.chart_figure import fill

        fill(figure, self._shown())

    def numbers(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each point: chart, series, x, y, and the ends of the band where there is one."""
        for chart in self._shown():
            for series in filter(None, chart.series):
                for k, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
                    row = {
                        "chart": chart.title,
                        "series": series.name,
                        chart.x.name or chart.x.label: float(x),
                    }
                    row[chart.y.title] = float(y)
                    if series.low is not None:
                        row |= {"low": float(series.low[k]), "high": float(series.high[k])}
                    yield row

    def _shown(self) -> list[Any]:
        return [chart for chart in self.charts or () if chart is not None]
