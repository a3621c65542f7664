"""One slider that several pictures share, such as that over depth."""

from typing import Any

import anywidget
import traitlets as t

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.scripts import STYLE, script


class Slider(anywidget.AnyWidget):
    """A slider over words, with a label, a tick for each and the chosen one beside it.

    label   what is chosen, such as "Depth"
    ticks   the words from left to right
    unit    what follows the chosen one, such as "layers"
    index   which is chosen. The browser tells it once the slider rests; what is linked to it there, by
            `ipywidgets.jsdlink`, follows at once
    """

    _esm = script("slider")
    _css = STYLE

    label = t.Unicode("").tag(sync=True)
    ticks: Any = t.List(t.Unicode()).tag(sync=True)
    unit = t.Unicode("").tag(sync=True)
    # An echo of an index that the browser has already left would pull the slider back.
    index = t.Int(0).tag(sync=True, echo_update=False)

    @property
    def chosen(self) -> str:
        """The word at the index, "" if there is none."""
        return str(self.ticks[self.index]) if self.ticks else ""

    def show(self, ticks: list[str], index: int) -> None:
        """Set the ticks and the index as one change."""
        with self.hold_sync(), self.hold_trait_notifications():
            self.ticks, self.index = ticks, index

    @t.validate("index")
    def _in_range(self, proposal: Any) -> int:
        index = int(proposal["value"])
        if self.ticks and not 0 <= index < len(self.ticks):
            raise ExploreError(f"index must be from 0 to {len(self.ticks) - 1}, got {index}.")
        return index

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser says; an index that crossed with fewer ticks is clamped."""
        if "index" in sync_data and self.ticks:
            sync_data = sync_data | {"index": min(max(sync_data["index"], 0), len(self.ticks) - 1)}
        super().set_state(sync_data)
