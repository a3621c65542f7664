"""What is computed about what blocks add: the residual network's answer, split, and what its twin says."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.networks import Loaded, NamedNetwork, Networks
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.stream import captions

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = 512  # pixels of the shown picture


@dataclass(frozen=True, eq=False)
class Flow:
    """One image in a residual network, its answer taken apart, and in the network beside it.

    networks  the residual network last
    places    the stem, the blocks and "bias", in the order of execution
    added     float64 (places, classes), what each adds to the logits
    maps      float32 (places, classes, h, w), where it lies; None where there are none
    why_no_maps   and why that is
    so_far    float64 (places, classes), the logits that the head gives behind each place
    beside    the same of the network beside, NaN where it can't be asked; None where there is none
    one_path  whether that network has no skips
    error     the largest remainder of the sum as a share of the largest logit
    classes   names of the answers
    picture   the photo as a JPEG, `about` in words what it is
    """

    networks: tuple[NamedNetwork, ...]
    places: tuple[str, ...]
    added: np.ndarray
    maps: np.ndarray | None
    why_no_maps: str
    so_far: np.ndarray
    beside: np.ndarray | None
    one_path: bool
    error: float
    classes: tuple[str, ...]
    picture: bytes
    about: str

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self.places) - 2

    @property
    def logits(self) -> np.ndarray:
        """The residual network's answer, (classes,)."""
        return self.so_far[-1]

    def first(self, target: int | None) -> int:
        """Return a class, the network's own first choice for None."""
        return int(self.logits.argmax()) if target is None else target

    def next(self, target: int, rival: int | None) -> int:
        """Return the class beside `target`: `rival`, or else the likeliest other one."""
        if rival is not None and rival != target:
            return rival
        others = self.logits.copy()
        others[target] = -np.inf
        return int(others.argmax())

    def largest(self, target: int) -> int:
        """Return the place of the block that adds most to a class."""
        return 1 + int(self.added[1:-1, target].argmax())


@dataclass(frozen=True, eq=False)
class Losses:
    """What networks answer without each of their blocks, one at a time; the residual network last.

    without  float64 (stem and blocks, classes) of each, NaN for the stem and for blocks that can't go; one
             network where the other has another number of blocks
    whole    float64 (classes,) of each, with all blocks
    """

    without: tuple[np.ndarray, ...]
    whole: tuple[np.ndarray, ...]

    def lost(self, network: int) -> np.ndarray:
        """Return what goes from a network's logits with each block, (stem and blocks, classes)."""
        lost: np.ndarray = self.whole[network] - self.without[network]
        return lost


@dataclass(frozen=True, eq=False)
class Carried:
    """What skips carry, and what branches add to it; all by block, NaN where it can't be said.

    ratio   the branch's L2 norm over the skip's, (blocks,)
    cosine  between branch and skip, (blocks,)
    kept    cosine between what enters a block and what leaves it, (blocks,) of each network, the residual one
            last; one network where the other has another number of blocks
    """

    ratio: np.ndarray
    cosine: np.ndarray
    kept: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """What linear probes read behind the stem and each block of two twins.

    logits    float64 (places, classes) of each network, what its probes say to the image
    accuracy  percent of the test images by kind, (places, seeds)
    """

    logits: tuple[np.ndarray, ...]
    accuracy: Mapping[str, np.ndarray]


class StreamLab:
    """An explorer's networks and images; a network runs one pass at a time."""

    def __init__(self, networks: Mapping[str, Networks], images: Images) -> None:
        self.networks, self.images = networks, images
        self._loaded = Loaded()
        self._passing = threading.Lock()

    def flow(self, key: str, depth: int, image: str, task: Task) -> Flow:
        """Return what flows through the networks of a depth.

        Raises `ExploreError` for a network whose answer is no sum over its blocks.
        """
        from resnet_explore.analysis.activations.contributions import logit_contributions
        from resnet_explore.figures.heatmaps import photo_jpeg
        from resnet_explore.models.threads import one_thread

        picture = self.images.picture(image)
        with self._passing, one_thread():
            networks, batch = self._open(key, depth, image)
            about: Mapping[str, Any] = getattr(networks[-1].model, "about", None) or {}
            task.say("Taking the answer apart ...")
            found = logit_contributions(networks[-1].model, batch)
            blocks = len(found.blocks)
            task.check()
            beside, one_path = None, False
            if len(networks) > 1:
                beside, one_path = _answers_on_the_way(networks[0].model, batch, blocks)
                if beside.shape[1] != found.logits.shape[1]:
                    raise ExploreError(captions.other_classes(beside.shape[1], found.logits.shape[1]))
        so_far = [found.start, *found.running, found.logits]
        return Flow(
            networks=networks,
            places=found.names,
            added=np.stack([found[name][0].double().cpu().numpy() for name in found]),
            maps=None if found.places is None else found.places[:, 0].cpu().numpy(),
            why_no_maps=found.why_no_places,
            so_far=np.stack([logits[0].double().cpu().numpy() for logits in so_far]),
            beside=beside,
            one_path=one_path,
            error=found.error,
            classes=self._named(about, found.logits.shape[1]),
            picture=photo_jpeg(picture.seen(SIDE), SIDE),
            about=picture.about,
        )

    def losses(self, key: str, depth: int, image: str, task: Task) -> Losses:
        """Return what the networks of a depth answer without each block, from the first with a skip on."""
        from resnet_explore.analysis.skips.without_each import without_each
        from resnet_explore.models.threads import one_thread

        with self._passing, one_thread():
            networks, batch = self._open(key, depth, image)
            found = []
            for network in networks:
                task.say(captions.deleting(network.name))
                found.append(without_each(network.model, batch))
                task.check()
            count = len(_on_the_stream(networks[-1].model, batch))
        found = [one for one in found[:-1] if len(one.blocks) == count] + found[-1:]
        without = []
        for one in found:
            logits = one.logits[-count:, 0].double().cpu().numpy()
            without.append(np.vstack([np.full(logits.shape[1], np.nan), logits]))
        return Losses(tuple(without), tuple(one.whole[0].double().cpu().numpy() for one in found))

    def carried(self, key: str, depth: int, image: str) -> Carried:
        """Return what skips carry and branches add, from the first block with a skip on."""
        from torch.nn.functional import cosine_similarity

        from resnet_explore.analysis.activations.handed_on import handed_on
        from resnet_explore.analysis.activations.residual_stream import residual_stream
        from resnet_explore.models.threads import one_thread

        with self._passing, one_thread():
            networks, batch = self._open(key, depth, image)
            sums = residual_stream(networks[-1].model, batch)
            every = [handed_on(network.model, batch) for network in networks]
            blocks = _on_the_stream(networks[-1].model, batch)
        ratio, cosine = np.full((2, len(blocks)), np.nan)
        for k, name in enumerate(blocks):
            if name in sums:
                ratio[k] = float(sums[name].ratio[0])
                skip, branch = (part.flatten(1) for part in (sums[name].skip, sums[name].branch))
                cosine[k] = float(cosine_similarity(skip, branch)[0])
        kept = [np.array([float(of[0]) for of in each.values()]) for each in every]
        alike = (each[-len(blocks) :] for each in kept if len(each) == len(kept[-1]))
        return Carried(ratio, cosine, tuple(alike))

    def reading(self, key: str, depth: int, image: str) -> Reading:
        """Return what the recorded probes of the networks of a depth read."""
        from resnet_explore.analysis.activations.probes import load_probes
        from resnet_explore.analysis.activations.recorded_probes import load_probe_accuracies
        from resnet_explore.models.threads import one_thread

        table = load_probe_accuracies(key)
        table = table[table["depth"] == depth] if depth else table  # 0 where there is one depth only
        accuracy, logits = {}, []
        with self._passing, one_thread():
            networks, batch = self._open(key, depth, image)
            for network in networks:
                own = table[table["kind"] == network.kind]
                accuracy[network.kind] = own.pivot(
                    index="place", columns="seed", values="accuracy"
                ).to_numpy()
                probes = load_probes(key, own["network"].iloc[0])
                logits.append(probes.logits(network.model, batch)[:, 0].double().numpy())
        return Reading(tuple(logits), accuracy)

    def _open(self, key: str, depth: int, image: str) -> "tuple[tuple[NamedNetwork, ...], Tensor]":
        """Return the networks of a depth, and an image as they take it."""
        picture = self.images.picture(image)
        networks = self._loaded(self.networks[key], depth)
        return networks, picture.batch(self.images.form_for(networks[-1].about))

    def _named(self, about: Mapping[str, Any], count: int) -> tuple[str, ...]:
        known = about.get("classes") or self.images.classes
        return tuple(map(str, known)) if len(known) == count else tuple(f"class {k}" for k in range(count))


def _on_the_stream(model: "nn.Module", batch: "Tensor") -> list[str]:
    """Return the names of a network's blocks from the first one with a skip on."""
    from resnet_explore.analysis.topology.blocks_of import blocks_of

    blocks = blocks_of(model, tuple(batch.shape[1:]))
    first = next((k for k, block in enumerate(blocks) if block.sums), 0)
    return [block.name for block in blocks[first:]]


def _answers_on_the_way(model: "nn.Module", batch: "Tensor", blocks: int) -> tuple[np.ndarray, bool]:
    """Return what a network's own head says behind each of its blocks, and whether none of them has a skip.

    The logits are float64 (2 + blocks, classes), of the stem, the blocks, and at the end once more. Later
    blocks are passed by, which a plain one lets happen where it keeps the shape: before, they are NaN. A
    network of another number of blocks says only its answer.
    """
    import torch

    from resnet_explore.analysis._batch import answer, as_images, as_logits
    from resnet_explore.analysis._state import measuring
    from resnet_explore.analysis.skips.edited import edited
    from resnet_explore.analysis.topology.blocks_of import blocks_of

    images = as_images(model, batch)
    size = tuple(images.shape[1:])
    there = blocks_of(model, size)
    one_path = not any(block.sums for block in there)
    with measuring(model), torch.no_grad():
        model.eval()
        whole = as_logits(answer(model, images.clone()), 1)[0].double().cpu().numpy()
        found = np.full((2 + blocks, len(whole)), np.nan)
        found[-2:] = whole
        if len(there) != blocks:
            return found, one_path
        for k in range(blocks - 1, 0, -1):  # behind block k: all after it are passed by
            if not there[k].can_go:
                break
            later = [block.name for block in there[k:]]
            with edited(model, delete=later, input_size=size):
                found[k] = as_logits(answer(model, images.clone()), 1)[0].double().cpu().numpy()
    return found, one_path


@dataclass(frozen=True)
class _Asked(Job):
    """Something that networks of one depth are asked about one image."""

    lab: StreamLab = field(compare=False, repr=False)
    networks: str
    depth: int
    image: str
    says = "Loading the networks ..."


class Follow(_Asked):
    """Take the answer apart."""

    def run(self, task: Task) -> Flow:
        """Return the flow."""
        return self.lab.flow(self.networks, self.depth, self.image, task)


class Weigh(_Asked):
    """Set what each branch adds beside what its skip carries."""

    def run(self, task: Task) -> Carried:
        """Return both."""
        return self.lab.carried(self.networks, self.depth, self.image)


class Lose(_Asked):
    """Delete each block, one at a time, and ask again."""

    def run(self, task: Task) -> Losses:
        """Return the losses."""
        return self.lab.losses(self.networks, self.depth, self.image, task)


class Read(_Asked):
    """Ask the probes."""

    def run(self, task: Task) -> Reading:
        """Return the reading."""
        return self.lab.reading(self.networks, self.depth, self.image)
