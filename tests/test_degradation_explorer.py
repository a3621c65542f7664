"""The degradation explorer on the Python side: records, views, training, a person's own images."""

import contextlib
import html
import io
import json
import re
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

import resnet_explore as rx
from resnet_explore import paths
from resnet_explore.analysis.alike import alike_in_record
from resnet_explore.figures.degradation import DegradationFigure
from resnet_explore.figures.layers import LayerFigure
from resnet_explore.figures.style import COLORS
from resnet_explore.inputs.folders import LAYOUT, survey
from resnet_explore.training.published import CIFAR_TEST_ERROR, IMAGENET_TOP1_ERROR
from resnet_explore.training.recorded import list_records, open_record
from resnet_explore.training.summary import decades, final_errors, layer_values, to_markdown
from resnet_explore.widgets import own_folder
from resnet_explore.widgets.degradation import ERRORS, GRADIENTS, PAPER, RESPONSES, YOUR_FOLDER
from resnet_explore.widgets.errors_view import error_pictures
from resnet_explore.widgets.paper_view import beside_the_paper
from tests.made_up import write_record

TINY = {"depths": (8, 14), "epochs": 2, "width": 2, "batch_size": 128}


def test_degradation_begins_with_the_recorded_runs(tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    assert explorer.strip.ticks == ["8", "20", "32", "56", "110"]
    assert (explorer.depth.ticks, explorer.depth.chosen) == (explorer.strip.ticks, "56")
    assert not explorer.strip.show_slider, "there is one slider over depth, for all views"
    last = explorer.table.query("epoch == 8 and depth == 56").groupby("kind")["train_error"].mean()
    title = explorer.strip.titles[3]
    assert f"{last['plain']:.0f} %" in title
    assert "seeds 0, 1, 2, 3 and 4" in explorer.strip.captions[0]
    assert len({bytes(frame) for frame in explorer.strip.frames}) == 5


@pytest.mark.training
def test_training_in_the_notebook_stops_and_goes_on(tmp_path):
    explorer = rx.DegradationExplorer(rx.Sweep(**{**TINY, "epochs": 16}), out=tmp_path / "digits")
    said = []
    explorer.status.observe(lambda change: said.append(change["new"]), "value")
    explorer.start()
    deadline = time.monotonic() + 300  # it takes 10 s, but not on a busy machine
    while "Your own run" not in explorer.strip.captions[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "They train on scikit-learn&#x27;s handwritten digits: 1,437 training" in said[1]
    assert explorer.train.disabled
    assert not explorer.stop.disabled
    explorer.stop.click()
    explorer.wait(300)
    assert "goes on from the last finished epochs" in explorer.status.value
    assert 0 < len(explorer.table) < 64
    said = []
    explorer.status.observe(lambda change: said.append(change["new"]), "value")
    explorer.train.click()
    explorer.wait(600)
    trained = [sentence for sentence in said if sentence.startswith("Trained ")]
    assert "left" not in trained[0], "nothing is known yet"
    # How long is left is told once it can be: of little that is left, never.
    form = re.compile(r"Trained \d+ of 64 epochs in \d+ s(, about \d+ (s|min) left)?\.")
    assert all(form.fullmatch(sentence) for sentence in trained)
    assert len(explorer.table) == 64
    assert explorer.progress.value == 1
    assert "All 4 networks were trained here in" in explorer.status.value
    assert "after an earlier start" in explorer.status.value
    explorer.back.click()
    assert "Recorded runs" in explorer.strip.captions[0]
    assert explorer.back.disabled
    assert explorer.status.value == "<b>Train</b> continues or shows your run with this seed."
    explorer.start()
    explorer.wait(300)
    assert "All 4 networks were trained here earlier" in explorer.status.value
    assert not [t for t in threading.enumerate() if t is explorer.panel.thread and t.is_alive()]


@pytest.mark.training
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
    assert explorer.depth.index == 5, "where the twins lie furthest apart"
    caption = explorer.strip.captions[0]
    assert "a made-up copy of cifar10, shifted and mirrored at random" in caption
    assert "seeds 0, 1 and 2 at 20 and 56 layers, seed 0 elsewhere" in caption
    assert "batch 128, one-cycle to 0.1, bf16" in caption
    assert explorer.train.disabled
    assert "took 240 minutes" in explorer.status.value
    told = re.sub("<[^>]*>", "", explorer.status.value)
    assert "are trained again byresnet-explore sweep cifar10 --depths 20,56As they stand" in told
    assert told.endswith("where errors may differ; --root FOLDER names data of yours.")
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
    assert "they download the original data and train on those" in explorer.status.value
    assert "--root /home/me" not in explorer.status.value


def test_the_records_in_the_repository_can_all_be_shown(tmp_path):
    records = list_records()
    assert records[0].name == "digits"
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    for record in records:
        explorer.data.value = record.title
        explorer.view.value = ERRORS
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


# --- seeds, some depths with more than others ---------------------------------------------------------------


@pytest.fixture
def uneven(tmp_path):
    """20 and 56 layers with three seeds, the others with one, and no plain network of 56 layers."""
    write_record(tmp_path / "uneven")
    table = open_record(tmp_path / "uneven").table()
    return table[(table["kind"] != "plain") | (table["depth"] != 56)]


CURVES = {k: {"train": np.full((3, 1), 9.0), "test": np.full((3, 1), 9.0)} for k in ("plain", "residual")}


def test_several_seeds_between_single_ones_get_a_bar_and_no_band(uneven):
    depths = [8, 14, 20, 32, 44, 56]
    figure = DegradationFigure(depths, 3)
    figure.draw({kind: final_errors(uneven, kind, depths) for kind in CURVES}, CURVES, 20)
    spans = {}
    for shape in figure.overview.collections:
        for path in shape.get_paths():
            x, y = path.vertices.T
            color = to_hex(shape.get_edgecolor()[0]).upper()
            spans.setdefault(color, []).append((x.min(), x.max(), y.min(), y.max()))
    expected = {
        COLORS["plain"]: [(20, 20, 15, 17)],
        COLORS["residual"]: [(20, 20, 13, 15), (56, 56, 11.2, 13.2)],
    }
    assert spans.keys() == expected.keys()
    for color, here in expected.items():
        np.testing.assert_allclose(spans[color], here)
    lines = [line for line in figure.overview.lines if line.get_linestyle() == "-" and len(line.get_xdata())]
    np.testing.assert_allclose(lines[0].get_ydata(), [12, 13.5, 16, 18, 21, np.nan])
    np.testing.assert_allclose(lines[1].get_ydata(), [13.6, 13.3, 14, 12.4, 11.8, 12.2])


def test_bands_join_neighbouring_depths_that_have_several_seeds(tmp_path):
    write_record(tmp_path / "rest", seeds={8: (0,), 20: (0, 1), 32: (1, 2, 3), 56: (0,)})
    table, depths = open_record(tmp_path / "rest").table(), [8, 20, 32, 56]
    figure = DegradationFigure(depths, 3)
    figure.draw({"plain": final_errors(table, "plain", depths)}, CURVES, 20)
    (band,) = (path for shape in figure.overview.collections for path in shape.get_paths())
    x, y = band.vertices.T
    assert (x.min(), x.max(), y.min(), y.max()) == (20, 32, 15, 21)


def test_errors_that_stand_side_by_side_have_one_scale(tmp_path, monkeypatch):
    drawn = []
    draw = DegradationFigure.draw
    monkeypatch.setattr(
        DegradationFigure, "draw", lambda self, *more: drawn.append(self) or draw(self, *more)
    )
    write_record(tmp_path / "some", seeds={8: (0,), 56: (0,)})
    table = open_record(tmp_path / "some").table()
    for scale, top in ((1, 50), (0.1, 5)):
        errors = {name: scale * table[name] for name in ("train_error", "test_error")}
        error_pictures(table.assign(**errors), "", "ducks", [8, 56])
        for ax in drawn[-1].figure.axes:
            assert ax.get_ylim() == pytest.approx((-0.03 * top, 1.03 * top))


def test_words_say_which_depths_have_how_many_seeds(uneven, tmp_path):
    depths = [8, 14, 20, 32, 44, 56]
    pictures = error_pictures(uneven, "Recorded runs", "ducks", depths)
    assert (
        "; seeds 0, 1 and 2 at 20 layers, seeds 0, 1 and 2 of residual at 56 layers, seed 0 elsewhere; lines "
        "are means, and bands or bars the range over seeds where there are several."
    ) in pictures["captions"][0]
    assert pictures["titles"][2] == (
        "20 layers: the plain network gets 16 % of its training images wrong, the residual one 14 %."
    )
    assert pictures["titles"][5] == (
        "56 layers: the residual network gets 12 % of its training images wrong; the plain one is not "
        "trained yet."
    )
    single = uneven[uneven["seed"] == 0]
    assert "range over seeds" not in error_pictures(single, "", "ducks", depths)["captions"][0]
    all_three = uneven[uneven["depth"] == 20]
    caption = error_pictures(all_three, "", "ducks", [20])["captions"][0]
    assert "; seeds 0, 1 and 2; lines are means, and bands the range over seeds. Errors" in caption


def test_tables_say_how_many_seeds_are_behind_each_number(uneven):
    card = beside_the_paper(uneven, "ducks", 56)
    rows = re.findall(r'<tr[^>]*><th scope="row"[^>]*>(\d+)</th>(.*?)</tr>', card.split("Table 6")[0])
    cells = {int(depth): re.findall(r"<td[^>]*>(.*?)</td>", row) for depth, row in rows}
    assert cells[8] == ["1", "12.00", "13.60", "15.00", "16.60"]
    assert cells[20] == ["3", "16.00 ± 1.00", "14.00 ± 1.00", "19.00 ± 1.00", "17.00 ± 1.00"]
    assert cells[56] == ["3 residual", "–", "12.20 ± 1.00", "–", "15.20 ± 1.00"]
    assert "Mean ± standard deviation over seeds where there are several." in card
    assert "Our errors, and those of the paper." in card, "one of the four that the title compares is missing"
    fewer = uneven[(uneven["kind"] != "residual") | (uneven["seed"] == 0)]
    assert ">3 plain, 1 residual</td>" in beside_the_paper(fewer, "ducks")
    single = beside_the_paper(uneven[uneven["seed"] == 0], "ducks")
    assert "standard deviation" not in single
    assert "One seed each, so without a spread." in single
    lines = to_markdown(rx.summarize(uneven)).splitlines()
    assert "| plain | 20 | 3 | 16.00 ± 1.00 | 19.00 ± 1.00 |" in lines
    assert "| residual | 8 | 1 | 13.60 | 16.60 |" in lines
    assert not [line for line in lines if line.startswith("| plain | 56 |")]


def test_layers_of_uneven_seeds_are_drawn_with_a_kind_missing(share, tmp_path):
    for name, reader, writer in (
        ("history.csv", pd.read_csv, lambda t, p: t.to_csv(p, index=False)),
        ("layers.parquet", pd.read_parquet, lambda t, p: t.to_parquet(p, index=False)),
    ):
        table = reader(share / "cifar10" / name)
        writer(table[(table["kind"] != "plain") | (table["depth"] != 56)], share / "cifar10" / name)
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = "CIFAR-10 (32×32)"
    explorer.depth.index = 5
    explorer.view.value = GRADIENTS
    assert explorer.gradients.strip.titles[0] == (
        "56 layers, first block's weight gradient over the last's. Residual: 1.0×, level. CIFAR-10, "
        "width 16, mean of 3 seeds, train mode, before the first step."
    )
    assert "; seeds 0, 1 and 2 of residual; lines are geometric means" in explorer.gradients.strip.captions[0]
    explorer.view.value = RESPONSES
    assert explorer.responses.strip.titles[-1].endswith("Residual layers answer with 0.50 to 0.50.")
    explorer.depth.index = 2
    assert "; seeds 0, 1 and 2; lines are means, and bands" in explorer.responses.strip.captions[0]


def test_errors_of_some_of_the_images_are_told(uneven):
    caption = error_pictures(uneven, "", "ducks", [8])["captions"][0]
    assert "Errors in eval mode, of 2,000 images of each set, after the last epoch of all images." in caption
    few = error_pictures(uneven.assign(eval_images=50_000), "", "ducks", [8])["captions"][0]
    assert "Errors in eval mode." in few


def test_a_narrow_page_gets_taller_pictures_of_the_same_lettering(share, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    strips = {ERRORS: explorer.strip, RESPONSES: explorer.responses.strip}
    sizes = []
    for narrow in (False, True, False):
        for view, strip in strips.items():
            strip.narrow = narrow
            explorer.view.value = view
        sizes.append([Image.open(io.BytesIO(strip.frames[0])).size for strip in strips.values()])
    assert sizes[0] == sizes[2]
    for (wide, low), (slim, tall) in zip(sizes[0], sizes[1], strict=True):
        assert abs(slim - wide / 2) < 1
        assert tall > low


# --- layers ------------------------------------------------------------------------------------------------


def test_gradients_and_responses_go_from_step_to_step(share, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = "CIFAR-10 (32×32)"
    explorer.view.value = GRADIENTS
    view = explorer.gradients
    assert view.strip.ticks == ["0", "1", "3", "10", "30", "389", "779", "1169"]
    assert view.depth == 56
    assert view.strip.index == 0
    # 1.2 a layer from the first block to the last, which are 52 layers apart
    assert view.strip.titles[0] == (
        "56 layers, first block's weight gradient over the last's. Plain: 13,000×, explodes; residual: 1.0×, "
        "level. CIFAR-10, width 16, mean of 3 seeds, train mode, before the first step."
    )
    assert 12_500 < 1.2**52 < 13_500
    assert view.strip.titles[5].endswith("train mode, step 389, the end of epoch 1.")
    assert ", level; residual" in view.strip.titles[5]
    assert "train mode" in view.strip.captions[0]
    assert "; seeds 0, 1 and 2; lines are geometric means, and bands the range" in view.strip.captions[0]
    first = view.strip.frames
    view.strip.index = 3
    explorer.depth.index = 0
    assert "; seed 0." in view.strip.captions[0], "that depth has one"
    assert view.strip.index == 3, "the step stays"
    assert view.strip.titles[3].startswith("8 layers, ")
    assert view.strip.titles[3].endswith("CIFAR-10, width 16, seed 0, train mode, step 10.")
    assert view.strip.frames != first
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
    explorer.depth.index = 4
    explorer.view.value = GRADIENTS
    assert explorer.gradients.depth == 44
    assert explorer.gradients.strip.titles[3].startswith("44 layers, ")


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
    assert explorer.responses.depth == 56
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


# --- what is awaited, and the depth that was chosen ---------------------------------------------------------


def test_the_browser_is_told_what_is_drawn_and_only_that_is_drawn(share, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    curtain = explorer.curtain
    assert curtain.drawn == {"data": 0, "view": ERRORS, "depth": None}, "errors of all depths are there"
    explorer.view.value = RESPONSES
    assert curtain.drawn == {"data": 0, "view": RESPONSES, "depth": 3}
    kept = explorer.strip.frames
    explorer.data.value = "CIFAR-10 (32×32)"
    assert curtain.drawn == {"data": 1, "view": RESPONSES, "depth": 5}
    assert curtain.sentences["data"][1] == "Drawing CIFAR-10 (32×32) ..."
    assert curtain.sentences["depth"][5] == "Drawing 56 layers ..."
    assert explorer.strip.frames is kept, "nobody sees the errors"
    explorer.view.value = ERRORS
    assert len(explorer.strip.frames) == 6
    assert explorer.strip.captions[0].startswith("Recorded runs: a made-up copy of cifar10")
    (share / "imagenette" / "history.csv").write_text("no table")
    with contextlib.suppress(Exception):
        explorer.data.value = "Imagenette (photos)"
    assert curtain.drawn["data"] == 2, "what can't be drawn isn't waited for"


def test_the_chosen_depth_stays_the_nearest_elsewhere_and_comes_back(share, tmp_path):
    explorer = rx.DegradationExplorer(rx.Sweep(**TINY), out=tmp_path / "digits")
    assert explorer.depth.chosen == "56", "which makes the point"
    explorer.depth.index = 2
    for title, depth in (
        ("CIFAR-10 (32×32)", "32"),
        ("Imagenette (photos)", "18"),
        ("Digits (8×8, grey)", "32"),
    ):
        explorer.data.value = title
        assert (explorer.depth.chosen, explorer.depth.ticks[explorer.strip.index]) == (depth, depth)
        explorer.view.value = PAPER
        assert explorer.depth.chosen == depth
        explorer.view.value = ERRORS
    rows = explorer.table[explorer.table["depth"] == 8]
    for count in (1, 2, len(rows)):  # records of a training grow
        explorer._show_own(rows.iloc[:count], tmp_path, "digits", going_on=count < len(rows))
        assert explorer.depth.ticks == ["8", "14"]
        assert explorer.depth.chosen == "14"
    explorer.back.click()
    assert explorer.depth.chosen == "32"


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
    assert '<tr aria-current="true" style="background:#d5e4f3"><th scope="row"' in ours
    assert ours.count("aria-current") == 1, "the depth looked at"
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


@pytest.mark.training
def test_a_folder_of_images_is_trained_on(small, tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "runs" / "digits")
    assert explorer.folder.layout.visibility == "hidden"
    assert explorer.curtain.note == ""
    explorer.data.value = YOUR_FOLDER
    assert explorer.folder.layout.visibility == "visible"
    assert "Name a folder of images" in explorer.status.value
    still = "Nothing is recorded for your folder yet. The picture shows Digits (8×8, grey)."
    assert explorer.curtain.note == still
    explorer.start()
    assert "Name a folder of images first." in explorer.status.value
    images = write_images(tmp_path / "pets")
    explorer.folder.path.value = f" {images} "
    assert "24 training images of 2 classes (cats, dogs)" in explorer.status.value
    (images / "train" / "cats" / "broken.jpg").write_bytes(b"no image")
    explorer.start()
    explorer.wait(60)
    assert "1 of 33 images" in explorer.status.value
    assert "train/cats/broken.jpg" in explorer.status.value
    assert "tick &quot;Leave out broken images&quot;" in explorer.status.value
    assert explorer.table["dataset"].iloc[0] == "digits", "the picture stays"
    assert explorer.curtain.note.startswith("1 of 33 images in "), "why it is not shown"
    assert explorer.curtain.note.endswith('"Leave out broken images". The picture shows Digits (8×8, grey).')
    explorer.folder.skip.value = True
    explorer.start()
    assert explorer.data.disabled
    explorer.wait(120)
    assert "All 2 networks were trained here" in explorer.status.value
    assert "Left out, since they can't be read: train/cats/broken.jpg." in explorer.status.value
    assert set(explorer.table["dataset"]) == {"folder"}
    counts = "24 training and 8 test images (1 unreadable left out)"
    assert f"image folder {images}, {counts}, shifted" in explorer.strip.captions[0]
    assert explorer.curtain.note == ""
    explorer.folder.path.value = str(tmp_path)
    assert f"The picture shows your run on image folder {images}" in explorer.curtain.note
    explorer.folder.path.value = str(images)
    assert explorer.curtain.note == ""
    assert explorer.strip.ticks == ["8"]
    explorer.view.value = GRADIENTS
    assert explorer.gradients.strip.ticks == ["0", "1", "2", "3", "5"]
    assert not explorer.data.disabled
    explorer.back.click()
    assert set(explorer.table["dataset"]) == {"digits"}
    (folder,) = (tmp_path / "runs").glob("pets-*")
    Image.new("RGB", (20, 24)).save(images / "train" / "dogs" / "new.png")
    assert explorer.folder.job(0)[1].parent != folder, "other images, other runs"


@pytest.mark.training
def test_folders_that_cannot_be_trained_on_get_one_sentence(tmp_path):
    explorer = rx.DegradationExplorer(out=tmp_path / "digits")
    explorer.data.value = YOUR_FOLDER
    assert html.escape(LAYOUT) in explorer.status.value
    notebook = Path(__file__).parents[1].joinpath("notebooks", "01_degradation.ipynb").read_text()
    assert LAYOUT in notebook.replace("`", "").replace(", or as ", ", or ")
    write_images(tmp_path / "one", classes=("only",))
    (tmp_path / "empty").mkdir()
    for path, sentence in (
        (tmp_path / "one", "holds images of one class only (&#x27;only&#x27;); two are needed."),
        (tmp_path / "empty", "has no images that lie as &lt;class&gt;/&lt;image&gt;, or train/"),
        (tmp_path / "nowhere", "There is no folder &#x27;" + str(tmp_path / "nowhere")),
        ("~nobody-here/x", "cannot be used"),
    ):
        before = explorer.strip.frames
        explorer.folder.path.value = str(path)
        assert sentence in explorer.status.value
        assert 'role="alert"' in explorer.status.value
        assert sentence in html.escape(explorer.curtain.note), "where it is seen without scrolling"
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
