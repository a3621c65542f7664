"""Every notebook in a real JupyterLab, used as a person would use it."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from resnet_explore.inputs.images import sample_photos
from tests.browser import pictures

STEP, CANVAS, DEPTH = ".rx-step:visible", ".rx-canvas:visible", ".rx-shared-step"
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


def test_start_shows_the_finding_after_one_run(open_notebook):
    notebook = open_notebook("notebooks/00_start.ipynb")
    run(notebook)
    assert re.search(
        r"56 layers: the plain network gets \d\d % .* the residual one under 0.1 %", title(notebook)
    )
    before, first = notebook.digest(CANVAS), title(notebook)
    notebook.press(DEPTH, "ArrowRight")
    notebook.wait_changed(CANVAS, before)
    assert title(notebook) != first
    assert title(notebook).startswith("110 layers")
    notebook.locator(CANVAS).scroll_into_view_if_needed()
    notebook.screenshot("00_start")
    links = notebook.page.locator(".jp-MarkdownOutput a[href*='.ipynb']").all_inner_texts()
    assert [link[:2] for link in links] == ["01", "02", "03", "04", "05"]
    notebook.assert_clean()


def test_train_stop_and_continue(open_notebook):
    notebook = open_notebook("notebooks/01_degradation.ipynb")
    run(notebook)
    assert "Recorded runs" in caption(notebook)
    notebook.execute(
        "import dataclasses; explorer.sweep = dataclasses.replace(explorer.sweep, depths=(8, 26), epochs=3)"
    )
    before = notebook.digest(CANVAS)
    press(notebook, "Train")
    notebook.page.get_by_text("Your own run", exact=False).wait_for(timeout=60_000)
    notebook.wait_changed(CANVAS, before)
    press(notebook, "Stop")
    notebook.page.get_by_text("Train goes on from the last finished epochs").wait_for(timeout=60_000)
    done = int(notebook.execute("print(len(explorer.table))"))
    assert 0 < done < 12
    press(notebook, "Train")
    notebook.page.get_by_text("All 4 networks were trained here").wait_for(timeout=240_000)
    assert int(notebook.execute("print(len(explorer.table))")) == 12
    shown = notebook.digest(CANVAS)
    notebook.press(DEPTH, "Home")
    notebook.wait_changed(CANVAS, shown)
    assert title(notebook).startswith("8 layers")
    notebook.press(DEPTH, "End")
    assert title(notebook).startswith("26 layers: the plain network gets")
    notebook.locator(CANVAS).scroll_into_view_if_needed()
    notebook.screenshot("01_degradation-trained")
    notebook.assert_clean()


def test_views_and_data_of_degradation(open_notebook, tmp_path):
    notebook = open_notebook("notebooks/01_degradation.ipynb")
    run(notebook)
    pictures.assert_up_to_date("degradation", notebook)
    page = notebook.page

    def below_the_tabs():
        row, *others = (
            page.locator(name).bounding_box() for name in (".rx-tabs", DEPTH, "button:has-text('Train')")
        )
        return [(round(box["x"] - row["x"]), round(box["y"] - row["y"])) for box in others]

    places = below_the_tabs()
    errors = page.get_by_role("button", name="Errors", exact=True)
    errors.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "Gradients", "not the next cell"
    page.keyboard.press("Enter")
    page.locator(".rx-title .rx-now", has_text="train mode, before the first step.").wait_for()
    before = notebook.digest(CANVAS)
    notebook.press(STEP, "ArrowRight")
    notebook.wait_changed(CANVAS, before)
    assert re.fullmatch(r"56 layers, first block.* train mode, step 1\.", title(notebook))
    assert below_the_tabs() == places, "nothing jumps"
    notebook.press(DEPTH, "ArrowRight")
    page.locator(".rx-title .rx-now", has_text=re.compile(r"^110 layers.* step 1\.")).wait_for(timeout=30_000)
    notebook.screenshot("01_degradation-gradients")
    page.get_by_role("button", name="Responses", exact=True).press("Enter")
    page.locator(".rx-title .rx-now", has_text="the end of epoch 8. Plain layers answer with").wait_for(
        timeout=30_000
    )
    page.get_by_role("button", name="Beside the paper", exact=True).press("Enter")
    theirs = page.get_by_role("table").filter(has=page.get_by_text("He et al. 2015, Table 6"))
    theirs.wait_for()
    assert theirs.get_by_role("row").count() == 7
    page.get_by_role("button", name="Errors", exact=True).press("Enter")
    data = page.get_by_label("Data", exact=True)
    data.select_option("CIFAR-10 (32×32)")
    page.locator(".rx-caption .rx-now", has_text="JPEG-recompressed copy of CIFAR-10").wait_for(
        timeout=30_000
    )
    page.get_by_text("are trained again by").wait_for()
    assert below_the_tabs() == places, "nor for other data"
    kept = notebook.digest(CANVAS)
    data.select_option("Your folder of images ...")
    (tmp_path / "train" / "only").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "only" / "a.png")
    field = page.get_by_label("Folder", exact=True)
    field.fill(str(tmp_path))
    field.press("Enter")
    page.get_by_role("alert").filter(has_text="images of one class only").wait_for(timeout=20_000)
    assert notebook.digest(CANVAS) == kept
    data.select_option("Imagenette (photos)")
    only = page.locator(".rx-shared-slider .rx-ticks span", has_text="18")
    only.wait_for(timeout=30_000)
    label, slider = (place.bounding_box() for place in (only, page.locator(".rx-shared-slider input")))
    thumb = slider["x"] + 8  # a native thumb is 16 px wide, and at the left where there is one step
    assert abs(label["x"] + label["width"] / 2 - thumb) < 3
    notebook.screenshot("01_degradation-one-depth")
    assert_fits_dark_and_narrow(notebook, "01_degradation")
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
