"""What do the channels say? Feature maps of twins on one image, block by block and depth by depth."""

import html
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_explore.analysis._batch import why_not_finite
from resnet_explore.analysis.capture import Layers
from resnet_explore.analysis.feature_maps import FeatureMaps, feature_maps, whole_map
from resnet_explore.analysis.footprint import foretold, free_memory, in_words
from resnet_explore.analysis.map_layers import first_filters
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError
from resnet_explore.figures.heatmaps import png
from resnet_explore.inputs.images import decode_image, remark
from resnet_explore.models.summary import fields_if_known
from resnet_explore.models.threads import one_thread
from resnet_explore.widgets import saving
from resnet_explore.widgets.exhibits import Exhibit, Subject, exhibit_of, exhibits
from resnet_explore.widgets.heap import give_back
from resnet_explore.widgets.mosaics import Mosaics
from resnet_explore.widgets.photos import UPLOADED, name_in_menu
from resnet_explore.widgets.pictures import Batch, Picture, Pictures, pictures_for, pictures_of
from resnet_explore.widgets.scenes import Scene, charts, filters_view, maps_view, parts_view
from resnet_explore.widgets.upload import UploadZone
from resnet_explore.widgets.words import error

_LARGEST = 56  # side of a tile; on the page one is seldom larger
_FEW = 150_000  # numbers in a batch below which more threads only get into each other's way
_MOST = 16_000_000  # values that one network's tiles may hold; each travels as a byte

Models = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]


class FeatureMapExplorer(ipywidgets.VBox):
    """Slide through the blocks of one or two networks and see what each channel makes of an image.

    models  a network of your own, two of them to be put side by side, or {name: network}; None for a menu
            of twins that ship
    images  what it is to look at: a float tensor (N, C, H, W) standardised as the model expects, a list of
            such images, an `ImageSet`, or PIL images; None for sample photos and uploads. Statistics are
            over the one that is shown and, where images are no larger than 64x64, the first 32 with it
    layers  which layers to show, as in `Capture`; None for its blocks, or else its activations

    Networks are only looked at, never changed. What can't be shown is said in `note`, what was saved in
    `saved`. Attributes: `mosaics` (the picture), `exhibit`, `picture`, `upload` (the controls), `scenes`
    (what was measured, one per depth).
    """

    def __init__(self, models: Models | None = None, images: Any = None, layers: Layers = None) -> None:
        self._layers, self._images = layers, images
        self._exhibits: dict[str, Exhibit] = exhibits() if models is None else {}
        self._own = models
        self._current = ""
        self._ticks: tuple[str, ...] = ()
        self._subjects: list[tuple[Subject, ...]] = []
        self._pictures: Pictures | None = None
        self._seen: Picture | None = None
        self._waiting = False
        self._averaged: list[str] = []  # sentences on tiles that had to be made smaller
        self.scenes: list[Scene] = []
        self._windows_of: tuple[int, ...] = ()
        self._build_controls()
        self._open(None)

    def _build_controls(self) -> None:
        menu = {"layout": {"width": "380px", "max_width": "98%"}, "style": {"description_width": "5.5em"}}
        self.exhibit = ipywidgets.Dropdown(options=list(self._exhibits), description="Networks", **menu)
        self.picture = ipywidgets.Dropdown(description="Image", **menu)
        self.upload = UploadZone()
        self.format = ipywidgets.Dropdown(options=list(saving.FORMATS), description="Save as", **menu)
        self.format.layout.width = "240px"
        self.keep = ipywidgets.Button(
            description="Save", icon="download", tooltip="Write a file into the notebook's folder"
        )
        self.note = ipywidgets.HTML()
        self.mosaics = Mosaics(message="Loading the networks ...")
        self._top = ipywidgets.HBox(layout={"flex_flow": "row wrap", "grid_gap": "4px 16px"})
        # As high as what it may say, and in a narrow window on a line of its own, so that nothing moves.
        self.saved = ipywidgets.HTML(layout={"flex": "1 1 320px", "min_height": "44px"})
        self._bottom = ipywidgets.HBox([self.format, self.keep, self.saved], layout={"flex_flow": "row wrap"})
        super().__init__([self._top, self.note, self.mosaics, self._bottom])
        self.exhibit.observe(self._open, "value")
        self.picture.observe(self._take_picture, "value")
        self.upload.on_upload(self._take_upload)
        self.keep.on_click(lambda _: self.mosaics.in_step(self._save_as_chosen))
        self.mosaics.on_exact(self.exact)
        self.mosaics.on_shown(self.finish)

    # --- what comes in ------------------------------------------------------------------------------------

    def _open(self, _change: object) -> None:
        """Load the networks that the menu says; if that fails, say so and stay."""
        wanted = self.exhibit.value or "your model"
        if wanted == self._current:
            return
        before = self._ticks, self._subjects, self._pictures, self._seen, self._windows_of
        self.mosaics.show(busy=True, message="Loading the networks ...")
        try:
            chosen = self._exhibits.get(wanted) or exhibit_of(self._own)
            self._ticks = chosen.ticks
            self._subjects = [_unwrapped(chosen.load(k)) for k in range(len(chosen.ticks))]
            self._pictures = self._find_pictures(self._subjects[0][-1].model)
            self._windows_of = ()
            self._seen = self._pictures.picture(next(iter(self._pictures.options.values())))
            self._measure(chosen.start)
        except ExploreError as problem:
            kept = f" Still showing {self._current}." if self._current else ""
            self._say(f"{problem}{kept}")
            self._ticks, self._subjects, self._pictures, self._seen, self._windows_of = before
            if self._current:
                self.exhibit.value = self._current
            self.mosaics.show(busy=False, message="" if self.scenes else "There is nothing to show.")
            self._bottom.layout.display = "" if self.scenes else "none"
            return
        self._current = wanted
        self.upload.say("")  # an upload to the last networks is not what these look at
        self._name_in_menu()
        menus = [self.exhibit] if self._exhibits else []
        menus += [self.picture] if len(self._pictures.options) > 1 else []
        uploads = [] if isinstance(self._pictures, Batch) else [self.upload]
        self._top.children = [ipywidgets.VBox(menus, layout={"max_width": "100%"}), *uploads]

    def _find_pictures(self, model: nn.Module) -> Pictures:
        if self._images is not None:
            return pictures_of(self._images)
        first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
        return pictures_for(getattr(model, "about", {}), None if first is None else first.in_channels)

    def _take_picture(self, change: dict[str, Any]) -> None:
        if change["new"] not in (None, UPLOADED) and self._pictures is not None:
            self.upload.say("")
            self._look_at(self._pictures.picture(change["new"]))

    def _take_upload(self, name: str, data: bytes, note: str) -> str:
        if self._pictures is None or isinstance(self._pictures, Batch):
            raise ExploreError("These networks look at the images that they were given.")
        image = decode_image(data)
        self._look_at(self._pictures.of(image, f"your photo {name}"))
        return remark(image)

    def show_image(self, image: Image.Image, about: str = "an image of yours") -> None:
        """Show another RGB image; `about` says in a few words what it is."""
        if self._pictures is None or isinstance(self._pictures, Batch):
            raise ExploreError("show_image() needs networks of which is known how their input is made.")
        self._look_at(self._pictures.of(image, about))

    def _look_at(self, picture: Picture) -> None:
        before, self._seen = self._seen, picture
        try:
            self._measure()
        except ExploreError as problem:
            self._seen = before
            self.mosaics.busy = False
            self._say(str(problem))
        self._name_in_menu()

    def _name_in_menu(self) -> None:
        if (seen := self._seen) is not None and self._pictures is not None:
            name_in_menu(self.picture, self._pictures.options, seen.key, seen.about, self._take_picture)

    # --- what is shown ------------------------------------------------------------------------------------

    def _measure(self, depth: int | None = None) -> None:
        """Run the networks on the image and show the maps; the rest follows when the browser has drawn.

        What belonged to the last networks or image goes at once, and what is looked at comes at once.
        `depth` is the index of the depth to show, None for that which is shown.
        """
        seen = self._seen
        if seen is None or self._pictures is None:
            return
        self.note.value = self.saved.value = ""
        batch = self._pictures.batch(seen)
        self.mosaics.show(busy=True, message=self._running(batch))
        self._averaged = []
        with one_thread() if batch.numel() < _FEW else nullcontext():
            self.scenes = [
                Scene(tick, pair, tuple(self._maps_of(subject, batch) for subject in pair))
                for tick, pair in zip(self._ticks, self._subjects, strict=True)
            ]
        colors = seen.seen(self._pictures.mean, self._pictures.std)
        self._waiting = True
        self.mosaics.show(
            maps=maps_view(self.scenes, seen),
            parts=parts_view(self.scenes, seen) if self.mosaics.view == "parts" else {},
            filters=filters_view(self.scenes) if self.mosaics.view == "filters" else {},
            charts={},
            windows=self.mosaics.windows if self._windows_of == tuple(seen.tensor.shape[1:]) else [],
            picture={"bytes": png(colors), "size": list(colors.shape[:2])},
            busy=False,
            message="",
            depth=self.mosaics.depth if depth is None else depth,
        )
        self._say_what_is_missing()

    def _running(self, batch: Tensor) -> str:
        """Say what is going on, and how much memory it takes if it is much; raises where there is less."""
        subjects = [subject for pair in self._subjects for subject in pair]
        told = [foretold(subject.model, batch, self._layers, _LARGEST) for subject in subjects]
        much = "; ".join(f"{s.name}: {words}" for s, words in zip(subjects, told, strict=True) if words)
        return f"Running the networks ({much}) ..." if much else "Running the networks ..."

    def _maps_of(self, subject: Subject, batch: Tensor) -> FeatureMaps:
        maps = feature_maps(subject.model, batch, self._layers, _LARGEST)
        if maps.not_finite:
            raise ExploreError(_not_finite(subject, maps))
        fewer = maps.within(_MOST)
        if fewer.side < maps.side:
            self._averaged.append(
                f"Tiles of {subject.name} are averaged to {fewer.side} pixels a side, as its {len(maps)} "
                f"layers hold {in_words(maps.nbytes)}; an enlarged channel's values are exact."
            )
        return fewer

    def finish(self) -> None:
        """Send what can wait until the maps are on the page: skips and branches, filters, curves."""
        if not self._waiting or self._seen is None:
            return
        self._waiting = False
        size = tuple(self._seen.tensor.shape[1:])
        if self._windows_of != size:
            windows = [[_windows(subject, size) for subject in pair] for pair in self._subjects]
            self._windows_of, self.mosaics.windows = size, windows
        self.mosaics.show(
            parts=parts_view(self.scenes, self._seen),
            filters=filters_view(self.scenes),
            charts=charts(self.scenes),
        )
        give_back()

    def exact(self, view: str, depth: int, index: int, channel: int) -> list[np.ndarray | None]:
        """Return for each panel of a view the map (h, w) of a channel, exact and at full size.

        Of first-layer filters the weights: (h, w, 3) over colours, else the mean over input channels.
        """
        if self._seen is None:
            return []
        scene = self.scenes[depth]
        if view == "filters":
            return [_weights(subject.model, channel) for subject in scene.subjects]
        layers = scene.steps[index]
        if view == "maps":
            asked = [(s, layer, "output") for s, layer in zip(scene.subjects, layers, strict=True)]
        else:
            which = scene.streaming or 0
            asked = [(scene.subjects[which], layers[which], part) for part in ("skip", "branch")]
        found: list[np.ndarray | None] = []
        for subject, layer, part in asked:
            there = part == "output" or layer.ratio is not None
            maps = (
                whole_map(subject.model, self._seen.tensor, layer.name, part)
                if there
                else np.zeros((0, 0, 0))
            )
            found.append(maps[channel] if channel < len(maps) else None)
        return found

    # --- what is said and saved -----------------------------------------------------------------------------

    def _say(self, sentence: str) -> None:
        self.note.value = error(sentence)

    def _say_what_is_missing(self) -> None:
        notes = list(self._averaged)
        scene = self.scenes[0]
        for subject, maps in zip(scene.subjects, scene.measured, strict=True):
            if len(maps) == 1:
                notes.append(f"{subject.name} has one layer with maps.")
        if scene.streaming is None:
            notes.append("No sum was found in which a skip ends, so there is no view of skip and branch.")
        self.note.value = " ".join(notes)

    def save(self, path: str | Path) -> Path:
        """Write what is shown (.png, .svg), the channels' numbers (.csv) or all maps at full size (.npz).

        The .csv begins with lines "# key: value", which `pandas.read_csv(path, comment="#")` passes over.
        Returns the path. Raises ExploreError for another ending or a place that can't be written.
        """
        if not self.scenes:
            raise ExploreError("There is nothing to save yet.")
        target = Path(path)
        scene = self.scenes[min(self.mosaics.depth, len(self.scenes) - 1)]
        saving.save(target, scene, self.mosaics, lambda: self._whole(scene))
        return target

    def _whole(self, scene: Scene) -> dict[str, np.ndarray]:
        whole, free = sum(maps.nbytes for maps in scene.measured), free_memory(torch.device("cpu"))
        if whole > free:
            raise ExploreError(
                f"All maps at full size are {in_words(whole)} and {in_words(free)} of memory are free; save "
                "the CSV, or name fewer layers with `layers`."
            )
        arrays = {} if self._seen is None else {"image": self._seen.tensor[0].cpu().numpy()}
        for subject in scene.subjects:
            maps = {} if self._seen is None else feature_maps(subject.model, self._seen.tensor, self._layers)
            for name, layer in maps.items():
                parts = {"output": layer.maps, "skip": layer.skip, "branch": layer.branch}
                arrays |= {f"{subject.name}/{name}/{k}": v for k, v in parts.items() if v is not None}
        return arrays

    def _save_as_chosen(self) -> None:
        try:
            self.finish()
            path = saving.free_name(Path("feature_maps" + saving.FORMATS[self.format.value]))
            self.saved.value = f"Saving {path.name} ..."
            self.save(path)
        except ExploreError as problem:
            self.saved.value = error(str(problem))
            return
        folder = html.escape(str(path.resolve().parent))
        self.saved.value = f"Saved as <b>{path.name}</b> in the folder of this notebook, {folder}."


def _unwrapped(pair: tuple[Subject, ...]) -> tuple[Subject, ...]:
    return tuple(replace(subject, model=unwrapped(subject.model)) for subject in pair)


def _not_finite(subject: Subject, maps: FeatureMaps) -> str:
    """Say where NaN or infinity begins in a network, and whether its own numbers bring it in."""
    found = maps.not_finite
    return (
        f"{subject.name} gives values that are not finite numbers in {len(found)} of {len(maps)} layers, "
        f"first in {found[0]}, though the image is finite: {why_not_finite(subject.model)}."
    )


def _weights(model: nn.Module, channel: int) -> np.ndarray | None:
    found = first_filters(model)
    if found is None or channel >= len(found[1]):
        return None
    weights = found[1][channel]
    return weights.transpose(1, 2, 0) if len(weights) == 3 else weights.mean(0)


def _windows(subject: Subject, size: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    found = fields_if_known(subject.model, size)
    return {name: asdict(window) for name, window in found.items() if len(window.field) == 2}
