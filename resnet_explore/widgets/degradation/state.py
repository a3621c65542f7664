"""What a person can choose about degradation."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DegradationState:
    """Which runs are shown, in which view and at which depth, and what *Train* would train.

    data             a record's name, such as "digits", or "your-images" for a folder of your own; "" for the
                     record that *Train* repeats
    runs             "recorded", or "own" for what was trained here on the same data
    view             "errors" over depth and epochs, "gradients" and "responses" layer by layer, or "paper",
                     our numbers beside those of He et al. 2015
    depth            layers with weights; 0 for the depth that makes the point
    gradient_step    the step of training whose gradients are shown, or the nearest that was noted; -1 for
                     the last
    response_step    the same for responses
    sort             (column, 1 or -1): by what the paper's table is sorted, and whether up or down
    seed             of what is trained
    folder           where the images of one's own lie
    skip_unreadable  whether broken images there are left out
    """

    data: str = ""
    runs: Literal["recorded", "own"] = "recorded"
    view: Literal["errors", "gradients", "responses", "paper"] = "errors"
    depth: int = 0
    gradient_step: int = 0
    response_step: int = -1
    sort: tuple[int, int] = (0, 1)
    seed: int = 0
    folder: str = ""
    skip_unreadable: bool = False
