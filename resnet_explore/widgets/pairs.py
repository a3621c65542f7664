"""Which two networks can be laid side by side: twins whose weights ship, and torchvision's."""

from collections.abc import Callable
from dataclasses import dataclass

from resnet_explore.models.network import Network
from resnet_explore.models.presets import build
from resnet_explore.models.weights import list_weights


@dataclass(frozen=True)
class Pair:
    """Two networks with the same classes and input, shown left and right under these names.

    `sample` is the photo to begin with, a name in `sample_photos()`.
    """

    names: tuple[str, str]
    load: Callable[[], tuple[Network, Network]]
    sample: str = "cat"


# Twins by the folder of their weights. Photos first, as people come with photos; then the depth that the
# paper compares, and one with few enough blocks to look at each. Imagenette has churches, but no cat.
_TWINS = (
    ("plain18", "resnet18", "imagenette", "photos of Imagenette", "temple"),
    ("cifar_plain56", "cifar_resnet56", "cifar10", "CIFAR-10", "cat"),
    ("cifar_plain20", "cifar_resnet20", "cifar10", "CIFAR-10", "cat"),
)


def usual_pairs() -> dict[str, Pair]:
    """Return {menu entry: Pair}: the twins whose weights ship, and ResNet-18 and ResNet-50 on ImageNet."""
    ships = {(row.model, row.weights) for row in list_weights()}
    pairs = {
        _entry(plain, data): _twins(plain, residual, weights, sample)
        for plain, residual, weights, data, sample in _TWINS
        if {(plain, weights), (residual, weights)} <= ships
    }
    pairs["ResNet-18 and ResNet-50, ImageNet (downloads 142 MB once)"] = Pair(
        ("ResNet-18", "ResNet-50"),
        lambda: (build("resnet18", weights="IMAGENET1K_V1"), build("resnet50", weights="IMAGENET1K_V1")),
    )
    return pairs


def _entry(plain: str, data: str) -> str:
    depth = plain.partition("plain")[2]
    return f"Plain-{depth} and residual-{depth}, {data} (offline)"


def _twins(plain: str, residual: str, weights: str, sample: str) -> Pair:
    depth = plain.partition("plain")[2]
    return Pair(
        (f"Plain-{depth}", f"Residual-{depth}"),
        lambda: (build(plain, weights=weights), build(residual, weights=weights)),
        sample,
    )
