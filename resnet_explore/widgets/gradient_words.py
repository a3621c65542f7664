"""The gradient pictures read aloud."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from resnet_explore.analysis.alike import TREND, Alike, trend
from resnet_explore.figures.gradients import CEILING
from resnet_explore.figures.style import label_of
from resnet_explore.widgets.words import factor, power

# What a ratio of the first block over the last means, from its lower bound on.
BANDS = (
    ("vanishes", 0.0, "vanishes towards the image: under 1/100"),
    ("shrinks", 1 / 100, "shrinks towards the image: 1/100 to 1/3"),
    ("stays level", 1 / 3, "stays about level: 1/3 to 3 times"),
    ("grows", 3.0, "grows towards the image: 3 to 100 times"),
    ("explodes", 100.0, "explodes towards the image: over 100 times"),
)
TINY, NO_TREND = "is tiny at every layer", "shows no trend"
_FAINT = 1e-4  # below this at every layer, a gradient's slope is not what matters about it
_WAVY = 10.0  # from which largest over smallest on, norms whose ends are alike are not called level
# What can be said of a gradient, and how a list of guesses puts it.
VERDICTS = {
    **{word: words for word, _, words in reversed(BANDS)},
    TINY: "is tiny at every layer: under 1/10,000",
    NO_TREND: "shows no trend over the blocks, such as a zigzag",
}


@dataclass(frozen=True)
class Reading:
    """What norms come to: a word of VERDICTS, "" where none fits, and a sentence that lacks a name."""

    verdict: str
    said: str


def band(ratio: float) -> str:
    """Return the word for a ratio of the first layers' gradient over the last ones'."""
    return [word for word, low, _ in BANDS if ratio >= low][-1] if np.isfinite(ratio) else "explodes"


def times(ratio: float) -> str:
    """Return "1,700 times", or "1/17 of" for what is much smaller."""
    return f"{factor(ratio)} times" if ratio > 0.5 else f"1/{factor(1 / ratio)} of" if ratio else "0 times"


def judge(parts: np.ndarray) -> str:
    """Return the verdict on norms of like parts: what their ends say, if a trend supports it."""
    word = band(float(parts[0] / parts[-1]))
    if word == "stays level":
        return NO_TREND if parts.max() > _WAVY * parts.min() else word
    towards_image = -1 if parts[0] < parts[-1] else 1
    return word if -towards_image * trend(parts) >= TREND else NO_TREND


def read(
    norms: np.ndarray,
    alike: Alike,
    parts: np.ndarray,
    trouble: str = "",
    noun: str = "gradient",
    absent: str = "no finite number",
) -> Reading:
    """Read norms aloud: of all layers, (layers,), and of the parts that are alike, (parts,).

    absent  what a layer has instead of a number
    """
    finite = norms[np.isfinite(norms)]
    zeros, lack = int((norms == 0).sum()), len(norms) - len(finite)
    if trouble:
        return Reading("", f"the numbers have blown up. {trouble}".rstrip("."))
    if not len(finite):
        return Reading("", "no finite numbers any more, the network has blown up")
    if finite.max() > CEILING:
        return Reading("", f"far beyond the axis, up to {power(float(finite.max()))}")
    if zeros > len(finite) / 2:
        return Reading(TINY if zeros == len(norms) else "", _zeros(zeros, len(finite), lack, absent))
    if noun == "gradient" and finite.max() < _FAINT:
        return Reading(TINY, f"tiny at every layer, at most {power(float(finite.max()))}")
    if len(parts) < 2 or not np.isfinite(parts).all():
        missing = f", {absent} at {lack} of {len(norms)} layers" if lack else ""
        return Reading("", f"from {finite.min():.2g} to {finite.max():.2g}{missing}")
    first, last = (f"the {end} block" for end in ("first", "last"))
    if alike.noun != "block":
        first, last = (f"layer {part[0] + 1}" for part in alike.ends)
    if not (parts[0] and parts[-1]):
        dead = " and ".join(end for end, norm in ((first, parts[0]), (last, parts[-1])) if not norm)
        return Reading("", f"exactly 0 at {dead}")
    verdict = judge(parts)
    ends = f"at {first} {times(float(parts[0] / parts[-1]))} that at {last}"
    return Reading(verdict, f"{ends}, it {verdict}" if noun == "gradient" else ends)


def read_aloud(who: str, reading: Reading) -> str:
    """Say a reading of somebody: "Plain: at the first block 20 times that at the last block, it grows"."""
    return f"{label_of(who)}: {reading.said}"


def finding(start: str, noun: str, sentences: Mapping[str, str]) -> str:
    """Return the line above a picture: what is shown, then each network's sentence."""
    lines = list(sentences.values())
    rest = [
        line[0].lower() + line[1:] if line.startswith(("Plain", "Residual")) else line for line in lines[1:]
    ]
    return f"{start}, {noun}. " + "; ".join([*lines[:1], *rest]) + "."


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


def _zeros(zeros: int, finite: int, lack: int, absent: str) -> str:
    if not lack:
        return "exactly 0 at every layer" if zeros == finite else f"exactly 0 at {zeros} of {finite} layers"
    there = f"the {finite}" if zeros == finite else f"{zeros} of {finite}"
    return f"exactly 0 at {there} layers where it exists, {absent} at {lack}"
