"""Do nearby inputs have similar gradients? In deep plain networks they look like white noise.

Balduzzi et al. 2017, arXiv 1702.08591: at initialisation the correlation between the gradients of two inputs
falls like 1/2^L with depth L in plain ReLU networks with batch norm, and only like 1/sqrt(L) with skips.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis._statistics import held_statistics
from resnet_explore.analysis.gradients.flow import check_batch
from resnet_explore.errors import ExploreError


@dataclass(frozen=True, eq=False, repr=False)
class InputGradients(Brief):
    """The gradient of a fixed direction of the output with respect to each input.

    gradients   float64 (N, numbers in one input)
    mode        of batch norm
    detached    whether batch statistics were constants; if not, in train mode, inputs act on each other
    """

    gradients: np.ndarray
    mode: str
    detached: bool

    @property
    def cosines(self) -> np.ndarray:
        """Between the gradients of two inputs, (N, N); nan where a gradient is 0."""
        norms = np.linalg.norm(self.gradients, axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = self.gradients / norms
        return np.clip(unit @ unit.T, -1, 1)

    @property
    def correlation(self) -> float:
        """The mean cosine over all pairs of different inputs, without those that have no gradient."""
        others = ~np.eye(len(self.gradients), dtype=bool)
        found = self.cosines[others]
        found = found[np.isfinite(found)]
        return float(found.mean()) if len(found) else float("nan")

    def __str__(self) -> str:
        count, numbers = self.gradients.shape
        held = "held constant" if self.detached else "not held constant"
        return (
            f"{count} gradients of {numbers} numbers, {self.mode} mode, batch statistics {held}: mean cosine "
            f"between two {self.correlation:.3g}."
        )


def input_gradients(
    model: nn.Module, images: Tensor, mode: str = "train", detach: bool = True, seed: int = 0
) -> InputGradients:
    """Return the gradient of <v, model(x)> with respect to each image x, v a random unit vector from `seed`.

    detach   hold batch statistics constant. Without that, in train mode, a gradient also passes through the
             mean and the variance that the images share; then their gradients add up to nearly 0, and the
             correlation of a plain network tends to -1/(N-1), whatever the network does

    In a network with one output v is 1. The model must return one tensor (N, ...). It is left as found.
    Raises ExploreError as `gradient_flow` does, and for fewer than two images.
    """
    batch = check_batch(model, images, mode)
    if len(batch) < 2:
        raise ExploreError("images must be two or more, as one gradient has nothing to be compared with.")
    batch.requires_grad_()
    if detach or mode == "eval":
        with held_statistics(model, batch.detach(), mode), torch.enable_grad():
            gradient = _gradient(model, batch, seed)
    else:
        with measuring(model):
            model.train()
            gradient = _gradient(model, batch, seed)
    return InputGradients(gradient.flatten(1).cpu().double().numpy(), mode, detach or mode == "eval")


def _gradient(model: nn.Module, batch: Tensor, seed: int) -> Tensor:
    output = answer(model, batch)
    if not isinstance(output, Tensor) or len(output) != len(batch):
        raise ExploreError("The model must return one tensor with a row for each image.")
    rows = output.flatten(1)
    direction = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(seed))
    direction = (direction / direction.norm()).abs() if len(direction) == 1 else direction / direction.norm()
    return torch.autograd.grad((rows @ direction.to(rows)).sum(), batch)[0]


def gradient_autocorrelation(
    model: nn.Module, lags: int = 20, low: float = -2.0, high: float = 2.0, points: int = 256
) -> np.ndarray:
    """Return the autocorrelation of df/dx on a grid, lags 0..`lags`, for a network from numbers to numbers.

    1 at lag 0; near 0 from lag 1 on for white noise (Balduzzi et al. 2017, Fig. 1, whose grid is the default
    one). Batch norm uses the statistics of the grid, as constants. The network takes (N, 1), or anything that
    it can flatten to that: it gets (N, 1, 1, 1). Raises ExploreError for lags that the grid lacks.
    """
    if not 0 < lags < points:
        raise ExploreError(f"lags must be from 1 to points - 1, here {points - 1}, not {lags!r}.")
    grid = torch.linspace(low, high, points).reshape(points, 1, 1, 1)
    slopes = input_gradients(model, grid).gradients[:, 0]
    slopes = slopes - slopes.mean()
    products = np.correlate(slopes, slopes, "full")[points - 1 : points + lags]
    with np.errstate(divide="ignore", invalid="ignore"):
        return products / products[0]
