"""A person's own images as the data of a small sweep: how large it is, and where its runs lie."""

from pathlib import Path
from typing import TYPE_CHECKING

from resnet_explore.training.plan import Sweep

if TYPE_CHECKING:
    from resnet_explore.inputs.folders import Survey

DEPTHS = (8, 20, 56)
_STEPS = 150  # of training that a small set gets at least, about what the digits have
_BATCH = 32


def folder_sweep(found: "Survey", folder: str, skip_unreadable: bool, seed: int = 0) -> Sweep:
    """Return a sweep that is small enough to be waited for: narrow networks, 32x32 pixels, three depths."""
    return Sweep(
        dataset="folder",
        root=folder.strip(),
        skip_unreadable=skip_unreadable,
        size=32,
        depths=DEPTHS,
        seeds=(seed,),
        epochs=epochs_for(found.images),
        batch_size=_BATCH,
        augment="crop",
    )


def epochs_for(images: int) -> int:
    """Return how often so many images are shown: few of them more often."""
    steps = max(1, images // _BATCH)
    return min(max(-(-_STEPS // steps), 4), 30)


def runs_folder(found: "Survey", folder: str, runs: Path, seed: int) -> Path:
    """Return where the runs on a folder of images lie: elsewhere, once the images have changed."""
    name = Path(folder.strip()).expanduser().absolute().name or "images"
    return runs / f"{name}-{found.fingerprint}" / f"seed-{seed}"
