"""What really happens to gradients: layer by layer, twins on one axis, every condition a visible switch."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import numpy as np
from torch import nn

from resnet_explore.analysis.gradients import GradientFlow, gradient_flow
from resnet_explore.figures.gradients import gradient_profile
from resnet_explore.figures.style import LABELS, SCREEN_SCALE, to_png
from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.models.presets import build
from resnet_explore.models.weights import list_weights
from resnet_explore.training.plan import KINDS, Sweep
from resnet_explore.training.runs import model_name
from resnet_explore.training.trainer import first_steps, one_thread
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.words import factor, power

MOMENTS = {"step 0": "start", "after 10 steps": "steps", "after training": "trained"}
MODES = {"train mode": "train", "eval mode": "eval"}
NORMS = {"batch norm": "batch", "no batch norm": "none"}
STEPS = 10
_FLOOR, _CEILING = 1e-12, 1e8  # beyond lies what has overflowed or died out; drawn as arrows on the edge

_FAINT = 1e-4  # below this at every layer, a gradient's slope is not what matters about it

Flows = Mapping[int, Mapping[str, GradientFlow]]


class GradientFlowExplorer(ipywidgets.VBox):
    """Gradient norms of plain and residual networks at each layer, for depths to slide through.

    depths   of CIFAR-style networks; "after training" is there if the weights of all of them ship
    batch    how many digits the gradient is taken over

    Switches: the mode (train, eval), batch norm (with, without), the moment (step 0, after ten steps of SGD,
    after training). Each combination is measured when first chosen and kept. Attributes: `strip` (the
    picture), `mode`, `norm`, `moment` (the switches), `flows` (what is shown: {depth: {kind: GradientFlow}}).
    """

    def __init__(self, depths: Sequence[int] = (8, 20, 32, 56, 110), batch: int = 64) -> None:
        self.sweep = Sweep(depths=tuple(depths))
        self.depths = sorted(self.sweep.depths)
        self._data = load_dataset("digits")
        self._batch = batch
        self._models: dict[tuple[str, int, str, str], nn.Module] = {}  # either mode measures the same network
        self._measured: dict[tuple[str, str, str], Flows] = {}
        self.flows: Flows = {}
        self.strip = Filmstrip(name="Depth", scale=SCREEN_SCALE, message="Measuring gradients at step 0 ...")
        self.mode, self.norm, self.moment = (
            ipywidgets.ToggleButtons(
                options=options, style={"button_width": "9.4em"}, layout={"width": "auto"}
            )
            for options in (MODES, NORMS, MOMENTS)
        )
        switches = ipywidgets.HBox(
            [self.moment, self.mode, self.norm],
            layout={"flex_flow": "row wrap", "grid_gap": "0 20px"},
        )
        self.note = ipywidgets.HTML()
        super().__init__([switches, self.strip, self.note])
        trained = {row.model for row in list_weights() if row.weights == "digits"}
        self._shipped = {model_name("cifar", kind, d) for kind in KINDS for d in self.depths} <= trained
        for switch in (self.mode, self.norm, self.moment):
            switch.observe(self._choose, "value")
        self._show()
        self.strip.index = len(self.depths) * 3 // 4

    def _choose(self, _change: object) -> None:
        """Show what the switches say, or say why that is not to be had and go to the nearest that is."""
        lacking = self.moment.value == "trained" and not (self._shipped and self.norm.value == "batch")
        if lacking:
            self.moment.value = "steps"  # comes back here
            why = (
                "without batch norm, since the deep ones don't train" if self._shipped else "of these depths"
            )
            self.note.value = f"No trained networks ship {why}; this is after {STEPS} steps."
        else:
            self.note.value = ""
            self._show()

    def _show(self) -> None:
        wanted = (self.mode.value, self.norm.value, self.moment.value)
        if wanted not in self._measured:
            self.strip.show(busy=bool(self.strip.frames), message=f"Measuring {_condition(*wanted)} ...")
            try:
                with one_thread():
                    self._measured[wanted] = {
                        depth: {kind: self._measure(kind, depth, *wanted) for kind in KINDS}
                        for depth in self.depths
                    }
            finally:
                self.strip.busy = False
        self.flows = self._measured[wanted]
        limits = _limits(self.flows)
        self.strip.show(
            frames=[
                to_png(gradient_profile({k: f.weight_gradient_norms for k, f in twins.items()}, limits))
                for twins in self.flows.values()
            ],
            titles=[_finding(depth, twins) for depth, twins in self.flows.items()],
            captions=[self._caption(*wanted)],
            ticks=[str(depth) for depth in self.depths],
        )

    def _measure(self, kind: str, depth: int, mode: str, norm: str, moment: str) -> GradientFlow:
        key = (kind, depth, norm, moment)
        if key not in self._models:
            self._models[key] = self._model(*key)
        chosen = slice(0, self._batch)
        return gradient_flow(
            self._models[key], self._data.normalized(chosen), self._data.labels[chosen], mode=mode
        )

    def _model(self, kind: str, depth: int, norm: str, moment: str) -> nn.Module:
        if moment == "trained":
            return build(model_name("cifar", kind, depth), weights="digits")
        run = next(r for r in self.sweep.runs() if (r.kind, r.depth) == (kind, depth))
        config = run.config(self._data.images.shape[1], len(self._data.classes))
        model = build(config.replace(norm=norm), seed=run.seed)
        return first_steps(run, model, self._data, STEPS) if moment == "steps" else model

    def _caption(self, mode: str, norm: str, moment: str) -> str:
        when = {
            "start": "at step 0 (He initialisation)",
            "steps": f"after {STEPS} steps of SGD at rate {self.sweep.lr:g}",
            "trained": f"after {self.sweep.epochs} epochs of training",
        }[moment]
        return (
            f"Norm of the loss's gradient with respect to each layer's weights, {when}; {mode} mode, "
            f"{'with' if norm == 'batch' else 'without'} batch norm; {self._batch} training digits; "
            f"width {self.sweep.width}, seed 0. One logarithmic axis for all depths; triangles lie beyond it."
        )


def _condition(mode: str, norm: str, moment: str) -> str:
    wanted = (mode, norm, moment)
    words = [name for names in (MODES, NORMS, MOMENTS) for name, value in names.items() if value in wanted]
    return ", ".join(words)


def _limits(flows: Flows) -> tuple[float, float]:
    """Return whole decades around all norms that can be drawn."""
    norms = np.concatenate([f.weight_gradient_norms for twins in flows.values() for f in twins.values()])
    norms = norms[np.isfinite(norms) & (norms >= _FLOOR) & (norms <= _CEILING)]
    if not len(norms):
        return 1e-3, 1e3
    return 10.0 ** math.floor(math.log10(norms.min())), 10.0 ** math.ceil(math.log10(norms.max()))


def _finding(depth: int, twins: Mapping[str, GradientFlow]) -> str:
    plain, residual = (_read_aloud(LABELS[kind], twins[kind]) for kind in KINDS)
    return f"{depth} layers. {plain}; {residual[0].lower()}{residual[1:]}."


def _read_aloud(who: str, flow: GradientFlow) -> str:
    """Say in words how the gradient at the first layers compares with that at the last ones."""
    ratio, largest = flow.ratio, float(flow.weight_gradient_norms.max())
    if not flow.finite or not np.isfinite(ratio):
        return f"{who}: no finite numbers any more, the network has blown up"
    if largest > _CEILING:
        return f"{who}: far beyond the axis, up to {power(largest)}"
    if largest < _FAINT:
        return f"{who}: all but gone at every layer, at most {power(largest)}"
    if ratio == 0:
        return f"{who}: exactly 0 at the first layers, which are dead"
    if ratio > 3:
        verb = "explodes" if ratio > 100 else "grows"
        return f"{who}: {verb} towards the image, {factor(ratio)} times"
    if ratio < 1 / 3:
        verb = "vanishes" if ratio < 1 / 100 else "shrinks"
        return f"{who}: {verb} towards the image, {factor(1 / ratio)} times"
    return f"{who}: about level (ratio {ratio:.1f})"
