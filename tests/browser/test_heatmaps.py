"""The heatmap view: colours as torch interpolates, sliders without a kernel, values under the pointer, saving."""

import base64
import io
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from resnet_explore.figures.heatmaps import PALETTES
from resnet_explore.widgets.heatmaps import HeatmapSeries, HeatmapStep, HeatmapView, SeenBy
from tests.browser.offline import open_offline

CANVAS = ".rx-canvas"
CELL = """
import numpy as np
from resnet_explore.figures.heatmaps import photo_jpeg
from resnet_explore.inputs.images import sample_photos
from resnet_explore.widgets.heatmaps import HeatmapSeries, HeatmapStep, HeatmapView

random = np.random.default_rng(0)
view = HeatmapView()
view.show(
    [
        HeatmapSeries(
            [
                HeatmapStep(
                    [random.normal(size=(4, 6)), random.normal(size=(4, 6))], f"{d}.{k}", f"Block {k}, eval mode."
                )
                for k in range(3 + d)
            ],
            str(d), f"Depth {d}.", ["Plain, asked about cat", "Residual, asked about cat"],
            names=["Plain", "Residual"],
        )
        for d in range(2)
    ],
    picture=photo_jpeg(sample_photos()["cat"].load().crop((0, 0, 300, 300)), 256),
)
view
"""


def black(width=256, height=256):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def pixels(page):
    url = page.locator(CANVAS).evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))).astype(int)


def step(maps, tick="1.0", seen=()):
    return HeatmapStep(maps, tick, f"Grad-CAM at {tick}, eval mode.", seen)


@pytest.fixture
def shown(browser_context):
    pages = []

    def show(series, picture=None, width=1280, **values):
        view = HeatmapView(opacity=1.0, **values)
        view.show(series, picture or black())
        pages.append(open_offline(browser_context, view, width))
        return pages[-1]

    yield show
    for page in pages:
        page.close()


def coloured(values, scale, palette="red and blue"):
    """What a map looks like over a black photo, derived with torch."""
    large = F.interpolate(torch.from_numpy(values)[None, None], (256, 256), mode="bilinear")[0, 0].numpy()
    table = PALETTES[palette][np.clip(np.floor(large / scale * 127.5 + 128), 0, 255).astype(int)].astype(
        float
    )
    return table[..., :3] * table[..., 3:] / 255


def test_maps_are_enlarged_as_torch_does_and_share_one_scale(shown):
    random = np.random.default_rng(0)
    left, right = random.normal(size=(3, 5)), 0.3 * random.normal(size=(4, 2))
    page = shown([HeatmapSeries([step([left, right])], "", "Finding.", ["Plain", "Residual"])])
    scale = max(np.abs(left).max(), np.abs(right).max())
    drawn = pixels(page)
    for values, part in ((left, drawn[:, :256]), (right, drawn[:, -256:])):
        off = np.abs(part[..., :3] - coloured(values, scale))
        assert np.quantile(off, 0.995) <= 4, "rounding of colours and of premultiplied alpha"
        assert off.mean() < 1


def test_what_is_no_number_stays_bare(shown):
    values = np.full((2, 2), np.nan)
    page = shown([HeatmapSeries([step([values, np.ones((2, 2))])], "", "", ["Plain", "Residual"])])
    assert pixels(page)[:, :256, :3].max() <= 2
    assert pixels(page)[:, -256:, :3].max() > 50


def test_opacity_palette_and_scale_are_live(shown):
    steps = [step([np.full((2, 3), 0.1), np.full((2, 3), 0.2)], "1.0"), step([np.ones((1, 1))] * 2, "2.0")]
    page = shown([HeatmapSeries(steps, "", "Finding.", ["Plain", "Residual"])])
    own = pixels(page)
    page.get_by_label("one scale for all blocks").check()
    together = pixels(page)
    assert together.sum() < own.sum(), "0.2 of 1 is fainter than 0.2 of 0.2"
    assert "+1.00 logits" in page.locator(".rx-legend").inner_text()
    page.get_by_label("Colours").select_option("brown and teal")
    assert not np.array_equal(pixels(page), together)
    page.get_by_role("slider", name="Opacity").press("Home")
    assert pixels(page)[:, :256, :3].max() == 0


def test_depth_keeps_the_place_along_the_network(shown):
    def series(depth, count):
        steps = [step([np.full((1, 1), float(k + 1))] * 2, f"block {k}") for k in range(count)]
        return HeatmapSeries(steps, str(depth), f"Depth {depth}.", [f"Plain-{depth}", f"Residual-{depth}"])

    page = shown([series(8, 3), series(20, 9)])
    block, depth = (page.get_by_role("slider", name=name) for name in ("Block", "Depth"))
    block.press("End")
    assert block.get_attribute("aria-valuetext") == "block 2"
    depth.press("ArrowRight")
    assert block.get_attribute("aria-valuetext") == "block 8"
    assert page.get_by_text("Depth 20.").is_visible()
    assert page.locator(".rx-headings").inner_text().split() == ["Plain-20", "Residual-20"]
    block.press("Home")
    depth.press("ArrowLeft")
    assert block.get_attribute("aria-valuetext") == "block 0"
    assert page.get_by_role("img", name="Depth 8. Grad-CAM at block 0, eval mode").count() == 1


def test_pointer_and_keys_read_the_raw_value_and_what_it_sees(shown):
    left, right = np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3)
    seen = SeenBy(start=5.0, jump=10.0, size=4.0, side=30)
    page = shown(
        [
            HeatmapSeries(
                [step([left, right], seen=[seen, seen])],
                "",
                "",
                ["Net, a, cat", "Net, b, cat"],
                names=["Net, a", "Net, b"],
            )
        ]
    )
    canvas, readout = page.locator(CANVAS), page.locator(".rx-readout")
    box = canvas.bounding_box()
    scale = box["width"] / pixels(page).shape[1]
    before = pixels(page)
    canvas.hover(position={"x": 0.9 * 256 * scale, "y": 0.75 * box["height"]})
    said = "Row 1, column 2 of 2×3, counted from 0: Net, a +5.00, Net, b −5.00 logits. It can depend on 4×4 pixels"
    assert said in readout.inner_text()
    boxed = np.argwhere((pixels(page) != before).any(2))
    cell = boxed[boxed[:, 1] < 256]
    assert cell[:, 0].max() >= 254
    assert cell[:, 1].min() == pytest.approx(2 / 3 * 256, abs=3)
    page.mouse.move(0, 0)
    assert "Point at the picture" in readout.inner_text()
    canvas.press("ArrowRight")
    canvas.press("ArrowUp")
    assert "Row 0, column 2 of 2×3, counted from 0: Net, a +2.00, Net, b −2.00" in readout.inner_text()
    canvas.press("Escape")
    assert np.array_equal(pixels(page), before)


def test_a_click_or_enter_asks_about_a_place_and_what_is_asked_is_framed(shown):
    maps = [np.zeros((2, 3)), np.zeros((2, 3))]
    marked = HeatmapSeries([step(maps)], "", "", ["Plain", "Residual"], [(0.25, 0.5, 0.75, 1.0), None])
    page = shown([marked], askable=True)
    drawn = pixels(page)
    frame = np.argwhere((drawn[:, :, :3] > 100).all(2))
    assert frame[:, 1].min() == pytest.approx(64, abs=2)
    assert frame[:, 1].max() == pytest.approx(192, abs=2)
    assert frame[:, 0].min() == pytest.approx(128, abs=2)
    assert "Click, or press Enter, to ask about that place." in page.locator(".rx-readout").inner_text()
    canvas = page.locator(CANVAS)
    box = canvas.bounding_box()
    scale = box["width"] / drawn.shape[1]
    canvas.click(position={"x": 64 * scale, "y": 0.25 * box["height"]})
    canvas.press("Escape")
    canvas.press("Enter")  # points nowhere
    canvas.press("ArrowRight")
    canvas.press("Enter")
    first, second = (sent["ask"] for sent in page.evaluate("window.asked"))
    assert first == pytest.approx([0.25, 0.25], abs=0.02)
    assert second == pytest.approx([0.75, 5 / 6], abs=0.01)


def test_full_colour_below_the_largest_value_is_said_on_the_bar_and_one_block_needs_no_shared_scale(shown):
    values = np.array([[1.0, -1.0, 8.0]])
    cut = HeatmapStep([values, -values], "", "Of pixels.", (), scale=2.0)
    page = shown([HeatmapSeries([cut], "", "", ["Plain", "Residual"])])
    assert page.locator(".rx-legend").inner_text().split() == ["≤", "−2.00", "≥", "+2.00", "logits"]
    assert not page.get_by_text("one scale for all blocks").is_visible()
    got = pixels(page)[:, :256, :3]
    assert np.abs(got - coloured(values, 2.0)).max() <= 2


def test_pictures_and_numbers_are_saved(shown):
    title = 'A title with <signs> & "marks".'
    page = shown([HeatmapSeries([step([np.ones((2, 3))] * 2, "3.1")], "20", title, ["Plain", "Residual"])])
    for kind in ("PNG", "SVG"):
        with page.expect_download() as started:
            page.get_by_role("button", name=f"Save the picture as {kind}").click()
        assert started.value.suggested_filename == f"heatmaps-3.1.{kind.lower()}"
        content = started.value.path().read_bytes()
        if kind == "PNG":
            assert Image.open(io.BytesIO(content)).width > 532
        else:
            # Whole words, and an XML parser's word that signs were escaped.
            from xml.etree import ElementTree

            root = ElementTree.fromstring(content)
            words = " ".join(node.text or "" for node in root.iter() if node.tag.endswith("text"))
            assert title in words
            assert "+1.00 logits Red speaks for what is asked about, blue against it." in words
            assert "Grad-CAM at 3.1, eval mode. resnet_explore" in words
            assert len([node for node in root.iter() if node.tag.endswith("image")]) == 2, "and the bar"
    page.get_by_role("button", name="Save the numbers as NPZ").click()
    assert page.evaluate("window.asked") == [{"save": "numbers"}]


def test_it_fits_a_narrow_window(shown):
    page = shown(
        [HeatmapSeries([step([np.ones((2, 3))] * 2)] * 2, "", "Finding.", ["Plain", "Residual"])], width=360
    )
    card = page.locator(".rx-heatmaps")
    assert card.evaluate(
        "(e) => e.scrollWidth <= e.clientWidth && e.getBoundingClientRect().right <= innerWidth"
    )


def test_in_jupyterlab_keys_move_it_and_python_hears_of_it(rerun):
    rerun.page.wait_for_function("document.querySelector('.rx-canvas')?.dataset.drawn > 0")
    before = rerun.digest(CANVAS)
    rerun.press(".rx-heat-step", "ArrowRight")
    rerun.wait_changed(CANVAS, before)
    rerun.press(".rx-heat-depth", "End")
    rerun.page.wait_for_timeout(400)
    assert rerun.execute("print(view.depth, view.step)") == "1 2"
    with rerun.page.expect_download() as started:
        rerun.page.get_by_role("button", name="Save the numbers as NPZ").click()
    with np.load(started.value.path()) as saved:
        assert len(saved) == 15  # and what they are
        assert saved["1/1.3/Residual"].shape == (4, 6)
    assert re.fullmatch(r"heatmaps\.npz", started.value.suggested_filename)
