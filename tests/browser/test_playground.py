"""Notebook 09 and the playground in a real JupyterLab: played, changed while it trains, stopped, rewound."""

import re

from tests.browser.stills import NO_STILLS

CELL = f"""{NO_STILLS}
import resnet_explore as rx
explorer = rx.PlaygroundExplorer(networks=("plain-8", "residual-8"), steps=30, batch_size=8)
explorer
"""
_LENGTH = """(card) => [...card.querySelectorAll('.rx-chart')].slice(0, 1)
    .flatMap((chart) => [...chart.querySelectorAll('.rx-plot-line:not(.rx-look-ghost)')])
    .filter((path) => path.closest('.rx-plot')).reduce((sum, path) => sum + (path.getAttribute('d') ?? '').split('L').length, 0)"""
_PLACES = """(card) => [...card.querySelectorAll('.rx-ask button, .rx-ask select, .rx-panels, .rx-sliders, .rx-below')]
    .filter((node) => node.offsetParent).map((node) => node.getBoundingClientRect()).map(({ x, y }) => [Math.round(x), Math.round(y)])"""


def opened(notebook):
    card = notebook.page.locator(".rx-page")
    card.locator(".rx-headline", has_text=re.compile(r"After 30 steps")).wait_for(timeout=60_000)
    return card


def button(card, name):
    return card.get_by_role("button", name=name, exact=True)


def grown(card, before):
    for _ in range(200):
        now = card.evaluate(_LENGTH)
        if now > before:
            return now
        card.page.wait_for_timeout(50)
    raise AssertionError("the curves don't grow")


def test_play_change_pause_and_go_on_from_an_earlier_step(rerun):
    notebook, card = rerun, opened(rerun)
    places, length = card.evaluate(_PLACES), card.evaluate(_LENGTH)
    play = button(card, "Play")
    play.focus()
    notebook.page.keyboard.press("Enter")
    button(card, "Pause").wait_for(timeout=10_000)
    length = grown(card, grown(card, length))
    assert card.evaluate(_PLACES) == places, "nothing jumps"
    card.get_by_label("Learning rate").select_option("0.1")
    button(card, "Take all skips away").click()
    mark = card.locator(".rx-chart").first.get_by_text(re.compile("rate 0.1|skips off"))
    mark.first.wait_for(timeout=20_000)
    skips = card.get_by_label("skips").nth(1).element_handle()
    taken = "(node) => node.selectedOptions[0].textContent.includes('taken away')"
    notebook.page.wait_for_function(taken, arg=skips, timeout=20_000)  # the rate may be marked first
    grown(card, length)
    button(card, "Pause").press("Enter")
    play.wait_for(timeout=10_000)
    notebook.wait_printed("explorer.playing", "False")
    slider = card.locator(".rx-sliders input")
    slider.press("Home")
    card.locator(".rx-headline", has_text="Before the first step").wait_for(timeout=2_000)
    slider.press("ArrowRight")
    card.locator(".rx-headline", has_text="After 10 steps").wait_for(timeout=2_000)
    notebook.wait_printed("explorer.step", "10")
    button(card, "Step").click()
    card.locator("svg.rx-plot .rx-look-ghost.rx-plot-line").first.wait_for(timeout=20_000)
    notebook.wait_printed("(explorer.steps, explorer.step, explorer.playing)", "(11, -1, False)")
    notebook.page.wait_for_timeout(500)
    assert card.evaluate(_PLACES) == places
    notebook.screenshot("09_playground")


def test_networks_are_chosen_in_rows_of_menus(rerun):
    notebook, card = rerun, opened(rerun)
    card.get_by_label("layers").first.select_option("14")
    card.locator(".rx-plot-legend", has_text="plain-14").first.wait_for(timeout=20_000)
    button(card, "Add a network").click()
    card.get_by_label("Network 3").wait_for(timeout=20_000)
    notebook.wait_printed("explorer.networks[2]", "residual-20")
    card.locator(".rx-more-controls summary").nth(2).click()
    button(card, "Remove this network").locator("visible=true").click()
    card.get_by_label("Network 3").wait_for(state="detached", timeout=20_000)
    notebook.wait_printed("explorer.networks", "('plain-14', 'residual-8')")
    notebook.execute("explorer.networks = ('plain-8', 'residual-8 norm=none')")
    card.locator(".rx-plot-legend", has_text="residual-8 norm=none").first.wait_for(timeout=20_000)


def test_the_notebook_makes_its_point_once_its_question_is_answered(open_notebook):
    notebook = open_notebook("notebooks/09_playground.ipynb")
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.wait_printed("explorer.wait(10)", "True", timeout=120)
    card = notebook.page.locator(".rx-page")
    card.get_by_role("radio", name=re.compile("^Neither")).check(timeout=60_000)
    button(card, "Show me").click()
    headline = notebook.page.locator(".rx-headline")
    headline.filter(has_text=re.compile(r"^After 60 steps residual-56 gets \d\.\d\s%")).wait_for(
        timeout=120_000
    )
    wrong = [
        float(number) for number in re.findall(r"([\d.]+) %", headline.inner_text().replace("\xa0", " "))
    ]
    assert wrong[1] > 50
    notebook.assert_clean()
