"""Buttons of which one may be pressed, each with a small picture or with bars."""

from typing import Any

import anywidget
import traitlets as t

from resnet_explore.widgets.scripts import STYLE, script


class Choices(anywidget.AnyWidget):
    """A row of thumbnails, or a column of words with bars, to choose one of.

    items    [{"key": str, "label": str, "picture": bytes of an image}] or
             [{"key": str, "label": str, "bars": [{"share": 0..1, "text": "83 %", "colour": "#0072B2"}, ...]}]
    chosen   the key of the one that is pressed, "" for none: items may change between sight and press
    heading, note   what stands above and below
    """

    _esm = script("choices")
    _css = STYLE

    items: Any = t.List().tag(sync=True)
    chosen = t.Unicode("").tag(sync=True)
    heading = t.Unicode("").tag(sync=True)
    note = t.Unicode("").tag(sync=True)
