"""A training loop's gradients as one picture, in a notebook or a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resnet_explore.analysis.gradients.recorder import Recorder
from resnet_explore.errors import ExploreError
from resnet_explore.figures.gradients import decades, gradient_heatmap
from resnet_explore.figures.style import annotate, to_png
from resnet_explore.widgets.core.files import as_csv


class GradientRecorder(Recorder):
    """Drop into a training loop and see gradients by layer and step.

        recorder = rx.GradientRecorder(model, optimizer, conditions="my data, batch 128, seed 0")
        ...                                       # train as ever
        recorder.write("gradients.png")

    In Lightning, make it where `configure_optimizers` makes the optimizer. A notebook shows its heatmap. For
    arguments, attributes (`names`, `steps`, `norms`, `trouble`, `table()`) and errors see `Recorder`.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 1, conditions: str = ""
    ) -> None:
        super().__init__(model, optimizer, every)
        self.conditions = conditions

    def write(
        self,
        path: str | Path,
        conditions: str = "",
        name: str = "This run",
        beside: Mapping[str, "GradientRecorder"] | None = None,
    ) -> list[Path]:
        """Write the heatmap as .png, and its numbers as .csv beside it; return both paths.

        The .csv begins with lines "# key: value" that say the conditions: read it with
        `pandas.read_csv(path, comment="#")`.

        path        .png is added where it has no ending
        conditions  said below the picture: data, batch, initialisation, seed; "" for those given at first
        name        its title; "plain" and "residual" have their colours
        beside      {title: recorder} of other runs, drawn to the right on the same scale of colours

        Raises ExploreError for another ending, and where nothing was recorded or the file can't be written.
        """
        path = Path(path)
        if path.suffix.lower() not in ("", ".png"):
            raise ExploreError(f"The heatmap is written as .png, not as {path.suffix}.")
        path = path if path.suffix else path.with_suffix(".png")
        png = self._png(conditions, {name: self, **(beside or {})})
        numbers = path.with_suffix(".csv")
        try:
            path.write_bytes(png)
            rows: list[Any] = self.table().to_dict("records")
            numbers.write_bytes(as_csv({"conditions": self._said(conditions)}, {"": rows}))
        except OSError as error:
            raise ExploreError(f"{path} can't be written ({error.strerror or error}).") from None
        return [path, numbers]

    def _png(self, conditions: str, runs: Mapping[str, "GradientRecorder"]) -> bytes:
        for title, run in runs.items():
            if not len(run.steps):
                raise ExploreError(f"{title} has recorded no step yet: train first.")
        maps = {title: (run.steps, run.norms) for title, run in runs.items()}
        limits = decades(np.concatenate([norms.ravel() for _, norms in maps.values()]))
        figure = gradient_heatmap(maps, limits)
        title = self.trouble or "Gradients by layer and step"
        return to_png(annotate(figure, title, self._said(conditions)))

    def _said(self, conditions: str) -> str:
        """Return all that is known of the conditions, in words."""
        every = f"every step noted{'' if self.every == 1 else f' that {self.every} divides'}"
        besides = (conditions or self.conditions).rstrip(". ")
        return (
            f"Norm of each layer's weight gradient, {len(self.names)} layers, {every}; {self.known}; "
            f"{besides or 'data, batch, initialisation and seed not known'}."
        )

    def _repr_png_(self) -> bytes | None:
        return self._png("", {"This run": self}) if len(self.steps) else None
