"""What is computed about feature maps: one pass a depth, and exact values of a channel that is enlarged."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import SMALL, Images
from resnet_explore.widgets.catalog.networks import Loaded, NamedNetwork, Networks
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.feature_maps import captions
from resnet_explore.widgets.feature_maps.scene import Scene

if TYPE_CHECKING:
    from torch import Tensor

    from resnet_explore.analysis.activations.feature_maps import FeatureMaps
    from resnet_explore.analysis.capture.capture import Layers

LARGEST = 56  # side of a tile; on the page one is seldom larger
MOST = 16_000_000  # values that one network's tiles may hold; each travels as a byte
_FEW = 150_000  # numbers in a batch below which more threads only get into each other's way


class FeatureMapLab:
    """An explorer's networks and images, and what its jobs share: a network runs one pass at a time.

    networks  the entries of the menu, by key
    layers    which layers to show, as in `Capture`; None for the blocks
    """

    def __init__(self, networks: Mapping[str, Networks], images: Images, layers: "Layers" = None) -> None:
        self.networks, self.images, self.layers = networks, images, layers
        self._loaded = Loaded()
        self._passing = threading.Lock()
        self._fields: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        # By networks, depth and image, for as long as the runner keeps them.
        self.scenes: WeakValueDictionary[tuple[str, int, str], Scene] = WeakValueDictionary()

    @contextmanager
    def passing(self, key: str, depth: int) -> Iterator[tuple[NamedNetwork, ...]]:
        """Give the networks of a depth to one thread at a time."""
        with self._passing:
            yield self._loaded(self.networks[key], depth)

    def blocks(self, key: str, depth: int, image: str) -> int | None:
        """Return how many stops the block slider has, None as long as that is not known."""
        scene = self.scenes.get((key, depth, image))
        return None if scene is None else len(scene.steps)

    def fields(self, key: str, depth: int, size: tuple[int, ...]) -> list[dict[str, Any]]:
        """Return receptive fields of each network's layers by name, of those that are not the whole input."""
        from resnet_explore.models.summary import fields_if_known

        if (key, depth, size) not in self._fields:
            networks = self._loaded(self.networks[key], depth)
            found = [fields_if_known(network.model, size) for network in networks]
            flat = [{name: asdict(w) for name, w in each.items() if len(w.field) == 2} for each in found]
            self._fields[key, depth, size] = flat
        return self._fields[key, depth, size]


@dataclass(frozen=True)
class Measure(Job):
    """Run the networks of one depth on an image, and keep their maps."""

    lab: FeatureMapLab = field(compare=False, repr=False)
    networks: str
    depth: int
    image: str
    says = "Loading the networks ..."

    def run(self, task: Task) -> Scene:
        """Return the scene of this depth."""
        from resnet_explore.models.threads import one_thread

        lab = self.lab
        with lab.passing(self.networks, self.depth) as networks:
            task.check()
            form = lab.images.form_for(networks[-1].about)
            picture = lab.images.picture(self.image)
            batch = lab.images.batch(self.image, form)
            task.say(_running(networks, batch, lab.layers))
            averaged: list[str] = []
            with one_thread() if batch.numel() < _FEW else nullcontext():
                measured = tuple(_maps_of(network, batch, lab.layers, averaged) for network in networks)
        small = batch[0, 0].numel() <= SMALL**2
        filters = tuple(_filters_of(network) for network in networks)
        scene = Scene(
            networks, measured, filters, picture.colors(form), picture.about, small, tuple(averaged)
        )
        lab.scenes[self.networks, self.depth, self.image] = scene
        return scene


def _running(networks: tuple[NamedNetwork, ...], batch: "Tensor", layers: "Layers") -> str:
    """Say how much memory it takes if it is much; raises where there is less."""
    from resnet_explore.analysis.activations.memory import foretold

    told = [(network.name, foretold(network.model, batch, layers, LARGEST)) for network in networks]
    much = "; ".join(f"{name}: {words}" for name, words in told if words)
    return f"Running the networks ({much}) ..." if much else "Running the networks ..."


def _maps_of(network: NamedNetwork, batch: "Tensor", layers: "Layers", averaged: list[str]) -> "FeatureMaps":
    from resnet_explore.analysis._batch import why_not_finite
    from resnet_explore.analysis.activations.feature_maps import feature_maps
    from resnet_explore.models.memory import in_words

    maps = feature_maps(network.model, batch, layers, LARGEST)
    if maps.not_finite:
        why = why_not_finite(network.model)
        raise ExploreError(captions.not_finite(network.name, maps.not_finite, len(maps), why))
    fewer = maps.within(MOST)
    if fewer.side < maps.side:
        averaged.append(captions.averaged(network.name, fewer.side, len(maps), in_words(maps.nbytes)))
    return fewer


def _filters_of(network: NamedNetwork) -> tuple[str, np.ndarray] | None:
    from resnet_explore.analysis.topology.map_layers import first_filters

    return first_filters(network.model)


@dataclass(frozen=True)
class ReadChannel(Job):
    """Find the exact values of one channel at full size, for each sheet of a view.

    Runs behind `Measure` of the same depth and image.
    """

    lab: FeatureMapLab = field(compare=False, repr=False)
    view: str
    networks: str
    depth: int
    image: str
    block: int
    channel: int
    says = ""

    def run(self, task: Task) -> dict[str, Any]:
        """Return {"maps": float32 (h, w) or (h, w, 3) or None each, "fields": receptive fields or None}."""
        scene = self.lab.scenes.get((self.networks, self.depth, self.image))
        if scene is None:  # it could not be measured, and that is said
            return {"maps": [], "fields": []}
        if self.view == "filters":
            maps = [_weights(named, self.channel) for named in scene.filters]
            return {"maps": maps, "fields": [None] * len(maps)}
        layers = scene.steps[min(self.block, len(scene.steps)) - 1]
        which = scene.streaming if self.view == "parts" else None
        asked = list(enumerate(layers)) if which is None else [(which, layers[which])]
        with self.lab.passing(self.networks, self.depth) as networks:
            batch = self.lab.images.picture(self.image).batch(self.lab.images.form_for(networks[-1].about))
            fields = self.lab.fields(self.networks, self.depth, tuple(batch.shape[1:]))
            task.check()
            maps = []
            for k, layer in asked:
                whole = _whole_of(networks[k], batch, layer.name, layer.ratio, which is not None)
                maps += [each[self.channel] if self.channel < len(each) else None for each in whole]
        known = [fields[k].get(layer.name) for k, layer in asked]
        return {"maps": maps, "fields": known if which is None else known * len(maps)}


def _whole_of(
    network: NamedNetwork, batch: "Tensor", layer: str, ratio: float | None, parts: bool
) -> list[np.ndarray]:
    """Return a layer's output at full size, or its summands and their sum; none where it has no sum."""
    from resnet_explore.analysis.activations.feature_maps import whole_map

    if not parts:
        return [whole_map(network.model, batch, layer)]
    if ratio is None:
        return []
    skip, branch = (whole_map(network.model, batch, layer, part) for part in ("skip", "branch"))
    return [skip, branch, skip + branch]


def _weights(named: tuple[str, np.ndarray] | None, channel: int) -> np.ndarray | None:
    """Return a filter's weights: (h, w, 3) over colours, else (h, w), the mean over input channels."""
    if named is None or channel >= len(named[1]):
        return None
    weights = named[1][channel]
    return np.asarray(weights.transpose(1, 2, 0) if len(weights) == 3 else weights.mean(0), np.float32)


def whole_maps(lab: FeatureMapLab, scene: Scene, key: str, depth: int, image: str) -> dict[str, np.ndarray]:
    """Return all maps at full size by "network/block/output", "/skip" and "/branch", and the input, "image".

    Raises `ExploreError` where that takes more memory than is free.
    """
    import torch

    from resnet_explore.analysis.activations.feature_maps import feature_maps
    from resnet_explore.analysis.activations.memory import free_memory, in_words

    whole, free = sum(maps.nbytes for maps in scene.measured), free_memory(torch.device("cpu"))
    if whole > free:
        raise ExploreError(captions.too_large(in_words(whole), in_words(free)))
    with lab.passing(key, depth) as networks:
        batch = lab.images.picture(image).batch(lab.images.form_for(networks[-1].about))
        arrays: dict[str, np.ndarray] = {"image": batch[0].cpu().numpy()}
        for network in networks:
            for name, layer in feature_maps(network.model, batch, lab.layers).items():
                parts = {"output": layer.maps, "skip": layer.skip, "branch": layer.branch}
                arrays |= {f"{network.name}/{name}/{k}": v for k, v in parts.items() if v is not None}
    return arrays
