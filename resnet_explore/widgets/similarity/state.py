"""What a person can choose about how alike layers are."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SimilarityState:
    """Which layers are compared with which, and which two of them are looked at.

    view       "matrices", or "depth" for what they say in a few numbers, over depth
    networks   an entry of the menu: "digits", "cifar10", or "own"
    depth      layers, where the networks come in several depths
    comparing  a network with "itself", the "twins" with each other, or a network with one of another seed
               ("seeds")
    layers     "blocks", or "all" for convolutions and classifier, too
    pair       the cell whose layers are looked at: (matrix, row, column), each counted from 0; None for none
    image      what they look at, the id of an image: "digits/0", "cat", "image-0" of those that were given,
               "upload-1"
    order      how tiles are sorted: "activation" or "channel"
    tile_page  which 64 tiles are shown, counted from 0
    own_scale  whether each tile has its own colour scale
    channel    the channel that is enlarged, -1 for none
    opacity    how much an enlarged channel covers the picture, from 0 to 1
    """

    view: Literal["matrices", "depth"] = "matrices"
    networks: str = "digits"
    depth: int = 56
    comparing: Literal["itself", "twins", "seeds"] = "itself"
    layers: Literal["blocks", "all"] = "blocks"
    pair: tuple[int, int, int] | None = None
    image: str = "digits/0"
    order: Literal["activation", "channel"] = "activation"
    tile_page: int = 0
    own_scale: bool = True
    channel: int = -1
    opacity: float = 0.7
