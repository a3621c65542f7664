"""The filmstrip in a real JupyterLab: keys, play, opacity, names, new pictures, narrow windows."""

import pytest

CELL = """
import io
import numpy as np
from PIL import Image
from resnet_explore.widgets.filmstrip import Filmstrip

def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()

def picture(k, tint=0):
    pixels = np.full((300, 900, 3), 250, np.uint8)
    pixels[:, : 40 + 80 * k] = (tint, 100, 180)
    return png(pixels)

heat = [png(np.tile(np.uint8([[[255, 0, 0, 40 * k]]]), (8, 24, 1))) for k in range(6)]
strip = Filmstrip(
    frames=[picture(k) for k in range(6)], overlays=heat, show_opacity=True, opacity=0.5, scale=1.5,
    titles=[f"Finding {k}" for k in range(6)], captions=["digits, seed 0, train mode"],
    headings=["Plain", "Residual"], name="Depth", ticks=[str(8 + 12 * k) for k in range(6)], interval_ms=120,
)
strip
"""
STEP, CANVAS, OPACITY = ".rx-step", ".rx-canvas", ".rx-opacity"


@pytest.fixture
def strip(open_notebook):
    def opened(**options):
        notebook = open_notebook([CELL], **options)
        notebook.run_all()
        notebook.page.wait_for_function("document.querySelector('.rx-canvas')?.dataset.drawn > 0")
        return notebook

    return opened


def index(notebook):
    return int(notebook.locator(".rx-film").get_attribute("data-index"))


def test_keys_move_the_picture_and_python_hears_of_it(strip):
    notebook = strip()
    before = notebook.digest(CANVAS)
    notebook.press(STEP, "ArrowRight")
    assert index(notebook) == 1
    after = notebook.digest(CANVAS)
    assert after != before
    for key, there in (("End", 5), ("ArrowRight", 5), ("Home", 0), ("ArrowLeft", 0), ("ArrowUp", 1)):
        notebook.press(STEP, key)
        assert index(notebook) == there
    assert notebook.digest(CANVAS) == after
    notebook.page.wait_for_timeout(500)
    assert notebook.execute("print(strip.index)") == "1"
    notebook.execute("strip.index = 4")
    notebook.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '4'")
    assert notebook.locator(".rx-title .rx-now").inner_text() == "Finding 4"
    notebook.assert_clean()


def test_everything_has_a_name(strip):
    notebook = strip()
    page = notebook.page
    slider = page.get_by_role("slider", name="Depth")
    assert slider.get_attribute("aria-valuetext") == "8"
    assert page.get_by_role("slider", name="Opacity").get_attribute("aria-valuetext") == "50 %"
    assert page.get_by_role("button", name="Play", exact=True).count() == 1
    picture = page.get_by_role("img", name="Finding 0. digits, seed 0, train mode")
    assert picture.count() == 1
    notebook.press(STEP, "ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "20"
    assert page.get_by_role("img", name="Finding 1. digits, seed 0, train mode").count() == 1


def test_opacity_changes_pixels_and_asks_nobody(strip):
    notebook = strip()
    notebook.press(STEP, "End")
    notebook.page.wait_for_timeout(500)
    sent = len(notebook.sent)
    shades = set()
    for key in ("Home", "End", "ArrowLeft"):
        notebook.press(OPACITY, key)
        shades.add(notebook.digest(CANVAS))
    assert len(shades) == 3
    notebook.press(OPACITY, "Home")
    assert notebook.pixels(CANVAS)[150, 20].tolist() == [0, 100, 180, 255]
    notebook.page.wait_for_timeout(300)
    assert len(notebook.sent) == sent


def test_play_runs_to_the_end_and_a_hand_on_the_slider_stops_it(strip):
    notebook = strip()
    notebook.locator(".rx-play").press("Enter")
    notebook.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '5'")
    notebook.page.get_by_role("button", name="Play", exact=True).wait_for()
    notebook.locator(".rx-play").press("Enter")
    notebook.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '2'")
    notebook.press(STEP, "ArrowLeft")
    stopped = index(notebook)
    notebook.page.wait_for_timeout(400)
    assert index(notebook) == stopped


def test_new_pictures_keep_the_step_and_the_size(strip):
    notebook = strip()
    notebook.press(STEP, "End")
    notebook.page.wait_for_timeout(400)
    before, box = notebook.digest(CANVAS), notebook.locator(CANVAS).bounding_box()
    notebook.execute("strip.show(busy=True, message='Training ...')")
    notebook.page.get_by_text("Training ...").wait_for()
    notebook.execute("strip.show(frames=[picture(k, tint=200) for k in range(6)], busy=False)")
    notebook.wait_changed(CANVAS, before)
    assert index(notebook) == 5
    assert notebook.locator(CANVAS).bounding_box() == box
    notebook.execute(
        "strip.show(frames=[picture(k) for k in range(3)], overlays=[], titles=[], ticks=['a', 'b', 'c'])"
    )
    notebook.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '2'")
    notebook.assert_clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 420), ("dark", 1280)])
def test_it_fits_narrow_windows_and_dark_themes(strip, theme, width):
    notebook = strip(theme=theme, width=width)
    card = notebook.locator(".rx-film")
    assert card.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    assert card.bounding_box()["width"] <= width
    assert card.evaluate("(e) => getComputedStyle(e).backgroundColor") == "rgb(250, 250, 250)"
    notebook.screenshot(f"filmstrip-{theme}-{width}")
    notebook.assert_clean()
