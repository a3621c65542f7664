"""How long a sweep still takes, told from the epochs that have ended while one watches."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from resnet_explore.training.runs import Run
from resnet_explore.training.sweep import Progress

_LEAST_SECONDS, _LEAST_EPOCHS = 10.0, 8  # how far back the estimate looks at least, where it can


@dataclass(frozen=True)
class _Look:
    """What was done by a moment: layers times epochs, and the seconds that their workers spent in them."""

    seconds: float
    done: int
    training: float
    epochs: int


class TimeLeft:
    """An estimate that begins when some run has ended an epoch from start to end under our eyes.

    The rest is done as fast as in the last quarter of the time so far, since how busy a machine is changes,
    but no sooner than the longest run alone can be. An epoch counts as much as its network has layers: on
    one recipe, a layer takes the same time in deep networks as in shallow ones, to within a third. Epochs of
    earlier, and the time until the first one ends (workers start, data are read), don't count.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = list(runs)
        self._layers = {run.id: run.depth for run in self._runs}
        self._left = {run.id: run.depth * run.epochs for run in self._runs}
        self._looks: list[_Look] = []
        self._ended = Counter[str]()
        self._speed: tuple[float, float] | None = None  # seconds a layer: of all workers together, of one

    def take(self, progress: Progress) -> float:
        """Note what has ended, and return the seconds that are left: nan while nothing is known of that."""
        for row in progress.rows:
            self._left[row["run"]] -= self._layers[row["run"]]
        if not self._looks:
            self._looks.append(_Look(progress.seconds, 0, 0.0, 0))
            return math.nan
        last = self._looks[-1]
        now = _Look(
            progress.seconds,
            last.done + sum(self._layers[row["run"]] for row in progress.rows),
            last.training + sum(row["seconds"] for row in progress.rows),
            last.epochs + len(progress.rows),
        )
        self._looks.append(now)
        self._ended.update(row["run"] for row in progress.rows)
        # Epochs that run beside each other end together: only a second one of the same run took its time.
        if now.seconds == self._looks[0].seconds or max(self._ended.values(), default=0) < 2:
            return math.nan
        then = self._since(now)
        done = now.done - then.done
        together, alone = (now.seconds - then.seconds) / done, (now.training - then.training) / done
        self._speed = together, alone
        return max(sum(self._left.values()) * together, max(self._left.values()) * alone)

    def _since(self, now: _Look) -> _Look:
        """Return the look from which on speed is measured."""
        first = self._looks[0]
        early = now.seconds - max(_LEAST_SECONDS, (now.seconds - first.seconds) / 4)
        fits = (k for k in self._looks if k.seconds <= early and now.epochs - k.epochs >= _LEAST_EPOCHS)
        return max(fits, key=lambda look: look.seconds, default=first)

    def first_epochs(self) -> dict[int, float]:
        """Return {depth: seconds until its first epoch ends} of depths without one; empty while not known."""
        if self._speed is None:
            return {}
        together, alone = self._speed
        before, found = 0, {}
        for run in self._runs:  # they are taken up in this order
            if self._left[run.id] == run.depth * run.epochs and run.depth not in found:
                found[run.depth] = before * together + run.depth * alone
            before += self._left[run.id]
        begun = {run.depth for run in self._runs if self._left[run.id] < run.depth * run.epochs}
        return {depth: seconds for depth, seconds in found.items() if depth not in begun}


def duration(seconds: float) -> str:
    """Return "42 s", "3 min" or "2 h 05 min"; "?" for what is not known."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def left(seconds: float) -> str:
    """Return ", about 42 s left", "" for what is not known or over."""
    return f", about {duration(seconds)} left" if math.isfinite(seconds) and seconds > 0 else ""
