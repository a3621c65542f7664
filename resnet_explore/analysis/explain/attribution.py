"""Which pixels mattered? Methods of captum on any network, raw and signed.

captum hooks activations, and so stumbles over those that work in place or are called several times. It is
given a copy of the network in which neither happens, so the network itself is not touched at all.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture._hookable import hookable
from resnet_explore.analysis.explain.maps import why_empty
from resnet_explore.analysis.explain.methods.pixels import PixelOptions
from resnet_explore.analysis.explain.methods.registry import PIXELS, RELUS, MethodInfo, method_info
from resnet_explore.analysis.explain.targets import Classes, Scored, Target, as_target
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.chance import may_draw, random_states_kept

# Filters of warnings and random states are those of the whole process, also of what runs beside the page.
_ALONE = threading.RLock()


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Brief):
    """What each input value contributed: positive where it speaks for the target, negative against.

    values   (N, C, H, W), raw, in the unit of the method's `MethodInfo`
    targets  the class that each image was asked about, int64 (N,); -1 where it was no class
    scores   the numbers that are explained, (N,)
    asked    what was asked about, in words
    method   one that explains by PIXELS
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
    method   one that explains by PIXELS, see `methods/pixels.py`
    options  fields of `PixelOptions`

    The model is left as found, and so are the random states of torch and numpy. Raises ExploreError for
    images, targets or options that don't fit, an unknown method, and a network to which the method can't be
    applied: in one sentence, which says why.
    """
    info = method_info(method, PIXELS)
    strange = next((name for name in options if name not in PixelOptions.__dataclass_fields__), None)
    if strange is not None:
        raise unknown("option", strange, PixelOptions.__dataclass_fields__)
    batch, chosen = as_images(model, images), PixelOptions(**options)
    _check(chosen, batch)
    with measuring(model), _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum warns that it hooks the (copied) model
        twin, functional = hookable(model, batch)
        with torch.no_grad():
            output = answer(twin, batch.clone())
            target = as_target(targets).settle(output, len(batch))
            scores = target.scores(output, len(batch)).detach()
        if info.changes:
            _reachable(method, info.changes, twin, functional)
        classes = target.indices(output, len(batch)) if isinstance(target, Classes) else None
        plain = classes if isinstance(output, Tensor) else None
        draws = info.draws or may_draw(model)  # the copy has hooks that hide whether it does
        values = _explain(info, twin, batch, target, plain, chosen, draws).detach()
    if info.adds_up:
        _complete(method, values, twin, batch, target, scores, chosen)
    asked = torch.full((len(batch),), -1) if classes is None else classes
    return Attribution(values, asked, scores, str(target), method)


def _explain(
    info: MethodInfo,
    twin: nn.Module,
    batch: Tensor,
    target: Target,
    classes: Tensor | None,
    options: PixelOptions,
    draws: bool,
) -> Tensor:
    """Call captum: with its own targets for `classes`, None where the network gives no bare logits for them.

    One image at a time for those without, and for what draws numbers: an image's result must not depend on
    those beside it.
    """
    explain, batch = info.formula, batch.detach()
    if classes is not None and not info.draws:
        return explain(twin, batch, classes, options)
    each = []
    for i, image in enumerate(batch.split(1)):
        with _seeded(twin, options.seed) if draws else nullcontext():
            if classes is None:
                found = explain(Scored(twin, target.of_image(i)), image, None, options)
            else:
                found = explain(twin, image, int(classes[i]), options)
        each.append(found.detach())
    return torch.cat(each)


# --- what can be applied to what -------------------------------------------------------------------------


def _check(options: PixelOptions, batch: Tensor) -> None:
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


def _reachable(method: str, changes: str, twin: nn.Module, functional: set[str]) -> None:
    """Raise ExploreError if a method that changes how activations pass gradients back can't reach them."""
    kind = type(twin).__name__
    if functional:
        raise ExploreError(
            f"{method} changes activations that are modules, but this {kind} calls {sorted(functional)[0]} "
            "as a function; choose another method."
        )
    if changes == RELUS and not any(isinstance(module, nn.ReLU) for module in twin.modules()):
        raise ExploreError(f"{method} changes ReLUs, but this {kind} has none; choose another method.")


def _complete(
    method: str,
    values: Tensor,
    twin: nn.Module,
    batch: Tensor,
    target: Target,
    scores: Tensor,
    o: PixelOptions,
) -> None:
    """Raise ExploreError where contributions don't add up, as the method's rules say that they do."""
    with torch.no_grad():
        blank = torch.zeros_like(batch) if o.baseline is None else o.baseline.to(batch).expand_as(batch)
        wanted = scores - target.scores(twin(blank), len(batch))
    found = values.sum((1, 2, 3))
    if not torch.allclose(found, wanted, rtol=0.02, atol=1e-3 * float(scores.abs().max() + 1)):
        raise ExploreError(
            f"{method} has no rule for something in this {type(twin).__name__}: its contributions add up to "
            f"{float(found[0]):.3g} instead of {float(wanted[0]):.3g}; choose another method."
        )


@contextmanager
def _seeded(twin: nn.Module, seed: int) -> Iterator[None]:
    """Let all that is drawn begin with a seed, and put back afterwards how it goes on."""
    state = np.random.get_state()  # from which captum's GradientShap draws
    try:
        with random_states_kept(twin):
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(state)
