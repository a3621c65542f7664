"""The gradient explorer's numbers as charts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.gradients.profiles import OVERFLOW
from resnet_explore.analysis.gradients.slope import LEVEL
from resnet_explore.figures.chart import Axis, Chart, Mark, Series, spread

if TYPE_CHECKING:
    from resnet_explore.analysis.gradients.claims.curve import Curves
    from resnet_explore.analysis.gradients.flow import GradientFlow
    from resnet_explore.analysis.gradients.jacobian import JacobianSpectra
    from resnet_explore.widgets.gradient_flow.claims import Claim

UNDERFLOW = 1e-14  # a norm below this is drawn beyond the axis
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TITLES = {"plain": "Plain", "residual": "Residual"}

Norms = Mapping[str, np.ndarray]  # {kind or name: (layers,)}


def title_of(kind: str) -> str:
    """Return "Plain" or "Residual", and what an own network is called as it is."""
    return TITLES.get(kind, kind)


# --- by layer -----------------------------------------------------------------------------------------------


def norm_axis(label: str, norms: Sequence[np.ndarray]) -> Axis:
    """Return one logarithmic axis for norms of all positions; what has overflowed or died out lies beyond."""
    values = np.concatenate([np.zeros(0), *norms])
    values = values[np.isfinite(values) & (values >= UNDERFLOW) & (values <= OVERFLOW)]
    return Axis.around(label, values if len(values) else [1e-3, 1e3], scale="log")


def profile_chart(
    title: str, norms: Norms, axis: Axis, ends: Sequence[Sequence[int]] = (), guides: Norms | None = None
) -> Chart:
    """Draw norms against layers, numbered from the image on; crosses are exact zeros.

    ends    layers, from 1, of the first part and of the last one that are compared: shaded
    guides  norms that are drawn faintly behind, to compare with
    """
    layers = max((len(values) for values in norms.values()), default=2)
    behind = [_profile(kind, values, look="ghost") for kind, values in (guides or {}).items()]
    series = [*behind, *(_profile(kind, values) for kind, values in norms.items())]
    shaded = [
        Mark(label, x=end[0] - 0.5, to=end[-1] + 0.5)
        for label, end in zip(("first", "last"), ends, strict=False)
    ]
    x = Axis("layer (1 sees the image)", 0.4, layers + 0.6, name="layer", whole=True)
    return Chart(title, x, axis, series, shaded, note=_beyond(norms, axis))


def _profile(kind: str, values: np.ndarray, look: Any = "full") -> Series:
    known = np.where(np.isfinite(values), values, np.nan)
    shape: Any = "none" if look == "ghost" else "kind"
    return Series(title_of(kind), np.arange(1, len(values) + 1), known, kind=kind, look=look, marker=shape)


def _beyond(norms: Norms, axis: Axis) -> str:
    """Return what the marks mean that stand for values off the axis, where there are any."""
    values = np.concatenate([np.zeros(0), *norms.values()])
    said = []
    if ((values > axis.high) & np.isfinite(values) | (values > 0) & (values < axis.low)).any():
        said.append("triangles: beyond the axis")
    if (values == 0).any():
        said.append("crosses: exactly 0")
    return "; ".join(said).capitalize() + "." if said else ""


def waiting_chart(axis: Axis, layers: int) -> Chart:
    """Return the empty chart of a position that is yet to be measured."""
    x = Axis("layer (1 sees the image)", 0.4, layers + 0.6, name="layer", whole=True)
    return Chart("Being measured ...", x, axis)


def ratio_chart(
    title: str,
    x: Axis,
    at: Sequence[float] | np.ndarray,
    ratios: Mapping[str, Sequence[float]],
    chosen: Any,
    every: Sequence[float],
) -> Chart:
    """Draw the first part's norm over the last's against what a slider moves; the band is called level.

    at      the positions on x
    ratios  {kind or name: a ratio for each, nan where there is none}
    every   ratios that the axis is to hold
    """
    known = {kind: np.array(values, float) for kind, values in ratios.items()}
    inside = np.clip([value for value in every if value > 0], UNDERFLOW, OVERFLOW)
    y = Axis.around("ratio", [1 / LEVEL, LEVEL], inside, scale="log")
    count = len(at)
    level = Series(
        "level", at, np.full(count, np.nan), low=np.full(count, 1 / LEVEL), high=np.full(count, LEVEL),
        kind="muted", line="none", marker="none",
    )  # fmt: skip
    lines = [
        Series(title_of(kind), at, np.where(np.isfinite(v) & (v > 0), v, np.nan), kind=kind)
        for kind, v in known.items()
    ]
    return Chart(title, x, y, [*lines, level], chosen=chosen)


# --- Jacobians ----------------------------------------------------------------------------------------------


def spectra_axis(found: Sequence[Mapping[str, "JacobianSpectra"]]) -> Axis:
    """Return one axis for the singular values of all depths."""
    every = [v for one in found for s in one.values() for v in (s.top.ravel(), s.quantile(QUANTILES[0]))]
    inside = np.clip(np.concatenate([np.ones(1), *every]), 1e-3, 1e4)
    return Axis.around("stretches a small change (times)", inside, scale="log")


def spectra_chart(kind: str, spectra: "JacobianSpectra", axis: Axis) -> Chart:
    """Draw where the singular values of each block lie: median, half of them, nearly all, the largest."""
    x = np.arange(1, len(spectra.names) + 1)
    low, inner_low, middle, inner_high, high = (spectra.quantile(q) for q in QUANTILES)
    empty = np.full(len(x), np.nan)
    series = [
        Series("90 %", x, empty, low=low, high=high, kind=kind, line="none", marker="none"),
        Series("half", x, empty, low=inner_low, high=inner_high, kind=kind, line="none", marker="none"),
        Series("median", x, middle, kind=kind, line="dotted", marker="none"),
        Series("mean square", x, spectra.back, kind=kind, line="dashed", marker="none"),
        Series("largest", x, spectra.top[:, 0], kind=kind, line="none", marker="up"),
    ]
    blocks = Axis("block", 0.5, len(x) + 0.5, whole=True)
    return Chart(title_of(kind), blocks, axis, series, [Mark("", y=1)], kind=kind)


def way_back(spectra: "JacobianSpectra", flow: "GradientFlow") -> dict[str, np.ndarray]:
    """Return three gradients of each block's output over that of the last block's, (blocks,).

    measured  the gradient of the activations; square, median  what the blocks behind make of it if each
    multiplies it by the root mean square of its singular values, or by their median
    """
    norms = flow.part_norms("activation_gradient_norms")
    found = {"measured": norms / norms[-1]}
    for name, each in (("square", spectra.back), ("median", spectra.quantile(0.5))):
        found[name] = np.r_[np.cumprod(each[:0:-1])[::-1], 1.0]
    return found


def way_back_chart(ways: Mapping[str, Mapping[str, np.ndarray]], axis: Axis) -> Chart:
    """Draw, for both twins, what is measured and what the two kinds of mean foretell."""
    looks: tuple[tuple[str, Any, Any, str], ...] = (
        ("measured", "solid", "kind", ""),
        ("square", "dashed", "none", ", by mean squares"),
        ("median", "dotted", "none", ", by medians"),
    )
    series = [
        Series(
            title_of(kind) + words,
            np.arange(1, len(way[name]) + 1),
            way[name],
            kind=kind,
            line=line,
            marker=mark,
        )
        for kind, way in ways.items()
        for name, line, mark, words in looks
    ]
    blocks = max(len(way["measured"]) for way in ways.values())
    x = Axis("block", 0.5, blocks + 0.5, whole=True)
    return Chart("What comes back of a gradient", x, axis, series)


def way_back_axis(ways: Sequence[Mapping[str, Mapping[str, np.ndarray]]]) -> Axis:
    """Return one axis for all depths; medians go down too far for the rest to be seen, so they leave it."""
    values = [v for one in ways for way in one.values() for v in (way["measured"], way["square"])]
    return Axis.around(
        "gradient over that of the last block",
        [1e-4],
        np.clip(np.concatenate(values), 1e-4, 1e6),
        scale="log",
    )


# --- claims -------------------------------------------------------------------------------------------------


def claim_chart(curves: "Curves", claim: "Claim") -> Chart:
    """Draw what was measured, the median over seeds with their range, and the paper's formula dashed.

    A curve whose seeds are not all measured yet is undecided: its marks are open.
    """
    series: list[Series] = []
    for name, (x, y) in curves.measured.items():
        kind = next((kind for kind in TITLES if name.startswith(kind)), name)
        second = any(one.kind == kind for one in series)
        shown = {"y": np.median(y, axis=0), "low": None, "high": None} if len(y) < 2 else _range(y)
        series.append(
            Series(
                name, x, kind=kind, marker="diamond" if second else "kind",
                look="full" if len(y) >= claim.seeds else "open", **shown,
            )
        )  # fmt: skip
    dashes: tuple[Any, ...] = ("dashed", "dotted")
    for i, (name, (_, x, y)) in enumerate(curves.formulas.items()):
        series.append(Series(name, x, y, kind="ink", line=dashes[i % 2], marker="none"))
    return Chart("", claim.x(curves), claim.y(curves), series)


def _range(y: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore"):  # between infinities, where a network has blown up
        return spread(y.T, np.nanmedian)
