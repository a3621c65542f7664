"""The degradation problem drawn: error against depth, and the learning curves of one depth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from resnet_explore.figures.style import COLORS, INK, LABELS, MARKERS, MUTED, dress, new_figure

# Errors by depth or epoch: {"plain": {"train": array (points, seeds), "test": ...}, "residual": {...}}.
# A value that isn't there yet is nan.
Curves = Mapping[str, Mapping[str, np.ndarray]]
_OPEN: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.6, "linestyle": "none"}


class DegradationFigure:
    """One figure drawn once and then moved, depth by depth: new data into old lines takes half the time.

    Left: training error in percent against depth, both kinds, with a line at the depth looked at. Right: that
    depth's learning curves, plain then residual, training solid and test dashed. Bands span the seeds. `top`
    is where the axes of errors end, in percent. `so_far` has (depth, error) of each run that is not
    finished, by kind: open marks on the left, which `so_far_label` explains. `narrow` puts the curves below.
    """

    def __init__(
        self,
        depths: list[int],
        epochs: int,
        top: float = 100,
        so_far: Mapping[str, Sequence[tuple[int, float]]] | None = None,
        so_far_label: str = "",
        narrow: bool = False,
    ) -> None:
        self.depths, self.epochs, self.top = depths, epochs, top
        self.so_far, self.so_far_label = so_far or {}, so_far_label
        if narrow:
            self.figure = new_figure(460, 605)
            grid = self.figure.add_gridspec(
                2,
                2,
                height_ratios=(1.3, 1),
                left=0.12,
                right=0.98,
                top=0.945,
                bottom=0.085,
                hspace=0.42,
                wspace=0.1,
            )
            places = grid[0, :], grid[1, 0], grid[1, 1]
        else:
            self.figure = new_figure(920, 420)
            grid = self.figure.add_gridspec(
                1, 3, width_ratios=(1.5, 1, 1), left=0.065, right=0.985, top=0.91, bottom=0.13, wspace=0.24
            )
            places = grid[0], grid[1], grid[2]
        overview, *panels = (dress(self.figure.add_subplot(place)) for place in places)
        self.overview = overview
        self.panels = dict(zip(("plain", "residual"), panels, strict=True))
        self._draw_axes()

    def _draw_axes(self) -> None:
        ax, percents = (
            self.overview,
            (-0.03 * self.top, 1.03 * self.top),
        )  # one scale: they stand side by side
        ax.set(xscale="log", xlim=(self.depths[0] * 0.9, self.depths[-1] * 1.1), ylim=percents)
        ax.xaxis.set_major_locator(FixedLocator(self.depths))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([str(d) for d in self.depths])
        ax.set(xlabel="depth (layers with weights)", ylabel="training error (%)")
        title = "Training error of all depths" if len(self.depths) > 1 else "Training error"
        ax.set_title(title, loc="left", color=INK, fontsize=11, weight="bold")
        for kind, panel in self.panels.items():
            panel.set(xlim=(0.7, self.epochs + 0.3), ylim=percents, xlabel="epoch")
            panel.tick_params(labelleft=kind == "plain")
        self.panels["plain"].set_ylabel("error (%)")

    def draw(self, by_depth: Curves, by_epoch: Curves, depth: int) -> Figure:
        """Draw one depth and return the figure: `by_depth` has a row a depth, `by_epoch` a row an epoch."""
        self._clear()
        ax = self.overview
        ax.axvline(depth, color=MUTED, linewidth=1.2, linestyle=":", zorder=1)
        for kind, errors in by_depth.items():
            _band(ax, np.array(self.depths), errors["train"], kind, markers=True)
            here = errors["train"][self.depths.index(depth)]
            if np.isfinite(here).any():
                ax.plot(depth, np.nanmean(here), MARKERS[kind], color=COLORS[kind], markersize=11, zorder=4)
            ax.plot([], [], MARKERS[kind] + "-", color=COLORS[kind], label=LABELS[kind])
        self._draw_unfinished()
        ax.legend(loc="upper left", fontsize=9.5, frameon=False, labelcolor=INK)
        for kind, panel in self.panels.items():
            panel.set_title(
                f"{LABELS[kind]}-{depth}", loc="left", color=COLORS[kind], fontsize=11, weight="bold"
            )
            epochs = np.arange(1, self.epochs + 1)
            for name, style in (("train", "-"), ("test", "--")):
                _band(panel, epochs, by_epoch[kind][name], kind, style=style)
        for style, name in (("-", "training"), ("--", "test")):
            self.panels["residual"].plot([], [], style, color=MUTED, label=name)
        self.panels["residual"].legend(loc="upper right", fontsize=9.5, frameon=False, labelcolor=INK)
        return self.figure

    def _draw_unfinished(self) -> None:
        for kind, points in self.so_far.items():
            self.overview.plot(
                *np.transpose(points), MARKERS[kind], color=COLORS[kind], markersize=6, **_OPEN, zorder=5
            )
        if self.so_far:
            self.overview.plot([], [], "o", color=MUTED, label=self.so_far_label, **_OPEN)

    def _clear(self) -> None:
        for ax in (self.overview, *self.panels.values()):
            for artist in (*ax.lines, *ax.collections):
                artist.remove()


def _band(
    ax: Axes, x: np.ndarray, values: np.ndarray, kind: str, style: str = "-", markers: bool = False
) -> None:
    """Draw the mean over seeds as a line and their range as a band, broken where there is no seed.

    A band that ended in a single seed would say that seeds agree there: it ends where there are several, and
    several between single ones get a bar.
    """
    count = np.isfinite(values).sum(axis=1)
    seen, several = count > 0, count > 1
    if not seen.any():
        return
    low, mean, high = (np.full(len(x), np.nan) for _ in range(3))
    for found, of in ((low, np.nanmin), (mean, np.nanmean), (high, np.nanmax)):
        found[seen] = of(values[seen], axis=1)
    alone = several & ~np.r_[False, several[:-1]] & ~np.r_[several[1:], False]
    ax.fill_between(x, low, high, where=several & ~alone, color=COLORS[kind], alpha=0.18, linewidth=0)
    if alone.any():
        ax.vlines(x[alone], low[alone], high[alone], color=COLORS[kind], alpha=0.35, linewidth=7)
    marker = MARKERS[kind] if markers or seen.sum() == 1 else None
    ax.plot(x, mean, style, marker=marker, color=COLORS[kind], linewidth=1.8, markersize=5, zorder=3)
