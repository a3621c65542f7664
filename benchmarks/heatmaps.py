"""How long until a person sees heatmaps: an uploaded photo at all blocks, a move of the sliders.

    python -m benchmarks.heatmaps [presses] [uploads]

`SaliencyExplorer` as it begins, in a real JupyterLab and headless Chromium. An upload is timed in the page,
from handing a JPEG of 1600x1200 to the upload button until the heatmaps of all blocks of both photo twins
are drawn over it; a bare forward and backward pass of both in the same kernel is printed beside it: it says
how busy the machine is. The verdict that follows an upload is stopped before the next. Arrow keys are timed
in the page, as in `benchmarks.scrub`: the block slider on the photo twins, the depth slider on CIFAR's,
while the kernel begins a verdict whenever the slider rests, as it does for a person.
"""

import io
import sys
import tempfile
from pathlib import Path

from benchmarks.scrub import WATCH, print_times
from resnet_explore.inputs.images import sample_photos
from tests.browser.lab import LabServer, NotebookPage, open_browser

CELLS = [
    """
import time
import torch, resnet_explore as rx
from resnet_explore.models.threads import one_thread
explorer = rx.SaliencyExplorer()
explorer
""",
    """
twins = [one.model for one in explorer.bench.open("imagenette", 0, "temple").networks]

def bare():
    image = torch.randn(1, 3, 128, 128, requires_grad=True)
    start = time.perf_counter()
    with one_thread():
        for network in twins:
            torch.autograd.grad(network(image)[0, 0], image)
    return 1000 * (time.perf_counter() - start)
""",
]

# Resolves when a picture that was drawn after the file went in is an uploaded one, so not a redrawn old one.
UPLOADED = """(name) => {
    const grid = document.querySelector('.rx-heat-grid'), input = document.querySelector('.rx-pick input');
    const page = grid.closest('.rx-page');
    window.took = null;
    input.addEventListener('change', () => {
        const start = performance.now(), before = grid.dataset.drawn;
        const look = () => {
            const said = page.querySelector('.rx-conditions').textContent;
            if (grid.dataset.drawn !== before && said.includes(name)) {
                window.took = performance.now() - start;
            } else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, { capture: true, once: true });
}"""

STATE = ["document.querySelector('.rx-heat-grid').dataset.drawn"] * 2


def main(presses: int = 60, uploads: int = 7) -> None:
    """Measure and print the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder)) as server,
        open_browser() as context,
    ):
        notebook = NotebookPage(server, context, server.write_notebook(CELLS), height=1600)
        notebook.run_all(timeout=300)
        notebook.page.wait_for_function(
            "document.querySelector('.rx-heat-grid')?.dataset.drawn > 0", timeout=60_000
        )
        rest(notebook)
        bare, new = [], []
        for k in range(uploads):
            bare.append(float(notebook.execute("print(bare())", timeout=120)))
            new.append(upload(notebook, k))
            rest(notebook)
        rows = {
            "an upload, all blocks drawn": new,
            "bare forward + backward of both": bare,
            "the block slider, photo twins": press(notebook, "Block", presses),
        }
        notebook.execute("explorer.networks = 'cifar10'", timeout=120)
        notebook.page.wait_for_timeout(5000)
        rest(notebook)
        rows["the depth slider, CIFAR-10 twins"] = press(notebook, "Depth", presses)
        print_times(rows)
        notebook.close()


def rest(notebook: NotebookPage) -> None:
    """Stop measuring the verdict and wait until nothing is computed."""
    notebook.execute("explorer.act('halt', None, []); explorer.wait(60)", timeout=90)
    notebook.page.wait_for_timeout(1000)


def upload(notebook: NotebookPage, k: int) -> float:
    """Hand a photo that was not there yet to the upload button; returns milliseconds."""
    buffer, name = io.BytesIO(), f"photo-{k}.jpg"
    photo = list(sample_photos().values())[k % len(sample_photos())].load()
    photo.resize((1600, 1200)).save(buffer, "JPEG", quality=90)
    notebook.page.evaluate(UPLOADED, name)
    notebook.page.locator(".rx-pick input").set_input_files(
        {"name": name, "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
    )
    notebook.page.wait_for_function("window.took !== null", polling="raf", timeout=120_000)
    return float(notebook.page.evaluate("window.took"))


def press(notebook: NotebookPage, name: str, presses: int) -> list[float]:
    """Go up and down a slider; returns for each press milliseconds until another picture was drawn."""
    page = notebook.page
    slider = page.get_by_role("slider", name=name)
    last = int(slider.get_attribute("max") or 0)
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(500)
    times = []
    for i in range(presses):
        page.evaluate(WATCH, STATE)
        page.keyboard.press("ArrowLeft" if i // last % 2 else "ArrowRight")
        page.wait_for_function("window.changed !== null", polling="raf", timeout=30_000)
        page.evaluate("window.watching.abort()")
        times.append(float(page.evaluate("window.changed")))
        page.wait_for_timeout(250)
    return times


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
