"""How do activations spread through depth? Numbers per layer and channel over a data set of any size.

He et al. 2015, Fig. 7, shows the standard deviations of layer responses; dead channels are those of ReLU
networks that no image wakes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, run
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.capture.layers import Layers
from resnet_explore.errors import ExploreError, require_module, unknown
from resnet_explore.models.devices import widest

if TYPE_CHECKING:
    import pandas as pd

MODES = ("eval", "train")


@dataclass(frozen=True, eq=False, repr=False)
class Channels(Brief):
    """One layer's channels, over all images and positions: float64 (C,) each.

    count      how many numbers each channel is measured on
    mean, std  std is the population's, which divides by count
    zeros      share of exact zeros, in 0..1
    low, high  least and greatest number
    full       share whose magnitude is within 0.1 % of the greatest in the layer, in 0..1
    """

    count: int
    mean: np.ndarray
    std: np.ndarray
    zeros: np.ndarray
    low: np.ndarray
    high: np.ndarray
    full: np.ndarray

    @property
    def largest(self) -> float:
        """The greatest magnitude in the layer."""
        return float(np.maximum(np.abs(self.low), np.abs(self.high)).max())

    @property
    def dead(self) -> np.ndarray:
        """Which channels are 0 everywhere, up to a millionth of the layer's greatest magnitude: bool (C,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high)) <= 1e-6 * self.largest

    @property
    def saturated(self) -> np.ndarray:
        """Which are at the layer's bound in 95 % of places or more, as behind ReLU6: bool (C,)."""
        return (self.full >= 0.95) & (self.count >= 4) & ~self.dead

    @property
    def overall(self) -> tuple[float, float, float]:
        """Mean, standard deviation and share of zeros of the layer as a whole."""
        # All channels weigh the same: the variance is that within them plus that between them.
        variance = (self.std**2).mean() + self.mean.var()
        return float(self.mean.mean()), float(np.sqrt(variance)), float(self.zeros.mean())

    def with_more(self, other: "Channels") -> "Channels":
        """Return the statistics of this and other images together.

        As in Chan, Golub and LeVeque 1983, eq. 2.1, which loses no digits to means that are large.
        """
        count = self.count + other.count
        a, b = self.count / count, other.count / count
        apart = other.mean - self.mean
        variance = a * self.std**2 + b * other.std**2 + a * b * apart**2
        # Where the two bounds differ, nothing of the one with the lower was at the higher.
        bound = 0.999 * max(self.largest, other.largest)
        return Channels(
            count=count,
            mean=self.mean + b * apart,
            std=np.sqrt(variance),
            zeros=a * self.zeros + b * other.zeros,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            full=a * self.full * (self.largest >= bound) + b * other.full * (other.largest >= bound),
        )


@dataclass(frozen=True, eq=False, repr=False)
class LayerStatistics(Brief):
    """Per layer, in the order of execution, over all images, channels and positions: float64 (layers,).

    names, kinds    as `Capture` names them; the module's class
    mean, std       std is the population's
    zeros           share of exact zeros, in 0..1
    dead, saturated number of channels, int64, that were 0 everywhere or nearly always at the bound
    channels        for each layer the same by channel, with the definitions
    images, mode    how many were seen, and how batch norm and dropout ran
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    zeros: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray
    channels: tuple[Channels, ...]
    images: int
    mode: str

    @property
    def table(self) -> "pd.DataFrame":
        """One row per layer."""
        import pandas as pd

        columns = {"layer": self.names, "kind": self.kinds, "channels": [len(c.mean) for c in self.channels]}
        measured = {name: getattr(self, name) for name in ("mean", "std", "zeros", "dead", "saturated")}
        return pd.DataFrame(columns | measured)


def layer_statistics(
    model: nn.Module, images: Any, layers: Layers = None, mode: str = "eval"
) -> LayerStatistics:
    """Measure the outputs of layers over a batch, or over any number of batches one after the other.

    images  float (N, C, H, W), standardised as the model expects; or an iterable of such batches or of
            (batch, ...) as a DataLoader gives. Only running sums are kept, a few numbers per channel.
    layers  as for `Capture`; what is not a floating-point tensor with a channel axis is left out. That axis
            is the last of three (batch, tokens, channels), else the second.
    mode    "eval", or "train": batch norm uses each batch's statistics and dropout drops

    The model is left as found, running statistics and random state included. Raises ExploreError for unknown
    layers or mode, no images, images that don't fit, and a model that raises.
    """
    require_module(model)
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    found: dict[str, Channels] = {}
    kinds: dict[str, str] = {}
    count = 0
    seen = Capture(model, layers, keep=reduced, restore=False)
    with measuring(model, chance=not isinstance(images, Tensor)), torch.no_grad(), seen:
        model.train(mode == "train")
        for batch in _batches(model, images):
            run(model, batch)
            count += len(batch)
            for name, numbers in seen.outputs.items():
                if numbers.numel():
                    more = as_channels(numbers)
                    found[name] = found[name].with_more(more) if name in found else more
            kinds |= {name: type(module).__name__ for name, module in seen.modules.items()}
            seen.clear()
    if not count:
        raise ExploreError("images must hold at least one batch, but there is none.")
    if not found:
        raise ExploreError("None of the layers returns a floating-point tensor with a channel axis.")
    channels = tuple(found.values())
    mean, std, zeros = np.array([each.overall for each in channels]).T
    return LayerStatistics(
        names=tuple(found),
        kinds=tuple(kinds[name] for name in found),
        mean=mean,
        std=std,
        zeros=zeros,
        dead=np.array([each.dead.sum() for each in channels]),
        saturated=np.array([each.saturated.sum() for each in channels]),
        channels=channels,
        images=count,
        mode=mode,
    )


def reduced(tensor: Tensor) -> Tensor:
    """Return `Channels` of an output as a tensor (7, C) on its device, or (0,) if it has no channels."""
    if tensor.ndim < 2 or not tensor.is_floating_point() or not tensor.numel():
        return tensor.new_empty(0)
    axis = 2 if tensor.ndim == 3 else 1
    rows = tensor.movedim(axis, 0).flatten(1)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    variance, mean = torch.var_mean(rows, 1, correction=0)
    low, high = rows.aminmax(dim=1)
    exact = widest(rows.device)
    count = torch.full_like(mean, rows.shape[1], dtype=exact)
    zeros = 1 - torch.count_nonzero(rows, 1) / count
    # Only where a channel reaches the bound: one more look at all numbers would cost as much as the rest.
    bound = 0.999 * torch.maximum(low.abs(), high.abs()).max()
    full, near = torch.zeros_like(mean), torch.maximum(low.abs(), high.abs()) >= bound
    full[near] = (rows[near].abs() >= bound).to(full.dtype).mean(1)
    return torch.stack([row.to(exact) for row in (count, mean, variance.sqrt(), zeros, low, high, full)])


def as_channels(numbers: Tensor) -> Channels:
    """Return what `reduced` gave as `Channels`."""
    count, *arrays = numbers.cpu().double().numpy()
    return Channels(int(count[0]), *arrays)


def _batches(model: nn.Module, images: Any) -> Iterator[Tensor]:
    if isinstance(images, Tensor):
        images = [images]
    if not isinstance(images, Iterable):
        raise ExploreError(
            "images must be a float tensor (N, C, H, W) or an iterable of such batches, "
            f"not {type(images).__name__}."
        )
    for batch in images:
        yield as_images(model, batch[0] if isinstance(batch, (tuple, list)) and batch else batch)
