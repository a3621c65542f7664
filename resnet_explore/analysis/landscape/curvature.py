"""How sharply does the loss bend at a network's weights? Extreme eigenvalues of its Hessian.

The Hessian is never built. Its product with a vector is the derivative of the gradient's product with that
vector (Pearlmutter 1994), one more backward pass; Lanczos' method finds both ends of the spectrum from such
products.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.landscape.asked import require_mode, require_whole, working_in
from resnet_explore.analysis.landscape.directions import filter_norms, filters
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import CancelledError, ExploreError, an
from resnet_explore.models.dispatch import uncompiled
from resnet_explore.models.memory import free_memory, in_words

_EXACT = 1e-3  # of an eigenvalue: residuals of the least and the greatest at which no further step is taken


@dataclass(frozen=True)
class HessianEigenvalue:
    """The ends of a Hessian's spectrum.

    value    the eigenvalue that is largest in magnitude. It may be negative: the loss then bends down more
             sharply than up, so the network is at no minimum
    error    |Hv - value v| for the unit vector v that was found: an eigenvalue lies within this of `value`
    lowest, highest   the least and the greatest eigenvalue, as far as the steps tell: the true ones are no
             closer to each other
    steps    products with the Hessian that were taken, the last one for `error`
    normalised  whether directions are measured in filters' norms
    mode     how batch norm worked
    parameters   how many numbers may change
    """

    value: float
    error: float
    lowest: float
    highest: float
    steps: int
    normalised: bool
    mode: str
    parameters: int

    def __str__(self) -> str:
        by = "in filters' norms, " if self.normalised else ""
        return (
            f"Largest eigenvalue of the Hessian {self.value:.4g} ± {self.error:.1g} ({by}{self.mode} mode, "
            f"{self.parameters:,} parameters, {self.steps} steps); all from {self.lowest:.3g} to "
            f"{self.highest:.3g}."
        )


def top_hessian_eigenvalue(
    model: nn.Module,
    images: Tensor,
    labels: Any,
    *,
    steps: int = 60,
    seed: int = 0,
    mode: str = "eval",
    normalised: bool = False,
    cancel: Callable[[], bool] | None = None,
) -> HessianEigenvalue:
    """Measure how sharply the mean cross-entropy bends in the direction in which it bends most.

    Where batch norm follows a layer, twice its weights are the same network by the batch's statistics, and
    the eigenvalues of that layer's own block of the plain Hessian are a quarter. So those of two networks
    can't be compared, which is what `normalised` is for: the eigenvalues are then those of D H D, where D
    holds for every weight the norm of its filter. Rescaled filters change nothing there.

    Each weight is then measured in its filter's norm, as in `loss_landscape`, but a step of 1 is another: an
    eigenvector has the norm 1 over all filters together, where a step of 1 in a random plane moves every
    filter by its norm, which is as long as the square root of the number of filters such steps.

    Parameters
    ----------
    model : left as found, also by exceptions
    images : float (N, C, H, W), standardised as the model expects; all are held in memory at once
    labels : N class indices
    steps : at most so many products with the Hessian, each about two backward passes; fewer where the
        residuals of the least and the greatest eigenvalue fall below 1e-3 of them
    seed : of the vector it starts with
    mode : how batch norm works: "eval" by its running statistics, "train" by those of the batch, through
        which derivatives pass
    normalised : of the plain Hessian all parameters count, also biases and batch norm's; normalised those
        that have filters
    cancel : asked before each step; if it says True, `CancelledError` is raised

    Raises
    ------
    ExploreError
        For images or labels that don't fit, numbers that can't be, weights in half precision or made in
        inference mode, more steps than memory holds, and second derivatives that are not finite.

    Source: Pearlmutter 1994, Fast exact multiplication by the Hessian; Lanczos 1950, with every vector made
    orthogonal to all before; a symmetric matrix has an eigenvalue within the residual (Bauer and Fike 1960).
    Scale and sharpness: Dinh et al. 2017, Sharp minima can generalize for deep nets, arXiv 1703.04933.
    """
    require_whole("steps", steps, 1)
    require_whole("seed", seed, 0)
    require_mode(mode)
    net, batch = unwrapped(model), as_images(model, images)
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in net.parameters()):
        raise ExploreError("The model is in half precision, too coarse to bend: call model.float() first.")
    if any(p.is_inference() for p in net.parameters()):
        raise ExploreError(
            "The model's weights were made in inference mode, where nothing has derivatives: make it outside "
            "of torch.inference_mode()."
        )
    with measuring(net), uncompiled():
        working_in(net, mode, [batch])
        chosen = filters(net) if normalised else dict(net.named_parameters())
        trained = [p for name, p in net.named_parameters() if name in chosen and p.is_floating_point()]
        if not trained:
            raise ExploreError(f"The model, {an(net)}, has no parameters.")
        for parameter in trained:
            parameter.requires_grad_()
        logits = as_logits(answer(net, batch), len(batch))
        loss = F.cross_entropy(logits, as_classes("labels", labels, logits))
        scales = [filter_norms(p.detach()).expand_as(p) for p in trained] if normalised else None
        product = _HessianProduct(loss, trained, scales)
        values, vector, taken = _extremes(product, int(steps), int(seed), cancel)
        bent = product.times(vector)
    value = float(vector @ bent)
    error = float((bent - value * vector).norm())
    low, high = float(values[0]), float(values[-1])
    return HessianEigenvalue(value, error, low, high, taken + 1, normalised, mode, product.size)


class _HessianProduct:
    """The Hessian of a loss, or D H D, as what it does to vectors."""

    def __init__(self, loss: Tensor, parameters: Sequence[Tensor], scales: Sequence[Tensor] | None) -> None:
        self._parameters, self._scales = parameters, scales
        self._sizes = [p.numel() for p in parameters]
        self.size = sum(self._sizes)
        self._gradients = torch.autograd.grad(
            loss, parameters, create_graph=True, materialize_grads=True, allow_unused=True
        )

    def times(self, vector: Tensor) -> Tensor:
        """Return the product with a float64 vector (size,) of the CPU."""
        parts = self._scaled(
            [
                part.reshape(p.shape).to(p)
                for part, p in zip(vector.split(self._sizes), self._parameters, strict=True)
            ]
        )
        pairs = [(g, part) for g, part in zip(self._gradients, parts, strict=True) if g.requires_grad]
        if not pairs:  # the loss is flat
            return torch.zeros_like(vector)
        found = torch.autograd.grad(
            [g for g, _ in pairs],
            self._parameters,
            [part for _, part in pairs],
            retain_graph=True,
            materialize_grads=True,
            allow_unused=True,
        )
        flat = torch.cat([part.flatten().cpu().double() for part in self._scaled(found)])
        if not flat.isfinite().all():
            raise ExploreError("The loss has second derivatives that are not finite, so no eigenvalues.")
        return flat

    def _scaled(self, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        if self._scales is None:
            return parts
        return [part * scale for part, scale in zip(parts, self._scales, strict=True)]


def _extremes(
    product: _HessianProduct, steps: int, seed: int, cancel: Callable[[], bool] | None
) -> tuple[np.ndarray, Tensor, int]:
    """Return Lanczos' estimates of eigenvalues, ascending, the vector of the largest, and how many steps.

    The largest is that in magnitude.
    """
    steps = min(steps, product.size)
    needed, free = 8 * (steps + 2) * product.size, free_memory(torch.device("cpu"))
    if needed > free:
        raise ExploreError(
            f"{steps} steps with {product.size:,} parameters take {in_words(needed)} of memory and "
            f"{in_words(free)} are free: choose fewer steps."
        )
    random = torch.Generator().manual_seed(seed)
    basis = torch.empty(steps, product.size, dtype=torch.float64)
    following = torch.randn(product.size, generator=random, dtype=torch.float64)
    following /= following.norm()
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    for step in range(steps):
        if cancel is not None and cancel():
            raise CancelledError(f"Stopped after {step} of {steps} steps.")
        basis[step] = following
        known, following = basis[: step + 1], product.times(following)
        diagonal[step] = float(following @ basis[step])
        for _ in range(2):  # once leaves rounding errors behind, in which found eigenvalues come back
            following -= known.T @ (known @ following)
        length = float(following.norm())
        matrix = np.diag(diagonal[: step + 1]) + np.diag(beside[:step], 1) + np.diag(beside[:step], -1)
        values, vectors = np.linalg.eigh(matrix)
        if (length * np.abs(vectors[-1, [0, -1]]) <= _EXACT * np.abs(values[[0, -1]])).all():
            break
        beside[step] = length
        following /= length
    top = int(np.abs(values).argmax())
    return values, known.T @ torch.from_numpy(vectors[:, top]), step + 1
