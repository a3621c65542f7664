"""Our numbers and the paper's beside each other, in HTML: theirs are marked as theirs."""

import html
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from resnet_explore.figures.style import CARD, COLORS, INK, MUTED
from resnet_explore.training.plan import KINDS
from resnet_explore.training.published import CIFAR_TEST_ERROR, IMAGENET_TOP1_ERROR, PAPER
from resnet_explore.training.summary import behind_numbers, mean_and_deviation, summarize
from resnet_explore.widgets.errors_view import conditions, final
from resnet_explore.widgets.words import percent

_THEIRS = "#f3ead9"  # ground of what is not ours
_CELL = "padding:2px 6px;text-align:right;white-space:nowrap"
_HEAD = "padding:2px 6px;text-align:right;vertical-align:bottom"  # may take two lines
_CHOSEN = ' aria-current="true" style="background:#d5e4f3"'  # the row of the depth looked at


_CARD = (
    # A width of 0 that may not stay: so a wide table scrolls in its place instead of widening the page.
    "box-sizing:border-box;width:0;min-width:min(100%,954px);margin:4px 0;padding:14px 16px;"
    f"border:1px solid #e2e4e9;border-radius:10px;background:{CARD};color:{INK};font-size:13px;"
    "line-height:1.4"
)
_ROW = "display:flex;flex-wrap:wrap;align-items:flex-start;gap:12px 20px"


def beside_the_paper(table: pd.DataFrame, data: str, depth: int | None = None) -> str:
    """Return a card with the errors of a table of runs, and Table 6 and Table 2 of He et al. 2015.

    The rows of `depth` stand out.
    """
    ours = _table("Ours: errors after the last epoch, %", *_ours(table), depth=depth)
    table_6 = _table(
        "<b>He et al. 2015, Table 6</b>: CIFAR-10, test error, %",
        ("depth", "residual"),
        [[str(depth), f"{error:.2f}"] for depth, error in CIFAR_TEST_ERROR.items()],
        ground=_THEIRS,
        depth=depth,
    )
    table_2 = _table(
        "<b>He et al. 2015, Table 2</b>: ImageNet, top-1 validation error, %",
        ("depth", *KINDS),
        [[str(d), *(f"{errors[k]:.2f}" for k in KINDS)] for d, errors in IMAGENET_TOP1_ERROR.items()],
        ground=_THEIRS,
        depth=depth,
    )
    epochs = int(table["epochs"].max())
    notes = (
        f"Ours: {html.escape(conditions(table, data, drawn=''))} {behind_numbers(table).capitalize()}.",
        f"Theirs (shaded): {html.escape(PAPER)}. Table 6: the original CIFAR-10, 64,000 steps (164 epochs) "
        "with crops and flips; at 110 layers the best of five runs (6.61 ± 0.16). It has no plain networks: "
        "the paper draws them as curves only. Table 2: ten crops an image.",
        f"Compare the order, not the values: the data differ, and ours were trained for {epochs} "
        f"epoch{'s' if epochs > 1 else ''} only.",
    )
    return (
        f'<div style="{_CARD}"><div style="font-size:16px;font-weight:600;margin-bottom:8px">'
        f'{html.escape(_finding(table))}</div><div style="{_ROW}">{ours}'
        f'<div style="{_ROW};flex:1 1 190px">{table_6}{table_2}</div></div>'
        f'<div style="font-size:12px;color:{MUTED};margin-top:8px">{" ".join(notes)}</div></div>'
    )


def _ours(table: pd.DataFrame) -> tuple[Sequence[str], list[list[str]]]:
    found = summarize(table)
    heads = ("depth", "seeds", "plain, train", "residual, train", "plain, test", "residual, test")
    rows = []
    for depth in sorted(found.index.unique("depth")):
        here = {kind: found.loc[(kind, depth)] for kind in KINDS if (kind, depth) in found.index}
        counts = {kind: int(row["seeds"]) for kind, row in here.items()}
        seeds = str(counts.get("plain", "–"))
        if len(counts) < len(KINDS) or len(set(counts.values())) > 1:
            seeds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        errors = [
            mean_and_deviation(here[kind][f"{split}_error"], here[kind][f"{split}_error_sd"])
            if kind in here
            else "–"
            for split in ("train", "test")
            for kind in KINDS
        ]
        rows.append([str(depth), seeds, *errors])
    return heads, rows


def _table(
    caption: str,
    heads: Iterable[str],
    rows: Iterable[Sequence[str]],
    ground: str = CARD,
    depth: int | None = None,
) -> str:
    colors = [COLORS.get(head.split(",")[0], INK) for head in heads]
    top = "".join(
        f'<th scope="col" style="{_HEAD};color:{color}">{html.escape(head)}</th>'
        for head, color in zip(heads, colors, strict=True)
    )
    lines = "".join(
        f"<tr{_CHOSEN if row[0] == str(depth) else ''}>"
        f'<th scope="row" style="{_CELL};font-weight:600">{html.escape(row[0])}</th>'
        + "".join(f'<td style="{_CELL}">{html.escape(value)}</td>' for value in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div tabindex="0" style="overflow-x:auto;max-width:100%;padding:6px;border-radius:6px;'
        f'background:{ground}">'
        f'<table style="border-collapse:collapse;background:transparent;color:{INK};'
        f'font-variant-numeric:tabular-nums"><caption style="caption-side:top;text-align:left;'
        f'color:{INK};padding:0 8px 4px">{caption}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _finding(table: pd.DataFrame) -> str:
    """Say what greater depth did here and there; the paper's own pair of depths where there is one."""
    depths = sorted(int(d) for d in table["depth"].unique())
    low, high = (20, 56) if {20, 56} <= set(depths) else (depths[0], depths[-1])
    errors = {(kind, depth): final(table, kind, depth) for kind in KINDS for depth in (low, high)}
    if low == high or not np.isfinite(list(errors.values())).all():
        return "Our errors, and those of the paper."
    theirs = {kind: [IMAGENET_TOP1_ERROR[depth][kind] for depth in (18, 34)] for kind in KINDS}
    ours = " and ".join(
        f"{kind} {percent(errors[kind, low])} → {percent(errors[kind, high])}" for kind in KINDS
    )
    paper = " and ".join(f"{kind} {a:.1f} → {b:.1f} %" for kind, (a, b) in theirs.items())
    return (
        f"From {low} to {high} layers our training errors go {ours}; "
        f"in the paper's Table 2, from 18 to 34, validation errors go {paper}."
    )
