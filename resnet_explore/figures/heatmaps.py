"""Signed maps as colours over a photo: red speaks for a class, blue against it, 0 leaves the photo bare."""

import io

import numpy as np
from matplotlib import colormaps
from PIL import Image


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


_DARKEST = 100  # of 255, of a photo under a map

# Signed, with 0 left bare; all three can be told apart by people who don't see red or green.
PALETTES = {
    name: _signed_colors(theirs)
    for name, theirs in (
        ("red and blue", "RdBu_r"),
        ("orange and purple", "PuOr_r"),
        ("brown and teal", "BrBG_r"),
    )
}

# What a positive and a negative value look like.
SIGNS = {
    "red and blue": ("red", "blue"),
    "orange and purple": ("orange", "purple"),
    "brown and teal": ("brown", "teal"),
}


def signed_overlay(
    values: np.ndarray, scale: float, size: tuple[int, int], palette: str = "red and blue"
) -> Image.Image:
    """Return a map (h, w) enlarged bilinearly to `size`, width and height, and coloured, as RGBA.

    `scale` is the magnitude drawn in full colour, one for all maps that are to be compared.
    """
    enlarged = Image.fromarray(np.asarray(values, np.float32)).resize(size, Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(enlarged) / scale if scale > 0 else np.zeros(size[::-1]), -1, 1)
    return Image.fromarray(PALETTES[palette][np.round((share + 1) * 127.5).astype(int)])


def under_map(photo: Image.Image) -> Image.Image:
    """Return what lies under a map, RGBA: a photo without its colours, which are the map's alone.

    Nor is it dark anywhere: over black each colour would look like one near the end of its scale.
    """
    pale = photo.convert("L").point(lambda grey: round(_DARKEST + grey * (1 - _DARKEST / 255)))
    return pale.convert("RGBA")


def overlaid(
    photo: Image.Image, values: np.ndarray, scale: float, palette: str = "red and blue", opacity: float = 1.0
) -> Image.Image:
    """Return a map over a photo, RGB; with no opacity the photo in its colours."""
    overlay = signed_overlay(values, scale, photo.size, palette)
    overlay.putalpha(overlay.getchannel("A").point(lambda alpha: round(alpha * opacity)))
    under = under_map(photo) if opacity else photo.convert("RGBA")
    return Image.alpha_composite(under, overlay).convert("RGB")


def photo_jpeg(picture: Image.Image, side: int) -> bytes:
    """Return a picture as JPEG whose longer side has `side` pixels."""
    buffer = io.BytesIO()
    size = [max(1, round(n * side / max(picture.size))) for n in picture.size]
    large = picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC)
    large.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """Return uint8 (h, w, 3 or 4) as PNG, compressed little."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
