"""Does a heatmap point at what the network uses? Pixels are taken away in its order, and the answer watched.

All three measures take maps (N, h, w) of any resolution, enlarged bilinearly to the images, and watch how
sure the network is of what is asked: of a class its softmax probability, of other targets their `likelihood`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.explain.targets import as_target
from resnet_explore.errors import ExploreError

# Weights of a pixel's eight neighbours in ROAD's imputation (Rong et al. 2022, arXiv 2202.00449).
_NEIGHBOURS = {(r, c): 1 / 12 if r and c else 1 / 6 for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c}
_ROAD_SHARES = tuple(share / 10 for share in range(1, 10))


@dataclass(frozen=True, eq=False, repr=False)
class Curve(Brief):
    """How sure the network stays of what is asked while pixels go, or come.

    shares         of the pixels, from 0 to 1: (S,)
    probabilities  of the class, or the likelihood of another target, (N, S)
    """

    shares: np.ndarray
    probabilities: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """The area under each image's curve by the trapezoid rule, (N,), in 0..1."""
        p = self.probabilities
        return (p.sum(1) - (p[:, 0] + p[:, -1]) / 2) / (p.shape[1] - 1)


def deletion(
    model: nn.Module, images: Tensor, maps: Tensor, targets: object, steps: int = 32, batch_size: int = 64
) -> Curve:
    """Set the highest pixels to 0, the mean colour, more and more of them: a low area is good.

    RISE (Petsiuk et al. 2018, arXiv 1806.07421), which takes away as many pixels in a step as an image is
    wide; we take `steps` equal shares.
    """
    batch, maps = _pair(model, images, maps)
    return _curve(model, batch, torch.zeros_like(batch), maps, targets, steps, batch_size)


def insertion(
    model: nn.Module, images: Tensor, maps: Tensor, targets: object, steps: int = 32, batch_size: int = 64
) -> Curve:
    """Bring the highest pixels back into a blurred image: a high area is good (RISE, as for `deletion`).

    The blur is RISE's, a Gaussian of 11x11 pixels with sigma 5 for images of 224; for smaller ones both
    shrink with the image, as it would leave nothing of an image of 32.
    """
    batch, maps = _pair(model, images, maps)
    share = min(1.0, min(batch.shape[2:]) / 224)
    kernel = max(3, 2 * round(5 * share) + 1)
    # Mirrored at the edges, which an image narrower than half of the kernel does not allow.
    kernel = min(kernel, 2 * min(batch.shape[2:]) - 1)
    blurred = _blurred(batch, kernel, 5 * kernel / 11)
    return _curve(model, blurred, batch, maps, targets, steps, batch_size)


def _blurred(images: Tensor, side: int, deviation: float) -> Tensor:
    """Return images (N, C, H, W) under a Gaussian of side x side pixels, mirrored at the edges.

    As torchvision's gaussian_blur does, which takes 180 MB to import.
    """
    places = torch.arange(side, dtype=images.dtype, device=images.device) - side // 2
    line = torch.exp(-0.5 * (places / deviation) ** 2)
    line /= line.sum()
    window = torch.outer(line, line).expand(images.shape[1], 1, side, side)
    padded = F.pad(images, [side // 2] * 4, "reflect")
    return F.conv2d(padded, window, groups=images.shape[1])


def road(
    model: nn.Module,
    images: Tensor,
    maps: Tensor,
    targets: object,
    shares: Sequence[float] = _ROAD_SHARES,
    noise: float = 0.01,
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Return (LeRF - MoRF) / 2 for each image, (N,): high is good, 0 is no better than any order.

    ROAD (Rong et al. 2022, arXiv 2202.00449): a share of the pixels, the least or the most relevant, is
    replaced by what its surroundings suggest (`impute`) plus a little noise, so that neither the edges of
    holes nor their shape tell the network anything. LeRF and MoRF are the mean probabilities over `shares`.
    """
    batch, maps = _pair(model, images, maps)
    if not shares or not all(0 < share < 1 for share in shares):
        raise ExploreError(f"shares must lie between 0 and 1, not {tuple(shares)!r}.")
    count, size = batch[0, 0].numel(), batch.shape[2:]
    order = _order(maps, size)
    draw = torch.Generator().manual_seed(seed)

    def variants(i: int) -> Iterator[Tensor]:
        for least in (True, False):
            for share in shares:
                gone = round(share * count)
                chosen = order[i, count - gone :] if least else order[i, :gone]
                missing = np.zeros(count, bool)
                missing[chosen.cpu().numpy()] = True
                filled = impute(batch[i], missing.reshape(size))
                holes = torch.from_numpy(missing.reshape(size)).to(batch.device)
                jitter = torch.randn(batch[i].shape, generator=draw).to(batch)
                yield filled + noise * jitter * holes

    sure = _probabilities(model, batch, targets, variants, batch_size).reshape(len(batch), 2, -1)
    least, most = sure.mean(2).T
    return (least - most) / 2


def impute(image: Tensor, missing: np.ndarray) -> Tensor:
    """Return the image (C, H, W) with its missing pixels (H, W) set to the weighted mean of their neighbours.

    Missing neighbours count too, so a sparse linear system is solved. Raises ExploreError if all are missing.
    """
    if missing.all():
        raise ExploreError("Not all of an image's pixels can be missing.")
    if not missing.any():
        return image.clone()
    gone = missing.ravel()
    weights = _neighbour_weights(*missing.shape)
    inner, outer = weights[gone][:, gone], weights[gone][:, ~gone]
    system = sparse.diags(np.asarray(weights[gone].sum(1)).ravel()) - inner
    pixels = image.detach().cpu().double().numpy().reshape(len(image), -1)
    filled = pixels.copy()
    # The system is symmetric and its diagonal dominates: no pivoting, and an order that fills in less.
    solved = splu(system.tocsc(), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    filled[:, gone] = solved.solve(np.ascontiguousarray(outer @ pixels[:, ~gone].T)).T
    return torch.from_numpy(filled.reshape(image.shape)).to(image)


@lru_cache(maxsize=4)
def _neighbour_weights(height: int, width: int) -> sparse.csr_matrix:
    """Return the weights of each pixel's neighbours, (H W, H W); those beyond the edge don't exist."""
    rows, columns = np.divmod(np.arange(height * width), width)
    made = []
    for (down, right), weight in _NEIGHBOURS.items():
        inside = (rows + down >= 0) & (rows + down < height)
        inside &= (columns + right >= 0) & (columns + right < width)
        here = np.flatnonzero(inside)
        there = here + down * width + right
        made.append(sparse.coo_matrix((np.full(len(here), weight), (here, there)), (height * width,) * 2))
    return sum(made[1:], made[0]).tocsr()


# --- what they share -------------------------------------------------------------------------------------


def _pair(model: nn.Module, images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    batch = as_images(model, images)
    if not isinstance(maps, Tensor) or maps.ndim != 3 or len(maps) != len(batch):
        came = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ExploreError(f"maps must be a tensor ({len(batch)}, h, w), one map for each image, not {came}.")
    if not torch.isfinite(maps).all():
        raise ExploreError("maps must be finite, but hold values that are infinite or not a number.")
    return batch, maps.detach().to(batch)


def _order(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return the pixels from the most to the least relevant, (N, H W); equal ones in reading order."""
    large = F.interpolate(maps[:, None], tuple(size), mode="bilinear", align_corners=False)
    return large.flatten(1).argsort(dim=1, descending=True, stable=True)


def _curve(
    model: nn.Module, start: Tensor, end: Tensor, maps: Tensor, targets: object, steps: int, batch_size: int
) -> Curve:
    """Go from `start` to `end` pixel by pixel, the most relevant first, in equal steps."""
    if steps < 1:
        raise ExploreError(f"steps must be at least 1, not {steps!r}.")
    count, shares = start[0, 0].numel(), np.linspace(0, 1, steps + 1)
    rank = _order(maps, start.shape[2:]).argsort(dim=1).reshape(len(start), 1, *start.shape[2:])

    def variants(i: int) -> Iterator[Tensor]:
        for share in shares:
            yield torch.where(rank[i] < round(share * count), end[i], start[i])

    return Curve(shares, _probabilities(model, start, targets, variants, batch_size))


def _probabilities(
    model: nn.Module,
    batch: Tensor,
    targets: object,
    variants: Callable[[int], Iterator[Tensor]],
    batch_size: int,
) -> np.ndarray:
    """Return how sure the model is of what is asked, in each variant of each image, (N, S)."""
    rows = []
    with measuring(model), torch.no_grad():
        model.eval()
        settled = as_target(targets).settle(answer(model, batch.clone()), len(batch))
        for i in range(len(batch)):
            made, asked = torch.stack(list(variants(i))), settled.of_image(i)
            parts = [
                asked.likelihood(answer(model, part.clone()), len(part)) for part in made.split(batch_size)
            ]
            rows.append(torch.cat(parts).cpu().double().numpy())
    return np.stack(rows)
