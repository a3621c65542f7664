"""Notebook 05 in a real JupyterLab: tiles are sorted, enlarged and read, by mouse and by keys."""

import io
import re
import statistics

import numpy as np
import pytest
from PIL import Image

from resnet_explore.inputs.images import sample_photos
from resnet_explore.widgets.feature_maps.captions import ORDERS, TOGETHER
from tests.browser import pictures
from tests.browser.stills import NO_STILLS

CARD = ".rx-page >> nth=0"
TILES, READOUT = f"{CARD} >> .rx-sheet >> nth=0", f"{CARD} >> .rx-readout"
BLOCK, DEPTH = f"{CARD} >> .rx-step >> nth=0", f"{CARD} >> .rx-step >> nth=1"


def drawn(notebook):
    """Wait until the picture stands there and all is computed."""
    notebook.locator(f"{CARD} >> .rx-plot").first.wait_for(timeout=60_000)
    settle(notebook)
    return notebook


def settle(notebook):
    """Wait until the kernel has computed all that is wanted, and the page has it."""
    assert notebook.execute("print(explorer.wait(60))", timeout=90) == "True"
    notebook.page.wait_for_timeout(300)


def headline(notebook):
    return notebook.locator(f"{CARD} >> .rx-headline").inner_text().replace("\u00a0", " ")


def exact(notebook, **place):
    """Wait until exact values of this place have come."""
    notebook.page.wait_for_function(
        """([place]) => {
            const of = JSON.parse(document.querySelector('.rx-tiles').dataset.exact || '{}');
            return Object.entries(place).every(([field, value]) => of[field] === value);
        }""",
        arg=[place],
        timeout=20_000,
    )


def numbers(text, before):
    found = re.findall(rf"{before}(−?\d+(?:\.\d+)?(?:e−\d+)?)", text)
    return [float(value.replace("−", "-")) for value in found]


def place(said):
    """Return channel, row and column of what is read out, where all networks are read at one."""
    return [int(number) for number in re.findall(r"\d+", said.partition(" · ")[0])]


def test_slide_sort_enlarge_read_and_save(open_notebook):
    notebook = open_notebook("notebooks/05_feature_maps.ipynb", height=1500)
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.execute("heatmaps.view = 'parts'")  # without a verdict on each block that is passed
    notebook.show_first_code()
    notebook.skip_question()
    drawn(notebook)
    pictures.assert_up_to_date("feature_maps", notebook)
    page, card = notebook.page, notebook.locator(CARD)
    assert headline(notebook).startswith("Block 1 on")
    seen, sent = {notebook.digest(TILES)}, notebook.execute("print(explorer._count)")
    for _ in range(8):
        notebook.press(BLOCK, "ArrowRight")
        seen.add(notebook.digest(TILES))
    assert len(seen) == 9, "a picture for each block"
    assert headline(notebook).startswith("Block 9 on")
    notebook.wait_printed("explorer.block", "9")
    assert notebook.execute("print(explorer._count)") == sent, "all without the kernel"
    sort = card.get_by_label("Sort", exact=True)
    assert sort.locator("option").all_inner_texts()[0] == f"{ORDERS[0].label}, {TOGETHER}"
    before = notebook.digest(TILES)
    sort.press("ArrowDown")
    notebook.wait_changed(TILES, before, timeout=10)
    assert sort.input_value() == "difference"
    notebook.press(DEPTH, "ArrowRight")
    assert headline(notebook).startswith("Block 15 on"), "as deep into the deeper network"
    assert card.locator(".rx-sheet-heading").all_inner_texts() == ["Plain-32", "Residual-32"]
    notebook.press(DEPTH, "ArrowLeft")
    assert headline(notebook).startswith("Block 9 on")
    card.locator(".rx-plot").first.scroll_into_view_if_needed()
    plot = card.locator(".rx-plot").first.bounding_box()
    page.mouse.click(plot["x"] + plot["width"] * 0.6, plot["y"] + plot["height"] * 0.5)
    assert not headline(notebook).startswith("Block 9 on"), "a click on a curve goes to that block"
    notebook.press(BLOCK, "End")

    notebook.locator(TILES).press("ArrowRight")
    notebook.locator(TILES).press("ArrowRight")
    channel = int(re.match(r"Channel (\d+)\.", notebook.locator(READOUT).inner_text())[1])
    notebook.locator(TILES).press("Enter")
    exact(notebook, channel=channel, block=9, view="maps")
    notebook.locator(TILES).press("ArrowRight")
    said = notebook.locator(READOUT).inner_text()
    assert place(said) == [channel, 4, 4], said
    assert re.search("81×81 .* reaches", said), "its field, which goes beyond the image"
    maps = "explorer.page.aside['tiles']['maps']"
    found = eval(notebook.execute(f"print([float(m[4, 4]) for m in {maps}])"))
    assert re.findall(r"(\S+): ", said) == ["Plain-20", "Residual-20"]
    assert numbers(said, "20: ") == pytest.approx(found, rel=0.01, abs=1e-6)
    assert "≈" not in said
    # The values of the two networks at the place under the mouse: the upper left corner of the image.
    box = notebook.locator(TILES).bounding_box()
    left = max(0, box["width"] - box["height"]) / 2
    page.mouse.move(box["x"] + left + 4, box["y"] + 4)
    assert place(notebook.locator(READOUT).inner_text()) == [channel, 0, 0]
    notebook.screenshot("05_feature_maps-enlarged")
    notebook.locator(TILES).press("Escape")
    assert "all channels" not in card.locator("button:visible").all_inner_texts()

    card.get_by_role("tab", name="Skip and branch").click()
    card.get_by_text("F(x): what the branch adds").wait_for(timeout=20_000)
    assert card.locator(".rx-sheet:visible").count() == 3
    assert "the branch adds" in headline(notebook)
    notebook.locator(TILES).press("Enter")
    exact(notebook, view="parts")
    notebook.locator(TILES).press("ArrowRight")
    x, f, both = numbers(notebook.locator(READOUT).inner_text(), r"(?:carries|adds|sum): ")
    assert x + f == pytest.approx(both, abs=0.02 * max(abs(x), abs(f)))
    notebook.locator(TILES).press("Escape")
    card.get_by_role("tab", name="First layer").click()
    card.get_by_text("The first layer: 16 filters of 3×3.").wait_for(timeout=20_000)
    assert "weights" in notebook.locator(READOUT).inner_text(), "which lie over no image"
    notebook.locator(TILES).press("Enter")
    exact(notebook, view="filters")
    notebook.locator(TILES).press("ArrowRight")
    said = notebook.locator(READOUT).inner_text()
    channel, *at = place(said)
    assert at == [1, 1]
    weights = f"s.model.conv1.weight[{channel}, :, 1, 1].tolist()"
    found = eval(notebook.execute(f"print(sum(({weights} for s in explorer.scene.networks), []))"))
    assert numbers(said, "(?:red|green|blue) ") == pytest.approx(found, rel=0.01, abs=1e-6)
    notebook.locator(TILES).press("Escape")
    card.get_by_role("tab", name="Feature maps").click()
    card.locator(".rx-headline", has_text="on this image").wait_for(timeout=20_000)

    buffer = io.BytesIO()
    sample_photos()["rocket"].load().resize((300, 200)).save(buffer, "JPEG")
    before = notebook.digest(TILES)
    card.locator(".rx-upload input").set_input_files(
        {"name": "launch.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
    )
    notebook.wait_changed(TILES, before, timeout=20)
    assert "launch.jpg" in notebook.execute("print(explorer.page.conditions)")
    for suffix, words in ((".png", "PNG, the picture"), (".npz", "NPZ, the arrays")):
        card.get_by_text("Save", exact=True).click()
        with page.expect_download() as download:
            card.get_by_role("button", name=words).click()
        assert download.value.suggested_filename == f"feature_map_explorer{suffix}"
        data = download.value.path().read_bytes()
    with np.load(io.BytesIO(data)) as arrays:
        assert arrays["Residual-20/layer3.2/branch"].shape == (64, 8, 8)
    # The DenseNet further down works too: its picture is no blank card.
    page.locator(".rx-page >> nth=2").scroll_into_view_if_needed()
    other = notebook.pixels(".rx-page >> nth=2 >> .rx-sheet >> nth=0")
    assert np.ptp(other[..., :3].reshape(-1, 3).astype(int).sum(1)) > 300
    notebook.assert_clean()


ALONE = f"{NO_STILLS}import resnet_explore as rx\nexplorer = rx.FeatureMapExplorer()\nexplorer"

# From a key on the block slider to new tiles, which are drawn inside of the event.
_PRESSES = """async () => {
    const slider = document.querySelector('.rx-step'), tiles = document.querySelector('.rx-sheet'), times = [];
    for (let k = 0; k < 30; k++) {
        const before = tiles.dataset.drawn, start = performance.now();
        slider.value = String((Number(slider.value) + 1) % 9);
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        while (tiles.dataset.drawn === before) await new Promise(requestAnimationFrame);
        times.push(performance.now() - start);
        await new Promise((done) => setTimeout(done, 30));
    }
    return times;
}"""


def test_sliders_are_seen_with_the_tiles_and_answer_within_a_frame(run_cell):
    notebook = drawn(run_cell(ALONE))
    card = notebook.locator(CARD)
    card.evaluate("(node) => node.scrollIntoView({ block: 'start' })")
    room = notebook.page.locator(".jp-WindowedPanel-outer").bounding_box()
    for selector in (TILES, BLOCK, DEPTH):
        box = notebook.locator(selector).bounding_box()
        assert room["y"] <= box["y"] < box["y"] + box["height"] <= room["y"] + room["height"], selector
    times = notebook.page.evaluate(_PRESSES)
    print(f"from slider to tiles: median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms")
    assert statistics.median(times) < 16, times
    notebook.assert_clean()


def test_new_networks_while_the_page_stays_alive(run_cell):
    notebook = drawn(run_cell(ALONE, height=1500))
    page, card = notebook.page, notebook.locator(CARD)
    before = card.bounding_box()["height"]
    card.get_by_label("Networks").select_option(label="Digits twins, 8 to 110 layers")
    notebook.press(BLOCK, "ArrowRight")  # what stands there still answers, dimmed
    assert headline(notebook).startswith("Block 2 on")
    card.get_by_label("Image", exact=True).wait_for(timeout=30_000)
    note = card.locator(".rx-note", has_text=re.compile(r"\b8\D+8×8"))
    note.wait_for(timeout=30_000)  # how many maps of which size
    assert abs(card.bounding_box()["height"] - before) < 4, "nothing jumps"
    page.set_viewport_size({"width": 460, "height": 1500})
    page.wait_for_timeout(300)
    beyond = card.evaluate(
        """(node) => [...node.querySelectorAll('canvas, select, input, .rx-plot, button')]
            .filter((part) => part.checkVisibility() && !part.closest('.rx-strip'))
            .filter((part) => part.getBoundingClientRect().right > node.getBoundingClientRect().right)
            .map((part) => part.className?.baseVal ?? part.className)"""
    )
    assert beyond == [], "nothing leaves the page in a narrow window"
    notebook.assert_clean()


TWO = f"""{NO_STILLS}
import torch, resnet_explore as rx
from torch import nn
torch.manual_seed(0)
halves = nn.Sequential(nn.Conv2d(3, 9, 3, 2, 1), nn.Tanh())
keeps = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
explorer = rx.FeatureMapExplorer({{"keeps": keeps, "halves": halves}}, torch.randn(1, 3, 40, 72))
explorer
"""


def test_maps_of_two_sizes_are_read_at_one_place_of_a_wide_image(run_cell):
    notebook = drawn(run_cell(TWO, height=1200))
    page = notebook.page
    notebook.execute("explorer.channel = 3")
    exact(notebook, channel=3)
    box = notebook.locator(TILES).bounding_box()
    unit = min(box["width"] / 72, box["height"] / 40)
    left = (box["width"] - 72 * unit) / 2
    page.mouse.move(box["x"] + left + 61.5 * unit, box["y"] + 13.5 * unit)
    said = notebook.locator(READOUT).inner_text()
    assert place(said) == [3], said
    found = re.findall(r"(\w+), row (\d+), column (\d+): ", said)
    assert found == [("keeps", "13", "61"), ("halves", "6", "30")], said
    maps = "explorer.page.aside['tiles']['maps']"
    found = f"[float(m[r, c]) for m, r, c in zip({maps}, (13, 6), (61, 30))]"
    values = eval(notebook.execute(f"print({found})"))
    assert numbers(said, r"column \d+: ") == pytest.approx(values, rel=0.01)
    notebook.execute("explorer.channel = 12")
    page.get_by_text("There is no channel 12 here, only 9.").wait_for(timeout=10_000)
    notebook.assert_clean()


def test_the_picture_that_is_saved_is_what_the_page_shows_now(run_cell):
    notebook = run_cell(ALONE, height=1500)
    card = notebook.locator(CARD)
    card.locator(".rx-plot").first.wait_for(timeout=60_000)
    notebook.press(BLOCK, "End")
    card.get_by_text("Save", exact=True).click()
    with notebook.page.expect_download() as download:  # at once: the move is still on its way
        card.get_by_role("button", name="PNG, the picture").click()
    with Image.open(download.value.path()) as picture:
        assert picture.info["Title"].startswith("Block 9 on")
