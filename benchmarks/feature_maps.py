"""How long until a person sees feature maps: the first picture, a new image, a move of the slider.

    python -m benchmarks.feature_maps [presses] [images]

ResNet-50 and its plain twin, random weights, 224x224, all 16 blocks, in a real JupyterLab and headless
Chromium. Packages are imported and the networks made before. The first picture is timed from running the cell
that makes the explorer, a new image from asking for it in the kernel, each until the browser has drawn all
tiles; a bare forward pass of both networks in the same kernel is printed beside them: it says how busy the
machine is. Arrow keys on the slider over blocks are timed in the page, as in `benchmarks.scrub`.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.scrub import WATCH, print_times
from tests.browser.lab import LabServer, NotebookPage, open_browser

CELLS = [
    """
import time
import torch, resnet_explore as rx
networks = rx.twins("resnet50")._asdict()
images = torch.randn(8, 3, 224, 224)
rx.FeatureMapExplorer({"residual": rx.build("cifar_resnet8")}, images[:, :, :32, :32]).wait()

def bare():
    start = time.perf_counter()
    with torch.no_grad():
        for network in networks.values():
            network(images[:1])
    return time.perf_counter() - start

bare()
""",
    "explorer = rx.FeatureMapExplorer(networks, images)\nexplorer",
]

RUN = """async () => {
    const { content } = window.jupyterapp.shell.currentWidget;
    content.activeCellIndex = 1;
    const start = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    const drawn = () => [...document.querySelectorAll('.rx-sheet')].every((sheet) => sheet.dataset.drawn > 0);
    while (!document.querySelector('.rx-sheet') || !drawn()) await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""

CHANGE = """async (code) => {
    const shown = () => document.querySelector('.rx-page').dataset.view;
    const before = shown(), start = performance.now();
    const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
    const future = kernel.requestExecute({ code, store_history: false });
    while (shown() === before) await new Promise(requestAnimationFrame);
    const seconds = performance.now() - start;
    await future.done;
    return seconds;
}"""

STATE = [
    "document.querySelector('.rx-sheet').dataset.drawn",
    "document.querySelector('.rx-step').value",
]


def main(presses: int = 60, images: int = 7) -> None:
    """Measure and print the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder)) as server,
        open_browser() as context,
    ):
        notebook = NotebookPage(server, context, server.write_notebook(CELLS), height=1400)
        page = notebook.page
        notebook.execute(CELLS[0], timeout=300)
        first = page.evaluate(RUN)
        page.locator(".rx-plot").first.wait_for(timeout=120_000)
        bare, new = [], []
        for k in range(images):
            bare.append(1000 * float(notebook.execute("print(bare())", timeout=120)))
            new.append(page.evaluate(CHANGE, f"explorer.image = 'image-{k % 7 + 1}'"))
            page.wait_for_timeout(1000)
        moves = [press(notebook, "ArrowLeft" if i // 15 % 2 else "ArrowRight") for i in range(presses)]
        print(f"first picture {first:.0f} ms")
        rows = {"a new image": new, "bare forward pass of both networks": bare, "a move of the slider": moves}
        print_times(rows)
        notebook.close()


def press(notebook: NotebookPage, key: str) -> float:
    """Press a key on the slider; returns milliseconds until the tiles have been drawn anew."""
    page = notebook.page
    page.locator(".rx-step").first.focus()
    page.evaluate(WATCH, STATE)
    page.keyboard.press(key)
    page.wait_for_function("window.changed !== null", polling="raf", timeout=30_000)
    page.evaluate("window.watching.abort()")
    page.wait_for_timeout(250)
    return float(page.evaluate("window.changed"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
