"""What grows with depth: parameters, multiply-adds and the receptive field, one panel each."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from resnet_explore.figures.style import COLORS, INK, MUTED, dress, new_figure


class DepthFigure:
    """Curves over depth drawn once, and a point on each that is moved from depth to depth.

    All axes are linear and begin at 0, so that growth in proportion to depth is a straight line. `curves`
    maps each panel's title, with its unit, to an array (depths,); `limit` draws a line across the last panel,
    such as the image's size.
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
            1, len(curves), left=0.05, right=0.985, top=0.87, bottom=0.17, wspace=0.22
        )
        self.points = []
        for i, (title, values) in enumerate(curves.items()):
            ax = dress(self.figure.add_subplot(grid[i]))
            ax.set_title(title, loc="left", color=INK, fontsize=11, weight="bold")
            ax.set(xlabel="depth (layers with weights)", ylim=(0, values.max() * 1.08))
            ax.set_xlim(0, depths[-1] * 1.05)
            ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 4, 5, 10], integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 4, 5, 10]))
            ax.plot(depths, values, "s-", color=COLORS["residual"], linewidth=1.8, markersize=3.5)
            self.points.append(ax.plot([], [], "s", color=COLORS["residual"], markersize=10)[0])
        ax.axhline(limit[0], color=MUTED, linewidth=1.2, linestyle="--")
        ax.annotate(  # at the right, where the deepest networks leave room below them
            limit[1],
            (depths[-1] * 1.03, limit[0]),
            (0, 4),
            textcoords="offset points",
            ha="right",
            color=MUTED,
            fontsize=9,
        )

    def draw(self, depth: int) -> Figure:
        """Move the points to a depth and return the figure."""
        at = self.depths.index(depth)
        for point, values in zip(self.points, self.curves.values(), strict=True):
            point.set_data([depth], [values[at]])
        return self.figure
