"""Pre-activation networks (He et al. 2016, arXiv 1603.05027, Fig. 1 b), with the layers' names of timm."""

from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor, nn

from resnet_explore.errors import ExploreError
from resnet_explore.models.blocks import Block
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.layers import conv, norm
from resnet_explore.models.network import Network


class PreActBlock(Block):
    """x + F(x) with norm and ReLU before each convolution, and nothing after the addition.

    In the first block of a stage branch and shortcut both start from the activated input ("before splitting
    into two paths", section 4), elsewhere the shortcut carries x untouched.
    """

    norm1: nn.Module
    relu1: nn.Module

    def __init__(self, config: ResNetConfig, convolutions: int, first: bool) -> None:
        super().__init__(config, convolutions)
        self.first = first
        if first:
            self.before_add = self.before_add[2:]  # split does these

    def split(self, x: Tensor) -> Tensor:
        """Return what branch and shortcut both start from: relu1(norm1(x)) if first in a stage, else x."""
        return self.relu1(self.norm1(x)) if self.first else x


class PreActBasic(PreActBlock):
    """Two 3x3 convolutions (He et al. 2016, Fig. 4 e)."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int, first: bool) -> None:
        super().__init__(config, 2, first)
        self.connect(config, in_channels, width, stride)
        self.norm1 = norm(config, in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv(config, in_channels, width, 3, stride)
        self.norm2 = norm(config, width)
        self.relu2 = nn.ReLU()
        self.conv2 = conv(config, width, width, 3)


class PreActBottleneck(PreActBlock):
    """1x1, 3x3, 1x1, with the stride on the 3x3."""

    def __init__(self, config: ResNetConfig, in_channels: int, width: int, stride: int, first: bool) -> None:
        super().__init__(config, 3, first)
        inner, out_channels = config.inner_width(width), width * config.expansion
        self.connect(config, in_channels, out_channels, stride)
        self.norm1 = norm(config, in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv(config, in_channels, inner, 1)
        self.norm2 = norm(config, inner)
        self.relu2 = nn.ReLU()
        self.conv2 = conv(config, inner, inner, 3, stride, config.groups)
        self.norm3 = norm(config, inner)
        self.relu3 = nn.ReLU()
        self.conv3 = conv(config, inner, out_channels, 1)


class Stage(nn.Module):
    """The blocks that work at one resolution; iterating gives them in order."""

    def __init__(self, config: ResNetConfig, channels: int, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        block = PreActBasic if config.block == "basic" else PreActBottleneck
        out_channels = width * config.expansion
        self.blocks = nn.Sequential(block(config, channels, width, stride, first=True))
        self.blocks.extend(block(config, out_channels, width, 1, first=False) for _ in range(blocks - 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> nn.Module:
        return self.blocks[index]


class PreActResNet(Network):
    """A pre-activation network or its plain twin; keys, their order and outputs are those of timm's resnetv2.

    Takes images (N, in_channels, H, W) and returns logits (N, num_classes). The stem is the convolution
    alone, and an extra norm and ReLU follow the last block.
    """

    last = "head.fc"
    config: ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        if config.order != "pre":
            raise ExploreError(
                f"PreActResNet needs order='pre', not {config.order!r}; ResNet has the others."
            )
        channels, large = config.first_width, config.stem == "imagenet"
        first = conv(config, config.in_channels, channels, 7 if large else 3, 2 if large else 1)
        self.stem = nn.Sequential(OrderedDict(conv=first))
        if large:
            self.stem.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
        self.stages = nn.Sequential()
        for i, (blocks, width) in enumerate(zip(config.depths, config.widths, strict=True)):
            self.stages.append(Stage(config, channels, width, blocks, stride=1 if i == 0 else 2))
            channels = width * config.expansion
        self.norm = norm(config, channels)
        self.relu = nn.ReLU()
        # The classifier is a 1x1 convolution because timm's is.
        fc = nn.Conv2d(channels, config.num_classes, 1)
        self.head = nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(1), fc=fc, flatten=nn.Flatten()))
        self.spread_survival(config.stochastic_depth)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        return self.head(self.relu(self.norm(x)))
