"""The degradation explorer on the Python side: records, views, training, a person's own images."""

import html
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import resnet_explore as rx
from resnet_explore import paths
from resnet_explore.analysis.alike import alike_in_record
from resnet_explore.figures.degradation import DegradationFigure
from resnet_explore.figures.layers import LayerFigure
from resnet_explore.inputs.folders import LAYOUT, survey
from resnet_explore.training.published import CIFAR_TEST_ERROR, IMAGENET_TOP1_ERROR
from resnet_explore.training.recorded import list_records, open_record
from resnet_explore.training.summary import decades, final_errors, layer_values
from resnet_explore.widgets import own_folder
from resnet_explore.widgets.degradation import ERRORS, GRADIENTS, PAPER, RESPONSES, YOUR_FOLDER
from resnet_explore.widgets.errors_view import error_pictures
from tests.made_up import write_record

TINY = {"depths": (8, 14), "epochs": 2, "width": 2, "batch_size": 128}


def test_degradation_begins_with_the_recorded_runs(tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    assert explorer.strip.ticks == ["8", "20", "32", "56", "110"]
    assert explorer.strip.ticks[explorer.strip.index] == "56"
    last = explorer.table.query("epoch == 8 and depth == 56").groupby("kind")["train_error"].mean()
    title = explorer.strip.titles[3]
    assert f"{last['plain']:.0f} %" in title
    assert "seeds 0, 1, 2, 3 and 4" in explorer.strip.captions[0]
    assert len({bytes(frame) for frame in explorer.strip.frames}) == 5


def test_training_in_the_notebook_stops_and_goes_on(tmp_path):
    explorer = rx.DegradationExplorer(rx.Sweep(**{**TINY, "epochs": 40}), out=tmp_path / "digits")
    explorer.start()
    deadline = time.monotonic() + 60
    while "Your own run" not in explorer.strip.captions[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert explorer.train.disabled
    assert not explorer.stop.disabled
    explorer.stop.click()
    explorer.wait(60)
    assert "goes on from the last finished epochs" in explorer.status.value
    assert 0 < len(explorer.table) < 160
    explorer.train.click()
    explorer.wait(120)
    assert len(explorer.table) == 160
    assert explorer.progress.value == 1
    assert "All 4 networks were trained here in" in explorer.status.value
    assert "after an earlier start" in explorer.status.value
    explorer.back.click()
    assert "Recorded runs" in explorer.strip.captions[0]
    assert explorer.back.disabled
    assert explorer.status.value == "<b>Train</b> continues or shows your run with this seed."
    explorer.start()
    explorer.wait(60)
    assert "All 4 networks were trained here earlier" in explorer.status.value
    assert not [t for t in threading.enumerate() if t is explorer.panel.thread and t.is_alive()]


def test_a_folder_that_is_taken_is_said_and_the_picture_stays(tmp_path):
    (tmp_path / "digits" / "seed-0").mkdir(parents=True)
    (tmp_path / "digits" / "seed-0" / "thesis.txt").write_text("mine")
    explorer = rx.DegradationExplorer(rx.Sweep(**TINY), out=tmp_path / "digits")
    before = explorer.strip.frames
    explorer.start()
    explorer.wait(60)
    assert "is no folder of runs" in explorer.status.value
    assert explorer.strip.frames == before
    assert not explorer.train.disabled


def test_half_a_sweep_can_be_drawn(tmp_path):
    explorer = rx.DegradationExplorer(rx.Sweep(depths=(8, 14, 20)), out=tmp_path / "digits")
    row = explorer.table.iloc[0].to_dict()
    explorer.show_table(pd.DataFrame([{**row, "kind": "plain", "depth": 8, "epoch": 1}]), "Your own run")
    assert explorer.strip.ticks == ["8", "14", "20"]
    assert all("no finished epoch yet of both twins" in title for title in explorer.strip.titles)


@pytest.fixture
def half(tmp_path):
    """Runs of 3 epochs: plain-14 has 1 of them, residual-14 has 2, and so has plain-8 with seed 1."""
    write_record(tmp_path / "half", seeds={8: (0, 1), 14: (0,), 20: (0,)})
    table = open_record(tmp_path / "half").table().assign(epochs=3)
    table["train_error"] = table["depth"] + 100 / table["epoch"] + 5 * table["seed"]
    ends = {("plain", 14, 0): 1, ("residual", 14, 0): 2, ("plain", 8, 1): 2}
    keys = zip(table["kind"], table["depth"], table["seed"], strict=True)
    return table[[epoch <= ends.get(key, 3) for key, epoch in zip(keys, table["epoch"], strict=True)]]


def test_runs_that_are_not_finished_are_marked_and_not_joined(half, tmp_path):
    pictures = error_pictures(half, "Yours", "ducks", [8, 14, 20])
    caption = pictures["captions"][0]
    assert "Open marks, which no line joins: runs that are not finished, after 1 to 2 of 3 epochs." in caption
    finished = half[half["run"].isin(half.loc[half["epoch"] == 3, "run"])]
    assert "Open marks" not in error_pictures(finished, "Yours", "ducks", [8, 14, 20])["captions"][0]
    titles = pictures["titles"]
    assert titles[
        0
    ] == f"8 layers: the plain network gets {8 + 100 / 3:.0f} % of its training images wrong, " + (
        f"the residual one {8 + 100 / 3 + 2.5:.0f} %."
    ), "of the seeds that are finished"
    assert titles[1].startswith("14 layers after 1 of 3 epochs: the plain network gets 114 %")
    assert titles[1].endswith("the residual one 114 %."), "both after as many epochs"
    ends = {kind: final_errors(half, kind, [8, 14, 20])["train"] for kind in ("plain", "residual")}
    np.testing.assert_allclose(ends["plain"][:, 0], [8 + 100 / 3, np.nan, 20 + 100 / 3])
    so_far = {"plain": [(14, 60.0), (8, 50.0)]}
    figure = DegradationFigure([8, 14, 20], 3, 100, so_far, "after 1 to 2 of 3 epochs")
    curves = {kind: {"train": np.full((3, 1), 9.0), "test": np.full((3, 1), 9.0)} for kind in ends}
    figure.draw({kind: {"train": errors} for kind, errors in ends.items()}, curves, 8)
    lines = figure.overview.lines
    drawn = next(line for line in lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3)
    assert np.isnan(drawn.get_ydata()[1]), "the line is broken where no run is finished"
    (marks,) = (line for line in lines if line.get_markerfacecolor() == "none" and len(line.get_xdata()))
    assert (list(marks.get_xdata()), list(marks.get_ydata())) == ([14, 8], [60, 50])
    assert marks.get_linestyle() == "None"
    texts = [text.get_text() for text in figure.overview.get_legend().get_texts()]
    assert texts == ["Plain", "Residual", "after 1 to 2 of 3 epochs"]


@pytest.mark.parametrize("given", [2.7, -3.0, 2.0**31, float("nan"), float("inf")])
def test_a_seed_that_is_none_is_said_and_the_former_stays(given, tmp_path):
    explorer = rx.DegradationExplorer(rx.Sweep(**TINY), out=tmp_path / "digits")
    explorer.seed.value = 4
    assert explorer.panel.job(explorer.panel.chosen_seed)[0].seeds == (4,)
    before = explorer.strip.frames
    explorer.seed.value = given
    assert explorer.seed.value == explorer.panel.chosen_seed == 4
    assert "A seed is a whole number from 0 to 2,147,483,647, not" in explorer.status.value
    assert "it stays 4." in explorer.status.value
    assert explorer.strip.frames == before
    explorer.seed.value = 5
    assert 'role="alert"' not in explorer.status.value
    assert explorer.panel.chosen_seed == 5


# --- records -----------------------------------------------------------------------------------------------


@pytest.fixture
def share(tmp_path, monkeypatch):
    """What ships, with made-up records of CIFAR-10 and Imagenette in the place of the real ones."""
    digits = paths.shipped("data", "digits")
    shutil.copytree(digits, tmp_path / "share" / "data" / "digits", ignore=shutil.ignore_patterns("*.safe*"))
    write_record(tmp_path / "share" / "data" / "cifar10")
    write_record(tmp_path / "share" / "data" / "imagenette", "imagenette", "imagenet", {18: (0,)})
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "share")
    return tmp_path / "share" / "data"


def test_every_record_that_ships_is_offered_by_itself(share, tmp_path):
    write_record(share / "another", seeds={8: (0, 1)})
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    assert explorer.data.options == (
        "Digits (8×8, grey)",
        "another",
        "CIFAR-10 (32×32)",
        "Imagenette (photos)",
        YOUR_FOLDER,
    )
    explorer.data.value = "Imagenette (photos)"
    assert explorer.strip.ticks == ["18"]
    assert explorer.strip.titles[0].startswith("18 layers: the plain network gets 14 %")
    assert (
        "Only 18 layers were trained: this compares the twins, it can't compare" in explorer.strip.captions[0]
    )
    explorer.data.value = "CIFAR-10 (32×32)"
    assert explorer.strip.ticks == ["8", "14", "20", "32", "44", "56"]
    assert explorer.strip.index == 5, "where the twins lie furthest apart"
    caption = explorer.strip.captions[0]
    assert "a made-up copy of cifar10, shifted and mirrored at random" in caption
    assert "seeds 0, 1 and 2 at 20 and 56 layers, seed 0 elsewhere" in caption
    assert "batch 128, one-cycle to 0.1, bf16" in caption
    assert explorer.train.disabled
    assert "took 240 minutes" in explorer.status.value
    assert "<code>resnet-explore sweep cifar10 --depths 20,56</code>" in explorer.status.value
    explorer.data.value = "Digits (8×8, grey)"
    assert not explorer.train.disabled
    assert len(explorer.table) == 400


def test_runs_that_a_record_lacks_are_told(share, tmp_path):
    about = json.loads((share / "cifar10" / "about.json").read_text())
    about["commands"] = ["resnet-explore sweep cifar10 --depths 20,56,110 --seeds 0,1,2,3 --root /home/me"]
    (share / "cifar10" / "about.json").write_text(json.dumps(about))
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    assert "not recorded yet" not in explorer.strip.captions[0]
    explorer.data.value = "CIFAR-10 (32×32)"
    told = (
        "12 of 24 runs are not recorded yet: seeds 0, 1, 2 and 3 at 110 layers, seed 3 at 20 and 56 layers."
    )
    assert told in explorer.strip.captions[0]
    explorer.view.value = GRADIENTS
    assert told in explorer.gradients.strip.captions[0]
    assert "These 20 runs took 240 minutes of training" in explorer.status.value
    assert "they, and those that are missing, are trained again by" in explorer.status.value


def test_the_records_in_the_repository_can_all_be_shown(tmp_path):
    records = list_records()
    assert records[0].name == "digits"
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    for record in records:
        explorer.data.value = record.title
        explorer.view.value = PAPER
        assert explorer.strip.steps == record.table()["depth"].nunique()
        assert record.commands[0].startswith(f"resnet-explore sweep {record.name}")
        assert "--root" not in record.commands[0]


def test_a_record_of_ones_own_comes_first_and_is_what_train_repeats(share, tmp_path):
    write_record(tmp_path / "mine", seeds={8: (3,), 20: (3,)})
    explorer = rx.DegradationExplorer(out=tmp_path / "digits", recorded=tmp_path / "mine")
    assert explorer.data.value == "mine"
    assert explorer.strip.ticks == ["8", "20"]
    assert not explorer.train.disabled


def test_runs_of_two_recipes_are_not_drawn_as_one(share, tmp_path):
    table = open_record(share / "cifar10").table()
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    before = explorer.strip.frames
    with pytest.raises(rx.ExploreError, match="these differ in width, lr"):
        explorer.show_table(pd.concat([table, table.assign(width=32, lr=0.2)]), "Mine")
    pd.concat([table, table.assign(width=32)]).to_csv(share / "cifar10" / "history.csv", index=False)
    explorer.data.value = "CIFAR-10 (32×32)"
    assert "differ in width: choose some of them first. Still showing" in explorer.status.value
    assert explorer.strip.frames == before
    explorer.show_table(table, "Mine", "ducks")
    assert explorer.strip.captions[0].startswith("Mine: ducks")


# --- layers ------------------------------------------------------------------------------------------------


def test_gradients_and_responses_go_from_step_to_step(share, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = "CIFAR-10 (32×32)"
    explorer.view.value = GRADIENTS
    view = explorer.gradients
    assert view.strip.ticks == ["0", "1", "3", "10", "30", "389", "779", "1169"]
    assert view.depth.value == 56
    assert view.strip.index == 0
    # 1.2 a layer from the first block to the last, which are 52 layers apart
    assert view.strip.titles[0] == (
        "56 layers, before the first step, weight gradient. Plain: at the first block 13,000 times that "
        "at the last block, it explodes; residual: at the first block 1.0 times that at the last block, it "
        "stays level."
    )
    assert 12_500 < 1.2**52 < 13_500
    assert view.strip.titles[5].startswith("56 layers, step 389, the end of epoch 1, weight gradient. Plain")
    assert "that at the last block, it stays level; residual" in view.strip.titles[5]
    assert "train mode" in view.strip.captions[0]
    assert "seeds 0, 1 and 2 at 20 and 56 layers" in view.strip.captions[0]
    first = view.strip.frames
    view.strip.index = 3
    view.depth.value = 8
    assert view.strip.index == 3, "the step stays"
    assert "8 layers, step 10, " in view.strip.titles[3]
    assert view.strip.frames != first
    assert explorer.strip.ticks[explorer.strip.index] == "8", "one depth for all views"
    explorer.view.value = RESPONSES
    view = explorer.responses
    assert view.strip.index == 7, "as in the paper, after training"
    assert view.strip.titles[7] == (
        "8 layers, step 1169, the end of epoch 3. "
        "Plain layers answer with 2.0 to 2.0, residual layers answer with 0.50 to 0.50."
    )
    assert "answers with 1, which is how batch norm starts" in view.strip.titles[0]
    assert "Fig. 7" in view.strip.captions[0]
    explorer.view.value = ERRORS
    explorer.strip.index = 4
    explorer.view.value = GRADIENTS
    assert explorer.gradients.depth.value == 44
    assert explorer.gradients.strip.titles[3].startswith("44 layers, step 10, ")


def test_a_record_without_layers_says_so_and_another_one_shows_them(share, tmp_path):
    (share / "cifar10" / "layers.parquet").unlink()
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = "CIFAR-10 (32×32)"
    for view, page in ((GRADIENTS, explorer.gradients), (RESPONSES, explorer.responses)):
        explorer.view.value = view
        assert page.strip.frames == []
        assert page.strip.message == "The record 'cifar10' was made without a look at the layers."
    explorer.data.value = "Digits (8×8, grey)"
    assert explorer.responses.strip.steps == 13
    assert explorer.responses.depth.value == 56
    explorer.show_table(explorer.table, "Mine")
    assert "Nothing was noted of the layers" in explorer.responses.strip.message


def test_the_recorded_digits_say_what_the_notebooks_say():
    layers = rx.collect_layers(paths.shipped("data", "digits"))
    deep = layer_values(layers, 110, "gradient_norm")
    assert list(deep)[:3] == [0, 1, 3]
    assert deep[0]["plain"].shape == (110, 5)
    blocks = alike_in_record(list(layers.query("depth == 110").drop_duplicates("position")["layer"]))
    ratios = {}
    for step, kind in ((0, "plain"), (0, "residual"), (175, "plain")):
        first, *_, last = blocks.norms(deep[step][kind])
        ratios[step, kind] = np.exp(np.log(first / last).mean())
    assert ratios[0, "plain"] > 1e5
    assert ratios[0, "residual"] < 100
    assert ratios[175, "plain"] < 1e-5
    responses = layer_values(layers, 56, "response_std")[175]
    assert np.mean(responses["plain"]) > np.mean(responses["residual"]), "He et al. 2015, Fig. 7"


def test_decades_are_what_they_say():
    assert decades([np.array([0.03, np.nan, 0.0]), np.array([[40.0, np.inf]])]) == pytest.approx((0.01, 100))
    assert decades([np.array([np.nan])]) == (1e-3, 1e3)


def test_bands_span_the_seeds_and_what_cannot_be_drawn_is_left_out():
    figure = LayerFigure(4, (1e-2, 1e2), "y", "x", log=True, ranked=True)
    values = np.array([[1.0, 4.0], [2.0, np.nan], [0.0, np.inf], [8.0, 2.0]])
    figure.draw({"plain": values})
    line = figure.in_order.lines[0]
    np.testing.assert_allclose(line.get_xdata(), [1, 2, 4])
    np.testing.assert_allclose(line.get_ydata(), [2, 2, 4])
    band = figure.in_order.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1, 8)
    ranked = figure.ranked.lines[0]
    np.testing.assert_allclose(ranked.get_ydata()[0], 8), "each seed sorted by itself"
    figure.draw({"residual": np.full((4, 1), np.nan)})
    assert len(figure.in_order.lines) == 0


# --- the paper ---------------------------------------------------------------------------------------------


def test_the_papers_numbers_stand_beside_ours_and_are_marked(share, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = "CIFAR-10 (32×32)"
    explorer.view.value = PAPER
    card = explorer.paper.value
    for depth, error in {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}.items():
        assert CIFAR_TEST_ERROR[depth] == error
        assert f"{error:.2f}</td>" in card
    assert IMAGENET_TOP1_ERROR == {
        18: {"plain": 27.94, "residual": 27.88},
        34: {"plain": 28.54, "residual": 25.03},
    }
    theirs = card.split("He et al. 2015, Table 2")[1].split("</table>")[0]
    assert all(
        f"{error:.2f}" in theirs for errors in IMAGENET_TOP1_ERROR.values() for error in errors.values()
    )
    assert "arXiv 1512.03385" in card
    assert "Compare the order, not the values" in card
    ours = card.split("He et al. 2015, Table 6")[0]
    assert "plain 16 % → 25 % and residual 14 % → 12 %" in ours, "from 20 to 56 layers, the paper's own pair"
    assert "16.00 ± 1.00</td>" in ours, "three seeds"
    assert "12.00</td>" in ours, "one seed has no deviation"
    explorer.data.value = "Imagenette (photos)"
    assert "Our errors, and those of the paper." in explorer.paper.value


# --- your folder -------------------------------------------------------------------------------------------


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
    usual = own_folder.folder_sweep

    def tiny(*args, **kwargs):
        return replace(usual(*args, **kwargs), depths=(8,), width=2, size=8, epochs=2, batch_size=8)

    monkeypatch.setattr(own_folder, "folder_sweep", tiny)


def test_a_folder_of_images_is_trained_on(small, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "runs" / "digits")
    assert explorer.folder.layout.display == "none"
    explorer.data.value = YOUR_FOLDER
    assert explorer.folder.layout.display == ""
    assert "Name a folder of images" in explorer.status.value
    assert "The picture shows Digits" in explorer.status.value
    explorer.start()
    assert "Name a folder of images first." in explorer.status.value
    images = write_images(tmp_path / "pets")
    explorer.folder.path.value = f" {images} "
    assert "24 training images of 2 classes (cats, dogs)" in explorer.status.value
    (images / "train" / "cats" / "broken.jpg").write_bytes(b"no image")
    explorer.start()
    explorer.wait(60)
    assert "1 of 25 images" in explorer.status.value
    assert "train/cats/broken.jpg" in explorer.status.value
    assert "tick &quot;Leave out broken images&quot;" in explorer.status.value
    assert explorer.table["dataset"].iloc[0] == "digits", "the picture stays"
    explorer.folder.skip.value = True
    explorer.start()
    assert explorer.data.disabled
    explorer.wait(120)
    assert "All 2 networks were trained here" in explorer.status.value
    assert "Left out, since they can't be read: train/cats/broken.jpg." in explorer.status.value
    assert set(explorer.table["dataset"]) == {"folder"}
    assert f"image folder {images}" in explorer.strip.captions[0]
    assert explorer.strip.ticks == ["8"]
    explorer.view.value = GRADIENTS
    assert explorer.gradients.strip.ticks == ["0", "1", "2", "3", "5"]
    assert not explorer.data.disabled
    explorer.back.click()
    assert set(explorer.table["dataset"]) == {"digits"}
    (folder,) = (tmp_path / "runs").glob("pets-*")
    Image.new("RGB", (20, 24)).save(images / "train" / "dogs" / "new.png")
    assert explorer.folder.job(0)[1].parent != folder, "other images, other runs"


def test_folders_that_cannot_be_trained_on_get_one_sentence(tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = YOUR_FOLDER
    assert html.escape(LAYOUT) in explorer.status.value
    assert LAYOUT in Path(__file__).parents[1].joinpath("notebooks", "01_degradation.ipynb").read_text()
    write_images(tmp_path / "one", classes=("only",))
    (tmp_path / "empty").mkdir()
    for path, sentence in (
        (tmp_path / "one", "holds images of one class only (&#x27;only&#x27;); two are needed."),
        (tmp_path / "empty", "has no images that lie as &lt;class&gt;/&lt;image&gt;, or train/"),
        (tmp_path / "nowhere", "is not there"),
        ("~nobody-here/x", "cannot be used"),
    ):
        before = explorer.strip.frames
        explorer.folder.path.value = str(path)
        assert sentence in explorer.status.value
        assert 'role="alert"' in explorer.status.value
        explorer.start()
        explorer.wait(30)
        assert sentence in explorer.status.value
        assert explorer.strip.frames == before


def test_the_sweep_on_a_folder_suits_the_number_of_images(tmp_path):
    found = survey(write_images(tmp_path / "pets"))
    assert (found.images, found.classes) == (24, ("cats", "dogs"))
    few, many = (own_folder.folder_sweep(replace(found, images=n), "x", False, seed=4) for n in (24, 50_000))
    assert (few.epochs, many.epochs) == (30, 4)
    assert few.seeds == (4,)
    assert few.depths == (8, 20, 56)
