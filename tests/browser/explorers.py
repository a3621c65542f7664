"""Which explorers there are, and what each of them shows: for tests that hold for all."""

from collections.abc import Iterator
from typing import Any

import resnet_explore as rx
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.view import View

NAMES = [
    name
    for name in rx.__all__
    if name.endswith("Explorer") and name != "Explorer" and issubclass(getattr(rx, name), Explorer)
]

# Arguments with which they show the same parts, and have soon computed what stands there: a verdict on the
# photo's twins takes 12 s of a processor, gradients and Jacobians of deep networks 9 s.
QUICK: dict[str, dict[str, Any]] = {
    "GradientFlowExplorer": {"depths": [8, 20]},
    "PlaygroundExplorer": {"networks": ("plain-8", "residual-8"), "steps": 20},
    "SaliencyExplorer": {"networks": "cifar10", "depth": 8},
}


def views(explorer: Explorer, seconds: float = 20) -> Iterator[tuple[str, View, dict[str, Any]]]:
    """Yield each page of an explorer: its name, the view and the state as a dict.

    What takes longer than `seconds` to compute is shown as far as it is.
    """
    tabs = explorer.page.tabs
    for choice in tabs.choices if tabs else [None]:
        if choice is not None:
            explorer.update(**{tabs.key: choice.value})
        explorer.wait(seconds)
        state = {name: getattr(explorer.state, name) for name in explorer.state.__dataclass_fields__}
        yield "" if choice is None else str(choice.value), explorer.page, state
