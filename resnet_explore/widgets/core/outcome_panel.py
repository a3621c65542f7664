"""The panel that shows side by side what networks answer, as bars."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from resnet_explore.widgets.core.view import Part


@dataclass(frozen=True)
class OutcomeBar:
    """One bar.

    share      its length, 0 to 1
    text       its number in words
    low, high  the ends of its whisker, None for none
    before     where it was without the edit, None where that is not known
    """

    label: str
    share: float
    text: str
    low: float | None = None
    high: float | None = None
    before: float | None = None


@dataclass(frozen=True)
class Side:
    """What one network does: its error, and its answers to one image."""

    name: str
    color: str
    error: OutcomeBar | None
    answers: Sequence[OutcomeBar]
    note: str = ""


@dataclass(frozen=True)
class OutcomeBars(Part):
    """Both networks' errors and answers, side by side.

    asked    what the answers are to, in words
    missing  why there are no errors, in words; "" where there are
    reference  what the ticks on the bars stand for
    picture  the image that is looked at, bytes of a PNG; `picture_key` says which it is, "" for none
    """

    kind: ClassVar[str] = "outcome"
    key: str
    sides: Any
    asked: str = ""
    picture: bytes = b""
    picture_key: str = ""
    missing: str = ""
    reference: str = "where it was before the change"

    height: ClassVar[float] = 170.0

    def draw(self, figure: Any) -> None:
        """Draw the bars."""
        from resnet_explore.figures.cuts import draw_bars

        draw_bars(figure, [(s.name, s.color, [*filter(None, [s.error]), *s.answers]) for s in self.sides])

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each bar."""
        for side in self.sides:
            for bar in [*filter(None, [side.error]), *side.answers]:
                row = {"network": side.name, "what": bar.label, "percent": 100 * bar.share}
                for name in ("low", "high", "before"):
                    value = getattr(bar, name)
                    row[name] = math.nan if value is None else 100 * value
                yield row
