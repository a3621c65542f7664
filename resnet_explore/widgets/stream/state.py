"""What a person can choose about what blocks add to an answer."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StreamState:
    """Which networks look at which image, which two classes are compared, and where one is on the way.

    view      "adds" is what each block adds to the answer, "skip" what its skip carries and its branch adds,
              "loss" what its loss changes, "early" how early the answer could be read
    networks  an entry of the menu: "imagenette", "cifar10", "digits", or "own"
    depth     layers, where the networks come in several depths
    image     the id of an image: "temple", "digits/0", "image-0" of those that were given, "upload-1"
    target    the number of the class whose logit is taken apart, None for the residual network's first choice
    rival     the number of the class beside it, None for the next likely
    block     0 for the stem, then the blocks from 1 on, and behind the last the biases; -1 for the block that
              adds most. Only a block can be lost, and there is no probe behind the biases
    """

    view: Literal["adds", "skip", "loss", "early"] = "adds"
    networks: str = "imagenette"
    depth: int = 20
    image: str = "temple"
    target: int | None = None
    rival: int | None = None
    block: int = -1
