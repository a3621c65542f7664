"""A person's own networks and images, in the form that the saliency explorer shows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, run
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.answers import Answer, read_answer
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import ImageSet
from resnet_explore.inputs.images import to_batch
from resnet_explore.widgets.exhibits import exhibit_of
from resnet_explore.widgets.pairs import Pair, are_pairs, usual_pairs
from resnet_explore.widgets.photos import Album, Photo, sample_album
from resnet_explore.widgets.pictures import Batch, Photos, Pictures, pictures_for, pictures_of

OWN = "your networks"  # the one entry of the menu where a person gave them


def pairs_of(models: Any, images: Any, classes: Sequence[str] | None) -> tuple[dict[str, Pair], Album | None]:
    """Return the menu of networks, and the images if they are a person's own.

    models   {menu entry: Pair}, or a person's own networks; None for those that are usual
    """
    if models is not None and not are_pairs(models):
        pair, album = own_networks(models, images, classes)
        return {OWN: pair}, album
    if images is not None or classes is not None:
        raise ExploreError("images and classes go with a network of your own: give it as models.")
    pairs = dict(usual_pairs() if models is None else models)
    if not pairs:
        raise ExploreError("models must hold at least one pair of networks, got none.")
    return pairs, None


def own_networks(models: Any, images: Any, classes: Sequence[str] | None) -> tuple[Pair, Album]:
    """Return a network, or two side by side, as a `Pair`, and the images as an album.

    models   a module, a sequence of two, or {name: module}
    images   as `FeatureMapExplorer` takes them; None for sample photos, or digits for networks that see grey
    classes  names of the answers; None for those that the first network's `about` or an `ImageSet` has,
             else numbers

    Raises ExploreError for what is no network, takes other images, or answers in another form than those
    that `read_answer` knows.
    """
    subjects = exhibit_of(models).load(0)
    networks = tuple(unwrapped(subject.model) for subject in subjects)
    about: dict[str, Any] = dict(getattr(networks[0], "about", None) or {})
    album, how = _album(images, about, networks[0])
    first = album.load(next(iter(album.photos)))
    seen = (
        to_batch(first.image, how["side"], how["mean"], how["std"]) if first.tensor is None else first.tensor
    )
    kind, count = _kind_of([_answer(network, seen) for network in networks])
    known = classes or about.get("classes") or (images.classes if isinstance(images, ImageSet) else None)
    if count and classes is not None and len(classes) != count:
        raise ExploreError(f"classes must name {count} answers, not {len(classes)}.")
    if known is None or len(known) != (count or len(known)):
        known = [f"class {k}" for k in range(count)]
    about |= {"mean": how["mean"], "std": how["std"], "input_size": tuple(seen.shape[1:])}
    about["classes"] = [str(name) for name in known]
    names = tuple(subject.name for subject in subjects)
    return Pair(names, lambda _: networks, about=about, answers=kind), album


def _album(images: Any, about: Mapping[str, Any], network: nn.Module) -> tuple[Album, dict[str, Any]]:
    """Return the images, and how a photo is made into an input beside them."""
    listed = [images] if isinstance(images, Image.Image) else images
    if isinstance(listed, Sequence) and listed and all(isinstance(one, Image.Image) for one in listed):
        photos = {k: (f"image {k}", _photo(one, k, len(listed))) for k, one in enumerate(listed)}
        return Album(photos), _how(Photos(about))
    conv = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    channels = None if conv is None else conv.in_channels
    pictures = pictures_for(about, channels) if images is None else pictures_of(images)
    if isinstance(pictures, Photos):
        return sample_album(), _how(pictures)
    chosen = {name: (title, _picture(pictures, name)) for title, name in pictures.options.items()}
    return Album(chosen, uploads=not isinstance(pictures, Batch)), _how(pictures)


def _how(pictures: Pictures) -> dict[str, Any]:
    if isinstance(pictures, Batch):  # no photo is made into an input there
        return {"mean": (0.0,), "std": (1.0,), "side": 0}
    side = pictures.side if isinstance(pictures, Photos) else pictures.set.images.shape[-1]
    return {"mean": pictures.mean, "std": pictures.std, "side": int(side)}


def _photo(image: Image.Image, k: int, count: int) -> Callable[[], Photo]:
    return lambda: Photo(image.convert("RGB"), f"image {k} of {count}", name=k)


def _picture(pictures: Any, name: Any) -> Callable[[], Photo]:
    def load() -> Photo:
        found = pictures.picture(name)
        colours = Image.fromarray(found.seen(pictures.mean, pictures.std))
        return Photo(colours, found.about, found.tensor, name)

    return load


def _answer(network: nn.Module, seen: Tensor) -> Answer:
    with measuring(network), torch.no_grad():
        return read_answer(run(network.eval(), as_images(network, seen)), seen.shape[2:])


def _kind_of(answers: Sequence[Answer]) -> tuple[str, int]:
    """Return what kind of answer the networks give, and of how many classes: 0 where no one can tell."""
    kinds, counts = [one.kind for one in answers], [len(one.shares) for one in answers]
    if len(set(kinds)) > 1:
        raise ExploreError(f"Two networks need answers of one kind, but these give {' and '.join(kinds)}.")
    if kinds[0] == "boxes":
        return "boxes", 0  # a detector shows no more than the classes that it has found
    if len(set(counts)) > 1:
        raise ExploreError(f"Two networks need the same classes, but these have {counts[0]} and {counts[1]}.")
    return kinds[0], counts[0]
