"""Where did the network look? Class activation maps of all blocks at once, raw and signed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images, main_output
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.explain.methods.registry import BLOCKS, METHODS, TRIALS, MethodInfo, method_info
from resnet_explore.analysis.explain.targets import Classes, Difference, Target, as_target
from resnet_explore.analysis.explain.trials import Progress, Trying, trial_weights
from resnet_explore.analysis.topology.cam_layers import choose_layers
from resnet_explore.analysis.topology.laid import MapLayer, NoMapError, module_name, usable
from resnet_explore.analysis.topology.tokens import TokenGrid
from resnet_explore.errors import unknown

_ASIDE = "what follows reads only the class token, or others that lie nowhere on the image"


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
    method    one that explains by BLOCKS or TRIALS
    grids     the layers whose output had to be laid out to be a map, such as tokens, and how; see `layouts`
    omitted   the layers that were chosen by default but have no map, and why
    """

    maps: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    targets: Tensor
    logits: Tensor
    scores: Tensor
    asked: str
    method: str
    grids: Mapping[str, TokenGrid] = field(default_factory=dict)
    omitted: Mapping[str, str] = field(default_factory=dict)

    @property
    def layouts(self) -> dict[str, str]:
        """Say of each layer of `grids` how its output became a map: "196 tokens laid out as a map ..."."""
        return {layer: grid.words for layer, grid in self.grids.items()}

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
                run, that no gradient reaches or that are no maps: `omitted` says which and why
    method      one of `methods/cams.py`: by BLOCKS, which needs the one pass, or by TRIALS ("score_cam",
                "ablation_cam"), which tries every channel: that takes as many forward passes of an image as a
                layer has channels
    batch_size  of these trials
    progress    called with (trials done, trials in all) after each batch of them
    cancel      asked before each batch; if it says True, `Cancelled` is raised

    The gradient is that of the target's logit. We leave out the last ReLU of the papers (Selvaraju et al.,
    eq. 2) and normalise nothing: the sign says for or against, and twins can be compared on one scale;
    `positive()` gives the papers' form. Maps have the layer's resolution and stay on the model's device.
    Where the network ends in global average pooling and one linear layer, grad_cam, hirescam and xgrad_cam
    agree at its last block. The model is left as found.

    Outputs that are no maps (N, C, h, w) as they stand, tokens and such with the channels last, are laid out
    as maps where it is known how they lie on the image; `layouts` says how. To know that takes one more
    forward pass of the first image. What lies nowhere on it, such as a class token, is left out; where the
    answer is read off that alone, no gradient reaches the other tokens of the last block, so it has no map.

    Raises ExploreError for images or targets that don't fit, an unknown layer or method, and a layer that is
    not run, whose output can't be laid out as a map, or that no gradient of the target reaches.
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
    method_info(method, BLOCKS, TRIALS)  # or an error with the closest names
    batch = as_images(model, images)
    ask = partial(_maps, model, batch, targets, method, Trying(batch_size, progress, cancel))
    if layers is not None:
        return ask(layers)
    choice = choose_layers(model)
    try:
        return ask(choice.names, default=True)
    except NoMapError as problem:
        if not choice.instead:
            raise
        omitted = problem.reasons or dict.fromkeys(choice.names, str(problem))
    return [replace(maps, omitted=omitted | dict(maps.omitted)) for maps in ask(choice.instead, default=True)]


def _maps(
    model: nn.Module,
    batch: Tensor,
    targets: Sequence[Any],
    method: str,
    trying: Trying,
    names: str | Sequence[str],
    default: bool = False,
) -> list[ActivationMaps]:
    """Return the maps of several targets; by default without the layers that have none, if any has one."""
    info = METHODS[method]
    with measuring(model):
        model.eval()
        with observed(model, batch, names) as (seen, output):
            settled = [as_target(target).settle(output, len(batch)) for target in targets]
            scores = [target.scores(output, len(batch)) for target in settled]
            layers, omitted = usable(seen, batch, skip=default)
            activations = {name: layer.map for name, layer in layers.items()}
            lost: list[dict[str, str]] = [{} for _ in targets]
            if info.by == BLOCKS:
                weights, lost = _weights(seen, layers, settled, scores, info, skip=default)
        if info.by == TRIALS:
            weights = trial_weights(model, batch, info, layers, settled, scores, trying)
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
            grids={name: grid for name in weighed if (grid := layers[name].grid) is not None},
            omitted=omitted | reasons,
        )
        for target, weighed, score, reasons in zip(settled, weights, scores, lost, strict=True)
    ]


def weighted_sum(weights: Tensor, activations: Tensor) -> Tensor:
    """Return sum_k w_k A_k: (N, h, w)."""
    if weights.shape[2:] == (1, 1):
        return torch.einsum("nc,nchw->nhw", weights[:, :, 0, 0], activations)
    return torch.einsum("nchw,nchw->nhw", weights, activations)


def why_empty(cam: Tensor) -> str:
    """Say why a map shows nothing once its negative values are cut off, as the papers do; "" if it does.

    `cam` is one raw map (h, w).
    """
    if not torch.isfinite(cam).all():
        return "Some contributions are not finite numbers: the gradient or the activation overflowed."
    if (cam > 0).any():
        return ""
    if (cam < 0).any():
        return "All contributions are negative: no place speaks for what was asked about."
    return "All contributions are zero: nothing here changes what was asked about."


def last_with_map(model: nn.Module, images: Tensor, targets: Any = None) -> str:
    """Return the last of `choose_layers(model)` that has a map of what is asked.

    That is the very last but for transformers that read a class token: no gradient reaches the other tokens.
    """
    choice = choose_layers(model)
    if not choice.tokens:
        return choice.names[-1]
    return module_name(list(class_activation_maps(model, images[:1], _first(targets)))[-1])


def _first(targets: Any) -> Any:
    """Return what is asked of the first image."""
    if isinstance(targets, Target):
        return targets.of_image(0)
    several = isinstance(targets, Sequence) and not isinstance(targets, str)
    return targets[:1] if several or getattr(targets, "ndim", 0) > 0 else targets  # a tensor or numpy array


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


def _weights(
    seen: Capture,
    layers: dict[str, MapLayer],
    targets: Sequence[Target],
    scores: Sequence[Tensor],
    info: MethodInfo,
    skip: bool,
) -> tuple[list[dict[str, Tensor]], list[dict[str, str]]]:
    """Return for each target the weights by layer, and why layers have none.

    Where the method knows classes, and so looks at gradients, that takes one backward pass each.
    """
    weigh = info.formula
    if not info.classes:
        weights = {name: weigh(layer.map, layer.map) for name, layer in layers.items()}
        return [weights for _ in scores], [{} for _ in scores]
    found, lost = [], []
    for i, score in enumerate(scores):
        # Images don't meet in eval mode, so the sum's gradient holds each image's own.
        again = i + 1 < len(scores)
        gradients = seen.differentiate(score.sum(), again) if score.requires_grad else {}
        laid = {name: layer.lay(gradients[name]) for name, layer in layers.items() if name in gradients}
        read = _scored(targets[i])
        reasons = {name: f"no gradient of {read} reaches it" for name in layers if name not in laid}
        for own, layer in layers.items():
            if own in laid and layer.aside and not laid[own].any() and gradients[own].any():
                reasons[own] = f"no gradient of {read} reaches its tokens on the image, as {_ASIDE}"
        # Of what a module gives, one thing that is reached is enough.
        reached = {module_name(name) for name in layers if name not in reasons}
        name = next((name for name in reasons if module_name(name) not in reached), None)
        if name is not None and not (skip and reached):
            if name in laid:
                raise NoMapError(
                    f"No gradient of {read} reaches the map of {name!r}, as {_ASIDE}; leave it out.", reasons
                )
            raise NoMapError(
                f"No gradient of {read} reaches {name!r}, so it has no map; leave it out.", reasons
            )
        found.append({n: weigh(layers[n].map, g) for n, g in laid.items() if n not in reasons})
        lost.append(reasons)
    return found, lost


def _scored(target: Target) -> str:
    return "the logits" if isinstance(target, Classes | Difference) else str(target)


def _asked_classes(target: Target, output: Any, count: int) -> Tensor:
    if isinstance(target, Classes):
        return target.indices(output, count)
    return torch.full((count,), -1)
