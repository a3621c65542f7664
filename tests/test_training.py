"""Runs that resume bit for bit, sweeps that can't be mixed up, and the degradation that they show."""

import contextlib
import json
import math
import os
import re
import shutil
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch import nn

import resnet_explore as rx
from resnet_explore.cli import main as cli
from resnet_explore.models.threads import one_thread
from resnet_explore.models.weights import list_weights
from resnet_explore.paths import shipped
from resnet_explore.training.batches import batches, crop_and_flip, zoom_and_flip
from resnet_explore.training.commands import command_of, fewest, one_after_another, runs_of
from resnet_explore.training.coverage import in_words
from resnet_explore.training.measure import LayerProbe, evaluate
from resnet_explore.training.plan import fast_precision
from resnet_explore.training.record import Provenance, commit, record
from resnet_explore.training.runs import FORMAT, RunFolder, load_tensors, save_tensors
from resnet_explore.training.schedule import WarmUp, learning_rate
from resnet_explore.training.summary import summarize, to_markdown
from resnet_explore.training.trainer import engine, prepare, train_run, train_step

pytestmark = pytest.mark.training

TINY = {"depths": (8,), "epochs": 3, "width": 2, "batch_size": 128}


@pytest.fixture(scope="module")
def digits():
    return rx.load_dataset("digits"), rx.load_dataset("digits", split="test")


@pytest.fixture(autouse=True)
def on_one_thread():
    with one_thread():
        yield


def run_of(**changes):
    return rx.Sweep(**{**TINY, "kinds": ("residual",), **changes}).runs()[0]


# --- the trainer -------------------------------------------------------------------------------------------


def test_learning_rate_is_torchs_one_cycle():
    run, total = run_of(lr=0.3), 40
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.3, total_steps=total, cycle_momentum=False
    )
    for step in range(total):
        assert learning_rate(run, step, total) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < total - 1:
            schedule.step()


@pytest.mark.parametrize("total", [64_000, 8, 5])
def test_the_step_schedule_drops_at_half_and_three_quarters(total):
    run = run_of(schedule="steps", lr=0.1)
    rates = [learning_rate(run, step, total) for step in range(total)]
    drops = [step for step in range(1, total) if rates[step] != rates[step - 1]]
    assert drops == [math.ceil(total / 2), math.ceil(3 * total / 4)]
    assert sorted(set(rates), reverse=True) == pytest.approx([0.1, 0.01, 0.001])


def test_the_warm_up_ends_by_the_papers_rule():
    deep = run_of(schedule="steps", depths=(110,))
    assert not WarmUp(run_of(schedule="steps", depths=(56,)), 10).going
    assert not WarmUp(run_of(depths=(110,)), 10).going
    warm = WarmUp(deep, steps_per_epoch=3)
    for error in (90, 90, 70):
        warm.see(error)
    assert warm.factor == 0.1, "the mean of three is 83 %"
    warm.start_epoch()
    warm.see(10)
    warm.see(10)
    assert warm.going, "two batches are not yet a measurement"
    warm.see(90)
    assert warm.factor == 1.0


def test_the_deepest_nets_start_at_a_tenth_of_the_rate(tmp_path, digits, monkeypatch):
    rates = []

    def all_right(fabric, run, model, optimizer, images, labels, lr):
        rates.append(lr)
        return F.one_hot(labels, 10).float()

    class NoProbe(contextlib.nullcontext):
        def read(self):
            return {}

    monkeypatch.setattr("resnet_explore.training.trainer.train_step", all_right)
    monkeypatch.setattr("resnet_explore.training.trainer.LayerProbe", lambda _: NoProbe(NoProbe()))
    monkeypatch.setattr("resnet_explore.training.trainer._Training._note", lambda *_: None)
    seen = iter(range(14))
    run = run_of(schedule="steps", depths=(110,), lr=0.1)
    train_run(run, *digits, tmp_path, stop=lambda: next(seen, None) is None)
    assert rates == pytest.approx([0.01] * 11 + [0.1] * 3), "an epoch of 11 steps has ended below 80 %"


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_crop_and_flip_moves_whole_images(height, width, seed):
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 3, height, width, generator=random)
    mirrored = torch.rand(6, generator=random) < 0.5
    moved = crop_and_flip(images, torch.rand(6, 2, generator=random), mirrored)
    up, left = max(1, height // 8), max(1, width // 8)
    for image, flip, result in zip(images, mirrored, moved, strict=True):
        padded = F.pad(image.flip(2) if flip else image, (left, left, up, up))
        assert any(
            torch.equal(padded[:, y : y + height, x : x + width], result)
            for y in range(2 * up + 1)
            for x in range(2 * left + 1)
        )


def test_crop_and_flip_of_cifars_size_is_the_papers():
    images = torch.arange(1.0, 32 * 32 + 1).reshape(1, 1, 32, 32)
    places = torch.cartesian_prod(torch.arange(9), torch.arange(9)) / 9 + 0.05
    moved = crop_and_flip(images.expand(81, 1, 32, 32), places, torch.zeros(81, dtype=torch.bool))
    padded = F.pad(images, (4,) * 4)
    crops = [padded[0, :, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    assert torch.equal(moved, torch.stack(crops))
    assert torch.equal(
        crop_and_flip(images, torch.tensor([[0.5, 0.5]]), torch.tensor([True])), images.flip(3)
    )


def test_zoom_and_flip_enlarges_a_part():
    down, across = torch.linspace(0, 1, 48), torch.linspace(0, 1, 32)
    image = torch.stack([down[:, None].expand(48, 32), across.expand(48, 32)])[None]  # says where it is
    whole = torch.tensor([[0.5, 0.5, 1.0]])
    torch.testing.assert_close(zoom_and_flip(image, whole, torch.tensor([False])), image)
    torch.testing.assert_close(zoom_and_flip(image, whole, torch.tensor([True])), image.flip(3))
    corner = zoom_and_flip(image, torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([False]))[0]
    side = math.sqrt(0.35)
    assert float(corner[0].max()) == pytest.approx(side, abs=0.03), "from the top down"
    assert float(corner[1].min()) == pytest.approx(1 - side, abs=0.03), "from the right"
    assert float(corner[0].min()) == pytest.approx(0, abs=0.03)
    assert float(corner[1].max()) == pytest.approx(1, abs=0.03)


def test_twins_see_the_same_batches_and_seeds_differ(digits):
    train, _ = digits
    plain, residual = (run_of(kinds=(kind,), augment="crop") for kind in ("plain", "residual"))
    seen = [list(batches(run, train, epoch=1)) for run in (plain, residual)]
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(*seen, strict=True))
    other = next(batches(run_of(seeds=(5,), augment="crop"), train, epoch=1))
    assert not torch.equal(seen[0][0][0], other[0])
    assert len(seen[0]) == len(train) // 128


def test_a_step_is_sgd_with_momentum_and_weight_decay(digits):
    train, _ = digits
    run = run_of()
    images, labels = train.normalized(slice(0, 32)), train.labels[:32]
    fabric, network = engine(run), rx.build(run.config(1, 10))
    model, optimizer = prepare(fabric, run, network)
    weight = network.layer2[0].conv1.weight
    value, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for step in range(3):
        twin = rx.build(run.config(1, 10)).train()
        twin.load_state_dict(network.state_dict())
        F.cross_entropy(twin(images), labels).backward()
        velocity = 0.9 * velocity + twin.layer2[0].conv1.weight.grad + 1e-4 * value
        train_step(fabric, run, model, optimizer, images, labels, lr=0.1 * (step + 1))
        value = value - 0.1 * (step + 1) * velocity
        torch.testing.assert_close(weight.detach(), value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_probe_sees_what_the_formulas_say(digits, norm):
    train, _ = digits
    images, labels = train.normalized(slice(0, 24)), train.labels[:24]
    model = rx.build("cifar_resnet8", in_channels=1, norm=norm, seed=3).train()
    twin = rx.build("cifar_resnet8", in_channels=1, norm=norm, seed=3).train()
    with LayerProbe(model) as probe:
        F.cross_entropy(model(images), labels).backward()
    found = probe.read()
    F.cross_entropy(twin(images), labels).backward()
    assert found["layer"] == [n for n, m in twin.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for name, norm_ in zip(found["layer"], found["gradient_norm"], strict=True):
        assert norm_ == pytest.approx(
            float(twin.get_submodule(name).weight.grad.square().sum().sqrt()), rel=1e-3
        )
    block, x = twin.layer2[0], twin.layer1(twin.relu(twin.bn1(twin.conv1(images))))
    inside = block.bn1(block.conv1(x))
    expected = {"layer2.0.conv1": inside, "layer2.0.conv2": block.bn2(block.conv2(inside.relu()))}
    for name, response in expected.items():
        values = response.detach().flatten().tolist()
        mean = sum(values) / len(values)
        std = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        assert found["response_std"][found["layer"].index(name)] == pytest.approx(std, rel=1e-3)
    assert not any(m._forward_hooks for m in model.modules())


def test_layers_are_looked_at_early_and_once_an_epoch(tmp_path, digits):
    run = run_of()
    assert train_run(run, *digits, tmp_path)
    rows = RunFolder(tmp_path).layer_rows()
    assert [row["step"] for row in rows] == [0, 1, 3, 10, 21, 30, 32]  # 11 steps an epoch
    assert all(
        len(row["layer"]) == len(row["gradient_norm"]) == len(row["response_std"]) == 8 for row in rows
    )
    network = rx.build(run.config(1, 10), seed=run.seed).train()
    images, labels = next(batches(run, digits[0], 0))
    F.cross_entropy(network(images), labels).backward()
    assert rows[0]["gradient_norm"][0] == pytest.approx(float(network.conv1.weight.grad.norm()), rel=1e-3)


def test_weights_are_kept_at_the_steps_asked_for(tmp_path, digits):
    run = run_of(keep_steps=(0, 10), epochs=1)
    assert train_run(run, *digits, tmp_path)
    files = RunFolder(tmp_path)
    begun, about = load_tensors(files.at_step(0))
    assert json.loads(about["step"]) == 0
    fresh = rx.build(run.config(1, 10), seed=run.seed).state_dict()
    assert all(torch.equal(begun[key], fresh[key]) for key in begun)
    assert int(load_tensors(files.at_step(10))[0]["bn1.num_batches_tracked"]) == 10


def test_label_smoothing_is_in_the_loss_that_is_trained(digits):
    train, _ = digits
    images, labels = train.normalized(slice(0, 32)), train.labels[:32]
    gradients = []
    for smoothing in (0.0, 0.2):
        run = run_of(label_smoothing=smoothing)
        fabric, network = engine(run), rx.build(run.config(1, 10))
        model, optimizer = prepare(fabric, run, network)
        train_step(fabric, run, model, optimizer, images, labels, lr=0.1)
        gradients.append(network.fc.bias.grad)
    soft = 0.8 * F.one_hot(labels, 10) + 0.02
    twin = rx.build(run.config(1, 10)).train()
    slow = -(soft * F.log_softmax(twin(images), 1)).sum(1).mean()
    torch.testing.assert_close(gradients[1], torch.autograd.grad(slow, twin.fc.bias)[0])
    assert not torch.allclose(gradients[0], gradients[1])


def test_several_processes_share_each_batch(digits):
    train, _ = digits
    run = run_of(augment="crop", batch_size=9)
    whole = next(batches(run, train, 0))
    shares = [next(batches(run, train, 0, part, 2)) for part in (0, 1)]
    for i in (0, 1):
        for part in (0, 1):
            assert torch.equal(shares[part][i], whole[i][part::2])


def test_evaluate_on_a_part_takes_images_of_all_classes(digits):
    train, _ = digits
    order = train.labels.argsort(stable=True)  # as an image folder has them
    sorted_set = replace(train, images=train.images[order], labels=train.labels[order])
    network = rx.build("cifar_resnet8", in_channels=1)
    seen = torch.linspace(0, len(train) - 1, 100).long()
    with torch.no_grad():
        logits = network(sorted_set.normalized(seen))
    loss, error = evaluate(network, sorted_set, contextlib.nullcontext, count=100)
    assert loss == pytest.approx(float(F.cross_entropy(logits, sorted_set.labels[seen])), rel=1e-4)
    assert error == pytest.approx(float((logits.argmax(1) != sorted_set.labels[seen]).float().mean()) * 100)
    assert len(set(sorted_set.labels[seen].tolist())) == 10


def test_evaluate_counts_and_keeps_the_mode(digits):
    _, test = digits
    model = rx.build(run_of().config(1, 10), seed=4).train()
    loss, error = evaluate(model, test, contextlib.nullcontext)
    assert all(m.training for m in model.modules())
    model.eval()
    with torch.no_grad():
        logits = [model(test.normalized(i)[None])[0] for i in range(len(test))]
    wrong = sum(int(row.argmax() != label) for row, label in zip(logits, test.labels, strict=True))
    assert error == pytest.approx(100 * wrong / 360)
    assert loss == pytest.approx(F.cross_entropy(torch.stack(logits), test.labels).item(), rel=1e-5)


@pytest.mark.parametrize("has_it", [True, False])
def test_bf16_is_chosen_where_the_processor_has_it_and_recorded(tmp_path, monkeypatch, has_it):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_it)
    own = "bf16" if has_it else "fp32"
    assert fast_precision("cpu") == own
    assert {run.precision for run in rx.Sweep("cifar10", accelerator="cpu").runs()} == {own}
    assert {run.precision for run in rx.Sweep("digits").runs()} == {"fp32"}, "too small to gain"
    data = tmp_path / "data"
    for label in ("cat", "dog"):
        (data / label).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (8, 8), (40 * i, 0, 99)).save(data / label / f"{i}.png")
    small = {**TINY, "epochs": 1, "batch_size": 4, "kinds": ("plain",), "size": 8, "accelerator": "cpu"}
    sweep = rx.Sweep(dataset="folder", root=str(data), **small)
    with ThreadPoolExecutor(1) as pool:
        table = rx.run_sweep(sweep, tmp_path / "s", executor=pool)
        assert set(table["precision"]) == {own}
        assert json.loads((tmp_path / "s" / "sweep.json").read_text())["precision"] == own
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: not has_it)
        assert rx.run_sweep(sweep, tmp_path / "s", executor=pool).equals(table), "goes on as it was begun"


def test_bf16_trains_too(tmp_path, digits):
    assert train_run(run_of(precision="bf16", epochs=1), *digits, tmp_path)
    assert RunFolder(tmp_path).rows()[0]["train_error"] < 95


@pytest.fixture(scope="module")
def few(digits):
    """As many digits as four steps take."""
    train, test = digits
    return replace(train, images=train.images[:512], labels=train.labels[:512]), test


@pytest.fixture(scope="module")
def whole(tmp_path_factory, few):
    """A run of twelve steps that nothing stopped, and its folder."""
    run, folder = run_of(augment="crop"), tmp_path_factory.mktemp("whole")
    with one_thread():
        assert train_run(run, *few, folder)
    return run, folder


@settings(max_examples=6, deadline=None)
@given(stops=st.lists(st.integers(0, 11), min_size=1, max_size=3))
def test_a_stopped_run_ends_bit_equal(tmp_path_factory, few, whole, stops):
    (run, whole), folder = whole, tmp_path_factory.mktemp("stopped")
    for steps in stops:
        countdown = iter(range(steps))
        train_run(run, *few, folder, stop=lambda left=countdown: next(left, None) is None)
    assert train_run(run, *few, folder)
    a, b = (load_tensors(p / "checkpoint.safetensors")[0] for p in (folder, whole))
    assert all(torch.equal(a[key], b[key]) for key in a)
    lines = [[{**row, "seconds": 0} for row in RunFolder(p).rows()] for p in (folder, whole)]
    assert lines[0] == lines[1]
    assert not (folder / "resume.safetensors").exists()


def test_a_line_that_the_resume_file_does_not_know_is_dropped(tmp_path, digits):
    run = run_of()
    seen = iter(range(15))  # one epoch has 11 steps
    assert not train_run(run, *digits, tmp_path, stop=lambda: next(seen, None) is None)
    files = RunFolder(tmp_path)
    assert [row["epoch"] for row in files.rows()] == [1]
    files.append({**files.rows()[0], "epoch": 2, "train_error": -1.0})
    with files.history.open("a") as file:
        file.write('{"epoch": 3, "tra')
    assert train_run(run, *digits, tmp_path)
    rows = files.rows()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["train_error"] >= 0 for row in rows)


def test_a_damaged_resume_file_is_named(tmp_path, digits):
    seen = iter(range(15))
    train_run(run_of(), *digits, tmp_path, stop=lambda: next(seen, None) is None)
    (tmp_path / "resume.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(rx.ExploreError, match=r"resume.safetensors is damaged .* delete the folder"):
        train_run(run_of(), *digits, tmp_path)


# --- records and what they show ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a sweep with seeds 0 and 1."""
    folder = tmp_path_factory.mktemp("trained") / "s"
    with ThreadPoolExecutor(1) as pool:
        rx.run_sweep(rx.Sweep(**TINY, seeds=(0, 1)), folder, executor=pool)
    return folder


def of_one_seed(trained, seed, folder):
    """Copy what a sweep of one of the seeds leaves."""
    folder.mkdir()
    for path in trained.glob(f"*-seed{seed}-*"):
        shutil.copytree(path, folder / path.name)
    identity = json.loads((trained / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(identity | {"seeds": [seed]}))


def test_a_record_is_the_sweep_made_small(tmp_path, trained):
    sweep = rx.Sweep(**TINY)
    of_one_seed(trained, 0, tmp_path / "runs")
    table = rx.collect(tmp_path / "runs")
    with pytest.raises(rx.ExploreError, match="has seed 7"):
        record([Provenance(tmp_path / "runs", "make it so")], tmp_path / "rec", seed=7)
    assert not (tmp_path / "rec").exists()
    record([Provenance(tmp_path / "runs", "make it so")], tmp_path / "rec")
    again = rx.collect(tmp_path / "rec")
    assert list(again.columns) == list(table.columns)
    assert (again["train_error"] - table["train_error"]).abs().max() < 1e-3
    assert json.loads((tmp_path / "rec" / "about.json").read_text())["commands"] == ["make it so"]
    page = (tmp_path / "rec" / "README.md").read_text()
    last = table[table["epoch"] == 3].set_index("kind")["test_error"]
    assert f"| plain | 8 | 1 | {table['train_error'][2]:.2f} | {last['plain']:.2f} |" in page
    assert "    make it so\n" in page
    layers = rx.collect_layers(tmp_path / "rec")
    whole_layers = rx.collect_layers(tmp_path / "runs")
    assert list(layers.columns) == list(whole_layers.columns)
    assert len(layers) == 2 * 7 * 8, "two runs, seven steps, eight layers"
    assert (layers["gradient_norm"] - whole_layers["gradient_norm"]).abs().max() < 1e-5
    run = next(r for r in sweep.runs() if r.kind == "residual")
    small = rx.build("cifar_resnet8", weights=str(tmp_path / "rec" / "cifar_resnet8.safetensors"))
    whole, _ = load_tensors(tmp_path / "runs" / run.id / "checkpoint.safetensors")
    assert small.config.in_channels == 1
    for key, value in small.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, whole[key], rtol=1e-3, atol=1e-4)


def test_a_summary_is_mean_and_deviation_of_the_finished_runs():
    rows = [
        {"kind": kind, "depth": 8, "seed": seed, "epoch": epoch, "epochs": 2, "lr": 0.1, "width": 4}
        | {"train_error": 10 * seed + epoch, "test_error": 50.0}
        for kind in ("plain", "residual")
        for seed in (0, 1, 3)
        for epoch in (1, 2)
    ]
    same = {"batch_size": 8, "schedule": "steps", "momentum": 0.9, "weight_decay": 0.0}
    same |= {"label_smoothing": 0.0, "augment": "none", "precision": "fp32"}
    unfinished = {**rows[0], "kind": "residual", "seed": 9}
    found = summarize(pd.DataFrame([row | same for row in [*rows, unfinished]]))
    assert found.loc[("residual", 8)].tolist() == pytest.approx(
        [3, 46 / 3, statistics.stdev([2, 12, 32]), 50, 0]
    )
    assert "| plain | 8 | 3 | 15.33 ± 15.28 | 50.00 ± 0.00 |" in to_markdown(found)
    two = summarize(pd.DataFrame([row | same | {"lr": 0.1 + (row["seed"] == 3)} for row in rows]))
    assert two.index.names == ["kind", "depth", "lr"]
    assert "| plain | 8 | 1.1 | 1 | 32.00 | 50.00 |" in to_markdown(two)


def test_an_unfinished_sweep_is_not_recorded(tmp_path):
    source = made_up_runs(tmp_path / "s", rx.Sweep(**TINY))
    next((tmp_path / "s").glob("*/checkpoint.safetensors")).unlink()
    with pytest.raises(rx.ExploreError, match="not finished"):
        record([source], tmp_path / "rec")
    assert not (tmp_path / "rec").exists()


def test_a_record_grows_with_its_seeds(tmp_path, trained):
    """Seed 0 is recorded while seed 1 trains, and seed 1 added later, where seed 0's runs no longer are."""
    first, second, dest = (tmp_path / name for name in ("first", "second", "rec"))
    of_one_seed(trained, 0, first)
    of_one_seed(trained, 1, second)
    unfinished = next(iter(second.glob("plain*"))) / "checkpoint.safetensors"
    hidden = unfinished.rename(tmp_path / "hidden")
    started = Provenance(second, "train seed 1", root="there")
    table = record([Provenance(first, "train seed 0"), started], dest, finished_only=True)
    assert set(zip(table["kind"], table["seed"], strict=True)) == {
        ("plain", 0),
        ("residual", 0),
        ("residual", 1),
    }
    hidden.rename(unfinished)
    weights = (dest / "cifar_plain8.safetensors").read_bytes()
    record([started], dest, add=True)
    assert (dest / "cifar_plain8.safetensors").read_bytes() == weights
    record([Provenance(trained, "train both")], tmp_path / "whole")
    for read in (rx.collect, rx.collect_layers):
        pd.testing.assert_frame_equal(
            read(dest).drop(columns="seconds", errors="ignore"),
            read(tmp_path / "whole").drop(columns="seconds", errors="ignore"),
        )
    about = json.loads((dest / "about.json").read_text())
    assert about["commands"] == ["train seed 1 --root there", "train seed 0"]
    assert about["data"] == "scikit-learn's handwritten digits"
    assert about["seeds"] == [0, 1]
    page = (dest / "README.md").read_text()
    assert "by\n\n    train seed 1 --root there\n    train seed 0\n" in page
    assert "by\n\n    train seed 1\n    train seed 0\n" in page


def test_what_can_not_grow_is_left_alone(tmp_path):
    runs = made_up_runs(tmp_path / "runs", rx.Sweep(**TINY))
    other = made_up_runs(tmp_path / "other", rx.Sweep(**TINY, lr=0.01))
    with pytest.raises(rx.ExploreError, match=r"no record in .*rec to add to"):
        record([runs], tmp_path / "rec", add=True)
    assert not (tmp_path / "rec").exists()
    record([runs], tmp_path / "rec")
    before = {path: path.read_bytes() for path in (tmp_path / "rec").iterdir()}
    with pytest.raises(rx.ExploreError, match="these differ in lr"):
        record([other], tmp_path / "rec", add=True)
    assert {path: path.read_bytes() for path in (tmp_path / "rec").iterdir()} == before
    for checkpoint in (tmp_path / "runs").glob("*/checkpoint.safetensors"):
        checkpoint.unlink()
    with pytest.raises(rx.ExploreError, match=r"No run in .*runs is finished yet"):
        record([runs], tmp_path / "new", finished_only=True)


def made_up_runs(folder, sweep):
    """Write what `run_sweep` leaves of a sweep, with errors and weights that nobody trained."""
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps({**asdict(sweep), "format": FORMAT}))
    for run in sweep.runs():
        files = RunFolder(folder / run.id)
        files.start(run)
        for epoch in range(1, run.epochs + 1):
            errors = {"train_error": 10.0 * run.seed + run.depth / epoch, "test_error": 50.0}
            losses = {"train_loss": 1.0, "test_loss": 1.0}
            files.append({"epoch": epoch, "step": 9 * epoch, "seconds": 60.0, **errors, **losses})
        look = {"layer": ["a", "b"], "gradient_norm": [1.0, 2.0], "response_std": [1.0, 1.0]}
        files.append_layers({"step": 0, **look})
        about = {"run": asdict(run), "data": f"{sweep.dataset} as they lie there"}
        header = {key: json.dumps(value) for key, value in about.items()}
        save_tensors(files.checkpoint, {"w": torch.ones(2, 3)}, header)
    return Provenance(folder, command_of(folder), root="a copy")


def test_sweeps_of_other_seeds_and_depths_add_up_to_one_true_page(tmp_path):
    fields = {"dataset": "cifar10", "epochs": 2, "precision": "bf16"}

    def sweep(name, depths, seeds):
        return made_up_runs(tmp_path / name, rx.Sweep(**fields, depths=depths, seeds=seeds))

    all_seeds = sweep("all", (20, 56), (0, 1, 2))
    for path in (tmp_path / "all").glob("*seed[12]*/checkpoint.safetensors"):
        path.unlink()  # begun, and not yet finished
    page = tmp_path / "rec" / "README.md"

    def recorded():
        about = json.loads((tmp_path / "rec" / "about.json").read_text())
        return about["commands"], about["seeds"], about["minutes"], about["data"]

    record([all_seeds], tmp_path / "rec", data="a squeezed copy", finished_only=True)
    assert recorded() == ([all_seeds.origin], [0], 8.0, "a squeezed copy")
    assert "**8 of 12 runs are not recorded yet: seeds 1 and 2 at 20 and 56 layers.**" in page.read_text()
    assert "8 minutes of training steps for the 4 runs below" in page.read_text()
    record([sweep("one", (20, 56), (1,))], tmp_path / "rec", add=True)
    assert recorded() == ([all_seeds.origin], [0, 1], 16.0, "a squeezed copy")
    assert "**4 of 12 runs are not recorded yet: seed 2 at 20 and 56 layers.**" in page.read_text()
    assert "| plain | 20 | 2 | 15.00 ± 7.07 | 50.00 ± 0.00 |" in page.read_text()
    deeper = sweep("deeper", (8, 44), (0,))
    record([sweep("two", (56,), (2,)), deeper], tmp_path / "rec", add=True)
    assert recorded() == ([deeper.origin, all_seeds.origin], [0, 1, 2], 28.0, "a squeezed copy")
    assert "**2 of 16 runs are not recorded yet: seed 2 at 20 layers.**" in page.read_text()
    assert "| residual | 44 | 1 | 22.00 | 50.00 |" in page.read_text()
    assert "| residual | 56 | 3 | 38.00 ± 10.00 | 50.00 ± 0.00 |" in page.read_text()
    for name in ("cifar_plain44", "cifar_plain56"):
        header = load_tensors(tmp_path / "rec" / f"{name}.safetensors", header_only=True)[1]
        assert json.loads(header["data"]) == "a squeezed copy"
    record([sweep("last", (20,), (2,))], tmp_path / "rec", add=True)
    assert recorded() == ([deeper.origin, all_seeds.origin], [0, 1, 2], 32.0, "a squeezed copy")
    assert "not recorded yet" not in page.read_text()
    for other, sentence in (({"lr": 0.2}, "differ in lr"), ({"keep_steps": (0,)}, "one network and seed")):
        changed = made_up_runs(tmp_path / str(other), rx.Sweep(**fields, depths=(20,), seeds=(1,), **other))
        with pytest.raises(rx.ExploreError, match=sentence):
            record([changed], tmp_path / "rec", add=True)
    assert recorded()[2] == 32.0


def test_which_runs_are_there_is_said_shortly():
    both = [(kind, depth, seed) for kind in ("plain", "residual") for depth in (8, 20) for seed in (0, 3)]
    assert in_words(both, elsewhere=True) == "seeds 0 and 3"
    assert in_words(both) == "seeds 0 and 3 at 8 and 20 layers"
    assert (
        in_words([*both, ("plain", 32, 1)])
        == "seed 1 of plain at 32 layers, seeds 0 and 3 at 8 and 20 layers"
    )
    assert in_words([*both, ("plain", 8, 5)], elsewhere=True) == (
        "seeds 0, 3 and 5 of plain at 8 layers, seeds 0 and 3 of residual at 8 layers, "
        "seeds 0 and 3 elsewhere"
    )


def test_commands_that_others_contain_are_left_out_unless_data_differ():
    whole, part = (f"resnet-explore sweep digits --depths 8,20 --seeds {s}" for s in ("0,1", "1"))
    assert fewest([part, whole, "make it so", part]) == [whole, "make it so"]
    assert fewest([whole, whole]) == [whole]
    assert fewest([f"{part} --root x", whole]) == [f"{part} --root x", whole]
    again = "resnet-explore sweep digits --seeds 0,1 --depths 8,20"
    assert fewest([whole, again]) == [whole], "the same said otherwise"
    assert runs_of("resnet-explore sweep digits --depths 9") == runs_of("resnet-explore sweep") == []


def test_several_commands_can_be_run_one_after_the_other():
    first, second = (f"resnet-explore sweep cifar10 --depths {d}" for d in ("8,14", "20"))
    assert one_after_another([first], "cifar10") == [first]
    assert one_after_another([first, "make it so"], "cifar10") == [first, "make it so"]
    shown = one_after_another([f"{first} --root a b", f"{second} --root a b"], "cifar10")
    assert shown == [
        f"{first} --out runs/cifar10-1 --root a b",
        f"{second} --out runs/cifar10-2 --root a b",
        "resnet-explore record runs/cifar10-1 runs/cifar10-2 records/cifar10 --root a b",
    ]
    assert len(one_after_another([first, f"{second} --root a"], "cifar10")) == 2, "`record` takes one root"


@pytest.mark.parametrize("name", ["cifar10", "digits", "imagenette"])
def test_the_pages_of_records_show_commands_that_do_not_get_in_each_others_way(name, tmp_path, monkeypatch):
    folder = shipped("data", name)
    given = json.loads((folder / "about.json").read_text())["commands"]
    bare = [command.partition(" --root ")[0] for command in given]
    page = (folder / "README.md").read_text().splitlines()
    shown = [line.strip() for line in page if line.startswith("    resnet-explore ")]
    told = one_after_another(given, name)
    assert shown == (told if bare == given else [*told, *one_after_another(bare, name)])
    # As a person types them, on made-up runs instead of hours of training.
    monkeypatch.chdir(tmp_path)
    outs = {}

    def instead(sweep, out, **_):
        assert outs.setdefault(out, sweep) == sweep, "that folder belongs to another sweep"
        out.parent.mkdir(exist_ok=True)
        made_up_runs(out, sweep)
        return rx.collect(out)

    monkeypatch.setattr(rx, "run_sweep", instead, raising=False)
    for line in one_after_another(bare, name):
        assert cli.main(line.split()[1:]) == 0
    if len(bare) > 1:
        about = json.loads((tmp_path / "records" / name / "about.json").read_text())
        assert about["commands"] == bare
        assert len(rx.collect(tmp_path / "records" / name)) == len(rx.collect(folder))


def test_a_short_records_page_says_seconds(tmp_path):
    source = made_up_runs(tmp_path / "s", rx.Sweep(depths=(8,), kinds=("plain",), epochs=1))
    (history,) = (tmp_path / "s").glob("*/history.jsonl")
    history.write_text(history.read_text().replace('"seconds": 60.0', '"seconds": 2.34'))
    record([source], tmp_path / "rec")
    page = (tmp_path / "rec" / "README.md").read_text()
    assert "; 2.3 seconds of training steps for the 1 runs below" in page


def test_files_of_weights_may_be_read_by_whom_other_files_may(tmp_path):
    for mask in (0o022, 0o027):
        before = os.umask(mask)
        try:
            save_tensors(tmp_path / f"{mask}.safetensors", {"w": torch.ones(2, 3)}, {})
        finally:
            os.umask(before)
        assert (tmp_path / f"{mask}.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


def test_the_recorded_digits_show_degradation_for_every_seed():
    table = rx.collect(shipped("data", "digits"))
    last = table[table["epoch"] == table["epochs"]].set_index(["kind", "depth", "seed"])["train_error"]
    assert sorted(table["seed"].unique()) == [0, 1, 2, 3, 4]
    for seed in range(5):
        plain, residual = (last[kind].xs(seed, level="seed") for kind in ("plain", "residual"))
        assert plain[8] < 2
        assert plain[56] > 40
        assert plain.sort_index().is_monotonic_increasing
        assert residual[56] < 3
        assert residual[110] < plain[110] / 3


def test_the_recorded_cifar10_has_the_papers_order_for_every_seed():
    table = rx.collect(shipped("data", "cifar10"))
    last = table[table["epoch"] == table["epochs"]].set_index(["kind", "depth", "seed"])["train_error"]
    for kind in ("plain", "residual"):
        both = set(last[kind][20].index) & set(last[kind][56].index)
        assert 0 in both, "other seeds may come later, and one by one"
        for seed in both:
            shallow, deep = last[kind, 20, seed], last[kind, 56, seed]
            assert deep > shallow if kind == "plain" else deep <= shallow


def test_the_recorded_photo_network_is_right_about_four_of_five():
    (photos,) = (row for row in list_weights("resnet18") if row.weights == "imagenette")
    assert photos.test_error is not None
    assert photos.test_error <= 20
    assert [row.weights for row in list_weights("plain18")] == ["imagenette"]


def test_recorded_data_are_small_enough_for_git():
    sizes = {path: path.stat().st_size for path in shipped("data").rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 60e6
    assert max(size for path, size in sizes.items() if path.suffix == ".safetensors") <= 12e6


def test_recorded_runs_are_those_of_todays_defaults():
    recorded = set(rx.collect(shipped("data", "digits"))["run"])
    assert recorded == {run.id for run in rx.Sweep(seeds=range(5)).runs()}


@pytest.mark.parametrize("row", list_weights("*"), ids=lambda r: f"{r.weights}-{r.model}")
def test_shipped_weights_load_by_name_and_err_as_they_say(row, digits):
    model = rx.build(row.model, weights=row.weights)
    assert not model.training
    if row.weights == "digits":
        for data, stated in zip(digits, (row.train_error, row.test_error), strict=True):
            assert evaluate(model, data, contextlib.nullcontext)[1] == pytest.approx(stated, abs=0.6)
    assert set(model.about) >= {"classes", "mean", "std", "input_size", "data"}
    assert Path(row.provenance.split()[0]).name == "resnet-explore"


def test_run_ids_depend_on_every_field():
    base = run_of()
    ids = {base.id}
    for name, value in asdict(base).items():
        changed = {str: "x", int: 11, float: 0.123, bool: True, tuple: (7,), type(None): 5}[type(value)]
        ids.add(type(base)(**{**asdict(base), name: changed}).id)
    assert len(ids) == 1 + len(asdict(base))


def test_a_commit_says_whether_the_source_was_changed_since(tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    source = tmp_path / "source"
    source.mkdir()
    assert commit(source) == "unknown"
    (source / "a.py").touch()
    for words in (("init",), ("add", "."), ("commit", "-m", "Begin")):
        git(*words)
    clean = commit(source)
    assert re.fullmatch("[0-9a-f]{7,}", clean)
    (tmp_path / "result.csv").touch()
    assert commit(source) == clean, "what lies beside the source is none of it"
    (source / "a.py").write_text("1")
    assert commit(source) == f"{clean}, with changes"
