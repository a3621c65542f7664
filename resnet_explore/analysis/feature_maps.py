"""What does each channel say? Feature maps of all blocks, statistics, skips and branches, in one pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, run
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture import Capture
from resnet_explore.analysis.layers import Layers
from resnet_explore.analysis.map_layers import convolution_names, map_names, response_names
from resnet_explore.analysis.residual_stream import Stream, Sums
from resnet_explore.analysis.statistics import Channels, as_channels, reduced
from resnet_explore.errors import ExploreError, an


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Brief):
    """The maps of one layer for the first image.

    shape       (C, h, w) of the layer's output
    maps        float32 (C, h', w'); averaged over patches where the output is larger than was asked for
    statistics  over all places at full size, and all images
    skip, branch, ratio   what was summed in this block and the branch's L2 norm over the skip's (of the first
                image, at full size), or None for a block without a sum
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    maps: np.ndarray
    statistics: Channels
    skip: np.ndarray | None = None
    branch: np.ndarray | None = None
    ratio: float | None = None

    @property
    def activation(self) -> np.ndarray:
        """Mean magnitude of each channel's map, (C,)."""
        return np.abs(self.maps).mean((1, 2))


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMaps(Brief, Mapping[str, Layer]):
    """Layers by name, in the order of execution.

    responses   {name: standard deviation} of each norm's output, without norms each convolution's, as
                in He et al. 2015, Fig. 7 ("after BN, before the nonlinearity"); norms of shortcuts left out
    count       how many images the statistics are over
    """

    layers: Mapping[str, Layer]
    responses: Mapping[str, float]
    count: int

    def __getitem__(self, name: str) -> Layer:
        return self.layers[name]

    def __iter__(self) -> Any:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of all maps at full size, float32, with the skips and branches."""
        return sum(4 * int(np.prod(m.shape)) * (1 if m.skip is None else 3) for m in self.values())

    @property
    def side(self) -> int:
        """Longest side of a map as it is kept."""
        return max(max(layer.maps.shape[1:]) for layer in self.values())

    @property
    def not_finite(self) -> list[str]:
        """The layers with NaN or infinity among what they gave for any of the images."""
        return [
            name for name, m in self.items() if not np.isfinite([m.statistics.low, m.statistics.high]).all()
        ]

    def within(self, values: int) -> "FeatureMaps":
        """Return the same with maps averaged to half their size, over and over, until they hold `values`."""
        layers, largest = dict(self.layers), self.side
        while sum(layer.maps.size for layer in layers.values()) > values and largest > 1:
            largest = (largest + 1) // 2
            layers = {name: _smaller(layer, largest) for name, layer in layers.items()}
        return replace(self, layers=layers)


def feature_maps(
    model: nn.Module, images: Tensor, layers: Layers = None, largest: int | None = None
) -> FeatureMaps:
    """Run the model once, in eval mode, and return what its layers said.

    images   float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    layers   as in `Capture`; None for `map_names(model)`, or its convolutions where those give no maps
    largest  longest side of the maps that are kept; None keeps them whole

    Layers whose output is not (N, channels, height, width) are left out. The model is left as it was. Raises
    ExploreError if it can't take such images, or if no layer is left.
    """
    batch = as_images(model, images)
    wanted = map_names(model) if layers is None else layers

    def shrink(output: Tensor) -> Tensor:
        return _shrunk(output[:1], largest) if _is_map(output, batch) else output.new_empty(0)

    def measure(output: Tensor) -> Tensor:
        return reduced(output) if _is_map(output, batch) else output.new_empty(0)

    def shape(output: Tensor) -> Tensor:
        return torch.tensor(output.shape[1:])

    with measuring(model), torch.no_grad():
        model.eval()
        watch = {"restore": False}
        with (
            Capture(model, wanted, keep=shrink, **watch) as maps,
            Capture(model, wanted, keep=measure, **watch) as statistics,
            Capture(model, wanted, keep=shape, **watch) as shapes,
            Capture(model, response_names(model) or wanted, keep=_spread, **watch) as spreads,
            Sums(model, keep=_First(largest)).watching(batch) as sums,
        ):
            run(model, batch)
    shown = [name for name, kept in maps.outputs.items() if kept.numel()]
    if not shown and layers is None and wanted != (rest := convolution_names(model)):
        return feature_maps(model, images, rest, largest)
    if not shown:
        raise ExploreError(
            f"The model, {an(model)}, gave no maps (N, channels, height, width) for images of "
            f"shape {tuple(batch.shape)}, so there is nothing to look at; name other layers with `layers`."
        )
    return FeatureMaps(
        layers={
            name: _with_stream(
                Layer(
                    name=name,
                    kind=type(maps.modules[name]).__name__,
                    shape=tuple(shapes.outputs[name].tolist()),
                    maps=_numbers(maps.outputs[name][0]),
                    statistics=as_channels(statistics.outputs[name]),
                ),
                sums.get(name),
            )
            for name in shown
        },
        responses={name: float(kept) for name, kept in spreads.outputs.items() if kept.numel()},
        count=len(batch),
    )


def whole_map(model: nn.Module, image: Tensor, layer: str, part: str = "output") -> np.ndarray:
    """Return one layer's maps at full size, float32 (C, h, w); `part` is "output", "skip" or "branch"."""
    batch = as_images(model, image)
    base = re.split(r"[:\[]", layer)[0]  # "relu:2" is a call of "relu", "fpn[0]" an output of "fpn"
    with measuring(model), torch.no_grad():
        model.eval()
        with (
            Capture(model, base, keep=_whole, restore=False) as seen,
            Sums(model, layers=[base]).watching(batch) as sums,
        ):
            run(model, batch)
    return _numbers((seen.outputs[layer] if part == "output" else getattr(sums[base], part))[0])


def difference(left: Layer, right: Layer) -> np.ndarray | None:
    """Return each channel's mean magnitude of left minus right, (C,), or None if the shapes differ."""
    if left.maps.shape != right.maps.shape:
        return None
    return np.abs(left.maps - right.maps).mean((1, 2))


# --- what is kept ----------------------------------------------------------------------------------------


class _First:
    """Keeps of a summand the first image's map, and the L2 norm of it at full size in a row below."""

    def __init__(self, largest: int | None) -> None:
        self.largest = largest

    def __call__(self, summand: Tensor) -> Tensor:
        kept = _shrunk(summand[:1], self.largest)
        norm = torch.linalg.vector_norm(summand[0].float()).reshape(1, 1, 1, 1)
        return torch.cat([kept.float(), norm.expand(*kept.shape[:2], 1, kept.shape[3])], 2)


def _with_stream(layer: Layer, stream: Stream | None) -> Layer:
    if stream is None:
        return layer
    skip, branch = (_numbers(kept[0]) for kept in (stream.skip, stream.branch))
    norms = float(skip[0, -1, 0]), float(branch[0, -1, 0])
    ratio = norms[1] / norms[0] if norms[0] else float("inf")
    return replace(layer, skip=skip[:, :-1], branch=branch[:, :-1], ratio=ratio)


def _is_map(output: Tensor, batch: Tensor) -> bool:
    return (
        output.ndim == 4
        and len(output) == len(batch)
        and output.is_floating_point()
        and 0 not in output.shape
    )


def _shrunk(output: Tensor, largest: int | None) -> Tensor:
    height, width = output.shape[2:]
    if largest is None or max(height, width) <= largest:
        return output.clone()
    scale = largest / max(height, width)
    return F.adaptive_avg_pool2d(
        output.float(), (max(1, round(height * scale)), max(1, round(width * scale)))
    )


def _smaller(layer: Layer, largest: int) -> Layer:
    def shrink(maps: np.ndarray | None) -> np.ndarray | None:
        return None if maps is None else _shrunk(torch.from_numpy(maps)[None], largest)[0].numpy()

    maps = _shrunk(torch.from_numpy(layer.maps)[None], largest)[0].numpy()
    return replace(layer, maps=maps, skip=shrink(layer.skip), branch=shrink(layer.branch))


def _whole(output: Tensor) -> Tensor:
    return output[:1].clone()


def _spread(output: Tensor) -> Tensor:
    return output.detach().float().std(correction=0) if output.ndim == 4 else output.new_empty(0)


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).numpy()
