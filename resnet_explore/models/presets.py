"""Networks by name: the names are data, and each is one config.

torch is imported where a network is built, so that a name is known or refused at once.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.config import HRNetConfig, ResNetConfig, refuse_too_deep

if TYPE_CHECKING:
    from resnet_explore.models.network import Network

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
_CIFAR_NAME = re.compile(r"cifar(resnet|plain|preresnet)([0-9]+)")
CIFAR_HINT = (
    "CIFAR networks are cifar_resnet{6n+2}, cifar_plain{6n+2} and cifar_preresnet{6n+2}, "
    "for example cifar_resnet20."
)

Config = ResNetConfig | HRNetConfig


def _cifar(n: int, kind: str) -> ResNetConfig:
    return ResNetConfig(
        depths=(n, n, n),
        widths=(16, 32, 64),
        stem="cifar",
        residual=kind != "plain",
        shortcut="padding",
        order="pre" if kind == "preresnet" else "post",
        num_classes=10,
    )


def _cifar_bottleneck(n: int) -> ResNetConfig:
    """He et al. 2016, section 4: 9n+2 layers, projections where shapes change, as in the authors' code."""
    return _cifar(n, "preresnet").replace(block="bottleneck", shortcut="projection")


def _wide(depth: int, factor: int) -> ResNetConfig:
    """Zagoruyko and Komodakis 2016, Table 1; their 6n+4 counts three projections, not the classifier."""
    widths = (16 * factor, 32 * factor, 64 * factor)
    config = _cifar((depth - 4) // 6, "preresnet")
    return config.replace(widths=widths, stem_width=16, shortcut="projection")


PRESETS: dict[str, Config] = {
    **{f"resnet{d}": ResNetConfig(block, depths) for d, (block, depths) in _IMAGENET.items()},
    **{f"plain{d}": ResNetConfig(block, depths).plain() for d, (block, depths) in _IMAGENET.items()},
    **{
        name: ResNetConfig(*_IMAGENET[depth], groups=groups, group_width=width)
        for name, (depth, groups, width) in _AGGREGATED.items()
    },
    # Gao et al. 2019, Table 1 ("26w x 4s").
    **{f"res2net{d}_26w_4s": ResNetConfig(*_IMAGENET[d], group_width=26, scales=4) for d in (50, 101)},
    # He et al. 2016, section 5; the names are timm's.
    **{f"resnetv2_{d}": ResNetConfig(*_IMAGENET[d], order="pre") for d in (50, 101, 152)},
    **{f"hrnet_w{width}": HRNetConfig(width) for width in (18, 32, 48)},
    **{f"cifar_resnet{d}": _cifar((d - 2) // 6, "resnet") for d in _CIFAR_DEPTHS},
    **{f"cifar_plain{d}": _cifar((d - 2) // 6, "plain") for d in _CIFAR_DEPTHS},
    # He et al. 2016, Table 3. 164 is 6n+2 as well; the paper's is the bottleneck.
    "cifar_preresnet110": _cifar(18, "preresnet"),
    "cifar_preresnet164": _cifar_bottleneck(18),
    "cifar_preresnet1001": _cifar_bottleneck(111),
    "wrn28_10": _wide(28, 10),
}


class Twins(NamedTuple):
    """A plain network and the residual one that differs from it by its shortcuts alone."""

    plain: "Network"
    residual: "Network"


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern such as "resnet*"; capitals don't matter.

    `build` takes more than the list shows: cifar_resnet{6n+2}, cifar_plain{6n+2} and cifar_preresnet{6n+2}
    exist for any n.
    """
    return [name for name in PRESETS if fnmatchcase(name, pattern.lower())]


def spelled_as(name: object, options: Iterable[str]) -> str | None:
    """Return the option that a name means: "ResNet-50", "resnet 50" and "RESNET50" are "resnet50".

    None where there is none, or where what separates letters matters: "regnetx16gf" could mean two.
    """
    options = list(options)
    tidy = re.sub(r"[\s_-]+", "_", name.lower()) if isinstance(name, str) else ""
    if tidy in options:
        return tidy
    alike = [option for option in options if _letters(option) == _letters(name)]
    return alike[0] if len(alike) == 1 else None


def usual_name(name: object) -> str | None:
    """Return the name of a network of ours as it is written here, None if it names none.

    Capitals, spaces, hyphens and underscores don't matter. A CIFAR network's depth may be any number.
    """
    match = _CIFAR_NAME.fullmatch(_letters(name))
    if match is not None:
        return f"cifar_{match[1]}{match[2].lstrip('0') or '0'}"
    return spelled_as(name, PRESETS)


def _letters(name: object) -> str:
    return re.sub(r"[\s_-]+", "", name).lower() if isinstance(name, str) else ""


def config_of(name: str) -> Config:
    """Return the config behind a name; ExploreError with the closest names if there is none."""
    usual, match = usual_name(name), _CIFAR_NAME.fullmatch(_letters(name))
    if usual in PRESETS:
        return PRESETS[usual]
    if match is None:
        raise unknown("model", name, PRESETS, CIFAR_HINT)
    depth = int(match[2].lstrip("0")[:12] or 0)  # Python refuses to read thousands of digits
    refuse_too_deep(depth)
    if depth < 8 or depth % 6 != 2:
        below = max(8, depth - (depth - 2) % 6)
        raise ExploreError(
            f"A CIFAR network's depth must be 6n+2 (8, 14, 20, ...), not {depth}; "
            f"the nearest are {below} and {below + 6}."
        )
    return _cifar((depth - 2) // 6, match[1])


def build(model: str | Config, weights: str | None = None, seed: int = 0, **overrides: Any) -> "Network":
    """Return a network in eval mode, by name or config, with some of the config's fields overridden.

    model     as `list_models` writes it, or with capitals, spaces and hyphens: "ResNet-50"
    weights   None for freshly drawn ones (`seed`); the name of weights that ship with us, such as "cifar10";
              a torchvision name such as "IMAGENET1K_V2"; or the path of a .safetensors or .pth file
    seed      decides the random weights; equal seeds give equal weights on every machine

    Raises ExploreError for an unknown name or field, weights that don't fit, or a missing network.
    """
    config = _config(model)
    found = None
    if weights is not None:
        from resnet_explore.models.weights import find_weights

        found = find_weights(usual_name(model), weights)
    if found is not None and found.config is not None:
        config = found.config
    network = _empty(config.replace(**overrides))
    if found is None:
        return network.initialize(seed).eval()
    found.load_into(network)
    network.about = found.about
    return network.eval()


def twins(model: str | Config, weights: str | None = None, seed: int = 0, **overrides: Any) -> Twins:
    """Return the plain and the residual form of a network, named by either of the two.

    With random weights both have equal values wherever both have a weight, except under init="fixup", whose
    start depends on the skips. With `weights` each loads its own, so both must exist under that name.
    Arguments and errors are those of `build`.
    """
    if weights is not None and isinstance(model, str):
        config_of(model)
        usual = str(usual_name(model))
        names = re.sub(r"resnet(?=\d)", "plain", usual), re.sub(r"plain(?=\d)", "resnet", usual)
        return Twins(*(build(name, weights, seed, **overrides) for name in names))
    config = _config(model)
    plain, residual = config.plain(), config.replace(residual=True)
    return Twins(build(plain, weights, seed, **overrides), build(residual, weights, seed, **overrides))


def network_of(config: Config) -> "Network":
    """Return the network that a config describes, its weights not yet drawn."""
    from resnet_explore.models.hrnet import HRNet
    from resnet_explore.models.preact import PreActResNet
    from resnet_explore.models.resnet import ResNet

    if isinstance(config, HRNetConfig):
        return HRNet(config)
    return PreActResNet(config) if config.order == "pre" else ResNet(config)


def _config(model: str | Config) -> Config:
    if not isinstance(model, str | ResNetConfig | HRNetConfig):
        raise ExploreError(
            f"A network is built from a name, a ResNetConfig or an HRNetConfig, not {model!r}."
        )
    return config_of(model) if isinstance(model, str) else model


def _empty(config: Config) -> "Network":
    import torch

    # Building on the meta device skips PyTorch's own initialisation: seconds saved for the deep ones,
    # and the global random state stays untouched.
    with torch.device("meta"):
        network = network_of(config)
    # As to_empty("cpu") does, whose empty_like loads sympy to look at the meta device: 35 MB, half a second.
    return network._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu"))
