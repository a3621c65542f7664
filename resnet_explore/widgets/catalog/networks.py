"""Which networks a menu offers: twins that ship, random or downloaded weights, a person's own."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError
from resnet_explore.paths import shipped
from resnet_explore.widgets.core.words import percent

if TYPE_CHECKING:  # torch is loaded by what computes, behind the first page
    from torch import nn

OWN = "own"  # the key of a person's own networks where they are the only entry
FIRST = 20  # layers, of the paper's shallowest pair: what is shown first if it is there
_LABELS = {
    "cifar10": "CIFAR-10 twins, {}",
    "digits": "Digits twins, {}",
    "imagenette": "Imagenette photo twins, {}",
}


@dataclass(frozen=True, eq=False)
class NamedNetwork:
    """A network under its name.

    kind    "plain" or "residual", which decides its colour
    source  which architecture and weights it is, "" for a person's own
    """

    name: str
    kind: str
    model: "nn.Module"
    source: str = ""

    @property
    def about(self) -> Mapping[str, Any]:
        """What the network carries of its training and its inputs, {} for nothing."""
        return getattr(self.model, "about", None) or {}

    @property
    def cited(self) -> str:
        """What somebody has to know to get the same network again, as far as that is known."""
        about = self.about
        words = [f"{self.name}: {self.source or f'a {type(self.model).__name__} as it was given'}"]
        if "data" in about:
            words.append(f"trained on {about['data'].partition(' (')[0]}")
        if "run" in about:
            words.append(f"seed {about['run']['seed']}, {about['run']['epochs']} epochs")
        if "test_error" in about:
            words.append(f"test error {percent(float(about['test_error']))}")
        return ", ".join(words)


@dataclass(frozen=True)
class Networks:
    """One entry of a menu of networks: one network, or two side by side, at one depth or at several.

    key      what a state calls it
    label    what a person reads
    load     gives the networks of a depth, plain first
    depths   numbers of layers, the least first; () where there is one depth only, and `load` gets 0 then
    sample   the photo to begin with, a name in `sample_photos()`
    about    {"classes", "mean", "std", "input_size"} of networks that don't carry it as `network.about`
    data     the data set whose test images `Images` offers beside them, "" for none
    trained  whether their answers mean anything
    tip      more about it, shown on hover
    residual the name of the residual network, with {} for its depth; "" for a person's own
    """

    key: str
    label: str
    load: "Callable[[int], tuple[NamedNetwork, ...]]" = field(compare=False, repr=False)
    depths: tuple[int, ...] = ()
    sample: str = "cat"
    data: str = ""
    about: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    trained: bool = True
    tip: str = ""
    residual: str = ""

    @property
    def start(self) -> int:
        """The depth that is shown first: 20 layers, or else the middle one; 0 where there is no choice."""
        if not self.depths:
            return 0
        return FIRST if FIRST in self.depths else self.depths[len(self.depths) // 2]

    def nearest(self, depth: int) -> int:
        """Return the depth that is next to another one; 0 where there is no choice."""
        return min(self.depths, key=lambda there: abs(there - depth), default=0)


class Loaded:
    """Keeps the networks of one entry, those of several depths; those of another entry take their place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key = ""
        self._networks: dict[int, tuple[NamedNetwork, ...]] = {}

    def __call__(self, networks: Networks, depth: int) -> tuple[NamedNetwork, ...]:
        """Return the networks of a depth, loaded once; wrappers around a person's own are taken off.

        Raises `ExploreError` for what is no network and for weights that can't be had.
        """
        from resnet_explore.analysis.wrapped import unwrapped

        with self._lock:
            if networks.key != self._key:
                self._key, self._networks = networks.key, {}
            if depth not in self._networks:
                found = networks.load(depth)
                self._networks[depth] = tuple(replace(one, model=unwrapped(one.model)) for one in found)
            return self._networks[depth]


def usual_networks(only: Sequence[str] | None = None) -> dict[str, Networks]:
    """Return what can be chosen by key, the trained twins that ship first.

    only  the keys of those that are offered, in their order, as far as they are there; None for all
    """
    entries = [
        *_shipped_twins(),
        Networks("random", "ResNet-50 twins, random weights", _random_twins, trained=False),
        Networks("imagenet", "ResNet-18 and -50 (142 MB)", _torchvision, tip="Downloaded once"),
    ]
    usual = {entry.key: entry for entry in entries}
    return usual if only is None else {key: usual[key] for key in only if key in usual}


def own_networks(models: Any, label: str = "your networks") -> Networks:
    """Return an entry of a person's own: a module, a sequence of two, or {name: module} of one or two.

    Raises `ExploreError` for another number of them.
    """
    if _is_module(models) or not isinstance(models, Sequence | Mapping) or isinstance(models, str):
        models = [models]
    named = dict(models) if isinstance(models, Mapping) else _named(list(models))
    if len(named) not in (1, 2):
        raise ExploreError(f"Give one model, or two to be put side by side, not {len(named)}.")
    kinds = ["residual"] if len(named) == 1 else ["plain", "residual"]
    pair = zip(named.items(), kinds, strict=True)
    found = tuple(NamedNetwork(str(name), kind, model) for (name, model), kind in pair)
    return Networks(OWN, label, lambda _: found, data="digits" if _sees_grey(found[-1].model) else "")


def _sees_grey(model: Any) -> bool:
    """Whether a network takes images of one channel, as far as it is known."""
    from torch import nn

    if not _is_module(model):
        return False
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    stated = (getattr(model, "about", None) or {}).get("mean", ())
    return len(stated) == 1 or (first is not None and first.in_channels == 1)


def _is_module(models: Any) -> bool:
    from torch import nn

    return isinstance(models, nn.Module)


def _named(models: list[Any]) -> dict[str, Any]:
    from resnet_explore.analysis.wrapped import unwrapped

    insides = [unwrapped(model) if _is_module(model) else model for model in models]
    names = [type(inside).__name__ for inside in insides]
    if len(set(names)) < len(names):
        names = [f"{name} {k + 1}" for k, name in enumerate(names)]
    return dict(zip(names, models, strict=True))


def _shipped_twins() -> Iterator[Networks]:
    """Yield an entry for each data set of which trained twins ship, with all depths that there are.

    Read off the names of the files: their contents would need torch.
    """
    found: dict[tuple[str, str], dict[int, set[str]]] = {}
    for path in shipped("data").glob("*/*.safetensors"):
        match = re.fullmatch(r"((?:cifar_)?)(plain|resnet)(\d+)", path.stem)
        if match:  # what has an "@" in its name is a step of a training
            family, kind, depth = match.groups()
            found.setdefault((path.parent.name, family), {}).setdefault(int(depth), set()).add(kind)
    for (data, family), depths in sorted(found.items()):
        both = tuple(sorted(depth for depth, kinds in depths.items() if len(kinds) == 2))
        if both:
            span = f"{both[0]} layers" if len(both) == 1 else f"{both[0]} to {both[-1]} layers"
            label = _LABELS.get(data, f"{data} twins, {{}}").format(span)
            sample = "temple" if data == "imagenette" else "cat"  # Imagenette has churches, but no cat
            several = both if len(both) > 1 else ()
            name = f"{family}resnet{{}}" if several else f"{family}resnet{both[0]}"
            load = _loader(data, family, both)
            yield Networks(data, label, load, several, sample, data, residual=name)


def _loader(data: str, family: str, depths: Sequence[int]) -> "Callable[[int], tuple[NamedNetwork, ...]]":
    def load(depth: int) -> tuple[NamedNetwork, ...]:
        from resnet_explore.models.presets import build

        depth = depth or depths[0]
        twins = (
            ("Plain", "plain", f"{family}plain{depth}"),
            ("Residual", "residual", f"{family}resnet{depth}"),
        )
        return tuple(
            NamedNetwork(f"{name}-{depth}", kind, build(model, weights=data), f"{model}, weights {data!r}")
            for name, kind, model in twins
        )

    return load


def _random_twins(_: int) -> tuple[NamedNetwork, ...]:
    from resnet_explore.models.presets import twins

    plain, residual = twins("resnet50")
    return (
        NamedNetwork("Plain-50", "plain", plain, "resnet50 without its skips, random weights"),
        NamedNetwork("Residual-50", "residual", residual, "resnet50, random weights"),
    )


def _torchvision(_: int) -> tuple[NamedNetwork, ...]:
    from resnet_explore.models.presets import build

    weights = "IMAGENET1K_V1"
    pair = (("ResNet-18", "plain", "resnet18"), ("ResNet-50", "residual", "resnet50"))
    return tuple(
        NamedNetwork(name, kind, build(model, weights=weights), f"{model}, torchvision's weights {weights!r}")
        for name, kind, model in pair
    )
