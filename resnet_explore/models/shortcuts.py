"""The skip: what it carries, what weighs it, and the addition itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.layers import conv, norm


class Add(nn.Module):
    """The skip connection: branch_scale * F(x) + skip_scale * shortcut(x) (He et al. 2015, eq. 1 and 2).

    Both scales are 1 in a ResNet. They are plain numbers, not parameters, so that the skip of a trained
    network can be weakened or cut (skip_scale = 0) and put back. What is cut adds exactly nothing, also where
    it is infinite, and its gradient is 0.
    """

    def __init__(self, branch_scale: float = 1.0, skip_scale: float = 1.0) -> None:
        super().__init__()
        self.branch_scale = branch_scale
        self.skip_scale = skip_scale

    def forward(self, branch: Tensor, skip: Tensor) -> Tensor:
        return weighed_sum(branch, skip, self.branch_scale, self.skip_scale)

    def extra_repr(self) -> str:
        scaled = (self.branch_scale, self.skip_scale) != (1, 1)
        return f"{self.branch_scale:g} F(x) + {self.skip_scale:g} x" if scaled else ""


def weighed_sum(first: Tensor, second: Tensor, a: float, b: float) -> Tensor:
    """Return a first + b second; a factor costs nothing beside the sum, unless both are at work."""
    if a not in (0, 1):
        return torch.add(scaled(second, b), first, alpha=a)
    if b not in (0, 1):
        return torch.add(scaled(first, a), second, alpha=b)
    return scaled(first, a) + scaled(second, b)


def scaled(x: Tensor, by: float) -> Tensor:
    """Return `by` times x; for 0 that is 0 everywhere, though infinity times 0 is no number."""
    if by == 1 or not x.numel():
        return x
    if by or x.is_meta:
        return x * by
    # One zero for all, made of x: its gradient is 0, not missing.
    return x[(0,) * x.ndim].masked_fill(x.new_ones((), dtype=torch.bool), 0).expand_as(x)


class Gate(nn.Module):
    """g(x) = sigmoid(W x + b) weighs skip and branch (He et al. 2016, section 3.2).

    Exclusive: g F(x) and (1 - g) x; shortcut-only: F(x) and (1 - g) x. W is a 1x1 convolution; where the
    block changes the shape it takes the block's stride and output channels, so that g fits both.
    """

    def __init__(self, config: ResNetConfig, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride)
        self.exclusive = config.gate == "exclusive"
        self.start = config.gate_bias

    def reset_bias(self) -> None:
        """Set b to what training starts from; a negative one lets the skip through."""
        nn.init.constant_(self.get_parameter("conv.bias"), self.start)

    def forward(self, x: Tensor, branch: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        g = self.conv(x).sigmoid()
        return (g * branch if self.exclusive else branch), (1 - g) * skip

    def extra_repr(self) -> str:
        return f"exclusive={self.exclusive}, bias starts at {self.start:g}"


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


def downsample(config: ResNetConfig, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Return what the skip does to x, or None where it carries x itself or the net is plain.

    The name is torchvision's: mostly it brings x to the branch's shape. Pre-activation blocks project
    without normalisation (He et al. 2016, section 4; timm), as all do under Fixup.
    """
    if not config.residual:
        return None
    carried: nn.Sequential | PaddingShortcut | None = None
    if config.shortcut == "projection_all" or stride != 1 or in_channels != out_channels:
        if config.shortcut == "padding":
            carried = PaddingShortcut(in_channels, out_channels, stride)
        else:
            project = conv(config, in_channels, out_channels, 1, stride)
            carried = nn.Sequential()
            if config.order == "pre":
                carried.add_module("conv", project)
            else:
                bare = config.init == "fixup"
                carried.extend([project, nn.Identity() if bare else norm(config, out_channels)])
    if config.skip_dropout == 0:
        return carried
    dropout = nn.Dropout(config.skip_dropout)
    return dropout if carried is None else _then(carried, dropout)


def _then(first: nn.Module, second: nn.Module) -> nn.Sequential:
    """Return the one after the other, without new names for the layers of a Sequential."""
    if isinstance(first, nn.Sequential):
        first.add_module("dropout", second)
        return first
    return nn.Sequential(first, second)
