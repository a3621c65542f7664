"""How much the skips of a network carry, changed in place: weaker, stronger, given and taken away."""

import math

from torch import nn

from resnet_explore.errors import ExploreError
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.network import Network
from resnet_explore.models.shortcuts import Add, downsample


def scale_skips(network: Network, factor: float) -> None:
    """Set the factor on all skips that there are, in the config too, which weights are saved with."""
    for block in network.blocks:
        if block.add is not None:
            block.add.skip_scale = factor
    network.config = network.config.replace(skip_scale=factor)


def with_skips(plain: ResNetConfig, factor: float = 1.0) -> ResNetConfig:
    """Return the config of a plain network that was given skips without parameters.

    Raises ExploreError where zero channels can't bring x to the branch's shape, and for Res2Net's blocks.
    """
    if plain.scales > 1:
        raise ExploreError("Skips can't be given to plain blocks whose `scales` are above 1.")
    return plain.replace(residual=True, shortcut="padding", skip_scale=factor)


def give_skips(network: Network, factor: float = 1.0) -> None:
    """Give a plain network skips without parameters: x itself, or option A where shapes differ.

    Its weights stay as they are, so a training goes on with them. Raises ExploreError as `with_skips` does.
    """
    config = with_skips(network.config, factor)
    for block in network.blocks:
        layers = [layer for layer in block.children() if isinstance(layer, nn.Conv2d)]
        stride = math.prod(layer.stride[0] for layer in layers)
        block.downsample = downsample(config, layers[0].in_channels, layers[-1].out_channels, stride)
        block.add = Add(config.branch_scale, factor)
        for part in (block.downsample, block.add):
            if part is not None:
                part.train(block.training)
    network.config = config


def take_skips_back(network: Network, plain: ResNetConfig) -> None:
    """Make a network plain again that `give_skips` has given skips, with the config that it had."""
    for block in network.blocks:
        block.add = block.downsample = None
    network.config = plain
