"""What is computed about how alike layers are: records read, own networks measured, two layers looked at."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.similarity_record import Similarities, load_similarities
from resnet_explore.errors import ExploreError
from resnet_explore.paths import shipped
from resnet_explore.training.runs import history
from resnet_explore.widgets.catalog.images import Images, InputForm, form_of
from resnet_explore.widgets.catalog.networks import Loaded, NamedNetwork, Networks
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.tiles_panel import DEAD, MARK, SATURATED, Sheet, Shown, sheet
from resnet_explore.widgets.similarity import captions
from resnet_explore.widgets.similarity.grids import ComparedNetworks, Grid

if TYPE_CHECKING:
    from torch import Tensor, nn

_LARGEST = 56  # side of a tile


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded of a data set's networks.

    errors  (plain, residual) in percent of the test images, by (depth, seed)
    """

    similarities: Similarities
    errors: Mapping[tuple[int, int], tuple[float, float]]


@dataclass(frozen=True)
class ReadSimilarities(Job):
    """Read what was recorded of a data set's networks."""

    data: str
    says = "Reading recorded similarities ..."

    def run(self, task: Task) -> Recorded:
        """Return the record."""
        record = load_similarities(self.data)
        last = {
            (row["kind"], row["depth"], row["seed"]): float(row["test_error"])
            for row in history(shipped("data", self.data))
            if row["epoch"] == row["epochs"]
        }
        errors = {
            (depth, seed): (last["plain", depth, seed], last["residual", depth, seed])
            for depth in record.depths
            for seed in record.seeds
        }
        return Recorded(record, errors)


class SimilarityLab:
    """An explorer's networks and images; a network runs one pass at a time."""

    def __init__(self, networks: Mapping[str, Networks], images: Images) -> None:
        self.networks, self.images = networks, images
        self._loaded = Loaded()
        self._passing = threading.Lock()

    def measured(self, key: str, task: Task) -> ComparedNetworks:
        """Compare the layers of a person's networks. Raises `ExploreError` as `rx.similarity` does."""
        from resnet_explore.analysis.similarity import similarity

        with self._passing:
            networks = self._loaded(self.networks[key], 0)
            task.say("Comparing the layers ...")
            images = self._batch(key, networks)
            found, blocks = {}, []
            for k, network in enumerate(networks):
                found[k, k] = similarity(network.model, network.model, images)
                blocks.append(_blocks(network.model, images, found[k, k].rows))
                task.check()
            if len(networks) == 2:
                found[0, 1] = similarity(networks[0].model, networks[1].model, images)
        names, kinds = (tuple(getattr(one, what) for one in networks) for what in ("name", "kind"))
        return ComparedNetworks(names, kinds, tuple(blocks), found)

    def form(self, network: NamedNetwork) -> InputForm:
        """Return how a photo becomes an input of a network."""
        return self.images.form or form_of(getattr(network.model, "about", None) or {})

    def _batch(self, key: str, networks: tuple[NamedNetwork, ...]) -> "Tensor":
        """Return all images that are offered from the start and have the size of the first.

        One batch for all matrices, in the form that the last network takes, as for two layers that look at
        a picture: else a network with itself and with the other would not be measured on the same. Uploads
        are looked at alone: what was measured must not depend on when it was.
        """
        import torch

        form = self.form(networks[-1])
        choices = self.images.given(self.networks[key].data)
        batches = [self.images.picture(choice.value).batch(form) for choice in choices]
        return torch.cat([one for one in batches if one.shape == batches[0].shape])

    def looked(self, key: str, depth: int, image: str, sides: "tuple[ComparedLayer, ...]") -> "TwoLayers":
        """Return what layers say to an image."""
        from resnet_explore.figures.mosaic import common_scale
        from resnet_explore.models.threads import one_thread

        with self._passing, one_thread():
            networks = self._loaded(self.networks[key], depth)
            form = self.form(networks[-1])
            picture = self.images.picture(image)
            batch = self.images.batch(image, form)
            sheets = [
                captions.not_here(side.name)
                if side.network is None
                else _sheet(networks[side.network], side, batch)
                for side in sides
            ]
        tiles = [one for one in sheets if isinstance(one, Sheet)]
        scale = common_scale([one.values(np.arange(len(one.tiles))) for one in tiles]) if tiles else 1.0
        marked = any(one.channels[MARK].any() for one in tiles)
        shown = Shown(captions.PAIR, sheets, scale, "", captions.scaled(scale) if tiles else "", "", marked)
        return TwoLayers(shown, picture.colors(form), picture.about)


@dataclass(frozen=True, eq=False)
class TwoLayers:
    """What two layers say to an image; `colors` is the image as the networks see it, uint8 (H, W, 3)."""

    shown: Shown
    colors: np.ndarray
    about: str


@dataclass(frozen=True)
class ComparedLayer:
    """One of two layers: the place of its network, None for one that is not here, and its name."""

    network: int | None
    layer: str
    name: str
    kind: str


def sides_of(
    grid: Grid, row: int, column: int, kinds: tuple[str, ...]
) -> tuple[ComparedLayer, ComparedLayer]:
    """Return the two layers of a cell."""
    layers = (grid.rows[row], grid.columns[column])
    first, second = (
        ComparedLayer(k, layer, name, grid.kind if k is None else kinds[k])
        for k, layer, name in zip(grid.networks, layers, grid.names, strict=True)
    )
    return first, second


def _sheet(network: NamedNetwork, side: ComparedLayer, batch: "Tensor") -> Sheet | str:
    from resnet_explore.analysis.activations.feature_maps import feature_maps

    try:
        layer = feature_maps(network.model, batch, [side.layer], _LARGEST)[side.layer]
    except ExploreError:
        return captions.no_maps(side.name, side.layer)
    marks = layer.statistics.dead * DEAD + layer.statistics.saturated * SATURATED
    order = {"activation": np.argsort(-layer.activation, kind="stable")}
    heading = captions.heading(side.name, side.layer, layer.shape)
    return sheet(heading, side.kind, layer.maps, order, marks, layer.shape)


def _blocks(model: "nn.Module", images: "Tensor", layers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the blocks among the layers; all layers where there are not two blocks."""
    from resnet_explore.analysis.topology.blocks_of import blocks_of

    try:
        names = [block.name for block in blocks_of(model, tuple(images.shape[1:]))]
    except ExploreError:  # it can't be traced
        names = []
    blocks = tuple(name for name in names if name in layers)
    return blocks if len(blocks) > 1 else layers


@dataclass(frozen=True)
class Compare(Job):
    """Compare the layers of a person's own networks."""

    lab: SimilarityLab = field(compare=False, repr=False)
    networks: str
    says = "Loading the networks ..."

    def run(self, task: Task) -> ComparedNetworks:
        """Return what was measured."""
        return self.lab.measured(self.networks, task)


@dataclass(frozen=True)
class Look(Job):
    """Show an image to the networks, and keep what two layers say."""

    lab: SimilarityLab = field(compare=False, repr=False)
    networks: str
    depth: int
    image: str
    sides: tuple[ComparedLayer, ...]
    says = "Loading the networks ..."

    def run(self, task: Task) -> Any:
        """Return what both say."""
        return self.lab.looked(self.networks, self.depth, self.image, self.sides)
