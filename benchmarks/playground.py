"""The playground while it plays: updates of the page a second, and what watching costs the race.

    python -m benchmarks.playground [seconds]

In a real JupyterLab and headless Chromium. Digits, batches of 64, two and four networks of 20 and 56 layers. An
update is a view that the page has received and drawn; its time is that of the page's own drawing. The bare loop is
`Race.advance` in the same kernel, just before, with the page at rest.
"""

import json
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
    began, first = time.perf_counter(), race.steps
    race.advance(10_000, stop=lambda: time.perf_counter() - began > seconds)
    return (race.steps - first) / (time.perf_counter() - began)
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
    print(
        f"{'networks':>12}{'bare steps/s':>14}{'played':>10}{'updates/s':>11}{'drawing p50, max ms':>22}{'kB':>7}"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder) / "lab") as server,
        open_browser() as context,
    ):
        notebook = NotebookPage(server, context, server.write_notebook([CELL]))
        notebook.run_all()
        page = notebook.page
        page.locator(".rx-plot").first.wait_for(timeout=60_000)
        page.evaluate(_WATCH)
        for depth in (20, 56):
            for count in (2, 4):
                chosen = networks(count, depth)
                bare = float(notebook.execute(f"print(bare({chosen!r}, {seconds}))", 60 + seconds))
                notebook.execute(f"explorer.update(networks={chosen!r}, steps=3); explorer.wait(60)", 70)
                notebook.execute("explorer.play()")
                page.wait_for_timeout(1500)  # until it is in its stride
                first = int(notebook.execute("print(explorer.steps)"))
                page.evaluate("window.took = []; window.began = performance.now()")
                page.wait_for_timeout(1000 * seconds)
                took, wall = json.loads(
                    page.evaluate("JSON.stringify([window.took, (performance.now() - window.began) / 1000])")
                )
                last = int(notebook.execute("print(explorer.steps)"))
                size = notebook.execute(
                    "print(sum(b.nbytes for b in explorer._view['buffers']) + len(json.dumps(explorer._view['tree'])))"
                )
                notebook.execute("explorer.pause(); explorer.wait(60)", 70)
                drawing = f"{statistics.median(took):.1f}, {max(took):.1f}" if took else "-"
                print(
                    f"{count:>5} × {depth:<4}{bare:>14.1f}{(last - first) / wall:>10.1f}{len(took) / wall:>11.1f}"
                    f"{drawing:>22}{int(size) / 1000:>7.0f}",
                    flush=True,
                )
        notebook.close()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
