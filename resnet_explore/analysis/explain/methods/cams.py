"""How much does each place of a layer speak for a class? Formulas that weigh the layer's channels.

Every map is a weighted sum over a layer's channels, M = sum_k w_k A_k, and a method is how it weighs: by the
layer's output A and the gradient g of the class's logit with respect to it, or by trying every channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet_explore.analysis.explain.methods.registry import ALONE, BLOCKS, TRIALS, WITHOUT, method

if TYPE_CHECKING:
    from torch import Tensor

_ON = "{plus}: on in channels that speak for what is asked about; {minus}: negative in them"


# --- by activations and gradients -------------------------------------------------------------------------


@method("Grad-CAM", BLOCKS)
def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by the mean gradient (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1)."""
    return gradients.mean((2, 3), keepdim=True)


# Its alpha has g^2 below, so that the product is no share of the logit.
@method("Grad-CAM++", BLOCKS, unit="weighted logits", meaning=_ON)
def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by sum alpha relu(g), alpha = g^2 / (2 g^2 + (sum A) g^3), 0 where g is 0.

    Chattopadhay et al. 2018, arXiv 1710.11063. They differentiate exp(logit), which puts one
    factor exp(logit) before the whole map; we leave it out, as all implementations do.
    """
    total = activations.sum((2, 3), keepdim=True)
    # g^2 is cancelled: it underflows where gradients are small.
    alpha = _divide(1, 2 + total * gradients)
    return (alpha * gradients.clamp(min=0)).sum((2, 3), keepdim=True)


@method("HiResCAM", BLOCKS)
def hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each place by its own gradient (Draelos & Carin 2020, arXiv 2011.08891)."""
    return gradients


@method("XGrad-CAM", BLOCKS)
def xgrad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by sum(g A) / sum(A), 0 for a channel whose sum is 0 (Fu et al. 2020, arXiv 2008.02312)."""
    total = activations.sum((2, 3), keepdim=True)
    return _divide((gradients * activations).sum((2, 3), keepdim=True), total)


@method("LayerCAM", BLOCKS, unit="logits, positive gradients only", meaning=_ON)
def layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each place by its own gradient if that is positive (Jiang et al. 2021, IEEE TIP 30)."""
    return gradients.clamp(min=0)


@method(
    "Eigen-CAM",
    BLOCKS,
    unit="activation",
    meaning="it knows no class: {plus} is where the layer's main pattern is on, {minus} where it is reversed",
    classes=False,
)
def eigen_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by the first right singular vector of A as a matrix (h w, C), which knows of no class.

    Muhammad & Yeasin 2020, arXiv 2008.00299; not centred, as there. The sign of a singular vector is
    arbitrary: ours makes the map agree with the sum of the channels, so that it is positive where much is on.
    """
    import torch

    from resnet_explore.models.devices import eigenvectors

    rows = activations.flatten(2).transpose(1, 2)  # (N, h w, C)
    if rows.shape[1] < rows.shape[2]:  # the smaller of the two Gram matrices has the same vectors
        left = eigenvectors(rows @ rows.mT)[..., -1:]
        vector = torch.nn.functional.normalize((rows.mT @ left)[..., 0], dim=1)
    else:
        vector = eigenvectors(rows.mT @ rows)[..., -1]
    agreement = torch.einsum("nrc,nc,nr->n", rows, vector, rows.sum(2))
    vector = torch.where(agreement < 0, -1, 1)[:, None] * vector
    return vector[:, :, None, None]


# --- by trying every channel --------------------------------------------------------------------------------


@method("Score-CAM", TRIALS, trial=ALONE, unit="activation, averaged by scores", meaning=_ON, slow=True)
def score_cam(scores: Tensor, before: Tensor) -> Tensor:
    """Weigh by the softmax over the channels of the score of x * minmax(up(A_k)): x seen through channel k.

    Wang et al. 2020, arXiv 1910.01279. The paper subtracts the score of a blank image, which the softmax
    cancels; x is standardised, so a mask hides it in the mean colour.
    """
    return scores.softmax(0)


@method("Ablation-CAM", TRIALS, trial=WITHOUT, unit="activation × share of the score lost", slow=True)
def ablation_cam(scores: Tensor, before: Tensor) -> Tensor:
    """Weigh by (y - y_k) / |y|, y_k being the score without channel k (Desai & Ramaswamy 2020).

    The paper divides by y; for a negative y that would turn what speaks for the target against it. Of tokens
    channel k is taken from those that are on the map, not from a class token.
    """
    return (before - scores) / before.abs().masked_fill(before == 0, 1)


def _divide(top: Tensor | int, bottom: Tensor) -> Tensor:
    """Return top / bottom, and 0 where bottom is 0."""
    zero = bottom == 0
    return (top / bottom.masked_fill(zero, 1)).masked_fill(zero, 0)
