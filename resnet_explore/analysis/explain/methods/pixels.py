"""Which pixels mattered? Methods of captum that give each value of the input its contribution.

A formula gets a network that captum can hook, see `attribution`. A baseline is the mean colour, 0 in
standardised images, unless a person gives another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resnet_explore.analysis.explain.methods.registry import ACTIVATIONS, PIXELS, RELUS, method
from resnet_explore.errors import ExploreError, unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

_PER_INPUT = "logits per unit of input"
_SLOPE = "{plus}: a larger value of this pixel would raise the score; {minus}: lower it"


@dataclass(frozen=True)
class PixelOptions:
    """What the methods can be told.

    samples     of smoothgrad and gradient_shap
    noise       standard deviation of smoothgrad's noise, as a share of each image's range (Smilkov et al.
                2017 use 0.1 to 0.2)
    steps       of the integral of integrated_gradients
    window      side of occlusion's square in pixels; None for an eighth of the image's shorter side
    stride      how far it moves; None for half of the window
    baseline    images (M, C, H, W) that contributions are compared with; None for the mean colour. Only
                gradient_shap takes more than one
    layer       of guided_grad_cam; None for the last of `choose_layers`
    batch_size  images in one pass
    seed        of what is drawn
    """

    samples: int = 25
    noise: float = 0.15
    steps: int = 50
    window: int | None = None
    stride: int | None = None
    baseline: Tensor | None = None
    layer: str | None = None
    batch_size: int = 32
    seed: int = 0


@method("Gradient", PIXELS, unit=_PER_INPUT, meaning=_SLOPE)
def saliency(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """Return the gradient (Simonyan et al. 2013, arXiv 1312.6034)."""
    from captum.attr import Saliency

    return Saliency(model).attribute(x, target=target, abs=False)


@method("Input × gradient", PIXELS)
def input_x_gradient(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """Input times gradient (Shrikumar et al. 2016, arXiv 1605.01713)."""
    from captum.attr import InputXGradient

    return InputXGradient(model).attribute(x, target=target)


@method("Integrated gradients", PIXELS)
def integrated_gradients(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """The gradient on the way from the baseline (Sundararajan et al. 2017, arXiv 1703.01365)."""
    from captum.attr import IntegratedGradients

    return IntegratedGradients(model).attribute(
        x,
        baselines=_baseline(x, o),
        target=target,
        n_steps=o.steps,
        internal_batch_size=max(o.batch_size, len(x)),
    )


@method("SmoothGrad", PIXELS, unit=_PER_INPUT, meaning=_SLOPE, draws=True)
def smoothgrad(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """The mean gradient of noisy copies (Smilkov et al. 2017, arXiv 1706.03825)."""
    from captum.attr import NoiseTunnel, Saliency

    spread = float(x.max() - x.min())
    return NoiseTunnel(Saliency(model)).attribute(
        x,
        nt_type="smoothgrad",
        nt_samples=o.samples,
        nt_samples_batch_size=o.batch_size,
        stdevs=o.noise * spread,
        target=target,
        abs=False,
    )


@method(
    "Guided backprop",
    PIXELS,
    unit=f"{_PER_INPUT}, cut at each ReLU",
    meaning="{plus}: raises the score on paths that only raise it; {minus}: lowers it there",
    changes=RELUS,
)
def guided_backprop(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """The gradient, cut at each ReLU where it is negative (Springenberg et al. 2014, arXiv 1412.6806)."""
    from captum.attr import GuidedBackprop

    return GuidedBackprop(model).attribute(x, target=target)


@method(
    "Guided Grad-CAM",
    PIXELS,
    unit="logits² per unit of input",
    meaning="guided backprop where Grad-CAM is positive: {plus} raises the score, {minus} lowers it",
    changes=RELUS,
)
def guided_grad_cam(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """Guided backprop times the enlarged positive Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391)."""
    from captum.attr import GuidedGradCam

    layer = _layer(model, o)
    return GuidedGradCam(model, layer).attribute(x, target=target, interpolate_mode="bilinear")


@method("DeepLift", PIXELS, changes=ACTIVATIONS, adds_up=True)
def deep_lift(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """Differences to a baseline by the rescale rule (Shrikumar et al. 2017, arXiv 1704.02685)."""
    from captum.attr import DeepLift

    return DeepLift(model).attribute(x, baselines=_baseline(x, o), target=target)


@method("Occlusion", PIXELS, slow=True)
def occlusion(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """How a score falls under a square of mean colour (Zeiler & Fergus 2013, arXiv 1311.2901)."""
    from captum.attr import Occlusion

    window = o.window or max(1, min(x.shape[2:]) // 8)
    stride = o.stride or max(1, window // 2)
    return (
        Occlusion(model)
        .attribute(
            x,
            sliding_window_shapes=(x.shape[1], window, window),
            strides=(x.shape[1], stride, stride),
            baselines=_baseline(x, o),
            target=target,
            perturbations_per_eval=max(1, o.batch_size // len(x)),
        )
        .to(x)
    )


@method("GradientSHAP", PIXELS, draws=True)
def gradient_shap(model: nn.Module, x: Tensor, target: Any, o: PixelOptions) -> Tensor:
    """Expected gradients at random points on the ways from baselines (Lundberg & Lee 2017)."""
    import torch
    from captum.attr import GradientShap

    baseline = torch.zeros_like(x[:1]) if o.baseline is None else o.baseline.to(x)
    return GradientShap(model).attribute(
        x, baselines=baseline, n_samples=o.samples, stdevs=0.0, target=target
    )


def _baseline(x: Tensor, options: PixelOptions) -> Tensor | int:
    if options.baseline is None:
        return 0
    if len(options.baseline) != 1:
        raise ExploreError(f"This method takes one baseline image, not {len(options.baseline)}.")
    return options.baseline.to(x).expand_as(x)


def _layer(model: nn.Module, options: PixelOptions) -> nn.Module:
    from resnet_explore.analysis.explain.targets import Scored
    from resnet_explore.analysis.topology.cam_layers import choose_layers

    net = model.net if isinstance(model, Scored) else model
    choice = choose_layers(net)
    if options.layer is None and choice.tokens:
        raise ExploreError(
            "guided_grad_cam takes maps (N, channels, height, width) as they stand, which the blocks of this "
            f"{type(net).__name__} may not give: name a layer that does, or choose grad_cam, which lays them "
            "out."
        )
    name = choice.names[-1] if options.layer is None else options.layer
    modules = dict(net.named_modules())
    if name not in modules:
        raise unknown("layer", name, modules)
    return modules[name]
