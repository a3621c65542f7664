"""The degradation problem: slide through depths, in a recorded experiment or in one that you train."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import SCREEN_SCALE
from resnet_explore.training.plan import Sweep
from resnet_explore.training.recorded import Record
from resnet_explore.training.runs import collect_layers
from resnet_explore.training.summary import require_one_recipe
from resnet_explore.widgets.curtain import Curtain
from resnet_explore.widgets.errors_view import conditions, error_pictures, first_failure
from resnet_explore.widgets.filmstrip import Filmstrip
from resnet_explore.widgets.layers_view import GradientsView, ResponsesView
from resnet_explore.widgets.own_folder import FolderField
from resnet_explore.widgets.paper_view import beside_the_paper
from resnet_explore.widgets.record_menu import how_to_repeat, record_menu
from resnet_explore.widgets.slider import Slider
from resnet_explore.widgets.tabs import Tabs
from resnet_explore.widgets.training_panel import TrainingPanel
from resnet_explore.widgets.words import error

_RECORDED, _OWN = "Recorded runs", "Your own run"
ERRORS, GRADIENTS, RESPONSES, PAPER = VIEWS = ("Errors", "Gradients", "Responses", "Beside the paper")
YOUR_FOLDER = "Your folder of images ..."


class DegradationExplorer(ipywidgets.VBox):
    """Plain against residual networks: errors, gradients and responses, recorded or trained here.

    sweep     the experiment that *Train* runs, one seed at a time; by default `Sweep()`, on digits
    out       where its runs are kept, in a folder for each seed; continued if it was interrupted. Runs on
              your own images go beside it
    recorded  a folder that `collect` reads, shown until you train; by default the record of the sweep's data.
              The menu also has the other records that ship, and a folder of your own

    Attributes: `data` (the menu), `view` (what is shown: errors, gradients, responses, the paper's numbers),
    `depth` (the slider that all views share), `strip` (the errors), `gradients`, `responses` (a `LayersView`
    each), `paper`, `table` (what is shown, as `collect` returns it), and the controls `train`, `stop`,
    `back` (to the recorded runs), `seed`, `progress`, `status`, `folder`.

    Raises ExploreError if `recorded` holds no runs, or runs of more than one recipe.
    """

    def __init__(
        self, sweep: Sweep | None = None, out: str | Path = "runs/digits", recorded: str | Path | None = None
    ) -> None:
        self.sweep, self.out = sweep or Sweep(), Path(out)
        self._records = record_menu(self.sweep.dataset, recorded)
        self._record: Record = next(iter(self._records.values()))
        self._drawing = threading.RLock()  # a training draws from its own thread
        self._outdated = set(VIEWS)
        self._settling = False  # while the slider is set, not moved
        self._trained: Sweep | None = None  # the last one that was
        self._wanted: int | None = None  # the depth that the person has chosen; not all runs have it
        self.table, self._recorded = pd.DataFrame(), pd.DataFrame()
        self._folder_trained = ""
        self._build_controls()
        self._show_record()
        self._say_what_train_does()

    def _build_controls(self) -> None:
        self.data = ipywidgets.Dropdown(
            options=[*self._records, YOUR_FOLDER],
            description="Data",
            style={"description_width": "initial"},
            layout={"width": "270px"},
        )
        self.view = Tabs(list(VIEWS), tips=_TIPS)
        self.depth = Slider(label="Depth", unit="layers")
        self.back = ipywidgets.Button(
            description="Recorded runs", disabled=True, tooltip="Show the recorded runs again; yours are kept"
        )
        self.folder = FolderField(self.out.parent, self._say_what_train_does)
        self.panel = TrainingPanel(
            self.sweep.seeds[0], self._job, self._show_own, self._turned, self._say_what_train_does, self.back
        )
        self.train, self.stop, self.seed = self.panel.train, self.panel.stop, self.panel.seed
        self.progress, self.status = self.panel.progress, self.panel.status
        self.strip = Filmstrip(
            name="Depth", scale=SCREEN_SCALE, show_slider=False, message="Drawing the recorded runs ..."
        )
        # In the browser, so that a picture follows the slider without asking the kernel.
        ipywidgets.jsdlink((self.depth, "index"), (self.strip, "index"))
        self.gradients, self.responses = GradientsView(), ResponsesView()
        self.paper = ipywidgets.HTML(layout={"margin": "0"})
        self._pages: dict[str, Any] = {
            ERRORS: self.strip,
            GRADIENTS: self.gradients,
            RESPONSES: self.responses,
            PAPER: self.paper,
        }
        self._answered: dict[str, Any] = {"data": self.data.index, "view": ERRORS, "depth": 0}
        self.curtain = Curtain(view=ERRORS, drawn=self._answered)
        links = ((self.data, "index"), (self.view, "value"), (self.depth, "index"))
        for source, name in zip(links, ("data", "view", "depth"), strict=True):
            ipywidgets.jsdlink(source, (self.curtain, name))
        # Its place is kept while other data are chosen: nothing below it moves.
        self.folder.layout.visibility = "hidden"
        top = ipywidgets.HBox(
            [self.data, self.folder],
            layout={"flex_flow": "row wrap", "grid_gap": "0 20px", "max_width": "954px"},
        )
        # All pages lie in one place, whose size is that of the largest: what is below never moves.
        place = ipywidgets.GridBox(
            [self.curtain, *self._pages.values()], layout={"grid_template_columns": "minmax(0, 100%)"}
        )
        place.add_class("rx-views")
        for page in place.children:
            page.layout.grid_area = "1 / 1"
        super().__init__([top, self.view, self.depth, place, self.panel])
        self._turn_page()
        self.data.observe(self._choose_data, "value")
        self.view.observe(self._turn, "value")
        self.depth.observe(self._look_deeper, "index")
        for name in (ERRORS, GRADIENTS, RESPONSES):
            strip = self._pages[name] if name == ERRORS else self._pages[name].strip
            strip.observe(lambda _, name=name: self._redraw(name), "narrow")
        self.back.on_click(lambda _: self._go_back())

    # --- which data ---------------------------------------------------------------------------------------

    def _choose_data(self, _change: object) -> None:
        on_folder = self.data.value == YOUR_FOLDER
        self.folder.layout.visibility = "visible" if on_folder else "hidden"
        try:
            if on_folder:
                self._say_what_train_does()
            else:
                self._go_back()
        finally:
            self._answer(data=self.data.index)

    def _go_back(self) -> None:
        """Show the recorded runs, and say what can be done with them, or why they can't be shown."""
        try:
            self._show_record()
        except ExploreError as problem:
            self.panel.offer(False, error(f"{problem} Still showing what was there before."))
        else:
            self._say_what_train_does()

    def _show_record(self) -> None:
        """Show the record that the menu names, or that it named before a folder was chosen."""
        record = self._record if self.data.value == YOUR_FOLDER else self._records[self.data.value]
        if record is self._record and self.table is self._recorded:
            return
        table = record.table()
        require_one_recipe(table)
        self._record, self._recorded = record, table
        self._shown, self._shown_folder = record.title, ""
        data = record.about.get("data") or str(table["dataset"].iloc[0])
        lacking = record.missing(table)
        note = f" {lacking[0].upper()}{lacking[1:]}." if lacking else ""
        self._show(table, _RECORDED, data, record.layers, note=note)

    def _show_own(self, table: pd.DataFrame, out: Path, data: str, going_on: bool) -> None:
        self._shown_folder = self._folder_trained
        shown = f"image folder {self._shown_folder}" if self._shown_folder else data
        self._shown = f"your run on {shown}"
        self._show(table, _OWN, data, lambda: collect_layers(out), going_on)

    def show_table(
        self,
        table: pd.DataFrame,
        source: str,
        data: str = "",
        layers: Callable[[], pd.DataFrame] | None = None,
    ) -> None:
        """Show another table of runs, as `collect` returns it.

        `source` says in a word or two whose it is, `data` what the networks were trained on; `layers` is a
        function that returns what `collect_layers` would. Raises ExploreError if the runs differ in recipe.
        """
        require_one_recipe(table)
        self._shown, self._shown_folder = source, ""
        self._show(table, source, data or str(table["dataset"].iloc[0]), layers)

    # --- training -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Train, or continue, what the menu names with the seed that is set; returns at once."""
        self.panel.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a training that `start` began, at most so many seconds."""
        self.panel.wait(seconds)

    def _job(self, seed: int) -> tuple[Sweep, Path]:
        self._folder_trained = ""
        if self.data.value == YOUR_FOLDER:
            sweep, out = self.folder.job(seed)
            self._folder_trained = self.folder.path.value.strip()
        else:
            sweep, out = replace(self.sweep, seeds=(seed,)), self.out / f"seed-{seed}"
        self._trained = sweep
        return sweep, out

    def _turned(self, training: bool) -> None:
        self.data.disabled = training
        for control in (self.folder.path, self.folder.skip):
            control.disabled = training
        self._offer_recorded(training)
        if not training:
            self._answer()  # a training that failed says why

    def _offer_recorded(self, training: bool) -> None:
        self.back.disabled = training or self.table is self._recorded

    def _say_what_train_does(self) -> None:
        if self.panel.training:
            return
        if self.data.value == YOUR_FOLDER:
            self.panel.offer(True, self.folder.sentence())
            self._answer()  # it may be another folder now
        elif self._record is not next(iter(self._records.values())):
            self.panel.offer(False, how_to_repeat(self._record, self._recorded))
        elif (self.out / f"seed-{self.panel.chosen_seed}" / "sweep.json").is_file():
            self.panel.offer(True, "<b>Train</b> continues or shows your run with this seed.")
        else:
            count = len(replace(self.sweep, seeds=(0,)).runs())
            soon = "how long it still takes is said once the first epochs are done"
            self.panel.offer(True, f"<b>Train</b> trains these {count} networks on this computer; {soon}.")

    # --- what is shown ------------------------------------------------------------------------------------

    def _show(
        self,
        table: pd.DataFrame,
        source: str,
        data: str,
        layers: Callable[[], pd.DataFrame] | None,
        going_on: bool = False,
        note: str = "",
    ) -> None:
        with self._drawing:
            self.table, self._layers = table, layers
            self._source, self._data, self._note = source, data, note
            self._offer_recorded(self.train.disabled and self.panel.available)
            self._outdated = set(VIEWS)
            self._depths = sorted({int(d) for d in table["depth"]} | set(self._planned(source)))
            if self._wanted is None:
                self._wanted = self._depths[first_failure(table, self._depths)]
            apart = [abs(depth - self._wanted) for depth in self._depths]
            self._settling = True
            self.depth.show([str(depth) for depth in self._depths], apart.index(min(apart)))
            self._settling = False
            if not going_on or self.view.value == ERRORS:
                self._refresh()
            self._answer(depth=self.depth.index)

    def _draw_errors(self) -> None:
        pictures = error_pictures(self.table, self._source, self._data, self._depths, bool(self.strip.narrow))
        pictures["captions"] = [caption + self._note for caption in pictures["captions"]]
        self.strip.show(**pictures, index=self.depth.index)

    def _redraw(self, page: str) -> None:
        """Draw for more or less room than there was."""
        with self._drawing:
            self._outdated.add(page)
            self._refresh()

    def _planned(self, source: str) -> tuple[int, ...]:
        """Return the depths that are going to be there, so that the slider keeps its places."""
        if source == _RECORDED:
            return ()
        return (self._trained or self.sweep).depths

    def _turn(self, _change: Any) -> None:
        with self._drawing:
            try:
                self._look_there()
            finally:
                self._turn_page()
                self._answer(view=self.view.value, depth=self.depth.index)

    def _turn_page(self) -> None:
        for name, page in self._pages.items():
            page.layout.visibility = "visible" if name == self.view.value else "hidden"

    def _look_deeper(self, _change: Any) -> None:
        if self._settling:
            return
        self._wanted = int(self.depth.chosen)
        with self._drawing:
            try:
                self._look_there()
            finally:
                self._answer(depth=self.depth.index)

    def _look_there(self) -> None:
        """Show the depth of the slider in the view that is open; the errors follow in the browser."""
        page = self.view.value
        if page in (GRADIENTS, RESPONSES) and page not in self._outdated:
            self._pages[page].turn_to(int(self.depth.chosen))
        elif page == PAPER:
            self._outdated.add(PAPER)
        self._refresh()

    def _refresh(self) -> None:
        """Bring the page that is open up to date; nobody waits for the others."""
        page = self.view.value
        if page not in self._outdated:
            return
        depth = int(self.depth.chosen)
        if page == ERRORS:
            self._draw_errors()
        elif page == PAPER:
            self.paper.value = beside_the_paper(self.table, self._data, depth)
        else:
            self._pages[page].show(self.table, self._layers, self._said, depth)
        self._outdated.discard(page)

    def _answer(self, **what: Any) -> None:
        """Tell the browser what is drawn of what it asked for, and what the picture shows if not that."""
        self._answered |= what
        errors = self._answered["view"] == ERRORS
        with self.curtain.hold_sync():
            self.curtain.sentences = {
                "data": [*(f"Drawing {title} ..." for title in self._records), self._still()],
                "depth": [f"Drawing {depth} layers ..." for depth in self._depths],
            }
            self.curtain.drawn = self._answered | ({"depth": None} if errors else {})
            self.curtain.note = self._still() if self.data.value == YOUR_FOLDER else ""

    def _still(self) -> str:
        """Say what is shown instead of the folder that is named, "" if that is shown."""
        if self._shown_folder and self._shown_folder == self.folder.path.value.strip():
            return ""
        why = self.folder.problem or self.panel.problem or "Nothing is recorded for your folder yet."
        return f"{why} The picture shows {self._shown}."

    def _said(self, table: pd.DataFrame, lines: str) -> str:
        """Say under what conditions some of the runs were trained, and what lines over them are."""
        return f"{self._source}: {conditions(table, self._data, lines)}{self._note}"


_TIPS = {
    ERRORS: "Training error against depth, and learning curves",
    GRADIENTS: "Gradient norms layer by layer, step by step",
    RESPONSES: "How strongly each layer answers, step by step",
    PAPER: "Our numbers and those of He et al. 2015",
}
