"""Every notebook in a real JupyterLab, used as a person would use it."""

import io
import re

import numpy as np
import pytest

from resnet_explore.inputs.images import sample_photos
from tests.browser import pictures

STEP, CANVAS = ".rx-step:visible", ".rx-canvas:visible"
# Of the saliency notebook's explorers the first one: another lies below it.
FIRST = '.jp-CodeCell:has-text("rx.SaliencyExplorer()")'
HEAT, HEAT_CARD = f"{FIRST} .rx-heat", f"{FIRST} .rx-card:has(.rx-heat)"


def title(notebook, card=""):
    return notebook.locator(f"{card} .rx-title .rx-now:visible").inner_text()


def caption(notebook, card=""):
    return notebook.locator(f"{card} .rx-caption .rx-now:visible").inner_text()


def run(notebook):
    """Run all cells, go back to the explorer and wait until its picture is there."""
    notebook.run_all()
    notebook.show_first_code()
    notebook.page.wait_for_function("document.querySelector('.rx-canvas')?.dataset.drawn > 0", timeout=60_000)


def assert_fits_dark_and_narrow(notebook, name):
    """Leave the notebook in the dark theme and 620 pixels wide; all cards must keep to that."""
    notebook.dress("dark")
    notebook.page.set_viewport_size({"width": 620, "height": 900})
    notebook.page.wait_for_function(
        """() => [...document.querySelectorAll('.rx-card')].every((card) => card.scrollWidth <= card.clientWidth + 1
            && card.getBoundingClientRect().right <= innerWidth)"""
    )
    notebook.show_first_code()
    notebook.screenshot(f"{name}-dark-narrow")


def press(notebook, name):
    # By what is written on it: an icon's character is part of the accessible name.
    notebook.page.locator("button.jupyter-button", has_text=re.compile(rf"^\s*{name}\s*$")).first.click()


def choose(notebook, menu, option):
    notebook.page.get_by_label(menu, exact=True).first.select_option(label=option)


def test_gradient_switches_change_the_picture_and_say_so(open_notebook):
    notebook = open_notebook("notebooks/02_gradient_flow.ipynb")
    run(notebook)
    pictures.assert_up_to_date("gradient_flow", notebook)
    first, page = f"{CANVAS} >> nth=0", notebook.page
    now, said = page.locator(".rx-title .rx-now").first, page.locator(".rx-caption .rx-now").first
    assert "explodes; residual" in now.inner_text()
    assert "step 0; 64 training images of digits" in said.inner_text()
    page.locator(first).scroll_into_view_if_needed()
    notebook.screenshot("02_gradient_flow")
    for menu, option, says in (
        ("Mode", "eval mode", "eval mode; batch norm"),
        ("Mode", "train mode", "train mode; batch norm"),
        ("Norm", "none", "train mode; no norm"),
        ("Norm", "group norm", "train mode; group norm"),
    ):
        before = notebook.digest(first)
        choose(notebook, menu, option)
        page.locator(".rx-caption .rx-now", has_text=says).first.wait_for(timeout=60_000)
        notebook.wait_changed(first, before)
    choose(notebook, "Norm", "batch norm")
    page.locator(".rx-caption .rx-now", has_text="train mode; batch norm").first.wait_for(timeout=60_000)
    press(notebook, "Take 10 SGD steps")
    page.locator(".rx-caption .rx-now", has_text="step 10 of SGD").first.wait_for(timeout=60_000)
    notebook.press(f"{STEP} >> nth=0", "End")
    page.locator(".rx-title .rx-now", has_text=re.compile("^110 layers")).first.wait_for(timeout=60_000)
    explorer, canvas = (page.locator(place).first.element_handle() for place in (".rx-views", CANVAS))
    height = explorer.bounding_box()["height"]
    page.get_by_role("button", name="Training", exact=True).press("Enter")
    page.locator(".rx-caption .rx-now", has_text="Recorded: scikit-learn").first.wait_for(timeout=60_000)
    assert explorer.bounding_box()["height"] == height, "what is below stays where it is"
    assert canvas.is_visible(), "nothing was built anew"
    notebook.press(f"{STEP} >> nth=0", "ArrowRight")
    page.locator(".rx-title .rx-now", has_text="train mode, step 1.").first.wait_for(timeout=60_000)
    notebook.screenshot("02_gradient_flow-training")
    page.get_by_role("button", name="Jacobians", exact=True).press("ArrowRight")
    page.keyboard.press("Enter")
    choose(notebook, "Claim", "A block adds 1/√l of its skip")
    page.locator(".rx-title .rx-now", has_text="where the paper says −0.5").first.wait_for(timeout=120_000)
    page.locator(".rx-caption .rx-now", has_text="seeds 0 to 4 of weights").first.wait_for(timeout=120_000)
    notebook.screenshot("02_gradient_flow-claims")
    page.get_by_role("button", name="Guess first", exact=True).press("Enter")
    page.get_by_label("explodes towards the image", exact=False).check()
    press(notebook, "Measure it")
    page.get_by_text("Right: it explodes.").wait_for(timeout=60_000)
    notebook.screenshot("02_gradient_flow-guess")
    assert_fits_dark_and_narrow(notebook, "02_gradient_flow")
    notebook.assert_clean()


@pytest.fixture
def photo():
    buffer = io.BytesIO()
    sample_photos()["rocket"].load().resize((300, 200)).save(buffer, "JPEG")
    return {"name": "launch.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}


def test_an_uploaded_photo_is_explained_at_every_block(open_notebook, photo):
    notebook = open_notebook("notebooks/03_saliency.ipynb")
    run(notebook)
    pictures.assert_up_to_date("saliency", notebook)
    page = notebook.page
    before, block = notebook.digest(HEAT), f"{FIRST} .rx-heat-step"
    upload = notebook.locator(f"{FIRST} .rx-pick input")
    upload.set_input_files(photo)
    notebook.wait_changed(HEAT, before)
    assert "your photo launch.jpg" in caption(notebook, HEAT_CARD)
    assert re.search(r"Residual-\d+ says", title(notebook, HEAT_CARD))
    last = int(notebook.locator(block).get_attribute("max"))
    seen = set()
    for _ in range(last + 1):
        notebook.press(block, "ArrowLeft")
        seen.add(notebook.digest(HEAT))
    assert len(seen) == last, "moves with a picture each, and one against the end"
    half = notebook.digest(HEAT)
    notebook.press(f"{FIRST} .rx-heat-opacity", "Home")
    notebook.wait_changed(HEAT, half)
    left, right = np.array_split(notebook.pixels(HEAT), 2, axis=1)
    assert np.abs(left[:, :480].astype(int) - right[:, -512:][:, :480]).mean() < 3, "the photo alone, twice"
    notebook.press(f"{FIRST} .rx-heat-opacity", "End")
    notebook.press(block, "End")
    page.locator(f"{FIRST} .rx-option", has_text="%").nth(1).click()
    asked = notebook.locator(f"{FIRST} .rx-option[aria-pressed=true] .rx-word").inner_text()
    headings = page.locator(f"{FIRST} .rx-headings span", has_text=f"asked about {asked}")
    headings.nth(1).wait_for(timeout=20_000)
    page.locator(f"{FIRST} .rx-verdict", has_text="Deletion").wait_for(timeout=90_000)
    assert page.locator(f"{FIRST} .rx-thumb").count() == 2
    notebook.screenshot("03_saliency")
    kept = notebook.digest(HEAT)
    text = {"name": "page.png", "mimeType": "image/png", "buffer": b"<!doctype html><p>hello"}
    upload.set_input_files(text)
    page.locator(f"{FIRST} .rx-status.rx-bad").wait_for(timeout=20_000)
    assert "page.png" not in caption(notebook, HEAT_CARD)
    assert notebook.digest(HEAT) == kept
    assert_fits_dark_and_narrow(notebook, "03_saliency")
    notebook.assert_clean()
