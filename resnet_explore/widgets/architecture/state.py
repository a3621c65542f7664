"""What a person can choose about architectures."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ArchitectureState:
    """Two networks, a view, and where one is in it.

    left    the network that is drawn above, a name of ours or of torchvision's, or one of your own
    right   the one below it
    view    "networks" draws the two, "depth" moves along a series, "family" is the table of all
    series  "imagenet" (ResNet-18 to 152) or "cifar" (6n + 2 layers, n = 1 to 200)
    depth   where the slider of the series stands
    opened  (network, box) whose inside is shown, or ()
    sort    (column, 1 or -1): by what the table is sorted, and whether up or down
    """

    left: str = "plain34"
    right: str = "resnet34"
    view: Literal["networks", "depth", "family"] = "networks"
    series: Literal["imagenet", "cifar"] = "imagenet"
    depth: int = 18
    opened: tuple[int, ...] = ()
    sort: tuple[int, int] = (7, -1)
