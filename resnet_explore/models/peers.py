"""Networks to compare the family with: torchvision's, by torchvision's names."""

from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn

from resnet_explore.errors import unknown
from resnet_explore.models.presets import CIFAR_HINT, PRESETS, config_of, is_name, network_of

_IMAGE, _CIFAR = (3, 224, 224), (3, 32, 32)


def open_network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a network to be described or drawn, ours or torchvision's, and its usual input (C, H, W).

    It has shapes, and values only where its shapes depend on them (detectors). A clip is (C, T, H, W). Raises
    ExploreError with the closest names for a name that neither we nor torchvision have.
    """
    if is_name(name):
        config = config_of(name)
        with torch.device("meta"):
            network = network_of(config)
        size = _CIFAR if getattr(config, "stem", "") == "cifar" else _IMAGE
        return network, (config.in_channels, *size[1:])
    kinds = _torchvision()
    if name not in kinds:
        raise unknown("model", name, [*PRESETS, *kinds], CIFAR_HINT)
    from torchvision.models import get_model

    kind = kinds[name]
    options: dict[str, Any] = {"weights_backbone": None} if kind in ("detection", "segmentation") else {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False}  # they warn unless told
    with torch.random.fork_rng(devices=[]), nullcontext() if kind == "detection" else torch.device("meta"):
        torch.manual_seed(0)  # how much a detector computes depends on what it finds
        network = get_model(name, weights=None, **options)
    return network, _clip(name) if kind == "video" else _IMAGE


def _clip(name: str) -> tuple[int, ...]:
    """Return a clip of 16 frames as torchvision's video networks are trained on: ResNets on smaller ones."""
    side = 112 if name.endswith("_18") else 224
    return 3, 16, side, side


@cache
def _torchvision() -> dict[str, str]:
    """Return torchvision's names that we don't have, and which of its kinds each is."""
    from torchvision import models

    kinds = {"detection": models.detection, "segmentation": models.segmentation, "video": models.video}
    found = {name: "" for name in models.list_models(module=models) if name not in PRESETS}
    return found | {
        name: kind for kind, module in kinds.items() for name in models.list_models(module=module)
    }
