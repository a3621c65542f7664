"""A published claim as a picture: what was measured, how it varies with seeds, the paper's formula dashed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from resnet_explore.figures.gradients import decades, powers
from resnet_explore.figures.style import COLORS, INK, color_of, dress, marker_of, new_figure

WIDTH, HEIGHT = 620, 370
_DASHES = ((0, (5, 2.5)), (0, (1.2, 1.8)), (0, (7, 2, 1.5, 2)))
_MOST_MARKERS = 26  # more of them make a line unreadable


@dataclass(frozen=True)
class Scales:
    """What the axes say and how they count.

    log      which of "x" and "y" are logarithmic
    marks    where x is labelled; () for round numbers
    limits   of y, beyond which values are drawn on the edge as triangles; None to fit what is finite
    """

    xlabel: str
    ylabel: str
    log: str = ""
    marks: Sequence[float] = ()
    limits: tuple[float, float] | None = None


def claim_chart(
    measured: Mapping[str, tuple[np.ndarray, np.ndarray]],
    formulas: Mapping[str, tuple[np.ndarray, np.ndarray]],
    scales: Scales,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Figure:
    """Draw {name: (x (n,), y (seeds, n))}, the median as a line, the range as a band; formulas (x, y) dashed.

    Names that begin with "plain" or "residual" have the colours of the twins, a second one of a kind paler.
    """
    figure = new_figure(width, height)
    ax = dress(figure.add_axes((0.115, 0.14, 0.865, 0.71)))
    limits = scales.limits or _limits(measured, formulas, "y" in scales.log)
    ax.set(xlabel=scales.xlabel, ylabel=scales.ylabel)
    _scale(ax, scales, limits)
    kinds = [next((k for k in COLORS if name.startswith(k)), name) for name in measured]
    for i, (kind, (name, (x, y))) in enumerate(zip(kinds, measured.items(), strict=True)):
        look = color_of(kind, i), marker_of(kind, i), kind in kinds[:i]
        _line(ax, x, y, limits, look, i).set_label(name)
    for dash, (name, (x, y)) in zip(_DASHES, formulas.items(), strict=False):
        ax.plot(x, y, linestyle=dash, color=INK, linewidth=1.5, label=name, zorder=5)
    ax.set(ylim=limits)
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(-0.1, 1.005), ncols=3, fontsize=9.5,
        frameon=False, labelcolor=INK, borderaxespad=0.2, columnspacing=1.4, handlelength=2.6,
    )  # fmt: skip
    return figure


def _line(
    ax: Axes, x: np.ndarray, y: np.ndarray, limits: tuple[float, float], look: tuple[str, str, bool], i: int
) -> Line2D:
    """Draw the i-th curve and return its line; `look` is colour, marker and whether it is pale."""
    (low, high), (color, marker, pale) = limits, look
    middle = np.median(y, axis=0)
    inside = (middle >= low) & (middle <= high)
    every = max(1, -(-len(x) // _MOST_MARKERS))
    [line] = ax.plot(
        x[inside], middle[inside], marker + "-", color=color, alpha=0.5 if pale else 1.0, linewidth=1.7,
        markersize=4.5, markerfacecolor="white" if pale else color, zorder=4,
        markevery=(i % every, every),  # of lines that lie on each other, all are to be seen
    )  # fmt: skip
    if len(y) > 1:
        lowest, highest = (np.clip(edge, low, high) for edge in (y.min(0), y.max(0)))
        ax.fill_between(x, lowest, highest, where=inside, color=color, alpha=0.18, linewidth=0)
    for beyond, edge, arrow in ((middle > high, high, "^"), (middle < low, low, "v")):
        y_edge, alpha = np.full(beyond.sum(), edge), 0.5 if pale else 1.0
        ax.plot(x[beyond], y_edge, arrow, color=color, alpha=alpha, markersize=6, clip_on=False)
    return line


def _scale(ax: Axes, scales: Scales, limits: tuple[float, float]) -> None:
    if "x" in scales.log:
        ax.set_xscale("log", base=2)
    if len(scales.marks):
        ax.xaxis.set_major_locator(FixedLocator(list(scales.marks)))
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    if "y" in scales.log:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(FixedLocator(powers(*limits)))
        ax.yaxis.set_minor_locator(NullLocator())


def _limits(
    measured: Mapping[str, tuple[np.ndarray, np.ndarray]],
    formulas: Mapping[str, tuple[np.ndarray, np.ndarray]],
    log: bool,
) -> tuple[float, float]:
    """Return limits around everything that is finite."""
    curves = [*measured.values(), *formulas.values()]
    values = np.concatenate([np.ravel(y) for _, y in curves])
    values = values[np.isfinite(values)]
    if log:
        return decades(values)
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    room = 0.05 * (high - low or 1.0)
    return float(low - room), float(high + room)
