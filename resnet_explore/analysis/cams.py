"""Where did the network look? Class activation maps of all blocks at once, raw and signed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture import Capture
from resnet_explore.errors import ExploreError, unknown


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Channels weighted by their mean gradient (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1 and 2)."""
    return torch.einsum("nc,nchw->nhw", gradients.mean((2, 3)), activations)


def hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Each place weighted by its own gradient (Draelos & Carin 2020, arXiv 2011.08891)."""
    return torch.einsum("nchw,nchw->nhw", gradients, activations)


def layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Like HiResCAM with the positive gradients only (LayerCAM; Jiang et al. 2021, IEEE TIP 30)."""
    return torch.einsum("nchw,nchw->nhw", gradients.clamp(min=0), activations)


# A method is one function of a layer's activations and their gradients, (N, C, h, w) each, to maps (N, h, w).
METHODS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"grad_cam": grad_cam, "hirescam": hirescam, "layercam": layercam}
)


@dataclass(frozen=True, eq=False)
class ActivationMaps(Mapping[str, Tensor]):
    """Maps (N, h, w) by layer, in the order of execution: `maps["layer4.1"]`.

    maps     raw values in units of the logit; positive where a place speaks for the target, negative against
    targets  the class that each image was asked about, int64 (N,)
    logits   the model's answer, (N, K)
    method   one of METHODS
    """

    maps: Mapping[str, Tensor]
    targets: Tensor
    logits: Tensor
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


def class_activation_maps(
    model: nn.Module,
    images: Tensor,
    targets: int | Sequence[int] | Tensor | None = None,
    layers: str | Sequence[str] | None = None,
    method: str = "grad_cam",
) -> ActivationMaps:
    """Compute the maps of many layers and images in one forward and one backward pass, in eval mode.

    images   float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    targets  one class for all images, one for each, or None for each image's most likely class
    layers   names or patterns as in `Capture`; None for `block_names(model)`
    method   one of METHODS: "grad_cam", "hirescam", "layercam"

    The gradient is that of the target's logit. We leave out the last ReLU of the papers (Selvaraju et al.,
    eq. 2) and normalise nothing: the sign says for or against, and twins can be compared on one scale;
    `positive()` gives the papers' form. Maps have the layer's resolution and stay on the model's device.
    Where the network ends in global average pooling and one linear layer, grad_cam and hirescam agree at its
    last block. The model is left as found.

    Raises ExploreError for images or targets that don't fit, an unknown layer or method, and a layer that is
    not run, whose output is not (N, C, h, w), or that no gradient of the logits reaches.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    batch = as_images(model, images)
    with measuring(model):
        model.eval()
        with Capture(model, block_names(model) if layers is None else layers, restore=False) as seen:
            # Inputs that need a gradient give even a frozen network a graph. The model gets a copy of them,
            # since it may write to its input in place, which autograd forbids for the original.
            logits = as_logits(answer(model, batch.requires_grad_().clone()), len(batch))
            targets = _targets(targets, logits)
            activations = seen.outputs
            _need_maps(activations, [] if layers is None else seen.idle, len(batch))
            # Images don't meet in eval mode, so the sum's gradient holds each image's own.
            gradients = _gradients(seen, logits.gather(1, targets[:, None]).sum())
    maps = {layer: METHODS[method](activations[layer], gradients[layer]) for layer in activations}
    return ActivationMaps(maps, targets, logits.detach(), method)


def block_names(model: nn.Module) -> list[str]:
    """Return the layers worth a map, in the order of registration, never empty for a convolutional network.

    They are the residual blocks, and their plain twins, of our networks, torchvision's and timm's: modules
    that have both a `conv1` and a `downsample`. Networks built otherwise (VGG, DenseNet, MobileNet) give
    every 2-D convolution. Raises ExploreError if there is neither.
    """
    modules = dict(model.named_modules())
    blocks = [n for n, m in modules.items() if hasattr(m, "conv1") and hasattr(m, "downsample")]
    names = blocks or [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    if not names:
        raise ExploreError(f"The model, a {type(model).__name__}, has no 2-D convolution, so it has no maps.")
    return names


def _targets(targets: Any, logits: Tensor) -> Tensor:
    if targets is None:
        return logits.detach().argmax(1)
    if isinstance(targets, (int, np.integer)) or (isinstance(targets, Tensor) and targets.ndim == 0):
        targets = [int(targets)] * len(logits)
    return as_classes("targets", targets, logits)


def _need_maps(activations: Mapping[str, Tensor], idle: list[str], count: int) -> None:
    if idle or not activations:
        names = ", ".join(repr(name) for name in idle[:3]) or "every convolution"
        raise ExploreError(f"The model did not run {names}, so there is no map of it; choose other layers.")
    for layer, output in activations.items():
        if output.ndim != 4 or len(output) != count:
            raise ExploreError(
                f"Layer {layer!r} gives an output of shape {tuple(output.shape)}, but a map needs "
                f"({count}, channels, height, width)."
            )


def _gradients(seen: Capture, score: Tensor) -> Mapping[str, Tensor]:
    gradients = seen.differentiate(score) if score.requires_grad else {}
    lost = [layer for layer in seen.outputs if layer not in gradients]
    if lost:
        raise ExploreError(f"No gradient of the logits reaches {lost[0]!r}, so it has no map; leave it out.")
    return gradients
