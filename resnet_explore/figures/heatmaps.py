"""Signed maps as colours over a photo: red speaks for a class, blue against it, 0 leaves the photo bare."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from PIL import Image

from resnet_explore.figures.style import CARD

GAP = 0.04  # between two pictures side by side, as a share of a picture's side


def _signed_colors(name: str) -> np.ndarray:
    """Return RGBA (256, 4) for values -1..1: the map's colour, and as much of it as the value is large."""
    values = np.linspace(-1, 1, 256)
    size = np.abs(values)
    # The middle of the map is white. What lies near 0 takes the hue of its sign and little opacity instead;
    # the upper half of the magnitudes darkens, without a step between the two.
    hue = 0.5 + np.sign(values) * (0.345 + 0.155 * np.clip(2 * size - 1, 0, 1))
    table = (colormaps[name](hue) * 255).round().astype(np.uint8)
    # The two entries nearest to 0 are wholly bare.
    table[:, 3] = (255 * ((255 * size - 1) / 254).clip(0) ** 0.75).round()
    return table


# Signed, with 0 left bare; all three can be told apart by people who don't see red or green.
PALETTES = {
    name: _signed_colors(theirs)
    for name, theirs in (
        ("red and blue", "RdBu_r"),
        ("orange and purple", "PuOr_r"),
        ("brown and teal", "BrBG_r"),
    )
}
_SIGNED = PALETTES["red and blue"]


def signed_overlay(maps: Sequence[np.ndarray], scale: float) -> bytes:
    """Return maps (h, w) side by side as one RGBA PNG of small tiles, to be stretched over `side_by_side`.

    `scale` is the magnitude drawn in full colour, one for all the maps, so that they can be compared.
    """
    tiles = []
    for values in maps:
        share = np.clip(values / scale if scale > 0 else np.zeros_like(values), -1, 1)
        tiles.append(_SIGNED[np.round((share + 1) * 127.5).astype(int)])
    return png(_smooth(tiles))


def _smooth(tiles: Sequence[np.ndarray], side: int = 192) -> np.ndarray:
    """Enlarge tiles bilinearly and lay them beside each other with a transparent gap.

    Each is enlarged alone: stretched as one mosaic, the edge of a picture would bleed into its neighbour.
    """
    gap = np.zeros((side, round(side * GAP), 4), np.uint8)
    row: list[np.ndarray] = []
    for tile in tiles:
        large = Image.fromarray(tile).resize((side, side), Image.Resampling.BILINEAR)
        row += [np.asarray(large), gap]
    return np.concatenate(row[:-1], axis=1)


def side_by_side(picture: Image.Image, count: int = 2, side: int = 512) -> bytes:
    """Return a square picture `count` times in a row, each `side` pixels large, as JPEG."""
    gap = round(side * GAP)
    row = Image.new("RGB", (count * side + (count - 1) * gap, side), CARD)
    large = picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    for i in range(count):
        row.paste(large, (i * (side + gap), 0))
    buffer = io.BytesIO()
    row.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """Return uint8 (h, w, 3 or 4) as PNG, compressed little."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
