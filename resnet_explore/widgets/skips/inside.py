"""Inside a block: x, F(x) and x + F(x) as three pictures, and what the plain twin's block gives."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_explore.widgets.core.heatmap_panel import Heatmap, Heatmaps, Step, step
from resnet_explore.widgets.core.view import Choice, Over, Slider
from resnet_explore.widgets.skips import captions
from resnet_explore.widgets.skips.edit import Edit
from resnet_explore.widgets.skips.jobs import BlockSum
from resnet_explore.widgets.skips.lab import OpenTwins
from resnet_explore.widgets.skips.state import SkipState

_MOST = 3_000_000  # values that travel to the page at once


def pictures(state: SkipState, twins: OpenTwins, sums: Mapping[int, BlockSum]) -> Heatmaps:
    """Return the summands of the block and the channel that the sliders are at, and all that they reach."""
    maps = functools.partial(_step, Edit.of(state), twins, sums)
    return panel("inside", over_blocks(state, sums, maps), captions.SIGNS, columns=4, adds=(-3, -2, -1))


def panel(key: str, steps: Any, meaning: str, columns: int = 2, adds: Sequence[int] = ()) -> Heatmaps:
    """Return maps on bare ground, each value as it is."""
    return Heatmaps(
        key,
        ground(),
        "ground",
        steps,
        0.0,
        "",
        meaning,
        columns=columns,
        alt=meaning,
        opacity=1.0,
        palette="red and blue",
        shared=False,
        adds=adds,
        crisp=True,
    )


@functools.cache
def ground() -> bytes:
    """Return a bare square, on which 0 is to be seen as nothing."""
    from resnet_explore.figures.heatmaps import png

    return png(np.full((320, 320, 3), 246, np.uint8))


def over_blocks(state: SkipState, sums: Mapping[int, BlockSum], make: Any) -> Over:
    """Return what is shown of the present channel at each block, and of each channel at the present one."""
    there = min(state.block, max(sums))
    each: dict[int, Any] = {k: make(k, min(state.channel, channels(one) - 1)) for k, one in sums.items()}
    here = sums[there]
    if here.values * 4 <= _MOST:
        each[there] = Over("channel", {c: make(there, c) for c in range(channels(here))})
    return Over("block", each)


def channels(one: BlockSum) -> int:
    """Return how many channels a block has."""
    return max(len(maps) for maps in (*one.outputs, one.skip, one.branch) if maps is not None)


def sliders(state: SkipState, sums: Mapping[int, BlockSum]) -> tuple[Slider, ...]:
    """Return the sliders of block and channel."""
    blocks = tuple(Choice(k, str(k)) for k in sums)
    reach = {k: range(channels(one)) for k, one in sums.items()}
    stops = {k: tuple(Choice(c, str(c)) for c in some) for k, some in reach.items()}
    return (
        Slider(
            "block", "Block", blocks, play=True, carries={"channel": {k: tuple(r) for k, r in reach.items()}}
        ),
        Slider("channel", "Channel", Over("block", stops)),
    )


def headlines(edit: Edit, twins: OpenTwins, sums: Mapping[int, BlockSum]) -> Over:
    """Return for each block how much its branch adds."""
    name = twins.networks[-1].name
    return Over("block", {k: captions.inside_headline(edit, k, name, one.ratio) for k, one in sums.items()})


def _step(edit: Edit, twins: OpenTwins, sums: Mapping[int, BlockSum], number: int, channel: int) -> Step:
    one, residual = sums[number], twins.networks[-1]
    found = []
    if len(twins.networks) > 1 and one.outputs[0] is not None:
        gone = number in edit.deleted and twins.blocks[0][number - 1].can_go
        heading = "taken out: its input goes by" if gone else "F(x), all there is"
        found.append(heatmap(one.outputs[0], channel, twins.networks[0].name, heading, "plain"))
    if one.skip is not None and one.branch is not None:
        x = captions.scaled("x", 0.0 if number in edit.cut else edit.skip)
        branch = captions.scaled("F(x)", 0.0 if number in edit.deleted else edit.branch)
        for name, heading, maps in (
            (x, "the skip", one.skip),
            (branch, "the branch", one.branch),
            (f"{x} + {branch}", "the sum", one.skip + one.branch),
        ):
            found.append(heatmap(maps, channel, name, f"{heading}, {residual.name}", residual.kind))
    elif one.outputs[-1] is not None and len(found) < len(twins.networks):
        found.append(heatmap(one.outputs[-1], channel, residual.name, "F(x), all there is", residual.kind))
    return step(found, f"block {number} channel {channel}")


def heatmap(maps: np.ndarray, channel: int, name: str, heading: str, color: str) -> Heatmap:
    """Return one channel as a picture; an empty one where there is no such channel."""
    values = maps[channel] if channel < len(maps) else np.zeros(maps.shape[1:], np.float32)
    return Heatmap(np.ascontiguousarray(values, np.float32), name, heading, color)
