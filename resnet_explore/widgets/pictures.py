"""Which image the networks are shown: sample photos, a data set's images, an upload, a person's own batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import ImageSet, load_dataset
from resnet_explore.inputs.images import require_finite, sample_photos, to_batch

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "input_size": (3, 224, 224)}
SMALL = 64  # pixels a side: images of so few are cheap enough to look at several for the statistics
_MORE = 32


@dataclass(frozen=True)
class Picture:
    """One image as the network gets it, float (1, C, H, W), and what it is in words.

    `key` is what it is called among those that can be chosen, None for an upload.
    """

    tensor: Tensor
    about: str
    key: Any = None

    @property
    def small(self) -> bool:
        """Whether statistics are over others too; of larger ones over this image alone."""
        return self.tensor[0, 0].numel() <= SMALL**2

    def seen(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> np.ndarray:
        """Return it as colours, uint8 (H, W, 3); without mean and std stretched to its own range."""
        values = self.tensor[0].float().cpu()
        if mean is not None and std is not None and len(mean) == len(values):
            values = values * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]
        else:
            low, high = float(values.min()), float(values.max())
            values = (values - low) / ((high - low) or 1.0)
        values = values if len(values) == 3 else values.mean(0, keepdim=True).expand(3, -1, -1)
        return (values.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


class Photos:
    """Sample photos and uploads, for networks of which is known how their input is made."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        known = about if "mean" in about else _IMAGENET
        self.mean, self.std, self.side = known["mean"], known["std"], int(known["input_size"][1])
        self._photos = sample_photos()
        self.options = {photo.title: name for name, photo in self._photos.items()}

    def picture(self, name: Any) -> Picture:
        """Return a sample photo."""
        photo = self._photos[name]
        return replace(self.of(photo.load(), f"{photo.title} ({photo.credit})"), key=name)

    def of(self, image: Image.Image, about: str) -> Picture:
        """Return any photo: its middle square, at the networks' size."""
        return Picture(to_batch(image, self.side, self.mean, self.std), about)

    def batch(self, picture: Picture) -> Tensor:
        """Return what statistics are over: a picture, and where they are small the sample photos too."""
        names = [name for name in self._photos if name != picture.key] if picture.small else []
        return torch.cat([picture.tensor, *(self.picture(name).tensor for name in names)])


class SetImages:
    """The images of a data set; uploads are brought to their size."""

    def __init__(self, images: ImageSet) -> None:
        self.set, self.mean, self.std = images, images.mean, images.std
        count = min(len(images), 500)
        self.options = {
            f"{images.classes[int(label)]} ({images.split} image {k})": k
            for k, label in enumerate(images.labels[:count])
        }

    def picture(self, k: Any) -> Picture:
        """Return image k."""
        name = self.set.classes[int(self.set.labels[k])]
        about = f"{self.set.name}, {self.set.split} image {k} ({name})"
        return Picture(self.set.normalized(slice(k, k + 1)), about, k)

    def of(self, image: Image.Image, about: str) -> Picture:
        """Return a photo as the set's images are."""
        return Picture(to_batch(image, self.set.images.shape[-1], self.mean, self.std), about)

    def batch(self, picture: Picture) -> Tensor:
        """Return what statistics are over: a picture, and where they are small the set's first ones too."""
        first = self.set.normalized(slice(0, _MORE)) if picture.small else picture.tensor[:0]
        return _ahead(picture, first)


class Batch:
    """A person's own tensor of images, standardised already."""

    mean = std = None

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.options = {f"image {k}": k for k in range(len(images))}

    def picture(self, k: Any) -> Picture:
        """Return image k."""
        about = f"image {k} of {len(self.images)}, colours stretched to their range"
        return Picture(self.images[k : k + 1], about, k)

    def batch(self, picture: Picture) -> Tensor:
        """Return what statistics are over: a picture, and where they are small the first ones too."""
        return _ahead(picture, self.images[: _MORE if picture.small else 0])


def _ahead(picture: Picture, first: Tensor) -> Tensor:
    """Return a picture and the first images behind it, once each."""
    there = isinstance(picture.key, int) and picture.key < len(first)
    others = torch.cat([first[: picture.key], first[picture.key + 1 :]]) if there else first
    return torch.cat([picture.tensor, others])


Pictures = Photos | SetImages | Batch


def pictures_for(about: Mapping[str, Any], channels: int | None) -> Pictures:
    """Return the images that fit a network of which `about` is known: digits for grey input, else photos."""
    if channels == 1 or len(about.get("mean", (0, 0, 0))) == 1:
        return SetImages(load_dataset("digits", split="test"))
    return Photos(about)


def pictures_of(images: Any) -> Pictures:
    """Return a person's images in any of the forms that they come in.

    A float tensor (N, C, H, W) or (C, H, W), standardised; a list of such (C, H, W) of one size; an
    `ImageSet`; a PIL image or a list of them, brought to 224 pixels and ImageNet's mean and deviation.
    """
    if isinstance(images, ImageSet):
        return SetImages(images)
    listed: Any = [images] if isinstance(images, Image.Image) else images
    if isinstance(listed, Sequence) and not isinstance(listed, str) and not listed:
        raise ExploreError("images is empty; give at least one, or leave it out for sample photos.")
    if isinstance(listed, Sequence) and listed and all(isinstance(i, Image.Image) for i in listed):
        return Batch(torch.cat([Photos({}).of(image, "").tensor for image in listed]))
    if isinstance(listed, Sequence) and listed and all(isinstance(i, Tensor) and i.ndim == 3 for i in listed):
        if len({i.shape for i in listed}) > 1:
            raise ExploreError("images in a list must have one size; give those of one size at a time.")
        images = torch.stack(list(listed))
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(images)
    if isinstance(images, Tensor) and images.ndim == 3:
        images = images[None]
    if (
        not isinstance(images, Tensor)
        or images.ndim != 4
        or 0 in images.shape
        or not images.is_floating_point()
    ):
        what = (
            f"{images.dtype} of shape {tuple(images.shape)}"
            if isinstance(images, Tensor)
            else f"a list of {' and '.join(sorted({type(i).__name__ for i in images}))}"
            if isinstance(images, list)
            else type(images).__name__
        )
        raise ExploreError(
            "images must be a float tensor (N, C, H, W), standardised as the model expects, a list of such "
            f"(C, H, W), an ImageSet, or PIL images, not {what}."
        )
    require_finite(images)
    return Batch(images.detach())
