"""What does each channel say? Feature maps of all blocks, statistics, skips and branches, in one pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, run
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.activations.statistics import Channels, as_channels, reduced
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.capture.layers import Layers
from resnet_explore.analysis.topology.laid import module_name
from resnet_explore.analysis.topology.map_layers import convolution_names, map_names, response_names
from resnet_explore.analysis.topology.sums import Stream, Sums, sum_grids
from resnet_explore.analysis.topology.tokens import TokenGrid, grids
from resnet_explore.errors import ExploreError, an


@dataclass(frozen=True, eq=False, repr=False)
class Layer(Brief):
    """The maps of one layer for the first image.

    shape       (C, h, w) of the layer's output
    maps        float32 (C, h', w'); averaged over patches where the output is larger than was asked for
    statistics  over all places at full size, and all images
    here        the same over the first image alone
    skip, branch, ratio   what was summed in this block and the branch's L2 norm over the skip's (of the first
                image, at full size), or None for a block without a sum. A transformer's block adds twice: the
                skip is what entered it, the branch all that it added
    layout      how the output was laid out to be maps, as "196 tokens laid out as a map of 14×14"; "" for
                what is maps as it stands
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    maps: np.ndarray
    statistics: Channels
    here: Channels
    skip: np.ndarray | None = None
    branch: np.ndarray | None = None
    ratio: float | None = None
    layout: str = ""

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

    Outputs that are no maps (N, channels, height, width) as they stand, such as tokens, are laid out where it
    is known how they lie on the image, and left out where it is not. The model is left as it was. Raises
    ExploreError if it can't take such images, or if no layer is left.
    """
    batch = as_images(model, images)
    wanted = map_names(model) if layers is None else layers

    with measuring(model), torch.no_grad():
        model.eval()
        seen = _Pass(model, batch, wanted, largest)
        if seen.reorders:  # so what has four axes need not be maps, and what has three may be
            seen = _Pass(model, batch, wanted, largest, grids(model, batch, wanted), sum_grids(model, batch))
    shown = [name for name, kept in seen.maps.outputs.items() if kept.numel()]
    if not shown and layers is None and wanted != (rest := convolution_names(model)) and rest:
        return feature_maps(model, images, rest, largest)
    if not shown:
        raise ExploreError(
            f"The model, {an(model)}, gave no maps (N, channels, height, width) for images of "
            f"shape {tuple(batch.shape)}{seen.why()}, so there is nothing to look at; name other layers with "
            "`layers`."
        )
    return FeatureMaps(
        layers={name: seen.layer(name) for name in shown},
        responses={name: float(kept) for name, kept in seen.spreads.outputs.items() if kept.numel()},
        count=len(batch),
    )


def whole_map(model: nn.Module, image: Tensor, layer: str, part: str = "output") -> np.ndarray:
    """Return one layer's maps at full size, float32 (C, h, w); `part` is "output", "skip" or "branch"."""
    batch = as_images(model, image)
    base = module_name(layer)  # "relu:2" is a call of "relu", "fpn[0]" an output of "fpn"
    with measuring(model), torch.no_grad():
        model.eval()
        sums = Sums(model, layers=[base])
        with Capture(model, base, keep=_whole, restore=False) as seen, sums.watching(batch) as streams:
            run(model, batch)
        output = seen.outputs[layer] if part == "output" else getattr(streams[base], part)[:1]
        if sums.reorders:
            known = grids(model, batch, base) if part == "output" else sum_grids(model, batch, [base])
            output = _laid(output, known.get(layer if part == "output" else base, ""))
    return _numbers(output[0])


def difference(left: Layer, right: Layer) -> np.ndarray | None:
    """Return each channel's mean magnitude of left minus right, (C,), or None if the shapes differ."""
    if left.maps.shape != right.maps.shape:
        return None
    return np.abs(left.maps - right.maps).mean((1, 2))


# --- what is kept ----------------------------------------------------------------------------------------


class _Pass:
    """One pass with all that is kept of it; `grids` and `sums` say how outputs and sums lie on the image."""

    def __init__(
        self,
        model: nn.Module,
        batch: Tensor,
        wanted: Layers,
        largest: int | None,
        grids: Mapping[str, TokenGrid | str] | None = None,
        sums: Mapping[str, TokenGrid | str] | None = None,
    ) -> None:
        self.grids, self._sum_grids, self._count, self._largest = grids or {}, sums or {}, len(batch), largest
        self._sums = watching = Sums(model, keep=_whole, finish=self._finish)
        watch = {"restore": False}
        with (
            Capture(model, wanted, keep=self._in_turn(self._shrink), **watch) as self.maps,
            Capture(model, wanted, keep=self._in_turn(reduced), **watch) as self._statistics,
            Capture(model, wanted, keep=self._in_turn(self._of_first), **watch) as self._here,
            Capture(
                model, wanted, keep=self._in_turn(lambda maps: torch.tensor(maps.shape[1:])), **watch
            ) as self._shapes,
            Capture(model, response_names(model) or wanted, keep=_spread, **watch) as self.spreads,
            watching.watching(batch) as self._streams,
        ):
            run(model, batch)
        self.reorders = watching.reorders

    def layer(self, name: str) -> Layer:
        """Return what was kept of a layer."""
        grid = self.grids.get(name)
        # What a block adds is in its first output if it has several; "relu:2" is a call, not a sum.
        stream = None if ":" in name else self._streams.get(name.removesuffix("[0]"))
        statistics, here = self._statistics.outputs[name], self._here.outputs[name]
        layer = Layer(
            name=name,
            kind=type(self.maps.modules[name]).__name__,
            shape=tuple(self._shapes.outputs[name].tolist()),
            maps=_numbers(self.maps.outputs[name][0]),
            statistics=as_channels(statistics),
            here=as_channels(here if here.numel() else statistics),
            layout=grid.words if isinstance(grid, TokenGrid) else "",
        )
        there = stream is not None and stream.skip.numel() and len(stream.skip[0]) == len(layer.maps)
        return _with_stream(layer, stream) if there else layer

    def why(self) -> str:
        """Say of the first layer of which it is known why it has no maps: ", as ..."."""
        reasons = ((name, grid) for name, grid in self.grids.items() if isinstance(grid, str) and grid)
        return next((f", as of {name} {reason}" for name, reason in reasons), "")

    def _in_turn(self, measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return what measures an output as maps, or returns nothing if it is none; they come in order."""
        order = iter(self.grids.values())

        def keep(output: Tensor) -> Tensor:
            with self._sums.looking_away():
                maps = _laid(output, next(order, ""))
                return measure(maps) if _is_map(maps, self._count) else output.new_empty(0)

        return keep

    def _shrink(self, maps: Tensor) -> Tensor:
        return _shrunk(maps[:1], self._largest)

    def _of_first(self, maps: Tensor) -> Tensor:
        return reduced(maps[:1]) if self._count > 1 else maps.new_empty(0)

    def _finish(self, name: str, summand: Tensor) -> Tensor:
        """Return of a summand the first image's map, and the L2 norm of it at full size in a row below."""
        summand = _laid(summand, self._sum_grids.get(name, ""))
        if not _is_map(summand, 1):
            return summand.new_empty(0)
        kept = _shrunk(summand, self._largest)
        norm = torch.linalg.vector_norm(summand[0].float()).reshape(1, 1, 1, 1)
        return torch.cat([kept.float(), norm.expand(*kept.shape[:2], 1, kept.shape[3])], 2)


def _laid(output: Tensor, grid: TokenGrid | str) -> Tensor:
    """Return an output as maps if a grid is known that fits; nothing if it is known that none does."""
    if isinstance(grid, TokenGrid) and grid.fits(output):
        return grid.lay(output)
    return output if not grid else output.new_empty(0)


def _with_stream(layer: Layer, stream: Stream | None) -> Layer:
    if stream is None:
        return layer
    skip, branch = (_numbers(kept[0]) for kept in (stream.skip, stream.branch))
    norms = float(skip[0, -1, 0]), float(branch[0, -1, 0])
    ratio = norms[1] / norms[0] if norms[0] else float("inf")
    return replace(layer, skip=skip[:, :-1], branch=branch[:, :-1], ratio=ratio)


def _is_map(output: Tensor, count: int) -> bool:
    return output.ndim == 4 and len(output) == count and output.is_floating_point() and 0 not in output.shape


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
