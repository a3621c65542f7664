"""Charts as matplotlib figures in the house style, to be saved, printed and shown by the command line."""

import itertools
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from resnet_explore.figures.chart import Axis, Chart, Mark, Series
from resnet_explore.figures.style import (
    CARD,
    COLORS,
    INK,
    MUTED,
    WIDE,
    color_of,
    dress,
    marker_of,
    new_figure,
    power_of_ten,
)

NARROWEST = 170  # CSS pixels of one chart in a row
_SHAPES = {"circle": "o", "square": "s", "diamond": "D", "up": "^", "down": "v", "none": ""}
_STYLES = {"solid": "-", "dashed": (0, (5, 2.5)), "dotted": (0, (1.2, 1.8)), "none": ""}
_INKS = {"muted": MUTED, "ink": INK}
_UNITS = ((1e12, " T"), (1e9, " G"), (1e6, " M"))
_MOST_MARKERS = 26  # more of them make a line unreadable


def columns_of(charts: Sequence[Chart], width: float = WIDE[0]) -> int:
    """Return how many charts stand beside each other in so many CSS pixels, so that rows are equally full."""
    most = min(len(charts), max(1, int(width // NARROWEST)))
    return math.ceil(len(charts) / math.ceil(len(charts) / most))


def draw(charts: Sequence[Chart], width: float = WIDE[0], height: float = WIDE[1]) -> Figure:
    """Return a row of charts as a figure; width and height, that of one row, are in CSS pixels."""
    rows = math.ceil(len(charts) / columns_of(charts, width))
    figure = new_figure(width, height * rows)
    fill(figure, charts)
    return figure


def fill(figure: Any, charts: Sequence[Chart]) -> None:
    """Draw a row of charts on a matplotlib (sub)figure; where it is too narrow they go into several rows."""
    width, whole = (side * 96 / figure.dpi for side in (figure.bbox.width, figure.bbox.height))
    columns = columns_of(charts, width)
    rows = math.ceil(len(charts) / columns)
    height = whole / rows
    shares = np.array([chart.share for chart in charts] if rows == 1 else [1.0] * columns)
    ends = np.r_[0, np.cumsum(shares / shares.sum())] * width
    for row in range(rows):
        beside = charts[row * columns : (row + 1) * columns]
        rooms = [(left, right - left) for left, right in itertools.pairwise(ends)][: len(beside)]
        axes = [
            draw_on(figure.add_axes((0, 0, 1, 1)), c, room)
            for c, (_, room) in zip(beside, rooms, strict=True)
        ]
        _lay(figure, axes, beside, rooms, (height * (rows - 1 - row), height))


def _lay(
    figure: Any, axes: Sequence[Axes], charts: Sequence[Chart], rooms: Sequence[tuple[float, float]],
    place: tuple[float, float],
) -> None:  # fmt: skip
    """Give each of a row's axes the place that its words leave; all reach from the same to the same height.

    `rooms` are (left, width) of each, `place` is (bottom, height) of the row, in CSS pixels.
    """
    width, whole = (side * 96 / figure.dpi for side in (figure.bbox.width, figure.bbox.height))
    both = list(zip(charts, rooms, strict=True))
    bottom = place[0] + max(48 + 14 * len(_noted(chart, room)) for chart, (_, room) in both)
    top = place[0] + place[1] - max(12 + _above(chart, room) for chart, (_, room) in both)
    renderer = figure.figure.canvas.get_renderer()
    for ax, (left, room) in zip(axes, rooms, strict=True):
        ax.set_position((0, 0, room / width, (top - bottom) / whole))  # its numbers depend on its size
        words = 8 + (figure.bbox.x0 - _left_edge(ax, renderer)) * 96 / figure.dpi
        ax.set_position(
            ((left + words) / width, bottom / whole, (room - words - 14) / width, (top - bottom) / whole)
        )


def _left_edge(ax: Axes, renderer: Any) -> float:
    box = ax.yaxis.get_tightbbox(renderer)
    return ax.bbox.x0 if box is None else box.x0


def draw_on(ax: Axes, chart: Chart, room: float = WIDE[0]) -> Axes:
    """Draw a chart on axes and return them; legend and note take at most `room` CSS pixels."""
    said = chart.y.title.lower() == chart.title.lower()
    dress(ax).set(xlabel=chart.x.title, ylabel="" if said else chart.y.title)
    _set_axis(ax, chart.x, "x", room)
    _set_axis(ax, chart.y, "y", room)
    for mark in chart.marks:
        if mark is not None:
            _draw_mark(ax, mark)
    for i, (series, color, shape) in enumerate(looks(_there(chart))):
        _draw_series(ax, series, chart, color, shape, i)
    if chart.chosen is not None:
        ax.axvline(chart.chosen, color=MUTED, linewidth=1.2, linestyle=":", zorder=1)
    _write_above(ax, chart, room)
    ax.annotate(
        "\n".join(_noted(chart, room)), (0, 0), (0, -34), xycoords="axes fraction",
        textcoords="offset points", va="top", fontsize=8.5, color=MUTED,
    )  # fmt: skip
    return ax


def looks(series: Sequence[Series]) -> Iterator[tuple[Series, str, str]]:
    """Yield each series with its colour and matplotlib's letter for its marker.

    Of kinds that are neither a twin nor ink, each has the next colour of the house's palette.
    """
    others = list(
        dict.fromkeys(curve.kind for curve in series if curve.kind not in COLORS and curve.kind not in _INKS)
    )
    for curve in series:
        place = others.index(curve.kind) if curve.kind in others else 0
        color = _INKS.get(curve.kind) or color_of(curve.kind, place)
        own = "" if curve.kind in _INKS and curve.line != "none" else marker_of(curve.kind, place)
        shape = own if curve.marker == "kind" else _SHAPES[curve.marker]
        yield curve, color, "" if curve.look == "ghost" else shape


def _draw_series(ax: Axes, series: Series, chart: Chart, color: str, shape: str, i: int) -> None:
    x, y, axis = series.x, series.y, chart.y
    pale = {"full": 1.0, "open": 0.55, "ghost": 0.4}[series.look]
    shown = np.isfinite(y) & ((y > 0) | (axis.scale == "linear"))
    if series.line == "bars":
        wide = 0.62 * float(np.diff(x).min()) if len(x) > 1 else 0.62
        ax.bar(x, np.where(shown, y, np.nan), wide, color=color, alpha=pale, label=series.name, zorder=2.5)
        return
    _draw_band(ax, series, axis, color)
    every = max(1, -(-len(x) // _MOST_MARKERS))
    ax.plot(
        x, np.where(shown, y, np.nan), linestyle=_STYLES[series.line], color=color, alpha=pale,
        label=series.name if series.listed and (series.low is None or np.isfinite(y).any()) else None,
        linewidth=1.0 if series.look == "ghost" else 1.7, zorder=2.5 if series.look == "ghost" else 3,
        marker=shape, markersize=5 if len(x) <= 40 else 3,
        markeredgewidth=1.4 if series.look == "open" else 0,
        markerfacecolor=CARD if series.look == "open" else color,
        # So that of lines which lie on each other all are to be seen.
        markevery=(i % every, every) if series.line != "none" else None,
    )  # fmt: skip
    inside = (x >= chart.x.low) & (x <= chart.x.high)
    lowest = y < axis.low if axis.scale == "linear" else (y < axis.low) & (y > 0)
    for beyond, edge, arrow in ((y > axis.high, axis.high, "^"), (lowest, axis.low, "v")):
        at = x[beyond & inside]
        ax.plot(
            at, np.full(len(at), edge), arrow, color=color, alpha=pale, markersize=6, clip_on=False, zorder=4
        )
    if axis.scale == "log":
        at = x[(y <= 0) & inside]
        row = np.full(len(at), 0.012 + 0.028 * i)  # one for each series, so that none hides another's
        ax.plot(at, row, "x", color=color, markersize=3.5, transform=ax.get_xaxis_transform())
    if chart.chosen is not None:
        here = shown & (x == chart.chosen)
        ax.plot(x[here], y[here], shape or "o", color=color, markersize=10, zorder=4)


def _draw_band(ax: Axes, series: Series, axis: Axis, color: str) -> None:
    """Draw where the band is known; between gaps on both sides it has no width, and is a bar."""
    if series.low is None:
        return
    low, high = (np.clip(edge, axis.low, axis.high) for edge in (series.low, series.high))
    known = ~np.isnan(low) & ~np.isnan(high)
    alone = known & ~np.r_[False, known[:-1]] & ~np.r_[known[1:], False]
    alpha = 0.1 if series.look == "ghost" else 0.18
    name = (
        None if np.isfinite(series.y).any() or not series.listed else series.name
    )  # a band without a line is what the legend shows
    ax.fill_between(
        series.x, low, high, where=known & ~alone, color=color, alpha=alpha, linewidth=0, label=name
    )
    if alone.any():
        ax.vlines(series.x[alone], low[alone], high[alone], color=color, alpha=2 * alpha, linewidth=7)


def _draw_mark(ax: Axes, mark: Mark) -> None:
    x, y = mark.x, mark.y
    if x is None and y is None:
        return
    color = _INKS.get(mark.kind) or color_of(mark.kind)
    text: dict[str, Any] = {"color": color, "fontsize": 9, "textcoords": "offset points"}
    if mark.to is not None:
        ax.axvspan(x, mark.to, color=color, alpha=0.16, linewidth=0, zorder=0)
        ax.annotate(mark.label, (x, 1), (3, -4), xycoords=ax.get_xaxis_transform(), va="top", **text)
    elif y is None:
        ax.axvline(x, color=color, linewidth=1.2, linestyle="--", zorder=1)
        ax.annotate(mark.label, (x, 1), (4, -4), xycoords=ax.get_xaxis_transform(), va="top", **text)
    elif x is None:
        ax.axhline(y, color=color, linewidth=1.2, linestyle="--", zorder=1)
        ax.annotate(mark.label, (1, y), (-3, 4), xycoords=ax.get_yaxis_transform(), ha="right", **text)
    else:
        ax.plot(x, y, marker_of(mark.kind), color=color, markersize=10, zorder=4)
        ax.annotate(mark.label, (x, y), (8, 0), va="center", **text)


def _set_axis(ax: Axes, axis: Axis, which: str, room: float) -> None:
    """Set scale, ends and ticks of one of the axes."""
    own = ax.xaxis if which == "x" else ax.yaxis
    ax.set(**{f"{which}scale": axis.scale, f"{which}lim": (axis.low, axis.high)})
    if axis.scale == "log":
        own.set_minor_locator(NullLocator())
    if axis.ticks:
        own.set_major_locator(FixedLocator([value for value, _ in axis.ticks]))
        own.set_ticklabels(_fitting(axis, room - 60) if which == "x" else [label for _, label in axis.ticks])
    elif axis.scale == "linear":
        most = max(4, round(room / 115)) if which == "x" else 6
        own.set_major_locator(MaxNLocator(most, integer=axis.whole, min_n_ticks=1, steps=[1, 2, 5, 10]))
        own.set_major_formatter(_in_units(axis))
    elif axis.high / axis.low < 100:
        own.set_major_locator(LogLocator(subs=(1, 2, 5)))
        own.set_major_formatter(_in_units(axis))
    else:
        own.set_major_locator(LogLocator(numticks=9))
        own.set_major_formatter(_powers(axis))


def _fitting(axis: Axis, room: float) -> list[str]:
    """Return the labels of the axis's own ticks, "" for those that would touch another; the last stays."""
    flat = math.log if axis.scale == "log" else float
    begin, end = flat(axis.low), flat(axis.high)
    at = [(flat(value) - begin) / (end - begin) * room for value, _ in axis.ticks]
    half = [3.6 * len(label) + 3 for _, label in axis.ticks]
    labels, edge, last = [], -math.inf, len(at) - 1
    for k, (_, label) in enumerate(axis.ticks):
        fits = at[k] - half[k] >= edge and (k == last or at[k] + half[k] <= at[last] - half[last])
        edge = at[k] + half[k] if fits else edge
        labels.append(label if fits or k == last else "")
    return labels


def _write_above(ax: Axes, chart: Chart, room: float) -> None:
    """Write the title and below it the legend, in as many rows as it needs."""
    columns, rows = _legend(chart, room)
    color = COLORS.get(chart.kind, INK)
    ax.set_title(_titled(chart, room), loc="left", color=color, fontsize=11, weight="bold", pad=5 + 13 * rows)
    if rows:
        there = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        named = [curve.name for curve in _there(chart) if curve.name in there]
        ax.legend(
            [there[name] for name in named], named,
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, fontsize=9, frameon=False,
            labelcolor=INK, borderaxespad=0.1, columnspacing=1.2, handlelength=2.0, handletextpad=0.5,
            labelspacing=0.25,
        )  # fmt: skip


def _legend(chart: Chart, room: float) -> tuple[int, int]:
    """Return in how many columns and rows the series' names fit."""
    names = [curve.name for curve in _there(chart) if curve.listed]
    wide = max((6.5 * len(name) + 52 for name in names), default=1)
    columns = max(1, min(len(names), int((room - 60) / wide)))
    return columns, math.ceil(len(names) / columns)


def _titled(chart: Chart, room: float) -> str:
    return textwrap.fill(chart.title, max(12, int((room - 60) / 8)))


def _noted(chart: Chart, room: float) -> list[str]:
    return textwrap.wrap(chart.note or "", max(20, int((room - 60) / 6)))


def _above(chart: Chart, room: float) -> float:
    """Return the height of title and legend in CSS pixels."""
    return 20 * bool(chart.title) + 19 * _titled(chart, room).count("\n") + 18 * _legend(chart, room)[1]


def _there(chart: Chart) -> list[Series]:
    return [series for series in chart.series if series is not None]


def _in_units(axis: Axis) -> FuncFormatter:
    """Return what writes round numbers beside an axis: "1,000", "2.5 M"."""
    largest = max(abs(axis.low), abs(axis.high))
    size, unit = next(((size, unit) for size, unit in _UNITS if largest >= size), (1.0, ""))
    return FuncFormatter(lambda value, _: (f"{value / size:,.10g}{unit}" if value else "0").replace("-", "−"))


def _powers(axis: Axis) -> FuncFormatter:
    """Return how powers of ten are written: in full where all of them are short, as the page does."""
    if axis.low >= 1e-3 and axis.high <= 1e4:
        return FuncFormatter(lambda value, _: f"{value:,.10g}")
    return FuncFormatter(lambda value, _: power_of_ten(round(math.log10(value))))
