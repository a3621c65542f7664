"""Skips that are scaled, removed or given while a network learns, as recorded."""

from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.figures.chart import Axis, Chart, Series, spread
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.skips import captions

if TYPE_CHECKING:
    import pandas as pd

_CONSTANT = ("none", "0.25", "0.5", "0.75", "1")
_CHANGING = ("none", "1-then-0-after-4", "0-then-1-after-4", "1-to-0-by-4", "1-to-0-by-8", "1")
_KINDS = {"none": "plain", "1": "residual"}


def curves(table: "pd.DataFrame") -> Charts:
    """Return the test error by epoch: for factors that stay, and for factors that change."""
    last = int(table["epoch"].max())
    x = Axis("epoch", 0.8, last + 0.2, whole=True)
    y = Axis("test error", 0, 100, unit="%")
    charts = [
        Chart(title, x, y, tuple(_curve(table, scale) for scale in scales))
        for title, scales in (("A factor that stays", _CONSTANT), ("A factor that changes", _CHANGING))
    ]
    return Charts("training", tuple(charts))


def _curve(table: "pd.DataFrame", scale: str) -> Series:
    rows = table[table["skip_scale"] == scale]
    wide = rows.pivot(index="epoch", columns="seed", values="test_error").sort_index()
    name = captions.TRAINED.get(scale) or str(rows["label"].iloc[0])
    return Series(
        name, np.asarray(wide.index, float), kind=_KINDS.get(scale, scale), **spread(wide.to_numpy())
    )


def headline(table: "pd.DataFrame") -> str:
    """Return what became of a network whose skips went slowly, against one that never had any."""
    ends = table[table["epoch"] == table["epoch"].max()].groupby("skip_scale")["test_error"].mean()
    return captions.training_headline(float(ends["1-to-0-by-8"]), float(ends["none"]))


def conditions(table: "pd.DataFrame") -> tuple[str, ...]:
    """Return on what the curves rest, and the errors at the end."""
    ends = table[table["epoch"] == table["epoch"].max()].groupby("skip_scale")["test_error"]
    told = [
        f"{captions.TRAINED.get(scale, scale)} {own.mean():.1f} ± {own.std():.1f} %"
        for scale, own in ends
        if scale in {*_CONSTANT, *_CHANGING}
    ]
    seeds = table["seed"].nunique()
    return captions.training_conditions(int(table["depth"].iloc[0]), seeds, told)
