"""What was measured at one depth, as tiles: what comes out of each block, its summands, the first filters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.figures.mosaic import common_scale, filter_colors
from resnet_explore.widgets.catalog.networks import NamedNetwork
from resnet_explore.widgets.core.tiles_panel import DEAD, SATURATED, Sheet, Shown, sheet
from resnet_explore.widgets.feature_maps import captions

if TYPE_CHECKING:  # torch is loaded by what measures
    from resnet_explore.analysis.activations.feature_maps import FeatureMaps, Layer

Orders = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Scene:
    """One depth: its networks, and what they said to one image.

    measured  what came out of each network's layers
    filters   (name, weights (out, in, h, w)) of each network's first convolution, or None
    colors    the image as the networks see it, uint8 (H, W, 3)
    about     what the image is, in words
    small     whether it is so small that statistics are over others, too
    averaged  sentences on tiles that had to be made smaller
    """

    networks: tuple[NamedNetwork, ...]
    measured: "tuple[FeatureMaps, ...]"
    filters: tuple[tuple[str, np.ndarray] | None, ...]
    colors: np.ndarray
    about: str
    small: bool
    averaged: tuple[str, ...] = ()

    @cached_property
    def steps(self) -> "list[tuple[Layer, ...]]":
        """For each stop of the block slider a layer of each network; twins pair one to one."""
        names = [list(maps) for maps in self.measured]
        count = max(map(len, names))
        return [
            tuple(maps[own[i * len(own) // count]] for maps, own in zip(self.measured, names, strict=True))
            for i in range(count)
        ]

    @cached_property
    def first_correlations(self) -> np.ndarray:
        """How the maps of each of the first block's channels correlate in two networks, (channels,)."""
        one, other = (layer.maps.reshape(len(layer.maps), -1) for layer in self.steps[0])
        pairs = zip(one, other, strict=True)
        return np.array([np.corrcoef(a, b)[0, 1] if a.std() and b.std() else 0.0 for a, b in pairs])

    @cached_property
    def streaming(self) -> int | None:
        """Which network's skips are shown: the last that has any."""
        have = [
            k
            for k, maps in enumerate(self.measured)
            if any(layer.ratio is not None for layer in maps.values())
        ]
        return have[-1] if have else None

    @cached_property
    def maps(self) -> dict[int, Shown]:
        """What comes out of each block, by its number."""
        return {k: self._maps_of(k, layers) for k, layers in enumerate(self.steps, 1)}

    @cached_property
    def parts(self) -> dict[int, Shown]:
        """What a skip carried, what the branch added, and their sum, by the block's number."""
        if self.streaming is None:
            return {}
        return {k: self._parts_of(k, layers, self.streaming) for k, layers in enumerate(self.steps, 1)}

    @cached_property
    def first_filters(self) -> Shown | None:
        """The weights of the first layers; None if a network has none."""
        found = [named for named in self.filters if named is not None]
        return _filters_shown(self.networks, found) if len(found) == len(self.networks) else None

    def _maps_of(self, block: int, layers: "Sequence[Layer]") -> Shown:
        ranks = orders(layers)
        sheets = [
            sheet(
                captions.heading(network.name, layer, layers),
                network.kind,
                layer.maps,
                order,
                layer.statistics.dead * DEAD + layer.statistics.saturated * SATURATED,
                layer.shape,
            )
            for network, layer, order in zip(self.networks, layers, ranks, strict=True)
        ]
        scale = common_scale([layer.maps for layer in layers])
        names = [network.name for network in self.networks]
        note = " ".join(filter(None, [captions.output(block, layers), captions.dead(names, layers)]))
        marked = any(layer.statistics.dead.any() or layer.statistics.saturated.any() for layer in layers)
        return Shown(
            captions.block_name(block),
            sheets,
            scale,
            note,
            captions.scaled(scale, len(layers)),
            together(sheets),
            marked,
        )

    def _parts_of(self, block: int, layers: "Sequence[Layer]", which: int) -> Shown:
        network, layer = self.networks[which], layers[which]
        if layer.skip is None or layer.branch is None:
            return Shown(captions.block_name(block), (captions.no_sum(block, network.name),))
        order = orders(layers)[which]
        if len(layer.skip) != len(layer.maps):  # the block does more after the sum than norm and ReLU
            strength = np.abs(layer.skip).mean((1, 2)) + np.abs(layer.branch).mean((1, 2))
            order = {"activation": _descending(strength)}
        parts = (layer.skip, layer.branch, layer.skip + layer.branch)
        scale = common_scale(parts)
        sheets = [
            sheet(words, network.kind, maps, order, None, (len(maps), *layer.shape[1:]), sign)
            for (sign, words), maps in zip(captions.PARTS, parts, strict=True)
        ]
        note = captions.parts_note(block, network.name, layer)
        return Shown(captions.block_name(block), sheets, scale, note, captions.scaled(scale, 3))


def orders(layers: "Sequence[Layer]") -> list[Orders]:
    """Return each layer's channels by activation and by how much the twins differ, largest first.

    Where the layers have the same channels, all get one order, so that a channel keeps its place.
    """
    from resnet_explore.analysis.activations.feature_maps import difference

    if len({len(layer.maps) for layer in layers}) > 1:
        return [{"activation": _descending(layer.activation)} for layer in layers]
    found = {"activation": _descending(np.sum([layer.activation for layer in layers], 0))}
    apart = difference(*layers) if len(layers) == 2 else None
    if apart is not None:
        found["difference"] = _descending(apart)
    return [found] * len(layers)


def together(sheets: Sequence[Sheet]) -> str:
    """Return how two networks' channels are sorted, in words; "" for one network."""
    if len(sheets) < 2:
        return ""
    return captions.TOGETHER if len({len(one.tiles) for one in sheets}) == 1 else captions.APART


def _filters_shown(networks: Sequence[NamedNetwork], found: Sequence[tuple[str, np.ndarray]]) -> Shown:
    sizes = [np.abs(weights).mean((1, 2, 3)) for _, weights in found]
    alike = len({len(size) for size in sizes}) == 1  # then a filter has one place in both
    ranks = [_descending(np.sum(sizes, 0) if alike else size) for size in sizes]
    rgb = all(weights.shape[1] == 3 for _, weights in found)
    tiles = [filter_colors(weights) if rgb else weights.mean(1) for _, weights in found]
    sheets = [
        sheet(f"{network.name}, {name}", network.kind, maps, {"activation": rank})
        for network, (name, _), maps, rank in zip(networks, found, tiles, ranks, strict=True)
    ]
    scale = 1.0 if rgb else common_scale(tiles, share=1.0)
    note = captions.filters_note(max(weights.shape[1] for _, weights in found), rgb)
    return Shown("the first layer", sheets, scale, note, "", together(sheets))


def _descending(values: np.ndarray) -> np.ndarray:
    return np.argsort(-values, kind="stable")


def rows_of(scene: Scene) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each network, block and channel: the numbers behind the tiles."""
    from resnet_explore.analysis.activations.feature_maps import difference

    for layers in scene.steps:
        apart = difference(*layers) if len(layers) == 2 else None
        for network, layer, order in zip(scene.networks, layers, orders(layers), strict=True):
            numbers, over = layer.here, layer.statistics
            places = {name: np.argsort(ranks) + 1 for name, ranks in order.items()}
            for k in range(layer.shape[0]):
                yield {
                    "network": network.name,
                    "block": layer.name,
                    "channel": k,
                    "mean": numbers.mean[k],
                    "std": numbers.std[k],
                    "zeros": numbers.zeros[k],
                    "smallest": numbers.low[k],
                    "largest": numbers.high[k],
                    "dead": bool(over.dead[k]),
                    "saturated": bool(over.saturated[k]),
                    "activation_on_this_image": layer.activation[k],
                    "difference_between_networks": None if apart is None else apart[k],
                    "place_by_activation": places["activation"][k],
                    "place_by_difference": places["difference"][k] if "difference" in places else None,
                    "block_branch_over_skip": layer.ratio,
                }
