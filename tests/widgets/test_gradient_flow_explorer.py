"""The gradient explorer as state and page: what is measured, what is drawn of it, what is refused."""

import copy
import csv
import math
import subprocess
import sys
import threading
from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.gradients.claims.checks import CLAIMS as CHECKS
from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.lab import GradientLab
from resnet_explore.analysis.gradients.slope import VANISHES, slope
from resnet_explore.figures.chart import Axis
from resnet_explore.inputs.download import FetchError
from resnet_explore.training.live import LiveTraining
from resnet_explore.widgets.core.view import settled
from resnet_explore.widgets.gradient_flow import captions
from resnet_explore.widgets.gradient_flow.charts import profile_chart, ratio_chart, way_back
from resnet_explore.widgets.gradient_flow.claims import CLAIMS
from resnet_explore.widgets.gradient_flow.jobs import said_together
from resnet_explore.widgets.gradient_flow.layers import profile_of
from resnet_explore.widgets.gradient_flow.present import puzzle_page
from resnet_explore.widgets.gradient_flow.questions import PUZZLES
from resnet_explore.widgets.gradient_flow.state import STRENGTHS, GradientFlowState
from tests.widgets import pages
from tests.widgets.pages import numbers
from tests.witnesses import fingerprint

FIRST = GradientFlowState(depth=20)
MEASURE = "resnet_explore.analysis.gradients.claims.curves.measure_claim"


def noise(count=6, size=8, channels=1):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, channels, size, size, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


@pytest.fixture(scope="module")
def shared():
    return rx.GradientFlowExplorer(depths=(8, 14, 20))


@pytest.fixture
def explorer(shared):
    """One explorer for the tests here; each begins with its first state at 20 layers."""
    shared.update(**{name: getattr(FIRST, name) for name in vars(FIRST)})
    return shared


def shown(explorer, **changes):
    page = pages.shown(explorer, **changes)
    assert not explorer.problem
    return page


def charts(page, row=0, panel=0):
    return page.panels[row][panel].charts


def series(chart):
    """Return {name: y} of what a chart draws as lines."""
    return {one.name: one.y for one in chart.series if one.line != "none"}


def controls(page):
    return [control.key for control in (*page.ask, *page.sliders)]


# --- layer by layer, measured here --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "config", "mode"),
    [
        ({}, {}, "train"),
        ({"mode": "eval"}, {}, "eval"),
        ({"norm": "group"}, {"norm": "group"}, "train"),
        ({"norm": "none", "start": "rezero"}, {"norm": "none", "init": "rezero"}, "train"),
        ({"start": "fixup"}, {"norm": "none", "init": "fixup"}, "train"),
    ],
)
def test_each_switch_is_what_is_measured_drawn_and_said(explorer, changes, config, mode):
    page = shown(explorer, **changes)
    digits = rx.load_dataset("digits")
    images, labels = digits.normalized(slice(64)), digits.labels[:64]
    for depth, twins in explorer.flows.items():
        for kind, flow in twins.items():
            name = f"cifar_{'plain' if kind == 'plain' else 'resnet'}{depth}"
            model = rx.build(name, widths=(8, 16, 32), in_channels=1, seed=0, **config)
            truth = rx.gradient_flow(model, images, labels, mode)
            np.testing.assert_allclose(flow.weight_gradient_norms, truth.weight_gradient_norms, rtol=1e-3)
            if depth == 20:
                drawn = series(charts(page)[0])[kind.capitalize()]
                np.testing.assert_allclose(drawn, truth.weight_gradient_norms, rtol=1e-3)
    assert list(explorer.flows) == [8, 14, 20]
    given = Conditions(mode=mode, norm=config.get("norm", "batch"), start=config.get("init", "he"))
    said = captions.here_conditions(given, explorer.lab.batch("digits"), 0, "weight_gradient")
    assert page.conditions[: len(said)] == said
    assert numbers(page.conditions[0]) == [64, 8, 8, 8, 0], "images, their sides, channels, the seed"


def test_every_position_of_the_slider_is_in_the_view(explorer):
    shown(explorer)
    count = explorer._view["count"]
    flows = explorer.flows
    for depth in (8, 14, 20):
        page = shown(explorer, depth=depth)
        profile, over = charts(page)
        assert profile.title == f"{depth} layers"
        assert over.chosen == depth
        assert series(over)["Plain"].tolist() == pytest.approx([flows[d]["plain"].ratio for d in (8, 14, 20)])
        ends = [(mark.x + 0.5, mark.to - 0.5) for mark in profile.marks]
        assert ends == [(2, 3), (depth - 2, depth - 1)], "the first block and the last are shaded"
        assert f"(layers {depth - 2}–{depth - 1})" in page.conditions[-1]
    assert explorer._view["count"] == count, "nothing new is sent for it"
    axes = {(c.y.low, c.y.high) for c in (charts(shown(explorer, depth=d))[0] for d in (8, 14, 20))}
    assert len(axes) == 1, "one axis for all depths"


def test_the_wanted_depth_is_measured_first_and_shallow_ones_next(explorer):
    jobs = explorer.plan(copy.copy(FIRST))
    assert [job.depth for job in jobs] == [20, 8, 14]
    trained = GradientFlowState(depth=14, step=10, steps=20)
    order = [(job.given.steps, job.depth) for job in explorer.plan(trained)]
    assert order == [(step, depth) for step in (10, 0, 20) for depth in (14, 8, 20)]


def test_activation_and_what_is_shown(explorer):
    relu = explorer.flows[20]["plain"].weight_gradient_norms
    shown(explorer, activation="tanh")
    assert not np.allclose(explorer.flows[20]["plain"].weight_gradient_norms, relu, rtol=0.1)
    page = shown(explorer, shown="activation")
    flow = explorer.flows[20]["residual"]
    np.testing.assert_array_equal(series(charts(page)[0])["Residual"], flow.activation_norms)
    assert captions.compared(profile_of(flow, "activation"), "activation") in page.conditions[-1]
    assert "level" not in page.headline, "only gradients explode or vanish"
    more = page.ask[-1]
    assert (more.label, [menu.key for menu in more.controls]) == (
        "More: tanh, activations",
        ["data", "activation", "shown"],
    )


def test_ten_steps_are_taken_and_looked_back_from():
    explorer = rx.GradientFlowExplorer(depths=(20,))
    assert "step" not in controls(shown(explorer)), "no slider before there are steps"
    before = explorer.flows[20]["plain"].ratio
    explorer.act("take", None, [])
    page = shown(explorer)
    assert (explorer.step, explorer.steps) == (10, 10)
    said = next(condition for condition in page.conditions if "SGD" in condition)
    assert numbers(said) == [10, 0.04, 0.9], "the step, the rate, the momentum"
    after = explorer.flows[20]["plain"].ratio
    assert after < 0.7 * before, "from 5.4 to 2.7"
    count = explorer._view["count"]
    shown(explorer, step=0)
    assert explorer.flows[20]["plain"].ratio == before
    assert explorer._view["count"] == count, "the slider moves alone"
    shown(explorer, step=10, mode="eval")
    assert (explorer.step, explorer.steps) == (10, 10), "a switch of the mode looks at the same network"
    shown(explorer, mode="train", norm="group")
    assert (explorer.step, explorer.steps) == (0, 0), "another network begins anew"
    assert explorer.update(step=20) is None
    assert (explorer.step, explorer.steps) == (20, 20), "a step that is asked for is taken"
    explorer.close()


def test_norm_and_start_fit_each_other_and_come_back(explorer):
    def switched():
        norm, start = explorer.page.ask[2], explorer.page.ask[3]
        words = {c.value: c.label for c in (*norm.choices, *start.choices)}
        return explorer.norm, explorer.start, words["none"], words["he"]

    why_none = {start: captions.norm_words("none", start) for start in ("skipinit", "fixup")}
    why_he = captions.start_words("he", "fixup")
    assert len({*why_none.values(), "none", why_he, "He"}) == 5, "the words of a menu give the reason"
    explorer.update(norm="group")
    explorer.update(start="skipinit")
    assert switched() == ("none", "skipinit", why_none["skipinit"], "He")
    explorer.update(start="fixup")
    assert switched() == ("none", "fixup", why_none["fixup"], "He")
    explorer.update(start="rezero")
    assert switched() == ("group", "rezero", "none", "He"), "the norm is what had been chosen"
    explorer.update(start="fixup")
    explorer.update(norm="batch")
    assert switched() == ("batch", "he", "none", why_he)
    explorer.update(mode="eval")
    assert switched()[:2] == ("batch", "he")
    explorer.update(norm="none")
    assert switched() == ("none", "fixup", why_none["fixup"], "He"), "the start is what had been chosen"
    explorer.update(start="he")
    assert switched()[:2] == ("none", "he")


def test_what_cannot_be_measured_goes_back_and_says_so(explorer, monkeypatch):
    shown(explorer, norm="group")

    def fails(*_):
        raise rx.ExploreError("Nothing today.")

    with monkeypatch.context() as broken:
        broken.setattr(GradientLab, "flow", fails)
        explorer.update(activation="gelu", start="fixup")
        assert explorer.wait(30)
    assert explorer.problem.startswith("Nothing today.")
    assert (explorer.norm, explorer.start, explorer.activation) == ("group", "he", "relu")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"depth": 15}, "Unknown depth 15"),
        ({"step": 5}, "Unknown step 5"),
        ({"steps": 7}, "steps must be a multiple of 10 from 0 on, got 7"),
        ({"data": "digit"}, "did you mean 'digits'"),
        ({"source": "digit"}, "did you mean 'digits'"),
        ({"claim": "explosions"}, "did you mean 'explosion'"),
        ({"question": 6}, "question must be from 0 to 5, got 6"),
        ({"mode": "trane"}, "did you mean 'train'"),
        ({"strength": 0.25, "view": "skip"}, "Unknown strength 0.25"),
        ({"deepth": 8}, "did you mean 'depth'"),
    ],
)
def test_what_there_is_not_changes_nothing(explorer, changes, sentence):
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=sentence):
        explorer.update(**changes)
    assert explorer.state == before
    explorer.update()


# --- other views --------------------------------------------------------------------------------------------


def test_skip_strength_goes_from_plain_to_residual(explorer):
    page = shown(explorer, view="skip", depth=14)
    flows = explorer.flows
    assert tuple(flows) == STRENGTHS
    for strength, kind in ((0, "plain"), (1, "residual")):
        end = flows[strength][kind].weight_gradient_norms
        np.testing.assert_allclose(flows[strength]["skip"].weight_gradient_norms, end, rtol=1e-3)
    middle = flows[0.5]["skip"].ratio
    assert flows[0]["residual"].ratio < middle < flows[0]["plain"].ratio
    profile, over = charts(page)
    assert [one.look for one in profile.series] == ["ghost", "ghost", "full"]
    np.testing.assert_array_equal(series(profile)["skip × 0.5"], flows[0.5]["skip"].weight_gradient_norms)
    assert over.chosen == 0.5
    assert series(over)["skip"].tolist() == pytest.approx([flow["skip"].ratio for flow in flows.values()])
    assert page.panels[0][0].chooses == "strength", "a click chooses a strength"
    assert "step" in controls(shown(explorer, depth=8, steps=10, step=10)), (
        "where no slider does, a menu goes back"
    )


def test_jacobians_of_the_twins_and_what_comes_back_of_a_gradient(explorer):
    page = shown(explorer, view="jacobians", depth=14)
    lab, given = explorer.lab, Conditions()
    spectra = {kind: lab.spectra(kind, 14, given) for kind in ("plain", "residual")}
    images = rx.load_dataset("digits").normalized(slice(64))
    truth = rx.jacobian_spectra(lab.network("plain", 14, given), images, top=1, steps=12, probes=1)
    np.testing.assert_allclose(spectra["plain"].top, truth.top, rtol=1e-3)
    plain, residual, back = charts(page)
    for chart, kind in ((plain, "plain"), (residual, "residual")):
        np.testing.assert_allclose(series(chart)["median"], spectra[kind].quantile(0.5), rtol=1e-3)
        np.testing.assert_allclose(series(chart)["mean square"], spectra[kind].back, rtol=1e-3)
    flow = lab.flow("plain", 14, given)
    ways = way_back(spectra["plain"], flow)
    norms = flow.part_norms("activation_gradient_norms")
    np.testing.assert_allclose(ways["measured"], norms / norms[-1])
    assert ways["square"][-1] == ways["median"][-1] == 1
    assert ways["square"][0] == pytest.approx(np.prod(spectra["plain"].back[1:]))
    assert abs(np.log(ways["square"][0] / ways["measured"][0])) < 1, "mean squares foretell it"
    assert ways["median"][0] < 1e-2, "medians don't"
    np.testing.assert_allclose(series(back)["Plain"], ways["measured"], rtol=1e-3)
    assert [control.key for control in page.ask] == ["mode", "norm", "start", "take", "more"]


def test_deep_networks_have_no_jacobians_here():
    explorer = rx.GradientFlowExplorer(depths=(8, 110), view="jacobians", depth=8)
    assert [choice.value for choice in shown(explorer).sliders[0].choices] == [8]


def test_recorded_steps_are_those_of_the_record(explorer):
    page = shown(explorer, source="digits", depth=56)
    layers = rx.collect_layers("data/digits").query("seed == 0 and depth == 56 and step == 10")
    norms = layers.query("kind == 'plain'").sort_values("position")["gradient_norm"].to_numpy()
    assert controls(page) == ["source", "picture", "depth", "step"]
    assert [choice.value for choice in page.sliders[1].choices][:5] == [0, 1, 3, 10, 21]
    count = explorer._view["count"]
    page = shown(explorer, step=10)
    profile, over = charts(page)
    np.testing.assert_allclose(series(profile)["Plain"], norms)
    ratio = np.hypot(*norms[1:3]) / np.hypot(*norms[-3:-1])
    assert series(over)["Plain"][3] == pytest.approx(ratio)
    assert (over.chosen, dict(over.x.ticks)[3]) == (3, "10")
    assert explorer._view["count"] == count, "all steps are there"
    assert explorer.flows == {}
    page = shown(explorer, picture="heatmap")
    plain, residual = page.panels[0][0].matrices
    assert (plain.values.shape, plain.columns[3], residual.kind) == ((56, 13), "10", "residual")
    np.testing.assert_allclose(plain.values[:, 3], norms, rtol=1e-5)
    shown(explorer, source="cifar10", picture="lines")
    assert (explorer.depth, explorer.step) == (56, 10)
    shown(explorer, source="imagenette")
    assert explorer.depth == 18, "the only depth of that record"
    shown(explorer, source="here")
    assert (explorer.depth, explorer.step) == (20, 0), "the nearest that is measured here"


def test_a_record_is_opened_at_once():
    explorer = rx.GradientFlowExplorer(source="digits", depth=110, step=43)
    page = shown(explorer)
    _, over = charts(page)
    assert slope(series(over)["Plain"][int(over.chosen)]) == VANISHES
    assert "vanish" in page.headline
    assert numbers(page.headline)[0] == 43
    assert "lab" not in vars(explorer), "no network is built for it"


def test_claims_come_seed_by_seed_and_are_kept():
    explorer, pages = rx.GradientFlowExplorer(depths=(8,)), []  # one that nobody has asked before
    explorer.observe(lambda _: pages.append(explorer.page), "_view")
    page = shown(explorer, view="claims", claim="branch-over-skip")
    truth = rx.claim_curves("branch-over-skip", seeds=5)
    measured, formula = charts(page)[0].series
    np.testing.assert_allclose(measured.y, np.median(truth.measured["residual"][1], axis=0))
    np.testing.assert_allclose(measured.low, truth.measured["residual"][1].min(0))
    np.testing.assert_allclose(formula.y, np.arange(1, 55) ** -0.5)
    explorer.unobserve_all("_view")
    looks = [settled(p, explorer.state).panels[0][0].charts[0].series[0].look for p in pages if p.panels]
    assert looks[0] == "open", "undecided as long as seeds are missing"
    assert measured.look == "full"
    assert page.conditions == CLAIMS["branch-over-skip"].conditions(truth, 0)
    explorer.update(claim="modes")
    explorer.update(claim="branch-over-skip")
    assert explorer.page.panels is not None, "there at once"


def test_a_claim_says_of_each_statement_whether_it_holds():
    curves = rx.claim_curves("branch-over-skip", seeds=1)
    truth = rx.check_claims("branch-over-skip").loc["branch-over-skip"]
    [said] = CLAIMS["branch-over-skip"].verdicts(curves)
    assert curves.number("exponent") == pytest.approx(truth.measured)
    assert said.startswith(CHECKS["branch-over-skip"].says)
    assert numbers(said)[-2:] == [0.5, pytest.approx(abs(truth.measured), abs=5e-4)]
    wrong = replace(curves, numbers={"exponent": np.array([truth.high + 0.1])})
    [denied] = CLAIMS["branch-over-skip"].verdicts(wrong)
    assert denied.startswith(CHECKS["branch-over-skip"].says)
    assert ("holds here" in said, "holds here" in denied) == (True, False)
    assert all(name in CHECKS for claim in CLAIMS.values() for name in claim.tested)


def test_a_claim_that_was_left_goes_on_where_it_was(monkeypatch):
    asked, gate = [], threading.Event()

    def measure(name, seeds, first):
        for seed in range(seeds):
            asked.append(seed)
            if seed == 1:
                gate.wait(20)
            yield ready

    ready = rx.claim_curves("modes", seeds=1)
    monkeypatch.setattr(MEASURE, measure)
    explorer = rx.GradientFlowExplorer(depths=(8,), view="claims", claim="modes")
    while len(asked) < 2:
        gate.wait(0.01)
    explorer.update(view="guess")
    gate.set()
    assert explorer.wait(60)
    assert asked == [0, 1], "nobody waits for the third seed"
    shown(explorer, view="claims")
    assert asked == [0, 1, 2]


def test_a_claim_that_fails_is_said_and_can_be_tried_again(explorer, monkeypatch):
    of_one_seed = {name: rx.claim_curves(name, 1) for name in ("branch-over-skip", "coupled")}
    monkeypatch.setattr(MEASURE, lambda name, *_: iter([of_one_seed[name]]))
    shown(explorer, view="claims", claim="branch-over-skip")

    def fails(*_):
        raise ValueError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(MEASURE, fails)
        explorer.update(claim="coupled")
        assert explorer.wait(30)
    assert "ValueError: no room" in explorer.problem
    assert explorer.claim == "branch-over-skip"
    assert "Through batch statistics" in shown(explorer, claim="coupled").headline


# --- guess first --------------------------------------------------------------------------------------------


@pytest.fixture
def quiz(explorer, monkeypatch):
    monkeypatch.setattr("resnet_explore.widgets.gradient_flow.explorer.DEPTH", 20)
    explorer.update(view="guess")
    return explorer


@pytest.mark.parametrize("k", range(len(PUZZLES)))
def test_a_puzzle_is_judged_by_the_ratio_that_is_measured(quiz, k):
    asked = shown(quiz, question=k).question
    puzzle = PUZZLES[k]
    flow = quiz.lab.flow(puzzle.kind, 20, puzzle.given, puzzle.strength)
    assert asked.right == slope(profile_of(flow, "weight_gradient").ratio)
    assert asked.right in [choice.value for choice in asked.choices]


def test_a_puzzle_is_asked_while_it_is_measured_and_leads_to_the_next(quiz):
    unanswered = puzzle_page(quiz.state, None, 0)
    assert (unanswered.panels, unanswered.question.right) == (None, None)
    page = shown(quiz, question=0)
    assert list(series(page.panels[0][0].charts[0])) == ["Plain"]
    assert [part.key for part in page.ask] == ["question", "next"]
    assert page.ask[1].puts == {"question": 1}
    assert [part.key for part in shown(quiz, question=5).ask] == ["question"]


# --- files and code -----------------------------------------------------------------------------------------


def test_a_picture_is_saved_with_its_conditions_and_numbers(explorer, tmp_path):
    page = shown(explorer)
    with Image.open(explorer.save(tmp_path / "mine.png")) as image:
        assert image.info["Software"] == f"resnet_explore {rx.__version__}"
        assert image.info["Title"] == page.headline
    assert explorer.save(tmp_path / "mine.svg").read_text().startswith("<?xml")
    lines = explorer.save(tmp_path / "mine.csv").read_text().splitlines()
    about, rows = [line for line in lines if line[0] == "#"], csv.DictReader(x for x in lines if x[0] != "#")
    assert "train mode" in next(line for line in about if line.startswith("# conditions: "))
    plain = [row for row in rows if row["series"] == "Plain" and row["chart"] == "20 layers"]
    saved = [float(row["gradient norm of the weights"]) for row in plain]
    np.testing.assert_allclose(saved, explorer.flows[20]["plain"].weight_gradient_norms)
    shown(explorer, source="digits", picture="heatmap")
    explorer.save(tmp_path / "steps.png")
    rows = list(
        csv.DictReader(
            x for x in explorer.save(tmp_path / "steps.csv").read_text().splitlines() if x[0] != "#"
        )
    )
    assert len(rows) == 2 * explorer.depth * 13
    with pytest.raises(rx.ExploreError, match="can't be written"):
        explorer.save(tmp_path / "mine.png" / "a.png")


def test_the_code_opens_what_is_shown(explorer):
    explorer.update(depth=8, mode="eval", view="skip", strength=0.3)
    again = eval(explorer.code.splitlines()[-1])
    assert again.state == explorer.state
    assert again.depths == [8, 14, 20]
    assert again.wait(60)


# --- own networks and images --------------------------------------------------------------------------------


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10),
    )  # fmt: skip


def test_own_networks_and_their_steps():
    images, labels = noise()
    mine, other = small(), rx.build("cifar_resnet8", in_channels=1, widths=(2, 4, 4))
    before = fingerprint(mine)
    explorer = rx.GradientFlowExplorer(models={"mine": mine, "other": other}, images=images, labels=labels)
    page = shown(explorer)
    measured = rx.gradient_flow(mine, images, labels)
    assert list(explorer.flows) == [0]
    np.testing.assert_allclose(series(charts(page)[0])["mine"], measured.weight_gradient_norms, rtol=1e-4)
    assert page.tabs is None
    assert controls(page) == ["mode", "take", "more"]
    found = {name: profile_of(flow, "weight_gradient") for name, flow in explorer.flows[0].items()}
    assert page.headline == captions.own_headline(found, {}, "weight_gradient", 0)
    assert set(captions.known_of(explorer.lab)) <= set(page.conditions)
    assert numbers(page.conditions[0]) == [6, 8, 8]
    assert (found["mine"].parts, found["mine"].ends) == ("convolution", ((2,), (3,)))
    assert all(
        f"{name}: {captions.compared(each, 'weight_gradient')}" in page.conditions[-1]
        for name, each in found.items()
    )
    explorer.act("take", None, [])
    page = shown(explorer)
    assert list(explorer.flows) == [0, 10]
    assert controls(page) == ["mode", "take", "more", "step"]
    assert explorer.flows[10]["mine"].loss < explorer.flows[0]["mine"].loss
    assert numbers(page.conditions[0]) == [6, 8, 8, 6, 0], "SGD draws batches of 6, with seed 0"
    assert fingerprint(mine) == before


def test_one_network_needs_no_name_and_may_be_partly_frozen():
    images, labels = noise()
    model = small()
    model[0].weight.requires_grad_(False)
    explorer = rx.GradientFlowExplorer(models=model, images=images, labels=labels)
    page = shown(explorer)
    assert list(explorer.flows[0]) == ["model"]
    [said] = captions.frozen_words(explorer.flows[0])
    assert said in page.conditions[-1]
    assert numbers(said) == [1, 4, 1], "one of four, the first"


def test_own_loss_for_own_networks():
    images, _ = noise()
    mine, alike = small(), small()  # before anything draws from the same random numbers in another thread
    explorer = rx.GradientFlowExplorer(
        models={"auto": mine}, images=images, labels=torch.zeros(6, 10), loss=F.mse_loss
    )
    measured = rx.gradient_flow(alike, images, torch.zeros(6, 10), loss=F.mse_loss)
    assert explorer.flows[0]["auto"].loss == pytest.approx(measured.loss, rel=1e-5)
    explorer.act("take", None, [])
    assert explorer.flows[10]["auto"].loss < measured.loss


def test_own_images_through_the_twins():
    images, labels = noise(channels=3)
    explorer = rx.GradientFlowExplorer(depths=(8,), images=images, labels=labels.tolist())
    assert explorer.data == "yours"
    page = shown(explorer)
    assert numbers(page.conditions[0])[:3] == [6, 8, 8]
    assert page.ask[-1].label == "More", "your images are what is shown at first"
    model = rx.build("cifar_plain8", widths=(8, 16, 32), in_channels=3, num_classes=int(labels.max()) + 1)
    measured = rx.gradient_flow(model, images, labels).weight_gradient_norms
    np.testing.assert_allclose(explorer.flows[8]["plain"].weight_gradient_norms, measured, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"models": {"mine": small()}}, "images are missing: pass a batch"),
        ({"models": {"mine": small()}, "images": noise()[0]}, "labels are missing: pass one class index"),
        ({"images": noise()[0]}, "labels are missing"),
        ({"labels": [1, 2]}, "images are missing"),
        ({"images": noise()[0].numpy(), "labels": [1]}, "images must be a float tensor"),
        ({"images": noise()[0], "labels": ["a", "b"]}, "labels must be whole numbers"),
        ({"models": {"mine": len}, "images": noise()[0]}, r"models\['mine'\] must be a torch.nn.Module"),
        ({"models": {}}, "with at least one, not {}"),
        ({"depths": (15,)}, r"must be 6n\+2"),
        ({"depths": ()}, "depths must be a list with at least one entry"),
    ],
)
def test_what_cannot_be_explored_is_one_sentence(arguments, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.GradientFlowExplorer(**arguments)


@pytest.mark.parametrize(
    ("model", "count", "sentence"),
    [
        (small().half(), 6, "in float16"),
        (small().requires_grad_(False), 6, "are frozen: call requires_grad"),
        (small(), 1, "two or more in train mode"),
    ],
)
def test_what_cannot_be_measured_is_said_with_its_name(model, count, sentence):
    images, labels = noise(count)
    explorer = rx.GradientFlowExplorer(models={"mine": model}, images=images, labels=labels)
    assert explorer.wait(60)
    assert explorer.problem.startswith("mine: ")
    assert sentence in explorer.problem
    assert explorer.page.panels is None, "nothing was there"
    assert explorer.flows == {}


def test_networks_that_can_be_measured_are_shown_without_those_that_cannot():
    images, labels = noise()
    mine = {
        "cold": small().requires_grad_(False),
        "ice": small().requires_grad_(False),
        "half": small().half(),
    }
    why = {}
    for name, model in mine.items():
        with pytest.raises(rx.ExploreError) as refused:
            rx.gradient_flow(model, images, labels)
        why[name] = str(refused.value)
    explorer = rx.GradientFlowExplorer(models={**mine, "ok": small()}, images=images, labels=labels)
    said = shown(explorer).conditions[-1]
    assert list(explorer.flows[0]) == ["ok"]
    together = list(said_together(why))
    assert len(together) == 2, "two have the same reason"
    assert all(f"Not shown: {sentence}" in said for sentence in together)


def test_images_that_are_not_finite_are_all_that_is_said():
    images, labels = noise()
    images[2, 0, 1] = math.nan
    explorer = rx.GradientFlowExplorer(models={"mine": small()}, images=images, labels=labels)
    page, flow = shown(explorer), explorer.flows[0]["mine"]
    assert not flow.images_finite
    assert captions.trouble_words(flow, None) in page.headline
    assert numbers(page.headline) == [0], "the step, and nothing of the network"


def test_a_network_that_blew_up_says_where():
    images, labels = noise()
    broken = small()
    with torch.no_grad():
        broken[3].weight.fill_(math.nan)
    explorer = rx.GradientFlowExplorer(models={"mine": broken}, images=images, labels=labels)
    page, flow = shown(explorer), explorer.flows[0]["mine"]
    assert flow.images_finite
    assert captions.trouble_words(flow, None) in page.headline
    assert numbers(page.headline) == [0], "the step, and no ratio"
    assert captions.trouble_sentence("mine", flow, None) in page.conditions[-1]
    assert "of 3 " in flow.trouble, "the layer that was broken"


def test_a_training_that_blows_up_says_at_which_step():
    images, labels = noise()
    mine = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        mine[3].weight.mul_(1e20)
    training = LiveTraining(copy.deepcopy(mine), images, labels, 0.04, len(images))
    while training.broke_at is None:
        training.take(1)
    explorer = rx.GradientFlowExplorer(models={"mine": mine}, images=images, labels=labels)
    explorer.act("take", None, [])
    page = shown(explorer)
    broken = captions.trouble_words(explorer.flows[10]["mine"], training.broke_at)
    assert f"mine {broken}" in page.headline
    assert numbers(page.headline) == [10, training.broke_at]


# --- data that is not there ---------------------------------------------------------------------------------


def test_data_that_is_not_there_is_downloaded_and_the_picture_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_EXPLORE_DATA", str(tmp_path))
    explorer = rx.GradientFlowExplorer(depths=(8,))
    before = shown(explorer)

    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(FetchError) as refused:
        rx.load_dataset("cifar10")
    explorer.update(data="cifar10")
    assert explorer.wait(60)
    assert explorer.problem.startswith(refused.value.reason)
    assert "load_dataset" not in explorer.problem, "no advice for Python"
    assert (explorer.data, settled(explorer.page, explorer.state).headline) == ("digits", before.headline)
    gate = threading.Event()
    real = rx.load_dataset

    def download(name, **options):
        """What lies under the cache as folders of images is CIFAR-10, too."""
        if (tmp_path / name).exists():
            return real(name, **options)
        assert gate.wait(20)
        pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
        for i, image in enumerate(pixels):
            folder = tmp_path / name / "train" / f"class{i % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")
        return None

    monkeypatch.setattr("resnet_explore.inputs.datasets.load_dataset", download)
    explorer.update(data="cifar10")
    assert explorer.page.panels is None, "the picture stays, dimmed"
    explorer.update(data="digits", mode="eval")  # all else can be used meanwhile
    gate.set()
    page = shown(explorer, data="cifar10", mode="train")
    batch = explorer.lab.batch("cifar10")
    assert captions.batch_words(batch) in page.conditions[0]
    assert (len(batch.images), batch.classes) == (32, 4)


# --- charts -------------------------------------------------------------------------------------------------


def test_a_profile_has_gaps_where_there_is_no_number_and_says_what_its_marks_mean():
    axis = Axis("norm", 0.1, 10, "log")
    chart = profile_chart("", {"plain": np.array([1.0, 0, np.inf, 40, 3])}, axis, [(2, 3), (5,)])
    np.testing.assert_array_equal(series(chart)["Plain"], [1, 0, np.nan, 40, 3])
    assert "Triangles" in chart.note
    assert "crosses" in chart.note
    assert [(mark.x, mark.to) for mark in chart.marks] == [(1.5, 3.5), (4.5, 5.5)]


def test_ratios_leave_a_gap_where_there_is_none_and_their_axis_holds_all_positions():
    chart = ratio_chart(
        "", Axis("depth", 0, 60), [8, 20], {"plain": [2.0, math.nan]}, None, [2.0, 1e5, math.nan]
    )
    np.testing.assert_array_equal(series(chart)["Plain"], [2, np.nan])
    assert chart.y.high >= 1e5
    level = chart.series[-1]
    assert (level.name, level.low[0], level.high[0]) == ("level", 0.1, 10)


# --- beside the page ----------------------------------------------------------------------------------------


def test_a_script_that_ends_while_others_are_measured_ends_well():
    script = (
        "import torch, resnet_explore as rx\n"
        "rx.GradientFlowExplorer(images=torch.randn(8, 3, 24, 40), labels=torch.arange(8))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_first_page_needs_neither_torch_nor_pandas():
    script = (
        "import sys, resnet_explore as rx\n"
        "from resnet_explore.widgets.core.runner import Runner\n"
        "Runner.ask = lambda *_: None\n"
        "rx.GradientFlowExplorer()\n"
        "print([name for name in ('torch', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.stdout.strip() == "[]", ended.stderr
