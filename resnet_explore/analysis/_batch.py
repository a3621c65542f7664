"""What our measurements take and read: a batch of images, one class per image, a network's logits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._outputs import tensors
from resnet_explore.analysis.wrapped import require_weights
from resnet_explore.errors import ExploreError, an, require_module
from resnet_explore.inputs.images import require_finite

_USUAL = ("logits", "out")  # what transformers and torchvision call the answer among other outputs


def as_images(model: nn.Module, images: Any, finite: bool = True) -> Tensor:
    """Return a copy of `images` on the model's device and in its dtype: floats (N, C, H, W), N at least 1.

    With `finite` raises ExploreError also for those that hold NaN or infinity.
    """
    require_module(model)
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = str(images.dtype) if isinstance(images, Tensor) else type(images).__name__
        raise ExploreError(f"images must be a float tensor, standardised as the model expects, not {kind}.")
    if images.ndim != 4 or 0 in images.shape:
        hint = "; for a single image pass image[None]" if images.ndim == 3 else ""
        raise ExploreError(
            f"images must have shape (N, C, H, W) with nothing empty, not {tuple(images.shape)}{hint}."
        )
    if finite:
        require_finite(images)
    weight = next(model.parameters(), images)
    with torch.inference_mode(False):  # a copy made in inference mode could carry no gradient
        return images.detach().to(weight.device, weight.dtype, copy=True)


def answer(model: nn.Module, images: Tensor) -> Any:
    """Return `model(images)`; if the images don't fit its layers, say so in one sentence.

    Only RuntimeError itself is taken for that, which torch raises for shapes that don't fit. Its subclasses
    (out of memory, not implemented, recursion) and every other error mean something else and go through; but
    detectors assert, in train mode, that they get boxes with their images.
    """
    if images.is_meta:  # as its weights are
        require_weights(model)
    try:
        return model(images)
    except AssertionError as error:
        if not model.training:
            raise
        raise ExploreError(
            f"The model, {an(model)}, does not run on images alone in train mode ({first_line(error)}): "
            "choose eval mode, or a module around it that hands it the rest."
        ) from error
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ExploreError(
            f"The model, {an(model)}, can't take images of shape {tuple(images.shape)}: "
            f"{reason or 'torch gives no reason'}."
        ) from error


def run(model: nn.Module, images: Tensor) -> Any:
    """Return `model(images)`; whatever a model that we did not write raises becomes one sentence."""
    try:
        return model(images)
    except ExploreError:
        raise
    except Exception as error:
        raise ExploreError(
            f"The model, {an(model)}, can't take images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}, {first_line(error)}."
        ) from error


def why_not_finite(model: nn.Module) -> str:
    """Say why a model gives NaN or infinity for a finite image: by its own numbers, or on the way."""
    named = model.state_dict().items()
    bad = next((n for n, v in named if v.is_floating_point() and not torch.isfinite(v).all()), None)
    return f"its own {bad} holds such values" if bad else "its numbers grow too large on the way"


def first_line(error: BaseException) -> str:
    """Return what an exception says, in one line without a full stop."""
    return (str(error).strip() or "no reason given").splitlines()[0].rstrip(".")


def as_classes(argument: str, values: Any, like: Tensor) -> Tensor:
    """Return one class index per row of `like`, logits (N, K): int64 (N,) on its device.

    `argument` is the name that an error message shows.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    count, classes = like.shape
    try:
        array = np.asarray(values)
    except ValueError:  # a ragged list
        array = np.asarray(None)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise ExploreError(
            f"{argument} must be {count} whole numbers, one per image, "
            f"not {array.dtype} of shape {array.shape}."
        )
    outside = array[(array < 0) | (array >= classes)]
    if outside.size:
        raise ExploreError(f"{argument} must lie in 0..{classes - 1}, the model's classes; got {outside[0]}.")
    return torch.as_tensor(array.astype(np.int64), device=like.device)


def as_logits(output: Any, count: int, hint: str = "") -> Tensor:
    """Return the logits (count, K) of a network's output; `hint` says what to do if it has none.

    They may stand in a dict, list or tuple; see `main_output`.
    """
    logits = main_output(output, count, 2)
    if logits is None:
        raise ExploreError(
            f"The model must return logits of shape ({count}, classes), not {kind_of(output)}{hint}."
        )
    return logits


def main_output(output: Any, count: int, ndim: int) -> Tensor | None:
    """Return what a network gives for each image, floats (count, ...) of `ndim` dimensions; None if nothing.

    Of several in a dict it is the one called "logits" or "out", and without these none, as nobody can tell.
    Of several in a list or tuple it is the first: what follows is by custom what helps in training, such as
    the answers of auxiliary heads.
    """
    fitting = {
        path: tensor
        for path, tensor in tensors(output)
        if tensor.ndim == ndim and len(tensor) == count and tensor.is_floating_point()
    }
    if isinstance(output, Mapping):
        for name in _USUAL:
            if f"[{name}]" in fitting:
                return fitting[f"[{name}]"]
        if len(fitting) > 1:
            return None
    return next(iter(fitting.values()), None)


def kind_of(output: Any) -> str:
    """Say in a few words what a network returned."""
    if isinstance(output, Tensor):
        return f"shape {tuple(output.shape)}"
    shapes = ", ".join(f"{path} {tuple(tensor.shape)}" for path, tensor in list(tensors(output))[:4])
    return an(output) + (f" of {shapes}" if shapes else "")
