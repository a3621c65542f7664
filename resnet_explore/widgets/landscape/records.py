"""The planes that ship, in the form that the explorer shows."""

import functools
import json

from resnet_explore.paths import shipped
from resnet_explore.widgets.core.words import data_in_brief
from resnet_explore.widgets.landscape.planes import Planes

TITLES = {"digits": "Digits (8×8, grey)", "cifar10": "CIFAR-10 (32×32)"}


@functools.cache
def records() -> tuple[str, ...]:
    """Return the data whose planes ship."""
    return tuple(data for data in TITLES if shipped("data", "landscapes", data).is_dir())


@functools.cache
def recorded(data: str) -> Planes:
    """Return the planes of one record. Raises `ExploreError` where there is none."""
    from resnet_explore.analysis.landscape.recorded import (
        SHARPNESS,
        SNAPSHOT_EVERY,
        recorded_landscapes,
        recorded_sharpness,
    )

    folder, landscapes = shipped("data", "landscapes", data), recorded_landscapes(data)
    about = json.loads((folder / "about.json").read_text())
    ways = [found.trajectory for found in landscapes.values() if found.trajectory is not None]
    return Planes(
        {(key.kind, key.depth, key.plane): found for key, found in landscapes.items()},
        sharpness=recorded_sharpness(data) if (folder / SHARPNESS).is_file() else (),
        images=f"of {about['training images']:,} training images of {data_in_brief(data)}, drawn at random",
        snapshots=[str(SNAPSHOT_EVERY * step) for step in range(len(ways[0]))] if ways else [],
    )
