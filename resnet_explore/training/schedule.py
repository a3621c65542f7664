"""The learning rate, step by step."""

import math
from collections import deque

from resnet_explore.training.runs import Run

SCHEDULES = ("one-cycle", "steps")
_WARM_UP_ERROR = 80.0  # percent; He et al. 2015, section 4.2
_WARM_UP_WINDOW = 100  # batches that the error is averaged over


def learning_rate(run: Run, step: int, total: int) -> float:
    """Return the rate of a step, of so many in all.

    "one-cycle": lr/25, up to lr at 30 % of the run, down to about 0, on cosines (Smith & Topin 2018, arXiv
    1708.07120, in the form and with the defaults of torch's OneCycleLR). "steps": lr, a tenth of it from half
    of the run on, a hundredth from three quarters on; with the 64,000 steps of He et al. 2015, section 4.2,
    that is from 32,000 and 48,000 on.
    """
    if run.schedule == "steps":
        return run.lr * (1.0 if 2 * step < total else 0.1 if 4 * step < 3 * total else 0.01)
    low, high, end = run.lr / 25, run.lr, run.lr / 25e4
    peak = 0.3 * total - 1
    if step <= peak:
        return _cosine(low, high, step / peak)
    return _cosine(high, end, (step - peak) / max(total - 1 - peak, 1e-9))


class WarmUp:
    """A tenth of the rate until the training error is below 80 %: the rule of He et al. 2015 for 110 layers.

    It holds for schedule "steps" and networks of 110 layers or more. The error is that of the last 100
    training batches of one epoch, or of the whole epoch if it has fewer.
    """

    def __init__(self, run: Run, steps_per_epoch: int) -> None:
        self.going = run.schedule == "steps" and run.depth >= 110
        self._window: deque[float] = deque(maxlen=min(_WARM_UP_WINDOW, steps_per_epoch))

    @property
    def factor(self) -> float:
        """What the learning rate is multiplied by."""
        return 0.1 if self.going else 1.0

    def start_epoch(self) -> None:
        """Forget the errors so far, so that a run continued at an epoch's start goes the same way."""
        self._window.clear()

    def see(self, error: float) -> None:
        """Take note of one batch's error in percent."""
        self._window.append(error)
        full = len(self._window) == self._window.maxlen
        if full and sum(self._window) / len(self._window) < _WARM_UP_ERROR:
            self.going = False


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
