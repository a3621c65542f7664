"""Notebook 01 and its explorer in a real JupyterLab: depths and steps are scrubbed, networks trained, data chosen."""

import json
import re

from PIL import Image

from resnet_explore.widgets.degradation import captions
from tests.browser import pictures
from tests.browser.stills import NO_STILLS

CELL = f"{NO_STILLS}import resnet_explore as rx\nexplorer = rx.DegradationExplorer()\nexplorer"
DEPTH = ".rx-slider:has(label:text-is('Depth')) input"
STEP = ".rx-slider:has(label:text-is('Step')) input"
_PATHS = """(node) => [...node.querySelectorAll('.rx-plot-line, .rx-plot-dots')].map((path) => path.getAttribute('d')).join()"""
_UNSHIELDED = """(card) => [...card.querySelectorAll('select, button, input, summary, [tabindex="0"]')]
    .filter((node) => node.dataset.lmSuppressShortcuts !== 'true').map((node) => node.outerHTML)"""
_PLACES = """() => ['.rx-tabs', '.rx-panels', '.rx-sliders', '.rx-below'].map((name) => {
    const box = document.querySelector(name).getBoundingClientRect();
    return [Math.round(box.left), Math.round(box.top - document.querySelector('.rx-page').getBoundingClientRect().top)];
})"""


def drawn_card(notebook):
    card = notebook.page.locator(".rx-page").first
    card.locator(".rx-plot").first.wait_for(timeout=60_000)
    return card


def headline(card, text, timeout=20_000):
    """Wait for a headline, and return it with plain spaces."""
    found = card.locator(".rx-headline").filter(
        has_text=text if isinstance(text, re.Pattern) else re.compile(text)
    )
    found.wait_for(timeout=timeout)
    return " ".join(found.inner_text().split())


def drawn(card, before=""):
    """Wait until the first chart shows another picture than before, at rest; return it."""
    chart = card.locator(".rx-charts").first
    for _ in range(100):
        now = chart.evaluate(_PATHS)
        card.page.wait_for_timeout(50)
        if now != before and chart.evaluate(_PATHS) == now:
            return now
    raise AssertionError("the chart still shows the same")


def test_a_click_on_a_point_chooses_its_depth_and_on_a_curve_nothing(open_notebook):
    notebook = open_notebook("notebooks/01_degradation.ipynb")
    notebook.execute(NO_STILLS)
    notebook.run_all()
    notebook.show_first_code()
    notebook.skip_question()
    card = drawn_card(notebook)
    pictures.assert_up_to_date("degradation", notebook)
    overview, curves = (card.locator(".rx-plot").nth(k) for k in (0, 1))
    overview.scroll_into_view_if_needed()
    box = overview.bounding_box()
    overview.click(position={"x": box["width"] - 12, "y": box["height"] / 2})
    headline(card, "^110 layers")
    for _ in range(50):  # a message has a thread of its own, so what is run after it may come before
        if notebook.execute("print(explorer.depth)") == "110":
            break
        card.page.wait_for_timeout(100)
    curves.click(position={"x": 60, "y": 60})
    card.page.wait_for_timeout(300)
    assert notebook.execute("print(explorer.depth)") == "110"
    assert card.locator(".rx-problem").inner_text() == ""
    notebook.assert_clean()


def test_train_and_stop_while_depths_are_looked_at(rerun):
    notebook, card = rerun, drawn_card(rerun)
    train, stop = (card.get_by_role("button", name=name, exact=True) for name in ("Train", "Stop"))
    progress, runs = card.locator(".rx-progress p"), card.get_by_label("Runs", exact=True)
    assert stop.get_attribute("aria-disabled") == "true"
    train.click()
    headline(card, r"^56 layers: the first epoch ends in about \d+", timeout=5_000)
    assert card.locator(".rx-look-ghost.rx-plot-line").count() >= 4, (
        "two of all depths, and one of each curve"
    )
    progress.filter(has_text="They train on").wait_for(timeout=60_000)
    runs.select_option("Recorded")
    for depth in (32, 20, 8):
        card.locator(DEPTH).press("ArrowLeft")
        headline(card, f"^{depth} layers: plain gets", timeout=2_000)
    runs.select_option("Trained here")
    progress.filter(has_text=re.compile(r"Trained \d+ of 80 epochs")).wait_for(timeout=60_000)
    headline(card, r"^8 layers( after \d+ of 8 epochs)?: plain", timeout=60_000)
    assert card.locator(".rx-progress progress").evaluate("(bar) => bar.value") > 0
    card.scroll_into_view_if_needed()
    notebook.screenshot("01_degradation-training")
    stop.click()
    progress.filter(has_text="Train goes on from the last finished epochs").wait_for(timeout=60_000)
    done = int(notebook.execute("print(len(explorer.table))"))
    assert 0 < done < 80
    assert train.get_attribute("aria-disabled") != "true"
    notebook.assert_clean()


def test_views_and_data_of_degradation(rerun, tmp_path):
    notebook, card, page = rerun, drawn_card(rerun), rerun.page
    places = page.evaluate(_PLACES)
    card.get_by_role("tab", name="Errors").press("ArrowRight")
    headline(card, "56 layers, step 0. First block's gradient: 1,100×")
    before = drawn(card)
    card.locator(STEP).press("ArrowRight")
    headline(card, "^56 layers, step 1. ", timeout=2_000)
    drawn(card, before)
    assert page.evaluate(_PLACES)[:2] == places[:2], "nothing jumps"
    card.locator(DEPTH).press("ArrowRight")
    headline(card, "^110 layers, step 1. ", timeout=2_000)
    notebook.screenshot("01_degradation-gradients")
    card.get_by_role("tab", name="Responses").press("Enter")
    headline(card, "^110 layers, step 175: plain responses span")
    last = captions.moment(175, {176: 8})
    assert card.locator(STEP).get_attribute("aria-valuetext") == f"175, {last}"
    card.get_by_role("tab", name="Beside the paper").press("Enter")
    table = card.locator(".rx-table")
    table.get_by_text("He et al., CIFAR-10 (Table 6)").first.wait_for()
    assert table.locator("tr.rx-shaded").count() == 8
    assert set(table.locator("tr[aria-current] th").all_inner_texts()) == {"110"}
    card.locator(DEPTH).press("ArrowLeft")
    assert set(table.locator("tr[aria-current] th").all_inner_texts()) == {"56"}
    card.get_by_role("tab", name="Errors").press("Enter")
    data = card.get_by_label("Data", exact=True)
    data.select_option("CIFAR-10 (32×32)")
    headline(card, "^56 layers: plain gets 44")
    assert page.evaluate(_PLACES) == places, "nor for other data"
    card.get_by_text("How these runs are made again").click()
    assert "resnet-explore sweep cifar10" in card.locator(".rx-code").inner_text()
    data.select_option("Your folder of images")
    (tmp_path / "train" / "only").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "only" / "a.png")
    field = card.get_by_label("Folder", exact=True)
    field.fill(str(tmp_path))
    field.press("Enter")
    card.locator(".rx-failed", has_text="images of one class only").wait_for(timeout=20_000)
    assert card.evaluate(_UNSHIELDED) == [], "their keys would reach the notebook"
    assert field.input_value() == str(tmp_path)
    data.select_option("Imagenette (photos)")
    headline(card, "^18 layers")
    assert card.locator(DEPTH).is_disabled()
    notebook.screenshot("01_degradation-one-depth")
    notebook.dress("dark")
    page.set_viewport_size({"width": 400, "height": 900})
    page.wait_for_function(
        "document.querySelector('.rx-page').scrollWidth <= document.querySelector('.rx-page').clientWidth + 1"
    )
    notebook.show_first_code()
    notebook.screenshot("01_degradation-dark-narrow")
    notebook.assert_clean()


_TIMES = """async (selector) => {
    const input = document.querySelector(selector), times = [];
    const value = () => document.querySelector('.rx-headline').textContent;
    for (let k = 0; k < 16; k += 1) {
        const before = value(), began = performance.now();
        input.value = String((Number(input.value) + 1) % (Number(input.max) + 1));
        input.dispatchEvent(new Event('input', { bubbles: true }));
        while (value() === before) await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b);
}"""


def test_sliders_move_the_page_alone(rerun):
    """No message to the kernel stands between a slider and its picture."""
    notebook, card = rerun, drawn_card(rerun)
    notebook.execute("explorer.wait()")
    seen = {}
    for view in ("errors", "gradients", "responses"):
        notebook.execute(f"explorer.view = '{view}'; explorer.wait()")
        card.page.wait_for_timeout(300)
        count = notebook.execute("print(explorer._count)")
        for name, selector in (("depth", DEPTH), ("step", STEP))[: 1 if view == "errors" else 2]:
            node = card.locator(selector)
            node.evaluate("(node) => node.classList.add('test-slider')")
            times = node.evaluate(f"() => ({_TIMES})('.test-slider')")
            node.evaluate("(node) => node.classList.remove('test-slider')")
            seen[view, name] = times[len(times) // 2], times[-2]
        card.page.wait_for_timeout(400)
        assert notebook.execute("print(explorer._count)") == count, "the page had it all"
    print(json.dumps({" ".join(key): value for key, value in seen.items()}))
    assert all(median < 60 for median, _ in seen.values())
    notebook.assert_clean()
