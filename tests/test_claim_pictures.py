"""Published claims as pictures: what is drawn, what is said above and below, and the view that shows them."""

import functools
import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from resnet_explore.figures.claims import Scales, claim_chart
from resnet_explore.widgets.claim_words import CLAIM_WORDS
from resnet_explore.widgets.claims import ClaimPictures

import resnet_explore as rx
from resnet_explore.analysis import claim_curves
from resnet_explore.analysis.claim_curves import EXPERIMENTS
from resnet_explore.analysis.curves import Curves
from resnet_explore.figures.style import COLORS
from resnet_explore.widgets.gradient_flow import CLAIMS
from resnet_explore.widgets.gradient_words import multiple
from resnet_explore.widgets.words import factor


@functools.cache
def curves(name):
    return rx.claim_curves(name, seeds=1, seed=1234)


def at(found, name, k=0, digits=2):
    """A value of a curve, its first if nothing else is said, as titles write it."""
    return f"{found.middle(name)[k]:.{digits}f}".replace("-", "−")


NUMBERS = {
    "explosion": lambda c: [factor(c.middle("plain")[0]), factor(c.middle("residual")[0])],
    "reversal": lambda c: [
        f"{name} {multiple(c.middle(name)[0])} → {multiple(c.middle(name)[10])}, " for name in c.measured
    ],
    "modes": lambda c: [factor(c.middle("plain, train mode")[0]), f"{at(c, 'no norm', 0, 1)}×, level"],
    "growth": lambda c: [f"{c.number('ReLU'):.3f} times", "1.211", f"{c.number('linear'):.3f} (1.002)"],
    "branch-over-skip": lambda c: [f"−{-c.number('exponent'):.2f}", "−0.5", at(c, "residual", -1, 3)],
    "shattered-pairs": lambda c: [at(c, "plain", 2, 3), "0.0625", at(c, "residual, β = 1", 4)],
    "shattered-line": lambda c: [f"by {at(c, 'residual, 50 layers', 4)} in a residual"],
    "coupled": lambda c: [at(c, "through the statistics", 5, 4), "−1/63 = −0.0159"],
    "without-norm": lambda c: [f"Fixup has a loss of {at(c, 'Fixup', -1)}", "He has blown up", "2.30"],
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_title_says_what_was_measured_and_a_caption_how(name):
    words, found = CLAIM_WORDS[name], curves(name)
    title, caption = words.title(found), words.caption(found, 1234)
    for number in NUMBERS[name](found):
        assert number in title, title
    assert title[0].isupper()
    assert title.endswith(".")
    assert "seed 1234 of weights and inputs" in caption
    assert "arXiv" in caption or name == "coupled"
    assert "train mode" in caption or name in ("modes", "shattered-line", "without-norm")
    assert any(word in caption for word in ("step 0", "each step of SGD"))
    assert words.seeds > 1


def test_titles_follow_the_numbers():
    x = np.arange(2)
    for loss, said in ((np.inf, "Fixup has blown up"), (1.234, "Fixup has a loss of 1.23")):
        found = Curves({"Fixup": (x, np.ones((1, 2)))}, {}, {"Fixup": np.array([loss])})
        assert said in CLAIM_WORDS["without-norm"].title(found)
    numbers = {"plain-56 at 0": 300.0, "plain-56 at 10": 12.0}
    found = Curves({"plain-56": (x, np.ones((1, 2)))}, {}, {k: np.array([v]) for k, v in numbers.items()})
    said = CLAIM_WORDS["reversal"].title(found)
    assert said.startswith("After 10 steps: plain-56 300× → 12×, grows. First over")


def test_a_chart_draws_medians_ranges_and_formulas():
    x = np.array([1, 2, 4])
    plain = np.array([[1.0, 5, 3], [2, 6, 9], [9, 7, 4]])
    measured = {"plain": (x, plain), "plain, too": (x, plain[:1]), "He": (x, np.array([[2.0, np.inf, 50]]))}
    figure = claim_chart(measured, {"f": (x, 2.0 * x)}, Scales("depth", "size", "x", (1, 4), (0.5, 10)))
    [ax] = figure.axes
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["plain"].get_ydata(), [2, 6, 4])
    np.testing.assert_array_equal(lines["f"].get_ydata(), [2, 4, 8])
    assert lines["f"].get_linestyle() == "--"
    assert (
        to_hex(lines["plain"].get_color())
        == to_hex(lines["plain, too"].get_color())
        == COLORS["plain"].lower()
    )
    assert lines["plain, too"].get_alpha() == 0.5
    np.testing.assert_array_equal(lines["He"].get_xdata(), [1])
    [beyond] = [line for line in ax.lines if line.get_marker() == "^" and list(line.get_xdata()) == [2, 4]]
    assert list(beyond.get_ydata()) == [10, 10], "on the edge"
    [band] = ax.collections
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (1, 9)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["plain", "plain, too", "He", "f"]
    assert list(ax.get_xticks()) == [1, 4]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim()) == ("depth", "size", (0.5, 10))


def test_limits_fit_what_is_finite():
    x = np.array([1, 2])
    figure = claim_chart(
        {"a": (x, np.array([[3.0, 40]]))}, {"f": (x, np.array([0.5, 1]))}, Scales("", "", "y")
    )
    assert figure.axes[0].get_ylim() == (0.1, 100)
    figure = claim_chart(
        {"a": (x, np.array([[0.0, np.inf]]))}, {"f": (x, np.array([0.5, 1]))}, Scales("", "")
    )
    assert figure.axes[0].get_ylim() == pytest.approx((-0.05, 1.05))


def shown(pictures):
    assert len(pictures.strip.frames) == len(pictures.strip.titles) == 1
    return pictures.strip.titles[0], pictures.strip.captions[0]


def test_the_first_seed_comes_at_once_and_the_others_behind_it(tmp_path, monkeypatch):
    pictures = ClaimPictures(seed=7)
    assert pictures.curves is None, "nothing is measured before it is asked for"
    assert not pictures.strip.titles[0].strip(), "an empty card keeps the room"
    with pytest.raises(rx.ExploreError, match="no picture to save"):
        pictures.save(tmp_path / "a.png")
    captions = []
    pictures.strip.observe(lambda change: captions.append(change["new"][0]), "captions")
    pictures.claim.value = "branch-over-skip"
    assert pictures.strip.busy
    assert pictures.strip.message == "Measuring: A block adds 1/√l of its skip ..."
    pictures.wait(120)
    assert ["seed 7 of" in c for c in captions] == [True, False, False, False, False]
    title, caption = shown(pictures)
    truth = rx.claim_curves("branch-over-skip", seeds=5, seed=7)
    assert f"−{-truth.number('exponent'):.2f} of what" in title
    assert "seeds 7 to 11" in caption
    assert not pictures.strip.busy
    assert pictures.note.value == ""
    with Image.open(io.BytesIO(pictures.strip.frames[0])) as image:
        size = image.size

    picture, numbers = pictures.save(tmp_path / "mine.png")
    with Image.open(picture) as image:
        assert image.size[0] == size[0]
        assert image.size[1] > size[1], "title and caption are in the picture"
    table = pd.read_csv(numbers, comment="#")
    rows = table.query("seed == 9")
    np.testing.assert_allclose(rows["y"], truth.measured["residual"][1][2])
    program, conditions, *_ = numbers.read_text().splitlines()
    assert (program, conditions) == (
        f"# program: resnet_explore {rx.__version__}",
        f"# conditions: {caption}",
    )
    np.testing.assert_allclose(table.query("what == 'formula'")["y"], np.arange(1, 55) ** -0.5)
    monkeypatch.chdir(tmp_path)
    pictures.keep.click()
    assert pictures.note.value.startswith("Saved claim-branch-over-skip-")
    assert len(list(tmp_path.glob("claim-branch-over-skip-*"))) == 2
    with pytest.raises(rx.ExploreError, match="can't be written"):
        pictures.save(tmp_path / "nowhere" / "a.png")


@pytest.fixture
def counted(monkeypatch):
    """Two claims that cost nothing, and of which seeds they were measured."""
    asked = {"modes": [], "growth": []}
    ready = {name: curves(name) for name in asked}

    def experiment(name):
        def measure(seed):
            asked[name].append(seed)
            yield from [ready[name]]

        return measure

    for name in asked:
        monkeypatch.setitem(claim_curves.EXPERIMENTS, name, experiment(name))
    return asked


def test_what_was_measured_is_kept(counted):
    pictures = ClaimPictures()
    pictures.claim.value = "modes"
    pictures.wait(60)
    first = shown(pictures)
    pictures.claim.value = "growth"
    pictures.wait(60)
    assert shown(pictures) != first
    pictures.claim.value = "modes"
    assert not pictures.strip.busy, "there at once"
    assert shown(pictures) == first
    pictures.wait(60)
    assert counted == {"modes": [0, 1, 2], "growth": [0, 1, 2]}


def test_what_was_interrupted_goes_on(counted, monkeypatch):
    pictures = ClaimPictures()
    drawn = pictures._draw
    monkeypatch.setattr(pictures, "_draw", lambda name: (drawn(name), pictures.pause()))
    pictures.claim.value = "modes"
    pictures.wait(60)
    assert counted["modes"] == [0]
    assert pictures.note.value == "More seeds are being measured ..."
    monkeypatch.setattr(pictures, "_draw", drawn)
    pictures.show()
    pictures.wait(60)
    assert counted["modes"] == [0, 1, 2]
    assert pictures.note.value == ""


def test_what_fails_is_said_and_can_be_tried_again(counted, monkeypatch):
    pictures = ClaimPictures()
    pictures.claim.value = "modes"
    pictures.wait(60)
    before = shown(pictures)

    def fails(seed):
        raise ValueError("no room")
        yield

    measure = claim_curves.EXPERIMENTS["growth"]
    monkeypatch.setitem(claim_curves.EXPERIMENTS, "growth", fails)
    pictures.claim.value = "growth"
    pictures.wait(60)
    assert "This failed: ValueError: no room" in pictures.note.value
    assert shown(pictures) == before
    assert not pictures.strip.busy
    monkeypatch.setitem(claim_curves.EXPERIMENTS, "growth", measure)
    pictures.show()
    pictures.wait(60)
    assert "the paper says" in shown(pictures)[0]


def test_the_explorer_has_a_view_of_claims(counted, tmp_path):
    explorer = rx.GradientFlowExplorer(depths=(8,), seed=5)
    explorer.claims.claim.value = "modes"
    explorer.wait()
    explorer.view.value = CLAIMS
    seen = [child for child in explorer.children if child.layout.display != "none"]
    assert seen == [explorer.view, explorer.claims]
    explorer.wait(60)
    assert counted["modes"] == [5, 6, 7]
    assert "Plain-56" in shown(explorer.claims)[0]
    picture, _ = explorer.save(tmp_path / "claim.png")
    assert picture.is_file()
    explorer.view.value = "Depth"
    assert explorer.strip in explorer.children
    explorer.wait()
    assert explorer.strip.titles[0].startswith("8 layers")
