"""Uploads in a real JupyterLab: by button, drop and paste; small files untouched, large ones shrunk."""

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

CELL = """
import hashlib, io
from PIL import Image
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.upload import UploadZone

got = []
zone = UploadZone()

def take(name, data, note):
    got.append((name, data, note))
    if not data.startswith((b"\\xff\\xd8", b"\\x89PNG")):
        raise ExploreError(f"{name} is not an image.")

zone.on_upload(take)
zone
"""


def jpeg():
    buffer = io.BytesIO()
    Image.effect_noise((60, 40), 50).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def zone(open_notebook):
    notebook = open_notebook([CELL])
    notebook.run_all()
    notebook.locator(".rx-zone").wait_for()
    return notebook


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
    digests = zone.execute("print([hashlib.sha256(data).hexdigest() for _, data, _ in got])")
    assert digests == str([hashlib.sha256(data).hexdigest()] * 2)
    zone.assert_clean()


def test_a_large_photo_is_shrunk_on_the_way_and_says_so(zone):
    noise = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    assert len(buffer.getvalue()) > 10e6
    choose(zone, "huge.png", buffer.getvalue(), "image/png")
    wait_for(zone, 1)
    assert (
        zone.execute("print(Image.open(io.BytesIO(got[0][1])).size, len(got[0][1]) < 9e6)")
        == "(1600, 1067) True"
    )
    status = zone.locator(".rx-status").inner_text()
    assert "huge.png, 3000×2000, was shrunk to 1600×1067" in status
    zone.assert_clean()


MAKE_FILE = """(kind, encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], 'photo.jpg', { type: 'image/jpeg' }));
    const zone = document.querySelector('.rx-zone');
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
    zone.assert_clean()


def test_what_is_no_image_is_said_below_and_text_is_ignored(zone):
    zone.page.evaluate("""() => {
        const transfer = new DataTransfer();
        transfer.setData('text/plain', 'just words');
        document.querySelector('.rx-zone').dispatchEvent(
            new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: transfer }));
    }""")
    choose(zone, "page.png", b"<html>no</html>", "image/png")
    zone.locator(".rx-status.rx-bad").wait_for()
    assert zone.locator(".rx-status").inner_text() == "page.png is not an image."
    assert zone.execute("print(len(got))") == "1"
    choose(zone, "small.jpg", jpeg())
    wait_for(zone, 2)
    zone.page.wait_for_function("!document.querySelector('.rx-status').classList.contains('rx-bad')")
    zone.assert_clean()
