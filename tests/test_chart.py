"""Charts as data: what they refuse, and that a figure holds exactly their numbers."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from resnet_explore.errors import ExploreError
from resnet_explore.figures.chart import Axis, Chart, Mark, Series, spread
from resnet_explore.figures.chart_figure import columns_of, draw, draw_on, looks
from resnet_explore.figures.style import COLORS, MARKERS, new_figure, to_png
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.view import Over, View, encode, settled
from tests.chart_examples import ALL, degradation

X, Y = Axis("depth", 0, 10), Axis("error", 0, 100, unit="%")


@dataclass(frozen=True)
class State:
    depth: int = 8


def drawn(chart):
    return draw_on(new_figure(600, 300).add_subplot(), chart)


def line_of(ax, name):
    return next(line for line in ax.lines if line.get_label() == name)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Axis("x", 0, 1, "cubic"), "Unknown scale 'cubic'"),
        (lambda: Axis("x", 1, 1), "from 1 to 1; its ends must be finite and the second the larger one"),
        (lambda: Axis("x", 0, np.inf), "from 0 to inf"),
        (lambda: Axis("x", 0, 1, "log"), "must begin above 0"),
        (lambda: Series("a", [0, 1], [0]), "'a' has 1 values of y for 2 of x"),
        (lambda: Series("a", [0, 1], [0, 1], tips=["first"]), "1 values of tips for 2 of x"),
        (lambda: Series("a", [1, 0], [0, 1]), "must be finite and rise"),
        (lambda: Series("a", [0, np.nan], [0, 1]), "must be finite and rise"),
        (lambda: Series("a", [0, 1], [[0, 1]]), r"Y of the series 'a' has shape \(1, 2\)"),
        (lambda: Series("a", [0, 1], ["much", "more"]), "Y of the series 'a' is no row of numbers"),
        (lambda: Series("a", [0], [0], low=[0]), "one end of a band"),
        (lambda: Series("a", [0], [0], line="wavy"), "Unknown line 'wavy'"),
        (lambda: Series("a", [0], [0], look="pale"), "Unknown look 'pale'"),
        (lambda: Series("a", [0], [0], marker="star"), "Unknown marker 'star'"),
        (lambda: Mark("part", to=3), "an end and no beginning"),
        (lambda: Chart("c", X, Y, [Series("a", [], []), Series("a", [], [])]), "are called 'a'"),
        (lambda: Chart("c", Axis("x", 1, 9, "log"), Y, [Series("a", [0], [1])]), "goes down to 0"),
    ],
)
def test_what_makes_no_chart_is_refused_in_one_sentence(make, sentence):
    with pytest.raises(ExploreError, match=sentence) as refused:
        make()
    assert str(refused.value).count(". ") == 0


def test_a_series_holds_float64_and_ticks_are_pairs():
    series = Series("a", range(3), (1, 2, 3))
    assert series.x.dtype == series.y.dtype == np.float64
    assert Axis("x", 1, 2000, ticks=[1, 1000, (2000, "all")]).ticks == (
        (1, "1"),
        (1000, "1,000"),
        (2000, "all"),
    )


@pytest.mark.parametrize(
    ("values", "more", "ends"),
    [
        ([2, 4], {}, (0, 4.24)),
        ([-1, 1], {}, (-1.12, 1.12)),
        ([10, 20], {"zero": False}, (9.4, 20.6)),
        ([5, 5], {"zero": False}, (4, 6)),
        ([np.nan, np.inf], {}, (0, 1.06)),
        ([], {}, (0, 1.06)),
        ([0, 0], {}, (0, 1)),
        ([2e-3, 40, 0, -1, np.inf], {"scale": "log"}, (1e-3, 1e2)),
        ([1, 1], {"scale": "log"}, (0.1, 10)),
        ([np.nan], {"scale": "log"}, (0.1, 10)),
    ],
)
def test_an_axis_is_laid_around_what_can_be_drawn(values, more, ends):
    axis = Axis.around("y", values, **more)
    assert (axis.low, axis.high) == pytest.approx(ends)


def test_a_spread_is_the_middle_and_the_range_over_the_seeds_that_are_there():
    nan = np.nan
    found = spread(np.array([[1, 2, 6], [4, nan, nan], [nan, nan, nan], [2, 4, nan]]))
    np.testing.assert_array_equal(found["y"], [3, 4, nan, 3])
    np.testing.assert_array_equal(found["low"], [1, nan, nan, 2])
    np.testing.assert_array_equal(found["high"], [6, nan, nan, 4])
    np.testing.assert_array_equal(spread(np.array([[1, 2, 6]]), np.nanmedian)["y"], [2])


def test_a_figure_holds_exactly_the_data():
    x, y, low, high = [0, 2, 5], [10, 50, 90], [5, 40, 80], [15, 60, 95]
    series = [Series("Plain", x, y, "plain", low, high), Series("Residual", x, [1, 2, 3], "residual")]
    ax = drawn(Chart("Errors", X, Y, series))
    for name, values, kind in (("Plain", y, "plain"), ("Residual", [1, 2, 3], "residual")):
        line = line_of(ax, name)
        np.testing.assert_array_equal(line.get_xydata(), np.transpose([x, values]))
        assert (line.get_color(), line.get_marker()) == (COLORS[kind], MARKERS[kind])
    corners = ax.collections[0].get_paths()[0].vertices
    assert {(0, 5), (0, 15), (5, 80), (5, 95)} <= set(map(tuple, corners))
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 10), (0, 100))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("depth", "error (%)")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Plain", "Residual"]


def test_a_series_that_is_not_listed_is_drawn_without_a_name():
    series = [
        Series("now", [0, 5], [10, 20]),
        Series("earlier", [0, 5], [30, 40], look="ghost", listed=False),
    ]
    ax = drawn(Chart("Errors", X, Y, series))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["now"]
    assert any(list(line.get_ydata()) == [30, 40] for line in ax.lines)


def test_gaps_stay_gaps_and_what_an_axis_cannot_hold_stands_on_its_edge():
    y = [1, np.nan, 0, -5, np.inf, 1e9, 1e-9, 10]
    ax = drawn(Chart("", X, Axis("norm", 1e-3, 1e3, "log"), [Series("a", np.arange(8), y, "plain")]))
    line = line_of(ax, "a")
    np.testing.assert_array_equal(np.isnan(line.get_ydata()), [0, 1, 1, 1, 1, 0, 0, 0])
    marks = {line.get_marker(): list(line.get_xdata()) for line in ax.lines[1:]}
    assert marks == {"^": [4, 5], "v": [6], "x": [2, 3]}


def test_an_infinity_on_a_linear_axis_is_a_triangle_too():
    ax = drawn(Chart("", X, Y, [Series("a", [0, 1, 2], [-np.inf, np.inf, 5])]))
    assert {line.get_marker(): list(line.get_xdata()) for line in ax.lines[1:]} == {"^": [1], "v": [0]}


def test_a_band_of_a_single_point_is_a_bar():
    nan = np.nan
    series = Series("a", [0, 1, 2, 3], [1, 2, 3, 4], low=[nan, 1, nan, nan], high=[nan, 5, nan, nan])
    ax = drawn(Chart("", X, Y, [series]))
    [bar] = [c for c in ax.collections if hasattr(c, "get_segments")]
    np.testing.assert_array_equal(bar.get_segments(), [[[1, 1], [1, 5]]])


def test_bars_reach_from_0_to_their_values_also_below_it():
    chart = Chart(
        "t", Axis("x", 0, 4), Axis("y", -3, 3), (Series("s", [1, 2, 3], [2, -1, np.nan], line="bars"),)
    )
    (bars,) = drawn(chart).containers
    assert [bar.get_height() for bar in bars][:2] == [2, -1]
    assert [bar.get_y() for bar in bars][:2] == [0, 0]
    assert [round(bar.get_x() + bar.get_width() / 2, 6) for bar in bars] == [1, 2, 3]


def test_marks_and_what_is_chosen_are_drawn_where_they_are():
    marks = [Mark("limit", y=32), Mark("here", x=4), Mark("point", x=1, y=2), Mark("part", x=2, to=3), None]
    marks.append(Mark("nowhere", x=5, y=np.nan))
    ax = drawn(Chart("", X, Y, [Series("a", [3, 4], [7, 8], "residual")], marks, chosen=4))
    where = [tuple(map(tuple, line.get_xydata())) for line in ax.lines]
    assert ((0, 32), (1, 32)) in where
    assert where.count(((4, 0), (4, 1))) == 2, "the mark's and the one of what is chosen"
    assert ((1, 2),) in where
    assert ((4, 8),) in where
    assert ax.patches[0].get_bbox().extents[[0, 2]].tolist() == [2, 3]
    assert {"limit", "here", "point", "part"} <= {text.get_text() for text in ax.texts}
    assert "nowhere" not in {text.get_text() for text in ax.texts}


def test_kinds_beyond_the_twins_have_a_colour_each():
    series = [Series(f"{kind} {k}", [], [], kind) for kind in ("vgg", "plain", "own") for k in range(2)]
    colours = [color for _, color, _ in looks(series)]
    assert colours[0] == colours[1]
    assert colours[4] == colours[5]
    assert len(set(colours)) == 3
    assert colours[2] == COLORS["plain"]


@pytest.mark.parametrize("name", ALL)
def test_every_chart_of_the_explorers_can_be_drawn_and_sent(name):
    charts = ALL[name]()
    figure = draw(charts)
    assert len(figure.axes) == len(charts)
    assert to_png(figure)
    for ax, other in zip(figure.axes, figure.axes[1:], strict=False):
        a, b = ax.get_position(), other.get_position()
        assert a.x1 < b.x0 or a.y0 > b.y1, "none covers its neighbour"
    encode(View(panels=[[Charts(name, charts)]]))


def test_charts_of_a_row_go_below_each_other_where_there_is_no_room():
    charts = ALL["statistics"]()
    assert [columns_of(charts, width) for width in (100, 400, 600, 1000)] == [1, 2, 3, 5]
    tops = [round(ax.get_position().y1, 3) for ax in draw(charts, width=400).axes]
    assert tops[0] == tops[1] > tops[2] == tops[3] > tops[4]


def test_a_page_may_pick_any_part_of_a_chart_and_a_wrong_one_is_refused_then():
    def chart(y):
        series = Series("a", Over("depth", {8: [0, 1], 20: [0, 1, 2]}), Over("depth", y), "plain")
        axis = Axis("y", 0, Over("depth", {8: 1, 20: 5}))
        return Chart("c", X, axis, [series, Over("depth", {8: series})], chosen=Over("depth", {8: 1}))

    with pytest.raises(ExploreError, match="are called 'a'"):
        settled(chart({8: [5, 6], 20: [1, 2, 3]}), State(8))
    shown = settled(chart({8: [5, 6], 20: [1, 2, 3]}), State(20))
    assert (shown.y.high, shown.chosen, shown.series[1]) == (5, None, None)
    assert drawn(shown).lines[0].get_ydata().tolist() == [1, 2, 3]
    with pytest.raises(ExploreError, match="1 values of y for 3 of x"):
        settled(chart({20: [1]}), State(20))


def test_the_panel_gives_its_numbers_and_its_picture():
    panel = Charts("errors", [None, *degradation(20)])
    rows = list(panel.numbers())
    assert rows[0].keys() == {"chart", "series", "depth", "training error (%)", "low", "high"}
    assert sum(row["series"] == "not finished" for row in rows) == 3
    assert panel.height > 0
    figure = new_figure(960, panel.height)
    panel.draw(figure.subfigures())
    assert len(figure.subfigs[0].axes) == 3
    assert Charts("none", None).height == 0


def test_charts_as_data_need_no_matplotlib():
    code = "import sys, resnet_explore.figures.chart; print('matplotlib' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
