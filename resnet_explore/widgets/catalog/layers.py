"""What runs noted of their layers, as arrays over steps, layers and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.analysis.topology.comparable import Alike, alike_in_record
from resnet_explore.training.plan import KINDS

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = ("gradient_norm", "response_std")


@dataclass(frozen=True, eq=False)
class OfDepth:
    """What the networks of one depth noted.

    steps   that were looked at, rising
    values  {(quantity, kind): (steps, layers, seeds)}, NaN where nothing was noted; a kind may be missing
    alike   the parts that can be compared: the blocks
    seeds   {kind: the seeds}
    """

    steps: Sequence[int]
    values: dict[tuple[str, str], np.ndarray]
    alike: Alike
    seeds: dict[str, list[int]]


def by_depth(table: "pd.DataFrame") -> dict[int, OfDepth]:
    """Return {depth: what was noted} of a table that `collect_layers` returns."""
    names = ("depth", "seed", "step", "position", *QUANTITIES)
    columns = {name: table[name].to_numpy() for name in names}
    columns |= {name: table[name].to_numpy(dtype=str) for name in ("kind", "layer")}
    found = {}
    for depth in np.unique(columns["depth"]):
        here = columns["depth"] == depth
        found[int(depth)] = _of_depth({name: values[here] for name, values in columns.items()})
    return found


def _of_depth(columns: dict[str, np.ndarray]) -> OfDepth:
    steps = np.unique(columns["step"])
    values, seeds = {}, {}
    for kind in KINDS:
        chosen = columns["kind"] == kind
        if not chosen.any():
            continue
        every, column = np.unique(columns["seed"][chosen], return_inverse=True)
        row = np.searchsorted(steps, columns["step"][chosen])
        layer = columns["position"][chosen].astype(int) - 1
        seeds[kind] = [int(seed) for seed in every]
        for quantity in QUANTITIES:
            grid = np.full((len(steps), layer.max() + 1, len(every)), np.nan)
            grid[row, layer, column] = columns[quantity][chosen]
            values[quantity, kind] = grid
    first = np.unique(columns["position"], return_index=True)[1]
    names = [str(name) for name in columns["layer"][first]]
    return OfDepth([int(step) for step in steps], values, alike_in_record(names), seeds)
