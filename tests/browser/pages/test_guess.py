"""A question before the picture, on a page without kernel and in a baked one."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from resnet_explore.widgets.core.view import Button, Choice, Menu, Over, Prose, Slider, Tabs, View
from tests.browser.bare import message, open_view
from tests.widgets.made_up import QUESTION, AskedPowers
from tests.widgets.pages import numbers

NUMBERS = tuple(Choice(n, str(n)) for n in (2, 3, 4))
TABS = Tabs("tab", (Choice("sum", "Sum"), Choice("other", "Other")))
VIEW = View(
    tabs=TABS,
    ask=(Menu("color", "Color", (Choice("red", "Red"),)),),
    headline="The secret is 4.",
    why="A secret reason.",
    panels=((Prose("text", ("A secret picture.",)),),),
    sliders=(Slider("n", "n", NUMBERS),),
    below=((Button("go", "A secret button"),),),
    conditions=("A secret condition.",),
    question=QUESTION,
)
STATE = {"tab": "sum", "color": "red", "n": 2}


@pytest.fixture
def asked(bare_page):
    def open_it(view=VIEW, **how):
        page = open_view(bare_page(), view, STATE, **how)
        page.evaluate("window.model.set('_counts', {'test/sum': {}})")
        return page

    return open_it


def answer(page, label):
    page.get_by_label(label).check()
    page.get_by_role("button", name="Show me").click()


def judged(page):
    return page.locator(".rx-judged").inner_text()


def receive(page, view, count, state=STATE):
    page.evaluate("(text) => window.receive(text)", message(view, state, count))


def sent(page):
    return page.evaluate("window.asked.filter(({ act }) => act === 'guess').map(({ detail }) => detail)")


def test_nothing_of_the_answer_is_there_before_it(asked):
    page = asked()
    expect(page.get_by_role("group", name="What is 2 + 2?")).to_be_visible()
    html = page.locator(".rx-page").evaluate("(node) => node.outerHTML")
    assert "secret" not in html, "for no eye, no search and no screen reader"
    assert "It is 4." not in html
    assert "Two and two" not in html
    assert page.get_by_text("Save", exact=True).is_hidden()
    assert page.get_by_label("Color").count() == 0
    assert page.get_by_role("tab").count() == 2, "who wants to go elsewhere may"
    assert "By counting." in html


def test_an_answer_is_judged_and_the_picture_comes(asked):
    page = asked()
    answer(page, "four")
    assert judged(page) == "Right. It is 4."
    assert page.evaluate("document.activeElement.textContent") == "Right. It is 4.Two and two more."
    assert page.evaluate("document.activeElement.dataset.lmSuppressShortcuts") == "true"
    assert page.locator(".rx-headline").inner_text() == "The secret is 4."
    assert page.get_by_label("Color").count() == 1
    assert page.get_by_role("slider").is_visible()
    assert sent(page) == [["test/sum", "4"]]
    assert page.evaluate("window.model.get('_guessed')") == {"test/sum": "4"}
    assert page.locator(".rx-distribution").is_hidden(), "one's own answer alone is no distribution"


def test_a_wrong_answer_is_named_and_taken_seriously(asked):
    page = asked()
    answer(page, "three")
    assert judged(page) == "Not quite: you said “three”, it is “four”. It is 4. Close."


def test_keys_do_all_of_it(asked):
    page = asked()
    keys = page.keyboard
    page.get_by_label("three").focus()
    keys.press(" ")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    assert judged(page).startswith("Not quite: you said “five”")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Another person guesses"
    keys.press("Enter")
    assert page.evaluate("document.activeElement.type") == "radio"
    for _ in range(2):
        keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip the question"
    keys.press("Enter")
    assert page.locator(".rx-guess").is_hidden()
    assert page.evaluate("document.activeElement.className").startswith("rx-page"), "JupyterLab gets no keys"


def test_a_double_click_presses_nothing_that_comes_under_the_pointer(asked):
    tall = replace(QUESTION, choices=(*QUESTION.choices, *(Choice(str(k), str(k)) for k in (6, 7, 8))))
    page = asked(replace(VIEW, panels=((Button("cut", "xxx " * 2000),),), question=tall))
    page.get_by_label("four").check()
    page.get_by_role("button", name="Show me").dblclick()
    assert page.get_by_role("button", name="xxx").is_visible()
    assert page.evaluate("window.asked.map(({ act }) => act)") == ["guess"]


def test_to_go_on_without_an_answer_shows_which_are_there(asked):
    page = asked()
    page.get_by_role("button", name="Show me").press("Enter")
    assert page.evaluate("document.activeElement.type") == "radio"
    assert page.locator(".rx-live").inner_text() == "Choose an answer first."
    assert sent(page) == []


def test_a_question_can_be_skipped_and_counts_nowhere(asked):
    page = asked()
    page.get_by_role("button", name="Skip").click()
    assert page.locator(".rx-headline").inner_text() == "The secret is 4."
    assert page.locator(".rx-guess").is_hidden()
    assert sent(page) == []


def test_what_is_not_measured_yet_is_judged_once_it_is(asked):
    waiting = replace(VIEW, panels=None, waiting="Soon.", question=replace(QUESTION, right=None, told=""))
    page = asked(waiting)
    answer(page, "three")
    assert judged(page) == "You said “three”. Measuring ..."
    assert page.get_by_text("Two and two").count() == 0
    assert page.get_by_text("Soon.").is_visible()
    receive(page, VIEW, 2)
    assert judged(page).startswith("Not quite: you said “three”")
    assert page.locator(".rx-live").inner_text() == judged(page), "who can't see is told"
    assert page.get_by_text("A secret picture.").is_visible()


def test_what_is_ticked_stays_while_it_is_measured(asked):
    page = asked(replace(VIEW, panels=None, question=replace(QUESTION, right=None, told="")))
    page.get_by_label("five").check()
    receive(page, VIEW, 2)
    page.evaluate("window.model.set('_counts', {'test/sum': {'3': 1}})")
    assert page.get_by_label("five").is_checked()
    assert page.evaluate("document.activeElement.type") == "radio"
    page.get_by_role("button", name="Show me").click()
    page.get_by_role("button", name="Another person").focus()
    page.evaluate("window.model.set('_counts', {'test/sum': {'5': 1, '3': 7}})")
    assert page.evaluate("document.activeElement.textContent") == "Another person guesses"


def test_another_person_may_guess_once_one_has_moved_on(asked):
    page = asked()
    answer(page, "four")
    receive(page, replace(VIEW, question=None), 2)
    page.get_by_role("button", name="Another person").click()
    page.evaluate("document.querySelector('.rx-page').explorer.show()")
    answer(page, "three")
    assert judged(page).startswith("Not quite: you said “three”")
    assert page.locator(".rx-headline").inner_text() == "The secret is 4."


def test_others_guess_too_and_all_answers_are_counted(asked):
    page = asked()
    page.evaluate("window.model.set('_counts', {'test/sum': {'3': 3}})")
    answer(page, "four")
    rows = page.locator(".rx-distribution li")
    counted = ["three 3", "four 1 ✓ right", "five 0"]
    assert [row.inner_text().replace("\n", " ") for row in rows.all()] == counted, "its own at once"
    height = page.locator(".rx-guess").bounding_box()["height"]
    page.evaluate("window.model.set('_counts', {'test/sum': {'3': 3, '4': 1}})")
    assert [row.inner_text().replace("\n", " ") for row in rows.all()] == counted, "and not twice"
    assert page.locator(".rx-guess").bounding_box()["height"] == height
    page.get_by_role("button", name="Another person").click()
    assert page.get_by_text("secret").count() == 0
    assert page.locator("input:checked").count() == 0
    answer(page, "five")
    assert numbers(page.locator(".rx-guess .rx-facts").inner_text()) == [5]
    assert len(sent(page)) == 2


def test_an_answer_on_its_way_is_counted_until_the_kernel_has_it(asked):
    page = asked()
    page.evaluate("window.model.set('_counts', {'test/sum': {'3': 3, '4': 1}})")
    answer(page, "four")
    others = [{"test/sum": {"3": 3, "4": 1}, "test/other": {"3": 9}}, {"test/sum": {"3": 5, "4": 1}}]
    for counts in others:
        page.evaluate("(counts) => window.model.set('_counts', counts)", counts)
        right = page.locator(".rx-distribution li", has_text="right")
        assert numbers(right.inner_text()) == [2], "one's own stays"
    page.evaluate("window.model.set('_counts', {'test/sum': {'3': 5, '4': 2}})")
    assert numbers(right.inner_text()) == [2], "and is not counted twice"


def test_words_of_a_question_and_its_verdict_explain_themselves(asked):
    gloss = {"sum": "What comes out of an addition.", "two": "The number after one."}
    question = replace(QUESTION, text="Which sum is 2 + two?", told="The sum is 4.")
    page = asked(replace(VIEW, glossary=gloss, question=question))
    terms = page.locator(".rx-guess .rx-term")
    assert terms.all_inner_texts() == ["sum", "two"]
    expect(page.get_by_role("group", name="Which sum is 2 + two?", exact=True)).to_be_visible()
    terms.first.focus()
    assert page.evaluate("document.activeElement.dataset.tip") == gloss["sum"]
    answer(page, "four")
    assert terms.all_inner_texts() == ["sum", "Two"]
    assert judged(page) == "Right. The sum is 4."
    expect(page.get_by_role("group", name="Right. The sum is 4.", exact=True)).to_be_focused()


def test_a_tip_at_the_right_edge_ends_inside_the_page(asked):
    tip = "What comes out of an addition, of which there are many, this one and some others."
    page = asked(
        replace(
            VIEW, glossary={"sum": tip}, question=replace(QUESTION, text="Which, if you please, is the sum?")
        )
    )
    page.set_viewport_size({"width": 360, "height": 800})
    page.locator(".rx-guess .rx-term").focus()
    card = page.locator(".rx-page")
    assert (
        card.evaluate(
            "(card) => getComputedStyle(card.querySelector('.rx-guess .rx-term'), '::after').display"
        )
        == "block"
    )
    assert card.evaluate("(card) => card.scrollWidth <= card.clientWidth")


def test_the_verdict_stays_while_one_moves_and_goes_with_the_tab_or_when_put_away(asked):
    page = asked()
    answer(page, "four")
    place = page.locator(".rx-headline").bounding_box()
    page.get_by_role("slider").press("End")
    receive(page, replace(VIEW, question=None), 2, {**STATE, "n": 4})  # past what was asked about
    assert page.locator(".rx-headline").bounding_box() == place, "nothing jumps"
    page.get_by_role("tab", name="Other").click()
    receive(page, replace(VIEW, question=None), 3, {**STATE, "tab": "other"})
    assert page.locator(".rx-guess").is_hidden()
    page.get_by_role("tab", name="Sum").click()
    receive(page, VIEW, 4)
    assert judged(page).startswith("Right.")
    page.get_by_role("button", name="Put this away").click()
    assert page.locator(".rx-guess").is_hidden()
    receive(page, VIEW, 5)
    assert page.locator(".rx-guess").is_hidden()


def test_a_question_is_withdrawn_with_its_view(asked):
    page = asked()
    receive(page, replace(VIEW, question=None), 2)
    assert page.locator(".rx-headline").inner_text() == "The secret is 4."
    assert page.locator(".rx-guess").is_hidden()


def test_a_question_follows_a_slider(asked):
    other = replace(QUESTION, key="test/other", text="What is 3 + 3?")
    view = replace(VIEW, question=Over("n", {2: QUESTION, 3: other, 4: None}))
    page = asked(view)
    page.evaluate("window.model.set('n', 3)")
    expect(page.get_by_role("group", name="What is 3 + 3?")).to_be_visible()
    page.evaluate("window.model.set('n', 4)")
    assert page.locator(".rx-headline").is_visible()


def test_who_asked_for_questions_keeps_the_menu_and_the_score(asked):
    page = asked(replace(VIEW, question=replace(QUESTION, insists=True)))
    assert page.get_by_label("Color").count() == 1
    answer(page, "four")
    receive(page, replace(VIEW, question=replace(QUESTION, key="test/next", insists=True)), 2)
    answer(page, "three")
    assert judged(page).endswith("1 of 2 right so far.")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_the_page(asked, width, theme):
    long = replace(
        QUESTION, text="How many? " * 20, choices=tuple(Choice(k, f"block {k}") for k in range(1, 28))
    )
    page = asked(replace(VIEW, question=replace(long, right=3)), width=width, theme=theme)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.evaluate("window.model.set('_counts', {'test/sum': {'3': 30}})")
    options = [label.bounding_box()["y"] for label in page.locator(".rx-guess label").all()]
    assert len(set(options)) < 27, "many stand beside each other"
    answer(page, "block 27")
    assert page.locator(".rx-distribution li").count() == 2
    assert page.evaluate(fits)


@pytest.mark.parametrize("width", [400, 700, 1280])
def test_without_tabs_the_tools_cover_nothing_of_it(asked, width):
    page = asked(replace(VIEW, tabs=None), width=width)
    for act in ("asks", "tells"):
        card, tools = (page.locator(f".rx-{name}").bounding_box() for name in ("guess", "tools"))
        beside = card["x"] + card["width"] <= tools["x"]
        below = tools["y"] + tools["height"] <= card["y"]
        assert beside or below, act
        if act == "asks":
            answer(page, "four")


# --- baked --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asked")
    made = {}
    for guess in (True, False):
        explorer = AskedPowers(guess=guess)
        made[guess] = explorer.to_html(folder / f"{guess}.html", say=lambda _: None)
        explorer.close()
    return made


@pytest.fixture
def baked(bare_page, files):
    def open_it(guess, address=""):
        page = bare_page()
        page.goto(f"file://{files[guess]}{address}")
        page.locator(".rx-page[data-view]").wait_for()
        return page

    return open_it


def test_a_page_without_python_asks_counts_and_keeps_the_code(baked):
    page = baked(True)
    assert page.title() == "What is 2 + 2?"
    assert page.locator(".rx-headline").inner_text() == ""
    answer(page, "three")
    assert page.locator(".rx-headline").inner_text() == "2 to the 2 is 4."
    assert page.title() == "2 to the 2 is 4."
    page.get_by_role("button", name="Another person").click()
    assert page.title() == "What is 2 + 2?", "it does not tell the next person"
    answer(page, "four")
    assert numbers(page.locator(".rx-guess .rx-facts").inner_text()) == [2]
    assert page.locator(".rx-problem").inner_text() == ""
    assert "guess=True" in page.evaluate("document.querySelector('.rx-page').explorer.model.get('_code')")
    page.get_by_role("slider", name="Power").press("ArrowRight")
    assert judged(page).startswith("Right.")
    page.get_by_label("Base").select_option("base 7")
    expect(page.locator(".rx-headline")).to_have_text("7 to the 3 is 343.")


def test_a_link_shows_what_it_leads_to_unless_it_asks_to_ask(baked):
    page = baked(True, "#power=3")
    assert page.locator(".rx-headline").inner_text() == page.title() == "2 to the 3 is 8."
    page = baked(True, "#power=3&guess=true")
    assert page.locator(".rx-headline").inner_text() == ""
    assert page.title() == "What is 2 + 2?"
    assert page.locator(".rx-problem").inner_text() == ""
    answer(page, "four")
    assert page.locator(".rx-headline").inner_text() == "2 to the 3 is 8."


def test_a_page_without_python_asks_only_where_it_should(baked):
    page = baked(False)
    assert page.locator(".rx-guess").is_hidden()
    assert page.locator(".rx-headline").inner_text() == "2 to the 2 is 4."
