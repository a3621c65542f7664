"""Notebook 02 in a real JupyterLab: switches, sliders, recorded trainings, claims and questions."""

import re

from tests.browser import pictures
from tests.browser.stills import NO_STILLS
from tests.widgets.pages import numbers

PAGE, LINES = ".rx-page", "svg.rx-plot .rx-plot-line"


def test_gradient_switches_change_the_picture_and_say_so(open_notebook):
    notebook = open_notebook("notebooks/02_gradient_flow.ipynb")
    guesses = notebook.server.root / "notebooks" / "runs" / "guesses.jsonl"
    guesses.unlink(missing_ok=True)  # of other tests
    notebook.execute(NO_STILLS)
    notebook.run_all(300)
    page = notebook.page
    card = page.locator(PAGE).first
    card.get_by_label("much smaller").check()
    notebook.screenshot("02_gradient_flow-question")
    card.get_by_role("button", name="Show me").click()
    card.locator(".rx-judged", has_text="it is “much larger”. It is 1,000×").wait_for(timeout=60_000)
    notebook.wait_printed(
        "explorer.guesses.table[['answer', 'count', 'right']].values.tolist()", "[['smaller', 1, False]]"
    )
    notebook.screenshot("02_gradient_flow-verdict")
    card.get_by_role("button", name="Put this away").click()
    pictures.assert_up_to_date("gradient_flow", notebook)
    headline, conditions = card.locator(".rx-headline"), card.locator(".rx-conditions p")

    def choose(menu, option):
        card.get_by_label(menu, exact=True).select_option(label=option)

    def says(words, timeout=60_000):
        headline.filter(has_text=re.compile(words)).wait_for(timeout=timeout)

    def looked_at():
        said = card.locator(".rx-read").inner_text()
        layer, step, *value = numbers(said)
        assert value, "and the number there"
        return said.split(",")[0], layer, step

    def line():
        return card.locator(LINES).first.get_attribute("d")

    card.scroll_into_view_if_needed()
    says("^Plain gradients explode: the first block's is 1,000× the last's")
    notebook.screenshot("02_gradient_flow")
    card.get_by_text("Conditions", exact=True).click()
    for menu, option, said in (
        ("Mode", "eval mode", "batch norm in eval mode"),
        ("Mode", "train mode", "batch norm in train mode"),
        ("Norm", "none", "no norm, train mode"),
        ("Norm", "batch norm", "batch norm in train mode"),
    ):
        before = line()
        choose(menu, option)
        conditions.filter(has_text=said).wait_for(timeout=60_000)
        page.wait_for_function("([node, before]) => node.getAttribute('d') !== before", arg=[
            card.locator(LINES).first.element_handle(), before,
        ])  # fmt: skip
    choose("Start", "Fixup")
    card.locator("select:has(option:checked:text('none, as Fixup does'))").wait_for(timeout=60_000)
    choose("Start", "He")
    says("^Plain gradients explode")

    notebook.execute("explorer.wait()", 120)
    sent = notebook.execute("print(explorer._count)")
    depth = card.get_by_label("Depth", exact=True)
    depth.press("End")
    assert "5 million×" in headline.inner_text()
    depth.press("Home")
    assert "stay level" in headline.inner_text()
    notebook.wait_printed("explorer.depth", "8")
    assert notebook.execute("print(explorer._count)") == sent, "the slider moves without the kernel"
    card.locator(".rx-chart").nth(1).locator("svg.rx-plot").click(position={"x": 300, "y": 100})
    page.wait_for_function("(node) => !node.innerText.includes('stay level')", arg=headline.element_handle())

    notebook.execute("explorer.depth = 56")
    says("1,000×")
    card.get_by_role("button", name="Take 10 SGD steps").click()
    card.get_by_label("Step", exact=True).wait_for(timeout=60_000)
    conditions.filter(has_text="step 10 of SGD").wait_for(timeout=120_000)
    says("^Plain gradients stay level")
    card.get_by_label("Step", exact=True).press("Home")
    assert headline.inner_text().startswith("Plain gradients explode"), "back to step 0"

    choose("Networks", "recorded: digits")
    conditions.filter(has_text="Recorded: scikit-learn").wait_for(timeout=60_000)
    says("^Step 0: plain gradients explode")
    box = card.bounding_box()
    card.get_by_label("Step", exact=True).press("End")
    assert headline.inner_text().startswith("Step 175: ")
    after = card.bounding_box()
    assert (after["width"], after["height"]) == (box["width"], box["height"]), "nothing jumps"
    notebook.screenshot("02_gradient_flow-training")
    choose("Picture", "all steps")
    matrix = card.locator(".rx-matrix").first
    matrix.wait_for(timeout=30_000)
    matrix.press("ArrowRight")
    assert looked_at() == ("Plain", 1, 1)
    matrix.hover(position={"x": 3, "y": 1})
    assert looked_at() == ("Plain", 56, 0)

    card.get_by_role("tab", name="Layer by layer").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert card.get_by_role("tab", name="Claims").get_attribute("aria-selected") == "true"
    choose("Claim", "A block adds 1/√l of its skip")
    says(r"theory: 1/√54 = 0.136", 120_000)
    conditions.filter(has_text="median of seeds 0 to 4").wait_for(timeout=120_000)
    notebook.screenshot("02_gradient_flow-claims")
    card.get_by_role("tab", name="Guess first").click()
    last = card.get_by_label("vanishes", exact=False)
    last.check()
    last.press("ArrowDown")  # goes round to the first
    card.get_by_role("button", name="Show me").click()
    card.locator(".rx-judged", has_text="1,000× the last's").wait_for(timeout=60_000)
    assert card.locator(".rx-judged").inner_text().startswith("Right.")
    notebook.screenshot("02_gradient_flow-guess")
    notebook.dress("dark")
    page.mouse.move(0, 0)
    page.set_viewport_size({"width": 480, "height": 900})
    notebook.show_first_code()  # what is out of sight is not laid out
    page.wait_for_function(
        """(card) => card.scrollWidth <= card.clientWidth + 1 && card.getBoundingClientRect().right <= innerWidth""",
        arg=card.element_handle(),
    )
    notebook.screenshot("02_gradient_flow-dark-narrow")
    notebook.assert_clean()
