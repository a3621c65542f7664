"""What a block had added, beside what really changes without it."""

from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.drawing import across, answers, over, shares
from resnet_explore.widgets.stream.jobs import Flow, Losses

_REACH = 2  # times the largest logit; a loss beyond is a triangle on the chart's edge


def places(flow: Flow) -> range:
    """Return where something can be lost: at the blocks."""
    return range(1, flow.blocks + 1)


def ratio(flow: Flow, losses: Losses, target: int) -> float:
    """Return how many times as much blocks change by their loss as they had added, in the mean of sizes."""
    lost = losses.lost(-1)[1:, target]
    can_go = np.isfinite(lost)
    if not can_go.any():
        return float("nan")
    added = np.abs(flow.added[1:-1, target][can_go]).mean()
    return float(np.abs(lost[can_go]).mean() / added) if added else float("nan")


def headline(flow: Flow, losses: Losses, target: int) -> str:
    """Return whether what is added and what is lost are alike, over all blocks."""
    any_goes = bool(np.isfinite(losses.lost(-1)[1:, target]).any())
    return captions.loss_headline(ratio(flow, losses, target), flow.classes[target], any_goes)


def charts(flow: Flow, losses: Losses, target: int) -> Charts:
    """Return added beside lost, the losses of both networks, and the answer without each block."""
    x, at = across(flow, places(flow)), over(places(flow), float)
    blocks, label = np.array(places(flow)), flow.classes[target]
    kind = flow.networks[-1].kind
    lost = [losses.lost(k)[1:, target] for k in range(len(losses.without))]
    reach = _REACH * max(np.nanmax(np.abs(lost[-1])), *(np.abs(whole[target]) for whole in losses.whole))
    networks = flow.networks[-len(lost) :]
    both = Chart(
        captions.LOST,
        x,
        Axis.around("logit", *(np.clip(one, -reach, reach) for one in lost)),
        tuple(Series(n.name, blocks, one, n.kind) for n, one in zip(networks, lost, strict=True)),
        chosen=at,
        note=captions.stays_note(flow, losses),
    )
    added = flow.added[1:-1, target]
    beside = Chart(
        captions.ADDED_AND_LOST,
        x,
        Axis.around("logit", added, lost[-1]),
        (
            Series(captions.IT_ADDED, blocks, added, kind, line="bars"),
            Series(captions.ITS_LOSS, blocks, lost[-1], "ink", line="none", marker="diamond"),
        ),
        chosen=at,
        kind=kind,
        note=over(places(flow), lambda k: captions.two_numbers(k, added[k - 1], lost[-1][k - 1])),
        says=captions.in_words(flow, target),
    )
    said = tuple(
        Series(n.name, blocks, 100 * shares(one)[1:, target], n.kind)
        for n, one in zip(networks, losses.without, strict=True)
    )
    left = Chart(captions.LEFT, x, Axis(f"“{label}”", 0, 100, unit="%"), said, chosen=at)
    return Charts("charts", (beside, both, left), chooses="block")


def without(flow: Flow, losses: Losses) -> Any:
    """Return what is answered without the block."""
    return answers(
        flow,
        places(flow),
        losses.without,
        captions.without_title,
        lambda place: captions.without_note(flow, losses, place),
    )
