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


# What has no tabs is shown at each value of a field.
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "LessonExplorer": ("step", ("deeper", "addition", "training", "gradients", "ways")),
}


def views(explorer: Explorer, seconds: float = 20) -> Iterator[tuple[str, View, dict[str, Any]]]:
    """Yield each page of an explorer: its name, the view and the state as a dict.

    What takes longer than `seconds` to compute is shown as far as it is.
    """
    tabs = explorer.page.tabs
    field, places = STEPS.get(type(explorer).__name__, ("", ("",)))
    if tabs:
        field, places = tabs.key, tuple(choice.value for choice in tabs.choices)
    for place in places:
        if field:
            explorer.update(**{field: place})
        explorer.wait(seconds)
        state = {name: getattr(explorer.state, name) for name in explorer.state.__dataclass_fields__}
        yield str(place), explorer.page, state
