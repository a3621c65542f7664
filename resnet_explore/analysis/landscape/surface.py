"""The loss over a plane through a network's weights."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.landscape.asked import batch_norms, require_mode, require_whole, working_in
from resnet_explore.analysis.landscape.directions import (
    Direction,
    Plane,
    plane_of_training,
    plane_towards,
    random_plane,
)
from resnet_explore.analysis.landscape.grid_file import GridFile, digest
from resnet_explore.analysis.landscape.plane import Landscape
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import CancelledError, ExploreError
from resnet_explore.models.dispatch import uncompiled


def loss_landscape(
    model: nn.Module,
    images: Tensor,
    labels: Any,
    size: int = 25,
    span: float = 1.0,
    seed: int = 0,
    *,
    towards: nn.Module | None = None,
    trajectory: Sequence[Mapping[str, Tensor]] | None = None,
    mode: str = "eval",
    batch_size: int = 512,
    path: str | Path | None = None,
    cancel: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Landscape:
    """Measure the loss at a grid of points of a plane through a network's weights.

    The plane is random unless `towards` or `trajectory` says otherwise. Random directions are normalised
    filter by filter: 1 along either is a step as long as the filter itself, in each filter. So neither
    larger weights nor more of them make a surface look smoother. Biases and the parameters of batch norm are
    moved on the way to another network only. Running statistics are never mixed, as the mean of two
    networks' statistics is that of no network.

    Parameters
    ----------
    model : left as found, also by exceptions; its weights are never written to
    images : float (N, C, H, W), standardised as the model expects
    labels : N class indices
    size : points along each axis, odd, so that the network itself is the one in the middle
    span : how far the grid reaches to each side: 1 is a filter's norm in a random plane, the other network
        on the way to one, and just beyond the farthest snapshot of a training
    seed : of the random directions, at least 0; the same for networks whose layers agree
    towards : a network with the same parameters, at x = 1; y is a random direction
    trajectory : snapshots of a training as state_dicts, at least 3, of which the model is the end: the plane
        holds their first two principal components
    mode : how batch norm works: "eval" by its running statistics, which fit the network in the middle,
        "train" by those of each batch. Dropout never drops
    batch_size : images at a time
    path : file that keeps the rows that are done; the same call goes on from there, with equal results
    cancel : asked before each point; if it says True, `CancelledError` is raised
    progress : called with (rows done, rows in all)

    Raises
    ------
    ExploreError
        For images or labels that don't fit, an even size, a span that is not finite and above 0, another
        architecture, fewer than 3 snapshots, or snapshots on one line, a `path` that holds another
        landscape, and mode="eval" with `towards` or `trajectory` where batch norm keeps running
        statistics: they fit one point of such a plane only.

    Source: Li, Xu, Taylor, Studer and Goldstein 2018, Visualizing the loss landscape of neural nets, arXiv
    1712.09913: sections 4 (filter normalisation) and 7.2 (planes of trainings); Goodfellow et al. 2015, arXiv
    1412.6544 (the way between two networks).
    """
    _check(size, span, seed, mode, batch_size)
    net, batch = unwrapped(model), as_images(model, images)
    with measuring(net), uncompiled(), torch.no_grad(), _standing_in(net) as (weights, put):
        plane = _plane(net, seed, towards, trajectory, mode)
        steps = np.arange(-(size // 2), size // 2 + 1) / (size // 2)  # exactly 0 in the middle
        x, y = (span * reach * steps for reach in plane.reach)
        farthest = max(np.abs(x).max(), np.abs(y).max())
        if farthest > min(torch.finfo(step.dtype).max for step in plane.along.values()):
            raise ExploreError(f"span must be small enough for the weights' precision, not {span!r}.")
        state = [*net.state_dict().values()]
        batches = batch.tensor_split(math.ceil(len(batch) / batch_size))
        working_in(net, mode, batches)
        classes = as_classes("labels", labels, _logits(net, batches))
        directions = [*plane.along.values(), *plane.across.values()]
        asked = digest([*state, *directions, batch, classes, x, y, mode, str(batch_size)])
        kept = GridFile(path, asked, (size, size))
        # From the middle outwards, so that what is seen first is near the network.
        rows = [
            row for row in sorted(range(size), key=lambda row: abs(row - size // 2)) if not kept.done[row]
        ]
        for row in rows:
            losses, errors = np.empty(size), np.empty(size)
            base = _moved(weights, plane.across, y[row])
            for column in range(size):
                if cancel is not None and cancel():
                    raise CancelledError(f"Stopped after {int(kept.done.sum())} of {size} rows.")
                put(_moved(base, plane.along, x[column]))
                losses[column], errors[column] = _scored(_logits(net, batches), classes)
            kept.add(row, losses, errors)
            if progress is not None:
                progress(int(kept.done.sum()), size)
    return Landscape(kept.loss, kept.error, x, y, plane.name, mode, len(batch), plane.trajectory, plane.share)


# --- what is asked -----------------------------------------------------------------------------------------


def _check(size: Any, span: Any, seed: Any, mode: Any, batch_size: Any) -> None:
    require_whole("size", size, 3)
    if size % 2 == 0:
        raise ExploreError(f"size must be odd, so that the network is the point in the middle, not {size}.")
    if not isinstance(span, Real) or isinstance(span, bool) or not math.isfinite(span) or span <= 0:
        raise ExploreError(f"span must be a finite number above 0, not {span!r}.")
    require_whole("seed", seed, 0)
    require_whole("batch_size", batch_size, 1)
    require_mode(mode)


def _plane(net: nn.Module, seed: int, towards: Any, trajectory: Any, mode: str) -> Plane:
    if towards is None and trajectory is None:
        return random_plane(net, int(seed))
    if towards is not None and trajectory is not None:
        raise ExploreError("Choose towards or trajectory: each names a plane of its own.")
    if mode == "eval" and any(norm.running_mean is not None for norm in batch_norms(net)):
        what = "trajectory" if towards is None else "towards"
        raise ExploreError(
            f'{what} needs mode="train": the running statistics of batch norm fit one network of the plane '
            "and no other."
        )
    if towards is None:
        return plane_of_training(net, trajectory)
    return plane_towards(net, unwrapped(towards), int(seed))


# --- measuring ---------------------------------------------------------------------------------------------


@contextmanager
def _standing_in(
    net: nn.Module,
) -> Iterator[tuple[dict[str, Tensor], Callable[[Mapping[str, Tensor]], None]]]:
    """Yield the weights by name, and what puts others in their place while inside.

    The network's own memory is not written to, so what stands in it afterwards is what was there.
    """
    parameters = dict(net.named_parameters())
    found = {name: parameter.data for name, parameter in parameters.items()}

    def put(weights: Mapping[str, Tensor]) -> None:
        for name, parameter in parameters.items():
            parameter.data = weights[name]

    try:
        yield found, put
    finally:
        put(found)


def _moved(weights: Mapping[str, Tensor], direction: Direction, by: float) -> dict[str, Tensor]:
    """Return weights that lie so far along a direction."""
    names = list(direction)
    moved = torch._foreach_add([weights[n] for n in names], [direction[n] for n in names], alpha=float(by))
    return {**weights, **dict(zip(names, moved, strict=True))}


def _logits(net: nn.Module, batches: Sequence[Tensor]) -> Tensor:
    return torch.cat([as_logits(answer(net, batch), len(batch)) for batch in batches])


def _scored(logits: Tensor, classes: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy in nats, and the error in percent."""
    right = (logits.argmax(1) == classes) & logits.isfinite().all(1)
    loss = F.cross_entropy(logits.cpu().double(), classes.cpu())
    return float(loss), 100 * (1 - int(right.sum()) / len(right))
