"""Where did the network look? Class activation maps of all blocks at once, raw and signed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images, main_output
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.cam_layers import choose_layers
from resnet_explore.analysis.cam_methods import METHODS, weighted_sum, why_empty
from resnet_explore.analysis.cam_trials import TRIALS, Progress, trial_weights
from resnet_explore.analysis.capture import Capture
from resnet_explore.analysis.targets import Classes, Difference, Target, as_target
from resnet_explore.errors import ExploreError, unknown


@dataclass(frozen=True, eq=False, repr=False)
class ActivationMaps(Brief, Mapping[str, Tensor]):
    """Maps (N, h, w) by layer, in the order of execution: `maps["layer4.1"]`.

    maps      raw values; positive where a place speaks for the target, negative against. The methods that
              look at gradients give them in units of the logit
    weights   what each layer's channels were weighed with, (N, C, 1, 1) or (N, C, h, w): a map is the sum of
              weights times activations over the channels
    targets   the class that each image was asked about, int64 (N,); -1 where it was no class
    logits    the model's answer, (N, K); (N, 0) where that is no logits, as of a detector
    scores    the numbers that are explained, (N,): for classes their logits
    asked     what was asked about, in words
    method    one of METHODS or TRIALS
    """

    maps: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    targets: Tensor
    logits: Tensor
    scores: Tensor
    asked: str
    method: str

    def __getitem__(self, layer: str) -> Tensor:
        if layer not in self.maps:
            raise unknown("layer", layer, self.maps)
        return self.maps[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.maps)

    def __len__(self) -> int:
        return len(self.maps)

    def __contains__(self, layer: object) -> bool:
        return layer in self.maps

    def positive(self) -> "ActivationMaps":
        """Return the maps with negative values set to 0, as the papers print them."""
        return replace(self, maps={layer: cam.clamp(min=0) for layer, cam in self.maps.items()})

    def why_empty(self, layer: str, image: int = 0) -> str:
        """Say why the positive form of one map is empty, in a sentence; "" if it is not."""
        return why_empty(self[layer][image])


def class_activation_maps(
    model: nn.Module,
    images: Tensor,
    targets: int | Sequence[int] | Tensor | Target | None = None,
    layers: str | Sequence[str] | None = None,
    method: str = "grad_cam",
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> ActivationMaps:
    """Compute the maps of many layers and images in one forward and one backward pass, in eval mode.

    images      float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    targets     one class for all images, one for each, or None for each image's most likely class; or a
                `Difference`, `Region` or `Box` (see targets.py)
    layers      names or patterns as in `Capture`; None for `choose_layers(model)`, without those that are not
                run or that no gradient reaches
    method      one of METHODS, which need the one pass, or of TRIALS ("score_cam", "ablation_cam"), which try
                every channel: that takes as many forward passes of an image as a layer has channels
    batch_size  of these trials
    progress    called with (trials done, trials in all) after each batch of them
    cancel      asked before each batch; if it says True, `Cancelled` is raised

    The gradient is that of the target's logit. We leave out the last ReLU of the papers (Selvaraju et al.,
    eq. 2) and normalise nothing: the sign says for or against, and twins can be compared on one scale;
    `positive()` gives the papers' form. Maps have the layer's resolution and stay on the model's device.
    Where the network ends in global average pooling and one linear layer, grad_cam, hirescam and xgrad_cam
    agree at its last block. The model is left as found.

    Raises ExploreError for images or targets that don't fit, an unknown layer or method, and a layer that is
    not run, whose output is not (N, C, h, w), or that no gradient of the target reaches.
    """
    [maps] = maps_of_targets(
        model, images, [targets], layers, method, batch_size=batch_size, progress=progress, cancel=cancel
    )
    return maps


def maps_of_targets(
    model: nn.Module,
    images: Tensor,
    targets: Sequence[Any],
    layers: str | Sequence[str] | None = None,
    method: str = "grad_cam",
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[ActivationMaps]:
    """Compute the maps of several targets, such as five classes: one forward pass, and a backward for each.

    `targets` is a list of what `class_activation_maps` takes as targets. The other arguments and the errors
    are the same. The trials of "score_cam" and "ablation_cam" are made once for all targets.
    """
    if method not in METHODS and method not in TRIALS:
        raise unknown("method", method, [*METHODS, *TRIALS])
    batch, default = as_images(model, images), layers is None
    names = choose_layers(model).names if layers is None else layers
    with measuring(model):
        model.eval()
        with observed(model, batch, names) as (seen, output):
            settled = [as_target(target).settle(output, len(batch)) for target in targets]
            scores = [target.scores(output, len(batch)) for target in settled]
            activations = usable(seen, len(batch), skip=default)
            if method in METHODS:
                weights = _weights(seen, activations, settled, scores, method, skip=default)
        if method in TRIALS:
            calls = {layer: (seen.modules[layer], call_number(layer)) for layer in activations}
            weights = trial_weights(
                model, batch, method, activations, calls, settled, scores, batch_size, progress, cancel
            )
    logits = main_output(output, len(batch), 2)
    logits = batch.new_empty(len(batch), 0) if logits is None else logits.detach()
    return [
        ActivationMaps(
            maps={layer: weighted_sum(w, activations[layer]) for layer, w in weighed.items()},
            weights=weighed,
            targets=_asked_classes(target, output, len(batch)),
            logits=logits,
            scores=score.detach(),
            asked=str(target),
            method=method,
        )
        for target, weighed, score in zip(settled, weights, scores, strict=True)
    ]


def block_names(model: nn.Module) -> list[str]:
    """Return the layers worth a map; see `choose_layers`, which also says why."""
    return list(choose_layers(model).names)


@contextmanager
def observed(model: nn.Module, batch: Tensor, names: Any) -> Iterator[tuple[Capture, Any]]:
    """Run the model once and give what was captured, and its answer, with the graph.

    Outputs are not copied, which would take 3 % of the time; where an in-place operation has overwritten one
    since, the pass is done again with copies.
    """
    kept: list[tuple[Tensor, int]] = []

    def as_it_is(tensor: Tensor) -> Tensor:
        kept.append((tensor, tensor._version))
        return tensor

    for keep in (as_it_is, None):
        kept.clear()
        with Capture(model, names, keep=keep, restore=False) as seen:
            # Inputs that need a gradient give even a frozen network a graph. The model gets a copy of them,
            # since it may write to its input in place, which autograd forbids for the original.
            output = answer(model, batch.detach().requires_grad_().clone())
            if all(tensor._version == version for tensor, version in kept):
                yield seen, output
                return


def usable(seen: Capture, count: int, skip: bool) -> dict[str, Tensor]:
    """Return the captured outputs that are maps (N, C, h, w); with `skip` the others are left out.

    Raises ExploreError for a layer that did not run or is no map, with `skip` only if none is left.
    """
    outputs = seen.outputs
    maps = {layer: a for layer, a in outputs.items() if a.ndim == 4 and len(a) == count}
    if (seen.idle and not skip) or not outputs:
        names = ", ".join(repr(name) for name in seen.idle[:3])
        raise ExploreError(f"The model did not run {names}, so there is no map of it; choose other layers.")
    strange = next((layer for layer in outputs if layer not in maps), None)
    if strange is not None and not (skip and maps):
        raise ExploreError(
            f"Layer {strange!r} gives an output of shape {tuple(outputs[strange].shape)}, but a map needs "
            f"({count}, channels, height, width)."
        )
    return maps


def call_number(layer: str) -> int:
    """Return n of a name "relu:n" as `Capture` gives it; 1 for a module that runs once."""
    number = layer.rpartition(":")[2]
    return int(number) if number.isdigit() and ":" in layer else 1


def _weights(
    seen: Capture,
    activations: dict[str, Tensor],
    targets: Sequence[Target],
    scores: Sequence[Tensor],
    method: str,
    skip: bool,
) -> list[dict[str, Tensor]]:
    """Return for each target the weights by layer; where the method looks at gradients, one backward each."""
    weigh = METHODS[method].weights
    if not METHODS[method].gradients:
        weights = {layer: weigh(a, a) for layer, a in activations.items()}
        return [weights for _ in scores]
    found = []
    for i, score in enumerate(scores):
        # Images don't meet in eval mode, so the sum's gradient holds each image's own.
        again = i + 1 < len(scores)
        gradients = seen.differentiate(score.sum(), again) if score.requires_grad else {}
        lost = [layer for layer in activations if layer not in gradients]
        if lost and not (skip and len(lost) < len(activations)):
            raise ExploreError(
                f"No gradient of {_scored(targets[i])} reaches {lost[0]!r}, so it has no map; leave it out."
            )
        found.append(
            {layer: weigh(a, gradients[layer]) for layer, a in activations.items() if layer in gradients}
        )
    return found


def _scored(target: Target) -> str:
    return "the logits" if isinstance(target, Classes | Difference) else str(target)


def _asked_classes(target: Target, output: Any, count: int) -> Tensor:
    if isinstance(target, Classes):
        return target.indices(output, count)
    return torch.full((count,), -1)
