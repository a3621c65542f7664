"""Edited networks as rows of blocks, and what they answer as bars, to be saved and printed."""

from collections.abc import Sequence
from typing import Any

from matplotlib.patches import Arc, Rectangle

from resnet_explore.figures.style import COLORS, INK, MUTED

_GONE = "#b7bdc7"


def draw_cuts(
    figure: Any,
    rows: Sequence[tuple[str, str, Sequence[Any]]],
    deleted: Sequence[int],
    cut: Sequence[int],
    order: Sequence[int],
) -> None:
    """Draw networks below each other on a matplotlib (sub)figure.

    rows     (title, "plain" or "residual", blocks); a block has number, skip, stays ("" if it can go) and
             error (percent without it, drawn as a bar below; None for no bar)
    deleted  the numbers of blocks that are taken out, which are drawn as outlines
    cut      those of blocks whose skip is cut, whose arc is drawn dotted
    order    the numbers in the order in which the blocks run, () for the usual one
    """
    most = max(len(blocks) for *_, blocks in rows)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for ax, (title, color, blocks) in zip(axes, rows, strict=True):
        told = any(block.error is not None for block in blocks)
        ax.set(xlim=(-0.2, most + 0.2), ylim=(-1.5 if told else -0.45, 1.25))
        ax.axis("off")
        ax.set_title(title, loc="left", color=COLORS[color], fontsize=11, weight="bold")
        by_number = {block.number: block for block in blocks}
        for place, number in enumerate(order or by_number):
            _draw_block(ax, place, by_number[number], COLORS[color], number in deleted, number in cut)


def _draw_block(ax: Any, left: float, block: Any, color: str, deleted: bool, cut: bool) -> None:
    gone = deleted and not block.stays
    ax.add_patch(
        Rectangle(
            (left + 0.08, 0),
            0.84,
            0.7,
            facecolor="none" if gone else color,
            edgecolor=_GONE if gone else color,
            linestyle="--" if gone else "-",
        )
    )
    if gone and not block.skip:
        ax.plot([left, left + 1], [0.35, 0.35], color=color, linewidth=1.2)
    if block.skip:
        line, ink = (":", _GONE) if cut else ("-", INK)
        arc = Arc((left + 0.5, 0.68), 1, 0.9, theta1=0, theta2=180, linewidth=1.3, linestyle=line, color=ink)
        ax.add_patch(arc)
    ax.text(left + 0.5, -0.12, str(block.number), ha="center", va="top", fontsize=8, color=MUTED)
    if block.error is not None:
        high = 0.9 * block.error / 100
        ax.add_patch(Rectangle((left + 0.3, -1.45), 0.4, high, color=color))
        words = f"{block.error:.0f} %"
        ax.text(left + 0.5, -1.43 + high, words, ha="center", va="bottom", fontsize=7, color=MUTED)


def draw_bars(figure: Any, sides: Sequence[tuple[str, str, Sequence[Any]]]) -> None:
    """Draw bars side by side on a matplotlib (sub)figure.

    sides  (name, "plain" or "residual", bars); a bar has label, share (0 to 1), text, and low, high (the ends
           of its whisker) and before (a tick), each None for none
    """
    axes = figure.subplots(1, len(sides), squeeze=False)[0]
    for ax, (name, color, bars) in zip(axes, sides, strict=True):
        places = range(len(bars))
        ax.barh(places, [100 * bar.share for bar in bars], color=COLORS[color], height=0.6)
        for place, bar in zip(places, bars, strict=True):
            if bar.low is not None:
                ax.plot([100 * bar.low, 100 * bar.high], [place, place], color=INK, linewidth=1.2)
            if bar.before is not None:
                ax.plot([100 * bar.before] * 2, [place - 0.4, place + 0.4], color=INK, linewidth=2)
            ax.annotate(
                bar.text,
                (100 * bar.share, place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        ax.set(xlim=(0, 130), yticks=list(places), yticklabels=[bar.label for bar in bars], title=name)
        ax.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
        ax.invert_yaxis()
        ax.spines[["top", "right"]].set_visible(False)
