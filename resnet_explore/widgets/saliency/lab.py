"""What the saliency explorer looks at: networks that are loaded, with what is known of their answers."""

import copy
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from resnet_explore.analysis.explain.methods.registry import PIXELS, methods
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.networks import Loaded, NamedNetwork, Networks

if TYPE_CHECKING:  # torch is loaded by what computes, behind the first page
    from torch import Tensor, nn

    from resnet_explore.analysis.explain.answers import Answer
    from resnet_explore.models.summary import Window


@dataclass(frozen=True, eq=False)
class Opened:
    """The networks of one depth.

    kind     of answer that they give: "classes", "pixels" or "boxes"
    classes  names of the answers, each of its own; a detector's may be () and are then numbers
    about    what they carry of their training
    windows  what the places of each layer can see, one mapping for each network
    methods  those that can be applied
    lock     held by whoever runs them: hooks of two threads on one network would see each other's passes
    """

    networks: tuple[NamedNetwork, ...]
    kind: str
    classes: tuple[str, ...]
    about: Mapping[str, Any]
    windows: "tuple[Mapping[str, Window], ...]"
    methods: tuple[str, ...]
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def names(self) -> tuple[str, ...]:
        """What the networks are called; those of one name with a number."""
        names = [one.name for one in self.networks]
        return tuple(
            n if names.count(n) == 1 else f"{n} ({names[: k + 1].count(n)})" for k, n in enumerate(names)
        )

    @property
    def background(self) -> int | None:
        """The class of pixels that is nobody's first choice."""
        first = self.classes[0].strip("_").lower() if self.classes else ""
        return 0 if first == "background" else None

    def called(self, index: int) -> str:
        """Return what a class is called."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"

    def copies(self) -> "list[nn.Module]":
        """Return the networks again, for somebody who works beside the page."""
        with self.lock:
            return [copy.deepcopy(one.model) for one in self.networks]


class SaliencyLab:
    """The networks of a menu and the images for them, opened when they are asked for.

    classes  names of the answers of a person's own networks, None for those that they or an `ImageSet` carry
    """

    def __init__(
        self, entries: Mapping[str, Networks], images: Images, classes: Sequence[str] | None = None
    ) -> None:
        self.entries, self.images = entries, images
        self._classes = classes
        self._load = Loaded()
        self._lock = threading.RLock()
        self._opened: dict[tuple[str, int], Opened] = {}

    def data(self, key: str) -> str:
        """Return the data set whose test images suit the networks of an entry, "" for photos alone."""
        return self.entries[key].data

    def kind(self, key: str) -> str:
        """Return which kind of answer an entry's networks give, "classes" as long as nobody has asked."""
        return next((one.kind for (name, _), one in self._opened.items() if name == key), "classes")

    def open(self, key: str, depth: int, image: str) -> Opened:
        """Return the networks of a depth, loaded once, asked with an image for the form of their answer.

        Raises `ExploreError` for networks that can't be had, that can't take the image, or whose answers
        nobody can read.
        """
        with self._lock:
            if (key, depth) not in self._opened:
                entry = self.entries[key]
                found = self._load(entry, depth)
                opened = self._described(entry, found, image)
                self._opened = {k: one for k, one in self._opened.items() if k[0] == key}
                self._opened[key, depth] = opened
            return self._opened[key, depth]

    def batch(self, about: Mapping[str, Any], image: str) -> "Tensor":
        """Return an image as networks of which this is known take it."""
        return self.images.picture(image).batch(self.images.form_for(about))

    def _described(self, entry: Networks, found: tuple[NamedNetwork, ...], image: str) -> Opened:
        from resnet_explore.models.summary import fields_if_known

        models = [one.model for one in found]
        about: dict[str, Any] = dict(getattr(models[0], "about", None) or entry.about or {})
        if "mean" not in about and _sees_grey(models[0]):
            about |= self.images.about_digits()
        seen = self.batch(about, image)
        kind, count = _kind_of([_answer(model, seen) for model in models])
        return Opened(
            networks=found,
            kind=kind,
            classes=self._names(about, count),
            about=about,
            windows=tuple(fields_if_known(model, tuple(seen.shape[1:])) for model in models),
            methods=tuple(_methods(models)),
        )

    def _names(self, about: Mapping[str, Any], count: int) -> tuple[str, ...]:
        """Return the names of so many answers; of a detector, whose number nobody can tell, all there are."""
        if count and self._classes is not None and len(self._classes) != count:
            raise ExploreError(f"classes must name {count} answers, not {len(self._classes)}.")
        known = self._classes or about.get("classes") or self.images.classes
        if not known or len(known) != (count or len(known)):
            known = [f"class {k}" for k in range(count)]
        return distinct([str(name) for name in known])


def own_copies(entry: Networks) -> Networks:
    """Return an entry of networks that nobody else runs: a person may go on with theirs meanwhile.

    Raises `ExploreError` for what is no network.
    """
    from resnet_explore.analysis.wrapped import unwrapped

    found = entry.load(0)
    copies = tuple(replace(one, model=copy.deepcopy(unwrapped(one.model))) for one in found)
    return replace(entry, load=lambda _: copies)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes; those that several bear, as two of ImageNet's do, with their number."""
    often = Counter(names)
    return tuple(name if often[name] == 1 else f"{name} ({k})" for k, name in enumerate(names))


def _sees_grey(network: "nn.Module") -> bool:
    from torch import nn

    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    return first is not None and first.in_channels == 1


def _answer(network: "nn.Module", seen: "Tensor") -> "Answer":
    import torch

    from resnet_explore.analysis._batch import as_images, run
    from resnet_explore.analysis._state import measuring
    from resnet_explore.analysis.explain.answers import read_answer

    with measuring(network), torch.no_grad():
        return read_answer(run(network.eval(), as_images(network, seen)), seen.shape[2:])


def _kind_of(answers: "Sequence[Answer]") -> tuple[str, int]:
    """Return what kind of answer the networks give, and of how many classes: 0 where no one can tell."""
    kinds, counts = [one.kind for one in answers], [len(one.shares) for one in answers]
    if len(set(kinds)) > 1:
        raise ExploreError(f"Two networks need answers of one kind, but these give {' and '.join(kinds)}.")
    if kinds[0] == "boxes":
        return "boxes", 0  # a detector shows no more than the classes that it has found
    if len(set(counts)) > 1:
        raise ExploreError(f"Two networks need the same classes, but these have {counts[0]} and {counts[1]}.")
    return kinds[0], counts[0]


def _methods(networks: "Sequence[nn.Module]") -> list[str]:
    """Return the methods that can be applied: all, or without convolutions those by pixels."""
    from resnet_explore.analysis.topology.cam_layers import choose_layers

    by: tuple[str, ...] = ()
    try:
        for network in networks:
            choose_layers(network)
    except ExploreError:
        by = (PIXELS,)
    return list(methods(*by))
