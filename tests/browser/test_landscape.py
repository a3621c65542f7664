"""Notebook 08 in a real JupyterLab: surfaces turn under the mouse and the keys, and sliders need no kernel."""

import re

import numpy as np

from tests.browser import pictures
from tests.browser.stills import NO_STILLS

CARD = ".rx-page >> nth=0"
FIRST = f"{CARD} >> .rx-surface >> nth=0"


def floors(notebook):
    shapes = notebook.locator(f"{CARD} >> .rx-surface-floor").evaluate_all(
        "(all) => all.map((each) => each.getAttribute('d'))"
    )
    return [np.array(re.findall(r"-?[\d.]+", shape), float) for shape in shapes]


def turned(notebook, before, back=False):
    """Wait until the floors stand otherwise than before, or as they did, and return them."""
    for _ in range(100):
        now = floors(notebook)
        if np.allclose(now, before) == back:
            break
        notebook.page.wait_for_timeout(50)
    assert np.allclose(now, before) == back
    np.testing.assert_allclose(*now, err_msg="both turn together")
    return now


def test_guess_turn_walk_and_read(open_notebook):
    notebook = open_notebook("notebooks/08_landscape.ipynb", height=1200)
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.show_first_code()
    notebook.skip_question()
    card, page = notebook.locator(CARD), notebook.page
    card.locator(".rx-surface-canvas").first.wait_for(timeout=60_000)
    pictures.assert_up_to_date("landscape", notebook)
    notebook.screenshot("08_landscape")
    before = floors(notebook)
    notebook.locator(FIRST).hover()  # waits until nothing moves
    box = notebook.locator(FIRST).bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 80, middle[1], steps=5)
    page.mouse.up()
    dragged = turned(notebook, before)
    notebook.press(FIRST, "ArrowUp")
    turned(notebook, dragged)
    notebook.press(FIRST, "Home")
    turned(notebook, before, back=True)
    notebook.press(FIRST, "Shift+ArrowRight")
    assert "plain-56: loss" in card.locator(".rx-read").inner_text()

    sent, seen = notebook.execute("print(explorer._count)"), set()
    depth = f"{CARD} >> role=slider[name=Depth]"
    height = card.bounding_box()["height"]
    notebook.press(depth, "Home")
    for _ in range(4):
        seen.add(card.locator(".rx-headline").inner_text())
        notebook.press(depth, "ArrowRight")
    assert len(seen) == 4
    assert abs(card.bounding_box()["height"] - height) < 2, "nothing jumps"
    page.wait_for_timeout(400)
    assert notebook.execute("print(explorer.depth, explorer._count)") == f"110 {sent}", "without the kernel"

    card.get_by_role("tab", name="Contours").click()
    card.locator(".rx-surface-lines path[d*=L]").nth(4).wait_for(state="attached")
    card.get_by_label("Plane", exact=True).select_option(label="Of the training")
    walk = card.get_by_role("slider", name="Update")
    walk.wait_for()
    place = card.locator(".rx-surface-here").last
    end = place.bounding_box()
    walk.press("Home")
    assert place.bounding_box() != end
    card.get_by_role("tab", name="Numbers").click()
    card.locator(".rx-table").wait_for()
    assert card.locator(".rx-plot-line").count() >= 4

    card.get_by_role("tab", name="Surface").click()
    card.locator(".rx-surface-canvas").first.wait_for()
    notebook.dress("dark")
    page.set_viewport_size({"width": 480, "height": 900})
    page.wait_for_function(
        """() => [...document.querySelectorAll('.rx-page')].every((card) => card.scrollWidth <= card.clientWidth + 1
            && card.getBoundingClientRect().right <= innerWidth)"""
    )
    notebook.show_first_code()
    notebook.screenshot("08_landscape-dark-narrow")
    notebook.assert_clean()
