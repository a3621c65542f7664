"""A data set's images as a network's weights were trained on them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from resnet_explore.inputs.datasets import ImageSet


def as_trained(about: Any, dataset: str, split: str = "test", root: str | None = None) -> "ImageSet":
    """Return a split of a data set in the size, and with the mean and deviation, that weights tell of."""
    from resnet_explore.inputs.datasets import load_dataset

    data = load_dataset(dataset, split, root=root, size=about["input_size"][1])
    return replace(data, mean=tuple(about["mean"]), std=tuple(about["std"]))


def drawn(about: Any, dataset: str, split: str, root: str | None, count: int) -> "tuple[ImageSet, Tensor]":
    """Return a split as trained on, and which images are measured: `count` indices, or all there are.

    Their order is random, drawn with seed 0, so that all commands measure the same ones.
    """
    import torch

    data = as_trained(about, dataset, split, root)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    return data, order[:count]
