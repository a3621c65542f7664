"""Which pixels mattered? Nine attribution methods of captum, on any network, raw and signed.

captum hooks activations, and so stumbles over those that work in place or are called several times. It is
given a copy of the network in which neither happens, so the network itself is not touched at all.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from captum import attr as captum
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture._hookable import hookable
from resnet_explore.analysis.explain.methods.formulas import why_empty
from resnet_explore.analysis.explain.targets import Classes, Target, as_target
from resnet_explore.analysis.topology.cam_layers import choose_layers
from resnet_explore.errors import ExploreError, unknown

# Filters of warnings and random states are those of the whole process, also of what runs beside the page.
_ALONE = threading.RLock()


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Brief):
    """What each input value contributed: positive where it speaks for the target, negative against.

    values   (N, C, H, W), raw; its unit is said at each of METHODS
    targets  the class that each image was asked about, int64 (N,); -1 where it was no class
    scores   the numbers that are explained, (N,)
    asked    what was asked about, in words
    method   one of METHODS
    """

    values: Tensor
    targets: Tensor
    scores: Tensor
    asked: str
    method: str

    @property
    def maps(self) -> Tensor:
        """The sum over the channels: one signed number a pixel, (N, H, W)."""
        return self.values.sum(1)

    def why_empty(self, image: int = 0) -> str:
        """Say why one image's map has nothing positive to show; "" if it has."""
        return why_empty(self.maps[image])


@dataclass(frozen=True)
class Options:
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


def attribute(
    model: nn.Module,
    images: Tensor,
    targets: Any = None,
    method: str = "integrated_gradients",
    **options: Any,
) -> Attribution:
    """Explain a network's answer by the values of its input, in eval mode.

    images   float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    targets  as in `class_activation_maps`
    method   one of METHODS
    options  fields of `Options`

    The model is left as found, and so are the random states of torch and numpy. Raises ExploreError for
    images, targets or options that don't fit, an unknown method, and a network to which the method can't be
    applied: in one sentence, which says why.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    strange = next((name for name in options if name not in Options.__dataclass_fields__), None)
    if strange is not None:
        raise unknown("option", strange, Options.__dataclass_fields__)
    batch, chosen = as_images(model, images), Options(**options)
    _check(chosen, batch)
    with _ALONE, measuring(model), _numpy_left_alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum warns that it hooks the (copied) model
        twin, functional = hookable(model, batch)
        with torch.no_grad():
            output = answer(twin, batch.clone())
            target = as_target(targets).settle(output, len(batch))
            scores = target.scores(output, len(batch)).detach()
        _applicable(method, twin, functional)
        classes = target.indices(output, len(batch)) if isinstance(target, Classes) else None
        plain = classes if isinstance(output, Tensor) else None
        values = _explain(method, twin, batch, target, plain, chosen).detach()
    _complete(method, values, twin, batch, target, scores, chosen)
    asked = torch.full((len(batch),), -1) if classes is None else classes
    return Attribution(values, asked, scores, str(target), method)


# --- the methods: (model, images, captum's target, options) -> (N, C, H, W) ------------------------------


def _saliency(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """The gradient (Simonyan et al. 2013, arXiv 1312.6034); in logits per unit of input."""
    return captum.Saliency(model).attribute(x, target=target, abs=False)


def _input_x_gradient(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """Input times gradient (Shrikumar et al. 2016, arXiv 1605.01713); in logits."""
    return captum.InputXGradient(model).attribute(x, target=target)


def _integrated_gradients(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """The gradient on the way from the baseline (Sundararajan et al. 2017, arXiv 1703.01365); in logits."""
    return captum.IntegratedGradients(model).attribute(
        x,
        baselines=_baseline(x, o),
        target=target,
        n_steps=o.steps,
        internal_batch_size=max(o.batch_size, len(x)),
    )


def _smoothgrad(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """The mean gradient of noisy copies (Smilkov et al. 2017, arXiv 1706.03825); in logits per unit."""
    spread = float(x.max() - x.min())
    return captum.NoiseTunnel(captum.Saliency(model)).attribute(
        x,
        nt_type="smoothgrad",
        nt_samples=o.samples,
        nt_samples_batch_size=o.batch_size,
        stdevs=o.noise * spread,
        target=target,
        abs=False,
    )


def _guided_backprop(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """The gradient, cut at each ReLU where it is negative (Springenberg et al. 2014, arXiv 1412.6806)."""
    return captum.GuidedBackprop(model).attribute(x, target=target)


def _guided_grad_cam(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """Guided backprop times the enlarged positive Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391)."""
    layer = _layer(model, o)
    return captum.GuidedGradCam(model, layer).attribute(x, target=target, interpolate_mode="bilinear")


def _deep_lift(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """Differences to a baseline by the rescale rule (Shrikumar et al. 2017, arXiv 1704.02685); in logits."""
    return captum.DeepLift(model).attribute(x, baselines=_baseline(x, o), target=target)


def _occlusion(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """How a score falls under a square of mean colour (Zeiler & Fergus 2013, arXiv 1311.2901); in logits."""
    window = o.window or max(1, min(x.shape[2:]) // 8)
    stride = o.stride or max(1, window // 2)
    return (
        captum.Occlusion(model)
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


def _gradient_shap(model: nn.Module, x: Tensor, target: Any, o: Options) -> Tensor:
    """Expected gradients at random points on the ways from baselines (Lundberg & Lee 2017); in logits."""
    baseline = torch.zeros_like(x[:1]) if o.baseline is None else o.baseline.to(x)
    return captum.GradientShap(model).attribute(
        x, baselines=baseline, n_samples=o.samples, stdevs=0.0, target=target
    )


METHODS: Mapping[str, Callable[[nn.Module, Tensor, Any, Options], Tensor]] = MappingProxyType(
    {
        "saliency": _saliency,
        "input_x_gradient": _input_x_gradient,
        "integrated_gradients": _integrated_gradients,
        "smoothgrad": _smoothgrad,
        "guided_backprop": _guided_backprop,
        "guided_grad_cam": _guided_grad_cam,
        "deep_lift": _deep_lift,
        "occlusion": _occlusion,
        "gradient_shap": _gradient_shap,
    }
)


_DRAWING = ("smoothgrad", "gradient_shap")


def _explain(
    method: str, twin: nn.Module, batch: Tensor, target: Target, classes: Tensor | None, options: Options
) -> Tensor:
    """Call captum: with its own targets for `classes`, None where the network gives no bare logits for them.

    One image at a time for those without, and for what draws numbers: an image's result must not depend on
    those beside it.
    """
    explain, batch = METHODS[method], batch.detach()
    if classes is not None and method not in _DRAWING:
        return explain(twin, batch, classes, options)
    each = []
    for i, image in enumerate(batch.split(1)):
        torch.manual_seed(options.seed)
        np.random.seed(options.seed)  # captum's GradientShap draws from it
        if classes is None:
            found = explain(_Scored(twin, target.of_image(i)), image, None, options)
        else:
            found = explain(twin, image, int(classes[i]), options)
        each.append(found.detach())
    return torch.cat(each)


class _Scored(nn.Module):
    """A network that gives the target's score, (N,), for any number of variants of one image."""

    def __init__(self, net: nn.Module, target: Target) -> None:
        super().__init__()
        self.net, self.target = net, target

    def forward(self, x: Tensor) -> Tensor:
        return self.target.scores(self.net(x), len(x))


# --- what can be applied to what -------------------------------------------------------------------------


def _check(options: Options, batch: Tensor) -> None:
    for name in ("samples", "steps", "batch_size"):
        if getattr(options, name) < 1:
            raise ExploreError(f"{name} must be at least 1, not {getattr(options, name)!r}.")
    if options.noise < 0:
        raise ExploreError(f"noise must not be negative, but is {options.noise!r}.")
    baseline = options.baseline
    if baseline is not None and (baseline.ndim != 4 or baseline.shape[1:] != batch.shape[1:]):
        raise ExploreError(
            f"baseline must have shape (M, {', '.join(map(str, batch.shape[1:]))}), "
            f"not {tuple(baseline.shape)}."
        )


def _baseline(x: Tensor, options: Options) -> Tensor | int:
    if options.baseline is None:
        return 0
    if len(options.baseline) != 1:
        raise ExploreError(f"This method takes one baseline image, not {len(options.baseline)}.")
    return options.baseline.to(x).expand_as(x)


def _layer(model: nn.Module, options: Options) -> nn.Module:
    net = model.net if isinstance(model, _Scored) else model
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


def _applicable(method: str, twin: nn.Module, functional: set[str]) -> None:
    """Raise ExploreError if a method that changes how ReLUs pass gradients back can't reach them."""
    if method not in ("guided_backprop", "guided_grad_cam", "deep_lift"):
        return
    kind = type(twin).__name__
    if functional:
        raise ExploreError(
            f"{method} changes activations that are modules, but this {kind} calls {sorted(functional)[0]} "
            "as a function; choose another method."
        )
    if method != "deep_lift" and not any(isinstance(module, nn.ReLU) for module in twin.modules()):
        raise ExploreError(f"{method} changes ReLUs, but this {kind} has none; choose another method.")


def _complete(
    method: str, values: Tensor, twin: nn.Module, batch: Tensor, target: Target, scores: Tensor, o: Options
) -> None:
    """Raise ExploreError where DeepLift's contributions don't add up, as its rules say that they do."""
    if method != "deep_lift":
        return
    with torch.no_grad():
        blank = torch.zeros_like(batch) if o.baseline is None else o.baseline.to(batch).expand_as(batch)
        wanted = scores - target.scores(twin(blank), len(batch))
    found = values.sum((1, 2, 3))
    if not torch.allclose(found, wanted, rtol=0.02, atol=1e-3 * float(scores.abs().max() + 1)):
        raise ExploreError(
            f"deep_lift has no rule for something in this {type(twin).__name__}: its contributions add up to "
            f"{float(found[0]):.3g} instead of {float(wanted[0]):.3g}; choose another method."
        )


@contextmanager
def _numpy_left_alone() -> Iterator[None]:
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
