"""Networks to compare the family with: torchvision's, by torchvision's names."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import unknown
from resnet_explore.models.presets import CIFAR_HINT, PRESETS, config_of, network_of, spelled_as, usual_name

if TYPE_CHECKING:
    from torch import nn

_IMAGE, _CIFAR = (3, 224, 224), (3, 32, 32)


def open_network(name: str) -> tuple["nn.Module", tuple[int, ...]]:
    """Return a network to be described or drawn, ours or torchvision's, and its usual input (C, H, W).

    It has shapes, and values only where its shapes depend on them (detectors). A clip is (C, T, H, W). Raises
    ExploreError with the closest names for a name that neither we nor torchvision have: at once, since torch
    is imported only then.
    """
    ours, kinds = usual_name(name), torchvision_kinds()
    theirs = None if ours else spelled_as(name, kinds)
    if ours is None and theirs is None:
        raise unknown("model", name, [*PRESETS, *kinds], CIFAR_HINT)
    config = config_of(ours) if ours else None
    import torch

    if config is not None:
        with torch.device("meta"):
            network = network_of(config)
        size = _CIFAR if getattr(config, "stem", "") == "cifar" else _IMAGE
        return network, (config.in_channels, *size[1:])
    from torchvision.models import get_model

    from resnet_explore.models.chance import seeded

    kind = kinds[str(theirs)]
    options: dict[str, Any] = {"weights_backbone": None} if kind in ("detection", "segmentation") else {}
    if theirs in ("googlenet", "inception_v3"):
        options = {"init_weights": False}  # they warn unless told
    # How much a detector computes depends on what it finds, so on its weights.
    with seeded(0) if kind == "detection" else torch.device("meta"):
        network = get_model(str(theirs), weights=None, **options)
    return network, _clip(str(theirs)) if kind == "video" else _IMAGE


def _clip(name: str) -> tuple[int, ...]:
    """Return a clip of 16 frames as torchvision's video networks are trained on: ResNets on smaller ones."""
    side = 112 if name.endswith("_18") else 224
    return 3, 16, side, side


@cache
def torchvision_kinds() -> dict[str, str]:
    """Return torchvision's names that we don't have, and which of its kinds each is ("" for classifiers).

    Read off its source, since importing it takes seconds, which is long for being told of a typo.
    """
    spec = find_spec("torchvision")
    folder = Path(next(iter(spec.submodule_search_locations or []))) / "models" if spec else Path()
    found = {
        name: kind
        for kind in ("", "detection", "segmentation", "video")
        for path in sorted((folder / kind).glob("*.py"))
        for name in _REGISTERED.findall(path.read_text(encoding="utf-8"))
    }
    return {name: kind for name, kind in found.items() if name not in PRESETS}


_REGISTERED = re.compile(r"^@register_model\(\)\n.*?^def (\w+)\(", re.MULTILINE | re.DOTALL)
