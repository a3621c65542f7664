"""The building blocks (He et al. 2015, Fig. 5; He et al. 2016, Fig. 4).

A block is a branch, a shortcut and their sum; its plain twin is the branch alone. Names of the layers
follow torchvision so that public weights load. Every ReLU is a module of its own and none works in place:
each can be hooked once, and no stored activation is overwritten.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from resnet_explore.errors import ExploreError
from resnet_explore.models.config import BLOCKS as SIZES, ResNetConfig
from resnet_explore.models.layers import Scale, conv, last_norm, norm
from resnet_explore.models.shortcuts import Add, Gate, downsample

# He et al. 2016, Fig. 4: in which order a convolution, its norm and its ReLU come, and how many layers of
# the block's last such group wait until after the addition. For "post" and two convolutions that is
# conv1 bn1 relu1 conv2 bn2 | + | relu2.
ORDERS = {
    "post": (("conv", "bn", "relu"), 1),
    "bn_after_add": (("conv", "bn", "relu"), 2),
    "relu_before_add": (("conv", "bn", "relu"), 0),
    "relu_only_pre": (("relu", "conv", "bn"), 0),
    "pre": (("norm", "relu", "conv"), 0),
}


class Block(nn.Module):
    """What all blocks share: activate(add(branch(x), shortcut(x))), in a plain network activate(branch(x)).

    `add` and `downsample` are None in a plain network. `downsample` is also None where the shortcut is the
    identity. In the first pre-activation block of a stage x stands for split(x), see there.
    """

    add: Add | None
    gate: Gate | None
    downsample: nn.Module | None

    def __init__(self, config: ResNetConfig, convolutions: int) -> None:
        super().__init__()
        kinds, waiting = ORDERS[config.order]
        layers = [f"{kind}{i}" for i in range(1, convolutions + 1) for kind in kinds]
        self.before_add = layers[: len(layers) - waiting]
        self.after_add = layers[len(layers) - waiting :]
        #: Chance that a training step keeps the branch (stochastic depth); the network sets it.
        self.survival = 1.0

    def connect(self, config: ResNetConfig, in_channels: int, out_channels: int, stride: int) -> None:
        """Make what a plain block lacks: the shortcut, what weighs it, and the addition."""
        self.downsample = downsample(config, in_channels, out_channels, stride)
        gated = config.residual and config.gate != "none"
        self.gate = Gate(config, in_channels, out_channels, stride) if gated else None
        if config.residual and config.init in ("rezero", "skipinit"):
            self.alpha = Scale(0.0)
            self.before_add = [*self.before_add, "alpha"]
        self.add = Add(config.branch_scale, config.skip_scale) if config.residual else None

    def split(self, x: Tensor) -> Tensor:
        """Return what branch and shortcut both start from: x itself, but for some pre-activation blocks."""
        return x

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), the residual branch before the addition: (N, C, H, W) to (N, C', H', W')."""
        for layer in self.before_add:
            x = getattr(self, layer)(x)
        return x

    def shortcut(self, x: Tensor) -> Tensor:
        """Return what the skip carries: x itself, or x brought to the branch's shape."""
        return x if self.downsample is None else self.downsample(x)

    def activate(self, x: Tensor) -> Tensor:
        """Return x after the layers behind the addition: in He et al. 2015 the block's last ReLU."""
        for layer in self.after_add:
            x = getattr(self, layer)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.split(x)
        if self.add is None:
            return self.activate(self.branch(x))
        branch, skip = self._branch_if_it_survives(x), self.shortcut(x)
        if branch is None:
            branch = torch.zeros_like(skip)
        if self.gate is not None:
            branch, skip = self.gate(x, branch, skip)
        return self.activate(self.add(branch, skip))

    def _branch_if_it_survives(self, x: Tensor) -> Tensor | None:
        """Return F(x), in training None with chance 1 - survival (Huang et al. 2016, eq. 2).

        One draw for the whole batch, as in the paper. The paper multiplies F(x) by the chance when testing;
        we divide by it when training, as libraries do, so that eval mode is the network itself.
        """
        if not self.training or self.survival == 1:
            return self.branch(x)
        if torch.rand(()).item() >= self.survival:
            return None
        return self.branch(x) / self.survival


class BasicBlock(Block):
    """Two 3x3 convolutions (He et al. 2015, Fig. 5 left)."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        super().__init__(config, convolutions=2)
        self.conv1 = conv(config, in_channels, width, 3, stride)
        self.bn1 = norm(config, width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(config, width, width, 3)
        self.bn2 = last_norm(config, width)
        self.connect(config, in_channels, width, stride)
        self.relu2 = nn.ReLU()


class Bottleneck(Block):
    """1x1, 3x3, 1x1 (He et al. 2015, Fig. 5 right), with the stride on the 3x3 as torchvision has it."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        super().__init__(config, convolutions=3)
        inner, out_channels = config.inner_width(width), width * config.expansion
        self.conv1 = conv(config, in_channels, inner, 1)
        self.bn1 = norm(config, inner)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(config, inner, inner, 3, stride, config.groups)
        self.bn2 = norm(config, inner)
        self.relu2 = nn.ReLU()
        self.conv3 = conv(config, inner, out_channels, 1)
        self.bn3 = last_norm(config, out_channels)
        self.connect(config, in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()


class Res2Bottleneck(Block):
    """A bottleneck whose 3x3 works on a few channels at a time, each group seeing the one before.

    y_1 = K_1(x_1), y_i = K_i(x_i + y_{i-1}), and the last group passes as it is (Gao et al. 2019, arXiv
    1904.01169, eq. 1; the authors' code, and so timm's, passes the last and not the first). The first block
    of a stage has no sums and pools the last group.
    """

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int) -> None:
        super().__init__(config, convolutions=3)
        inner, out_channels = config.inner_width(width), width * config.expansion
        self.first = stride != 1 or in_channels != out_channels
        self.conv1 = conv(config, in_channels, inner * config.scales, 1)
        self.bn1 = norm(config, inner * config.scales)
        self.relu1 = nn.ReLU()
        own = range(config.scales - 1)
        self.convs = nn.ModuleList(conv(config, inner, inner, 3, stride, config.groups) for _ in own)
        self.bns = nn.ModuleList(norm(config, inner) for _ in own)
        self.relus = nn.ModuleList(nn.ReLU() for _ in own)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if self.first else nn.Identity()
        self.conv3 = conv(config, inner * config.scales, out_channels, 1)
        self.bn3 = last_norm(config, out_channels)
        self.connect(config, in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()
        rest = self.before_add[self.before_add.index("conv3") :]
        self.before_add = ["conv1", "bn1", "relu1", "scales", *rest]

    def scales(self, x: Tensor) -> Tensor:
        """Return the groups of channels after their 3x3 convolutions: (N, s w, H, W) to (N, s w, H', W')."""
        *groups, last = x.chunk(len(self.convs) + 1, dim=1)
        outputs: list[Tensor] = []
        for group, kernel, bn, relu in zip(groups, self.convs, self.bns, self.relus, strict=True):
            seen = group if self.first or not outputs else outputs[-1] + group
            outputs.append(relu(bn(kernel(seen))))
        return torch.cat([*outputs, self.pool(last)], dim=1)


BLOCKS: dict[str, Callable[..., Block]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


def block_of(config: ResNetConfig) -> Callable[..., Block]:
    """Return the class of this network's blocks, in torchvision's layout."""
    return Res2Bottleneck if config.scales > 1 else BLOCKS[config.block]


def add_block(name: str, block: type[Block], layers: int, expansion: int = 1) -> None:
    """Let `ResNetConfig(block=name)` build networks of blocks of your own.

    block      a Block, called with (config, in_channels, width, stride), that makes its layers, then calls
               `connect`; or one of ours with more to it
    layers     how many weighted layers one has on its longest way
    expansion  how many times wider than `width` its output is

    Raises ExploreError for a name that another block has.
    """
    known = getattr(BLOCKS.get(name, block), "__qualname__", "")
    if known != block.__qualname__:  # the same again is no mistake: a notebook's cell may well run twice
        raise ExploreError(f"There is a block {name!r} already; choose another name for {block.__name__}.")
    BLOCKS[name] = block
    SIZES[name] = (layers, expansion)
