"""What norms by layer come to: a ratio of the first block to the last, or the reason why there is none."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from resnet_explore.analysis.gradients.slope import LEVEL, STAYS, slope
from resnet_explore.analysis.topology.comparable import TREND, Alike, trend

OVERFLOW = 1e10  # a norm above this is drawn beyond the axis, and no ratio is made of it
FAINT = 1e-4  # a gradient below this at every layer is called tiny, whatever its ratio

Outcome = Literal["ratio", "no ratio", "zeros", "dead end", "overflow", "nothing finite"]


@dataclass(frozen=True)
class Profile:
    """What norms by layer come to; `read_profile` makes one.

    outcome  "ratio"           the first part over the last can be said
             "no ratio"        no two parts are alike, or one has no number: only `low` and `high` can be said
             "zeros"           most layers are exactly 0
             "dead end"        the first part or the last is exactly 0
             "overflow"        `high` is above OVERFLOW
             "nothing finite"  every layer is infinite or not a number
    ratio    of the first part to the last, nan where there is none
    steady   whether the parts between go the way that the ratio says
    low, high  smallest and largest finite norm, nan where there is none
    layers, finite, zeros  how many there are, have a finite number, and are exactly 0
    parts    "block", "convolution" or "layer": what is compared
    ends     layers, from 1, of the first part and of the last; () where no two are alike
    dead     which of "first" and "last" are 0, for a dead end
    """

    outcome: Outcome
    ratio: float = float("nan")
    steady: bool = True
    low: float = float("nan")
    high: float = float("nan")
    layers: int = 0
    finite: int = 0
    zeros: int = 0
    parts: str = "block"
    ends: tuple[tuple[int, ...], ...] = ()
    dead: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The word for the ratio, as `slope` says it; "" where there is none."""
        return slope(self.ratio) if self.outcome == "ratio" else ""

    @property
    def tiny(self) -> bool:
        """Whether every layer is below FAINT."""
        return self.high < FAINT


def read_profile(norms: np.ndarray, alike: Alike, parts: np.ndarray) -> Profile:
    """Return what norms come to: those of all layers, (layers,), and those of the parts alike, (parts,)."""
    finite = norms[np.isfinite(norms)]
    ends = tuple(tuple(layer + 1 for layer in part) for part in alike.ends)
    counts = {"layers": len(norms), "finite": len(finite), "zeros": int((norms == 0).sum())}
    about: dict[str, Any] = {**counts, "parts": alike.noun, "ends": ends}
    if not len(finite):
        return Profile("nothing finite", **about)
    about |= {"low": float(finite.min()), "high": float(finite.max())}
    if about["high"] > OVERFLOW:
        return Profile("overflow", **about)
    if counts["zeros"] > len(finite) / 2:
        return Profile("zeros", **about)
    if len(parts) < 2 or not np.isfinite(parts).all():
        return Profile("no ratio", **about)
    dead = tuple(end for end, norm in (("first", parts[0]), ("last", parts[-1])) if not norm)
    if dead:
        return Profile("dead end", dead=dead, **about)
    return Profile("ratio", ratio=float(parts[0] / parts[-1]), steady=_steady(parts), **about)


def _steady(parts: np.ndarray) -> bool:
    """Return whether the parts between the ends go the way that the ratio of the ends says."""
    if slope(float(parts[0] / parts[-1])) == STAYS:
        return bool(parts.max() <= LEVEL * parts.min())
    return trend(parts) * (1 if parts[0] < parts[-1] else -1) >= TREND
