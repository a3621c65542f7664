"""A few steps of SGD on any model and loss, watched in between."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[Any, Any], Tensor]


class LiveTraining:
    """SGD with momentum 0.9 on batches drawn from a set of images; the same seed draws the same.

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
        self.model, self.loss = model, loss or F.cross_entropy
        self._images, self._labels = images, labels
        self._size = min(batch_size, len(images))
        self._random = torch.Generator().manual_seed(seed)
        trained = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.SGD(trained, lr=lr, momentum=0.9)
        self._place = next(iter(trained), images)
        self.steps = 0
        self.broke_at: int | None = None  # the first step whose loss was not finite

    def take(self, steps: int) -> None:
        """Take steps in train mode; the model keeps the mode that it was in."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.train()
        try:
            for _ in range(steps):
                chosen = torch.randperm(len(self._images), generator=self._random)[: self._size]
                images = self._images[chosen].to(self._place.device, self._place.dtype)
                labels = self._labels[chosen] if isinstance(self._labels, Tensor) else self._labels
                if isinstance(labels, Tensor):
                    labels = labels.to(self._place.device)
                self._optimizer.zero_grad(set_to_none=True)
                value = self.loss(self.model(images), labels)
                if self.broke_at is None and not math.isfinite(value.item()):
                    self.broke_at = self.steps
                value.backward()
                self._optimizer.step()
                self.steps += 1
        finally:
            self._optimizer.zero_grad(set_to_none=True)
            for module, training in modes:
                module.training = training
