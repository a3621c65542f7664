"""Signed maps over one photo, side by side on one scale, to be saved and printed."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from resnet_explore.figures.heatmaps import PALETTES, SIGNS, overlaid
from resnet_explore.figures.style import COLORS, INK, MUTED


@dataclass(frozen=True)
class Tile:
    """One map: values (h, w), what stands above it, and "plain", "residual" or "" for its colour."""

    values: np.ndarray
    title: str
    color: str = ""


def draw_tiles(
    figure: Any,
    picture: bytes,
    tiles: Sequence[Tile],
    scale: float,
    unit: str,
    meaning: str,
    palette: str,
    opacity: float,
    columns: int,
) -> None:
    """Draw maps on a matplotlib (sub)figure, and below them a bar of their colours.

    scale    the magnitude in full colour
    meaning  of the signs, with {plus} and {minus} for the colours' names
    """
    rows = -(-len(tiles) // columns)
    whole, foot = figure.subfigures(2, 1, height_ratios=[rows * 320, 34])
    places = whole.subplots(rows, columns, squeeze=False).ravel()
    with Image.open(io.BytesIO(picture)) as opened:
        photo = opened.convert("RGB")
    for ax, tile in zip(places, tiles, strict=False):
        ax.imshow(np.asarray(overlaid(photo, tile.values, scale, palette, opacity)))
        ax.set_title(tile.title, loc="left", fontsize=8.5, color=COLORS.get(tile.color, INK), weight="bold")
    for ax in places:
        ax.set_axis_off()
    _color_bar(foot, scale, unit, meaning, palette)


def _color_bar(figure: Any, scale: float, unit: str, meaning: str, palette: str) -> None:
    ax = figure.add_axes((0.02, 0.62, 0.2, 0.22))
    table = PALETTES[palette].astype(float) / 255
    ax.imshow(
        table[None, :, :3] * table[None, :, 3:] + 1 - table[None, :, 3:], extent=(-1, 1, 0, 1), aspect="auto"
    )
    ax.set_yticks([])
    ax.set_xticks([-1, 0, 1], [f"−{scale:.3g}", "0", f"+{scale:.3g}"], fontsize=7.5, color=MUTED)
    plus, minus = SIGNS[palette]
    said = meaning.format(plus=plus, minus=minus)
    words = f"{unit}. {said[:1].upper()}{said[1:]}."
    figure.text(0.24, 0.62, words, fontsize=8.5, color=MUTED)
