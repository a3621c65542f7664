"""From a config to a network."""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.models.blocks import BasicBlock, Block, Bottleneck, conv, norm
from resnet_explore.models.config import ResNetConfig

_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """A residual network or its plain twin (He et al. 2015, Fig. 3 and Table 1).

    Takes images (N, in_channels, H, W) and returns logits (N, num_classes). With the "imagenet" stem the
    state_dict has torchvision's keys in torchvision's order, and the outputs agree bit for bit.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        #: What is known of loaded weights ("data", "classes", "mean", "std", "input_size"); empty if random.
        self.about: Mapping[str, Any] = {}
        width = config.widths[0]
        large = config.stem == "imagenet"
        self.conv1 = conv(config, config.in_channels, width, 7 if large else 3, 2 if large else 1)
        self.bn1 = norm(config, width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        channels = width
        for i, (blocks, width) in enumerate(zip(config.depths, config.widths, strict=True), start=1):
            setattr(self, f"layer{i}", self._stage(channels, width, blocks, stride=1 if i == 1 else 2))
            channels = width * config.expansion
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, config.num_classes)

    def _stage(self, channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        block = _BLOCKS[self.config.block]
        stage: list[Block] = [block(self.config, channels, width, stride)]
        channels = width * self.config.expansion
        stage += [block(self.config, channels, width, 1) for _ in range(blocks - 1)]
        return nn.Sequential(*stage)

    @property
    def stages(self) -> list[nn.Sequential]:
        """The groups of blocks that work at one resolution, in order."""
        return [getattr(self, f"layer{i}") for i in range(1, len(self.config.depths) + 1)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = stage(x)
        return self.fc(self.avgpool(x).flatten(1))

    def initialize(self, seed: int) -> "ResNet":
        """Draw all weights anew and return the network itself.

        Convolutions: He normal, fan-out (He et al. 2015, arXiv 1502.01852, eq. 14; torchvision's choice);
        biases 0; batch norm 1 and 0; classifier: uniform in +-1/sqrt(fan_in), PyTorch's default. Each
        parameter has a random stream of its own, made from `seed` and its name, so that twins agree
        wherever both have a weight, and the global random state is left alone.
        """
        for path, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                stream = _stream(seed, path)
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=stream)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                stream = _stream(seed, path)
                nn.init.uniform_(module.weight, -bound, bound, generator=stream)
                nn.init.uniform_(module.bias, -bound, bound, generator=stream)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        return self


def _stream(seed: int, path: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{path}".encode()))
