"""The architecture explorer: networks drawn block by block, what grows with depth, and a table of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import unknown
from resnet_explore.models.peers import open_network
from resnet_explore.models.presets import list_models, usual_name
from resnet_explore.widgets.architecture.jobs import ReadNetwork
from resnet_explore.widgets.architecture.present import depths, present
from resnet_explore.widgets.architecture.state import ArchitectureState
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View

if TYPE_CHECKING:
    from torch import nn

# What people compare the family with, and networks that it is the backbone of.
PEERS = (
    *("vgg16", "vgg19", "densenet121", "mobilenet_v2"),
    *("fcn_resnet50", "deeplabv3_resnet50", "r3d_18", "r2plus1d_18"),
)


# Networks whose pairs a page without Python holds.
_BAKED = ("plain18", "resnet18", "plain34", "resnet34", "resnet50", "resnet101", "vgg19")


class ArchitectureExplorer(Explorer):
    """Three views of the family: two networks block by block, what grows with depth, and a table of all.

    left, right   the networks that are drawn: names of ours or of torchvision's, or of your own
    models        {name: a torch.nn.Module, or a function that makes one} for networks of your own; they come
                  first in the menus
    input_size    (C, H, W) that networks of your own are drawn for; named ones know theirs
    state         `ArchitectureState`: view, series, depth, opened, sort, each a trait
    guess         True to be asked before the first picture, or the path of a file that keeps the answers

    Raises `ExploreError` with the closest names for a network that there is not.
    """

    State = ArchitectureState
    bakes: ClassVar = {"view": None, "series": None, "depth": None, "left": _BAKED, "right": _BAKED}

    def __init__(
        self,
        left: str = "",
        right: str = "",
        models: "Mapping[str, nn.Module | Callable[[], nn.Module]] | None" = None,
        input_size: tuple[int, ...] = (3, 224, 224),
        **state: Any,
    ) -> None:
        self.models, self.input_size = dict(models or {}), tuple(input_size)
        self.others: list[str] = []  # networks that were asked for by name and that the menus lack
        given = {name: value for name, value in (("left", left), ("right", right)) if value}
        super().__init__(**given, **state)

    @property
    def networks(self) -> Sequence[str]:
        """What the menus offer."""
        return [*self.models, *list_models(), *PEERS, *self.others]

    def call_in_code(self, state: ArchitectureState) -> Sequence[str]:
        """Return what describes the two networks that are drawn, by their names."""
        if state.view != "networks" or set(self.models) & {state.left, state.right}:
            return ()
        return ["", f"[rx.describe(rx.build(name)) for name in ({state.left!r}, {state.right!r})]"]

    def settle(self, state: ArchitectureState, names: frozenset[str]) -> ArchitectureState:
        """Spell names as the menus do; a series takes the depth along to its nearest."""
        left, right = (self._spelled(name) for name in (state.left, state.right))
        opened = state.opened if not names & {"left", "right"} or "opened" in names else ()
        there = depths(state.series)
        depth = state.depth
        if depth not in there:
            if "depth" in names:
                raise unknown("depth", depth, map(str, there))
            depth = min(there, key=lambda other: abs(other - depth))
        # From here on nothing can be refused any more.
        self.others += [name for name in dict.fromkeys((left, right)) if name not in self.networks]
        return replace(state, left=left, right=right, opened=opened, depth=depth)

    def _spelled(self, name: str) -> str:
        if name in self.networks:
            return name
        usual = usual_name(name)
        if usual in self.networks:
            return str(usual)
        open_network(name)  # one that the menus lack, or an error with the closest names
        return name

    def plan(self, state: ArchitectureState) -> Sequence[Job]:
        """Return one reading for each network that is drawn."""
        if state.view != "networks":
            return ()
        return tuple(dict.fromkeys(self.reading(name) for name in (state.left, state.right)))

    def reading(self, name: str) -> ReadNetwork:
        """Return the job that reads how a network is wired."""
        own = name in self.models
        return ReadNetwork(name, self.input_size if own else (), (self.models[name],) if own else None)

    def present(self, state: ArchitectureState, found: Mapping[Job, Any]) -> View:
        """Return the page of the view that is open."""
        structures = {name: found.get(self.reading(name)) for name in (state.left, state.right)}
        return present(state, structures, self.networks, tuple(self.models))

    def context_in_code(self) -> Sequence[str]:
        """Return `models` and `input_size` where they were given."""
        return ["models=models", f"input_size={self.input_size}"] if self.models else []
