"""Gradient norms layer by layer: as lines on one logarithmic axis, and as one image over the steps."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_explore.figures.chart import Scale, decades as whole_decades
from resnet_explore.figures.style import (
    CARD,
    INK,
    MUTED,
    WIDE,
    color_of,
    dress,
    label_of,
    new_figure,
    power_of_ten,
)

FLOOR, CEILING = 1e-14, 1e10  # beyond lies what has overflowed or died out; drawn on the edge of the axis
_COLORS = colormaps["viridis"].with_extremes(bad="#ffffff", under="#000000", over="#ff4d4d")
_MOST_CELLS = 2_000  # of a heatmap's side: more can't be seen


def decades(norms: np.ndarray | Iterable[float], least: int = 2) -> tuple[float, float]:
    """Return limits at whole decades, at least `least` apart, around all norms that can be drawn."""
    values = np.asarray(norms, dtype=float)
    values = values[np.isfinite(values) & (values >= FLOOR) & (values <= CEILING)]
    low, high = (values.min(), values.max()) if len(values) else (1e-3, 1e3)
    return whole_decades(low, high, least)


def gradient_heatmap(
    maps: Mapping[str, tuple[np.ndarray, np.ndarray]],
    limits: tuple[float, float],
    width: float = WIDE[0],
    height: float = WIDE[1],
    label: str = "gradient norm of the weights",
) -> Figure:
    """Draw norms by layer and step, side by side on one logarithmic scale of colours, one image each.

    `maps` is {kind or title: (steps (S,), norms (S, layers))}. A column is a noted step, however far the
    next; layer 1, which sees the image, is at the bottom. White: no number. Black and red: beyond the limits.
    """
    figure = new_figure(width, height)
    named = {kind: ([f"{step:,}" for step in steps], norms) for kind, (steps, norms) in maps.items()}
    fill_heatmap(figure, named, limits, label)
    return figure


def fill_heatmap(
    figure: Any,
    maps: Mapping[str, tuple[Sequence[str], np.ndarray]],
    limits: tuple[float, float],
    label: str = "gradient norm of the weights",
    scale: Scale = "log",
    axes: tuple[str, str] = ("step", "layer"),
    titles: Sequence[str] = (),
    square: bool = False,
) -> None:
    """Draw the same on a matplotlib (sub)figure; `maps` is {kind or title: (names of columns, values)}.

    scale   "log" or "linear"
    axes    what columns and rows are called
    titles  what stands above each, () for what the kinds are called
    square  whether cells are as high as wide
    """
    width, height = (side * 96 / figure.dpi for side in (figure.bbox.width, figure.bbox.height))
    grid = figure.add_gridspec(
        1, len(maps) + 1, width_ratios=[1] * len(maps) + [0.025], left=60 / width, right=1 - 78 / width,
        top=1 - 41 / height, bottom=54 / height, wspace=0.12,
    )  # fmt: skip
    low, high = (math.log10(limit) if scale == "log" else limit for limit in limits)
    alike = len({norms.shape[1] for _, norms in maps.values()}) == 1
    for i, (kind, (steps, norms)) in enumerate(maps.items()):
        ax = dress(figure.add_subplot(grid[i]))
        ax.grid(False)
        ax.set_title(
            titles[i] if titles else label_of(kind),
            loc="left",
            color=color_of(kind, i),
            fontsize=11,
            weight="bold",
        )
        ax.set(xlabel=axes[0], ylabel=axes[1] if i == 0 else "")
        shrunk = _shrink(_shrink(np.asarray(norms, float), 0), 1).T
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.log10(shrunk) if scale == "log" else np.clip(shrunk, low, high)
        shape = (-0.5, len(steps) - 0.5, 0.5, norms.shape[1] + 0.5)
        image = ax.imshow(
            np.ma.masked_invalid(np.where(np.isneginf(drawn), low - 1, drawn)), cmap=_COLORS, vmin=low,
            vmax=high, origin="lower", aspect="equal" if square else "auto", extent=shape,
            interpolation="nearest", interpolation_stage="data",
        )  # fmt: skip
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.tick_params(labelleft=i == 0 or not alike)
        _label_steps(ax, steps, room=max(3, round(width / 100)))
    bar = figure.colorbar(image, cax=figure.add_subplot(grid[-1]))
    if scale == "log":
        marks = [round(math.log10(power)) for power in powers(*limits)]
        bar.set_ticks(marks, labels=[power_of_ten(mark) for mark in marks])
    bar.set_label(label, color=INK, fontsize=9.5)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=9)
    bar.ax.set_facecolor(CARD)


def powers(low: float, high: float) -> list[float]:
    """Return whole powers of ten between limits at whole powers of ten, at most nine of them."""
    first, last = round(math.log10(low)), round(math.log10(high))
    every = max(1, math.ceil((last - first) / 8))
    return [10.0**k for k in range(first, last + 1, every)]


def _shrink(norms: np.ndarray, axis: int) -> np.ndarray:
    """Return at most `_MOST_CELLS` along an axis: of neighbours the largest, so that no spike is lost."""
    count = norms.shape[axis]
    if count <= _MOST_CELLS:
        return norms
    starts = np.linspace(0, count, _MOST_CELLS, endpoint=False).astype(int)
    return np.fmax.reduceat(norms, starts, axis=axis)


def _label_steps(ax: Axes, steps: Sequence[str], room: int) -> None:
    every = max(1, math.ceil(len(steps) / room))
    at = np.arange(0, len(steps), every)
    ax.set_xticks(at, labels=[steps[int(k)] for k in at])
