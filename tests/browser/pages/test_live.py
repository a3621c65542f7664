"""The live page as it is served: it is drawn on, photos are dropped, blocks go, and answers are torch's."""

import base64
import io
import re
from functools import cache

import numpy as np
import pytest
import torch
from axe_playwright_python.base import AXE_SCRIPT
from PIL import Image
from playwright.sync_api import expect

import resnet_explore as rx
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.errors import ExploreError
from resnet_explore.inputs.images import sample_photos, square_crop, standardise
from resnet_explore.pages.live.runtime import fetch_runtime
from resnet_explore.pages.live.write import ENTRY, write_live
from resnet_explore.paths import PACKAGE
from resnet_explore.widgets.browser.bundle import bundle
from tests.browser.pages.test_accessibility import _FIND
from tests.browser.served import served
from tests.widgets.pages import assert_kept

THREE = [
    [(0.33, 0.2), (0.45, 0.14), (0.6, 0.2), (0.64, 0.33), (0.55, 0.44), (0.44, 0.48)],
    [(0.44, 0.48), (0.6, 0.54), (0.68, 0.68), (0.6, 0.82), (0.45, 0.86), (0.3, 0.8)],
]
EIGHT = [
    [(0.5 + 0.17 * np.sin(a), 0.32 - 0.16 * np.cos(a)) for a in np.linspace(0, 6.3, 10)],
    [(0.5 + 0.21 * np.sin(a), 0.66 - 0.18 * np.cos(a)) for a in np.linspace(0, 6.3, 10)],
]
_KERNEL = "document.querySelector('.rx-page').explorer.model"
# What stands on the page, once nothing is being computed: the pixels, and both networks' numbers.
_ANSWER = f"""async () => {{
    const kernel = {_KERNEL}, {{ values }} = kernel;
    while (kernel.answering) await new Promise((done) => setTimeout(done, 5));
    const input = await kernel.inputs.find(values.input);
    const given = await kernel.run(kernel.networks[`${{values.kind}}-${{values.depth}}`], input, values);
    return {{
        pixels: [...input.pixels.data], shape: input.pixels.shape, logits: given.map(({{ logits }}) => [...logits]),
        maps: values._view.tree.panels[0][2].steps.maps.map(({{ values }}) => [...values.data]),
        edit: [values.deleted, values.cut, values.skip], headline: document.querySelector('.rx-headline').textContent,
    }};
}}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    try:
        runtime = fetch_runtime()
    except ExploreError as missing:  # the registry can't be reached from everywhere that tests run
        pytest.skip(str(missing))
    write_live(folder, runtime)
    return folder


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def context(browser_context):
    """Pages of their own, which reach no other machine."""
    context = browser_context.browser.new_context()
    context.asked = []
    context.on("request", lambda request: context.asked.append(request.url))
    yield context
    context.close()


@pytest.fixture(scope="module")
def shared(context, address):
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    page.locator(".rx-outcome").wait_for(timeout=60_000)
    page.first = answer(page)
    return page


@pytest.fixture
def page(shared):
    """The page with 56 layers, a held-out 7, nothing changed."""
    shared.evaluate(
        """() => {
            history.replaceState(null, "", "#depth=56&deleted=[]");
            window.dispatchEvent(new HashChangeEvent("hashchange"));
        }"""
    )
    found = answer(shared)
    assert found["edit"] == [[], [], 1]
    assert found["headline"].startswith("A 7")
    return shared


def answer(page):
    return page.evaluate(_ANSWER)


@cache
def built(kind, depth, data):
    return rx.build(f"cifar_{kind}{depth}", weights=data).eval()


def by_torch(found, data, depth, blocks=(), skip=None):
    """What torch makes of the pixels that the page has, with both twins."""
    pixels, logits = np.array(found["pixels"], np.uint8).reshape(found["shape"]), []
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    for kind in ("plain", "resnet"):
        network = built(kind, depth, data)
        image = standardise(torch.from_numpy(pixels)[None], network.about["mean"], network.about["std"])
        known = blocks_of(network)
        out = [known[k - 1].name for k in blocks if known[k - 1].can_go]
        factors = {"*" if k == 0 else known[k - 1].name: v for k, v in (skip or {}).items()}
        with torch.no_grad(), rx.edited(network, delete=out, skip=factors if kind == "resnet" else {}):
            logits.append(network(image)[0].numpy())
    return logits


def agrees(found, data, depth, **edit):
    for ours, torchs in zip(found["logits"], by_torch(found, data, depth, **edit), strict=True):
        assert np.abs(np.array(ours) - torchs).max() < 1e-3


def draw(page, strokes):
    box = page.locator(".rx-pad-canvas").bounding_box()
    for stroke in strokes:
        for k, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if not k:
                page.mouse.down()
        page.mouse.up()


def drop(page, name, content):
    """Drop a file in the middle of the page."""
    page.evaluate(
        """([name, text]) => {
            const files = new DataTransfer();
            files.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
            for (const type of ['dragover', 'drop']) document.querySelector('.rx-cuts').dispatchEvent(
                new DragEvent(type, { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        [name, base64.b64encode(content).decode()],
    )


def png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def test_the_first_view_makes_its_point_and_nothing_is_asked_of_others(page, context, address):
    assert page.first["headline"] == "Block 5 deleted: plain now says 8, residual still 7."
    agrees(page.first, "digits", 20, blocks=[5])
    found = answer(page)
    assert found["headline"].replace("\u00a0", " ") == "A 7: plain says 1 (47 %), residual says 7 (100 %)."
    agrees(found, "digits", 56)
    assert "Your photo never leaves this page." in page.locator(".rx-lead").inner_text()
    assert [url for url in context.asked if not url.startswith((address, "data:", "blob:"))] == []


@pytest.mark.parametrize(("digit", "strokes"), [("3", THREE), ("8", EIGHT)])
def test_a_drawn_digit_is_known(page, digit, strokes):
    draw(page, strokes)
    found = answer(page)
    assert f"esidual says {digit} " in found["headline"].replace("\u00a0", " ")
    ink = np.array(found["pixels"]).reshape(8, 8)
    assert ink.any(1).all(), "it fills the height, as those of the training do"
    assert 60 < ink.mean() < 100
    agrees(found, "digits", 56)
    page.get_by_role("button", name="Clear").click()
    assert answer(page)["headline"].startswith("A 7")


def test_a_digit_is_drawn_by_keys(page):
    page.locator(".rx-pad-canvas").focus()
    for key in (" ", *["ArrowDown"] * 12, " "):
        page.keyboard.press(key)
    found = answer(page)
    assert np.array(found["pixels"]).reshape(8, 8).any(0).tolist() == [False] * 2 + [True] * 4 + [False] * 2
    assert "residual" in found["headline"]


def test_dial_cuts_and_deleted_blocks_are_live_and_torchs(page):
    page.get_by_role("slider", name="Layers").press("Home")
    agrees(answer(page), "digits", 20)
    blocks = page.locator(".rx-cut-block")
    blocks.nth(4).click()
    found = answer(page)
    assert found["headline"].startswith("Block 5 deleted: plain ")
    agrees(found, "digits", 20, blocks=[5])
    blocks.nth(9 + 3).focus()
    page.keyboard.press("Enter")  # the fourth block changes the shape: in the plain network it stays
    blocks.nth(9 + 6).focus()
    page.keyboard.press("x")
    dial = page.get_by_role("slider", name="All skips ×")
    for _ in range(4):
        dial.press("ArrowLeft")
    found = answer(page)
    assert found["edit"] == [[4, 5], [7], 0.8]
    assert found["headline"].startswith("4 changes: plain (keeps 1) ")
    agrees(found, "digits", 20, blocks=[4, 5], skip={0: 0.8, 7: 0.0})
    page.get_by_role("button", name="Reset").click()
    found = answer(page)
    assert found["edit"] == [[], [], 1]
    agrees(found, "digits", 20)


def test_the_maps_add_up_to_the_answers_score(page):
    found = answer(page)
    for kind, logits, values in zip(("plain", "resnet"), found["logits"], found["maps"], strict=True):
        bias = built(kind, 56, "digits").fc.bias.detach().numpy()
        first = int(np.argmax(logits))
        assert abs(sum(values) + bias[first] - logits[first]) < 1e-3


def test_the_newest_value_wins_and_no_queue_builds_up(page):
    before = page.evaluate(f"{_KERNEL}.count")
    page.evaluate(
        """() => {
            const dial = document.querySelector('.rx-sliders input');
            for (let k = 0; k <= 25; k++) {
                dial.value = String(k);
                dial.dispatchEvent(new Event('input'));
            }
        }"""
    )
    found = answer(page)
    assert found["edit"] == [[], [], 1.25]
    assert page.evaluate(f"{_KERNEL}.count") - before <= 3
    assert found["headline"].startswith("Skips × 1.25: plain (has none) still says 1, residual ")


def test_a_dropped_photo_is_seen_as_torchvision_would_crop_it(page):
    photo = sample_photos()["cat"].load()
    drop(page, "my cat.png", png(photo))
    page.locator(".rx-photo-canvas").wait_for()
    page.get_by_role("radio", name="my cat.png", checked=True).wait_for()
    found = answer(page)
    seen = np.array(found["pixels"]).reshape(found["shape"])
    assert np.abs(seen - np.asarray(square_crop(photo, 32), int)).max() <= 1
    agrees(found, "cifar10", 20)
    assert found["headline"].replace("\u00a0", " ") == "Plain says dog (67 %), residual says cat (80 %)."


def test_what_is_transparent_is_white_and_what_is_no_photo_is_said(page):
    shape = np.zeros((50, 40, 4), np.uint8)
    shape[10:30, 10:30] = (255, 0, 0, 255)
    image = Image.fromarray(shape)
    drop(page, "shape.png", png(image))
    page.get_by_role("radio", name="shape.png", checked=True).wait_for()
    found = answer(page)
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    seen = np.array(found["pixels"]).reshape(found["shape"])
    assert np.abs(seen - np.asarray(square_crop(white, 32), int)).max() <= 1
    drop(page, "notes.txt", b"no photo")
    page.locator(".rx-problem", has_text="notes.txt is no photo").wait_for()
    assert answer(page)["pixels"] == found["pixels"], "the rest stays"
    page.get_by_role("radio", name="A cup of espresso").click()
    answer(page)
    assert "espresso" in page.locator(".rx-outcome").inner_text()
    assert page.locator(".rx-problem").inner_text() == ""


def test_axe_finds_nothing(page):
    page.evaluate(AXE_SCRIPT)
    found = []
    for tab in ("Digits", "Photos"):
        page.get_by_role("tab", name=tab).click()
        answer(page)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            lines = page.evaluate(_FIND.replace("'.rx-page'", "document"), theme)
            found += [f"{tab}, {theme}: {line}" for line in lines]
    page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


def test_a_phone_is_wide_enough(page):
    page.set_viewport_size({"width": 360, "height": 740})
    try:
        expect(page.locator(".rx-page")).to_have_class(re.compile("rx-within-520"))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    finally:
        page.set_viewport_size({"width": 1280, "height": 1000})


# --- what can be missing --------------------------------------------------------------------------------------


def test_a_link_leads_to_what_was_seen(context, address):
    page = context.new_page()
    page.goto(f"{address}#kind=cifar10&deleted=[3]&cut=[2]&skip=0.75&block=4")
    page.locator(".rx-outcome").wait_for(timeout=60_000)
    assert answer(page)["edit"] == [[3], [2], 0.75]
    page.get_by_role("button", name="Reset").click()
    page.wait_for_url(
        lambda url: url.endswith("#kind=cifar10&input=cat&deleted=%5B%5D&block=4"), timeout=10_000
    )
    page.evaluate("location.hash = 'depth=56'")
    page.locator(".rx-cuts", has_text="Plain-56").wait_for()
    assert answer(page)["edit"] == [[5], [], 1], "as the page opens"
    page.close()


@pytest.mark.parametrize(
    "wrong", ["depth=57", "deleted=[10]", "deleted=5", "skip=2", "cuts=[1]", "kind=dogs", "input=upload"]
)
def test_a_link_that_makes_no_sense_gets_a_sentence(shared, wrong):
    shared.evaluate("location.hash = ''")
    shared.evaluate(f"location.hash = {wrong!r}")
    expect(shared.locator(".rx-problem")).not_to_be_empty()
    assert shared.locator(".rx-outcome").is_visible()


def test_a_network_that_is_missing_is_said_and_fetched_once_it_is_there(context, address):
    page = context.new_page()
    page.route("**/digits-plain20.onnx", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.locator(".rx-problem", has_text="digits-plain20.onnx can't be loaded (404)").wait_for()
    assert page.locator(".rx-pad-canvas").is_visible()
    page.unroute("**/digits-plain20.onnx")
    page.get_by_role("radio", name="A held-out 3").click()
    page.locator(".rx-headline", has_text="residual still 3").wait_for()
    answer(page)
    assert page.locator(".rx-problem").inner_text() == ""
    page.close()


def _damaged(page):
    page.route("**/*.onnx", lambda route: route.fulfill(body=b"hello"))


def _no_runtime(page):
    page.route("**/*.wasm", lambda route: route.fulfill(status=404))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_damaged, "is damaged"),
        (_no_runtime, "a file of runtime/ is missing"),
        (lambda page: page.add_init_script("delete window.WebAssembly"), "runs no WebAssembly"),
    ],
    ids=["damaged", "no runtime", "no WebAssembly"],
)
def test_what_keeps_the_networks_from_running_is_said_and_the_rest_works(context, address, spoil, sentence):
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    spoil(page)
    page.goto(address)
    page.locator(".rx-problem", has_text=sentence).wait_for()
    draw(page, THREE)
    page.get_by_role("button", name="Clear").wait_for()
    page.close()


# --- sentences ------------------------------------------------------------------------------------------------


def test_sentences_are_those_that_were_read(context, folder):
    """Every kind of headline, and what stands behind it."""
    page = context.new_page()
    modules, _, _ = bundle(ENTRY, PACKAGE).rpartition("export default")
    page.evaluate("(script) => { window.modules = new Function(script)(); }", f"{modules}return modules;")
    said = page.evaluate(
        """([edits, name]) => {
            const captions = modules[name], said = [];
            const plain = { color: "plain", first: "8", share: 0.47, was: "7", kept: [] };
            const residual = { color: "residual", first: "7", share: 0.998, was: "7", kept: [] };
            for (const edit of edits) {
                said.push(captions.headline(edit, [{ ...plain, kept: edit.kept ?? [] }, residual], ""));
                said.push(captions.headline(edit, [{ ...plain, first: "7", kept: edit.kept ?? [] }, residual], ""));
            }
            said.push(captions.headline(edits[0], [plain, residual], "7"));
            said.push(...Object.values(captions.WHY), ...Object.values(captions.GLOSSARY));
            said.push(captions.staysNote([4]), captions.staysNote([4, 7]), captions.stays([8, 8, 8], [16, 4, 4]));
            said.push(captions.loading(16e6), captions.loading(3e5), captions.RUNNING, captions.WAITING);
            return said.concat(captions.DRAW, captions.STROKES, `README.md ${captions.NO_PHOTO}`);
        }""",
        [EDITS, "pages/browser/live/captions.js"],
    )
    page.close()
    assert all(len(line.replace("\u00a0", " ").split()) <= 15 for line in said[: 2 * len(EDITS) + 1])
    assert_kept("live", said)


EDITS = [
    {"deleted": [], "cut": [], "skip": 1},
    {"deleted": [5], "cut": [], "skip": 1},
    {"deleted": [4], "cut": [], "skip": 1, "kept": [4]},
    {"deleted": [4, 5], "cut": [], "skip": 1, "kept": [4]},
    {"deleted": [4, 7], "cut": [], "skip": 1, "kept": [4, 7]},
    {"deleted": [2, 5, 6], "cut": [], "skip": 1},
    {"deleted": [], "cut": [3], "skip": 1},
    {"deleted": [], "cut": [3, 4], "skip": 0.5},
    {"deleted": [], "cut": [], "skip": 0.5},
    {"deleted": [5], "cut": [], "skip": 0.5},
    {"deleted": [5], "cut": [3], "skip": 0.5},
]


def test_opened_from_a_disk_it_says_how_it_runs(context, folder):
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    page.locator(".rx-problem", has_text="python -m http.server").wait_for()
    assert page.locator(".rx-thumb").count() == 10
    page.close()


def test_an_old_browser_is_told(context, address):
    page = context.new_page()
    page.add_init_script("delete window.createImageBitmap")
    page.goto(address)
    page.get_by_role("alert").filter(has_text="too old").wait_for()
    page.close()
