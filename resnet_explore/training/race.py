"""Networks that train in lock step on the same batches, watched, changed and rewound between steps."""

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.inputs.datasets import ImageSet
from resnet_explore.models.chance import seeded
from resnet_explore.models.config import ResNetConfig, count
from resnet_explore.models.devices import layout_on
from resnet_explore.models.memory import free_memory, in_words
from resnet_explore.models.network import Network
from resnet_explore.models.presets import build, network_of
from resnet_explore.models.skip_strength import give_skips, scale_skips, take_skips_back, with_skips
from resnet_explore.models.summary import describe
from resnet_explore.models.threads import at_most
from resnet_explore.training.entrants import read_entrant
from resnet_explore.training.live import Descent, Draws
from resnet_explore.training.measure import evaluate, gradient_norms, probed_layers

if TYPE_CHECKING:
    import pandas as pd

MOST_NETWORKS = 4
KEPT = 60  # places to which a race can be rewound
_KEPT_BYTES = 256e6  # that they may take together
_LEAST_KEPT = 4
_LARGEST_SEED = 2**32 - 1  # as NumPy's
_SMALL = 16  # pixels a side: of smaller images one thread has as much as it can do
_CPU = torch.device("cpu")
_OWNER = "A race"  # of numbers, in sentences


@dataclass(frozen=True, eq=False)
class RaceCurve:
    """What a race has noted of one network; step s counts the steps that were taken before.

    steps, loss, error   (n,): of each step's batch before the step, in train mode; error in percent
    gradients            (n, layers): norm of each layer's weight gradient in that step
    layers               the layers' names, in order
    held_out_steps, held_out_loss, held_out_error   (m,): of the held-out images, in eval mode
    skip                 the factor on its skips, None where it has none
    broke_at             the first step whose loss was not finite, with which it left the race, or None
    """

    steps: np.ndarray
    loss: np.ndarray
    error: np.ndarray
    gradients: np.ndarray
    layers: tuple[str, ...]
    held_out_steps: np.ndarray
    held_out_loss: np.ndarray
    held_out_error: np.ndarray
    skip: float | None
    broke_at: int | None


@dataclass(frozen=True)
class Change:
    """Something that was changed before a step.

    what     "lr", or the network's name where its skips were changed
    before   what it was, None for no skips
    after    what it is
    """

    step: int
    what: str
    before: float | None
    after: float | None


class Race:
    """Networks that train in lock step: SGD with momentum 0.9, every step on the same batch for all.

    Each network goes as it would alone; a seed draws the same weights and batches on every machine.

    Parameters
    ----------
    networks : {name: ResNetConfig}, or texts such as "plain-56" and "residual-20 skip=0.5 norm=group", up to
        four. The images decide channels and classes
    data : what is trained on; every batch is drawn from all of it
    held_out : images that are not trained on; of at most `sample` of them, spread evenly, the error is noted
    lr : rate of SGD, above 0; may be changed between steps
    batch_size : images of a step
    seed : of weights and batches, from 0 to 2**32 - 1
    every : after so many steps each the error of held-out images is noted, and a place kept to come back to
    sample : held-out images that are looked at

    Raises
    ------
    ExploreError
        For a network that can't be, more than four, a number that can't be what it is for, and for networks
        that need more memory than there is.
    """

    def __init__(
        self,
        networks: Mapping[str, ResNetConfig] | Sequence[str],
        data: ImageSet,
        held_out: ImageSet,
        lr: float = 0.04,
        batch_size: int = 64,
        seed: int = 0,
        every: int = 10,
        sample: int = 360,
    ) -> None:
        configs = _configs(networks, data)
        if held_out.images.shape[1:] != data.images.shape[1:] or held_out.classes != data.classes:
            raise ExploreError(
                f"Held-out images must be of the kind that is trained on, {data!r}, not {held_out!r}."
            )
        self.data, self.held_out, self.seed = data, held_out, _seed(seed)
        self.batch_size = min(count(_OWNER, "batch_size", batch_size), len(data))
        self.every = count(_OWNER, "every", every)
        self.sample = min(count(_OWNER, "sample", sample), len(held_out))
        self._lr = _rate(lr)
        self.configs: Mapping[str, ResNetConfig] = configs
        _require_memory(configs, data, self.batch_size)
        self._draws = Draws(len(data), self.batch_size, self.seed)
        self._racers = {
            name: _Racer(build(config, seed=self.seed), self._lr) for name, config in configs.items()
        }
        self._skips = {name: racer.skip for name, racer in self._racers.items()}  # as they are wanted
        self.steps = 0
        self.changes: list[Change] = []
        self._kept: dict[int, dict[str, Any]] = {}
        self._at_work = threading.Lock()
        with self._threads():
            self._note_held_out()
        self._keep()

    @property
    def names(self) -> tuple[str, ...]:
        """The networks' names, in order."""
        return tuple(self._racers)

    @property
    def models(self) -> dict[str, Network]:
        """The networks, as they are now."""
        return {name: racer.network for name, racer in self._racers.items()}

    @property
    def running(self) -> tuple[str, ...]:
        """Those that have not left the race with a loss that is no number."""
        return tuple(name for name, racer in self._racers.items() if racer.broke_at is None)

    # --- what may be changed between steps ------------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The rate of the next step, of all networks. May be set while another thread takes steps."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = _rate(lr)

    @property
    def skips(self) -> dict[str, float | None]:
        """{name: the factor on its skips from the next step on}, None where it has none."""
        return dict(self._skips)

    def set_skips(self, factor: float | None, name: str | None = None) -> None:
        """Weaken, strengthen, take away (0) or give skips, from the next step on.

        A plain network is given skips without parameters and keeps its weights; None makes it plain again.
        May be called while another thread takes steps. Raises ExploreError, and changes nothing, for a factor
        that is no number of at least 0, for a network that there is not, for None where a residual network is
        among them, and for a plain one to whose blocks no skips can be given.

        Parameters
        ----------
        factor : what the shortcuts are multiplied by
        name : of one network; None for all
        """
        if name is not None and name not in self._racers:
            raise unknown("network", name, self._racers)
        if factor is not None and not (_number(factor) and factor >= 0):
            raise ExploreError(f"Skips need a factor of at least 0, not {factor!r}.")
        wanted = None if factor is None else float(factor)
        names = self.names if name is None else (name,)
        for each in names:
            config = self.configs[each]
            if wanted is None and config.residual:
                raise ExploreError(f"{each} is a residual network: take its skips away with 0.")
            if wanted is not None and not config.residual:
                with_skips(config, wanted)  # raises where its blocks can't have any
        self._skips.update(dict.fromkeys(names, wanted))

    # --- steps ----------------------------------------------------------------------------------------------

    def advance(
        self,
        steps: int,
        stop: Callable[[], bool] = lambda: False,
        watch: Callable[[], None] = lambda: None,
    ) -> int:
        """Take steps with all networks, and return how many were taken.

        It ends sooner where `stop()`, asked before each step, says so, and where no network is left whose
        loss is a number. `watch()` is called after each network's step. Raises ExploreError where another
        thread takes steps already.
        """
        if not self._at_work.acquire(blocking=False):
            raise ExploreError("This race goes on already in another thread.")
        try:
            with self._threads():
                for taken in range(count(_OWNER, "steps", steps)):
                    if stop() or not self.running:
                        return taken
                    self._step(watch)
            return steps
        finally:
            for racer in self._racers.values():
                racer.descent.forget_gradients()
            self._at_work.release()

    def _step(self, watch: Callable[[], None]) -> None:
        self._change()
        chosen = self._draws.next()
        images = self.data.normalized(chosen).contiguous(memory_format=layout_on(_CPU))
        labels = self.data.labels[chosen]
        for racer in self._racers.values():
            if racer.broke_at is None:
                with self._chance(racer.network):
                    racer.step(images, labels)
                watch()
        self.steps += 1
        if self.steps % self.every == 0:
            self._note_held_out()
            self._keep()

    def _change(self) -> None:
        """Do what was asked for since the last step, and note it."""
        lr, skips = self._lr, dict(self._skips)  # which another thread may change meanwhile
        before = next(iter(self._racers.values())).descent.lr
        if lr != before and self.steps:  # before the first step nothing was otherwise
            self.changes.append(Change(self.steps, "lr", before, lr))
        for name, racer in self._racers.items():
            racer.descent.lr = lr
            if skips[name] != racer.skip:
                change = Change(self.steps, name, racer.skip, skips[name])
                racer.set_skip(skips[name])
                self.changes.append(change)

    def _note_held_out(self) -> None:
        for racer in self._racers.values():
            if racer.broke_at is None:
                found = evaluate(racer.network, self.held_out, nullcontext, self.sample)
                racer.held_out.append((self.steps, *found))

    @contextmanager
    def _chance(self, network: Network) -> Any:
        """Let what a network draws in a step, such as dropout, come from seed and step alone."""
        config = network.config
        if not (config.skip_dropout or config.stochastic_depth):
            yield
            return
        with seeded(self.seed * 1_000_003 + self.steps):
            yield

    def _threads(self) -> AbstractContextManager[None]:
        return at_most(1 if max(self.data.images.shape[2:]) <= _SMALL else 2)

    # --- rewinding ------------------------------------------------------------------------------------------

    @property
    def kept(self) -> tuple[int, ...]:
        """The steps to which the race can be rewound, in order; 0 is always there."""
        return tuple(sorted(self._kept))

    def _keep(self) -> None:
        """Keep this place, and of many every second one."""
        apart = self._steps_apart()
        self._kept = {step: kept for step, kept in self._kept.items() if step % apart == 0}
        if self.steps % apart == 0:
            networks = {name: racer.snapshot() for name, racer in self._racers.items()}
            self._kept[self.steps] = {"draws": self._draws.state, "lr": self._lr, "networks": networks}

    def _steps_apart(self) -> int:
        """Return how far kept places are from each other: `every`, doubled until those up to here are few.

        It follows from the present step alone, so a race that was rewound keeps as many as any other.
        """
        size = sum(racer.snapshot_bytes for racer in self._racers.values())
        most = max(_LEAST_KEPT, min(KEPT, int(_KEPT_BYTES / size)))
        apart = self.every
        while self.steps // apart + 1 > most:
            apart *= 2
        return apart

    def rewind(self, step: int = 0) -> None:
        """Be again where the race was before that step, to the bit; what came later is forgotten.

        Raises ExploreError for a step that was not kept, and while another thread takes steps.
        """
        if step not in self._kept:
            raise unknown("kept step", step, map(str, self.kept))
        if not self._at_work.acquire(blocking=False):
            raise ExploreError("This race goes on in another thread: let it stop first.")
        try:
            kept = self._kept[step]
            for name, racer in self._racers.items():
                racer.restore(kept["networks"][name], step)
            self._draws.state, self._lr, self.steps = kept["draws"], kept["lr"], step
            self._skips = {name: racer.skip for name, racer in self._racers.items()}
            self.changes = [change for change in self.changes if change.step < step]
            self._kept = {at: one for at, one in self._kept.items() if at <= step}
        finally:
            self._at_work.release()

    # --- what was noted -------------------------------------------------------------------------------------

    @property
    def curves(self) -> dict[str, RaceCurve]:
        """{name: what was noted of it}."""
        return {name: racer.curve() for name, racer in self._racers.items()}

    def table(self) -> "pd.DataFrame":
        """Return what was noted, a row for each network and step.

        Columns: network, step, loss and error of the step's batch before the step, held_out_loss and
        held_out_error (NaN where they were not measured); errors in percent.
        """
        return table_of(self.curves)


def table_of(curves: Mapping[str, RaceCurve]) -> "pd.DataFrame":
    """Return what was noted of networks as `Race.table` does."""
    import pandas as pd

    frames = [pd.DataFrame(columns=["network", "step", "loss", "error", "held_out_loss", "held_out_error"])]
    for name, curve in curves.items():
        batch = {"step": curve.steps, "loss": curve.loss, "error": curve.error}
        held_out = {
            "step": curve.held_out_steps,
            "held_out_loss": curve.held_out_loss,
            "held_out_error": curve.held_out_error,
        }
        frame = pd.DataFrame(batch).merge(pd.DataFrame(held_out), on="step", how="outer")
        frame.insert(0, "network", name)
        frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True)


class _Racer:
    """One network of a race: what trains it, and what was noted of it."""

    def __init__(self, network: Network, lr: float) -> None:
        self.first: ResNetConfig = network.config
        self.network: Network = network.train().to(memory_format=layout_on(_CPU))
        self.descent = Descent(self.network, lr)
        self.layers = probed_layers(self.network)
        self.noted = _Rows(2 + len(self.layers))  # loss, error and gradients of each step
        self.held_out: list[tuple[int, float, float]] = []  # step, loss, error

    @property
    def broke_at(self) -> int | None:
        return self.descent.broke_at

    @property
    def skip(self) -> float | None:
        return float(self.network.config.skip_scale) if self.network.config.residual else None

    def set_skip(self, factor: float | None) -> None:
        if factor is None:
            take_skips_back(self.network, self.first)
        elif self.network.config.residual:
            scale_skips(self.network, factor)
        else:
            give_skips(self.network, factor)

    def step(self, images: Tensor, labels: Tensor) -> None:
        logits, loss = self.descent.step(images, labels)
        wrong = (logits.detach().argmax(1) != labels).float().mean().item()
        self.noted.append(loss, 100 * wrong, gradient_norms(self.layers))

    @property
    def snapshot_bytes(self) -> int:
        """How large a snapshot is: weights and buffers, and the momentum of each weight."""
        return _bytes(self.network.state_dict().values()) + _bytes(self.network.parameters())

    def snapshot(self) -> dict[str, Any]:
        return {"descent": self.descent.snapshot(), "skip": self.skip, "broke_at": self.broke_at}

    def restore(self, snapshot: dict[str, Any], step: int) -> None:
        if snapshot["skip"] != self.skip:
            self.set_skip(snapshot["skip"])
        self.descent.restore(snapshot["descent"])
        self.descent.broke_at = snapshot["broke_at"]
        self.noted.count = min(step, self.noted.count)
        self.held_out = [entry for entry in self.held_out if entry[0] <= step]

    def curve(self) -> RaceCurve:
        noted = self.noted.values()
        held_out = np.array(self.held_out, dtype=float).reshape(-1, 3)
        return RaceCurve(
            steps=np.arange(len(noted)),
            loss=noted[:, 0],
            error=noted[:, 1],
            gradients=noted[:, 2:],
            layers=tuple(self.layers),
            held_out_steps=held_out[:, 0].astype(int),
            held_out_loss=held_out[:, 1],
            held_out_error=held_out[:, 2],
            skip=self.skip,
            broke_at=self.broke_at,
        )


class _Rows:
    """Rows of float32 numbers that grow without being copied each time."""

    def __init__(self, columns: int) -> None:
        self._room = np.empty((256, columns), dtype=np.float32)
        self.count = 0

    def append(self, first: float, second: float, others: Tensor) -> None:
        if self.count == len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        row = self._room[self.count]
        row[0], row[1], row[2:] = first, second, others.numpy()
        self.count += 1

    def values(self) -> np.ndarray:
        return self._room[: self.count].copy()


def _configs(networks: Any, data: ImageSet) -> dict[str, ResNetConfig]:
    """Return {name: config}, fitted to the images; ExploreError for networks that can't be."""
    channels, classes, side = data.images.shape[1], len(data.classes), max(data.images.shape[2:])
    if isinstance(networks, Mapping):
        for name, config in networks.items():
            if not isinstance(config, ResNetConfig):
                raise ExploreError(
                    f"The network {name!r} of a race must be a ResNetConfig, not {config!r:.60}."
                )
        found = {
            str(name): config.replace(in_channels=channels, num_classes=classes)
            for name, config in networks.items()
        }
    elif isinstance(networks, str) or not isinstance(networks, Sequence):
        raise ExploreError(
            f"networks must be texts such as ('plain-56', 'residual-56'), not {networks!r:.60}."
        )
    else:
        entrants = [read_entrant(text) for text in networks]
        found = {}
        for entrant in entrants:
            if str(entrant) in found:
                raise ExploreError(f"The network {str(entrant)!r} is in the race twice.")
            found[str(entrant)] = entrant.config(channels, classes, side)
    if not 1 <= len(found) <= MOST_NETWORKS:
        raise ExploreError(f"A race has one to {MOST_NETWORKS} networks, not {len(found)}.")
    return found


def _require_memory(configs: Mapping[str, ResNetConfig], data: ImageSet, batch_size: int) -> None:
    """Raise ExploreError if training needs more memory than there is."""
    networks = []
    for config in configs.values():
        with torch.device("meta"):
            networks.append(network_of(config))
    weights = sum(p.numel() for network in networks for p in network.parameters())
    # Weights, momentum, gradients, and the places that are kept at least, each with two of them.
    needed, free = 4 * weights * (3 + 2 * _LEAST_KEPT), free_memory(_CPU)
    pixels = math.prod(data.images.shape[2:])
    # One after the other takes its step. Roughly: all convolutions, norms and ReLUs as large as the image.
    channels = (
        sum(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)) for network in networks
    )
    if needed + 4 * 3 * max(channels) * pixels * batch_size < free / 2:
        return
    size = tuple(data.images.shape[1:])
    needed += batch_size * max(describe(network, size).activation_bytes for network in networks)
    if needed > free:
        raise ExploreError(
            f"Training these networks takes about {in_words(needed)} of memory and {in_words(free)} are "
            "free: choose fewer or shallower ones, or a smaller batch."
        )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _rate(lr: Any) -> float:
    if not _number(lr) or lr <= 0:
        raise ExploreError(f"lr must be a number above 0, not {lr!r}.")
    return float(lr)


def _seed(seed: Any) -> int:
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= int(seed) <= _LARGEST_SEED:
        raise ExploreError(f"seed must be a whole number from 0 to {_LARGEST_SEED:,}, not {seed!r}.")
    return int(seed)
