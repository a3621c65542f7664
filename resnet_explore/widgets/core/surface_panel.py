"""The panel that shows losses over a plane as surfaces that turn together, or as maps with level lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from resnet_explore.widgets.core.view import Part


@dataclass(frozen=True, eq=False)
class Surface:
    """One surface.

    name    whose it is
    kind    "plain" or "residual", which colours the name, or ""
    x, y    float (columns,), (rows,): where the points lie along the two directions, evenly spaced and rising
    loss    float (rows, columns); what is not finite is drawn as cut
    error   float (rows, columns), percent; None where it is not known
    path    float (steps, 2): x and y of the steps of a training, None for none
    dents   int32 (n, 2): column and row of points to be marked with a dot
    alt     a sentence on what is seen, for who can't see it
    """

    name: str
    kind: str
    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    error: np.ndarray | None = None
    path: np.ndarray | None = None
    dents: np.ndarray | None = None
    alt: str = ""


@dataclass(frozen=True)
class Surfaces(Part):
    """Losses as surfaces beside each other, on one logarithmic scale; what lies above is cut.

    surfaces    a row of `Surface`, or an `Over` of rows
    low, high   the ends of the scale, of height and colour alike
    levels      the losses at which a map has its lines
    look        "surface", to be turned, or "contours", a map seen from above
    cut         what is to be said of points above `high`, and of those that are no number
    middle      what stands in the middle, where a white dot is
    way, dent   what the red dot is that walks a path, and what the small black ones are
    step        how far a path is walked: the place of a step, -1 for its end
    """

    kind: ClassVar[str] = "surfaces"
    height: ClassVar[float] = 400
    key: str
    surfaces: Any
    low: float
    high: float
    levels: Sequence[float]
    look: Literal["surface", "contours"] = "surface"
    cut: str = ""
    middle: str = ""
    way: str = ""
    dent: str = ""
    step: Any = -1

    def draw(self, figure: Any) -> None:
        """Draw all surfaces with their scale."""
        from resnet_explore.figures.surfaces import fill_surfaces

        fill_surfaces(
            figure,
            [(s.name, s.kind, s.x, s.y, s.loss, s.path, s.dents) for s in self.surfaces],
            (self.low, self.high),
            levels=self.levels,
            look=self.look,
            step=self.step,
        )

    def numbers(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each point of each surface."""
        for surface in self.surfaces:
            for (row, column), loss in np.ndenumerate(surface.loss):
                error = {} if surface.error is None else {"error (%)": float(surface.error[row, column])}
                yield {
                    "network": surface.name,
                    "direction 1": float(surface.x[column]),
                    "direction 2": float(surface.y[row]),
                    "loss": float(loss),
                    **error,
                }

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return what each surface is made of, by "<name>/loss" and so on."""
        parts = {
            f"{surface.name}/{name}": getattr(surface, name)
            for surface in self.surfaces
            for name in ("x", "y", "loss", "error", "path", "dents")
        }
        return {name: values for name, values in parts.items() if values is not None}
