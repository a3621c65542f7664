"""From the state of the architecture explorer to its page."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resnet_explore.figures.chart import Axis, Chart, Mark, Series
from resnet_explore.models.presets import list_models
from resnet_explore.widgets.architecture import captions
from resnet_explore.widgets.architecture.drawing import Blueprint, drawn
from resnet_explore.widgets.architecture.jobs import Row, family
from resnet_explore.widgets.architecture.state import ArchitectureState
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.view import Choice, Column, Menu, Over, Slider, Table, Tabs, View

if TYPE_CHECKING:
    from resnet_explore.analysis.topology.structure import Structure

_TABS = Tabs(
    "view",
    (
        Choice("networks", "Two networks", "Two networks drawn block by block"),
        Choice("depth", "Depth", "Parameters, multiply-adds and receptive field as depth grows"),
        Choice("family", "The family", "All networks in a table that sorts"),
    ),
)
_SERIES = {
    "imagenet": ("ImageNet", r"resnet\d+", 224, "ResNet-18 to ResNet-152, ImageNet"),
    "cifar": ("CIFAR", r"cifar_resnet\d+", 32, "CIFAR ResNet, 6n+2 layers, n = 1 to 200"),
}


def present(
    state: ArchitectureState,
    structures: "Mapping[str, Structure | None]",
    networks: Sequence[str],
    own: Sequence[str],
) -> View:
    """Return the page. `structures` are of the two networks, None for one that is not yet read."""
    if state.view == "depth":
        return _depth_page(state)
    if state.view == "family":
        return _family_page()
    return _drawing_page(state, structures, networks, own)


# --- two networks -------------------------------------------------------------------------------------------


def _drawing_page(
    state: ArchitectureState,
    structures: "Mapping[str, Structure | None]",
    networks: Sequence[str],
    own: Sequence[str],
) -> View:
    choices = tuple(Choice(name, name, group="Yours" if name in own else "") for name in networks)
    menus = Menu("left", "Above", choices), Menu("right", "Below", choices)
    pair = [(name, structures[name]) for name in (state.left, state.right)]
    read = [(name, found) for name, found in pair if found is not None]
    asked = _question(state, [found.parameters for _, found in read])
    if len(read) < len(pair):
        waiting = "Two networks, drawn block by block, with their skips as arcs."
        return View(
            tabs=_TABS, ask=menus, panels=None, waiting=waiting, question=asked, glossary=captions.GLOSSARY
        )
    boxes = tuple(
        drawn(found, name, captions.facts(name, found), "residual" if found.skips else "plain")
        for name, found in read
    )
    return View(
        tabs=_TABS,
        ask=menus,
        headline=captions.comparison(*read),
        why=captions.DRAWING_WHY,
        panels=((Blueprint("drawing", boxes, "opened"),),),
        conditions=captions.DRAWING_CONDITIONS,
        glossary=captions.GLOSSARY,
        question=asked,
    )


def _question(state: ArchitectureState, parameters: Sequence[int]) -> Question | None:
    """Return what is asked about the networks that come first; `parameters` is of those that are read."""
    usual = ArchitectureState()
    if (state.left, state.right) != (usual.left, usual.right):
        return None
    right, told = None, ""
    if len(parameters) == 2:
        times = parameters[1] / parameters[0]
        right = "hardly" if times <= captions.HARDLY else "some" if times <= captions.HALF else "many"
        told = captions.more_told(*parameters)
    return Question(
        f"architecture/{state.left}-{state.right}",
        captions.more_question(state.left, state.right),
        tuple(Choice(*pair) for pair in captions.MORE.items()),
        right,
        captions.MORE_RULE,
        told,
        captions.MORE_WHY,
        captions.MORE_REPLIES,
    )


# --- depth --------------------------------------------------------------------------------------------------


def _rows(series: str) -> list[Row]:
    pattern = _SERIES[series][1]
    rows = [row for row in family() if re.fullmatch(pattern, row["model"])]
    return sorted(rows, key=lambda row: row["depth"])


def depths(series: str) -> list[int]:
    """Return the depths of a series, the least first."""
    return [int(row["depth"]) for row in _rows(series)]


def _depth_page(state: ArchitectureState) -> View:
    data, _, side, _ = _SERIES[state.series]
    rows = _rows(state.series)
    stops = tuple(Choice(int(row["depth"]), f"{row['depth']:.0f}") for row in rows)
    series = tuple(Choice(name, words[3]) for name, words in _SERIES.items())
    return View(
        tabs=_TABS,
        ask=(Menu("series", "Networks", series),),
        headline=Over("depth", {int(row["depth"]): captions.growth(row) for row in rows}),
        why=captions.GROWTH_WHY,
        panels=((Charts("growth", _curves(rows, side), chooses="depth"),),),
        sliders=(Slider("depth", "Depth", stops, play=True),),
        conditions=captions.growth_conditions(data, side),
        glossary=captions.GLOSSARY,
    )


def _curves(rows: Sequence[Row], side: int) -> tuple[Chart, ...]:
    """Return what grows, a chart each, with a point that the slider moves."""
    columns = (
        ("parameters", "parameters (millions)", 1e6),
        ("macs", "multiply-adds (billions)", 1e9),
        ("receptive_field", "receptive field (pixels)", 1.0),
    )
    return tuple(_curve(rows, *column, limit=side) for column in columns)


def _curve(rows: Sequence[Row], column: str, label: str, unit: float, limit: int) -> Chart:
    depth, values = [row["depth"] for row in rows], [row[column] / unit for row in rows]
    image = [Mark(f"the image: {limit}", y=limit)] if column == "receptive_field" else []
    return Chart(
        label,
        Axis.around("depth (layers with weights)", depth, name="depth", whole=True),
        Axis.around(label, values, [m.y for m in image]),
        (Series("ResNet", depth, values, "residual"),),
        image,
        chosen=Over("depth", {int(d): d for d in depth}),
    )


# --- the family ---------------------------------------------------------------------------------------------

_LAYERS = "Convolutions and fully connected layers on the longest way from the image to the answer"
_IMAGENET = "One crop, the 50,000 validation pictures of ImageNet, 1,000 classes"
_COLUMNS = (
    Column("Network"),
    Column("Input", tip="Pixels of the image that it is measured with"),
    Column("Layers", 0, tip=_LAYERS),
    Column("by name", 0, tip="The depth that the network's name states"),
    Column("Parameters (M)", 2),
    Column("MACs (G)", 3, tip="Multiply-adds for one image"),
    Column("Sees (pixels)", 0, tip="How far an output of the last stage can look at most"),
    Column("ImageNet top-1 %", 2, best=-1, tip=_IMAGENET),
    Column("newer recipe %", 2, best=-1, tip=f"{_IMAGENET}; trained longer and otherwise"),
    Column("CIFAR-10 top-1 %", 2, best=-1, tip="The 10,000 test pictures, 10 classes"),
    Column("Source", tip="torchvision: what its weights say of themselves; timm: its results-imagenet.csv"),
)


def _family_page() -> View:
    """Return the table of what is listed, and of two networks to compare it with."""
    names = {*list_models(), "vgg16", "vgg19"}
    rows = {row["model"]: row for row in family() if row["model"] in names}
    compared = tuple(k for k, name in enumerate(rows) if name in captions.COMPARED)
    table = Table("family", _COLUMNS, tuple(map(_cells, rows.values())), "sort", compared)
    return View(
        tabs=_TABS,
        headline=captions.best_of(rows),
        panels=((table,),),
        conditions=captions.FAMILY_CONDITIONS,
        glossary=captions.GLOSSARY,
    )


def _cells(row: Row) -> tuple[Any, ...]:
    cifar, accuracy = row["family"] == "CIFAR", row["accuracy"]
    return (
        *(row["model"], "32×32" if cifar else "224×224", row["depth"], captions.named_depth(row["model"])),
        *(row["parameters"] / 1e6, row["macs"] / 1e9, row["receptive_field"]),
        *(None if cifar else accuracy, row["newer"], accuracy if cifar else None, _source(row)),
    )


def _source(row: Row) -> str | None:
    said = row["source"]
    return said and said.removesuffix(", meta of its weights").removesuffix(", results-imagenet.csv")
