"""Notebook 00 in a real JupyterLab: a guess is drawn, an addition taken away, twins are trained, blocks cut."""

import re

from playwright.sync_api import expect

from tests.browser import pictures
from tests.browser.stills import NO_STILLS

STEPS = ("deeper", "addition", "training", "gradients", "ways")


def test_the_lesson_from_its_first_picture_to_its_doors(open_notebook):
    notebook = open_notebook("notebooks/00_start.ipynb")
    notebook.execute(NO_STILLS)
    notebook.run_all()
    card = {step: notebook.page.locator(".rx-page").nth(k) for k, step in enumerate(STEPS)}
    draw_and_compare(notebook, card["deeper"])
    headline(card["addition"], "church, 90.% sure", 60)
    pictures.assert_up_to_date("lesson", notebook)
    take_the_addition_away(card["addition"])
    train_both(card["training"])
    guess_and_move_on(card["gradients"])
    cut_blocks(card["ways"])
    links = notebook.page.locator(".jp-MarkdownOutput a[href*='.ipynb']").all_inner_texts()
    assert [link[:2] for link in links] == [*(f"{number:02}" for number in range(1, 11)), "Ex"]
    notebook.assert_clean()


def headline(card, pattern, seconds=20):
    expect(card.locator(".rx-headline")).to_have_text(re.compile(pattern), timeout=1000 * seconds)


def draw_and_compare(notebook, card):
    page, plot = notebook.page, card.locator(".rx-plot")
    plot.scroll_into_view_if_needed()
    headline(card, "What happens to its training error")
    notebook.screenshot("00_start")
    assert "Plain" not in card.inner_text(), "nothing of the answer is there"
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] - 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + box["height"] - 60, steps=6)
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] - 50, steps=6)  # leaves the axis, which it can't
    page.mouse.up()
    before = box["height"]
    card.get_by_role("button", name="Show what was measured").click()
    headline(card, "At 110 layers, plain networks get 89.% wrong")
    expect(card.locator(".rx-prose")).to_contain_text("You drew 100 % at 110 layers")
    assert plot.bounding_box()["height"] == before, "nothing jumps"
    # And by keys alone: up from the first stop to the last.
    card.get_by_role("button", name="Draw again").press("Enter")
    chart = card.get_by_role("application")
    expect(chart).to_be_focused()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowRight", "PageUp", "Enter"):
        chart.press(key)
    expect(card.locator(".rx-prose")).to_contain_text("You drew 30 % at 110 layers")


def take_the_addition_away(card):
    card.locator(".rx-sum-map").nth(2).hover()
    numbers = re.fullmatch(
        r"Row \d+, column \d+: x (\S+) and F\(x\) (\S+) make (\S+)\.", card.locator(".rx-read").inner_text()
    )
    x, branch, total = (float(number.replace("−", "-")) for number in numbers.groups())
    assert abs(x + branch - total) <= 0.011 * max(1, abs(total)), "three digits each"
    skip = card.get_by_role("checkbox", name="Add x")
    skip.press("Space")
    headline(card, "church becomes parachute")
    expect(card.locator(".rx-sum-skip")).to_have_class(re.compile("rx-off"))
    skip.press("Space")
    headline(card, "church, 90.% sure")


def train_both(card):
    headline(card, "After 120 updates")
    card.get_by_role("button", name="Train both").click()
    headline(card, r"After (\d|\d\d) updates", 60)
    assert card.locator(".rx-plot .rx-look-ghost.rx-plot-line").count() == 2
    first = card.locator(".rx-headline").inner_text()
    expect(card.locator(".rx-headline")).not_to_have_text(first, timeout=20_000)
    card.get_by_role("button", name="Stop", exact=True).first.click()
    expect(card.get_by_role("button", name="Train both")).to_be_visible(timeout=20_000)


def guess_and_move_on(card):
    card.get_by_label("Much smaller").check()
    card.get_by_role("button", name="Show me").click()
    expect(card).to_contain_text("Not quite")
    headline(card, "Before training, the plain gradient explodes")
    updates = card.get_by_role("slider", name="Updates")
    for _ in range(3):
        updates.press("ArrowRight")
    headline(card, "After 10 updates, the plain gradient vanishes")


def cut_blocks(card):
    headline(card, "Without block 5, plain gets 91.% wrong", 60)
    expect(card.locator(".rx-ways")).to_contain_text("8 ways, 4 left")
    card.locator(".rx-cut-block").nth(4).press("Enter")
    headline(card, "With all blocks in place")
    expect(card.locator(".rx-way.rx-off")).to_have_count(0)
