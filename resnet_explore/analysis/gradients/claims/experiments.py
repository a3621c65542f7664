"""The small experiments that claims about gradients are measured by: networks, data, a few steps of SGD."""

import math
from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis.gradients.flow import layers_on_path
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.mlp import MLP, MLPLayer
from resnet_explore.models.shortcuts import Add


def noise(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Return Gaussian noise (N, ...) and one of ten classes for each of N."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random), torch.randint(10, shape[:1], generator=random)


def training(model: nn.Module, images: Tensor, labels: Tensor, lr: float) -> Iterator[float]:
    """Take steps of SGD with momentum 0.9 on one batch, as many as are asked for; yield the loss before each.

    At a yield the step is taken, and the gradients of that loss are still in .grad. The last loss is inf if
    one is no longer finite.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    model.train()
    loss = 0.0
    while math.isfinite(loss):
        optimizer.zero_grad()
        value = F.cross_entropy(model(images), labels)
        value.backward()
        optimizer.step()
        loss = value.item() if math.isfinite(value.item()) else math.inf
        yield loss


def ratios_while_training(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int, lr: float
) -> Iterator[float]:
    """Yield the weight gradient of convolution 2 over that of the last, at step 0, 1, ... `steps` of SGD."""
    weights = [m.weight for m in layers_on_path(model).values() if isinstance(m, nn.Conv2d)]
    for _, _loss in zip(range(steps + 1), training(model, images, labels, lr), strict=False):
        first, last = (weights[k].grad for k in (1, -1))
        yield float(first.norm() / last.norm()) if first is not None and last is not None else math.nan


def equal_blocks(count: int, width: int = 16) -> ResNetConfig:
    """Return a pre-activation network with so many blocks of equal width, as in De and Smith's analysis."""
    return ResNetConfig(
        depths=(count,), widths=(width,), stem="cifar", shortcut="padding", order="pre", num_classes=10
    )


def first_layers(network: MLP, depth: int, branch_scale: float | None = None) -> nn.Module:
    """Return the first `depth` layers of a plain network between its ends, with skips unless it is None.

    The layers are those of the network itself: use one such part at a time.
    """
    layers = list(network.layers)[:depth]
    for layer in cast(list[MLPLayer], layers):
        layer.add = None if branch_scale is None else Add(branch_scale)
    return nn.Sequential(nn.Flatten(1), network.first, *layers, network.last).eval()
