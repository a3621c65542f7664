"""How far the runs of a sweep are, read from its folder, while others may be at work on it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.training.plan import Sweep
from resnet_explore.training.runs import FORMAT, Run, RunFolder

STATES = ("finished", "training", "stopped", "waiting")


@dataclass(frozen=True)
class RunStatus:
    """One run: its state, its last finished epoch (None before the first), and how it has got on.

    images_per_second and seconds_left are of its training steps in the last epoch, nan before the first.
    """

    run: Run
    state: str
    row: Mapping[str, Any] | None

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return int(self.row["epoch"]) if self.row else 0

    @property
    def images_per_second(self) -> float:
        """Training images a second in the last epoch."""
        if not self.row:
            return float("nan")
        steps = self.row["step"] / self.row["epoch"]
        return steps * self.run.batch_size / max(self.row["seconds"], 1e-9)

    @property
    def seconds_left(self) -> float:
        """Until the run's end, at the speed of the last epoch."""
        return (self.run.epochs - self.epoch) * self.row["seconds"] if self.row else float("nan")


def sweep_of(out: str | Path) -> Sweep:
    """Return the sweep that a folder of runs belongs to; ExploreError if it is none, or another version's."""
    path = Path(out) / "sweep.json"
    try:
        made = json.loads(path.read_text())
    except (OSError, ValueError):
        there = (
            f"{out} is no folder of a sweep's runs." if Path(out).exists() else f"There is no folder {out}."
        )
        raise ExploreError(there) from None
    if made.pop("format", 1) != FORMAT:
        raise ExploreError(f"{out} was made by another version of resnet_explore.")
    return Sweep(**made)


def status(out: str | Path) -> Iterator[RunStatus]:
    """Yield each run of the sweep in the folder `out`, in the order in which they are taken up."""
    for run in sweep_of(out).runs():
        folder = RunFolder(Path(out) / run.id)
        rows = folder.rows()
        if folder.finished:
            state = "finished"
        elif folder.is_locked():
            state = "training"
        else:
            state = "stopped" if rows else "waiting"
        yield RunStatus(run, state, rows[-1] if rows else None)
