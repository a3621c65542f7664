"""Gradient norms of every layer at every step of a training loop that somebody else wrote."""

from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from resnet_explore.analysis._norms import each_norm
from resnet_explore.analysis.capture.layers import norms_of
from resnet_explore.analysis.gradients.flow import layers_on_path
from resnet_explore.errors import ExploreError

_MOVE_EVERY = 64  # steps whose numbers wait on the device, so that it never has to wait for the processor


class Recorder:
    """Notes, whenever the optimizer has taken a step, the norm of each layer's weight gradient.

    model      its convolutions and linear layers are followed, without those in a shortcut
    optimizer  the one that trains it; nothing else in the loop changes
    every      note only every so-manieth step, beginning with the first

    Steps count those that the optimizer takes, from 0. A gradient is what the step was taken with: clipped,
    if the loop clips, and unscaled, if it scales. Ends with `close()`, or with the `with` block.

    Raises ExploreError if `model` has nothing to follow, or the optimizer trains another.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 1) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ExploreError(f"every must be a whole number of at least 1, not {every!r}.")
        trained = {id(p) for group in getattr(optimizer, "param_groups", ()) for p in group["params"]}
        self._weights: dict[str, Tensor] = {
            name: m.get_parameter("weight")
            for name, m in layers_on_path(model).items()
            if id(getattr(m, "weight", None)) in trained
        }
        if not self._weights:
            raise ExploreError(
                "The optimizer holds no weight of the model's convolutions and linear layers; pass the one "
                "that trains it."
            )
        self.every = every
        self._model, self._training = model, model.training
        self._about = f"{norms_of(model)}; {type(optimizer).__name__}"
        if "lr" in optimizer.param_groups[0]:
            self._about += f", rate {float(optimizer.param_groups[0]['lr']):g} at first"
        self._step = 0
        self._steps: list[int] = []
        self._waiting: list[Tensor] = []
        self._moved: list[np.ndarray] = []
        self._handle: Any = optimizer.register_step_post_hook(self._look)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        noted = self._steps
        steps = f"{len(noted)} steps, {noted[0]} to {noted[-1]}," if noted else "no step yet"
        said = f"{type(self).__name__}: {steps} of {len(self._weights)} layers noted"
        return f"{said}. {self.trouble}" if self.trouble else said

    def close(self) -> None:
        """Stop recording; what was recorded stays."""
        self._handle.remove()

    @torch.no_grad()
    def _look(self, *_: Any) -> None:
        if self._step == 0:
            self._training = self._model.training
        if self._step % self.every == 0:
            found = {k: w.grad for k, w in enumerate(self._weights.values()) if w.grad is not None}
            row = torch.full((len(self._weights),), float("nan"))
            if found:
                values = each_norm(list(found.values())).to(torch.float32)
                row = row.to(values.device)
                row[list(found)] = values
            self._waiting.append(row)
            self._steps.append(self._step)
            if len(self._waiting) >= _MOVE_EVERY:
                self._move()
        self._step += 1

    def _move(self) -> None:
        if self._waiting:
            self._moved.append(torch.stack(self._waiting).cpu().double().numpy())
            self._waiting.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """The layers, in the order of registration."""
        return tuple(self._weights)

    @property
    def steps(self) -> np.ndarray:
        """The noted steps, int (steps,)."""
        return np.array(self._steps, dtype=int)

    @property
    def norms(self) -> np.ndarray:
        """Frobenius norms of weight gradients, float64 (steps, layers); nan for a layer that had none."""
        self._move()
        return np.concatenate(self._moved) if self._moved else np.empty((0, len(self._weights)))

    @property
    def known(self) -> str:
        """What a recorder can know of the conditions, in words."""
        return f"{'train' if self._training else 'eval'} mode; {self._about}"

    @property
    def trouble(self) -> str:
        """At which step and layer a gradient was first not finite, as a sentence; "" if there was none."""
        norms = self.norms
        # A layer that never gets a gradient is nan throughout, and no news.
        broken = ~np.isfinite(norms) & ~np.isnan(norms).all(0)
        if not broken.any():
            return ""
        row = int(np.flatnonzero(broken.any(1))[0])
        hit = np.flatnonzero(broken[row])
        where = f"at step {self.steps[row]}"
        if len(hit) == len(self.names):
            return f"The gradient of every layer stops being finite {where}: the loss itself is not a number."
        return (
            f"The gradient stops being finite {where}, backward from {self.names[hit[-1]]} on: "
            f"{len(hit)} of {len(self.names)} layers."
        )

    def table(self) -> pd.DataFrame:
        """Return step, position (of the layer, from 1), layer and gradient_norm, a row for each number."""
        norms, steps = self.norms, self.steps
        layers = len(self.names)
        return pd.DataFrame(
            {
                "step": np.repeat(steps, layers),
                "position": np.tile(np.arange(1, layers + 1), len(steps)),
                "layer": np.tile(np.array(self.names), len(steps)),
                "gradient_norm": norms.ravel(),
            }
        )
