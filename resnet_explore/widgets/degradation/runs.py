"""Rows of epochs as arrays over depths, epochs and seeds; no pandas, so that a record is there at once."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from resnet_explore.training.coverage import Place, places_of, recipe_of
from resnet_explore.training.plan import KINDS

Row = Mapping[str, Any]
_START_SECONDS = 8.0  # until workers have loaded torch and read the data


class Runs:
    """Runs of one recipe, finished or not.

    rows     as `history` returns them, one a finished epoch
    depths   all that are there or planned, rising
    epochs   of each run
    """

    def __init__(self, rows: Sequence[Row], depths: Sequence[int] = (), epochs: int = 0) -> None:
        self.rows = rows
        self.depths = sorted({int(row["depth"]) for row in rows} | set(depths))
        self.epochs = max([epochs, *(int(row["epochs"]) for row in rows)])
        self._runs: dict[tuple[str, int], dict[int, dict[int, Row]]] = {}
        for row in rows:
            network = self._runs.setdefault((row["kind"], int(row["depth"])), {})
            network.setdefault(int(row["seed"]), {})[int(row["epoch"])] = row

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds, rising."""
        return sorted({int(row["seed"]) for row in self.rows})

    @cached_property
    def places(self) -> list[Place]:
        """Kind, depth and seed of each run."""
        return places_of(self.rows)

    @property
    def recipe(self) -> Row:
        """Some row: what runs share is the same in all."""
        return recipe_of(self.rows)

    def seeds_of(self, kind: str, depth: int) -> list[int]:
        """Return the seeds of a network's runs, rising."""
        return sorted(self._runs.get((kind, depth), {}))

    def final(self, kind: str, split: str = "train") -> np.ndarray:
        """Return errors in percent at the end of finished runs, (depths, seeds), NaN for none."""
        found = np.full((len(self.depths), max(1, len(self.seeds))), np.nan)
        for i, depth in enumerate(self.depths):
            for seed, epochs in self._runs.get((kind, depth), {}).items():
                if self.epochs in epochs:
                    found[i, self.seeds.index(seed)] = epochs[self.epochs][f"{split}_error"]
        return found

    def curve(self, kind: str, depth: int, split: str = "train") -> np.ndarray:
        """Return errors in percent by epoch, (epochs, seeds), NaN where there is none."""
        runs = self._runs.get((kind, depth), {})
        found = np.full((self.epochs, max(1, len(runs))), np.nan)
        for column, seed in enumerate(sorted(runs)):
            for epoch, row in runs[seed].items():
                found[epoch - 1, column] = row[f"{split}_error"]
        return found

    def mean(self, kind: str, depth: int, split: str = "train") -> float:
        """Return the finished runs' error in percent, their mean over seeds; NaN if there is none."""
        values = self.final(kind, split)[self.depths.index(depth)]
        return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else np.nan

    def deviation(self, kind: str, depth: int, split: str = "train") -> float:
        """Return the sample's standard deviation over seeds, NaN for fewer than two."""
        values = self.final(kind, split)[self.depths.index(depth)]
        values = values[np.isfinite(values)]
        return float(values.std(ddof=1)) if len(values) > 1 else np.nan

    def epochs_done(self, kind: str, depth: int) -> int:
        """Return how many epochs a network's furthest run has finished."""
        return max((max(epochs) for epochs in self._runs.get((kind, depth), {}).values()), default=0)

    def after(self, kind: str, depth: int, epoch: int, split: str = "train") -> float:
        """Return the error in percent after an epoch, its mean over the runs that came so far."""
        values = self.curve(kind, depth, split)[epoch - 1]
        return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else np.nan

    @cached_property
    def unfinished(self) -> list[Row]:
        """The last row so far of each run that has not all its epochs, by depth."""
        last = [runs[max(runs)] for network in self._runs.values() for runs in network.values()]
        return sorted((row for row in last if row["epoch"] < self.epochs), key=lambda row: row["depth"])

    def largest_error(self) -> float:
        """Return the largest error of all epochs in percent, NaN if there is none."""
        return max(
            (float(row[f"{split}_error"]) for row in self.rows for split in ("train", "test")), default=np.nan
        )

    def first_epochs(self, workers: int) -> dict[int, float]:
        """Return {depth: seconds until its first epoch ends} if one seed were trained again.

        Shallow networks first, as fast as these were, by so many workers that take some seconds to start.
        """
        before, found = _START_SECONDS, {}
        for depth in self.depths:
            rows = [row for row in self.rows if row["depth"] == depth]
            epoch = float(np.mean([row["seconds"] for row in rows]))
            found[depth] = before + epoch
            before += epoch * self.epochs * len(KINDS) / workers
        return found

    def telling_depth(self) -> int:
        """Return the least depth where plain fails and residual doesn't, else the largest gap's."""
        gaps = []
        for depth in self.depths:
            plain, residual = (self.mean(kind, depth) for kind in KINDS)
            if plain > 40 and residual < 10:
                return depth
            gaps.append(plain - residual if np.isfinite(plain - residual) else -np.inf)
        return self.depths[int(np.argmax(gaps))]
