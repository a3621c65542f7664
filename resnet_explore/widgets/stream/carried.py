"""What a skip carries and what its branch adds, and how much of it is still there behind the block."""

from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Mark, Series
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.drawing import across, over
from resnet_explore.widgets.stream.jobs import Carried, Flow


def places(flow: Flow) -> range:
    """Return where something is carried: at the blocks."""
    return range(1, flow.blocks + 1)


def headline(flow: Flow, carried: Carried) -> Any:
    """Return both numbers of a block."""
    return over(
        places(flow), lambda k: captions.carried_headline(k, carried.ratio[k - 1], carried.cosine[k - 1])
    )


def charts(flow: Flow, carried: Carried) -> Charts:
    """Return how long the branch is beside the skip, which way it points, and what is left of the input."""
    x, at, blocks = across(flow, places(flow)), over(places(flow), float), np.array(places(flow))
    residual = flow.networks[-1]
    known = carried.ratio[np.isfinite(carried.ratio)]
    length = Chart(
        captions.RATIO,
        x,
        Axis("times as long", 0, 1.05 * max(1.0, *known)),
        (Series(residual.name, blocks, carried.ratio, residual.kind),),
        (Mark(captions.EQUAL, y=1),),
        chosen=at,
        kind=residual.kind,
    )
    way = Chart(
        captions.COSINE,
        x,
        Axis("cosine", -1, 1),
        (Series(residual.name, blocks, carried.cosine, residual.kind),),
        (Mark(captions.ACROSS, y=0),),
        chosen=at,
        kind=residual.kind,
    )
    kept = Chart(
        captions.KEPT,
        x,
        Axis("cosine", float(np.nanmin([0.0, *np.concatenate(carried.kept)])), 1),
        tuple(
            Series(network.name, blocks, one, network.kind)
            for network, one in zip(flow.networks[-len(carried.kept) :], carried.kept, strict=True)
        ),
        chosen=at,
        note=captions.kept_note(flow, carried),
    )
    return Charts("charts", (length, way, kept), chooses="block")
