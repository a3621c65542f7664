"""Notebook 05 in a real JupyterLab: tiles are sorted, enlarged and read, by mouse and by keys."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from resnet_explore.inputs.images import sample_photos
from tests.browser import pictures

BLOCK, TILES, READOUT = ".rx-block >> nth=0", ".rx-tiles >> nth=0", ".rx-readout >> nth=0"
DEPTH = ".rx-depth >> nth=0"

FRAMES = """() => {
    const card = document.querySelector('.rx-mosaics'), at = (name) => card.querySelector(name);
    window.frames_seen = [];
    const look = () => {
        const late = at('.rx-curves').classList.contains('rx-late');
        window.frames_seen.push([at('.rx-panel-heading').textContent, at('.rx-caption').textContent,
            at('.rx-chart').getAttribute('aria-label'), late, at('.rx-curves').offsetHeight,
            at('.rx-measuring').offsetHeight > 0]);
        window.looking = requestAnimationFrame(look);
    };
    look();
}"""

INSIDE = """() => {
    const card = document.querySelector('.rx-mosaics').getBoundingClientRect();
    return [...document.querySelectorAll('.rx-mosaics .rx-chart')[0].children].map((panel) => {
        const box = panel.getBoundingClientRect();
        return box.width > 100 && box.left >= card.left && box.right <= card.right;
    });
}"""


def opened(open_notebook, what="notebooks/05_feature_maps.ipynb"):
    found = open_notebook(what, height=1500)
    found.run_all()
    found.show_first_code()
    found.page.locator(".rx-chart-picture").first.wait_for(timeout=60_000)
    return found


def title(notebook):
    return notebook.locator(".rx-mosaics .rx-title").first.inner_text().replace("\u00a0", " ")


def test_slide_sort_enlarge_read_and_save(open_notebook):
    notebook = opened(open_notebook)
    pictures.assert_up_to_date("feature_maps", notebook)
    page, card = notebook.page, notebook.locator(".rx-mosaics").first
    assert title(notebook).startswith("layer1.0: ")
    seen = {notebook.digest(TILES)}
    for _ in range(8):
        notebook.press(BLOCK, "ArrowRight")
        seen.add(notebook.digest(TILES))
    assert len(seen) == 9, "a picture for each block, and all without the kernel"
    assert title(notebook).startswith("layer3.2: ")
    page.wait_for_timeout(400)
    assert notebook.execute("print(explorer.mosaics.index)") == "8"
    before = notebook.digest(TILES)
    assert card.get_by_label("Sort", exact=True).locator("option").all_inner_texts()[0] == (
        "by activation, both together"
    )
    card.get_by_label("Sort", exact=True).press("ArrowDown")
    notebook.wait_changed(TILES, before, timeout=10)
    assert card.get_by_label("Sort", exact=True).input_value() == "difference"
    notebook.press(DEPTH, "ArrowRight")
    assert title(notebook).startswith("layer"), "as deep into the deeper network"
    assert card.get_by_text("Plain-20", exact=True).count() == 0
    notebook.press(DEPTH, "ArrowLeft")
    assert title(notebook).startswith("layer3.2: ")
    notebook.screenshot("05_feature_maps")
    page.set_viewport_size({"width": 620, "height": 1500})
    page.wait_for_timeout(300)
    panels = page.evaluate(INSIDE)
    assert len(panels) == 5
    assert all(panels), "no curve leaves the card in a narrow window"
    page.set_viewport_size({"width": 1280, "height": 1500})

    notebook.locator(TILES).press("ArrowRight")
    notebook.locator(TILES).press("ArrowRight")
    channel = int(re.match(r"Channel (\d+)\.", notebook.locator(READOUT).inner_text())[1])
    notebook.locator(TILES).press("Enter")
    page.wait_for_function(
        "document.querySelector('.rx-mosaics').dataset.exact !== undefined", timeout=20_000
    )
    notebook.locator(TILES).press("ArrowRight")
    said = notebook.locator(READOUT).inner_text()
    assert said.startswith(f"Channel {channel}, row 4, column 4 · Plain-20: "), said
    assert "the 81×81 pixels in the green box, as far as the image reaches" in said
    exact = notebook.execute(
        f"print([float(m[4, 4]) for m in explorer.exact('maps', explorer.mosaics.depth, 8, {channel})])"
    )
    values = [float(v.replace("−", "-")) for v in re.findall(r"20: (−?\d+(?:\.\d+)?(?:e−\d+)?)", said)]
    assert values == pytest.approx(eval(exact), rel=0.01, abs=1e-6)
    assert "≈" not in said
    # The values of the two networks at the place under the mouse: the upper left corner.
    box = notebook.locator(TILES).bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    assert f"Channel {channel}, row 0, column 0" in notebook.locator(READOUT).inner_text()
    notebook.screenshot("05_feature_maps-enlarged")
    notebook.locator(TILES).press("Escape")
    assert "all channels" not in card.locator("button:visible").all_inner_texts()

    card.get_by_label("Show", exact=True).select_option("parts")
    assert "the branch adds" in title(notebook)
    card.get_by_label("Show", exact=True).select_option("filters")
    assert title(notebook) == "The first layer: 16 filters of 3×3."
    assert "to see it large and read its weights" in notebook.locator(READOUT).inner_text()
    notebook.locator(TILES).press("Enter")
    page.wait_for_function(
        "document.querySelector('.rx-mosaics').dataset.exact.startsWith('filters/')", timeout=20_000
    )
    box = notebook.locator(TILES).bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    said = notebook.locator(READOUT).inner_text()
    channel = int(re.match(r"Channel (\d+), row 1, column 0 · ", said)[1])
    weights = f"s.model.conv1.weight[{channel}, :, 1, 0].tolist()"
    exact = f"sum(({weights} for s in explorer.scenes[explorer.mosaics.depth].subjects), [])"
    values = [
        float(v.replace("−", "-"))
        for v in re.findall(r"(?:red|green|blue) (−?\d+(?:\.\d+)?(?:e−\d+)?)", said)
    ]
    assert values == pytest.approx(eval(notebook.execute(f"print({exact})")), rel=0.01, abs=1e-6)
    notebook.screenshot("05_feature_maps-filter")
    notebook.locator(TILES).press("Escape")
    sort = card.get_by_label("Sort", exact=True)
    assert (
        sort.evaluate(
            "s => { const shown = s.offsetWidth; s.style.minWidth = 'max-content'; const whole = s.offsetWidth;"
            " s.style.minWidth = ''; return whole - shown; }"
        )
        <= 0
    ), "the menu's text is cut off"
    notebook.screenshot("05_feature_maps-filters")
    card.get_by_label("Show", exact=True).select_option("maps")

    buffer = io.BytesIO()
    sample_photos()["rocket"].load().resize((300, 200)).save(buffer, "JPEG")
    before = notebook.digest(TILES)
    notebook.locator(".rx-pick input").first.set_input_files(
        {"name": "launch.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
    )
    notebook.wait_changed(TILES, before, timeout=20)
    assert "your photo launch.jpg" in notebook.locator(".rx-mosaics .rx-caption").first.inner_text()
    save = page.locator("button.jupyter-button", has_text="Save").first
    height = card.bounding_box()["height"]
    card.get_by_label("Sort", exact=True).select_option("channel")
    save.press("Enter")  # at once, so that the click overtakes the new order on its way to the kernel
    said = page.get_by_text("in the folder of this notebook", exact=False)
    said.wait_for(timeout=20_000)
    assert abs(said.bounding_box()["y"] - save.bounding_box()["y"]) < 40, "beside the button"
    assert card.bounding_box()["height"] == height
    saved = notebook.server.root / "notebooks" / "feature_maps.png"
    assert saved.stat().st_size > 10_000
    with Image.open(saved) as picture:
        assert "Tiles row by row by channel." in picture.info["Description"]
    saved.unlink()
    # The DenseNet further down works too: its picture is no blank card.
    other = notebook.pixels(".rx-mosaics >> nth=1 >> .rx-tiles >> nth=0")
    assert np.ptp(other[..., :3].reshape(-1, 3).astype(int).sum(1)) > 300
    notebook.assert_clean()


ALONE = "import resnet_explore as rx\nexplorer = rx.FeatureMapExplorer()\nexplorer"


def test_no_curve_of_the_last_networks_stands_under_the_new_ones(open_notebook):
    notebook = opened(open_notebook, [ALONE])
    page = notebook.page
    page.evaluate(FRAMES)
    old = page.evaluate("window.frames_seen[0]")
    digits = "next(n for n in explorer.exhibit.options if n.startswith('Digits'))"
    notebook.execute(f"explorer.exhibit.value = {digits}", timeout=120)
    page.wait_for_function(
        "([old]) => { const [, caption, words, late] = window.frames_seen.at(-1);"
        " return caption.includes('digits') && words !== old && !late; }",
        arg=[old[2]],
        timeout=60_000,
    )
    frames = page.evaluate("cancelAnimationFrame(window.looking), window.frames_seen")
    new = [frame for frame in frames if "digits" in frame[1]]
    assert all(frame[2] != old[2] for frame in new)
    assert all((frame[2] == "Measuring the curves …") == frame[3] == frame[5] for frame in frames)
    assert any(frame[3] for frame in new), "while they were measured, that was said"
    assert {frame[4] for frame in frames} == {old[4]}, "nothing jumps"
    notebook.assert_clean()


TWO = """
import torch, resnet_explore as rx
from torch import nn
torch.manual_seed(0)
halves = nn.Sequential(nn.Conv2d(3, 9, 3, 2, 1), nn.Tanh())
keeps = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
explorer = rx.FeatureMapExplorer({"keeps": keeps, "halves": halves}, torch.randn(1, 3, 40, 72))
explorer
"""


def test_maps_of_two_sizes_are_read_at_one_place_of_a_wide_image(open_notebook):
    notebook = open_notebook([TWO], height=1200)
    notebook.run_all()
    page = notebook.page
    page.locator(".rx-chart-picture").first.wait_for(timeout=60_000)
    notebook.execute("explorer.mosaics.channel = 3")
    page.wait_for_function("document.querySelector('.rx-mosaics').dataset.exact === 'maps/0/0/3'")
    box = notebook.locator(TILES).bounding_box()
    # The canvas is square, and the image, 72 wide and 40 high, lies in its upper part.
    unit = box["width"] / 72
    page.mouse.move(box["x"] + 61.5 * unit, box["y"] + 13.5 * unit)
    said = notebook.locator(READOUT).inner_text()
    assert said.startswith("Channel 3 · keeps, row 13, column 61: "), said
    assert "halves, row 6, column 30: " in said, said
    values = [float(v.replace("−", "-")) for v in re.findall(r"column \d+: (−?\d+(?:\.\d+)?)", said)]
    exact = "[m[r, c] for m, r, c in zip(explorer.exact('maps', 0, 0, 3), (13, 6), (61, 30))]"
    assert values == pytest.approx(eval(notebook.execute(f"print([float(v) for v in {exact}])")), rel=0.01)
    notebook.execute("explorer.mosaics.channel = 12")
    page.get_by_text("There is no channel 12 here, only 9.").wait_for(timeout=10_000)
    notebook.assert_clean()
