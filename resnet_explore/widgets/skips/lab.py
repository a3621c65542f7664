"""What the skip explorer edits: networks that are loaded, their blocks, and images to test them on."""

import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError
from resnet_explore.models.presets import config_of
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.networks import Loaded, NamedNetwork, Networks
from resnet_explore.widgets.skips.edit import partners

if TYPE_CHECKING:  # torch is loaded by what computes, behind the first page
    from torch import Tensor

    from resnet_explore.analysis.topology.structure import TracedBlock

_MOST_HELD_OUT = 1000


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Test images with the right answers.

    batch   float (N, C, H, W), standardised
    labels  (N,)
    about   what they are, in words
    """

    batch: "Tensor"
    labels: "Tensor"
    about: str

    def __len__(self) -> int:
        return len(self.batch)


@dataclass(frozen=True, eq=False)
class OpenTwins:
    """The networks of one depth, plain first.

    blocks    of each network, in the order of execution
    classes   what the answers are called, () where that is not known
    held_out  images to measure the error on; None where there are none
    missing   why there are none, in one sentence
    """

    networks: tuple[NamedNetwork, ...]
    blocks: "tuple[tuple[TracedBlock, ...], ...]"
    classes: tuple[str, ...]
    held_out: HeldOut | None
    missing: str = ""

    @functools.cached_property
    def apart(self) -> bool:
        """Whether they share no layer, so that both can be edited at once."""
        layers = [set(network.model.modules()) for network in self.networks]
        return len(set.union(*layers)) == sum(map(len, layers))

    @property
    def count(self) -> int:
        """How many blocks there are to be chosen from."""
        return max(map(len, self.blocks))

    @property
    def last(self) -> "tuple[TracedBlock, ...]":
        """The blocks of the last network, which has the skips."""
        return self.blocks[-1]

    @functools.cached_property
    def partners(self) -> tuple[tuple[int, ...], ...]:
        """The blocks that could stand in each block's place in all networks, itself included."""
        return tuple(self._partners(number) for number in range(1, self.count + 1))

    def _partners(self, number: int) -> tuple[int, ...]:
        if any(len(blocks) != self.count for blocks in self.blocks) or not self._listed(number):
            return (number,)
        return tuple(sorted(set.intersection(*(set(partners(blocks, number)) for blocks in self.blocks))))

    def _listed(self, number: int) -> bool:
        """Whether a block stands in a list of its network, so that its order can be another."""
        from resnet_explore.analysis.capture.layers import CONTAINERS

        pairs = zip(self.networks, self.blocks, strict=True)
        return all(
            isinstance(network.model.get_submodule(blocks[number - 1].stage), CONTAINERS)
            for network, blocks in pairs
        )

    def called(self, index: int) -> str:
        """Return what an answer is called."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"


class SkipLab:
    """The networks of a menu and the images for them, opened when they are asked for.

    tests  a person's own images; where they are labelled (an `ImageSet`) the error is measured on them
    """

    def __init__(self, entries: Mapping[str, Networks], images: Images, tests: Any = None) -> None:
        self.entries, self.images = entries, images
        self._tests = tests if hasattr(tests, "labels") else None
        self._load = Loaded()
        self._lock = threading.RLock()
        self._opened: dict[tuple[str, int], OpenTwins] = {}  # of one entry: replaced, never changed
        self._tested: dict[str, tuple[HeldOut | None, str]] = {}  # of one data set
        self._nobody_waits = threading.Event()
        self._nobody_waits.set()

    @contextmanager
    def first(self) -> Iterator[None]:
        """Go before whoever calls `after_first`, while inside: somebody waits for this answer."""
        self._nobody_waits.clear()
        try:
            yield
        finally:
            self._nobody_waits.set()

    def after_first(self) -> None:
        """Return once nobody is waiting for another answer."""
        self._nobody_waits.wait()

    def known(self, key: str, depth: int) -> OpenTwins | None:
        """Return the networks of a depth if they have been opened."""
        return self._opened.get((key, depth))

    def count(self, key: str, depth: int) -> int | None:
        """Return how many blocks the networks of a depth have, None as long as that is not known."""
        opened, name = self.known(key, depth), self.entries[key].residual
        if opened is not None:
            return opened.count
        config = config_of(name.format(depth)) if name else None
        return sum(getattr(config, "depths", ())) or None

    def open(self, key: str, depth: int) -> OpenTwins:
        """Return the networks of a depth. Raises `ExploreError` where they have no blocks."""
        with self._lock:
            if (key, depth) not in self._opened:
                others = {place: twins for place, twins in self._opened.items() if place[0] == key}
                self._opened = {**others, (key, depth): self._open(key, depth)}
            return self._opened[key, depth]

    def _open(self, key: str, depth: int) -> OpenTwins:
        from resnet_explore.analysis.topology.blocks_of import blocks_of

        entry = self.entries[key]
        networks = self._load(entry, depth)
        size = self._input_size(networks, entry)
        blocks = tuple(blocks_of(network.model, size) for network in networks)
        for network, own in zip(networks, blocks, strict=True):
            if not own:
                raise ExploreError(f"{network.name} has no blocks, so there is nothing to take out.")
        if entry.data not in self._tested:
            self._tested = {entry.data: self._held_out(entry.data)}
        held_out, missing = self._tested[entry.data]
        about = networks[-1].about
        classes = tuple(about.get("classes", ())) or tuple(getattr(self._tests, "classes", ()))
        return OpenTwins(networks, blocks, classes, held_out, missing)

    def _input_size(self, networks: Sequence[NamedNetwork], entry: Networks) -> tuple[int, ...] | None:
        given = self.images.picture(self.images.choices()[0].value).tensor if self.images.own else None
        if given is not None:
            return tuple(given.shape[1:])
        about = networks[-1].about or entry.about or {}
        return tuple(about["input_size"]) if "input_size" in about else None

    def _held_out(self, data: str) -> tuple[HeldOut | None, str]:
        import torch

        from resnet_explore.inputs.datasets import is_here, load_dataset

        if self._tests is None:
            if not data or self.images.own:
                return None, "Without labelled test images there is no error to tell, only answers."
            if data not in ("digits", "cifar10") or not is_here(data):
                return None, (
                    f"The test images of {data} are not on this computer, so there is no error to tell, only "
                    f"answers. rx.load_dataset({data!r}) fetches them once."
                )
        tests = load_dataset(data, split="test", download=False) if self._tests is None else self._tests
        # Drawn, as the images of a folder lie class by class; the first ones are asked about before the rest.
        some = torch.randperm(len(tests), generator=torch.Generator().manual_seed(0))[:_MOST_HELD_OUT]
        batch, labels = tests.normalized(some), tests.labels[some]
        drawn = ", drawn at random" if len(batch) < len(tests) else ""
        return HeldOut(batch, labels, f"{len(batch):,} {tests.split} images of {tests.name}{drawn}"), ""
