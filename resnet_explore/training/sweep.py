"""Many runs: kinds x depths x seeds, in parallel on any `concurrent.futures` executor.

Everything that the processes tell each other goes through the folder of runs: epochs as lines of their
histories, a wish to stop as a file. So the same code serves threads, processes and machines with one disk.
"""

import contextlib
import functools
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import ImageSet, load_dataset
from resnet_explore.training.plan import Sweep
from resnet_explore.training.runs import FORMAT, Run, RunFolder, collect, write_json
from resnet_explore.training.trainer import one_thread, train_run

_STOP = "STOP"


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: `rows` are the epochs finished since the last call, with their run's fields."""

    rows: tuple[dict[str, Any], ...]
    epochs_done: int
    epochs_total: int
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether every epoch of every run is done."""
        return self.epochs_done == self.epochs_total


def run_sweep(
    sweep: Sweep,
    out: str | Path,
    executor: Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> pd.DataFrame:
    """Do what is missing of a sweep in the folder `out`, and return `collect(out)`.

    executor   any concurrent.futures executor; by default one process for each processor
    progress   called about five times a second while epochs finish, in this thread
    stop       asked as often; once it says True, each run stops before its next step

    Interrupted in any way, the same call goes on where it was; finished epochs are never lost. Raises
    ExploreError if `out` belongs to another sweep (nothing is written then), or, after all others have
    finished, if runs failed.
    """
    out = Path(out)
    sweep = _settled(sweep, out)
    _refuse_foreign(sweep, out)
    # Data that can't be read is one clear error here, before anything is written, and not ten in workers.
    _load(sweep.dataset, sweep.root, sweep.size)
    _claim(sweep, out)
    runs = {run.id: run for run in sweep.runs()}
    watch = _Watch(out, runs, progress)
    todo = [run for run in runs.values() if not RunFolder(out / run.id).finished]
    # A caller's executor is theirs to shut down.
    with (
        contextlib.nullcontext(executor)
        if executor
        else processes(min(os.cpu_count() or 1, max(1, len(todo)))) as pool
    ):
        try:
            with _ctrl_c_held_back():
                futures = {
                    pool.submit(_work, run, str(out), sweep.root, sweep.accelerator): run for run in todo
                }
            _wait(out, list(futures), watch, stop)
        except BaseException:
            (out / _STOP).touch()
            raise
    _report_failures(out, futures)
    return collect(out) if watch.done else pd.DataFrame()


def _wait(out: Path, futures: list[Future[bool]], watch: "_Watch", stop: Callable[[], bool]) -> None:
    pending = set(futures)
    while pending:
        pending = wait(pending, timeout=0.2).not_done
        watch.look()
        if pending and not (out / _STOP).exists() and stop():
            (out / _STOP).touch()
            for future in pending:
                future.cancel()
    watch.look()


def _settled(sweep: Sweep, out: Path) -> Sweep:
    """Return the sweep with precision "auto" settled: by this machine, or as it was when `out` was begun."""
    if sweep.precision != "auto":
        return sweep
    try:
        begun = json.loads((out / "sweep.json").read_text())["precision"]
    except (OSError, ValueError, KeyError):
        begun = sweep.runs()[0].precision
    return replace(sweep, precision=begun)


def _identity(sweep: Sweep) -> dict[str, Any]:
    """Return what sweep.json holds; where the data lie, and on what it runs, is no part of it."""
    made = {name: value for name, value in asdict(sweep).items() if name not in ("root", "accelerator")}
    return json.loads(json.dumps({**made, "format": FORMAT}))


def _refuse_foreign(sweep: Sweep, out: Path) -> None:
    """Raise unless `out` is new, empty or this sweep's own."""
    path, mine = out / "sweep.json", _identity(sweep)
    if path.is_file():
        theirs = json.loads(path.read_text())
        different = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))
        if different:
            raise ExploreError(
                f"{out} belongs to another sweep (it differs in {', '.join(different)}); choose another one."
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExploreError(f"{out} exists and is no folder of runs; choose another folder.")


def _claim(sweep: Sweep, out: Path) -> None:
    """Make `out` this sweep's folder."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "sweep.json", _identity(sweep))
        (out / _STOP).unlink(missing_ok=True)
    except OSError as error:
        raise ExploreError(f"Runs can't be written to {out} ({error.strerror}).") from None


def processes(workers: int) -> ProcessPoolExecutor:
    """Return a pool of so many worker processes; more than one for each core does not pay."""
    # Workers forked from a server that has loaded torch start at once; a fork of a notebook's own process
    # could deadlock, since torch has threads there.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(workers, mp_context=context)


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the end, and for good from processes that start meanwhile.

    A terminal sends it to every process at once. Here it would leave a pool half started; a worker that is
    still loading torch would answer with a traceback, though the file is what tells it to stop.
    """
    held: list[int] = []
    # Processes inherit a mask, but not a handler. It holds for one thread alone and another may get the
    # signal, so the main thread, where Python acts on it, needs the handler too.
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number)) if in_main else None
    has_masks = hasattr(signal, "pthread_sigmask")  # not on Windows
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_masks else set()
    try:
        yield
    finally:
        if has_masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)


def _work(run: Run, out: str, root: str | None, accelerator: str) -> bool:
    """Train one run in a worker."""
    parent, stop_file = multiprocessing.parent_process(), Path(out, _STOP)

    def stop() -> bool:
        return stop_file.exists() or (parent is not None and not parent.is_alive())

    if stop():
        return False
    train, test = _load(run.dataset, root, run.size)
    with one_thread():
        return train_run(run, train, test, Path(out, run.id), stop, accelerator)


@functools.lru_cache(maxsize=2)
def _load(dataset: str, root: str | None, size: int | None) -> tuple[ImageSet, ImageSet]:
    train, test = (load_dataset(dataset, split=split, root=root, size=size) for split in ("train", "test"))
    return train, test


def _report_failures(out: Path, futures: dict[Future[bool], Run]) -> None:
    failed = [(run, f.exception()) for f, run in futures.items() if not f.cancelled() and f.exception()]
    if failed:
        run, error = failed[0]
        if isinstance(error, BrokenProcessPool):
            raise ExploreError(
                "The worker processes died. In a script, run_sweep must be called below "
                '`if __name__ == "__main__":`, since each worker reads the script anew; '
                "otherwise memory may have run out."
            ) from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExploreError(
            f"{len(failed)} of {len(futures)} runs in {out} failed, the first ({run.id}) with: {reason}"
        ) from error


class _Watch:
    """Tells `progress` about epochs as they appear in the histories."""

    def __init__(self, out: Path, runs: dict[str, Run], progress: Callable[[Progress], None] | None) -> None:
        self.out, self.runs, self.progress = out, runs, progress
        self.seen = dict.fromkeys(runs, 0)
        self.total = sum(run.epochs for run in runs.values())
        self.began = time.perf_counter()

    @property
    def done(self) -> int:
        return sum(self.seen.values())

    def look(self) -> None:
        new: list[dict[str, Any]] = []
        for run_id, run in self.runs.items():
            if self.seen[run_id] == run.epochs:
                continue
            rows = RunFolder(self.out / run_id).rows()
            new += [{"run": run_id, **asdict(run), **row} for row in rows[self.seen[run_id] :]]
            self.seen[run_id] = max(len(rows), self.seen[run_id])
        if new and self.progress:
            seconds = time.perf_counter() - self.began
            self.progress(Progress(tuple(new), self.done, self.total, seconds))
