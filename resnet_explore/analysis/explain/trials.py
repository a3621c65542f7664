"""Weighing channels by trial instead of by gradient: what does each one alone show, and who misses it?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis.explain.methods.registry import ALONE, MethodInfo
from resnet_explore.analysis.explain.targets import Target
from resnet_explore.analysis.topology.laid import MapLayer
from resnet_explore.errors import CancelledError, ExploreError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Trying:
    """How trials are made: how many at once, whom to tell of them, and whom to ask whether to go on."""

    batch_size: int = 32
    progress: Progress | None = None
    cancel: Callable[[], bool] | None = None


@torch.no_grad()
def trial_weights(
    model: nn.Module,
    images: Tensor,
    info: MethodInfo,
    layers: Mapping[str, MapLayer],
    targets: Sequence[Target],
    scores: Sequence[Tensor],
    trying: Trying,
) -> list[dict[str, Tensor]]:
    """Return for each target the weights (N, C, 1, 1) by layer, of a method that explains by TRIALS."""
    batch_size = trying.batch_size
    if batch_size < 1:
        raise ExploreError(f"batch_size must be at least 1, not {batch_size!r}.")
    total = len(images) * sum(layer.map.shape[1] for layer in layers.values())
    count = _Count(total, trying.progress, trying.cancel)
    found: list[dict[str, list[Tensor]]] = [{name: [] for name in layers} for _ in targets]
    for name, layer in layers.items():
        for i in range(len(images)):
            image, own = images[i : i + 1], [target.of_image(i) for target in targets]
            if info.trial == ALONE:
                trials = _seen_through(model, image, layer.map[i], batch_size)
            else:
                before = [score[i] for score in scores]
                trials = _without(model, image, layer.of_image(i), own, before, batch_size)
            answers = [
                torch.stack([target.scores(out, size) for target in own])
                for out, size in count.through(trials)
            ]
            for k, values in enumerate(torch.cat(answers, 1)):
                found[k][name].append(info.formula(values, scores[k][i]))
    return [{name: torch.stack(w)[:, :, None, None] for name, w in each.items()} for each in found]


class _Count:
    """Counts trials, tells of them, and stops when asked to."""

    def __init__(self, total: int, progress: Progress | None, cancel: Callable[[], bool] | None) -> None:
        self.total, self.done = total, 0
        self.progress, self.cancel = progress, cancel

    def through(self, trials: Iterator[tuple[object, int]]) -> Iterator[tuple[object, int]]:
        """Yield the trials' answers."""
        while True:
            if self.cancel is not None and self.cancel():
                raise CancelledError(f"Stopped after {self.done:,} of {self.total:,} trials.")
            made = next(trials, None)
            if made is None:
                return
            self.done += made[1]
            if self.progress is not None:
                self.progress(self.done, self.total)
            yield made


def _seen_through(
    model: nn.Module, image: Tensor, maps: Tensor, batch_size: int
) -> Iterator[tuple[object, int]]:
    for channels in maps.split(batch_size):
        masks = F.interpolate(channels[:, None], image.shape[2:], mode="bilinear", align_corners=False)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        yield answer(model, image * ((masks - low) / _nonzero(high - low))), len(channels)


def _without(
    model: nn.Module,
    image: Tensor,
    layer: MapLayer,
    targets: Sequence[Target],
    before: Sequence[Tensor],
    batch_size: int,
) -> Iterator[tuple[object, int]]:
    """Yield answers with each channel of one layer set to 0.

    What comes before the layer is the same in all trials, so it is computed for one image, and the batch
    begins at the layer: whatever passes by it, as a skip does, is broadcast where the two meet. Networks for
    which that does not work, such as a concatenation with an earlier layer, get copies of the image instead.
    """
    copies = not _may_begin_at(model, image, layer, targets, before)
    channels = layer.map.shape[1]
    for first in range(0, channels, batch_size):
        gone = range(first, min(first + batch_size, channels))
        trials = layer.map.repeat(len(gone), 1, 1, 1)
        trials[range(len(gone)), list(gone)] = 0
        seen = image.repeat(len(gone), 1, 1, 1) if copies else image
        yield _run_with(model, seen, layer, layer.put(trials)), len(gone)


def _may_begin_at(
    model: nn.Module,
    image: Tensor,
    layer: MapLayer,
    targets: Sequence[Target],
    before: Sequence[Tensor],
) -> bool:
    """Whether a batch of two that begins at the layer gives the known scores twice."""
    try:
        made = _run_with(model, image, layer, layer.put(layer.map.repeat(2, 1, 1, 1)))
        return all(
            torch.allclose(target.scores(made, 2), score.expand(2), rtol=1e-3, atol=1e-4)
            for target, score in zip(targets, before, strict=True)
        )
    except (RuntimeError, ExploreError, IndexError):
        return False


def _run_with(model: nn.Module, images: Tensor, layer: MapLayer, output: Tensor) -> object:
    """Run the model with one call of one module giving `output` instead."""
    calls = 0

    def replace(_module: nn.Module, _args: object, made: object) -> object:
        nonlocal calls
        calls += 1
        return _exchanged(made, layer.path, output) if calls == layer.call else None

    handle = layer.module.register_forward_hook(replace)
    try:
        return model(images.clone())
    finally:
        handle.remove()


def _exchanged(made: Any, path: str, output: Tensor, here: str = "") -> Any:
    """Return what a module made with the tensor at a path, such as "[0]", exchanged."""
    if here == path:
        return output
    if isinstance(made, Mapping):
        parts = {key: _exchanged(part, path, output, f"{here}[{key}]") for key, part in made.items()}
        return type(made)(parts)  # type: ignore[call-arg]
    if isinstance(made, (tuple, list)):
        several = [_exchanged(part, path, output, f"{here}[{i}]") for i, part in enumerate(made)]
        return type(made)(*several) if hasattr(made, "_fields") else type(made)(several)
    return made


def _nonzero(values: Tensor) -> Tensor:
    return torch.where(values == 0, torch.ones_like(values), values)
