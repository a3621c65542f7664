"""An explorer's page as tests look at it."""

import re
from typing import Any

from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.view import View, settled


def shown(explorer: Explorer, *, seconds: float = 120, **changes: Any) -> View:
    """Return the page after a change, as it is at the explorer's state once all is computed."""
    if changes:
        explorer.update(**changes)
    assert explorer.wait(seconds)
    return settled(explorer.page, explorer.state)


def numbers(sentence: str) -> list[float]:
    """Return the numbers of a sentence in their order, whatever words stand around them."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", sentence)]
