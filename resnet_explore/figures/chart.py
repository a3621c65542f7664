"""A chart as data: two axes, series and marks, without pixels and without matplotlib.

The browser draws it as SVG, `chart_figure` as a Figure to be saved and printed. Wherever a number or an array
stands, a page may put what a slider picks from (an `Over` of its view); that is checked when it is picked.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from resnet_explore.errors import ExploreError, unknown

Scale = Literal["linear", "log"]
Line = Literal["solid", "dashed", "dotted", "none", "bars"]
Look = Literal["full", "open", "ghost"]
Marker = Literal["kind", "none", "circle", "square", "diamond", "up", "down"]

SCALES, LINES, LOOKS = (
    ("linear", "log"),
    ("solid", "dashed", "dotted", "none", "bars"),
    ("full", "open", "ghost"),
)
MARKERS = ("kind", "none", "circle", "square", "diamond", "up", "down")


@dataclass(frozen=True)
class Axis:
    """What an axis measures and from where to where it reaches.

    label  what is measured, as it stands beside the axis
    scale  "linear" or "log"
    unit   what stands behind values that are read out, and in brackets behind the label; "" for none
    name   what a value is called that is read out, "" for the label: "layer" for "layer (1 sees the image)"
    ticks  values to be labelled, or (value, label) pairs; () for round numbers
    whole  only whole numbers exist, such as layers

    Raises `ExploreError` for a scale that isn't known, an end that is not finite or not above the beginning,
    and on a logarithmic axis for a beginning that is not above 0.
    """

    label: str
    low: Any
    high: Any
    scale: Scale = "linear"
    unit: str = ""
    name: str = ""
    ticks: Any = ()
    whole: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise unknown("scale", self.scale, SCALES)
        if not _picked(self.ticks):
            pairs = tuple(t if isinstance(t, tuple) else (float(t), f"{t:,}") for t in self.ticks)
            object.__setattr__(self, "ticks", pairs)
        if _picked(self.low) or _picked(self.high):
            return
        reach = f"The axis {self.label!r} reaches from {self.low:g} to {self.high:g}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ExploreError(f"{reach}; its ends must be finite and the second the larger one.")
        if self.scale == "log" and self.low <= 0:
            raise ExploreError(f"{reach}; a logarithmic one must begin above 0.")

    @classmethod
    def around(
        cls, label: str, *values: Any, scale: Scale = "linear", zero: bool = True, **more: Any
    ) -> "Axis":
        """Return an axis that holds all values which are finite, and on a logarithmic scale above 0.

        A linear axis begins at 0 where `zero` is true and no value is below it. A logarithmic one has its
        ends at whole powers of ten, at least two apart. `more` are the axis's other fields.
        """
        known = np.concatenate([np.zeros(0), *(np.ravel(np.asarray(v, dtype=float)) for v in values)])
        known = known[np.isfinite(known) & ((known > 0) | (scale == "linear"))]
        low, high = (float(known.min()), float(known.max())) if known.size else (1.0, 1.0)
        if scale == "log":
            return cls(label, *decades(low, high), scale, **more)
        low, high = (min(0.0, low), max(0.0, high)) if zero else (low, high)
        room = 0.06 * (high - low) or 1.0
        tight = zero and low == 0
        return cls(label, low if tight else low - room, high + room, **more)

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, eq=False)
class Series:
    """Points in the order of x, with or without a line through them.

    name       what the legend and the read-out call it; one series of a chart has it
    x, y       (n,); x rises. A y of NaN leaves a gap, one beyond the axis is a triangle on its edge, one that
               a logarithmic axis can't hold (0 and below) a cross at its foot
    kind       "plain", "residual", "muted", "ink", or anything else for a colour and a marker of its own
    low, high  (n,), the ends of a band, NaN where there is none; None for no band
    line       "solid", "dashed", "dotted", "none", or "bars" from 0 to each y
    marker     "kind" for the kind's own, "none" or a shape
    look       "full"; "open" for open marks and a paler line: a second series of its kind, or what is not
               finished; "ghost" for what is recorded and stands faintly behind
    tips       a text a point that the read-out adds, () for none
    listed     whether the legend lists it and the read-out reads it

    Raises `ExploreError` where lengths differ, x doesn't rise or a word is not known.
    """

    name: str
    x: Any
    y: Any
    kind: str = "ink"
    low: Any = None
    high: Any = None
    line: Line = "solid"
    marker: Marker = "kind"
    look: Look = "full"
    tips: Any = ()
    listed: bool = True

    def __post_init__(self) -> None:
        for what, word, known in (
            ("line", self.line, LINES),
            ("look", self.look, LOOKS),
            ("marker", self.marker, MARKERS),
        ):
            if word not in known:
                raise unknown(what, word, known)
        if not (_picked(self.low) or _picked(self.high)) and (self.low is None) != (self.high is None):
            raise ExploreError(
                f"The series {self.name!r} has one end of a band; give both low and high, or none."
            )
        for part in ("x", "y", "low", "high"):
            values = getattr(self, part)
            if values is not None and not _picked(values):
                object.__setattr__(self, part, _row(values, f"{part} of the series {self.name!r}"))
        self._check_lengths()

    def _check_lengths(self) -> None:
        if _picked(self.x):
            return
        if not (np.isfinite(self.x).all() and (np.diff(self.x) >= 0).all()):
            raise ExploreError(f"x of the series {self.name!r} must be finite and rise from point to point.")
        for part in ("y", "low", "high", "tips"):
            values = getattr(self, part)
            missing = values is None or (part == "tips" and not _picked(values) and not len(values))
            if not missing and not _picked(values) and len(values) != len(self.x):
                raise ExploreError(
                    f"The series {self.name!r} has {len(values)} values of {part} for {len(self.x)} of x; "
                    "there must be as many."
                )


@dataclass(frozen=True)
class Mark:
    """Something to compare with: a line across at `y`, a line upwards at `x`, a point where both are given.

    to    the other end of a shaded range that begins at `x`
    kind  whose colour it has, as for `Series`

    Where a place is not finite nothing is drawn. Raises `ExploreError` for a range without a beginning.
    """

    label: str
    x: Any = None
    y: Any = None
    to: Any = None
    kind: str = "muted"

    def __post_init__(self) -> None:
        if self.x is None and self.to is not None:
            raise ExploreError(f"The mark {self.label!r} has an end and no beginning; give x, too.")
        if any(place is not None and _known(place) is None for place in (self.x, self.y, self.to)):
            for name in ("x", "y", "to"):
                object.__setattr__(self, name, None)


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart: two axes, series and marks. A series or a mark that is None is not there, or not yet.

    title   what is shown, in a few words
    chosen  the x that is looked at: a dotted line, and larger marks on the series that have a point there
    kind    "plain" or "residual" where the chart speaks of one network, which gives its title the colour
    share   of the width of a row that it has beside others
    note    a sentence below, such as what a triangle means
    says    a sentence for who can't see it

    Raises `ExploreError` for two series of one name and for an x that a logarithmic axis can't hold.
    """

    title: str
    x: Axis
    y: Axis
    series: Any = ()
    marks: Any = ()
    chosen: Any = None
    kind: str = ""
    share: float = 1.0
    note: Any = ""
    says: Any = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "chosen", _known(self.chosen))
        if _picked(self.series) or _picked(self.x):
            return
        series = [curve for curve in self.series if isinstance(curve, Series)]
        names = [curve.name for curve in series]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ExploreError(
                f"Two series of the chart {self.title!r} are called {twice!r}; each needs its own name."
            )
        for curve in series:
            if self.x.scale == "log" and not _picked(curve.x) and (curve.x <= 0).any():
                raise ExploreError(
                    f"x of the series {curve.name!r} goes down to {curve.x.min():g}; on a logarithmic axis "
                    "it must be above 0."
                )


def spread(values: np.ndarray, middle: Callable[..., np.ndarray] = np.nanmean) -> dict[str, Any]:
    """Return y, low and high of a series from values (n, seeds): their middle and range over the seeds.

    NaN is a seed that isn't there. A band that ended in a single seed would say that seeds agree there: it is
    NaN where there is one.
    """
    values = np.asarray(values, dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row without a seed is NaN, as it should be
        y, low, high = middle(values, axis=1), np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    alone = np.sum(~np.isnan(values), axis=1) < 2
    return {"y": y, "low": np.where(alone, np.nan, low), "high": np.where(alone, np.nan, high)}


def _picked(value: Any) -> bool:
    """Whether a page picks the value by itself, and so whether it is yet to be seen."""
    return hasattr(value, "field") and hasattr(value, "each")


def _known(place: Any) -> Any:
    """Return a place on an axis as a number, None where it is not finite, and what a page picks as it is."""
    if place is None or _picked(place):
        return place
    return float(place) if math.isfinite(place) else None


def _row(values: Any, what: str) -> np.ndarray:
    """Return values as float64 (n,)."""
    try:
        row = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ExploreError(f"{what[0].upper()}{what[1:]} is no row of numbers.") from None
    if row.ndim != 1:
        raise ExploreError(f"{what[0].upper()}{what[1:]} has shape {row.shape}; it must be a row of numbers.")
    return row


def decades(low: float, high: float, least: int = 2) -> tuple[float, float]:
    """Return whole powers of ten around two numbers above 0, at least so many apart."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    while last - first < least:
        first, last = (first - 1, last) if (last - first) % 2 else (first, last + 1)
    return 10.0**first, 10.0**last
