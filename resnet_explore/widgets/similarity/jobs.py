"""What is computed about how alike layers are: own networks measured, two layers looked at."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.analysis.similarity_record import KINDS
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.networks import OWN, Loaded, NamedNetwork, Networks
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.tiles_panel import DEAD, MARK, SATURATED, Sheet, Shown, sheet
from resnet_explore.widgets.similarity import captions
from resnet_explore.widgets.similarity.grids import ComparedNetworks, Grid, recorded_grids
from resnet_explore.widgets.similarity.records import recorded

if TYPE_CHECKING:
    from torch import Tensor, nn

_LARGEST = 56  # side of a tile


class SimilarityLab:
    """An explorer's networks and images; a network runs one pass at a time.

    compared  what was measured of a person's own networks, None as long as that is not known
    """

    def __init__(self, networks: Mapping[str, Networks], images: Images) -> None:
        self.networks, self.images = networks, images
        self.compared: ComparedNetworks | None = None
        self._loaded = Loaded()
        self._passing = threading.Lock()

    def grids(self, cell: "Cells") -> tuple[Grid, ...] | None:
        """Return the matrices of a choice, None as long as they are not known."""
        if cell.networks != OWN:
            record = recorded(cell.networks).similarities
            return recorded_grids(record, cell.depth, cell.comparing, cell.layers)
        return None if self.compared is None else self.compared.grids(cell.comparing, cell.layers)

    def measured(self, task: Task) -> ComparedNetworks:
        """Compare the layers of a person's networks, once. Raises `ExploreError` as `rx.similarity` does."""
        with self._passing:
            self.compared = self.compared or self._measured(task)
            return self.compared

    def _measured(self, task: Task) -> ComparedNetworks:
        from resnet_explore.analysis.similarity import similarity

        networks = self._loaded(self.networks[OWN], 0)
        task.say("Comparing the layers ...")
        images = self._batch(networks)
        found, blocks = {}, []
        for k, network in enumerate(networks):
            found[k, k] = similarity(network.model, network.model, images)
            blocks.append(_blocks(network.model, images, found[k, k].rows))
            task.check()
        if len(networks) == 2:
            found[0, 1] = similarity(networks[0].model, networks[1].model, images)
        names, kinds = (tuple(getattr(one, what) for one in networks) for what in ("name", "kind"))
        return ComparedNetworks(names, kinds, tuple(blocks), found)

    def _batch(self, networks: tuple[NamedNetwork, ...]) -> "Tensor":
        """Return all images that are offered from the start and have the size of the first.

        One batch for all matrices, in the form that the last network takes, as for two layers that look at
        a picture: else a network with itself and with the other would not be measured on the same. Uploads
        are looked at alone: what was measured must not depend on when it was.
        """
        import torch

        form = self.images.form_for(networks[-1].about)
        choices = self.images.given(self.networks[OWN].data)
        batches = [self.images.picture(choice.value).batch(form) for choice in choices]
        return torch.cat([one for one in batches if one.shape == batches[0].shape])

    def looked(self, cells: "Cells", pair: tuple[int, int, int], image: str, task: Task) -> "TwoLayers":
        """Return what the layers of a cell say to an image; raises `ExploreError` if there is no such one."""
        from resnet_explore.figures.mosaic import common_scale
        from resnet_explore.models.threads import one_thread

        if cells.networks == OWN:
            self.measured(task)
        sides = self._sides(cells, pair)
        with self._passing, one_thread():
            networks = self._loaded(self.networks[cells.networks], cells.depth)
            form = self.images.form_for(networks[-1].about)
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

    def _sides(self, cells: "Cells", pair: tuple[int, int, int]) -> "tuple[ComparedLayer, ComparedLayer]":
        grids, (which, row, column) = self.grids(cells) or (), pair
        require_cell(grids, pair)
        kinds = self.compared.kinds if cells.networks == OWN and self.compared else KINDS
        return sides_of(grids[which], row, column, kinds)


def require_cell(grids: Sequence[Grid], pair: tuple[int, int, int]) -> None:
    """Raise `ExploreError` if matrices have no such cell."""
    which, row, column = pair
    there = 0 <= which < len(grids)
    if not there or not (0 <= row < len(grids[which].rows) and 0 <= column < len(grids[which].columns)):
        raise ExploreError(captions.no_pair([(len(grid.rows), len(grid.columns)) for grid in grids]))


@dataclass(frozen=True)
class Cells:
    """Which matrices: of which networks, how deep, what is compared and which layers, as in the state."""

    networks: str
    depth: int
    comparing: str
    layers: str


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
    """Return the blocks among the layers, () where there are not two."""
    from resnet_explore.analysis.topology.blocks_of import blocks_of

    try:
        names = [block.name for block in blocks_of(model, tuple(images.shape[1:]))]
    except ExploreError:  # it can't be traced
        names = []
    blocks = tuple(name for name in names if name in layers)
    return blocks if len(blocks) > 1 else ()


@dataclass(frozen=True)
class Compare(Job):
    """Compare the layers of a person's own networks."""

    lab: SimilarityLab = field(compare=False, repr=False)
    says = "Loading the networks ..."

    def run(self, task: Task) -> ComparedNetworks:
        """Return what was measured."""
        return self.lab.measured(task)


@dataclass(frozen=True)
class Look(Job):
    """Show an image to the networks, and keep what the two layers of a cell say."""

    lab: SimilarityLab = field(compare=False, repr=False)
    cells: Cells
    pair: tuple[int, int, int]
    image: str
    says = "Loading the networks ..."

    def run(self, task: Task) -> TwoLayers:
        """Return what both say."""
        return self.lab.looked(self.cells, self.pair, self.image, task)
