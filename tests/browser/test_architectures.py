"""Notebook 04 in a real JupyterLab: boxes are looked at, opened by mouse and keys, and the table is sorted."""

import re

from tests.browser import pictures
from tests.browser.stills import NO_STILLS
from tests.widgets.pages import numbers

# How many convolutions stand at each height, from the top on, and into which boxes from above lines lead.
_LANES = """(picture) => {
    const boxes = [...picture.querySelectorAll('g')].map((group) => ({
        label: group.querySelector('.rx-name')?.textContent,
        area: group.querySelector('rect').getBoundingClientRect(),
        weighted: group.querySelector('.rx-weighted') !== null,
    }));
    const lanes = {};
    for (const box of boxes.filter((box) => box.weighted)) lanes[box.area.top] = (lanes[box.area.top] ?? 0) + 1;
    const ends = [...picture.querySelectorAll('.rx-skip')].map((path) => {
        const point = path.getPointAtLength(path.getTotalLength()).matrixTransform(path.getScreenCTM());
        return boxes.find(({ area }) => Math.abs(point.y - area.top) < 1 && point.x > area.left
            && point.x < area.right)?.label;
    });
    const heights = Object.keys(lanes).map(Number).sort((a, b) => a - b);
    return [ends.filter(Boolean), heights.map((height) => lanes[height])];
}"""


def test_boxes_open_and_the_table_sorts(open_notebook):
    notebook = open_notebook("notebooks/04_architectures.ipynb")
    notebook.execute(NO_STILLS)
    notebook.run_all()
    pictures.assert_up_to_date("architectures", notebook)
    page = notebook.page
    card = page.locator(".rx-page").first
    card.locator(".rx-box").first.wait_for(timeout=60_000)
    card.scroll_into_view_if_needed()  # the notebook is longer than the window
    assert numbers(card.locator(".rx-headline").inner_text())[-1] == 16, "skips"
    lower = card.locator(".rx-blueprint").nth(1)
    assert lower.locator(".rx-arc").count() == 16
    assert card.locator(".rx-blueprint").first.locator(".rx-arc").count() == 0
    read_out, inside = card.locator(".rx-read"), card.locator(".rx-inside")
    box = lower.locator(".rx-box").nth(5)
    box.hover()
    assert "projection" in read_out.inner_text()
    box.click()
    assert inside.inner_text().startswith("Inside layer2.0 of resnet34: BasicBlock")
    assert inside.locator(".rx-weighted").count() == 3
    ends, lanes = inside.locator("svg").evaluate(_LANES)
    assert lanes == [1, 2], "the shortcut's convolution stands in a lane of its own, above the other two"
    assert ends == ["+"], "and its line ends at the sum"
    box.click()
    assert inside.is_hidden(), "a second click closes it"
    box.click()
    box.focus()
    for key, name in (("ArrowRight", "layer2.1"), ("ArrowRight", "layer2.2"), ("ArrowLeft", "layer2.1")):
        page.keyboard.press(key)
        assert read_out.inner_text().startswith(f"BasicBlock {name}: ")
        assert inside.inner_text().startswith(f"Inside {name} of resnet34: BasicBlock")
    lower.locator(".rx-box").nth(9).hover()
    assert read_out.inner_text().startswith("BasicBlock layer3.0: "), "the pointer may look elsewhere"
    card.locator(".rx-headline").hover()
    assert read_out.inner_text().startswith("BasicBlock layer2.1: ")
    page.keyboard.press("Enter")
    assert inside.is_hidden()
    page.keyboard.press("ArrowRight")
    assert inside.is_hidden(), "what is closed stays closed"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert inside.inner_text().startswith("Inside layer2.1 of resnet34: BasicBlock")
    notebook.wait_printed("explorer.opened", "(1, 6)")
    tall = "(box) => box.querySelectorAll('rect')[1].getBoundingClientRect().height"
    heights = [lower.locator(".rx-box").nth(k).evaluate(tall) for k in (2, 5, 9)]  # maps of 56, 28 and 14
    assert abs((heights[0] - heights[1]) - (heights[1] - heights[2])) < 0.5, "each doubling adds the same"
    notebook.screenshot("04_architectures")

    card.get_by_role("tab", name="Two networks").focus()
    page.keyboard.press("ArrowRight")
    headline = card.locator(".rx-headline")
    headline.filter(has_text=re.compile("^18 layers")).wait_for(timeout=10_000)
    card.locator(".rx-chart").first.wait_for(timeout=10_000)
    before = card.bounding_box()
    slider = card.locator(".rx-step")
    slider.press("End")
    assert numbers(headline.inner_text())[:2] == [152, 60.19], "at once, without the kernel"
    after = card.bounding_box()
    assert (after["width"], after["height"]) == (before["width"], before["height"]), "nothing jumps"
    card.get_by_role("tab", name="The family").click()
    table = card.locator(".rx-table")
    table.get_by_role("button", name="Parameters").click()
    first = table.locator("tbody th").first
    assert first.inner_text() == "cifar_resnet8"
    assert table.locator("thead th").nth(4).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert first.inner_text() == "vgg19"
    last = table.locator("tr").last
    table.get_by_role("button", name="ImageNet top-1").click()
    assert first.inner_text() == "hrnet_w48", "the best come first"
    assert "–" in last.inner_text(), "what is not known stands last"
    page.set_viewport_size({"width": 620, "height": 900})
    table.locator(".rx-more", has_text="scroll").wait_for(timeout=10_000)
    sides = "(node) => [node.scrollWidth, node.clientWidth, node.getBoundingClientRect().right, innerWidth]"
    scrolled, shown, right, window = card.evaluate(sides)
    assert (scrolled, right < window) == (shown, True), "only the table scrolls"
    notebook.assert_clean()
