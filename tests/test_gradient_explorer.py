import copy
import gc
import io
import math
import re
import subprocess
import sys
import time
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from resnet_explore.widgets.gradient_lab import Bench, Conditions
from resnet_explore.widgets.gradient_quiz import QUESTIONS
from resnet_explore.widgets.gradient_views import Live, OwnView, View
from resnet_explore.widgets.scrub import Scrub
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.alike import Alike, alike_in_record
from resnet_explore.analysis.slope import slope
from resnet_explore.figures.gradients import GradientProfile
from resnet_explore.models.activations import with_activation
from resnet_explore.training.live import LiveTraining
from resnet_explore.widgets.gradient_flow import (
    BY_DEPTH,
    BY_SKIP,
    BY_STEP,
    CLAIMS,
    GUESS,
    HEATMAP,
    JACOBIANS,
)
from resnet_explore.widgets.gradient_words import (
    VERDICTS,
    Reading,
    compared,
    finding,
    multiple,
    read,
    times,
)
from resnet_explore.widgets.words import factor


def noise(count=6, size=8, channels=1):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, channels, size, size, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


@pytest.fixture(scope="module")
def explorer():
    """One explorer for the tests here; each begins at step 0 with the switches as they were at first."""
    return rx.GradientFlowExplorer(depths=(8, 14, 20))


@pytest.fixture(autouse=True)
def as_at_first(request):
    yield
    if "explorer" in request.fixturenames:
        shown = request.getfixturevalue("explorer")
        shown.view.value = "Depth"
        for switch, value in (
            (shown.data, "digits"),
            (shown.start, "he"),
            (shown.norm, "batch"),
            (shown.mode, "train"),
        ):
            switch.value = value
        shown.activation.value, shown.shown.value = "relu", "weight gradient"
        shown.reset.click()
        shown.wait()


def now(explorer):
    explorer.wait()
    at = explorer.strip.index
    return explorer.strip.titles[at], explorer.strip.captions[at]


def test_each_switch_is_what_is_measured_and_said(explorer):
    digits = rx.load_dataset("digits")
    images, labels = digits.normalized(slice(64)), digits.labels[:64]
    for change, config, mode, said in (
        (
            {},
            {},
            "train",
            "train mode; batch norm; He initialisation; ReLU; step 0; 64 training images of digits",
        ),
        ({"mode": "eval"}, {}, "eval", "eval mode; batch norm"),
        ({"mode": "train", "norm": "group"}, {"norm": "group"}, "train", "train mode; group norm"),
        (
            {"norm": "none", "start": "rezero"},
            {"norm": "none", "init": "rezero"},
            "train",
            "no norm; residual: ReZero, plain: He init",
        ),
        (
            {"start": "fixup"},
            {"norm": "none", "init": "fixup"},
            "train",
            "no norm; residual: Fixup, plain: He initialisation",
        ),
    ):
        for switch, value in change.items():
            getattr(explorer, switch).value = value
        for depth, twins in explorer.flows.items():
            for kind, flow in twins.items():
                name = f"cifar_{'plain' if kind == 'plain' else 'resnet'}{depth}"
                model = rx.build(name, widths=(8, 16, 32), in_channels=1, seed=0, **config)
                truth = rx.gradient_flow(model, images, labels, mode)
                np.testing.assert_allclose(flow.weight_gradient_norms, truth.weight_gradient_norms, rtol=1e-3)
        title, caption = now(explorer)
        assert said in caption
        assert "first stage 8 channels wide; seed 0" in caption
        assert title.startswith("20 layers, first block's weight gradient over the last's. Plain: ")


def test_conditions_that_exclude_each_other_are_mended_and_said(explorer):
    def switched():
        return explorer.norm.value, explorer.start.value, explorer.note.value

    explorer.norm.value = "group"
    for start, name in (("skipinit", "SkipInit"), ("fixup", "Fixup")):
        explorer.start.value = start
        said = "does without normalisation, so the norm is none while it is chosen, instead of group norm."
        assert switched() == ("none", start, f"{name} {said}")
    explorer.start.value = "rezero"
    assert switched() == ("group", "rezero", "Norm is group norm again, as you had chosen.")
    explorer.start.value = "he"
    assert switched() == ("group", "he", "")
    explorer.start.value = "fixup"
    explorer.norm.value = "batch"
    said = "Fixup does without normalisation, so the start is He until the norm is none again."
    assert switched() == ("batch", "he", said)
    explorer.norm.value = "none"
    assert switched() == ("none", "fixup", "Start is Fixup again, as you had chosen.")
    explorer.start.value = "he"
    assert switched() == ("none", "he", "")


def test_a_choice_that_cannot_be_measured_takes_nothing_else_back(explorer, monkeypatch):
    explorer.take.click()
    explorer.norm.value = "group"
    explorer.take.click()

    def fails(*_):
        raise rx.ExploreError("Nothing today.")

    with monkeypatch.context() as broken:
        broken.setattr(Bench, "flow", fails)
        explorer.start.value = "fixup"
    assert "Nothing today" in explorer.note.value
    assert (explorer.norm.value, explorer.start.value) == ("group", "he")
    assert explorer.given == Conditions(norm="group", steps=10)
    assert not explorer.reset.disabled


def test_activation_and_what_is_shown(explorer):
    relu = explorer.flows[20]["plain"].weight_gradient_norms
    explorer.activation.value = "tanh"
    assert not np.allclose(explorer.flows[20]["plain"].weight_gradient_norms, relu, rtol=0.1)
    assert "; tanh; step 0" in now(explorer)[1]
    explorer.shown.value = "activations"
    title, caption = now(explorer)
    assert caption.startswith("Norm of the activations")
    flow = explorer.flows[20]["residual"]
    first, *_, last = flow.activation_norms[[name.endswith("conv2") for name in flow.names]]
    assert "first block's activations over the last's. Plain: " in title
    assert (
        f"; residual: {multiple(first / last)}. Digits 8×8, width 8, seed 0, tanh, train mode, step 0."
        in title
    )
    assert "first block, layers 2–3, against last block, layers 18–19; of a block its last layer" in caption
    assert "level" not in title + caption, "only gradients explode or vanish"


def test_ten_steps_are_taken_and_taken_back(explorer):
    before = explorer.flows[20]["plain"].ratio
    assert explorer.reset.disabled
    explorer.take.click()
    assert "step 10 of SGD at rate 0.04, momentum 0.9" in now(explorer)[1]
    after = explorer.flows[20]["plain"].ratio
    assert after < 0.7 * before, "from 5.4 to 2.7"
    explorer.mode.value = "eval"
    assert "step 10 of SGD" in now(explorer)[1], "a switch of the mode looks at the same network"
    explorer.mode.value = "train"
    assert explorer.flows[20]["plain"].ratio == after
    explorer.norm.value = "group"
    assert "; step 0; " in now(explorer)[1], "another network begins anew"
    explorer.norm.value = "batch"
    assert explorer.flows[20]["plain"].ratio == before


def test_skip_strength_goes_from_plain_to_residual(explorer):
    explorer.view.value = BY_SKIP
    explorer.depth.value = 20
    flows = explorer.flows
    assert list(flows) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    for alpha, kind in ((0, "plain"), (1, "residual")):
        ours, end = flows[alpha][f"skip × {alpha:g}"], flows[alpha][kind]
        np.testing.assert_allclose(ours.weight_gradient_norms, end.weight_gradient_norms, rtol=1e-3)
    middle = flows[0.5]["skip × 0.5"].ratio
    assert flows[0]["residual"].ratio < middle < flows[0]["plain"].ratio
    explorer.strip.index = 5
    title, caption = now(explorer)
    assert title.startswith("20 layers, first block's weight gradient over the last's. skip × 0.5: ")
    assert "every block is F(x) + 0.5 x" in caption


def test_recorded_steps_are_those_of_the_record(explorer):
    explorer.view.value = BY_STEP
    explorer.depth.value = 56
    now(explorer)
    assert explorer.strip.ticks[:5] == ["0", "1", "3", "10", "21"]
    assert len({bytes(frame) for frame in explorer.strip.frames}) == len(explorer.strip.ticks)
    layers = rx.collect_layers("data/digits").query("seed == 0 and depth == 56 and step == 0")
    norms = layers.query("kind == 'plain'")["gradient_norm"].to_numpy()
    ratio = np.hypot(*norms[1:3]) / np.hypot(*norms[-3:-1])
    assert f"Plain: {multiple(ratio)}, explodes; residual: " in explorer.strip.titles[0]
    assert explorer.strip.titles[3].endswith("Recorded digits, width 8, seed 0, train mode, step 10.")
    assert "against last block, layers 54–55" in explorer.strip.captions[0]
    assert "step 10. Recorded: scikit-learn's handwritten digits, batch 64, " in explorer.strip.captions[3]
    assert explorer.flows == {}
    explorer.record.index = 1
    now(explorer)
    assert explorer.depth.value == 56
    assert "Recorded: a JPEG-recompressed copy of CIFAR-10, batch 128" in explorer.strip.captions[0]
    explorer.record.index = 0
    explorer.view.value = HEATMAP
    now(explorer)
    assert explorer.strip.index == 3, "56 layers, as chosen before"
    explorer.strip.index = 1
    for record in (2, 0):
        explorer.record.index = record
        now(explorer)
    assert explorer.strip.index == 1
    explorer.strip.index = 3
    assert explorer.strip.ticks == ["8", "20", "32", "56", "110"]
    assert explorer.strip.titles[3].startswith(
        f"56 layers, first block's gradient over the last's. Plain: {multiple(ratio)}, explodes, level first "
        "at step 21; residual: "
    )
    assert "Plain: 4 million×, explodes, under 1/10 first at step 3" in explorer.strip.titles[4]


def test_jacobians_of_the_twins(explorer):
    explorer.view.value = JACOBIANS
    now(explorer)
    assert explorer.strip.ticks == ["8", "14", "20"]
    results = explorer.scrub.results[2]
    medians = results["plain"].quantile(0.5)
    said = (
        f"in the median a block stretches a change {factor(medians.min())} to {factor(medians.max())} times"
    )
    assert explorer.strip.titles[2].startswith(f"20 layers. Plain: {said}, at most ")
    explorer.strip.index = 1
    explorer.view.value = BY_SKIP
    assert explorer.depth.value == 14, "the depth that was looked at stays"
    model = rx.build("cifar_plain20", widths=(8, 16, 32), in_channels=1, seed=0)
    images = rx.load_dataset("digits").normalized(slice(64))
    truth = rx.jacobian_spectra(model, images, top=1, steps=12, probes=1)
    np.testing.assert_allclose(results["plain"].top, truth.top, rtol=1e-3)


def test_a_guess_is_checked_against_what_is_measured(explorer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resnet_explore.widgets.gradient_quiz.DEPTH", 20)
    explorer.view.value = GUESS
    quiz = explorer.quiz
    assert quiz.reveal.disabled
    assert nothing_is_shown(explorer)
    assert explorer.keep.disabled, "there is nothing to save"
    quiz.guess.value = "vanishes"
    assert not quiz.reveal.disabled
    quiz.reveal.click()
    ratio = QUESTIONS[0].measure(quiz.bench).ratio
    assert f"You said that it vanishes: it {slope(ratio)}." in quiz.verdict.value
    assert f"at the first block {times(ratio)} that at the last block. 0 of 1 so far" in quiz.verdict.value
    assert len(explorer.strip.frames) == 1
    assert not nothing_is_shown(explorer)
    assert "train mode; batch norm" in explorer.strip.captions[0]
    assert "slider" not in explorer.strip.captions[0], "there is one position only"
    quiz.guess.value = slope(ratio)
    quiz.reveal.click()
    assert quiz.right == {0: False}, "the first guess counts"
    assert "Right: " in quiz.verdict.value
    assert "0 of 1 so far: a question's first guess counts." in quiz.verdict.value
    answered, said = explorer.strip.titles, quiz.verdict.value
    explorer.view.value = HEATMAP
    explorer.view.value = GUESS
    assert (explorer.strip.titles, quiz.verdict.value) == (answered, said), "all of the answer is back"
    assert not explorer.keep.disabled
    quiz.question.value = 4
    assert nothing_is_shown(explorer)
    assert (quiz.guess.value, quiz.verdict.value) == (None, "")
    quiz.guess.value = slope(QUESTIONS[4].measure(quiz.bench).ratio)
    quiz.reveal.click()
    assert quiz.verdict.value.startswith('<span role="status"><b>Right: it ')
    assert quiz.right == {0: False, 4: True}
    quiz.question.value = 5
    quiz.guess.value = "grows"
    quiz.reveal.click()
    assert "every block is F(x) + 0.5 x" in explorer.strip.captions[0]
    assert explorer.keep in explorer.children[2].children
    explorer.keep.click()
    assert len(list(tmp_path.glob("gradient_flow-*"))) == 2, "a picture and its numbers"


def nothing_is_shown(explorer):
    """Whether the picture is an empty card, with a title and caption that say nothing of a measurement."""
    strip = explorer.strip
    with Image.open(io.BytesIO(strip.frames[0])) as image:
        empty = len(strip.frames) == 1 and len(image.getcolors(2**20) or ()) == 1
    return empty and strip.titles == ["Guess, then measure: the picture comes with the answer."]


def test_what_was_still_being_drawn_does_not_come_after_it_was_hidden(explorer):
    for question in range(3):
        explorer.view.value = JACOBIANS
        explorer.quiz.question.value = question
        explorer.view.value = GUESS
        explorer.wait()
        assert nothing_is_shown(explorer)


def said_above(path):
    """What the lines above the head of a saved table say."""
    lines = (line for line in path.read_text().splitlines() if line.startswith("# "))
    return dict(line.removeprefix("# ").split(": ", 1) for line in lines)


def test_a_picture_is_saved_with_its_conditions_and_numbers(explorer, tmp_path, monkeypatch):
    explorer.strip.index = 1
    picture, numbers = explorer.save(tmp_path / "mine.png")
    with Image.open(picture) as image:
        saved = image.size
    with Image.open(io.BytesIO(explorer.strip.frames[1])) as image:
        assert saved[0] == image.size[0]
        assert saved[1] > image.size[1], "title and caption are in the picture"
    table, about = pd.read_csv(numbers, comment="#"), said_above(numbers)
    assert set(table["depth"]) == {8, 14, 20}
    rows = table.query("depth == 20 and network == 'plain'")
    np.testing.assert_allclose(rows["weight_gradient"], explorer.flows[20]["plain"].weight_gradient_norms)
    assert about["conditions"].startswith(
        "Norms of each layer (Frobenius, over the batch); train mode; batch "
    )
    assert "layers 2–3" not in about["conditions"], "the blocks that are compared differ from depth to depth"
    assert about["program"] == f"resnet_explore {rx.__version__}"
    assert list(rows["layer_number"]) == list(range(1, 21))
    facts = {"mode": "train", "norm": "batch", "activation": "relu", "batch": "64", "seed": "0"}
    assert facts | {"data": "64 training images of digits"} == {
        key: words for key, words in about.items() if key not in ("program", "conditions")
    }
    assert not set(table.columns) & {*about} - {"activation"}, "what is said above is not said in each line"
    np.testing.assert_allclose(rows["activation"], explorer.flows[20]["plain"].activation_norms)
    assert list(rows[["start", "step"]].iloc[0]) == ["he", 0]
    with Image.open(picture) as image:
        assert image.info["Software"] == f"resnet_explore {rx.__version__}"
    drawing, _ = explorer.save(tmp_path / "mine.svg")
    assert f"resnet_explore {rx.__version__}" in drawing.read_text()
    shown = explorer.strip.frames[1]
    monkeypatch.chdir(tmp_path)
    explorer.keep.click()
    assert re.fullmatch(
        r"Saved gradient_flow-\d+-\d+\.png and gradient_flow-\d+-\d+\.csv .*", explorer.note.value
    )
    assert explorer.strip.frames[1] == shown
    with pytest.raises(rx.ExploreError, match="can't be written"):
        explorer.save(tmp_path / "nowhere" / "a.png")


def test_data_that_is_not_there_is_offered_and_the_picture_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_EXPLORE_DATA", str(tmp_path))
    explorer = rx.GradientFlowExplorer(depths=(8,))
    explorer.wait()
    before, fetch = explorer.strip.frames, explorer.fetch
    assert ("CIFAR-10 (download, 170 MB)", "cifar10") in explorer.data.options
    assert fetch.layout.display == "none"
    explorer.data.value = "cifar10"
    assert "CIFAR-10 is not on this computer yet" in fetch.said.value
    assert (fetch.layout.display, explorer.data.value) == ("", "digits")

    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    fetch.button.click()
    fetch.wait(30)
    assert re.search("CIFAR-10 could not be downloaded to .*no network.*[)][.]<", fetch.said.value)
    assert "load_dataset" not in fetch.said.value, "no advice for Python"
    assert not fetch.button.disabled
    assert (explorer.strip.frames, explorer.data.value) == (before, "digits")

    def download(name):
        """What lies under the cache as folders of images is CIFAR-10, too."""
        pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
        for i, image in enumerate(pixels):
            folder = tmp_path / name / "train" / f"class{i % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")

    monkeypatch.setattr("resnet_explore.widgets.fetch.load_dataset", download)
    fetch.button.click()
    fetch.wait(60)
    assert fetch.layout.display == "none"
    assert explorer.data.value == "cifar10"
    assert ("CIFAR-10, 32×32", "cifar10") in explorer.data.options
    assert "32 training images of cifar10" in now(explorer)[1]
    assert explorer.bench.batch("cifar10").classes == 4


def test_a_view_hides_what_it_does_not_need_and_builds_nothing_anew(explorer):
    children, row = explorer.children, explorer.children[2].children

    def seen():
        return [one for one in (*children, *row) if one.layout.display != "none"]

    on, always = explorer.switches, [explorer.view, children[2], explorer.note, explorer.strip]
    live = [*on.conditions, on.shown, on.take, on.reset]
    for view, menus in (
        (BY_SKIP, [explorer.depth, *live]),
        (BY_STEP, [explorer.record, explorer.depth]),
        (HEATMAP, [explorer.record]),
        (JACOBIANS, [*on.conditions, on.take, on.reset]),
        (GUESS, []),
        (BY_DEPTH, live),
    ):
        explorer.view.value = view
        expected = [*always, *menus, explorer.keep, *([explorer.quiz] if view == GUESS else [])]
        assert set(seen()) == set(expected), view
    explorer.view.value = CLAIMS
    assert [one for one in seen() if one in children] == [explorer.view, explorer.claims]
    assert (explorer.children, explorer.children[2].children) == (children, row), "all are still there"


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
    truth = rx.gradient_flow(mine, images, labels)
    assert list(explorer.flows) == [0]
    np.testing.assert_allclose(
        explorer.flows[0]["mine"].weight_gradient_norms, truth.weight_gradient_norms, rtol=1e-4
    )
    title, caption = now(explorer)
    assert title.startswith("Step 0, first block's weight gradient over the last's. mine: layer 2 has ")
    assert (
        "(Frobenius, over the batch); train mode; batch norm; mine: initialisation not known, other: built "
        "with He initialisation; seed of the weights not known; mean cross-entropy; step 0; 6 images of "
        "yours (8×8). Logarithmic axis; triangles: beyond it, crosses: "
    ) in caption
    explorer.take.click()
    assert list(explorer.flows) == [0, 10]
    assert explorer.strip.index == 1
    assert explorer.flows[10]["mine"].loss < explorer.flows[0]["mine"].loss
    assert "step 10 of SGD at rate 0.04, momentum 0.9, batches of 6 drawn with seed 0" in now(explorer)[1]
    assert "One logarithmic axis for all positions of the slider" in now(explorer)[1]
    assert fingerprint(mine) == before


def test_one_network_needs_no_name_and_may_be_partly_frozen():
    images, labels = noise()
    model = small()
    model[0].weight.requires_grad_(False)
    explorer = rx.GradientFlowExplorer(models=model, images=images, labels=labels)
    assert list(explorer.flows[0]) == ["model"]
    title, caption = now(explorer)
    assert "model: layer 2 has " in title
    assert "model has 1 frozen of 4 layers: 1." in caption


def test_own_loss_for_own_networks():
    images, _ = noise()
    explorer = rx.GradientFlowExplorer(
        models={"auto": small()}, images=images, labels=torch.zeros(6, 10), loss=F.mse_loss
    )
    truth = rx.gradient_flow(small(), images, torch.zeros(6, 10), loss=F.mse_loss)
    assert explorer.flows[0]["auto"].loss == pytest.approx(truth.loss, rel=1e-5)
    explorer.take.click()
    assert explorer.flows[10]["auto"].loss < truth.loss


def test_own_images_through_the_twins():
    images, labels = noise(channels=3)
    explorer = rx.GradientFlowExplorer(depths=(8,), images=images, labels=labels.tolist())
    assert explorer.data.value == "yours"
    assert "6 images of yours (8×8)" in now(explorer)[1]
    model = rx.build("cifar_plain8", widths=(8, 16, 32), in_channels=3, num_classes=int(labels.max()) + 1)
    truth = rx.gradient_flow(model, images, labels)
    np.testing.assert_allclose(
        explorer.flows[8]["plain"].weight_gradient_norms, truth.weight_gradient_norms, rtol=1e-3
    )


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
def test_what_cannot_be_measured_stands_where_the_picture_would(model, count, sentence):
    images, labels = noise(count)
    explorer = rx.GradientFlowExplorer(models={"mine": model}, images=images, labels=labels)
    assert "mine: " in explorer.note.value, "which network it is"
    assert sentence in explorer.note.value
    assert "Still showing" not in explorer.note.value, "nothing was there"
    assert not explorer.strip.frames
    assert not explorer.strip.busy
    assert explorer.strip.message == "Nothing could be measured."


def test_networks_that_can_be_measured_are_shown_without_those_that_cannot():
    images, labels = noise()
    mine = {"cold": small().requires_grad_(False), "half": small().half(), "ok": small()}
    explorer = rx.GradientFlowExplorer(models=mine, images=images, labels=labels)
    assert list(explorer.flows[0]) == ["ok"]
    title, caption = now(explorer)
    assert title.startswith("Step 0, weight gradient. ok: ")
    said = caption.partition(" Not shown: ")[2]
    assert re.search(r"cold: .* are frozen: call requires_grad_.* half: The model is in float16", said)
    assert "Not shown: cold: " in explorer.note.value
    explorer.take.click()
    assert list(explorer.flows[10]) == ["ok"]
    cold = dict.fromkeys(("cold", "ice"), mine["cold"])
    with pytest.raises(rx.ExploreError, match=r"^cold, ice: .* are frozen: call requires_grad"):
        OwnView(Live(Bench(images, labels, cold), Conditions()), GradientProfile, [0]).measure(0)


def test_images_that_are_not_finite_are_all_that_is_said():
    images, labels = noise()
    images[2, 0, 1] = math.nan
    explorer = rx.GradientFlowExplorer(models={"mine": small()}, images=images, labels=labels)
    said = "Step 0, weight gradient. mine: the images hold numbers that are not finite."
    assert now(explorer)[0].startswith(said)
    explorer.take.click()
    assert now(explorer)[0].startswith(said.replace("Step 0", "Step 10"))


def test_a_network_that_blew_up_says_where():
    images, labels = noise()
    broken = small()
    with torch.no_grad():
        broken[3].weight.fill_(math.nan)
    explorer = rx.GradientFlowExplorer(models={"mine": broken}, images=images, labels=labels)
    assert "mine: the numbers have blown up. The weight of 3 is not a number" in now(explorer)[0]


def test_a_training_that_blows_up_says_at_which_step():
    images, labels = noise()
    mine = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with torch.no_grad():
        mine[3].weight.mul_(1e20)
    truth = LiveTraining(copy.deepcopy(mine), images, labels, 0.04, len(images))
    while truth.broke_at is None:
        truth.take(1)
    explorer = rx.GradientFlowExplorer(models={"mine": mine}, images=images, labels=labels)
    explorer.take.click()
    assert now(explorer)[0] == (
        "Step 10, weight gradient. mine: the numbers have blown up, the loss was first not finite at step "
        f"{truth.broke_at}. 6 images of yours (8×8), train mode, step 10."
    )


# --- parts --------------------------------------------------------------------------------------------------


def test_live_training_is_sgd_with_momentum():
    images, labels = noise(20)
    model, twin = small(), small()
    training = LiveTraining(model, images, labels, lr=0.1, batch_size=8, seed=3)
    training.take(2)
    training.take(3)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    random = torch.Generator().manual_seed(3)
    for _ in range(5):
        chosen = torch.randperm(20, generator=random)[:8]
        optimizer.zero_grad()
        F.cross_entropy(twin(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert training.steps == 5
    assert all(p.grad is None for p in model.parameters())


def test_another_activation_takes_every_place():
    model = with_activation(rx.build("cifar_resnet8"), "gelu")
    kinds = [type(m) for m in model.modules()]
    assert nn.ReLU not in kinds
    assert kinds.count(nn.GELU) == 7
    linear = with_activation(rx.build("cifar_plain8", norm="none"), "linear")
    x = torch.randn(2, 3, 8, 8)
    assert torch.allclose(linear(3 * x) - linear(0 * x), 3 * (linear(x) - linear(0 * x)), atol=1e-4)
    with pytest.raises(rx.ExploreError, match="did you mean 'relu'"):
        with_activation(model, "rely")


def test_a_newer_choice_stops_what_is_still_being_measured():
    class Slow(View):
        ticks = ("a", "b", "c", "d")

        def __init__(self, name):
            self.name, self.measured = name, []

        def measure(self, position):
            self.measured.append(position)
            time.sleep(0.05 if position else 0)
            return position

        def limits(self, results):
            return (1e-3, 1e3)

        def draw(self, result, limits, size):

            return GradientProfile(140, 130).draw({"plain": np.full(3, 1.0 + result)}, limits)

        def title(self, position, result):
            return f"{self.name} {position}"

        def caption(self, position, result=None):
            return ""

    from resnet_explore.widgets.filmstrip import Filmstrip

    scrub = Scrub(Filmstrip(), lambda sentence: None)
    first, second = Slow("first"), Slow("second")
    scrub.show(first, 0)
    assert scrub.strip.titles == ["first 0", *["Being measured ..."] * 3]
    scrub.show(second, 1)
    assert scrub.strip.index == 1
    scrub.wait(10)
    time.sleep(0.2)
    assert scrub.strip.titles == [f"second {k}" for k in range(4)]
    assert len(first.measured) < 4


def test_a_script_that_ends_while_others_are_measured_ends_well():
    script = (
        "import torch, resnet_explore as rx\n"
        "rx.GradientFlowExplorer(images=torch.randn(8, 3, 24, 40), labels=torch.arange(8))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_nobody_waits_for_the_garbage_collector():
    class Watchful(View):
        ticks = ("a", "b")

        def measure(self, position):
            self.collecting = gc.isenabled()
            raise rx.ExploreError(f"{position} can't be measured.")

    class Shown(Watchful):
        def measure(self, position):
            return position if position == 0 else super().measure(position)

        def limits(self, results):
            return (1e-3, 1e3)

        def draw(self, result, limits, size):
            self.drawn_while_collecting = gc.isenabled()
            return GradientProfile(140, 130).draw({"plain": np.ones(3)}, limits)

        def title(self, position, result):
            return ""

        def caption(self, position, result=None):
            return ""

    from resnet_explore.widgets.filmstrip import Filmstrip

    said = []
    scrub, view = Scrub(Filmstrip(), said.append), Watchful()
    with pytest.raises(rx.ExploreError, match="0 can't be measured"):
        scrub.show(view, 0)
    assert not view.collecting
    assert gc.isenabled(), "as before"
    shown = Shown()
    scrub.show(shown, 0)
    scrub.wait(10)
    assert said == ["Depth b: 1 can't be measured."]
    assert not shown.drawn_while_collecting
    assert shown.collecting, "what comes behind the first picture may take its time"


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        (0, "vanishes"),
        (0.0099, "vanishes"),
        (0.01, "shrinks"),
        (0.099, "shrinks"),
        (1 / 10, "stays level"),
        (10, "stays level"),
        (10.1, "grows"),
        (100, "grows"),
        (1e9, "explodes"),
        (math.inf, "explodes"),
    ],
)
def test_what_a_ratio_is_called(ratio, word):
    assert slope(ratio) == word


BLOCKS = alike_in_record(["conv1", *(f"layer1.{block}.conv{k}" for block in range(6) for k in (1, 2)), "fc"])


def reading(of_layers, alike=BLOCKS, **more):
    norms = np.array(of_layers, float)
    return read(norms, alike, alike.norms(norms), **more)


def layers_of(blocks, ratio=1.0):
    """Norms of a first layer, of blocks of two layers, one so many times the other, and of a last layer."""
    return [3.0, *(norm * share for norm in blocks for share in (1.0, ratio)), 8.0]


@pytest.mark.parametrize("between", [1.0, 600.0, 1 / 600])
def test_blocks_are_compared_with_blocks_whatever_their_layers_differ_by(between):
    """Fixup makes one of a block's convolutions much larger than the other: that is no slope."""
    unsteady = ", though not steadily"
    for blocks, ratio, verdict, *besides in (
        ([1.0, 1.1, 0.9, 1.0, 1.05, 1.0], 1, "stays level"),
        ([3e4, 4e3, 5e2, 60, 8, 1.0], 3e4, "explodes"),
        ([1, 8, 60, 5e2, 4e3, 3e4], 1 / 3e4, "vanishes"),
        ([20, 12, 7, 4, 2, 1.0], 20, "grows"),
        ([1, 2, 4, 7, 12, 20.0], 1 / 20, "shrinks"),
        ([5, 4, 3, 2, 1.5, 1.0], 5, "stays level"),
        ([900, 1, 700, 5, 800, 1.0], 900, "explodes", unsteady),
        ([1, 800, 2, 900, 1, 600.0], 1 / 600, "vanishes", unsteady),
        ([1, 0.1, 0.01, 0.01, 0.1, 1.0], 1, "stays level", unsteady),
        ([1, 0.1, 0, 0.01, 0.1, 1.0], 1, "stays level", unsteady),
    ):
        found = reading(layers_of(blocks, between))
        measured = f"at the first block {times(ratio)} that at the last block"
        assert found == Reading(verdict, measured, "".join(besides), multiple(ratio))
        assert found.said == f"{measured}, it {verdict}{''.join(besides)}"


def test_reading_aloud():
    grows = layers_of([20, 12, 7, 4, 2, 1.0])
    assert reading(grows, noun="activations").brief == "20×", "only gradients grow"
    twins = {"plain": reading(grows), "residual": reading(layers_of([1, 1, 1, 1, 1, 2.5]))}
    assert finding("14 layers", "gradient", twins, "digits, step 0") == (
        "14 layers, first block's gradient over the last's. Plain: 20×, grows; residual: 1/2.5, level. "
        "Digits, step 0."
    )
    measured = "at the first block 20 times that at the last block"
    for size, said in ((1e-7, "about 10⁻⁷ to 10⁻⁶"), (2e-5 / 28, "about 10⁻⁶ to 10⁻⁵")):
        tiny = reading(np.array(grows) * size)
        assert tiny == Reading("grows", measured, f", and is tiny: {said} at every layer", "20×")
    assert reading(np.full(14, 1.107e-6)).besides == ", and is tiny: about 10⁻⁶ at every layer"
    holes = np.full(14, 1e-6)
    holes[[0, 5]] = np.nan, 0
    assert reading(holes).besides == ", and is tiny: 0 to about 10⁻⁶ at all 13 layers where it exists"
    assert "far beyond the axis, up to 10¹⁶" in reading(np.array(grows) * 5e14).said
    assert reading(layers_of([np.inf, 1, 1, 1, 1, 1])).said.endswith("no finite number at 2 of 14 layers")
    assert "the network has blown up" in reading(np.full(14, np.nan)).said
    assert reading(grows, trouble="all is infinite") == Reading("", "all is infinite")
    assert reading(layers_of([0, 1, 2, 3, 4, 5])).said == "exactly 0 at the first block"
    two = Alike("convolution", ((1,), (3,)))
    assert reading([9, 4, 1, 2.0], two).said == "layer 2 has 2.0 times what layer 4 has, it stays level"
    assert reading([9, 1, 1, 50.0], two).said == "layer 2 has 1/50 of what layer 4 has, it shrinks"
    assert reading([1, 2.0], Alike("layer", ())).said == "from 1 to 2"


def test_zeros_and_what_is_undefined_are_counted():
    nothing = np.zeros(14)
    assert reading(nothing).said == "exactly 0 at every layer"
    nothing[[0, 13]] = 1, 2
    assert reading(nothing).said == "exactly 0 at 12 of 14 layers"
    ratio = np.zeros(14)
    ratio[13] = np.inf
    assert reading(ratio, absent="undefined (weight 0)").said == (
        "exactly 0 at the 13 layers where it exists, undefined (weight 0) at 1"
    )
    ratio[0] = 1
    assert "at 12 of 13 layers where it exists, " in reading(ratio).said


def test_the_caption_names_what_is_compared():
    assert compared({"plain": BLOCKS, "residual": BLOCKS}) == (
        " Compared (shaded): first block, layers 2–3, against last block, layers 12–13; of a block the root "
        "of the sum of squares."
    )
    two = Alike("convolution", ((1,), (3,)))
    said = "convolution at layer 2 against convolution at layer 4."
    assert compared({"a": two}) == f" Compared (shaded): {said}"
    assert "plain: first block" in compared({"plain": BLOCKS, "mine": two})
    assert compared({"a": Alike("layer", ((1,), (12,)))}) == " Compared (shaded): layer 2 against layer 13."
    assert compared({"a": Alike("layer", ())}) == ""


@pytest.mark.parametrize("position", range(len(QUESTIONS)))
def test_the_answer_to_a_question_is_what_the_headline_says(explorer, monkeypatch, position):
    monkeypatch.setattr("resnet_explore.widgets.gradient_quiz.DEPTH", 20)
    explorer.view.value = GUESS
    quiz = explorer.quiz
    for guess in VERDICTS:
        quiz.question.value = (position + 1) % len(QUESTIONS)
        quiz.question.value = position
        quiz.guess.value = guess
        quiz.reveal.click()
        answer = re.search(
            r"<b>(Right|You said that it .*?): it (.*?)((?:, .*?)?)\.</b> Measured: (.*?)\. \d",
            quiz.verdict.value,
        )
        assert (answer[1] == "Right") == (guess == answer[2])
        flow = QUESTIONS[position].measure(quiz.bench)
        assert answer[2] == slope(flow.ratio), "one guess is right, and it follows from the ratio"
        assert answer[4] == f"at the first block {times(flow.ratio)} that at the last block"
        word = answer[2].removeprefix("stays ")
        assert f": {multiple(flow.ratio)}, {word}{answer[3]}. " in explorer.strip.titles[0]
        assert ("tiny" in answer[3]) == (flow.weight_gradient_norms.max() < 1e-4)


def test_a_picture_has_gaps_where_there_is_nothing_and_marks_for_zeros():
    values = np.array([1.0, 0, 0, np.inf, 40.0, 3.0])
    ax = GradientProfile(200, 100).draw({"plain": values}, (1e-1, 10), parts=[(1, 2), (4,)]).axes[0]
    line, *marks = (artist for artist in ax.lines if len(artist.get_xdata()))
    np.testing.assert_array_equal(line.get_ydata(), [1, np.nan, np.nan, np.nan, 40, 3])
    assert [list(mark.get_xdata()) for mark in marks] == [[5], [2, 3]], "beyond the axis, and zeros"
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches] == [
        (1.5, 3.5),
        (4.5, 5.5),
    ]
    assert ax.get_xticks()[0] == 1


def test_a_bench_measures_once():
    bench = Bench()
    first = bench.flow("plain", 8, Conditions())
    assert bench.flow("plain", 8, Conditions()) is first
    assert bench.flow("plain", 8, Conditions(steps=20)).loss < first.loss
    assert bench.flow("plain", 8, Conditions()) is first
