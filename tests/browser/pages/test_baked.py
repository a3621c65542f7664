"""Pages without Python in a real browser: opened from a file, with no network and no kernel."""

import csv
import io
import re
import urllib.parse

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.widgets.made_up import PowerExplorer


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    explorer = PowerExplorer()
    path = explorer.to_html(tmp_path_factory.mktemp("baked") / "page.html")
    explorer.close()
    return path


@pytest.fixture
def open_file(bare_page, file):
    """Opens the page at an address; it may ask for nothing beside the file, and throw nothing."""
    pages, asked = [], []

    def note(request):
        asked.append(request.url)

    def opened(address="", path=file):
        page = bare_page()
        pages.append(page)
        page.on("request", note)
        page.goto(f"file://{path}{address}")
        page.locator(".rx-page[data-view], main > [role=alert]").first.wait_for()
        return page

    yield opened
    for page in pages:
        page.remove_listener("request", note)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def headline(page):
    return page.locator(".rx-headline").inner_text()


def address(page):
    return dict(urllib.parse.parse_qsl(page.url.partition("#")[2]))


def test_sliders_menus_and_tabs_work(open_file):
    page = open_file()
    assert headline(page) == "2 to the 2 is 4."
    page.get_by_role("slider", name="Power").press("ArrowRight")
    assert headline(page) == "2 to the 3 is 8."
    page.get_by_label("Base").select_option("base 7")
    expect(page.locator(".rx-headline")).to_have_text("7 to the 3 is 343.")
    expect(page.locator(".rx-late")).to_have_count(0)
    page.get_by_role("tab", name="Words").click()
    expect(page.locator(".rx-prose")).to_have_text("7 to the 2 is 49.")  # the only power that is baked there
    assert address(page) == {"view": "words", "base": "7"}


def test_what_is_not_baked_says_where_it_works(open_file):
    page = open_file()
    option = page.get_by_label("Base").locator("option", has_text="base 5")
    assert option.is_disabled()
    assert option.get_attribute("title")
    page.locator("summary", has_text="More").click()
    for name in ("Logarithmic", "Offset", "Note"):
        assert page.get_by_label(name).is_disabled()
    assert page.locator(".rx-upload").count() == 0
    page.evaluate("document.querySelector('.rx-page').explorer.choose('base', 5)")
    assert page.locator(".rx-problem").inner_text()
    assert headline(page) == "2 to the 2 is 4.", "and not the tab that answers any base"
    page.evaluate("document.querySelector('.rx-page').explorer.act('go')")
    assert page.locator(".rx-problem").inner_text()
    page.get_by_role("slider", name="Power").press("ArrowRight")
    expect(page.locator(".rx-problem")).to_have_text("")


def test_a_link_leads_to_what_was_seen(open_file):
    page = open_file("#base=3&power=3")
    assert headline(page) == "3 to the 3 is 27."
    page.evaluate("location.hash = 'base=7'")
    expect(page.locator(".rx-headline")).to_have_text("7 to the 2 is 49.")
    assert page.locator(".rx-problem").inner_text() == ""


@pytest.mark.parametrize(
    "wrong", ["base=5", "power=9", "bse=2", "%E0%A4%A", "base=7&power=[", "view=sound", "view=about&base=5"]
)
def test_a_link_that_makes_no_sense_gets_a_sentence(open_file, wrong):
    page = open_file(f"#{wrong}")
    assert page.locator(".rx-problem").inner_text()
    assert re.fullmatch(r"\d to the \d is \d+\.|Powers grow\.", headline(page))
    page.get_by_role("tab", name="Curve").click()
    page.get_by_label("Base").select_option("base 3")
    expect(page.locator(".rx-headline")).to_have_text(re.compile("^3 to the"))
    assert page.locator(".rx-problem").inner_text() == ""


def test_the_code_is_that_of_what_is_seen(open_file):
    page = open_file("#base=7&power=3")
    code = page.evaluate("document.querySelector('.rx-page').explorer.model.get('_code')")
    assert code == "import resnet_explore as rx\n\nrx.PowerExplorer(base=7, power=3)"


def saved(page, name):
    page.locator(".rx-save summary").click()
    with page.expect_download() as waiting:
        page.locator(".rx-formats button", has_text=name).click()
    download = waiting.value
    assert download.suggested_filename == f"power_explorer.{name.lower()}"
    return download.path().read_bytes()


def test_numbers_are_saved_as_python_writes_them(open_file):
    page = open_file("#base=7&power=3")
    explorer = PowerExplorer(base=7, power=3)
    assert explorer.wait(20)
    ours, theirs = explorer.file(".csv").decode(), saved(page, "CSV").decode()
    for line in ("# headline: 7 to the 3 is 343.", "# code: rx.PowerExplorer(base=7, power=3)"):
        assert line in ours.splitlines()
        assert line in theirs.splitlines()
    tables = [list(csv.DictReader(io.StringIO(re.sub(r"(?m)^#.*\n", "", text)))) for text in (ours, theirs)]
    for ours, theirs in zip(*tables, strict=True):
        assert ours.keys() == theirs.keys()
        assert [float(v) if v[0].isdigit() else v for v in ours.values()] == [
            float(v) if v[0].isdigit() else v for v in theirs.values()
        ]
    explorer.close()


def test_a_picture_has_headline_chart_and_conditions(open_file, tmp_path):
    page = open_file()
    drawing = saved(page, "SVG").decode()
    for words in ("2 to the 2 is 4.", "&lt;exact&gt; &amp; small", "Made with rx.PowerExplorer()"):
        assert words in drawing
    assert "<path" in drawing
    (tmp_path / "picture.png").write_bytes(saved(page, "PNG"))
    with Image.open(tmp_path / "picture.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    orange = (abs(pixels - (0xD5, 0x5E, 0)).sum(axis=2) < 30).sum()
    assert orange > 200, "the line of the plain network"


def test_a_broken_file_says_so(open_file, file, tmp_path):
    broken = tmp_path / "broken.html"
    text = file.read_text()
    at = text.index('"H4s') + 500
    broken.write_text(text[:at] + text[at + 400 :])
    page = open_file(path=broken)
    assert page.locator("main > [role=alert]").inner_text()
    assert page.locator(".rx-page").count() == 0


def test_an_old_browser_is_told(browser_context, file):
    page = browser_context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(f"file://{file}")
    expect(page.locator("main > [role=alert]")).to_be_visible()
    page.close()
