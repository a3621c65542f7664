"""A real JupyterLab and a real browser, as classes: for the tests here and for the benchmarks.

with LabServer(folder) as server, open_browser() as context:
    notebook = NotebookPage(server, context, server.write_notebook(["print('hello')"]))
    notebook.run_all()
    notebook.assert_clean()
    notebook.close()
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, WebSocket, sync_playwright

from tests.browser import warm_kernels
from tests.install_browser import find

CHECKOUT = Path(__file__).resolve().parents[2]
SCREENSHOTS = CHECKOUT / "artifacts" / "screenshots"

_SETTINGS = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "docmanager-extension/plugin": {"autosave": False},
    # Cells that JupyterLab takes for out of sight are not laid out: what stands in them has no size then.
    "notebook-extension/tracker": {"windowingMode": "none"},
}

# JupyterLab's own complaints that say nothing about us.
_NOISE = (
    re.compile(r"/lab/api/extensions|/api/contents/.*\b404\b"),  # a file that it only asks after
    re.compile(r"/lsp/|language ?server", re.IGNORECASE),  # no language server is installed
    re.compile(
        r"'removeChild' on 'Node'.*\n.*/jlab_core\."
    ),  # two changes of the theme one soon after the other
)

_BROWSER_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class LabServer:
    """JupyterLab on a free local port, over a copy of the notebooks, with all its folders below `folder`.

    more  arguments on its command line
    warm  whether kernels are forked off a process that has imported what they need, where the system can do that
    """

    def __init__(self, folder: Path, more: Sequence[str] = (), warm: bool = False) -> None:
        self.folder = folder
        self.more = more
        # The name of a socket may have 107 letters.
        self.warm = warm and warm_kernels.FORKS and len(os.fsencode(folder)) < 90
        self.root = folder / "root"
        self.token = secrets.token_hex(16)

    def __enter__(self) -> "LabServer":
        notebooks = CHECKOUT / "notebooks"
        self.root.mkdir(parents=True)
        shutil.copytree(notebooks, self.root / "notebooks", ignore=shutil.ignore_patterns(".*"))
        for name, values in _SETTINGS.items():
            path = self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self.log = self.folder / "jupyterlab.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        commands = [self._command(port)]
        if self.warm:
            commands += [self._warm_kernels()]
        with self.log.open("wb") as log:
            self.processes = [
                subprocess.Popen(command, env=self._environment(), cwd=self.root, stdout=log, stderr=log)
                for command in commands
            ]
        try:
            self._wait_until_ready(90)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end()

    def _command(self, port: int) -> list[str]:
        options = {
            "--ServerApp.ip": "127.0.0.1",
            "--ServerApp.port": port,
            "--ServerApp.port_retries": 0,
            "--ServerApp.open_browser": False,
            "--ServerApp.root_dir": self.root,
            "--IdentityProvider.token": self.token,
            "--LabApp.expose_app_in_browser": True,
            "--LabApp.extension_manager": "readonly",
            "--LabApp.user_settings_dir": self.folder / "settings",
            "--LabApp.workspaces_dir": self.folder / "workspaces",
        }
        arguments = [f"{option}={value}" for option, value in options.items()]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            arguments.append("--allow-root")
        return [sys.executable, "-m", "jupyterlab", *arguments, *self.more]

    def _warm_kernels(self) -> list[str]:
        """Let notebooks ask for warm kernels; return the command that makes them."""
        here, door = warm_kernels.__file__, str(self.folder / "kernels.socket")
        spec = {
            "argv": [sys.executable, "-I", "-S", here, "launch", door, "-f", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
            "interrupt_mode": "message",
        }
        path = self.folder / "path" / "kernels" / "python3" / "kernel.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(spec))
        return [sys.executable, "-P", here, "serve", door]

    def _environment(self) -> dict[str, str]:
        """The kernel is found where Python is installed; everything else is ours and starts empty."""
        ours = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTER_PATH": "path",
            "IPYTHONDIR": "ipython",
            "MPLCONFIGDIR": "matplotlib",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
        return inherited | {name: str(self.folder / part) for name, part in ours.items()}

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and all(process.poll() is None for process in self.processes):
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                self.api("status")
                if not self.warm or (self.folder / "kernels.socket").exists():
                    return
            time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start; its log ends:\n{self.log.read_text()[-2000:]}")

    def _end(self) -> None:
        """End the server and then what it has left behind, which are kernels that didn't listen."""
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                kernels = psutil.Process(process.pid).children(recursive=True)
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                for kernel in psutil.wait_procs(kernels, timeout=3)[1]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        kernel.kill()
            process.wait()

    def api(self, path: str, method: str = "GET") -> Any:
        """Call Jupyter's REST interface; returns what it answers, None if that is nothing."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method, headers=headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def write_notebook(self, cells: Sequence[str]) -> str:
        """Write code cells as a notebook; returns its path below the root."""
        blank = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {
            "cells": [blank | {"id": f"cell-{k}", "source": cell} for k, cell in enumerate(cells)],
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        name = f"test-{uuid.uuid4().hex[:8]}.ipynb"
        (self.root / name).write_text(json.dumps(notebook))
        return name


@contextlib.contextmanager
def open_browser() -> Iterator[BrowserContext]:
    """Start headless Chromium; its pages share a cache, so that JupyterLab is loaded once.

    Raises LookupError if there is no browser.
    """
    executable = find()
    if executable is None:
        raise LookupError("there is no Chromium; `python tests/install_browser.py` installs one")
    flags = list(_BROWSER_FLAGS)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        try:
            yield browser.new_context()
        finally:
            browser.close()


class NotebookPage:
    """A notebook open in JupyterLab, alone on the page and with a kernel of its own.

    spare  pages whose notebook was closed; one of them is taken if there is any, since to load JupyterLab
           takes 4 s of a processor
    """

    def __init__(
        self,
        server: LabServer,
        context: BrowserContext,
        path: str,
        theme: str = "light",
        width: int = 1280,
        height: int = 900,
        spare: list[Page] | None = None,
    ) -> None:
        self.server = server
        self.path = path
        self.problems: list[str] = []
        self.sent: list[str | bytes] = []  # what the page has sent to kernels
        self.page: Page = spare.pop() if spare else context.new_page()
        self.page.bring_to_front()  # behind others it would draw once or four times a second
        self.page.set_viewport_size({"width": width, "height": height})
        self._handlers: dict[Any, Callable[[Any], None]] = {
            "console": self._on_console,
            "pageerror": lambda error: self._note(f"page error: {error.stack or error}"),
            "websocket": self._on_websocket,
        }
        for event, handler in self._handlers.items():
            self.page.on(event, handler)
        if self.page.url == "about:blank":
            workspace = f"test-{uuid.uuid4().hex[:8]}"
            self.page.goto(f"{server.url}/doc/workspaces/{workspace}/tree/{path}?token={server.token}")
        else:
            self.page.evaluate(_OPEN, path)
        self._wait_for(_READY, 60)
        self.dress(theme)

    def _wait_for(self, condition: str, seconds: float) -> None:
        # At its own rate Playwright asks at every frame, and has each drawn: 5 % of a processor while nothing happens.
        self.page.wait_for_function(condition, timeout=1000 * seconds, polling=50)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        self._note(f"console error: {message.text} ({message.location.get('url', '')})")

    def _note(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in _NOISE):
            self.problems.append(text)

    def _on_websocket(self, websocket: WebSocket) -> None:
        if "/channels" in websocket.url:
            websocket.on("framesent", lambda frame: self.sent.append(frame))

    # ---- the notebook ---------------------------------------------------------------------------------

    def run_all(self, timeout: float = 120, check: bool = True) -> None:
        """Run every cell and wait until the kernel rests; `check` fails at once where a cell failed."""
        self.page.evaluate(_RUN_ALL)
        self._wait_for(_HAS_RUN, timeout)
        if check:
            problems = self.page.evaluate(_CELL_PROBLEMS)
            assert not problems, "\n".join(problems)

    def skip_question(self) -> None:
        """Skip the question that the first explorer asks, if it asks one."""
        card = self.page.locator(".rx-page").first
        card.wait_for(timeout=60_000)
        if card.evaluate("(node) => node.classList.contains('rx-asks')"):
            card.get_by_role("button", name="Skip the question").click()

    def write(self, code: str) -> None:
        """Put code into the first cell, in place of what is there."""
        self.page.evaluate(_WRITE, code)

    def dress(self, theme: str) -> None:
        """Change to the "light" or "dark" theme, with nothing beside the notebook."""
        self.page.evaluate(_TIDY, f"JupyterLab {theme.capitalize()}")

    def show_first_code(self) -> None:
        """Go to the first cell of code; JupyterLab draws only the cells that are near the window."""
        self.page.evaluate(_SHOW_FIRST_CODE)

    def execute(self, code: str, timeout: float = 30) -> str:
        """Run code in the notebook's kernel, outside its cells; returns what it prints."""
        answer = self.page.evaluate(_EXECUTE, [code, 1000 * timeout])
        assert answer["status"] == "ok", answer["text"] or f"{answer['status']} after {timeout} s: {code}"
        return answer["text"].strip()

    def wait_printed(self, expression: str, text: str, timeout: float = 30) -> None:
        """Wait until the kernel prints this of an expression: what the page says takes a moment to get there."""
        deadline = time.monotonic() + timeout
        while (now := self.execute(f"print({expression})")) != text:
            assert time.monotonic() < deadline, f"{expression} is still {now} after {timeout} s"
            self.page.wait_for_timeout(50)

    def assert_clean(self) -> None:
        """Fail if anything that a person could see, or find in the console, says that something went wrong."""
        problems = self.page.evaluate(_CELL_PROBLEMS) + self.page.evaluate(_PAGE_PROBLEMS) + self.problems
        assert not problems, "\n".join(problems)

    def close(self, spare: list[Page] | None = None) -> None:
        """Close the notebook and end its kernel; the page too, unless it shall be kept with the `spare` ones."""
        if spare is None:
            self.page.close()
        else:
            for (
                event,
                handler,
            ) in self._handlers.items():  # JupyterLab lets widgets speak to a kernel that is gone
                self.page.remove_listener(event, handler)
            self.page.evaluate(_CLOSE, self.path)
            spare.append(self.page)
        for session in self.server.api("sessions"):
            if session["path"] == self.path:
                self.server.api(f"sessions/{session['id']}", method="DELETE")

    # ---- what is on the page ---------------------------------------------------------------------------

    def locator(self, selector: str) -> Locator:
        """Shorthand for `page.locator`."""
        return self.page.locator(selector)

    def press(self, selector: str, key: str) -> None:
        """Focus the one element that matches, and press a key there."""
        self.page.locator(selector).press(key)

    def pixels(self, selector: str) -> np.ndarray:
        """Return what a canvas or img holds, uint8 (height, width, 4), as drawn and not as scaled on screen."""
        encoded = self.page.locator(selector).evaluate(_AS_PNG)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA"))

    def digest(self, selector: str) -> str:
        """Return a short hash of `pixels`."""
        pixels = self.pixels(selector)
        return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]

    def wait_changed(self, selector: str, before: str, timeout: float = 10) -> str:
        """Wait until the digest is no longer `before`; returns the new one."""
        deadline = time.monotonic() + timeout
        while (now := self.digest(selector)) == before:
            assert time.monotonic() < deadline, f"{selector} still shows the same after {timeout} s"
            self.page.wait_for_timeout(20)
        return now

    def screenshot(self, name: str, selector: str | None = None) -> Path:
        """Keep a picture of the page, or of one element, among the artefacts."""
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        target = self.page.locator(selector) if selector else self.page
        target.screenshot(path=path)
        return path


_OPEN = """async (path) => {
    window.testRun = undefined;
    await window.jupyterapp.commands.execute('docmanager:open', { path, factory: 'Notebook' });
}"""

_CLOSE = """async (path) => {
    const panel = [...window.jupyterapp.shell.widgets('main')].find((widget) => widget.context?.path === path);
    panel.dispose();
}"""

# Polled, so without `await`: a promise would count as true.
_READY = """() => {
    const app = window.jupyterapp;
    const panel = app?.shell?.currentWidget;
    return panel?.content?.model?.cells && panel.context.isReady && panel.sessionContext.isReady
        && panel.sessionContext.session?.kernel?.status === 'idle'
        && app.commands.hasCommand('apputils:change-theme') && Boolean(document.body.dataset.jpThemeName);
}"""

_TIDY = """async (theme) => {
    const { shell, commands } = window.jupyterapp;
    shell.collapseLeft();
    shell.collapseRight();
    if (document.body.dataset.jpThemeName !== theme) {
        await commands.execute('apputils:change-theme', { theme });
        while (document.body.dataset.jpThemeName !== theme) await new Promise((done) => setTimeout(done, 20));
    }
}"""

_RUN_ALL = """() => {
    window.testRun = 'running';
    window.jupyterapp.commands.execute('notebook:run-all-cells')
        .then(() => { window.testRun = 'done'; }, (error) => { window.testRun = String(error); });
}"""

_WRITE = """(code) => {
    window.jupyterapp.shell.currentWidget.content.model.cells.get(0).sharedModel.setSource(code);
}"""

_SHOW_FIRST_CODE = """() => {
    const { content } = window.jupyterapp.shell.currentWidget;
    const first = content.widgets.findIndex((cell) => cell.model.type === 'code');
    content.activeCellIndex = first;
    return content.scrollToItem(first, 'start');
}"""

_HAS_RUN = """() => window.testRun !== 'running'
    && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"""

_CELL_PROBLEMS = """() => {
    const problems = [];
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    for (let k = 0; k < cells.length; k++) {
        const cell = cells.get(k);
        if (cell.type !== 'code' || !cell.sharedModel.source.trim()) continue;
        for (const output of cell.outputs.toJSON()) {
            if (output.output_type === 'error') {
                problems.push(`cell ${k}: ${output.ename}: ${output.evalue}\\n${output.traceback.join('\\n')}`);
            } else if (output.name === 'stderr') {
                problems.push(`cell ${k} writes to stderr: ${output.text}`);
            }
        }
        if (cell.executionCount === null && window.testRun) problems.push(`cell ${k} was not run`);
    }
    return problems;
}"""

_PAGE_PROBLEMS = """() => {
    const text = document.querySelector('.jp-NotebookPanel-notebook')?.textContent ?? '';
    const signs = ['Traceback (most recent call last)', 'Error displaying widget', 'Failed to load model class'];
    const problems = signs.filter((sign) => text.includes(sign)).map((sign) => `on the page: ${sign}`);
    for (const shown of document.querySelectorAll('[data-mime-type="application/vnd.jupyter.error"]')) {
        problems.push(`on the page: ${shown.textContent}`);
    }
    return problems;
}"""

# A kernel whose websocket has closed never answers.
_EXECUTE = """async ([code, milliseconds]) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({ code, store_history: false });
    let text = '';
    future.onIOPub = ({ content }) => { text += content.text ?? content.traceback?.join('\\n') ?? ''; };
    const silence = new Promise((done) => setTimeout(done, milliseconds, { content: { status: 'no answer' } }));
    const reply = await Promise.race([future.done, silence]);
    return { status: reply.content.status, text };
}"""

_AS_PNG = """(element) => {
    const canvas = document.createElement('canvas');
    canvas.width = element.naturalWidth ?? element.width;
    canvas.height = element.naturalHeight ?? element.height;
    canvas.getContext('2d').drawImage(element, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
}"""
