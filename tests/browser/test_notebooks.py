"""Every notebook in a real JupyterLab, used as a person would use it."""

import io
import re

import numpy as np
import pytest

from resnet_explore.inputs.images import sample_photos
from tests.browser import pictures
from tests.browser.stills import NO_STILLS

# A verdict on a photo takes ten seconds of a processor: one is begun, on the photo that is uploaded.
HOLD_VERDICTS = """
import threading
from resnet_explore.widgets.saliency.jobs import Judge
wanted, run = threading.Event(), Judge.run
def run_when_wanted(job, task):
    global judging
    while not wanted.wait(0.1):
        task.check()
    judging = task
    return run(job, task)
Judge.run = run_when_wanted
"""
# Of the saliency notebook's explorers the first one: another lies below it.
FIRST = '.jp-CodeCell:has-text("rx.SaliencyExplorer(guess=True)")'
HEAT = f"{FIRST} canvas.rx-heat >> nth=1"


def assert_fits_dark_and_narrow(notebook, name):
    """Leave the notebook in the dark theme and 620 pixels wide; all cards must keep to that."""
    notebook.dress("dark")
    notebook.page.set_viewport_size({"width": 620, "height": 900})
    notebook.page.wait_for_function(
        """() => [...document.querySelectorAll('.rx-film, .rx-page')].every((card) => card.scrollWidth <= card.clientWidth + 1
            && card.getBoundingClientRect().right <= innerWidth)"""
    )
    notebook.show_first_code()
    notebook.screenshot(f"{name}-dark-narrow")


@pytest.fixture
def photo():
    buffer = io.BytesIO()
    sample_photos()["rocket"].load().resize((300, 200)).save(buffer, "JPEG")
    return {"name": "launch.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}


def test_an_uploaded_photo_is_explained_at_every_block(usual_lab, open_notebook, photo):
    notebook = open_notebook("notebooks/03_saliency.ipynb")
    notebook.execute(HOLD_VERDICTS)
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.show_first_code()
    notebook.skip_question()
    page = notebook.page
    drawn = "document.querySelector('.rx-heat-grid')?.dataset.drawn > 0"
    page.wait_for_function(drawn, timeout=60_000)
    pictures.assert_up_to_date("saliency", notebook)
    explorer = page.locator(f"{FIRST} .rx-page")
    block, headline = explorer.get_by_role("slider", name="Block"), explorer.locator(".rx-headline")
    assert block.get_attribute("aria-valuetext") == "6, layer3.1", (
        "8x8 cells, where the last two blocks have 4x4"
    )
    before = notebook.digest(HEAT)
    explorer.locator(".rx-pick input").set_input_files(photo)
    notebook.wait_changed(HEAT, before, timeout=30)
    explorer.locator(".rx-conditions", has_text="your photo launch.jpg").wait_for(state="attached")
    assert re.search(r"Residual-18.+\d\s%", headline.text_content())
    place = headline.bounding_box()
    assert place["height"] > 15, "what is new is laid out, too"
    seen = set()
    block.press("End")
    for _ in range(8):
        seen.add(notebook.digest(HEAT))
        block.press("ArrowLeft")
    assert len(seen) == 8, "each block has its picture"
    assert notebook.digest(HEAT) in seen, "and the last key went against the end"
    explorer.locator(".rx-more-controls > summary").click()
    opacity = explorer.get_by_role("slider", name="Opacity")
    opacity.press("Home")
    page.wait_for_timeout(50)
    left, right = (notebook.pixels(f"{FIRST} canvas.rx-heat >> nth={k}").astype(int) for k in (0, 1))
    assert np.abs(left - right).mean() < 1, "the photo alone, twice"
    opacity.press("End")
    opacity.press("Escape")
    block.press("End")
    option = explorer.locator(".rx-option").nth(1)
    asked = option.locator(".rx-word").text_content()
    option.click()
    explorer.locator(".rx-heat-heading", has_text=f"asked about {asked}").nth(1).wait_for(timeout=20_000)
    assert explorer.get_by_label("Ask about").evaluate("(e) => e.selectedOptions[0].textContent") == asked
    notebook.execute("wanted.set()")
    explorer.locator(".rx-verdict .rx-chance").first.wait_for(timeout=90_000)
    notebook.execute("wanted.clear(); judging.cancel()")
    assert explorer.locator(".rx-thumb").count() == 8
    assert headline.bounding_box() == place, "nothing has moved"
    notebook.screenshot("03_saliency")
    kept = notebook.digest(HEAT)
    text = {"name": "page.png", "mimeType": "image/png", "buffer": b"<!doctype html><p>hello"}
    explorer.locator(".rx-pick input").set_input_files(text)
    explorer.locator(".rx-status.rx-bad").wait_for(timeout=20_000)
    assert headline.bounding_box()["y"] == place["y"]
    assert notebook.digest(HEAT) == kept
    assert_fits_dark_and_narrow(notebook, "03_saliency")
    notebook.assert_clean()


def test_views_of_saliency_and_what_they_hold(run_cell):
    notebook = run_cell(
        f"{NO_STILLS}import resnet_explore as rx\nexplorer = rx.SaliencyExplorer(networks='cifar10', depth=8)\nexplorer"
    )
    page = notebook.page
    explorer = page.locator(".rx-page")
    depth = explorer.get_by_role("slider", name="Depth")
    block = explorer.get_by_role("slider", name="Block")
    page.wait_for_function("document.querySelector('.rx-heat-grid')?.dataset.drawn > 0", timeout=60_000)
    notebook.execute("explorer.act('halt', None, ()); explorer.wait(100)", timeout=120)  # a verdict
    sent = notebook.execute("print(explorer._count)")
    depth.press("ArrowRight")
    depth.press("ArrowRight")
    assert block.get_attribute("aria-valuetext") == "9, layer3.2", "the last block stays the last one"
    assert explorer.locator(".rx-headline").inner_text().startswith("Plain-20 says ")
    notebook.wait_printed("(explorer.depth, explorer.block)", "(20, 9)")
    assert notebook.execute("print(explorer._count)") == sent, "the page moves without asking Python"
    explorer.get_by_role("tab", name="Skip and branch").click()
    explorer.locator(".rx-headline", has_text="map came by the skip").wait_for(timeout=30_000)
    assert explorer.locator("canvas.rx-heat").count() == 3
    explorer.get_by_role("tab", name="Random weights").click()
    explorer.get_by_role("slider", name="Random down to").wait_for(timeout=60_000)
    explorer.get_by_role("slider", name="Random down to").press("End")
    explorer.locator(".rx-headline", has_text="Random down to conv1").wait_for()
    with page.expect_download() as started:
        explorer.locator(".rx-save summary").click()
        explorer.get_by_role("button", name=re.compile("^NPZ")).click()
    with np.load(started.value.path()) as saved:
        assert saved["20/conv1/layer3.2/Residual-20"].shape == (8, 8)
    notebook.assert_clean()
