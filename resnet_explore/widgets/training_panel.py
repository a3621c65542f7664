"""Train, Stop, a seed and how far it is: a sweep that runs in a thread beside the notebook."""

import html
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets
import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import in_words
from resnet_explore.training.plan import Sweep
from resnet_explore.training.sweep import Progress, load_sets, run_sweep, settled
from resnet_explore.training.time_left import TimeLeft, left
from resnet_explore.widgets.background import THREADS
from resnet_explore.widgets.words import error, listed

_REDRAW_SECONDS = 0.8  # between pictures while training: often enough to watch, seldom enough not to slow it
_LARGEST_SEED = 2**31 - 1

Job = Callable[[int], tuple[Sweep, Path]]
"""From a seed to what is to be trained and where; may raise ExploreError."""


class TrainingPanel(ipywidgets.VBox):
    """Buttons that train a sweep, one seed at a time, and go on with one that was stopped.

    seed    to begin with
    job     what is to be trained, asked when *Train* is pressed
    show    called with the table so far, its folder, what the data are in words and whether training goes
            on, from the training thread
    turned  called when training begins and ends, with True and False
    seeded  called when another seed is chosen
    extra   a control that stands beside the buttons

    Attributes: `train`, `stop`, `seed` (the box), `chosen_seed`, `progress`, `status` (HTML), `available`
    (whether there is something to train), `problem` (why the last training failed, "" if it didn't).
    """

    def __init__(
        self,
        seed: int,
        job: Job,
        show: Callable[[pd.DataFrame, Path, str, bool], None],
        turned: Callable[[bool], None],
        seeded: Callable[[], None],
        extra: ipywidgets.Widget,
    ) -> None:
        self.job, self._show, self._turned, self._seeded = job, show, turned, seeded
        self.chosen_seed = seed
        self.available, self.problem = True, ""
        self.train = ipywidgets.Button(
            description="Train", icon="play", button_style="primary", tooltip="Train all networks here, now"
        )
        self.stop = ipywidgets.Button(
            description="Stop", icon="stop", disabled=True, tooltip="Stop; finished epochs are kept"
        )
        # Not an IntText, whose box drops what is not a digit: 2.7 would become 27 without a word.
        self.seed = ipywidgets.FloatText(value=seed, step=1, description="Seed", layout={"width": "150px"})
        self.seed.observe(self._take_seed, "value")
        self.progress = ipywidgets.FloatProgress(
            min=0, max=1, tooltip="Epochs trained", layout={"width": "220px", "visibility": "hidden"}
        )
        self.status = ipywidgets.HTML()
        self._halt = threading.Event()
        self.thread: threading.Thread | None = None
        self.train.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self._halt.set())
        row = ipywidgets.HBox(
            [self.train, self.stop, extra, self.seed, self.progress],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        super().__init__([row, self.status])

    @property
    def training(self) -> bool:
        """Whether a sweep is being trained."""
        return self.thread is not None and self.thread.is_alive()

    def _take_seed(self, change: dict[str, Any]) -> None:
        given = change["new"]
        if given == self.chosen_seed:
            return
        if 0 <= given <= _LARGEST_SEED and given == int(given):
            self.chosen_seed = int(given)
            self._seeded()
            return
        self.seed.value = self.chosen_seed
        self.status.value = error(
            f"A seed is a whole number from 0 to {_LARGEST_SEED:,}, not {given:,.12g}; "
            f"it stays {self.chosen_seed}."
        )

    def offer(self, available: bool, sentence: str) -> None:
        """Say what *Train* would do, or why it can't do anything, in HTML."""
        self.available, self.status.value, self.problem = available, sentence, ""
        self.progress.value = 0
        self._set_training(False)

    def start(self) -> None:
        """Train, or continue, the job with the seed that is set; returns at once."""
        if self.training:
            return
        try:
            sweep, out = self.job(self.chosen_seed)
        except ExploreError as problem:
            self.status.value = error(str(problem))
            return
        self._halt.clear()
        self.problem = ""
        self._set_training(True)
        self.status.value = "Starting the workers ..."
        self.thread = threading.Thread(target=self._work, args=(sweep, out), name=THREADS, daemon=True)
        self.thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a training that `start` began, at most so many seconds."""
        if self.thread is not None:
            self.thread.join(seconds)

    def _work(self, sweep: Sweep, out: Path) -> None:
        live = _Live(self, sweep, out)
        try:
            run_sweep(sweep, out, progress=live.take, stop=self._halt.is_set, began=live.begin)
            live.show(going_on=False)
            self.status.value = live.outcome() + _left_out(sweep)
        except ExploreError as problem:
            # What a person ticks here is an argument elsewhere.
            self.problem = str(problem).replace("pass skip_unreadable=True", 'tick "Leave out broken images"')
        except Exception as problem:  # a thread has nobody else to tell
            self.problem = f"Training stopped: {type(problem).__name__}: {problem}"
        finally:
            if self.problem:
                self.status.value = error(self.problem)
            self._set_training(False)

    def _set_training(self, training: bool) -> None:
        self.train.disabled = training or not self.available
        self.stop.disabled, self.seed.disabled = not training, training
        # An empty bar would look like a control; it keeps its place.
        self.progress.layout.visibility = "visible" if training or self.progress.value else "hidden"
        self._turned(training)


class _Live:
    """Collects a running sweep's epochs and has them drawn from time to time."""

    def __init__(self, panel: TrainingPanel, sweep: Sweep, out: Path) -> None:
        self.panel, self.sweep, self.out = panel, sweep, out
        self.rows: list[dict[str, Any]] = []
        self.last: Progress | None = None
        self.fresh = False  # whether epochs were trained now, not all before
        self._time_left = TimeLeft(settled(sweep, out).runs())
        self.resumed = (out / "sweep.json").is_file()
        self._drawn = 0.0

    def begin(self, data: str) -> None:
        self.panel.status.value = html.escape(f"Starting the workers. They train on {data} ...")

    def take(self, progress: Progress) -> None:
        self.fresh = self.fresh or self.last is not None or not progress.finished
        self.rows += progress.rows
        self.last = progress
        self.panel.progress.value = progress.epochs_done / progress.epochs_total
        self.panel.status.value = (
            f"Trained {progress.epochs_done} of {progress.epochs_total} epochs in {progress.seconds:.0f} s"
            f"{left(self._time_left.take(progress))}."
        )
        if time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self.show(going_on=True)

    def show(self, going_on: bool) -> None:
        if self.rows:
            data = in_words(*load_sets(self.sweep))
            self.panel._show(pd.DataFrame(self.rows), self.out, data, going_on)
            self._drawn = time.monotonic()

    def outcome(self) -> str:
        if self.last is not None and self.last.finished:
            took = "earlier" if not self.fresh else f"in {self.last.seconds:.0f} s"
            took += ", after an earlier start" if self.fresh and self.resumed else ""
            count = len(self.sweep.runs())
            return f"All {count} networks were trained here {took}. Another seed trains them anew."
        if self.rows:
            return "Stopped. <b>Train</b> goes on from the last finished epochs."
        return "Stopped before an epoch was finished. <b>Train</b> begins again."


def _left_out(sweep: Sweep) -> str:
    """Return a sentence that lists the images that a sweep was told to leave out, if there are any."""
    lost = [name for data in load_sets(sweep) for name in data.skipped]
    return f" Left out, since they can't be read: {listed(lost)}." if lost else ""
