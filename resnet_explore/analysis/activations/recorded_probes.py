"""Recorded probes: which there are, and how many test images they get right; reading that needs no torch."""

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_explore.errors import unknown
from resnet_explore.paths import shipped

if TYPE_CHECKING:
    import pandas as pd

FILE, TABLE = "probes.safetensors", "accuracy.csv"


def load_probe_accuracies(weights: str | Path) -> "pd.DataFrame":
    """Return how many test images recorded probes get right.

    A row for each probe: network, kind ("plain" or "residual"), depth, seed, place (0 for the stem), block,
    and accuracy in percent. `weights` are those that ship, or a folder that `resnet-explore probes` wrote.
    Raises ExploreError where there are none.
    """
    import pandas as pd

    return pd.read_csv(folder_of_probes(weights) / TABLE)


def probed_weights() -> tuple[str, ...]:
    """Return of which weights that ship there are recorded probes."""
    return tuple(sorted(path.parent.name for path in shipped("data", "probes").glob(f"*/{FILE}")))


@cache
def probed_depths(weights: str) -> frozenset[int]:
    """Return of which depths of such weights that ship there are recorded probes."""
    if weights not in probed_weights():
        return frozenset()
    with (folder_of_probes(weights) / TABLE).open(newline="") as file:
        return frozenset(int(row["depth"]) for row in csv.DictReader(file))


def folder_of_probes(weights: str | Path) -> Path:
    """Return where recorded probes lie. Raises ExploreError where there are none."""
    ours = shipped("data", "probes", str(weights))
    folder = ours if ours.is_dir() else Path(weights)
    if not (folder / FILE).is_file():
        hint = "Or name a folder that `resnet-explore probes` wrote."
        raise unknown("record of probes", str(weights), probed_weights(), hint)
    return folder
