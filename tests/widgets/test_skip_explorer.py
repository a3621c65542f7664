"""The skip explorer without a browser: what it changes, measures and shows, of our twins and others."""

import csv
import dataclasses
import functools
import re
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.widgets.core.view import Over, settled
from resnet_explore.widgets.skips.edit import Edit, arguments, is_order, partners
from resnet_explore.widgets.skips.jobs import DIAL, Outcome, Turn, asked
from tests.widgets.pages import assert_kept, shown, what_is_seen

START = {
    "view": "edit", "networks": "digits", "depth": 20, "image": "digits/0",
    "deleted": (5,), "cut": (), "order": (),
    "skip": 1.0, "branch": 1.0, "block": 6, "channel": 0, "effect": "gradients", "study": "each",
}  # fmt: skip


class Undialled(rx.SkipExplorer):
    """Tries no stop of a dial beforehand: 36 edits of both networks, which most tests don't look at."""

    def plan(self, state):
        return what_is_seen(super().plan(state))


@pytest.fixture(scope="module")
def twins():
    made = Undialled()
    assert made.wait(120)
    yield made
    made.close()


@pytest.fixture
def explorer(twins):
    shown(twins, **START)
    return twins


@pytest.fixture(scope="module")
def digits():
    return rx.load_dataset("digits", split="test")


def sides(explorer, **changes):
    """Return what both networks do after a change."""
    return shown(explorer, **changes).panels[2][0].sides


def errors(explorer, **changes):
    """Return both networks' errors in percent."""
    return [100 * side.error.share for side in sides(explorer, **changes)]


@functools.cache
def built(name):
    """Return a shipped network, which edits and measurements leave as it was."""
    return rx.build(name, weights="digits").eval()


def by_hand(name, digits, **edit):
    """Return the error of a shipped network under `rx.edited`, counted here."""
    model = built(name)
    with torch.no_grad(), rx.edited(model, **edit):
        wrong = model(digits.normalized()).argmax(1) != digits.labels
    return 100 * wrong.double().mean().item()


# --- the answer to an edit ----------------------------------------------------------------------------------


def test_the_first_view_makes_its_point(explorer, digits):
    plain, residual = errors(explorer)
    assert plain == pytest.approx(by_hand("cifar_plain20", digits, delete="layer2.1"))
    assert residual == pytest.approx(by_hand("cifar_resnet20", digits, delete="layer2.1"))
    assert plain > 80 > 20 > residual


@pytest.mark.parametrize(
    ("changes", "plain", "residual"),
    [
        ({"deleted": (2, 8)}, {"delete": ["layer1.1", "layer3.1"]}, {"delete": ["layer1.1", "layer3.1"]}),
        ({"deleted": (4,)}, {}, {"delete": ["layer2.0"]}),
        ({"cut": (2,)}, {}, {"skip": {"layer1.1": 0}}),
        ({"skip": 0.5}, {}, {"skip": {"*": 0.5}}),
        ({"cut": (3,), "skip": 0.5}, {}, {"skip": {"*": 0.5, "layer1.2": 0}}),
        ({"branch": 0.5}, {"branch": {"*": 0.5}}, {"branch": {"*": 0.5}}),
        (
            {"order": (1, 3, 2, 4, 5, 6, 7, 9, 8)},
            {"order": {"layer1": [0, 2, 1], "layer3": [0, 2, 1]}},
            {"order": {"layer1": [0, 2, 1], "layer3": [0, 2, 1]}},
        ),
    ],
)
def test_errors_are_those_of_the_same_edit_made_by_hand(explorer, digits, changes, plain, residual):
    lab, twins = explorer.lab, explorer.lab.open("digits", 20)
    outcomes = asked(lab, twins, Edit(**changes), "", twins.held_out)
    assert [outcome.error for outcome in outcomes] == pytest.approx(
        [by_hand("cifar_plain20", digits, **plain), by_hand("cifar_resnet20", digits, **residual)]
    )


def test_answers_to_the_image_are_probabilities_beside_those_before(explorer, digits):
    model = built("cifar_resnet20")
    image = digits.normalized(slice(7, 8))
    with torch.no_grad(), rx.edited(model, delete="layer1.1"):
        now = model(image).softmax(1)[0].double()
    with torch.no_grad():
        before = model(image).softmax(1)[0].double()
    bars = sides(explorer, image="digits/7", deleted=(2,))[1].answers
    assert [bar.label for bar in bars] == [str(k) for k in now.argsort(descending=True)[:3].tolist()]
    for bar in bars:
        assert bar.share == pytest.approx(now[int(bar.label)].item(), abs=1e-5)
        assert bar.before == pytest.approx(before[int(bar.label)].item(), abs=1e-5)


def test_what_a_plain_network_cant_do_without_stays_and_is_said(explorer):
    rows = shown(explorer, deleted=(4,)).panels[0][0].rows
    assert [row.color for row in rows] == ["plain", "residual"]
    assert [bool(block.stays) for block in rows[0].blocks] == [False] * 3 + [True] + [False] * 2 + [True] + [
        False
    ] * 2
    assert not any(block.stays for block in rows[1].blocks)
    plain, residual = sides(explorer)
    assert plain.note
    assert not residual.note


def test_networks_are_left_as_they_were(explorer):
    networks = explorer.lab.open("digits", 20).networks
    before = [fingerprint(network.model) for network in networks]
    for view in ("edit", "inside", "effects"):
        shown(explorer, view=view, deleted=(2,), cut=(3,), skip=0.75)
    assert [fingerprint(network.model) for network in networks] == before


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_whisker_holds_the_error_and_is_wilsons(wrong, of):
    if wrong > of:
        return
    outcome = Outcome(wrong, of)
    low, high = outcome.interval
    assert -1e-9 <= low <= outcome.error + 1e-9
    assert outcome.error - 1e-9 <= high <= 100 + 1e-9
    z = 1.959964  # each end solves (error - p)² = z² p (1 - p) / n
    for end in (low / 100, high / 100):
        assert (wrong / of - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / of, abs=1e-9)


# --- dials --------------------------------------------------------------------------------------------------


def test_each_stop_of_both_dials_is_there_already_and_right(explorer):
    dialled = rx.SkipExplorer(**START)
    shown(dialled)
    ready = dialled.page.panels[2][0].sides
    dialled.close()
    assert isinstance(ready, Over)
    assert ready.field == "skip"
    assert list(ready.each) == sorted(DIAL)
    for change in ({"skip": 0.25}, {"branch": 1.5}):
        there = settled(ready, explorer.state.__class__(**{**START, **change}))
        assert [bar.error.share for bar in there] == [
            bar.error.share for bar in sides(explorer, **START | change)
        ]


def test_turning_one_dial_asks_for_no_new_series_of_it(explorer):
    def turns(state):
        planned = rx.SkipExplorer.plan(explorer, state)
        return {job.dial: job for job in planned if isinstance(job, Turn)}

    before = turns(explorer.state)
    shown(explorer, skip=0.5)
    after = turns(explorer.state)
    assert after["skip"] == before["skip"]
    assert after["branch"] != before["branch"]


# --- the arithmetic of edits --------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.sets(st.integers(1, 9)), st.sets(st.integers(1, 9)), st.permutations(range(3)))
def test_an_edit_reaches_the_blocks_that_can_bear_it(deleted, cut, first):
    order = (*(1 + k for k in first), *range(4, 10))
    for name in ("cifar_plain20", "cifar_resnet20"):
        blocks = blocks_of(built(name), (1, 8, 8))
        asked = arguments(Edit(tuple(deleted), tuple(cut), order), blocks)
        names = [block.name for block in blocks]
        assert {names.index(n) + 1 for n in asked["delete"]} == {k for k in deleted if blocks[k - 1].can_go}
        assert {names.index(n) + 1 for n in asked["skip"]} == (cut if "resnet" in name else set())
        assert asked["order"] == ({} if list(first) == sorted(first) else {"layer1": list(first)})
        assert is_order(order, blocks)
        assert not is_order(order[::-1], blocks)
        with rx.edited(built(name), **asked):
            pass


def test_blocks_can_stand_where_the_shapes_agree():
    blocks = blocks_of(built("cifar_resnet20"), (1, 8, 8))
    assert [partners(blocks, k) for k in (1, 4, 5, 9)] == [(1, 2, 3), (4,), (5, 6), (8, 9)]


# --- undo, reset, surprise ----------------------------------------------------------------------------------


def test_undo_takes_back_one_change_after_the_other(explorer):
    explorer.update(depth=8)
    shown(explorer, depth=20, deleted=())
    shown(explorer, deleted=(2,))
    shown(explorer, deleted=(2,), skip=0.5)
    shown(explorer, view="inside")
    explorer.undo()
    assert (explorer.deleted, explorer.skip, explorer.view) == ((2,), 1.0, "inside")
    explorer.undo()
    assert explorer.deleted == ()


def test_undo_ends_where_other_networks_begin(explorer):
    shown(explorer, deleted=(2,))
    shown(explorer, depth=8)
    kept = explorer.deleted
    explorer.undo()
    assert explorer.deleted == kept
    assert explorer.depth == 8


def test_nothing_is_left_to_undo_on_a_page_of_other_networks(explorer):
    shown(explorer, deleted=(2,))
    shown(explorer, depth=8)
    shown(explorer, depth=20)
    shown(explorer, deleted=(3,))
    shown(explorer, depth=8)  # all of it is known, so the page is made at once
    undo = shown(explorer).panels[1][0].parts[0]
    assert undo.missing


def test_changes_in_two_threads_at_once_can_both_be_undone():
    inside = threading.Event()

    class Slow(Undialled):
        def settle(self, state, names):
            if state.deleted == (2,) and not inside.is_set():
                inside.set()
                time.sleep(0.2)  # in which the other asks for its change
            return super().settle(state, names)

    explorer = Slow(deleted=())
    first = threading.Thread(target=explorer.update, kwargs={"deleted": (2,)})
    first.start()
    assert inside.wait(10)
    explorer.update(skip=0.5)
    first.join(10)
    found = []
    for _ in range(2):
        explorer.undo()
        found.append((explorer.deleted, explorer.skip))
    explorer.close()
    assert found == [((2,), 1.0), ((), 1.0)]


def test_a_refused_change_leaves_nothing_to_undo(explorer):
    shown(explorer, deleted=(2,))
    shown(explorer, deleted=(3,))
    with pytest.raises(rx.ExploreError):
        explorer.update(deleted=(99,))
    explorer.undo()
    assert explorer.deleted == (2,)


def test_reset_and_surprise(explorer):
    shown(explorer, deleted=(2,), cut=(3,), skip=0.5)
    explorer.reset()
    assert Edit.of(explorer.state).nothing
    seen = set()
    for _ in range(20):
        explorer.surprise()
        edit = Edit.of(explorer.state)
        assert not edit.nothing
        seen |= {name for name in ("deleted", "cut", "order") if getattr(edit, name)}
    assert seen == {"deleted", "cut", "order"}


def test_another_depth_keeps_a_blocks_share_of_the_way(explorer):
    shown(explorer, deleted=(5,), cut=(9,), order=(1, 3, 2, 4, 5, 6, 7, 8, 9))
    shown(explorer, depth=56)
    assert (explorer.deleted, explorer.cut, explorer.order) == ((14,), (27,), ())


# --- inside, before and after -------------------------------------------------------------------------------


def test_the_three_pictures_add_up_and_are_what_the_block_computes(explorer, digits):
    shown(explorer, view="inside", deleted=(), block=2, channel=3, image="digits/4", skip=0.5)
    plain, x, branch, total = (
        one.values for one in settled(explorer.page, explorer.state).panels[0][0].steps.maps
    )
    np.testing.assert_allclose(x + branch, total, atol=1e-6)
    model = built("cifar_resnet20")
    caught = {}
    with torch.no_grad(), rx.edited(model, skip={"*": 0.5}):
        model.layer1[1].register_forward_pre_hook(lambda _, given: caught.update(x=given[0][0, 3]))
        model.layer1[1].register_forward_hook(lambda *parts: caught.update(y=parts[2][0, 3]))
        model(digits.normalized(slice(4, 5)))
    np.testing.assert_allclose(x, 0.5 * caught["x"], atol=1e-5)
    np.testing.assert_allclose(total.clip(0), caught["y"], atol=1e-5)
    assert plain.shape == x.shape


def test_each_block_and_each_channel_is_there_already(explorer):
    shown(explorer, view="inside", deleted=(), block=2, channel=3)
    steps = explorer.page.panels[0][0].steps
    assert isinstance(steps, Over)
    assert list(steps.each) == list(range(1, 10))
    assert isinstance(steps.each[2], Over)
    assert list(steps.each[2].each) == list(range(8))
    for change in ({"block": 8}, {"channel": 5}):
        ready = settled(steps, explorer.state.__class__(**{**START, "block": 2, "channel": 3, **change}))
        again = settled(
            shown(explorer, **{"view": "inside", "deleted": (), "block": 2, "channel": 3, **change}),
            explorer.state,
        )
        for one, other in zip(ready.maps, again.panels[0][0].steps.maps, strict=True):
            np.testing.assert_array_equal(one.values, other.values)


def test_gradients_before_and_after_are_those_of_gradient_flow(explorer):
    charts = shown(explorer, view="effects", effect="gradients", deleted=(2,)).panels[0][0].charts
    tests = explorer.lab.open("digits", 20).held_out
    some = tests.batch[:64], tests.labels[:64]
    for chart, name in zip(charts, ("cifar_plain20", "cifar_resnet20"), strict=True):
        model = built(name)
        before = rx.gradient_flow(model, *some, mode="eval").weight_gradient_norms
        with rx.edited(model, delete="layer1.1"):
            after = rx.gradient_flow(model, *some, mode="eval").weight_gradient_norms
        np.testing.assert_allclose(chart.series[0].y, before, rtol=1e-4)
        np.testing.assert_allclose(chart.series[1].y, after, rtol=1e-4)
        assert list(np.flatnonzero(np.asarray(after) == 0)) == [3, 4]  # the layers of the block that is out


def test_heatmaps_before_and_after_are_for_the_same_class(explorer, digits):
    maps = (
        settled(shown(explorer, view="effects", effect="heatmaps", deleted=(2,)), explorer.state)
        .panels[0][0]
        .steps.maps
    )
    model, image = built("cifar_resnet20"), digits.normalized(slice(0, 1))
    first = int(model(image).argmax())
    before = rx.class_activation_maps(model, image, first, "layer3.2")["layer3.2"][0]
    with rx.edited(model, delete="layer1.1"):
        after = rx.class_activation_maps(model, image, first, "layer3.2")["layer3.2"][0]
    np.testing.assert_allclose(maps[2].values, before, atol=1e-4)
    np.testing.assert_allclose(maps[3].values, after, atol=1e-4)


def test_feature_maps_before_and_after_differ_behind_the_edit_alone(explorer):
    view = shown(explorer, view="effects", effect="maps", deleted=(5,), block=4, channel=0)
    before, after = settled(view, explorer.state).panels[0][0].steps.maps[2:]
    np.testing.assert_array_equal(before.values, after.values)
    view = shown(explorer, block=6)
    before, after = settled(view, explorer.state).panels[0][0].steps.maps[2:]
    assert not np.allclose(before.values, after.values)


# --- many edits, and while training -------------------------------------------------------------------------


def test_each_block_is_taken_out_alone(explorer):
    view = shown(explorer, view="studies", study="each", deleted=())
    plain, residual = ([block.error for block in row.blocks] for row in view.panels[0][0].rows)
    assert [k for k, error in enumerate(plain, 1) if error is None] == [4, 7]
    assert [plain[4], residual[4]] == pytest.approx(errors(explorer, **START))
    assert residual.index(max(residual)) == 0


@pytest.mark.parametrize("depth", [8, 20, 32, 56, 110])
def test_recorded_studies_are_shown_for_each_depth(explorer, depth):
    for study in ("count", "order", "dial", "paths"):
        view = shown(explorer, view="studies", study=study, depth=depth)
        assert explorer.problem == ""
        [panel] = view.panels[0]
        if (study, depth) == ("order", 8):  # where each stage has one block
            assert panel.kind == "prose"
            continue
        kinds = {series.kind for chart in panel.charts for series in chart.series}
        assert kinds == ({"residual"} if study == "paths" else {"plain", "residual"})


def test_an_edit_of_ones_own_stands_among_the_recorded_ones(explorer):
    [chart] = shown(explorer, view="studies", study="count", deleted=(2, 4)).panels[0][0].charts
    live = errors(explorer, view="edit")
    # Block 4 of the plain twin stays, so it has lost one block and not two.
    assert [(mark.x, mark.y) for mark in chart.marks] == [
        (1, pytest.approx(live[0])),
        (2, pytest.approx(live[1])),
    ]


def test_dials_of_the_record_agree_with_the_live_answer(explorer):
    charts = shown(explorer, view="studies", study="dial").panels[0][0].charts
    for chart, dial in zip(charts, ("skip", "branch"), strict=True):
        residual = next(series for series in chart.series if series.kind == "residual")
        at = list(residual.x).index(0.5)
        live = errors(explorer, **{**START, "deleted": (), dial: 0.5})[1]
        assert residual.y[at] == pytest.approx(live, abs=0.6)  # two of 360 may tip on another machine


def test_trainings_are_shown_without_any_network(explorer):
    view = shown(explorer, view="training")
    names = [series.name for chart in view.panels[0][0].charts for series in chart.series]
    assert len(names) == 11
    assert not view.sliders
    assert [type(job).__name__ for job in explorer.plan(explorer.state)] == ["ReadTraining"]


# --- others' networks ---------------------------------------------------------------------------------------


class Adds(nn.Module):
    """A block that is not ours."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x).relu()


def foreign():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Sequential(Adds(), Adds(), Adds()),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10),
    )  # fmt: skip


def test_a_network_of_ones_own_with_test_images_of_ones_own(digits):
    model = foreign()
    explorer = Undialled(model, digits)
    [side] = sides(explorer, deleted=(2,))
    with torch.no_grad(), rx.edited(model.eval(), delete="1.1"):
        wrong = (model(digits.normalized()).argmax(1) != digits.labels).double().mean()
    assert side.error.share == pytest.approx(wrong.item())
    for view in ("inside", "effects", "studies", "training"):
        assert shown(explorer, view=view).headline
        assert explorer.problem == ""
    explorer.close()


def test_images_that_lie_class_by_class_are_drawn(digits):
    order = digits.labels.argsort()
    tests = dataclasses.replace(digits, images=digits.images[order], labels=digits.labels[order])
    explorer = Undialled(built("cifar_resnet20"), tests)
    assert explorer.wait(60)
    held_out = explorer.lab.open("own", 0).held_out
    assert len(set(held_out.labels[:100].tolist())) == 10
    right = built("cifar_resnet20")(held_out.batch).argmax(1) == held_out.labels
    assert right.double().mean() > 0.9
    explorer.close()


def test_one_network_under_two_names_is_edited_once_at_a_time(digits):
    model = built("cifar_resnet20")
    some = dataclasses.replace(digits, images=digits.images[:60], labels=digits.labels[:60])
    explorer = rx.SkipExplorer({"one": model, "other": model}, some, deleted=(2,))
    one, other = sides(explorer)
    assert one.error == other.error
    assert explorer.problem == ""
    explorer.close()


def test_stops_of_a_dial_wait_for_the_answer_to_an_edit(explorer):
    lab, done = explorer.lab, threading.Event()

    def try_out():
        lab.after_first()
        done.set()

    with lab.first():
        threading.Thread(target=try_out).start()
        assert not done.wait(0.05)
    assert done.wait(10)


def test_without_labelled_images_answers_are_told_and_no_error():
    model = foreign()
    explorer = rx.SkipExplorer(model, torch.randn(3, 1, 12, 20))
    [side] = sides(explorer, deleted=(1,))
    assert side.error is None
    assert len(side.answers) == 3
    assert shown(explorer, view="effects").panels[0][0].kind == "prose"
    assert shown(explorer, view="studies").panels[0][0].kind == "prose"
    assert explorer.problem == ""
    explorer.close()


def test_twins_of_other_block_counts_keep_their_order(digits):
    twins = {"short": built("cifar_plain8"), "long": built("cifar_resnet20")}
    explorer = Undialled(twins, digits, deleted=(2, 9))
    short, long = shown(explorer).panels[0][0].rows
    assert [len(short.blocks), len(long.blocks)] == [3, 9]
    assert {len(block.partners) for row in (short, long) for block in row.blocks} == {1}
    for _ in range(8):
        explorer.surprise()
    explorer.close()


def test_a_network_without_blocks_is_refused_in_a_sentence():
    explorer = rx.SkipExplorer(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(240, 3)), torch.randn(2, 1, 8, 12)
    )
    assert explorer.wait(60)
    assert "no blocks" in explorer.problem
    explorer.close()


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"deleted": (10,)}, "deleted"),
        ({"deleted": (0,)}, "deleted"),
        ({"deleted": "all"}, "deleted"),
        ({"cut": (12,)}, "cut"),
        ({"order": (2, 1)}, "order"),
        ({"order": (4, 2, 3, 1, 5, 6, 7, 8, 9)}, "order"),
        ({"skip": float("nan")}, "skip"),
        ({"skip": 2.0}, "skip"),
        ({"branch": -0.5}, "branch"),
        ({"branch": "half"}, "branch"),
        ({"depth": 21}, "depth"),
        ({"networks": "digit"}, "networks"),
        ({"image": "dog"}, "image"),
    ],
)
def test_what_there_is_not_is_refused_and_nothing_changes(explorer, changes, named):
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=named):
        explorer.update(**changes)
    assert explorer.state == before


@pytest.mark.parametrize(
    "state", [{"deleted": (99,)}, {"cut": (50,)}, {"order": (2, 1)}, {"depth": 8, "deleted": (5,)}]
)
def test_blocks_that_there_are_not_are_refused_before_networks_are_loaded(state):
    with pytest.raises(rx.ExploreError):
        rx.SkipExplorer(**state)


def test_the_first_edit_is_carried_to_the_depth_that_one_opens():
    explorer = rx.SkipExplorer(depth=8)
    assert explorer.deleted == (2,)
    explorer.close()


def test_files_hold_what_is_shown(explorer, tmp_path):
    for view in ("edit", "inside", "effects"):
        shown(explorer, view=view)
        assert explorer.save(tmp_path / f"{view}.svg").stat().st_size > 5000
    shown(explorer, view="edit")
    lines = explorer.save(tmp_path / "edit.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert {"Plain-20", "Residual-20"} <= {value for row in rows for value in row.values()}


def test_sentences(explorer):
    told = []
    for changes in (
        {}, {"deleted": (2, 4, 5)}, {"deleted": (), "cut": (2,), "skip": 0.5}, {"deleted": ()},
        {"deleted": (4,)},
        {"view": "inside"}, {"view": "effects"}, {"view": "effects", "effect": "heatmaps"},
        {"view": "effects", "effect": "maps"}, {"view": "studies"},
        *({"view": "studies", "study": study} for study in ("count", "order", "dial", "paths")),
        {"view": "training"},
    ):  # fmt: skip
        view = settled(shown(explorer, **START | changes), explorer.state)
        headline = re.sub(r"−?\d+(\.\d+)?(?= %| →|×|,|$)", "#", view.headline)  # processors round differently
        told += [f"== {changes}", headline, f"Why? {view.why}", *view.conditions]
    assert_kept("skips", told)
