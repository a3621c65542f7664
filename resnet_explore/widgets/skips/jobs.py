"""What is computed for an edit: errors and answers, the inside of blocks, gradients, maps."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.runner import THREADS, Job, Task
from resnet_explore.widgets.skips.edit import Edit, arguments, staying
from resnet_explore.widgets.skips.lab import HeldOut, OpenTwins, SkipLab

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

# Where the dials stop; finer about 1, where most is lost.
DIAL = (
    0.0,
    0.125,
    0.25,
    0.375,
    0.5,
    0.625,
    0.7,
    0.75,
    0.8,
    0.85,
    0.9,
    0.95,
    1.0,
    1.05,
    1.1,
    1.25,
    1.375,
    1.5,
)
_FIRST = 100  # images that are asked about in one go
_SMALL = 16 * 16  # pixels of images of which all are asked about at once
_LARGEST_MAP = 64  # pixels a side of a block's maps; larger ones are averaged
_GRADIENT_IMAGES = 64


@dataclass(frozen=True)
class Outcome:
    """What one network makes of an edit.

    wrong, of  how many of the held-out images it gets wrong; of = 0 where there are none
    shares     probabilities of the answers to the image that is looked at, (classes,); None before that
    stays      blocks that should be taken out and can't be
    """

    wrong: int
    of: int
    shares: np.ndarray | None = field(default=None, compare=False)
    stays: tuple[int, ...] = ()

    @property
    def error(self) -> float:
        """The error in percent, NaN where there are no images."""
        return 100 * self.wrong / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the error's 95 % interval in percent (Wilson 1927)."""
        if not self.of:
            return float("nan"), float("nan")
        z, share = 1.959964, self.wrong / self.of
        middle = (share + z**2 / (2 * self.of)) / (1 + z**2 / self.of)
        half = z / (1 + z**2 / self.of) * (share * (1 - share) / self.of + z**2 / (4 * self.of**2)) ** 0.5
        return 100 * (middle - half), 100 * (middle + half)


Outcomes = tuple[Outcome, ...]


@dataclass(frozen=True)
class _OfTwins(Job):
    """What is computed of the networks of a depth."""

    lab: SkipLab = field(compare=False, repr=False)
    networks: str
    depth: int

    @property
    def twins(self) -> OpenTwins:
        """The networks, loaded if they are not."""
        return self.lab.open(self.networks, self.depth)


@dataclass(frozen=True)
class _OfImage(_OfTwins):
    """What is computed of edited networks that look at an image."""

    image: str
    edit: Edit


@dataclass(frozen=True)
class Open(_OfTwins):
    """Load the networks of a depth."""

    says = "Loading the networks ..."

    def run(self, task: Task) -> OpenTwins:
        """Return the twins."""
        return self.twins


@dataclass(frozen=True)
class Answers(_OfImage):
    """Ask both networks, with one edit, for their error and for their answers to one image."""

    says = "Asking both networks ..."

    def run(self, task: Task) -> Outcomes:
        """Return an outcome for each network: of the first images at once, of all behind that."""
        with self.lab.first():
            twins = self.twins
            tests = twins.held_out
            first = _first(tests)
            seen = asked(self.lab, twins, self.edit, self.image, first)
            if tests is None or first is None:
                return seen
            for begin in range(len(first), len(tests), _FIRST):
                task.publish(seen)
                task.check()
                more = asked(self.lab, twins, self.edit, "", _some(tests, slice(begin, begin + _FIRST)))
                seen = tuple(
                    Outcome(a.wrong + b.wrong, a.of + b.of, a.shares, a.stays)
                    for a, b in zip(seen, more, strict=True)
                )
            return seen


@dataclass(frozen=True)
class Turn(_OfImage):
    """Ask both networks at each stop of a dial, "skip" or "branch", with the rest of the edit as it is."""

    dial: str
    aside = True
    says = "Trying every stop of the dial ..."

    @property
    def lane(self) -> str:  # type: ignore[override]
        """One for each dial: to move one begins the other's series anew, which must not hold up its own."""
        return self.dial

    def run(self, task: Task) -> dict[float, Outcomes]:
        """Return the outcomes by the dial's value; of large images, those of the first hundred."""
        twins = self.twins
        tests, found = _first(twins.held_out), {}
        known: dict[Any, Outcome] = {}
        for value in DIAL:
            self.lab.after_first()
            task.check()
            found[value] = asked(self.lab, twins, self.edit.at(self.dial, value), self.image, tests, known)
        return found


def _first(tests: HeldOut | None) -> HeldOut | None:
    """Return what is asked at once: all images where they are small, else the first hundred."""
    if tests is None or tests.batch[0, 0].numel() <= _SMALL:
        return tests
    return _some(tests, slice(0, _FIRST))


def _some(tests: HeldOut, which: slice) -> HeldOut:
    return HeldOut(tests.batch[which], tests.labels[which], tests.about)


def asked(
    lab: SkipLab,
    twins: OpenTwins,
    edit: Edit,
    image: str,
    tests: HeldOut | None,
    known: dict[Any, Outcome] | None = None,
) -> Outcomes:
    """Return what each network makes of an edit; `image` is "" where no answer is wanted.

    known  answers so far to the same questions: to a plain network all stops of the skips are one edit
    """
    known = {} if known is None else known

    def ask(k: int) -> Outcome:
        made = k, repr(arguments(edit, twins.blocks[k]))
        if made not in known:
            known[made] = _outcome(lab, twins, edit, image, tests, k)
        return known[made]

    which = range(len(twins.networks))
    if not twins.apart:
        return tuple(map(ask, which))
    with ThreadPoolExecutor(len(which), THREADS) as threads:
        return tuple(threads.map(ask, which))


def _outcome(
    lab: SkipLab, twins: OpenTwins, edit: Edit, image: str, tests: HeldOut | None, k: int
) -> Outcome:
    import torch

    from resnet_explore.models.resnet import ResNet
    from resnet_explore.models.threads import at_most, usual_threads

    model = twins.networks[k].model
    batches = [] if tests is None else [tests.batch]
    if image:
        batches.append(lab.images.picture(image).batch(lab.images.form_for(twins.networks[k].about)))
    if len({batch.shape[1:] for batch in batches}) == 1:
        batches = [torch.cat(batches)]  # one pass costs less than two
    if isinstance(model, ResNet):  # in this layout convolutions take less time; others may not bear it
        batches = [batch.to(memory_format=torch.channels_last) for batch in batches]
    small = all(batch[0, 0].numel() <= _SMALL for batch in batches)
    threads = 1 if small else max(1, usual_threads() // len(twins.networks))
    with changed(twins, k, edit), torch.inference_mode(), at_most(threads):
        logits = torch.cat([logits_of(model, batch) for batch in batches]).cpu()
    of = 0 if tests is None else len(tests)
    wrong = 0 if tests is None else int((logits[:of].argmax(1) != tests.labels).sum())
    shares = logits[-1].softmax(0).double().numpy() if image else None
    return Outcome(wrong, of, shares, staying(edit, twins.blocks[k]))


@contextmanager
def changed(twins: OpenTwins, k: int, edit: Edit) -> Iterator[None]:
    """Edit the k-th network while inside, in eval mode; one thread at a time."""
    from resnet_explore.analysis._state import measuring
    from resnet_explore.analysis.skips.edited import edited

    model = twins.networks[k].model
    asked_for = arguments(edit, twins.blocks[k])
    with measuring(model):
        model.eval()
        if any(asked_for.values()):
            with edited(model, **asked_for):
                yield
        else:
            yield


def logits_of(model: "nn.Module", batch: "Tensor") -> "Tensor":
    """Return a network's answer to a batch, (N, classes)."""
    from resnet_explore.analysis._batch import answer, as_images, as_logits

    images = as_images(model, batch)
    return as_logits(answer(model, images), len(images))


@dataclass(frozen=True, eq=False)
class BlockSum:
    """What happens in one block to one image, each float32 (C, h, w).

    outputs       what comes out of the block, of each network; None where it has none of that number
    skip, branch  what the last network's skip carries and what its branch adds, None where nothing is added
    ratio         the branch's length over the skip's (L2 norms)
    """

    outputs: "tuple[np.ndarray | None, ...]"
    skip: np.ndarray | None
    branch: np.ndarray | None
    ratio: float | None

    @property
    def values(self) -> int:
        """How many numbers all maps hold."""
        return sum(maps.size for maps in (*self.outputs, self.skip, self.branch) if maps is not None)


@dataclass(frozen=True)
class LookInside(_OfImage):
    """Run one image through both networks, edited or not, and keep what each block gives and adds."""

    says = "Looking inside the blocks ..."

    def run(self, task: Task) -> dict[int, BlockSum]:
        """Return the sums by the blocks' numbers."""
        twins = self.twins
        found = [self._maps(twins, k) for k in range(len(twins.networks))]
        last = found[-1]
        return {
            k: BlockSum(
                tuple(_get(maps, k, "maps") for maps in found),
                *(_get(last, k, part) for part in ("skip", "branch", "ratio")),
            )
            for k in range(1, twins.count + 1)
        }

    def _maps(self, twins: OpenTwins, which: int) -> dict[int, Any]:
        from resnet_explore.analysis.activations.feature_maps import feature_maps

        network, blocks = twins.networks[which], twins.blocks[which]
        batch = self.lab.images.picture(self.image).batch(self.lab.images.form_for(network.about))
        with changed(twins, which, self.edit):
            maps = feature_maps(network.model, batch, [b.name for b in blocks], _LARGEST_MAP)
        return {k: maps[b.name] for k, b in enumerate(blocks, 1) if b.name in maps}


def _get(maps: Mapping[int, Any], number: int, part: str) -> Any:
    return getattr(maps[number], part) if number in maps else None


@dataclass(frozen=True)
class Gradients(_OfTwins):
    """Measure both networks' gradients, edited or not, in one pass over held-out images."""

    edit: Edit
    says = "Measuring gradients ..."

    def run(self, task: Task) -> "tuple[np.ndarray, ...]":
        """Return for each network the L2 norm of the loss's gradient by each layer's weights, (layers,)."""
        from resnet_explore.analysis.gradients.flow import gradient_flow

        twins = self.twins
        if twins.held_out is None:
            return ()
        tests = _some(twins.held_out, slice(0, _GRADIENT_IMAGES))
        found = []
        for k, network in enumerate(twins.networks):
            with changed(twins, k, self.edit):
                flow = gradient_flow(network.model, tests.batch, tests.labels, mode="eval")
            found.append(np.asarray(flow.weight_gradient_norms, float))
        return tuple(found)


@dataclass(frozen=True)
class Heat(_OfImage):
    """Find where both networks, edited or not, look for one class of an image (Grad-CAM, last block)."""

    says = "Computing heatmaps ..."

    def run(self, task: Task) -> "tuple[tuple[str, np.ndarray, float], ...]":
        """Return the class that each network named unedited, its map, float32 (h, w), and its logit."""
        from resnet_explore.analysis.explain.maps import class_activation_maps

        twins = self.twins
        found = []
        for k, network in enumerate(twins.networks):
            batch = self.lab.images.picture(self.image).batch(self.lab.images.form_for(network.about))
            with changed(twins, k, Edit()):
                first = int(logits_of(network.model, batch)[0].argmax())
            order = self.edit.order or range(1, len(twins.blocks[k]) + 1)
            name = twins.blocks[k][order[-1] - 1].name  # of the block that runs last
            with changed(twins, k, self.edit):
                maps = class_activation_maps(network.model, batch, first, name)
            found.append((twins.called(first), maps[name][0].float().cpu().numpy(), float(maps.scores[0])))
        return tuple(found)


@dataclass(frozen=True)
class Singles(_OfTwins):
    """Take each block out alone, and count both networks' errors."""

    says = "Taking out one block after the other ..."

    def run(self, task: Task) -> "tuple[np.ndarray, ...]":
        """Return the errors in percent, (blocks,) for each network, NaN where a block stays."""
        twins = self.twins
        tests = _first(twins.held_out)
        found = [np.full(len(own), np.nan) for own in twins.blocks]
        if tests is None:
            return tuple(found)
        for number in range(1, twins.count + 1):
            task.check()
            for k, outcome in enumerate(asked(self.lab, twins, Edit(deleted=(number,)), "", tests)):
                if number <= len(found[k]) and not outcome.stays:
                    found[k][number - 1] = outcome.error
        return tuple(found)


@dataclass(frozen=True)
class ReadStudies(_OfTwins):
    """Read what was recorded of networks that ship."""

    says = "Reading recorded studies ..."

    def run(self, task: Task) -> "dict[str, pd.DataFrame]":
        """Return the tables of these networks: "lesions" and "paths", those that there are."""
        from resnet_explore.analysis.skips.recorded import load_lesions, load_paths

        found = {}
        for name, load in (("lesions", load_lesions), ("paths", load_paths)):
            try:
                table = load(self.networks)
            except ExploreError:
                continue
            table = table[table["depth"] == self.depth]
            if len(table):
                found[name] = table
        return found


@dataclass(frozen=True)
class ReadTraining(Job):
    """Read the recorded trainings in which skips changed."""

    says = "Reading recorded trainings ..."

    def run(self, task: Task) -> "pd.DataFrame":
        """Return a row for each epoch."""
        from resnet_explore.training.skip_training import load_skip_training

        return load_skip_training()
