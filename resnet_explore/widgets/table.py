"""A table that a click on a column's head sorts, in the browser."""

from typing import Any

import anywidget
import traitlets as t

from resnet_explore.widgets.scripts import STYLE, script


class SortableTable(anywidget.AnyWidget):
    """Rows of texts and numbers between a title and a caption.

    columns   [{"title": str, "digits": decimals of its numbers, or None for texts,
                "best": -1 where the first click puts the largest on top, "tip": what it means}, ...];
              the last two may be missing
    rows      one list a row: str, number, or None for what is not known, which is sorted last
    order     [column, 1 or -1]: by what is sorted, and whether upwards or downwards
    """

    _esm = script("table")
    _css = STYLE

    title = t.Unicode("").tag(sync=True)
    caption = t.Unicode("").tag(sync=True)
    columns: Any = t.List().tag(sync=True)
    rows: Any = t.List().tag(sync=True)
    order: Any = t.List([0, 1]).tag(sync=True)
