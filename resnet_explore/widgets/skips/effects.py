"""What an edit does to gradients, heatmaps and feature maps: before beside after, plain above residual."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.heatmap_panel import Heatmaps, Step, step
from resnet_explore.widgets.core.view import Over
from resnet_explore.widgets.skips import captions
from resnet_explore.widgets.skips.inside import heatmap, over_blocks, panel
from resnet_explore.widgets.skips.jobs import BlockSum
from resnet_explore.widgets.skips.lab import OpenTwins
from resnet_explore.widgets.skips.state import SkipState

_BEFORE, _AFTER = "before", "after"


def gradient_charts(twins: OpenTwins, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> Charts:
    """Return the gradient of each layer's weights, before (faint) and after, a chart for each network."""
    known = np.concatenate([*before, *after])
    axis = Axis.around("gradient norm", known[np.isfinite(known) & (known > 0)], scale="log")
    charts = []
    for network, was, now in zip(twins.networks, before, after, strict=True):
        layers = np.arange(1, len(was) + 1)
        x = Axis("layer (1 sees the image)", 0.4, len(was) + 0.6, name="layer", whole=True)
        lines = (
            Series(_BEFORE, layers, was, network.kind, look="ghost"),
            Series(_AFTER, layers, now, network.kind),
        )
        gone = (now == 0).any()
        note = "Crosses are exact zeros: the loss does not depend on these layers any more." if gone else ""
        charts.append(Chart(network.name, x, axis, lines, kind=network.kind, note=note))
    return Charts("gradients", tuple(charts))


def gradient_headline(twins: OpenTwins, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> str:
    """Return how many times the first layer's gradient has grown in each network."""
    factors = [now[0] / was[0] if was[0] else float("nan") for was, now in zip(before, after, strict=True)]
    return captions.gradient_headline([n.name for n in twins.networks], factors)


Heats = Sequence[tuple[str, np.ndarray, float]]


def heat(twins: OpenTwins, before: Heats, after: Heats, picture: bytes, picture_key: str) -> Heatmaps:
    """Return heatmaps over the photo, each network's before beside its after."""
    maps = []
    for network, (name, was, _), (_, now, _) in zip(twins.networks, before, after, strict=True):
        for when, values in ((_BEFORE, was), (_AFTER, now)):
            maps.append(heatmap(values[None], 0, network.name, f"{when}, for {name}", network.kind))
    signs = captions.heat_signs(*after[-1][1].shape)
    shown = panel("heat", step(maps, "last block"), signs, columns=4)
    return replace(shown, picture=picture, picture_key=picture_key, opacity=0.7, unit="logit", crisp=False)


def heat_headline(twins: OpenTwins, before: Heats, after: Heats) -> str:
    """Return what became of each network's score for the class that it named before."""
    scores = [(name, was, now) for (name, _, was), (_, _, now) in zip(before, after, strict=True)]
    return captions.score_headline([network.name for network in twins.networks], scores)


def map_pictures(
    state: SkipState, twins: OpenTwins, before: Mapping[int, BlockSum], after: Mapping[int, BlockSum]
) -> Heatmaps:
    """Return one channel of each block's output, before and after."""

    def make(number: int, channel: int) -> Step:
        maps = []
        for k, network in enumerate(twins.networks):
            for when, sums in ((_BEFORE, before), (_AFTER, after)):
                output = sums[number].outputs[k]
                if output is not None:
                    maps.append(heatmap(output, channel, network.name, when, network.kind))
        return step(maps, f"block {number} channel {channel}")

    return panel("maps", over_blocks(state, after, make), captions.SIGNS, columns=4)


def map_headlines(twins: OpenTwins, before: Mapping[int, BlockSum], after: Mapping[int, BlockSum]) -> Over:
    """Return for each block how much of its output each network has kept."""
    names = [network.name for network in twins.networks]
    said = {}
    for number in after:
        pairs = zip(before[number].outputs, after[number].outputs, strict=True)
        kept = [float("nan") if was is None or now is None else _correlation(was, now) for was, now in pairs]
        said[number] = captions.kept_headline(f"Block {number}'s maps", names, kept)
    return Over("block", said)


def _correlation(was: np.ndarray, now: np.ndarray) -> float:
    a, b = was.ravel() - was.mean(), now.ravel() - now.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else float("nan")
