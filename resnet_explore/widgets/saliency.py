"""Where did the network look? Heatmaps of two networks on your own photo, at every block and depth."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor, nn

from resnet_explore.analysis.cam_methods import METHODS
from resnet_explore.analysis.cam_trials import TRIALS
from resnet_explore.analysis.cams import ActivationMaps, class_activation_maps
from resnet_explore.analysis.targets import Difference
from resnet_explore.errors import CancelledError, ExploreError, unknown
from resnet_explore.figures.heatmaps import side_by_side
from resnet_explore.inputs.images import SamplePhoto, decode_image, sample_photos, square_crop, to_batch
from resnet_explore.training.trainer import one_thread
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.choices import Choices
from resnet_explore.widgets.heatmaps import HeatmapView
from resnet_explore.widgets.pairs import Pair, usual_pairs
from resnet_explore.widgets.saliency_words import Asked, answers, series
from resnet_explore.widgets.upload import UploadZone
from resnet_explore.widgets.words import error, percent

OWN_CHOICE = "each network's own first choice"
NOTHING = "nothing else"
_TITLES = {**{method.title: name for name, method in METHODS.items()}, **{t: n for n, t in TRIALS.items()}}
_SIDE = 512  # pixels of each shown picture
_MOST_PHOTOS = 12

Maps = tuple[ActivationMaps, ...]  # of the left and the right network


@dataclass(frozen=True)
class _Request:
    """All that decides what is shown."""

    networks: Mapping[str, tuple[nn.Module, nn.Module]]
    picture: bytes
    batch: Tensor
    target: Any
    method: str
    asked: Asked


class SaliencyExplorer(ipywidgets.VBox):
    """Upload photos, or pick one, and slide through the blocks and depths of two networks side by side.

    Red speaks for what is asked about, blue against it. At each block both networks share one scale.

    pairs    {menu entry: Pair}; by default the twins that ship, on photos and on CIFAR-10, and torchvision's
             ResNet-18 and ResNet-50 on ImageNet, downloaded when chosen
    sample   the photo to begin with, a name in `sample_photos()`; by default one that suits the first pair

    Attributes: `view` (the pictures), `upload`, `photos`, `sample`, `pair`, `method`, `target`, `rather` and
    `answers` (the controls), `note` (what went wrong), `maps` (an `ActivationMaps` for the left and one for
    the right network, of the depth that is shown).
    """

    def __init__(self, pairs: Mapping[str, Pair] | None = None, sample: str | None = None) -> None:
        self.pairs = dict(usual_pairs() if pairs is None else pairs)
        if not self.pairs:
            raise ExploreError("pairs must hold at least one pair of networks, got none.")
        photos = sample_photos()
        sample = sample or next(iter(self.pairs.values())).sample
        if sample not in photos:
            raise unknown("sample photo", sample, photos)
        self._all: dict[str, Maps] = {}
        self._asked: Asked | None = None
        self._photos: list[tuple[Image.Image, str]] = [(photos[sample].load(), _credit(photos[sample]))]
        self._at = 0
        self._loaded: dict[str, dict[str, tuple[nn.Module, nn.Module]]] = {}
        self._current = ""
        self._background = Background(self._fail)
        self._build_controls({photo.title: name for name, photo in photos.items()}, sample)
        self._change_pair(None)

    @property
    def maps(self) -> Maps:
        """The maps of the left and the right network at the depth that is shown; empty before the first."""
        return list(self._all.values())[self.view.depth] if self._all else ()

    def _build_controls(self, photos: dict[str, str], sample: str) -> None:
        menu = {"layout": {"width": "98%"}, "style": {"description_width": "6em"}}
        self.upload = UploadZone()
        self.photos = Choices(heading="")
        self.sample = ipywidgets.Dropdown(options=photos, value=sample, description="Sample", **menu)
        self.pair = ipywidgets.Dropdown(options=list(self.pairs), description="Networks", **menu)
        self.method = ipywidgets.Dropdown(options=_TITLES, description="Method", **menu)
        self.target = ipywidgets.Dropdown(options=[OWN_CHOICE], description="Ask about", **menu)
        self.rather = ipywidgets.Dropdown(options=[NOTHING], description="rather than", **menu)
        self.stop = ipywidgets.Button(description="Stop", icon="stop", layout={"display": "none"})
        self.note = ipywidgets.HTML()
        self.answers = Choices()
        self.view = HeatmapView(message="Loading the networks ...")
        controls = ipywidgets.VBox(
            [
                *(self.upload, self.photos, self.sample, self.pair, self.method, self.target, self.rather),
                *(self.stop, self.note, self.answers),
            ],
            layout={"flex": "1 1 300px", "max_width": "400px"},
        )
        picture = ipywidgets.VBox([self.view], layout={"flex": "1 1 340px", "max_width": "760px"})
        super().__init__(
            [ipywidgets.HBox([controls, picture], layout={"flex_flow": "row wrap", "grid_gap": "8px 16px"})]
        )
        self.upload.on_upload(self._take_upload)
        self.photos.observe(self._take_photo, "chosen")
        self.sample.observe(self._take_sample, "value")
        self.pair.observe(self._change_pair, "value")
        for control in (self.method, self.target, self.rather):
            control.observe(self._ask, "value")
        self.stop.on_click(lambda _: self._stop())
        self.answers.observe(self._take_answer, "chosen")
        self.view.observe(lambda _: self._show_answers(), "depth")

    # --- photos that come in ------------------------------------------------------------------------------

    def show_image(self, image: Image.Image, about: str = "an image of yours") -> None:
        """Explain another RGB image; `about` says in a few words what it is.

        Raises ExploreError, and keeps the old picture, if it can't be made a network's input.
        """
        self.note.value = ""
        before = self._photos, self._at
        self._photos = [*self._photos[-_MOST_PHOTOS + 1 :], (image, about)]
        self._at = len(self._photos) - 1
        try:
            self._explain()
        except ExploreError:
            self._photos, self._at = before
            raise
        self._show_photos()

    def _take_upload(self, name: str, data: bytes, note: str) -> None:
        try:  # errors are shown below the upload zone
            self.show_image(decode_image(data), f"your photo {name}")
        except ExploreError as problem:
            raise ExploreError(f"{name}: {problem}") from None
        self.sample.value = None

    def _take_sample(self, change: dict[str, Any]) -> None:
        if change["new"] is not None:
            photo = sample_photos()[change["new"]]
            self.upload.status = ""
            self.show_image(photo.load(), _credit(photo))

    def _take_photo(self, change: dict[str, Any]) -> None:
        if change["new"] not in (self._at, -1):
            self._at = change["new"]
            self._ask()

    def _show_photos(self) -> None:
        """Offer the photos so far, once there are two."""
        items = [{"label": about, "picture": _thumbnail(image)} for image, about in self._photos]
        self.photos.chosen = self._at
        self.photos.items = items if len(items) > 1 else []

    # --- what is asked, of whom ---------------------------------------------------------------------------

    def _change_pair(self, _change: object) -> None:
        wanted = self.pair.value
        if wanted == self._current:
            return
        self.note.value = ""
        self.view.busy, self.view.message = True, "Loading the networks ..."
        pair = self.pairs[wanted]
        try:
            if wanted not in self._loaded:
                self._loaded[wanted] = {depth: pair.load(depth) for depth in pair.depths}
            classes = list(pair.described(self._any_network(wanted))["classes"])
        except ExploreError as problem:
            self._loaded.pop(wanted, None)
            self.view.busy = False
            kept = f" Still showing {self._current}." if self._current else ""
            self.note.value = error(f"{problem}{kept}")
            if self._current:
                self.pair.value = self._current
            return
        self._current = wanted
        for menu, first in ((self.target, OWN_CHOICE), (self.rather, NOTHING)):
            menu.unobserve(self._ask, "value")  # new options change the value; explain once, not three times
            menu.options = [first, *classes]
            menu.observe(self._ask, "value")
        self._ask()

    def _any_network(self, pair: str) -> nn.Module:
        return next(iter(self._loaded[pair].values()))[0]

    def _take_answer(self, change: dict[str, Any]) -> None:
        if 0 <= change["new"] < len(self.answers.items):
            self.target.value = self.answers.items[change["new"]]["label"]

    def _ask(self, _change: object = None) -> None:
        """Explain anew; what can't be is said below the controls."""
        self.note.value = ""
        try:
            self._explain()
        except ExploreError as problem:
            self._fail(str(problem))

    def _request(self) -> _Request:
        pair = self.pairs[self._current]
        about = pair.described(self._any_network(self._current))
        classes, (_, height, width) = list(about["classes"]), about["input_size"]
        if self.rather.value not in (NOTHING, self.target.value) and self.target.value == OWN_CHOICE:
            raise ExploreError("Choose a class to ask about first, then what it is compared with.")
        target: Any = None if self.target.value == OWN_CHOICE else classes.index(self.target.value)
        if target is not None and self.rather.value not in (NOTHING, self.target.value):
            target = Difference(target, classes.index(self.rather.value))
        image, photo = self._photos[self._at]
        return _Request(
            networks=self._loaded[self._current],
            picture=side_by_side(square_crop(image, _SIDE), count=1, side=_SIDE),
            batch=to_batch(image, width, about["mean"], about["std"]),
            target=target,
            method=self.method.value,
            asked=Asked(pair, classes, self.method.label, photo, (height, width), about),
        )

    # --- what is shown ------------------------------------------------------------------------------------

    def _explain(self) -> None:
        if not self._current:
            return
        request = self._request()
        self._background.cancel()
        self.view.busy, self.view.message = True, "Following the gradient back ..."
        if request.method not in TRIALS:
            self._show(request, self._compute(request))
            return
        self.view.message = f"{request.asked.method} tries every channel ..."
        self.stop.layout.display = ""
        self._background.start(lambda cancelled: self._try(request, cancelled))

    def _try(self, request: _Request, cancelled: Callable[[], bool]) -> None:
        def progress(done: int, total: int) -> None:
            self.view.message = f"{request.asked.method}: {done:,} of {total:,} trials."

        try:
            found = self._compute(request, progress=progress, cancel=cancelled)
        except CancelledError:
            return
        if not cancelled():
            self._show(request, found)

    def _compute(self, request: _Request, **trials: Any) -> dict[str, Maps]:
        try:
            with one_thread():
                return {
                    depth: tuple(
                        class_activation_maps(
                            network, request.batch, request.target, method=request.method, **trials
                        )
                        for network in networks
                    )
                    for depth, networks in request.networks.items()
                }
        except BaseException:
            self.view.busy = False
            raise

    def _show(self, request: _Request, found: dict[str, Maps]) -> None:
        first = not self._all or len(found) != len(self._all)
        self._all, self._asked = found, request.asked
        shown = series(request.asked, found)
        self.view.show(
            shown,
            picture=request.picture,
            step=len(shown[-1].steps) - 1 if first else None,
            depth=len(shown) - 1 if first else None,
        )
        self.view.busy = False
        self.stop.layout.display = "none"
        self._show_answers()

    def _show_answers(self) -> None:
        if self._asked is None or not self._all:
            return
        depth = list(self._all)[self.view.depth]
        items = answers(self._asked, depth, self._all[depth])
        labels = [item["label"] for item in items]
        with self.answers.hold_sync():
            self.answers.chosen = labels.index(self.target.value) if self.target.value in labels else -1
            self.answers.items = items
            above, below = self._asked.pair.called(depth)
            self.answers.heading = f"What they answer: {above} above, {below} below"
            self.answers.note = f"Press an answer to ask about it. {self._how_good(depth)}"

    def _how_good(self, depth: str) -> str:
        """Say how often the networks are wrong, where that is known."""
        about = [getattr(network, "about", {}) for network in self._loaded[self._current][depth]]
        errors = [percent(a["test_error"]) for a in about if a.get("test_error") is not None]
        if len(errors) < len(about):
            return ""
        return f"They get {errors[0]} and {errors[1]} of the test images wrong; data: {about[0]['data']}."

    def _stop(self) -> None:
        self._background.cancel()
        self.stop.layout.display, self.view.busy = "none", False
        self.note.value = error("Stopped; the picture is the one before.")

    def _fail(self, sentence: str) -> None:
        self.stop.layout.display, self.view.busy = "none", False
        self.note.value = error(f"{sentence} The picture is the one before.")


def _thumbnail(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    square_crop(image, 104).convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _credit(photo: SamplePhoto) -> str:
    return f"{photo.title} ({photo.credit})"
