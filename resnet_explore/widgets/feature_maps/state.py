"""What a person can choose about feature maps."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FeatureMapState:
    """Which networks look at which image, and where one is in them.

    view       "maps" is what comes out of a block, "parts" the two summands of a skip and their sum,
               "filters" the first layer's weights
    networks   an entry of the menu: "cifar10", "digits", "imagenette", "random", "imagenet", or "own"
    depth      layers, where the networks come in several depths
    image      the id of an image: "cat", "digits/0", "image-0" of those that were given, "upload-1"
    block      which block, counted from 1
    order      how tiles are sorted
    tile_page  which 64 tiles are shown, counted from 0
    own_scale  whether each tile has its own colour scale
    channel    the channel that is enlarged, -1 for none
    opacity    how much an enlarged channel covers the picture, from 0 to 1
    """

    view: Literal["maps", "parts", "filters"] = "maps"
    networks: str = "cifar10"
    depth: int = 20
    image: str = "cat"
    block: int = 1
    order: Literal["activation", "difference", "channel"] = "activation"
    tile_page: int = 0
    own_scale: bool = False
    channel: int = -1
    opacity: float = 0.7
