"""Made-up patterns in the plane as small images: each image is one point, drawn as a soft dot.

A network is to tell to which part of the pattern the point belongs, so it has to know where the dot is.
"""

import math
from collections.abc import Callable

import numpy as np

SIDE = 8  # pixels
_COUNT = 1_800
_DOT = 0.8  # pixels: standard deviation of the dot, wide enough that its place shows between pixels
_SEED = 0

Points = tuple[np.ndarray, np.ndarray]
"""Places (n, 2) in -1..1, and the class of each (n,)."""


def _spirals(random: np.random.Generator, count: int) -> Points:
    """Two arms that wind three times around each other, as those of Lang and Witbrock (1988) do."""
    arm = np.arange(count) % 2
    way = np.sqrt(random.uniform(0.01, 1, count))
    angle = 6 * math.pi * way + math.pi * arm
    return np.stack([way * np.cos(angle), way * np.sin(angle)], 1) + random.normal(0, 0.01, (count, 2)), arm


def _circles(random: np.random.Generator, count: int) -> Points:
    """A disc and a ring around it."""
    ring = np.arange(count) % 2
    radius = np.where(ring, random.uniform(0.65, 0.95, count), 0.45 * np.sqrt(random.uniform(0, 1, count)))
    angle = random.uniform(0, 2 * math.pi, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), ring


def _xor(random: np.random.Generator, count: int) -> Points:
    """Four quarters, of which those across from each other belong together."""
    places = random.uniform(0.08, 0.95, (count, 2)) * random.choice([-1.0, 1.0], (count, 2))
    return places, (places[:, 0] * places[:, 1] > 0).astype(int)


PATTERNS: dict[str, tuple[Callable[[np.random.Generator, int], Points], tuple[str, str], str]] = {
    "spirals": (_spirals, ("first arm", "second arm"), "two spirals"),
    "circles": (_circles, ("disc", "ring"), "a disc and a ring around it"),
    "xor": (_xor, ("one sign each", "both signs alike"), "quarters of a square, those across alike"),
}
"""{name: (points, classes, what it is in words)}."""


def drawn_pattern(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a pattern's images, uint8 (1800, 8, 8), and their classes, int64 (1800,); always the same."""
    places, classes = PATTERNS[name][0](np.random.default_rng(_SEED), _COUNT)
    middle = (np.clip(places, -1, 1) + 1) / 2 * (SIDE - 1)  # in pixels; the first number goes across
    pixels = np.arange(SIDE)
    across, down = (np.exp(-((pixels - middle[:, axis, None]) ** 2) / (2 * _DOT**2)) for axis in (0, 1))
    return np.rint(255 * down[:, :, None] * across[:, None, :]).astype(np.uint8), classes.astype(np.int64)
