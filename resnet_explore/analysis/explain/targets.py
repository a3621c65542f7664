"""What is asked about: a class, one class rather than another, a region of a segmentation, a detected box.

A target turns a network's answer into one number for each image, which is then explained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_classes, as_logits, kind_of, main_output
from resnet_explore.errors import ExploreError


class Target:
    """What every target can do; `str()` of it says in words what is asked."""

    def scores(self, output: Any, count: int) -> Tensor:
        """Return one number for each of `count` images, (count,), with the output's graph."""
        raise NotImplementedError

    def likelihood(self, output: Any, count: int) -> Tensor:
        """Return how sure the network is of it, 0..1, for each of `count` images, (count,).

        By default the sigmoid of the score: how likely it is beside one whose score is 0.
        """
        return self.scores(output, count).sigmoid()

    def settle(self, output: Any, count: int) -> Self:
        """Return the target with what it left open, such as the most likely class, read off an answer."""
        return self

    def of_image(self, index: int) -> Self:
        """Return the settled target of one image, for any number of variants of it."""
        return self


@dataclass(frozen=True, eq=False)
class Classes(Target):
    """The logit of a class: one for all images, one for each, or None for each image's likeliest."""

    index: Any = None

    def scores(self, output: Any, count: int) -> Tensor:
        return as_logits(output, count, _HINT).gather(1, self.indices(output, count)[:, None])[:, 0]

    def likelihood(self, output: Any, count: int) -> Tensor:
        """Return the softmax probability of the class; of the only class the sigmoid."""
        logits = as_logits(output, count, _HINT)
        sure = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
        return sure.gather(1, self.indices(output, count)[:, None])[:, 0]

    def indices(self, output: Any, count: int) -> Tensor:
        """Return the class of each image, int64 (count,)."""
        logits, index = as_logits(output, count, _HINT), self.index
        if index is None:
            return logits.detach().argmax(1)
        if isinstance(index, (int, np.integer)) or (isinstance(index, Tensor) and index.ndim == 0):
            index = [int(index)] * count
        return as_classes("targets", index, logits)

    def settle(self, output: Any, count: int) -> Self:
        return replace(self, index=self.indices(output, count))

    def of_image(self, index: int) -> Self:
        return replace(self, index=int(self.index[index]))

    def __str__(self) -> str:
        if self.index is None:
            return "the likeliest class"
        each = np.unique(_as_array(self.index))
        return f"class {each[0]}" if len(each) == 1 else f"{len(each)} classes"


@dataclass(frozen=True)
class Difference(Target):
    """Why this class rather than that one: the difference of two logits.

    Its likelihood is that of the one class where there are only the two.
    """

    this: int
    that: int

    def scores(self, output: Any, count: int) -> Tensor:
        return Classes(self.this).scores(output, count) - Classes(self.that).scores(output, count)

    def __str__(self) -> str:
        return f"class {self.this} rather than class {self.that}"


@dataclass(frozen=True, eq=False)
class Region(Target):
    """A class in a part of a segmentation: the mean of its logits at a pixel or inside a mask.

    index   the class
    where   (row, column), or a mask of the output's height and width: one for all images or one for each

    The network's answer is logits (N, K, H, W), alone or in a dict, list or tuple: there those called "out",
    as torchvision has it, or "logits"; else the only one, or of a list the first.
    """

    index: int
    where: Any

    def scores(self, output: Any, count: int) -> Tensor:
        return self._mean(self._logits(output, count))

    def likelihood(self, output: Any, count: int) -> Tensor:
        """Return the mean of the class's softmax probability there; of the only class's sigmoid."""
        logits = self._logits(output, count)
        return self._mean(logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1))

    def _logits(self, output: Any, count: int) -> Tensor:
        logits = main_output(output, count, 4)
        if logits is None:
            raise ExploreError(
                f"A Region is asked of logits of shape ({count}, K, H, W), not {kind_of(output)}."
            )
        if not 0 <= self.index < logits.shape[1]:
            raise ExploreError(f"index must lie in 0..{logits.shape[1] - 1}, not {self.index!r}.")
        return logits

    def _mean(self, values: Tensor) -> Tensor:
        mask = self._mask(values).to(values)
        return (values[:, self.index] * mask).sum((1, 2)) / mask.sum((1, 2))

    def of_image(self, index: int) -> Self:
        mask = self.where if _is_pixel(self.where) else torch.as_tensor(_as_array(self.where))
        return replace(self, where=mask[index] if isinstance(mask, Tensor) and mask.ndim == 3 else self.where)

    def _mask(self, output: Tensor) -> Tensor:
        count, _, height, width = output.shape
        if _is_pixel(self.where):
            row, column = self.where
            if not (0 <= row < height and 0 <= column < width):
                raise ExploreError(f"where must lie inside the output, {height}×{width}, not {self.where!r}.")
            mask = torch.zeros(height, width, dtype=torch.bool)
            mask[row, column] = True
        else:
            mask = torch.as_tensor(_as_array(self.where)) != 0
        if mask.shape not in ((height, width), (count, height, width)) or not mask.flatten(-2).any(-1).all():
            raise ExploreError(
                "where must be (row, column) or a mask with something in it, of shape "
                f"({height}, {width}) or ({count}, {height}, {width}), not {tuple(mask.shape)}."
            )
        return mask.expand(count, height, width)

    def __str__(self) -> str:
        place = f"pixel {tuple(self.where)}" if _is_pixel(self.where) else "a region"
        return f"class {self.index} at {place}"


@dataclass(frozen=True)
class Box(Target):
    """The score of the detection that overlaps a box most: 0 for an image where none overlaps.

    box     (x0, y0, x1, y1) in pixels of the image
    label   only detections of this class; None for any

    The network's answer is a list with a dict of "boxes", "labels" and "scores" for each image, as
    torchvision's detectors give in eval mode.
    """

    box: tuple[float, float, float, float]
    label: int | None = None

    def scores(self, output: Any, count: int) -> Tensor:
        if not are_detections(output, count):
            raise ExploreError(
                f"A Box is asked of {count} dicts of boxes, labels and scores, not {kind_of(output)}."
            )
        return torch.stack([self._score(one) for one in output])

    def likelihood(self, output: Any, count: int) -> Tensor:
        """Return the detection's score, which lies in 0..1 by itself."""
        return self.scores(output, count)

    def _score(self, found: Mapping[str, Tensor]) -> Tensor:
        overlap = _overlap(found["boxes"].detach(), self.box)
        if self.label is not None:
            overlap = overlap * (found["labels"] == self.label)
        if not len(overlap) or overlap.max() <= 0:
            return found["scores"].new_zeros(())
        return found["scores"][overlap.argmax()]

    def __str__(self) -> str:
        kind = "any class" if self.label is None else f"class {self.label}"
        return f"the detection of {kind} at {tuple(self.box)}"


def are_detections(output: Any, count: int) -> bool:
    """Whether a network's answer is a dict of "boxes", "labels" and "scores" for each of `count` images."""
    keys = {"boxes", "labels", "scores"}
    fits = isinstance(output, Sequence) and len(output) == count
    return fits and all(isinstance(one, Mapping) and keys <= set(one) for one in output)


def as_target(targets: Any) -> Target:
    """Return what a person may give as `targets` as a Target: one already, or classes."""
    return targets if isinstance(targets, Target) else Classes(targets)


class Scored(nn.Module):
    """A network that gives the target's score, (N,), for any number of variants of one image."""

    def __init__(self, net: nn.Module, target: Target) -> None:
        super().__init__()
        self.net, self.target = net, target

    def forward(self, x: Tensor) -> Tensor:
        return self.target.scores(self.net(x), len(x))


_HINT = "; of a segmentation ask about a Region, of a detector about a Box"


def _as_array(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)


def _is_pixel(where: Any) -> bool:
    return (
        isinstance(where, tuple) and len(where) == 2 and all(isinstance(n, (int, np.integer)) for n in where)
    )


def _overlap(boxes: Tensor, box: tuple[float, ...]) -> Tensor:
    """Return the intersection over union of boxes (M, 4) with one box."""
    other = boxes.new_tensor(box)
    corner = torch.minimum(boxes[:, 2:], other[2:]) - torch.maximum(boxes[:, :2], other[:2])
    both = corner.clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (other[2:] - other[:2]).prod()
    return both / (areas - both).clamp(min=1e-12)
