"""A few steps of SGD on any model and loss, watched in between."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Any, Any], Tensor]


class Draws:
    """Batches of a pool of so many images: each is drawn anew without replacement; a seed draws the same."""

    def __init__(self, pool: int, batch_size: int, seed: int) -> None:
        self._pool, self._size = pool, min(batch_size, pool)
        self._random = torch.Generator().manual_seed(seed)

    def next(self) -> Tensor:
        """Return the places of the next batch's images in the pool, int64 (B,)."""
        return torch.randperm(self._pool, generator=self._random)[: self._size]

    @property
    def state(self) -> Tensor:
        """From where it draws; set it to draw the same again."""
        return self._random.get_state()

    @state.setter
    def state(self, state: Tensor) -> None:
        self._random.set_state(state)


class Descent:
    """SGD with momentum 0.9 on one model, step by step.

    model  trained in place, in the mode that it is in
    loss   of (model output, labels); None for the cross-entropy

    `steps` counts those that were taken, `broke_at` is the first one whose loss was not finite.
    """

    def __init__(self, model: nn.Module, lr: float, loss: Loss | None = None) -> None:
        self.model, self.loss = model, loss or F.cross_entropy
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.SGD(list(self._trained.values()), lr=lr, momentum=0.9)
        self.steps = 0
        self.broke_at: int | None = None

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    @lr.setter
    def lr(self, lr: float) -> None:
        self._optimizer.param_groups[0]["lr"] = lr

    def step(self, images: Tensor, labels: Any) -> tuple[Any, float]:
        """Take a step; return output and loss before it. Gradients stay until the next one."""
        self.forget_gradients()
        output = self.model(images)
        value = self.loss(output, labels)
        lost = value.item()
        if self.broke_at is None and not math.isfinite(lost):
            self.broke_at = self.steps
        value.backward()
        self._optimizer.step()
        self.steps += 1
        return output, lost

    def forget_gradients(self) -> None:
        """Free the gradients of the last step."""
        self._optimizer.zero_grad(set_to_none=True)

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of all that later steps depend on: weights, buffers, momentum, rate."""
        momentum = {
            name: self._optimizer.state[p]["momentum_buffer"].clone()
            for name, p in self._trained.items()
            if self._optimizer.state[p].get("momentum_buffer") is not None
        }
        model = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        return {"steps": self.steps, "lr": self.lr, "model": model, "momentum": momentum}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Be again as a snapshot says, bit for bit."""
        self.model.load_state_dict(snapshot["model"])
        self._optimizer.state.clear()
        for name, buffer in snapshot["momentum"].items():
            self._optimizer.state[self._trained[name]]["momentum_buffer"] = buffer.clone()
        self.steps, self.lr, self.broke_at = snapshot["steps"], snapshot["lr"], None


class LiveTraining:
    """A descent on batches drawn from a set of images; the same seed draws the same.

    model           trained in place
    images, labels  standardised, (N, ...) each; batches are drawn from them without replacement
    lr, batch_size  constant
    loss            of (model output, labels); None for the cross-entropy
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Any,
        lr: float,
        batch_size: int,
        seed: int = 0,
        loss: Loss | None = None,
    ) -> None:
        self.model = model
        self._images, self._labels = images, labels
        self._draws = Draws(len(images), batch_size, seed)
        self._descent = Descent(model, lr, loss)
        self._place = next((p for p in model.parameters() if p.requires_grad), images)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._descent.steps

    @property
    def broke_at(self) -> int | None:
        """The first step whose loss was not finite, None if there was none."""
        return self._descent.broke_at

    def take(self, steps: int) -> None:
        """Take steps in train mode; the model keeps the mode that it was in."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.train()
        try:
            for _ in range(steps):
                chosen = self._draws.next()
                images = self._images[chosen].to(self._place.device, self._place.dtype)
                labels = self._labels[chosen] if isinstance(self._labels, Tensor) else self._labels
                if isinstance(labels, Tensor):
                    labels = labels.to(self._place.device)
                self._descent.step(images, labels)
        finally:
            self._descent.forget_gradients()
            for module, training in modes:
                module.training = training
