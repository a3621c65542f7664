"""Does a heatmap depend on the network at all, and does it hold still when the image hardly moves?"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.topology.cam_layers import choose_layers
from resnet_explore.errors import ExploreError
from resnet_explore.models.devices import exact

# A way to explain: (model, images, classes (N,)) -> maps (N, h, w).
Explainer = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False, repr=False)
class Randomisation(Brief):
    """How alike maps stay while a network's weights are made random from the logits down, cumulatively.

    stages    what was made random at each stage, in order
    signed    Spearman's rank correlation with the original maps, (stages, N): 1 is unchanged
    absolute  the same of the maps' magnitudes
    ssim      structural similarity of the magnitudes, scaled to 0..1 and enlarged to the image
    """

    stages: tuple[str, ...]
    signed: np.ndarray
    absolute: np.ndarray
    ssim: np.ndarray


def cascading_randomisation(
    model: nn.Module, images: Tensor, targets: Tensor, explain: Explainer, seed: int = 0
) -> Randomisation:
    """Explain again and again while a copy of the network loses its weights, from the top down.

    Adebayo et al. 2018, arXiv 1810.03292, section 3.1. The stages are the classifier, then each of
    `choose_layers(model)` from the last to the first, then what is left. Weights of convolutions and linear
    layers are drawn from a normal distribution with deviation 0.01, cut off at twice that, and their biases
    become 0; norms keep what they learnt. A map that stays alike after all this does not show what the
    network has learnt. The paper gives no threshold; see `judge` for chance.
    """
    batch = as_images(model, images)
    original = explain(model, batch, targets)
    stages, signed, absolute, ssim = [], [], [], []
    for stage, twin in cascade(model, batch, seed):
        maps = explain(twin, batch, targets)
        stages.append(stage)
        signed.append(rank_correlation(original, maps))
        absolute.append(rank_correlation(original.abs(), maps.abs()))
        ssim.append(_similarity(original.abs(), maps.abs(), batch.shape[2:]))
    return Randomisation(tuple(stages), np.stack(signed), np.stack(absolute), np.stack(ssim))


def cascade(model: nn.Module, images: Tensor, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Yield (what was made random last, the copy) stage by stage, as `cascading_randomisation` describes.

    It is one copy, in eval mode, that loses more and more of its weights.
    """
    batch = as_images(model, images)
    with measuring(model):
        twin = copy.deepcopy(model).eval()
    draw = torch.Generator().manual_seed(seed)
    for stage, layers in _stages(twin, batch).items():
        for layer in layers:
            _make_random(layer, draw)
        yield stage, twin


def stability(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    explain: Explainer,
    noise: float = 0.1,
    repeats: int = 4,
    seed: int = 0,
) -> np.ndarray:
    """Return how alike the maps of slightly noisy copies are to the map of each image, (N,): 1 is the same.

    The mean of Spearman's rank correlation over `repeats` copies; `noise` is the deviation of the added
    Gaussian noise as a share of the deviation of each image's values. The class stays what it was.
    """
    if noise < 0 or repeats < 1:
        raise ExploreError(f"noise must be at least 0 and repeats at least 1, not {noise!r} and {repeats!r}.")
    batch = as_images(model, images)
    draw = torch.Generator().manual_seed(seed)
    spread = noise * batch.std((1, 2, 3), keepdim=True)
    original = explain(model, batch, targets)
    alike = [
        rank_correlation(
            original,
            explain(model, batch + spread * torch.randn(batch.shape, generator=draw).to(batch), targets),
        )
        for _ in range(repeats)
    ]
    return np.mean(alike, axis=0)


def agreement(maps: Sequence[Tensor]) -> np.ndarray:
    """Return how alike several maps of each image are, (N,): the mean rank correlation of all pairs.

    For the same network explained with several seeds, or for networks trained with several seeds.
    """
    if len(maps) < 2:
        raise ExploreError(f"Agreement needs at least two sets of maps, not {len(maps)}.")
    pairs = [(one, other) for i, one in enumerate(maps) for other in maps[:i]]
    return np.mean([rank_correlation(one, other) for one, other in pairs], axis=0)


def rank_correlation(one: Tensor, other: Tensor) -> np.ndarray:
    """Return Spearman's correlation of each pair of maps (N, h, w), (N,); 0 where a map is constant."""
    if one.shape != other.shape:
        raise ExploreError(f"Maps must have the same shape, not {tuple(one.shape)} and {tuple(other.shape)}.")
    ranks = [np.stack([_ranks(row) for row in m.detach().cpu().flatten(1).numpy()]) for m in (one, other)]
    first, second = (r - r.mean(1, keepdims=True) for r in ranks)
    norm = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return np.divide((first * second).sum(1), norm, out=np.zeros(len(norm)), where=norm > 0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return each number's rank among them, (n,), from 1; equal ones share the mean of theirs; nan if one is.

    As scipy.stats.rankdata does, which takes 50 MB to import.
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def _similarity(one: Tensor, other: Tensor, size: Sequence[int]) -> np.ndarray:
    from skimage.metrics import structural_similarity  # slow to import, and seldom asked for

    def prepared(maps: Tensor) -> np.ndarray:
        large = F.interpolate(exact(maps[:, None]), tuple(size), mode="bilinear", align_corners=False)[:, 0]
        low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
        return ((large - low) / torch.where(high > low, high - low, 1)).cpu().numpy()

    # 7 is the usual side of the window; it must fit into the image and be odd.
    window = min(7, min(size) - (min(size) + 1) % 2)
    pairs = zip(prepared(one), prepared(other), strict=True)
    return np.array([structural_similarity(a, b, data_range=1.0, win_size=window) for a, b in pairs])


def _stages(model: nn.Module, batch: Tensor) -> dict[str, list[nn.Module]]:
    """Return the layers with weights, from the logits down, grouped by the block that holds them."""
    with Capture(model, lambda _, m: isinstance(m, nn.Conv2d | nn.Linear), keep=lambda t: t[:0]) as seen:
        with torch.no_grad():
            answer(model, batch[:1].clone())
        ran = seen.modules
    try:
        blocks = choose_layers(model).names
    except ExploreError:  # no convolutions: each layer is a stage of its own
        blocks = ()
    stages: dict[str, list[nn.Module]] = {}
    for name, layer in reversed(ran.items()):
        name = name.partition(":")[0]
        holder = next((b for b in blocks if name == b or name.startswith(f"{b}.")), name)
        stages.setdefault(holder, []).append(layer)
    return stages


@torch.no_grad()
def _make_random(layer: nn.Module, draw: torch.Generator) -> None:
    weight, bias = layer.weight, layer.bias
    if isinstance(weight, Tensor):
        drawn = torch.empty(weight.shape)
        weight.copy_(nn.init.trunc_normal_(drawn, std=0.01, a=-0.02, b=0.02, generator=draw))
    if isinstance(bias, Tensor):
        bias.zero_()
