"""What a person can change about two trained networks, and where they look."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SkipState:
    """An edit of both twins, and the view of what it does.

    view      "edit" is the blocks with the answer, "inside" one block's sum, "effects" what the edit does to
              gradients, heatmaps and feature maps, "studies" errors after many edits, "training" skips that
              change while a network trains
    networks  an entry of the menu: "digits", "cifar10", ..., or "own"
    depth     layers, where the networks come in several depths
    image     the id of an image: "digits/0", "cat", "upload-1"
    deleted   the blocks that are taken out, counted from 1
    cut       the blocks whose skip is cut
    order     all blocks in the order in which they run, () for the usual one
    skip      what every skip is multiplied by
    branch    what every branch is multiplied by
    block     the block that is looked into
    channel   its channel
    effect    what is compared before and after
    study     which errors are charted
    """

    view: Literal["edit", "inside", "effects", "studies", "training"] = "edit"
    networks: str = "digits"
    depth: int = 20
    image: str = "digits/0"
    deleted: tuple[int, ...] = (5,)
    cut: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    skip: float = 1.0
    branch: float = 1.0
    block: int = 6
    channel: int = 0
    effect: Literal["gradients", "heatmaps", "maps"] = "gradients"
    study: Literal["each", "count", "order", "dial", "paths"] = "each"
