"""Networks as rows of boxes with skips as arcs, to be saved and printed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.patches import Arc, FancyBboxPatch

from resnet_explore.figures.style import COLORS, INK, MUTED

Box = Mapping[str, Any]
_BARE = "#b7bdc7"
_DASHES = {"projection": (0, (3, 2)), "padding": (0, (6, 2, 1, 2)), "gated": (0, (1, 2))}
_STACKED = 4  # how many boxes wide one is that stands for several
_MOST_FAR = 70  # longer skips than this rise no higher


def draw_networks(figure: Any, networks: Sequence[tuple[str, str, str, Sequence[Box]]]) -> None:
    """Draw networks below each other on a matplotlib (sub)figure, on one scale.

    networks  (title, facts, "plain" or "residual", boxes); a box has name, kind, count, shape, layers, skip
              and from, the indices of the boxes that feed it

    Boxes are as high as their maps are large: each doubling of the side adds the same.
    """
    widest = max(sum(_width(box) for box in boxes) for *_, boxes in networks)
    # Room above each row for its title and facts, which belong to no axis.
    room = {"left": 0.013, "right": 0.987, "top": 0.86, "bottom": 0.02, "hspace": 0.4}
    rows = figure.subplots(len(networks), 1, squeeze=False, gridspec_kw=room)[:, 0]
    for ax, (title, facts, color, boxes) in zip(rows, networks, strict=True):
        ax.set(xlim=(-0.5, widest + 0.5), ylim=(-0.65, 1.0))
        ax.axis("off")
        ax.set_title(title, loc="left", color=COLORS[color], fontsize=11, weight="bold", pad=16)
        ax.annotate(
            facts,
            (0, 1),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8.5,
            color=MUTED,
        )
        _draw_row(ax, boxes, COLORS[color])


def _draw_row(ax: Any, boxes: Sequence[Box], color: str) -> None:
    lefts: list[float] = []
    right = 0.0
    for box in boxes:
        lefts.append(right)
        right += _width(box)
    for i, box in enumerate(boxes):
        left, width, high = lefts[i], _width(box), _half(box)
        shape = FancyBboxPatch(
            (left + 0.06, -high), width - 0.12, 2 * high, boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=color if box["layers"] else _BARE, linewidth=0, mutation_aspect=0.2,
        )  # fmt: skip
        ax.add_patch(shape)
        if box["count"] > 1:
            ax.text(
                left + width / 2, 0, f"×{box['count']}", color="white", ha="center", va="center", fontsize=9
            )
        if box["skip"]:
            dashes = _DASHES.get(box["skip"], "-")
            _arc(ax, left, left + width, high - 0.04, 0.2, INK, dashes, 1.2)
        for source in box["from"]:
            if source >= 0 and i - source > 1:
                from_x = lefts[source] + _width(boxes[source]) / 2
                rise = 0.12 + 0.3 * min(i - source, _MOST_FAR) / _MOST_FAR
                _arc(ax, from_x, left + width / 2, max(high, _half(boxes[source])), rise, MUTED, "-", 0.6)
    _label_sizes(ax, boxes, lefts)


def _arc(
    ax: Any, start: float, end: float, y: float, rise: float, color: str, dashes: Any, width: float
) -> None:
    middle, across = (start + end) / 2, end - start
    ax.add_patch(
        Arc(
            (middle, y),
            across,
            2 * rise,
            theta1=0,
            theta2=180,
            color=color,
            linestyle=dashes,
            linewidth=width,
        )
    )


def _label_sizes(ax: Any, boxes: Sequence[Box], lefts: Sequence[float]) -> None:
    """Write the size of the maps below each stretch of boxes that share it."""
    start = 0
    for end in range(1, len(boxes) + 1):
        if end < len(boxes) and _side(boxes[end]) == _side(boxes[start]):
            continue
        if _side(boxes[start]) > 1:
            middle = (lefts[start] + lefts[end - 1] + _width(boxes[end - 1])) / 2
            words = "×".join(map(str, boxes[start]["shape"][-2:]))
            ax.text(middle, -0.5, words, ha="center", va="top", fontsize=7.5, color=MUTED)
        start = end


def _width(box: Box) -> float:
    return _STACKED if box["count"] > 1 else 1.0


def _side(box: Box) -> int:
    return int(box["shape"][-1]) if len(box["shape"]) > 2 else 1


def _half(box: Box) -> float:
    return 0.06 + 0.05 * math.log2(_side(box) + 1)
