"""How much do the images of a batch agree about where to go? Gradients image by image.

All images' gradients in one vectorised pass (torch.func). Batch norm couples the images of a batch, so its
statistics are held constant here: an image's gradient is that of its own loss alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from resnet_explore.analysis._batch import as_classes, as_logits
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._statistics import held_statistics
from resnet_explore.analysis.gradients.flow import check_batch, is_layer, loss_of
from resnet_explore.errors import ExploreError
from resnet_explore.models.devices import exact

_MOST_NUMBERS = 1_000_000_000  # gradients held at once: 4 GB in float32
_AT_ONCE = 16  # images whose activations are held at once


@dataclass(frozen=True, eq=False, repr=False)
class SampleGradients(Brief):
    """Gradients of N images' own losses with respect to all trainable parameters, float64.

    names         of the convolutions and linear layers, in the order of registration
    losses        (N,)
    norms         (N,), over all parameters
    layer_norms   (layers, N), of each layer's weight
    cosines       (N, N), between the images' gradients over all parameters; nan for a gradient of 0
    noise_scale   see `sample_gradients`; layer_noise_scales (layers,) the same for each layer's weight
    mode          what batch norm used, as constants: "train" this batch's statistics, "eval" running ones
    """

    names: tuple[str, ...]
    losses: np.ndarray
    norms: np.ndarray
    layer_norms: np.ndarray
    cosines: np.ndarray
    noise_scale: float
    layer_noise_scales: np.ndarray
    mode: str

    @property
    def agreement(self) -> float:
        """The mean cosine between two different images' gradients."""
        count = len(self.norms)
        return float(self.cosines[~np.eye(count, dtype=bool)].mean())

    def __str__(self) -> str:
        return (
            f"{len(self.norms)} images, {self.mode} mode: gradients {self.norms.min():.2g} to "
            f"{self.norms.max():.2g} long, mean cosine between two {self.agreement:.2g}, noise scale "
            f"{self.noise_scale:.3g}."
        )


def sample_gradients(
    model: nn.Module,
    images: Tensor,
    labels: Any,
    mode: str = "train",
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> SampleGradients:
    """Measure each image's own gradient: its norm, its direction, and how noisy their mean is.

    Arguments are those of `gradient_flow`; `loss` gets one image's output (1, ...) and its label (1,).

    The noise scale is tr(S) / |G|^2, S the covariance of the images' gradients and G the true gradient, both
    estimated without bias from this batch (McCandlish et al. 2018, arXiv 1812.06162, eq. 2.9 and A.2): the
    batch size at which noise and signal are equal. nan where the batch is too small to tell G from 0.

    Raises ExploreError as `gradient_flow` does, for fewer than two images, and where the gradients would not
    fit into 4 GB.
    """
    batch = check_batch(model, images, mode)
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    _check_size(len(batch), sum(p.numel() for p in parameters.values()))
    layers = [name for name, m in model.named_modules() if is_layer(m) and f"{name}.weight" in parameters]
    with held_statistics(model, batch, mode) as output:
        if loss is None and labels is not None:
            labels = as_classes("labels", labels, as_logits(output, len(batch)))
        elif labels is not None:
            labels = torch.as_tensor(labels, device=batch.device)

        def one(values: dict[str, Tensor], image: Tensor, label: Any) -> Tensor:
            answer = functional_call(model, values, (image[None],))
            own = None if label is None else label[None]
            # The check of class indices needs their values, which vmap hides; they were checked above.
            value = F.cross_entropy(answer, cast(Tensor, own)) if loss is None else loss(answer, own)
            return value.reshape(())

        if labels is None and loss is None:
            loss_of(output, labels, len(batch), loss)  # says so
        per_image = vmap(
            grad_and_value(one), in_dims=(None, 0, None if labels is None else 0), chunk_size=_AT_ONCE
        )
        gradients, losses = per_image(parameters, batch, labels)
    grams = {name: _gram(gradient) for name, gradient in gradients.items()}
    total = sum(grams.values(), torch.zeros(()))
    own = [grams[f"{name}.weight"] for name in layers]
    return SampleGradients(
        names=tuple(layers),
        losses=losses.cpu().double().numpy(),
        norms=_norms(total),
        layer_norms=np.array([_norms(gram) for gram in own]).reshape(len(layers), len(batch)),
        cosines=_cosines(total),
        noise_scale=_noise_scale(total),
        layer_noise_scales=np.array([_noise_scale(gram) for gram in own]),
        mode=mode,
    )


def _check_size(count: int, parameters: int) -> None:
    if count < 2:
        raise ExploreError("images must be two or more, as one gradient has nothing to be compared with.")
    if not parameters:
        raise ExploreError("The model has no trainable parameters: call requires_grad_(True).")
    if count * parameters > _MOST_NUMBERS:
        most = _MOST_NUMBERS // parameters
        raise ExploreError(
            f"{count} gradients of {parameters:,} numbers don't fit into 4 GB: pass at most {most} images."
        )


def _gram(gradients: Tensor) -> Tensor:
    """Return the inner products of N gradients of one parameter, float64 (N, N)."""
    flat = exact(gradients.flatten(1))
    return (flat @ flat.T).cpu()


def _norms(gram: Tensor) -> np.ndarray:
    return gram.diagonal().clamp(min=0).sqrt().numpy()


def _cosines(gram: Tensor) -> np.ndarray:
    norms = _norms(gram)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(gram.numpy() / np.outer(norms, norms), -1, 1)


def _noise_scale(gram: Tensor) -> float:
    count = len(gram)
    mean_of_squares, square_of_mean = float(gram.diagonal().mean()), float(gram.mean())
    covariance = (mean_of_squares - square_of_mean) * count / (count - 1)
    signal = square_of_mean - covariance / count
    return float(covariance / signal) if signal > 0 else float("nan")
