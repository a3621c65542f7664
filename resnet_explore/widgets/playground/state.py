"""What a person can choose in the playground."""

from dataclasses import dataclass

OPENING = 60  # steps that a new race takes by itself, so that there is something to see
MOST_STEPS = 2_000  # at which it ends: the page may be gone, and nobody looks
NOW = -1  # the step that is looked at, where that is the newest one
PATTERNS = ("spirals", "circles", "xor")
DATA = ("digits", *PATTERNS, "cifar10", "folder")


@dataclass(frozen=True)
class PlaygroundState:
    """Which networks race on what, and how far they are.

    networks    one to four, such as "plain-56" or "residual-20 skip=0.5 norm=group"
    data        "digits", "spirals", "circles", "xor", "cifar10", or "folder" for images of one's own
    folder      where those lie
    lr          rate of SGD; it may be changed while they train
    batch_size, seed   of the race; the seed decides weights and batches
    skips       factors on each network's skips, None for a plain one that has none; () for all as at first.
                They may be changed while the networks train
    steps       how many steps have been taken, or are to be taken while `playing` is False
    playing     whether they train on and on
    step        the step that is looked at, one of those that are kept; -1 for the newest
    sort        (column, 1 or -1): by what the table is sorted, and whether up or down
    """

    networks: tuple[str, ...] = ("plain-56", "residual-56")
    data: str = "digits"
    folder: str = ""
    lr: float = 0.03
    batch_size: int = 64
    seed: int = 0
    skips: tuple[float | None, ...] = ()
    steps: int = OPENING
    playing: bool = False
    step: int = NOW
    sort: tuple[int, int] = (1, 1)
