"""The explorers and widgets on the Python side; `tests/browser` has them on the screen."""

import io

import pytest
from hypothesis import given, strategies as st
from PIL import Image

import resnet_explore as rx
from resnet_explore.training.coverage import among
from resnet_explore.widgets.core.words import factor, first_of, multiple, percent, power
from resnet_explore.widgets.filmstrip.filmstrip import Filmstrip


def png(shade=0, size=(9, 5)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


# --- filmstrip ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"frames": [png()] * 3, "captions": "seed 0"}, "captions must be a list, got 'seed 0'"),
        ({"titles": 5}, "titles must be a list, got 5"),
        ({"index": 1.5}, "index must be a whole number, got 1.5"),
        ({"opacity": "half"}, "opacity must be a number, got 'half'"),
        ({"frames": [b"GIF89a"]}, r"frames\[0\] must be the bytes of a PNG"),
        ({"frames": [png(), b""]}, r"frames\[1\] must be the bytes of a PNG"),
        ({"frames": ["picture.png"]}, r"frames\[0\] must be .*, got str"),
        ({"overlays": [b"<svg/>"]}, r"overlays\[0\] must be"),
        ({"frames": [png()] * 3, "titles": ["a", "b"]}, "titles has 2 entries for 3 steps"),
        ({"frames": [png()] * 3, "overlays": [png()] * 2}, "overlays has 2 entries for 3 steps"),
        ({"frames": [png()] * 3, "headings": [["a"], ["b"]]}, "headings has 2 entries for 3 steps"),
        (
            {"frames": [png()] * 3, "headings": ["a", ["b"]]},
            "headings must be a list of str, or one such list",
        ),
        ({"frames": [png()] * 3, "index": 3}, "index must be from 0 to 2, got 3"),
        ({"index": -1}, "index must be from 0"),
        ({"opacity": 1.5}, "opacity must be from 0 to 1"),
        ({"opacity": float("nan")}, "opacity must be from 0 to 1"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"interval_ms": 10}, "interval_ms must be at least 50, got 10"),
    ],
)
def test_a_strip_that_cannot_be_shown_is_refused(values, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        Filmstrip(**values)
    strip = Filmstrip()
    before = {name: getattr(strip, name) for name in values}
    with pytest.raises(rx.ExploreError, match=sentence):
        strip.show(**values)
    assert {name: getattr(strip, name) for name in values} == before


@pytest.mark.parametrize(
    "headings", [[], ["plain", "residual", "gap", "sum"], [["plain"]] * 3, [["plain", "residual"]]]
)
def test_one_entry_serves_every_step(headings):
    strip = Filmstrip(frames=[png()] * 3, overlays=[png()], captions=["seed 0"], headings=headings, index=2)
    assert (strip.steps, strip.index, strip.headings) == (3, 2, headings)
    assert Filmstrip(frames=[png()], overlays=[png()] * 4).steps == 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 9)), max_size=8))
def test_the_index_never_leaves_the_pictures(moves):
    strip = Filmstrip()
    for count, asked in moves:
        strip.frames = [png(k) for k in range(count)]
        if count:
            assert 0 <= strip.index < count
            strip.set_state({"index": asked})  # as the browser says it, perhaps for pictures that are gone
            assert strip.index == min(max(asked, 0), count - 1)


def test_a_show_is_one_message_and_one_change():
    strip, sent, heard = Filmstrip(frames=[png()] * 4, index=3), [], []
    strip.comm.send = lambda data=None, buffers=None, **_: sent.append(data)
    strip.observe(lambda change: heard.append(change["name"]), ["frames", "titles", "index"])
    strip.show(frames=[png(1)] * 2, titles=["a", "b"])
    assert len(sent) == 1
    assert set(sent[0]["state"]) >= {"titles", "index"}
    assert sorted(heard) == ["frames", "index", "titles"]


def test_show_changes_all_or_nothing():
    strip = Filmstrip(frames=[png(k) for k in range(4)], index=3)
    with pytest.raises(rx.ExploreError, match="titles has 3 entries for 2 steps"):
        strip.show(frames=[png()] * 2, titles=["a", "b", "c"])
    assert (len(strip.frames), strip.titles, strip.index) == (4, [], 3)
    strip.show(frames=[png()] * 2, titles=["a", "b"])
    assert (strip.steps, strip.index) == (2, 1)
    with pytest.raises(rx.ExploreError, match="did you mean 'titles'"):
        strip.show(title=["a"])


# --- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (percent(0.0), "0 %"),
        (percent(0.02), "under 0.1 %"),
        (percent(0.28), "0.3 %"),
        (percent(9.97), "10 %"),
        (percent(73.6), "74 %"),
        (percent(float("nan")), "?"),
        (factor(1.23), "1.2"),
        (factor(38.4), "38"),
        (factor(4512.0), "4,500"),
        (factor(6.2e6), "6 million"),
        (multiple(1 / 8.9e7), "1/10⁸"),
        (factor(3e12), "10¹²"),
        (power(2e-7), "10⁻⁷"),
        (among([4]), "seed 4"),
        (among([0, 1, 2]), "seeds 0, 1 and 2"),
        (among([20, 56], ""), "20 and 56"),
        (first_of(["a", "c"], most=1), "a and 1 more"),
    ],
)
def test_numbers_in_words(said, expected):
    assert said == expected
