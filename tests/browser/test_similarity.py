"""Notebook 10 in a real JupyterLab: matrices scrubbed and read without the kernel, and two layers looked at."""

from tests.browser import pictures
from tests.browser.stills import NO_STILLS

CARD = ".rx-page >> nth=0"
DEPTH = f"{CARD} >> .rx-step >> nth=0"


def headline(notebook):
    return notebook.locator(f"{CARD} >> .rx-headline").inner_text().replace("\u00a0", " ")


def test_slide_point_and_look_at_two_layers(open_notebook):
    notebook = open_notebook("notebooks/10_similarity.ipynb", height=1600)
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.show_first_code()
    notebook.skip_question()
    card, page = notebook.locator(CARD), notebook.page
    matrices, read = card.locator(".rx-matrix"), card.locator(".rx-read").first
    matrices.first.wait_for(timeout=60_000)
    assert matrices.count() == 2
    named = page.get_by_role("application", name="CKA by block and block. Arrow keys read the values. Enter")
    assert named.count() == 2, "a screen reader hands the keys on"
    assert headline(notebook).startswith("Distant blocks are 0.83 alike in Residual-56")
    pictures.assert_up_to_date("similarity", notebook)
    notebook.screenshot("10_similarity")

    before, sent = card.bounding_box()["height"], notebook.execute("print(explorer._count)")
    seen = set()
    for _ in range(3):
        notebook.press(DEPTH, "ArrowLeft")
        seen.add(headline(notebook))
    assert len(seen) == 3
    assert abs(card.bounding_box()["height"] - before) < 2, "nothing jumps"
    assert matrices.first.evaluate("canvas => [canvas.width, canvas.height]") == [3, 3]
    notebook.press(DEPTH, "End")
    assert headline(notebook).startswith("64 % of Plain-110's blocks resemble its last one")
    notebook.press(DEPTH, "ArrowLeft")
    page.wait_for_timeout(400)
    assert notebook.execute("print(explorer.depth, explorer._count)") == f"56 {sent}", "without the kernel"

    box = matrices.nth(1).bounding_box()
    matrices.nth(1).hover(position={"x": 2, "y": box["height"] - 3})
    assert read.inner_text() == "Residual-56, block 1 (layer1.0), block 1 (layer1.0): 1"
    page.mouse.move(box["x"] - 40, box["y"] + box["height"] + 40)
    assert read.inner_text().startswith("Point at a cell")
    touched = {"pointerType": "touch", "clientX": box["x"] + 2, "clientY": box["y"] + 2}
    for event in ("pointerdown", "pointerleave"):
        matrices.nth(1).dispatch_event(event, touched)
    assert read.inner_text().startswith("Residual-56, block 27 (layer3.8), block 1"), "a finger that lifts"
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.move(box["x"] - 40, box["y"] + 5)
    matrices.nth(1).focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    assert read.inner_text().startswith("Residual-56, block 3 (layer1.2), block 2 (layer1.1): 0.9")
    page.keyboard.press("Enter")
    sheets = card.locator(".rx-sheet-heading")
    sheets.filter(has_text="layer1.2").wait_for(timeout=60_000)
    assert [text.split(":")[0] for text in sheets.all_inner_texts()] == [
        "Residual-56, layer1.2",
        "Residual-56, layer1.1",
    ]
    assert notebook.execute("print(explorer.pair)") == "(1, 2, 1)"
    assert page.evaluate("document.activeElement.classList.contains('rx-matrix')"), "the focus stays"
    matrices.first.click(position={"x": box["width"] - 3, "y": 3})
    sheets.filter(has_text="Plain-56, layer3.8").first.wait_for(timeout=60_000)
    notebook.screenshot("10_similarity-layers")
    assert not card.locator(".rx-problem").inner_text()

    card.get_by_role("tab", name="Through depth").click()
    card.locator(".rx-plot").first.wait_for(timeout=30_000)
    assert card.locator(".rx-plot").count() == 3
    card.get_by_role("tab", name="Layer by layer").click()
    matrices.first.wait_for(timeout=30_000)
    notebook.dress("dark")
    page.set_viewport_size({"width": 480, "height": 900})
    page.wait_for_timeout(500)
    wide = page.evaluate(
        "[...document.querySelectorAll('.rx-page')].map((p) => p.scrollWidth - p.clientWidth)"
    )
    assert max(wide) <= 0, "nothing sticks out"
    assert matrices.nth(1).bounding_box()["y"] > matrices.first.bounding_box()["y"] + 200
    notebook.screenshot("10_similarity-dark-narrow")
    notebook.assert_clean()
