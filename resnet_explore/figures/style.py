"""How every chart looks: a light card that reads well in light and dark themes, and one colour a twin."""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito's colour-blind safe pair; markers differ too, for print without colour.
COLORS = {"plain": "#D55E00", "residual": "#0072B2"}
MARKERS = {"plain": "o", "residual": "s"}
LABELS = {"plain": "Plain", "residual": "Residual"}
CARD, INK, MUTED, GRID = "#fafafa", "#1f2328", "#57606a", "#d8dee4"
DPI = 160  # of pictures for the screen
SCREEN_SCALE = DPI / 96  # their pixels for each CSS pixel, what `Filmstrip.scale` asks for


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure on the card, width and height in CSS pixels (1/96 inch); not known to pyplot."""
    figure = Figure(figsize=(width / 96, height / 96), dpi=DPI, facecolor=CARD)
    FigureCanvasAgg(figure)
    return figure


def dress(ax: Axes) -> Axes:
    """Give axes the house style and return them."""
    ax.set_facecolor(CARD)
    ax.grid(True, color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelsize=9, which="both")
    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set_color(INK)
        text.set_fontsize(10)
    return ax


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG at screen resolution, compressed little since it travels once and nearby."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=DPI,
        facecolor=figure.get_facecolor(),
        pil_kwargs={"compress_level": 1},
    )
    return buffer.getvalue()
