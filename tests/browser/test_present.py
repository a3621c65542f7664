"""`resnet-explore lab --present`: large, nothing around the notebook, the code hidden and still to be run."""

import json

import pytest
from playwright.sync_api import expect

from resnet_explore.cli.lab import jupyter_arguments
from tests.browser.lab import LabServer, NotebookPage

AROUND = ("#jp-top-panel", "#jp-menu-panel", ".jp-SideBar", ".jp-NotebookPanel-toolbar", "#jp-bottom-panel")
CELLS = ["import resnet_explore as rx\n\nrx.DegradationExplorer()", "6 * 7", "nothing = None"]

# Controls in sight at whose left edge something else lies; JupyterLab puts a fold beside each output.
_COVERED = """() => [...document.querySelectorAll('.rx-page :is(button, select, summary, input)')].filter((node) => {
    const { x, y, width, height } = node.getBoundingClientRect(), [px, py] = [x + 4, y + height / 2];
    if (!node.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) || !width || py < 0 || py > innerHeight - 40 || px > innerWidth) return false;
    const there = document.elementFromPoint(px, py);
    return !(node === there || node.contains(there) || there?.contains(node));
}).map((node) => node.textContent || node.ariaLabel)"""


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hall")
    theirs = ("--LabApp.extra_labextensions_path", "--LabApp.app_settings_dir")
    arguments = jupyter_arguments(folder, 0, (), workspaces=folder / "workspaces")
    with LabServer(folder / "lab", [each for each in arguments if each.startswith(theirs)]) as server:
        yield server


@pytest.fixture(scope="module")
def settings(hall):
    """What a person has set, by file, now."""
    return lambda: {
        file: file.read_text() for file in (hall.folder / "settings").rglob("*.*") if file.is_file()
    }


def test_a_notebook_in_a_lecture_hall(hall, browser_context, settings):
    path, before = hall.write_notebook(CELLS), settings()
    notebook = NotebookPage(hall, browser_context, path, width=1280, height=720)
    page = notebook.page
    page.locator(".rx-present-bar").wait_for()
    for what in AROUND:
        for each in page.locator(what).all():
            each.wait_for(state="hidden")
    code = page.locator(".jp-CodeCell .jp-InputArea")
    run_button = page.locator(".jp-CodeCell .jp-Cell-inputWrapper")
    assert not code.first.is_visible()
    page.keyboard.press("F9")
    code.first.wait_for()
    page.get_by_role("button", name="Code").click()
    code.first.wait_for(state="hidden")
    run_button.nth(1).click()
    page.locator(".jp-OutputArea-output", has_text="42").wait_for()
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    before_all = page.evaluate(active)
    page.get_by_role("button", name="Run all").click()
    headline = page.locator(".rx-headline")
    headline.wait_for(timeout=60_000)
    page.locator(".jp-CodeCell.rx-present-ran").nth(2).wait_for(state="attached")
    assert page.evaluate(active) == before_all, "one stays where one was"
    expect(headline).to_be_in_viewport()
    assert not run_button.nth(2).bounding_box()["height"], "what ran and shows nothing takes no room"
    for width, height in ((1280, 720), (1600, 900)):
        page.set_viewport_size({"width": width, "height": height})
        assert_all_of_it_is_large(notebook, width, height)
    saved = json.loads((hall.root / path).read_text())
    assert [cell["metadata"] for cell in saved["cells"]] == [{}, {}, {}]
    live = "window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.toJSON().metadata)"
    assert not any("jupyter" in metadata or "collapsed" in metadata for metadata in page.evaluate(live))
    assert settings() == before, "a person's settings stay as they are"
    notebook.assert_clean()
    notebook.close()


def assert_all_of_it_is_large(notebook, width, height):
    page = notebook.page
    page.wait_for_function(_ROOM, arg=[width, height], polling=50)
    room = page.locator(".jp-Notebook").bounding_box()
    bar = page.locator(".rx-present-bar").bounding_box()
    assert (room["width"], room["height"]) == pytest.approx((width, height - bar["height"]), abs=12)
    assert room["y"] + room["height"] <= bar["y"] + 1, "the buttons cover nothing"
    zoom = page.evaluate("document.querySelector('.jp-Cell').currentCSSZoom")
    assert 20 * zoom >= width / 50, "the last row reads it"
    page.wait_for_function(_AS_WIDE, arg=width * 0.9, polling=50)
    assert page.locator(".rx-page").bounding_box()["width"] <= width, "charts are as wide as the screen"
    page.locator(".rx-headline").scroll_into_view_if_needed()
    assert page.evaluate(_COVERED) == [], "the left edge of every control can be clicked"
    chart = page.locator(".rx-plot").first.bounding_box()
    page.mouse.move(chart["x"] + chart["width"] / 2, chart["y"] + chart["height"] / 2)
    notebook.screenshot(f"present-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


# JupyterLab lays itself out anew a moment after its window has another size.
_ROOM = """([width, height]) => {
    const room = document.querySelector('.jp-Notebook').getBoundingClientRect(), bar = document.querySelector('.rx-present-bar').getBoundingClientRect();
    return Math.abs(room.width - width) < 12 && Math.abs(room.height + bar.height - height) < 12;
}"""
_AS_WIDE = "(least) => document.querySelector('.rx-page').getBoundingClientRect().width > least"
