"""How are the networks built? Two drawn block by block, all of them in a table, and depth as a slider."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
import pandas as pd
from torch import nn

from resnet_explore.analysis.structure import Structure, structure
from resnet_explore.errors import ExploreError
from resnet_explore.figures.depth import DepthFigure
from resnet_explore.figures.style import SCREEN_SCALE, to_png
from resnet_explore.models.peers import open_network
from resnet_explore.models.presets import list_models, usual_name
from resnet_explore.paths import shipped
from resnet_explore.widgets.architecture_words import comparison, drawn, growth, reading
from resnet_explore.widgets.blueprint import Blueprint
from resnet_explore.widgets.family_table import family_table
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.heap import give_back
from resnet_explore.widgets.tabs import Tabs
from resnet_explore.widgets.words import error

Model = nn.Module | Callable[[], nn.Module]
"""A network, or a function that makes one when it is asked for."""

DRAWING, DEPTH, TABLE = VIEWS = ("Two networks", "Depth", "The family")
_SERIES = {
    "ResNet-18 to ResNet-152, ImageNet": ("ImageNet", r"resnet\d+", 224),
    "CIFAR ResNet, 6n+2 layers, n = 1 to 200": ("CIFAR", r"cifar_resnet\d+", 32),
}

# Moving the stride of three blocks from the 3×3 convolution to the 1×1 before it doubles the steps of that
# 3×3: 2 · (8 - 4) + 2 · (16 - 8) + 2 · (32 - 16) pixels.
_LAYOUT = (
    " From 50 layers on, maps are halved in a block's 3×3 convolution, as in torchvision; in He et al.'s own "
    "layout the first 1×1 does it, and an output looks 56 pixels further (483 instead of 427 at 50 layers)."
)


class ArchitectureExplorer(ipywidgets.VBox):
    """Three views of the family: two networks block by block, what grows with depth, and a table of all.

    left, right   what the menus of the drawing begin with: names of ours or of torchvision's
    models        {menu entry: a torch.nn.Module, or a function that makes one} for networks of your own; they
                  come first in the menus
    input_size    (C, H, W) that networks of your own are drawn for; named ones know theirs

    Attributes: `view`, `left`, `right`, `series` (the menus), `drawing` (a `Blueprint`), `strip` (the slider
    over depth), `table` (a `SortableTable`), `note`, `structures` (what was read, by name).
    """

    def __init__(
        self,
        left: str = "plain34",
        right: str = "resnet34",
        models: Mapping[str, Model] | None = None,
        input_size: tuple[int, ...] = (3, 224, 224),
    ) -> None:
        self.models, self.input_size = dict(models or {}), input_size
        self.structures: dict[str, Structure] = {}
        self.family = pd.read_csv(shipped("data", "family.csv"))
        self.note = ipywidgets.HTML()
        self.view = Tabs(list(VIEWS), tips=_TIPS)
        self._build_drawing(left, right)
        self.series = ipywidgets.Dropdown(
            options=list(_SERIES), description="Networks", layout={"width": "380px"}
        )
        self.strip = Filmstrip(name="Depth", scale=SCREEN_SCALE, message="Drawing the curves ...")
        self.table = family_table(self.family)
        self._pages = {
            DRAWING: ipywidgets.VBox([self._menus, self.note, self.drawing]),
            DEPTH: ipywidgets.VBox([self.series, self.strip]),
            TABLE: self.table,
        }
        super().__init__([self.view, self._pages[DRAWING]])
        self.view.observe(self._turn, "value")
        self.series.observe(lambda _: self._show_depths(), "value")
        self._choose(None)

    def _build_drawing(self, left: str, right: str) -> None:
        self.drawing = Blueprint()
        names = [*self.models, *list_models(), *PEERS]
        left, right = (n if n in names else usual_name(n) or n for n in (left, right))
        for name in (left, right):
            if name not in names:
                open_network(name)  # one that the list lacks, or the closest names
                names.append(name)
        self.left, self.right = (
            ipywidgets.Dropdown(options=names, value=name, description=word, layout={"width": "300px"})
            for name, word in ((left, "Above"), (right, "Below"))
        )
        for menu in (self.left, self.right):
            menu.observe(self._choose, "value")
        self._menus = ipywidgets.HBox([self.left, self.right], layout={"flex_flow": "row wrap"})

    def _turn(self, _change: Any) -> None:
        if self.view.value == DEPTH and not self.strip.steps:
            self._show_depths()
        self.children = [self.view, self._pages[self.view.value]]

    # --- two networks -------------------------------------------------------------------------------------

    def _choose(self, change: Any) -> None:
        unread = [name for name in (self.left.value, self.right.value) if name not in self.structures]
        self.drawing.message = " ".join(reading(name) for name in dict.fromkeys(unread))
        try:
            self._draw()
            self.note.value = ""
        except ExploreError as problem:
            kept = " Still showing the ones before." if change else ""
            self.note.value = error(f"{problem}{kept}")
        finally:
            self.drawing.message = ""
            if unread:
                give_back()  # the weights of what was only built to be read

    def _draw(self) -> None:
        chosen = self.left.value, self.right.value
        for name in chosen:
            if name not in self.structures:
                self.structures[name] = self._read(name)
        networks = [drawn(name, self.structures[name]) for name in chosen]
        with self.drawing.hold_sync():
            self.drawing.networks, self.drawing.selected = networks, []
            self.drawing.title = comparison(*((name, self.structures[name]) for name in chosen))

    def _read(self, name: str) -> Structure:
        if name not in self.models:
            return structure(*open_network(name))
        own: Any = self.models[name]
        if not isinstance(own, nn.Module) and callable(own):
            try:
                own = own()
            except Exception as problem:  # whatever a person's own function raises
                raise ExploreError(f"The function that makes {name} raised {problem!r}.") from None
        if not isinstance(own, nn.Module):
            raise ExploreError(
                f"models[{name!r}] is {own!r}, no torch.nn.Module and no function that makes one."
            )
        return structure(own, self.input_size)

    # --- depth --------------------------------------------------------------------------------------------

    def _show_depths(self) -> None:
        data, pattern, side = _SERIES[self.series.value]
        rows = self.family[self.family["model"].str.fullmatch(pattern)].sort_values("depth")
        depths = [int(depth) for depth in rows["depth"]]
        curves = {
            "parameters (millions)": rows["parameters"].to_numpy() / 1e6,
            "multiply-adds (billions)": rows["macs"].to_numpy() / 1e9,
            "receptive field (pixels)": rows["receptive_field"].to_numpy(float),
        }
        figure = DepthFigure(depths, curves, (side, f"the image: {side}"))
        self.strip.show(
            frames=[to_png(figure.draw(depth)) for depth in depths],
            titles=[growth(dict(row), side) for _, row in rows.iterrows()],
            captions=[
                "Linear axes from 0: a straight line means that each further layer adds as much as the one "
                f"before. Measured on the live networks for one image of {side}×{side} ({data}); "
                "multiply-adds of convolutions and fully connected layers; the receptive field is how far an "
                f"output of the last stage can look at most.{_LAYOUT if data == 'ImageNet' else ''}"
            ],
            ticks=[str(depth) for depth in depths],
            index=0,
        )


_TIPS = {
    DRAWING: "Two networks drawn block by block",
    DEPTH: "Parameters, multiply-adds and receptive field as depth grows",
    TABLE: "All networks in a table that sorts",
}


# What people compare the family with, and networks that it is the backbone of.
PEERS = (
    *("vgg16", "vgg19", "densenet121", "mobilenet_v2"),
    *("fcn_resnet50", "deeplabv3_resnet50", "r3d_18", "r2plus1d_18"),
)
