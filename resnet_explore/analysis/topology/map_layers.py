"""Which layers of a network are worth looking at, also of one that we did not write."""

from collections import Counter

import numpy as np
from torch import nn

from resnet_explore.analysis.capture.layers import holders, token_blocks
from resnet_explore.analysis.topology.blocks import in_shortcut, smallest_blocks
from resnet_explore.errors import ExploreError, an

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.InstanceNorm2d)
_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softplus),
)
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def map_names(model: nn.Module) -> list[str]:
    """Return the layers to look at, in the order of registration.

    They are the network's blocks: those of `token_blocks`, or else the smallest modules, no mere containers,
    that hold two weighted layers or more and a convolution larger than 1x1 among them (so that
    squeeze-and-excitation is none), if there are three or more and most such convolutions lie in them. Else,
    as for VGG, its activations, and where it has none as modules its convolutions. Raises ExploreError for a
    network without blocks or 2-D convolutions.
    """
    modules, convolutions = dict(model.named_modules()), convolution_names(model)
    if tokens := token_blocks(model):
        return tokens
    if not convolutions:
        raise ExploreError(
            f"The model, {an(model)}, has no 2-D convolution, so it has no feature maps to show."
        )
    spatial = [name for name in convolutions if max(modules[name].kernel_size) > 1]
    weighted = Counter(
        holder
        for name, module in modules.items()
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear))
        for holder in holders(name)
    )
    held = Counter(holder for name in spatial for holder in holders(name))
    blocks = smallest_blocks({name: weighted[name] for name in held}, modules)
    if len(blocks) >= 3 and 2 * sum(held[name] for name in blocks) > len(spatial):
        return blocks
    activations = [name for name, module in modules.items() if isinstance(module, _ACTIVATIONS)]
    return activations or convolutions


def convolution_names(model: nn.Module) -> list[str]:
    """Return the convolutions: what is left to look at where activations are no maps."""
    return [name for name, module in model.named_modules() if isinstance(module, _CONVOLUTIONS)]


def first_filters(model: nn.Module) -> tuple[str, np.ndarray] | None:
    """Return name and weights, float32 (out, in / groups, kh, kw), of the first convolution registered."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            return name, module.weight.detach().float().cpu().numpy()
    return None


def response_names(model: nn.Module) -> list[str]:
    """Return the norms that follow the convolutions of the main path, or without norms the convolutions."""
    modules = dict(model.named_modules())
    named = [(name, module) for name, module in modules.items() if not in_shortcut(name, modules)]
    norms = [name for name, module in named if isinstance(module, _NORMS)]
    return norms or [name for name, module in named if isinstance(module, _CONVOLUTIONS)]
