"""Charts in a page without kernel: what is drawn where, how it is read, what a click chooses, how it glides."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from resnet_explore.figures.chart import Axis, Chart, Mark, Series
from resnet_explore.widgets.browser.bundle import bundle
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.view import Choice, Over, Slider, View
from tests.browser.bare import message, open_view
from tests.chart_examples import ALL, degradation

X, Y = Axis("depth (layers)", 0, 60, name="depth"), Axis("error", 0, 100, unit="%")
DEPTHS = [8, 20, 32, 56]
PLAIN = Series("Plain", DEPTHS, [5, 10, 40, 90], "plain", low=[4, 8, 35, np.nan], high=[6, 12, 45, np.nan])
RESIDUAL = Series("Residual", DEPTHS, [4, 4.25, np.nan, 6], "residual")
ERRORS = Chart("Errors", X, Y, [PLAIN, RESIDUAL], chosen=Over("depth", {d: d for d in DEPTHS}))


@pytest.fixture
def shown(bare_page):
    def show(charts, state=None, chooses="depth", width=1000, theme="light", sliders=(), panels=()):
        view = View(
            headline="Errors.", panels=[[Charts("errors", charts, chooses)], *panels], sliders=sliders
        )
        page = open_view(bare_page(), view, state or {"depth": 20}, width, theme)
        page.wait_for_function(
            "[...document.querySelectorAll('.rx-chart:not([hidden]) svg.rx-plot')].every((s) => s.getAttribute('viewBox') || !s.closest('.rx-charts').clientWidth)"
        )
        return page

    return show


@pytest.fixture
def functions(bare_page):
    """Calls an exported function of a module: `functions("panels/axis.js", "numeral", 3)`."""
    page = bare_page()

    def call(module, name, *arguments):
        script = bundle(module).replace("export default", "return")
        return page.evaluate(f"(given) => (new Function({script!r}))()[{name!r}](...given)", list(arguments))

    return call


def values(page, chart=0):
    return page.locator(".rx-chart").nth(chart).locator(".rx-plot-value").all_inner_texts()


def points(page, kind, part="line", chart=0):
    """The pixels of a series' path, (n, 2)."""
    path = (
        page.locator("svg.rx-plot")
        .nth(chart)
        .locator(f".rx-plot-{part}.rx-kind-{kind}")
        .first.get_attribute("d")
    )
    return np.array(
        [list(map(float, pair.split())) for pair in re.findall(r"[ML]([\d.-]+ [\d.-]+)", path or "")]
    )


def ticks(page, chart=0):
    """The numbers beside both axes with where they stand: {text: pixel}, first those of x."""
    groups = page.locator("svg.rx-plot").nth(chart).locator(".rx-plot-ticks")
    script = "(g, a) => Object.fromEntries([...g.children].filter((t) => t.textContent).map((t) => [t.textContent, Number(t.getAttribute(a))]))"
    return groups.nth(0).evaluate(script, "x"), groups.nth(1).evaluate(script, "y")


def pixels_of(page, x, y, chart=0):
    """Where values lie by the numbers beside linear axes."""
    across, up = ticks(page, chart)
    found = []
    for values, labels, shift in ((x, across, 0), (y, up, -4)):
        at = np.array([[float(text.replace(",", "")), pixel + shift] for text, pixel in labels.items()])
        found.append(np.polyval(np.polyfit(*at.T, 1), values))
    return np.transpose(found)


def test_a_series_that_is_not_listed_is_drawn_and_not_read(shown):
    earlier = Series("earlier", [10, 30], [70, 80], "plain", look="ghost", listed=False)
    page = shown([Chart("Errors", X, Y, [PLAIN, earlier])])
    assert page.locator(".rx-plot-legend li:visible").all_inner_texts() == ["Plain"]
    assert len(points(page, "plain.rx-look-ghost")) == 2
    chart = page.locator(".rx-chart")
    assert "earlier" not in chart.get_attribute("aria-label")
    chart.focus()
    chart.press("Home")
    said = [page.locator(".rx-live").inner_text()]
    for _ in range(4):
        chart.press("ArrowRight")
        said.append(page.locator(".rx-live").inner_text())
    assert [sentence.split(":")[0] for sentence in said] == [
        "depth 8",
        "depth 20",
        "depth 32",
        "depth 56",
        "depth 56",
    ]
    assert not any("earlier" in sentence for sentence in said)


def test_round_numbers_stand_beside_axes(functions):
    def labels(count=6, **axis):
        given = {"scale": "linear", "ticks": [], "whole": False, **axis}
        scale = {"low": given["low"], "high": given["high"], "log": given["scale"] == "log"}
        return [tick["label"] for tick in functions("panels/axis.js", "ticksOf", given, scale, count)]

    assert labels(low=0, high=100) == ["0", "20", "40", "60", "80", "100"]
    assert labels(low=-0.5, high=0.5) == ["−0.4", "−0.2", "0", "0.2", "0.4"]
    assert labels(low=0, high=2.4e6, count=3) == ["0", "1 M", "2 M"]
    assert labels(low=0, high=2400, count=3) == ["0", "1,000", "2,000"]
    assert labels(low=0.4, high=56, whole=True) == ["1", "10", "20", "30", "40", "50"]
    assert labels(low=0.4, high=3.4, whole=True) == ["1", "2", "3"]
    assert labels(low=1e-3, high=1e4, scale="log", count=9) == [
        "0.001",
        "0.01",
        "0.1",
        "1",
        "10",
        "100",
        "1,000",
        "10,000",
    ]
    assert labels(low=1e-12, high=1e3, scale="log", count=8) == [
        "10⁻¹²",
        "10⁻¹⁰",
        "10⁻⁸",
        "10⁻⁶",
        "10⁻⁴",
        "10⁻²",
        "10⁰",
        "10²",
    ]
    assert labels(low=0.08, high=2.5, scale="log") == ["0.1", "0.2", "0.5", "1", "2"]
    assert labels(low=300, high=450, scale="log") == ["300", "350", "400", "450"]
    assert labels(low=1, high=50, scale="log", ticks=[[0.5, "half"], [8, "8"], [50, "all"]]) == ["8", "all"]
    assert labels(low=1e-7, high=3e-7) == ["1×10⁻⁷", "1.5×10⁻⁷", "2×10⁻⁷", "2.5×10⁻⁷", "3×10⁻⁷"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (12.345, "12.3"), (-0.0123, "−0.0123"), (1024, "1,024"), (1234.56, "1,235"), (25557032, "25,557,032"),
        (3.2e-5, "3.2×10⁻⁵"), (-1.5e12, "−1.5×10¹²"), (1e-300, "1×10⁻³⁰⁰"),
    ],
)  # fmt: skip
def test_numbers_are_read_out_to_three_digits(functions, value, text):
    assert functions("panels/axis.js", "numeral", value) == text


@pytest.mark.parametrize(
    ("count", "width", "columns"),
    [(3, 1000, 3), (3, 400, 1), (5, 920, 3), (5, 1300, 5), (4, 800, 2), (1, 9, 1)],
)
def test_rows_are_equally_full(functions, count, width, columns):
    assert functions("panels/chart.js", "columnsFor", count, width) == columns


def test_lines_bands_and_marks_lie_where_the_axes_say(shown):
    limit = Mark("half", y=50)
    page = shown([replace(ERRORS, marks=[limit])])
    plain = pixels_of(page, DEPTHS, [5, 10, 40, 90])
    np.testing.assert_allclose(points(page, "plain"), plain, atol=0.15)
    np.testing.assert_allclose(
        points(page, "residual"), pixels_of(page, [8, 20, 56], [4, 4.25, 6]), atol=0.15
    )
    band = points(page, "plain", "band")
    edges = pixels_of(page, [8, 20, 32, 32, 20, 8], [4, 8, 35, 45, 12, 6])
    np.testing.assert_allclose(band, edges, atol=0.15)
    [[_, level]] = pixels_of(page, [0], [50])
    assert page.locator(".rx-plot-mark").get_attribute("d").startswith("M")
    assert float(page.locator(".rx-plot-mark").get_attribute("d").split()[1].split("H")[0]) == pytest.approx(
        level, abs=0.1
    )
    assert page.locator(".rx-plot-labels").text_content() == "half"
    assert (
        page.locator("svg.rx-plot .rx-plot-dots.rx-kind-plain").first.get_attribute("d").count("a3.2")
        == 2 * 4
    ), "circles"
    assert (
        page.locator("svg.rx-plot .rx-plot-dots.rx-kind-residual").first.get_attribute("d").count("h5.76")
        == 3
    ), "squares"


def test_a_point_alone_is_seen_and_what_an_axis_cannot_hold_stands_on_its_edge(shown):
    nan, inf = np.nan, np.inf
    series = Series("a", range(8), [1, nan, 10, nan, 0, inf, 1e9, 1e-9], "plain", marker="none")
    page = shown([Chart("", Axis("x", 0, 8), Axis("norm", 1e-3, 1e3, "log"), [series])])

    def part(name):
        return page.locator(f"svg.rx-plot .rx-plot-{name}").first.get_attribute("d").count("M")

    assert part("dots") == 2
    assert part("beyond") == 3
    assert page.locator(".rx-plot-zeros").get_attribute("d").count("m") == 1


def test_the_pointer_reads_the_nearest_x_and_moves_nothing(shown):
    page = shown([ERRORS])
    assert values(page) == ["10 (8–12)", "4.25"], "of the depth that is chosen"
    picture = page.locator("svg.rx-plot")
    boxes = "() => [...document.querySelectorAll('.rx-chart *')].map((n) => n.tagName === 'svg' || n.tagName === 'P' || n.tagName === 'LI' ? JSON.stringify(n.getBoundingClientRect()) : '')"
    before = page.evaluate(boxes)
    [[x, _]] = pixels_of(page, [50], [0])
    picture.hover(position={"x": x, "y": 60})
    assert values(page) == ["90", "6"]
    assert page.locator(".rx-plot-badge-text").text_content() == "56"
    hair = page.locator(".rx-plot-hair").get_attribute("d")
    assert float(hair[1:].split()[0]) == pytest.approx(pixels_of(page, [56], [0])[0, 0], abs=0.1)
    assert page.evaluate(boxes) == before
    [[x, _]] = pixels_of(page, [30], [0])
    picture.hover(position={"x": x, "y": 60})
    assert values(page) == ["40 (35–45)", "–"], "a gap is no number"
    page.mouse.move(500, 700)
    assert values(page) == ["10 (8–12)", "4.25"]


def test_what_a_finger_has_read_stays_until_something_else_is_touched(shown):
    page = shown([ERRORS])
    picture = page.locator("svg.rx-plot")
    box, [[x, _]] = picture.bounding_box(), pixels_of(page, [56], [0])
    touch = {"pointerType": "touch", "bubbles": True, "clientX": box["x"] + x, "clientY": box["y"] + 50}
    page.locator(".rx-chart").focus()
    for kind in ("pointerdown", "pointerup", "pointerleave"):
        picture.dispatch_event(kind, touch)
    assert values(page) == ["90", "6"]
    page.locator(".rx-save summary").focus()
    assert values(page) == ["10 (8–12)", "4.25"]


def test_between_the_points_of_a_line_a_value_is_said_to_be_about(shown):
    formula = Series("formula", [1, 100], [1, 1e4], line="dashed")
    chart = Chart(
        "",
        Axis("x", 1, 100, "log"),
        Axis("y", 1, 1e4, "log"),
        [Series("a", [1, 10], [1, 2], "plain"), formula],
    )
    page = shown([chart], chooses="")
    page.locator(".rx-chart").press("End")
    assert values(page) == ["–", "10,000"]
    page.locator(".rx-chart").press("ArrowLeft")
    assert values(page) == ["2", "≈ 100"]


def test_keys_read_every_value_aloud_and_choose(shown):
    tips = [f"seed {k}" for k in range(4)]
    page = shown([replace(ERRORS, series=[PLAIN, replace(RESIDUAL, tips=tips)])])
    chart, live = page.locator(".rx-chart"), page.locator(".rx-live")
    assert chart.get_attribute("data-lm-suppress-shortcuts") == "true"
    assert (
        page.get_by_role(
            "application", name="Errors. error (%) by depth (layers): Plain, Residual. Arrow keys"
        ).count()
        == 1
    )
    said = []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"):
        chart.press(key)
        said.append(live.text_content())
    assert said == [
        "depth 8: Plain 5 % (4–6), Residual 4 %. seed 0",
        "depth 20: Plain 10 % (8–12), Residual 4.25 %. seed 1",
        "depth 32: Plain 40 % (35–45). seed 2",
        "depth 56: Plain 90 %, Residual 6 %. seed 3",
        "depth 56: Plain 90 %, Residual 6 %. seed 3",
    ]
    assert page.locator(".rx-plot-tip").inner_text() == "seed 3"
    chart.press("Enter")
    assert page.evaluate("window.model.get('depth')") == 56
    chart.press("Escape")
    assert page.locator(".rx-plot-hair").get_attribute("d") == ""
    chart.press("ArrowLeft")
    assert live.text_content().startswith("depth 32"), "keys begin at what is chosen"


def test_a_click_chooses_the_nearest_point_where_something_is_to_be_chosen(shown):
    page = shown([ERRORS], panels=[[Charts("other", [replace(ERRORS, chosen=None)])]])
    [[x, _]] = pixels_of(page, [35], [0])
    page.locator("svg.rx-plot").nth(1).click(position={"x": x, "y": 30})
    assert page.evaluate("window.model.get('depth')") == 20
    page.locator("svg.rx-plot").nth(0).click(position={"x": x, "y": 30})
    assert page.evaluate("window.model.get('depth')") == 32
    chosen = page.locator(".rx-plot-chosen").nth(0).get_attribute("d")
    assert float(chosen[1:].split()[0]) == pytest.approx(pixels_of(page, [32], [0])[0, 0], abs=0.1)
    assert page.locator(".rx-plot-large.rx-kind-plain").nth(0).get_attribute("d")


def test_charts_with_one_x_axis_are_read_together(shown):
    other = replace(ERRORS, title="Loss", series=[Series("Plain", [8, 32], [1, 2], "plain")], chosen=None)
    third = replace(other, title="By epoch", x=Axis("epoch", 0, 60))
    page = shown([ERRORS, other, third])
    page.locator(".rx-chart").first.press("Home")
    page.locator(".rx-chart").first.press("ArrowRight")
    assert [values(page, k) for k in range(3)] == [["10 (8–12)", "4.25"], ["≈ 1.5"], [""]]


def moving(ends):
    """Three charts whose lines a slider moves: 5 series of 60 points, one with a band."""
    x, charts = np.arange(1, 61.0), []
    for k in range(3):
        series = []
        for i, kind in enumerate(("plain", "residual", "vgg", "own", "muted")):
            y = {d: 50 + 8 * i + end * np.sin(x / (4 + i + k)) for d, end in ends.items()}
            band = {
                "low": Over("depth", {d: v - 3 for d, v in y.items()}),
                "high": Over("depth", {d: v + 3 for d, v in y.items()}),
            }
            series.append(Series(kind, x, Over("depth", y), kind, **(band if i == 0 else {})))
        charts.append(Chart(f"Chart {k}", Axis("layer", 0, 61), Axis("y", 0, 120), series))
    stops = [Choice(d, str(d)) for d in ends]
    return {
        "charts": charts,
        "sliders": [Slider("depth", "Depth", stops)],
        "state": {"depth": next(iter(ends))},
    }


_MOVE = """() => {
    const input = document.querySelector('input[type="range"]');
    input.value = 1;
    input.dispatchEvent(new Event('input', { bubbles: true }));
    return document.querySelector('svg.rx-plot .rx-plot-line.rx-kind-plain').getAttribute('d');
}"""


def test_lines_glide_and_end_at_the_right_place(shown):
    page = shown(**moving({8: 10, 20: 40}))
    before = points(page, "plain")
    # All in one task of the browser: what is drawn within the event, before any frame.
    first = page.evaluate(_MOVE)
    page.wait_for_timeout(400)
    after = points(page, "plain")
    x = np.arange(1, 61.0)
    np.testing.assert_allclose(after, pixels_of(page, x, 50 + 40 * np.sin(x / 4)), atol=0.15)
    started = np.array(
        [list(map(float, pair.split())) for pair in re.findall(r"[ML]([\d.-]+ [\d.-]+)", first)]
    )
    far = np.abs(after - before)[:, 1] > 5
    share = (started - before)[far, 1] / (after - before)[far, 1]
    assert 0.1 < np.median(share) < 0.9, "on the way"
    np.testing.assert_allclose(share, np.median(share), atol=0.05)


def test_lines_do_not_glide_where_motion_is_not_wanted(shown):
    page = shown(**moving({8: 10, 20: 40}))
    page.emulate_media(reduced_motion="reduce")
    first = page.evaluate(_MOVE)
    page.wait_for_timeout(300)
    assert first == page.locator("svg.rx-plot .rx-plot-line.rx-kind-plain").first.get_attribute("d")


def test_a_new_view_keeps_the_elements_the_focus_and_the_place_that_is_read(shown):
    page = shown([replace(ERRORS, chosen=None)])
    page.locator(".rx-chart").focus()
    page.locator(".rx-chart").press("End")
    page.evaluate(
        "document.querySelector('.rx-chart').mark = document.querySelector('.rx-plot-line').mark = true"
    )
    wider = replace(
        ERRORS,
        y=Axis("error", 0, 200, unit="%"),
        series=[replace(PLAIN, y=[1, 2, 3, 150]), RESIDUAL],
        chosen=None,
    )
    page.evaluate(
        "(text) => window.receive(text)",
        message(View(panels=[[Charts("errors", [wider], "depth")]]), {"depth": 20}, 2),
    )
    assert page.evaluate(
        "document.querySelector('.rx-chart').mark && document.querySelector('.rx-plot-line').mark"
    )
    assert page.evaluate("document.activeElement.className") == "rx-chart"
    assert values(page) == ["150", "6"]
    np.testing.assert_allclose(points(page, "plain"), pixels_of(page, DEPTHS, [1, 2, 3, 150]), atol=0.15)


def luminance(colour):
    parts = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_from_the_ground_of_either_theme(shown, theme):
    kinds = ["plain", "residual", "muted", "ink", *"abcde"]
    series = [Series(kind, [0, 1], [0, 1], kind) for kind in kinds]
    page = shown([Chart("Title", X, Y, series, kind="plain")], theme=theme)

    def look(selector, name):
        return page.locator(selector).evaluate_all(f"(all) => all.map((n) => getComputedStyle(n).{name})")

    ground = luminance(look(".rx-page", "backgroundColor")[0])
    assert (ground < 0.1) == (theme == "dark")

    def contrast(colour):
        light, dark = sorted((luminance(colour), ground), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    lines = look("svg.rx-plot .rx-plot-line", "stroke")
    assert len(set(lines)) == len(kinds)
    assert min(map(contrast, lines)) >= 3
    texts = [
        *look("svg.rx-plot .rx-plot-ticks text", "fill"),
        *look(".rx-plot-title, .rx-plot-legend li, .rx-plot-y", "color"),
    ]
    assert min(map(contrast, texts)) >= 4.5


@pytest.mark.parametrize("width", [360, 400, 1280])
def test_charts_fit_the_width_and_stack_where_it_is_small(shown, width):
    page = shown(
        degradation(),
        {"depth": 56},
        width=width,
        panels=[[Charts(name, ALL[name]())] for name in ("gradients", "statistics")],
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [page.locator("svg.rx-plot").nth(k).bounding_box() for k in range(3)]
    if width <= 400:
        assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"]
        assert len({box["width"] for box in boxes}) == 1
    else:
        assert len({(box["y"], box["height"]) for box in boxes}) == 1, "pictures of a row are level"
    for k in range(3):
        across, up = ticks(page, k)
        assert len(across) >= 3
        assert len(up) >= 3
    labels = page.locator("svg.rx-plot").first.locator(".rx-plot-ticks").first.locator("text")
    places = sorted(
        (box["x"], box["width"])
        for box in (text.bounding_box() for text in labels.all() if text.text_content())
        if box
    )
    assert all(x + w < other for (x, w), (other, _) in itertools.pairwise(places)), "no label touches another"


def test_the_picture_follows_the_width(shown):
    page = shown([ERRORS])
    page.set_viewport_size({"width": 500, "height": 800})
    page.wait_for_function("document.querySelector('svg.rx-plot').getAttribute('width') < 480")
    np.testing.assert_allclose(points(page, "plain"), pixels_of(page, DEPTHS, [5, 10, 40, 90]), atol=0.15)


@pytest.mark.parametrize("width", [40, 400, 1000])
def test_nothing_odd_breaks_a_chart(shown, width):
    page = shown([*ALL["odd"](), None], width=width)
    for k in range(4):
        chart = page.locator(".rx-chart").nth(k)
        for key in ("ArrowRight", "ArrowRight", "Home", "End", "Enter"):
            chart.press(key)
    page.locator(".rx-chart").nth(0).press("Home")
    assert page.locator(".rx-live").text_content() == "There is no value."
    assert "NaN" not in page.locator(".rx-charts").evaluate(
        "(n) => [...n.querySelectorAll('svg *')].flatMap((e) => [...e.attributes].map((a) => a.value)).join(' ')"
    )
    assert page.locator(".rx-chart").count() == 5
    assert page.locator(".rx-chart:not([hidden])").count() == 4, "what isn't there yet takes no room"
