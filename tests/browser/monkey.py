"""A monkey at the controls: a seeded random walk over all that an explorer's page offers, and what must hold after.

    python -m tests.browser.monkey [--actions 5000] [--seed 7] [ArchitectureExplorer ...]

It clicks, presses keys (JupyterLab's own, too), chooses, drags, points, types nonsense, uploads, saves, resizes
the window and changes the theme, in a real JupyterLab. In the end nothing may have gone wrong in the page or the
kernel, both must show the same, nothing may still run, and neither may have grown without bound. What has grown
is measured from the end of a warm-up, the first quarter, in which caches fill.
"""

import argparse
import io
import json
import random
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.explorers import NAMES, QUICK
from tests.browser.lab import LabServer, NotebookPage, open_browser
from tests.browser.stills import NO_STILLS

_CELL = """{no_stills}
import dataclasses, logging, threading, traceback, unittest.mock
import matplotlib.figure, torch  # their memory is no growth
import resnet_explore as rx
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog import networks
mistakes = []
class Noted(logging.Handler):
    def emit(self, record):
        mistakes.append(self.format(record))
for logger in (logging.getLogger(), get_ipython().kernel.log, logging.getLogger("Comm")):
    logger.addHandler(Noted(logging.ERROR))
threading.excepthook = lambda given: mistakes.append("".join(traceback.format_exception(given.exc_value)))
def download(depth):
    raise ExploreError("Nothing is downloaded here.")
# The same menus and sliders, but what stands at their ends is soon computed, or refused.
shallow = [
    dataclasses.replace(each, depths=tuple(depth for depth in each.depths if depth <= 20)) for each in networks._shipped_twins()
]
with unittest.mock.patch.multiple(networks, _shipped_twins=lambda: shallow, _torchvision=download):
    explorer = rx.{name}(**{arguments})
opened_with = explorer.state
explorer.observe(lambda change: "This failed" in change.new and mistakes.append(change.new), "_problem")
explorer
"""
# What may grow after the warm-up: results that are kept for later (32 at a time), and libraries that are only now
# loaded. Nodes and listeners of the page may not: a table has 1,000 and 11, a blueprint 300 and 250.
MOST = {"nodes": 3_000, "listeners": 1_000, "heap (MB)": 25, "kernel (MB)": 400, "threads": 4}
WIDTHS, HEIGHTS = (360, 1600), (500, 1000)
KEYS = (
    *("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"),
    *("Enter", " ", "Escape", "Tab", "Shift+Tab"),
    *("a", "b", "d", "d", "m", "x", "y", "z", "0", "0", "j", "k"),  # commands of JupyterLab's
)
TYPED = ("", "0", "-1", "1e9", "3", "0.5", "17")


class Monkey:
    """A walk over one explorer's page; `did` holds what it did last."""

    def __init__(self, notebook: NotebookPage, seed: int) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.random = random.Random(seed)
        self.did: deque[str] = deque(maxlen=30)
        self.count = 0

    def walk(self, actions: int) -> None:
        """Do so many things one after another, or until the page says that something went wrong."""
        acts: list[tuple[Callable[[], str], int]] = [
            (self.click, 30), (self.key, 25), (self.choose, 12), (self.drag, 12), (self.point, 8),
            (self.type, 4), (self.upload, 3), (self.save, 3), (self.resize, 3), (self.theme, 1), (self.rest, 4),
        ]  # fmt: skip
        end = self.count + actions
        while self.count < end and not self.notebook.problems:
            [act] = self.random.choices([act for act, _ in acts], [weight for _, weight in acts])
            self.did.append(act.__name__)
            self.did[-1] = f"{act.__name__} {act()}"
            self.count += 1
            if wrong := self.page.evaluate(_ASTRAY):
                self.notebook.problems.append(f"a key has reached the notebook: {wrong}")

    def _target(self, selector: str) -> dict[str, Any] | None:
        """Bring something that matches into sight: its kind is chosen first, so that forty boxes count once.

        `points` are places on it, the first of which is on our page and not on JupyterLab's.
        """
        shares = [[self.random.uniform(0.02, 0.98), self.random.uniform(0.05, 0.95)] for _ in range(8)]
        return self.page.evaluate(_TARGET, [selector, self.random.random(), self.random.random(), shares])

    def click(self) -> str:
        target = self._target(
            "button, summary, input:not([type=file]), [role=button], [role=tab], canvas, svg"
        )
        if target is None:
            return "nothing"
        self.page.mouse.click(*target["points"][0])
        return target["what"]

    def key(self) -> str:
        target = self._target("button, summary, input, select, [tabindex='0']")
        if target is None or not self.page.evaluate(_FOCUS):
            return "nothing"
        key = self.random.choice(KEYS)
        self.page.keyboard.press(key)
        return f"{key!r} on {target['what']}"

    def choose(self) -> str:
        target = self._target("select")
        return "nothing" if target is None else self.page.evaluate(_CHOOSE, self.random.random())

    def drag(self) -> str:
        target = self._target("input[type=range], canvas, svg")
        if target is None:
            return "nothing"
        first, *others = target["points"]
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for point in others:
            self.page.mouse.move(*point)
        self.page.mouse.up()
        return target["what"]

    def point(self) -> str:
        target = self._target("*")
        if target is None:
            return "nothing"
        self.page.mouse.move(*target["points"][0])
        return target["what"]

    def type(self) -> str:
        target = self._target("input[type=number], input[type=text]")
        if target is None or not self.page.evaluate(_FOCUS):
            return "nothing"
        text = self.random.choice(TYPED)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)
        self.page.keyboard.press(self.random.choice(("Enter", "Tab")))
        return f"{text!r} into {target['what']}"

    def upload(self) -> str:
        zones = self.page.locator(".rx-page input[type=file]")
        if not zones.count():
            return "nothing"
        side = self.random.choice((1, 24, 300))
        file = io.BytesIO()
        Image.new("RGB", (side, 2 * side), tuple(self.random.randbytes(3))).save(file, "PNG")
        data = self.random.choice((file.getvalue(), file.getvalue(), b"no picture"))
        zones.first.set_input_files({"name": "some.png", "mimeType": "image/png", "buffer": data})
        return f"{len(data)} bytes"

    def save(self) -> str:
        buttons = self.page.locator(".rx-formats button")
        self.page.evaluate("document.querySelector('.rx-save').open = true")
        k = self.random.randrange(max(1, buttons.count()))
        self.page.evaluate("(k) => document.querySelectorAll('.rx-formats button')[k]?.click()", k)
        return f"format {k}"

    def resize(self) -> str:
        size = {"width": self.random.randint(*WIDTHS), "height": self.random.randint(*HEIGHTS)}
        self.page.set_viewport_size(size)
        return f"{size['width']}×{size['height']}"

    def theme(self) -> str:
        theme = self.random.choice(("light", "dark"))
        self.notebook.dress(theme)
        return theme

    def rest(self) -> str:
        milliseconds = self.random.choice((50, 200, 800))
        self.page.wait_for_timeout(milliseconds)
        return f"{milliseconds} ms"


def cell(name: str) -> str:
    """Return the code that shows an explorer, which begins with a question, and notes its mistakes."""
    return _CELL.format(no_stills=NO_STILLS, name=name, arguments={**QUICK.get(name, {}), "guess": True})


def play(notebook: NotebookPage, name: str, actions: int, seed: int, patience: float = 45) -> str:
    """Let a monkey play with an explorer whose cell has been run; return one line on what it did.

    patience  seconds to wait for what is computed, before it is told to stop

    Raises `AssertionError` with the seed, the last actions and all that went wrong.
    """
    notebook.page.locator(".rx-page").wait_for(timeout=60_000)
    # A click that the page has moved away from would otherwise open a dialog, and count as a key that got through.
    fence = notebook.page.add_style_tag(
        content="body { pointer-events: none; } .rx-page { pointer-events: auto; }"
    )
    monkey = Monkey(notebook, seed)
    wrong: list[str] = []
    try:
        wrong += _settle(notebook, patience)
        monkey.walk(actions // 4)
        wrong += _settle(notebook, patience)
        before = _sizes(notebook)
        monkey.walk(actions - monkey.count)
        wrong += _settle(notebook, patience)
        wrong += _differences(notebook)
        after = _sizes(notebook)
        # JupyterLab and the driver keep one listener for about 20 actions, whichever explorer it is.
        most = MOST | {"listeners": MOST["listeners"] + monkey.count // 10}
        wrong += [
            f"{what} grew from {before[what]:,.0f} to {after[what]:,.0f}, by more than {bound:,}"
            for what, bound in most.items()
            if after[what] - before[what] > bound
        ]
        wrong += json.loads(notebook.execute("import json; print(json.dumps(mistakes))"))
        notebook.assert_clean()
        fence.evaluate("(node) => node.remove()")  # another test may get this page
    except Exception as problem:
        wrong.append(f"{type(problem).__name__}: {problem}")
    if wrong:
        last = "\n  ".join(monkey.did)
        raise AssertionError(
            f"{name}, seed {seed}, after {monkey.count} actions:\n"
            + "\n".join(wrong)
            + f"\nlast actions:\n  {last}"
        )
    grown = ", ".join(f"{what} {after[what] - before[what]:+,.0f}" for what in MOST)
    return f"{name}: seed {seed}, {monkey.count} actions; since the warm-up: {grown}"


def _settle(notebook: NotebookPage, patience: float) -> list[str]:
    """Wait for what is computed; what takes longer has to obey Stop."""
    if notebook.execute(f"print(explorer.wait({patience}))", patience + 60) == "True":
        return []
    notebook.execute(
        "explorer._hear(explorer, {'act': 'stop'}, [])\nif hasattr(explorer, 'stop'): explorer.stop()"
    )
    if notebook.execute("print(explorer.wait(30))", 60) == "True":
        return []
    return [f"what is computed can't be stopped: {notebook.execute(_RUNNING)}"]


def _differences(notebook: NotebookPage) -> list[str]:
    """Compare what page and kernel take for the state and the headline, once all messages have arrived."""
    found: list[str] = []
    for _ in range(50):
        kernel = json.loads(notebook.execute(_KERNEL))
        page = notebook.page.evaluate(_PAGE)
        found = [
            f"{what}: {there!r} on the page, {kernel[what]!r} in the kernel"
            for what, there in page.items()
            if what in kernel and there != kernel[what]
        ]
        found += page["odd"]
        if not found:
            return []
        notebook.page.wait_for_timeout(100)
    return found


def _sizes(notebook: NotebookPage) -> dict[str, float]:
    """What could grow, at rest, in the same window and at the state that the explorer opens with."""
    notebook.page.set_viewport_size({"width": 1280, "height": 900})
    notebook.execute(
        "explorer.update(**{name: getattr(opened_with, name) for name in opened_with.__dataclass_fields__}); explorer.wait(30)",
        40,
    )
    notebook.page.wait_for_timeout(500)
    # JupyterLab 4.6 keeps every key press for good, and with it the element that had the focus.
    notebook.page.evaluate("window.jupyterapp.commands._holdKeyBindingPromises?.clear()")
    session = notebook.page.context.new_cdp_session(notebook.page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    rss, threads = json.loads(notebook.execute(_RESOURCES))
    return {
        "nodes": metrics["Nodes"],
        "listeners": metrics["JSEventListeners"],
        "heap (MB)": metrics["JSHeapUsedSize"] / 1e6,
        "kernel (MB)": rss / 1e6,
        "threads": threads,
    }


_RUNNING = "print([task.job for task in explorer._runner._tasks.values() if task])"
_RESOURCES = """
import gc, json, psutil, threading
gc.collect()
print(json.dumps([psutil.Process().memory_info().rss, threading.active_count()]))
"""

_KERNEL = """
import dataclasses, json
from resnet_explore.widgets.core.view import settled
headline = "" if explorer.open_question else settled(explorer.page, explorer.state).headline
print(json.dumps({"state": dataclasses.asdict(explorer.state), "headline": " ".join(str(headline or "").split())}))
"""

# The page's own state, its headline, and controls that show something else than the state.
_PAGE = """() => {
    const root = document.querySelector('.rx-page'), { state, parts } = root.explorer, odd = [];
    const index = { menu: (node) => node.querySelector('select').selectedIndex, slider: (node) => Number(node.querySelector('input').value),
        tabs: (node) => [...node.children].findIndex((tab) => tab.getAttribute('aria-selected') === 'true') };
    for (const { node, props } of [...parts.values()].flatMap((each) => [...each.values()])) {
        if (props.kind === 'slider' && props.choices.length === 1) continue; // the state keeps where it was before
        const place = index[props.kind]?.(node);
        const shown = props.kind === 'check' ? node.querySelector('input').checked : place === undefined ? state[props.key] : props.choices[place]?.value;
        if (JSON.stringify(shown) !== JSON.stringify(state[props.key])) odd.push(`${props.kind} ${props.key} shows ${JSON.stringify(shown)}, not ${JSON.stringify(state[props.key])}`);
    }
    return { state: { ...state }, headline: root.querySelector('.rx-headline').textContent.split(/\\s+/).join(' ').trim(), odd };
}"""

_TARGET = """([selector, some, one, shares]) => {
    const kinds = new Map();
    for (const node of document.querySelectorAll(`.rx-page :is(${selector})`)) {
        if (!node.checkVisibility({ visibilityProperty: true }) || node.disabled) continue;
        const kind = `${node.tagName} ${node.getAttribute('class') ?? ''} ${node.type ?? ''}`;
        kinds.set(kind, [...(kinds.get(kind) ?? []), node]);
    }
    const kind = [...kinds.keys()][Math.floor(some * kinds.size)];
    if (kind === undefined) return null;
    const nodes = kinds.get(kind), node = nodes[Math.floor(one * nodes.length)];
    node.scrollIntoView({ block: 'nearest' });
    window.monkeys = node;
    const { left, top, right, bottom } = node.getBoundingClientRect();
    const points = shares.map(([x, y]) => [left + x * (right - left), top + y * (bottom - top)]);
    if (!document.elementFromPoint(...points[0])?.closest('.rx-page')) return null;
    return { what: `${kind} "${(node.getAttribute('aria-label') ?? node.textContent ?? '').slice(0, 40)}"`, points };
}"""

_FOCUS = "() => { window.monkeys.focus(); return document.activeElement === window.monkeys; }"

_CHOOSE = """(share) => {
    const select = window.monkeys, free = [...select.options].filter((option) => !option.disabled);
    const option = free[Math.floor(share * free.length)];
    select.selectedIndex = [...select.options].indexOf(option);
    select.dispatchEvent(new Event('change', { bubbles: true }));
    return option?.textContent ?? 'nothing';
}"""

_ASTRAY = """() => {
    const { content } = window.jupyterapp.shell.currentWidget, dialog = document.querySelector('.jp-Dialog');
    if (dialog) return `it asks ${dialog.textContent}`;
    const same = content.widgets.length === 1 && content.activeCell.model.type === 'code' && document.querySelector('.rx-page') !== null;
    return same ? '' : 'its cells are others';
}"""


def main() -> None:
    """Play with the explorers that are named, or with all, one after the other."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--actions", type=int, default=500, help="for each explorer")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    failed = False
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder, "lab")) as server,
        open_browser() as context,
    ):
        for name in given.names or NAMES:
            notebook = NotebookPage(server, context, server.write_notebook([cell(name)]))
            notebook.run_all()
            try:
                print(play(notebook, name, given.actions, given.seed), flush=True)
            except AssertionError as problem:
                failed = True
                print(problem, flush=True)
            notebook.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
