"""Rows of blocks that are cut by hand, in a page without kernel."""

import pytest

from resnet_explore.widgets.core.cuts_panel import Cuts, DrawnBlock, DrawnRow
from resnet_explore.widgets.core.view import View
from tests.browser.bare import message, open_view

STATE = {"deleted": [], "cut": [], "order": []}


def view(errors, stays=""):
    blocks = [
        DrawnBlock(k, f"layer1.{k}", "layer1", (4, 8, 6), "identity", stays, (1, 2, 3), error)
        for k, error in enumerate(errors, start=1)
    ]
    rows = (DrawnRow("Plain", "plain", blocks), DrawnRow("Residual", "residual", blocks))
    return View(headline="A finding.", panels=((Cuts("cuts", rows),),))


@pytest.fixture
def page(bare_page):
    return open_view(bare_page(), view([None, None, None]), STATE)


def boxes(page, row=1):
    return page.locator(".rx-cut-row").nth(row).locator(".rx-cut-box")


def test_a_press_counts_though_news_arrive_before_it_ends(page):
    box = boxes(page).nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    before = page.locator(".rx-cuts").inner_html()
    page.evaluate("window.receive", message(view([3.0, 40.0, 5.0]), STATE, 2))
    page.wait_for_function("document.querySelector('.rx-page').dataset.view === '2'")
    assert page.locator(".rx-cuts").inner_html() == before, "nothing moves under the finger"
    page.mouse.up()
    assert page.evaluate("window.model.get('deleted')") == [2]
    assert page.locator(".rx-cut-row").nth(1).get_by_label("Block 2 ").get_attribute("aria-pressed") == "true"
    boxes(page).nth(0).hover()
    assert "Without it alone, the error is 3.0 %." in page.locator(".rx-read").inner_text(), (
        "now they are there"
    )


def test_a_block_that_is_dragged_back_stays_and_later_news_are_drawn(page):
    box = boxes(page).nth(0).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 20, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    page.evaluate("window.receive", message(view([3.0, 40.0, 5.0]), STATE, 2))
    boxes(page).nth(1).hover()
    assert "Without it alone, the error is 40.0 %." in page.locator(".rx-read").inner_text()
    assert page.evaluate("window.model.get('order')") == []


def test_a_block_that_stays_is_named_by_the_words_that_stand_on_it(bare_page):
    page = open_view(bare_page(), view([None], "it changes the shape"), {**STATE, "deleted": [1]})
    block = page.locator(".rx-cut-block").first
    assert block.locator("text").all_text_contents() == ["1", "stays"]
    assert block.get_attribute("aria-label").startswith("Block 1 stays (layer1.1)")
