"""How are the networks built? Two drawn block by block, all of them in a table, and depth as a slider."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from torch import nn

from resnet_explore.analysis.structure import Structure, structure
from resnet_explore.errors import ExploreError
from resnet_explore.figures.depth import DepthFigure
from resnet_explore.figures.style import COLORS, SCREEN_SCALE, to_png
from resnet_explore.models.peers import open_network
from resnet_explore.models.presets import list_models
from resnet_explore.paths import shipped
from resnet_explore.widgets.blueprint import Blueprint, blueprint
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.table import SortableTable
from resnet_explore.widgets.words import error

Model = nn.Module | Callable[[], nn.Module]
"""A network, or a function that makes one when it is asked for."""

DRAWING, DEPTH, TABLE = VIEWS = ("Two networks", "Depth", "The family")
_COLUMNS = (
    *(("Network", None), ("Data", None), ("Layers", 0), ("Parameters (M)", 2), ("MACs (G)", 3)),
    *(("Sees (pixels)", 0), ("Top-1 %", 2), ("Newer recipe %", 2), ("Source", None)),
)
_SERIES = {
    "ResNet-18 to ResNet-152, ImageNet": ("ImageNet", r"resnet\d+", 224),
    "CIFAR ResNet, 6n+2 layers, n = 1 to 200": ("CIFAR", r"cifar_resnet\d+", 32),
}


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
        self.view = ipywidgets.ToggleButtons(options=VIEWS, tooltips=_TIPS)
        self._build_drawing(left, right)
        self.series = ipywidgets.Dropdown(
            options=list(_SERIES), description="Networks", layout={"width": "380px"}
        )
        self.strip = Filmstrip(name="Depth", scale=SCREEN_SCALE, message="Drawing the curves ...")
        self.table = _table(self.family)
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
        self.drawing = Blueprint(message="Reading the networks ...")
        names = [*self.models, *list_models(), *PEERS]
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
        try:
            self._draw()
            self.note.value = ""
        except ExploreError as problem:
            kept = " Still showing the ones before." if change else ""
            self.note.value = error(f"{problem}{kept}")

    def _draw(self) -> None:
        chosen = self.left.value, self.right.value
        for name in chosen:
            if name not in self.structures:
                self.structures[name] = self._read(name)
        drawn = [_drawn(name, self.structures[name]) for name in chosen]
        with self.drawing.hold_sync():
            self.drawing.networks, self.drawing.selected = drawn, []
            self.drawing.title = _comparison(*((name, self.structures[name]) for name in chosen))

    def _read(self, name: str) -> Structure:
        own = self.models.get(name)
        if own is not None:
            return structure(own if isinstance(own, nn.Module) else own(), self.input_size)
        return structure(*open_network(name))

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
            titles=[_growth(dict(row), side) for _, row in rows.iterrows()],
            captions=[
                f"Measured on the live networks for one image of {side}×{side} ({data}); multiply-adds of "
                "convolutions and fully connected layers; the receptive field is how far an output of the "
                "last stage can look at most."
            ],
            ticks=[str(depth) for depth in depths],
            index=0,
        )


_TIPS = (
    "Two networks drawn block by block",
    "Parameters, multiply-adds and receptive field as depth grows",
    "All networks in a table that sorts",
)


# What people compare the family with, and networks that it is the backbone of.
PEERS = (
    *("vgg16", "vgg19", "densenet121", "mobilenet_v2"),
    *("fcn_resnet50", "deeplabv3_resnet50", "r3d_18", "r2plus1d_18"),
)


def _drawn(name: str, found: Structure) -> dict[str, Any]:
    *frames, height, width = found.input_shape[1:]
    size = f"a clip of {frames[0]} frames of {height}×{width}" if frames else f"an image of {height}×{width}"
    facts = (
        f"{found.depth} weighted layers, {found.parameters / 1e6:,.2f} M parameters, "
        f"{_giga(found.macs)} multiply-adds for {size}, {found.skips or 'no'} skip connections"
    )
    return blueprint(found, name, facts, COLORS["residual" if found.skips else "plain"])


def _giga(macs: float) -> str:
    """Return "4.09 G", for small networks "40.6 M"."""
    return f"{macs / 1e9:,.2f} G" if macs >= 1e9 else f"{macs / 1e6:,.1f} M"


def _comparison(upper: tuple[str, Structure], lower: tuple[str, Structure]) -> str:
    """Return a sentence that says what sets two networks apart."""
    (name, a), (other, b) = upper, lower
    if name == other:
        return f"{name}, twice."
    if a.depth == b.depth and a.macs and abs(a.macs / b.macs - 1) < 0.1:
        skips = [a.skips, b.skips]
        if skips[0] != skips[1] and 0 in skips:
            return f"{name} and {other} have the same {a.depth} layers; {max(skips)} skips set them apart."
    if (a.depth, a.macs) < (b.depth, b.macs):
        (name, a), (other, b) = lower, upper
    layers = (
        f"{a.depth} layers against {b.depth} in {other}"
        if a.depth > b.depth
        else f"as many layers as {other} ({a.depth})"
    )
    parameters, macs = a.parameters / max(b.parameters, 1), a.macs / max(b.macs, 1)
    word = "yet" if max(parameters, macs) < 1 else "with"
    more = _times(parameters, "parameters")
    if a.input_shape[1:] == b.input_shape[1:]:  # else multiply-adds don't compare
        more += f" and {_times(macs, 'multiply-adds')}"
    else:
        word = "yet" if parameters < 1 else "with"
    return f"{name} has {layers}, {word} {more}."


def _times(ratio: float, what: str) -> str:
    """Return "2.39 times fewer parameters", or the like."""
    if abs(ratio - 1) < 0.01:
        return f"as many {what}"
    larger = max(ratio, 1 / ratio) if ratio else 0.0
    return f"{larger:,.{2 if larger < 100 else 0}f} times {'the' if ratio > 1 else 'fewer'} {what}"


def _growth(row: Mapping[str, Any], side: int) -> str:
    field = int(row["receptive_field"])
    sees = "more than the whole image" if field > side else f"less than the image's {side}"
    size = f"{row['parameters'] / 1e6:,.2f} M parameters, {_giga(row['macs'])} multiply-adds"
    return f"{row['depth']} layers: {size}, and an output that looks at {field:,} pixels across, {sees}."


def _table(family: pd.DataFrame) -> SortableTable:
    names = {*list_models(), "vgg16", "vgg19"}
    rows = [
        [r["model"], r["family"], r["depth"], r["parameters"] / 1e6, r["macs"] / 1e9]
        + [_known(r[name]) for name in ("receptive_field", "accuracy", "newer", "source")]
        for r in family.to_dict("records")
        if r["model"] in names
    ]
    one, other = (family[family["model"] == name].iloc[0].to_dict() for name in ("resnet50", "vgg19"))
    return SortableTable(
        title=f"resnet50 is right about {one['accuracy']:.1f} % of the pictures, vgg19 about "
        f"{other['accuracy']:.1f} % with {_times(other['parameters'] / one['parameters'], 'parameters')}.",
        columns=[{"title": title, "digits": digits} for title, digits in _COLUMNS],
        rows=rows,
        order=[1, -1],
        caption="Click a head to sort. Layers (with weights, on the longest way), parameters, multiply-adds "
        "(MACs) and how many pixels across an output of the last stage can see are measured on the live "
        "networks at 224×224 or, for CIFAR, 32×32. Accuracies are published ones, on one crop; a newer "
        "recipe changes the training, not the network, so compare within a column.",
    )


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
