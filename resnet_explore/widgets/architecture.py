"""How are the networks of the family built? Two of them side by side, their table, and depth as a slider."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
from torch import nn

from resnet_explore.analysis.structure import Structure, structure
from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import COLORS
from resnet_explore.models.presets import build, config_of, list_models
from resnet_explore.widgets.blueprint import Blueprint, blueprint
from resnet_explore.widgets.words import error

Model = nn.Module | Callable[[], nn.Module]
"""A network, or a function that makes one when it is asked for."""


class ArchitectureExplorer(ipywidgets.VBox):
    """Two networks drawn block by block from the live modules, on one scale.

    left, right   names that the menus begin with
    models        {menu entry: a torch.nn.Module, or a function that makes one} for networks of your own; they
                  come first in the menus
    input_size    (C, H, W) that networks of your own are drawn for; named ones know theirs

    Attributes: `drawing` (a `Blueprint`), `left`, `right` (the menus), `note`, `structures` (what is drawn).
    """

    def __init__(
        self,
        left: str = "plain34",
        right: str = "resnet34",
        models: Mapping[str, Model] | None = None,
        input_size: tuple[int, ...] = (3, 224, 224),
    ) -> None:
        self.models = dict(models or {})
        self.input_size = input_size
        self.structures: dict[str, Structure] = {}
        self.drawing = Blueprint(message="Reading the networks ...")
        self.note = ipywidgets.HTML()
        names = [*self.models, *sorted(list_models(), key=_by_family), *PEERS]
        for name in (left, right):
            if name not in names:
                config_of(name)  # a CIFAR network of a depth that the list lacks, or the closest names
                names.append(name)
        self.left, self.right = (
            ipywidgets.Dropdown(options=names, value=name, description=word, layout={"width": "300px"})
            for name, word in ((left, "Upper"), (right, "Lower"))
        )
        for menu in (self.left, self.right):
            menu.observe(self._choose, "value")
        row = ipywidgets.HBox([self.left, self.right], layout={"flex_flow": "row wrap"})
        super().__init__([row, self.note, self.drawing])
        self._choose(None)

    def _choose(self, change: Any) -> None:
        try:
            self._draw()
            self.note.value = ""
        except ExploreError as problem:
            self.note.value = error(str(problem))
            if change:
                self.note.value += " Still showing the ones before."

    def _draw(self) -> None:
        chosen = self.left.value, self.right.value
        for name in chosen:
            if name not in self.structures:
                self.structures[name] = self._read(name)
        drawn = [_drawn(name, self.structures[name]) for name in chosen]
        with self.drawing.hold_sync():
            self.drawing.networks, self.drawing.selected = drawn, []

    def _read(self, name: str) -> Structure:
        own = self.models.get(name)
        if own is not None:
            return structure(own if isinstance(own, nn.Module) else own(), self.input_size)
        if name in PEERS:
            return structure(PEERS[name](), (3, 224, 224))
        model = build(name)
        side = 32 if model.config.stem == "cifar" else 224
        return structure(model, (model.config.in_channels, side, side))


def _vgg19() -> nn.Module:
    from torchvision.models import vgg19

    return vgg19(weights=None)


# What people compare the family with.
PEERS: dict[str, Callable[[], nn.Module]] = {"vgg19": _vgg19}


def _by_family(name: str) -> tuple[str, int]:
    family = name.rstrip("0123456789")
    return family, int(name.removeprefix(family) or 0)


def _drawn(name: str, found: Structure) -> dict[str, Any]:
    skips, size = sum(bool(unit.skip) for unit in found.units), "×".join(map(str, found.input_shape[1:]))
    facts = (
        f"{found.depth} weighted layers, {found.parameters / 1e6:,.2f} M parameters, "
        f"{found.macs / 1e9:,.2f} G multiply-adds for an image of {size}, {skips} skip connections"
    )
    return blueprint(found, name, facts, COLORS["residual" if skips else "plain"])
