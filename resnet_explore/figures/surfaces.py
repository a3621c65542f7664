"""Losses over a plane of weights as figures: surfaces in space, or maps with level lines."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm

from resnet_explore.figures.style import CARD, GRID, INK, MUTED, color_of, dress, label_of, power_of_ten

_COLORS = colormaps["viridis"]
_ANGLE = {"elev": 30, "azim": -55}
_HATCH = {"facecolor": "#e6e9ee", "hatch": "////", "edgecolor": "#8a919c", "linewidth": 0}

Drawn = tuple[str, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]
"""Name, kind, x (columns,), y (rows,), loss (rows, columns), path (steps, 2) and dents (n, 2) or None."""


def fill_surfaces(
    figure: Any,
    surfaces: Sequence[Drawn],
    limits: tuple[float, float],
    *,
    levels: Sequence[float] = (),
    look: str = "surface",
    step: int = -1,
) -> None:
    """Draw surfaces beside each other on a matplotlib (sub)figure, with one colour bar.

    limits   the ends of the logarithmic scale, of height and colour alike; what lies above is left out
    levels   at which a map has its lines
    look     "surface" or "contours"
    step     the place on a path that is marked, -1 for its end
    """
    norm = LogNorm(*limits)
    count = len(surfaces)
    space = look == "surface"
    grid = figure.add_gridspec(
        1, count + 1, width_ratios=[1] * count + [0.035], left=0.03 if space else 0.075, right=0.92, top=0.9,
        bottom=0.08 if space else 0.14, wspace=0.12 if space else 0.3,
    )  # fmt: skip
    for k, (name, kind, x, y, loss, path, dents) in enumerate(surfaces):
        projection = {"projection": "3d"} if space else {}
        ax = figure.add_subplot(grid[k], **projection)
        kept = np.where(np.isfinite(loss) & (loss <= limits[1]), np.maximum(loss, limits[0]), np.nan)
        draw = _surface if space else _map
        draw(ax, x, y, kept, norm, levels)
        ax.set_title(label_of(name), loc="left", color=color_of(kind, k), fontsize=11, weight="bold")
        ax.set_xlabel("direction 1")
        ax.set_ylabel("direction 2")
        if dents is not None and len(dents):
            _dot(ax, x, y, kept, norm, dents)
        if path is not None and len(path):
            _walk(ax, x, y, kept, norm, path, step)
    bar = figure.colorbar(ScalarMappable(norm, _COLORS), cax=figure.add_subplot(grid[-1]))
    ticks = _ticks(*limits)
    bar.set_ticks(ticks, labels=[_written(tick) for tick in ticks])
    bar.minorticks_off()
    bar.set_label("loss", color=INK, fontsize=9.5)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=9)


def _surface(
    ax: Any, x: np.ndarray, y: np.ndarray, loss: np.ndarray, norm: LogNorm, levels: Sequence[float]
) -> None:
    heights = np.asarray(norm(loss), float)
    heights[np.isnan(loss)] = np.nan
    across, up = np.meshgrid(x, y)
    colors = _COLORS(np.nan_to_num(heights, nan=1.0))
    ax.set_facecolor(CARD)
    ax.computed_zorder = False
    ax.plot_surface(
        across, up, heights, facecolors=colors, rcount=len(y), ccount=len(x), linewidth=0.3,
        edgecolor="#00000033", antialiased=True, shade=False,
    )  # fmt: skip
    ticks = _ticks(norm.vmin, norm.vmax)  # type: ignore[arg-type]
    ax.set(zlim=(0, 1), xticks=_ends(x), yticks=_ends(y))
    ax.set_zticks([float(norm(tick)) for tick in ticks], labels=[_written(tick) for tick in ticks])
    ax.view_init(**_ANGLE)
    ax.tick_params(colors=MUTED, labelsize=8, pad=1)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color(CARD)
        axis.line.set_color(MUTED)
        axis._axinfo["grid"].update(color=GRID, linewidth=0.6)
        axis.label.set(color=INK, fontsize=9)


def _map(
    ax: Axes, x: np.ndarray, y: np.ndarray, loss: np.ndarray, norm: LogNorm, levels: Sequence[float]
) -> None:
    dress(ax).grid(False)
    ax.patch.set(**_HATCH)
    ax.imshow(
        loss, cmap=_COLORS, norm=norm, origin="lower", aspect="auto", interpolation="nearest",
        extent=(x[0], x[-1], y[0], y[-1]),
    )  # fmt: skip
    met = (
        [level for level in levels if np.nanmin(loss) < level < np.nanmax(loss)]
        if np.isfinite(loss).any()
        else []
    )
    if met:
        lines = ax.contour(x, y, loss, levels=met, colors="white", linewidths=0.8)
        ax.clabel(lines, fontsize=7, fmt={level: _written(level) for level in met})
    ax.set(xticks=_ends(x), yticks=_ends(y))


def _dot(ax: Any, x: np.ndarray, y: np.ndarray, loss: np.ndarray, norm: LogNorm, dents: np.ndarray) -> None:
    columns, rows = dents.T
    places = [x[columns], y[rows]]
    if ax.name == "3d":
        places.append(np.asarray(norm(loss[rows, columns]), float))
    ax.plot(*places, "o", color=INK, markersize=3.2, markeredgecolor="white", markeredgewidth=0.6, zorder=4)


def _walk(
    ax: Any, x: np.ndarray, y: np.ndarray, loss: np.ndarray, norm: LogNorm, path: np.ndarray, step: int
) -> None:
    """Draw a path onto a surface, at the height of the point that is nearest to each step."""
    inside = (path[:, 0] >= x[0]) & (path[:, 0] <= x[-1]) & (path[:, 1] >= y[0]) & (path[:, 1] <= y[-1])
    places = [path[:, 0], path[:, 1]]
    if ax.name == "3d":
        columns, rows = (np.abs(axis[None] - path[:, k, None]).argmin(1) for k, axis in enumerate((x, y)))
        places.append(np.asarray(norm(loss[rows, columns]), float))
    lines = [np.where(inside, values, np.nan) for values in places]
    ax.plot(*lines, color="#ffffff", linewidth=1.8, zorder=5)
    ax.plot(*lines, color=INK, linewidth=0.6, zorder=6)
    ax.plot(*[line[[step]] for line in lines], "o", color="#ff4d4d", markeredgecolor="white", zorder=7)


def _ends(axis: np.ndarray) -> list[float]:
    return [float(f"{value:.2g}") for value in (axis[0], 0.0, axis[-1])]


def _ticks(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**k for k in range(first, last + 1, max(1, math.ceil((last - first) / 5)))]


def _written(value: float) -> str:
    return f"{value:g}" if 1e-3 <= value < 1e5 or value == 0 else power_of_ten(round(math.log10(value)))
