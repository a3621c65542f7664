"""How long a sweep still takes, told from the epochs that have ended while one watches."""

import math
from collections import Counter
from collections.abc import Iterable

from resnet_explore.training.runs import Run
from resnet_explore.training.sweep import Progress


class TimeLeft:
    """An estimate that begins when some run has ended an epoch from start to end under our eyes.

    The rest is done as fast as so far, but no sooner than the longest run alone can be. An epoch counts as
    much as its network has layers: on one recipe, a layer takes the same time in deep networks as in shallow
    ones, to within a third. Epochs of earlier, and the time until the first one ends (workers start, data are
    read), don't count.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        runs = list(runs)
        self._layers = {run.id: run.depth for run in runs}
        self._left = {run.id: run.depth * run.epochs for run in runs}
        self._began: float | None = None
        self._done, self._training, self._ended = 0, 0.0, Counter[str]()

    def take(self, progress: Progress) -> float:
        """Note what has ended, and return the seconds that are left: nan while nothing is known of that."""
        for row in progress.rows:
            self._left[row["run"]] -= self._layers[row["run"]]
        if self._began is None:
            self._began = progress.seconds
            return math.nan
        self._done += sum(self._layers[row["run"]] for row in progress.rows)
        self._training += sum(row["seconds"] for row in progress.rows)
        self._ended.update(row["run"] for row in progress.rows)
        # Epochs that run beside each other end together: only a second one of the same run took its time.
        gone = progress.seconds - self._began
        if not gone or max(self._ended.values(), default=0) < 2:
            return math.nan
        together, alone = sum(self._left.values()) * gone, max(self._left.values()) * self._training
        return max(together, alone) / self._done


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
