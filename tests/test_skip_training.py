"""Skips that are scaled, removed or given while a network trains, and what the record says of it."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, strategies as st

import resnet_explore as rx
from resnet_explore.models.threads import one_thread
from resnet_explore.paths import shipped
from resnet_explore.training import trainer
from resnet_explore.training.commands import runs_of
from resnet_explore.training.coverage import recipe_of, require_one_recipe, same_recipe
from resnet_explore.training.measure import evaluate
from resnet_explore.training.recorded import list_records
from resnet_explore.training.runs import RunFolder, history, load_tensors
from resnet_explore.training.skip_scale import SkipScale, skip_scale
from resnet_explore.training.skip_training import SKIP_TRAINING
from resnet_explore.training.summary import to_markdown
from resnet_explore.training.trainer import train_run
from resnet_explore.widgets.degradation.captions import recipe
from resnet_explore.widgets.degradation.runs import Runs

TINY = {"depths": (8,), "epochs": 3, "width": 2, "batch_size": 128}
STEPS = 5  # of an epoch
RECORD = shipped(*SKIP_TRAINING)


@pytest.fixture(scope="module")
def digits():
    train, test = rx.load_dataset("digits"), rx.load_dataset("digits", split="test")
    some = slice(STEPS * TINY["batch_size"])
    return replace(train, images=train.images[some], labels=train.labels[some]), test


@pytest.fixture(autouse=True)
def on_one_thread():
    with one_thread():
        yield


def run_of(scale, **changes):
    return rx.Sweep(**{**TINY, "kinds": ("residual",), "skip_scale": scale, **changes}).runs()[0]


# --- the factor, epoch by epoch ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text", "factors", "words"),
    [
        (1, "1", [1, 1, 1, 1], "skips × 1"),
        (" 0.50 ", "0.5", [0.5] * 4, "skips × 0.5"),
        (np.float32(0.25), "0.25", [0.25] * 4, "skips × 0.25"),
        ("1-then-0-after-2", "1-then-0-after-2", [1, 1, 0, 0], "skips removed after epoch 2"),
        ("0-then-1-after-3", "0-then-1-after-3", [0, 0, 0, 1], "skips given after epoch 3"),
        (
            "1.0-then-.5-after-1",
            "1-then-0.5-after-1",
            [1, 0.5, 0.5, 0.5],
            "skips × 1, then × 0.5 after epoch 1",
        ),
        ("1-to-0-by-4", "1-to-0-by-4", [1, 2 / 3, 1 / 3, 0], "skips slowly from 1 to 0 by epoch 4"),
        ("0-to-1-by-3", "0-to-1-by-3", [0, 0.5, 1, 1], "skips slowly from 0 to 1 by epoch 3"),
        ("1-to-1-by-3", "1", [1, 1, 1, 1], "skips × 1"),
    ],
)
def test_the_factor_of_each_epoch(given, text, factors, words):
    scale = skip_scale(given)
    assert (str(scale), scale.words) == (text, words)
    assert [scale.at(epoch) for epoch in range(1, 5)] == pytest.approx(factors)


number = st.floats(0, 9).map(lambda x: round(x, 3))


@given(number, number, st.integers(2, 99), st.booleans())
def test_a_factor_is_read_as_it_was_written(start, end, epoch, gradual):
    scale = SkipScale(start, end, epoch, gradual)
    again = skip_scale(str(scale))
    assert [again.at(e) for e in range(1, 120)] == [scale.at(e) for e in range(1, 120)]


@pytest.mark.parametrize(
    "wrong", ["x", "", -1, True, None, float("nan"), "inf", "1-to-0-by-1", "1-then-0-after-0", "1-to-0"]
)
def test_what_is_no_factor_is_one_sentence(wrong):
    with pytest.raises(
        rx.ExploreError, match=r"Sweep needs skip_scale as a number of at least 0, or such as"
    ):
        rx.Sweep(skip_scale=(1, wrong))


@pytest.mark.parametrize(("scale", "least"), [("1-then-0-after-8", 9), ("1-to-0-by-9", 9)])
def test_a_change_that_training_would_not_see_is_refused(scale, least):
    with pytest.raises(rx.ExploreError, match=f"epochs of at least {least} for skip_scale '{scale}', not 8"):
        rx.Sweep(epochs=(8, 20), skip_scale=scale)
    assert rx.Sweep(epochs=least, skip_scale=scale)


# --- sweeps ------------------------------------------------------------------------------------------------


def test_runs_that_say_nothing_of_skips_are_named_as_ever():
    assert [run.id for run in rx.Sweep(depths=(8,)).runs()] == [
        "plain8-seed0-e3699e0a",
        "residual8-seed0-d332b881",
    ]
    assert rx.Sweep(skip_scale=1) == rx.Sweep(skip_scale="1.0") == rx.Sweep()


def test_plain_networks_are_trained_once_beside_all_factors():
    runs = rx.Sweep(depths=(8,), skip_scale=[0, 0.5, 0.5, "1-to-0-by-8"]).runs()
    assert [(run.kind, run.skip_scale) for run in runs] == [
        ("plain", "none"),
        ("residual", "0"),
        ("residual", "0.5"),
        ("residual", "1-to-0-by-8"),
    ]
    assert len({run.id for run in runs}) == 4


def test_a_plain_twin_goes_with_any_factor():
    rows = [asdict(run) for run in rx.Sweep(depths=(8,), skip_scale=0.5).runs()]
    require_one_recipe(rows)
    assert recipe_of(rows)["skip_scale"] == "0.5"
    usual = [asdict(run) for run in rx.Sweep(depths=(8,)).runs()]
    assert not same_recipe(recipe_of(rows), recipe_of(usual))
    with pytest.raises(rx.ExploreError, match="these differ in skip_scale"):
        require_one_recipe(rows + usual)


def test_the_degradation_explorer_says_which_skips_were_trained():
    def said(scale):
        at = {"epoch": 3, "step": 3 * STEPS}
        rows = [{**asdict(run), **at} for run in rx.Sweep(**TINY, skip_scale=scale).runs()]
        return recipe(Runs(rows), "Yours", "digits")

    assert said("1-then-0-after-2")[-1] == "The residual twin trained with skips removed after epoch 2."
    assert said("1-then-0-after-2")[:-1] == said(1)


@pytest.mark.training
def test_a_sweep_begun_before_there_were_factors_goes_on(tmp_path):
    sweep, out = rx.Sweep(**{**TINY, "epochs": 1}), tmp_path / "s"
    with ThreadPoolExecutor(1) as pool:
        table = rx.run_sweep(sweep, out, executor=pool)
        for path in [out / "sweep.json", *out.glob("*/config.json")]:
            assert "skip_scale" not in json.loads(path.read_text()), "these files are as they were"
        assert rx.run_sweep(sweep, out, executor=pool).equals(table)
    assert dict(zip(table["kind"], table["skip_scale"], strict=True)) == {"plain": "none", "residual": "1"}


@pytest.mark.training
def test_tables_have_the_factor_as_text(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        sweep = rx.Sweep(**{**TINY, "epochs": 1}, skip_scale=(0, 0.5))
        table = rx.run_sweep(sweep, tmp_path / "s", executor=pool)
    assert set(table["skip_scale"]) == {"none", "0", "0.5"}
    assert rx.summarize(table).index.names == ["kind", "depth", "skip_scale"]
    assert "| residual | 8 | 0.5 | 1 |" in to_markdown(rx.summarize(table))
    assert rx.summarize(table[table["skip_scale"] != "0"]).index.names == ["kind", "depth"]
    only = table[table["skip_scale"] == "0.5"]
    only.to_csv(tmp_path / "history.csv", index=False)
    assert rx.collect(tmp_path)["skip_scale"].tolist() == ["0.5"]
    assert [row["skip_scale"] for row in history(tmp_path)] == ["0.5"]
    only.drop(columns="skip_scale").to_csv(tmp_path / "history.csv", index=False)
    assert rx.collect(tmp_path)["skip_scale"].tolist() == ["1"], "older records know of no factors"
    assert list(rx.collect(tmp_path)) == list(table)
    assert [row["skip_scale"] for row in history(tmp_path)] == ["1"]


# --- the trainer -------------------------------------------------------------------------------------------


@pytest.mark.training
def test_each_epoch_trains_and_is_measured_with_its_factor(tmp_path, digits, monkeypatch):
    stepped, measured = [], []
    step, measure = trainer.train_step, trainer.evaluate

    def factors(network):
        return {block.add.skip_scale for block in network.blocks}

    def watched_step(fabric, run, model, *rest):
        stepped.append(factors(model.module))
        return step(fabric, run, model, *rest)

    def watched_measure(network, *rest):
        measured.append(factors(network))
        return measure(network, *rest)

    monkeypatch.setattr(trainer, "train_step", watched_step)
    monkeypatch.setattr(trainer, "evaluate", watched_measure)
    assert train_run(run_of("1-to-0-by-3"), *digits, tmp_path)
    assert stepped == [{1.0}] * STEPS + [{0.5}] * STEPS + [{0.0}] * STEPS
    assert measured == [{1.0}] * 2 + [{0.5}] * 2 + [{0.0}] * 2


@pytest.mark.training
def test_without_skips_a_residual_network_is_its_plain_twin(tmp_path, digits):
    plain = rx.Sweep(**TINY, kinds=("plain",)).runs()[0]
    for run in (plain, run_of(0)):
        assert train_run(run, *digits, tmp_path / run.kind)
    a, b = (load_tensors(tmp_path / kind / "checkpoint.safetensors")[0] for kind in ("plain", "residual"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.training
@pytest.mark.parametrize("scale", ["1-then-0-after-1", "0-then-1-after-2", "1-to-0-by-3"])
def test_a_stopped_run_ends_bit_equal(tmp_path, digits, scale, monkeypatch):
    run, whole, stopped = run_of(scale), tmp_path / "whole", tmp_path / "stopped"
    assert train_run(run, *digits, whole)
    for steps in (STEPS + 4, STEPS):  # in the second epoch, then as the third begins
        left = iter(range(steps))
        assert not train_run(run, *digits, stopped, stop=lambda left=left: next(left, None) is None)
    with monkeypatch.context() as killed:  # after the last epoch, before its weights are there

        def die(_):
            raise KeyboardInterrupt

        killed.setattr(trainer._Training, "_finish", die)
        with pytest.raises(KeyboardInterrupt):
            train_run(run, *digits, stopped)
    assert train_run(run, *digits, stopped)
    (a, about), (b, other) = (load_tensors(path / "checkpoint.safetensors") for path in (whole, stopped))
    assert about == other
    assert all(torch.equal(a[key], b[key]) for key in a)
    rows = [[{**row, "seconds": 0} for row in RunFolder(path).rows()] for path in (whole, stopped)]
    assert rows[0] == rows[1]
    assert RunFolder(whole).layer_rows() == RunFolder(stopped).layer_rows()


@pytest.mark.training
def test_weights_open_as_the_network_that_was_measured(tmp_path, digits):
    run = run_of("1-then-0-after-2", keep_steps=(STEPS, 2 * STEPS))
    assert train_run(run, *digits, tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    network = rx.build("cifar_resnet8", weights=str(path))
    assert network.config.skip_scale == 0
    row = RunFolder(tmp_path).rows()[-1]
    assert evaluate(network, digits[1], nullcontext)[1] == row["test_error"]
    given_back = rx.build("cifar_resnet8", weights=str(path), skip_scale=1.0)
    assert evaluate(given_back, digits[1], nullcontext)[1] != row["test_error"]
    for step, factor in ((STEPS, 1), (2 * STEPS, 0)):
        kept = rx.build("cifar_resnet8", weights=str(tmp_path / f"step-{step}.safetensors"))
        assert kept.config.skip_scale == factor, "that of the epoch that the step is in"
    mine = rx.build("cifar_resnet8", in_channels=1, widths=(2, 4, 8))
    fit = rx.load_weights(mine, path)
    assert fit.trained_as == ("skip_scale=0.0, here 1.0",)
    assert "trained as a network with skip_scale=0.0, here 1.0" in str(fit)
    assert mine.config.skip_scale == mine.blocks[0].add.skip_scale == 1, "the network stays what it is"
    assert rx.load_weights(network, path).trained_as == ()


# --- the record --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    return rx.load_skip_training()


def test_the_record_is_what_its_page_says(table):
    page = (RECORD / "README.md").read_text()
    last, before = table[table["epoch"] == 8], table[table["epoch"] == 4]
    said = re.findall(r"^\| `([\w.-]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert {text for text, *_ in said[1:]} == set(table["skip_scale"]), "below the table's head"
    for text, label, halfway, train, test, ratio in said[1:]:
        at = last[last["skip_scale"] == text]
        assert label == at["label"].iloc[0]
        for cell, rows, name in (
            (halfway, before, "test_error"),
            (train, last, "train_error"),
            (test, last, "test_error"),
        ):
            errors = rows.loc[rows["skip_scale"] == text, name]
            assert cell == f"{errors.mean():.1f} ± {errors.std():.1f}"
        assert ratio == f"{(at['first_gradient'] / at['last_gradient']).median():.2g}"
    names = ["train_error", "test_error"]
    spreads = set()
    for runs in (table, rx.collect(RECORD / "16-epochs")):
        errors = runs.groupby(["skip_scale", "epoch"])[names].agg(["mean", "std"]).to_numpy().reshape(-1, 2)
        spreads |= {f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in errors}
    assert set(re.findall(r"\d+\.\d ± \d+\.\d", page)) <= spreads


def test_the_record_holds_the_runs_of_its_commands_and_make_makes_them(table):
    page, makefile = (RECORD / "README.md").read_text(), shipped("Makefile").read_text()
    commands = re.findall(r"^    (resnet-explore sweep .*)$", page, re.MULTILINE)
    for command, runs in zip(commands, (table, rx.collect(RECORD / "16-epochs")), strict=True):
        made = runs_of(command)
        assert set(runs["run"]) == {run.id for run in made}
        assert len(runs) == sum(run.epochs for run in made)
        assert f"$(SWEEP) {command.partition('sweep ')[2]} --out" in makefile


def test_the_record_shows_what_skips_do_for_every_seed(table):
    error = table.set_index(["skip_scale", "seed", "epoch"])["test_error"].sort_index()
    recorded = rx.collect(shipped("data", "digits")).set_index(["run", "epoch"])["test_error"]
    for row in table[table["skip_scale"].isin(["none", "1"])].itertuples():
        assert row.test_error == pytest.approx(recorded[row.run, row.epoch], abs=1e-3), "one and the same run"
    pd.testing.assert_series_equal(error["0"], error["none"])
    for seed in range(5):
        assert error["1-then-0-after-4", seed, 4] < 15
        assert error["1-then-0-after-4", seed, 8] > 60
        assert error["0-then-1-after-4", seed, 4] > 70
        assert error["0-then-1-after-4", seed, 8] < 15
        assert error["1-to-0-by-8", seed, 8] < error["1-to-0-by-4", seed, 8] < error["none", seed, 8] + 1
    assert table.loc[table["skip_scale"] == "1-to-0-by-8", "alpha"].tolist()[:8] == pytest.approx(
        [1 - i / 7 for i in range(8)]
    )
    assert table["alpha"].isna().tolist() == (table["kind"] == "plain").tolist()
    assert (table[["first_gradient", "last_gradient"]] > 0).all(axis=None)


def test_the_record_is_small_and_no_data_set_of_its_own():
    assert (RECORD / "history.csv").stat().st_size < 300_000
    assert "skips" not in [record.name for record in list_records()]


def test_reading_the_record_needs_no_torch():
    code = "import sys, resnet_explore as rx; rx.load_skip_training(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
