"""From an arrow key on a slider to new pixels: every slider of every explorer, the kernel idle and busy.

    python -m benchmarks.sliders [presses] [ArchitectureExplorer ...]

Each explorer is opened in a real JupyterLab and headless Chromium, each of its pages in turn. A press is
timed in the page: from when it hears of the key until the start of the first animation frame that finds
the picture or its headline changed, so to a frame's length (16.7 ms at 60 Hz). A line that glides counts
from its first step. Busy means that a thread of the kernel computes in Python without pause, and so
holds its lock most of the time. Presses without a change (two depths may look alike) are counted apart,
as still.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scrub import percentile
from tests.browser.explorers import NAMES
from tests.browser.lab import LabServer, NotebookPage, open_browser

CELL = """
import threading
import resnet_explore as rx
busy = threading.Event()
def burn():
    while busy.is_set():
        sum(k * k for k in range(100_000))
explorer = rx.{name}()
explorer
"""
LONGEST_MS = 400  # a press that has changed nothing by then has no answer in the page

# Keeps the milliseconds of the last press in window.took: null while unknown, -1 where nothing changed.
_WATCH = """() => {
    const observer = new MutationObserver(() => { window.changed = true; });
    const all = { subtree: true, childList: true, characterData: true, attributes: true };
    for (const node of document.querySelectorAll('.rx-panels, .rx-headline')) observer.observe(node, all);
    document.addEventListener('keydown', () => {
        const start = performance.now();
        window.changed = false;
        window.took = null;
        const look = () => {
            const spent = performance.now() - start;
            if (window.changed) window.took = spent;
            else if (spent > LONGEST) window.took = -1;
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, { capture: true });
}""".replace("LONGEST", str(LONGEST_MS))


class Bench:
    """An explorer open in a notebook."""

    def __init__(self, notebook: NotebookPage) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.notebook.run_all()
        self.page.locator(".rx-page").wait_for(timeout=60_000)
        self.page.evaluate(_WATCH)

    def sliders(self) -> Iterator[tuple[str, str]]:
        """Open one page after the other; yield its name and the id of each slider on it that can be moved."""
        tabs = self.page.locator(".rx-page [role=tab]")
        for k in range(max(1, tabs.count())):
            name = ""
            if tabs.count():
                name = tabs.nth(k).inner_text()
                tabs.nth(k).click()
            self.notebook.execute("explorer.wait(60)", 70)
            self.page.wait_for_timeout(500)
            steps = self.page.locator(".rx-page .rx-step:visible:enabled").evaluate_all(
                "(nodes) => nodes.map((node) => [node.id, node.labels[0]?.textContent ?? ''])"
            )
            yield from ((f"{name} / {label}", identity) for identity, label in steps)

    def times(self, identity: str, presses: int) -> list[float]:
        """Press arrow keys there, to and fro; return the milliseconds of each, -1 where nothing changed."""
        step = self.page.locator(f"#{identity}")
        step.focus()
        step.press("Home")
        self.page.wait_for_function("window.took !== null")
        most = max(1, int(step.get_attribute("max") or 1))
        times = []
        for k in range(presses):
            self.page.keyboard.press("ArrowLeft" if k // most % 2 else "ArrowRight")
            self.page.wait_for_function("window.took !== null", polling=20)
            times.append(float(self.page.evaluate("window.took")))
            self.page.wait_for_timeout(30)
        return times

    def load(self, busy: bool) -> None:
        """Make the kernel compute without pause, or let it rest."""
        start = "busy.set(); threading.Thread(target=burn).start()"
        self.notebook.execute(start if busy else "busy.clear()", 60)


def line(name: str, idle: list[float], busy: list[float]) -> str:
    """Return a row of the table."""
    row = f"{name:44}"
    for times in (idle, busy):
        changed = [took for took in times if took >= 0]
        p50, p95 = (statistics.median(changed), percentile(changed, 0.95)) if changed else (float("nan"),) * 2
        row += f"{p50:9.1f}{p95:9.1f}{len(times) - len(changed):8}"
    return row


def main(presses: int = 30, *names: str) -> None:
    """Measure and print the table."""
    print(f"{'':44}{'idle p50':>9}{'p95 ms':>9}{'still':>8}{'busy p50':>9}{'p95 ms':>9}{'still':>8}")
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder) / "lab") as server,
        open_browser() as context,
    ):
        for name in names or NAMES:
            notebook = NotebookPage(server, context, server.write_notebook([CELL.format(name=name)]))
            bench = Bench(notebook)
            for slider, identity in bench.sliders():
                idle = bench.times(identity, presses)
                bench.load(busy=True)
                busy = bench.times(identity, presses)
                bench.load(busy=False)
                print(line(f"{name.removesuffix('Explorer')}: {slider}", idle, busy), flush=True)
            notebook.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
