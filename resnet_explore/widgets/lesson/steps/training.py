"""Step 3: train both. Both twins learn here, from the first update on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.figures.chart import Axis, Chart, Look, Series
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.view import Button, Part, ProgressBar, Prose, View
from resnet_explore.widgets.lesson import captions
from resnet_explore.widgets.lesson.state import LessonState

FIELDS = ("runs",)
UPDATES, RATE = 120, 0.04
_TWINS = {"plain": "plain-56", "residual": "residual-56"}
_WINDOW = 10  # updates over whose images errors are counted
_SHOW_SECONDS = 0.1  # between pictures

Errors = Mapping[str, np.ndarray]
"""By kind, (updates,): percent of each update's images that were wrong before it."""


@dataclass(frozen=True)
class ReadRecordedTraining(Job):
    """Read the training that was recorded."""

    says = "Reading a recorded training ..."

    def run(self, task: Task) -> Errors:
        """Return the errors."""
        import csv

        from resnet_explore.paths import shipped

        with shipped("data", "lesson", "training.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            kind: np.array([float(row["error"]) for row in rows if row["network"] == name])
            for kind, name in _TWINS.items()
        }


@dataclass(frozen=True, eq=False)
class TwinsTraining:
    """How far a training is, and whether it still goes on."""

    errors: Errors
    going: bool

    @property
    def updates(self) -> int:
        """How many updates were made of both."""
        return len(self.errors["residual"])


@dataclass
class Shelf:
    """What an explorer keeps of its trainings, by seed: those that have ended, and which are to stop.

    So a training that was stopped is the same wherever it is asked for, also by a page that is written.
    """

    ended: dict[int, TwinsTraining] = field(default_factory=dict)
    halted: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class TrainTwins(Job):
    """Train both twins from one seed on the same batches.

    shelf  where trainings that have ended are kept, and which of them are to stop
    """

    seed: int
    shelf: "Shelf" = field(default_factory=Shelf, compare=False)
    lane: ClassVar[str] = "training"
    aside: ClassVar[bool] = True
    says = ""

    def run(self, task: Task) -> TwinsTraining:
        """Return the errors; those so far are shown on the way."""
        if self.seed in self.shelf.ended:
            return self.shelf.ended[self.seed]
        self.shelf.ended[self.seed] = found = self._train(task)
        return found

    def _train(self, task: Task) -> TwinsTraining:
        from resnet_explore.inputs.datasets import load_dataset
        from resnet_explore.training.race import Race

        train, test = (load_dataset("digits", split=split) for split in ("train", "test"))
        # What the held-out images say is not shown, so they are looked at rarely.
        race = Race(tuple(_TWINS.values()), train, test, lr=RATE, seed=self.seed, every=UPDATES, sample=1)
        shown = 0.0
        while race.steps < UPDATES and self.seed not in self.shelf.halted:
            task.check()
            race.advance(1)
            if time.monotonic() - shown > _SHOW_SECONDS:
                shown = time.monotonic()
                task.publish(TwinsTraining(_errors(race), going=True))
        return TwinsTraining(_errors(race), going=False)


def _errors(race: Any) -> Errors:
    curves = race.curves
    return {kind: curves[name].error for kind, name in _TWINS.items()}


def check(state: LessonState) -> None:
    """Raise `ExploreError` for a number of trainings that can't be."""
    if not 0 <= state.runs <= 10_000:
        raise ExploreError(f"runs must be from 0 to 10,000, got {state.runs}.")


def plan(state: LessonState, shelf: Shelf) -> Sequence[Job]:
    """Return the recorded training, and the one that was asked for."""
    return (ReadRecordedTraining(), *((TrainTwins(state.runs, shelf),) if state.runs else ()))


def present(state: LessonState, found: Mapping[Job, Any]) -> View:
    """Return the page: both twins' errors as they learn, over those that were recorded."""
    recorded: Errors | None = found.get(ReadRecordedTraining())
    if recorded is None:
        return View(
            panels=None, waiting="Two networks that differ by their skips alone, trained side by side."
        )
    here: TwinsTraining | None = found.get(TrainTwins(state.runs)) if state.runs else None
    live = here is not None and here.updates > 0
    shown = here.errors if here is not None and live else recorded
    running = {kind: running_mean(errors) for kind, errors in shown.items()}
    chart = _chart(running, {k: running_mean(e) for k, e in recorded.items()} if live else None)
    going = bool(state.runs) and (here is None or here.going)
    ends = (float(each[-1]) for each in running.values())
    headline = captions.training_headline(len(shown["residual"]), *ends)
    return View(
        ask=_controls(going, here),
        headline=captions.TRAINING_BUILDS if going and not live else headline,
        panels=((_words(going, live), Charts("training", (chart,))),),
        conditions=captions.training_conditions(UPDATES, _WINDOW),
        glossary=captions.GLOSSARY,
    )


def _words(going: bool, live: bool) -> Prose:
    """Return the paragraphs for a training that was recorded, that goes on, or that is over."""
    if going:
        return Prose("words", captions.TRAINING_GOING)
    if live:
        return Prose("words", captions.TRAINING_DONE)
    return Prose("words", captions.TRAINING, captions.TRAINING_RECORDED)


def _controls(going: bool, here: TwinsTraining | None) -> Sequence[Part]:
    """Return what starts a training, or stops the one that goes on, and how far that is."""
    if not going:
        return (Button("train", captions.TRAIN, "Train both networks on this computer"),)
    done = here.updates if here else 0
    sentence = captions.training_progress(done, UPDATES)
    return Button("halt", "Stop", "Stop where they are"), ProgressBar("progress", done / UPDATES, sentence)


def running_mean(errors: np.ndarray) -> np.ndarray:
    """Return at each update the mean of the last ten, of fewer at the beginning; (updates,)."""
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    ends = np.arange(1, len(errors) + 1)
    starts = np.maximum(ends - _WINDOW, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _chart(errors: Errors, recorded: Errors | None) -> Chart:
    def lines(of: Errors, name: str, look: Look) -> list[Series]:
        return [
            Series(
                name.format(kind.capitalize()),
                np.arange(1, len(each) + 1),
                each,
                kind,
                marker="none",
                look=look,
                listed=look == "full",
            )
            for kind, each in of.items()
        ]

    ghosts = [] if recorded is None else lines(recorded, "{}, recorded", "ghost")
    return Chart(
        "Wrong answers while both learn",
        Axis("updates of the weights", 0, UPDATES + 2, name="update", whole=True),
        Axis("wrong answers on the training images", -3, 103, unit="%"),
        [*lines(errors, "{}", "full"), *ghosts],
    )
