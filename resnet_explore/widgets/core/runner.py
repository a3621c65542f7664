"""What an explorer computes, beside the page: one thread a lane, the newest question first, results kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from resnet_explore.errors import CancelledError, ExploreError
from resnet_explore.widgets.core.heap import give_back

THREADS = "resnet_explore"  # what all threads are called that work beside a page


class Job:
    """Something to be computed. Subclasses are frozen dataclasses: equal jobs have equal results.

    lane   jobs of one lane run one after the other, those of different lanes side by side
    aside  whether the picture can do without it: the view itself tells how far it is
    says   a sentence on what is being done, shown while it runs
    """

    lane: ClassVar[str] = ""
    aside: ClassVar[bool] = False
    says: str = "Computing ..."

    def run(self, task: "Task") -> Any:
        """Return the result. Raises `ExploreError` with one sentence where there is none."""
        raise NotImplementedError


class Task:
    """A job that runs: what it asks and says meanwhile."""

    def __init__(self, job: Job, runner: "Runner") -> None:
        self.job, self._runner = job, runner
        self._cancelled = threading.Event()
        self.sentence = job.says

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self._cancelled.is_set() or not threading.main_thread().is_alive()

    def is_cancelled(self) -> bool:
        """Return `cancelled`, for functions that take one."""
        return self.cancelled

    def check(self) -> None:
        """Raise `CancelledError` if nobody waits for the result any more."""
        if self.cancelled:
            raise CancelledError("Stopped.")

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._cancelled.set()

    def say(self, sentence: str) -> None:
        """Tell the person how far it is."""
        self.sentence = sentence
        self._runner.said()

    def publish(self, partial: Any) -> None:
        """Show what is there already; the result that `run` returns takes its place."""
        self._runner.keep(self, partial)


class Runner:
    """Computes the jobs that are wanted now, and keeps their results.

    published  called, in the thread that computed, when a wanted job has a new result
    failed     called with a job that is still wanted and the sentence of its error
    said       called when `sentence` has changed
    keep_most  so many results are kept that are not wanted now, the last ones
    """

    def __init__(
        self,
        published: Callable[[], None],
        failed: Callable[[Job, str], None],
        said: Callable[[], None],
        keep_most: int = 32,
    ) -> None:
        self._published, self._failed, self.said = published, failed, said
        self._keep_most = keep_most
        self._changed = threading.Condition(threading.RLock())
        self._results: OrderedDict[Job, Any] = OrderedDict()
        self._done: set[Job] = set()
        self._failures: set[Job] = set()
        self._wanted: tuple[Job, ...] = ()
        self._tasks: dict[str, Task | None] = {}  # None between two jobs of a lane

    def ask(self, jobs: Sequence[Job], again: bool = True) -> None:
        """Want these jobs, most urgent first, instead of those before; returns at once.

        again  whether jobs that have failed are tried once more
        """
        with self._changed:
            self._wanted = tuple(jobs)
            if again:
                self._failures.clear()
            for task in self._tasks.values():
                if task is not None and task.job not in self._wanted:
                    task.cancel()
            for job in self._wanted:
                if job in self._results:
                    self._results.move_to_end(job)
            for lane in dict.fromkeys(job.lane for job in self._wanted):
                if lane not in self._tasks and self._next(lane) is not None:
                    # No daemon: Python ending under a thread that computes would abort. It is asked to stop.
                    self._tasks[lane] = None
                    threading.Thread(target=self._work, args=(lane,), name=THREADS).start()

    def found(self) -> Mapping[Job, Any]:
        """Return the results of the jobs that are wanted, those that are there; some may be partial."""
        with self._changed:
            return {job: self._results[job] for job in self._wanted if job in self._results}

    @property
    def complete(self) -> bool:
        """Whether the picture is: every wanted job that is not aside has its final result."""
        with self._changed:
            return all(job in self._done for job in self._wanted if not job.aside)

    @property
    def sentence(self) -> str:
        """What is being done for the picture now, "" if nothing is."""
        with self._changed:
            said = (self._said_by(task) for task in self._tasks.values() if task is not None)
            return next(filter(None, said), "")

    def _said_by(self, task: Task) -> str:
        """Return what its lane does for the picture; a task that nobody wants any more only ends."""
        if not task.cancelled:
            return "" if task.job.aside else task.sentence
        following = self._next(task.job.lane)
        return "" if following is None or following.aside else following.says

    def stop(self) -> None:
        """Ask all that runs to stop, and want nothing more."""
        self.ask(())

    def halt(self) -> None:
        """Leave what is wanted as far as it is, until it is asked for again."""
        with self._changed:
            self._failures.update(job for job in self._wanted if job not in self._done)
            for task in self._tasks.values():
                if task is not None:
                    task.cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing runs; return False if that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._tasks, seconds)

    def keep(self, task: Task, result: Any, final: bool = False) -> None:
        """Keep a result and publish it, if it is still wanted."""
        job = task.job
        with self._changed:
            if not final and (task.cancelled or job in self._done):
                return
            self._results[job] = result
            self._results.move_to_end(job)
            if final:
                self._done.add(job)
            self._forget()
            wanted = job in self._wanted
        if not wanted:
            return
        try:
            self._published()
        except Exception:  # what can't be shown fails its job, and is not there to be shown again
            with self._changed:
                self._results.pop(job, None)
                self._done.discard(job)
            raise

    def _forget(self) -> None:
        spare = [job for job in self._results if job not in self._wanted]
        for job in spare[: max(0, len(spare) - self._keep_most)]:
            del self._results[job]
            self._done.discard(job)

    def _next(self, lane: str) -> Job | None:
        if not threading.main_thread().is_alive():
            return None  # Python ends: what is cancelled now is not begun again
        waiting = (job for job in self._wanted if job.lane == lane)
        return next((job for job in waiting if job not in self._done and job not in self._failures), None)

    def _work(self, lane: str) -> None:
        while True:
            with self._changed:
                job = self._next(lane)
                task = None if job is None else Task(job, self)
                self._tasks[lane] = task
            self.said()
            if task is None:
                give_back()
            with self._changed:
                if task is None and self._next(lane) is None:  # nothing has been asked meanwhile
                    del self._tasks[lane]
                    self._changed.notify_all()
                    return
            if task is not None:
                self._run(task)

    def _run(self, task: Task) -> None:
        try:
            self.keep(task, task.job.run(task), final=True)
        except CancelledError:
            return
        except ExploreError as problem:
            self._fail(task.job, str(problem))
        except Exception as problem:  # a thread has nobody else to tell
            self._fail(task.job, f"This failed: {type(problem).__name__}: {str(problem).rstrip('.')}.")

    def _fail(self, job: Job, sentence: str) -> None:
        with self._changed:
            wanted = job in self._wanted
            if wanted:
                self._failures.add(job)
        if wanted:
            self._failed(job, sentence)
