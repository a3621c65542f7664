"""Do layers repeat each other? Debiased linear CKA between the layers of two networks, batch by batch."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, run
from resnet_explore.analysis._brief import Brief, counted
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.capture.layers import Layers, holders, select_layers
from resnet_explore.analysis.topology.blocks import smallest_blocks
from resnet_explore.errors import ExploreError, require_module
from resnet_explore.models.memory import free_memory, in_words

LEAST = 4  # images: the debiased estimate divides by n - 3
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_FLAT = 1e-10  # of the largest squared kernel entry: below it, an output is the same for all images


@dataclass(frozen=True, eq=False, repr=False)
class Similarity(Brief):
    """How alike layers are.

    matrix    float64 (rows, columns): 1 where two layers arrange the images alike, about 0 where they have
              nothing to do with each other. It is an estimate without bias, so it may be a little below 0
    rows, columns   the layers of the first network and of the second, in the order of execution
    images    how many images it rests on
    constant  layers that give the same for all images, or for all but one, as some of a plain network of 110
              layers do: nothing can be said of them, so they are left out
    not_finite  layers that give NaN or infinity for some image, which are left out, too
    """

    matrix: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    images: int
    constant: tuple[str, ...] = ()
    not_finite: tuple[str, ...] = ()


def similarity(
    model_a: nn.Module,
    model_b: nn.Module,
    images: Tensor,
    layers_a: Layers = None,
    layers_b: Layers = None,
    batch_size: int = 256,
) -> Similarity:
    """Compare each layer of one network with each of another by debiased linear CKA.

    Two layers are alike if the same pairs of images are alike in both, whatever the number of channels and
    however they are rotated. Kornblith et al. 2019 (arXiv 1905.00414), eq. 3, with the unbiased HSIC of Song
    et al. 2012, averaged over batches before the ratio is taken (Nguyen et al. 2021, arXiv 2010.15327, eq.
    2). The usual estimate is 0.2 for independent data of 32 images, this one about 0.

    Parameters
    ----------
    model_a, model_b : run in eval mode and left as found; they may be the same one
    images : float (N, C, H, W), standardised as both models expect, at least 4
    layers_a, layers_b : as in `Capture`; None for all convolutions, linear layers and blocks
    batch_size : images at a time, at least 4; more is more exact and needs more memory

    Raises
    ------
    ExploreError
        For models that are none, fewer than 4 images, layers that there are not, layers that were asked for
        and give the same for all images or numbers that are not finite, and where the kernel matrices need
        more memory than there is.
    """
    require_module(model_a, "model_a")
    require_module(model_b, "model_b")
    batch = as_images(model_a, images)
    if len(batch) < LEAST:
        raise ExploreError(f"similarity needs at least {LEAST} images, got {len(batch)}.")
    if batch_size < LEAST:
        raise ExploreError(f"batch_size must be at least {LEAST}, not {batch_size}.")
    names_a, names_b = _names(model_a, layers_a), _names(model_b, layers_b)
    same = model_a is model_b and names_a == names_b
    parts = torch.tensor_split(batch, math.ceil(len(batch) / batch_size))
    _require_memory(len(names_a) + (0 if same else len(names_b)), len(parts[0]))
    sums = _Sums()
    for part in parts:
        kernels_a = _kernels(model_a, part, names_a)
        kernels_b = kernels_a if same else _kernels(model_b, as_images(model_b, part), names_b)
        sums.add(kernels_a, kernels_b)
    return sums.result(len(batch), layers_a is not None, layers_b is not None)


class _Sums:
    """HSIC of all pairs, and of each layer with itself, summed over batches."""

    def __init__(self) -> None:
        self.rows: tuple[str, ...] = ()
        self.columns: tuple[str, ...] = ()
        self.both = np.zeros((0, 0))
        self.own_a = self.own_b = np.zeros(0)
        self.scale_a = self.scale_b = np.zeros(0)

    def add(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
        if not self.rows:
            self.rows, self.columns = tuple(a), tuple(b)
            self.both = np.zeros((len(a), len(b)))
            self.own_a, self.own_b = np.zeros(len(a)), np.zeros(len(b))
            self.scale_a, self.scale_b = np.zeros(len(a)), np.zeros(len(b))
        stacked_a = torch.stack([a[name] for name in self.rows])
        stacked_b = stacked_a if a is b else torch.stack([b[name] for name in self.columns])
        self.both += hsic(stacked_a, stacked_b).numpy()
        self.own_a += hsic_with_itself(stacked_a).numpy()
        self.own_b += hsic_with_itself(stacked_b).numpy()
        self.scale_a = np.maximum(self.scale_a, stacked_a.square().amax((1, 2)).numpy())
        self.scale_b = np.maximum(self.scale_b, stacked_b.square().amax((1, 2)).numpy())

    def result(self, images: int, asked_a: bool, asked_b: bool) -> Similarity:
        flat_a, flat_b = self.own_a <= _FLAT * self.scale_a, self.own_b <= _FLAT * self.scale_b
        lost_a, lost_b = ~np.isfinite(self.own_a), ~np.isfinite(self.own_b)
        if asked_a:
            _refuse(self.rows, flat_a, lost_a)
        if asked_b:
            _refuse(self.columns, flat_b, lost_b)
        good_a, good_b = ~(flat_a | lost_a), ~(flat_b | lost_b)
        if not (good_a.any() and good_b.any()):
            if lost_a.any() or lost_b.any():
                raise ExploreError("No layer can be compared: they give numbers that are not finite.")
            raise ExploreError("Every layer gives the same for all images: use images that differ.")
        own = np.outer(self.own_a[good_a], self.own_b[good_b])
        return Similarity(
            self.both[good_a][:, good_b] / np.sqrt(own),
            _where(self.rows, good_a),
            _where(self.columns, good_b),
            images,
            _unique(_where(self.rows, flat_a) + _where(self.columns, flat_b)),
            _unique(_where(self.rows, lost_a) + _where(self.columns, lost_b)),
        )


def _refuse(names: Sequence[str], flat: np.ndarray, lost: np.ndarray) -> None:
    """Raise ExploreError for the first layer that can't be compared."""
    for name in _where(names, lost):
        raise ExploreError(
            f"{name!r} gives NaN or infinity for some image, so it can't be compared: leave it out."
        )
    for name in _where(names, flat):
        raise ExploreError(
            f"{name!r} gives the same for all images, or all but one, so it can't be compared: leave it out."
        )


def _where(names: Sequence[str], chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, here in zip(names, chosen, strict=True) if here)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def hsic(k: Tensor, other: Tensor) -> Tensor:
    """Return the unbiased HSIC of all pairs of kernels, float64 (A, B).

    k, other  float64 (A, n, n) and (B, n, n), symmetric with a diagonal of 0

    Song et al. 2012, eq. 5; Nguyen et al. 2021, eq. 3.
    """
    n = k.shape[1]
    product = k.flatten(1) @ other.flatten(1).T  # the trace of each product, as both are symmetric
    rows, others = k.sum(2), other.sum(2)
    sums = torch.outer(rows.sum(1), others.sum(1))
    between = rows @ others.T
    return (product + sums / ((n - 1) * (n - 2)) - 2 / (n - 2) * between) / (n * (n - 3))


def hsic_with_itself(k: Tensor) -> Tensor:
    """Return the unbiased HSIC of each kernel with itself, float64 (A,); `k` as in `hsic`."""
    n = k.shape[1]
    rows = k.sum(2)
    product, between = k.flatten(1).square().sum(1), rows.square().sum(1)
    return (product + rows.sum(1).square() / ((n - 1) * (n - 2)) - 2 / (n - 2) * between) / (n * (n - 3))


def _kernels(model: nn.Module, images: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the linear kernel of each layer's output, float64 (n, n) with a diagonal of 0, by name."""
    with measuring(model), torch.no_grad():
        model.eval()
        with Capture(model, names, keep=_kernel, restore=False) as seen:
            run(model, images)
        found = {name: kernel for name, kernel in seen.outputs.items() if kernel.shape[0] == len(images)}
    if not found:
        raise ExploreError("None of the layers gives an output for each image, so none can be compared.")
    return found


def _kernel(output: Tensor) -> Tensor:
    flat = output.flatten(1).float()
    # A shift of all images changes nothing in exact numbers; without it float32 would lose the differences.
    flat = flat - flat.mean(0)
    kernel = (flat @ flat.T).double().cpu()
    return kernel.fill_diagonal_(0.0)


def _names(model: nn.Module, layers: Layers) -> list[str]:
    return _usual(model) if layers is None else list(select_layers(model, layers))


def _usual(model: nn.Module) -> list[str]:
    modules = dict(model.named_modules())
    layers = [name for name, module in modules.items() if isinstance(module, _WEIGHTED)]
    held = Counter(holder for name in layers for holder in holders(name))
    wanted = {*layers, *smallest_blocks(held, modules)}
    return [name for name in modules if name in wanted]


def _require_memory(layers: int, images: int) -> None:
    """Raise ExploreError if the kernels of so many layers, twice while they are compared, don't fit."""
    needed, free = 2 * 8 * layers * images**2, free_memory(torch.device("cpu"))
    if needed > free:
        raise ExploreError(
            f"The kernels of {counted(layers, 'layer')} take {in_words(needed)} of memory and "
            f"{in_words(free)} are free: choose fewer layers, or a smaller batch_size."
        )
