"""The factor on all skips of a network while it trains: one number, or one that changes after some epochs."""

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import Any

from resnet_explore.errors import ExploreError

ALL = "1"
"""What a residual network has usually: each skip carries its input as it is."""

NONE = "none"
"""What stands where a plain network has no skips to scale."""

_CHANGE = re.compile(r"(\d*\.?\d+)-(?:then-(\d*\.?\d+)-after|to-(\d*\.?\d+)-by)-(\d+)")


@dataclass(frozen=True)
class SkipScale:
    """The factor, epoch by epoch; epochs count from 1, as in tables of runs, and in each it is constant.

    "0.5"                one number for all epochs
    "1-then-0-after-4"   1 in the first 4 epochs, then 0
    "1-to-0-by-8"        1 in the first epoch, less by the same amount in each, 0 from epoch 8 on
    """

    start: float
    end: float
    epoch: int = 1
    gradual: bool = False

    def at(self, epoch: int) -> float:
        """Return the factor in an epoch, 1 for the first."""
        if not self.gradual:
            return self.start if epoch <= self.epoch else self.end
        if epoch >= self.epoch:
            return self.end
        return self.start + (self.end - self.start) * (epoch - 1) / (self.epoch - 1)

    @property
    def constant(self) -> bool:
        """Whether it is the same in all epochs."""
        return self.start == self.end

    @property
    def words(self) -> str:
        """What is done to the skips, in words: "skips removed after epoch 4"."""
        start, end = _short(self.start), _short(self.end)
        if self.constant:
            return f"skips × {start}"
        if self.gradual:
            return f"skips slowly from {start} to {end} by epoch {self.epoch}"
        if 0 in (self.start, self.end) and 1 in (self.start, self.end):
            return f"skips {'given' if self.end else 'removed'} after epoch {self.epoch}"
        return f"skips × {start}, then × {end} after epoch {self.epoch}"

    def __str__(self) -> str:
        if self.constant:
            return _short(self.start)
        way = f"to-{_short(self.end)}-by" if self.gradual else f"then-{_short(self.end)}-after"
        return f"{_short(self.start)}-{way}-{self.epoch}"


def skip_scale(given: Any) -> SkipScale:
    """Read a number or one of the texts that `SkipScale` explains; ExploreError for anything else."""
    text = given.strip() if isinstance(given, str) else ""
    found = _CHANGE.fullmatch(text)
    if found:
        gradual, epoch = found[3] is not None, int(found[4])
        if epoch > gradual:  # a change that takes no time, or comes before the first epoch, is none
            return SkipScale(float(found[1]), float(found[3] or found[2]), epoch, gradual)
    elif (number := _number(text or given)) is not None:
        return SkipScale(number, number)
    raise ExploreError(
        "Sweep needs skip_scale as a number of at least 0, or such as '1-then-0-after-4' or '1-to-0-by-8', "
        f"not {given!r}."
    )


def require_epochs(scale: SkipScale, epochs: int) -> None:
    """Raise ExploreError if a training of so many epochs ends before the factor is what it is to become."""
    least = scale.epoch + (not scale.gradual)
    if not scale.constant and epochs < least:
        raise ExploreError(f"Sweep needs epochs of at least {least} for skip_scale '{scale}', not {epochs}.")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number + 0.0 if 0 <= number < math.inf else None  # + 0.0: no -0


def _short(number: float) -> str:
    """Return the shortest text that is read as this number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)
