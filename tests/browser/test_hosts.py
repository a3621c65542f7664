"""One explorer in each host that can be had here: run it, slide it, bring it a photo, and see.

JupyterLab has its own tests; here it shows what is left of a notebook without its kernel.
"""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from nbconvert import HTMLExporter
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.lab import CHECKOUT, NotebookPage

CELL = "import resnet_explore as rx\nrx.FeatureMapExplorer(depth=8)"
TOKEN = "only-for-this-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(command: Sequence[str], url: str, log: Path) -> Iterator[None]:
    """Run a server until it answers, and end it with all that it started, whatever happens."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=out,
            stderr=out,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True  # it is there and wants its token
    except OSError:
        return False


def use(page: Page) -> None:
    """Slide, bring a photo and see it, as a person would."""
    explorer = page.locator(".rx-page")
    explorer.locator(".rx-tiles canvas").first.wait_for(timeout=60_000)
    headline = explorer.locator(".rx-headline")
    expect(headline).to_contain_text("Block 1")
    explorer.get_by_role("slider", name="Block").press("ArrowRight")
    expect(headline).to_contain_text("Block 2")
    seen = explorer.locator(".rx-tiles canvas").first
    before = seen.evaluate(PIXELS)
    data = io.BytesIO()
    Image.effect_noise((40, 60), 80).convert("RGB").save(data, "PNG")
    photo = {"name": "noise.png", "mimeType": "image/png", "buffer": data.getvalue()}
    explorer.locator(".rx-upload input").set_input_files(photo)
    wait_until(page, lambda: explorer.evaluate("(root) => root.explorer.state.image") == "upload-1")
    wait_until(page, lambda: seen.evaluate(PIXELS) != before)
    assert explorer.locator(".rx-problem").inner_text() == ""


PIXELS = "(canvas) => canvas.toDataURL()"


def wait_until(page: Page, there: Callable[[], bool]) -> None:
    """Wait for something that is asked of a locator: marimo keeps widgets where `document` doesn't reach."""
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


@pytest.fixture
def page(browser_context):
    page = browser_context.new_page()
    page.set_viewport_size({"width": 1280, "height": 1000})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(error.stack or str(error)))
    yield page
    page.close()
    # Notebook 7.6 throws one of its own as it opens, whatever is in the notebook.
    assert [problem for problem in problems if "/static/notebook/notebook_core" not in problem] == []


def test_notebook_7(lab_server, page):
    path = lab_server.write_notebook([CELL])
    page.goto(f"{lab_server.url}/notebooks/{path}?token={lab_server.token}")
    cell = page.locator(".jp-Cell").first
    prompt = cell.locator(".jp-InputPrompt")
    expect(prompt).to_have_text("[ ]:", timeout=60_000)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=60_000)

    def begun() -> bool:
        cell.locator(".cm-content").press("Shift+Enter")  # which Notebook may miss while it opens
        page.wait_for_timeout(500)
        return prompt.inner_text() != "[ ]:"

    wait_until(page, begun)
    use(page)
    for session in lab_server.api("sessions"):
        if session["path"] == path:
            lab_server.api(f"sessions/{session['id']}", method="DELETE")


def test_voila(tmp_path, page):
    notebook = tmp_path / "page.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": CELL}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": [cell]}))
    port = free_port()
    command = (
        "voila",
        str(notebook),
        "--no-browser",
        f"--port={port}",
        "--Voila.ip=127.0.0.1",
        f"--token={TOKEN}",
    )
    url = f"http://127.0.0.1:{port}/"
    with served(command, url, tmp_path / "log.txt"):
        page.goto(f"{url}?token={TOKEN}")
        use(page)
        expect(page.locator(".rx-still:visible")).to_have_count(0)


def test_marimo(tmp_path, page):
    app = tmp_path / "app.py"
    body = "\n".join(f"    {line}" for line in CELL.splitlines())
    app.write_text(f"import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n{body}\n    return\n")
    port = free_port()
    command = ("marimo", "run", "app.py", "--headless", "--host", "127.0.0.1", "--port", f"{port}")
    url = f"http://127.0.0.1:{port}/"
    with served((*command, "--token", "--token-password", TOKEN), url, tmp_path / "log.txt"):
        page.goto(f"{url}?access_token={TOKEN}")
        use(page)


def test_a_notebook_without_its_kernel_shows_pictures(lab_server, browser_context, spare_pages, tmp_path):
    """Live the page hides the picture; saved and opened again, in a browser or as HTML, the picture stands."""
    path = lab_server.write_notebook(
        [
            "import resnet_explore as rx\nrx.DegradationExplorer()",
            "from IPython.display import display\nimport ipywidgets\n"
            "display(ipywidgets.IntSlider(), rx.LandscapeExplorer())",
        ]
    )
    notebook = NotebookPage(lab_server, browser_context, path, spare=spare_pages)
    notebook.run_all()
    stills = notebook.locator(".rx-still")
    expect(stills).to_have_count(2, timeout=60_000)
    for still in stills.all():
        expect(still).to_be_hidden()
    expect(notebook.locator(".widget-slider")).to_be_visible()  # another widget in a cell with a picture
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    notebook.assert_clean()
    notebook.close(spare_pages)

    again = NotebookPage(lab_server, browser_context, path, spare=spare_pages)
    expect(again.locator(".rx-still img").first).to_be_visible()
    assert "plain gets 62 %" in again.locator(".rx-still img").first.get_attribute("alt")
    errors = again.page.locator(".jupyter-widgets:visible", has_text="Error displaying widget")
    expect(errors).to_have_count(1)  # the slider's, which is not ours
    again.close(spare_pages)

    html, _ = HTMLExporter().from_filename(lab_server.root / path)
    page = browser_context.new_page()
    (tmp_path / "page.html").write_text(html)
    page.goto(f"file://{tmp_path / 'page.html'}")
    expect(page.locator(".rx-still img").first).to_be_visible()
    assert "DegradationExplorer(" not in page.locator("body").inner_text().replace(
        "rx.DegradationExplorer()", ""
    )
    page.close()
