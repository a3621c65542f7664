"""The building blocks, and the skip itself.

Each block computes `relu(add(branch(x), shortcut(x)))`; its plain twin `relu(branch(x))`. Names of the
layers follow torchvision so that public weights load. Every ReLU is a module of its own and none works in
place: each can be hooked once, and no stored activation is overwritten.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.models.config import ResNetConfig


class Add(nn.Module):
    """The skip connection: branch_scale * F(x) + skip_scale * shortcut(x) (He et al. 2015, eq. 1 and 2).

    Both scales are 1 in a ResNet. They are plain numbers, not parameters, so that the skip of a trained
    network can be weakened or cut (skip_scale = 0) and put back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.branch_scale = 1.0
        self.skip_scale = 1.0

    def forward(self, branch: Tensor, skip: Tensor) -> Tensor:
        if self.branch_scale != 1.0:
            branch = branch * self.branch_scale
        if self.skip_scale != 1.0:
            skip = skip * self.skip_scale
        return branch + skip


class PaddingShortcut(nn.Module):
    """Option A: keep every stride-th pixel and add zero channels, half in front and half behind."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        extra = out_channels - in_channels
        self.front, self.back = extra // 2, extra - extra // 2
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        # Equals x[:, :, ::stride, ::stride], but its gradient keeps x's layout: 12 % of a training step.
        x = F.avg_pool2d(x, 1, self.stride)
        return F.pad(x, (0, 0, 0, 0, self.front, self.back))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zero channels={self.front}+{self.back}"


class Block(nn.Module):
    """What all blocks share: a residual branch, a shortcut, their sum.

    In a plain network `add` and `downsample` are None. `downsample` is also None where the shortcut is the
    identity.
    """

    add: Add | None
    downsample: nn.Module | None

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), the residual branch before the addition: (N, C, H, W) to (N, C', H', W')."""
        raise NotImplementedError

    def activate(self, x: Tensor) -> Tensor:
        """Return the block's last ReLU of x."""
        raise NotImplementedError

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what the skip carries: x itself, or x brought to the branch's shape."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        if self.add is not None:
            out = self.add(out, self.shortcut(x))
        return self.activate(out)


class BasicBlock(Block):
    """Two 3x3 convolutions (He et al. 2015, Fig. 5 left)."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(config, in_channels, width, 3, stride)
        self.bn1 = norm(config, width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(config, width, width, 3)
        self.bn2 = norm(config, width)
        self.downsample = downsample(config, in_channels, width, stride)
        self.add = Add() if config.residual else None
        self.relu2 = nn.ReLU()

    def branch(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))

    def activate(self, x: Tensor) -> Tensor:
        return self.relu2(x)


class Bottleneck(Block):
    """1x1, 3x3, 1x1 (He et al. 2015, Fig. 5 right), with the stride on the 3x3 as torchvision has it."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner, out_channels = config.inner_width(width), width * config.expansion
        self.conv1 = conv(config, in_channels, inner, 1)
        self.bn1 = norm(config, inner)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(config, inner, inner, 3, stride, config.groups)
        self.bn2 = norm(config, inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv(config, inner, out_channels, 1)
        self.bn3 = norm(config, out_channels)
        self.downsample = downsample(config, in_channels, out_channels, stride)
        self.add = Add() if config.residual else None
        self.relu3 = nn.ReLU()

    def branch(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))

    def activate(self, x: Tensor) -> Tensor:
        return self.relu3(x)


def conv(
    config: ResNetConfig, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution padded to keep the size; it has a bias only where no batch norm follows."""
    bias = config.norm == "none"
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias)


def norm(config: ResNetConfig, channels: int) -> nn.Module:
    """Return the normalisation that follows each convolution."""
    return nn.BatchNorm2d(channels) if config.norm == "batch" else nn.Identity()


def downsample(config: ResNetConfig, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Return what brings x to the branch's shape, or None where nothing is needed or the net is plain."""
    if not config.residual or (stride == 1 and in_channels == out_channels):
        return None
    if config.shortcut == "padding":
        return PaddingShortcut(in_channels, out_channels, stride)
    return nn.Sequential(conv(config, in_channels, out_channels, 1, stride), norm(config, out_channels))
