"""The site in a real browser, served by this machine below a path, and asking for nothing elsewhere."""

import shutil
import urllib.parse

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from resnet_explore.errors import ExploreError
from resnet_explore.pages.site import build as build_module
from resnet_explore.pages.site.build import build_site
from resnet_explore.pages.site.embedded import explorer_html
from resnet_explore.pages.site.layout import Page, page_html
from resnet_explore.pages.site.stories import Story, StoryText, StoryWidget
from tests.browser.served import served

PAGES = ("index.html", "degradation.html", "skips.html", "reference.html", "docs/guide.html", "404.html")


def _offline():
    raise ExploreError("No connection.")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a site with one explorer, and with a page on which it stands twice."""
    root = tmp_path_factory.mktemp("root")
    folder = root / "below" / "a path"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "fetch_runtime", _offline)
        build_site(folder, ["degradation"], lambda line: None)
    story = Story("degradation", "01_degradation.ipynb", [StoryText("# Twice")])
    body = "<h1>Twice</h1>\n" + "".join(
        explorer_html(StoryWidget(name, "DegradationExplorer", given), story, "")
        for name, given in (("one", {}), ("two", {"view": "gradients"}))
    )
    (folder / "twice.html").write_text(page_html(Page("twice.html", "Twice", "Two.", body), []))
    with served(root) as at:
        yield f"{at}below/a%20path/"
    shutil.rmtree(root)


@pytest.fixture
def visit(bare_page, address):
    """Opens a page of the site; it may throw nothing and ask nobody else for anything."""
    pages, asked = [], []
    heard = {
        "request": lambda request: asked.append(request.url),
        "response": lambda response: (
            response.status < 400 or asked.append(f"{response.status} {response.url}")
        ),
    }

    def visit(path, width=1280):
        page = bare_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        for event, hear in heard.items():
            page.on(event, hear)
        page.goto(address + path)
        return page

    yield visit
    for page in pages:
        page.emulate_media(media="null", color_scheme="null")
        for event, hear in heard.items():
            page.remove_listener(event, hear)
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def explorer(page, name, skip=True):
    """Return an explorer in a page, once it is drawn, without its question unless `skip` is False."""
    page.locator(f"#{name} iframe").scroll_into_view_if_needed()
    frame = page.frame_locator(f"#{name} iframe")
    frame.locator(".rx-page[data-view]").wait_for()
    if skip and frame.locator(".rx-asks").count():
        frame.get_by_role("button", name="Skip the question").click()
    return frame


FITS = "() => document.documentElement.scrollHeight <= innerHeight && innerHeight - document.body.offsetHeight < 20"


def state(page):
    return dict(urllib.parse.parse_qsl(page.url.partition("#")[2]))


def test_the_first_page_makes_its_point_and_its_slider_moves_it(visit):
    page = visit("index.html")
    front = explorer(page, "front")
    assert page.get_by_role("img", name="A plain block and a residual block").is_visible()
    slider = front.get_by_role("slider", name="Depth")
    assert page.locator("#front").bounding_box()["y"] < 900
    assert slider.is_visible()
    headline = front.locator(".rx-headline")
    expect(headline).to_contain_text("56 layers")
    slider.press("ArrowRight")
    expect(headline).to_contain_text("110 layers")
    assert front.locator(".rx-tabs, .rx-tools").first.is_hidden()
    page.get_by_role("link", name="Why is a deeper network worse?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Degradation: is deeper better?")


def test_a_story_asks_first_and_is_as_high_as_what_it_shows(visit):
    page = visit("degradation.html")
    frame = explorer(page, "degradation", skip=False)
    asks = page.locator("#degradation iframe").bounding_box()["height"]
    frame.get_by_label("it rises").check()
    frame.get_by_role("button", name="Show me").click()
    expect(frame.locator(".rx-judged")).to_contain_text("Right.")
    expect(frame.locator(".rx-headline")).to_contain_text("56 layers")
    page.wait_for_function(
        "(height) => document.querySelector('#degradation iframe').offsetHeight > height", arg=asks + 100
    )
    assert "#" not in page.url


def test_a_story_opens_at_an_address_and_gives_it_back(visit):
    page = visit("degradation.html#depth=20&view=gradients")
    frame = explorer(page, "degradation")
    expect(frame.get_by_role("tab", name="Gradients")).to_have_attribute("aria-selected", "true")
    slider = frame.get_by_role("slider", name="Depth")
    expect(slider).to_have_attribute("aria-valuetext", "20")
    slider.press("ArrowRight")
    page.wait_for_url(lambda url: "depth=32" in url)
    assert state(page) == {"depth": "32", "view": "gradients"}
    page.evaluate("location.hash = 'depth=8'")
    expect(slider).to_have_attribute("aria-valuetext", "8")
    assert frame.locator(".rx-problem").inner_text() == ""


def test_an_untouched_story_keeps_a_plain_address(visit):
    page = visit("degradation.html")
    frame = explorer(page, "degradation")
    slider = frame.get_by_role("slider", name="Depth")
    slider.press("ArrowLeft")
    page.wait_for_url(lambda url: url.endswith("#depth=32"))
    slider.press("ArrowRight")
    page.wait_for_url(lambda url: url.endswith("degradation.html"))


def test_a_story_hears_of_what_an_explorer_has_told_before_its_own_code_came(visit):
    page, held = visit("404.html"), []
    page.route("**/site.js", lambda route: held.append(route))
    try:
        page.goto(page.url.replace("404.html", "degradation.html"), wait_until="commit")
        inside = explorer(page, "degradation")
        inside.get_by_role("slider", name="Depth").press("ArrowLeft")
        expect(inside.locator(".rx-headline")).to_contain_text("32 layers")
        assert held, "a page that doesn't ask for its code can't be late with it"
        for route in held:
            route.continue_()
        page.wait_for_url(lambda url: url.endswith("#depth=32"))
        page.locator("#degradation iframe").element_handle().content_frame().wait_for_function(FITS)
        inside.get_by_role("slider", name="Depth").press("ArrowRight")
        page.wait_for_url(lambda url: url.endswith("degradation.html"))
    finally:
        page.unroute("**/site.js")


@pytest.mark.parametrize("wrong", ["depth=7", "view=sound&x.y=1", "=", "%E0%A4%A="])
def test_an_address_that_makes_no_sense_gets_a_sentence_and_the_rest_works(visit, wrong):
    page = visit(f"degradation.html#{wrong}")
    frame = explorer(page, "degradation")
    expect(frame.locator(".rx-problem")).to_contain_text("The link asks for")
    frame.get_by_role("slider", name="Depth").press("ArrowLeft")
    page.wait_for_url(lambda url: url.endswith("#depth=32"))
    assert frame.locator(".rx-problem").inner_text() == ""


def test_several_explorers_share_the_address(visit):
    page = visit("twice.html")
    one, two = explorer(page, "one"), explorer(page, "two")
    expect(two.get_by_role("tab", name="Gradients")).to_have_attribute("aria-selected", "true")
    assert state(page) == {}
    two.get_by_role("slider", name="Depth").press("ArrowLeft")
    one.get_by_role("tab", name="Responses").click()
    page.wait_for_url(lambda url: "one.view=responses" in url and "two.depth=32" in url)
    assert state(page) == {"one.view": "responses", "two.depth": "32", "two.view": "gradients"}
    again = visit(f"twice.html#{page.url.partition('#')[2]}")
    one, two = explorer(again, "one"), explorer(again, "two")
    expect(one.get_by_role("tab", name="Responses")).to_have_attribute("aria-selected", "true")
    expect(two.get_by_role("slider", name="Depth")).to_have_attribute("aria-valuetext", "32")


def test_an_explorer_is_as_high_as_what_it_shows(visit):
    page = visit("degradation.html")
    frame = explorer(page, "degradation")
    inside = page.locator("#degradation iframe").element_handle().content_frame()
    inside.wait_for_function(FITS)
    frame.get_by_role("tab", name="Beside the paper").click()
    inside.wait_for_function(FITS)


def test_lines_to_embed_an_explorer_are_of_this_place_and_view(visit, address):
    page = visit("degradation.html#depth=20")
    depth = explorer(page, "degradation").get_by_role("slider", name="Depth")
    expect(depth).to_have_attribute("aria-valuetext", "20")  # the place comes after the page
    depth.press("ArrowRight")
    page.wait_for_url(lambda url: "depth=32" in url)
    page.get_by_text("Embed this").click()
    there = f"{address}explorers/degradation.html#depth=32"
    lines = page.locator(".embed code")
    expect(lines.first).to_contain_text(f'<iframe src="{there}"')
    assert f":::{{iframe}} {there}" in page.locator(".embed").inner_text()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: Moodle").click()
    expect(page.get_by_role("button", name="Copy: Moodle")).to_have_text("Copied")
    assert there in page.evaluate("navigator.clipboard.readText()")


def test_an_explorer_alone_has_a_way_to_its_story(visit):
    page = visit("explorers/degradation.html")
    page.get_by_role("link", name="The story of this page").click()
    page.wait_for_url(lambda url: url.endswith("/degradation.html"))
    assert explorer(page, "degradation").locator(".alone").count() == 0


def test_on_paper_stands_a_picture(visit):
    page = visit("degradation.html")
    explorer(page, "degradation")
    page.emulate_media(media="print")
    assert page.locator("#degradation iframe").is_hidden()
    still = page.locator("#degradation .still")
    expect(still).to_be_visible()  # loaded now that it is seen
    page.wait_for_function("document.querySelector('.still').naturalWidth > 600")
    assert "56 layers: plain" in still.get_attribute("alt")
    for hidden in ("header", ".under", ".onward", ".note"):
        assert page.locator(hidden).first.is_hidden()
    folded = page.get_by_text("bands reach from the best seed to the worst")
    assert folded.is_visible(), "what is folded on a screen is not on paper"
    page.emulate_media(media="screen")
    assert folded.is_hidden()


def test_all_of_it_can_be_reached_by_keys(visit):
    page = visit("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the text"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_has_no_need_to_scroll_sideways(visit, path):
    page = visit(path, width=360)
    for name in page.locator("iframe").evaluate_all("frames => frames.map((frame) => frame.dataset.name)"):
        explorer(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


# Colours follow from tags, classes and styles: of texts that stand in the same ones, three are looked at. The dark
# page differs by its colours alone.
_FIND = """async (theme) => {
    for (const details of document.querySelectorAll('details')) details.open = true;
    const kinds = new Map();
    const within = (node) => node ? `${within(node.parentElement)}>${node.tagName}.${node.className}${node.getAttribute('style')}` : '';
    const texts = [...document.body.querySelectorAll('*')].filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
    for (const node of texts) kinds.set(within(node), [...(kinds.get(within(node)) ?? []), node]);
    const few = [...kinds.values()].flatMap((nodes) => nodes.slice(0, 3));
    const quick = { resultTypes: ['violations'], selectors: false };
    const colors = ['color-contrast', 'link-in-text-block'], others = { [colors[0]]: { enabled: false }, 'color-contrast-enhanced': { enabled: false } };
    const found = [await axe.run(few, { runOnly: colors, ...quick })];
    if (theme === 'light') found.push(await axe.run({ exclude: ['iframe'] }, { rules: others, ...quick }));
    if (!found.every(({ passes }) => passes.length)) throw new Error('there was nothing to look at');
    return found.flatMap(({ violations }) => violations).flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(visit, path):
    page, found = visit(path), []
    page.evaluate(AXE_SCRIPT)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        found += [f"{theme}: {line}" for line in page.evaluate(_FIND, theme)]
    assert not found, "\n".join(found)
