"""Photos to look at: dropped, pasted, chosen or from a menu, kept in a strip to go back to."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.figures.heatmaps import photo_jpeg
from resnet_explore.inputs.images import SamplePhoto, decode_image, remark, sample_photos, square_crop
from resnet_explore.widgets.choices import Choices
from resnet_explore.widgets.upload import UploadZone

UPLOADED = ""  # what a menu of pictures holds for an upload: None would be no entry at all
_MOST = 12
_keys = count()


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture, in words what it is, and where networks get numbers instead of it those: (1, C, H, W).

    name  what the album calls it; None for an upload
    key   its own for as long as it is in the strip
    """

    image: Image.Image
    about: str
    tensor: Tensor | None = None
    name: Any = None
    key: str = field(default_factory=lambda: str(next(_keys)))

    def jpeg(self, side: int) -> bytes:
        """Return what maps are laid over: the middle square, or of numbers all of them."""
        return photo_jpeg(square_crop(self.image, side) if self.tensor is None else self.image, side)


@dataclass(frozen=True)
class Album:
    """What can be chosen from: {name: (title, a function that gives the photo)}.

    uploads  whether a person's photo can be brought into the form that the networks take
    """

    photos: Mapping[Any, tuple[str, Callable[[], Photo]]]
    uploads: bool = True

    def load(self, name: Any) -> Photo:
        """Return a photo; ExploreError for a name that is not there."""
        if name not in self.photos:
            raise unknown("sample photo", name, self.photos)
        return self.photos[name][1]()


def sample_album() -> Album:
    """Return the photos that are there offline."""
    return Album({name: (photo.title, _loader(name, photo)) for name, photo in sample_photos().items()})


def _loader(name: str, photo: SamplePhoto) -> Callable[[], Photo]:
    return lambda: Photo(photo.load(), f"{photo.title} ({photo.credit})", name=name)


class PhotoPicker(ipywidgets.VBox):
    """An upload zone, a menu of the album, and a strip of the photos so far, once there are two.

    first   the photo to begin with, a name in the album; None for its first
    use     called, without arguments, when `photo` has changed. Where it raises ExploreError the photo is
            given up for the one before, and the sentence is shown below the zone

    Attributes: `upload`, `sample`, `strip` (the controls), `photo` (a `Photo`).
    """

    def __init__(self, first: Any, use: Callable[[], None], album: Album | None = None) -> None:
        self._album = album or sample_album()
        first = next(iter(self._album.photos)) if first is None else first
        self._use = use
        self._photos = [self._album.load(first)]
        self._now = self._photos[0]
        self.upload = UploadZone(many=True)
        self.strip = Choices()
        self._options = {title: name for name, (title, _) in self._album.photos.items()}
        self.sample = ipywidgets.Dropdown(
            options=self._options,
            value=first,
            description="Sample" if album is None else "Image",
            layout={"width": "98%"},
            style={"description_width": "6em"},
        )
        zone = [self.upload] if self._album.uploads else []
        menu = [self.sample] if len(self._album.photos) > 1 else []
        super().__init__([*zone, self.strip, *menu])
        self.upload.on_upload(self._take_upload)
        self.strip.observe(self._take_chosen, "chosen")
        self.sample.observe(self._take_sample, "value")

    @property
    def photo(self) -> Photo:
        """The photo that is shown."""
        return self._now

    def show(self, image: Image.Image, about: str) -> None:
        """Add an RGB image and change to it; raises what `use` raises and stays with the one before then."""
        if not self._album.uploads:
            raise ExploreError("These networks look at the images that they were given.")
        same = (one for one in self._photos if one.about == about and one.image == image)
        self._go(next(same, None) or Photo(image, about))

    def _go(self, photo: Photo) -> None:
        """Change to a photo, of the strip or a new one, which may push out the oldest."""
        before = self._photos, self._now
        if photo not in self._photos:
            self._photos = [*self._photos[-_MOST + 1 :], photo]
        self._now = photo
        try:
            self._use()
        except ExploreError:
            self._photos, self._now = before
            raise
        finally:
            self._tell()

    def _tell(self) -> None:
        """Let the strip and the menu say which photo it is."""
        if len(self._photos) > 1:
            with self.strip.hold_sync():
                self.strip.items = [
                    {"key": one.key, "label": one.about, "picture": _thumbnail(one.image)}
                    for one in self._photos
                ]
                self.strip.chosen = self._now.key
        shown = self._now
        name_in_menu(self.sample, self._options, shown.name, shown.about, self._take_sample)

    def _take_upload(self, name: str, data: bytes, note: str) -> str:
        image, full = decode_image(data), len(self._photos) == _MOST
        self.show(image, f"your photo {name}")
        gone = f"the strip holds {_MOST} photos, so the oldest has left it" if full else ""
        return "; ".join(filter(None, [remark(image), gone]))

    def _take_sample(self, change: dict[str, Any]) -> None:
        if change["new"] in (None, UPLOADED, self._now.name):
            return
        known = next((photo for photo in self._photos if photo.name == change["new"]), None)
        self._change(known or self._album.load(change["new"]))

    def _take_chosen(self, change: dict[str, Any]) -> None:
        """Follow a click, unless the photo has left the strip meanwhile."""
        found = next((photo for photo in self._photos if photo.key == change["new"]), None)
        if found is not None and found is not self._now:
            self._change(found)

    def _change(self, photo: Photo) -> None:
        self.upload.say("")
        try:
            self._go(photo)
        except ExploreError as problem:
            self.upload.say(str(problem), error=True)


def name_in_menu(
    menu: ipywidgets.Dropdown,
    options: Mapping[str, Any],
    key: Any,
    about: str,
    observer: Callable[[dict[str, Any]], None],
) -> None:
    """Let a menu of pictures say which is shown, without telling its `observer`.

    An upload, whose key is None, has an entry of its own for as long as it is that.
    """
    menu.unobserve(observer, "value")
    menu.options = {about: UPLOADED, **options} if key is None else dict(options)
    menu.value = UPLOADED if key is None else key
    menu.observe(observer, "value")


def _thumbnail(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    square_crop(image, 104).convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
