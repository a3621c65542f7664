"""Something noted at each layer while networks train, the twins on one axis, bands over the seeds."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from resnet_explore.figures.style import COLORS, INK, LABELS, MARKERS, dress, new_figure

Values = Mapping[str, np.ndarray]
"""{"plain": (layers, seeds), "residual": (layers, seeds)}; a kind may be missing.

What is not finite, or not above 0 on a logarithmic axis, is left out.
"""


class LayerFigure:
    """One figure drawn once and then filled step by step, on axes that all steps share.

    limits   of the vertical axis, which is logarithmic if `log` is true: then lines are geometric means
             over the seeds, else means
    ranked   draws a second panel, each network's layers sorted, the largest first (He et al. 2015, Fig. 7)
    narrow   puts that panel below the first
    """

    def __init__(
        self,
        layers: int,
        limits: tuple[float, float],
        ylabel: str,
        xlabel: str,
        log: bool = False,
        ranked: bool = False,
        narrow: bool = False,
    ) -> None:
        self.layers, self.log = layers, log
        if narrow:
            self.figure = new_figure(460, 440 if ranked else 400)  # no card is taller than that of the errors
            top, bottom = (0.92, 0.1) if ranked else (0.9, 0.12)
            grid = self.figure.add_gridspec(
                1 + ranked, 1, left=0.15, right=0.97, top=top, bottom=bottom, hspace=0.45
            )
        else:
            self.figure = new_figure(920, 310)
            grid = self.figure.add_gridspec(
                1, 1 + ranked, left=0.08, right=0.98, top=0.87, bottom=0.16, wspace=0.1
            )
        self.in_order = dress(self.figure.add_subplot(grid[0]))
        self.ranked = dress(self.figure.add_subplot(grid[-1])) if ranked else None
        for ax in self._panels():
            ax.set(
                xlim=(max(0.4, 1 - 0.02 * layers), layers * 1.02),
                ylim=limits,
                yscale="log" if log else "linear",
            )
            ax.yaxis.set_minor_locator(NullLocator())  # minor ticks take longer to draw than all the rest
            ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        self.in_order.set(xlabel=xlabel, ylabel=ylabel)
        if self.ranked is not None:
            self.ranked.set(xlabel="rank of the layer (1 has the largest)")
            self.ranked.tick_params(labelleft=narrow)
            for ax, title in ((self.in_order, "Layer by layer"), (self.ranked, "Sorted")):
                ax.set_title(title, loc="left", color=INK, fontsize=11, weight="bold")
        for kind, label in LABELS.items():
            self.in_order.plot([], [], MARKERS[kind] + "-", color=COLORS[kind], label=label)
        self.in_order.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=2,
            fontsize=9.5,
            frameon=False,
            labelcolor=INK,
            borderaxespad=0.2,
        )

    def _panels(self) -> tuple[Axes, ...]:
        return (self.in_order,) if self.ranked is None else (self.in_order, self.ranked)

    def draw(self, values: Values) -> Figure:
        """Draw one step and return the figure."""
        for ax in self._panels():
            for artist in (*ax.lines, *ax.collections):
                artist.remove()
        for kind in LABELS:
            if kind not in values:
                continue
            self._line(self.in_order, values[kind], kind)
            if self.ranked is not None:
                self._line(self.ranked, -np.sort(-values[kind], axis=0), kind)
        return self.figure

    def _line(self, ax: Axes, values: np.ndarray, kind: str) -> None:
        good = np.isfinite(values) & ((values > 0) | (not self.log))
        drawable = np.where(good, values, np.nan)
        seen = np.isfinite(drawable).any(axis=1)
        x, drawable = np.arange(1, len(values) + 1)[seen], drawable[seen]
        if not len(x):
            return
        middle = np.exp(np.nanmean(np.log(drawable), 1)) if self.log else np.nanmean(drawable, 1)
        low, high = np.nanmin(drawable, 1), np.nanmax(drawable, 1)
        ax.fill_between(x, low, high, color=COLORS[kind], alpha=0.18, linewidth=0)
        size = 4 if self.layers <= 40 else 2.5
        ax.plot(x, middle, MARKERS[kind] + "-", color=COLORS[kind], linewidth=1.6, markersize=size, zorder=3)
