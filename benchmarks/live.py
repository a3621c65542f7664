"""From a move on the live page to both networks' answers drawn, in headless Chromium on one core.

    python -m benchmarks.live [moves]

The page is served as anybody would, from this machine. A move of the dial runs the residual network alone, as
the plain one has no skips; a block that goes or comes runs both. Timed in the page: from the event until the
animation frame that has the new answers in place has been painted. What networks gave lately is forgotten
before each move, so that every one is computed.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.scrub import print_times
from resnet_explore.pages.live.runtime import fetch_runtime
from resnet_explore.pages.live.write import write_live
from tests.browser.lab import open_browser
from tests.browser.served import served

# Calls the move and waits until a view that was made after it is painted.
TIME = """async (move) => {
    const page = document.querySelector('.rx-page').explorer;
    while (page.model.answering) await new Promise((done) => setTimeout(done, 5));
    page.model.given.clear();
    const { kind, depth, input } = page.state, found = await page.model.inputs.find(input);
    await page.model.run(page.model.networks[`${kind}-${depth}`], found, { deleted: [], cut: [], skip: 1 });
    await new Promise((done) => setTimeout(done, 50));
    const start = performance.now(), count = page.count;
    if (move === 'dial') {
        const dial = document.querySelector('.rx-sliders input');
        dial.value = String((Number(dial.value) + 7) % 31);
        dial.dispatchEvent(new Event('input'));
    } else page.set({ deleted: page.state.deleted.length ? [] : [5] });
    const { port1, port2 } = new MessageChannel(); // a timer would wait 4 ms
    while (page.count === count) {
        await new Promise((done) => {
            port1.onmessage = done;
            port2.postMessage(0);
        });
    }
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
}"""


def main(moves: int = 60) -> None:
    """Write the page, measure, print the table."""
    if hasattr(os, "sched_setaffinity"):  # the browser that is started inherits it
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        write_live(Path(folder), fetch_runtime())
        with served(Path(folder)) as address:
            measure(address, moves)


def measure(address: str, moves: int) -> None:
    """Time moves with each pair of twins."""
    rows: dict[str, list[float]] = {}
    with open_browser() as context:
        page = context.new_page()
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.goto(address)
        page.locator(".rx-outcome").wait_for(timeout=60_000)
        for kind, depth, name in (
            ("digits", 20, "digits, 20 layers, 8×8"),
            ("digits", 56, "digits, 56 layers, 8×8"),
            ("cifar10", 20, "CIFAR-10, 20 layers, 32×32"),
        ):
            page.get_by_role("tab", name="Digits" if kind == "digits" else "Photos").click()
            page.evaluate(f"document.querySelector('.rx-page').explorer.set({{ depth: {depth} }})")
            page.wait_for_timeout(3000)
            for move in ("dial", "block"):
                times = [float(page.evaluate(TIME, move)) for _ in range(moves + 5)]
                rows[f"{name}: {move}"] = times[5:]
    print_times(rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
