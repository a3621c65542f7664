"""Parts below the sliders, texts and marked rows, in a page without kernel."""

from resnet_explore.widgets.core.view import (
    Button,
    Choice,
    Code,
    Column,
    Group,
    Over,
    ProgressBar,
    Slider,
    Table,
    Text,
    View,
)
from tests.browser.bare import message, open_view

STATE = {"folder": "", "depth": 8, "sort": [0, 1]}


def view(share=None, sentence="Nothing yet.", failed=False):
    rows = ((8, "ours"), (20, "ours"), (20, "theirs"))
    marked = Over("depth", {8: (0,), 20: (1, 2)})
    return View(
        ask=(Text("folder", "Folder", "such as ~/photos"),),
        panels=(
            (
                Table(
                    "table", (Column("Depth", 0, twin="plain"), Column("Whose")), rows, "sort", marked, (2,)
                ),
            ),
        ),
        sliders=(Slider("depth", "Depth", (Choice(8, "8", "the least"), Choice(20, "20"))),),
        below=(
            (Group("line", (Button("train", "Train"), ProgressBar("progress", share, sentence, failed))),),
            (Group("folded", (Code("code", ("first line", "second line")),), "How"),),
        ),
    )


def receive(page, shown, count):
    page.evaluate("(text) => window.receive(text)", message(shown, STATE, count))


def test_what_goes_on_is_shown_and_keeps_its_elements(bare_page):
    page = open_view(bare_page(), view(), STATE)
    bar, sentence, button = (
        page.locator(name) for name in ("progress", ".rx-progress p", ".rx-group button:text-is('Train')")
    )
    assert bar.is_hidden()
    button.focus()
    receive(page, view(0.25, "A quarter."), 2)
    assert (bar.evaluate("(bar) => bar.value"), sentence.inner_text()) == (0.25, "A quarter.")
    assert page.locator(".rx-live").inner_text() == "Nothing yet.", (
        "what changes all the time is not read out"
    )
    assert page.evaluate("document.activeElement.textContent") == "Train", "the focus stays"
    receive(page, view(None, "It broke.", True), 3)
    assert page.locator(".rx-live").inner_text() == sentence.inner_text() == "It broke."
    assert "rx-failed" in sentence.get_attribute("class")
    places = [page.locator(name).bounding_box()["y"] for name in (".rx-sliders", ".rx-below", ".rx-folded")]
    assert places == sorted(places)


def test_a_text_counts_when_enter_is_pressed_and_what_is_typed_stays(bare_page):
    page = open_view(bare_page(), view(), STATE)
    field = page.get_by_label("Folder")
    field.type("~/pets")
    receive(page, view(0.5, "Half."), 2)
    assert (field.input_value(), page.evaluate("model.get('folder')")) == ("~/pets", "")
    field.press("Enter")
    assert page.evaluate("model.get('folder')") == "~/pets"
    page.evaluate("model.set('_heard', 1); model.set('folder', '~/cats')")
    assert field.input_value() == "~/cats", "Python may set it, too"


def test_rows_of_what_is_looked_at_stand_out(bare_page):
    page = open_view(bare_page(), view(), STATE)
    marked = page.locator("tr[aria-current]")
    assert marked.all_inner_texts() == ["8\tours"]
    assert page.locator("output").inner_text() == "8, the least"
    page.get_by_label("Depth", exact=True).press("ArrowRight")
    assert marked.all_inner_texts() == ["20\tours", "20\ttheirs"]
    page.get_by_role("button", name="Whose").click()
    page.get_by_role("button", name="Whose").click()
    assert page.locator("tbody tr").first.inner_text() == "20\ttheirs"
    assert marked.all_inner_texts() == ["20\ttheirs", "20\tours"], "wherever they are sorted to"
    assert page.locator(".rx-shaded").inner_text() == "20\ttheirs"
    page.get_by_text("How", exact=True).click()
    assert page.locator(".rx-code").inner_text() == "first line\nsecond line"


def test_a_button_keeps_its_width_while_its_label_changes(bare_page):
    def with_label(label):
        return View(ask=(Button("play", label, widest="Pause"), Button("next", "Next")))

    page = open_view(bare_page(), with_label("Play"), STATE)
    places = [page.locator(".rx-button").nth(k).bounding_box() for k in (0, 1)]
    receive(page, with_label("Pause"), 2)
    assert page.locator(".rx-button").first.inner_text() == "Pause"
    assert [page.locator(".rx-button").nth(k).bounding_box() for k in (0, 1)] == places
