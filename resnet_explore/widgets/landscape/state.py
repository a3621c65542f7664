"""What a person can choose about the loss around a network."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LandscapeState:
    """Whose loss is shown, over which plane of the weights, and in which view.

    view   "surface", which turns; "contours", a map with level lines; or "numbers", sharpness over depth
    data   a record's name, "digits" or "cifar10"; "own" for networks that were given
    depth  layers with weights, where there are several depths
    plane  "random-0" and so on by the seed of two random directions, or "training" for that of the training
    mode   how batch norm works in random planes: "train" by the images' statistics, "eval" by its own
    step   how far the training's way is walked: the place of a snapshot, -1 for the last
    sort   (column, 1 or -1): by what the table is sorted, and whether up or down
    """

    view: Literal["surface", "contours", "numbers"] = "surface"
    data: str = "digits"
    depth: int = 56
    plane: str = "random-0"
    mode: Literal["train", "eval"] = "train"
    step: int = -1
    sort: tuple[int, int] = (0, 1)
