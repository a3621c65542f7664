"""What is computed in the playground: the race goes on, and shows how far it is several times a second."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.playground import captions
from resnet_explore.widgets.playground.curves import Ghost, ghosts_of
from resnet_explore.widgets.playground.state import MOST_STEPS

if TYPE_CHECKING:  # torch is loaded by what trains, behind the first page
    from resnet_explore.inputs.datasets import ImageSet
    from resnet_explore.training.race import Change, Race, RaceCurve

_EVERY = 1 / 15  # seconds between two pictures at least ...
_SHARE = 0.2  # ... of a processor's time in between at most goes into them
_MOST_GHOSTS = 12
_FOLDER_SIDE = 32  # pixels of a person's own images


@dataclass(frozen=True)
class Setup:
    """What decides a race: another of these is another race."""

    networks: tuple[str, ...]
    data: str
    folder: str
    batch_size: int
    seed: int


@dataclass(frozen=True, eq=False)
class Standing:
    """How far a race is.

    curves     {network: what was noted of it}
    kept       the steps to which it can be rewound
    changes    what was changed on the way
    first_lr   the rate that it began with
    images     what it trains on, in words
    held_out   how many images the error is taken of
    classes    how many classes there are
    running    the networks whose loss is a number
    ghosts     curves of earlier races, the oldest first
    turned_away whether it had to rest since another playground plays
    """

    setup: Setup
    steps: int
    curves: "Mapping[str, RaceCurve]"
    kept: tuple[int, ...]
    changes: "tuple[Change, ...]"
    first_lr: float
    images: str
    held_out: int
    classes: int
    running: tuple[str, ...]
    ghosts: tuple[Ghost, ...]
    turned_away: bool = False

    @property
    def over(self) -> bool:
        """Whether it can't go on."""
        return not self.running or self.steps >= MOST_STEPS


class Circuit:
    """Where one race after the other takes place; used by one thread at a time, but for `standing`."""

    def __init__(self) -> None:
        self.standing: Standing | None = None  # the last one, for all to see
        self._race: Race | None = None
        self._setup: Setup | None = None
        self._loaded: tuple[Any, tuple[ImageSet, ImageSet]] | None = None  # of what, and the images
        self._ghosts: tuple[Ghost, ...] = ()
        self._left = 0  # races that have left ghosts
        self._rewinds = 0
        self._first_lr = 0.0
        self._taken = threading.Lock()

    def beside(self) -> "Circuit":
        """Return another one, for races of the same images."""
        other = Circuit()
        other._loaded = self._loaded
        return other

    @contextmanager
    def taken(self, task: Task) -> Iterator[None]:
        """Have it for oneself, once another thread has left it, such as that of a page that is written."""
        while not self._taken.acquire(timeout=0.1):
            task.check()
        try:
            yield
        finally:
            self._taken.release()

    def race(self, job: "RunRace") -> "Race":
        """Return the race of a job as the job wants it to begin: a new one, or this one, perhaps rewound."""
        from resnet_explore.training.race import Race

        # A wish is heard once: each later job would fail, too, where it can't be met.
        wished, self._rewinds = job.rewinds > self._rewinds, job.rewinds
        if self._race is None or job.setup != self._setup:
            data, held_out = self._images(job.setup)
            race = Race(job.setup.networks, data, held_out, job.lr, job.setup.batch_size, job.setup.seed)
            self._leave_ghosts(self._curves())
            self._race, self._setup = race, job.setup
        elif wished:
            curves = self._curves()
            self._race.rewind(job.rewound_to)
            self._leave_ghosts(curves)
        race = self._race
        if not race.steps:
            self._first_lr = job.lr
        race.lr = job.lr
        for name, factor in zip(race.names, job.skips, strict=True):
            race.set_skips(factor, name)
        return race

    def _images(self, setup: Setup) -> "tuple[ImageSet, ImageSet]":
        """Return training and held-out images: those of the race before, unless other ones lie there now."""
        wanted = (setup.data, setup.folder, _stamps(setup))
        if self._loaded is None or self._loaded[0] != wanted:
            self._loaded = wanted, _load(setup)
        return self._loaded[1]

    def _curves(self) -> "Mapping[str, RaceCurve]":
        """Return what the present race leaves behind: nothing before its first step."""
        return {} if self._race is None or not self._race.steps else self._race.curves

    def _leave_ghosts(self, curves: "Mapping[str, RaceCurve]") -> None:
        if curves:
            self._left += 1
            self._ghosts = (*self._ghosts, *ghosts_of(curves, self._left))[-_MOST_GHOSTS:]

    def look(self, race: "Race") -> Standing:
        """Return how far the race is, and keep that."""
        from resnet_explore.inputs.datasets import in_words

        if self._setup is None:
            raise LookupError("No race has begun.")
        self.standing = Standing(
            setup=self._setup,
            steps=race.steps,
            curves=race.curves,
            kept=race.kept,
            changes=tuple(race.changes),
            first_lr=self._first_lr,
            images=in_words(race.data, race.held_out),
            held_out=race.sample,
            classes=len(race.data.classes),
            running=race.running,
            ghosts=self._ghosts,
        )
        return self.standing


@dataclass(frozen=True)
class RunRace(Job):
    """Let a race go on to a step, or on and on.

    goal       the step at which it rests; None for as long as it is wanted
    rewinds    how often races were rewound so far; one more than before is a wish to be rewound
    rewound_to the step for that
    presses    how often Play was pressed: each time is a going on of its own
    """

    lane: ClassVar[str] = "training"
    aside: ClassVar[bool] = True  # the page shows how far it is

    circuit: Circuit = field(repr=False)
    setup: Setup
    lr: float
    skips: tuple[float | None, ...]
    goal: int | None
    rewinds: int
    rewound_to: int
    presses: int

    def run(self, task: Task) -> Standing:
        """Return how far the race is in the end, and publish that on the way."""
        with self.circuit.taken(task):
            return self._run(task)

    def _run(self, task: Task) -> Standing:
        race, due = self.circuit.race(self), 0.0

        def show() -> None:
            nonlocal due
            began, worked = time.perf_counter(), time.thread_time()
            if began < due or task.cancelled:
                return
            task.publish(self.circuit.look(race))
            due = began + max(_EVERY, (time.thread_time() - worked) / _SHARE)

        show()
        goal = MOST_STEPS if self.goal is None else self.goal
        turn = _Turn() if self.goal is None else None

        def is_over() -> bool:
            return task.cancelled or (turn is not None and turn.lost)

        if race.steps < goal:
            race.advance(goal - race.steps, is_over, show)
        standing = self.circuit.look(race)
        task.check()
        return replace(standing, turned_away=turn is not None and turn.lost)


class _Turn:
    """Who plays: the last one. A cell that is run again leaves behind a page that nobody can stop."""

    _last: "ClassVar[_Turn | None]" = None

    def __init__(self) -> None:
        _Turn._last = self

    @property
    def lost(self) -> bool:
        return _Turn._last is not self


def _load(setup: Setup) -> "tuple[ImageSet, ImageSet]":
    """Return training and held-out images. Raises `ExploreError` where there are none."""
    from resnet_explore.inputs.datasets import is_here, load_dataset

    if not is_here(setup.data):
        raise ExploreError(captions.NOT_HERE)
    more: dict[str, Any] = {"root": setup.folder, "size": _FOLDER_SIDE} if setup.data == "folder" else {}
    train, test = (load_dataset(setup.data, split, download=False, **more) for split in ("train", "test"))
    return train, test


def _stamps(setup: Setup) -> Sequence[Any]:
    """Return what changes when an image in a person's folder does; nothing for data that stay as they are."""
    from resnet_explore.inputs.datasets import stamp
    from resnet_explore.inputs.folders import image_splits, usable_root

    if setup.data != "folder":
        return ()
    splits, _ = image_splits(usable_root(setup.folder))
    return [stamp(file) for files in splits.values() for _, file in files]
