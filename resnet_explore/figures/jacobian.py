"""Singular values of blocks by depth, the twins side by side on one logarithmic axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from resnet_explore.figures.gradients import powers
from resnet_explore.figures.style import INK, MUTED, WIDE, color_of, dress, label_of, margins, new_figure

BANDS = ((0.05, 0.95, 0.22), (0.25, 0.75, 0.4))  # quantiles and the opacity between them


def spectra_by_depth(
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    limits: tuple[float, float],
    width: float = WIDE[0],
    height: float = WIDE[1],
) -> Figure:
    """Draw for each kind, block by block, where its singular values lie.

    `spectra` is {kind: (top (blocks,), quantiles (blocks, 5))}, the quantiles at .05, .25, .5, .75 and .95: a
    line at the middle one, bands between the others, and markers at the largest value. A dashed line is at 1.
    """
    figure = new_figure(width, height)
    room = margins(figure, left=69, right=14, top=41, bottom=51)
    grid = figure.add_gridspec(1, len(spectra), **room, wspace=0.1)
    low, high = limits
    for i, (kind, (top, quantiles)) in enumerate(spectra.items()):
        ax, color = dress(figure.add_subplot(grid[i])), color_of(kind, i)
        x = np.arange(1, len(top) + 1)
        inside = np.clip(quantiles, low, high)
        for (a, b), (_, _, opacity) in zip(((0, 4), (1, 3)), BANDS, strict=True):
            ax.fill_between(x, inside[:, a], inside[:, b], color=color, alpha=opacity, linewidth=0)
            # Edges tell bands apart that coincide or have no width.
            for edge, style in ((a, "-"), (b, "-")) if a else ((a, ":"), (b, ":")):
                ax.plot(x, inside[:, edge], style, color=color, linewidth=0.9, alpha=0.8)
        ax.plot(x, inside[:, 2], "-", color=color, linewidth=1.8, label="median")
        ax.plot(x, np.clip(top, low, high), "^", color=color, markersize=4.5, label="largest")
        ax.axhline(1, color=MUTED, linewidth=1.0, linestyle="--")
        ax.set(yscale="log", ylim=limits, xlim=(0.5, len(x) + 0.5), xlabel="block")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(FixedLocator(powers(*limits)))
        ax.xaxis.set_major_locator(MaxNLocator(max(4, round(width / 115)), integer=True))
        ax.set_title(label_of(kind), loc="left", color=color, fontsize=11, weight="bold")
        if i > 0:
            ax.tick_params(labelleft=False)
            continue
        ax.set_ylabel("singular values")
        ax.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=9, frameon=False,
            labelcolor=INK, borderaxespad=0.1, columnspacing=0.9, handlelength=1.1, handletextpad=0.4,
        )  # fmt: skip
    return figure
