"""Heatmaps in a page without kernel: colours as torch interpolates, sliders, values under the pointer."""

import base64
import io
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from resnet_explore.figures.heatmaps import PALETTES, under_map
from resnet_explore.widgets.core.heatmap_panel import Heatmap, Heatmaps, SeenBy, step
from resnet_explore.widgets.core.view import (
    AnswerBars,
    Bar,
    Check,
    Choice,
    Choices,
    Menu,
    Named,
    Over,
    Slider,
    View,
)
from tests.browser.bare import message, open_view

STATE = {"block": 1, "depth": 8, "opacity": 1.0, "palette": "red and blue", "shared": False, "target": None}
GRID = ".rx-heat-grid"
BARE = 100  # what lies under a map where the photo is black


def png(color=(0, 0, 0), size=256):
    return png_of(Image.new("RGB", (size, size), color))


def png_of(photo):
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


def heat(values, name="Plain", **more):
    return Heatmap(np.asarray(values, np.float32), name, "asked about cat", **more)


def pair(left, right, tick="1.0", scale=None, **more):
    return step([heat(left, **more), heat(right, "Residual", **more)], tick, scale)


def panel(steps, picture=None, together=1.0, meaning="{plus} for, {minus} against", **more):
    return Heatmaps("maps", picture or png(), "a", steps, together, "logits", meaning, **more)


@pytest.fixture
def shown(bare_page):
    def show(heatmaps, width=1280, sliders=(), state=(), beside=(), ask=(), theme="light"):
        view = View(headline="A finding.", panels=((heatmaps, *beside),), sliders=sliders, ask=ask)
        page = open_view(bare_page(), view, STATE | dict(state), width, theme)
        page.evaluate("window.asked = []; window.model.send = (content) => window.asked.push(content); null")
        page.wait_for_function(f"document.querySelector('{GRID}')?.dataset.drawn > 0")
        return page

    return show


def pixels(page, k=0):
    url = page.locator("canvas.rx-heat").nth(k).evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))).astype(int)


def parts(words):
    """Return the numbers, names and unit of what is read out, in their order."""
    return re.findall(r"Plain|Residual|logits|[+−]?\d+(?:\.\d+)?", words)


def colored(values, scale, palette="red and blue"):
    """What a map looks like over a black photo, derived with torch."""
    large = F.interpolate(torch.from_numpy(values)[None, None], (256, 256), mode="bilinear")[0, 0].numpy()
    table = PALETTES[palette][np.clip(np.floor(large / scale * 127.5 + 128), 0, 255).astype(int)].astype(
        float
    )
    opacity = table[..., 3:] / 255
    return table[..., :3] * opacity + BARE * (1 - opacity)


def test_maps_are_enlarged_as_torch_does_and_share_one_scale(shown):
    random = np.random.default_rng(0)
    left, right = random.normal(size=(3, 5)), 0.3 * random.normal(size=(4, 2))
    page = shown(panel(pair(left, right)))
    scale = max(np.abs(left).max(), np.abs(right).max())
    for k, values in enumerate((left, right)):
        off = np.abs(pixels(page, k)[..., :3] - colored(values, scale))
        assert np.quantile(off, 0.995) <= 4, "rounding of colours and of premultiplied alpha"
        assert off.mean() < 1


def test_what_is_no_number_stays_bare(shown):
    page = shown(panel(pair(np.full((2, 2), np.nan), np.ones((2, 2)))))
    assert np.abs(pixels(page, 0)[..., :3] - BARE).max() <= 2
    assert np.abs(pixels(page, 1)[..., :3] - BARE).max() > 50


def test_under_a_map_the_photo_is_grey_and_nowhere_dark_on_the_page_as_in_files(shown):
    random = np.random.default_rng(0)
    photo = Image.fromarray(random.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    page = shown(panel(pair([[0.0]], [[0.0]]), picture=png_of(photo)))
    there, expected = pixels(page)[..., :3], np.asarray(under_map(photo)).astype(int)[..., :3]
    assert np.abs(there - expected).max() <= 1
    red, green, blue = np.moveaxis(np.asarray(photo), 2, 0).astype(float)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    assert np.abs(expected - (BARE + grey * (255 - BARE) / 255)[..., None]).max() <= 1


def test_opacity_palette_and_scale_need_no_kernel(shown):
    steps = {1: pair(np.full((2, 3), 0.1), np.full((2, 3), 0.2)), 2: pair([[1.0]], [[1.0]])}
    ask = (
        Slider("opacity", "Opacity", tuple(Choice(k / 4, f"{25 * k} %") for k in range(5))),
        Menu("palette", "Colours", tuple(Choice(name, name) for name in PALETTES)),
        Check("shared", "One scale"),
    )
    page = shown(panel(Over("block", steps)), ask=ask)
    own = pixels(page)
    page.get_by_label("One scale").check()
    together = pixels(page)
    strength = [np.abs(each[..., :3] - BARE).sum() for each in (own, together)]
    assert strength[1] < strength[0], "0.1 of 1 is fainter than 0.1 of 0.2"
    assert "+1.00 logits" in page.locator(".rx-legend").inner_text()
    page.get_by_label("Colours").select_option(label="brown and teal")
    assert not np.array_equal(pixels(page), together)
    assert "Brown for, teal against." in page.locator(".rx-legend").inner_text()
    page.get_by_role("slider", name="Opacity").press("Home")
    assert pixels(page)[..., :3].max() == 0


def test_the_depth_keeps_the_place_along_the_network(shown):
    def each(depth, count):
        return {k + 1: pair([[float(k + 1)]], [[1.0]], f"{depth}.{k}") for k in range(count)}

    counts = {8: 3, 20: 9}
    steps = Over("depth", {d: Over("block", each(d, n)) for d, n in counts.items()})
    ticks = {d: tuple(Choice(k + 1, f"{d}.{k}") for k in range(n)) for d, n in counts.items()}
    carried = {d: tuple(range(1, n + 1)) for d, n in counts.items()}
    sliders = (
        Slider("block", "Block", Over("depth", ticks)),
        Slider("depth", "Depth", (Choice(8, "8"), Choice(20, "20")), carries={"block": carried}),
    )
    page = shown(panel(steps), sliders=sliders)
    block, depth = (page.get_by_role("slider", name=name) for name in ("Block", "Depth"))
    block.press("End")
    assert block.get_attribute("aria-valuetext") == "8.2"
    drawn = int(page.locator(GRID).get_attribute("data-drawn"))
    depth.press("ArrowRight")
    assert block.get_attribute("aria-valuetext") == "20.8"
    assert int(page.locator(GRID).get_attribute("data-drawn")) == drawn + 1, "once for both"
    block.press("Home")
    depth.press("ArrowLeft")
    assert block.get_attribute("aria-valuetext") == "8.0"


def test_a_depth_that_is_not_there_yet_leaves_the_picture_dimmed(shown):
    steps = Over("depth", {8: pair([[1.0]], [[0.5]])})
    sliders = (Slider("depth", "Depth", (Choice(8, "8"), Choice(20, "20"))),)
    page = shown(panel(steps), sliders=sliders)
    before = pixels(page)
    page.get_by_role("slider", name="Depth").press("ArrowRight")
    assert page.locator(".rx-page").evaluate("(node) => node.classList.contains('rx-late')")
    assert np.array_equal(pixels(page), before)
    steps = Over("depth", {8: pair([[1.0]], [[0.5]]), 20: pair([[-1.0]], [[0.5]])})
    view = View(headline="A finding.", panels=((panel(steps),),), sliders=sliders)
    page.evaluate("window.receive", message(view, STATE | {"depth": 20}, 2))
    assert not page.locator(".rx-page").evaluate("(node) => node.classList.contains('rx-late')")
    assert not np.array_equal(pixels(page), before)


def test_pointer_and_keys_read_the_raw_value_and_what_it_sees(shown):
    left, right = np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3)
    seen = SeenBy(start=5 / 30, jump=10 / 30, size=4 / 30, pixels=4)
    page = shown(panel(pair(left, right, seen_by=seen)))
    canvas, readout = page.locator("canvas.rx-heat").first, page.locator(".rx-heat-readout")
    box = canvas.bounding_box()
    below = page.locator(".rx-heatmaps").bounding_box()["height"]
    before, pointless = pixels(page), readout.inner_text()
    canvas.hover(position={"x": 0.9 * box["width"], "y": 0.75 * box["height"]})
    read = ["1", "2", "2", "3", "Plain", "+5.00", "Residual", "−5.00", "logits", "4", "4"]
    assert parts(readout.inner_text()) == read, "place, shape, values and the pixels that they can depend on"
    cell = np.argwhere((pixels(page) != before).any(2))
    assert cell[:, 0].max() >= 254
    assert cell[:, 1].min() == pytest.approx(2 / 3 * 256, abs=3)
    assert (pixels(page, 1) != before).any(), "framed in both"
    assert page.locator(".rx-heatmaps").bounding_box()["height"] == below, "nothing moves"
    page.mouse.move(0, 0)
    assert readout.inner_text() == pointless
    assert parts(pointless) == []
    grid = page.locator(GRID)
    grid.press("ArrowRight")
    grid.press("ArrowUp")
    assert parts(readout.inner_text())[:8] == ["0", "2", "2", "3", "Plain", "+2.00", "Residual", "−2.00"]
    grid.press("Escape")
    assert np.array_equal(pixels(page), before)


def test_a_click_or_enter_asks_about_a_place_and_what_is_asked_is_framed(shown):
    zeros = np.zeros((2, 3))
    marked = step([heat(zeros, mark=(0.25, 0.5, 0.75, 1.0)), heat(zeros, "Residual")], "1.0")
    page = shown(panel(marked, asks="ask"))
    frame = np.argwhere((pixels(page)[..., :3] > BARE + 60).all(2))
    assert frame[:, 1].min() == pytest.approx(64, abs=2)
    assert frame[:, 1].max() == pytest.approx(192, abs=2)
    assert frame[:, 0].min() == pytest.approx(128, abs=2)
    assert "Enter" in page.locator(".rx-heat-readout").inner_text(), "how to ask"
    canvas, grid = page.locator("canvas.rx-heat").first, page.locator(GRID)
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 4, "y": box["height"] / 4})
    grid.press("Escape")
    grid.press("Enter")  # points nowhere
    grid.press("ArrowRight")
    grid.press("Enter")
    first, second = page.evaluate("window.asked")
    assert (first["act"], second["act"]) == ("ask", "ask")
    assert first["detail"] == pytest.approx([0.25, 0.25], abs=0.02)
    assert second["detail"] == pytest.approx([0.75, 5 / 6], abs=0.01)


def test_full_colour_below_the_largest_value_is_said_on_the_bar(shown):
    values = np.array([[1.0, -1.0, 8.0]])
    page = shown(panel(pair(values, -values, scale=2.0)))
    assert page.locator(".rx-legend").inner_text().split()[:5] == ["≤", "−2.00", "≥", "+2.00", "logits"]
    assert np.abs(pixels(page)[..., :3] - colored(values, 2.0)).max() <= 2


def test_another_photo_and_its_maps_come_together(shown):
    page = shown(panel(pair([[0.0]], [[0.0]])))
    assert pixels(page)[..., :3].max() == BARE
    other = Heatmaps("maps", png((255, 255, 255)), "b", pair([[1.0]], [[1.0]], "2.0"), 1.0, "logits", "")
    page.evaluate("window.receive", message(View(panels=((other,),)), STATE, 2))
    page.wait_for_function(
        "document.querySelector('canvas.rx-heat').getContext('2d').getImageData(9, 9, 1, 1).data[0] !== 100"
    )
    red = pixels(page)[9, 9]
    assert red[0] > red[2], "the new map on the new photo"


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (360, "dark")])
def test_pictures_get_the_width_and_nothing_sticks_out(shown, width, theme):
    answers = tuple(
        AnswerBars(k, f"class {k} of a long name", (Bar(0.8, "80 %", "plain"), Bar(0.1, "10 %", "residual")))
        for k in range(5)
    )
    names = Named("Plain-18", "plain"), Named("Residual-18", "residual")
    choices = Choices("target", "Answers", names, answers, "They know only 10 classes.")
    page = shown(panel(pair(np.ones((2, 3)), np.ones((2, 3)))), width, beside=(choices,), theme=theme)
    card = page.locator(".rx-page")
    assert card.evaluate(
        "(e) => e.scrollWidth <= e.clientWidth && e.getBoundingClientRect().right <= innerWidth"
    )
    wide = page.locator("canvas.rx-heat").first.bounding_box()["width"]
    assert wide >= (350 if width == 1280 else 140), "as much as a window 800 pixels high bears"
    page.locator(".rx-option").nth(2).click()
    assert page.evaluate("window.model.get('target')") == 2
    assert page.locator(".rx-option[aria-pressed=true]").count() == 1
