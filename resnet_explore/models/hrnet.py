"""HRNet: residual blocks at several resolutions side by side (Wang et al. 2020, arXiv 1908.07919)."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from resnet_explore.models.blocks import BLOCKS
from resnet_explore.models.config import HRNetConfig, ResNetConfig
from resnet_explore.models.network import Network

# The classification head's bottlenecks, for the four resolutions (section 3.4 and Fig. 4 c).
_HEAD_WIDTHS = (32, 64, 128, 256)
_FEATURES = 2048


class HRNet(Network):
    """An HRNet or its plain twin; keys, their order and outputs are those of timm's hrnet_w*.

    Takes images (N, in_channels, H, W), with H and W multiples of 32, and returns logits (N, num_classes).
    """

    last = "classifier"
    config: HRNetConfig

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__(config)
        widths = [config.width * 2**i for i in range(4)]
        self.conv1 = _conv(config.in_channels, 64, 3, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv(64, 64, 3, 2)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu2 = nn.ReLU()
        self.layer1 = _blocks(config, "bottleneck", 64, 64, 4)
        self.transition1 = _transition([256], widths[:2])
        self.stage2 = _stage(config, widths[:2], config.modules[0])
        self.transition2 = _transition(widths[:2], widths[:3])
        self.stage3 = _stage(config, widths[:3], config.modules[1])
        self.transition3 = _transition(widths[:3], widths)
        self.stage4 = _stage(config, widths, config.modules[2])
        wide = [4 * width for width in _HEAD_WIDTHS]
        self.incre_modules = nn.ModuleList(
            _blocks(config, "bottleneck", channels, width, 1)
            for channels, width in zip(widths, _HEAD_WIDTHS, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            _conv_bn_relu(fine, coarse, 3, 2, bias=True) for fine, coarse in pairwise(wide)
        )
        self.final_layer = _conv_bn_relu(wide[-1], _FEATURES, 1, 1, bias=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(_FEATURES, config.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        streams = [self.layer1(x)]
        for transition, stage in (
            (self.transition1, self.stage2),
            (self.transition2, self.stage3),
            (self.transition3, self.stage4),
        ):
            # A new resolution starts from the coarsest that there is.
            kept = len(streams)
            streams = [make(streams[min(i, kept - 1)]) for i, make in enumerate(transition)]
            streams = stage(streams)
        fine, *coarser = (increase(s) for increase, s in zip(self.incre_modules, streams, strict=True))
        for down, coarse in zip(self.downsamp_modules, coarser, strict=True):
            fine = coarse + down(fine)
        return self.classifier(self.avgpool(self.final_layer(fine)).flatten(1))


class Exchange(nn.Module):
    """Each resolution goes through its own blocks, then receives the sum of all, brought to its shape.

    Takes and returns a list of maps (N, width * 2**i, H / 2**i, W / 2**i) (section 3.2, Fig. 3).
    """

    def __init__(self, config: HRNetConfig, widths: list[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_blocks(config, "basic", w, w, config.blocks) for w in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_bring(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )
        self.relus = nn.ModuleList(nn.ReLU() for _ in widths)

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        streams = [branch(x) for branch, x in zip(self.branches, streams, strict=True)]
        mixed = []
        for layers, relu in zip(self.fuse_layers, self.relus, strict=True):
            first, *others = (bring(x) for bring, x in zip(layers.children(), streams, strict=True))
            for other in others:
                first = first + other
            mixed.append(relu(first))
        return mixed


def _bring(widths: list[int], source: int, target: int) -> nn.Module:
    """Return what brings one resolution's map to another's shape: up by copying pixels, down by strides."""
    if source == target:
        return nn.Identity()
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*_conv_bn(widths[source], widths[target], 1, 1), up)
    steps = [_conv_bn_relu(widths[source], widths[source], 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, nn.Sequential(*_conv_bn(widths[source], widths[target], 3, 2)))


def _stage(config: HRNetConfig, widths: list[int], modules: int) -> nn.Sequential:
    return nn.Sequential(*(Exchange(config, widths) for _ in range(modules)))


def _transition(before: list[int], after: list[int]) -> nn.ModuleList:
    """Return what turns a stage's resolutions into the next one's: one for each of the latter."""
    layers: list[nn.Module] = []
    for i, width in enumerate(after):
        if i >= len(before):  # one level of names more, since timm allows for several steps
            layers.append(nn.Sequential(_conv_bn_relu(before[-1], width, 3, 2)))
        elif before[i] != width:
            layers.append(_conv_bn_relu(before[i], width, 3, 1))
        else:
            layers.append(nn.Identity())
    return nn.ModuleList(layers)


def _blocks(config: HRNetConfig, block: str, channels: int, width: int, number: int) -> nn.Sequential:
    """Return ResNet's blocks, all at one resolution."""
    like = ResNetConfig(block=block, residual=config.residual)
    make: Callable[..., nn.Module] = BLOCKS[block]
    first = make(like, channels, width, 1)
    return nn.Sequential(first, *(make(like, width * like.expansion, width, 1) for _ in range(number - 1)))


def _conv(channels: int, out_channels: int, kernel: int, stride: int, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, bias=bias)


def _conv_bn(
    channels: int, out_channels: int, kernel: int, stride: int, bias: bool = False
) -> list[nn.Module]:
    return [_conv(channels, out_channels, kernel, stride, bias), nn.BatchNorm2d(out_channels)]


def _conv_bn_relu(
    channels: int, out_channels: int, kernel: int, stride: int, bias: bool = False
) -> nn.Sequential:
    return nn.Sequential(*_conv_bn(channels, out_channels, kernel, stride, bias), nn.ReLU())
