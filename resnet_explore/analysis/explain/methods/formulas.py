"""How much does each place of a layer speak for a class? One formula a method, without the last ReLU.

Every map here is a weighted sum over a layer's channels, M = sum_k w_k A_k, and a method is how it weighs:
with one weight a channel, (N, C, 1, 1), or with one a place, (N, C, h, w). A is the layer's output and g the
gradient of the class's logit with respect to it, (N, C, h, w) each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from resnet_explore.models.devices import eigenvectors


@dataclass(frozen=True)
class Method:
    """A way to weigh channels: `METHODS["grad_cam"](activations, gradients)` is the map, (N, h, w).

    weights    a function of activations and gradients that gives (N, C, 1, 1) or (N, C, h, w)
    gradients  whether it looks at them; Eigen-CAM does not, and so knows of no class
    """

    weights: Callable[[Tensor, Tensor], Tensor]
    gradients: bool = True

    def __call__(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return weighted_sum(self.weights(activations, gradients), activations)


def weighted_sum(weights: Tensor, activations: Tensor) -> Tensor:
    """Return sum_k w_k A_k: (N, h, w)."""
    if weights.shape[2:] == (1, 1):
        return torch.einsum("nc,nchw->nhw", weights[:, :, 0, 0], activations)
    return torch.einsum("nchw,nchw->nhw", weights, activations)


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by the mean gradient (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1)."""
    return gradients.mean((2, 3), keepdim=True)


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by sum alpha relu(g), alpha = g^2 / (2 g^2 + (sum A) g^3), 0 where g is 0.

    Chattopadhay et al. 2018, arXiv 1710.11063. They differentiate exp(logit), which puts one
    factor exp(logit) before the whole map; we leave it out, as all implementations do.
    """
    total = activations.sum((2, 3), keepdim=True)
    # g^2 is cancelled: it underflows where gradients are small.
    alpha = _divide(torch.ones_like(gradients), 2 + total * gradients)
    return (alpha * gradients.clamp(min=0)).sum((2, 3), keepdim=True)


def hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each place by its own gradient (Draelos & Carin 2020, arXiv 2011.08891)."""
    return gradients


def xgrad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by sum(g A) / sum(A), 0 for a channel whose sum is 0 (Fu et al. 2020, arXiv 2008.02312)."""
    total = activations.sum((2, 3), keepdim=True)
    return _divide((gradients * activations).sum((2, 3), keepdim=True), total)


def layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each place by its own gradient if that is positive (Jiang et al. 2021, IEEE TIP 30)."""
    return gradients.clamp(min=0)


def eigen_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh by the first right singular vector of A as a matrix (h w, C), which knows of no class.

    Muhammad & Yeasin 2020, arXiv 2008.00299; not centred, as there. The sign of a singular vector is
    arbitrary: ours makes the map agree with the sum of the channels, so that it is positive where much is on.
    """
    rows = activations.flatten(2).transpose(1, 2)  # (N, h w, C)
    if rows.shape[1] < rows.shape[2]:  # the smaller of the two Gram matrices has the same vectors
        left = eigenvectors(rows @ rows.mT)[..., -1:]
        vector = torch.nn.functional.normalize((rows.mT @ left)[..., 0], dim=1)
    else:
        vector = eigenvectors(rows.mT @ rows)[..., -1]
    agreement = torch.einsum("nrc,nc,nr->n", rows, vector, rows.sum(2))
    vector = torch.where(agreement < 0, -1, 1)[:, None] * vector
    return vector[:, :, None, None]


def _divide(top: Tensor, bottom: Tensor) -> Tensor:
    """Return top / bottom, and 0 where bottom is 0."""
    zero = bottom == 0
    return torch.where(zero, 0, top / torch.where(zero, 1, bottom))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "grad_cam": Method(grad_cam),
        "grad_cam_plus_plus": Method(grad_cam_plus_plus),
        "hirescam": Method(hirescam),
        "xgrad_cam": Method(xgrad_cam),
        "layercam": Method(layercam),
        "eigen_cam": Method(eigen_cam, gradients=False),
    }
)


def why_empty(cam: Tensor) -> str:
    """Say why a map shows nothing once its negative values are cut off, as the papers do; "" if it does.

    `cam` is one raw map (h, w).
    """
    if not torch.isfinite(cam).all():
        return "Some contributions are not finite numbers: the gradient or the activation overflowed."
    if (cam > 0).any():
        return ""
    if (cam < 0).any():
        return "All contributions are negative: no place speaks for what was asked about."
    return "All contributions are zero: nothing here changes what was asked about."
