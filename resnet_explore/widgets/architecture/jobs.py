"""What is computed about architectures: how one network is wired, and the shipped table of all."""

import csv
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.models.presets import config_of, usual_name
from resnet_explore.paths import shipped
from resnet_explore.widgets.core.runner import Job, Task

Row = dict[str, Any]
_TEXTS = ("model", "family", "source")


@dataclass(frozen=True)
class ReadNetwork(Job):
    """Read off one pass how a network is wired.

    own         None for a network that goes by its name, else (what was given for it,): a module or a
                function that makes one
    input_size  (C, H, W) that an own network is drawn for
    """

    name: str
    input_size: tuple[int, ...] = ()
    own: tuple[Any, ...] | None = field(default=None, compare=False)

    @property
    def says(self) -> str:  # type: ignore[override]
        """What is done, with the number of blocks where it is known."""
        depths = getattr(config_of(self.name), "depths", ()) if usual_name(self.name) else ()
        blocks = f" with its {sum(depths)} blocks" if depths and self.own is None else ""
        return f"Building {self.name}{blocks} and following an image through it ..."

    def run(self, task: Task) -> Any:
        """Return the network's `Structure`."""
        from resnet_explore.analysis.topology.structure import structure
        from resnet_explore.models.peers import open_network

        if self.own is None:
            return structure(*open_network(self.name))
        return structure(_module(self.name, self.own[0]), self.input_size)


def _module(name: str, own: Any) -> Any:
    from torch import nn

    if not isinstance(own, nn.Module) and isinstance(own, Callable):  # type: ignore[arg-type]
        try:
            own = own()
        except Exception as problem:  # whatever a person's own function raises
            raise ExploreError(f"The function that makes {name} raised {problem!r}.") from None
    if not isinstance(own, nn.Module):
        raise ExploreError(f"models[{name!r}] is {own!r}, no torch.nn.Module and no function that makes one.")
    return own


@functools.cache
def family() -> tuple[Row, ...]:
    """Return the shipped table, a row a network; None is what is not known."""
    with shipped("data", "family.csv").open(encoding="utf-8", newline="") as file:
        return tuple({name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(file))


def _value(name: str, text: str) -> Any:
    if not text:
        return None
    return text if name in _TEXTS else float(text)
