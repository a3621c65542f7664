"""The playground: plan, page and numbers as functions, and the race as it is played, changed and rewound."""

import itertools
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import resnet_explore as rx
from resnet_explore.training.entrants import read_entrant
from resnet_explore.training.race import Change, RaceCurve
from resnet_explore.widgets.core.view import Group, Menu, More, Over, encode, settled
from resnet_explore.widgets.playground.charts import looks_of, race_charts
from resnet_explore.widgets.playground.curves import are_level, loss_line, places, thinned
from resnet_explore.widgets.playground.jobs import Circuit, RunRace, Setup, Standing
from resnet_explore.widgets.playground.present import present
from resnet_explore.widgets.playground.rows import network_rows, one_more
from resnet_explore.widgets.playground.state import NOW, PlaygroundState
from tests.widgets.pages import assert_kept, numbers, shown, unpacked, whole

SMALL = ("plain-8", "residual-8")


@pytest.fixture
def playground():
    """`playground(steps=10)` is one of networks of 8 layers, closed in the end."""
    opened = []

    def make(**given):
        opened.append(rx.PlaygroundExplorer(**{"networks": SMALL, "steps": 10, "batch_size": 8} | given))
        return opened[-1]

    yield make
    for explorer in opened:
        explorer.close()


def curve(errors, loss=1.0, broke_at=None, layers=3):
    """A curve of a network whose held-out errors were these, every ten steps."""
    count = 10 * (len(errors) - 1) if broke_at is None else broke_at + 1
    steps = np.arange(count)
    return RaceCurve(
        steps=steps,
        loss=np.full(count, loss, np.float32),
        error=np.full(count, 50, np.float32),
        gradients=np.tile(np.arange(1, layers + 1, dtype=np.float32), (count, 1)) * (1 + steps[:, None]),
        layers=tuple(f"layer{k}" for k in range(layers)),
        held_out_steps=10 * np.arange(len(errors)),
        held_out_loss=np.ones(len(errors)),
        held_out_error=np.array(errors, float),
        skip=1.0,
        broke_at=broke_at,
    )


def standing(curves, steps=20, changes=(), kept=(0, 10, 20)):
    setup = Setup(tuple(curves), "digits", "", 64, 0)
    running = tuple(name for name, each in curves.items() if each.broke_at is None)
    return Standing(setup, steps, curves, kept, changes, 0.03, "digits", 360, 10, running, ())


def state_of(curves, **more):
    return PlaygroundState(networks=tuple(curves), steps=20, **more)


def controls(parts):
    """Return all controls of rows, also those that are folded."""
    for part in parts:
        if isinstance(part, Group):
            yield from controls(part.parts)
        elif isinstance(part, More):
            yield from controls(part.controls)
        else:
            yield part


# --- numbers ------------------------------------------------------------------------------------------------


def test_errors_are_level_within_two_standard_errors():
    p, q, n = 0.05, 0.08, 360
    wide = 2 * math.sqrt((p * (1 - p) + q * (1 - q)) / n)
    assert (abs(p - q) <= wide) == are_level(5, 8, 360)
    assert are_level(0, 0, 360)
    assert not are_level(5, 12, 360)
    assert not are_level(5, 8, 3600)
    assert places({"a": 12, "b": 5, "c": 5.5, "d": 60}, 360) == {"b": 1, "c": 1, "a": 3, "d": 4}


def test_a_line_of_losses_is_the_mean_of_the_last_five():
    one = curve([90, 80, 70])
    losses = np.arange(20, dtype=np.float32)
    smooth = loss_line(RaceCurve(**{**vars(one), "loss": losses}))
    assert smooth[1][[0, 2, 10]] == pytest.approx([0, 1, 8])
    x, y = thinned((np.arange(1000), np.arange(1000)), 100)
    assert len(x) <= 100
    assert (x[-1], y[-1]) == (999, 999)


def test_networks_of_one_family_share_its_colour_and_differ_by_their_line():
    names = ["plain-8", "residual-8", "plain-20", "plain-56"]
    looks = looks_of(names)
    assert [looks[name]["kind"] for name in names] == ["plain", "residual", "plain", "plain"]
    assert len({(look["kind"], look["line"], look["look"]) for look in looks.values()}) == 4


# --- the page as a function ---------------------------------------------------------------------------------


def test_what_is_looked_at_is_in_the_view_for_all_kept_steps():
    curves = {"plain-8": curve([90, 80, 70]), "residual-8": curve([90, 40, 10])}
    view = present(state_of(curves), standing(curves), here=False)
    assert list(view.headline.each) == [0, 10, NOW]
    at_ten = settled(view, state_of(curves, step=10))
    assert "After 10 steps residual-8" in at_ten.headline
    gradients = at_ten.panels[0][0].charts[2].series[0].y
    np.testing.assert_array_equal(gradients, [11, 22, 33])
    assert at_ten.panels[0][0].charts[0].chosen == 10
    assert [row[1] for row in at_ten.below[0][0].rows] == [80, 40]


def test_while_it_plays_each_picture_is_small_and_of_one_step():
    names = ("plain-56", "residual-56", "plain-20", "residual-20")
    curves = {name: curve([90] * 60, layers=56) for name in names}
    moving = standing(curves, steps=590)
    view = present(state_of(curves, playing=True), moving, here=False)
    assert not any(isinstance(part, Over) for part in (view.headline, *view.panels))
    sent = encode(view)
    numbers = sum(buffer.nbytes for buffer in sent.buffers) / 8
    assert numbers < 4 * (2 * 120 + 2 * 60 + 2 * 56) + 1


def test_who_has_left_is_said_and_the_others_are_compared():
    curves = {"plain-8": curve([90, 90], broke_at=12), "residual-8": curve([90, 40, 10])}
    view = settled(present(state_of(curves), standing(curves), here=False), state_of(curves))
    rows = {row[0]: row for row in view.below[0][0].rows}
    assert rows["plain-8"][1:3] == [None, "–"]
    assert "12" in rows["plain-8"][-1]
    assert rows["residual-8"][1] == 10
    assert "left at step 12" in view.headline


def test_skips_are_as_they_were_at_the_step_that_is_looked_at():
    curves = {"residual-8": curve([90, 40, 10])}
    changes = (Change(5, "residual-8", 1.0, 0.5), Change(15, "residual-8", 0.5, 0.0))
    view = present(state_of(curves), standing(curves, changes=changes), here=False)
    found = {at: settled(view, state_of(curves, step=at)).below[0][0].rows[0][-1] for at in (0, 10, NOW)}
    assert found == {0: "× 1", 10: "× 0.5", NOW: "× 0, taken away"}


def test_changes_are_marked_where_they_were_made():
    curves = {"residual-8": curve([90, 40, 10])}
    changes = (Change(5, "lr", 0.03, 0.1), Change(15, "residual-8", 1.0, 0.0))
    loss, _, _ = race_charts(standing(curves, changes=changes), ())
    assert [(mark.x, mark.label) for mark in loss.marks] == [(5, ""), (15, "skips off")]


def test_each_entry_of_a_row_is_the_whole_race_with_one_thing_changed():
    networks = ("plain-56", "residual-20 norm=group")
    menus = [c for c in controls(network_rows(networks, (None, 1.0))) if isinstance(c, Menu)]
    for menu in menus:
        offered = [choice for choice in menu.choices if not choice.missing]
        values = [choice.value for choice in offered]
        assert sum(value == (networks if menu.key == "networks" else ()) for value in values) == 1, menu.label
        if menu.key == "networks":
            for value in values:
                assert sum(a != b for a, b in zip(value, networks, strict=True)) <= 1
                assert all(str(read_entrant(name)) == name for name in value)


def test_what_cannot_be_is_greyed_with_its_reason():
    menus = {c.label: c for c in controls(network_rows(("plain-8", "residual-8"), (None, 1.0))[:1])}
    kinds = {choice.label: choice.missing for choice in menus["Network 1"].choices}
    assert not kinds["plain"]
    assert "already" in kinds["residual"]
    rows = network_rows(("residual-8 init=fixup",), (1.0,))
    norms = {c.label: c.missing for menu in controls(rows) if menu.label == "norm" for c in menu.choices}
    assert "norm='none'" in norms["batch norm"]
    assert not norms["no norm"]


def test_a_network_more_is_one_that_is_not_there():
    networks = ("plain-56", "residual-56")
    for _ in range(2):
        networks = one_more(networks)
    assert len(set(networks)) == 4


# --- the race -----------------------------------------------------------------------------------------------


def test_it_opens_with_a_race_that_has_begun(playground):
    explorer = playground()
    view = shown(explorer)
    assert explorer.steps == 10
    assert not explorer.playing
    loss, error, gradients = view.panels[0][0].charts
    race = rx.Race(SMALL, rx.load_dataset("digits"), rx.load_dataset("digits", "test"), 0.03, 8)
    race.advance(10)
    for k, (name, noted) in enumerate(race.curves.items()):
        assert loss.series[k].name == name
        np.testing.assert_allclose(loss.series[k].y[-1], noted.loss[-5:].mean(), rtol=1e-6)
        np.testing.assert_allclose(error.series[k].y, noted.held_out_error, rtol=1e-6)
        np.testing.assert_allclose(gradients.series[k].y, noted.gradients[-1], rtol=1e-6)


def until(explorer, is_so, seconds=30):
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    assert is_so(), explorer.problem


def test_play_change_pause_and_look_back(playground):
    explorer = playground()
    assert explorer.wait(60)
    explorer.act("play", None, ())
    until(explorer, lambda: explorer.steps > 14)
    explorer.lr = 0.1
    seen = explorer.steps
    until(explorer, lambda: explorer.steps > seen + 4)
    explorer.act("take", None, ())
    assert explorer.skips == (None, 0.0)
    seen = explorer.steps
    until(explorer, lambda: explorer.steps > seen + 14)
    explorer.step = 10  # who looks back lets it rest
    assert not explorer.playing
    assert explorer.wait(60)
    changes = explorer.circuit.standing.changes
    assert [(c.what, c.after) for c in changes] == [("lr", 0.1), ("residual-8", 0.0)]
    assert 10 < changes[0].step < changes[1].step < explorer.steps
    assert "10 steps" in settled(explorer.page, explorer.state).headline


def test_play_from_an_earlier_step_leaves_a_ghost(playground):
    explorer = playground(steps=20)
    assert explorer.wait(60)
    before = explorer.table
    explorer.step = 10
    explorer.advance(10)
    assert explorer.wait(60)
    assert (explorer.step, explorer.steps) == (NOW, 20)
    pd.testing.assert_frame_equal(explorer.table, before)
    view = shown(explorer)
    ghosts = [curve for curve in view.panels[0][0].charts[0].series if curve.look == "ghost"]
    assert [ghost.kind for ghost in ghosts] == ["plain", "residual"]
    assert not any(ghost.listed for ghost in ghosts)
    for _ in range(9):  # more than are kept: their names stay different
        explorer.act("again", None, ())
        assert explorer.wait(60)
        assert explorer.steps == 0
        explorer.act("one", None, ())
        assert explorer.wait(60)
    ghosts = explorer.circuit.standing.ghosts
    assert len({ghost.name for ghost in ghosts}) == len(ghosts) == 12
    assert explorer.problem == ""
    with pytest.raises(rx.ExploreError, match="Unknown kept step 7"):
        explorer.rewind(7)
    for steps in (0, 1.5, True):
        with pytest.raises(rx.ExploreError, match="steps as a whole number of at least 1"):
            explorer.advance(steps)


class Alone:
    """A task that nobody stops, for a job that is run without a page."""

    cancelled = False

    def check(self):
        pass

    def publish(self, partial):
        pass


def test_a_rewind_that_fails_is_wished_once_and_leaves_no_ghosts():
    circuit, setup = Circuit(), Setup(SMALL, "digits", "", 8, 0)

    def run(goal, rewinds=0, to=0, lr=0.03):
        return RunRace(circuit, setup, lr, (None, 1.0), goal, rewinds, to, 0).run(Alone())

    run(30)
    assert run(10, rewinds=1, to=10).steps == 10
    ghosts = circuit.standing.ghosts
    with pytest.raises(rx.ExploreError, match="Unknown kept step 30"):
        run(30, rewinds=2, to=30)
    went_on = run(11, rewinds=2, to=30, lr=0.1)
    assert (went_on.steps, went_on.ghosts) == (11, ghosts)
    assert [change.what for change in went_on.changes] == ["lr"]


def test_a_rewind_that_fails_leaves_the_page_where_the_race_is(playground, monkeypatch):
    explorer = playground(steps=20)
    assert explorer.wait(60)

    def gone(race, step):
        raise rx.ExploreError(f"Unknown kept step {step}.")

    with monkeypatch.context() as patch:
        patch.setattr("resnet_explore.training.race.Race.rewind", gone)
        explorer.rewind(10)
        assert explorer.wait(60)
    assert "Unknown kept step 10" in explorer.problem
    assert explorer.steps == 20
    explorer.advance()
    assert explorer.wait(60)
    assert (explorer.problem, explorer.steps) == ("", 21)
    assert explorer.circuit.standing.ghosts == ()


def test_a_race_that_has_not_begun_can_be_rewound_to_its_first_step_alone(playground):
    explorer = playground()
    assert explorer.wait(60)
    with explorer.circuit.taken(Alone()):  # so that the new race waits
        explorer.networks = ("plain-8", "residual-14")
        with pytest.raises(rx.ExploreError, match="Unknown kept step 10: did you mean '0'"):
            explorer.rewind(10)
        explorer.rewind()
    assert explorer.wait(60)
    assert (explorer.steps, explorer.circuit.standing.steps) == (0, 0)


def test_another_network_is_another_race(playground):
    explorer = playground()
    assert explorer.wait(60)
    explorer.networks = ("residual-14", "plain-8")
    explorer.steps = 5
    view = shown(explorer)
    names = [curve.name for curve in view.panels[0][0].charts[0].series if curve.listed]
    assert names == ["residual-14", "plain-8"]
    assert explorer.circuit.standing.ghosts
    explorer.act("remove-0", None, ())
    assert explorer.networks == ("plain-8",)
    explorer.act("add", None, ())
    assert len(explorer.networks) == 2


def test_the_same_state_gives_the_same_race(playground):
    first, second = playground(seed=4), playground(seed=4)
    assert first.wait(60)
    assert second.wait(60)
    pd.testing.assert_frame_equal(first.table, second.table)
    assert not playground(seed=5).table.equals(first.table)


def test_who_plays_last_plays_alone(playground):
    first, second = playground(), playground()
    assert first.wait(60)
    assert second.wait(60)
    first.play()
    until(first, lambda: first.steps > 11)
    second.play()
    until(first, lambda: not first.playing)
    assert first.wait(60)
    until(second, lambda: second.steps > 11)


def test_a_race_that_nobody_is_left_in_rests(playground):
    explorer = playground(networks=("plain-8 norm=none",), lr=1e30, steps=2)
    explorer.play()
    until(explorer, lambda: not explorer.playing)
    assert explorer.wait(60)
    assert "left at step" in settled(explorer.page, explorer.state).headline


# --- around it ----------------------------------------------------------------------------------------------


def test_its_table_is_saved_and_its_call_is_the_same_race(playground, tmp_path):
    explorer = playground()
    assert explorer.wait(60)
    explorer.update(lr=0.1, skips=(1.0, 0.0))
    explorer.advance(5)
    assert explorer.wait(60)
    saved = pd.read_csv(explorer.save(tmp_path / "race.csv"), comment="#")
    assert len(saved) == len(explorer.table) == 2 * 15
    explorer.save(tmp_path / "race.png")
    names = {}
    *lines, last = explorer.call.splitlines()
    exec("\n".join(lines), names)
    pd.testing.assert_frame_equal(eval(last, names), explorer.table)
    assert "explorer.call" in explorer.code


def test_its_code_opens_it_again(playground):
    explorer = playground(data="xor", steps=20)
    assert explorer.wait(60)
    explorer.step = 10
    names = {}
    exec(explorer.code.replace("rx.Pl", "again = rx.Pl"), names)
    again = names["again"]
    assert again.wait(60)
    assert again.state == explorer.state
    assert settled(again.page, again.state).headline == settled(explorer.page, explorer.state).headline
    again.close()


def baked(path):
    """Return (state, held-out errors by network, call) of each view of a baked page."""
    table, arrays = unpacked(path)
    found = []
    for scene in table["scenes"]:
        error = whole(scene["tree"], table, arrays)["panels"][0][0]["charts"][1]
        errors = {line["name"]: line["y"] for line in error["series"] if line["listed"]}
        found.append((scene["state"], errors, scene["call"]))
    return found


def test_a_baked_page_replays_it(playground, tmp_path):
    explorer = playground()
    assert explorer.wait(60)
    explorer.lr = 0.1
    explorer.advance(5)
    assert explorer.wait(60)
    race, before = explorer.circuit.standing, explorer.table
    others = ("plain-14", "residual-8")
    one, at_ten, two, faster = (
        baked(explorer.to_html(tmp_path / "page.html", say=lambda _: None, **more))
        for more in ({}, {"step": 10}, {"networks": [SMALL, others]}, {"lr": [0.1, 0.3]})
    )
    assert [len(page) for page in (one, at_ten, two, faster)] == [1, 1, 2, 2]
    assert at_ten[0][0]["step"] == 10
    for _, errors, call in (one[0], at_ten[0], two[0], faster[0]):
        assert "race.lr = 0.1" in call
        for name, curve in race.curves.items():
            np.testing.assert_allclose(errors[name], curve.held_out_error)
    assert two[1][0]["steps"] == 15
    assert two[1][1].keys() == set(others)
    data = rx.load_dataset("digits"), rx.load_dataset("digits", "test")
    for (_, errors, _), networks, lr in ((two[1], others, 0.1), (faster[1], SMALL, 0.3)):
        alone = rx.Race(networks, *data, lr, 8)
        alone.advance(15)
        for name, curve in alone.curves.items():
            np.testing.assert_allclose(errors[name], curve.held_out_error)
    pd.testing.assert_frame_equal(explorer.table, before)
    assert explorer.circuit.standing.changes == race.changes


def test_who_plays_while_a_page_is_written_plays_the_race_that_is_here(playground, tmp_path, monkeypatch):
    explorer, seen = playground(steps=1), []
    assert explorer.wait(60)
    playing = replace(explorer.state, playing=True)

    def beside():
        other = threading.Thread(target=lambda: seen.append(explorer.plan(playing)[0].circuit))
        other.start()
        other.join()
        return Circuit()

    monkeypatch.setattr(explorer.circuit, "beside", beside)
    explorer.to_html(tmp_path / "page.html", lr=0.1, say=lambda _: None)
    assert seen == [explorer.circuit]


def test_images_of_ones_own_race_too(playground, tmp_path):
    for name, colour in itertools.product(("cat", "dog"), range(6)):
        (tmp_path / name).mkdir(exist_ok=True)
        shade = (40 * colour, 200 if name == "cat" else 0, 0)
        Image.new("RGB", (20, 20), shade).save(tmp_path / name / f"{colour}.png")
    explorer = playground(data="folder", folder=str(tmp_path), steps=1, batch_size=4)
    assert explorer.wait(60)
    before = explorer.circuit.standing.images
    assert str(tmp_path) in before
    assert sum(numbers(before.removeprefix(f"image folder {tmp_path}"))[:2]) == 12
    for k in range(6):  # which the next race takes up
        Image.new("RGB", (20, 20), (40 * k, 200, 90)).save(tmp_path / "cat" / f"more{k}.png")
    explorer.update(seed=1, steps=1)
    assert explorer.wait(60)
    after = explorer.circuit.standing.images
    assert sum(numbers(after.removeprefix(f"image folder {tmp_path}"))[:2]) == 18


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"networks": ("plain-9",)}, "6n\\+2"),
        ({"networks": ()}, "one to 4"),
        ({"networks": ("plain-8", "plain-8")}, "twice"),
        ({"networks": "plain-8"}, "must be a list"),
        ({"lr": 0.0}, "lr must be a number above 0"),
        ({"lr": math.nan}, "lr must be a number above 0"),
        ({"batch_size": 0}, "batch_size must be from 1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"data": "digit"}, "did you mean 'digits'"),
        ({"data": "folder"}, "needs folder="),
        ({"skips": (1.0,)}, "2 entries"),
        ({"skips": (None, None)}, "must be a number"),
        ({"skips": (None, -1.0)}, "at least 0"),
        ({"steps": 10**6}, "steps must be from 0 to 2,000"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_lost(playground, unmeasured, change, says):
    explorer = playground()
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=says):
        explorer.update(**change)
    assert explorer.state == before


def test_a_folder_without_images_and_too_little_memory_leave_the_race(playground, tmp_path, monkeypatch):
    explorer = playground()
    assert explorer.wait(60)
    explorer.folder = str(tmp_path)  # which is no other race before it is chosen
    assert explorer.steps == 10
    before = explorer.state
    explorer.data = "folder"
    assert explorer.wait(60)
    assert "has no images" in explorer.problem
    monkeypatch.setenv("RESNET_EXPLORE_DATA", str(tmp_path))
    explorer.data = "cifar10"
    assert explorer.wait(60)
    assert "not on this computer" in explorer.problem
    assert explorer.state == before
    monkeypatch.setattr("resnet_explore.training.race.free_memory", lambda _: 1_000_000)
    explorer.networks = ("plain-56",)
    assert explorer.wait(60)
    assert "1 MB are free" in explorer.problem
    assert explorer.state == before
    monkeypatch.undo()
    explorer.advance(5)
    assert explorer.wait(60)
    assert explorer.steps == 15


def test_sentences(playground):
    curves = {"plain-56": curve([90, 80, 70]), "residual-56": curve([90, 40, 10])}
    level = {"plain-8": curve([90, 30, 10]), "residual-8": curve([90, 30, 9])}
    broken = {"plain-8": curve([90, 90], broke_at=12), "residual-8": curve([90, 40, 10])}
    changes = (Change(5, "lr", 0.03, 0.1), Change(15, "plain-56", None, 1.0))
    said = []
    for each in (curves, level, broken, {"residual-8": curve([90, 40, 10])}):
        found = standing(each, changes=changes if each is curves else ())
        for step in (0, 10, NOW):
            view = settled(present(state_of(each, step=step), found, here=False), state_of(each, step=step))
            said.append(view.headline)
        said += view.conditions
        assert all(len(line.split()) <= 15 for line in said if line.startswith(("After", "plain-8 left")))
    assert_kept("playground", [*said, view.why])
