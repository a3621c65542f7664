"""What a person can move in the lesson."""

from dataclasses import dataclass
from typing import Literal

Name = Literal["deeper", "addition", "training", "gradients", "ways"]


@dataclass(frozen=True)
class LessonState:
    """One step of the lesson, and what was moved in each.

    step       "deeper" (should not be worse), "addition" (one block), "training" (both twins, here),
               "gradients" (before training and after a few updates), "ways" (from the image to the answer)
    drawn      the training error that a person expects, in percent at each depth; () for no guess yet
    drawn_end  the last of them, in whole percent; -1 for no guess yet
    shown      whether the measured errors are shown
    skip       whether the block's input is added to what its layers make
    channel    the channel of the block that is looked at
    runs       how often both twins were trained here
    depth      layers of the twins whose gradients are looked at
    after      so many updates of their weights
    deleted    the blocks that are taken out, counted from 1
    """

    step: Name = "deeper"
    drawn: tuple[float, ...] = ()
    drawn_end: int = -1
    shown: bool = False
    skip: bool = True
    channel: int = 0
    runs: int = 0
    depth: int = 110
    after: int = 0
    deleted: tuple[int, ...] = (5,)
