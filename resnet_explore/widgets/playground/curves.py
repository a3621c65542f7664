"""The numbers of a race as they are drawn: few points, earlier races as ghosts, who is level with whom."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from resnet_explore.training.race import RaceCurve

SMOOTH = 5  # batches whose mean is drawn
_POINTS, _GHOST_POINTS = 120, 40

Line = tuple[np.ndarray, np.ndarray]
"""x and y of points."""


@dataclass(frozen=True, eq=False)
class Ghost:
    """Curves of a network of an earlier race, by few points."""

    name: str
    kind: str
    loss: Line
    error: Line


def kind_of(name: str) -> str:
    """Return "plain" or "residual", with which a network's name begins."""
    return name.partition("-")[0]


def loss_line(curve: "RaceCurve", points: int = _POINTS) -> Line:
    """Return steps and the mean loss of each step's batch and those shortly before."""
    loss = curve.loss.astype(float)
    if curve.broke_at is not None:
        loss = loss[: curve.broke_at]
    if not len(loss):
        return np.zeros(0), np.zeros(0)
    total = np.concatenate([[0.0], np.cumsum(loss)])
    ends = np.arange(1, len(loss) + 1)
    starts = np.maximum(0, ends - SMOOTH)
    return thinned((np.arange(len(loss)), (total[ends] - total[starts]) / (ends - starts)), points)


def error_line(curve: "RaceCurve", points: int = _POINTS) -> Line:
    """Return steps and the error of the held-out images."""
    return thinned((curve.held_out_steps, curve.held_out_error), points)


def thinned(line: Line, points: int) -> Line:
    """Return every second point, or third, so that few are left; the last one is always there."""
    x, y = line
    every = max(1, math.ceil(len(x) / points))
    chosen = np.arange(len(x) - 1, -1, -1)[::every][::-1] if every > 1 else np.arange(len(x))
    return np.asarray(x, float)[chosen], np.asarray(y, float)[chosen]


def ghosts_of(curves: "Mapping[str, RaceCurve]", number: int) -> tuple[Ghost, ...]:
    """Return the curves of a race that is over; `number` counts such races, so that each name is its own."""
    return tuple(
        Ghost(
            f"{name}, race {number}",
            kind_of(name),
            loss_line(curve, _GHOST_POINTS),
            error_line(curve, _GHOST_POINTS),
        )
        for name, curve in curves.items()
    )


def measured_at(curve: "RaceCurve", step: int) -> int:
    """Return the last step up to this one at which held-out images were looked at."""
    return int(curve.held_out_steps[_last_look(curve, step)])


def error_at(curve: "RaceCurve", step: int) -> float:
    """Return the last error of held-out images that was noted up to a step, in percent."""
    return float(curve.held_out_error[_last_look(curve, step)])


def _last_look(curve: "RaceCurve", step: int) -> int:
    return max(0, int(np.searchsorted(curve.held_out_steps, step, side="right")) - 1)


def loss_at(curve: "RaceCurve", step: int) -> float:
    """Return the mean loss of the last batches before a step; NaN before the first."""
    seen = curve.loss[max(0, step - SMOOTH) : step]
    return float(seen.mean()) if len(seen) else math.nan


def batch_error_at(curve: "RaceCurve", step: int) -> float:
    """Return the mean error of the last batches before a step, in percent; NaN before the first."""
    seen = curve.error[max(0, step - SMOOTH) : step]
    return float(seen.mean()) if len(seen) else math.nan


def gradients_at(curve: "RaceCurve", step: int) -> np.ndarray:
    """Return each layer's gradient norm in a step, or in the last one before it that was taken."""
    if not len(curve.gradients):
        return np.full(len(curve.layers), math.nan)
    return curve.gradients[min(step, len(curve.gradients) - 1)].astype(float)


def are_level(one: float, other: float, images: int) -> bool:
    """Whether two errors, in percent of so many images, differ by less than two standard errors.

    That of a difference of two shares p and q of n images each: sqrt((p (1 - p) + q (1 - q)) / n).
    """
    p, q = one / 100, other / 100
    return abs(p - q) <= 2 * math.sqrt((p * (1 - p) + q * (1 - q)) / images)


def places(errors: Mapping[str, float], images: int) -> dict[str, int]:
    """Return who is first, second, ... by error; who is level with the best of a place shares it."""
    found: dict[str, int] = {}
    leader, place = "", 0
    for count, name in enumerate(sorted(errors, key=lambda name: errors[name]), start=1):
        if not leader or not are_level(errors[leader], errors[name], images):
            leader, place = name, count
        found[name] = place
    return found


def round_end(
    steps: int, ends: Sequence[int] = (100, 150, 200, 300, 400, 600, 800, 1_000, 1_500, 2_000)
) -> int:
    """Return where the axis of steps ends, so that it rests for a while."""
    return next((end for end in ends if steps <= end), steps)
