"""Notebook 06 in a real JupyterLab: blocks are cut, moved and turned down, by mouse and by keys."""

import re

from tests.browser import pictures
from tests.browser.stills import NO_STILLS

CARD = ".rx-page >> nth=0"
HEADLINE = f"{CARD} >> .rx-headline"
ROW = f"{CARD} >> .rx-cut-row >> nth=1"  # the residual network's
CUTTING = f"{NO_STILLS}import resnet_explore as rx\nexplorer = rx.SkipExplorer(deleted=())\nexplorer"
SKIPS = f"{CARD} >> .rx-step >> nth=0"


def drawn(notebook, what):
    """Wait until something is drawn, and all that is computed for the picture is in it."""
    notebook.locator(f"{CARD} >> {what}").first.wait_for(timeout=60_000)
    settle(notebook)
    return notebook


def settle(notebook):
    """Wait until the page shows the kernel's answer; the stops of the dials, which take longer, may come later."""
    notebook.wait_printed("explorer._runner.complete", "True", timeout=60)
    count = int(notebook.execute("explorer._publish(); print(explorer._count)"))
    notebook.page.wait_for_function(
        "(count) => Number(document.querySelector('.rx-page').dataset.view) >= count", arg=count, polling=50
    )


def becomes(notebook, field, value):
    """Wait until the kernel has this value of a field, and the page what follows of it."""
    notebook.wait_printed(f"explorer.{field}", value)
    settle(notebook)


def block(notebook, number, row=ROW):
    """Return the box of a block, wherever it stands."""
    return notebook.locator(f"{row} >> [aria-label^='Block {number} '] >> .rx-cut-box")


def click(target, shift=False):
    """Click the middle of a block, once it is at rest."""
    target.click(modifiers=["Shift"] if shift else [])


def errors(notebook):
    """Return both networks' errors as the bars say them."""
    said = notebook.locator(f"{CARD} >> .rx-outcome-text").all_inner_texts()
    return [float(text.partition(" %")[0]) for text in said if " of " in text]


def test_cut_move_turn_and_undo(open_notebook):
    notebook = open_notebook("notebooks/06_skips.ipynb", height=1200)
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.show_first_code()
    notebook.skip_question()
    drawn(notebook, ".rx-outcome-bar")
    pictures.assert_up_to_date("skips", notebook)
    plain, residual = errors(notebook)
    assert plain > 80 > 20 > residual

    click(block(notebook, 5))  # back in
    becomes(notebook, "deleted", "()")
    assert max(errors(notebook)) < 10
    click(block(notebook, 2))
    becomes(notebook, "deleted", "(2,)")
    click(block(notebook, 4), shift=True)
    becomes(notebook, "deleted", "(2, 3, 4)")
    notebook.page.get_by_role("button", name="Reset").first.click()
    becomes(notebook, "deleted", "()")

    arc = notebook.locator(f"{ROW} >> .rx-cut-hit >> nth=1")
    place = block(notebook, 2).bounding_box()
    assert arc.count() == 1
    notebook.page.mouse.click(place["x"] + place["width"] / 2, place["y"] - 16)
    becomes(notebook, "cut", "(2,)")
    assert errors(notebook)[1] > 30
    notebook.screenshot("06_skips-cut")
    notebook.page.get_by_role("button", name="Undo").first.click()
    becomes(notebook, "cut", "()")

    start, end = block(notebook, 8).bounding_box(), block(notebook, 9).bounding_box()
    notebook.page.mouse.move(start["x"] + 20, start["y"] + 8)
    notebook.page.mouse.down()
    notebook.page.mouse.move(end["x"] + 20, end["y"] + 8, steps=5)
    notebook.page.mouse.up()
    becomes(notebook, "order", "(1, 2, 3, 4, 5, 6, 7, 9, 8)")
    assert block(notebook, 9).bounding_box()["x"] < block(notebook, 8).bounding_box()["x"]
    notebook.page.get_by_role("button", name="Reset").first.click()
    becomes(notebook, "order", "()")

    assert notebook.execute("print(explorer.wait(60))", timeout=90) == "True"  # all stops of the dials
    settle(notebook)
    slider = notebook.locator(SKIPS)
    slider.focus()
    before = notebook.locator(HEADLINE).inner_text()
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    said = notebook.locator(HEADLINE).inner_text()  # at once: the page has every stop already
    assert said != before
    assert "0.9" in said
    settle(notebook)
    assert notebook.locator(HEADLINE).inner_text() == said
    assert not notebook.problems


def test_keys_do_all_that_a_mouse_does(run_cell):
    notebook = drawn(run_cell(CUTTING, height=1200), ".rx-outcome-bar")
    first = notebook.locator(f"{ROW} >> .rx-cut-block >> nth=0")
    keys = notebook.page.keyboard
    first.focus()
    keys.press("ArrowRight")
    keys.press("Enter")
    keys.press("x")
    becomes(notebook, "deleted", "(2,)")
    becomes(notebook, "cut", "(2,)")
    keys.press("Shift+ArrowRight")
    becomes(notebook, "order", "(1, 3, 2, 4, 5, 6, 7, 8, 9)")
    focused = notebook.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("Block 2 ")
    keys.press("Delete")
    becomes(notebook, "deleted", "()")
    assert not notebook.problems


def test_the_sum_is_read_number_by_number(run_cell):
    code = f"{NO_STILLS}import resnet_explore as rx\nexplorer = rx.SkipExplorer(view='inside', deleted=(), block=2)\nexplorer"
    notebook = drawn(run_cell(code, height=1200), ".rx-heat")
    notebook.locator(f"{CARD} >> .rx-heat-grid").focus()
    notebook.page.keyboard.press("ArrowRight")
    said = notebook.locator(f"{CARD} >> .rx-heat-readout").inner_text()
    a, b, total = re.search(r"([−\d.]+) \+ \(?([−\d.]+?)\)? = ([−\d.]+)\.( |$)", said).groups()[:3]
    numbers = [float(text.replace("−", "-")) for text in (a, b, total)]
    assert abs(numbers[0] + numbers[1] - numbers[2]) < 0.02
    notebook.screenshot("06_skips-inside")
    assert not notebook.problems
