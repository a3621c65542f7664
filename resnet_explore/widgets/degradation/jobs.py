"""What is computed about degradation: layers are read, a folder is looked at, and networks are trained."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.folders import UnreadableImagesError
from resnet_explore.training.plan import Sweep
from resnet_explore.widgets.catalog.layers import OfDepth, by_depth
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.degradation import captions, own_images
from resnet_explore.widgets.degradation.runs import Row, Runs

if TYPE_CHECKING:
    import pandas as pd

    from resnet_explore.inputs.folders import Survey
    from resnet_explore.training.sweep import Progress

_SHOW_SECONDS = 0.8  # between pictures while it trains: often enough to watch
_SHOW_SHARE = 0.1  # of the time that may go into them

Layers = Mapping[int, OfDepth]


@dataclass(frozen=True)
class ReadLayers(Job):
    """Read what a source's runs noted of their layers.

    version  of the source; one that was read anew is another
    """

    key: str
    version: int
    read: "Callable[[], pd.DataFrame] | None" = field(compare=False)
    says: str = field(default=captions.READING_LAYERS, compare=False)

    def run(self, task: Task) -> Layers | str:
        """Return the layers by depth, or a sentence on why there are none."""
        try:
            return captions.NO_LAYERS if self.read is None else by_depth(self.read())
        except ExploreError as problem:
            return str(problem)


@dataclass(frozen=True)
class LookAtFolder(Job):
    """Look at a folder of images, without opening one.

    look  counts the looks: files come and go
    """

    folder: str
    look: int
    says: str = field(default=captions.LOOKING, compare=False)

    def run(self, task: Task) -> "Survey | str":
        """Return what it holds, or a sentence on why it can't be trained on."""
        from resnet_explore.inputs.folders import survey

        try:
            return survey(self.folder.strip())
        except ExploreError as problem:
            return str(problem)


@dataclass(frozen=True)
class Trained:
    """How far a training is.

    runs      what has been trained so far
    layers    what it noted of the layers
    data      what it trains on, in words; "" as long as that is not read
    sentence  how far it is, or what came of it
    going     whether it still goes on
    share     of its epochs that are done; None before it is known
    failed    whether the sentence says what went wrong
    first     {depth: seconds until its first epoch ends, from the last look on}, as far as that is known
    """

    runs: Runs
    layers: Layers = field(default_factory=dict)
    data: str = ""
    sentence: str = captions.LOADING
    going: bool = True
    share: float | None = None
    failed: bool = False
    first: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Train(Job):
    """Train a sweep, or go on with it. It ends by itself, or soon after `halt` is set.

    number    each press of the button is a training of its own
    data      the key of the data in the menu
    sweep     what is trained; None for images of one's own, which are looked at first
    out       where its runs lie; for images of one's own, the folder in which they get one
    folder    of one's own images
    before    what an earlier training of the same came to, shown until this one has something
    expected  {depth: seconds until its first epoch ends}, as recorded elsewhere
    """

    lane: ClassVar[str] = "training"
    aside: ClassVar[bool] = True

    number: int
    data: str
    seed: int
    out: Path
    sweep: Sweep | None = None
    folder: str = ""
    skip_unreadable: bool = False
    before: Trained | None = field(default=None, compare=False)
    expected: Mapping[int, float] = field(default_factory=dict, compare=False)
    halt: threading.Event = field(default_factory=threading.Event, compare=False)

    def run(self, task: Task) -> Trained:
        """Return what came of it; a sentence in it where nothing did."""
        watch: _TrainingWatch | None = None
        try:
            sweep, out = self._settled()
            from resnet_explore.training.sweep import run_sweep

            def is_over() -> bool:  # nobody wants it to go on
                return self.halt.is_set() or task.cancelled

            with _taking_over(out, self, is_over):
                watch = _TrainingWatch(self, task, sweep, out)
                if not is_over():
                    run_sweep(sweep, out, progress=watch.take, stop=is_over, began=watch.begin)
            return watch.ended()
        except UnreadableImagesError as problem:
            sentence = captions.unreadable(problem.found)
        except ExploreError as problem:
            sentence = str(problem)
        except Exception as problem:  # of whatever kind, it must not be tried again by itself
            sentence = f"Training stopped: {type(problem).__name__}: {problem}"
        live = watch.live if watch else self.at_first
        return replace(live, going=False, sentence=sentence, failed=True, share=None)

    @property
    def at_first(self) -> Trained:
        """How far it is before anything is known."""
        begun = self.before or Trained(self.first_runs, first=self.expected)
        return replace(begun, sentence=captions.LOADING, going=True, failed=False, share=None)

    @property
    def first_runs(self) -> Runs:
        """The runs that are there before anything is trained."""
        if self.before is not None:
            return self.before.runs
        if self.sweep is None:
            return Runs((), own_images.DEPTHS, 1)
        return Runs((), self.sweep.depths, max(run.epochs for run in self.sweep.runs()))

    def _settled(self) -> tuple[Sweep, Path]:
        if self.sweep is not None:
            return self.sweep, self.out
        from resnet_explore.inputs.folders import survey

        found = survey(self.folder.strip())
        sweep = own_images.folder_sweep(found, self.folder, self.skip_unreadable, self.seed)
        return sweep, own_images.runs_folder(found, self.folder, self.out, self.seed)


_AT_WORK: dict[Path, Train] = {}  # by the folder of its runs, in this process
_CHANGED = threading.Condition()


@contextmanager
def _taking_over(out: Path, job: Train, is_over: Callable[[], bool]) -> Iterator[None]:
    """Have a folder of runs for a training, once an earlier one there has stopped.

    A cell that is run again leaves behind an explorer that nobody can see, and so nobody can stop.
    """
    out = out.resolve()
    with _CHANGED:
        while out in _AT_WORK and not is_over():
            _AT_WORK[out].halt.set()
            _CHANGED.wait(0.2)
        _AT_WORK.setdefault(out, job)
    try:
        yield
    finally:
        with _CHANGED:
            if _AT_WORK.get(out) is job:
                del _AT_WORK[out]
            _CHANGED.notify_all()


class _TrainingWatch:
    """Collects a running sweep's epochs and shows them from time to time."""

    def __init__(self, job: Train, task: Task, sweep: Sweep, out: Path) -> None:
        from resnet_explore.training.sweep import settled
        from resnet_explore.training.time_left import TimeLeft

        self.job, self.task, self.sweep, self.out = job, task, sweep, out
        self.rows: list[Row] = []
        self.last: Progress | None = None
        self.resumed = (out / "sweep.json").is_file()
        self.fresh = not self.resumed  # whether epochs were trained now, not all before
        self._time_left = TimeLeft(settled(sweep, out).runs())
        self._next = 0.0
        self.live = job.at_first
        self._show(sentence="Starting the workers ...")

    def begin(self, data: str) -> None:
        self._show(sentence=captions.starting(data))

    def take(self, progress: "Progress") -> None:
        self.fresh = self.fresh or self.last is not None or not progress.finished
        self.rows += progress.rows
        self.last = progress
        seconds = self._time_left.take(progress)
        if time.monotonic() < self._next:
            return
        began = time.monotonic()
        self._show(
            **self._found(),
            sentence=captions.trained(progress, seconds),
            share=progress.epochs_done / progress.epochs_total,
            first=self._time_left.first_epochs() or self.live.first,
        )
        now = time.monotonic()
        self._next = now + max(_SHOW_SECONDS, (now - began) / _SHOW_SHARE)

    def ended(self) -> Trained:
        """Return what there is at the end."""
        from resnet_explore.training.sweep import load_sets

        finished = self.last is not None and self.last.finished
        lost = [name for data in load_sets(self.sweep) for name in data.skipped]
        took = None
        if finished and self.last is not None and self.fresh:
            took = self.last.seconds
        sentence = captions.outcome(
            finished, len(self.sweep.runs()), took, self.resumed, bool(self.rows), lost
        )
        share = 1.0 if finished else None
        return replace(self.live, **self._found(), sentence=sentence, going=False, share=share, first={})

    def _found(self) -> dict[str, Any]:
        """Return what the picture shows, read from the folder of the runs."""
        from resnet_explore.inputs.datasets import in_words
        from resnet_explore.training.runs import collect_layers
        from resnet_explore.training.sweep import load_sets

        if not self.rows:
            return {}
        try:
            layers: Layers = by_depth(collect_layers(self.out))
        except ExploreError:  # not a step yet
            layers = {}
        return {"runs": self._runs(), "layers": layers, "data": in_words(*load_sets(self.sweep))}

    def _runs(self) -> Runs:
        return Runs(tuple(self.rows), self.sweep.depths, max(run.epochs for run in self.sweep.runs()))

    def _show(self, **changes: Any) -> None:
        self.live = replace(self.live, **changes)
        self.task.publish(self.live)
