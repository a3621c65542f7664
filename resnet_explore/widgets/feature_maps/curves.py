"""What becomes of activations on their way through a network, as charts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series
from resnet_explore.widgets.core.view import Over
from resnet_explore.widgets.feature_maps import captions
from resnet_explore.widgets.feature_maps.scene import Scene

if TYPE_CHECKING:
    from resnet_explore.analysis.activations.feature_maps import FeatureMaps

Curve = tuple[np.ndarray, np.ndarray]


def curves(scene: Scene, view: str) -> tuple[Chart, ...]:
    """Return the charts that belong to a view, a point for each block and a mark at the one that is shown."""
    measured = _ratios(scene) if view == "parts" else _statistics(scene)
    return tuple(_chart(scene, title, label, lines) for title, label, lines in measured)


def _statistics(scene: Scene) -> Iterator[tuple[str, str, list[Curve]]]:
    """Yield title, label and a curve for each network: mean, deviation, zeros, responses after norms."""
    x = np.arange(1, len(scene.steps) + 1)
    layers = list(zip(*scene.steps, strict=True))
    overall = [np.array([layer.here.overall for layer in each]) for each in layers]
    for k, (title, label) in enumerate(captions.STATISTICS):
        yield title, label, [(x, (100 if k == 2 else 1) * values[:, k]) for values in overall]
    yield *captions.RESPONSES, [_responses(maps, len(x)) for maps in scene.measured]


def _ratios(scene: Scene) -> Iterator[tuple[str, str, list[Curve]]]:
    """Yield title, label and, for each network with skips, how large a branch is against its skip."""
    if scene.streaming is None:
        return
    x = np.arange(1, len(scene.steps) + 1)
    layers = zip(*scene.steps, strict=True)
    ratios = [[np.nan if one.ratio is None else one.ratio for one in each] for each in layers]
    yield *captions.RATIO, [(x, np.array(values, float)) for values in ratios]


def _responses(measured: "FeatureMaps", blocks: int) -> Curve:
    """Return where on the axis of blocks each norm lies, and the deviation behind it."""
    names = [name for name in measured.responses if any(name.startswith(f"{block}.") for block in measured)]
    if not names:  # layers that are no blocks
        values = np.array(list(measured.responses.values()))
        return np.linspace(1, blocks, len(values)), values
    x: list[float] = []
    for k, block in enumerate(measured):
        inside = sum(name.startswith(f"{block}.") for name in names)
        x += [(k + (i + 1) / inside) * blocks / len(measured) for i in range(inside)]
    return np.array(x), np.array([measured.responses[name] for name in names])


def _chart(scene: Scene, title: str, label: str, lines: Sequence[Curve]) -> Chart:
    blocks = len(scene.steps)
    shown = [(n, *line) for n, line in zip(scene.networks, lines, strict=True) if np.isfinite(line[1]).any()]
    values = np.concatenate([np.zeros(0), *(y[np.isfinite(y)] for _, _, y in shown)])
    far = values.size and values.min() > 0 and values.max() / values.min() > 100
    return Chart(
        title,
        Axis("block", 0.4, blocks + 0.4, whole=True),
        Axis.around(label, values, scale="log" if far else "linear"),
        tuple(Series(network.name, x, y, network.kind) for network, x, y in shown),
        chosen=Over("block", {k: k for k in range(1, blocks + 1)}),
        says=captions.curve([(network.name, y[np.isfinite(y)]) for network, _, y in shown]),
    )
