"""Notebook 07 in a real JupyterLab: bars, curves, answers and the heatmap move together, by the browser alone."""

CARD = ".rx-page >> nth=0"
BLOCK = f"{CARD} >> .rx-step >> nth=0"


def headline(notebook):
    return notebook.locator(f"{CARD} >> .rx-headline").inner_text().replace("\u00a0", " ")


def test_guess_slide_and_ask_about_another_class(open_notebook):
    notebook = open_notebook("notebooks/07_stream.ipynb", height=1400)
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
    card.get_by_role("button", name="golf ball").click()
    card.locator(".rx-headline", has_text="golf ball").wait_for(timeout=20_000)
    notebook.assert_clean()
