"""A slider whose positions are measured one by one: the wanted one at once, the others behind it."""

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import NARROW, WIDE, blank_like, to_png
from resnet_explore.widgets.background import THREADS
from resnet_explore.widgets.filmstrip import NO_TEXT, Filmstrip
from resnet_explore.widgets.gradient_views import View
from resnet_explore.widgets.heap import give_back
from resnet_explore.widgets.picture_file import save_picture

_PUBLISH_SECONDS = 0.4  # between pictures that are added behind the first: each time all are sent
_PENDING = "Being measured ..."


class Scrub:
    """Fills a Filmstrip with what a View measures.

    say  called with a sentence when a position behind the first can't be measured

    Attributes: `view` and `results` ({position: what was measured}), of what is shown.
    """

    def __init__(self, strip: Filmstrip, say: Callable[[str], None]) -> None:
        self.strip, self._say = strip, say
        self.view: View | None = None
        self.results: dict[int, Any] = {}
        self._drawing, self._turn = threading.Lock(), 0
        self._thread: threading.Thread | None = None
        self._job: _Job | None = None
        strip.observe(lambda _: self._job and self._publish(self._job), "narrow")  # is drawn for less room

    def show(self, view: View, position: int | None = None) -> None:
        """Measure and show a position, by default where the slider stands, then the others in a thread.

        What ExploreError the measurement raises leaves the picture that was there.
        """
        self._turn += 1
        at = min(self.strip.index if position is None else position, len(view.ticks) - 1)
        self.strip.show(busy=True, message=f"Measuring {view.name.lower()} {view.ticks[at]} ...")
        with contextlib.ExitStack() as somebody_waits:
            somebody_waits.enter_context(_no_collection())
            try:
                found = {at: view.measure(at)}
            except BaseException:
                self.strip.show(busy=False, message="Nothing could be measured.")
                raise
            self.view, self.results = view, found
            job = _Job(self._turn, view, found)
            self._publish(job, at)
            nobody_waits = somebody_waits.pop_all().close  # what garbage is due is looked for by the thread
            # No daemon: Python ending under a thread that computes would abort. It stops when Python ends.
            self._thread = threading.Thread(target=self._refine, args=(job, at, nobody_waits), name=THREADS)
            self._thread.start()

    def show_only(self, view: View, result: Any) -> None:
        """Show one result, measured already, as the only position of a view."""
        self._turn += 1
        self.view, self.results = view, {0: result}
        self._publish(_Job(self._turn, view, self.results), 0)

    def clear(self, message: str) -> None:
        """Show a sentence, and an empty card of the size that the picture had."""
        self._turn += 1
        with self._drawing:  # or what is being drawn would come after this
            self.view, self.results = None, {}
            empty = [blank_like(next(filter(None, self.strip.frames)))] if self.strip.frames else []
            # A space, for an empty caption would take its room away.
            said = {"titles": [message], "captions": [NO_TEXT]} if empty else {"titles": [], "captions": []}
            self.strip.show(frames=empty, **said, ticks=[], message=message, busy=False)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all positions are there, at most so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def save(self, path: str | Path) -> list[Path]:
        """Save the picture with its finding and conditions, and all numbers as .csv; return both paths.

        The .csv begins with lines "# key: value", which `pandas.read_csv(path, comment="#")` passes over.
        Raises ExploreError where nothing is shown or the files can't be written.
        """
        self.wait()
        view, at = self.view, self.strip.index
        if view is None or at not in self.results:
            raise ExploreError("There is no picture to save yet.")
        figure = view.anew().draw(self.results[at], view.limits(list(self.results.values())))
        said = view.title(at, self.results[at]), view.caption(at, self.results[at])
        return save_picture(path, figure, *said, view.table(self.results), view.about_table())

    def _refine(self, job: "_Job", first: int, nobody_waits: Callable[[], None]) -> None:
        """Measure the other positions, nearest first, until something else is to be shown."""
        nobody_waits()
        shown, view = time.monotonic(), job.view
        for at in sorted(range(len(view.ticks)), key=lambda at: abs(at - first)):
            if job.turn != self._turn or not threading.main_thread().is_alive():
                return
            try:
                if at not in job.found:
                    job.found[at] = view.measure(at)
            except Exception as problem:  # a thread has nobody else to tell
                known = isinstance(problem, ExploreError)
                said = str(problem) if known else f"{type(problem).__name__}: {problem}"
                self._say(f"{view.name} {view.ticks[at]}: {said}")
                if not known:
                    break
            if time.monotonic() - shown > _PUBLISH_SECONDS:
                self._publish(job)
                shown = time.monotonic()
        self._publish(job)
        give_back()

    def _publish(self, job: "_Job", at: int | None = None) -> None:
        """Draw what is new, or all of it if the axis has grown, and send it."""
        with self._drawing:
            if job.turn != self._turn:
                return
            view, found = job.view, job.found
            self._job, size = job, NARROW if self.strip.narrow else WIDE
            limits = view.limits(list(found.values()))
            if (limits, size) != job.drawn_for:
                job.frames.clear()
                job.drawn_for = limits, size
            for position in found.keys() - job.frames.keys():
                if job.turn != self._turn:
                    return
                job.frames[position] = to_png(view.draw(found[position], limits, size))
            everywhere = range(len(view.ticks))
            blank = b"" if len(found) == len(everywhere) else blank_like(next(iter(job.frames.values())))
            values: dict[str, Any] = {
                "frames": [job.frames.get(k, blank) for k in everywhere],
                "titles": [view.title(k, found[k]) if k in found else _PENDING for k in everywhere],
                "captions": [view.caption(k, found.get(k)) for k in everywhere],
                "ticks": list(view.ticks),
                "name": view.name,
                "busy": False,
            }
            self.strip.show(**values, **({} if at is None else {"index": at}))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Let Python look for garbage later: in a kernel full of modules that takes as long as a measurement."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


class _Job:
    """What one call of `show` has measured and drawn so far."""

    def __init__(self, turn: int, view: View, found: dict[int, Any]) -> None:
        self.turn, self.view, self.found = turn, view, found
        self.frames: dict[int, bytes] = {}
        self.drawn_for: tuple[tuple[float, float], tuple[int, int]] | None = None
