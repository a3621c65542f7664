"""Errors after many edits: each block alone, several at once, another order, dials; and paths by length."""

import math
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Line, Look, Mark, Scale, Series, spread
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.skips import captions
from resnet_explore.widgets.skips.edit import Edit
from resnet_explore.widgets.skips.jobs import Outcomes
from resnet_explore.widgets.skips.lab import OpenTwins

if TYPE_CHECKING:
    import pandas as pd

_LOOKS = {"plain": "Plain", "residual": "Residual"}
_ERROR = Axis("error", 0, 100, unit="%")
_WAYS: tuple[tuple[str, str, Look, Line], ...] = (
    ("error", "", "full", "solid"),
    ("error_recalibrated", ", norms anew", "open", "dashed"),
)
_WHAT = {"count": "delete", "order": "shuffle"}
_X = {
    "count": ("blocks taken out at random", "count"),
    "order": ("Kendall's τ (1 is the usual order)", "tau"),
}


def worst(errors: np.ndarray) -> int:
    """Return the number of the block without which the error is largest."""
    return int(np.nanargmax(errors)) + 1


def singles(table: "pd.DataFrame", twins: OpenTwins) -> list[np.ndarray]:
    """Return recorded errors with each block taken out, (blocks,) for each network."""
    alone = table[(table["what"] == "delete") & (table["count"] == 1)]
    found = []
    for network, blocks in zip(twins.networks, twins.blocks, strict=True):
        own = alone[alone["kind"] == network.kind].drop_duplicates("blocks").set_index("blocks")["error"]
        found.append(np.array([own.get(block.name, np.nan) for block in blocks], float))
    return found


def swept(table: "pd.DataFrame", study: str, now: Outcomes | None, edit: Edit) -> Charts:
    """Return errors against how many blocks are out, or how far the order is from the usual one."""
    label, column = _X[study]
    rows = rows_of(table, study)
    order = study == "order"
    low, high = (
        (math.floor(20 * float(rows[column].min())) / 20 - 0.01, 1.01)
        if order
        else (0, float(rows[column].max()) + 0.6)
    )
    axis = Axis(label, low, high, name="τ" if order else "blocks", whole=not order)
    series = []
    for kind, own in rows.groupby("kind"):
        whole = float(table[(table["what"] == "whole") & (table["kind"] == kind)]["error"].iloc[0])
        for error, words, look, line in _WAYS:
            if order:
                series.append(_cloud(own, error, f"{_LOOKS[str(kind)]}{words}", str(kind), look))
            else:
                series.append(_band(own, error, f"{_LOOKS[str(kind)]}{words}", str(kind), look, line, whole))
    marks = _yours(edit, now or ()) if study == "count" else ()
    return Charts(study, (Chart(captions.STUDIES[study], axis, _ERROR, tuple(series), marks),))


def _yours(edit: Edit, now: Outcomes) -> tuple[Mark, ...]:
    """Return where the present edit stands, if blocks are out and nothing else is changed."""
    if edit != Edit(deleted=edit.deleted):
        return ()
    out = [len(edit.deleted) - len(outcome.stays) for outcome in now]
    return tuple(
        Mark(f"yours, {kind}", float(count), outcome.error, kind=kind)
        for kind, count, outcome in zip(("plain", "residual"), out, now, strict=False)
        if count
    )


def _band(
    rows: "pd.DataFrame", error: str, name: str, kind: str, look: Look, line: Line, whole: float
) -> Series:
    by_count = {int(n): rows[rows["count"] == n][error].to_numpy(float) for n in sorted(set(rows["count"]))}
    most = max(map(len, by_count.values()))
    values = np.full((len(by_count), most), np.nan)
    for k, own in enumerate(by_count.values()):
        values[k, : len(own)] = own
    start = whole if error == "error" else np.nan
    x = np.array([0, *by_count], float)
    values = np.vstack([np.full((1, most), start), values])
    return Series(name, x, kind=kind, look=look, line=line, **spread(values))


def _cloud(rows: "pd.DataFrame", error: str, name: str, kind: str, look: Look) -> Series:
    rows = rows.sort_values("tau")
    return Series(
        name, rows["tau"].to_numpy(float), rows[error].to_numpy(float), kind, line="none", look=look
    )


def dials(table: "pd.DataFrame") -> Charts:
    """Return errors against the factor on all skips, and on all branches."""
    charts = []
    for what, title in (("skip", "All skips × a factor"), ("branch", "All branches × a factor")):
        series = []
        for kind, rows in table[table["what"] == what].groupby("kind"):
            rows = rows.drop_duplicates("factor").sort_values("factor")
            x = rows["factor"].to_numpy(float)
            for error, words, look, line in _WAYS:
                y = rows[error].to_numpy(float)
                series.append(Series(f"{_LOOKS[str(kind)]}{words}", x, y, str(kind), look=look, line=line))
        charts.append(Chart(title, Axis("factor", -0.02, 1.52), _ERROR, tuple(series)))
    return Charts("dials", tuple(charts))


def paths(table: "pd.DataFrame") -> Charts:
    """Return how many paths have each length, how large a gradient is along one, and the product."""
    length = table["length"].to_numpy(float)
    x = Axis("length: blocks that a path goes through", -0.5, length.max() + 0.5, name="length", whole=True)
    count = table["paths"].to_numpy(float)
    columns: tuple[tuple[str, str, np.ndarray, Scale, str], ...] = (
        ("Paths of this length", "share of all paths", 100 * count / count.sum(), "linear", "%"),
        ("Gradient along one", "gradient norm", table["gradient"].to_numpy(float), "log", ""),
        ("Both together", "share of the gradient", 100 * table["share"].to_numpy(float), "linear", "%"),
    )
    charts = []
    for title, label, values, scale, unit in columns:
        known = values[np.isfinite(values) & (values > 0)]
        y = Axis.around(label, known, scale=scale, unit=unit)
        charts.append(Chart(title, x, y, (Series(title, length, values, "residual"),)))
    return Charts("paths", tuple(charts))


def study_headline(study: str, table: "pd.DataFrame") -> str:
    """Return the finding of a study."""
    if study == "dial":
        half = table[(table["what"] == "skip") & (table["factor"] == 0.5) & (table["kind"] == "residual")]
        return captions.dial_headline(*(float(half[error].iloc[0]) for error, *_ in _WAYS))
    rows = rows_of(table, study)
    if study == "count":
        shared = set.intersection(*(set(own["count"]) for _, own in rows.groupby("kind")))
        count = min(shared, key=lambda k: abs(k - 3))
        errors = rows[rows["count"] == count].groupby("kind")["error"].mean()
        return captions.count_headline(int(count), errors["plain"], errors["residual"])
    near = rows[(rows["tau"] < 1) & (rows["tau"] > 0.8)].groupby("kind")["error"].median()
    return captions.order_headline(near.get("plain", np.nan), near.get("residual", np.nan))


def rows_of(table: "pd.DataFrame", study: str) -> "pd.DataFrame":
    """Return the trials of a study that could be made."""
    return table[(table["what"] == _WHAT[study]) & table["error"].notna()]


def paths_headline(table: "pd.DataFrame") -> str:
    """Return how much of the gradient the shorter half of the paths carries."""
    length = (len(table) - 1) // 2
    short = table["length"] <= length
    of_paths = 100 * table[short]["paths"].sum() / table["paths"].sum()
    return captions.paths_headline(length, float(of_paths), float(100 * table[short]["share"].sum()))
