"""How early could the answer be read? What probes find behind each block, in one photo and in all."""

from typing import Any

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Mark, Series, spread
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.drawing import across, answers, over, shares
from resnet_explore.widgets.stream.jobs import Flow, Reading


def places(flow: Flow) -> range:
    """Return behind what there are probes: the stem and the blocks."""
    return range(flow.blocks + 1)


def headline(flow: Flow, reading: Reading) -> Any:
    """Return what probes of both networks read behind each place."""
    plain, residual = (reading.accuracy[kind].mean(1) for kind in ("plain", "residual"))
    return over(places(flow), lambda k: captions.early_headline(k, plain[k], residual[k]))


def charts(flow: Flow, reading: Reading, said: Chart, target: int) -> Charts:
    """Return what probes get right, what they say to the photo, and what the networks' own heads say."""
    x, at, every = across(flow, places(flow)), over(places(flow), float), np.array(places(flow))
    seeds = reading.accuracy["residual"].shape[1]
    right = Chart(
        captions.READ,
        x,
        Axis("test images", 0, 100, unit="%"),
        tuple(
            Series(network.name, every, kind=network.kind, **_spread(reading.accuracy[network.kind]))
            for network in flow.networks
        ),
        (Mark(captions.CHANCE, y=100 / len(flow.classes)),),
        chosen=at,
        note=captions.seeds_note(seeds),
    )
    probes = Chart(
        captions.PROBED,
        x,
        Axis(f"“{flow.classes[target]}”", 0, 100, unit="%"),
        tuple(
            Series(network.name, every, 100 * shares(logits)[:, target], network.kind)
            for network, logits in zip(flow.networks, reading.logits, strict=True)
        ),
        chosen=at,
    )
    return Charts("charts", (right, probes, said), chooses="block")


def _spread(accuracy: np.ndarray) -> dict[str, Any]:
    if accuracy.shape[1] > 1:
        return spread(accuracy)
    return {"y": accuracy[:, 0]}


def probed(flow: Flow, reading: Reading) -> Any:
    """Return what the probes behind each place answer."""
    return answers(flow, places(flow), reading.logits, captions.probed_title, lambda _: "")
