"""Many runs: kinds x depths x seeds, in parallel on any `concurrent.futures` executor.

Everything that the processes tell each other goes through the folder of runs: epochs as lines of their
histories, a wish to stop as a file. So the same code serves threads, processes and machines with one disk.
"""

import contextlib
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import ImageSet, image_counts, load_dataset
from resnet_explore.models.threads import one_thread
from resnet_explore.training.executors import InStep, ctrl_c_held_back, still_wanted, usual_executor
from resnet_explore.training.place import place_in_words, placed
from resnet_explore.training.plan import Sweep
from resnet_explore.training.runs import FORMAT, Run, RunFolder, collect, write_json
from resnet_explore.training.skip_scale import ALL
from resnet_explore.training.trainer import distributed, train_run

_STOP = "STOP"
_LOOK_SECONDS = 0.2


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
    began: Callable[[str], None] = lambda data: None,
) -> pd.DataFrame:
    """Do what is missing of a sweep in the folder `out`, and return `collect(out)`.

    executor   any concurrent.futures executor, such as a Dask client's, whose machines each choose their own
               device; by default one process for each GPU, or each processor where there is none
    progress   called about five times a second while epochs finish, in this thread
    stop       asked as often; once it says True, each run stops before its next step
    began      told once what is trained on, in words, when the images are read; with the device and the
               precision where they are not the processor's usual ones, and why where one had to fall back

    Interrupted in any way, the same call goes on where it was; finished epochs are never lost, and a run is
    never trained twice at once, by whomever. Under `torchrun` all its processes train each run together.
    Raises ExploreError if `out` belongs to another sweep or this machine can't do what is asked (nothing is
    written then), or, after all others have finished, if runs failed.
    """
    out, asked = Path(out), sweep
    here = not distributed() and isinstance(executor, ProcessPoolExecutor | ThreadPoolExecutor | None)
    sweep = settled(placed(sweep) if here else sweep, out)
    where = place_in_words(asked, sweep) if here else ""
    leader = not distributed() or os.environ["RANK"] == "0"
    if leader:
        _refuse_foreign(sweep, out)
    _load_once.cache_clear()  # a person may have mended or added images since the last sweep
    # Data that can't be read is one clear error here, before anything is written, and not ten in workers.
    train, test = load_sets(sweep)
    if leader:
        _claim(sweep, out)
        began(f"{train.source}: {image_counts(train, test)}{where}")
    runs = {run.id: run for run in sweep.runs()}
    watch = _Watch(out, runs, progress if leader else None)
    todo = [run for run in runs.values() if distributed() or not _is_done(out, run)]
    with _executor(executor, len(todo), sweep.accelerator) as pool:
        try:
            with ctrl_c_held_back():
                futures = {pool.submit(_work, run, str(out), sweep): run for run in todo}
            _wait(out, list(futures), watch, stop)
        except BaseException:
            (out / _STOP).touch()
            raise
    _report_failures(out, futures, (out / _STOP).exists())
    return collect(out) if watch.done else pd.DataFrame()


def _executor(
    given: Executor | None, runs: int, accelerator: str
) -> contextlib.AbstractContextManager[Executor]:
    if distributed():
        return InStep()
    # A caller's executor is theirs to shut down.
    return contextlib.nullcontext(given) if given else usual_executor(runs, accelerator)


def _is_done(out: Path, run: Run) -> bool:
    try:
        return RunFolder(out / run.id).is_finished_by(run)
    except ExploreError:  # the worker that takes it up says so, while the others go on
        return False


def _wait(out: Path, futures: list[Future[bool]], watch: "_Watch", stop: Callable[[], bool]) -> None:
    pending = set(futures)
    while pending:
        pending = wait(pending, timeout=_LOOK_SECONDS).not_done
        watch.look()
        if pending and not (out / _STOP).exists() and stop():
            (out / _STOP).touch()
            for future in pending:
                future.cancel()
    watch.look()


def settled(sweep: Sweep, out: Path) -> Sweep:
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
    made = {f.name: getattr(sweep, f.name) for f in fields(sweep) if f.compare}
    if sweep.skip_scale == ALL:  # as in folders from before there were others
        del made["skip_scale"]
    return json.loads(json.dumps({**made, "format": FORMAT}))


def _refuse_foreign(sweep: Sweep, out: Path) -> None:
    """Raise unless `out` is new, empty or this sweep's own."""
    path, mine = out / "sweep.json", _identity(sweep)
    if path.is_file():
        theirs = json.loads(path.read_text())
        if theirs.get("format") != FORMAT:
            raise ExploreError(f"{out} was made by another version of resnet_explore; choose another folder.")
        different = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k))
        if different:
            later = ""
            if set(different) <= {"depths", "kinds", "seeds", "keep_steps"}:  # what one record may hold
                later = f" `resnet-explore record {out} OTHER DEST` makes one record of several."
            raise ExploreError(
                f"{out} belongs to another sweep (it differs in {', '.join(different)}); "
                f"choose another folder as out.{later}"
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


def _work(run: Run, out: str, sweep: Sweep) -> bool:
    """Train one run in a worker; return whether it got to its end."""
    parent, stop_file, wanted = multiprocessing.parent_process(), Path(out, _STOP), still_wanted()

    def stop() -> bool:
        return stop_file.exists() or (parent is not None and not parent.is_alive()) or not wanted()

    if distributed():  # all ranks must take every step together; the first alone writes
        train, test = load_sets(sweep)
        return train_run(run, train, test, Path(out, run.id), accelerator=sweep.accelerator)
    folder = RunFolder(Path(out, run.id))
    while not stop():
        with folder.lock() as mine, one_thread():
            if mine:
                train, test = load_sets(sweep)
                return train_run(run, train, test, folder.path, stop, sweep.accelerator)
        # Another worker has it: one that a scheduler took for dead, or that of a second sweep.
        time.sleep(_LOOK_SECONDS)
    return False


def load_sets(sweep: Sweep) -> tuple[ImageSet, ImageSet]:
    """Return a sweep's training and test images; the last ones read in this process are kept."""
    return _load_once(sweep.dataset, sweep.root, sweep.size, sweep.skip_unreadable)


@functools.lru_cache(maxsize=2)
def _load_once(dataset: str, root: str | None, size: int | None, skip: bool) -> tuple[ImageSet, ImageSet]:
    train, test = (
        load_dataset(dataset, split=split, root=root, size=size, skip_unreadable=skip)
        for split in ("train", "test")
    )
    return train, test


def _report_failures(out: Path, futures: dict[Future[bool], Run], stopped: bool) -> None:
    reasons: dict[str, list[str]] = {}
    first: BaseException | None = None
    for future, run in futures.items():
        if future.cancelled():
            if not stopped:
                reasons.setdefault("nobody trained them to the end, as the scheduler went away", []).append(
                    run.id
                )
        elif error := future.exception():
            first = first or error
            reasons.setdefault(_reason(error), []).append(run.id)
    if reasons:
        failed = sum(map(len, reasons.values()))
        told = "; ".join(
            f"{reason} ({ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''})"
            for reason, ids in reasons.items()
        )
        raise ExploreError(f"{failed} of {len(futures)} runs in {out} failed: {told}") from first


def _reason(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return (
            "the worker processes died: each reads a script anew, so run_sweep, and all that is slow or "
            'needs its results, must stand below `if __name__ == "__main__":`; '
            "otherwise memory may have run out"
        )
    if type(error).__name__ == "KilledWorker":  # Dask's, which need not be installed
        return "the workers that tried died, perhaps for lack of memory"
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


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
