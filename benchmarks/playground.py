"""The playground while it plays: updates of the page a second, and what watching costs the race.

    python -m benchmarks.playground [seconds]

In a real JupyterLab and headless Chromium. Digits, batches of 64, two and four networks of 20 and 56 layers.
An update is a view that the page has received and drawn; drawing is the median time in the page.
The bare loop is `Race.advance` in the same kernel, just before, with the page at rest. CPU is the kernel's
time for a step of all networks: it says what watching costs, also where others use the machine.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from tests.browser.lab import LabServer, NotebookPage, open_browser

CELL = """
import json, time
import resnet_explore as rx
data, held_out = rx.load_dataset("digits"), rx.load_dataset("digits", "test")
def bare(networks, seconds):
    race = rx.Race(networks, data, held_out, lr=0.03)
    race.advance(3)
    began, worked, first = time.perf_counter(), time.process_time(), race.steps
    race.advance(10_000, stop=lambda: time.perf_counter() - began > seconds)
    steps = race.steps - first
    print(steps / (time.perf_counter() - began), 1000 * (time.process_time() - worked) / steps)
explorer = rx.PlaygroundExplorer(networks=("plain-8",), steps=1)
explorer
"""
# Counts the views that the page draws, and times each.
_WATCH = """() => {
    const page = document.querySelector('.rx-page').explorer, receive = page.receive.bind(page);
    window.took = [];
    page.receive = () => {
        const start = performance.now(), before = page.count;
        receive();
        if (page.count !== before) window.took.push(performance.now() - start);
    };
}"""


_WORK = "print(explorer.steps, time.process_time())"
_SIZE = "sum(b.nbytes for b in explorer._view['buffers']) + len(json.dumps(explorer._view['tree']))"  # bytes


def networks(count: int, depth: int) -> tuple[str, ...]:
    """Return two or four networks of a depth."""
    return (
        f"plain-{depth}",
        f"residual-{depth}",
        f"residual-{depth} norm=group",
        f"residual-{depth} order=pre",
    )[:count]


def main(seconds: float = 8) -> None:
    """Measure and print the table."""
    columns = ("networks", "bare steps/s", "played", "bare CPU ms", "played", "updates/s", "drawing ms", "kB")
    print("".join(f"{column:>15}" for column in columns))
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder) / "lab") as server,
        open_browser() as context,
    ):
        notebook = NotebookPage(server, context, server.write_notebook([CELL]))
        notebook.run_all()
        notebook.page.locator(".rx-plot").first.wait_for(timeout=60_000)
        notebook.page.evaluate(_WATCH)
        for depth in (20, 56):
            for count in (2, 4):
                cells = (f"{count} x {depth}", *measured(notebook, networks(count, depth), seconds))
                print("".join(f"{cell:>15}" for cell in cells), flush=True)
        notebook.close()


def measured(notebook: NotebookPage, chosen: tuple[str, ...], seconds: float) -> list[str]:
    """Return the numbers of a row."""
    page = notebook.page
    bare, alone = map(float, notebook.execute(f"bare({chosen!r}, {seconds})", 60 + seconds).split())
    notebook.execute(f"explorer.update(networks={chosen!r}, steps=3); explorer.wait(60)", 70)
    notebook.execute("explorer.play()")
    page.wait_for_timeout(1500)  # until it is in its stride
    first, worked = map(float, notebook.execute(_WORK).split())
    page.evaluate("window.took = []; window.began = performance.now()")
    page.wait_for_timeout(1000 * seconds)
    took, wall = page.evaluate("[window.took, (performance.now() - window.began) / 1000]")
    last, spent = map(float, notebook.execute(_WORK).split())
    watched = 1000 * (spent - worked) / max(1, last - first)
    size = int(notebook.execute(f"print({_SIZE})"))
    notebook.execute("explorer.pause(); explorer.wait(60)", 70)
    played = (last - first) / wall
    numbers = (bare, played, alone, watched, len(took) / wall, statistics.median(took), size / 1000)
    return [f"{number:.1f}" for number in numbers]


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
