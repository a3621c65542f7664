"""What happened at each layer while the networks were trained: one depth, and a slider over the steps."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import ipywidgets
import numpy as np
import pandas as pd

from resnet_explore.analysis.alike import Alike, alike_in_record
from resnet_explore.errors import ExploreError
from resnet_explore.figures.layers import LayerFigure
from resnet_explore.figures.style import SCREEN_SCALE, to_png
from resnet_explore.training.plan import KINDS
from resnet_explore.training.summary import decades, layer_values
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.gradient_words import LEVEL_MEANS, finding, read
from resnet_explore.widgets.words import data_in_brief, factor

ByStep = Mapping[int, Mapping[str, np.ndarray]]


class LayersView(ipywidgets.VBox):
    """A quantity by layer, both twins, for one depth and every step that was noted.

    Attributes: `depth` (the one that is shown), `strip` (the slider over steps).
    """

    quantity: ClassVar[str]
    figure: ClassVar[Mapping[str, Any]]
    meaning: ClassVar[str]
    at_first: ClassVar[int]  # the step to begin with, -1 for the last

    def __init__(self) -> None:
        self.strip = Filmstrip(name="Step", scale=SCREEN_SCALE, message="Drawing the layers ...")
        self.depth = 0
        self._layers: pd.DataFrame | None = None
        self._table = pd.DataFrame()
        self._said: Callable[[pd.DataFrame, str], str] = lambda _table, _means: ""
        self._drawn: dict[tuple[int, bool], dict[str, Any]] = {}
        super().__init__([self.strip])

    def show(
        self,
        table: pd.DataFrame,
        read: Callable[[], pd.DataFrame] | None,
        said: Callable[[pd.DataFrame, str], str],
        depth: int,
    ) -> None:
        """Show what `read` returns of the runs in `table`; where it is None or raises, a sentence instead.

        `said` gives the conditions of some of these runs, told what lines are over several seeds.
        """
        self._table, self._said, self._layers, self._drawn = table, said, None, {}
        try:
            if read is None:
                raise ExploreError("Nothing was noted of the layers in these runs.")
            self._layers = read()
        except ExploreError as problem:
            self._say(str(problem))
            return
        self.turn_to(depth)

    def turn_to(self, depth: int) -> None:
        """Show a depth, drawn for the width that there is, or a sentence if nothing was noted of it."""
        self.depth = depth
        if self._layers is None:
            return
        if depth not in set(self._layers["depth"]):
            self._say(f"Nothing is noted yet of the layers in networks of {depth} layers.")
            return
        key = depth, bool(self.strip.narrow)
        if key not in self._drawn:
            self._drawn[key] = self._pictures(self._layers, *key)
        pictures = self._drawn[key]
        stays = pictures["ticks"] == list(self.strip.ticks)
        at = self.strip.index if stays else self.at_first % len(pictures["ticks"])
        self.strip.show(**pictures, index=at)

    def _say(self, sentence: str) -> None:
        self.strip.show(frames=[], titles=[], captions=[], ticks=[], message=sentence)

    def _pictures(self, layers: pd.DataFrame, depth: int, narrow: bool) -> dict[str, Any]:
        layers = layers[layers["depth"] == depth]
        by_step = self._chosen(layer_values(layers, depth, self.quantity))
        every = [values for twins in by_step.values() for values in twins.values()]
        axes = self._axes(every)
        figure = LayerFigure(max(map(len, every)), **axes, narrow=narrow)
        means = "geometric means" if axes["log"] else "means"
        ends = dict(zip(self._table["step"].astype(int), self._table["epoch"].astype(int), strict=True))
        shown = self._table[self._table["run"].isin(layers["run"].unique())]
        return {
            "frames": [to_png(figure.draw(twins)) for twins in by_step.values()],
            "titles": [
                self._finding(depth, _moment(step, ends), shown, twins) for step, twins in by_step.items()
            ],
            "captions": [f"{self.meaning} {self._said(shown, means)}"],
            "ticks": [str(step) for step in by_step],
        }

    def _chosen(self, by_step: ByStep) -> ByStep:
        return by_step

    def _axes(self, every: list[np.ndarray]) -> dict[str, Any]:
        raise NotImplementedError

    def _finding(self, depth: int, moment: str, runs: pd.DataFrame, twins: Mapping[str, np.ndarray]) -> str:
        raise NotImplementedError


class GradientsView(LayersView):
    """Gradient norms of the weights, layer by layer, as they were while the networks were trained."""

    quantity = "gradient_norm"
    meaning = (
        "Norm of the training loss's gradient with respect to each layer's weights, of that step's batch, "
        "train mode with batch norm. One logarithmic axis for all steps. Compared above: the first block "
        f"(layers 2 and on) with the last, of a block the root of the sum of squares. {LEVEL_MEANS}"
    )
    at_first = 0  # where plain and residual gradients differ most

    def _axes(self, every: list[np.ndarray]) -> dict[str, Any]:
        return {
            "limits": decades(every),
            "log": True,
            "ylabel": "gradient norm of the weights",
            "xlabel": "layer (1 sees the image, the last gives the classes)",
        }

    def _finding(self, depth: int, moment: str, runs: pd.DataFrame, twins: Mapping[str, np.ndarray]) -> str:
        said = {}
        for kind in (kind for kind in KINDS if kind in twins):
            norms = twins[kind][:, ~np.isnan(twins[kind]).all(0)]  # a seed may not have come so far
            alike = self._alike(len(norms))
            with np.errstate(divide="ignore"):
                parts = np.exp(np.log(alike.norms(norms)).mean(-1))  # geometric, as the lines
            said[kind] = read(norms.max(1), alike, parts)
        run, seeds = runs.iloc[0], len(runs["seed"].unique())
        over = f"mean of {seeds} seeds" if seeds > 1 else f"seed {run['seed']}"
        data = data_in_brief(str(run["dataset"]))
        return finding(
            f"{depth} layers", "weight gradient", said,
            f"{data}, width {run['width']}, {over}, train mode, {moment}",
        )  # fmt: skip

    def _alike(self, layers: int) -> Alike:
        """Return the like parts of networks with so many layers, by which they are called."""
        if self._layers is None:
            return Alike("layer", ())
        rows = self._layers[self._layers["depth"] == layers].drop_duplicates("position")
        return alike_in_record(list(rows.sort_values("position")["layer"]))


class ResponsesView(LayersView):
    """Standard deviations of the convolutions' responses, after He et al. 2015, Fig. 7."""

    quantity = "response_std"
    meaning = (
        "Standard deviation of each convolution's output after batch norm, before the ReLU or the addition, "
        "as in He et al. 2015, Fig. 7 (who don't say in which mode); here of that step's batch, train mode. "
        "One axis for all steps."
    )
    at_first = -1  # as in the paper, after training

    def _chosen(self, by_step: ByStep) -> ByStep:
        """Leave out the classifier, the last layer, which has no batch norm."""
        return {step: {kind: v[:-1] for kind, v in twins.items()} for step, twins in by_step.items()}

    def _axes(self, every: list[np.ndarray]) -> dict[str, Any]:
        largest = max(float(np.nanmax(values)) for values in every)
        log = largest > _LINEAR_UP_TO
        return {
            "limits": decades(every) if log else (0.0, 1.05 * largest),
            "log": log,
            "ranked": True,
            "ylabel": "std of the response",
            "xlabel": "convolution (1 sees the image)",
        }

    def _finding(self, depth: int, moment: str, runs: pd.DataFrame, twins: Mapping[str, np.ndarray]) -> str:
        where = f"{depth} layers, {moment}"
        means = {kind: np.nanmean(values, axis=1) for kind, values in twins.items()}
        if all(abs(values - 1).max() < 0.02 for values in means.values()):
            return f"{where}. Every layer answers with 1, which is how batch norm starts."
        said = [
            f"{kind} layers answer with {factor(means[kind].min())} to {factor(means[kind].max())}"
            for kind in KINDS
            if kind in means
        ]
        return f"{where}. " + ", ".join([said[0][0].upper() + said[0][1:], *said[1:]]) + "."


_LINEAR_UP_TO = 20  # responses that reach further are drawn on a logarithmic axis


def _moment(step: int, ends: Mapping[int, int]) -> str:
    """Name a step; `ends` maps how many steps were done at the end of an epoch to that epoch."""
    if step == 0:
        return "before the first step"
    return f"step {step}" + (f", the end of epoch {ends[step + 1]}" if step + 1 in ends else "")
