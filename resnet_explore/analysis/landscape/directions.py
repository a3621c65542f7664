"""Directions in the space of a network's weights: random ones, towards another network, along a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.errors import ExploreError, an, require_module

_ROOM = 1.1  # a plane reaches so many times as far as the training's farthest snapshot
_LEAST_SNAPSHOTS = 3

Direction = dict[str, Tensor]
"""What is added to each parameter, by name; those that are not moved are left out."""


@dataclass(frozen=True)
class Plane:
    """Two directions, and how far a grid reaches along them where its span is 1."""

    name: str
    along: Direction
    across: Direction
    reach: tuple[float, float] = (1.0, 1.0)
    trajectory: np.ndarray | None = None
    share: float | None = None


def filters(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that have filters, by name: all but the one-dimensional ones, detached.

    A filter is what stands at one place of the first dimension: in a convolution what makes one channel, in a
    linear layer a row. Raises ExploreError if there is none.
    """
    found = {n: p.detach() for n, p in model.named_parameters() if p.ndim > 1 and p.is_floating_point()}
    if not found:
        raise ExploreError(f"The model, {an(model)}, has no convolution or linear layer to move.")
    return found


def filter_norms(weight: Tensor) -> Tensor:
    """Return the norm of each filter, (filters, 1, ...), to multiply the weight with."""
    return weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))


def random_directions(model: nn.Module, seed: int, count: int = 2) -> list[Direction]:
    """Return random directions, of which each filter is as long as that of the network.

    d <- d / |d| · |w| for every filter w: rescaling the filters, which changes nothing where batch norm
    follows, then changes no picture. Biases and the parameters of batch norm are not moved.

    Source: Li et al. 2018, Visualizing the loss landscape of neural nets, arXiv 1712.09913, section 4.
    """
    random = torch.Generator().manual_seed(seed)
    found: list[Direction] = []
    for _ in range(count):
        direction: Direction = {}
        for name, weight in filters(model).items():
            drawn = torch.randn(weight.shape, generator=random).to(weight)
            direction[name] = drawn * (filter_norms(weight) / filter_norms(drawn))
        found.append(direction)
    return found


def random_plane(model: nn.Module, seed: int) -> Plane:
    """Return the plane of two random directions."""
    along, across = random_directions(model, seed)
    return Plane(f"random, seed {seed}", along, across)


def plane_towards(model: nn.Module, other: Any, seed: int) -> Plane:
    """Return the plane of the way to another network, all of its parameters, and a random direction."""
    require_module(other, "towards")
    own = {name: p.detach() for name, p in model.named_parameters()}
    along = _difference("towards", own, {name: p.detach() for name, p in other.named_parameters()})
    if not any(bool(step.any()) for step in along.values()):
        raise ExploreError("towards has the same weights as the model, so there is no way between them.")
    return Plane("between", along, random_directions(model, seed, 1)[0])


def plane_of_training(model: nn.Module, snapshots: Any) -> Plane:
    """Return the plane of the two first principal components of a training, seen from where it ended.

    snapshots  state_dicts, at least 3; the model holds the weights at the end

    Of each snapshot the difference to the model is taken, in the weights that have filters: biases and the
    parameters of batch norm stay as they are at the end, as in random planes. Li et al. 2018, section 7.2.
    """
    _require_snapshots(snapshots)
    own = filters(model)
    steps = [_difference(f"trajectory[{i}]", own, one) for i, one in enumerate(snapshots)]
    flat = torch.stack([torch.cat([s[name].flatten().cpu().double() for name in own]) for s in steps])
    centred = flat - flat.mean(0)
    # Of so few snapshots the products of all pairs say as much as the covariance of all weights.
    variances, weights = torch.linalg.eigh(centred @ centred.T)
    variances, weights = variances.flip(0).clamp(min=0), weights.flip(1)
    if not float(variances[1]) > 1e-12 * float(variances[0]):
        raise ExploreError("The snapshots of trajectory lie on one line or all agree: they span no plane.")
    axes = (centred.T @ weights[:, :2]) / variances[:2].sqrt()
    places = flat @ axes
    # Which way an axis points is arbitrary: the first snapshot lies on its positive side.
    signs = torch.where(places[0] < 0, -1.0, 1.0)
    axes, places = axes * signs, places * signs
    reach = [_ROOM * float(r) for r in places.abs().amax(0)]
    along, across = (_named(axis, own) for axis in axes.T)
    share = float(variances[:2].sum() / variances.sum())
    return Plane("training", along, across, (reach[0], reach[1]), places.numpy(), share)


def _require_snapshots(snapshots: Any) -> None:
    kinds = [an(one) for one in snapshots if not isinstance(one, Mapping)] if _listed(snapshots) else []
    if not _listed(snapshots) or kinds or len(snapshots) < _LEAST_SNAPSHOTS:
        what = an(snapshots) + (f" of {len(snapshots)}" if _listed(snapshots) else "")
        held = f" that holds {kinds[0]}" if kinds else ""
        raise ExploreError(
            f"trajectory must be a list of at least {_LEAST_SNAPSHOTS} state_dicts of the model, not "
            f"{what}{held}."
        )


def _listed(snapshots: Any) -> bool:
    return isinstance(snapshots, Sequence) and not isinstance(snapshots, str)


def _named(flat: Tensor, like: Mapping[str, Tensor]) -> Direction:
    parts = flat.split([weight.numel() for weight in like.values()])
    return {n: part.reshape(w.shape).to(w) for part, (n, w) in zip(parts, like.items(), strict=True)}


def _difference(what: str, own: Mapping[str, Tensor], other: Mapping[str, Any]) -> Direction:
    """Return how to come from one's own weights to others; ExploreError if names or shapes differ."""
    for name, weight in own.items():
        theirs = other.get(name)
        if not isinstance(theirs, Tensor) or theirs.shape != weight.shape:
            has = f"{tuple(theirs.shape)} there" if isinstance(theirs, Tensor) else "missing there"
            raise ExploreError(
                f"{what} must have the model's parameters, but {name}, {tuple(weight.shape)} here, is {has}."
            )
    if what == "towards" and (more := [name for name in other if name not in own]):
        raise ExploreError(f"{what} must have the model's parameters, but has {more[0]}, which is not here.")
    for who, weights in ((what, other), ("The model", own)):
        if lost := [name for name in own if not torch.isfinite(weights[name]).all()]:
            raise ExploreError(f"{who} holds weights that are not finite, in {lost[0]}: it leads nowhere.")
    return {name: other[name].detach().to(weight) - weight for name, weight in own.items()}
