"""The landscape explorer without a browser: numbers, pages, what it refuses, what notebook 08 claims."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.landscape.recorded import recorded_landscapes, recorded_sharpness
from resnet_explore.widgets.core.view import Over, encode, settled
from resnet_explore.widgets.landscape.planes import Planes
from resnet_explore.widgets.landscape.present import present
from resnet_explore.widgets.landscape.records import recorded
from resnet_explore.widgets.landscape.state import LandscapeState
from tests.widgets.pages import assert_kept, numbers, shown, table

DIGITS = (8, 20, 32, 56, 110)
PLANES = ("random-0", "random-1", "random-2")


@pytest.fixture(scope="module")
def made():
    return rx.LandscapeExplorer(guess=True)


@pytest.fixture
def explorer(made):
    shown(made, view="surface", data="digits")
    shown(made, plane="random-0", mode="train", depth=56, step=-1, sort=(0, 1))
    return made


@pytest.fixture(scope="module")
def record():
    return recorded_landscapes("digits")


def surfaces(page):
    return page.panels[0][0]


def test_the_first_view_shows_both_twins_on_one_scale(explorer, record):
    page = shown(explorer)
    panel = surfaces(page)
    assert [(s.name, s.kind) for s in panel.surfaces] == [("plain-56", "plain"), ("residual-56", "residual")]
    for surface in panel.surfaces:
        plane = record[surface.kind, 56, "random-0-train"]
        np.testing.assert_allclose(surface.loss, plane.loss, rtol=1e-6)
        np.testing.assert_allclose(surface.error, plane.error, rtol=1e-6)
    twins = [record[kind, 56, "random-0-train"] for kind in ("plain", "residual")]
    minima = [twin.minima for twin in twins]
    low = [round(100 * twin.under(1)) for twin in twins]
    assert numbers(page.headline) == [56, 1, low[1], low[0]]
    assert [len(surface.dents) for surface in panel.surfaces] == minima
    assert len(page.headline.split()) <= 15
    assert [tab.value for tab in page.tabs.choices] == ["surface", "contours", "numbers"]


def test_the_question_is_judged_by_how_far_the_loss_goes_on_the_plane(explorer, record):
    asked = shown(explorer).question
    plain, residual = (record[kind, 56, "random-0-train"].loss for kind in ("plain", "residual"))
    assert residual.max() / residual.min() > 100 * plain.max() / plain.min()
    assert asked.right == "residual"
    ends = [plain.min(), plain.max(), residual.min(), residual.max()]
    assert numbers(asked.told) == pytest.approx(ends, rel=0.01)
    assert shown(explorer, depth=8).question is None, "of other depths than that which is asked about"
    assert shown(explorer, depth=56, plane="random-1").question is None, "who has moved on is not asked"


def test_every_dot_is_lower_than_its_neighbours(explorer):
    for surface in (s for row in surfaces(explorer.page).surfaces.each.values() for s in row):
        for column, row in surface.dents:
            near = surface.loss[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            assert (near <= surface.loss[row, column]).sum() == 1


def test_depth_moves_in_the_page_alone_on_the_same_scale(explorer):
    page = explorer.page
    assert "depth" in encode(page).local
    assert all(len(headline.split()) <= 15 for headline in page.headline.each.values())
    assert isinstance(page.headline, Over)
    assert tuple(surfaces(page).surfaces.each) == DIGITS
    scales = {
        (surfaces(shown(explorer, depth=depth)).low, surfaces(shown(explorer)).high) for depth in DIGITS
    }
    assert len(scales) == 1


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("plane", PLANES)
def test_every_loss_lies_on_the_scale_or_is_said_to_be_cut(explorer, plane, mode):
    panel = surfaces(shown(explorer, plane=plane, mode=mode))
    losses = np.concatenate(
        [s.loss.ravel() for row in surfaces(explorer.page).surfaces.each.values() for s in row]
    )
    assert panel.low <= max(losses[np.isfinite(losses)].min(), 1e-4)
    assert all(panel.low < level < panel.high for level in panel.levels)
    assert bool(panel.cut) == (not (losses <= panel.high).all())


def test_the_plane_of_the_training_has_its_way(explorer, record):
    page = shown(explorer, plane="training")
    panel = surfaces(page)
    assert [slider.key for slider in page.sliders] == ["depth", "step"]
    assert [choice.label for choice in page.sliders[1].choices][::18] == ["0", "180"]
    for surface in panel.surfaces:
        way = record[surface.kind, 56, "training"].trajectory
        np.testing.assert_allclose(surface.path, way, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(way[-1], 0, atol=1e-6)
        assert np.abs(way).max(0)[0] <= surface.x[-1]
    far = [np.hypot(*record[kind, 56, "training"].trajectory[0]) for kind in ("plain", "residual")]
    assert numbers(page.headline) == [56, *map(round, far)]
    assert explorer.step == panel.step == 18
    assert [menu.key for menu in page.ask][-1] == "plane", "there is no choice of a mode"
    assert surfaces(shown(explorer, step=3)).step == 3


def test_a_depth_that_the_plane_has_not_becomes_the_nearest(explorer):
    shown(explorer, depth=110)
    assert shown(explorer, plane="training").sliders[0].choices[-1].value == explorer.depth == 56


def test_numbers_show_every_training(explorer):
    page = shown(explorer, view="numbers")
    bends, low = page.panels[0][0].charts
    rows = [row for row in recorded_sharpness("digits") if row.mode == "train"]
    for series in bends.series:
        kind = series.kind
        values = [abs(row.normalised) for row in rows if (row.kind, row.depth) == (kind, 56)]
        at = list(series.x).index(56)
        assert (series.low[at], series.y[at], series.high[at]) == pytest.approx(
            (min(values), np.median(values), max(values)), rel=1e-5
        )
    assert [row[:2] for row in page.below[0][0].rows] == [
        (f"{row.kind}-56", row.seed) for row in rows if row.depth == 56
    ]
    assert all(0 <= value <= 100 for series in low.series for value in (*series.low, *series.high))
    middles = [
        np.median([abs(row.normalised) for row in rows if (row.kind, row.depth) == (kind, 56)])
        for kind in ("plain", "residual")
    ]
    assert numbers(page.headline) == pytest.approx([56, *middles], rel=0.05)


def test_seeds_of_random_planes_are_those_that_there_are():
    kept = {key: found for key, found in recorded("digits").landscapes.items() if "random-1" not in key[2]}
    page = present(LandscapeState(depth=8), (), Planes(kept), PLANES, ("train",))
    said = settled(page, LandscapeState(depth=8)).below[0][0].paragraphs[1]
    assert numbers(said)[1:3] == [0, 2]


def test_one_training_has_no_band_and_none_leaves_a_gap():
    rows = [
        row for row in recorded("digits").sharpness if row.depth != 20 and (row.depth != 56 or row.seed == 0)
    ]
    state = replace(LandscapeState(), view="numbers")
    page = present(state, (), replace(recorded("digits"), sharpness=rows), PLANES, ("train", "eval"))
    for series in (one for chart in page.panels[0][0].charts for one in chart.series):
        assert [bool(np.isfinite(value)) for value in series.y] == [True, False, True, True, True]
        assert [bool(np.isfinite(end)) for end in series.low] == [True, False, True, False, True]


def test_a_record_of_fewer_planes_offers_those(explorer, record, monkeypatch):
    few = {
        (*key[:2], key.plane): plane
        for key, plane in record.items()
        if key.plane == "random-0" and key.depth in (20, 56)
    }
    module = "resnet_explore.widgets.landscape.explorer"
    monkeypatch.setattr(f"{module}.records", lambda: ("digits", "cifar10"))
    monkeypatch.setattr(f"{module}.recorded", {"digits": recorded("digits"), "cifar10": Planes(few)}.get)
    shown(explorer, view="numbers", plane="training", depth=20)
    page = shown(explorer, data="cifar10")
    assert (explorer.view, explorer.plane, explorer.mode, explorer.depth) == (
        "surface",
        "random-0",
        "eval",
        20,
    )
    assert [menu.key for menu in page.ask] == ["data", "plane"]
    assert [choice.value for choice in page.sliders[0].choices] == [20, 56]
    assert page.tabs.choices[2].missing
    for refused in ({"view": "numbers"}, {"mode": "train"}, {"plane": "training"}):
        with pytest.raises(rx.ExploreError):
            explorer.update(**refused)
    shown(explorer, data="digits", mode="train")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "mnist"}, "Unknown data 'mnist'"),
        ({"plane": "random-7"}, "Unknown plane"),
        ({"depth": 21}, "Unknown depth '?21"),
        ({"mode": "evaluate"}, "Unknown mode"),
        ({"step": 99}, "from 0 to 18"),
        ({"step": -2}, "or -1 for the last"),
        ({"view": "map"}, "Unknown view"),
    ],
)
def test_what_there_is_not_is_said_and_changes_nothing(explorer, changes, sentence):
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=sentence):
        explorer.update(**changes)
    assert explorer.state == before


def test_networks_of_ones_own_are_measured_and_left_as_they_were():
    torch.manual_seed(0)
    nets = {"bare": rx.build("cifar_plain8"), "skips": rx.build("cifar_resnet8")}
    images, labels = torch.randn(12, 3, 8, 8), torch.arange(12) % 10
    before = [fingerprint(net) for net in nets.values()]
    explorer = rx.LandscapeExplorer(nets, images, labels, size=3, mode="train")
    page = shown(explorer)
    panel = surfaces(page)
    assert [s.name for s in panel.surfaces] == ["bare", "skips"]
    assert [page.headline.find(name) > 0 for name in nets] == [True, True]
    expected = rx.loss_landscape(nets["skips"], images, labels, size=3, mode="train")
    np.testing.assert_allclose(panel.surfaces[1].loss, expected.loss, rtol=1e-5)
    assert [fingerprint(net) for net in nets.values()] == before
    assert page.sliders == []
    assert page.tabs.choices[2].missing
    shown(explorer, plane="random-2")
    assert explorer.code.splitlines()[-1] == (
        "rx.LandscapeExplorer(models=models, images=images, labels=labels, size=3, plane='random-2')"
    )
    with pytest.raises(rx.ExploreError, match="not measured"):
        explorer.update(view="numbers")
    with pytest.raises(rx.ExploreError, match="networks of your own"):
        explorer.update(data="digits")


@pytest.mark.parametrize("factor", [np.nan, np.inf, 0.0, 1e-3, 1.0, 1e3, 5e4, 1e12])
def test_losses_of_any_size_are_shown_on_some_scale(tmp_path, factor):
    plane = recorded("digits").landscapes["residual", 8, "random-0-train"]
    loss = np.full_like(plane.loss, np.nan) if np.isnan(factor) else factor * (1 + plane.loss)
    loss[0, 0] = np.inf
    planes = Planes({(kind, 0, "random-0"): replace(plane, loss=loss) for kind in ("plain", "residual")})
    state = LandscapeState(data="own", depth=0, mode="eval")
    page = present(state, (), planes, ("random-0",), ("eval",))
    panel, said = surfaces(page), [page.headline, *page.conditions, *page.below[0][0].paragraphs]
    assert 0 < panel.low < panel.high < np.inf
    assert all(panel.low < level < panel.high for level in panel.levels)
    assert any(panel.low <= value <= panel.high for value in loss.flat) == (0 < factor < 5e4)
    assert bool(panel.cut) == (not (loss <= panel.high).all())
    assert not panel.cut or numbers(panel.cut) == [panel.high]
    nowhere = not np.isfinite(factor)
    assert all(("no number" in text) == nowhere for text in (panel.surfaces[0].alt, said[1], said[-1]))
    panel.draw(figure := Figure())
    figure.savefig(tmp_path / "planes.png")


def test_what_does_not_fit_is_said_in_a_sentence():
    net = rx.build("cifar_resnet8")
    with pytest.raises(rx.ExploreError, match="needs images and labels"):
        rx.LandscapeExplorer(net)
    with pytest.raises(rx.ExploreError, match="give models"):
        rx.LandscapeExplorer(images=torch.randn(4, 3, 8, 8))
    for name, value in (("depth", 20), ("step", 3)):
        with pytest.raises(rx.ExploreError, match=f"{name} must be left out, not {value}"):
            rx.LandscapeExplorer(net, torch.randn(4, 3, 8, 8), [0, 1, 2, 3], size=3, **{name: value})
    explorer = rx.LandscapeExplorer(net, torch.randn(4, 3, 8, 8), [0, 1, 2], size=3)
    assert explorer.wait(60)
    assert "labels" in explorer.problem


def test_files_and_code(explorer, record, tmp_path):
    rows = list(csv.DictReader(_lines(explorer.save(tmp_path / "planes.csv"))))
    assert len(rows) == 2 * record["plain", 56, "random-0-train"].loss.size
    assert explorer.save(tmp_path / "planes.png").stat().st_size > 10_000
    with np.load(explorer.save(tmp_path / "planes.npz")) as arrays:
        expected = record["residual", 56, "random-0-train"].loss
        np.testing.assert_allclose(arrays["residual-56/loss"], expected, rtol=1e-6)
    shown(explorer, view="contours", plane="training", step=4)
    assert explorer.save(tmp_path / "way.svg").stat().st_size > 10_000
    assert explorer.code.splitlines()[-1] == (
        "rx.LandscapeExplorer(guess=True, view='contours', plane='training', step=4)"
    )
    shown(explorer, view="numbers")
    assert explorer.save(tmp_path / "numbers.png").stat().st_size > 10_000


def run(call):
    *lines, last = call.splitlines()
    exec("\n".join(lines), names := {})
    return eval(last, names)


def test_the_call_measures_the_plane_that_is_shown(explorer, record, monkeypatch):
    measure, mode = rx.loss_landscape, {}
    monkeypatch.setattr(
        rx,
        "loss_landscape",
        lambda *given, **more: mode.update(more) or measure(*given, **more | {"size": 3}),
    )
    shown(explorer, depth=8, plane="random-1", mode="eval")
    plane = record["residual", 8, "random-1"]
    assert run(explorer.call).here == pytest.approx(plane.here, rel=1e-3)
    assert mode == {"seed": 1, "mode": "eval", "size": len(plane.x)}


def test_calls_behind_other_views_run(explorer, record, monkeypatch):
    monkeypatch.setattr(rx, "top_hessian_eigenvalue", lambda *_, **more: more)
    shown(explorer, plane="training")
    assert run(explorer.call).share == record["residual", 56, "training"].share
    shown(explorer, view="numbers", mode="eval")
    assert run(explorer.call) == {"mode": "eval", "normalised": True}


def _lines(path):
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_a_page_without_python_holds_every_plane(tmp_path):
    said = []
    rx.LandscapeExplorer().to_html(tmp_path / "page.html", data=["digits"], say=said.append)
    packed = table(tmp_path / "page.html")
    states = {json.dumps([s["state"][n] for n in ("view", "plane", "mode")]) for s in packed["scenes"]}
    assert len(states) == 16
    assert (tmp_path / "page.html").stat().st_size < 4e6


# --- what notebook 08 says ----------------------------------------------------------------------------------

GUESS = np.log(10)


def train(record, kind, depth):
    """The random planes of a network, with batch norm in train mode."""
    return [record[kind, depth, f"{plane}-train"] for plane in PLANES]


def test_plain_56_lies_in_a_dent_of_a_plateau_near_a_guess(record):
    for plane in train(record, "plain", 56):
        assert np.mean(np.abs(plane.loss - GUESS) < 0.6) > 0.85
        assert plane.here > 1
        assert plane.minima >= 5


@pytest.mark.parametrize("depth", DIGITS)
def test_residual_networks_have_one_minimum_at_every_depth(record, depth):
    for plane in train(record, "residual", depth):
        assert plane.minima == 1
        assert plane.here < 0.02
        assert plane.under(1) > 0.2


def test_at_8_layers_both_look_alike(record):
    for plain, residual in zip(train(record, "plain", 8), train(record, "residual", 8), strict=True):
        assert plain.minima == residual.minima == 1
        assert plain.under(1) == pytest.approx(residual.under(1), abs=0.04)


def test_smoother_is_not_lower(record):
    for depth in (20, 32, 56):
        for plain, residual in zip(
            train(record, "plain", depth), train(record, "residual", depth), strict=True
        ):
            assert plain.loss.max() < 4 < residual.loss.max()


def test_the_first_gradient_throws_plain_56_far_and_momentum_carries_it_on(record):
    plain, residual = (record[kind, 56, "training"].trajectory for kind in ("plain", "residual"))
    assert np.hypot(*plain[0]) == pytest.approx(360, abs=5)
    assert np.hypot(*residual[0]) == pytest.approx(10, abs=0.5)
    jumps = np.hypot(*np.diff(plain, axis=0).T)
    assert jumps[0] == pytest.approx(235, abs=1), "in the first ten updates"
    np.testing.assert_allclose(jumps[1:4] / jumps[:3], 0.9**10, atol=0.005)  # ten updates, momentum 0.9


def test_in_eval_mode_both_shoot_up(record):
    for kind in ("plain", "residual"):
        for depth in DIGITS:
            kept, anew = (record[kind, depth, f"random-0{mode}"].loss for mode in ("", "-train"))
            assert np.nanmax(kept) > 50 * np.nanmax(anew)


def test_dents_of_the_plateau_are_shallow(record):
    loss = record["plain", 56, "random-0-train"].loss
    inner = loss[1:-1, 1:-1]
    around = np.min(
        [np.roll(loss, (i, j), (0, 1))[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j], 0
    )
    dents = around - inner
    assert 0.03 < dents.max() < 0.1


def test_cifar10_tells_it_less_strongly():
    found = recorded_landscapes("cifar10")
    kept, anew = (found["plain", 56, f"random-0{mode}"] for mode in ("", "-train"))
    assert kept.under(1) == 0 < found["residual", 56, "random-0"].under(1)
    assert kept.minima > found["residual", 56, "random-0"].minima == 1
    assert (anew.under(1), anew.minima) == (0, 1)


def bends(kind, depth, name="normalised"):
    """The magnitudes of an eigenvalue of all trainings of a network, with batch norm in train mode."""
    rows = [row for row in recorded_sharpness("digits") if row.mode == "train"]
    return [abs(getattr(row, name)) for row in rows if (row.kind, row.depth) == (kind, depth)]


def test_the_plain_loss_bends_far_more_sharply_at_its_worst():
    assert min(bends("plain", 56)) > 10 * max(bends("residual", 56)), "of every seed"
    plain, residual = (np.median(bends(kind, 8)) for kind in ("plain", "residual"))
    assert plain < 3 * residual, "not so at 8 layers"


def test_the_hessian_of_bare_weights_says_the_contrary_at_110_layers():
    plain, residual = (np.median(bends(kind, 110, "eigenvalue")) for kind in ("plain", "residual"))
    assert plain < residual


def test_sentences_are_those_that_were_read(explorer):
    said = []
    for view in ("surface", "contours"):
        for plane in ("random-0", "training"):
            for mode in ("train", "eval"):
                page = shown(explorer, view=view, plane=plane, mode=mode, depth=56)
                said += [page.headline, page.why, *page.conditions, *page.below[0][0].paragraphs]
                said += [surface.alt for surface in surfaces(page).surfaces]
    page = shown(explorer, view="numbers", mode="train")
    said += [page.why, *page.conditions, *page.glossary.values()]
    asked = shown(explorer, **vars(replace(LandscapeState(), step=18))).question
    said += [asked.text, asked.rule, asked.told, asked.why, *asked.replies.values()]
    said += [choice.label for choice in asked.choices]
    assert_kept("landscape", dict.fromkeys(filter(None, said)))
