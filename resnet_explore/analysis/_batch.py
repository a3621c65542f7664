"""What our measurements take: a batch of images and one class per image, checked in one place."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.errors import ExploreError


def require_module(model: Any) -> None:
    """Raise ExploreError for what is no network, such as a name."""
    if not isinstance(model, nn.Module):
        build = f": resnet_explore.build({model!r:.40}) may give one" if isinstance(model, str) else ""
        raise ExploreError(f"model must be a torch.nn.Module, not {type(model).__name__}{build}.")


def as_images(model: nn.Module, images: Any) -> Tensor:
    """Return a copy of `images` on the model's device and in its dtype; floats (N, C, H, W), N at least 1."""
    require_module(model)
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = str(images.dtype) if isinstance(images, Tensor) else type(images).__name__
        raise ExploreError(f"images must be a float tensor, standardised as the model expects, not {kind}.")
    if images.ndim != 4 or 0 in images.shape:
        hint = "; for a single image pass image[None]" if images.ndim == 3 else ""
        raise ExploreError(
            f"images must have shape (N, C, H, W) with nothing empty, not {tuple(images.shape)}{hint}."
        )
    weight = next(model.parameters(), images)
    with torch.inference_mode(False):  # a copy made in inference mode could carry no gradient
        return images.detach().to(weight.device, weight.dtype, copy=True)


def answer(model: nn.Module, images: Tensor) -> Any:
    """Return `model(images)`; if the images don't fit its layers, say so in one sentence.

    Only RuntimeError itself is taken for that, which torch raises for shapes that don't fit. Its subclasses
    (out of memory, not implemented, recursion) and every other error mean something else and go through.
    """
    try:
        return model(images)
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ExploreError(
            f"The model, a {type(model).__name__}, can't take images of shape {tuple(images.shape)}: "
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
            f"The model, a {type(model).__name__}, can't take images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}, {first_line(error)}."
        ) from error


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
    """Return `output` if it is a tensor of logits (count, K); `hint` says what to do if it is not."""
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != count:
        came = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ExploreError(f"The model must return logits of shape ({count}, classes), not {came}{hint}.")
    return output
