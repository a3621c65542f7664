"""What a recorded training noted of its layers, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.topology.comparable import Alike, alike_in_record
from resnet_explore.paths import shipped
from resnet_explore.widgets.gradient_flow.state import KINDS

if TYPE_CHECKING:
    from resnet_explore.training.recorded import Record

SEED = 0  # of the runs that are shown


def recorded_names() -> list[str]:
    """Return the records that noted their layers: the digits, which anybody can repeat, then by name."""
    found = [path.parent.name for path in shipped("data").glob("*/layers.parquet")]
    return sorted(found, key=lambda name: (name != "digits", name))


@dataclass(frozen=True)
class Recording:
    """Gradient norms of recorded twins, of the depths that have both.

    steps   {depth: steps (S,) that both twins noted}
    norms   {depth: {kind: (S, layers)}}
    alike   {depth: which layers can be compared}
    run     the first run's row of the history: batch_size, width, lr, ...
    data    what it was trained on, in words
    """

    name: str
    steps: Mapping[int, np.ndarray]
    norms: Mapping[int, Mapping[str, np.ndarray]]
    alike: Mapping[int, Alike]
    run: Mapping[str, Any]
    data: str

    @property
    def depths(self) -> list[int]:
        """The depths, shallow first."""
        return sorted(self.steps)

    def parts(self, depth: int, kind: str) -> np.ndarray:
        """Return the norm of each part that can be compared, (S, parts)."""
        return self.alike[depth].norms(self.norms[depth][kind].T).T


def read_recording(name: str) -> Recording:
    """Return the record of that name."""
    from resnet_explore.training.recorded import open_record

    record: Record = open_record(shipped("data") / name)
    layers = record.layers()
    layers = layers[layers["seed"] == SEED]
    history = record.table()
    steps: dict[int, np.ndarray] = {}
    norms: dict[int, dict[str, np.ndarray]] = {}
    compared: dict[int, Alike] = {}
    for depth in sorted(int(depth) for depth in layers["depth"].unique()):
        rows = layers[layers["depth"] == depth]
        tables = {
            str(kind): group.pivot_table(index="step", columns="position", values="gradient_norm")
            for kind, group in rows.groupby("kind")
        }
        if set(tables) != set(KINDS):
            continue
        shared = sorted(set.intersection(*(set(table.index) for table in tables.values())))
        steps[depth] = np.array(shared, int)
        norms[depth] = {kind: tables[kind].loc[shared].to_numpy(float) for kind in KINDS}
        first = rows.drop_duplicates("position").sort_values("position")
        compared[depth] = alike_in_record(list(first["layer"]))
    first_run = history[history["seed"] == SEED].iloc[0]
    run = {str(name): value for name, value in first_run.items()}
    data = str(record.about.get("data") or run["dataset"]).partition(" (")[0]
    return Recording(name, steps, norms, compared, run, data)
