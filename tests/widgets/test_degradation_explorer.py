"""The degradation explorer without a browser: records, views, training, a person's own images."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets import widget
from PIL import Image

import resnet_explore as rx
from resnet_explore import paths
from resnet_explore.inputs.folders import LAYOUT, Survey, survey
from resnet_explore.training.published import CIFAR_TEST_ERROR, IMAGENET_TOP1_ERROR
from resnet_explore.training.recorded import list_records, open_record
from resnet_explore.training.sweep import load_sets
from resnet_explore.widgets.catalog.layers import by_depth
from resnet_explore.widgets.core.view import settled
from resnet_explore.widgets.degradation import captions, own_images
from resnet_explore.widgets.degradation.charts import (
    error_charts,
    first_over_last,
    gradient_chart,
    response_charts,
)
from resnet_explore.widgets.degradation.jobs import ReadLayers, Train, Trained
from resnet_explore.widgets.degradation.present import Given, present, stops
from resnet_explore.widgets.degradation.runs import Runs
from resnet_explore.widgets.degradation.sources import YOUR_IMAGES
from resnet_explore.widgets.degradation.state import DegradationState
from tests.made_up import write_record
from tests.waiting import wait_until
from tests.widgets.pages import numbers, shown

TINY = {"depths": (8, 14), "epochs": 2, "width": 2, "batch_size": 128}
LONG = {**TINY, "depths": (8,), "epochs": 16}  # so that there is time to stop it


def charts(page):
    return [chart for panel in page.panels[0] for chart in panel.charts]


def series(chart):
    return {one.name: one for one in chart.series}


def ticks(page, slider=0):
    return [choice.label for choice in page.sliders[slider].choices]


def part(page, key):
    """Return a part below the sliders, also out of a group."""
    parts = [inner for (outer,) in page.below for inner in (outer, *getattr(outer, "parts", ()))]
    return next((found for found in parts if found.key == key), None)


def said(page):
    return part(page, "progress").sentence


def digits(tmp_path, **arguments):
    return rx.DegradationExplorer(out=tmp_path / "runs" / "digits", **arguments)


# --- the first page -----------------------------------------------------------------------------------------


def test_the_first_page_is_the_recorded_runs(tmp_path):
    explorer = digits(tmp_path)
    page = shown(explorer)
    assert ticks(page) == ["8", "20", "32", "56", "110"]
    assert explorer.depth == 56, "the least depth where plain fails and residual doesn't"
    last = explorer.table.query("epoch == 8 and depth == 56").groupby("kind")["train_error"].mean()
    assert f"plain gets {last['plain']:.0f} %" in page.headline
    overview, plain, residual = charts(page)
    np.testing.assert_allclose(series(overview)["Plain"].y[3], last["plain"])
    assert (overview.chosen, plain.title, residual.title) == (56, "Plain-56", "Residual-56")
    assert shown(explorer, depth=110).headline.startswith("110 layers")
    assert explorer.code.endswith(f"rx.DegradationExplorer(out={str(explorer.out)!r}, depth=110)")


def test_recorded_errors_need_neither_torch_nor_pandas():
    code = """
import sys, resnet_explore as rx
explorer = rx.DegradationExplorer()
explorer.data, explorer.view, explorer.view, explorer.depth = "cifar10", "paper", "errors", 20
assert explorer.wait(60) and explorer.page.headline
print([name for name in ("torch", "pandas", "pyarrow", "matplotlib", "sklearn") if name in sys.modules])
explorer.view = "gradients"
assert explorer.wait(60) and explorer.page.panels
print([name for name in ("torch", "matplotlib", "sklearn") if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n") == ["[]", "[]", ""]


def test_a_page_is_at_most_four_models_and_small(tmp_path):
    before = set(widget._instances)
    explorer = digits(tmp_path)
    assert explorer.wait(60)
    assert len(set(widget._instances) - before) <= 4
    for view in ("errors", "gradients", "responses", "paper"):
        explorer.view = view
        assert explorer.wait(60)
        assert len(json.dumps(explorer._view["tree"])) < 150_000


def test_files_hold_what_is_shown(tmp_path):
    explorer = digits(tmp_path)
    for view in ("errors", "gradients", "responses"):
        shown(explorer, view=view)
        assert explorer.save(tmp_path / f"{view}.png").read_bytes().startswith(b"\x89PNG")
    page = shown(explorer, view="errors")
    lines = explorer.save(tmp_path / "errors.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    plain = [row for row in rows if row["series"] == "Plain"]
    assert [row["depth"] for row in plain] == ["8.0", "20.0", "32.0", "56.0", "110.0"]
    assert f"# conditions: {' '.join(page.conditions)}" in lines
    shown(explorer, view="paper")
    lines = explorer.save(tmp_path / "paper.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    ours = next(row for row in rows if row["Depth"] == "56")
    np.testing.assert_allclose(
        float(ours["Plain"]), series(charts(shown(explorer, view="errors"))[0])["Plain"].y[3]
    )
    assert ours["± plain"] != ours["± residual"]


# --- records ------------------------------------------------------------------------------------------------


@pytest.fixture
def share(tmp_path, monkeypatch):
    """What ships, with made-up records of CIFAR-10 and Imagenette in the place of the real ones."""
    recorded = paths.shipped("data", "digits")
    shutil.copytree(
        recorded, tmp_path / "share" / "data" / "digits", ignore=shutil.ignore_patterns("*.safe*")
    )
    write_record(tmp_path / "share" / "data" / "cifar10")
    write_record(tmp_path / "share" / "data" / "imagenette", "imagenette", "imagenet", {18: (0,)})
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "share")
    return tmp_path / "share" / "data"


def test_every_record_that_ships_is_offered_by_itself(share, tmp_path):
    write_record(share / "another", seeds={8: (0, 1)})
    explorer = digits(tmp_path)
    page = shown(explorer)
    keys = [choice.value for choice in page.ask[0].choices]
    assert keys == ["digits", "another", "cifar10", "imagenette", "your-images"]
    assert ticks(shown(explorer, data="imagenette")) == ["18"]
    page = shown(rx.DegradationExplorer(data="cifar10"))
    assert ticks(page) == ["8", "14", "20", "32", "44", "56"]
    assert page.headline.startswith("56 layers"), "where the twins lie furthest apart"
    assert part(page, "train").missing
    (recorded,) = json.loads((share / "cifar10" / "about.json").read_text())["commands"]
    command, folder = recorded.split(" --root ")
    assert part(page, "repeat").lines == [command], f"without {folder}, which nobody else has"
    assert not part(shown(explorer, data="digits"), "train").missing
    assert len(explorer.table) == 400


def test_runs_that_a_record_lacks_are_told(share, tmp_path):
    about = json.loads((share / "cifar10" / "about.json").read_text())
    about["commands"] = ["resnet-explore sweep cifar10 --depths 20,56,110 --seeds 0,1,2,3 --root /home/me"]
    (share / "cifar10" / "about.json").write_text(json.dumps(about))
    explorer = digits(tmp_path)
    assert "not recorded yet" not in " ".join(shown(explorer).conditions)
    for view in ("errors", "gradients", "paper"):
        page = shown(explorer, data="cifar10", view=view)
        assert "not recorded yet" in page.conditions[-1]
        runs, without_any, without_one = [12, 24], [0, 1, 2, 3, 110], [3, 20, 56]
        assert numbers(page.conditions[-1]) == [*runs, *without_any, *without_one], "seeds and their depths"
    assert "--root /home/me" not in " ".join(part(page, "repeat").lines)


def test_the_records_in_the_repository_can_all_be_shown(tmp_path):
    records = list_records()
    assert records[0].name == "digits"
    explorer = digits(tmp_path)
    for record in records:
        page = shown(explorer, data=record.name)
        assert len(ticks(page)) == record.table()["depth"].nunique()
        assert record.commands[0].startswith(f"resnet-explore sweep {record.name}")
        for view in ("gradients", "responses", "paper"):
            assert shown(explorer, view=view).headline
        explorer.view = "errors"


def test_a_record_of_ones_own_comes_first_and_is_what_train_repeats(share, tmp_path):
    write_record(tmp_path / "mine", seeds={8: (3,), 20: (3,)})
    explorer = digits(tmp_path, recorded=tmp_path / "mine")
    page = shown(explorer)
    assert (explorer.data, ticks(page)) == ("mine", ["8", "20"])
    assert not part(page, "train").missing
    with pytest.raises(rx.ExploreError, match="There is no folder of runs"):
        rx.DegradationExplorer(recorded=tmp_path / "nowhere")


def test_runs_of_two_recipes_are_not_drawn_as_one(share, tmp_path):
    table = open_record(share / "cifar10").table()
    explorer = digits(tmp_path)
    before = shown(explorer)
    with pytest.raises(rx.ExploreError, match="these differ in width, lr"):
        explorer.show_table(pd.concat([table, table.assign(width=32, lr=0.2)]), "Mine")
    pd.concat([table, table.assign(width=32)]).to_csv(share / "cifar10" / "history.csv", index=False)
    with pytest.raises(rx.ExploreError, match="differ in width: choose some of them first"):
        explorer.data = "cifar10"
    assert explorer.data == "digits"
    assert shown(explorer).headline == before.headline
    explorer.show_table(table, "Mine", "ducks")
    assert shown(explorer).conditions[0].startswith("Mine: ducks")
    assert [choice.label for choice in explorer.page.ask[0].choices][-2:] == ["Mine", YOUR_IMAGES]
    page = shown(explorer, view="responses")
    assert page.waiting == captions.NO_LAYERS


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "cifar"}, "did you mean 'cifar10'"),
        ({"depth": 57}, "Unknown depth 57"),
        ({"view": "error"}, "did you mean 'errors'"),
        ({"seed": 2.7}, "seed must be a whole number, got 2.7"),
        ({"seed": -3}, "seed must be from 0 to 2,147,483,647, got -3"),
        ({"seed": 2**31}, "got 2,147,483,648"),
        ({"seed": float("nan")}, "seed must be a whole number"),
    ],
)
def test_what_there_is_not_is_said_and_changes_nothing(changes, sentence, tmp_path):
    explorer = digits(tmp_path, seed=4)
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=re.escape(sentence)):
        explorer.update(**changes)
    assert explorer.state == before


def test_the_chosen_depth_stays_the_nearest_elsewhere_and_comes_back(share, tmp_path):
    explorer = digits(tmp_path, sweep=rx.Sweep(**TINY))
    assert explorer.depth == 56
    explorer.depth = 32
    for data, depth in (("cifar10", 32), ("imagenette", 18), ("digits", 32)):
        explorer.data = data
        assert explorer.depth == depth
    explorer.runs = "own"
    assert (explorer.depth, shown(explorer).waiting) == (14, captions.NOTHING_TRAINED)
    explorer.runs = "recorded"
    assert explorer.depth == 32
    assert digits(tmp_path, sweep=rx.Sweep(**TINY), runs="own").depth == 14, "nobody has chosen one"


def test_a_change_that_is_refused_leaves_no_trace(share, tmp_path):
    explorer = digits(tmp_path, view="gradients")
    before = shown(explorer).headline
    with pytest.raises(rx.ExploreError, match="Unknown depth 57"):
        explorer.update(data="digits", depth=57)
    assert shown(explorer, gradient_step=0).headline == before
    page = shown(explorer, data="your-images", folder=str(tmp_path / "nowhere"))
    (share / "cifar10" / "history.csv").write_text("run,kind\n")
    with pytest.raises(rx.ExploreError, match="holds no epochs"):
        explorer.data = "cifar10"
    assert said(shown(explorer)) == said(page) != captions.LOOKING


# --- errors, with uneven seeds and unfinished runs ----------------------------------------------------------


@pytest.fixture
def uneven(tmp_path):
    return uneven_rows(tmp_path)


def uneven_rows(folder):
    """20 and 56 layers with three seeds, the others with one, and no plain network of 56 layers."""
    write_record(folder / "uneven")
    rows = open_record(folder / "uneven").rows()
    return [row for row in rows if row["kind"] != "plain" or row["depth"] != 56]


def test_lines_are_means_and_bands_are_known_where_there_are_several_seeds(uneven):
    overview, *_ = error_charts(Runs(uneven), None, going=False)
    plain, residual = overview.series
    np.testing.assert_allclose(plain.y, [12, 13.5, 16, 18, 21, np.nan])
    np.testing.assert_allclose(residual.y, [13.6, 13.3, 14, 12.4, 11.8, 12.2])
    nan = np.nan
    np.testing.assert_allclose(plain.low, [nan, nan, 15, nan, nan, nan])
    np.testing.assert_allclose(residual.high, [nan, nan, 15, nan, nan, 13.2])
    single, *_ = error_charts(Runs([row for row in uneven if row["seed"] == 0]), None, going=False)
    assert [one.low for one in single.series] == [None, None]


def test_errors_that_stand_side_by_side_have_one_scale(uneven):
    for scale, top in ((1, 50), (0.1, 5)):
        errors = ("train_error", "test_error")
        rows = [row | {name: scale * row[name] for name in errors} for row in uneven]
        overview, plain, residual = error_charts(Runs(rows), None, going=False)
        for chart in (overview, plain.each[20], residual.each[20]):
            assert (chart.y.low, chart.y.high) == pytest.approx((-0.03 * top, 1.03 * top))
    overview, *_ = error_charts(Runs(rows), None, going=True)
    assert overview.y.high == 103, "it doesn't move under a person's feet"


def test_headlines_compare_twins_where_both_are_there(uneven):
    runs = Runs(uneven)
    assert numbers(captions.errors(runs, 20)) == [20, 16, 14]
    assert numbers(captions.errors(runs, 56)) == [56, 12], "there is no plain one"


@pytest.fixture
def half(tmp_path):
    return half_rows(tmp_path)


def half_rows(folder):
    """Runs of 3 epochs: plain-14 has 1 of them, residual-14 has 2, and so has plain-8 with seed 1."""
    write_record(folder / "half", seeds={8: (0, 1), 14: (0,), 20: (0,)})
    ends = {("plain", 14, 0): 1, ("residual", 14, 0): 2, ("plain", 8, 1): 2}
    rows = open_record(folder / "half").rows()
    rows = [row | {"train_error": row["depth"] + 100 / row["epoch"] + 5 * row["seed"]} for row in rows]
    return [row for row in rows if row["epoch"] <= ends.get((row["kind"], row["depth"], row["seed"]), 3)]


def test_runs_that_are_not_finished_are_marked_and_not_joined(half):
    runs = Runs(half)
    overview, *_ = error_charts(runs, None, going=False)
    found = series(overview)
    np.testing.assert_allclose(found["Plain"].y, [8 + 100 / 3, np.nan, 20 + 100 / 3])
    marks = found["plain, not finished"]
    assert (list(marks.x), list(marks.y)) == ([8, 14], [8 + 50 + 5, 14 + 100])
    assert (marks.line, marks.look) == ("none", "open")
    assert numbers(captions.so_far(runs)) == [1, 2, 3]
    assert numbers(captions.errors(runs, 14)) == [14, 1, 3, 114, 114], "both after 1 of 3 epochs"
    assert numbers(captions.errors(runs, 8))[:2] == [8, round(8 + 100 / 3)], "of finished seeds"


def test_recorded_runs_stand_behind_as_ghosts(half, uneven):
    overview, plain, _ = error_charts(Runs(half[:1], (8, 14, 56), 3), Runs(uneven), going=True)
    assert [one.look for one in overview.series] == ["full", "full", "open", "open", "ghost", "ghost"]
    np.testing.assert_allclose(series(overview)["residual, recorded"].y, [13.6, 13.3, 14, 12.4, 11.8, 12.2])
    assert set(plain.each) == {8, 14, 56}
    assert np.isfinite(series(plain.each[14])["training, recorded"].y).all()
    assert np.isnan(series(plain.each[56])["training, recorded"].y).all()
    assert [tick[0] for tick in overview.x.ticks] == [8, 14, 20, 32, 44, 56]


# --- layers -------------------------------------------------------------------------------------------------


def test_gradients_and_responses_go_from_step_to_step(share, tmp_path):
    explorer = digits(tmp_path, data="cifar10", view="gradients")
    page = shown(explorer)
    assert ticks(page, 1) == ["0", "1", "3", "10", "30", "389", "779", "1,169"]
    # 1.2 a layer from the first block to the last, which are 52 layers apart
    assert page.headline == captions.gradient(56, 0, {"plain": 1.2**52, "residual": 1.0})
    assert [(mark.x, mark.to) for mark in charts(page)[0].marks] == [(1.5, 3.5), (53.5, 55.5)]
    page = shown(explorer, gradient_step=389)
    assert page.headline == captions.gradient(56, 389, {"plain": 1.0, "residual": 1.0})
    page = shown(explorer, depth=8)
    assert (explorer.gradient_step, numbers(page.headline)[:2]) == (389, [8, 389]), "the step stays"
    page = shown(explorer, view="responses")
    spread = {"plain": np.full(7, 2.0), "residual": np.full(7, 0.5)}
    assert page.headline == captions.response(8, 1169, spread)
    assert len(charts(page)[0].series[0].y) == 7, "without the classifier"
    page = shown(explorer, response_step=0)
    assert page.headline == captions.response(8, 0, dict.fromkeys(spread, np.ones(7)))
    page = shown(explorer, data="digits", response_step=390)
    assert numbers(page.headline)[:2] == [8, 175], "the nearest step that there is"


def test_a_slider_over_steps_stands_for_the_states_value_at_the_nearest():
    assert stops([0, 1, 30], -1) == {0: 0, 1: 1, -1: 30}
    assert stops([0, 1, 30], 28) == {0: 0, 1: 1, 28: 30}
    assert stops([0, 1, 30], 30) == {0: 0, 1: 1, 30: 30}
    assert stops([0, 1, 30], 2) == {0: 0, 2: 1, -1: 30}
    assert stops([], 5) == {}


def test_layers_of_uneven_seeds_are_drawn_with_a_kind_missing(share, tmp_path):
    for name, reader, writer in (
        ("history.csv", pd.read_csv, lambda t, p: t.to_csv(p, index=False)),
        ("layers.parquet", pd.read_parquet, lambda t, p: t.to_parquet(p, index=False)),
    ):
        table = reader(share / "cifar10" / name)
        writer(table[(table["kind"] != "plain") | (table["depth"] != 56)], share / "cifar10" / name)
    explorer = digits(tmp_path, data="cifar10", depth=56, view="gradients")
    page = shown(explorer)
    assert page.headline == captions.gradient(56, 0, {"residual": 1.0})
    assert list(series(charts(page)[0])) == ["Residual"]
    page = shown(explorer, view="responses")
    assert page.headline == captions.response(56, 1169, {"residual": np.full(55, 0.5)})


def test_a_record_without_layers_says_so_and_another_one_shows_them(share, tmp_path):
    (share / "cifar10" / "layers.parquet").unlink()
    with pytest.raises(rx.ExploreError, match="cifar10") as why:
        open_record(share / "cifar10").layers()
    explorer = digits(tmp_path, data="cifar10")
    for view in ("gradients", "responses"):
        page = shown(explorer, view=view)
        assert (page.panels, page.waiting) == ((), str(why.value))
    assert len(ticks(shown(explorer, data="digits"), 1)) == 13


def test_bands_span_the_seeds_and_each_is_sorted_by_itself():
    values = np.array([[1.0, 4.0], [2.0, np.nan], [0.5, np.inf], [8.0, 2.0], [9.0, 9.0]])
    rows = [
        {
            **{"kind": "plain", "depth": 5, "seed": seed, "step": 0},
            **{"position": layer + 1, "layer": f"conv{layer}"},
            **{"gradient_norm": values[layer, seed], "response_std": values[layer, seed]},
        }
        for layer in range(5)
        for seed in range(2)
    ]  # fmt: skip
    found = by_depth(pd.DataFrame(rows))[5]
    (line,) = settled(gradient_chart(found, {0: 0}), DegradationState()).series
    np.testing.assert_allclose(line.y, [2, 2, 0.5, 4, 9])
    np.testing.assert_allclose(line.low, [1, np.nan, np.nan, 2, 9])
    in_order, ranked = (
        settled(chart, DegradationState(response_step=0)) for chart in response_charts(found, {0: 0})
    )
    np.testing.assert_allclose(in_order.series[0].y, [2.5, 2, 0.5, 5])
    np.testing.assert_allclose(ranked.series[0].y, [6, 2, 1, 0.5]), "the second seed has two"


def test_the_recorded_digits_say_what_the_notebooks_say():
    layers = by_depth(rx.collect_layers(paths.shipped("data", "digits")))
    deep = layers[110]
    assert deep.steps[:3] == [0, 1, 3]
    assert deep.values["gradient_norm", "plain"].shape == (13, 110, 5)
    assert first_over_last(deep, "plain", 0) > 1e6
    assert first_over_last(deep, "residual", 0) < 100
    assert first_over_last(deep, "plain", 175) < 1e-5
    assert np.isnan(first_over_last(deep, "plain", 5)), "nothing was noted then"
    responses = layers[56].values
    assert np.mean(responses["response_std", "plain"][-1]) > np.mean(
        responses["response_std", "residual"][-1]
    )


# --- beside the paper ---------------------------------------------------------------------------------------


def test_the_papers_numbers_stand_beside_ours_and_are_marked(share, tmp_path):
    assert CIFAR_TEST_ERROR == {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}
    assert IMAGENET_TOP1_ERROR == {
        18: {"plain": 27.94, "residual": 27.88},
        34: {"plain": 28.54, "residual": 25.03},
    }
    page = shown(digits(tmp_path, data="cifar10", view="paper", depth=20))
    table = page.panels[0][0]
    theirs = [table.rows[k] for k in table.shaded]
    assert [(row[0], row[4]) for row in theirs if "CIFAR" in row[1]] == list(CIFAR_TEST_ERROR.items())
    imagenet = {row[0]: {"plain": row[2], "residual": row[4]} for row in theirs if "ImageNet" in row[1]}
    assert imagenet == IMAGENET_TOP1_ERROR
    assert {table.rows[k][0] for k in table.marked} == {20}, "the depth looked at"
    assert len(table.marked) == 3, "ours in training and test, and theirs"
    assert (20, "Ours, training", 16.0, 1.0, 14.0, 1.0, "3") in table.rows
    assert (8, "Ours, test", 15.0, None, 16.6, None, "1") in [tuple(_rounded(row)) for row in table.rows]
    theirs = [round(IMAGENET_TOP1_ERROR[depth]["plain"], 1) for depth in (18, 34)]
    assert numbers(page.headline) == [19, 28, 20, 56, *theirs, 18, 34]
    assert "arXiv 1512.03385" in " ".join(page.conditions)
    assert [column.twin for column in table.columns].count("plain") == 1


def _rounded(row):
    return [round(value, 6) if isinstance(value, float) else value for value in row]


def test_tables_say_how_many_seeds_are_behind_each_number(uneven, tmp_path):
    explorer = digits(tmp_path)
    explorer.show_table(pd.DataFrame(uneven), "Mine")
    rows = {row[:2]: row[2:] for row in shown(explorer, view="paper").panels[0][0].rows}
    *errors, seeds = rows[56, "Ours, training"]
    assert errors == [None, None, pytest.approx(12.2), 1.0]
    assert numbers(seeds) == [0, 3]
    assert numbers(shown(explorer).headline) == [], "one of four is missing"


# --- training -----------------------------------------------------------------------------------------------


STOPPED = captions.outcome(False, 0, None, False, True, ())


@pytest.mark.training
def test_training_stops_and_goes_on_while_the_page_is_used(tmp_path):
    explorer = digits(tmp_path, sweep=rx.Sweep(**LONG))
    told = []
    explorer.observe(lambda _: told.append(explorer._view["tree"]["below"][0][0]["parts"][3]), "_view")
    explorer._hear(None, {"act": "train"}, [])
    assert (explorer.runs, explorer.training) == ("own", True)
    explorer.update(runs="recorded", depth=110)
    recorded = Runs(open_record(paths.shipped("data", "digits")).rows())
    assert explorer.page.headline.each[110] == captions.errors(recorded, 110), "all else can be looked at"
    assert part(explorer.page, "train").missing == captions.IS_TRAINING
    with pytest.raises(rx.ExploreError, match="stop it first"):
        explorer.start()
    explorer.runs = "own"
    wait_until(lambda: len(explorer.table) > 0, "an epoch is trained")
    explorer._hear(None, {"act": "stop-training"}, [])
    page = shown(explorer)
    assert said(page) == STOPPED
    assert 0 < len(explorer.table) < 32
    sentences = [one["sentence"] for one in told]
    train, _ = load_sets(explorer.sweep)
    assert any(train.source in one and len(train) in numbers(one) for one in sentences), "on which data"
    before, told[:] = len(explorer.table), []
    explorer.start()
    assert len(explorer.table) == before, "what is there stays while workers start"
    page = shown(explorer)
    trained = [s for s in (one["sentence"] for one in told) if s.startswith("Trained ")]
    # How long is left is told once it can be: of little that is left, never.
    form = re.compile(r"Trained \d+ of 32 epochs in \d+ s(, about \d+ (s|min) left)?\.")
    assert all(form.fullmatch(sentence) for sentence in trained)
    assert len(explorer.table) == 32
    assert part(page, "progress").share == 1
    seconds = numbers(said(page))[1]
    assert said(page) == captions.outcome(True, 2, seconds, resumed=True, begun=True, lost=())
    with ThreadPoolExecutor(1) as here:
        half = replace(explorer.sweep, kinds=("residual",))
        at_once = rx.run_sweep(half, tmp_path / "at once", executor=here)
    names = ["train_loss", "train_error", "test_loss", "test_error"]
    residual = explorer.table[explorer.table["kind"] == "residual"].reset_index(drop=True)
    pd.testing.assert_frame_equal(residual[names], at_once[names])
    assert page.headline == captions.errors(Runs(explorer.table.to_dict("records")), 8)
    assert numbers(shown(explorer, view="gradients").headline)[:2] == [8, 0]
    assert said(shown(explorer, seed=1)) == captions.offer(2, False, math.nan)
    explorer.update(seed=0, runs="recorded")
    assert "Recorded runs" in shown(explorer, view="errors").conditions[0]
    again = digits(tmp_path, sweep=explorer.sweep)
    assert said(shown(again)) == captions.offer(2, True, math.nan)
    again.start()
    assert said(shown(again)) == captions.outcome(True, 2, None, True, True, ())
    assert not [t for t in threading.enumerate() if t.name == "resnet_explore" and t.is_alive()]


@pytest.mark.training
def test_a_cell_that_is_run_again_takes_over_what_the_first_one_trains(tmp_path):
    first, second = (digits(tmp_path, sweep=rx.Sweep(**LONG)) for _ in range(2))
    first.start()
    wait_until(lambda: len(first.table) > 0, "an epoch is trained")
    second.start()
    sentence = said(shown(second))
    assert sentence == captions.outcome(True, 2, numbers(sentence)[1], resumed=True, begun=True, lost=())
    assert said(shown(first)) == STOPPED
    assert 0 < len(first.table) < len(second.table) == 32


@pytest.mark.training
def test_a_folder_that_is_taken_is_said_and_what_was_shown_can_be_seen(tmp_path):
    taken = tmp_path / "runs" / "digits" / "seed-0"
    taken.mkdir(parents=True)
    (taken / "thesis.txt").write_text("mine")
    explorer = digits(tmp_path, sweep=rx.Sweep(**TINY))
    before = shown(explorer).headline
    with pytest.raises(rx.ExploreError, match=re.escape(str(taken))) as refused:
        rx.run_sweep(explorer.sweep, taken)
    explorer.start()
    page = shown(explorer)
    assert said(page) == str(refused.value)
    assert part(page, "progress").failed
    assert not part(page, "train").missing
    assert shown(explorer, runs="recorded").headline == before


def test_what_is_trained_is_told_before_there_is_anything_to_draw():
    recorded = Runs(open_record(paths.shipped("data", "digits")).rows())
    expected = recorded.first_epochs(workers=2)
    assert list(expected) == recorded.depths
    assert sorted(expected.values()) == list(expected.values()), "shallow networks are trained first"
    nothing = Runs((), recorded.depths, 8)
    given = Given((), nothing, {}, recorded, Trained(nothing, first=expected), whose="Yours")
    page = settled(
        present(DegradationState(data="digits", runs="own", depth=110), given), DegradationState(depth=110)
    )
    assert page.headline == captions.errors(nothing, 110, expected[110], going=True)
    assert {one.look for one in charts(page)[0].series if np.isfinite(one.y).any()} == {"ghost"}
    assert page.conditions == (captions.GHOSTS,)
    page = present(DegradationState(data="digits", runs="own"), replace(given, ghosts=None))
    assert page.waiting == captions.NO_EPOCH


def test_jobs_are_equal_where_their_results_are(tmp_path):
    assert ReadLayers("digits", 1, None) == ReadLayers("digits", 1, lambda: None)
    assert ReadLayers("digits", 1, None) != ReadLayers("digits", 2, None)
    one = Train(1, "digits", 0, tmp_path, rx.Sweep())
    assert len({one, replace(one), replace(one, number=2)}) == 2


# --- a folder of one's own images ---------------------------------------------------------------------------


def write_images(folder, classes=("cats", "dogs"), count=12):
    random = np.random.default_rng(0)
    for shade, name in enumerate(classes):
        for split, number in (("train", count), ("test", 4)):
            (folder / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = random.integers(0, 80, (20, 24, 3)) + 150 * shade
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture
def small(monkeypatch):
    """Make the sweep on a person's folder one of seconds."""
    usual = own_images.folder_sweep

    def tiny(*args, **kwargs):
        return replace(usual(*args, **kwargs), depths=(8,), width=2, size=8, epochs=2, batch_size=8)

    monkeypatch.setattr(own_images, "folder_sweep", tiny)


@pytest.mark.training
def test_a_folder_of_images_is_trained_on(small, tmp_path):
    explorer = digits(tmp_path)
    page = shown(explorer, data="your-images")
    assert (page.waiting, part(page, "train").missing) == (captions.NAME_A_FOLDER, captions.NO_FOLDER)
    with pytest.raises(rx.ExploreError, match="Name a folder of images first"):
        explorer.start()
    images = write_images(tmp_path / "pets")
    page = shown(explorer, folder=f" {images} ")
    assert said(page) == captions.folder(survey(images), own_images.DEPTHS, own_images.epochs_for(24))
    (images / "train" / "cats" / "broken.jpg").write_bytes(b"no image")
    explorer.start()
    page = shown(explorer)
    assert numbers(said(page))[:2] == [1, 33]
    assert captions.LEAVE_OUT in said(page)
    assert part(page, "progress").failed
    explorer.skip_unreadable = True
    assert numbers(said(shown(explorer)))[0] == 25, "looked at anew"
    explorer.start()
    page = shown(explorer)
    assert (part(page, "progress").share, numbers(said(page))[0]) == (1, 2), "both are trained"
    assert "train/cats/broken.jpg" in said(page), "what was left out is told"
    assert set(explorer.table["dataset"]) == {"folder"}
    counts = "24 training and 8 test images (1 unreadable left out)"
    assert f"image folder {images}, {counts}, shifted" in page.conditions[0]
    assert ticks(page) == ["8"]
    assert ticks(shown(explorer, view="gradients"), 1) == ["0", "1", "2", "3", "5"]
    page = shown(explorer, folder=str(tmp_path))
    assert (page.waiting, len(explorer.table)) == (captions.NOTHING_TRAINED, 0), "on those images"
    shown(explorer, data="digits", view="errors")
    assert set(explorer.table["dataset"]) == {"digits"}
    (folder,) = (tmp_path / "runs").glob("pets-*")
    Image.new("RGB", (20, 24)).save(images / "train" / "dogs" / "new.png")
    found = survey(images)
    assert own_images.runs_folder(found, str(images), tmp_path / "runs", 0).parent != folder


def test_folders_that_cannot_be_trained_on_get_one_sentence(tmp_path):
    explorer = digits(tmp_path, data="your-images")
    assert LAYOUT in shown(explorer).waiting
    notebook = Path(__file__).parents[2].joinpath("notebooks", "01_degradation.ipynb").read_text()
    assert LAYOUT in notebook.replace("`", "").replace(", or as ", ", or ")
    write_images(tmp_path / "one", classes=("only",))
    (tmp_path / "empty").mkdir()
    for path, sentence in (
        (tmp_path / "one", "holds images of one class only ('only'); two are needed."),
        (tmp_path / "empty", "has no images that lie as <class>/<image>, or train/"),
        (tmp_path / "nowhere", f"There is no folder '{tmp_path / 'nowhere'}"),
        ("~nobody-here/x", "cannot be used"),
    ):
        page = shown(explorer, folder=str(path))
        assert sentence in said(page)
        assert part(page, "progress").failed
        assert explorer.folder == str(path), "what was typed stays, to be mended"


def test_the_sweep_on_a_folder_suits_the_number_of_images(tmp_path):
    found = survey(write_images(tmp_path / "pets"))
    assert (found.images, found.classes) == (24, ("cats", "dogs"))
    few, many = (own_images.folder_sweep(replace(found, images=n), "x", False, seed=4) for n in (24, 50_000))
    assert (few.epochs, many.epochs) == (30, 4)
    assert few.seeds == (4,)
    assert few.depths == (8, 20, 56)


# --- sentences ----------------------------------------------------------------------------------------------

SENTENCES = Path(__file__).with_name("degradation_sentences.txt")


def sentences(folder):
    """Yield what the explorer says of the records that ship and of trainings."""
    explorer = rx.DegradationExplorer(out=folder / "digits")
    for data in ("digits", "cifar10", "imagenette", "your-images"):
        explorer.update(data=data, view="errors")
        for view in ("errors", "gradients", "responses", "paper") if data != "your-images" else ("errors",):
            page = shown(explorer, view=view)
            yield f"== {data}, {view}"
            yield from filter(None, (page.headline, page.waiting, page.why, *page.conditions, said(page)))
    explorer.update(data="digits", view="gradients")
    for depth in (8, 110):
        for step in (0, 10, 43, 175):
            yield shown(explorer, depth=depth, gradient_step=step).headline
    repeated = part(shown(explorer, data="cifar10"), "repeat-words")
    yield from repeated.paragraphs
    yield "== training"
    yield captions.starting("ducks: 10 training images")
    for finished, seconds, resumed, begun, lost in (
        (True, 42.0, False, True, ()), (True, 42.0, True, True, ("a.png",)), (True, None, True, True, ()),
        (False, None, False, True, ()), (False, None, False, False, ()),
    ):  # fmt: skip
        yield captions.outcome(finished, 4, seconds, resumed, begun, lost)
    runs = Runs((), (8, 110), 8)
    yield captions.errors(runs, 110, going=True)
    yield captions.errors(runs, 110, 23.0, going=True)
    yield captions.errors(runs, 110, 300.0, going=True)
    yield captions.errors(runs, 110)
    yield captions.gradient(8, 3, {})
    yield captions.gradient(8, 3, {"plain": 0.0, "residual": np.nan})
    yield captions.gradient(8, 3, {"residual": 1.0})
    yield captions.response(8, 3, {"plain": np.array([np.nan])})
    yield captions.response(8, 3, {"residual": np.array([0.5, 2.0])})
    yield captions.response(8, 0, {"plain": np.ones(7), "residual": np.ones(7)})
    yield captions.unreadable("1 of 3 images can't be read (a.png)")
    yield captions.folder(Survey(1234, ("cats", "dogs"), ""), (8, 20, 56), 4)
    yield captions.offer(4, True, math.nan)
    yield captions.offer(4, False, math.nan)
    yield "== runs that are missing or not finished"
    yield captions.errors(Runs(uneven_rows(folder)), 56)
    runs = Runs(half_rows(folder))
    yield captions.errors(runs, 14)
    yield from captions.error_conditions(runs, "Mine", "ducks", "1 of 8 runs is not recorded yet", False)


def test_sentences_are_those_that_were_read(tmp_path):
    assert "\n".join(sentences(tmp_path)) + "\n" == SENTENCES.read_text(), (
        f"read and write anew: python -m {__name__}"
    )


def test_headlines_are_short(tmp_path):
    for line in SENTENCES.read_text().splitlines():
        if re.match(r"\d+ layers|Plain networks, ", line):
            assert len(line.replace(" %", "%").split()) <= 15, line


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        SENTENCES.write_text("\n".join(sentences(Path(name))) + "\n")
