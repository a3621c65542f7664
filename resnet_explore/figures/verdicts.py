"""Methods against metrics: a panel for each metric, a row for each method, twins on one axis, and chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from resnet_explore.figures.style import (
    CARD,
    GRID,
    INK,
    MUTED,
    color_of,
    dress,
    label_of,
    marker_of,
    new_figure,
)

_ROW = 17  # CSS pixels
_APART = 0.16  # of the two networks' marks, in rows


def verdict_chart(
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    metrics: Mapping[str, str],
    methods: Mapping[str, str],
    width: float = 920,
) -> Figure:
    """Draw what `Evaluation.table` returns.

    kinds    by network, which decide colour and marker
    metrics  titles of the panels by name, in their order
    methods  titles of the rows by name

    A mark is a gain over random maps of the same resolution with its standard error, full where the table
    says passed; so 0 is chance. A dotted line over the methods whose maps have one resolution is the gain of
    a blob in the centre.
    """
    groups = [list(rows["method"].unique()) for _, rows in table.groupby("layer", sort=False)]
    count = sum(len(group) + 0.8 for group in groups)
    top, bottom, left = 44, 28, 138
    height = top + bottom + _ROW * count
    figure = new_figure(width, height)
    each, apart = (width - left - 10) / len(metrics), 16
    for i, (metric, title) in enumerate(metrics.items()):
        box = (left + i * each, bottom, each - apart, height - top - bottom)
        ax = dress(figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height)))
        ax.set_title(title, loc="left", fontsize=9.5, color=INK, weight="bold")
        _draw(ax, table[table["metric"] == metric], groups, kinds)
        ax.set(ylim=(count - 0.4, -0.7))
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.tick_params(axis="x", labelsize=8)
        if i:
            ax.tick_params(labelleft=False)
        else:
            ax.set_yticks(*_ticks(groups, methods))
    _legend(figure, kinds)
    return figure


def _ticks(groups: Sequence[Sequence[str]], methods: Mapping[str, str]) -> tuple[list[float], list[str]]:
    at = [place for places in _places(groups) for place in places]
    return at, [methods.get(name, name) for group in groups for name in group]


def _places(groups: Sequence[Sequence[str]]) -> list[list[float]]:
    """Return where the rows are, a gap between groups."""
    places, at = [], 0.0
    for group in groups:
        places.append([at + k for k in range(len(group))])
        at += len(group) + 0.8
    return places


def _draw(ax: Axes, table: pd.DataFrame, groups: Sequence[Sequence[str]], kinds: Mapping[str, str]) -> None:
    ax.set_yticks([place for places in _places(groups) for place in places])
    ax.grid(True, axis="y", color=GRID, linewidth=0.5)
    ax.tick_params(axis="y", length=0)
    ax.axvline(0, color=INK, linewidth=1.1, zorder=1.5)
    for group, places in zip(groups, _places(groups), strict=True):
        for k, (network, kind) in enumerate(kinds.items()):
            rows = table[(table["network"] == network) & table["method"].isin(group)].set_index("method")
            color, shift = color_of(kind, k), _APART * (2 * k - len(kinds) + 1)
            ends = places[0] - 0.5, places[-1] + 0.5
            ax.vlines(rows["centre_gain"].iloc[0], *ends, color=color, linestyle=":", linewidth=1.4, zorder=2)
            for method, place in zip(group, places, strict=True):
                row = rows.loc[method]
                ax.errorbar(
                    row["gain"],
                    place + shift,
                    xerr=row["gain_error"],
                    fmt=marker_of(kind, k),
                    color=color,
                    markersize=5.5,
                    markerfacecolor=color if row["passed"] else CARD,
                    elinewidth=1.1,
                )


def _legend(figure: Figure, kinds: Mapping[str, str]) -> None:
    entries = [
        Line2D([], [], color=color_of(kind, k), marker=marker_of(kind, k), linestyle="", label=label_of(kind))
        for k, kind in enumerate(kinds.values())
    ]
    marks: dict[str, Any] = {"marker": "o", "linestyle": "", "color": MUTED}
    entries += [
        Line2D([], [], label="passes", **marks),
        Line2D([], [], label="does not", markerfacecolor=CARD, **marks),
        Line2D([], [], color=INK, label="random maps"),
        Line2D([], [], color=MUTED, linestyle=":", label="blob in the centre"),
    ]
    figure.legend(
        handles=entries,
        loc="upper left",
        ncols=len(entries),
        fontsize=9,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.1,
        handletextpad=0.4,
        columnspacing=1.4,
    )
