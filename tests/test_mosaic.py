"""Tiles, their levels and colours, and the chart of statistics: arrays in, pictures out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from resnet_explore.figures.mosaic import (
    CORNER,
    CROSS,
    LEVELS,
    LOOKUP,
    NUMBERED,
    UNNUMBERED,
    columns,
    common_scale,
    filter_colors,
    levels,
    mosaic,
    mosaics_figure,
)
from resnet_explore.figures.statistics import statistics_chart
from resnet_explore.figures.style import to_png

MAPS = arrays(
    np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.floats(-1e6, 1e6, width=32)
)


@settings(max_examples=50, deadline=None)
@given(MAPS)
def test_levels_keep_values_to_half_a_level(maps):
    tiles, scales = levels(maps)
    assert tiles.dtype == np.int8
    assert np.array_equal(scales, np.abs(maps).max((1, 2)))
    back = tiles * (scales.astype(float)[:, None, None] / LEVELS)  # as the page does, in float64
    assert (np.abs(back - maps) <= scales[:, None, None] * (0.5 / LEVELS + 1e-5)).all()


def test_what_is_not_finite_counts_as_zero():
    tiles, scales = levels(np.array([[[np.nan, np.inf, -2.0]]], np.float32))
    assert tiles.tolist() == [[[0, 0, -127]]]
    assert scales.tolist() == [2.0]


def test_zero_is_black_and_the_ends_are_bright_and_unlike():
    assert LOOKUP.shape == (255, 3)
    assert LOOKUP[127].tolist() == [0, 0, 0]
    assert LOOKUP[-1][0] > LOOKUP[-1][2], "orange above"
    assert LOOKUP[0][2] > LOOKUP[0][0], "blue below"
    assert (np.diff(LOOKUP[127:].astype(int).sum(1)) >= 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 9), st.integers(1, 9))
def test_every_tile_lies_where_its_number_says(count, height, width):
    maps = np.broadcast_to(np.linspace(-1, 1, count)[:, None, None], (count, height, width))
    image = mosaic(maps, 1.0)
    across = columns(count, height, width)
    for k in range(count):
        top, left = k // across * (height + 1), k % across * (width + 1)
        tile = image[top : top + height, left : left + width]
        assert tile.shape == (height, width, 3)
        assert (tile == LOOKUP[round(float(maps[k, 0, 0]) * LEVELS) + LEVELS]).all()
    assert image.shape[0] >= height
    assert 1 <= across <= count


def test_the_scale_is_shared_and_leaves_the_outlier_out():
    maps = [np.zeros((1, 100, 100)), np.ones((1, 100, 100))]
    maps[0][0, 0, 0] = 1e6
    assert common_scale(maps) == 1.0
    assert common_scale([np.zeros((2, 2, 2))]) == 1.0
    assert common_scale([np.full((1, 1, 1), np.nan)]) == 1.0


def test_filters_share_one_scale():
    weights = np.zeros((2, 3, 1, 1))
    weights[0, 0], weights[1, 2] = 0.5, -0.25
    assert filter_colors(weights).tolist() == [[[[255, 128, 128]]], [[[128, 128, 64]]]]


def test_a_line_through_a_block_goes_through_its_point():
    x = np.arange(1, 6)
    panels = {"a": {"plain": (x, x * 1.0)}, "b": {"residual": (x, 10.0 ** (x * 2))}}
    figure, places = statistics_chart(panels, 5)
    width, height = figure.get_size_inches() * figure.dpi
    for k, (ax, (first, last, top, bottom)) in enumerate(zip(figure.axes, places, strict=True)):
        for block, share in ((1, first), (5, last)):
            assert ax.transData.transform((block, 1))[0] / width == pytest.approx((k + share) / 2)
        drawn = ax.get_tightbbox()
        assert width * k / 2 <= drawn.x0 < drawn.x1 <= width * (k + 1) / 2, "nothing leaves its half"
        box = ax.get_window_extent()
        assert (1 - box.y1 / height, 1 - box.y0 / height) == pytest.approx((top, bottom))
    assert figure.axes[1].get_yscale() == "log"
    assert figure.axes[0].get_yscale() == "linear"


def test_curves_may_be_empty_or_flat():
    nothing = (np.array([1, 2]), np.array([np.nan, np.nan]))
    figure, _ = statistics_chart({"a": {"plain": nothing}, "b": {"plain": (np.ones(1), np.zeros(1))}}, 1)
    assert to_png(figure).startswith(b"\x89PNG")


def test_the_figure_says_title_headings_and_caption():
    figure = mosaics_figure(
        {"Plain-8": np.ones((3, 4, 5)), "Residual-8": np.ones((5, 4, 5))}, 1.0, "Title", "Why"
    )
    texts = [t.get_text() for t in figure.texts] + [ax.get_title() for ax in figure.axes]
    assert {"Title", "Why", "Plain-8", "Residual-8"} <= set(texts)
    assert len(figure.axes) == 3, "two mosaics, each one image, and the scale"
    assert all(len(ax.images) == 1 for ax in figure.axes)


def test_dead_and_saturated_tiles_bear_a_sign_in_their_corner():
    marks = {"Plain-8": np.array([0, 1, 0, 2, 0])}
    figure = mosaics_figure({"Plain-8": np.ones((5, 4, 7))}, 1.0, "Title", "Why", marks)
    across = columns(5, 4, 7)
    found = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert found == {
        sign: (k % across * 8 - 0.5, k // across * 5 - 0.5) for sign, k in ((CROSS, 1), (CORNER, 3))
    }


def words_of(figure):
    """All that stands on the figure outside of its axes, as one line."""
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def test_numbers_of_channels_stand_on_their_tiles():
    numbers = {"Plain-8": np.array([7, 2, 30, 5, 11])}
    figure = mosaics_figure({"Plain-8": np.ones((5, 4, 7))}, 1.0, "Title", "Why", None, numbers)
    ax = figure.axes[0]
    assert NUMBERED in words_of(figure)
    assert [text.get_text() for text in ax.texts] == ["7", "2", "30", "5", "11"]
    pixels = np.asarray(figure.axes[0].images[0].get_array())
    across = columns(5, 4, 7)
    for k, text in enumerate(ax.texts):  # the lower right corner of a tile of 7 pixels by 4, one between them
        assert text.xy == (k % across * 8 + 6.5, k // across * 5 + 3.5)
        assert pixels[int(text.xy[1]), int(text.xy[0])].tolist() == LOOKUP[-1].tolist()


def test_where_no_number_fits_that_is_said():
    numbers = {"mine": np.arange(20)}
    figure = mosaics_figure({"mine": np.ones((20, 2, 200))}, 1.0, "Title", "Why", None, numbers)
    assert UNNUMBERED in words_of(figure)
    assert NUMBERED not in words_of(figure)
    assert not figure.axes[0].texts
    assert NUMBERED not in words_of(mosaics_figure({"mine": np.ones((5, 4, 7))}, 1.0, "Title", "Why"))
