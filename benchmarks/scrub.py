"""From an arrow key on a slider to new pixels: `Filmstrip` against `interact` with inline matplotlib.

    python -m benchmarks.scrub [presses]

Both show the same grid of 18 feature maps at 60 steps, in one notebook in a real JupyterLab and headless
Chromium, and take turns. A press is timed in the page: from when the page hears of the key until the start of
the first animation frame that finds another picture in place, so to a frame's length. In place means that the
canvas has been drawn anew, or that the image has another source; that one's decoding is not counted.
Then a key is held for 59 repeats at about 30 a second, and the different pictures that animation frames have
found are counted, the first one included.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser.lab import LabServer, NotebookPage, open_browser

CELLS = [
    """
import io
import ipywidgets, numpy as np
import matplotlib.pyplot as plt
from resnet_explore.widgets.filmstrip.filmstrip import Filmstrip
%matplotlib inline

maps = np.random.default_rng(0).random((60, 18, 16, 16))

def draw(step):
    figure, axes = plt.subplots(3, 6, figsize=(12, 6))
    for channel, (ax, image) in enumerate(zip(axes.flat, maps[step])):
        ax.imshow(image)
        ax.set_title(f"channel {channel}")
        ax.axis("off")
    return figure

def png(step):
    figure = draw(step)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()

def show(step):
    draw(step)
    plt.show()

ipywidgets.interact(show, step=ipywidgets.IntSlider(min=0, max=59, value=0))
""",
    "Filmstrip(frames=[png(step) for step in range(60)])",
]

# Where the key goes, what is another whenever a picture has come into place, and which picture that is.
_SOURCE = "document.querySelector('.jp-OutputArea img')?.src ?? ''"
PEERS = {
    "filmstrip": (
        ".rx-step",
        "document.querySelector('.rx-canvas').dataset.drawn",
        "document.querySelector('.rx-film').dataset.index",
    ),
    "interact": (".noUi-handle", _SOURCE, _SOURCE),
}

WATCH = """([state, picture]) => {
    const read = () => eval(state);
    window.seen = new Set([eval(picture)]);
    window.changed = null;
    let before = read();
    let counted = before;
    document.addEventListener('keydown', () => {
        const start = performance.now();
        const look = () => {
            const now = read();
            if (now && now !== before) {
                before = now;
                window.changed = performance.now() - start;
            } else requestAnimationFrame(look);
        };
        window.changed = null;
        requestAnimationFrame(look);
    }, { capture: true, signal: (window.watching = new AbortController()).signal });
    const count = () => {
        if (window.watching.signal.aborted) return;
        const now = read();
        if (now && now !== counted) {
            counted = now;
            window.seen.add(eval(picture));
        }
        requestAnimationFrame(count);
    };
    count();
}"""


class Peer:
    """One way of showing pictures, on a page of its own making."""

    def __init__(self, notebook: NotebookPage, name: str) -> None:
        self.notebook, self.page, self.name = notebook, notebook.page, name
        self.selector, *self.state = PEERS[name]
        # In command mode JupyterLab takes the arrow keys, unless the focused element says otherwise.
        self.page.locator(self.selector).first.evaluate("(e) => { e.dataset.lmSuppressShortcuts = 'true'; }")

    def press(self, key: str) -> float:
        """Press a key; returns milliseconds until the picture has changed."""
        # `interact` sends each picture back to the kernel; a press meanwhile can leave the old one standing.
        self.page.wait_for_timeout(500)
        self.page.locator(self.selector).first.focus()
        self.page.evaluate(WATCH, self.state)
        self.page.keyboard.press(key)
        self.page.wait_for_function("window.changed !== null", polling="raf", timeout=30_000)
        self.page.evaluate("window.watching.abort()")
        return float(self.page.evaluate("window.changed"))

    def hold(self, repeats: int = 59) -> int:
        """Hold the right arrow from the first step on; returns how many of the pictures were shown."""
        self.page.locator(self.selector).first.focus()
        self.page.keyboard.press("Home")
        self.page.wait_for_timeout(2000)
        self.page.evaluate(WATCH, self.state)
        for _ in range(repeats):
            self.page.keyboard.down("ArrowRight")
            self.page.wait_for_timeout(1000 / 30)
        self.page.keyboard.up("ArrowRight")
        self.page.wait_for_timeout(3000)
        self.page.evaluate("window.watching.abort()")
        return int(self.page.evaluate("window.seen.size"))


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of all lies."""
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def print_times(rows: dict[str, list[float]]) -> None:
    """Print the median and the 95th percentile of each row's milliseconds."""
    print(f"{'':34}{'p50 ms':>9}{'p95 ms':>9}")
    for name, times in rows.items():
        print(f"{name:34}{statistics.median(times):9.1f}{percentile(times, 0.95):9.1f}")


def report(times: dict[str, list[float]], shown: dict[str, int]) -> None:
    """Print the table."""
    print(f"{'':12}{'p50 ms':>9}{'p95 ms':>9}{'shown of 60':>13}")
    rows: dict[str, Any] = {}
    for name, values in times.items():
        rows[name] = (statistics.median(values), percentile(values, 0.95))
        print(f"{name:12}{rows[name][0]:9.1f}{rows[name][1]:9.1f}{shown[name]:13}")
    ratios = [slow / fast for slow, fast in zip(rows["interact"], rows["filmstrip"], strict=True)]
    print(f"{'ratio':12}{ratios[0]:9.1f}{ratios[1]:9.1f}")


def main(presses: int = 40) -> None:
    """Run both side by side and print the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder)) as server,
        open_browser() as context,
    ):
        notebook = NotebookPage(server, context, server.write_notebook(CELLS), height=1400)
        notebook.run_all()
        notebook.page.wait_for_function("document.querySelector('.rx-canvas')?.dataset.drawn > 0")
        notebook.page.wait_for_timeout(3000)
        peers = [Peer(notebook, name) for name in PEERS]
        times: dict[str, list[float]] = {peer.name: [] for peer in peers}
        for i in range(presses):
            key = "ArrowLeft" if i // 59 % 2 else "ArrowRight"  # there are 60 steps: turn round at the ends
            for peer in peers if i % 2 else reversed(peers):
                times[peer.name].append(peer.press(key))
        report(times, {peer.name: peer.hold() for peer in peers})
        notebook.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
