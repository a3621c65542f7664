"""The gradient pictures read aloud."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from resnet_explore.analysis.alike import TREND, Alike, trend
from resnet_explore.analysis.slope import EXPLODES, GROWS, LEVEL, SHRINKS, STAYS, STEEP, VANISHES, slope
from resnet_explore.figures.gradients import CEILING
from resnet_explore.figures.style import label_of
from resnet_explore.widgets.words import factor, power

# What can be said of a gradient, and how a list of guesses puts it: its slope alone, so that one is true.
VERDICTS = {
    EXPLODES: f"explodes towards the image: over {STEEP:g} times",
    GROWS: f"grows towards the image: {LEVEL:g} to {STEEP:g} times",
    STAYS: f"stays about level: 1/{LEVEL:g} to {LEVEL:g} times",
    SHRINKS: f"shrinks towards the image: 1/{STEEP:g} to 1/{LEVEL:g}",
    VANISHES: f"vanishes towards the image: under 1/{STEEP:g}",
}
LEVEL_MEANS = f"Level: 1/{LEVEL:g} to {LEVEL:g} times."
_FAINT = 1e-4  # a gradient below this at every layer is called tiny, whatever its slope


@dataclass(frozen=True)
class Reading:
    """What norms come to, in parts of a sentence that lacks a name.

    verdict   a word of VERDICTS, "" where there is no ratio of a gradient to be called so
    measured  the ratio, or what there is instead
    besides   what the verdict alone would hide, from a comma on
    multiple  "1,000×", the first block's over the last's; "" where there are no blocks or no ratio
    """

    verdict: str
    measured: str
    besides: str = ""
    multiple: str = ""

    @property
    def said(self) -> str:
        """The whole sentence: "at the first block 20 times that at the last block, it grows"."""
        return f"{self.measured}, it {self.verdict}{self.besides}" if self.verdict else self.measured

    @property
    def brief(self) -> str:
        """The same behind "first block's over the last's": "1,000×, explodes"."""
        return ratio_and_word(self.multiple, self.verdict) + self.besides if self.multiple else self.said


def ratio_and_word(multiple: str, verdict: str) -> str:
    """Return "1,000×, explodes" or "3.7×, level"."""
    return f"{multiple}, {verdict.removeprefix('stays ')}" if verdict else multiple


def times(ratio: float) -> str:
    """Return "1,700 times", or "1/17 of" for what is much smaller."""
    return _as_multiple(ratio, " times", " of")


def multiple(ratio: float) -> str:
    """Return "1,700×", or "1/17" for what is much smaller: a ratio where every word counts."""
    return _as_multiple(ratio, "×", "")


def _as_multiple(ratio: float, many: str, part: str) -> str:
    """Return a ratio and what follows it: `many` behind "1,700", `part` behind "1/17"."""
    if not ratio:
        return f"0{many}"
    return f"{factor(ratio)}{many}" if ratio > 0.5 else f"1/{factor(1 / ratio)}{part}"


def _steadiness(parts: np.ndarray) -> str:
    """Return what the ratio of the ends hides of the parts between, "" if nothing."""
    if slope(float(parts[0] / parts[-1])) == STAYS:
        steady = parts.max() <= LEVEL * parts.min()
    else:
        steady = trend(parts) * (1 if parts[0] < parts[-1] else -1) >= TREND
    return "" if steady else ", though not steadily"


def read(
    norms: np.ndarray,
    alike: Alike,
    parts: np.ndarray,
    trouble: str = "",
    noun: str = "gradient",
    absent: str = "no finite number",
) -> Reading:
    """Read norms aloud: of all layers, (layers,), and of the parts that are alike, (parts,).

    trouble  what is wrong with the numbers, instead of all else
    absent   what a layer has instead of a number
    """
    finite = norms[np.isfinite(norms)]
    zeros, lack = int((norms == 0).sum()), len(norms) - len(finite)
    if trouble:
        return Reading("", trouble)
    if not len(finite):
        return Reading("", "no finite numbers any more, the network has blown up")
    if finite.max() > CEILING:
        return Reading("", f"far beyond the axis, up to {power(float(finite.max()))}")
    if zeros > len(finite) / 2:
        return Reading("", _zeros(zeros, len(finite), lack, absent))
    if len(parts) < 2 or not np.isfinite(parts).all():
        missing = f", {absent} at {lack} of {len(norms)} layers" if lack else ""
        return Reading("", f"from {finite.min():.2g} to {finite.max():.2g}{missing}")
    blocks = alike.noun == "block"
    first, last = ("the first block", "the last block")
    if not blocks:
        first, last = (f"layer {part[0] + 1}" for part in alike.ends)
    if not (parts[0] and parts[-1]):
        dead = " and ".join(end for end, norm in ((first, parts[0]), (last, parts[-1])) if not norm)
        return Reading("", f"exactly 0 at {dead}")
    ratio = float(parts[0] / parts[-1])
    ends, brief = f"at {first} {times(ratio)} that at {last}", multiple(ratio)
    if not blocks:  # "at layer 2 1/50" would read as one number
        ends, brief = f"{first} has {times(ratio)} what {last} has", ""
    if noun != "gradient":
        return Reading("", ends, multiple=brief)
    tiny = ""
    if finite.max() < _FAINT:
        where = f"all {len(finite)} layers where it exists" if lack else "every layer"
        tiny = f", and is tiny: {_size(finite)} at {where}"
    return Reading(slope(ratio), ends, f"{_steadiness(parts)}{tiny}", brief)


def finding(start: str, noun: str, readings: Mapping[str, Reading], conditions: str = "") -> str:
    """Return the line above a picture: what is shown, what comes of each network, and where.

    Such as "56 layers, first block's weight gradient over the last's. Plain: 1,000×, explodes; residual:
    3.7×, level. Digits, width 8, ...": the same network has other ratios on other data.
    """
    what = f"first block's {noun} over the last's" if any(r.multiple for r in readings.values()) else noun
    lines = [f"{label_of(who)}: {reading.brief}" for who, reading in readings.items()]
    rest = [
        line[0].lower() + line[1:] if line.startswith(("Plain", "Residual")) else line for line in lines[1:]
    ]
    where = f" {conditions[0].upper()}{conditions[1:]}." if conditions else ""
    return f"{start}, {what}. " + "; ".join([*lines[:1], *rest]) + f".{where}"


def compared(alikes: Mapping[str, Alike], last: bool = False) -> str:
    """Say which parts the line above compares, as a sentence, "" if none.

    last  whether a block's norm is that of its last layer, instead of the root of a sum of squares
    """
    different = set(alikes.values())
    if not any(one.ends for one in different):
        return ""
    said = str(next(iter(different)))
    if len(different) > 1:
        said = "; ".join(f"{label_of(who).lower()}: {one}" for who, one in alikes.items())
    how = ""
    if any(len(part) > 1 for one in different for part in one.parts):
        how = "; of a block its last layer" if last else "; of a block the root of the sum of squares"
    return f" Compared (shaded): {said}{how}."


def _size(norms: np.ndarray) -> str:
    low, high = power(float(norms.min())), power(float(norms.max()))
    if not norms.min():
        return f"0 to about {high}"
    return f"about {low}" if low == high else f"about {low} to {high}"


def _zeros(zeros: int, finite: int, lack: int, absent: str) -> str:
    if not lack:
        return "exactly 0 at every layer" if zeros == finite else f"exactly 0 at {zeros} of {finite} layers"
    there = f"the {finite}" if zeros == finite else f"{zeros} of {finite}"
    return f"exactly 0 at {there} layers where it exists, {absent} at {lack}"
