"""Gradient norms layer by layer, the twins on one logarithmic axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from resnet_explore.figures.style import COLORS, INK, LABELS, MARKERS, dress, new_figure


def gradient_profile(
    norms: Mapping[str, np.ndarray],
    limits: tuple[float, float],
    ylabel: str = "gradient norm of the weights",
    width: float = 920,
    height: float = 340,
) -> Figure:
    """Draw norms against layers, numbered from the image on; `norms` maps each kind to an array (layers,).

    `limits` is the logarithmic axis, the same for all pictures that are to be compared. Values that are not
    finite or not above zero are left out; values beyond the limits are drawn on the edge as arrows.
    """
    figure = new_figure(width, height)
    ax = dress(figure.add_axes((0.075, 0.15, 0.905, 0.74)))
    layers = max(len(values) for values in norms.values())
    ax.set(yscale="log", ylim=limits, xlim=(1 - 0.02 * layers, layers * 1.02))
    ax.yaxis.set_minor_locator(NullLocator())  # minor ticks take longer to draw than all the rest
    ax.set(xlabel="layer (1 sees the image, the last gives the classes)", ylabel=ylabel)
    low, high = limits
    for kind, values in norms.items():
        x, color = np.arange(1, len(values) + 1), COLORS[kind]
        shown = np.isfinite(values) & (values > 0)
        inside = shown & (values >= low) & (values <= high)
        size = 4 if layers <= 40 else 2.5
        ax.plot(
            x[inside],
            values[inside],
            MARKERS[kind] + "-",
            color=color,
            linewidth=1.6,
            markersize=size,
            label=LABELS[kind],
        )
        for beyond, edge, marker in (
            (shown & (values > high), high, "^"),
            (shown & (values < low), low, "v"),
        ):
            ax.plot(x[beyond], np.full(beyond.sum(), edge), marker, color=color, markersize=6, clip_on=False)
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=2,
        fontsize=9.5,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.2,
    )
    return figure
