"""One slow thing at a time beside the page: a newer one ends the one before."""

import threading
from collections.abc import Callable

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.heap import give_back

THREADS = "resnet_explore"  # what all threads are called that work beside a page


class Background:
    """Runs work in a thread; `start` asks what still runs to stop, and takes its place.

    `work(cancelled)` should ask `cancelled()` now and then and return when it says True. An ExploreError that
    it raises goes to `failed`, as one sentence, unless something newer has begun; so does any other error,
    with its type, since a thread has nobody else to tell.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._current = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # JupyterLab handles widgets in another thread than cells

    def start(self, work: Callable[[Callable[[], bool]], None]) -> None:
        """Begin; returns at once."""
        with self._starting:
            self._start(work)

    def _start(self, work: Callable[[Callable[[], bool]], None]) -> None:
        self.cancel()
        number, before = self._current, self._thread
        waiting = [work]  # taken out when it begins, so that what it holds is gone when it ends

        def cancelled() -> bool:
            return number != self._current or not threading.main_thread().is_alive()

        def run() -> None:
            if before is not None:
                before.join()
            try:
                if not cancelled():
                    waiting.pop()(cancelled)
            except ExploreError as problem:
                self._tell(number, str(problem))
            except Exception as problem:
                self._tell(number, f"This failed: {type(problem).__name__}: {problem}")
            give_back()

        # No daemon: Python ending under a thread that computes would abort. It is asked to stop instead.
        thread = threading.Thread(target=run, name=THREADS)
        thread.start()
        self._thread = thread  # not before it is started, since whoever waits joins it

    def cancel(self) -> None:
        """Ask what runs to stop; what it still says is not shown."""
        self._current += 1

    def wait(self, seconds: float | None = None) -> None:
        """Wait until what was started last has ended, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _tell(self, number: int, sentence: str) -> None:
        if number == self._current:
            self._failed(sentence)
