"""Measured curves for several seeds, and formulas to lay beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from resnet_explore.analysis._brief import Brief

if TYPE_CHECKING:
    import pandas as pd

Formula = tuple[str, np.ndarray, np.ndarray]  # which measured curve it speaks of, x (m,), y (m,)


@dataclass(frozen=True, eq=False, repr=False)
class Curves(Brief):
    """Measured values, a row for each seed, and formulas for them.

    measured  {name: (x (n,), y (seeds, n))}
    formulas  {name: (which measured one it speaks of, x (m,), y (m,))}
    numbers   {name: (seeds,)}, what the claim comes down to

    `table` has a row for each point.
    """

    measured: Mapping[str, tuple[np.ndarray, np.ndarray]]
    formulas: Mapping[str, Formula] = field(default_factory=dict)
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def seeds(self) -> int:
        """How many seeds every curve has been measured for."""
        return min((len(y) for _, y in self.measured.values()), default=0)

    def number(self, name: str) -> float:
        """Return the median over the seeds."""
        return float(np.median(self.numbers[name]))

    def middle(self, name: str) -> np.ndarray:
        """Return the median over the seeds of a measured curve, (n,)."""
        return np.median(self.measured[name][1], axis=0)

    def joined(self, other: "Curves | None") -> "Curves":
        """Return both, another's seeds before these; formulas are those that came last."""
        if other is None:
            return self
        ys = _stacked(*({name: y for name, (_, y) in c.measured.items()} for c in (other, self)))
        xs = {name: x for c in (other, self) for name, (x, _) in c.measured.items()}
        return Curves(
            {name: (xs[name], y) for name, y in ys.items()},
            {**other.formulas, **self.formulas},
            _stacked(other.numbers, self.numbers),
        )

    def __str__(self) -> str:
        said = [f"{name} {self.number(name):.3g}" for name in self.numbers]
        return f"{len(self.measured)} curves, {self.seeds} seeds: {', '.join(said)}."

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each point: curve, whether it is measured, seed (counted from the first), x and y."""
        import pandas as pd

        parts = [
            pd.DataFrame({"curve": name, "what": "measured", "seed": seed, "x": x, "y": row})
            for name, (x, y) in self.measured.items()
            for seed, row in enumerate(y)
        ]
        for name, (_, x, y) in self.formulas.items():
            parts.append(pd.DataFrame({"curve": name, "what": "formula", "seed": -1, "x": x, "y": y}))
        return pd.concat(parts, ignore_index=True)


def _stacked(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    both = {name: np.concatenate([first[name], second[name]]) for name in first if name in second}
    return {**first, **second, **both}
