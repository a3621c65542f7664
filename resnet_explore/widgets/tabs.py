"""Buttons that choose between views; arrow keys move between them and never leave for the next cell."""

from typing import Any

import anywidget
import traitlets as t

from resnet_explore.widgets.scripts import STYLE, script


class Tabs(anywidget.AnyWidget):
    """A row of buttons of which one is pressed.

    options  what stands on the buttons
    value    the one that is pressed, the first to begin with
    tips     {option: what it is for}, shown when it is pointed at
    label    what the row is called for who can't see it
    """

    _esm = script("tabs")
    _css = STYLE

    options: Any = t.List(t.Unicode()).tag(sync=True)
    value = t.Unicode("").tag(sync=True)
    tips: Any = t.Dict().tag(sync=True)
    label = t.Unicode("View").tag(sync=True)

    def __init__(self, options: list[str], **more: Any) -> None:
        super().__init__(options=options, **{"value": options[0]} | more)

    @t.validate("value")
    def _known(self, proposal: Any) -> str:
        if proposal["value"] not in self.options:
            raise t.TraitError(f"There is no {proposal['value']!r} among {', '.join(self.options)}.")
        return str(proposal["value"])
