"""Pictures of the lesson, to be saved and printed: a block's sum, and the ways through blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap

from resnet_explore.figures.style import COLORS, MUTED


def draw_sum(figure: Any, maps: Sequence[tuple[str, np.ndarray]], scale: float, colors: np.ndarray) -> None:
    """Draw maps (h, w) beside each other on a matplotlib (sub)figure.

    maps    each with its name
    scale   the magnitude of full colour
    colors  uint8 (256, 4), for -scale to scale
    """
    table = ListedColormap(colors / 255)
    for ax, (name, values) in zip(figure.subplots(1, len(maps)), maps, strict=True):
        ax.imshow(values, cmap=table, vmin=-scale, vmax=scale)
        ax.set(xticks=(), yticks=(), title=name)


def draw_ways(
    figure: Any, blocks: Sequence[int], ways: Mapping[str, Sequence[tuple[Sequence[bool], bool]]]
) -> None:
    """Draw each way as a line with a square for each block that it leads through.

    blocks  their numbers
    ways    by "plain" and "residual": whether a way leads through each block, and whether it is open
    """
    for ax, (kind, lanes) in zip(figure.subplots(1, len(ways)), ways.items(), strict=True):
        for row, (way, is_open) in enumerate(lanes):
            color, line = (COLORS[kind], "-") if is_open else (MUTED, ":")
            ax.plot((-0.5, len(way) - 0.5), (-row, -row), color=color, linestyle=line)
            inside = [k for k, each in enumerate(way) if each]
            ax.plot(inside, [-row] * len(inside), "s", color=color)
        ax.set(yticks=(), xlabel="block", title=kind)
        ax.set_xticks(range(len(blocks)), [str(number) for number in blocks])
