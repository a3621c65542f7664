"""What does a network answer: a class for an image, a class for each pixel, or boxes?"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resnet_explore.analysis._batch import kind_of, main_output
from resnet_explore.analysis.explain.targets import Box, Classes, Region, Target, are_detections
from resnet_explore.errors import ExploreError

Place = tuple[float, float]  # (down, across), as shares of an image's height and width


@dataclass(frozen=True, eq=False)
class Answer(ABC):
    """What a network says of one image, and what can be asked about it.

    shares  float64 (K,): how much each class has of the answer, 0..1
    best    the class that has most of it
    kind    "classes", "pixels" or "boxes"
    """

    shares: Tensor
    best: int
    kind = ""

    @abstractmethod
    def target(self, index: int | None = None, place: Place | None = None) -> Target:
        """Return what to explain: a class, by default `best`; at a place in particular where there are such.

        Raises ExploreError where the network says nothing of the kind.
        """


class ClassAnswer(Answer):
    """A class for the image: `shares` are softmax probabilities."""

    kind = "classes"

    def target(self, index: int | None = None, place: Place | None = None) -> Target:
        return Classes(self.best if index is None else index)


@dataclass(frozen=True, eq=False)
class PixelAnswer(Answer):
    """A class for each pixel: `shares` are those of the pixels.

    labels  the class of each pixel, int64 (h, w); -1 where the only class there is has a negative logit
    """

    labels: Tensor
    kind = "pixels"

    def target(self, index: int | None = None, place: Place | None = None) -> Target:
        """Ask about a class at a place, or where the network sees it; all over the image if nowhere."""
        height, width = self.labels.shape
        if place is not None:
            row, column = (min(int(at * n), n - 1) for at, n in zip(place, (height, width), strict=True))
            return Region(max(int(self.labels[row, column]), 0) if index is None else index, (row, column))
        index = self.best if index is None else index
        mask = self.labels == index
        return Region(index, (mask if mask.any() else torch.ones_like(mask)).numpy())


@dataclass(frozen=True, eq=False)
class BoxAnswer(Answer):
    """Boxes around things: `shares` are the highest scores of each class.

    boxes   (M, 4) as (x0, y0, x1, y1) in pixels of the image, the surest first
    labels  their classes, int64 (M,)
    scores  how sure the network is of each, (M,)
    size    height and width of the image
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    size: tuple[int, int]
    kind = "boxes"

    def target(self, index: int | None = None, place: Place | None = None) -> Target:
        """Ask about the surest detection, of a class or around a place if one is given."""
        fits = torch.ones(len(self.boxes), dtype=torch.bool)
        if index is not None:
            fits &= self.labels == index
        if place is not None:
            y, x = (at * n for at, n in zip(place, self.size, strict=True))
            x0, y0, x1, y1 = self.boxes.T
            fits &= (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)
        if not fits.any():
            what = "nothing" if index is None else f"no class {index}"
            raise ExploreError(
                f"The detector finds {what} {'in this image' if place is None else 'around this place'}."
            )
        first = int(fits.nonzero()[0])
        return Box(tuple(self.boxes[first].tolist()), int(self.labels[first]))


def read_answer(output: Any, size: Sequence[int], background: int | None = None) -> Answer:
    """Read what a network returned for a batch of one image of this height and width.

    background  the class of pixels that is best only where a segmentation sees nothing else

    Taken are logits (1, K), logits (1, K, h, w), both also in a dict, list or tuple, and what torchvision's
    detectors give. Raises ExploreError for anything else.
    """
    if are_detections(output, 1):
        return _boxes(output[0], (int(size[0]), int(size[1])))
    logits = main_output(output, 1, 2)
    if logits is not None and logits.shape[1]:
        return read_logits(logits[0])
    dense = main_output(output, 1, 4)
    if dense is not None and dense.numel():
        return _pixels(dense[0].detach().cpu(), background)
    raise ExploreError(
        "The explorer reads logits (N, K) of an image, logits (N, K, h, w) of pixels, or a detector's boxes, "
        f"labels and scores, but this network returns {kind_of(output)}."
    )


def read_logits(logits: Tensor) -> Answer:
    """Read logits (K,); in float64, in which softmax keeps the order of those that are nearly alike."""
    logits = logits.detach().cpu().double()
    return ClassAnswer(logits.softmax(0), int(logits.argmax()))


def _pixels(logits: Tensor, background: int | None) -> Answer:
    logits, count = logits.detach().cpu(), len(logits)
    labels = logits.argmax(0) if count > 1 else torch.where(logits[0] > 0, 0, -1)
    shares = torch.bincount(labels[labels >= 0].flatten(), minlength=count).double() / labels.numel()
    things = shares.clone()
    if background is not None:
        things[background] = 0
    return PixelAnswer(shares, int((things if things.any() else shares).argmax()), labels)


def _boxes(found: Any, size: tuple[int, int]) -> Answer:
    boxes, labels, scores = (found[name].detach().cpu() for name in ("boxes", "labels", "scores"))
    order = scores.argsort(descending=True, stable=True)
    boxes, labels, scores = boxes[order], labels[order].long(), scores[order]
    shares = torch.zeros(int(labels.max()) + 1 if len(labels) else 1, dtype=torch.float64)
    shares.scatter_reduce_(0, labels, scores.double(), "amax")
    best = int(labels[0]) if len(labels) else 0
    return BoxAnswer(shares, best, boxes, labels, scores, size)
