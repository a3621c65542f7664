"""What the gradient explorer can be asked: conditions as data, and a bench that measures and remembers."""

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis.gradients import GradientFlow, gradient_flow
from resnet_explore.analysis.layers import norms_of
from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.models.activations import with_activation
from resnet_explore.models.presets import build, config_of
from resnet_explore.models.threads import one_thread
from resnet_explore.training.live import LiveTraining
from resnet_explore.training.runs import model_name
from resnet_explore.widgets.words import data_in_brief

STEPS = 10  # of SGD at each press of the button
MODES = {"train": "train", "eval": "eval"}
NORMS = {"batch norm": "batch", "group norm": "group", "none": "none"}
STARTS = {"He": "he", "ReZero": "rezero", "SkipInit": "skipinit", "Fixup": "fixup"}
ACTIVATION_NAMES = {"ReLU": "relu", "tanh": "tanh", "GELU": "gelu", "none (linear)": "linear"}
DATA = {"digits, 8×8": "digits", "CIFAR-10, 32×32": "cifar10", "noise, 32×32": "noise"}
OWN = "yours"


@dataclass(frozen=True)
class Conditions:
    """What a measurement depends on, beside the network's kind and depth."""

    data: str = "digits"
    mode: str = "train"
    norm: str = "batch"
    start: str = "he"
    activation: str = "relu"
    steps: int = 0

    def made_possible(self, keep_norm: bool = False) -> tuple["Conditions", str]:
        """Return the nearest conditions that describe a network, and a sentence if they are others.

        keep_norm  whether the norm is what was asked for, so that it is the start that gives way
        """
        if self.start in ("skipinit", "fixup") and self.norm != "none":
            start, norm = _key(STARTS, self.start), _key(NORMS, self.norm)
            why = f"{start} does without normalisation, so"
            if keep_norm:
                return replace(self, start="he"), f"{why} the start is He until the norm is none again."
            return replace(
                self, norm="none"
            ), f"{why} the norm is none while it is chosen, instead of {norm}."
        return self, ""


@dataclass(frozen=True, eq=False)
class Batch:
    """What gradients are taken over, and where steps of SGD draw from.

    images, labels  of the batch; pool, pool_labels the images that SGD draws from
    words           what it is, for captions; width, lr  of networks for it
    """

    images: Tensor
    labels: Any
    pool: Tensor
    pool_labels: Any
    classes: int
    words: str
    width: int
    lr: float


class Bench:
    """Builds networks, trains them a few steps, measures them; whatever was measured once is kept.

    images, labels  a batch of the reader's own, offered as data "yours"
    models          {name: network} of the reader's own, or one network; their kinds are these names, their
                    depth is 0
    loss            for own networks whose output is no logits
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
        self.models, self.seed, self._loss, self._size = dict(models or {}), seed, loss, batch
        self.batches: dict[str, Batch] = {}
        self._trained: dict[tuple[Any, ...], dict[int, nn.Module]] = {}
        self._training: dict[tuple[Any, ...], LiveTraining] = {}
        self._flows: dict[tuple[Any, ...], GradientFlow] = {}
        self.broken: dict[GradientFlow, int] = {}  # at which step the loss on the way there left all bounds
        self._locks: dict[tuple[Any, ...], threading.Lock] = {}
        for name, model in self.models.items():
            if not isinstance(model, nn.Module):
                raise ExploreError(f"models[{name!r}] must be a torch.nn.Module, not {type(model).__name__}.")
        if images is None and (self.models or labels is not None):
            raise ExploreError("images are missing: pass a batch as a float tensor (N, C, H, W).")
        if images is not None:
            self.batches[OWN] = self._own(images, labels)

    def batch(self, data: str) -> Batch:
        """Return the batch of that name, loaded when first asked for."""
        if data not in self.batches:
            self.batches[data] = self._noise() if data == "noise" else self._load(data)
        return self.batches[data]

    @property
    def about(self) -> str:
        """What is known of the reader's own networks, in words; "" if there are none."""
        if not self.models:
            return ""
        norms = {name: norms_of(model) for name, model in self.models.items()}
        starts = {name: _start_of(model) for name, model in self.models.items()}
        loss = "your own loss" if self._loss else "mean cross-entropy"
        return f"{_each(norms)}; {_each(starts)}; seed of the weights not known; {loss}"

    def flow(self, kind: str, depth: int, given: Conditions, skip: float = 1.0) -> GradientFlow:
        """Measure one network under these conditions; `skip` scales what its shortcuts carry."""
        network = (kind, depth, given.data, given.norm, given.start, given.activation, skip)
        key = (*network, given.mode, given.steps)
        with self._locks.setdefault(network, threading.Lock()):
            if key not in self._flows:
                batch = self.batch(given.data)
                with one_thread():
                    model = self._model(network, given.steps, batch)
                    self._flows[key] = gradient_flow(
                        model, batch.images, batch.labels, given.mode, self._loss if self.models else None
                    )
                training = self._training.get(network)
                if training and training.broke_at is not None and training.broke_at < given.steps:
                    self.broken[self._flows[key]] = training.broke_at
            return self._flows[key]

    def network(self, kind: str, depth: int, given: Conditions) -> nn.Module:
        """Return a network as `flow` measures it; not to be changed."""
        network = (kind, depth, given.data, given.norm, given.start, given.activation, 1.0)
        with self._locks.setdefault(network, threading.Lock()), one_thread():
            return self._model(network, given.steps, self.batch(given.data))

    def _model(self, network: tuple[Any, ...], steps: int, batch: Batch) -> nn.Module:
        """Return the network after so many steps; the way there is taken in strides of STEPS, each kept."""
        kept = self._trained.setdefault(network, {})
        if 0 not in kept:
            kept[0] = self.models[network[0]] if self.models else self._build(network, batch)
        if steps and network not in self._training:
            try:
                moving = copy.deepcopy(kept[0])
            except (RuntimeError, TypeError) as error:
                raise ExploreError(
                    f"The network can't be copied, so it can't be trained here ({error})."
                ) from None
            self._training[network] = LiveTraining(
                moving, batch.pool, batch.pool_labels, batch.lr, len(batch.images), self.seed,
                self._loss if self.models else None,
            )  # fmt: skip
        while steps not in kept:
            training = self._training[network]
            training.take(STEPS)
            kept[training.steps] = copy.deepcopy(training.model)
        return kept[steps]

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
            len(data.classes), f"{count} training images of {name}",
            8 if small else 16, 0.04 if small else 0.1,
        )  # fmt: skip

    def _noise(self) -> Batch:
        count = self._size or 32
        random = torch.Generator().manual_seed(self.seed)
        images = torch.randn(count, 3, 32, 32, generator=random)
        labels = torch.randint(10, (count,), generator=random)
        words = f"{count} images of 32×32 Gaussian noise with random labels"
        return Batch(images, labels, images, labels, 10, words, 16, 0.1)

    def _own(self, images: Any, labels: Any) -> Batch:
        if not isinstance(images, Tensor) or images.ndim < 2 or not len(images):
            raise ExploreError("images must be a float tensor (N, C, H, W), standardised.")
        if labels is None and self._loss is None:
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
        many = f"{count} image{'' if count == 1 else 's'}"
        classes = 2
        if labels is not None and not labels.is_floating_point() and labels.numel():
            classes = max(2, int(labels.max()) + 1)
        batch_labels = None if labels is None else labels[:count]
        size = "×".join(str(n) for n in images.shape[2:])
        return Batch(
            images[:count], batch_labels, images, labels, classes, f"{many} of yours ({size})",
            8 if max(images.shape[2:], default=0) <= 16 else 16, 0.04,
        )  # fmt: skip


def described(given: Conditions, batch: Batch, seed: int, own: str = "") -> str:
    """Return the conditions in words, for captions: mode, norm, start, step, data, batch, seed.

    own  what is known of networks that are the reader's own
    """
    rate = f" of SGD at rate {batch.lr:g}, momentum 0.9" if given.steps else ""
    when = f"step {given.steps}{rate}"
    if own:
        drawn = f", batches of {len(batch.images)} drawn with seed {seed}" if given.steps else ""
        return f"{given.mode} mode; {own}; {when}{drawn}; {batch.words}"
    norm = _key(NORMS, given.norm).replace("none", "no norm")
    activation = _key(ACTIVATION_NAMES, given.activation).replace("none (linear)", "no activation")
    start = _key(STARTS, given.start)
    if given.start != "he":  # which is a way to scale branches, so plain networks have none
        start = f"residual: {start}, plain: He"
    return (
        f"{given.mode} mode; {norm}; {start} initialisation; {activation}; {when}; "
        f"{batch.words}; first stage {batch.width} channels wide; seed {seed}"
    )


def in_brief(given: Conditions, batch: Batch, seed: int, own: bool = False) -> str:
    """Return what a ratio depends on most, for the line above a picture: "digits 8×8, width 8, seed 0, ...".

    What is as at first (batch norm, He, ReLU) is left to the caption.
    """
    if own:
        return f"{batch.words}, {given.mode} mode, step {given.steps}"
    changed = []
    if given.norm != "batch":
        changed.append(_key(NORMS, given.norm).replace("none", "no norm"))
    if given.start != "he":
        changed.append(f"start {_key(STARTS, given.start)}")
    if given.activation != "relu":
        changed.append(_key(ACTIVATION_NAMES, given.activation).replace("none (linear)", "linear"))
    data = f"{data_in_brief(given.data)} {'×'.join(map(str, batch.images.shape[2:]))}"
    where = [f"width {batch.width}", f"seed {seed}", *changed, f"{given.mode} mode", f"step {given.steps}"]
    return ", ".join([data, *where])


def _start_of(model: nn.Module) -> str:
    """Return how a network was built to start, if it says so; it may have been trained since."""
    start = getattr(getattr(model, "config", None), "init", None)
    for words, name in STARTS.items():
        if start == name:
            return f"built with {words} initialisation"
    return "initialisation not known"


def _each(said: Mapping[str, str]) -> str:
    """Return what is said of all, or of each if that differs."""
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{name}: {words}" for name, words in said.items())


def _key(names: Mapping[str, str], value: str) -> str:
    return next(name for name, v in names.items() if v == value)
