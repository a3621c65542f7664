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
HEAT = f"{FIRST} canvas.rx-heat >> nth=1"


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
        """() => [...document.querySelectorAll('.rx-card, .rx-page')].every((card) => card.scrollWidth <= card.clientWidth + 1
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
    notebook.run_all()
    notebook.show_first_code()
    page = notebook.page
    drawn = "document.querySelector('.rx-heat-grid')?.dataset.drawn > 0"
    page.wait_for_function(drawn, timeout=60_000)
    pictures.assert_up_to_date("saliency", notebook)
    explorer = page.locator(f"{FIRST} .rx-page")
    block, headline = explorer.get_by_role("slider", name="Block"), explorer.locator(".rx-headline")
    assert block.get_attribute("aria-valuetext") == "3.1", "8x8 cells, where the last two blocks have 4x4"
    before = notebook.digest(HEAT)
    explorer.locator(".rx-pick input").set_input_files(photo)
    notebook.wait_changed(HEAT, before, timeout=30)
    explorer.locator(".rx-conditions", has_text="your photo launch.jpg").wait_for(state="attached")
    assert re.search(r"Residual-18 says .+ \(", headline.inner_text())
    place = headline.bounding_box()
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
    asked = option.locator(".rx-word").inner_text()
    option.click()
    explorer.locator(".rx-heat-heading", has_text=f"asked about {asked}").nth(1).wait_for(timeout=20_000)
    assert explorer.get_by_label("Ask about").evaluate("(e) => e.selectedOptions[0].textContent") == asked
    explorer.locator(".rx-verdict .rx-chance").first.wait_for(timeout=90_000)
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


def test_views_of_saliency_and_what_they_hold(open_notebook):
    notebook = open_notebook(
        ["import resnet_explore as rx\nexplorer = rx.SaliencyExplorer(networks='cifar10', depth=8)\nexplorer"]
    )
    notebook.run_all()
    page = notebook.page
    explorer = page.locator(".rx-page")
    depth = explorer.get_by_role("slider", name="Depth")
    block = explorer.get_by_role("slider", name="Block")
    page.wait_for_function("document.querySelector('.rx-heat-grid')?.dataset.drawn > 0", timeout=60_000)
    notebook.execute("explorer._runner.stop(); explorer.update(); explorer.wait(100)", timeout=120)
    sent = len(notebook.sent)
    depth.press("End")
    assert block.get_attribute("aria-valuetext") == "3.8", "the last block stays the last one"
    assert explorer.locator(".rx-headline").inner_text().startswith("Plain-56 says ")
    assert len(notebook.sent) == sent, "the page moves without asking Python"
    page.wait_for_timeout(600)
    assert notebook.execute("print(explorer.depth, explorer.block)") == "56 27"
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
        assert saved["56/conv1/layer3.8/Residual-56"].shape == (8, 8)
    notebook.assert_clean()
