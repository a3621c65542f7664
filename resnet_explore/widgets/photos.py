"""Photos to look at: dropped, pasted, chosen or from the samples, kept in a strip to go back to."""

import io
from collections.abc import Callable
from typing import Any

import ipywidgets
from PIL import Image

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.inputs.images import SamplePhoto, decode_image, sample_photos, square_crop
from resnet_explore.widgets.choices import Choices
from resnet_explore.widgets.upload import UploadZone

_MOST = 12
Photo = tuple[Image.Image, str]  # and in words what it is


class PhotoPicker(ipywidgets.VBox):
    """An upload zone, a menu of samples, and a strip of the photos so far, once there are two.

    sample    the photo to begin with, a name in `sample_photos()`
    use       called, without arguments, when `photo` has changed. Where it raises ExploreError the photo is
              given up for the one before; of an upload the sentence is shown below the zone

    Attributes: `upload`, `sample`, `strip` (the controls), `photo` (image and words).
    """

    def __init__(self, sample: str, use: Callable[[], None]) -> None:
        samples = sample_photos()
        if sample not in samples:
            raise unknown("sample photo", sample, samples)
        self._use = use
        self._photos: list[Photo] = [(samples[sample].load(), _credit(samples[sample]))]
        self._at = 0
        self.upload = UploadZone()
        self.strip = Choices()
        self.sample = ipywidgets.Dropdown(
            options={photo.title: name for name, photo in samples.items()},
            value=sample,
            description="Sample",
            layout={"width": "98%"},
            style={"description_width": "6em"},
        )
        super().__init__([self.upload, self.strip, self.sample])
        self.upload.on_upload(self._take_upload)
        self.strip.observe(self._take_photo, "chosen")
        self.sample.observe(self._take_sample, "value")

    @property
    def photo(self) -> Photo:
        """The photo that is shown, and in words what it is."""
        return self._photos[self._at]

    def show(self, image: Image.Image, about: str) -> None:
        """Add an RGB image and change to it; raises what `use` raises and stays with the one before then."""
        before = self._photos, self._at
        self._photos = [*self._photos[-_MOST + 1 :], (image, about)]
        self._at = len(self._photos) - 1
        try:
            self._use()
        except ExploreError:
            self._photos, self._at = before
            raise
        items = [{"label": words, "picture": _thumbnail(photo)} for photo, words in self._photos]
        with self.strip.hold_sync():
            self.strip.chosen, self.strip.items = self._at, items

    def _take_upload(self, name: str, data: bytes, note: str) -> None:
        try:
            self.show(decode_image(data), f"your photo {name}")
        except ExploreError as problem:
            raise ExploreError(f"{name}: {problem}") from None
        self.sample.value = None

    def _take_sample(self, change: dict[str, Any]) -> None:
        if change["new"] is not None:
            photo = sample_photos()[change["new"]]
            self.upload.status = ""
            self.show(photo.load(), _credit(photo))

    def _take_photo(self, change: dict[str, Any]) -> None:
        if change["new"] not in (self._at, -1):
            self._at = change["new"]
            self._use()


def _thumbnail(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    square_crop(image, 104).convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _credit(photo: SamplePhoto) -> str:
    return f"{photo.title} ({photo.credit})"
