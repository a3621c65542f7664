"""How large are the gradients, layer by layer?

The popular answer, "in plain networks they vanish", is wrong for networks with batch normalisation: at
initialisation, in train mode, they explode towards the input, by about sqrt(pi / (pi - 1)) = 1.21 a layer in
wide ReLU networks (Yang et al. 2019, arXiv 1902.08129, section 4), and the slope reverses within some ten
steps. In eval mode, or without batch normalisation, the picture is another. So a result says its mode.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._norms import each_norm, gather, norm
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.topology.blocks import in_shortcut
from resnet_explore.analysis.topology.comparable import Alike, alike, is_spatial
from resnet_explore.errors import ExploreError, require_module, unknown

if TYPE_CHECKING:
    import pandas as pd

MODES = ("train", "eval")
NORMS = ("activation_norms", "activation_gradient_norms", "weight_norms", "weight_gradient_norms")


@dataclass(frozen=True, eq=False, repr=False)
class GradientFlow(Brief):
    """Frobenius norms at each convolution and linear layer, in the order of execution: float64 (layers,).

    names, kinds               "layer1.0.conv1" and "conv 3x3"; kinds are "conv HxW" and "linear"
    on_path                    False in a projection shortcut, see `in_shortcut`
    activation_norms           of the layer's output, over the whole batch
    activation_gradient_norms  of the loss's gradient with respect to that output, over the whole batch
    weight_norms               of the layer's weight, without the bias
    weight_gradient_norms      of the loss's gradient with respect to that weight
    loss, mode, batch_size     what was differentiated: by default the mean cross-entropy of this batch
    frozen                     True for layers whose weight needs no gradient: their weight gradient is nan
    unmeasured                 modules with a weight matrix of another kind, such as "lstm (LSTM)", which have
                               no row here
    images_finite              False if the images themselves hold infinities or nan

    `str()` is a sentence, `table` has a row per layer, and notebooks show both.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    on_path: tuple[bool, ...]
    activation_norms: np.ndarray
    activation_gradient_norms: np.ndarray
    weight_norms: np.ndarray
    weight_gradient_norms: np.ndarray
    loss: float
    mode: str
    batch_size: int
    frozen: tuple[bool, ...] = ()
    images_finite: bool = True
    unmeasured: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """How much larger the weight gradient is near the input: that of the first block over the last's.

        Above 1: it grows towards the input; below: it shrinks. What stands for blocks in networks without
        them says `alike`; nan where no two parts are alike.
        """
        norms = self.part_norms()
        if len(norms) < 2:
            return float("nan")
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.divide(norms[0], norms[-1]))

    @cached_property
    def alike(self) -> Alike:
        """Which parts of the network can be compared: its blocks, else layers of one kind; none frozen."""
        return alike(self.names, self.kinds, self.on_path, self.frozen)

    def part_norms(self, field: str = "weight_gradient_norms") -> np.ndarray:
        """Return a norm for each part of `alike`, (parts,); fields are those above and relative_gradients.

        For weights and their gradients it is the root of the sum of squares of its layers' norms, for
        activations that of its last layer.
        """
        if field == "relative_gradients":
            gradients, weights = self.part_norms(), self.part_norms("weight_norms")
            with np.errstate(divide="ignore", invalid="ignore"):
                return gradients / weights
        return self.alike.norms(getattr(self, field), last=field.startswith("activation"))

    @property
    def convolutions(self) -> np.ndarray:
        """Positions of the convolutions on the path that look at more than one pixel, int."""
        kinds = zip(self.kinds, self.on_path, strict=True)
        return np.array([i for i, (kind, on_path) in enumerate(kinds) if on_path and is_spatial(kind)], int)

    @property
    def relative_gradients(self) -> np.ndarray:
        """Weight gradient over weight, (layers,): the relative step of SGD at rate 1; nan for 0/0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.weight_gradient_norms / self.weight_norms

    @property
    def growth(self) -> float:
        """By what factor the gradient grows at each layer towards the input, fitted over all layers.

        exp of minus the least-squares slope of log activation_gradient_norms over layers on the path, without
        the first, which sees the image, and the last, which gives the answer. 1.21 for wide fully connected
        networks with ReLU and batch norm (Yang et al. 2019, section 4). nan for fewer than two such layers
        that have a gradient.
        """
        inner = np.flatnonzero(self.on_path)[1:-1]
        norms = self.activation_gradient_norms[inner]
        usable = np.isfinite(norms) & (norms > 0)
        if usable.sum() < 2:
            return float("nan")
        return float(np.exp(-np.polyfit(np.arange(len(inner))[usable], np.log(norms[usable]), 1)[0]))

    @property
    def finite(self) -> bool:
        """False if the loss or any norm is infinite or not a number, as happens where gradients overflow."""
        return not self.trouble

    @property
    def trouble(self) -> str:
        """Where numbers first stopped being finite, as a sentence; "" if they all are finite.

        Looked for in the order of the computation: forward through weights and outputs, the loss, then
        backward through gradients.
        """
        if not self.images_finite:
            return "The images hold numbers that are not finite, and what comes after them follows."
        for i, name in enumerate(self.names):
            for what, values in (("weight", self.weight_norms), ("output", self.activation_norms)):
                if not np.isfinite(values[i]):
                    return f"The {what} of {name} is {_called(values[i])}, and what comes after it follows."
        if not np.isfinite(self.loss):
            return f"The loss is {_called(self.loss)}, though the output of every layer is finite."
        for i in reversed(range(len(self.names))):
            for norms in (self.activation_gradient_norms, self.weight_gradient_norms):
                still = norms is self.weight_gradient_norms and self.frozen and self.frozen[i]
                if not np.isfinite(norms[i]) and not still:
                    return f"The gradient is {_called(norms[i])} from {self.names[i]} on towards the input."
        return ""

    @property
    def table(self) -> "pd.DataFrame":
        """One row per layer."""
        import pandas as pd

        columns = {field.removesuffix("_norms"): getattr(self, field) for field in NORMS}
        about = {"layer": self.names, "kind": self.kinds}
        return pd.DataFrame(about | columns | {"relative_gradient": self.relative_gradients})

    def __str__(self) -> str:
        ends = self.alike.ends or ((0,), (len(self.names) - 1,))
        norms = self.part_norms() if self.alike.ends else self.weight_gradient_norms
        first, last = (_named([self.names[i] for i in part]) for part in ends)
        said = (
            f"{len(self.names)} layers, {self.mode} mode, batch of {self.batch_size}, loss {self.loss:.3g}: "
            f"weight gradient {norms[0]:.2g} at {first}, {norms[-1]:.2g} at {last}"
        )
        ratio = f", ratio {self.ratio:,.2g}" if np.isfinite(self.ratio) else ""
        still = f" {sum(self.frozen)} of {len(self.names)} layers are frozen." if any(self.frozen) else ""
        return f"{said}{ratio}.{still}{self._left_out()} {self.trouble}".rstrip()

    def _left_out(self) -> str:
        if not self.unmeasured:
            return ""
        more = f" and {len(self.unmeasured) - 3} more" if len(self.unmeasured) > 3 else ""
        return f" Not measured: {', '.join(self.unmeasured[:3])}{more}."

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, border=0, float_format="{:.3g}".format)
        rows = f"<details><summary>All {len(self.names)} layers</summary>{table}</details>"
        return f"<p>{html.escape(str(self))}</p>{rows}"


def gradient_flow(
    model: nn.Module,
    images: Tensor,
    labels: Any = None,
    mode: str = "train",
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> GradientFlow:
    """Measure the norms of activations, weights and their gradients, in one forward and one backward pass.

    images  float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    labels  N class indices; with `loss`, whatever that takes
    mode    "train": batch norm uses this batch's statistics and dropout drops; "eval": neither
    loss    a function of (model output, labels) that gives one number; None for the mean cross-entropy

    Followed are convolutions and linear layers; `unmeasured` names what else has weights, such as an LSTM.
    A layer that runs several times has a row for each call ("conv:1", "conv:2"), all with the gradient of the
    weight they share. Layers that the pass doesn't run are left out. Frozen ones have no weight gradient, but
    all the rest. Norms that overflow are returned as they are, see `trouble`. The model is left as found,
    running statistics and random state included.

    Raises ExploreError for images or labels that don't fit or are missing, an unknown mode, a model whose
    weights are all frozen or in float16, and for a single image in train mode with batch norm, which can't
    be normalised by a batch of its own.
    """
    batch = check_batch(model, images, mode)
    if not any(is_layer(module) for module in model.modules()):
        raise ExploreError("The model has no convolution or linear layer, so there is no gradient to follow.")
    # Inside cached(), a parametrized weight is computed once, so it can be differentiated after the pass.
    with measuring(model, chance=loss is not None), parametrize.cached():
        model.train(mode == "train")
        given, roots = batch, []
        if not all(p.requires_grad for p in model.parameters()):
            # So that gradients come back through frozen layers too. The model may write into what it gets.
            roots = [batch.clone().requires_grad_()]
            given = roots[0].clone()
        with Capture(model, _is_layer, gradients=True, keep=norm, restore=False) as seen:
            output = answer(model, given)
            value = loss_of(output, labels, len(batch), loss)
        modules = seen.modules
        weights = [cast(Tensor, module.weight) for module in modules.values()]
        trained = [i for i, weight in enumerate(weights) if weight.requires_grad]
        if not trained:
            raise ExploreError(
                f"gradient_flow needs weights that are trained, but all {len(weights)} convolutions and "
                "linear layers that ran are frozen: call requires_grad_(True) on some."
            )
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise ExploreError("loss must return one number, as a tensor computed from the model's output.")
        wanted = [*(weights[i] for i in trained), *roots]
        found = torch.autograd.grad(value, wanted, allow_unused=True)
        gradients = dict(zip(trained, found, strict=False))
        outputs, returned, zero = seen.outputs, seen.gradients, value.new_zeros(())
        # All numbers leave the device together: one transfer instead of four per layer.
        numbers = gather(
            [
                *outputs.values(),
                *(returned.get(name, zero) for name in outputs),
                each_norm([weight.detach() for weight in weights]),
                each_norm([zero if (g := gradients.get(i)) is None else g for i in range(len(weights))]),
                torch.isfinite(batch).all(),
                value.detach(),
            ]
        )
    path = set(layers_on_path(model).values())
    activation, activation_gradient, weight, weight_gradient = numbers[:-2].reshape(4, -1)
    frozen = tuple(i not in gradients for i in range(len(modules)))
    if any(frozen):
        weight_gradient = np.where(frozen, np.nan, weight_gradient)
        weight_gradient.setflags(write=False)
    return GradientFlow(
        names=tuple(modules),
        kinds=tuple(_kind(module) for module in modules.values()),
        on_path=tuple(module in path for module in modules.values()),
        activation_norms=activation,
        activation_gradient_norms=activation_gradient,
        weight_norms=weight,
        weight_gradient_norms=weight_gradient,
        loss=float(numbers[-1]),
        mode=mode,
        batch_size=len(batch),
        frozen=frozen,
        images_finite=bool(numbers[-2]),
        unmeasured=_unmeasured(model),
    )


def check_batch(model: nn.Module, images: Any, mode: str) -> Tensor:
    """Return a copy of `images` for the model; ExploreError for what can't be measured in this mode."""
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    require_module(model)
    if any(p.dtype == torch.float16 for p in model.parameters()):
        raise ExploreError(
            "The model is in float16, where gradients below 6e-8 become 0: call model.float() first."
        )
    batch = as_images(model, images, finite=False)
    if mode == "train" and len(batch) == 1 and any(isinstance(m, _BatchNorm) for m in model.modules()):
        raise ExploreError(
            "images must be two or more in train mode, as batch norm needs a batch; for one choose eval mode."
        )
    return batch


def loss_of(output: Any, labels: Any, count: int, loss: Callable[[Any, Any], Tensor] | None) -> Any:
    """Return `loss(output, labels)`, or for None the mean cross-entropy of `count` rows of logits."""
    if loss is not None:
        return loss(output, labels)
    if labels is None:
        raise ExploreError("labels are missing: pass one class index per image, or a loss that needs none.")
    logits = as_logits(output, count, "; for other outputs pass your own loss")
    return F.cross_entropy(logits, as_classes("labels", labels, logits))


def is_layer(module: nn.Module) -> bool:
    """Whether a module is one whose weight we follow: a convolution or a linear layer."""
    return isinstance(module, (_ConvNd, nn.Linear))


def layers_on_path(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that `is_layer` means on the path through the branches, by name, not in shortcuts."""
    modules = dict(model.named_modules())
    return {n: m for n, m in modules.items() if is_layer(m) and not in_shortcut(n, modules)}


def _is_layer(_name: str, module: nn.Module) -> bool:
    return is_layer(module)


def _unmeasured(model: nn.Module) -> tuple[str, ...]:
    """Return the modules that own a weight of two or more dimensions and are none of those we follow."""
    return tuple(
        f"{name or 'the model itself'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if not (is_layer(module) or isinstance(module, parametrize.ParametrizationList))
        and any(p.ndim > 1 for p in module.parameters(recurse=False))
    )


def _called(value: float) -> str:
    return "not a number" if np.isnan(value) else "infinite"


def _kind(module: nn.Module) -> str:
    return "conv " + "x".join(map(str, module.kernel_size)) if isinstance(module, _ConvNd) else "linear"


def _named(layers: list[str]) -> str:
    """Return the name of a layer, or of the block that holds several."""
    return layers[0] if len(layers) == 1 else layers[0].rpartition(".")[0]
