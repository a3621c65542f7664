"""The lesson's five steps: what they say against slow derivations, and what they refuse."""

import csv
import html
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import resnet_explore as rx
from resnet_explore.errors import ExploreError
from resnet_explore.paths import shipped
from resnet_explore.widgets.core.view import View, settled
from resnet_explore.widgets.lesson.panels import Sketch, Sum, Ways
from resnet_explore.widgets.lesson.state import LessonState
from resnet_explore.widgets.lesson.steps import addition, gradients, training, ways
from tests.reading_ease import reading_ease
from tests.widgets.pages import table

STEPS = ("deeper", "addition", "training", "gradients", "ways")
SENTENCES = Path(__file__).with_name("lesson_sentences.json")


@pytest.fixture(scope="module")
def lesson():
    explorer = rx.LessonExplorer()
    yield explorer
    explorer.close()


def shown(explorer, **state) -> View:
    """Return the page at a state, with nothing left that a slider picks."""
    explorer.update(**{"drawn": (), "shown": False, "skip": True, "deleted": (5,), "runs": 0, **state})
    assert explorer.wait(60)
    return settled(explorer.page, explorer.state)


def panel(view, kind):
    return next(part for row in (*view.panels, *view.below) for part in row if isinstance(part, kind))


# --- 1 ---


def test_nothing_of_the_answer_is_told_before_it_is_asked_for(lesson):
    view = shown(lesson, step="deeper")
    said = json.dumps([view.headline, view.why, view.panels[0][0].paragraphs, view.conditions])
    assert not re.search(r"\b89|62 %|0\.1 %", said)
    assert list(panel(view, Sketch).numbers()) == []
    assert "89" in shown(lesson, step="deeper", shown=True).headline


def test_the_measured_lines_are_those_of_the_record(lesson):
    with shipped("data", "digits", "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    last = [
        float(r["train_error"]) for r in rows if (r["kind"], r["depth"], r["epoch"]) == ("plain", "56", "8")
    ]
    sketch = panel(shown(lesson, step="deeper", shown=True), Sketch)
    at_56 = next(row for row in sketch.numbers() if row["line"] == "Plain" and list(row.values())[1] == 56)
    assert len(last) == 5
    assert list(at_56.values())[2] == pytest.approx(np.mean(last))


@pytest.mark.parametrize(
    ("end", "words"), [(90, "close"), (0, "expect"), (50, "worse than you"), (100, "not quite as bad")]
)
def test_a_guess_is_judged_by_its_end(lesson, end, words):
    view = shown(lesson, step="deeper", shown=True, drawn=(0, 10, 20, 30, end))
    assert words in view.panels[0][0].paragraphs[0]
    assert lesson.drawn_end == end
    assert {row["line"] for row in panel(view, Sketch).numbers()} == {"your guess", "Plain", "Residual"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drawn": (0.0, 120.0)}, "0 to 100"),
        ({"drawn": (0.0, float("nan"))}, "0 to 100"),
        ({"drawn": (0.0, 50.0)}, "5 depths"),
        ({"depth": 57}, "56"),
        ({"after": 2}, "after"),
        ({"deleted": (10,)}, "1 to 9"),
        ({"runs": -1}, "runs"),
        ({"channel": 8}, "channel"),
        ({"step": "deep"}, "deeper"),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(lesson, change, words):
    before = lesson.state
    with pytest.raises(ExploreError, match=words):
        lesson.update(**change)
    assert lesson.state == before


# --- 2 ---


def test_the_three_maps_add_up_to_what_the_block_computes(lesson):
    one = panel(shown(lesson, step="addition", channel=2), Sum)
    looked = addition.LookIntoBlock().run(None)
    model = rx.build("resnet18", weights="imagenette").eval()
    block, photo = model.layer1[0], rx.sample_photos()["temple"].load()
    from resnet_explore.inputs.images import to_batch

    batch = to_batch(photo, 128, model.about["mean"], model.about["std"])
    taken = {}
    hook = block.register_forward_hook(lambda _, given, out: taken.update(x=given[0], out=out))
    with torch.no_grad():
        answer = model(batch).softmax(1)[0]
    hook.remove()
    channel = looked.channels[2]
    np.testing.assert_allclose(one.x, taken["x"][0, channel], atol=1e-5)
    total = dict(one.arrays())["x + F(x)"]
    np.testing.assert_allclose(np.maximum(total, 0), taken["out"][0, channel], atol=1e-5)  # a ReLU follows
    np.testing.assert_allclose(looked.shares[True], answer, atol=1e-5)


def test_without_the_skip_only_the_layers_result_goes_on(lesson):
    one = panel(shown(lesson, step="addition", skip=False), Sum)
    maps = dict(one.arrays())
    np.testing.assert_array_equal(maps["F(x) alone"], one.branch)
    assert "becomes" in lesson.settled_page().headline


# --- 3 ---


def test_the_recorded_training_is_what_its_page_says():
    from resnet_explore.training.race import Race

    data = [rx.load_dataset("digits", split=split) for split in ("train", "test")]
    race = Race(("plain-56", "residual-56"), *data, lr=0.04, seed=0)
    race.advance(4)
    recorded = training.ReadRecordedTraining().run(None)
    for kind, name in (("plain", "plain-56"), ("residual", "residual-56")):
        assert len(recorded[kind]) == training.UPDATES
        np.testing.assert_allclose(recorded[kind][:4], race.curves[name].error, atol=4)  # two images of 64


def test_the_running_mean_is_that_of_the_last_ten():
    errors = np.random.default_rng(0).uniform(0, 100, 25)
    slow = [np.mean(errors[max(0, k - 9) : k + 1]) for k in range(25)]
    np.testing.assert_allclose(training.running_mean(errors), slow)
    assert training.running_mean(errors[:0]).shape == (0,)


def test_training_here_begins_at_the_first_update_and_stops(lesson):
    shown(lesson, step="training")
    lesson.act("train", None, ())
    assert lesson.runs == 1
    names = []

    def note(_):
        charts = lesson.settled_page().panels[0][1].charts
        names.append([series.name for series in charts[0].series])

    lesson.observe(note, "_view")
    try:
        for _ in range(600):
            if len(names) > 3 or lesson.wait(0.1):
                break
    finally:
        lesson.unobserve(note, "_view")
        lesson.act("halt", None, ())
    assert lesson.wait(30)
    assert [part.key for part in lesson.page.ask] == ["train"]
    assert names[-1] == ["Plain", "Residual", "Plain, recorded", "Residual, recorded"]
    assert lesson.settled_page().headline.startswith("After ")


# --- 4 ---


def test_the_gradients_are_those_of_the_record(lesson):
    from resnet_explore.training.recorded import list_records

    table = list_records()[0].layers()
    for depth, after in ((110, 0), (110, 10), (56, 0), (20, 43)):
        chosen = table[(table.kind == "plain") & (table.depth == depth) & (table.step == after)]
        norms = chosen.groupby("position").gradient_norm.apply(lambda values: np.exp(np.log(values).mean()))
        first, last = norms.loc[[2, 3]], norms.loc[[depth - 2, depth - 1]]  # the blocks' two layers
        ratio = float(np.sqrt((first**2).sum() / (last**2).sum()))
        noted = lesson_gradients()[depth]
        assert gradients.profile(noted, "plain", after).ratio == pytest.approx(ratio, rel=1e-4)
    assert "explodes: 4 million" in shown(lesson, step="gradients", depth=110, after=0).headline
    assert "vanishes: 1/" in shown(lesson, step="gradients", depth=110, after=10).headline


def lesson_gradients():
    return gradients.ReadGradients().run(None)


def test_the_axes_stay_while_updates_pass(lesson):
    axes = set()
    for after in gradients.UPDATES:
        chart = shown(lesson, step="gradients", after=after).panels[0][1].charts[0]
        axes.add((chart.y.low, chart.y.high))
        for series in chart.series:
            assert (series.y >= chart.y.low).all()
            assert (series.y <= chart.y.high).all()
    assert len(axes) == 1


# --- 5 ---


@pytest.mark.parametrize("deleted", [(), (5,), (1, 4)])
def test_errors_without_blocks_against_a_network_run_by_hand(lesson, deleted):
    shown(lesson, step="ways", deleted=deleted)
    tests = rx.load_dataset("digits", split="test")
    left = ways.TakeOut(deleted).run(None)
    for kind, name in (("plain", "cifar_plain20"), ("residual", "cifar_resnet20")):
        model = rx.build(name, weights="digits").eval()
        blocks = [block for stage in (model.layer1, model.layer2, model.layer3) for block in stage]
        with torch.no_grad():
            x = torch.relu(model.bn1(model.conv1(tests.normalized())))
            for number, block in enumerate(blocks, 1):
                if number not in deleted:
                    x = block(x)
                elif kind == "residual":
                    x = torch.relu(block.downsample(x) if number in (4, 7) else x)
                elif number in (4, 7):
                    x = block(x)  # nothing else brings the maps to their size
            wrong = model.fc(x.mean((2, 3))).argmax(1) != tests.labels
        assert left.errors[kind] == pytest.approx(100 * float(wrong.float().mean()))


def test_ways_are_counted_as_they_are_drawn():
    panel = Ways("ways", (4, 5, 6), {"plain": (), "residual": (4, 6)})
    rows = list(panel.numbers())
    assert [row["network"] for row in rows].count("residual") == 8
    open_ways = [row["through blocks"] for row in rows if row["open"]]
    assert sorted(open_ways) == ["", "4 5 6", "5"]  # the plain one leads through all


# --- all ---


def test_sentences(lesson):
    """What each step says, in one file: `KEEP_SENTENCES=1 pytest` writes it anew."""
    said = {}
    for step in STEPS:
        view = shown(lesson, **{**vars(LessonState()), "step": step})
        words = [part.paragraphs for row in view.panels for part in row if hasattr(part, "paragraphs")]
        said[step] = [view.headline, *words, view.why, *view.conditions]
    said["shown"] = [*shown(lesson, step="deeper", shown=True, drawn=(0, 0, 0, 0, 0)).panels[0][0].paragraphs]
    later = shown(lesson, step="gradients", after=43)
    said["vanished"] = [later.headline, *later.panels[0][0].paragraphs, later.why]
    said["cut"] = shown(lesson, step="addition", skip=False).headline
    if os.environ.get("KEEP_SENTENCES"):
        SENTENCES.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    assert json.loads(json.dumps(said)) == json.loads(SENTENCES.read_text())
    for step in STEPS:
        assert len(said[step][0].split()) <= 15


@pytest.mark.parametrize("step", STEPS)
def test_each_step_can_be_saved_and_repeated(lesson, step, tmp_path):
    shown(lesson, step=step, shown=True, channel=0, depth=110, after=0)
    assert lesson.save(tmp_path / "step.png").stat().st_size > 5_000
    assert (tmp_path / "step.png").read_bytes().startswith(b"\x89PNG")
    lesson.save(tmp_path / "step.csv")
    again = eval(lesson.code.rpartition("\n")[2], {"rx": rx})
    assert again.state == lesson.state
    again.close()


def test_one_page_holds_all_steps(tmp_path):
    explorer = rx.LessonExplorer(step="gradients", guess=True)
    path = explorer.to_html(
        tmp_path / "lesson.html", step=list(STEPS), deleted=[(5,), (), (4,)], say=lambda _: None
    )
    explorer.close()
    page = table(path)
    views = {(scene["state"]["step"], tuple(scene["state"]["deleted"])) for scene in page["scenes"]}
    assert {step for step, _ in views} == set(STEPS)
    assert {deleted for step, deleted in views if step == "ways"} == {(5,), (), (4,)}
    packed = json.dumps(page)
    for number in ("91 %", "89 %", "church, 90 %", "4 million", "It is a part of the answer"):
        assert number in packed
    assert "lesson/gradients" in packed


def test_two_lessons_at_once_do_not_edit_each_others_networks():
    alone = {gone: ways.TakeOut(gone).run(None).errors for gone in ((5,), (3,), (1, 2))}
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            found = pool.map(lambda gone: ways.TakeOut(gone).run(None).errors, alone)
            assert dict(zip(alone, found, strict=True)) == alone


def test_a_stopped_training_is_baked_as_it_was_stopped(tmp_path):
    explorer = rx.LessonExplorer(step="training")
    explorer.act("train", None, ())
    explorer.act("halt", None, ())
    assert explorer.wait(60)
    headline = explorer.settled_page().headline
    page = explorer.to_html(tmp_path / "lesson.html", say=lambda _: None).read_text()
    explorer.close()
    assert headline in html.unescape(page)


def test_which_blocks_matter_is_said_once_another_was_tried(lesson):
    asked = shown(lesson, step="ways", deleted=(5,)).panels[0][0].paragraphs[-1]
    told = shown(lesson, step="ways", deleted=(8,)).panels[0][0].paragraphs[-1]
    assert asked.endswith("alike?")
    errors = [ways.TakeOut((k,)).run(None).errors["residual"] for k in range(1, 10)]
    worst, least = int(np.argmax(errors)) + 1, int(np.argmin(errors)) + 1
    assert f"Without block {worst} alone" in told
    assert f"Without block {least} it is" in told


def test_a_block_that_plain_can_not_lose_is_not_said_to_be_out_of_it(lesson):
    view = shown(lesson, step="ways", deleted=(4,))
    assert view.headline.startswith("Residual without block 4: ")
    assert panel(view, Ways).gone == {"plain": (), "residual": (4,)}


def test_the_words_beside_gradients_fit_what_they_do(lesson):
    told = {}
    for depth, after in ((110, 0), (110, 10), (56, 0), (56, 43), (20, 0)):
        told[depth, after] = shown(lesson, step="gradients", depth=depth, after=after).panels[0][0].paragraphs
    assert "explodes" in told[110, 0][1]
    assert "does vanish" in told[110, 10][1]
    assert "about the same" in told[56, 43][1]
    assert "about the same" in told[20, 0][1]
    assert len(told[110, 10]) == 4
    noted = lesson_gradients()
    assert gradients.slope(gradients.profile(noted[56], "plain", 43).ratio) == "stays level", "the caution"


def test_moving_on_to_other_depths_asks_nothing_again(lesson):
    found = {gradients.ReadGradients(): lesson_gradients()}
    states = (LessonState(step="gradients", depth=depth) for depth in (20, 56, 110))
    asked = [gradients.present(state, found).question for state in states]
    assert len({question.key for question in asked}) == 1
    assert {question.right for question in asked} == {"explodes"}


def test_the_lesson_is_easy_to_read(lesson):
    text = []
    for changes in ({}, {"shown": True}, {"skip": False}, {"deleted": (8,)}, {"after": 10, "depth": 110}):
        for step in STEPS:
            text += shown(lesson, step=step, **changes).panels[0][0].paragraphs
    assert reading_ease("\n\n".join(dict.fromkeys(text))) >= 60
    for step in STEPS:
        words = " ".join(shown(lesson, step=step).panels[0][0].paragraphs).split()
        assert len(words) <= 120
