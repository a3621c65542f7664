"""Recorded trainings for the gradient explorer: step by step, and all steps as one image."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.alike import Alike, alike_in_record
from resnet_explore.analysis.slope import LEVEL, slope
from resnet_explore.figures.gradients import decades, gradient_heatmap
from resnet_explore.figures.style import WIDE, Figure, label_of
from resnet_explore.training.plan import KINDS
from resnet_explore.training.recorded import Record
from resnet_explore.widgets.gradient_views import LinesView, Profiles, View
from resnet_explore.widgets.gradient_words import (
    LEVEL_MEANS,
    compared,
    finding,
    multiple,
    ratio_and_word,
    read,
)
from resnet_explore.widgets.words import data_in_brief

if TYPE_CHECKING:
    import pandas as pd


class Noted:
    """Layer by layer, what a recorded sweep noted while it trained."""

    def __init__(self, source: Record, seed: int = 0) -> None:
        self.source, self.seed = source, seed
        layers = source.layers()
        self.layers = layers[layers["seed"] == seed]
        history = source.table()
        self.run = history[history["seed"] == seed].iloc[0]
        kinds = self.layers.groupby("depth")["kind"].nunique()
        self.depths = sorted(int(depth) for depth in kinds.index[kinds == len(KINDS)])

    def norms(self, kind: str, depth: int) -> "pd.DataFrame":
        """Return gradient norms, a row for each noted step, a column for each layer."""
        rows = self.layers[(self.layers["kind"] == kind) & (self.layers["depth"] == depth)]
        return rows.pivot_table(index="step", columns="position", values="gradient_norm")

    def alike(self, depth: int) -> Alike:
        """Return which parts of the networks of a depth can be compared; those of twins are the same."""
        rows = self.layers[self.layers["depth"] == depth].drop_duplicates("position")
        return alike_in_record(list(rows.sort_values("position")["layer"]))

    def in_brief(self, step: str) -> str:
        """Return what a ratio depends on most, for the line above a picture."""
        run = self.run
        data = data_in_brief(str(run["dataset"]))
        return f"recorded {data}, width {run['width']}, seed {self.seed}, train mode, step {step}"

    def conditions(self) -> str:
        """Return what was recorded, in words."""
        run = self.run
        data = str(self.source.about.get("data") or run["dataset"]).split(" (")[0]
        return (
            f"Recorded: {data}, batch {run['batch_size']}, first stage {run['width']} channels wide, SGD "
            f"with {run['schedule']} rate up to {run['lr']:g}, {run['epochs']} epochs, seed {self.seed}; "
            "train mode, batch norm, He initialisation, of each step's own batch"
        )


class StepView(LinesView):
    """The twins of one depth at each noted step of a recorded training."""

    name = "Step"

    def __init__(self, record: Noted, profiles: Profiles, depth: int) -> None:
        super().__init__(profiles)
        self.record, self.depth = record, depth
        self._norms = {kind: record.norms(kind, depth) for kind in KINDS}
        self._alike = record.alike(depth)
        shared = set.intersection(*(set(table.index) for table in self._norms.values()))
        self.steps = sorted(int(step) for step in shared)
        self.ticks = [f"{step:,}" for step in self.steps]
        self._limits = decades(np.concatenate([table.to_numpy().ravel() for table in self._norms.values()]))

    def measure(self, position: int) -> dict[str, np.ndarray]:
        """Return {kind: norms (layers,)}."""
        return {kind: t.loc[self.steps[position]].to_numpy(float) for kind, t in self._norms.items()}

    def limits(self, results: Sequence[Any]) -> tuple[float, float]:
        """Return the axis of all steps, whatever was asked for so far."""
        return self._limits

    def draw(
        self, result: Mapping[str, np.ndarray], limits: tuple[float, float], size: tuple[int, int] = WIDE
    ) -> Figure:
        """Return the lines."""
        return self._profiles(*size).draw(result, limits, parts=self._alike.ends)

    def title(self, position: int, result: Mapping[str, np.ndarray]) -> str:
        """Return what each line does towards the image."""
        said = {kind: read(v, self._alike, self._alike.norms(v)) for kind, v in result.items()}
        on = self.record.in_brief(self.ticks[position])
        return finding(f"{self.depth} layers", "weight gradient", said, on)

    def caption(self, position: int, result: Any = None) -> str:
        """Return all conditions, and which layers the title compares."""
        said = f"Gradient norm of the weights at step {self.ticks[position]}. {self.record.conditions()}."
        return f"{said} {self.axis}{compared({'twins': self._alike})} {LEVEL_MEANS}"

    def table(self, results: Mapping[int, Mapping[str, np.ndarray]]) -> "pd.DataFrame":
        """Return what was recorded of this depth."""
        return self.record.layers[self.record.layers["depth"] == self.depth]

    def about_table(self) -> dict[str, Any]:
        """Return the conditions of all steps."""
        return {"conditions": f"{self.record.conditions()}."}


class HeatmapView(View):
    """All layers and noted steps of a recorded training as one image a twin, at each depth."""

    def __init__(self, record: Noted) -> None:
        self.record, self.ticks = record, [str(depth) for depth in record.depths]
        values = record.layers["gradient_norm"].to_numpy(float)
        # A handful of numbers of the deepest network reach so far that all others would look alike.
        low, high = (
            10 ** math.floor(math.log10(v)) for v in np.nanquantile(values[values > 0], (0.01, 0.99))
        )
        self._limits = (max(low, high * 1e-7), high * 10)

    def measure(self, position: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return {kind: (steps, norms)}."""
        tables = {kind: self.record.norms(kind, self.record.depths[position]) for kind in KINDS}
        return {kind: (t.index.to_numpy(), t.to_numpy(float)) for kind, t in tables.items()}

    def limits(self, results: Sequence[Any]) -> tuple[float, float]:
        """Return one scale of colours for all depths."""
        return self._limits

    def draw(
        self, result: Mapping[str, Any], limits: tuple[float, float], size: tuple[int, int] = WIDE
    ) -> Figure:
        """Return the images."""
        return gradient_heatmap(result, limits, *size)

    def title(self, position: int, result: Mapping[str, Any]) -> str:
        """Return how the first block's gradient compares with the last's, and when that turns."""
        alike = self.record.alike(self.record.depths[position])
        said: list[str] = []
        for kind, (steps, norms) in result.items():
            first, *_, last = alike.norms(norms.T)
            ratios = first / last
            name = label_of(kind) if not said else label_of(kind).lower()
            brief = ratio_and_word(multiple(float(ratios[0])), slope(float(ratios[0])))
            said.append(f"{name}: {brief}{_turns(steps, ratios)}")
        start = f"{self.ticks[position]} layers, first block's gradient over the last's"
        on = self.record.in_brief(f"{result[KINDS[0]][0][0]}")
        return f"{start}. {'; '.join(said)}. {on[0].upper()}{on[1:]}."

    def caption(self, position: int, result: Any = None) -> str:
        """Return all conditions, and which layers the title compares."""
        ends = compared({"twins": self.record.alike(self.record.depths[position])}).replace(" (shaded)", "")
        return (
            "Gradient norm of the weights by layer (1 sees the image) and noted step, one scale of colours "
            f"for all depths; black and red lie beyond it. {self.record.conditions()}.{ends} {LEVEL_MEANS}"
        )

    def table(self, results: Mapping[int, Any]) -> "pd.DataFrame":
        """Return all that was recorded."""
        return self.record.layers

    def about_table(self) -> dict[str, Any]:
        """Return the conditions of all depths."""
        return {"conditions": f"{self.record.conditions()}."}


def _turns(steps: np.ndarray, ratios: np.ndarray) -> str:
    """Return when a slope is first another than at the first step, "" if it never is: from a comma on."""
    for bound, words in ((1 / LEVEL, f"under 1/{LEVEL:g}"), (LEVEL, "level")):
        below = np.flatnonzero(ratios < bound)
        if len(below) and below[0]:
            return f", {words} first at step {steps[below[0]]:,}"
    return ""
