"""What becomes of activations on their way through a network: a panel for each number, twins on one axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from resnet_explore.figures.style import COLORS, INK, MARKERS, dress, new_figure

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""{kind: (x in units of blocks, values)}; the kind decides colour and marker."""


def statistics_chart(
    panels: Mapping[str, Curves], blocks: int, width: float = 920, height: float = 210
) -> tuple[Figure, list[tuple[float, float, float, float]]]:
    """Draw panels beside each other, by title; x is the block, from 1 to `blocks`.

    Each panel has an equal part of the width, so that the picture can be cut into them where it is too wide.
    Returns the figure and for each panel (x of block 1, x of the last block, top, bottom), as shares of the
    panel's part and of the height from its upper left corner: where a line through a block has to be drawn.
    Values that are not finite are left out.
    """
    figure = new_figure(width, height)
    part = 1 / len(panels)
    margin, each = 40 / width, part - 48 / width
    top, bottom = 1 - 30 / height, 44 / height
    places = []
    for i, (title, curves) in enumerate(panels.items()):
        left = i * part + margin
        ax = dress(figure.add_axes((left, bottom, each, top - bottom)))
        ax.set_title(title, loc="left", color=INK, fontsize=9.5, weight="bold", x=-20 / (each * width))
        low, high = 0.4, blocks + 0.4  # what lies inside a block is drawn before its number
        ax.set(xlim=(low, high), xlabel="block")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.tick_params(labelsize=8)
        for kind, (x, values) in curves.items():
            shown = np.isfinite(values)
            ax.plot(
                x[shown],
                values[shown],
                MARKERS[kind] + "-",
                color=COLORS[kind],
                linewidth=1.4,
                markersize=3.5 if blocks <= 30 else 2,
            )
        values = np.concatenate([v[np.isfinite(v)] for _, v in curves.values()] or [np.zeros(1)])
        if values.size:
            _set_limits(ax, values)
        first, last = ((margin + each * (x - low) / (high - low)) / part for x in (1, blocks))
        places.append((first, last, 1 - top, 1 - bottom))
    return figure, places


def _set_limits(ax: Axes, values: np.ndarray) -> None:
    """Begin at 0, or where all values are above it and lie far apart take a logarithmic axis."""
    least, most = float(values.min()), float(values.max())
    if least > 0 and most / least > 100:
        ax.set(yscale="log", ylim=(least / 1.5, most * 1.5))
        ax.yaxis.set_major_locator(LogLocator(numticks=5))
        ax.yaxis.set_minor_locator(NullLocator())
        return
    least = min(0.0, least)
    room = 0.06 * (most - least) or 1.0
    ax.set_ylim(least - room * (least < 0), most + room)
