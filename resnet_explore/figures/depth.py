"""What grows with depth: parameters, multiply-adds and the receptive field, one panel each."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from resnet_explore.figures.style import COLORS, INK, MUTED, dress, new_figure


class DepthFigure:
    """Curves over depth drawn once, and a point on each that is moved from depth to depth.

    `curves` maps each panel's title, with its unit, to an array (depths,); `limit` draws a line across the
    last panel, such as the image's size.
    """

    def __init__(
        self,
        depths: list[int],
        curves: Mapping[str, np.ndarray],
        limit: tuple[float, str],
        width: float = 780,
        height: float = 280,
    ) -> None:
        self.depths, self.curves = depths, curves
        self.figure = new_figure(width, height)
        grid = self.figure.add_gridspec(
            1, len(curves), left=0.05, right=0.985, top=0.87, bottom=0.17, wspace=0.2
        )
        self.points = []
        for i, (title, values) in enumerate(curves.items()):
            ax = dress(self.figure.add_subplot(grid[i]))
            ax.set_title(title, loc="left", color=INK, fontsize=11, weight="bold")
            ax.set(xlabel="depth (layers with weights)", xscale="log", ylim=(0, values.max() * 1.08))
            ax.xaxis.set_major_locator(FixedLocator(_spread_out(depths)))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xticklabels([str(d) for d in _spread_out(depths)])
            ax.plot(depths, values, "s-", color=COLORS["residual"], linewidth=1.8, markersize=4)
            self.points.append(ax.plot([], [], "s", color=COLORS["residual"], markersize=11)[0])
        ax.axhline(limit[0], color=MUTED, linewidth=1.2, linestyle="--")
        ax.annotate(
            limit[1], (depths[0], limit[0]), (0, 4), textcoords="offset points", color=MUTED, fontsize=9
        )

    def draw(self, depth: int) -> Figure:
        """Move the points to a depth and return the figure."""
        at = self.depths.index(depth)
        for point, values in zip(self.points, self.curves.values(), strict=True):
            point.set_data([depth], [values[at]])
        return self.figure


def _spread_out(depths: list[int], ratio: float = 1.3) -> list[int]:
    """Return depths that leave room for their labels on a logarithmic axis."""
    kept = [depths[0]]
    for depth in depths[1:]:
        if depth / kept[-1] >= ratio:
            kept.append(depth)
    return kept
