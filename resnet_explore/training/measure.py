"""What a run notes of itself: loss and error in eval mode, and how each layer fares in a training step."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.linalg import vector_norm

from resnet_explore.inputs.datasets import ImageSet
from resnet_explore.models.devices import layout_on

_PIXELS_AT_ONCE = 500 * 32 * 32  # what one evaluation pass may hold


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    data: ImageSet,
    autocast: Callable[[], AbstractContextManager[Any]],
    count: int | None = None,
) -> tuple[float, float]:
    """Return mean cross-entropy and error in percent in eval mode; the model keeps the mode it was in.

    Of all images, or of `count` spread evenly over the set, always the same.
    """
    was_training = model.training
    model.eval()
    total = min(count or len(data), len(data))
    chosen = torch.arange(total) if total == len(data) else torch.linspace(0, len(data) - 1, total).long()
    chosen = chosen.to(data.labels.device)
    loss, wrong, layout = 0.0, 0, layout_on(chosen.device)
    for index in chosen.split(max(1, _PIXELS_AT_ONCE // data.images[0, 0].numel())):
        with autocast():
            logits = model(data.normalized(index).contiguous(memory_format=layout)).float()
        labels = data.labels[index]
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        wrong += int((logits.argmax(1) != labels).sum())
    model.train(was_training)
    return loss / total, 100 * wrong / total


def probed_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return a network's convolutions and its classifier in order, without those in a shortcut or a gate."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not {"downsample", "gate"} & set(name.split("."))
    }


def gradient_norms(layers: Mapping[str, nn.Module]) -> Tensor:
    """Return the norm of each layer's weight gradient, float32 (layers,); 0 where there is none."""
    weights = [layer.get_parameter("weight") for layer in layers.values()]
    none = weights[0].new_zeros((), dtype=torch.float32)
    return torch.stack([none if w.grad is None else vector_norm(w.grad.float()) for w in weights])


class LayerProbe:
    """Watches one training step: each layer's response and, after the backward pass, its gradient.

    Layers are `probed_layers`. A response is a layer's output after batch norm, before the ReLU or the
    addition (He et al. 2015, Fig. 7); the paper does not say in which mode it was taken, ours is of a
    training batch in train mode.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = dict(model.named_modules())
        self.layers = probed_layers(model)
        self._responses: dict[str, Tensor] = {}
        self._handles = [
            modules[_normalised(name)].register_forward_hook(self._keep(name)) for name in self.layers
        ]

    def _keep(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._responses[name] = output.detach().float().std(unbiased=False)

        return hook

    def __enter__(self) -> "LayerProbe":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def read(self) -> dict[str, list[Any]]:
        """Return {"layer": names, "gradient_norm": ..., "response_std": ...}; to be called after backward."""
        stds = torch.stack([self._responses[name] for name in self.layers])
        return {
            "layer": list(self.layers),
            "gradient_norm": _four_digits(gradient_norms(self.layers)),
            "response_std": _four_digits(stds),
        }


def _normalised(layer: str) -> str:
    """Return the name of what follows a layer: conv1's response is bn1's output, the classifier's its own."""
    return layer.replace("conv", "bn")


def _four_digits(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
