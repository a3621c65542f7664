"""The layers that blocks are made of: convolutions and what follows them, as the config says."""

import torch
from torch import Tensor, nn

from resnet_explore.models.config import ResNetConfig


class Scale(nn.Module):
    """One learnable number that multiplies everything: ReZero's and SkipInit's alpha, Fixup's multiplier."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.value = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the number to what training starts from."""
        nn.init.constant_(self.value, self.start)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value

    def extra_repr(self) -> str:
        return f"starts at {self.start:g}"


class Shift(nn.Module):
    """One learnable number, 0 at the start, that is added to everything: Fixup's scalar bias."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the number to what training starts from."""
        nn.init.zeros_(self.value)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


class ShiftedConv2d(nn.Conv2d):
    """A convolution of x + b with one scalar b (Zhang et al. 2019, section 3, rule 3)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.shift = Shift()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.shift(x))


class ShiftedLinear(nn.Linear):
    """A fully connected layer of x + b with one scalar b (Zhang et al. 2019, section 3, rule 3)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.shift = Shift()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.shift(x))


def conv(
    config: ResNetConfig, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution padded to keep the size; it has a bias only where no normalisation follows."""
    if config.init == "fixup":
        return ShiftedConv2d(in_channels, out_channels, kernel, stride, groups)
    bias = config.norm == "none"
    return nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias)


def norm(config: ResNetConfig, channels: int) -> nn.Module:
    """Return the normalisation that belongs to each convolution, or what stands in for it."""
    if config.init == "fixup":
        return Shift()
    if config.norm == "group":
        return nn.GroupNorm(_groups(channels), channels)
    return nn.BatchNorm2d(channels) if config.norm == "batch" else nn.Identity()


def last_norm(config: ResNetConfig, channels: int) -> nn.Module:
    """Return the same for a branch's last convolution: there Fixup has its multiplier, too."""
    return nn.Sequential(Scale(1.0), Shift()) if config.init == "fixup" else norm(config, channels)


def linear(config: ResNetConfig, in_features: int, out_features: int) -> nn.Linear:
    """Return the classifier."""
    if config.init == "fixup":
        return ShiftedLinear(in_features, out_features)
    return nn.Linear(in_features, out_features)


def _groups(channels: int) -> int:
    """Return 32 groups (Wu and He 2018, section 4), fewer where one would have less than two channels."""
    return next((g for g in (32, 16, 8, 4, 2) if channels % g == 0 and channels >= 2 * g), 1)
