"""Tiles, their levels and colours: arrays in, pictures out."""

import numpy as np
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from resnet_explore.figures.mosaic import (
    CORNER,
    CROSS,
    LEVELS,
    LOOKUP,
    NUMBERED,
    UNNUMBERED,
    Mosaic,
    columns,
    common_scale,
    draw_mosaics,
    filter_colors,
    levels,
    mosaic,
)
from resnet_explore.figures.style import COLORS, new_figure

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


def drawn(*mosaics, scale=1.0, words="Why"):
    """Return a figure with mosaics on it."""
    figure = new_figure(920, 480)
    draw_mosaics(figure, mosaics, scale, words)
    return figure


def words_of(figure):
    """All that stands on the figure outside of its axes, as one line."""
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def test_headings_are_in_the_colours_of_the_twins():
    figure = drawn(
        Mosaic("Plain-8", np.ones((3, 4, 5)), "plain"), Mosaic("F(x)", np.ones((5, 4, 5)), "residual", "+")
    )
    titles = [ax.title for ax in figure.axes if ax.get_title()]
    assert [title.get_text() for title in titles] == ["Plain-8", "+ F(x)"]
    assert [title.get_color() for title in titles] == [COLORS["plain"], COLORS["residual"]]
    assert words_of(figure) == "Why"
    assert len(figure.axes) == 3, "two mosaics, each one image, and the scale"
    assert all(len(ax.images) == 1 for ax in figure.axes)
    assert len(drawn(Mosaic("a", np.ones((3, 4, 5, 3), np.uint8)), scale=None).axes) == 1, "colours need none"


def test_dead_and_saturated_tiles_bear_a_sign_in_their_corner():
    figure = drawn(Mosaic("Plain-8", np.ones((5, 4, 7)), marks=np.array([0, 1, 0, 2, 0])))
    across = columns(5, 4, 7)
    found = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert found == {
        sign: (k % across * 8 - 0.5, k // across * 5 - 0.5) for sign, k in ((CROSS, 1), (CORNER, 3))
    }


def test_numbers_of_channels_stand_on_their_tiles():
    figure = drawn(Mosaic("Plain-8", np.ones((5, 4, 7)), numbers=np.array([7, 2, 30, 5, 11])))
    ax = figure.axes[0]
    assert NUMBERED in words_of(figure)
    assert [text.get_text() for text in ax.texts] == ["7", "2", "30", "5", "11"]
    pixels = np.asarray(ax.images[0].get_array())
    across = columns(5, 4, 7)
    for k, text in enumerate(ax.texts):  # the lower right corner of a tile of 7 pixels by 4, one between them
        assert text.xy == (k % across * 8 + 6.5, k // across * 5 + 3.5)
        assert pixels[int(text.xy[1]), int(text.xy[0])].tolist() == LOOKUP[-1].tolist()


def test_where_no_number_fits_that_is_said():
    figure = drawn(Mosaic("mine", np.ones((20, 2, 200)), numbers=np.arange(20)))
    assert UNNUMBERED in words_of(figure)
    assert NUMBERED not in words_of(figure)
    assert not figure.axes[0].texts
    assert NUMBERED not in words_of(drawn(Mosaic("mine", np.ones((5, 4, 7)))))
