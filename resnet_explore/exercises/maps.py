"""Tasks of looking inside a network: hook a feature map, write Grad-CAM."""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.explain.maps import class_activation_maps
from resnet_explore.exercises.answers import as_function, as_tensor, run
from resnet_explore.exercises.registry import CODE, exercise
from resnet_explore.exercises.result import Remark, right, wrong
from resnet_explore.inputs.images import sample_photos, to_batch
from resnet_explore.models.presets import build

_CLOSE = 1e-3


@exercise(
    "Hook a feature map",
    CODE,
    10,
    'Pass a function: f(network, images, layer) returns what the layer of that name, such as "layer2.0", '
    "gives for these images.",
    "network.get_submodule(layer) finds the layer. register_forward_hook calls a function of yours each "
    "time the layer has run, with (module, input, output).",
)
def feature_map(answer: Any) -> Iterator[Remark]:
    """Yield remarks on a function of a network, images and a layer's name."""
    function = as_function(answer, "f(network, images, layer)")
    network = build("cifar_resnet8").eval()
    for layer, height, width in (("layer2.0", 32, 24), ("layer1.0.conv2", 20, 28)):
        images = torch.randn(2, 3, height, width)
        whose = f'f(network, images, "{layer}")'
        value = run(whose, function, network, images, layer)
        if isinstance(value, list | tuple | dict) and len(value) == 1:
            yield wrong(
                f"{whose} gives back a {type(value).__name__} around the map.",
                "Return the map itself: take it out of what your hook has filled.",
            )
            return
        found = as_tensor(value, whose)
        fault = _mode_fault(network) or _map_fault(network, images, layer, found)
        if fault is not None:
            yield fault
            return
        yield right(f"{layer}: {tuple(found.shape)}, number for number what the layer gave.")
    yield _hooks_left(network)


def _map_fault(network: nn.Module, images: Tensor, layer: str, found: Tensor) -> Remark | None:
    """Return what is wrong with a layer's map, None if nothing is."""
    with Capture(network) as capture, torch.no_grad():
        answers = network(images)
    outputs = dict(capture.outputs)
    if _alike(found, outputs[layer]):
        return None
    said = f"That is not what {layer} gives, but"
    if _alike(found, answers):
        return wrong(f"{said} the network's answer.", "Keep what the hook gets, and return that.")
    for other, output in outputs.items():
        if _alike(found, output):
            hint = "Is the hook on the layer that was asked for? A hook's second argument is what went in."
            return wrong(f"{said} what {other} gives.", hint)
    same = found.shape == outputs[layer].shape
    shapes = "" if same else f" of shape {tuple(found.shape)} instead of {tuple(outputs[layer].shape)}"
    return wrong(
        f"That is not what {layer} gives, but something else{shapes}.",
        "Does the network stay in the mode that it was in? Is the map of these images, and of all of them?",
    )


@exercise(
    "Write Grad-CAM",
    CODE,
    20,
    "Pass a function: f(network, image, layer, target) takes one image (1, 3, height, width) and returns "
    "the map of a layer for a class: averaged gradients times activations, summed over the channels, cut "
    "at 0, divided by its largest value.",
    "You need two things of the layer: its output, from a hook, and the gradient of the class's logit with "
    "respect to that output. torch.autograd.grad gives it.",
)
def grad_cam(answer: Any) -> Iterator[Remark]:
    """Yield remarks on a function of a network, an image, a layer's name and a class."""
    function = as_function(answer, "f(network, image, layer, target)")
    network, photo = copy.deepcopy(_photo_network())  # a hook that is left behind is left on a copy
    for layer, target, image in (("layer2.1", 3, photo), ("layer3.2", 8, photo[..., 4:28, :])):
        whose = f'f(network, image, "{layer}", {target})'
        found = as_tensor(run(whose, function, network, image.clone(), layer, target), whose).detach().float()
        fault = _mode_fault(network) or _cam_fault(network, image, layer, target, found)
        if fault is not None:
            yield fault
            return
        yield right(f"{layer}, class {target}: as the paper's formula has it.")
    yield _hooks_left(network)


@cache
def _photo_network() -> tuple[nn.Module, Tensor]:
    network = build("cifar_resnet20", weights="cifar10").eval()
    photo = sample_photos()["cat"].load()
    return network, to_batch(photo, 32, network.about["mean"], network.about["std"])


def _cam_fault(network: nn.Module, image: Tensor, layer: str, target: int, found: Tensor) -> Remark | None:
    """Return what is wrong with a map, None if nothing is: compared with ours, and with usual mistakes."""
    signed = _cam(network, image, layer, target)
    fit = _fitting(found, signed, image)
    if fit is None:
        shape, size = tuple(found.shape), tuple(signed.shape)
        return wrong(
            f"The map has shape {shape}.", f"It should have the layer's, {size}, or that of the image."
        )
    found = fit
    size = (found.shape[-2], found.shape[-1])

    def shown(cam: Tensor) -> Tensor:
        return _sized(cam.clamp(min=0), size)

    if not found.isfinite().all():
        return wrong("The map holds numbers that are not finite.", "Is something divided by 0?")
    right_ones = (
        _scaled(shown(signed)),
        _stretched(shown(signed)),
        _sized(_scaled(signed.clamp(min=0)), size),
    )
    if any(_alike(found, one) for one in right_ones):
        return None
    if found.min() < -_CLOSE:
        return wrong("The map has values below 0.", "Grad-CAM shows only what speaks for the class.")
    if _alike(_scaled(found), _scaled(shown(signed))):
        largest = f"Its largest value is {found.max():.3g}, not 1."
        return wrong(largest, "All else is right. Divide by the largest value.")
    return _cam_mistake(
        network, image, layer, target, lambda cam: _alike(_scaled(found), _scaled(shown(cam)))
    )


def _cam_mistake(
    network: nn.Module, image: Tensor, layer: str, target: int, is_it: Callable[[Tensor], bool]
) -> Remark:
    """Return which of the usual mistakes gives that map."""
    with torch.no_grad():
        first = int(network(image).argmax())
    if is_it(_cam(network, image, layer, first)):
        return wrong(
            "That is the map of the network's own first choice.", "Ask about the class that is given."
        )
    whole = nn.Sequential(network, nn.Softmax(dim=1)).eval()
    if is_it(_cam(whole, image, f"0.{layer}", target)):
        return wrong(
            "That is the gradient of the probability, behind the softmax.",
            "The paper takes the logit: the number before the softmax.",
        )
    if is_it(_cam(network, image, layer, target, "hirescam")):
        return wrong(
            "Each place is weighed by its own gradient.",
            "That is HiResCAM. Grad-CAM gives a channel one weight: its gradient's mean over all places.",
        )
    if is_it(_cam(network, image, layer, target, "layercam")):
        return wrong(
            "Each place is weighed by its own positive gradient.",
            "That is LayerCAM. Grad-CAM gives a channel one weight: its gradient's mean over all places.",
        )
    if is_it(-_cam(network, image, layer, target)):
        return wrong("The sign is turned round.", "What raises the logit speaks for the class.")
    return wrong(
        "This is not Grad-CAM's map.",
        "One weight a channel: the mean of its gradient over all places. Then weigh, add over the "
        "channels, and only then cut at 0.",
    )


def _cam(network: nn.Module, image: Tensor, layer: str, target: int, method: str = "grad_cam") -> Tensor:
    return class_activation_maps(network, image, target, layers=layer, method=method)[layer][0]


def _fitting(found: Tensor, cam: Tensor, image: Tensor) -> Tensor | None:
    """Return a map as (height, width), in the layer's size or the image's; None if it is neither."""
    found = found.squeeze()
    fits = found.ndim == 2 and tuple(found.shape) in (tuple(cam.shape), tuple(image.shape[-2:]))
    return found if fits else None


def _sized(cam: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(cam.shape) == size:
        return cam
    return F.interpolate(cam[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _scaled(cam: Tensor) -> Tensor:
    return cam / cam.max().clamp(min=1e-12)


def _stretched(cam: Tensor) -> Tensor:
    return _scaled(cam - cam.min())


def _mode_fault(network: nn.Module) -> Remark | None:
    if not network.training:
        return None
    return wrong(
        "The network is in train mode now; it came in eval mode.", "Leave it in the mode that it came in."
    )


def _hooks_left(network: nn.Module) -> Remark:
    left = sum(
        len(hooks)
        for module in network.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    )
    if not left:
        return right("No hook is left behind.")
    return wrong(
        f"{left} {'hook is' if left == 1 else 'hooks are'} still on the network.",
        "register_forward_hook gives back a handle. Remove it when you have what you want.",
    )


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), atol=_CLOSE, rtol=_CLOSE)
