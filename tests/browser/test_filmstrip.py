"""The filmstrip in a real JupyterLab: keys, play, opacity, names, new pictures, narrow windows."""

import base64
import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from resnet_explore.widgets.filmstrip.filmstrip import Filmstrip
from tests.browser.offline import open_offline

CELL = """
import io
import numpy as np
from PIL import Image
from resnet_explore.widgets.filmstrip.filmstrip import Filmstrip

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
STEP, CANVAS, OPACITY = ".rx-film-step", ".rx-film-canvas", ".rx-film-opacity"
DRAWN = "document.querySelector('.rx-film-canvas')?.dataset.drawn > 0"


@pytest.fixture
def strip(rerun):
    rerun.page.wait_for_function(DRAWN)
    return rerun


def index(notebook):
    return int(notebook.locator(".rx-film").get_attribute("data-index"))


def test_keys_move_the_picture_and_python_hears_of_it(strip):
    before = strip.digest(CANVAS)
    strip.press(STEP, "ArrowRight")
    assert index(strip) == 1
    after = strip.digest(CANVAS)
    assert after != before
    for key, there in (("End", 5), ("ArrowRight", 5), ("Home", 0), ("ArrowLeft", 0), ("ArrowUp", 1)):
        strip.press(STEP, key)
        assert index(strip) == there
    assert strip.digest(CANVAS) == after
    strip.page.wait_for_timeout(500)
    assert strip.execute("print(strip.index)") == "1"
    strip.execute("strip.index = 4")
    strip.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '4'")
    assert strip.locator(".rx-film-title .rx-film-now").inner_text() == "Finding 4"


def test_everything_has_a_name(strip):
    page = strip.page
    slider = page.get_by_role("slider", name="Depth")
    assert slider.get_attribute("aria-valuetext") == "8"
    assert page.get_by_role("slider", name="Opacity").get_attribute("aria-valuetext") == "50 %"
    assert page.get_by_role("button", name="Play", exact=True).count() == 1
    picture = page.get_by_role("img", name="Finding 0. digits, seed 0, train mode")
    assert picture.count() == 1
    strip.press(STEP, "ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "20"
    assert page.get_by_role("img", name="Finding 1. digits, seed 0, train mode").count() == 1


def test_opacity_changes_pixels_and_asks_nobody(strip):
    strip.press(STEP, "End")
    strip.page.wait_for_timeout(500)
    sent = len(strip.sent)
    shades = set()
    for key in ("Home", "End", "ArrowLeft"):
        strip.press(OPACITY, key)
        shades.add(strip.digest(CANVAS))
    assert len(shades) == 3
    strip.press(OPACITY, "Home")
    assert strip.pixels(CANVAS)[150, 20].tolist() == [0, 100, 180, 255]
    strip.page.wait_for_timeout(300)
    assert len(strip.sent) == sent


def test_play_runs_to_the_end_and_a_hand_on_the_slider_stops_it(strip):
    strip.locator(".rx-film-play").press("Enter")
    strip.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '5'")
    strip.page.get_by_role("button", name="Play", exact=True).wait_for()
    strip.locator(".rx-film-play").press("Enter")
    strip.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '2'")
    strip.press(STEP, "ArrowLeft")
    stopped = index(strip)
    strip.page.wait_for_timeout(400)
    assert index(strip) == stopped


def test_new_pictures_keep_the_step_and_the_size(strip):
    strip.press(STEP, "End")
    strip.page.wait_for_timeout(400)
    before, box = strip.digest(CANVAS), strip.locator(CANVAS).bounding_box()
    strip.execute("strip.show(busy=True, message='Training ...')")
    strip.page.get_by_text("Training ...").wait_for()
    strip.execute("strip.show(frames=[picture(k, tint=200) for k in range(6)], busy=False)")
    strip.wait_changed(CANVAS, before)
    assert index(strip) == 5
    assert strip.locator(CANVAS).bounding_box() == box
    strip.execute(
        "strip.show(frames=[picture(k) for k in range(3)], overlays=[], titles=[], ticks=['a', 'b', 'c'])"
    )
    strip.page.wait_for_function("document.querySelector('.rx-film').dataset.index === '2'")


@pytest.mark.parametrize(("theme", "width"), [("light", 420), ("dark", 1280)])
def test_it_fits_narrow_windows_and_dark_themes(run_cell, theme, width):
    notebook = run_cell(CELL, theme, width)
    notebook.page.wait_for_function(DRAWN)
    card = notebook.locator(".rx-film")
    assert card.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    around = notebook.locator(".jp-OutputArea-output").filter(has=card)
    assert around.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    assert card.evaluate("(e) => getComputedStyle(e).backgroundColor") == "rgb(250, 250, 250)"
    notebook.press(STEP, "ArrowRight")
    notebook.screenshot(f"filmstrip-{theme}-{width}", ".rx-film")
    notebook.assert_clean()


# The kernel hears of step 1 while it sleeps, and answers when it wakes. Somebody is moving just then, without a
# rest, which is when an echo of step 1 could pull the slider back. Moved from within the page, as keys from
# outside can be so slow that the strip takes the pause for a rest.
MOVE_WHILE_IT_WAKES = """async () => {
    const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
    const film = document.querySelector('.rx-film');
    const slider = film.querySelector('.rx-film-step');
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));
    const indices = [];
    new MutationObserver(() => indices.push(Number(film.dataset.index)))
        .observe(film, { attributeFilter: ['data-index'] });
    const move = async (step, ms) => {
        slider.value = step;
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        await pause(ms);
    };
    let awake = false;
    const nap = kernel.requestExecute({ code: 'import time; time.sleep(0.8)', store_history: false });
    nap.done.then(() => { awake = true; });
    await move(1, 250);
    const asleep = !awake;
    for (let k = 0; k < 20; k++) {
        await move(5, 30);
        await move(4, 30);
    }
    return { asleep, awake, indices };
}"""


def test_moving_waits_for_no_kernel_and_never_jumps_back(strip):
    seen = strip.page.evaluate(MOVE_WHILE_IT_WAKES)
    assert seen["asleep"], "the kernel must not answer before the second move"
    assert seen["awake"], "the kernel must have answered before the last move"
    assert seen["indices"] == [1, *[5, 4] * 20]
    strip.page.wait_for_timeout(500)
    assert index(strip) == 4
    assert strip.execute("print(strip.index)") == "4"


def test_a_sentence_stands_where_no_picture_is(strip):
    strip.execute("strip.show(frames=[], overlays=[], message='Training ten networks ...')")
    strip.page.get_by_text("Training ten networks ...").wait_for()
    assert not strip.locator(CANVAS).is_visible()
    assert not strip.locator(STEP).is_visible()
    strip.execute("strip.show(frames=[picture(0), picture(1)[:60]], titles=[], ticks=[])")
    strip.locator(CANVAS).wait_for()
    strip.press(STEP, "End")
    strip.page.get_by_text("Picture 2 could not be decoded.").wait_for()
    strip.press(STEP, "Home")
    assert strip.locator(CANVAS).is_visible()


# ---- a page without a kernel --------------------------------------------------------------------------------


@pytest.fixture
def offline_page(bare_page):
    return lambda **values: open_offline(bare_page(), Filmstrip(**values))


def pixels(page):
    url = page.locator(CANVAS).evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def encoded(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_same_file_runs_in_a_page_without_a_kernel(offline_page):
    frames = [encoded(np.full((20, 30, 3), 60 * k, np.uint8)) for k in range(4)]
    page = offline_page(frames=frames, titles=[f"Finding {k}" for k in range(4)], name="Depth")
    page.get_by_role("slider", name="Depth").press("End")
    assert (pixels(page)[..., :3] == 180).all()
    assert page.get_by_text("Finding 3").is_visible()
    page.evaluate("window.leave()")
    assert page.locator("main *").count() == 0


def test_an_overlay_is_stretched_as_torch_interpolates(offline_page):
    heat = np.zeros((3, 4, 4), np.uint8)
    heat[..., 0] = np.random.default_rng(0).integers(0, 256, (3, 4))
    heat[..., 3] = 255
    frame = np.zeros((96, 160, 3), np.uint8)
    page = offline_page(frames=[encoded(frame)], overlays=[encoded(heat)], opacity=1.0)
    red = torch.from_numpy(heat[None, None, :, :, 0].astype(np.float32))
    drawn = pixels(page)[..., 0].astype(np.float32)
    right, wrong = (
        np.abs(drawn - F.interpolate(red, drawn.shape, mode="bilinear", align_corners=corners)[0, 0].numpy())
        for corners in (False, True)
    )
    assert right.max() <= 17, "without a GPU Chromium weighs neighbours in sixteenths"
    assert right.mean() < wrong.mean() / 5
