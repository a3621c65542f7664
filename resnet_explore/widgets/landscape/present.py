"""From the state of the landscape explorer to its page."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series, spread
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.surface_panel import Surface, Surfaces
from resnet_explore.widgets.core.view import (
    Choice,
    Column,
    Menu,
    Now,
    Over,
    Part,
    Prose,
    Slider,
    Table,
    Tabs,
    View,
)
from resnet_explore.widgets.landscape import captions
from resnet_explore.widgets.landscape.planes import RANDOM, TRAINING, Planes, plane_key
from resnet_explore.widgets.landscape.state import LandscapeState

if TYPE_CHECKING:
    from resnet_explore.analysis.landscape.recorded import Sharpness

_HIGHEST = 100.0  # nats, at which heights are cut: answers there are wrong and sure of it
_LOWEST = 1e-4
_ENDS = tuple(float(f"{factor}e{power}") for power in range(-4, 4) for factor in (1, 2, 5))
_NO_LOSS = (0.1, 10.0)  # the scale where no loss is a number
_NUMBERS = "numbers"
_TWINS = ("plain", "residual")


def present(
    state: LandscapeState,
    records: Sequence[Choice],
    planes: Planes | None,
    offered: Sequence[str],
    modes: Sequence[str],
) -> View:
    """Return the page.

    records  the data that can be chosen
    planes   what is known, None as long as there is nothing
    offered  the planes that can be chosen
    modes    the modes of batch norm that can be chosen
    """
    frame: dict[str, Any] = {
        "tabs": _tabs(planes is not None and bool(planes.sharpness)),
        "ask": _ask(state, records, offered, modes),
        "question": _question(state, planes),
        "glossary": captions.GLOSSARY,
    }
    if planes is None:
        return View(panels=None, waiting=captions.WAITING, **frame)
    return (_numbers if state.view == _NUMBERS else _surfaces)(state, planes, frame)


def depths_of(state: LandscapeState, planes: Planes) -> tuple[int, ...]:
    """Return the depths that can be chosen in a view."""
    plane = RANDOM[0] if state.view == _NUMBERS else state.plane
    return planes.depths(plane_key(plane, state.mode))


def _tabs(sharp: bool) -> Tabs:
    return Tabs(
        "view",
        (
            Choice("surface", "Surface", "Height is the loss; drag to turn"),
            Choice("contours", "Contours", "The same from above, with lines of equal loss"),
            Choice(
                _NUMBERS,
                "Numbers",
                "How sharply the loss bends, at every depth",
                "" if sharp else captions.NO_NUMBERS,
            ),
        ),
    )


def _ask(
    state: LandscapeState, records: Sequence[Choice], offered: Sequence[str], modes: Sequence[str]
) -> list[Part]:
    ask: list[Part] = [Menu("data", "Data", records)] if len(records) > 1 else []
    if state.view != _NUMBERS:
        planes = [Choice(plane, captions.plane_name(plane), captions.plane_tip(plane)) for plane in offered]
        ask.append(Menu("plane", "Plane", planes, captions.PLANE_TIP))
    if len(modes) > 1 and (state.view == _NUMBERS or state.plane != TRAINING):
        choices = [Choice(mode, *captions.MODES[mode]) for mode in modes]
        ask.append(Menu("mode", "Batch norm", choices, captions.MODE_TIP))
    return ask


def _depth_slider(depths: Sequence[int]) -> Slider:
    stops = tuple(Choice(depth, str(depth)) for depth in depths)
    return Slider("depth", "Depth", stops, play=True, tip="Layers with weights")


def _over(depths: Sequence[int], make: Callable[[int], Any]) -> Any:
    """Return an entry for each depth; the one that there is where networks have no choice of it."""
    return make(depths[0]) if len(depths) == 1 else Over("depth", {depth: make(depth) for depth in depths})


# --- surfaces and maps --------------------------------------------------------------------------------------


def _surfaces(state: LandscapeState, planes: Planes, frame: dict[str, Any]) -> View:
    key, depths = plane_key(state.plane, state.mode), depths_of(state, planes)
    low, high = limits(planes, key)
    walks = state.plane == TRAINING
    panel = Surfaces(
        "surfaces",
        _over(depths, lambda depth: _row(planes, depth, key)),
        low,
        high,
        levels(low, high),
        "contours" if state.view == "contours" else "surface",
        cut=captions.cut(high) if any_beyond(planes, key, high) else "",
        middle=captions.MIDDLE,
        way=captions.WAY if walks else "",
        dent=captions.DENT,
        step=Now("step"),
    )
    sliders = [_depth_slider(depths)] if len(depths) > 1 else []
    if walks:
        stops = tuple(Choice(k, name) for k, name in enumerate(planes.snapshots))
        sliders.append(Slider("step", "Update", stops, play=True, tip=captions.STEP_TIP))
    return View(
        headline=_over(depths, lambda depth: captions.headline(planes, depth, key)),
        why=captions.WHY_TRAINING if walks else captions.WHY,
        panels=((panel,),),
        sliders=sliders,
        below=((Prose("reach", _over(depths, lambda depth: _reach(state, planes, depth, key))),),),
        conditions=_over(depths, lambda depth: captions.conditions(planes, depth, key, (low, high))),
        **frame,
    )


def _reach(state: LandscapeState, planes: Planes, depth: int, key: str) -> tuple[str, ...]:
    """Return sentences on the plane and, where there are several random ones, on all of them."""
    said = captions.reach(planes, depth, key)
    several = state.plane != TRAINING and len(planes.random(_TWINS[-1], depth, state.mode)) > 1
    return (said, captions.spread(planes, depth, state.mode)) if several else (said,)


def _row(planes: Planes, depth: int, key: str) -> tuple[Surface, ...]:
    return tuple(
        Surface(
            planes.names[kind].format(depth),
            kind,
            found.x.astype(np.float32),
            found.y.astype(np.float32),
            found.loss.astype(np.float32),
            found.error.astype(np.float32),
            None if found.trajectory is None else found.trajectory.astype(np.float32),
            found.minima_at[:, ::-1].astype(np.int32),
            captions.alt(found),
        )
        for kind, found in planes.of(depth, key)
    )


def limits(planes: Planes, key: str) -> tuple[float, float]:
    """Return the ends of the scale that all networks share in a plane: 1, 2 or 5 times powers of ten.

    What is too high for every scale is cut, as is what is no number.
    """
    every = [found.loss for (_, _, name), found in planes.landscapes.items() if name == key]
    known = np.concatenate([loss[np.isfinite(loss)] for loss in every])
    if not known.size:
        return _NO_LOSS
    lowest = min(max(float(known.min()), _LOWEST), _ENDS[-1] / 10)
    highest = min(float(known.max()), _HIGHEST)
    low = max(end for end in _ENDS if end <= lowest * (1 + 1e-9))
    return low, min(end for end in _ENDS if end >= max(highest, 10 * low) * (1 - 1e-9))


def any_beyond(planes: Planes, key: str, high: float) -> bool:
    """Whether some point of a plane, at any depth, is cut."""
    every = (found.loss for (_, _, name), found in planes.landscapes.items() if name == key)
    return any(not (loss <= high).all() for loss in every)


def levels(low: float, high: float) -> tuple[float, ...]:
    """Return where level lines lie: 1 and 3 times each power of ten."""
    every = (float(f"{factor}e{power}") for power in range(-4, 4) for factor in (1, 3))
    return tuple(level for level in every if low < level < high)


# --- numbers ------------------------------------------------------------------------------------------------


def _numbers(state: LandscapeState, planes: Planes, frame: dict[str, Any]) -> View:
    depths = depths_of(state, planes)
    axis = Axis.around
    charts = (
        _chart(
            planes, depths, state.mode, captions.SHARPNESS,
            lambda row: abs(row.normalised), partial(axis, "eigenvalue", scale="log"),
        ),
        _chart(
            planes, depths, state.mode, captions.LOW_POINTS,
            lambda row: 100 * row.low, partial(axis, "points", unit="%"),
        ),
    )  # fmt: skip
    return View(
        headline=_over(depths, lambda depth: captions.sharpness(planes, depth, state.mode)),
        why=captions.WHY_SHARP,
        panels=((Charts("sharpness", charts, chooses="depth"),),),
        sliders=[_depth_slider(depths)],
        below=((_over(depths, lambda depth: _table(planes, depth, state.mode)),),),
        conditions=captions.number_conditions(planes, state.mode),
        **frame,
    )


def _chart(
    planes: Planes,
    depths: Sequence[int],
    mode: str,
    title: str,
    value: Callable[["Sharpness"], float],
    axis: Callable[..., Axis],
) -> Chart:
    """Return a chart of what was measured of every training, over depth."""
    every = {
        kind: _rectangle([[value(row) for row in planes.sharp(kind, d, mode)] for d in depths])
        for kind in _TWINS
    }
    series = [
        Series(kind.capitalize(), depths, kind=kind, **spread(values, np.nanmedian))
        for kind, values in every.items()
    ]
    return Chart(title, _depth_axis(depths), axis(*every.values()), series, chosen=_over(depths, float))


def _rectangle(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Return rows as float64 (rows, longest), NaN where one has fewer values; at least one column."""
    filled = np.full((len(rows), max(1, *map(len, rows))), np.nan)
    for line, row in zip(filled, rows, strict=True):
        line[: len(row)] = row
    return filled


def _depth_axis(depths: Sequence[int]) -> Axis:
    room = 0.04 * (depths[-1] - depths[0])
    return Axis("depth", depths[0] - room, depths[-1] + room, ticks=tuple(depths), whole=True)


def _table(planes: Planes, depth: int, mode: str) -> Table:
    """Return a row for each training, so that the spread over seeds is seen."""
    columns = [
        Column("network"),
        Column("seed", 0),
        Column("loss", 3),
        Column("eigenvalue", 2, -1, captions.EIGENVALUE_TIP),
        Column("± error", 5, 1, captions.ERROR_TIP),
        Column("least eigenvalue", 2, 1, captions.LEAST_TIP),
        Column("of the plain Hessian", 2, -1, captions.RAW_TIP),
        Column("± its error", 5, 1, captions.ERROR_TIP),
        Column("loss at most 1 (%)", 1, -1, captions.LOW_TIP),
    ]
    rows = [
        (
            planes.names[kind].format(depth),
            row.seed,
            row.loss,
            row.normalised,
            row.normalised_error,
            row.lowest,
            row.eigenvalue,
            row.eigenvalue_error,
            100 * row.low,
        )
        for kind in _TWINS
        for row in planes.sharp(kind, depth, mode)
    ]
    return Table("numbers", columns, rows, "sort")


# --- the question -------------------------------------------------------------------------------------------


def _question(state: LandscapeState, planes: Planes | None) -> Over | None:
    """Return what is asked about the plane that comes first; of no other, so at one depth."""
    usual = LandscapeState()
    asked = replace(usual, depth=state.depth, step=state.step, sort=state.sort)  # which the page moves alone
    if state != asked or planes is None:
        return None
    twins = planes.of(usual.depth, plane_key(state.plane, state.mode))
    plain, residual = (found for _, found in twins)
    ratio = captions.climb(residual) / captions.climb(plain)
    right = "same" if 1 / captions.SAME <= ratio <= captions.SAME else "residual" if ratio > 1 else "plain"
    question = Question(
        f"landscape/steeper/{state.data}",
        captions.steeper_question(usual.depth),
        tuple(Choice(*pair) for pair in captions.STEEPER.items()),
        right,
        captions.STEEPER_RULE,
        captions.steeper_told(plain, residual),
        captions.STEEPER_WHY,
        captions.STEEPER_REPLIES if right == "residual" else {},
    )
    return Over("depth", {usual.depth: question})
