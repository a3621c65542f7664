"""The strip of photos and the place for uploads in a page without kernel."""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from resnet_explore.widgets.core.heatmap_panel import Heatmaps
from resnet_explore.widgets.core.view import Choice, Menu, Prose, Slider, Thumb, Thumbs, Upload, View
from tests.browser.bare import message, open_view
from tests.browser.pages.test_heatmaps import GRID, STATE, pair, png

IN_SIGHT = """(strip) => {
    const chosen = strip.querySelector('[aria-checked=true]').getBoundingClientRect(), row = strip.getBoundingClientRect();
    return chosen.left >= row.left && chosen.right <= row.right;
}"""
SENTENCE = (
    "IMG_20260412_a_long_name.png is not an image that can be read but looks like an HTML page: give a PNG, "
    "JPEG, WebP, GIF, BMP, TIFF or AVIF image. second.tif is not an image that can be read but looks like a "
    "text file: give a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF image."
)


def view(count=30, said="", wrong=False, taken=0, first=True):
    strip = Thumbs("image", "Image", tuple(Thumb(k, f"photo {k}", png(size=8)) for k in range(count)))
    menu = Menu("networks", "Networks", (Choice("a", "Twins of many layers, trained on photos"),))
    photos = (strip, Upload("image.upload", said, wrong, taken))
    ask = (*photos, menu) if first else (menu, *photos)
    return View(ask=ask, headline="A finding.", panels=((Prose("words", ["What stands below."]),),))


@pytest.fixture
def shown(bare_page):
    def show(what, width=1100, **state):
        page = open_view(bare_page(), what, {"image": 0, "networks": "a", **state}, width)
        page.locator(".rx-upload").wait_for()
        return page

    return show


def test_a_strip_that_goes_on_says_so_and_turns(shown):
    page = shown(view(), image=12)
    strip, before, after = (page.locator(f".rx-{name}") for name in ("strip", "turn-before", "turn-after"))
    assert strip.evaluate(IN_SIGHT), "the chosen one"
    expect(before).to_be_visible()
    expect(after).to_be_visible()
    for _ in range(6):
        if after.is_visible():
            after.click()
            page.wait_for_timeout(400)
    expect(after).to_be_hidden()
    assert strip.evaluate("(e) => e.scrollLeft + e.clientWidth >= e.scrollWidth - 1")
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_timeout(200)
    assert strip.evaluate(IN_SIGHT), "also in a window that has become narrow"
    page.evaluate("window.receive", message(view(5), {"image": 2, "networks": "a"}, 2))
    expect(before).to_be_hidden()
    expect(after).to_be_hidden()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("width", [1100, 420])
def test_what_is_wrong_is_read_whole_and_moves_nothing_below(shown, width, first):
    page = shown(view(first=first), width)
    place = page.locator(".rx-prose").bounding_box()
    page.evaluate(
        "window.receive", message(view(said=SENTENCE, wrong=True, taken=2, first=first), {"image": 0}, 2)
    )
    status = page.locator(".rx-status.rx-bad")
    expect(status).to_have_text(SENTENCE)
    assert status.evaluate("(e) => e.scrollHeight <= e.clientHeight + 1"), "no line is cut off"
    assert page.locator(".rx-prose").bounding_box() == place
    assert page.locator(".rx-strip").evaluate(IN_SIGHT)
    page.get_by_role("button", name="Close this message").click()
    expect(page.locator(".rx-hint")).to_be_visible()
    said = view(said="b.jpg arrived.", taken=3, first=first)
    page.evaluate("window.receive", message(said, {"image": 0}, 3))
    expect(page.locator(".rx-status:not(.rx-bad)")).to_have_text("b.jpg arrived.")
    assert page.locator(".rx-prose").bounding_box() == place


def test_python_that_does_not_answer_is_waited_for_in_words(shown):
    page = shown(view())
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    photo = {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    page.locator(".rx-upload input").set_input_files(photo)
    status = page.locator(".rx-status")
    expect(status).to_have_text("Waiting for Python, which is still busy. a.png comes next.", timeout=3000)
    page.evaluate("window.receive", message(view(said="a.png arrived.", taken=1), {"image": 0}, 2))
    expect(status).to_have_text("a.png arrived.")
    page.locator(".rx-upload input").set_input_files(photo)
    page.wait_for_function("window.asked.length === 2")
    page.evaluate("window.receive", message(view(said="a.png arrived.", taken=2), {"image": 0}, 3))
    page.wait_for_timeout(1300)
    expect(status).to_have_text("a.png arrived."), "a quick answer needs no words"


@pytest.mark.parametrize(("width", "height"), [(1180, 640), (1180, 800), (1500, 800)])
def test_pictures_and_slider_are_seen_together(bare_page, width, height):
    maps = Heatmaps("maps", png(), "a", pair([[1.0]], [[1.0]]), 1.0, "logits", "{plus} and {minus}")
    sliders = (Slider("block", "Block", tuple(Choice(k, str(k)) for k in (1, 2))),)
    page = open_view(
        bare_page(), View(headline="A finding.", panels=((maps,),), sliders=sliders), STATE, width
    )
    page.wait_for_function(f"document.querySelector('{GRID}')?.dataset.drawn > 0")
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(100)
    top = page.locator(".rx-headline").bounding_box()["y"]
    slider = page.locator(".rx-sliders").bounding_box()
    assert slider["y"] + slider["height"] - top <= height - 160, "which is what JupyterLab leaves"
    wide, high = (page.locator(".rx-heat").first.bounding_box()[side] for side in ("width", "height"))
    assert wide == pytest.approx(high, abs=1)
    assert high >= min(240, height - 400)
