"""A network's loss over a plane through its weights, as numbers; to read one needs no torch."""

from dataclasses import dataclass

import numpy as np

BEYOND = 100.0
"""Nats of mean cross-entropy above which a point is beyond: there the answers are wrong, and very sure."""


@dataclass(frozen=True, eq=False, repr=False)
class Landscape:
    """The loss at `size` times `size` points of a plane; the network itself is the one in the middle.

    loss    float64 (rows, columns): mean cross-entropy in nats. Large, infinite or NaN where the network's
            numbers grow too large; see `beyond`
    error   float64 (rows, columns): percent of the images whose largest logit is another class's, or not
            finite
    x, y    float64 (columns,), (rows,): how far each point lies along the first and the second direction, 0
            in the middle. In random planes 1 is a filter's own norm, between two networks x = 1 is the other
            one, in a training's plane they are Euclidean distances
    plane   "random, seed 0" and so on, "between" or "training"
    mode    how batch norm works: "eval" by its running statistics, "train" by those of the batch
    images  how many the loss is the mean of
    trajectory   float64 (steps, 2): x and y of each snapshot of the training; None in other planes
    share   how much of the training's variance the plane holds, 0..1; None in other planes
    """

    loss: np.ndarray
    error: np.ndarray
    x: np.ndarray
    y: np.ndarray
    plane: str
    mode: str
    images: int
    trajectory: np.ndarray | None = None
    share: float | None = None

    @property
    def here(self) -> float:
        """The loss of the network itself."""
        return float(self.loss[len(self.y) // 2, len(self.x) // 2])

    @property
    def error_here(self) -> float:
        """The error of the network itself, in percent."""
        return float(self.error[len(self.y) // 2, len(self.x) // 2])

    @property
    def inside(self) -> float:
        """The share of points whose loss is at most twice the network's own.

        Of a network that has learned its images by heart, with a loss of 0.001, twice is next to nothing: to
        compare networks use `under`.
        """
        return self.under(2 * self.here)

    def under(self, loss: float) -> float:
        """Return the share of points whose loss is at most so many nats; NaN counts as more."""
        return float(np.mean(self.loss <= loss))

    @property
    def beyond(self) -> np.ndarray:
        """Where the loss is not finite or over `BEYOND` nats: bool (rows, columns)."""
        return ~(np.abs(self.loss) <= BEYOND)

    @property
    def minima(self) -> int:
        """How many points lie lower than all of their neighbours.

        1 is a single basin, as far as the grid can see. It grows with the number of points, so compare equal
        grids.
        """
        return len(self.minima_at)

    @property
    def minima_at(self) -> np.ndarray:
        """Which points lie lower than all of their neighbours, eight inside, fewer at the edge.

        int64 (n, 2), each its row and its column.
        """
        loss = np.pad(np.where(np.isnan(self.loss), np.inf, self.loss), 1, constant_values=np.inf)
        rows, columns = self.loss.shape
        lower = np.isfinite(self.loss)
        for i in range(3):
            for j in range(3):
                if (i, j) != (1, 1):
                    lower &= loss[1:-1, 1:-1] < loss[i : i + rows, j : j + columns]
        return np.argwhere(lower)

    def __repr__(self) -> str:
        rows, columns = self.loss.shape
        return f"Landscape({self.plane}, {self.mode} mode, {rows}×{columns} points, {self.images} images)"

    def __str__(self) -> str:
        held = "" if self.share is None else f" It holds {100 * self.share:.0f} % of the training's variance."
        gone = int(self.beyond.sum())
        lost = f" At {gone} points it is over {BEYOND:g} or no number." if gone else ""
        return (
            f"Plane: {self.plane}, {self.mode} mode: loss {self.here:.3g} in the middle, at most twice that "
            f"at {100 * self.inside:.0f} % of {self.loss.size:,} points, at most 1 at "
            f"{100 * self.under(1):.0f} %.{held}{lost}"
        )
