"""Uploads in a real JupyterLab: by button, drop and paste; small files untouched, large ones shrunk."""

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.stills import NO_STILLS

CELL = (
    NO_STILLS
    + """
from dataclasses import dataclass
import hashlib, io
from PIL import Image
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.view import Prose, View

got = []

@dataclass(frozen=True)
class State:
    image: str = "cat"

class PhotoExplorer(Explorer):
    State = State

    def __init__(self):
        self.images = Images()
        super().__init__()

    def act(self, name, detail, buffers):
        got.append((detail["name"], bytes(buffers[0]), detail["note"]))
        key = self.images.receive(detail, buffers)
        self.update(**({"image": key} if key else {}))

    def present(self, state, found):
        words = Prose("words", ["What stands below."])
        return View(ask=self.images.controls("image"), headline=self.images.picture(state.image).about, panels=[[words]])

explorer = PhotoExplorer()
explorer
"""
)


def jpeg():
    buffer = io.BytesIO()
    Image.effect_noise((60, 40), 50).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def zone(rerun):
    rerun.locator(".rx-upload").wait_for()
    return rerun


def choose(notebook, name, data, kind="image/jpeg"):
    notebook.locator(".rx-pick input").set_input_files({"name": name, "mimeType": kind, "buffer": data})


def wait_for(notebook, count):
    for _ in range(100):
        if int(notebook.execute("print(len(got))")) >= count:
            return
        notebook.page.wait_for_timeout(100)
    raise AssertionError(f"upload {count} never came")


def test_a_small_file_arrives_byte_for_byte_and_twice_if_chosen_twice(zone):
    data = jpeg()
    for count in (1, 2):
        choose(zone, "small.jpg", data)
        wait_for(zone, count)
        # Else a person's second choice of this file would be no change; Playwright's always is one.
        assert zone.locator(".rx-pick input").evaluate("(e) => e.value") == ""
    digests = zone.execute("print([hashlib.sha256(data).hexdigest() for _, data, _ in got])")
    assert digests == str([hashlib.sha256(data).hexdigest()] * 2)


def test_a_large_photo_is_shrunk_on_the_way_and_says_so(zone, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 3000, 3), np.uint8)
    huge = tmp_path / "huge.png"
    Image.fromarray(noise).save(huge, compress_level=1)
    assert huge.stat().st_size > 10 * 2**20, "more than the kernel's websocket takes"
    zone.locator(".rx-pick input").set_input_files(huge)
    wait_for(zone, 1)
    assert (
        zone.execute("print(Image.open(io.BytesIO(got[0][1])).size, len(got[0][1]) < 9e6)")
        == "(1600, 640) True"
    )
    expect(zone.locator(".rx-status")).to_contain_text("huge.png, 3000×1200, was shrunk to 1600×640")


MAKE_FILE = """(kind, encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], 'photo.jpg', { type: 'image/jpeg' }));
    const zone = document.querySelector('.rx-upload');
    const options = { bubbles: true, cancelable: true };
    if (kind === 'drop') zone.dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: transfer }));
    else zone.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: transfer }));
}"""


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_drop_and_paste(zone, how):
    data = jpeg()
    arguments = f"({MAKE_FILE})('{how}', '{base64.b64encode(data).decode()}')"
    zone.page.evaluate(arguments)
    wait_for(zone, 1)
    assert zone.execute("print(hashlib.sha256(got[0][1]).hexdigest())") == hashlib.sha256(data).hexdigest()


def test_what_is_no_image_is_said_below_and_text_is_ignored(zone):
    left_alone = zone.page.evaluate("""() => {
        const transfer = new DataTransfer();
        transfer.setData('text/plain', 'just words');
        return document.querySelector('.rx-upload').dispatchEvent(
            new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: transfer }));
    }""")
    assert left_alone
    choose(zone, "page.png", b"<html>no</html>", "image/png")
    expect(zone.locator(".rx-status.rx-bad")).to_contain_text("page.png is not an image")
    assert zone.execute("print(explorer.image)") == "cat"
    assert zone.execute("print(len(got))") == "1"
    choose(zone, "small.jpg", jpeg())
    wait_for(zone, 2)
    zone.page.wait_for_function("!document.querySelector('.rx-status').classList.contains('rx-bad')")


def test_a_large_photo_arrives_upright(zone):
    sideways = Image.new("RGB", (2400, 1200), "blue")
    sideways.paste("red", (0, 0, 1200, 1200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright: red comes on top
    buffer = io.BytesIO()
    sideways.save(buffer, "JPEG", exif=exif)
    choose(zone, "phone.jpg", buffer.getvalue())
    wait_for(zone, 1)
    arrived = base64.b64decode(zone.execute("import base64; print(base64.b64encode(got[0][1]).decode())"))
    with Image.open(io.BytesIO(arrived)) as photo:
        assert photo.size == (800, 1600)
        assert [photo.getpixel((400, y)) for y in (100, 1500)] == [
            pytest.approx((254, 0, 0), abs=3),
            pytest.approx((0, 0, 254), abs=3),
        ]
        assert photo.getexif().get(0x0112, 1) == 1


def test_what_can_be_neither_shrunk_nor_sent_is_refused_here(zone, tmp_path):
    scan = tmp_path / "scan.tiff"
    scan.write_bytes(b"II*\0" + bytes(9_000_000))
    zone.locator(".rx-pick input").set_input_files(scan)
    zone.locator(".rx-status.rx-bad").wait_for()
    said = zone.locator(".rx-status").inner_text()
    assert said.startswith("scan.tiff ")
    assert "9.0 MB" in said, "what is too large to be sent"
    choose(zone, "small.jpg", jpeg())
    wait_for(zone, 1)  # the connection is alive, and nothing else came
    assert zone.execute("print([name for name, _, _ in got])") == "['small.jpg']"


COPY = """async (encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })]);
}"""


def test_ctrl_v_on_the_zone_and_in_command_mode_but_not_in_an_editor(zone):
    buffer = io.BytesIO()
    Image.new("RGB", (31, 17), "teal").save(buffer, "PNG")
    zone.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    zone.page.evaluate(COPY, base64.b64encode(buffer.getvalue()).decode())
    zone.locator(".cm-content").first.click()
    zone.page.keyboard.press("ControlOrMeta+V")
    zone.page.wait_for_timeout(500)
    assert zone.execute("print(len(got))") == "0"
    zone.locator(".rx-upload").click(position={"x": 8, "y": 8})
    zone.page.keyboard.press("ControlOrMeta+V")
    wait_for(zone, 1)
    assert zone.execute("print(Image.open(io.BytesIO(got[0][1])).size)") == "(31, 17)"
    zone.locator(".jp-InputPrompt").first.click()
    zone.page.keyboard.press("ControlOrMeta+V")
    wait_for(zone, 2)
    assert zone.page.evaluate("window.jupyterapp.shell.currentWidget.content.model.cells.length") == 1


def test_the_button_has_a_name_and_opens_by_key(zone):
    button = zone.page.get_by_role("button", name="Choose files", exact=True)
    for key in ("Enter", "Space"):
        with zone.page.expect_file_chooser(timeout=5000):
            button.press(key)
    zone.screenshot("upload")


def test_an_error_fits_a_narrow_dark_window(run_cell):
    notebook = run_cell(CELL, "dark", 420)
    notebook.locator(".rx-upload").wait_for()
    prose = notebook.locator(".rx-prose")
    before = prose.bounding_box()
    choose(
        notebook, "IMG_20260412_the_name_of_a_file_that_nobody_would_read_out_aloud.png", b"junk", "image/png"
    )
    notebook.locator(".rx-status.rx-bad").wait_for()
    assert prose.bounding_box() == before, "what lies below stays where it is"
    card = notebook.locator(".rx-page")
    assert card.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    around = notebook.locator(".jp-OutputArea-output").filter(has=card)
    assert around.evaluate("(e) => e.scrollWidth <= e.clientWidth")
    notebook.screenshot("upload-error-dark-420", ".rx-page")
    notebook.assert_clean()


def test_many_photos_stand_in_one_row_that_can_be_gone_through_by_keys(zone):
    prose = zone.locator(".rx-prose")
    before = prose.bounding_box()
    files = []
    for k in range(14):
        buffer = io.BytesIO()
        Image.new("RGB", (60, 40), (17 * k, 80, 120)).save(buffer, "JPEG")
        files.append({"name": f"{k}.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()})
    zone.locator(".rx-pick input").set_input_files(files)
    wait_for(zone, 14)
    thumbs = zone.locator(".rx-thumb")
    thumbs.nth(20).wait_for()
    expect(zone.locator(".rx-status")).to_have_text("14 of 14 photos arrived.")
    assert prose.bounding_box()["y"] == before["y"], "uploads push nothing down"
    last = zone.locator(".rx-thumb[aria-checked=true]")
    assert last.get_attribute("title") == "your photo 13.jpg"
    assert last.evaluate(
        "(node) => node.getBoundingClientRect().right <= node.parentElement.getBoundingClientRect().right"
    )
    last.press("Home")
    zone.page.locator(".rx-headline", has_text="Chelsea").wait_for()
    zone.locator(".rx-thumb[aria-checked=true]").press("ArrowLeft")
    zone.page.locator(".rx-headline", has_text="13.jpg").wait_for()
