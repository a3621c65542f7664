"""Feature maps as tiles of ONE image through a lookup table: 0 is black, above is orange, below is blue."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from resnet_explore.figures.style import COLORS, INK, MUTED

MOST = 64  # tiles on one page
CROSS, CORNER = "×", "◤"  # dead and saturated channels, by 1 and 2
NUMBERED = "The number in a tile's corner is its channel."
UNNUMBERED = "Which channel a tile is stands in the numbers that can be saved as CSV."
LEVELS = 127  # of a tile's magnitude on each side of 0


def _lookup() -> np.ndarray:
    """Return colours, uint8 (255, 3), for values -1..1; index 127 is 0."""
    positive = colormaps["afmhot"](np.linspace(0, 0.86, LEVELS + 1))[:, :3]
    negative = positive[:, ::-1]  # orange becomes blue, a pair that the colour-blind tell apart
    return (np.concatenate([negative[:0:-1], positive]) * 255).round().astype(np.uint8)


LOOKUP = _lookup()


def levels(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return maps (C, h, w) as int8 in -127..127, each by its own largest magnitude, and those, float32 (C,).

    `levels * scale / 127` is the map again, to within 1/254 of its scale. What is not finite counts as 0.
    """
    maps = np.nan_to_num(maps, nan=0.0, posinf=0.0, neginf=0.0)
    scales = np.abs(maps).max((1, 2)).astype(np.float32)
    safe = np.where(scales > 0, scales, 1)[:, None, None]
    return np.rint(maps / safe * LEVELS).astype(np.int8), scales


def common_scale(maps: Sequence[np.ndarray], share: float = 0.999) -> float:
    """Return the magnitude below which `share` of all values lie: what is drawn in the brightest colour.

    One for all maps that are to be compared. Taking the very largest would let one outlier darken the rest.
    """
    every = max(1, sum(m.size for m in maps) // 200_000)  # so many tell a quantile well enough
    values = np.concatenate([np.zeros(0), *(np.abs(m.ravel()[::every]) for m in maps)])
    values = values[np.isfinite(values)]
    if not values.size:
        return 1.0
    place = min(values.size - 1, int(share * values.size))
    return float(np.partition(values, place)[place]) or float(values.max()) or 1.0


def columns(count: int, height: int, width: int) -> int:
    """Return how many tiles go into a row so that the whole is about as wide as high."""
    return max(1, min(count, math.ceil(math.sqrt(count * height / width))))


def mosaic(maps: np.ndarray, scale: float, gap: int = 1) -> np.ndarray:
    """Return maps (C, h, w) as one image, uint8 (H, W, 3), tile by tile in rows, pale between them.

    Colours, uint8 (C, h, w, 3), stay as they are.
    """
    count, height, width = maps.shape[:3]
    across = columns(count, height, width)
    down = math.ceil(count / across)
    image = np.full((down * (height + gap) - gap, across * (width + gap) - gap, 3), 250, np.uint8)
    if maps.ndim == 3:
        maps = LOOKUP[np.rint(np.clip(np.nan_to_num(maps) / scale, -1, 1) * LEVELS).astype(int) + LEVELS]
    for k, tile in enumerate(maps):
        top, left = k // across * (height + gap), k % across * (width + gap)
        image[top : top + height, left : left + width] = tile
    return image


def filter_colors(weights: np.ndarray) -> np.ndarray:
    """Return filters over RGB, (C, 3, h, w), as colours, uint8 (C, h, w, 3), grey where the weight is 0.

    All share one scale, so that weak filters look weak.
    """
    largest = float(np.abs(weights).max()) or 1.0
    return np.rint(weights.transpose(0, 2, 3, 1) / largest * 127 + 128).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Maps as tiles under a heading.

    maps     float (C, h, w), or colours, uint8 (C, h, w, 3)
    kind     "plain" or "residual", which colours the heading
    sign     what stands before the heading, such as "+"
    marks    which tiles are dead (1) or saturated (2), (C,)
    numbers  channels to be written on the tiles where that can be read, (C,)
    """

    heading: str
    maps: np.ndarray
    kind: str = ""
    sign: str = ""
    marks: np.ndarray | None = None
    numbers: np.ndarray | None = None


def draw_mosaics(figure: Any, mosaics: Sequence[Mosaic], scale: float | None, words: str = "") -> None:
    """Draw mosaics side by side on a (sub)figure, with their colour scale and, below, words on both.

    `scale` is None where the maps are colours already. The words go on to say whether channels are numbered.
    """
    width, high = (side * 96 / figure.dpi for side in (figure.bbox.width, figure.bbox.height))
    across = max(2, len(mosaics))
    images = [mosaic(one.maps, scale or 1.0) for one in mosaics]
    numbered = any(one.numbers is not None for one in mosaics)
    below = 52 + 14 * len(textwrap.wrap(words, int(width / 6.5)))
    room, side = width / across * 0.93, high - below - 30
    zoom = [min(room / image.shape[1], side / image.shape[0]) for image in images]
    roomy = all(
        min(o.maps.shape[1] / 13, o.maps.shape[2] / 22) * z >= 1 for o, z in zip(mosaics, zoom, strict=True)
    )
    if numbered:
        words = f"{words} {NUMBERED if roomy else UNNUMBERED}"
    figure.text(
        0.03, 6 / high, textwrap.fill(words, int(width / 6.5)), color=MUTED, fontsize=8.5, va="bottom"
    )
    grid = figure.add_gridspec(
        1, across, left=0.03, right=0.97, top=1 - 30 / high, bottom=below / high, wspace=0.05
    )
    for i, (one, image) in enumerate(zip(mosaics, images, strict=True)):
        ax = figure.add_subplot(grid[i])
        heading = f"{one.sign} {one.heading}".strip()
        ax.set_title(heading, color=COLORS.get(one.kind, INK), fontsize=10.5, weight="bold")
        ax.imshow(image, interpolation="nearest")
        if one.marks is not None:
            _mark(ax, one.maps, one.marks)
        if one.numbers is not None and roomy:
            _number(ax, one.maps, one.numbers)
        ax.axis("off")
    if scale is not None:
        _add_bar(figure, scale, (0.3, (below - 16) / high, 0.4, 9 / high))


def _add_bar(figure: Any, scale: float, place: tuple[float, float, float, float]) -> None:
    bar = figure.add_axes(place)
    bar.imshow(LOOKUP[None], aspect="auto", extent=(-scale, scale, 0, 1))
    bar.set_yticks([])
    bar.tick_params(colors=MUTED, labelsize=8, length=2, pad=1)


def _mark(ax: Axes, maps: np.ndarray, marks: np.ndarray) -> None:
    """Put a sign into the upper left corner of tiles that are dead or saturated."""
    height, width = maps.shape[1:3]
    across = columns(len(maps), height, width)
    for k in np.flatnonzero(marks):
        sign, color, edge = (CROSS, "#9aa0aa", "black") if marks[k] == 1 else (CORNER, INK, "white")
        x, y = k % across * (width + 1) - 0.5, k // across * (height + 1) - 0.5
        ax.annotate(
            sign,
            (x, y),
            (2, -1),
            textcoords="offset points",
            ha="left",
            va="top",
            color=color,
            fontsize=9,
            path_effects=[withStroke(linewidth=1.5, foreground=edge)],
        )


def _number(ax: Axes, maps: np.ndarray, numbers: np.ndarray) -> None:
    """Write each tile's channel into its lower right corner."""
    height, width = maps.shape[1:3]
    across = columns(len(maps), height, width)
    for k, number in enumerate(numbers):
        x, y = (k % across + 1) * (width + 1) - 1.5, (k // across + 1) * (height + 1) - 1.5
        ax.annotate(
            str(number),
            (x, y),
            (-1, 1),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color="white",
            fontsize=6,
            path_effects=[withStroke(linewidth=1.2, foreground="black")],
        )
