"""The page and its model without a kernel: what a person has chosen, and what the kernel says meanwhile."""

import pytest
from playwright.sync_api import expect

from resnet_explore.widgets.core.view import Choice, Menu, Over, Prose, Slider, Text, View
from tests.browser.bare import open_view

SHADES = tuple(Choice(shade, f"{shade} %") for shade in (0, 50, 100))
VIEW = View(
    headline=Over("shade", {choice.value: f"Shade {choice.label}" for choice in SHADES}),
    ask=(Menu("color", "Color", (Choice("red", "Red"), Choice("blue", "Blue"))),),
    panels=((Prose("text", ("A text.",)),),),
    sliders=(Slider("shade", "Shade", SHADES),),
)


@pytest.fixture
def page(bare_page):
    return open_view(bare_page(), VIEW, {"shade": 0, "color": "red"})


def shown(page):
    """The shade as headline, slider and model have it."""
    model = page.evaluate(
        "[window.model.get('shade'), document.querySelector('.rx-page').explorer.state.shade]"
    )
    return [
        page.locator(".rx-headline").inner_text(),
        int(page.locator(".rx-step").input_value()) * 50,
        *model,
    ]


def all_at(shade):
    return [f"Shade {shade}\u00a0%", shade, shade, shade]


def test_an_older_answer_does_not_undo_a_younger_choice(page):
    page.locator(".rx-step").press("ArrowRight")  # count 1
    page.locator(".rx-step").press("ArrowRight")  # count 2
    assert shown(page) == all_at(100)
    page.evaluate("window.model.set('_heard', 1); window.model.set('shade', 0)")
    assert shown(page) == all_at(100), "the kernel had not heard of the second press"
    page.evaluate("window.model.set('_heard', 2); window.model.set('shade', 0)")
    assert shown(page) == all_at(0), "now it has, and takes it back"


def test_the_kernel_may_set_what_the_person_has_not_touched(page):
    page.get_by_label("Color").select_option("Blue")
    page.evaluate("window.model.set('shade', 50)")
    assert shown(page) == all_at(50)
    assert page.evaluate("window.model.get('_said')") == {"color": [1, "blue"]}


def test_what_is_asked_for_says_which_choices_have_no_answer(page):
    page.get_by_label("Color").select_option("Blue")  # count 1
    page.evaluate("window.model.set('_heard', 7)")  # another window is further on
    page.locator(".rx-step").press("End")  # later than all of these
    page.evaluate("document.querySelector('.rx-page').explorer.act('go')")
    assert page.evaluate("window.asked.at(-1).said") == {"shade": [8, 100]}


def test_two_views_of_one_explorer_follow_each_other(page):
    """A notebook may show an explorer twice: what is chosen in one is no answer of the kernel in the other."""
    page.evaluate(
        """() => {
            const second = document.body.appendChild(document.createElement('div'));
            const model = window.model, other = {}, on = model.on;
            const set = model.set;
            model.set = (name, value) => { set(name, value); other[`change:${name}`]?.(); };
            window.widget.render({ model: { ...model, on: (name, handler) => { other[name] = handler; } }, el: second });
        }"""
    )
    first, second = page.locator(".rx-step").all()
    first.press("End")
    assert [first.input_value(), second.input_value()] == ["2", "2"]
    second.press("Home")
    assert [first.input_value(), second.input_value()] == ["0", "0"]
    first.press("ArrowRight")
    assert [first.input_value(), second.input_value()] == ["1", "1"]


def test_a_control_without_stops_for_a_state_on_its_way_stays_as_it_was(bare_page):
    """The kernel sets depth and block one after the other, and the view comes last of all."""
    stops = {
        8: tuple(Choice(k, f"{k}") for k in (1, 2, 3)),
        20: tuple(Choice(k, f"{k}") for k in range(1, 10)),
    }
    only_at_8 = Over("depth", {8: Menu("kind", "Kind", (Choice("a", "A"),))})
    view = View(headline="A", ask=(only_at_8,), sliders=(Slider("block", "Block", Over("depth", stops)),))
    page = open_view(bare_page(), view, {"depth": 20, "block": 5, "kind": "a"})
    step = page.locator(".rx-step")
    assert (step.input_value(), step.get_attribute("max")) == ("4", "8")
    assert page.locator(".rx-menu").count() == 0, "a control may be missing at a state"
    page.evaluate("window.model.set('depth', 110)")
    assert (step.input_value(), step.get_attribute("max")) == ("4", "8")
    page.evaluate("window.model.set('depth', 8)")
    assert step.get_attribute("max") == "2"
    assert page.locator(".rx-menu").count() == 1


def test_a_kernel_that_says_nothing_is_said_to_be_busy(page):
    busy = page.locator(".rx-busy")
    page.get_by_label("Color").select_option("Blue")
    assert busy.is_hidden(), "most answers are there before one could read that they are awaited"
    expect(busy).to_contain_text("Python is busy.")
    assert page.get_by_role("button", name="Stop").is_hidden(), "there is nothing here to be stopped"
    page.evaluate("window.model.set('_busy', 'Measuring ...')")
    expect(busy).to_contain_text("Measuring ...")
    expect(
        page.get_by_role("button", name="Stop")
    ).to_be_visible()  # after a moment, as all that is said there
    page.evaluate("window.model.set('_busy', '')")
    page.get_by_label("Color").select_option("Red")
    expect(busy).to_be_hidden()


def test_what_is_typed_into_a_field_that_goes_away_is_not_lost(bare_page):
    """The browser tells of it in the very moment in which the page takes the field away."""
    field = Over("shade", {0: Text("folder", "Folder")})
    view = View(headline="A", ask=(field,), sliders=(Slider("shade", "Shade", SHADES),))
    page = open_view(bare_page(), view, {"shade": 0, "folder": ""})
    page.get_by_label("Folder").press_sequentially("~/photos")
    page.evaluate("window.model.set('shade', 50)")
    expect(page.get_by_label("Folder")).to_have_count(0)
    assert page.evaluate("window.model.get('folder')") == "~/photos"
    assert page.evaluate("document.activeElement.className").startswith("rx-page"), "keys stay here"
    assert page.locator(".rx-step").input_value() == "1"
