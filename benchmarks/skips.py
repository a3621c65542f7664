"""From a click on a block to both networks' new errors, in a real JupyterLab.

    python -m benchmarks.skips [clicks] [a folder with CIFAR-10]

Timed in the page: from when it hears of the press until the first animation frame after the errors have
changed. Digits are asked about in one go (all 360); of larger images the first hundred, and then all. With a
folder the CIFAR-10 twins of 20 layers are asked, too.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.scrub import percentile
from tests.browser.lab import LabServer, NotebookPage, open_browser

DIGITS = "import resnet_explore as rx\nexplorer = rx.SkipExplorer(depth={depth}, deleted=())\nexplorer"
FOLDER = """
import resnet_explore as rx
images = rx.load_dataset("cifar10", split="test", root={root!r})
twins = {{name: rx.build(f"cifar_{{name}}20", weights="cifar10") for name in ("plain", "resnet")}}
explorer = rx.SkipExplorer(twins, images, deleted=())
explorer
"""
_WATCH = """() => {
    const nodes = () => [...document.querySelectorAll('.rx-outcome-text')];
    const texts = () => nodes().map((node) => node.textContent).join();
    document.addEventListener('pointerdown', () => {
        const start = performance.now(), before = texts();
        window.took = null;
        const look = () => {
            if (texts() !== before) window.took = performance.now() - start;
            else if (performance.now() - start > 20000) window.took = -1;
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, { capture: true });
}"""


def times(notebook: NotebookPage, clicks: int) -> list[float]:
    """Click blocks of the residual network, one out after the other and back; return milliseconds."""
    page, boxes = notebook.page, notebook.page.locator(".rx-cut-row").last.locator(".rx-cut-box")
    found = []
    for k in range(clicks):
        box = boxes.nth(k // 2 % boxes.count()).bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_function("window.took !== null", timeout=30_000, polling=20)
        found.append(float(page.evaluate("window.took")))
        notebook.execute("explorer.wait(60)", 70)
    return [took for took in found if took >= 0]


def main(clicks: int = 20, folder: str = "") -> None:
    """Measure and print the table."""
    cells = {f"digits, {depth} layers": DIGITS.format(depth=depth) for depth in (20, 56)}
    if folder:
        cells["CIFAR-10, 20 layers"] = FOLDER.format(root=str(Path(folder).resolve()))
    print(f"{'click to new errors':28}{'p50':>8}{'p95 ms':>8}")
    with (
        tempfile.TemporaryDirectory() as place,
        LabServer(Path(place) / "lab") as server,
        open_browser() as context,
    ):
        for name, cell in cells.items():
            notebook = NotebookPage(server, context, server.write_notebook([cell]), width=1600)
            notebook.run_all()
            notebook.page.locator(".rx-outcome-bar").first.wait_for(timeout=60_000)
            notebook.execute("explorer.wait(120)", 130)
            notebook.page.evaluate(_WATCH)
            took = times(notebook, clicks)
            print(f"{name:28}{statistics.median(took):8.0f}{percentile(took, 0.95):8.0f}", flush=True)
            notebook.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
