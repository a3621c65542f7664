"""Surfaces in a page without kernel: turned by hand and keys, read point by point, cut where it is said."""

import re
from dataclasses import replace

import numpy as np
import pytest

from resnet_explore.widgets.browser.bundle import bundle
from resnet_explore.widgets.core.surface_panel import Surface, Surfaces
from resnet_explore.widgets.core.view import Choice, Now, Over, Slider, View
from tests.browser.bare import dress, open_view

STATE = {"depth": 8, "step": 1}
SIDE = np.linspace(-1, 1, 5, dtype=np.float32)
BOWL = (0.1 + SIDE[None] ** 2 + SIDE[:, None] ** 2).astype(np.float32)
FIRST, SECOND = ".rx-surface >> nth=0", ".rx-surface >> nth=1"
READ = ".rx-surface-panel .rx-read"


def surface(kind="plain", loss=BOWL, **more):
    return Surface(f"{kind}-8", kind, SIDE, SIDE, loss, 10 * BOWL, **more)


def panel(*surfaces, **more):
    row = surfaces or (surface(), surface("residual", 10 * BOWL))
    return Surfaces("s", row, 0.1, 10, (0.3, 1, 3), cut="hatched: above 10", middle="the network", **more)


@pytest.fixture
def shown(bare_page):
    def show(part, sliders=(), width=1000, theme="light"):
        page = open_view(
            bare_page(), View(headline="A.", panels=((part,),), sliders=sliders), STATE, width, theme
        )
        page.wait_for_function("document.querySelector('.rx-surface-floor')?.getAttribute('d')")
        return page

    return show


def floors(page):
    """The four corners of each floor, in pixels: where both are seen from."""
    shapes = page.locator(".rx-surface-floor").evaluate_all(
        "(all) => all.map((each) => each.getAttribute('d'))"
    )
    return [np.array(re.findall(r"-?[\d.]+", shape), float).reshape(4, 2) for shape in shapes]


def settle(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def ink(page, k):
    """How many pixels of a canvas are painted."""
    count = "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((_, k) => k % 4 === 3).filter(Boolean).length"
    return page.locator(".rx-surface-canvas").nth(k).evaluate(count)


def test_a_drag_turns_both_and_a_double_click_turns_them_back(shown):
    page = shown(panel())
    before = floors(page)
    np.testing.assert_allclose(*before)
    box = page.locator(FIRST).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 20, steps=4)
    page.mouse.up()
    settle(page)
    after = floors(page)
    np.testing.assert_allclose(*after)
    assert np.abs(after[0] - before[0]).max() > 20
    page.mouse.dblclick(*middle)
    settle(page)
    np.testing.assert_allclose(floors(page), before)


def test_arrow_keys_turn_and_with_shift_they_read(shown):
    page = shown(panel())
    before = floors(page)
    assert page.locator(FIRST).get_attribute("data-lm-suppress-shortcuts") == "true"
    page.locator(SECOND).press("ArrowRight")
    settle(page)
    assert np.abs(floors(page)[0] - before[0]).max() > 5
    page.locator(SECOND).press("Home")
    settle(page)
    np.testing.assert_allclose(floors(page), before)
    page.locator(SECOND).press("Shift+ArrowRight")
    said = "direction 1 0, direction 2 0. plain-8: loss 0.1, error 1 %; residual-8: loss 1, error 1 %."
    assert page.locator(READ).inner_text() == page.locator(".rx-live").inner_text() == said
    page.locator(SECOND).press("Shift+ArrowRight")
    page.locator(SECOND).press("Shift+ArrowUp")
    assert page.locator(READ).inner_text().startswith("direction 1 0.5, direction 2 0.5. plain-8: loss 0.6,")
    assert page.locator(".rx-surface-point:visible").count() == 2, "it is marked on both"
    page.locator(SECOND).press("Escape")
    assert page.locator(READ).inner_text().startswith("Drag")


@pytest.mark.parametrize("zoom", [1, 1.5])
def test_the_pointer_reads_the_nearest_point(shown, zoom):
    page = shown(panel())
    page.evaluate("(zoom) => { document.querySelector('main').style.zoom = zoom; }", zoom)
    settle(page)
    dot = page.locator(FIRST).locator(".rx-surface-network").bounding_box()
    page.mouse.move(dot["x"] + dot["width"] / 2 + 2, dot["y"] + dot["height"] / 2)
    assert page.locator(READ).inner_text().startswith("direction 1 0, direction 2 0. plain-8: loss 0.1,")
    page.mouse.move(2, 2)
    assert page.locator(READ).inner_text().startswith("Drag")


@pytest.mark.parametrize("look", ["surface", "contours"])
def test_a_finger_that_taps_reads_the_nearest_point(shown, look):
    page = shown(panel(look=look))
    dot = page.locator(FIRST).locator(".rx-surface-network").bounding_box()
    tap = """([x, y]) => {
        const more = { clientX: x, clientY: y, pointerId: 7, pointerType: "touch", bubbles: true };
        const surface = document.elementFromPoint(x, y);
        surface.setPointerCapture = () => {};
        for (const kind of ["pointerdown", "pointerup", "pointerleave"]) surface.dispatchEvent(new PointerEvent(kind, more));
    }"""
    page.evaluate(tap, [dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2])
    assert page.locator(READ).inner_text().startswith("direction 1 0, direction 2 0.")


def test_a_surface_is_as_sharp_as_the_screen(shown):
    page = shown(panel())
    screen = page.context.new_cdp_session(page)

    def sharpness(ratio):
        """Pixels of the canvas for each of the page's, on a screen that has so many."""
        height = 800 + ratio  # Chromium looks at media queries where the size is another one, too
        metrics = {"width": 1000, "height": height, "deviceScaleFactor": ratio, "mobile": False}
        screen.send("Emulation.setDeviceMetricsOverride", metrics)
        settle(page)
        return page.evaluate("kept.width / kept.getBoundingClientRect().width")

    page.evaluate("window.kept = document.querySelector('.rx-surface-canvas')")
    assert sharpness(2) == pytest.approx(2, rel=0.01)
    assert ink(page, 0) > 1000, "it is painted anew"
    assert sharpness(1) == pytest.approx(1, rel=0.01)
    page.evaluate("document.querySelector('main').style.zoom = 1.5")
    settle(page)
    assert sharpness(1) == pytest.approx(1, rel=0.01)
    before = page.evaluate("leave(), kept.width")
    sharpness(3)
    assert page.evaluate("kept.width") == before, "what has left the page is not painted"


def test_a_surface_is_low_enough_to_be_seen_whole(shown):
    page = shown(panel())
    assert page.locator(FIRST).bounding_box()["height"] == pytest.approx(0.4 * 800, abs=1)


def test_the_hint_counts_the_surfaces(shown):
    assert shown(panel()).locator(READ).inner_text().startswith("Drag or use the arrow keys to turn both.")
    alone = shown(panel(surface())).locator(READ)
    assert alone.inner_text().startswith("Drag or use the arrow keys to turn it.")


def test_what_lies_beyond_is_left_out_hatched_and_said(shown):
    high = BOWL.copy()
    high[:2, :2], high[-1, -1] = 1000, np.inf
    page = shown(panel(surface(), surface("residual", high)))
    cut = page.locator(".rx-surface-cut").evaluate_all("(all) => all.map((each) => each.getAttribute('d'))")
    assert not cut[0]
    assert cut[1]
    assert min(ink(page, 0), ink(page, 1)) > 1000
    page.locator(FIRST).press("Shift+ArrowUp")
    for _ in range(3):
        page.locator(FIRST).press("Shift+ArrowRight")
        page.locator(FIRST).press("Shift+ArrowUp")
    assert "residual-8: no finite loss" in page.locator(READ).inner_text()
    for _ in range(4):
        page.locator(FIRST).press("Shift+ArrowLeft")
        page.locator(FIRST).press("Shift+ArrowDown")
    assert "residual-8: loss 1,000, above the cut at 10" in page.locator(READ).inner_text()
    flat = shown(panel(surface(), surface("residual", high), look="contours"))
    assert ink(flat, 0) > ink(flat, 1) > 1000, "of the map so much is left out"


def test_a_slider_moves_the_surface_alone_and_a_walk_goes_along_it(shown):
    path = np.stack([np.linspace(-0.8, 0, 4), np.linspace(0.6, 0, 4)], 1).astype(np.float32)
    rows = Over("depth", {8: (surface(path=path),), 20: (surface(loss=30 * BOWL, path=path),)})
    sliders = (
        Slider("depth", "Depth", (Choice(8, "8"), Choice(20, "20"))),
        Slider("step", "Step", tuple(Choice(k, str(k)) for k in range(4))),
    )
    page = shown(replace(panel(), surfaces=rows, step=Now("step")), sliders)
    place = ".rx-surface-here"
    before = page.locator(place).bounding_box()
    page.get_by_role("slider", name="Step").press("End")
    after = page.locator(place).bounding_box()
    dot = page.locator(".rx-surface-network").bounding_box()
    assert before["x"] < after["x"]
    assert after["x"] + after["width"] / 2 == pytest.approx(dot["x"] + dot["width"] / 2, abs=1)
    page.get_by_role("slider", name="Depth").press("End")
    page.wait_for_timeout(250)
    assert page.locator(place).bounding_box()["y"] < after["y"] - 20, "the loss is larger there"
    assert page.evaluate("window.asked") == []


def test_a_map_has_lines_of_equal_loss_and_is_read_by_bare_arrows(shown):
    page = shown(panel(look="contours"))
    lines = page.locator(".rx-surface-lines").first.locator("path")
    assert [bool(line.get_attribute("d")) for line in lines.all()] == [True, True, False]
    ring = np.array(re.findall(r"-?[\d.]+", lines.nth(1).get_attribute("d")), float).reshape(-1, 2)
    corners = floors(page)[0]
    share = (ring - corners.min(0)) / np.ptp(corners, 0) * 2 - 1
    radius = np.hypot(*share.T)
    assert radius.min() > 0.85, "of the line at 1, where x² + y² is 0.9"
    assert radius.max() < 1.0
    page.locator(FIRST).press("ArrowRight")
    assert page.locator(READ).inner_text().startswith("direction 1 0, direction 2 0.")


def test_it_follows_the_theme_and_keeps_to_a_narrow_page(shown):
    page = shown(panel(), width=420)
    boxes = [page.locator(each).bounding_box() for each in (FIRST, SECOND)]
    assert boxes[1]["y"] > boxes[0]["y"] + boxes[0]["height"], "one below the other"
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    color = "(node) => getComputedStyle(node).fill"
    light = page.locator(".rx-surface-floor").first.evaluate(color)
    dress(page, "dark")
    assert page.locator(".rx-surface-floor").first.evaluate(color) != light


@pytest.fixture(scope="module")
def grid(browser_context):
    """`grid("return part(...)")` runs with the functions of panels/surface/grid.js."""
    page = browser_context.new_page()
    modules, _, _ = bundle().rpartition("export default")
    page.evaluate("(script) => { window.modules = new Function(script)(); }", f"{modules}return modules;")
    call = "(body) => new Function('grid', body)(window.modules['panels/surface/grid.js'])"
    yield lambda body: page.evaluate(call, body)
    page.close()


def test_a_cell_is_cut_where_its_level_passes_the_bound(grid):
    inside = grid("return grid.part(Float64Array.of(0, 0, 2, 0), 2, 0)")
    assert inside == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0.5, 1, 1], [0, 0.5, 1]]
    beyond = grid("return grid.part(Float64Array.of(0, 0, 2, 0), 2, 0, true)")
    assert beyond == [[0.5, 1, 1], [0, 1, 2], [0, 0.5, 1]]
    assert grid("return grid.part(Float64Array.of(NaN, NaN, NaN, NaN), 2, 0)") == []


def test_between_points_levels_are_bilinear(grid):
    axes = "{ x: { data: [0, 2] }, y: { data: [0, 1] } }"
    assert grid(f"return grid.levelAt(Float64Array.of(0, 1, 0, 0), {axes}, 1, 0.5)") == 0.25
    assert grid(f"return Number.isNaN(grid.levelAt(Float64Array.of(0, 1, 0, 0), {axes}, 3, 0))")
