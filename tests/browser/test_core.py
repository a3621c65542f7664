"""What holds for every explorer's page, tried on the smallest one in a real JupyterLab."""

import json

import pytest

from resnet_explore.widgets.architecture import captions

CELL = """
import resnet_explore as rx
explorer = rx.ArchitectureExplorer("cifar_plain8", "cifar_resnet8")
explorer
"""
_CELLS = "window.jupyterapp.shell.currentWidget.content.widgets.length"
_ACTIVE = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"


def opened(notebook):
    card = notebook.page.locator(".rx-page").first
    card.locator(".rx-box").first.wait_for(timeout=60_000)
    return card


def test_keys_stay_with_the_control_that_has_the_focus(open_notebook):
    """JupyterLab's `d d` deletes the cell, `b` and `m` change it, arrows leave it."""
    notebook = open_notebook([CELL, "1 + 1"])
    notebook.run_all()
    card, page = opened(notebook), notebook.page
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0")
    cells = page.evaluate(_CELLS)
    names, pressed = [], set()

    def press_keys(control):
        """Once on what stands there in each view."""
        if control.evaluate(_IDENTITY) in pressed:
            return
        control.focus()
        pressed.add(control.evaluate(_IDENTITY))
        names.append(control.evaluate("(node) => node.tagName"))
        arrows = () if control.get_attribute("role") == "tab" else ("ArrowDown", "ArrowUp")
        for key in ("d", "d", "b", "m", "j", "k", *arrows):
            page.keyboard.press(key)
        assert page.evaluate(_CELLS) == cells, f"after keys on {names[-1]}"
        assert page.evaluate(_ACTIVE) == 0, f"after keys on {names[-1]}"

    press_keys(card.locator(".rx-box").first)
    for view in ("networks", "depth", "family"):
        notebook.execute(f"explorer.view = '{view}'")
        card.locator(f"[role=tab][aria-selected=true]:has-text('{_TABS[view]}')").wait_for(timeout=10_000)
        controls = card.locator("select, button, input, summary, div[tabindex='0']")
        for control in controls.all():
            if control.is_visible():
                press_keys(control)
    assert {"SELECT", "BUTTON", "INPUT", "SUMMARY", "g"} <= set(names)
    notebook.assert_clean()


_IDENTITY = "(node) => node.tagName + node.className + (node.ariaLabel ?? node.title) + node.textContent"
_TABS = {"networks": "Two networks", "depth": "Depth", "family": "The family"}


def test_what_a_person_chooses_reaches_python_and_the_way_back(rerun, tmp_path):
    notebook, card, page = rerun, opened(rerun), rerun.page
    card.get_by_label("Below").select_option("cifar_resnet14")
    headline = card.locator(".rx-headline")
    headline.filter(has_text="cifar_resnet14 is 1.8×").wait_for(timeout=20_000)
    assert notebook.execute("print(explorer.right, explorer.code)") == (
        "cifar_resnet14 import resnet_explore as rx\n\nrx.ArchitectureExplorer(left='cifar_plain8', right='cifar_resnet14')"
    )
    notebook.execute("explorer.left = 'cifar_plain14'")
    headline.filter(has_text="the same 14 layers").wait_for(timeout=20_000)
    assert card.get_by_label("Above").input_value() == "cifar_plain14"
    notebook.execute("explorer.set_state({'left': 'cifar_plain15'})")
    card.locator(".rx-problem", has_text="the nearest are 14 and 20").wait_for(timeout=10_000)
    assert card.get_by_label("Above").input_value() == "cifar_plain14", "what can't be shown is taken back"
    card.get_by_text("Conditions").click()
    assert captions.DRAWING_CONDITIONS[0] in card.locator(".rx-conditions").inner_text()
    for name, start in (("PNG", b"\x89PNG"), ("CSV", b"# program: resnet_explore")):
        card.get_by_text("Save", exact=True).click()
        with page.expect_download() as download:
            card.get_by_role("button", name=name).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.read_bytes().startswith(start)
        assert path.stem == "architecture_explorer"
    notebook.assert_clean()


def test_words_explain_themselves_to_pointer_and_keys(rerun):
    term = opened(rerun).locator(".rx-term").first
    tip = "(node) => getComputedStyle(node, '::after').display"
    assert term.evaluate(tip) == "none"
    term.focus()
    assert term.evaluate(tip) == "block"
    assert captions.GLOSSARY[term.text_content()] in term.get_attribute("aria-label")


def test_a_restarted_kernel_is_said_and_the_cell_brings_it_back(open_notebook):
    notebook = open_notebook(["import resnet_explore as rx\nrx.DegradationExplorer()"])  # without torch
    notebook.run_all()
    card, page = notebook.page.locator(".rx-page"), notebook.page
    card.locator(".rx-plot").first.wait_for()
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    card.locator(".rx-problem", has_text="run this cell again").wait_for(timeout=30_000)
    notebook.run_all()
    card.locator(".rx-plot").first.wait_for()
    assert page.locator(".rx-problem:visible").count() == 0


def test_late_and_doubled_messages_change_nothing(rerun):
    notebook, card = rerun, opened(rerun)
    notebook.execute(
        "old = dict(explorer._view); explorer.update(left='cifar_plain14', right='cifar_resnet14')"
    )
    headline = card.locator(".rx-headline", has_text="the same 14 layers")
    headline.wait_for(timeout=20_000)
    notebook.execute("explorer._view = old")
    notebook.page.wait_for_timeout(300)
    assert headline.is_visible()
    notebook.execute("explorer._view = {**old, 'count': 10**6, 'schema': 99}")
    card.locator(".rx-problem", has_text="reload the page").wait_for(timeout=10_000)


@pytest.mark.parametrize(("theme", "width"), [("dark", 1280), ("light", 400)])
def test_contrast_and_width(run_cell, theme, width):
    notebook = run_cell(CELL, theme, width)
    found = json.loads(opened(notebook).evaluate(_LOOKS))
    assert found["overflow"] <= 1, "nothing is cut"
    assert found["contrast"] >= 4.5, found["worst"]
    notebook.screenshot(f"core-{theme}-{width}")


# The least contrast of a text with its ground, and how far anything sticks out of the page.
_LOOKS = """(card) => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgb = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const color = rgb(getComputedStyle(at).backgroundColor);
            if (color[3] === 255) return color;
        }
        return [255, 255, 255, 255];
    };
    let contrast = 21, worst = '', overflow = 0;
    const right = card.getBoundingClientRect().right;
    for (const node of card.querySelectorAll('*')) {
        const box = node.getBoundingClientRect();
        if (!box.width || getComputedStyle(node).visibility === 'hidden') continue;
        if (!node.closest('.rx-across, .rx-scroll, .rx-inside, .rx-live, svg')) overflow = Math.max(overflow, box.right - right);
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || node.closest('[aria-disabled=true], option')) continue;
        const style = getComputedStyle(node);
        const [a, b] = [light(rgb(node.closest('svg') ? style.fill : style.color)), light(ground(node))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < contrast) [contrast, worst] = [ratio, `${ratio.toFixed(2)}: ${node.textContent.slice(0, 40)}`];
    }
    return JSON.stringify({ contrast, worst, overflow });
}"""
