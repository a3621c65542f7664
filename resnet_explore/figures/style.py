"""How every chart looks: a light card that reads well in light and dark themes, and one colour a twin."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito's colour-blind safe pair; markers differ too, for print without colour.
COLORS = {"plain": "#D55E00", "residual": "#0072B2"}
MARKERS = {"plain": "o", "residual": "s"}
LABELS = {"plain": "Plain", "residual": "Residual"}
CARD, INK, MUTED, GRID = "#fafafa", "#1f2328", "#57606a", "#d8dee4"
# For what is neither, such as networks of somebody's own; the rest of the same palette.
_OTHERS = ("#009E73", "#CC79A7", "#B8860B", "#4B4B9B", "#56B4E9")
_OTHER_MARKERS = ("D", "^", "v", "P", "X")
WIDE, NARROW = (920, 340), (460, 400)  # sizes of a chart, in CSS pixels, on a page and in a narrow window
DPI = 160  # of pictures for the screen
SCREEN_SCALE = DPI / 96  # their pixels for each CSS pixel, what `Filmstrip.scale` asks for
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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


def color_of(kind: str, position: int = 0) -> str:
    """Return the colour of a kind, or that of the position-th thing that is neither plain nor residual."""
    return COLORS.get(kind, _OTHERS[position % len(_OTHERS)])


def marker_of(kind: str, position: int = 0) -> str:
    """Return the marker that goes with `color_of`."""
    return MARKERS.get(kind, _OTHER_MARKERS[position % len(_OTHER_MARKERS)])


def label_of(kind: str) -> str:
    """Return "Plain" or "Residual", and any other name as it is."""
    return LABELS.get(kind, kind)


def annotate(figure: Figure, title: str, caption: str) -> Figure:
    """Return the figure with a strip above and below it that says what was found, and under what conditions.

    For a picture that leaves the page that says so. The figure itself is changed: call it once.
    """
    width, height = figure.get_size_inches()
    letters = int(width * 96 / 6.3)
    above, below = textwrap.wrap(title, int(letters * 0.72)), textwrap.wrap(caption, letters)
    head, foot = (0.23 * len(above) + 0.08, 0.19 * len(below) + 0.08)
    taller = height + head + foot
    for ax in figure.axes:
        box = ax.get_position()
        ax.set_position((box.x0, (box.y0 * height + foot) / taller, box.width, box.height * height / taller))
    figure.set_size_inches(width, taller)
    figure.text(0.012, 1 - 0.06 / taller, "\n".join(above), va="top", fontsize=11, color=INK, weight="bold")
    figure.text(0.012, 0.06 / taller, "\n".join(below), va="bottom", fontsize=9, color=MUTED)
    return figure


@dataclass(frozen=True)
class Words:
    """Lines of text for a strip above or below a picture; `height` is what they take, in CSS pixels."""

    lines: Sequence[str]
    height: float
    large: bool


def wrapped(text: str, width: float, large: bool = False) -> Words:
    """Return a text in lines that fit so many CSS pixels, large as a title or small as a caption."""
    lines = textwrap.wrap(text, int(width / (9.0 if large else 6.3)))
    return Words(lines, (22 if large else 18) * len(lines) + 14, large)


def strip(figure: Any, words: Words) -> None:
    """Write lines on a (sub)figure that is as high as they are."""
    color, size, weight = (INK, 11, "bold") if words.large else (MUTED, 9, "normal")
    place = {"va": "center", "color": color, "fontsize": size, "weight": weight}
    figure.text(0.012, 0.5, "\n".join(words.lines), **place)


def to_png(figure: Figure, program: str = "") -> bytes:
    """Return the figure as PNG at screen resolution, compressed little since it travels once and nearby.

    program  what the file says it was made by; "" for matplotlib
    """
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=DPI,
        facecolor=figure.get_facecolor(),
        metadata={"Software": program} if program else None,
        pil_kwargs={"compress_level": 1},
    )
    return buffer.getvalue()


def power_of_ten(exponent: int) -> str:
    """Return "10⁻³". Matplotlib's own way is a formula, which two threads can't read at a time."""
    return "10" + f"{exponent}".translate(_RAISED)
