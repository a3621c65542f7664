"""Which two networks stand side by side: twins that ship, torchvision's, a person's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnet_explore.errors import ExploreError
from resnet_explore.models.presets import build
from resnet_explore.models.weights import list_weights
from resnet_explore.paths import PHOTO_TWINS, PHOTO_WEIGHTS
from resnet_explore.training.plan import KINDS
from resnet_explore.training.runs import model_name

# Short, as a menu beside the picture has room for some 35 letters.
PHOTOS = "Imagenette photo twins, 18 layers"
CIFAR = "CIFAR-10 twins, {} layers"
IMAGENET = "ResNet-18 and -50 (downloads 142 MB)"

Load = Callable[[str], tuple[nn.Module, ...]]


@dataclass(frozen=True)
class Pair:
    """Two networks with the same classes and input, shown left and right; of one depth, or of several.

    names    what they are called, with {} where the depth goes; one name for a network alone
    load     a function of the depth, one of `depths`, that gives the two, or the one
    depths   positions of a slider, shallow first; ("",) for none
    about    {"classes": names, "mean": ..., "std": ..., "input_size": (C, H, W)} for networks that don't
             carry it, as those built with `weights` do
    sample   the photo to begin with, a name in `sample_photos()`
    answers  what kind of `Answer` they give: "classes", "pixels" or "boxes"
    """

    names: tuple[str, ...]
    load: Load
    depths: Sequence[str] = ("",)
    about: Mapping[str, Any] | None = None
    sample: str = "cat"
    answers: str = "classes"

    def called(self, depth: str) -> tuple[str, ...]:
        """Return the names at a depth."""
        return tuple(name.replace("{}", depth) for name in self.names)

    def described(self, network: nn.Module) -> Mapping[str, Any]:
        """Return classes, mean, std and input_size; ExploreError where nobody has said."""
        about = self.about or getattr(network, "about", None)
        missing = {"classes", "mean", "std", "input_size"} - set(about or {})
        if missing:
            raise ExploreError(
                f"Nothing says what a {type(network).__name__} takes and answers: give Pair(..., about=...) "
                f"with {', '.join(sorted(missing))}."
            )
        return about or {}


def usual_pairs() -> dict[str, Pair]:
    """Return the menu of pairs: first the photo twins and the CIFAR twins, as far as they ship."""
    pairs = {}
    if _shipped_depths("imagenet", PHOTO_WEIGHTS) == ["18"]:
        pairs[PHOTOS] = Pair(
            ("Plain-18", "Residual-18"),
            lambda _: (
                build(PHOTO_TWINS[0], weights=PHOTO_WEIGHTS),
                build(PHOTO_TWINS[1], weights=PHOTO_WEIGHTS),
            ),
            sample="temple",  # Imagenette has churches, but no cat
        )
    if depths := _shipped_depths("cifar", "cifar10"):
        name = CIFAR.format(" to ".join(dict.fromkeys((depths[0], depths[-1]))))
        pairs[name] = Pair(("Plain-{}", "Residual-{}"), _load_cifar, tuple(depths))
    pairs[IMAGENET] = Pair(
        ("ResNet-18", "ResNet-50"),
        lambda _: (build("resnet18", weights="IMAGENET1K_V1"), build("resnet50", weights="IMAGENET1K_V1")),
    )
    return pairs


def _load_cifar(depth: str) -> tuple[nn.Module, nn.Module]:
    plain, residual = (build(model_name("cifar", kind, int(depth)), weights="cifar10") for kind in KINDS)
    return plain, residual


def _shipped_depths(family: str, weights: str) -> list[str]:
    """Return the depths of which both twins ship."""
    names = {row.model for row in list_weights() if row.weights == weights}
    depths = (18, 34) if family == "imagenet" else range(8, 111)
    return [str(d) for d in depths if {model_name(family, kind, d) for kind in KINDS} <= names]


def are_pairs(models: Any) -> bool:
    """Whether these are {menu entry: Pair}, and not a person's own networks."""
    return isinstance(models, Mapping) and all(isinstance(one, Pair) for one in models.values())
