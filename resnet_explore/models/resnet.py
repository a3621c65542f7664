"""From a config to a network, in torchvision's layout."""

from torch import Tensor, nn

from resnet_explore.errors import ExploreError
from resnet_explore.models.blocks import Block, block_of
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.layers import conv, linear, norm
from resnet_explore.models.network import Network


class ResNet(Network):
    """A residual network or its plain twin (He et al. 2015, Fig. 3 and Table 1).

    Takes images (N, in_channels, H, W) and returns logits (N, num_classes). With the "imagenet" stem the
    state_dict has torchvision's keys in torchvision's order, and the outputs agree bit for bit.
    """

    config: ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        if config.order == "pre":
            raise ExploreError("ResNet has every order but 'pre': `build` makes a PreActResNet of it.")
        width = config.first_width
        large = config.stem == "imagenet"
        self.conv1 = conv(config, config.in_channels, width, 7 if large else 3, 2 if large else 1)
        self.bn1 = norm(config, width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        channels = width
        for i, (blocks, width) in enumerate(zip(config.depths, config.widths, strict=True), start=1):
            setattr(self, f"layer{i}", self._stage(channels, width, blocks, stride=1 if i == 1 else 2))
            channels = width * config.expansion
        # Nothing follows the last addition there, so the network ends with a ReLU of its own.
        self.last_relu = nn.ReLU() if config.order == "relu_only_pre" else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = linear(config, channels, config.num_classes)
        self.spread_survival(config.stochastic_depth)

    def _stage(self, channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        block = block_of(self.config)
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
        if self.last_relu is not None:
            x = self.last_relu(x)
        return self.fc(self.avgpool(x).flatten(1))
