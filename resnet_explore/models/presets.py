"""Networks by name: the names are data, and each is one config."""

import re
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.resnet import ResNet
from resnet_explore.models.weights import find_weights

# He et al. 2015, Table 1.
_IMAGENET = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
# ResNeXt (Xie et al. 2017, Table 1: 32x4d is 32 groups of 4 channels in the first stage) and Wide ResNet
# (Zagoruyko and Komodakis 2016: inner convolutions twice as wide), as torchvision names and builds them.
_AGGREGATED = {
    "resnext50_32x4d": (50, 32, 4),
    "resnext101_32x8d": (101, 32, 8),
    "resnext101_64x4d": (101, 64, 4),
    "wide_resnet50_2": (50, 1, 128),
    "wide_resnet101_2": (101, 1, 128),
}
# He et al. 2015, section 4.2: the depths of Table 6, and 8 and 14 to begin the slope.
_CIFAR_DEPTHS = (8, 14, 20, 32, 44, 56, 110, 1202)
_CIFAR_NAME = re.compile(r"cifar_(resnet|plain)(\d+)")
_CIFAR_HINT = "CIFAR networks are cifar_resnet{6n+2} and cifar_plain{6n+2}, for example cifar_resnet20."


def _cifar(n: int, residual: bool) -> ResNetConfig:
    return ResNetConfig(
        depths=(n, n, n),
        widths=(16, 32, 64),
        stem="cifar",
        residual=residual,
        shortcut="padding",
        num_classes=10,
    )


PRESETS: dict[str, ResNetConfig] = {
    **{f"resnet{d}": ResNetConfig(block, depths) for d, (block, depths) in _IMAGENET.items()},
    **{f"plain{d}": ResNetConfig(block, depths).plain() for d, (block, depths) in _IMAGENET.items()},
    **{
        name: ResNetConfig(*_IMAGENET[depth], groups=groups, group_width=width)
        for name, (depth, groups, width) in _AGGREGATED.items()
    },
    **{f"cifar_resnet{d}": _cifar((d - 2) // 6, True) for d in _CIFAR_DEPTHS},
    **{f"cifar_plain{d}": _cifar((d - 2) // 6, False) for d in _CIFAR_DEPTHS},
}


class Twins(NamedTuple):
    """A plain network and the residual one that differs from it by its shortcuts alone."""

    plain: ResNet
    residual: ResNet


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern such as "resnet*".

    `build` takes more than the list shows: cifar_resnet{6n+2} and cifar_plain{6n+2} exist for any n.
    """
    return [name for name in PRESETS if fnmatchcase(name, pattern)]


def config_of(name: str) -> ResNetConfig:
    """Return the config behind a name; ExploreError with the closest names if there is none."""
    if name in PRESETS:
        return PRESETS[name]
    match = _CIFAR_NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise unknown("model", name, PRESETS, _CIFAR_HINT)
    depth = int(match[2])
    if depth < 8 or depth % 6 != 2:
        below = max(8, depth - (depth - 2) % 6)
        raise ExploreError(
            f"A CIFAR network's depth must be 6n+2 (8, 14, 20, ...), not {depth}; "
            f"the nearest are {below} and {below + 6}."
        )
    return _cifar((depth - 2) // 6, residual=match[1] == "resnet")


def build(model: str | ResNetConfig, weights: str | None = None, seed: int = 0, **overrides: Any) -> ResNet:
    """Return a network in eval mode, by name or config, with some of the config's fields overridden.

    weights   None for freshly drawn ones (`seed`); the name of weights that ship with us, such as "cifar10";
              a torchvision name such as "IMAGENET1K_V2"; or the path of a .safetensors or .pth file
    seed      decides the random weights; equal seeds give equal weights on every machine

    Raises ExploreError for an unknown name or field, weights that don't fit, or a missing network.
    """
    config = model if isinstance(model, ResNetConfig) else config_of(model)
    name = model if isinstance(model, str) else None
    found = None if weights is None else find_weights(name, weights)
    if found is not None and found.config is not None:
        config = found.config
    network = _empty(config.replace(**overrides))
    if found is None:
        return network.initialize(seed).eval()
    found.load_into(network)
    network.about = found.about
    return network.eval()


def twins(model: str | ResNetConfig, weights: str | None = None, seed: int = 0, **overrides: Any) -> Twins:
    """Return the plain and the residual form of a network, named by either of the two.

    With random weights both have equal values wherever both have a weight. With `weights` each loads its
    own, so both must exist under that name. Arguments and errors are those of `build`.
    """
    if isinstance(model, ResNetConfig):
        plain, residual = model.plain(), model.replace(residual=True)
        return Twins(build(plain, weights, seed, **overrides), build(residual, weights, seed, **overrides))
    config_of(model)
    names = re.sub(r"resnet(?=\d)", "plain", model), re.sub(r"plain(?=\d)", "resnet", model)
    return Twins(*(build(name, weights, seed, **overrides) for name in names))


def _empty(config: ResNetConfig) -> ResNet:
    # Building on the meta device skips PyTorch's own initialisation: seconds saved for the deep ones,
    # and the global random state stays untouched.
    with torch.device("meta"):
        network = ResNet(config)
    return network.to_empty(device="cpu")
