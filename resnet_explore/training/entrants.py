"""A network of a race as a short text: "plain-56", "residual-20 skip=0.5 norm=group"."""

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, cast

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.presets import config_of

KINDS = ("plain", "residual")
DEEPEST = 110
_BARE = ("skipinit", "fixup")  # these starts do without normalisation


@dataclass(frozen=True)
class Entrant:
    """A network for small images, of 6n+2 layers (He et al. 2015, section 4.2), as data.

    kind, depth   "plain" or "residual", and its weighted layers
    skip, branch  factors on the shortcut and on the branch (He et al. 2016, section 3.1)
    order, norm, init, shortcut, gate   as in `ResNetConfig`
    bias          what the gate's bias starts at
    dropout       share of the shortcut's values that are dropped (He et al. 2016, section 3.4)
    width         channels of the first stage, doubled in each later one; 0 for what suits the images
    """

    kind: str = "residual"
    depth: int = 20
    skip: float = 1.0
    branch: float = 1.0
    order: str = "post"
    norm: str = "batch"
    init: str = "he"
    shortcut: str = "padding"
    gate: str = "none"
    bias: float = 0.0
    dropout: float = 0.0
    width: int = 0

    def __str__(self) -> str:
        said = [f"{self.kind}-{self.depth}"]
        for f in fields(self)[2:]:
            value = getattr(self, f.name)
            if value != (usual_norm(self.init) if f.name == "norm" else f.default):
                said.append(f"{f.name}={value}".removesuffix(".0"))  # all digits, or another network races
        return " ".join(said)

    def config(self, in_channels: int = 3, classes: int = 10, side: int = 32) -> ResNetConfig:
        """Return the network's config for images of so many channels, classes and pixels a side.

        Raises ExploreError for a depth that the family doesn't have and for options that exclude each other.
        """
        usual = cast(ResNetConfig, config_of(f"cifar_plain{self.depth}"))
        width = self.width or usual_width(side)
        plain = self.kind == "plain"
        return usual.replace(
            residual=not plain,
            widths=tuple(width * 2**stage for stage in range(len(usual.widths))),
            order=self.order,
            norm=self.norm,
            init=self.init,
            shortcut=self.shortcut,
            gate=self.gate,
            gate_bias=self.bias,
            skip_dropout=self.dropout,
            skip_scale=self.skip,
            branch_scale=self.branch,
            in_channels=in_channels,
            num_classes=classes,
        )


def usual_width(side: int) -> int:
    """Return the channels of the first stage that suit images of so many pixels a side."""
    return 8 if side <= 16 else 16


def read_entrant(text: Any) -> Entrant:
    """Return the network that a text describes, such as "residual-20 skip=0.5 norm=group".

    Raises ExploreError, one sentence, for what is no such text and for a network that can't be.
    """
    if not isinstance(text, str) or not text.split():
        raise ExploreError(f"A network is a text such as 'plain-56' or 'residual-20 skip=0.5', not {text!r}.")
    return _read(text)


@functools.lru_cache(256)  # an explorer asks several times with each picture
def _read(text: str) -> Entrant:
    name, *options = text.split()
    kind, _, depth = name.partition("-")
    if kind not in KINDS:
        raise unknown("kind of network", kind, KINDS, "Write one as 'plain-56' or 'residual-20 skip=0.5'.")
    if not (depth.isascii() and depth.isdigit() and len(depth) < 6):
        raise ExploreError(f"The network {text!r} has no depth: write one as '{kind}-56'.")
    if int(depth) > DEEPEST:
        raise ExploreError(f"Networks of a race have at most {DEEPEST} layers, not {int(depth)}.")
    given: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if key not in _OPTIONS or not equals:
            raise unknown(f"option in the network {text!r}:", key, _OPTIONS)
        if key in given:
            raise ExploreError(f"The network {text!r} says {key} twice.")
        given[key] = _value(text, key, value)
    given.setdefault("norm", usual_norm(given.get("init", "he")))
    entrant = Entrant(kind, int(depth), **given)
    _check(text, entrant, given)
    return entrant


def _value(text: str, key: str, value: str) -> Any:
    kind = type(_OPTIONS[key])
    if kind is str:
        return value
    try:
        number = kind(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (number < 0 and key != "bias"):
        raise ExploreError(f"The network {text!r} needs {key} as a number of at least 0, not {value!r}.")
    return number


def _check(text: str, entrant: Entrant, given: Collection[str]) -> None:
    without_skips = [name for name in ("skip", "shortcut", "gate", "dropout") if name in given]
    if entrant.kind == "plain" and without_skips:
        raise ExploreError(
            f"The network {text!r} is plain, so it has no skips to which {without_skips[0]} applies."
        )
    try:
        entrant.config()
    except ExploreError as problem:
        raise ExploreError(f"The network {text!r} can't be: {problem}") from None


def usual_norm(init: str) -> str:
    """Return the norm that goes with a start: SkipInit and Fixup are made for networks without."""
    return "none" if init in _BARE else "batch"


_OPTIONS: dict[str, Any] = {f.name: f.default for f in fields(Entrant)[2:]}
