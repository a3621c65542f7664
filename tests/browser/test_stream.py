"""Notebook 07 in a real JupyterLab: three views move by the browser alone."""

from tests.browser.stills import NO_STILLS

CARD = ".rx-page >> nth=0"
BLOCK = f"{CARD} >> .rx-step >> nth=0"


def headline(notebook):
    return notebook.locator(f"{CARD} >> .rx-headline").inner_text().replace("\u00a0", " ")


def test_guess_slide_and_ask_about_another_class(open_notebook):
    notebook = open_notebook("notebooks/07_stream.ipynb", height=1400)
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.show_first_code()
    notebook.skip_question()
    card, page = notebook.locator(CARD), notebook.page
    card.locator(".rx-plot").first.wait_for(timeout=60_000)
    assert notebook.execute("print(explorer.wait(60), explorer.block)", timeout=90) == "True 8"
    page.wait_for_timeout(300)
    assert headline(notebook).startswith("Block 8 adds")
    bars = card.locator("svg.rx-plot .rx-plot-line.rx-line-bars").first
    assert bars.get_attribute("d").count("M") == 10, "stem, eight blocks, bias"
    notebook.screenshot("07_stream")
    height = card.bounding_box()["height"]
    sent, seen = notebook.execute("print(explorer._count)"), set()
    for _ in range(8):
        notebook.press(BLOCK, "ArrowLeft")
        seen.add(headline(notebook))
    assert len(seen) == 8
    assert headline(notebook).startswith("The stem adds")
    assert card.locator(".rx-percent").first.inner_text() == "–", "a plain network has no answer there"
    assert abs(card.bounding_box()["height"] - height) < 2, "nothing jumps"
    page.wait_for_timeout(400)
    assert notebook.execute("print(explorer.block, explorer._count)") == f"0 {sent}", "without the kernel"
    plot = card.locator(".rx-plot").first.bounding_box()
    page.mouse.click(plot["x"] + plot["width"] * 0.75, plot["y"] + plot["height"] * 0.5)
    assert headline(notebook).startswith("Block 7 adds")
    lose_a_block(notebook, card)
    card.get_by_role("tab", name="What blocks add").click()
    card.get_by_role("button", name="golf ball").click()
    card.locator(".rx-headline", has_text="golf ball").wait_for(timeout=20_000)
    read_early(notebook)
    notebook.assert_clean()


def lose_a_block(notebook, card):
    """Turn to what is lost without a block, and slide through all of them: by the browser alone."""
    card.get_by_role("tab", name="Without a block").click()
    card.locator(".rx-headline", has_text="losing a block").wait_for(timeout=60_000)
    assert "3.0×" in headline(notebook)
    notebook.page.wait_for_timeout(400)
    notebook.screenshot("07_stream_loss")
    bars = card.locator("svg.rx-plot .rx-plot-line.rx-line-bars").first
    assert bars.get_attribute("d").count("M") == 8, "only blocks can be lost"
    height, sent, seen = card.bounding_box()["height"], notebook.execute("print(explorer._count)"), set()
    for _ in range(8):
        seen.add(card.locator(".rx-plot-note").first.inner_text())
        notebook.press(BLOCK, "ArrowLeft")
    assert len(seen) >= 7
    assert abs(card.bounding_box()["height"] - height) < 2, "nothing jumps"
    assert notebook.execute("print(explorer._count)") == sent, "without the kernel"


def read_early(notebook):
    """Look at the probes of the deep twins, further down in the same notebook."""
    page = notebook.page
    early = page.locator(".rx-page").nth(2)
    early.scroll_into_view_if_needed()
    early.locator(".rx-headline", has_text="Behind block 14").wait_for(timeout=60_000)
    assert early.locator("svg.rx-plot").count() == 3
    assert early.locator("[role=tab][aria-selected=true]").inner_text() == "How early?"
    notebook.screenshot("07_stream_early")
