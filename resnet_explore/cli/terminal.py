"""Tables of runs for a terminal: printed once, or redrawn in place while a sweep goes on."""

import shutil
import time
from collections.abc import Iterable, Sequence
from typing import Any, Self, TextIO

from resnet_explore.training.runs import Run
from resnet_explore.training.status import STATES, RunStatus
from resnet_explore.training.time_left import TimeLeft, duration, left

_HEAD = ("run", "seed", "epoch", "train error", "test error", "images/s", "time left", "state")
_REDRAW_SECONDS = 0.5
_UP, _CLEAR_DOWN = "\x1b[{}A", "\x1b[J"


def table(rows: Sequence[RunStatus]) -> list[str]:
    """Return the lines of a table, with its head."""
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_HEAD))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def summary(rows: Iterable[RunStatus]) -> str:
    """Return "3 finished, 2 training, 5 waiting"."""
    states = [row.state for row in rows]
    return ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)


def _cells(status: RunStatus) -> tuple[str, ...]:
    run, row = status.run, status.row
    going = row is not None and status.state != "finished"
    return (
        f"{run.kind}-{run.depth}",
        str(run.seed),
        f"{status.epoch}/{run.epochs}",
        f"{row['train_error']:.2f} %" if row else "",
        f"{row['test_error']:.2f} %" if row else "",
        f"{status.images_per_second:.0f}" if row else "",
        duration(status.seconds_left) if going else "",
        status.state,
    )


class StatusLine:
    """Lines that stay, and below them in a terminal one that says what goes on and is gone in the end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self._clear = stream, f"\r{_CLEAR_DOWN}" if stream.isatty() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.write(self._clear)
        self.stream.flush()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.stream.write(f"{self._clear}{line}\n")
        self.stream.flush()

    def hint(self, line: str) -> None:
        """Say what goes on, if somebody watches."""
        if self._clear:
            self.stream.write(f"{self._clear}{line[: shutil.get_terminal_size()[0] - 1]}")
            self.stream.flush()


class LiveTable:
    """The runs that are going, and how many are not, redrawn in place; give `take` to `run_sweep`.

    What it knows comes from the finished epochs that it is told of, so that thousands of runs cost nothing.
    """

    def __init__(self, runs: Iterable[Run], stream: TextIO) -> None:
        self.states = {run.id: RunStatus(run, "waiting", None) for run in runs}
        self._time_left = TimeLeft(row.run for row in self.states.values())
        self.stream = stream
        self._lines, self._drawn = 0, 0.0

    def take(self, progress: Any) -> None:
        """Note the epochs that have ended, and redraw if it is time."""
        more = left(self._time_left.take(progress))
        for row in progress.rows:
            known = self.states[row["run"]]
            done = row["epoch"] == known.run.epochs
            self.states[row["run"]] = RunStatus(known.run, "finished" if done else "training", row)
        if progress.finished or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self.draw(
                f"{progress.epochs_done} of {progress.epochs_total} epochs in "
                f"{duration(progress.seconds)}{more}"
            )
            self._drawn = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line that stays, above the table."""
        self.stream.write(f"{self._back()}{line}\n")
        self._lines = 0
        self.draw("Starting")

    def draw(self, head: str) -> None:
        """Draw anew over the last drawing."""
        width, height = shutil.get_terminal_size()
        going = [row for row in self.states.values() if row.state == "training"]
        lines = [f"{head}: {summary(self.states.values())}"]
        lines += table(going)[: height - 2] if going else []
        self.stream.write(self._back() + "".join(f"{line[: width - 1]}\n" for line in lines))
        self.stream.flush()
        self._lines = len(lines)

    def _back(self) -> str:
        return _UP.format(self._lines) + "\r" + _CLEAR_DOWN if self._lines else ""
