"""The gradient pictures read aloud."""

from collections.abc import Mapping

import numpy as np

from resnet_explore.figures.gradients import CEILING
from resnet_explore.figures.style import label_of
from resnet_explore.widgets.words import factor, power

# What a ratio of first over last means, from its lower bound on.
BANDS = (
    ("vanishes", 0.0, "vanishes towards the image: under 1/100"),
    ("shrinks", 1 / 100, "shrinks towards the image: 1/100 to 1/3"),
    ("stays level", 1 / 3, "stays about level: 1/3 to 3 times"),
    ("grows", 3.0, "grows towards the image: 3 to 100 times"),
    ("explodes", 100.0, "explodes towards the image: over 100 times"),
)
_FAINT = 1e-4  # below this at every layer, a gradient's slope is not what matters about it


def band(ratio: float) -> str:
    """Return the word for a ratio of the first layers' gradient over the last ones'."""
    return [word for word, low, _ in BANDS if ratio >= low][-1] if np.isfinite(ratio) else "explodes"


def times(ratio: float) -> str:
    """Return "1,700 times", or "1/17 of" for what is much smaller."""
    return f"{factor(ratio)} times" if ratio > 0.5 else f"1/{factor(1 / ratio)} of" if ratio else "0 times"


def read_aloud(who: str, ratio: float, norms: np.ndarray, trouble: str = "", noun: str = "gradient") -> str:
    """Say how the first layers compare with the last: "Plain: the gradient at the first ... it explodes"."""
    name = label_of(who)
    finite = norms[np.isfinite(norms)]
    if trouble:
        return f"{name}: the numbers have blown up. {trouble}".rstrip(".")
    if not len(finite):
        return f"{name}: no finite numbers any more, the network has blown up"
    if finite.max() > CEILING:
        return f"{name}: far beyond the axis, up to {power(float(finite.max()))}"
    if not finite.any():
        return f"{name}: exactly 0 at every layer"
    if noun == "gradient" and finite.max() < _FAINT:
        return f"{name}: all but gone at every layer, at most {power(float(finite.max()))}"
    if (norms == 0).mean() > 0.5:
        return f"{name}: exactly 0 at {int((norms == 0).sum())} of {len(norms)} layers"
    if not np.isfinite(ratio) and len(finite) < len(norms):
        return f"{name}: no finite numbers at {len(norms) - len(finite)} of {len(norms)} layers"
    if not np.isfinite(ratio):
        return f"{name}: from {finite.min():.2g} to {finite.max():.2g}"
    if ratio == 0:
        return f"{name}: exactly 0 at the first layers, which are dead"
    said = f"{name}: at the first layers {times(ratio)} that at the last"
    return f"{said}, it {band(ratio)}" if noun == "gradient" else said


def finding(start: str, noun: str, sentences: Mapping[str, str]) -> str:
    """Return the line above a picture: what is shown, then each network's sentence."""
    lines = list(sentences.values())
    rest = [
        line[0].lower() + line[1:] if line.startswith(("Plain", "Residual")) else line for line in lines[1:]
    ]
    return f"{start}, {noun}. " + "; ".join([*lines[:1], *rest]) + "."
