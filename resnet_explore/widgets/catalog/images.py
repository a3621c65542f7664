"""Which images a menu offers: sample photos, test images of a data set, a person's own, and what was
uploaded.

An image is known by its id, which is what an explorer's state holds: "cat" for a sample photo, "digits/12"
for a test image, "image-3" for one that was given, "upload-2" for one that was dropped. What was uploaded
stays for as long as the explorer does.
"""

import functools
import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.inputs.images import decode_image, remark, sample_photos, square_crop
from resnet_explore.widgets.core.view import Choice, Menu, Part, Thumb, Thumbs, Upload

if TYPE_CHECKING:  # a menu of photos needs no torch
    from torch import Tensor

    from resnet_explore.inputs.datasets import ImageSet

SMALL = 64  # pixels a side: images of so few are cheap enough to look at several for the statistics
_OTHERS = 32
_MOST_THUMBS = 24  # more images than these stand in a menu instead of a strip
_MOST_LISTED = 500
_THUMB = 104  # pixels, twice what is shown
_QUICK = {"digits": "Digits", "cifar10": "CIFAR-10"}  # sets that are read within a second
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "input_size": (3, 224, 224)}


@dataclass(frozen=True)
class InputForm:
    """How a photo becomes a network's input: its middle square of `side` pixels, (v / 255 - mean) / std."""

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def form_of(about: Mapping[str, Any]) -> InputForm:
    """Return the form that a network's `about` states, ImageNet's where it says nothing."""
    known = about if "mean" in about else _IMAGENET
    return InputForm(int(known["input_size"][-1]), tuple(known["mean"]), tuple(known["std"]))


@dataclass(frozen=True, eq=False)
class Picture:
    """One image.

    image   its colours, RGB
    about   what it is, in words
    tensor  (1, C, H, W) where it was given as numbers, which networks get as they are; None for a photo
    """

    key: str
    image: Image.Image
    about: str
    tensor: "Tensor | None" = None

    @property
    def cropped(self) -> bool:
        """Whether networks see its middle square alone."""
        return self.tensor is None

    def batch(self, form: InputForm) -> "Tensor":
        """Return what a network gets, (1, C, H, W)."""
        from resnet_explore.inputs.images import to_batch

        return to_batch(self.image, form.side, form.mean, form.std) if self.tensor is None else self.tensor

    def colors(self, form: InputForm) -> np.ndarray:
        """Return it as a network sees it, uint8 (H, W, 3)."""
        return np.asarray(square_crop(self.image, form.side) if self.cropped else self.image)

    def seen(self, side: int) -> Image.Image:
        """Return what maps are laid over, `side` pixels on the longer side: of a photo the middle square."""
        if self.cropped:
            return square_crop(self.image, side)
        scale = side / max(self.image.size)
        size = [max(1, round(n * scale)) for n in self.image.size]
        # Few large pixels are what the network gets; they are not made smooth.
        return self.image.resize((size[0], size[1]), Image.Resampling.NEAREST)


class Images:
    """The images that an explorer offers, by id, with those that were uploaded to it.

    own  a person's own images, in the forms that `own_images` takes; None for sample photos and test images

    Attributes: `own` (whether they are a person's), `takes_uploads` (whether a photo can be made into what
    the networks take), `form` (how, where the images themselves say so), `classes` (what their labels are
    called, if they have any).
    """

    def __init__(self, own: Any = None) -> None:
        self.own = own is not None
        self._own = None if own is None else own_images(own)
        self.form = self._own.form if self._own is not None else None
        self.classes = self._own.classes if self._own is not None else ()
        self.takes_uploads = self._own is None or self._own.takes_uploads
        # Photos come in other threads than pages are made in: whoever adds one replaces the whole dict.
        self._uploads: Mapping[str, Picture] = {}
        self._adding = threading.Lock()
        self._originals: dict[str, bytes] = {}  # by id, to know a file again
        self._files: dict[str, str] = {}  # by id, what the file was called
        self._thumbs: dict[str, bytes] = {}
        self._taken = 0
        self._batch: Any = None
        self._problems: list[str] = []
        self._remarks: list[str] = []
        self._last = ""

    def form_for(self, about: Mapping[str, Any]) -> InputForm:
        """Return how a photo becomes an input: as the images say, or else the network's `about`."""
        return self.form or form_of(about)

    # --- what can be chosen -------------------------------------------------------------------------------

    def choices(self, data: str = "") -> tuple[Choice, ...]:
        """Return what a menu offers beside the networks that were trained on `data`, uploads last."""
        uploads = (Choice(key, one.about, group="Yours") for key, one in self._uploads.items())
        return (*self.given(data), *uploads)

    def given(self, data: str = "") -> tuple[Choice, ...]:
        """Return what a menu offers before anything is uploaded: always the same."""
        if self._own is not None:
            return self._own.choices()
        if data == "digits":
            return _test_choices(data)  # of a photo, 8x8 grey pixels say nothing
        photos = (Choice(p.name, p.title, p.credit, group="Photos") for p in sample_photos().values())
        return (*photos, *_test_choices(data))

    def fitting(self, key: str, data: str = "", first: str = "") -> str:
        """Return `key` if it is offered beside these networks, else `first` or the first that is."""
        if self._own is None and (key, data) == ("digits/0", "digits"):
            return key  # it ships; to read all of them would load torch before there is a picture
        keys = [choice.value for choice in self.choices(data)]
        return next((one for one in (key, first) if one in keys), keys[0])

    def picture(self, key: str) -> Picture:
        """Return an image. Raises `ExploreError` with the closest ids for one that there is not."""
        if key in self._uploads:
            return self._uploads[key]
        if self._own is not None:
            return self._own.picture(key)
        if key in sample_photos():
            return _sample(key)
        name, _, number = key.partition("/")
        if name in _QUICK and number.isdecimal():
            images = _test_images(name)
            if int(number) >= len(images):
                last = len(images) - 1
                raise ExploreError(f"{_QUICK[name]} has the test images {name}/0 to {name}/{last}.")
            return _test_picture(key, images, int(number))
        raise unknown("image", key, [*sample_photos(), *self._uploads])

    def batch(self, key: str, form: InputForm) -> "Tensor":
        """Return what statistics are over: an image, and where it is small the first others beside it."""
        import torch

        first = self.picture(key).batch(form)
        if first[0, 0].numel() > SMALL**2:
            return first
        name, _, number = key.partition("/")
        if self._own is not None:
            others = self._own.keys()
        elif number or form.side < 16:
            others = [f"{name if number else 'digits'}/{k}" for k in range(_OTHERS)]
        else:
            others = list(sample_photos())
        more = [self.picture(other).batch(form) for other in others[:_OTHERS] if other != key]
        return torch.cat([first, *(one for one in more if one.shape == first.shape)])

    def about_digits(self) -> dict[str, Any]:
        """Return what is known of networks of which nothing is but that they see grey: they get digits."""
        digits = _test_images("digits")
        return {"mean": digits.mean, "std": digits.std, "input_size": tuple(digits.images.shape[1:])}

    # --- what is uploaded ---------------------------------------------------------------------------------

    def add(self, image: Image.Image | str | Path, about: str = "") -> str:
        """Keep a photo, a PIL image or a file, and return its id: the one that it has, if it is there.

        `about` says in a few words what it is. Raises `ExploreError` where the networks look at what they
        were given, and for a file that is no image.
        """
        if isinstance(image, Image.Image):
            return self._keep(image, about or "an image of yours")
        name = str(image)
        return self._keep(decode_image(image), about or f"your photo {Path(name).name}", file=name)

    def take_over(self, other: "Images", key: str) -> str:
        """Keep a photo that was brought to another explorer, and return its id here."""
        photo = other.picture(key)
        return self._keep(photo.image, photo.about, other._originals[key], other._files[key])

    def _keep(self, image: Image.Image, about: str, original: bytes | None = None, file: str = "") -> str:
        if not self.takes_uploads:
            raise ExploreError("These networks look at the images that they were given.")
        data = image.tobytes() if original is None else original
        with self._adding:
            for key, one in self._uploads.items():
                if one.about == about and self._originals[key] == data:
                    return key
            key = f"upload-{len(self._uploads) + 1}"
            self._originals[key], self._files[key] = data, file
            self._uploads = {**self._uploads, key: Picture(key, image.convert("RGB"), about)}
        return key

    def receive(self, detail: Mapping[str, Any], buffers: Sequence[Any]) -> str | None:
        """Take what the upload control sends, one file; return its id, None for what is no image.

        What is wrong with one file, or to be said of it, is said beside those that came with it.
        """
        if len(buffers) != 1:
            return None
        name, note = str(detail.get("name", "photo")), str(detail.get("note", ""))
        if detail.get("batch") != self._batch:
            self.forget_words()
        self._batch, self._taken = detail.get("batch"), self._taken + 1
        try:
            data = bytes(buffers[0])
            image = decode_image(data)
            key = self._keep(image, f"your photo {name}", data, name)
        except ExploreError as problem:
            sentence = str(problem).replace(f"The data ({len(data):,} bytes)", name)
            self._problems.append(sentence if name in sentence else f"{name}: {sentence}")
            return None
        about = remark(image)
        self._remarks += [f"{name}: {about}."] if about else []
        self._remarks += [note] if note else []
        self._last = str(detail.get("count") or f"{name} arrived.")
        return key

    def forget_words(self) -> None:
        """Say nothing more of the last upload: something else was chosen since."""
        self._problems, self._remarks, self._last, self._batch = [], [], "", None

    # --- code ---------------------------------------------------------------------------------------------

    def usual(self, key: str, default: str, data: str, first: str) -> str:
        """Return the image that is there without being named: by `fitting`, or because a step shows it."""
        return key if key in self._uploads else self.fitting(default, data, first)

    def steps_in_code(self, key: str) -> list[str]:
        """Return the statement that shows a photo which somebody brought; none for what is there anyway."""
        return [f"explorer.show_image({self._file(key)!r})"] if key in self._uploads else []

    def notes_in_code(self, key: str) -> list[str]:
        """Return what is to be said of that statement: nobody tells Python where an upload lies."""
        return [f"{self._file(key)}: put the path of your photo here."] if key in self._uploads else []

    def _file(self, key: str) -> str:
        return self._files[key] or "photo.jpg"

    # --- controls -----------------------------------------------------------------------------------------

    def controls(self, field: str, data: str = "", chosen: str = "") -> tuple[Part, ...]:
        """Return the controls that choose an image: a strip or a menu, and the place for uploads.

        field   of the state, which holds the id; what is uploaded comes as `act(f"{field}.upload", ...)`
        chosen  the id that it holds now, which is listed even where it is not usually offered
        """
        choices = self.choices(data)
        if chosen and chosen not in [choice.value for choice in choices]:
            choices = (Choice(chosen, self.picture(chosen).about), *choices)
        few = len(choices) <= _MOST_THUMBS
        strip = [choice for choice in choices if few or choice.value in self._uploads]
        parts: list[Part] = [] if few else [Menu(field, "Image", choices)]
        if len(strip) > 1 or (strip and not few):
            parts.append(Thumbs(field, "Image", tuple(self._thumb(choice) for choice in strip)))
        if self.takes_uploads:
            said = " ".join([*self._problems, *self._remarks]) or self._last
            parts.append(Upload(f"{field}.upload", said, bool(self._problems), self._taken))
        return tuple(parts)

    def _thumb(self, choice: Choice) -> Thumb:
        key = choice.value
        if key not in self._thumbs:
            picture = self.picture(key)
            side = _THUMB if min(picture.image.size) >= _THUMB else min(picture.image.size)
            buffer = io.BytesIO()
            square_crop(picture.image, side).save(buffer, "JPEG", quality=85)
            self._thumbs[key] = buffer.getvalue()
        tip = f"{choice.label} ({choice.tip})" if choice.tip else choice.label
        return Thumb(key, tip, self._thumbs[key])


# --- sample photos and test images --------------------------------------------------------------------------


@functools.cache
def _sample(name: str) -> Picture:
    photo = sample_photos()[name]
    return Picture(name, photo.load(), f"{photo.title} ({photo.credit})")


def _test_choices(data: str) -> tuple[Choice, ...]:
    if data not in _QUICK:
        return ()
    from resnet_explore.inputs.datasets import is_here

    if not is_here(data):
        return ()
    images, group = _test_images(data), f"{_QUICK[data]} test images"
    named = zip(range(_MOST_LISTED), images.labels.tolist(), strict=False)
    return tuple(
        Choice(f"{data}/{k}", f"{images.classes[c]} (test image {k})", group=group) for k, c in named
    )


@functools.cache
def _test_images(data: str) -> "ImageSet":
    from resnet_explore.inputs.datasets import load_dataset

    return load_dataset(data, split="test", download=False)


def _test_picture(key: str, images: "ImageSet", k: int) -> Picture:
    about = f"{images.name}, {images.split} image {k} ({images.classes[int(images.labels[k])]})"
    return Picture(key, _colours(images.images[k]), about, images.normalized(slice(k, k + 1)))


def _colours(pixels: "Tensor") -> Image.Image:
    """Return uint8 (C, H, W) of one or three channels as RGB."""
    three = pixels.expand(3, *pixels.shape[1:]) if len(pixels) == 1 else pixels
    return Image.fromarray(three.permute(1, 2, 0).contiguous().numpy())


# --- a person's own -----------------------------------------------------------------------------------------


class OwnImages:
    """Images that were given: `keys`, `choices` and `picture` as for `Images`.

    form           how a photo becomes such an image, None where nobody can tell
    takes_uploads  whether photos can be added
    """

    form: InputForm | None = None
    takes_uploads = True
    classes: tuple[str, ...] = ()

    def __init__(self, count: int) -> None:
        self.count = count

    def keys(self) -> list[str]:
        """Return all ids, in order."""
        return [f"image-{k}" for k in range(self.count)]

    def choices(self) -> tuple[Choice, ...]:
        """Return what a menu offers."""
        return tuple(Choice(f"image-{k}", self.title(k)) for k in range(min(self.count, _MOST_LISTED)))

    def title(self, k: int) -> str:
        """Return what an image is called in a menu."""
        return f"image {k}"

    def picture(self, key: str) -> Picture:
        """Return an image by its id."""
        number = key.removeprefix("image-")
        if not number.isdecimal() or int(number) >= self.count:
            raise unknown("image", key, self.keys())
        return self.load(key, int(number))

    def load(self, key: str, k: int) -> Picture:
        """Return image k."""
        raise NotImplementedError


class OwnPhotos(OwnImages):
    """PIL images, brought into the form that each network takes."""

    def __init__(self, photos: Sequence[Image.Image]) -> None:
        super().__init__(len(photos))
        self._photos = photos

    def load(self, key: str, k: int) -> Picture:
        """Return photo k."""
        return Picture(key, self._photos[k].convert("RGB"), f"image {k} of {self.count}")


class OwnSet(OwnImages):
    """The images of an `ImageSet`; photos are brought to their size."""

    def __init__(self, images: "ImageSet") -> None:
        super().__init__(len(images))
        self._set, self.classes = images, images.classes
        self.form = InputForm(int(images.images.shape[-1]), images.mean, images.std)

    def title(self, k: int) -> str:
        """Return the class of an image, and which of the set it is."""
        return f"{self._set.classes[int(self._set.labels[k])]} ({self._set.split} image {k})"

    def load(self, key: str, k: int) -> Picture:
        """Return image k of the set."""
        return _test_picture(key, self._set, k)


class OwnBatch(OwnImages):
    """A float tensor (N, C, H, W), standardised already."""

    takes_uploads = False

    def __init__(self, images: "Tensor") -> None:
        super().__init__(len(images))
        self._images = images

    def load(self, key: str, k: int) -> Picture:
        """Return image k, its colours stretched to its own range."""
        values = self._images[k].float().cpu()
        low, high = float(values.min()), float(values.max())
        values = (values - low) / ((high - low) or 1.0)
        values = values if len(values) == 3 else values.mean(0, keepdim=True)
        colours = _colours((values.clamp(0, 1) * 255).round().byte())
        about = f"image {k} of {self.count}, colours stretched to their range"
        return Picture(key, colours, about, self._images[k : k + 1])


def own_images(images: Any) -> OwnImages:
    """Return a person's images in any of the forms that they come in.

    A float tensor or array (N, C, H, W) or (C, H, W), standardised; a list of such (C, H, W) of one size; an
    `ImageSet`; a PIL image or a list of them. Raises `ExploreError` for anything else.
    """
    import torch

    from resnet_explore.inputs.datasets import ImageSet
    from resnet_explore.inputs.images import require_finite

    if isinstance(images, ImageSet):
        return OwnSet(images)
    listed: Any = [images] if isinstance(images, Image.Image) else images
    if isinstance(listed, Sequence) and not isinstance(listed, str) and not listed:
        raise ExploreError("images is empty; give at least one, or leave it out for sample photos.")
    if isinstance(listed, Sequence) and all(isinstance(i, Image.Image) for i in listed):
        return OwnPhotos(listed)
    if isinstance(listed, Sequence) and all(isinstance(i, torch.Tensor) and i.ndim == 3 for i in listed):
        if len({i.shape for i in listed}) > 1:
            raise ExploreError("images in a list must have one size; give those of one size at a time.")
        images = torch.stack(list(listed))
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(images)
    if isinstance(images, torch.Tensor) and images.ndim == 3:
        images = images[None]
    if not _is_batch(images):
        raise ExploreError(
            "images must be a float tensor (N, C, H, W), standardised as the model expects, a list of such "
            f"(C, H, W), an ImageSet, or PIL images, not {_kind(images)}."
        )
    require_finite(images)
    return OwnBatch(images.detach())


def _is_batch(images: Any) -> bool:
    import torch

    return (
        isinstance(images, torch.Tensor)
        and images.ndim == 4
        and 0 not in images.shape
        and images.is_floating_point()
    )


def _kind(images: Any) -> str:
    """Say what was given instead of images."""
    import torch

    if isinstance(images, torch.Tensor):
        return f"{images.dtype} of shape {tuple(images.shape)}"
    if isinstance(images, list):
        return f"a list of {' and '.join(sorted({type(i).__name__ for i in images}))}"
    return type(images).__name__
