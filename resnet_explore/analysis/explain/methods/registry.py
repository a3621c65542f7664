"""All methods by name: the formula of each, what it is called, its unit, what a sign means, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from resnet_explore.errors import unknown

if TYPE_CHECKING:  # menus need no torch
    from torch import Tensor

    Formula = TypeVar("Formula", bound=Callable[..., Tensor])

BLOCKS, TRIALS, PIXELS = "blocks", "trials", "pixels"
ALONE, WITHOUT = "alone", "without"
RELUS, ACTIVATIONS = "ReLUs", "activations"


@dataclass(frozen=True)
class MethodInfo:
    """What is to be known of a method.

    title    as the paper calls it
    by       BLOCKS, TRIALS (blocks too, but every channel is tried) or PIXELS
    formula  without the last ReLU of the papers, so that it keeps its sign. What it takes and gives:
             BLOCKS  activations and the score's gradients, (N, C, h, w) each, of one layer; weights for its
                     channels, (N, C, 1, 1), or for each place, (N, C, h, w). The map is the sum of weights
                     times activations over the channels
             TRIALS  scores of the trials, (C,), one for each channel, and the score that was to be explained,
                     (); weights for the channels, (C,)
             PIXELS  a network, images (N, C, H, W), captum's target and `pixels.PixelOptions`; contributions
                     (N, C, H, W)
    unit     of a value
    meaning  of positive and negative values, with the colours as {plus} and {minus}
    classes  whether it explains a class; False for what looks the same whichever is asked about, which by
             BLOCKS gets no gradients
    slow     whether it takes hundreds of passes
    trial    of TRIALS: the image seen through each channel ALONE, or the network WITHOUT each channel
    draws    of PIXELS: whether it draws random numbers, so that images are explained one by one
    changes  of PIXELS: the modules that pass gradients back by other rules, RELUS or all ACTIVATIONS, or ""
    adds_up  of PIXELS: whether contributions that don't add up to the score's distance from that of the
             baseline mean that the network has something for which it has no rule
    """

    title: str
    by: str
    formula: Callable[..., Tensor]
    unit: str = "logits"
    meaning: str = "{plus} speaks for what is asked about, {minus} against it"
    classes: bool = True
    slow: bool = False
    trial: str = ""
    draws: bool = False
    changes: str = ""
    adds_up: bool = False

    def of_score(self) -> MethodInfo:
        """Return this where a score in 0..1 is explained, as that of a detection, and no logit."""
        return replace(self, unit=self.unit.replace("logits", "score"))

    def signs(self, plus: str, minus: str) -> str:
        """Return the meaning of the signs in a sentence, for a picture in these two colours."""
        words = self.meaning.format(plus=plus, minus=minus)
        return f"{words[0].upper()}{words[1:]}."


METHODS: dict[str, MethodInfo] = {}
"""Each method by name."""


def method(title: str, by: str, **about: Any) -> Callable[[Formula], Formula]:
    """Register a formula under its function's name; `about` are further fields of `MethodInfo`."""

    def register(formula: Formula) -> Formula:
        METHODS[formula.__name__] = MethodInfo(title, by, formula, **about)
        return formula

    return register


def methods(*by: str) -> dict[str, MethodInfo]:
    """Return the methods that explain by these, all without any: by name, in the order of menus."""
    kinds = by or (BLOCKS, TRIALS, PIXELS)
    return {name: one for kind in kinds for name, one in METHODS.items() if one.by == kind}


def method_info(name: str, *by: str) -> MethodInfo:
    """Return one of `methods(*by)`; ExploreError, with the closest names, for one that is not among them."""
    known = methods(*by)
    if name not in known:
        raise unknown("method", name, known)
    return known[name]
