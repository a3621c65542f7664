"""Where did the network look? Heatmaps of two networks on your own photo, at every block and depth."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import ipywidgets
from PIL import Image
from torch import nn

from resnet_explore.analysis.cam_methods import METHODS
from resnet_explore.analysis.targets import Difference
from resnet_explore.errors import CancelledError, ExploreError
from resnet_explore.figures.heatmaps import photo_jpeg
from resnet_explore.inputs.images import square_crop, to_batch
from resnet_explore.models.summary import Window, receptive_fields
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.choices import Choices
from resnet_explore.widgets.heatmaps import HeatmapView
from resnet_explore.widgets.pairs import Pair, usual_pairs
from resnet_explore.widgets.photos import PhotoPicker
from resnet_explore.widgets.saliency_jobs import DEPTHS, PARTS, RANDOM, TITLES, Job, Maps
from resnet_explore.widgets.saliency_words import Asked, answers, in_step, part_series, random_series, series
from resnet_explore.widgets.verdict import VerdictPanel
from resnet_explore.widgets.words import error, percent

OWN_CHOICE = "each network's own first choice"
NOTHING = "nothing else"
_SIDE = 512  # pixels of each shown picture


class SaliencyExplorer(ipywidgets.VBox):
    """Upload photos, or pick one, and slide through the blocks and depths of two networks side by side.

    Red speaks for what is asked about, blue against it. At each block both networks share one scale.

    pairs    {menu entry: Pair}; by default the twins that ship, on photos and on CIFAR-10, and torchvision's
             ResNet-18 and ResNet-50 on ImageNet, downloaded when chosen
    sample   the photo to begin with, a name in `sample_photos()`; by default one that suits the first pair

    Attributes: `view` (the pictures), `photos` (a `PhotoPicker`), `pair`, `method`, `target`, `rather`,
    `over` and `answers` (the controls), `note` (what went wrong), `verdict` (whether to believe it), `maps`
    (an `ActivationMaps` for the left and one for the right network, where the second slider is).
    """

    def __init__(self, pairs: Mapping[str, Pair] | None = None, sample: str | None = None) -> None:
        self.pairs = dict(usual_pairs() if pairs is None else pairs)
        if not self.pairs:
            raise ExploreError("pairs must hold at least one pair of networks, got none.")
        self._all: dict[str, Maps] = {}
        self._shown: tuple[Job, Asked] | None = None
        self._seen: dict[tuple[str, str], list[Mapping[str, Window]]] = {}
        self._loaded: dict[str, dict[str, tuple[nn.Module, nn.Module]]] = {}
        self._current = ""
        self._background = Background(self._fail)
        self.photos = PhotoPicker(sample or next(iter(self.pairs.values())).sample, self._take_photo)
        self._build_controls()
        self._change_pair(None)

    @property
    def maps(self) -> Maps:
        """The maps of the left and the right network where the second slider is; empty before the first."""
        return list(self._all.values())[self.view.depth] if self._all else ()

    def _build_controls(self) -> None:
        menu = {"layout": {"width": "98%"}, "style": {"description_width": "6em"}}
        self.pair = ipywidgets.Dropdown(options=list(self.pairs), description="Networks", **menu)
        self.over = ipywidgets.Dropdown(options=[DEPTHS, PARTS, RANDOM], description="Show", **menu)
        titles = {title: name for name, title in TITLES.items()}
        self.method = ipywidgets.Dropdown(options=titles, description="Method", **menu)
        self.target = ipywidgets.Dropdown(options=[OWN_CHOICE], description="Ask about", **menu)
        self.rather = ipywidgets.Dropdown(options=[NOTHING], description="rather than", **menu)
        self.stop = ipywidgets.Button(description="Stop", icon="stop", layout={"display": "none"})
        self.note = ipywidgets.HTML()
        self.answers = Choices()
        self.view = HeatmapView(message="Loading the networks ...")
        controls = ipywidgets.VBox(
            [
                *(self.photos, self.pair, self.method, self.target, self.rather),
                *(self.over, self.stop, self.note, self.answers),
            ],
            layout={"flex": "1 1 300px", "max_width": "400px"},
        )
        self.verdict = VerdictPanel()
        picture = ipywidgets.VBox(
            [self.view, self.verdict], layout={"flex": "1 1 340px", "max_width": "760px"}
        )
        super().__init__(
            [ipywidgets.HBox([controls, picture], layout={"flex_flow": "row wrap", "grid_gap": "8px 16px"})]
        )
        self.pair.observe(self._change_pair, "value")
        for control in (self.method, self.target, self.rather, self.over):
            control.observe(self._ask, "value")
        self.stop.on_click(lambda _: self._stop())
        self.answers.observe(self._take_answer, "chosen")
        self.view.observe(self._moved, ["depth", "step"])

    # --- what is asked, of whom ---------------------------------------------------------------------------

    def show_image(self, image: Image.Image, about: str = "an image of yours") -> None:
        """Explain another RGB image; `about` says in a few words what it is.

        Raises ExploreError, and keeps the old picture, if it can't be made a network's input.
        """
        self.photos.show(image, about)

    def _take_photo(self) -> None:
        self.note.value = ""
        self._explain()

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

    def _job(self) -> tuple[Job, Asked, bytes]:
        """Return what the controls ask for, its conditions, and the picture that it is laid over."""
        pair, networks = self.pairs[self._current], self._loaded[self._current]
        about = pair.described(self._any_network(self._current))
        classes, (channels, height, width) = list(about["classes"]), about["input_size"]
        rather = self.rather.value not in (NOTHING, self.target.value)
        if rather and self.target.value == OWN_CHOICE:
            raise ExploreError("Choose a class to ask about first, then what it is compared with.")
        target: Any = None if self.target.value == OWN_CHOICE else classes.index(self.target.value)
        if rather:
            target = Difference(target, classes.index(self.rather.value))
        image, photo = self.photos.photo
        for depth, both in networks.items():
            key = self._current, depth
            if key not in self._seen:
                self._seen[key] = [_windows(network, (channels, height, width)) for network in both]
        job = Job(
            networks=networks,
            batch=to_batch(image, width, about["mean"], about["std"]),
            target=target,
            method=self.method.value,
            over=self.over.value,
            depth=self._depth(),
        )
        seen = {depth: self._seen[self._current, depth] for depth in networks}
        asked = Asked(pair, classes, self.method.label, photo, (height, width), about, seen)
        return job, asked, photo_jpeg(square_crop(image, _SIDE), _SIDE)

    def _depth(self) -> str:
        """The depth that is shown, or whose networks are looked at more closely."""
        depths = list(self._loaded[self._current])
        if self._shown is not None and self._shown[0].over != DEPTHS and self._shown[0].depth in depths:
            return self._shown[0].depth
        return depths[min(self.view.depth, len(depths) - 1)] if self._all else depths[-1]

    # --- what is shown ------------------------------------------------------------------------------------

    def _explain(self) -> None:
        if not self._current:
            return
        job, asked, picture = self._job()
        self._background.cancel()
        self.verdict.clear()
        self.view.busy, self.view.message = True, "Following the gradient back ..."
        if job.slow:
            self.stop.layout.display = ""
            # Hooks of two threads on one network would see each other's passes.
            job = replace(job, networks=copy.deepcopy(dict(job.networks)))
            self._background.start(lambda cancelled: self._work(job, asked, picture, cancelled))
            return
        try:
            found = job.run(self._say, lambda: False)
        except BaseException:
            self.view.busy = False
            raise
        self._show(job, asked, picture, found or {})

    def _work(self, job: Job, asked: Asked, picture: bytes, cancelled: Callable[[], bool]) -> None:
        try:
            found = job.run(self._say, cancelled)
        except CancelledError:
            return
        if found is not None and not cancelled():
            self._show(job, asked, picture, found)

    def _say(self, sentence: str) -> None:
        self.view.message = sentence

    def _show(self, job: Job, asked: Asked, picture: bytes, found: dict[str, Maps]) -> None:
        if job.over == RANDOM:
            shown, outer, start = random_series(asked, job.depth, found), "Weights", 0
        elif job.over == PARTS:
            shown, outer, start = part_series(asked, job.depth, found), "Part", 0
        else:
            shown, outer, start = series(asked, found), "Depth", len(found) - 1
        anew = self._shown is None or list(found) != list(self._all)
        longest = len(shown[start].steps)
        resized = anew or longest != len(self.view.series[self.view.depth]["steps"])
        self._all, self._shown = found, (job, asked)
        self.view.outer = outer
        self.view.unobserve(self._moved, ["depth", "step"])  # answer and judge once, when all is in place
        self.view.show(
            shown, picture=picture, step=longest - 1 if resized else None, depth=start if anew else None
        )
        self.view.observe(self._moved, ["depth", "step"])
        self.view.busy = False
        self.stop.layout.display = "none"
        self._moved()

    def _moved(self, _change: object = None) -> None:
        """Follow the sliders with what belongs to one depth or one block."""
        if self._shown is not None and self._all:
            self._show_answers(*self._shown)
            self._judge(*self._shown)

    def _show_answers(self, job: Job, asked: Asked) -> None:
        depth = list(self._all)[self.view.depth] if job.over == DEPTHS else job.depth
        items = answers(asked, self.maps)
        labels = [item["label"] for item in items]
        with self.answers.hold_sync():
            self.answers.chosen = labels.index(self.target.value) if self.target.value in labels else -1
            self.answers.items = items
            above, below = asked.pair.called(depth)
            self.answers.heading = f"Answers: {above} above, {below} below"
            self.answers.note = f"Press an answer to ask about it. {self._how_good(depth)}"

    def _judge(self, job: Job, asked: Asked) -> None:
        """Measure beside the page whether the maps of this block are better than chance."""
        targets = [int(cams.targets[0]) for cams in self.maps]
        if job.method not in METHODS or job.over != DEPTHS or min(targets) < 0:
            self.verdict.clear()
            return
        depth = list(self._all)[self.view.depth]
        blocks = in_step(*(list(cams) for cams in self.maps))[self.view.step]
        about = f"{asked.method} at block {' and '.join(dict.fromkeys(blocks))}"
        names, networks = asked.pair.called(depth), job.networks[depth]
        self.verdict.judge(names, networks, job.batch, targets, job.method, blocks, about)

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


def _windows(network: nn.Module, input_size: tuple[int, int, int]) -> Mapping[str, Window]:
    """Return receptive fields by layer; none where the network can't be followed."""
    try:
        return receptive_fields(network, input_size)
    except ExploreError:
        return {}
