"""How early could the answer be read? A linear classifier for the features behind each block."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, main_output, why_not_finite
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis._unreadable import UNREADABLE
from resnet_explore.analysis.activations.recorded_probes import FILE, folder_of_probes
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError, an, unknown
from resnet_explore.models.dispatch import uncompiled

STEM, _BIASES = "stem", "biases"
_AT_ONCE = 250  # images
_FLAT = 1e-6  # a channel that varies by less, as a share of its largest value, tells nothing


@dataclass(frozen=True, eq=False, repr=False)
class Probes(Brief):
    """Linear classifiers of a network's features, averaged over all places: one for each place on its way.

    names    "stem" for what enters the first block, then the blocks, in the order of execution
    weights  float32 (classes, channels) of each
    biases   float32 (places, classes)
    """

    names: tuple[str, ...]
    weights: tuple[Tensor, ...]
    biases: Tensor

    def logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return what each probe says to images, as logits (places, N, classes).

        Raises ExploreError for a network with other blocks or channels than the one that was probed.
        """
        features = pooled_features(model, images)
        own = {name: weight.shape[1] for name, weight in zip(self.names, self.weights, strict=True)}
        found = {name: values.shape[1] for name, values in features.items()}
        if found != own:
            raise ExploreError(
                f"These probes are of another network, of {len(own) - 1} blocks with up to "
                f"{max(own.values())} channels; this one has {len(found) - 1} with up to "
                f"{max(found.values())}."
            )
        rows = zip(features.values(), self.weights, self.biases, strict=True)
        return torch.stack([values @ weight.T + bias for values, weight, bias in rows])

    def accuracy(self, model: nn.Module, images: Tensor, labels: Any) -> np.ndarray:
        """Return the share of images that each probe gets right, float64 (places,)."""
        said = self.logits(model, images)
        right = said.argmax(-1) == as_classes("labels", labels, said[0])
        return right.double().mean(1).numpy()


def linear_probes(model: nn.Module, images: Tensor, labels: Any, strength: float = 1.0) -> Probes:
    """Fit a linear classifier to the features behind the stem and each block.

    Features are means over all places. Each classifier is a logistic regression on standardised features,
    with the penalty |w|² / (2 strength) beside the cross-entropy summed over the images; that has a single
    minimum, so the same images give the same probes. The network's weights are not touched: a probe only
    reads. That it can read a class does not say that later blocks use it.

    Parameters
    ----------
    model : run in eval mode and left as found
    images : float (N, C, H, W), training images, standardised as the model expects
    labels : N class indices; each class must occur
    strength : the inverse of the penalty

    Raises
    ------
    ExploreError
        For a network without blocks, whose blocks give no maps or whose features are not finite, labels that
        don't fit or lack a class, and a strength that is no number above 0.

    Source: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes, arXiv
    1610.01644.
    """
    if not isinstance(strength, Real) or isinstance(strength, bool) or not 0 < strength < math.inf:
        raise ExploreError(f"strength must be a finite number above 0, not {strength!r:.60}.")
    features = pooled_features(model, images)
    for name, values in features.items():
        if not values.isfinite().all():
            why = why_not_finite(unwrapped(model))
            raise ExploreError(f"What the model gives at {name} is not finite: {why}.")
    classes = _classes(labels, len(images))
    fitted = [_fitted(values.double().numpy(), classes, strength) for values in features.values()]
    weights, biases = zip(*fitted, strict=True)
    return Probes(tuple(features), weights, torch.stack(biases))


def _classes(labels: Any, count: int) -> np.ndarray:
    """Return a class index for each of so many images; of each class there is an image."""
    given = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else labels
    try:
        found = np.asarray(given)
    except ValueError:  # a ragged list
        found = np.empty(0)
    present = np.unique(found) if found.shape == (count,) and found.dtype.kind in "iu" else np.arange(2)
    if len(present) < 2 or present[0] != 0 or present[-1] != len(present) - 1:
        more = f" and {len(present) - 5} more" if len(present) > 5 else ""
        raise ExploreError(
            "labels must be of two classes or more, counted from 0, with an image of each; these are of "
            f"{', '.join(map(str, present[:5]))}{more}."
        )
    return as_classes("labels", labels, torch.empty(1).expand(count, len(present))).numpy()


def _fitted(features: np.ndarray, classes: np.ndarray, strength: float) -> tuple[Tensor, Tensor]:
    """Return weights (classes, channels) and biases (classes,) of one probe, for features as they are."""
    from sklearn.linear_model import LogisticRegression

    middle, spread = features.mean(0), features.std(0)
    spread[spread <= _FLAT * np.abs(features).max(0)] = np.inf
    # Of two classes there is one row w, which becomes -w/2 and w/2, with half its square: half the penalty.
    strength *= 2 if classes.max() == 1 else 1
    regression = LogisticRegression(C=strength, tol=1e-5, max_iter=5000)
    regression.fit((features - middle) / spread, classes)
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    return torch.from_numpy(weight).float(), torch.from_numpy(bias - weight @ middle).float()


def pooled_features(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the features behind the stem and each block, as means over all places: float32 (N, channels).

    Raises ExploreError for a network without blocks or whose blocks give no maps.
    """
    batch, net = as_images(model, images), unwrapped(model)
    blocks = blocks_of(net, tuple(batch.shape[1:]))
    if not blocks:
        raise ExploreError(f"The model, {an(net)}, has no blocks, so there is nothing to probe behind them.")
    for block in blocks:
        if len(block.gives) != 3 or block.runs != 1:
            raise ExploreError(f"The block {block.name!r} gives no single map, so it can't be probed.")
    with measuring(net), torch.no_grad(), uncompiled():
        net.eval()
        parts = [_pooled(net, [block.name for block in blocks], part) for part in batch.split(_AT_ONCE)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _pooled(net: nn.Module, names: list[str], images: Tensor) -> dict[str, Tensor]:
    """Return the features of one batch."""
    found: dict[str, Tensor] = {}

    def keep(name: str, given: Any) -> None:
        values = main_output(given, len(images), 4)
        if values is None:
            raise ExploreError(f"There is no single map at {name}, so it can't be probed.")
        found[name] = values.mean((2, 3)).float().cpu()

    modules = [net.get_submodule(name) for name in names]
    handles: list[Any] = [
        modules[0].register_forward_pre_hook(
            lambda _, given, named: keep(STEM, [*given, *named.values()]), with_kwargs=True
        )
    ]
    for name, module in zip(names, modules, strict=True):
        handles.append(module.register_forward_hook(lambda _, __, made, name=name: keep(name, made)))
    try:
        answer(net, images)
    finally:
        for handle in handles:
            handle.remove()
    return found


# --- recorded -----------------------------------------------------------------------------------------------


def load_probes(weights: str | Path, network: str) -> Probes:
    """Return the recorded probes of a network: `load_probes("digits", "cifar_resnet20")`.

    weights  those that ship, or a folder that `resnet-explore probes` wrote

    Raises ExploreError where there are none.
    """
    path = folder_of_probes(weights) / FILE
    try:
        with safe_open(path, framework="pt") as file:
            places = json.loads((file.metadata() or {})["places"])
            asked = (*places[network], _BIASES) if network in places else ()
            tensors = {name: file.get_tensor(f"{network}/{name}") for name in asked}
    except (SafetensorError, *UNREADABLE) as error:
        raise ExploreError(f"{path} is no readable file of probes ({type(error).__name__}).") from None
    if network not in places:
        raise unknown("network", network, places)
    names = tuple(places[network])
    return Probes(names, tuple(tensors[name] for name in names), tensors[_BIASES])


def as_tensors(probes: Mapping[str, Probes]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the probes of several networks, by the networks' names, as `load_probes` finds them in a file.

    These are tensors by name and the header of a safetensors file.
    """
    tensors = {f"{network}/{_BIASES}": one.biases for network, one in probes.items()}
    for network, one in probes.items():
        tensors |= {f"{network}/{name}": w for name, w in zip(one.names, one.weights, strict=True)}
    return tensors, {"places": json.dumps({name: one.names for name, one in probes.items()})}
