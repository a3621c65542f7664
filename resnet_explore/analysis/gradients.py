"""How large are the gradients, layer by layer?

The popular answer, "in plain networks they vanish", is wrong for networks with batch normalisation: at
initialisation, in train mode, they explode towards the input, by about sqrt(pi / (pi - 1)) = 1.21 a layer in
wide ReLU networks (Yang et al. 2019, arXiv 1902.08129, section 4), and the slope reverses within some ten
steps. In eval mode, or without batch normalisation, the picture is another. So a result says its mode.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture import Capture
from resnet_explore.errors import ExploreError, unknown

MODES = ("train", "eval")


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """Frobenius norms at each convolution and linear layer, in the order of execution: float64 (layers,).

    names, kinds               "layer1.0.conv1" and "conv 3x3"; kinds are "conv HxW" and "linear"
    on_path                    False in a projection shortcut, that is a module named downsample or shortcut
    activation_norms           of the layer's output, over the whole batch
    activation_gradient_norms  of the loss's gradient with respect to that output, over the whole batch
    weight_norms               of the layer's weight, without the bias
    weight_gradient_norms      of the loss's gradient with respect to that weight
    loss, mode, batch_size     what was differentiated: by default the mean cross-entropy of this batch
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    on_path: tuple[bool, ...]
    activation_norms: np.ndarray
    activation_gradient_norms: np.ndarray
    weight_norms: np.ndarray
    weight_gradient_norms: np.ndarray
    loss: float
    mode: str
    batch_size: int

    @property
    def ratio(self) -> float:
        """How much larger the weight gradient is near the input: that of convolution 2 over that of the last.

        Only convolutions on the path that look at more than one pixel count, and the first of them, which
        sees the image, is left out. Above 1: the gradient grows towards the input; below: it shrinks.
        nan for networks with fewer than three such convolutions.
        """
        kinds = zip(self.kinds, self.on_path, strict=True)
        spatial = [i for i, (kind, on_path) in enumerate(kinds) if on_path and _is_spatial(kind)]
        if len(spatial) < 3:
            return float("nan")
        first, last = self.weight_gradient_norms[[spatial[1], spatial[-1]]]
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.divide(first, last))

    @property
    def finite(self) -> bool:
        """False if the loss or any norm is infinite or not a number, as happens where gradients overflow."""
        norms = (self.activation_norms, self.activation_gradient_norms, self.weight_norms)
        return bool(np.isfinite([self.loss, *np.concatenate([*norms, self.weight_gradient_norms])]).all())


def gradient_flow(
    model: nn.Module,
    images: Tensor,
    labels: Any,
    mode: str = "train",
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> GradientFlow:
    """Measure the norms of activations, weights and their gradients, in one forward and one backward pass.

    images  float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    labels  N class indices; with `loss`, whatever that takes
    mode    "train": batch norm uses this batch's statistics and dropout drops; "eval": neither
    loss    a function of (model output, labels) that gives one number; None for the mean cross-entropy

    A layer that runs several times has a row for each call ("conv:1", "conv:2"), all with the gradient of the
    weight they share. Layers that the pass doesn't run are left out. Norms that overflow are returned as they
    are, see `finite`. The model is left as found, running statistics and random state included.

    Raises ExploreError for images or labels that don't fit, an unknown mode, frozen weights, and for a single
    image in train mode with batch norm, which can't be normalised by a batch of its own.
    """
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    batch = as_images(model, images)
    if mode == "train" and len(batch) == 1 and any(isinstance(m, _BatchNorm) for m in model.modules()):
        raise ExploreError(
            "images must be two or more in train mode, as batch norm needs a batch; for one use mode='eval'."
        )
    layers = [name for name, module in model.named_modules() if isinstance(module, (_ConvNd, nn.Linear))]
    if not layers:
        raise ExploreError("The model has no convolution or linear layer, so there is no gradient to follow.")
    # Inside cached(), a parametrized weight is computed once, so it can be differentiated after the pass.
    with measuring(model), parametrize.cached():
        model.train(mode == "train")
        with Capture(model, layers, gradients=True, keep=_norm, restore=False) as seen:
            output = answer(model, batch)
            value = _cross_entropy(output, labels, len(batch)) if loss is None else loss(output, labels)
        weights = _trainable_weights(seen.modules)
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise ExploreError("loss must return one number, as a tensor computed from the model's output.")
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
        zero = value.new_zeros((), dtype=_precision(value))
        table = [
            list(seen.outputs.values()),
            [seen.gradients.get(name, zero) for name in seen.outputs],
            [_norm(weight.detach()) for weight in weights],
            [zero if gradient is None else _norm(gradient) for gradient in gradients],
        ]
        # All numbers leave the device together: one transfer instead of four per layer.
        numbers = [n.to(zero) for row in table for n in row] + [value.detach().reshape(()).to(zero)]
        norms = torch.stack(numbers).cpu().double().numpy()
    norms.setflags(write=False)
    activation, activation_gradient, weight, weight_gradient = norms[:-1].reshape(4, -1)
    return GradientFlow(
        names=tuple(seen.modules),
        kinds=tuple(_kind(module) for module in seen.modules.values()),
        on_path=tuple(not {"downsample", "shortcut"} & set(name.split(".")) for name in seen.modules),
        activation_norms=activation,
        activation_gradient_norms=activation_gradient,
        weight_norms=weight,
        weight_gradient_norms=weight_gradient,
        loss=float(norms[-1]),
        mode=mode,
        batch_size=len(batch),
    )


def _kind(module: nn.Module) -> str:
    return "conv " + "x".join(map(str, module.kernel_size)) if isinstance(module, _ConvNd) else "linear"


def _is_spatial(kind: str) -> bool:
    return kind.startswith("conv ") and set(kind.removeprefix("conv ").split("x")) != {"1"}


def _trainable_weights(modules: dict[str, nn.Module]) -> list[Tensor]:
    weights = {name: cast(Tensor, module.weight) for name, module in modules.items()}
    frozen = [name for name, weight in weights.items() if not weight.requires_grad]
    if frozen or not weights:
        raise ExploreError(
            f"gradient_flow needs trainable weights, but of the {len(weights)} convolutions and linear "
            f"layers that ran {len(frozen)} are frozen ({', '.join(frozen[:3])}): call requires_grad_(True)."
        )
    return list(weights.values())


def _cross_entropy(output: Any, labels: Any, count: int) -> Tensor:
    logits = as_logits(output, count, "; for other outputs pass your own loss")
    return F.cross_entropy(logits, as_classes("labels", labels, logits))


def _precision(tensor: Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _norm(tensor: Tensor) -> Tensor:
    # In float64, as the square of an exploding float32 gradient overflows long before the gradient does.
    return torch.linalg.vector_norm(tensor, dtype=_precision(tensor))
