"""Where did the network look? Class activation maps of twins on your own photo, at every block."""

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np
import torch
from PIL import Image

from resnet_explore.analysis.cams import ActivationMaps, class_activation_maps
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.figures.heatmaps import side_by_side, signed_overlay
from resnet_explore.figures.style import CARD, COLORS, INK, MUTED
from resnet_explore.inputs.images import SamplePhoto, decode_image, sample_photos, square_crop, to_batch
from resnet_explore.models.network import Network
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.pairs import Pair, usual_pairs
from resnet_explore.widgets.upload import UploadZone
from resnet_explore.widgets.words import error, percent

OWN_CHOICE = "each network's own first choice"
_SIDE = 512  # pixels of each shown picture; 1.6 of them for a CSS pixel


class SaliencyExplorer(ipywidgets.VBox):
    """Upload a photo, or pick one, and slide through the blocks of two networks side by side.

    Red speaks for the class, blue against it. At each block both networks share one scale, whose number
    stands below the picture.

    pairs    {menu entry: Pair}; by default the twins that ship, those for photos first, and torchvision's
             ResNet-18 and ResNet-50 on ImageNet, downloaded when chosen
    sample   the photo to begin with, a name in `sample_photos()`; by default one that suits the first pair

    Attributes: `strip` (the picture), `upload`, `sample`, `pair` and `target` (the controls), `note` (what
    went wrong), `maps` (an `ActivationMaps` for the left and one for the right network).
    """

    def __init__(self, pairs: dict[str, Pair] | None = None, sample: str | None = None) -> None:
        self.pairs = usual_pairs() if pairs is None else dict(pairs)
        if not self.pairs:
            raise ExploreError("pairs must hold at least one pair of networks, got none.")
        photos = sample_photos()
        sample = sample or next(iter(self.pairs.values())).sample
        if sample not in photos:
            raise unknown("sample photo", sample, photos)
        self.maps: tuple[ActivationMaps, ...] = ()
        self._image, self._about = photos[sample].load(), _credit(photos[sample])
        self._loaded: dict[str, tuple[Network, Network]] = {}
        self._current = ""
        self._build_controls({photo.title: name for name, photo in photos.items()}, sample)
        self._change_pair(None)

    def _build_controls(self, photos: dict[str, str], sample: str) -> None:
        menu = {"layout": {"width": "98%"}, "style": {"description_width": "5.5em"}}
        self.upload = UploadZone()
        self.sample = ipywidgets.Dropdown(options=photos, value=sample, description="Sample", **menu)
        self.pair = ipywidgets.Dropdown(options=list(self.pairs), description="Networks", **menu)
        self.target = ipywidgets.Dropdown(options=[OWN_CHOICE], description="Ask about", **menu)
        self.note, self.bars = ipywidgets.HTML(), ipywidgets.HTML()
        self.strip = Filmstrip(
            name="Block", scale=1.6, opacity=0.75, show_opacity=True, message="Loading the networks ..."
        )
        controls = ipywidgets.VBox(
            [self.upload, self.sample, self.pair, self.target, self.note, self.bars],
            layout={"flex": "1 1 300px", "max_width": "400px"},
        )
        picture = ipywidgets.VBox([self.strip], layout={"flex": "1 1 340px", "max_width": "720px"})
        super().__init__(
            [ipywidgets.HBox([controls, picture], layout={"flex_flow": "row wrap", "grid_gap": "8px 16px"})]
        )
        self.upload.on_upload(self._take_upload)
        self.sample.observe(self._take_sample, "value")
        self.pair.observe(self._change_pair, "value")
        self.target.observe(self._explain, "value")

    # --- what comes in ------------------------------------------------------------------------------------

    def show_image(self, image: Image.Image, about: str = "an image of yours") -> None:
        """Explain another RGB image; `about` says in a few words what it is.

        Raises ExploreError, and keeps the old picture, if it can't be made a network's input.
        """
        self.note.value = ""
        before = self._image, self._about
        self._image, self._about = image, about
        try:
            self._explain()
        except ExploreError:
            self._image, self._about = before
            raise

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

    def _change_pair(self, _change: object) -> None:
        wanted = self.pair.value
        if wanted == self._current:
            return
        self.note.value = ""
        self.strip.show(busy=True, message="Loading the networks ...")
        try:
            if wanted not in self._loaded:
                self._loaded[wanted] = self.pairs[wanted].load()
        except ExploreError as problem:
            self.strip.busy = False
            kept = f" Still showing {self._current}." if self._current else ""
            self.note.value = error(f"{problem}{kept}")
            if self._current:
                self.pair.value = self._current
            return
        self._current = wanted
        classes = self._loaded[wanted][0].about["classes"]
        self.target.unobserve(self._explain, "value")  # new options change the value; explain once, not twice
        self.target.options = [OWN_CHOICE, *classes]
        self.target.observe(self._explain, "value")
        self._explain()

    # --- what is shown ------------------------------------------------------------------------------------

    def _explain(self, _change: object = None) -> None:
        networks = self._loaded.get(self._current)
        if networks is None:
            return
        about = networks[0].about
        classes, size = list(about["classes"]), int(about["input_size"][1])
        asked = None if self.target.value == OWN_CHOICE else classes.index(self.target.value)
        self.strip.show(busy=True, message="Following the gradient back ...")
        try:
            batch = to_batch(self._image, size, about["mean"], about["std"])
            self.maps = tuple(class_activation_maps(network, batch, asked) for network in networks)
            self._draw(classes, size)
        finally:
            self.strip.busy = False

    def _draw(self, classes: list[str], size: int) -> None:
        names = self.pairs[self._current].names
        steps = _in_step(*(list(maps) for maps in self.maps))
        overlays, captions = [], []
        for step in steps:
            cams = [maps[block][0].numpy() for maps, block in zip(self.maps, step, strict=True)]
            scale = max(float(np.abs(cam).max()) for cam in cams)
            overlays.append(signed_overlay(cams, scale))
            captions.append(self._caption(step, cams, scale, size))
        index = {} if self.strip.steps == len(steps) else {"index": len(steps) - 1}
        self.strip.show(
            frames=[side_by_side(square_crop(self._image, _SIDE), side=_SIDE)],
            overlays=overlays,
            headings=[
                f"{name}, asked about {_asked(maps, classes)}"
                for name, maps in zip(names, self.maps, strict=True)
            ],
            titles=[_finding(names, self.maps, classes)],
            captions=captions,
            ticks=[step[-1].removeprefix("layer") for step in steps],
            **index,
        )
        self.bars.value = _bars(names, self.maps, classes, self._how_good())

    def _how_good(self) -> str:
        """Say what the networks know and how often they are wrong, where that is known."""
        about = [network.about for network in self._loaded[self._current]]
        knows = f"Each answer is one of {len(about[0]['classes'])} classes. "
        errors = [percent(a["test_error"]) for a in about if "test_error" in a]
        if len(errors) < 2:
            return knows
        return (
            f"{knows}They get {errors[0]} and {errors[1]} of the test images wrong; data: {about[0]['data']}."
        )

    def _caption(self, step: Sequence[str], cams: Sequence[np.ndarray], scale: float, size: int) -> str:
        shown = [f"{b} ({c.shape[0]}×{c.shape[1]})" for b, c in zip(step, cams, strict=True)]
        places = " and ".join(dict.fromkeys(shown))
        return (
            f"Grad-CAM at block {places}. Red speaks for the class, blue against it; full colour is "
            f"±{scale:.2g} logits, the same for both. Eval mode; the networks see the middle square, shown "
            f"here, as {size}×{size} pixels. Picture: {self._about}."
        )


def _in_step(left: Sequence[str], right: Sequence[str]) -> list[tuple[str, str]]:
    """Pair the blocks of two networks by how deep they lie; twins pair one to one."""
    count = max(len(left), len(right))
    return [(left[i * len(left) // count], right[i * len(right) // count]) for i in range(count)]


def _probabilities(maps: ActivationMaps) -> torch.Tensor:
    return torch.softmax(maps.logits[0], 0)


def _asked(maps: ActivationMaps, classes: list[str]) -> str:
    target = int(maps.targets[0])
    return f"{classes[target]} ({percent(100 * float(_probabilities(maps)[target]))})"


def _finding(names: Sequence[str], maps: Sequence[ActivationMaps], classes: list[str]) -> str:
    parts = []
    for name, cams in zip(names, maps, strict=True):
        sure = _probabilities(cams)
        best = int(sure.argmax())
        parts.append(f"{name} says {classes[best]} ({percent(100 * float(sure[best]))})")
    return "; ".join(parts) + "."


def _bars(
    names: Sequence[str], maps: Sequence[ActivationMaps], classes: list[str], below: str, count: int = 5
) -> str:
    """Return the most likely classes of both networks as bars, in HTML, and a sentence below them."""
    columns = []
    for name, cams, color in zip(names, maps, COLORS.values(), strict=True):
        sure, order = _probabilities(cams).topk(min(count, len(classes)))
        rows = "".join(
            f'<div style="display:flex;gap:6px;align-items:center;line-height:1.5">'
            f'<span title="{html.escape(classes[int(i)])}" style="flex:1;overflow:hidden;'
            f'text-overflow:ellipsis;white-space:nowrap">'
            f"{html.escape(classes[int(i)])}</span>"
            f'<span style="width:32px;height:9px;background:#e4e6ea"><span style="display:block;height:9px;'
            f'width:{100 * float(p):.1f}%;background:{color}"></span></span>'
            f'<span style="width:3.4em;text-align:right">{percent(100 * float(p))}</span></div>'
            for p, i in zip(sure, order, strict=True)
        )
        head = f'<b style="color:{color}">{html.escape(name)}</b>'
        columns.append(f'<div style="flex:1 1 150px;min-width:0">{head}{rows}</div>')
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:8px 16px;padding:10px 12px;border:1px solid #e2e4e9;'
        f'border-radius:10px;background:{CARD};color:{INK};font-size:12.5px">{"".join(columns)}'
        f'<div style="flex:1 1 100%;color:{MUTED};line-height:1.4">{html.escape(below)}</div></div>'
    )


def _credit(photo: SamplePhoto) -> str:
    return f"{photo.title} ({photo.credit})"
