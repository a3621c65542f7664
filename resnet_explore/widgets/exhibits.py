"""What a person can look at: twins that ship, networks with random or downloaded weights, and their own."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import COLORS, INK
from resnet_explore.models.presets import build, twins
from resnet_explore.models.weights import list_weights
from resnet_explore.widgets.words import percent

_FIRST = 20  # layers, of the paper's shallowest pair: what is shown first if it is there
_DATA = {"cifar10": "CIFAR-10", "digits": "Digits", "imagenette": "Imagenette"}


@dataclass(frozen=True)
class Subject:
    """A network under its name; `kind` decides its colour, `source` says which network and weights it is."""

    name: str
    kind: str
    model: nn.Module
    source: str = ""

    @property
    def cited(self) -> str:
        """What somebody has to know to get the same network again, as far as that is known."""
        about: Mapping[str, Any] = getattr(self.model, "about", None) or {}
        words = [f"{self.name}: {self.source or f'a {type(self.model).__name__} as it was given'}"]
        if "data" in about:
            words.append(f"trained on {about['data'].partition(' (')[0]}")
        if "run" in about:
            words.append(f"seed {about['run']['seed']}, {about['run']['epochs']} epochs")
        if "test_error" in about:
            words.append(f"test error {percent(float(about['test_error']))}")
        return ", ".join(words)

    @property
    def color(self) -> str:
        """The colour of its heading."""
        return COLORS.get(self.kind, INK)


@dataclass(frozen=True)
class Exhibit:
    """One or two networks beside each other, at one or several depths.

    ticks  what the depths are called
    load   gives the networks of the depth of that index
    start  index of the depth that is shown first
    """

    ticks: tuple[str, ...]
    load: Callable[[int], tuple[Subject, ...]]
    start: int = 0


def exhibits() -> dict[str, Exhibit]:
    """Return what can be chosen by name, the trained twins that ship first."""
    return {
        **_shipped(),
        "ResNet-50 and plain-50 (random weights)": Exhibit(("50 layers",), _random_twins),
        "ResNet-18 and ResNet-50, ImageNet (downloads 142 MB once)": Exhibit(("",), _torchvision),
    }


def exhibit_of(models: Any) -> Exhibit:
    """Return an exhibit of a person's own: a module, a sequence of two, or {name: module} of one or two."""
    if isinstance(models, nn.Module) or not isinstance(models, Sequence | Mapping) or isinstance(models, str):
        models = [models]
    named = dict(models) if isinstance(models, Mapping) else _named(list(models))
    if len(named) not in (1, 2):
        raise ExploreError(f"Give one model, or two to be put side by side, not {len(named)}.")
    kinds = ["residual"] if len(named) == 1 else ["plain", "residual"]
    subjects = tuple(
        Subject(str(name), kind, model) for (name, model), kind in zip(named.items(), kinds, strict=True)
    )
    return Exhibit(("",), lambda _: subjects)


def _named(models: list[Any]) -> dict[str, Any]:
    insides = [unwrapped(model) if isinstance(model, nn.Module) else model for model in models]
    names = [type(inside).__name__ for inside in insides]
    if len(set(names)) < len(names):
        names = [f"{name} {k + 1}" for k, name in enumerate(names)]
    return dict(zip(names, models, strict=True))


def _shipped() -> dict[str, Exhibit]:
    """Return an exhibit for each data set of which trained twins ship, with all depths that there are."""
    found: dict[tuple[str, str], dict[int, set[str]]] = {}
    for row in list_weights():
        match = re.fullmatch(r"((?:cifar_)?)(plain|resnet)(\d+)", row.model)
        if match and "@" not in row.weights:
            family, kind, depth = match.groups()
            found.setdefault((row.weights, family), {}).setdefault(int(depth), set()).add(kind)
    shown = {}
    for (data, family), depths in found.items():
        both = tuple(sorted(depth for depth, kinds in depths.items() if len(kinds) == 2))
        if both:
            span = f"{both[0]} layers" if len(both) == 1 else f"{both[0]} to {both[-1]} layers"
            shown[f"{_DATA.get(data, data)} twins, {span} (offline)"] = Exhibit(
                tuple(f"{depth} layers" for depth in both), _loader(data, family, both), start_of(both)
            )
    return shown


def start_of(depths: Sequence[int]) -> int:
    """Return which of the depths, in rising order, is shown first: 20 layers, or else the middle one."""
    return depths.index(_FIRST) if _FIRST in depths else len(depths) // 2


def _loader(data: str, family: str, depths: tuple[int, ...]) -> Callable[[int], tuple[Subject, ...]]:
    def load(k: int) -> tuple[Subject, ...]:
        depth = depths[k]
        named = (
            ("Plain", "plain", f"{family}plain{depth}"),
            ("Residual", "residual", f"{family}resnet{depth}"),
        )
        return tuple(
            Subject(f"{name}-{depth}", kind, build(model, weights=data), f"{model}, weights {data!r}")
            for name, kind, model in named
        )

    return load


def _random_twins(_: int) -> tuple[Subject, ...]:
    plain, residual = twins("resnet50")
    return (
        Subject("Plain-50", "plain", plain, "resnet50 without its skips, random weights"),
        Subject("Residual-50", "residual", residual, "resnet50, random weights"),
    )


def _torchvision(_: int) -> tuple[Subject, ...]:
    weights = "IMAGENET1K_V1"
    return tuple(
        Subject(name, kind, build(model, weights=weights), f"{model}, torchvision's weights {weights!r}")
        for name, kind, model in (("ResNet-18", "plain", "resnet18"), ("ResNet-50", "residual", "resnet50"))
    )
