"""A bench for gradients: networks under chosen conditions, trained a few steps, measured and remembered."""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis.gradients.conditions import OWN, STEPS, Conditions
from resnet_explore.analysis.gradients.flow import GradientFlow, gradient_flow
from resnet_explore.analysis.gradients.jacobian import JacobianSpectra, jacobian_spectra
from resnet_explore.errors import ExploreError, require_module
from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.models.activations import with_activation
from resnet_explore.models.presets import build, config_of
from resnet_explore.models.threads import one_thread
from resnet_explore.training.live import LiveTraining
from resnet_explore.training.runs import model_name


@dataclass(frozen=True, eq=False)
class Batch:
    """What gradients are taken over, and where steps of SGD draw from.

    images, labels  of the batch; pool, pool_labels the images that SGD draws from
    data            "digits", "cifar10", "noise" or "yours"
    classes         how many a network for it tells apart
    width, lr       of networks for it: channels of the first stage, rate of SGD
    """

    images: Tensor
    labels: Any
    pool: Tensor
    pool_labels: Any
    data: str
    classes: int
    width: int
    lr: float


KEEP_MOST = 24  # networks with what they were after each ten steps; a network of 110 layers is 7 MB


@dataclass(eq=False)
class _Way:
    """A network's way through training: what it was after so many steps, and what trains it."""

    kept: dict[int, nn.Module] = field(default_factory=dict)
    training: LiveTraining | None = None


class GradientLab:
    """Builds networks, trains them a few steps, measures them; whatever was measured once is kept.

    Of the networks themselves the last ones are kept; others are built and trained anew, to the same weights.

    images, labels  a batch of your own, offered as data "yours"
    models          {name: network} of your own, or one network; their kinds are these names, their depth is 0
    loss            for own networks whose output is no logits
    batch           how many images gradients are taken over; None for 64 digits, 32 of 32×32, or all of yours
    seed            of weights, noise and the order of training images

    Raises `ExploreError` for own images or labels that are missing or don't fit, and for what is no network.
    """

    def __init__(
        self,
        images: Tensor | None = None,
        labels: Any = None,
        models: nn.Module | Mapping[str, nn.Module] | None = None,
        loss: Callable[[Any, Any], Tensor] | None = None,
        batch: int | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(models, nn.Module):
            models = {"model": models}
        if models is not None and not (isinstance(models, Mapping) and models):
            raise ExploreError(
                f"models must be a network, or {{name: network}} with at least one, not {models!r:.60}."
            )
        self.models, self.seed, self.loss, self._size = dict(models or {}), seed, loss, batch
        self.batches: dict[str, Batch] = {}
        self._ways: OrderedDict[tuple[Any, ...], _Way] = OrderedDict()
        self._broke: dict[tuple[Any, ...], int] = {}
        self._keeping = threading.Lock()
        self._flows: dict[tuple[Any, ...], GradientFlow] = {}
        self._locks: dict[tuple[Any, ...], threading.Lock] = {}
        for name, model in self.models.items():
            require_module(model, f"models[{name!r}]")
        if images is None and (self.models or labels is not None):
            raise ExploreError("images are missing: pass a batch as a float tensor (N, C, H, W).")
        if images is not None:
            self.batches[OWN] = self._own(images, labels)

    def batch(self, data: str) -> Batch:
        """Return the batch of that name, loaded when first asked for."""
        if data not in self.batches:
            self.batches[data] = self._noise() if data == "noise" else self._load(data)
        return self.batches[data]

    def flow(self, kind: str, depth: int, given: Conditions, skip: float = 1.0) -> GradientFlow:
        """Measure one network under these conditions; `skip` scales what its shortcuts carry."""
        network = _network(kind, depth, given, skip)
        key = (*network, given.mode, given.steps)
        with self._locks.setdefault(network, threading.Lock()):
            if key not in self._flows:
                batch = self.batch(given.data)
                with one_thread():
                    model = self._model(network, given.steps, batch)
                    self._flows[key] = gradient_flow(
                        model, batch.images, batch.labels, given.mode, self.loss if self.models else None
                    )
            return self._flows[key]

    def broke_at(self, kind: str, depth: int, given: Conditions, skip: float = 1.0) -> int | None:
        """Return at which step before `given.steps` the loss was first not finite, None if at none."""
        step = self._broke.get(_network(kind, depth, given, skip))
        return step if step is not None and step < given.steps else None

    def spectra(self, kind: str, depth: int, given: Conditions) -> JacobianSpectra:
        """Measure the Jacobians of a network's blocks at the batch's first image."""
        images = self.batch(given.data).images
        network = self.network(kind, depth, given)
        with one_thread():
            return jacobian_spectra(network, images, mode=given.mode, top=1, steps=12, probes=1)

    def network(self, kind: str, depth: int, given: Conditions) -> nn.Module:
        """Return a network as `flow` measures it; not to be changed."""
        network = _network(kind, depth, given, 1.0)
        with self._locks.setdefault(network, threading.Lock()), one_thread():
            return self._model(network, given.steps, self.batch(given.data))

    def _model(self, network: tuple[Any, ...], steps: int, batch: Batch) -> nn.Module:
        """Return the network after so many steps; the way there is taken in strides of STEPS, each kept."""
        way = self._way(network)
        if 0 not in way.kept:
            way.kept[0] = self.models[network[0]] if self.models else self._build(network, batch)
        if steps and way.training is None:
            try:
                moving = copy.deepcopy(way.kept[0])
            except (RuntimeError, TypeError) as error:
                raise ExploreError(
                    f"The network can't be copied, so it can't be trained here ({error})."
                ) from None
            way.training = LiveTraining(
                moving, batch.pool, batch.pool_labels, batch.lr, len(batch.images), self.seed,
                self.loss if self.models else None,
            )  # fmt: skip
        while way.training is not None and steps not in way.kept:
            way.training.take(STEPS)
            way.kept[way.training.steps] = copy.deepcopy(way.training.model)
            if way.training.broke_at is not None:
                self._broke[network] = way.training.broke_at
        return way.kept[steps]

    def _way(self, network: tuple[Any, ...]) -> _Way:
        """Return a network's way, and forget those that were not asked for the longest."""
        with self._keeping:
            way = self._ways.setdefault(network, _Way())
            self._ways.move_to_end(network)
            while len(self._ways) > KEEP_MOST:
                self._ways.popitem(last=False)
            return way

    def _build(self, network: tuple[Any, ...], batch: Batch) -> nn.Module:
        kind, depth, _, norm, start, activation, skip = network
        config: Any = config_of(model_name("cifar", kind, depth))
        config = config.replace(
            widths=tuple(batch.width * 2**stage for stage in range(3)),
            in_channels=batch.images.shape[1],
            num_classes=batch.classes,
            norm=norm,
            init=start,
            skip_scale=skip,
        )
        return with_activation(build(config, seed=self.seed), activation)

    def _load(self, name: str) -> Batch:
        data = load_dataset(name, download=False) if name != "digits" else load_dataset(name)
        small = name == "digits"
        count = self._size or (64 if small else 32)
        pool = slice(None) if small else slice(0, 2_000)
        return Batch(
            data.normalized(slice(0, count)), data.labels[:count], data.normalized(pool), data.labels[pool],
            name, len(data.classes), 8 if small else 16, 0.04 if small else 0.1,
        )  # fmt: skip

    def _noise(self) -> Batch:
        count = self._size or 32
        random = torch.Generator().manual_seed(self.seed)
        images = torch.randn(count, 3, 32, 32, generator=random)
        labels = torch.randint(10, (count,), generator=random)
        return Batch(images, labels, images, labels, "noise", 10, 16, 0.1)

    def _own(self, images: Any, labels: Any) -> Batch:
        if not isinstance(images, Tensor) or images.ndim < 2 or not len(images):
            raise ExploreError("images must be a float tensor (N, C, H, W), standardised.")
        if labels is None and self.loss is None:
            raise ExploreError(
                "labels are missing: pass one class index per image, or a loss that needs none."
            )
        if labels is not None and not isinstance(labels, Tensor):
            try:
                labels = torch.as_tensor(labels)
            except (TypeError, ValueError, RuntimeError):
                raise ExploreError(
                    f"labels must be whole numbers, one class index per image, not {labels!r:.60}."
                ) from None
        count = min(len(images), self._size or len(images))
        classes = 2
        if labels is not None and not labels.is_floating_point() and labels.numel():
            classes = max(2, int(labels.max()) + 1)
        batch_labels = None if labels is None else labels[:count]
        width = 8 if max(images.shape[2:], default=0) <= 16 else 16
        return Batch(images[:count], batch_labels, images, labels, OWN, classes, width, 0.04)


def _network(kind: str, depth: int, given: Conditions, skip: float) -> tuple[Any, ...]:
    """Return what a network is known by, whatever its mode and its steps."""
    return (kind, depth, given.data, given.norm, given.start, given.activation, skip)
