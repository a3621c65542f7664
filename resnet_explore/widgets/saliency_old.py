"""Where did the network look? Heatmaps of two networks on your own photo, at every block and depth."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets
from PIL import Image
from torch import nn

from resnet_explore.analysis.readings import READINGS
from resnet_explore.errors import CancelledError, ExploreError
from resnet_explore.inputs.images import to_batch
from resnet_explore.models.summary import Window, fields_if_known
from resnet_explore.widgets.answer_words import Asked, answers, beside_answers, undecided
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.choices import Choices
from resnet_explore.widgets.heatmaps import HeatmapView
from resnet_explore.widgets.own_networks import OWN, pairs_of
from resnet_explore.widgets.pairs import Pair
from resnet_explore.widgets.photos import PhotoPicker
from resnet_explore.widgets.questions import OWN_CHOICE, Questions, distinct
from resnet_explore.widgets.saliency_jobs import (
    AS_TRAINED,
    DEPTHS,
    PARTS,
    RANDOM,
    Job,
    Maps,
    Networks,
    methods_for,
)
from resnet_explore.widgets.saliency_words import (
    citation,
    deepest,
    in_step,
    judged,
    part_series,
    random_series,
    series,
)
from resnet_explore.widgets.verdict import VerdictPanel
from resnet_explore.widgets.words import error

_SIDE = 512  # pixels of each shown picture


class SaliencyExplorer(ipywidgets.VBox):
    """Upload photos, or pick one, and slide through the blocks and depths of two networks side by side.

    At each block both networks share one signed scale; its unit, and what the signs mean, stand below.

    models   a network of your own, two of them to be put side by side, or {name: network}; or
             {menu entry: Pair}. By default the twins that ship, on photos and on CIFAR-10, and torchvision's
             ResNet-18 and ResNet-50 on ImageNet, downloaded when chosen. They may tell the classes of images,
             of pixels (segmentation) or of boxes (detection); the last two can be asked by a click
    images   what networks of your own look at: a float tensor (N, C, H, W) standardised as they expect, a
             list of such images, an `ImageSet`, or PIL images; None for sample photos and uploads
    classes  the names of their answers, such as `weights.meta["categories"]`; None for those that a network
             or an `ImageSet` carries, else numbers
    sample   the photo to begin with, a name in `sample_photos()`; by default one that suits the first pair

    Networks are only looked at, never changed. What can't be shown is said in `note`. Attributes: `view` (the
    pictures), `photos` (a `PhotoPicker`), `pair`, `method`, `target`, `rather`, `over`, `judge` and `answers`
    (the controls), `verdict` (whether to believe it), `maps` (an `ActivationMaps` for the left and one for
    the right network, where the second slider is).
    """

    def __init__(
        self,
        models: Any = None,
        images: Any = None,
        *,
        classes: Sequence[str] | None = None,
        sample: str | None = None,
    ) -> None:
        self.pairs: dict[str, Pair] = {}
        self._all: dict[str, Maps] = {}
        self._shown: tuple[Job, Asked] | None = None
        self._seen: dict[tuple[str, str], list[Mapping[str, Window]]] = {}
        self._loaded: dict[str, dict[str, Networks]] = {}
        self._current = ""
        self._through = 1.0  # how far through the networks the block slider is
        self._background = Background(self._fail)
        self.note, self.view = ipywidgets.HTML(), HeatmapView(message="Loading the networks ...")
        self.stop = ipywidgets.Button(description="Stop", icon="stop", layout={"display": "none"})
        try:
            self.pairs, album = pairs_of(models, images, classes)
            if album is None:
                sample = sample or next(iter(self.pairs.values())).sample
            self.photos = PhotoPicker(sample, self._take_photo, album)
        except ExploreError as problem:
            super().__init__([self.note, self.view])
            self._fail(str(problem))
            return
        self._build_controls()
        self._change_pair(None)

    @property
    def maps(self) -> Maps:
        """The maps of the left and the right network where the second slider is; empty before the first."""
        return list(self._all.values())[self.view.depth] if self._all else ()

    def _build_controls(self) -> None:
        menu = {"layout": {"width": "98%"}, "style": {"description_width": "6em"}}
        self.pair = ipywidgets.Dropdown(options=list(self.pairs), description="Networks", **menu)
        self.questions = Questions(self._ask)
        self.method, self.target = self.questions.method, self.questions.target
        self.rather, self.over = self.questions.rather, self.questions.over
        self.answers = Choices()
        if list(self.pairs) == [OWN]:
            self.pair.layout.display = "none"
        self.verdict = VerdictPanel()
        self.judge = self.verdict.press
        stop = ipywidgets.Box([self.stop], layout={"min_height": "36px"})  # nothing moves when it comes
        areas = {
            "rx-ask": [self.photos, ipywidgets.VBox([self.pair, self.questions, stop])],
            "rx-look": [self.note, self.view, self.verdict],
            "rx-answers": [self.answers],
        }
        boxes = [ipywidgets.Box(children).add_class(area) for area, children in areas.items()]
        super().__init__([ipywidgets.Box(boxes).add_class("rx-workbench")])
        self.add_class("rx-saliency")
        self.pair.observe(self._change_pair, "value")
        self.stop.on_click(lambda _: self._stop())
        self.answers.observe(self._take_answer, "chosen")
        self.view.observe(self._moved, ["depth", "step"])
        self.view.on_ask(self.questions.at)

    # --- what is asked, of whom ---------------------------------------------------------------------------

    def show_image(self, image: Image.Image, about: str = "an image of yours") -> None:
        """Explain another RGB image; `about` says in a few words what it is.

        Raises ExploreError, and keeps the old picture, if it can't be made a network's input.
        """
        self.photos.show(image, about)

    def _take_photo(self) -> None:
        self.note.value = ""
        self.questions.forget_place()
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
            classes = distinct(pair.described(self._any_network(wanted))["classes"])
        except ExploreError as problem:
            self._loaded.pop(wanted, None)
            self._fail(str(problem), f"Still showing {self._current}.")
            if self._current:
                self.pair.value = self._current
            return
        self._current, self._through = wanted, 1.0
        methods = methods_for([one for both in self._loaded[wanted].values() for one in both])
        found_later = pair.answers == "boxes"
        self.questions.offer([] if found_later else classes, methods, pair.answers == "classes")
        self.view.askable = pair.answers != "classes"
        self._ask()

    def _any_network(self, pair: str) -> nn.Module:
        return next(iter(self._loaded[pair].values()))[0]

    def _take_answer(self, change: dict[str, Any]) -> None:
        if change["new"] in self.target.options:
            self.target.value = change["new"]

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
        classes, (channels, height, width) = distinct(about["classes"]), about["input_size"]
        no_thing = bool(classes) and classes[0].strip("_").lower() == "background"
        photo, reading = self.photos.photo, READINGS[self.method.value]
        for depth, both in networks.items():
            key = self._current, depth
            if key not in self._seen:
                self._seen[key] = [fields_if_known(network, (channels, height, width)) for network in both]
        job = Job(
            networks=networks,
            batch=(
                to_batch(photo.image, width, about["mean"], about["std"])
                if photo.tensor is None
                else photo.tensor
            ),
            target=self.questions.asked,
            method=self.method.value,
            over=self.over.value,
            depth=self._depth(),
            answers=pair.answers,
            place=self.questions.place,
            background=0 if no_thing else None,
        )
        seen = {depth: self._seen[self._current, depth] for depth in networks}
        asked = Asked(
            pair=pair,
            classes=classes,
            reading=reading.of_score() if pair.answers == "boxes" else reading,
            photo=photo.about,
            cropped=photo.tensor is None,
            size=(height, width),
            about=about,
            seen=seen,
        )
        return job, asked, photo.jpeg(_SIDE)

    def _depth(self) -> str:
        """The depth that is shown, or whose networks are looked at closely; the last of other networks."""
        depths = list(self._loaded[self._current])
        if self._shown is None or self._shown[1].pair is not self.pairs[self._current]:
            return depths[-1]
        job = self._shown[0]
        return depths[self.view.depth] if job.over == DEPTHS else job.depth

    # --- what is shown ------------------------------------------------------------------------------------

    def _explain(self) -> None:
        if not self._current:
            return
        job, asked, picture = self._job()
        self._background.cancel()
        self.verdict.clear()
        self.view.busy, self.view.message = True, "Explaining ..."
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
            shown, outer, start = series(asked, found), "Depth", list(found).index(job.depth)
        anew = self._shown is None or list(found) != list(self._all)
        at = start if anew else self.view.depth
        longest, here = len(shown[at].steps), list(found.values())[at]
        self._all, self._shown = found, (job, asked)
        self.view.outer = outer
        self.view.unobserve(self._moved, ["depth", "step"])  # answer and judge once, when all is in place
        depth = list(found)[-1] if job.over == DEPTHS else job.depth
        first = next(iter(found.values()))
        self.view.show(
            shown,
            picture=picture,
            step=round(self._through * (longest - 1)) if self._through < 1 else deepest(here),
            depth=start if anew else None,
            reading=asked.reading,
            about=citation(asked, self._current, job.networks[depth], first, job.over),
        )
        self.view.observe(self._moved, ["depth", "step"])
        self.view.busy = False
        self.stop.layout.display = "none"
        if asked.pair.answers == "boxes":
            shares = [cams.answer.shares for maps in found.values() for cams in maps]
            seen = sorted({int(k) for one in shares for k in one.nonzero()})
            self.questions.offer_found({k: asked.name(k) for k in seen})
        self._moved()

    def _moved(self, _change: object = None) -> None:
        """Follow the sliders with what belongs to one depth or one block."""
        if self._shown is not None and self._all:
            blocks = len(self.view.series[self.view.depth]["steps"])
            if blocks > 1:
                self._through = self.view.step / (blocks - 1)
            self._show_answers(*self._shown)
            self._judge()

    def _show_answers(self, job: Job, asked: Asked) -> None:
        position = list(self._all)[self.view.depth]
        depth = position if job.over == DEPTHS else job.depth
        spoiled = job.over == RANDOM and position != AS_TRAINED
        heading, note = beside_answers(asked, depth, job.networks[depth], position if spoiled else "")
        with self.answers.hold_sync():
            self.answers.items = answers(asked, self.maps)
            self.answers.chosen = "" if self.target.value == OWN_CHOICE else self.target.value
            self.answers.heading, self.answers.note = heading, note

    def _judge(self) -> None:
        """Measure beside the page whether the maps of this block are better than chance, or say why not."""
        if self._shown is None:
            return
        job, asked = self._shown
        if job.over != DEPTHS:
            self.verdict.say(f"There is a verdict for whole maps of trained networks: Show “{DEPTHS}”.")
            return
        depth, maps = list(self._all)[self.view.depth], self.maps
        blocks = in_step(*(list(cams) for cams in maps))[self.view.step]
        about, targets = judged(asked, blocks, maps), [cams.target for cams in maps]
        names, networks = asked.pair.called(depth), job.networks[depth]

        def begin() -> None:
            self.verdict.judge(names, networks, job.batch, targets, job.method, blocks, about)

        if all(undecided(cams.answer) for cams in maps):
            self.verdict.offer(f"{about}: there is little to judge where no answer is likelier.", begin)
        elif asked.reading.slow or job.answers != "classes":
            self.verdict.offer(f"{about}: a verdict takes hundreds of passes; press Judge for it.", begin)
        else:
            self.verdict.clear()
            begin()

    def _stop(self) -> None:
        self._background.cancel()
        self._fail("Stopped.")

    def _fail(self, sentence: str, kept: str = "The picture is the one before.") -> None:
        """Say what went wrong, and if there is a picture, which."""
        if not self._all:
            self.view.message = "There is nothing to show."
        self.view.busy, self.stop.layout.display = False, "none"
        self.note.value = error(f"{sentence} {kept}" if self._all else sentence)
