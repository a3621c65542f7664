"""What really happens to gradients: every condition a switch, every picture read aloud."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
from torch import Tensor, nn

from resnet_explore.analysis.gradients import GradientFlow
from resnet_explore.errors import ExploreError
from resnet_explore.figures.gradients import GradientProfile
from resnet_explore.figures.style import SCREEN_SCALE
from resnet_explore.inputs.datasets import is_here
from resnet_explore.training.plan import Sweep
from resnet_explore.training.recorded import list_records
from resnet_explore.widgets.claims import ClaimPictures
from resnet_explore.widgets.fetch import TITLES, Fetch
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.gradient_lab import OWN, STEPS, Bench, Conditions
from resnet_explore.widgets.gradient_quiz import DEPTH, QUESTIONS, GradientQuiz
from resnet_explore.widgets.gradient_records import HeatmapView, Noted, StepView
from resnet_explore.widgets.gradient_switches import Switches, menu
from resnet_explore.widgets.gradient_views import (
    DepthView,
    Live,
    OwnView,
    ProfileView,
    SkipView,
    View,
)
from resnet_explore.widgets.gradient_words import Reading
from resnet_explore.widgets.jacobian_view import JacobianView
from resnet_explore.widgets.scrub import Scrub
from resnet_explore.widgets.tabs import Tabs
from resnet_explore.widgets.words import error

BY_DEPTH, BY_SKIP, BY_STEP, HEATMAP, JACOBIANS, CLAIMS, GUESS = VIEWS = (
    "Depth", "Skip strength", "Training", "Heatmap", "Jacobians", "Claims", "Guess first",
)  # fmt: skip
_TIPS = (
    "Gradients of both twins at each depth, measured now",
    "From plain to residual: skips that carry a share of what they got",
    "Gradients at each noted step of recorded trainings",
    "All layers and steps of recorded trainings in one image",
    "How each block stretches small changes",
    "What papers say, measured now beside their formulas",
    "Questions: guess, then measure",
)


class GradientFlowExplorer(ipywidgets.VBox):
    """Gradients of plain and residual networks, layer by layer, under conditions that you choose.

    depths   of CIFAR-style networks
    models   a network of your own to look at instead, or {name: network} for several; they take `images`
    images   a batch of your own, float (N, C, H, W), standardised; for the twins it is offered as data
    labels   its classes, or whatever `loss` takes
    loss     a function of (model output, labels), for own networks whose output is no logits
    batch    how many images the gradient is taken over; None for 64 digits, 32 of 32x32, or all of yours
    seed     of weights, noise and the order of training images

    The picture for where the slider stands comes at once, the others follow; what was measured once is kept.
    Attributes: `strip` (the picture), `view`, `data`, `mode`, `norm`, `start`, `activation`, `shown`, `depth`
    and `record` (the switches), `take`, `reset` and `keep` (buttons), `quiz`, `claims` (a menu of published
    claims and their pictures), `fetch` (an offer to download data), `switches`, `note`, `bench`, and `flows`
    (all that is shown, {depth: {kind: GradientFlow}}).

    Raises ExploreError for depths that don't exist, and for own images or labels that are missing.
    """

    def __init__(
        self,
        depths: Sequence[int] = (8, 20, 32, 56, 110),
        models: nn.Module | Mapping[str, nn.Module] | None = None,
        images: Tensor | None = None,
        labels: Any = None,
        loss: Callable[[Any, Any], Tensor] | None = None,
        batch: int | None = None,
        seed: int = 0,
    ) -> None:
        self.depths = sorted(Sweep(depths=tuple(depths)).depths)
        self.bench = Bench(images, labels, models, loss, batch, seed)
        self._own, self._shown_steps = bool(self.bench.models), 0
        self._wanted = self._put = self.depths[len(self.depths) * 3 // 4]  # the depth chosen, and that shown
        self._noted: dict[str, Noted] = {}
        self._profiles = functools.cache(GradientProfile)  # drawn once of each size, then moved
        self.strip = Filmstrip(name="Depth", scale=SCREEN_SCALE, message="Measuring gradients at step 0 ...")
        self.note = ipywidgets.HTML()
        self.scrub = Scrub(self.strip, self._say)
        self._build_controls()
        self.fetch = Fetch(self.switches.choose_data)
        self.quiz = GradientQuiz(Bench(seed=seed), self._hide, self._reveal)
        self.claims = ClaimPictures(seed)
        super().__init__()
        self._lay_out()
        self.show(position=len(self.depths) * 3 // 4)

    # --- controls -----------------------------------------------------------------------------------------

    def _build_controls(self) -> None:
        self.view = Tabs(list(VIEWS), tips=dict(zip(VIEWS, _TIPS, strict=True)))
        self.switches = on = Switches(OWN in self.bench.batches, self._switched)
        self.data, self.mode, self.norm, self.start, self.activation = on.conditions
        self.shown, self.take, self.reset = on.shown, on.take, on.reset
        self.depth = menu("Depth", {str(depth): depth for depth in self.depths})
        self.depth.value = self._wanted
        sources = [source for source in list_records() if (source.path / "layers.parquet").is_file()]
        self.record = menu("Recorded", {source.title: source for source in sources})
        self.keep = ipywidgets.Button(
            description="Save", icon="download", layout={"width": "auto"},
            tooltip="Save this picture with its conditions, and its numbers",
        )  # fmt: skip
        self.depth.observe(self._choose_depth, "value")
        for switch in (self.view, self.record):
            switch.observe(self._change_view, "value")
        self.keep.on_click(lambda _: self._save())

    def _lay_out(self) -> None:
        """Put all in its place for good: views hide what they don't need, so the page builds nothing anew."""
        wrap = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 8px"}
        steps, conditions = [self.take, self.reset], self.switches.conditions
        self.note.layout.min_height = "28px"  # of one line, so that a sentence moves nothing
        self.add_class("rx-views")
        if self._own:
            row = ipywidgets.HBox([self.mode, self.shown, *steps, self.keep], layout=wrap)
            self.children = [row, self.note, self.strip]
            return
        live = [*conditions, self.shown, *steps]
        two_lines = {"min_height": "66px", "align_content": "flex-start"}  # as most views need
        row = ipywidgets.HBox([self.record, self.depth, *live, self.keep], layout=wrap | two_lines)
        self.children = [self.view, self.quiz, row, self.fetch, self.note, self.strip, self.claims]
        picture = [row, self.keep, self.note, self.strip]
        self._needed: dict[str, list[Any]] = {
            BY_DEPTH: [*picture, *live],
            BY_SKIP: [*picture, self.depth, *live],
            BY_STEP: [*picture, self.record, self.depth],
            HEATMAP: [*picture, self.record],
            JACOBIANS: [*picture, *conditions, *steps],
            CLAIMS: [self.claims],
            GUESS: [*picture, self.quiz],
        }
        self._show_what_is_needed()

    def _show_what_is_needed(self) -> None:
        needed = self._needed[self.view.value]
        for widget in {one for some in self._needed.values() for one in some}:
            widget.layout.display = "" if widget in needed else "none"

    def _switched(self, sentence: str) -> bool:
        """Show what the switches say now; the last of a reader's own steps if there are more than before."""
        data = self.data.value
        if data in TITLES and data not in self.bench.batches and not is_here(data):
            self.fetch.offer(data)
            self.note.value = ""
            return False
        self.fetch.hide()
        steps = self.switches.steps
        last = self._own and steps > self._shown_steps
        return self.show(position=steps // STEPS if last else None, sentence=sentence)

    def _choose_depth(self, change: Any) -> None:
        if self.switches.settling:
            return
        self._wanted = self.depth.value
        if not self.show():
            with self.switches.quietly():
                self.depth.value = self._wanted = change["old"]

    def _change_view(self, _change: Any) -> None:
        self.fetch.hide()
        self._look_where_the_slider_is()
        with self.switches.quietly():
            if self.view.value == BY_STEP:
                self._offer_depths(self._record().depths, last=True)
            elif self.view.value == BY_SKIP:
                self._offer_depths(self.depths)
        self._show_what_is_needed()
        first = {BY_SKIP: 5}
        depths = self._depths_on_slider()
        if depths:
            self._put = min(depths, key=lambda depth: abs(depth - self._wanted))
            first[self.view.value] = depths.index(self._put)
        self.show(position=first.get(self.view.value, 0))

    def _look_where_the_slider_is(self) -> None:
        """Remember the depth that a slider over depths was moved to, for the views that come."""
        view, at = self.scrub.view, self.strip.index
        if view is not None and view.name == "Depth" and not self._own and len(view.ticks) > 1:
            shown = int(view.ticks[min(at, len(view.ticks) - 1)])
            if shown != self._put:
                self._wanted = self._put = shown

    def _depths_on_slider(self) -> list[int]:
        """Return the depths that the slider of the chosen view goes through, [] for other sliders."""
        if self.view.value == HEATMAP:
            return self._record().depths
        shallow = [depth for depth in self.depths if depth <= DEPTH] or self.depths[:1]
        return {BY_DEPTH: self.depths, JACOBIANS: shallow}.get(self.view.value, [])

    def _offer_depths(self, depths: Sequence[int], last: bool = False) -> None:
        kept = self._wanted if self._wanted in depths else depths[-1 if last else 0]
        self.depth.options = [(str(depth), depth) for depth in depths]
        self.depth.value = kept

    # --- pictures -----------------------------------------------------------------------------------------

    def show(self, position: int | None = None, sentence: str = "") -> bool:
        """Measure and show what the switches say, first for a position; return whether that went well."""
        self.note.value = sentence
        if self.view.value == CLAIMS:
            self.claims.show()
            return True
        self.claims.pause()
        if self.view.value == GUESS:
            self.quiz.show()
            return True
        try:
            view = self._view()
            self.scrub.show(view, position)
        except ExploreError as problem:
            stays = " Still showing what was there." if self.scrub.view else ""
            self.note.value = error(f"{problem}{stays}")
            return False
        self._shown_steps, self.keep.disabled = self.switches.steps, False
        lacking = view.lacks(self.strip.index)
        if lacking:
            self.note.value = error(f"Not shown: {lacking}")
        return True

    @property
    def given(self) -> Conditions:
        """What the switches say."""
        return self.switches.given

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all that is to be shown is there, at most so many seconds."""
        (self.claims if self.view.value == CLAIMS else self.scrub).wait(seconds)

    @property
    def flows(self) -> dict[Any, dict[str, GradientFlow]]:
        """What is shown, once all of it is measured: {tick of the slider: {network: GradientFlow}}."""
        self.wait()
        view = self.scrub.view
        if not isinstance(view, ProfileView):
            return {}
        return {_number(view.ticks[at]): result for at, result in sorted(self.scrub.results.items())}

    def save(self, path: str | Path = "gradient_flow.png") -> list[Path]:
        """Save the picture with its finding and conditions, and its numbers as .csv; return both paths.

        The .csv begins with lines "# key: value", which `pandas.read_csv(path, comment="#")` passes over.
        Raises ExploreError where nothing is shown or the files can't be written.
        """
        return (self.claims if self.view.value == CLAIMS else self.scrub).save(path)

    def _save(self) -> None:
        try:
            saved = self.save(f"gradient_flow-{time.strftime('%Y%m%d-%H%M%S')}.png")
            self.note.value = f"Saved {' and '.join(path.name for path in saved)} beside this notebook."
        except ExploreError as problem:
            self.note.value = error(str(problem))

    def _view(self) -> View:
        live = Live(self.bench, self.switches.given, self.shown.value)
        if self._own:
            return OwnView(live, self._profiles, range(0, self.switches.steps + 1, STEPS))
        make: dict[str, Callable[[], View]] = {
            BY_DEPTH: lambda: DepthView(live, self._profiles, self.depths),
            BY_SKIP: lambda: SkipView(live, self._profiles, self.depth.value),
            BY_STEP: lambda: StepView(self._record(), self._profiles, self.depth.value),
            HEATMAP: lambda: HeatmapView(self._record()),
            JACOBIANS: lambda: JacobianView(live, self._depths_on_slider()),
        }
        return make[self.view.value]()

    def _record(self) -> Noted:
        source = self.record.value
        if source.name not in self._noted:
            self._noted[source.name] = Noted(source)
        return self._noted[source.name]

    def _hide(self) -> None:
        """Take away any picture, which might give an answer away."""
        self.scrub.clear("Guess, then measure: the picture comes with the answer.")
        self.keep.disabled = True

    def _reveal(self, position: int, flow: GradientFlow) -> Reading:
        """Show the picture behind a question, and return what its title says."""
        asked = QUESTIONS[position]
        view = DepthView(Live(self.quiz.bench, asked.given), self._profiles, [DEPTH], asked.skip)
        self.scrub.show_only(view, {asked.kind: flow})
        self.keep.disabled, self.note.value = False, ""
        return view.reading(flow)

    def _say(self, sentence: str) -> None:
        self.note.value = error(sentence)


def _number(tick: str) -> int | float:
    value = float(tick.replace(",", ""))
    return int(value) if value.is_integer() else value
