"""What a person can choose about heatmaps."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SaliencyState:
    """Two networks, an image, what is asked about it, and where one is in what there is to see.

    networks  a key of the catalogue of networks, or of those that were given
    image     an id of the catalogue of images, "" for one that suits the networks
    view      "blocks" shows the maps of each block and depth, "parts" what of them came by the skip and what
              by the branch, "weights" what is left of them as weights are made random
    depth     layers of the networks, 0 where there is no choice
    block     which block, counted from 1 at the image; 0 for the last one whose map has more than a few cells
    method    one of the methods of `rx.class_activation_maps` and `rx.attribute`
    target    the number of the class that is asked about, None for each network's own first choice
    rather    the number of the class that it is compared with, None for none
    place     where it is asked, (down, across) in shares of the image, for networks that answer by pixels or
              boxes; () for all over
    stage     of "weights": the last layer that is random, "" for none
    opacity   of the colours over the photo, 0 to 1
    palette   the two colours of the signs
    shared    one scale for all blocks of a depth instead of one for each
    """

    networks: str = "imagenette"
    image: str = ""
    view: Literal["blocks", "parts", "weights"] = "blocks"
    depth: int = 0
    block: int = 0
    method: str = "grad_cam"
    target: int | None = None
    rather: int | None = None
    place: tuple[float, ...] = ()
    stage: str = ""
    opacity: float = 0.75
    palette: str = "red and blue"
    shared: bool = False
