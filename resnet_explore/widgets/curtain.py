"""What is said over a picture, greyed, for as long as it is not the one that was asked for."""

from typing import Any

import anywidget
import traitlets as t

from resnet_explore.widgets.scripts import STYLE, script


class Curtain(anywidget.AnyWidget):
    """Greys its later siblings, in the same place of a grid, the moment something else is chosen.

    data, view, depth   what is chosen: positions in a menu and on a slider, and a view's name. To be linked
                        in the browser, by `ipywidgets.jsdlink`: it knows before the kernel does
    drawn      {"data": ..., "view": ..., "depth": ...}: to what the kernel has answered; depth is None where
               the browser itself has the pictures of all depths
    sentences  {"data": [...], "depth": [...]}: what to say while one of them is awaited
    note       what to say of the picture, greyed too, while nothing is awaited; "" for nothing
    """

    _esm = script("curtain")
    _css = STYLE

    # An echo of what the browser has already left would lift the curtain too early.
    data = t.Int(0).tag(sync=True, echo_update=False)
    view = t.Unicode("").tag(sync=True, echo_update=False)
    depth = t.Int(0).tag(sync=True, echo_update=False)
    drawn: Any = t.Dict().tag(sync=True)
    sentences: Any = t.Dict().tag(sync=True)
    note = t.Unicode("").tag(sync=True)
