"""The charts of the degradation explorer, made of runs and of what they noted of their layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Line, Mark, Marker, Series, spread
from resnet_explore.training.plan import KINDS
from resnet_explore.widgets.catalog.layers import OfDepth
from resnet_explore.widgets.core.view import Over
from resnet_explore.widgets.degradation.runs import Runs

_TOPS = (5, 10, 25, 50, 100)  # where the axis of errors may end, in percent
_LINEAR_UP_TO = 20  # responses that reach further are drawn on a logarithmic axis


# --- errors -------------------------------------------------------------------------------------------------


def error_charts(runs: Runs, ghosts: Runs | None, going: bool) -> tuple[Any, ...]:
    """Return the error against depth, and the learning curves of the depth that is chosen, plain first.

    ghosts  recorded runs of the same recipe that stand faintly behind
    going   whether runs are still trained: then axes don't move under their feet
    """
    top = 100.0 if going or runs.unfinished else _top(runs, ghosts)
    return (
        _overview(runs, ghosts, going, top),
        *(_curves_by_depth(runs, ghosts, kind, top) for kind in KINDS),
    )


def _top(runs: Runs, ghosts: Runs | None) -> float:
    largest = np.nanmax([runs.largest_error(), ghosts.largest_error() if ghosts else np.nan, 0.0])
    return next((top for top in _TOPS if top >= largest), 100)


def _percent(label: str, top: float) -> Axis:
    return Axis(label, -0.03 * top, 1.03 * top, unit="%")  # a line at 0 is seen, too


def _overview(runs: Runs, ghosts: Runs | None, going: bool, top: float) -> Chart:
    depths = runs.depths
    series = [Series(k.capitalize(), depths, kind=k, **_over_seeds(runs.final(k))) for k in KINDS]
    for kind in KINDS:
        points = [row for row in runs.unfinished if row["kind"] == kind]
        if points or going:
            x, y = [row["depth"] for row in points], [row["train_error"] for row in points]
            series.append(Series(f"{kind}, not finished", x, y, kind=kind, line="none", look="open"))
    if ghosts:
        for kind in KINDS:
            means = spread(ghosts.final(kind))["y"]
            series.append(Series(f"{kind}, recorded", ghosts.depths, means, kind=kind, look="ghost"))
    every = sorted({*depths, *(ghosts.depths if ghosts else ())})
    return Chart(
        "Training error of all depths" if len(depths) > 1 else "Training error",
        Axis(
            "depth (layers with weights)", every[0] * 0.9, every[-1] * 1.1, "log", name="depth", ticks=every
        ),
        _percent("training error", top),
        series,
        chosen=Over("depth", {depth: depth for depth in depths}),
        share=1.4,
    )


def _curves_by_depth(runs: Runs, ghosts: Runs | None, kind: str, top: float) -> Over:
    return Over("depth", {depth: _curves(runs, ghosts, kind, depth, top) for depth in runs.depths})


def _curves(runs: Runs, ghosts: Runs | None, kind: str, depth: int, top: float) -> Chart:
    epochs = np.arange(1, runs.epochs + 1)
    mark: Marker = "kind" if runs.epochs_done(kind, depth) == 1 else "none"  # a point alone has no line
    lines: tuple[tuple[str, str, Line], ...] = (("training", "train", "solid"), ("test", "test", "dashed"))
    series = [
        Series(name, epochs, kind=kind, line=line, marker=mark, **_over_seeds(runs.curve(kind, depth, split)))
        for name, split, line in lines
    ]
    if ghosts is not None:
        means = spread(ghosts.curve(kind, depth))["y"]
        series.append(Series("training, recorded", epochs, means, kind=kind, look="ghost"))
    x = Axis("epoch", 0.7, runs.epochs + 0.3, whole=True)
    return Chart(f"{kind.capitalize()}-{depth}", x, _percent("error", top), series, kind=kind)


def _over_seeds(values: np.ndarray) -> dict[str, Any]:
    """Return the middle and the band of a series; no band where nothing has several seeds."""
    found = spread(values)
    return found if np.isfinite(found["low"]).any() else {"y": found["y"]}


# --- layers -------------------------------------------------------------------------------------------------


def gradient_chart(layers: OfDepth, stops: Mapping[int, int]) -> Chart:
    """Return a depth's gradient norms layer by layer; `stops` maps the slider's values to steps."""
    norms = {kind: _drawable(layers.values["gradient_norm", kind]) for kind in KINDS if kind in layers.seeds}
    count = max(values.shape[1] for values in norms.values())
    marks = [
        Mark(label, x=part[0] + 0.5, to=part[-1] + 1.5)
        for label, part in zip(("first block", "last block"), layers.alike.ends, strict=False)
    ]
    return Chart(
        "",
        _layer_axis(count, "layer (1 sees the image, the last gives the classes)", "layer"),
        Axis.around("gradient norm of the weights", *norms.values(), scale="log"),
        _over_steps(norms, layers.steps, stops, "gradient_step", geometric),
        marks if layers.alike.noun == "block" else (),
    )


def response_charts(layers: OfDepth, stops: Mapping[int, int]) -> tuple[Chart, Chart]:
    """Return a depth's responses layer by layer, and each network's sorted, the largest first (Fig. 7)."""
    found = {
        kind: _drawable(layers.values["response_std", kind])[:, :-1] for kind in KINDS if kind in layers.seeds
    }
    ranked = {kind: -np.sort(-values, axis=1) for kind, values in found.items()}
    count = max(values.shape[1] for values in found.values())
    largest = max((float(np.nanmax(v)) for v in found.values() if np.isfinite(v).any()), default=1.0)
    log = largest > _LINEAR_UP_TO
    label = "standard deviation of the response"
    y = Axis.around(label, *found.values(), scale="log") if log else Axis(label, 0, 1.05 * largest)
    middle = geometric if log else np.nanmean
    charts = (
        ("Layer by layer", _layer_axis(count, "convolution (1 sees the image)", "convolution"), found),
        ("Sorted", _layer_axis(count, "rank of the layer (1 has the largest)", "rank"), ranked),
    )
    first, second = (
        Chart(title, x, y, _over_steps(values, layers.steps, stops, "response_step", middle))
        for title, x, values in charts
    )
    return first, second


def geometric(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the geometric mean without NaN; 0 where one of the values is."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(np.nanmean(np.log(values), axis=axis)))


def _drawable(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _layer_axis(count: int, label: str, name: str) -> Axis:
    return Axis(label, max(0.4, 1 - 0.02 * count), count * 1.02 + 0.2, name=name, whole=True)


def _over_steps(
    by_kind: dict[str, np.ndarray], steps: Sequence[int], stops: Mapping[int, int], field: str, middle: Any
) -> list[Series]:
    """Return a line a kind that follows the slider over steps; values are (steps, layers, seeds)."""
    series = []
    for kind, values in by_kind.items():
        at = {step: spread(values[k], middle) for k, step in enumerate(steps)}
        none = dict.fromkeys(("y", "low", "high"), np.full(values.shape[1], np.nan))
        lines = {part: Over(field, {v: at.get(s, none)[part] for v, s in stops.items()}) for part in none}
        x = np.arange(1, values.shape[1] + 1)
        series.append(Series(kind.capitalize(), x, lines["y"], kind, lines["low"], lines["high"]))
    return series


def first_over_last(layers: OfDepth, kind: str, step: int) -> float:
    """Return the first block's gradient norm over the last's, geometric mean over seeds; NaN for none."""
    if step not in layers.steps or kind not in layers.seeds or not layers.alike.ends:
        return np.nan
    norms = _drawable(layers.values["gradient_norm", kind][layers.steps.index(step)])
    norms = norms[:, np.isfinite(norms).any(axis=0)]  # a seed may not have come so far
    parts = layers.alike.norms(norms)
    if not parts.size or not parts[-1].all():
        return np.nan
    return float(geometric((parts[0] / parts[-1])[None], axis=1)[0])


def mean_responses(layers: OfDepth, step: int) -> dict[str, np.ndarray]:
    """Return each kind's responses at a step, (layers,), their means over seeds; NaN for none."""
    found = {}
    for kind in layers.seeds:
        values = _drawable(layers.values["response_std", kind])[:, :-1]
        at = values[layers.steps.index(step)] if step in layers.steps else np.full_like(values[0], np.nan)
        found[kind] = spread(at)["y"]
    return found
