"""One photo and what speaks for and against an answer at every block, on one sheet."""

import math
import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from resnet_explore.figures.heatmaps import overlaid
from resnet_explore.figures.style import CARD, INK, MUTED, new_figure

_TILE, _GAP, _LINE = 176, 14, 34  # pixels of a tile, between tiles, and of the line below each
_OPACITY = 0.75


def heatmap_sheet(
    picture: np.ndarray,
    maps: Mapping[str, np.ndarray],
    title: str,
    caption: str,
    notes: Mapping[str, str] | None = None,
    unit: str = "logits",
) -> Figure:
    """Return a figure: the photo, then one tile for each map, each with its own scale below it.

    picture  uint8 (S, S, 3), what the network saw
    maps     raw signed values (h, w), by name; each tile's full colour is its own largest magnitude, written
             below it, since contributions of different blocks differ by orders of magnitude
    unit     of the values; what their signs mean belongs into the caption
    notes    a word below the tile of that name, such as why it is empty
    """
    count = len(maps) + 1
    columns = min(count, max(3, math.ceil(math.sqrt(count * 1.3))))
    rows = math.ceil(count / columns)
    photo = Image.fromarray(picture).convert("RGB").resize((_TILE, _TILE), Image.Resampling.BICUBIC)
    width = columns * (_TILE + _GAP) + _GAP
    mosaic = Image.new("RGB", (width, rows * (_TILE + _LINE + _GAP)), CARD)
    labels = []
    for i, (name, values) in enumerate([("photo", None), *maps.items()]):
        left, top = _GAP + i % columns * (_TILE + _GAP), i // columns * (_TILE + _LINE + _GAP)
        scale = 0.0 if values is None else float(np.abs(values).max(initial=0))
        tile = photo if values is None else overlaid(photo, values, scale, opacity=_OPACITY)
        mosaic.paste(tile, (left, top))
        below = "the middle square" if values is None else f"{name}  ±{scale:.2g}"
        detail = "" if values is None else f"{values.shape[0]}×{values.shape[1]}"
        extra = (notes or {}).get(name, "")
        labels.append((left, top + _TILE, below, f"{detail}  {extra}".strip()))
    lines = textwrap.wrap(caption, max(40, width // 6))
    head, foot = 34, 54 + 15 * len(lines)
    height = head + mosaic.height + foot
    figure = new_figure(width, height)
    ax = figure.add_axes((0, foot / height, 1, mosaic.height / height))
    ax.imshow(np.asarray(mosaic), extent=(0, width, mosaic.height, 0), interpolation="nearest")
    ax.set_axis_off()
    for left, bottom, below, detail in labels:
        ax.text(left, bottom + 5, below, va="top", fontsize=7.5, color=INK)
        ax.text(left, bottom + 19, detail, va="top", fontsize=7, color=MUTED)
    _color_bar(figure, width, height, foot, unit)
    figure.text(_GAP / width, 1 - 10 / height, title, va="top", fontsize=10, color=INK, weight="bold")
    figure.text(
        _GAP / width, 8 / height, "\n".join(lines), va="bottom", fontsize=7.5, color=MUTED, linespacing=1.35
    )
    return figure


def _color_bar(figure: Figure, width: int, height: int, foot: int, unit: str) -> None:
    long = min(220, width // 2)
    ax = figure.add_axes((_GAP / width, (foot - 20) / height, long / width, 8 / height))
    ax.imshow(colormaps["RdBu_r"](np.linspace(0, 1, 256))[None], extent=(-1, 1, 0, 1), aspect="auto")
    ax.set_yticks([])
    ax.set_xticks([-1, 0, 1], ["−", "0", "+"], fontsize=7, color=MUTED)
    first, _, last = ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    ax.tick_params(length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)
    text = f"full colour is the number below each picture, in {unit}"
    figure.text((2 * _GAP + long) / width, (foot - 16) / height, text, va="center", fontsize=7.5, color=MUTED)
