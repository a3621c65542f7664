"""A sweep as data: which networks are trained, and how."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.accelerators import ACCELERATORS
from resnet_explore.models.presets import config_of
from resnet_explore.training.runs import Run, model_name
from resnet_explore.training.schedule import SCHEDULES
from resnet_explore.training.skip_scale import ALL, NONE, require_epochs, skip_scale

KINDS = ("plain", "residual")
AUGMENTATIONS = ("none", "crop", "zoom")
_CHOICES = {
    "family": ("cifar", "imagenet"),
    "schedule": SCHEDULES,
    "augment": AUGMENTATIONS,
    "precision": ("auto", "fp32", "bf16"),
    "accelerator": ACCELERATORS,
}
_WHOLE, _FINITE = "a whole number of at least 1", "a finite number"
# Each field's test, and the words for what passes it.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("epochs", "width", "batch_size", "eval_images"), (lambda v: _whole(v) and v >= 1, _WHOLE)
    ),
    "size": (lambda v: v is None or (_whole(v) and v >= 1), f"None or {_WHOLE}"),
    "keep_steps": (lambda v: all(_whole(s) and s >= 0 for s in v), "whole numbers of at least 0"),
    "lr": (lambda v: 0 < v < math.inf, f"{_FINITE} above 0"),
    # A continued run needs the momentum's buffers, and SGD has none at 0.
    "momentum": (lambda v: 0 < v < 1, "a number above 0 and below 1"),
    "weight_decay": (lambda v: 0 <= v < math.inf, f"{_FINITE} of at least 0"),
    "label_smoothing": (lambda v: 0 <= v < 1, "a number of at least 0 and below 1"),
}
RECIPE = (
    *("epochs", "width", "batch_size", "schedule", "lr", "momentum"),
    *("weight_decay", "label_smoothing", "augment", "precision", "skip_scale"),
)
_LISTS = ("depths", "kinds", "seeds")
_OWN = {"plain": {"skip_scale": NONE}}  # whatever the recipe says


@dataclass(frozen=True)
class Sweep:
    """The degradation experiment: the same recipe for every kind, depth and seed.

    dataset          a name that `load_dataset` knows; `root` and `size` are passed on to it
    family           "cifar" (depths 6n+2) or "imagenet" (18, 34, 50, 101, 152)
    epochs           passes over the training images
    width            channels of the first stage; each later stage has twice as many
    schedule         "one-cycle", up to `lr` and down to 0, or "steps", as in He et al. 2015: `learning_rate`
                     and `WarmUp` say how they go
    lr, momentum, weight_decay, batch_size, label_smoothing   of SGD on the cross-entropy
    augment          "none"; "crop": shifted by up to an eighth; "zoom": a part enlarged; both also mirrored
    precision        "fp32", "bf16" (autocast), or "auto": bf16 where the machine that begins the sweep
                     computes in it; fp32 elsewhere, and for the digits, which are too small to gain
    skip_scale       factor on every skip while a residual network trains: a number, "1-then-0-after-4" (1 in
                     4 epochs, then 0: skips removed) or "1-to-0-by-8" (a little less in each epoch, 0 from
                     epoch 8 on); plain networks, which have no skips, are trained once beside them
    eval_images      of each set, for the errors of every epoch but the last, which takes all images
    keep_steps       steps before which the weights are kept, beside those at the end
    root, skip_unreadable, accelerator   where the data lie, whether broken images are left out, and "cpu",
                     "cuda", "mps" (an Apple chip's GPU) or "auto", the first of cuda, mps and cpu that there
                     is (but for the digits not mps): no part of what the sweep is

    A field of the recipe (epochs to skip_scale) may also be a tuple: then every value is tried.

    The defaults are for the 8x8 digits and take seconds; with lr=0.05 some seeds of residual-110 fail too.
    Raises ExploreError, naming the field, for values that describe no experiment.
    """

    dataset: str = "digits"
    family: str = "cifar"
    depths: tuple[int, ...] = (8, 20, 32, 56, 110)
    kinds: tuple[str, ...] = KINDS
    seeds: tuple[int, ...] = (0,)
    epochs: int | tuple[int, ...] = 8
    width: int | tuple[int, ...] = 8
    batch_size: int | tuple[int, ...] = 64
    schedule: str | tuple[str, ...] = "one-cycle"
    lr: float | tuple[float, ...] = 0.04
    momentum: float | tuple[float, ...] = 0.9
    weight_decay: float | tuple[float, ...] = 1e-4
    label_smoothing: float | tuple[float, ...] = 0.0
    augment: str | tuple[str, ...] = "none"
    precision: str | tuple[str, ...] = "auto"
    skip_scale: float | str | tuple[float | str, ...] = ALL
    size: int | None = None
    eval_images: int = 2000
    keep_steps: tuple[int, ...] = ()
    root: str | None = field(default=None, compare=False)
    skip_unreadable: bool = field(default=False, compare=False)
    accelerator: str = field(default="auto", compare=False)

    def __post_init__(self) -> None:
        for name in _LISTS:
            values = getattr(self, name)
            if isinstance(values, str) or not hasattr(values, "__iter__") or not list(values):
                raise ExploreError(f"Sweep needs {name} as a list with at least one entry, not {values!r}.")
            own = (value.item() if hasattr(value, "item") else value for value in values)  # not NumPy's
            object.__setattr__(self, name, tuple(dict.fromkeys(own)))
        object.__setattr__(self, "keep_steps", _tuple(self.keep_steps))
        for name in RECIPE:
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))
            if getattr(self, name) == ():
                raise ExploreError(f"Sweep needs at least one value of {name}.")
        self._settle_skip_scale()
        for name, choices in {**_CHOICES, "kinds": KINDS}.items():
            for value in _tuple(getattr(self, name)):
                if value not in choices:
                    raise unknown(f"{name.removesuffix('s')} in Sweep:", value, choices)
        for name, (passes, rule) in _RULES.items():
            given = getattr(self, name)
            for value in (given,) if name == "keep_steps" else _tuple(given):
                if not _try(passes, value):
                    raise ExploreError(f"Sweep needs {name} as {rule}, not {value!r}.")
        for kind, depth in itertools.product(self.kinds, self.depths):
            config_of(model_name(self.family, kind, depth))
        for scale, epochs in itertools.product(_tuple(self.skip_scale), _tuple(self.epochs)):
            require_epochs(skip_scale(scale), epochs)

    def _settle_skip_scale(self) -> None:
        """Write each factor in one way, so that 1, 1.0 and "1" are the same sweep."""
        given = self.skip_scale
        scales = tuple(dict.fromkeys(str(skip_scale(value)) for value in _tuple(given)))
        object.__setattr__(self, "skip_scale", scales if isinstance(given, tuple) else scales[0])

    def runs(self) -> list[Run]:
        """Return the runs, seed by seed and shallow ones first, so that a picture is there soon."""
        shared = {f.name: getattr(self, f.name) for f in fields(Run) if hasattr(self, f.name)}
        recipes = [dict(zip(RECIPE, v, strict=True)) for v in itertools.product(*map(self._values, RECIPE))]
        runs = (
            Run(kind=kind, depth=depth, seed=seed, **{**shared, **recipe, **_OWN.get(kind, {})})
            for seed in self.seeds
            for depth in sorted(self.depths)
            for recipe in recipes
            for kind in self.kinds
        )
        return list(dict.fromkeys(runs))

    def _values(self, name: str) -> tuple[Any, ...]:
        values = _tuple(getattr(self, name))
        if name == "precision" and "auto" in values:
            own = "fp32" if self.dataset == "digits" else fast_precision(self.accelerator)
            values = tuple(dict.fromkeys(own if value == "auto" else value for value in values))
        return values


def fast_precision(accelerator: str = "auto") -> str:
    """Return "bf16" if the device that would be used here is known to compute in it, else "fp32".

    For one that is not here, which machines of a cluster may have, the processor is asked.
    """
    from resnet_explore.models.devices import device_for  # with torch, which a plan alone does not need

    try:
        device = device_for(accelerator)
    except ExploreError:
        device = device_for("cpu")
    return "bf16" if device.fast_bf16 else "fp32"


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _try(passes: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(passes(value))
    except TypeError:
        return False
