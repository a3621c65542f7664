"""The similarity explorer without a browser: its numbers, what it plans and shows, and what it refuses."""

import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.inputs.images import to_batch
from resnet_explore.widgets.core.tiles_panel import Sheet
from resnet_explore.widgets.core.view import encode
from tests.widgets.pages import assert_kept, numbers, shown, unpacked, whole

START = {
    "view": "matrices",
    "networks": "digits",
    "depth": 56,
    "comparing": "itself",
    "layers": "blocks",
    "pair": None,
    "image": "digits/0",
}


@pytest.fixture(scope="module")
def recorded():
    made = rx.SimilarityExplorer(guess=True)
    assert made.wait(60)
    return made


@pytest.fixture
def explorer(recorded):
    shown(recorded, **START)
    return recorded


def matrices(page):
    return page.panels[0][0].matrices


def test_the_first_view_is_of_56_layers_and_its_headline_of_its_own_numbers(explorer):
    page = shown(explorer)
    plain, residual = matrices(page)
    record = rx.load_similarities("digits")
    for matrix, kind in ((plain, "plain"), (residual, "residual")):
        assert matrix.kind == kind
        np.testing.assert_allclose(matrix.values, record.matrix(56, "itself", kind), atol=1e-6)
    far = np.abs(np.subtract.outer(np.arange(27), np.arange(27))) >= 9
    said = [round(float(m.values[far].mean()), 2) for m in (residual, plain)]
    assert [n for n in numbers(page.headline) if n < 1 and n > 0] == said
    assert len(page.headline.split()) <= 15
    assert page.question.right == "residual"
    assert shown(explorer, depth=20).question is None, "who moves on is not asked"
    page = shown(explorer, depth=56)
    assert page.below == ()


def test_the_first_view_waits_for_no_torch():
    code = "import sys, resnet_explore as rx; print(rx.SimilarityExplorer().wait(60), 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True False"


def test_the_slider_scrubs_all_depths_in_the_page(explorer):
    assert "depth" in encode(explorer.page).local
    count = explorer._view["count"]
    for depth, blocks in ((8, 3), (110, 54), (20, 9)):
        page = shown(explorer, depth=depth)
        assert [m.values.shape for m in matrices(page)] == [(blocks, blocks)] * 2
        assert f"-{depth}" in page.headline
        assert len(page.headline.split()) <= 15
    assert explorer._view["count"] == count, "all depths are there"


def test_twins_and_seeds_are_compared(explorer):
    record = rx.load_similarities("digits")
    page = shown(explorer, comparing="twins")
    (both,) = matrices(page)
    np.testing.assert_allclose(both.values, record.matrix(56, "twins"), atol=1e-6)
    assert numbers(page.headline)[-1] == round(float(both.values.diagonal().mean()), 2)
    page = shown(explorer, comparing="seeds", depth=110)
    plain, residual = matrices(page)
    assert np.isnan(plain.values[:, -1]).all(), "constant in seed 1"
    assert any("Plain-110, seed 1, layer3.0" in sentence for sentence in page.conditions)
    assert round(float(np.nanmean(residual.values.diagonal())), 2) in numbers(page.headline)
    shown(explorer, networks="cifar10")
    assert explorer.comparing == "itself", "one seed of it is recorded"
    with pytest.raises(rx.ExploreError, match="one seed is recorded"):
        explorer.comparing = "seeds"
    assert {c.value: bool(c.missing) for c in explorer.page.ask[1].choices}["seeds"]


def test_all_layers_show_the_grid(explorer):
    page = shown(explorer, layers="all")
    residual = matrices(page)[1]
    assert residual.values.shape == (83, 83)
    assert "layer1.0.conv1" in residual.rows_named
    assert "block 27 (layer3.8)" in residual.columns_named
    outputs, branches, *others = [n for n in numbers(page.headline) if 0 < n <= 1]
    assert outputs - branches > 0.1 > abs(others[0] - others[1])


def test_two_layers_look_at_a_picture(explorer):
    page = shown(explorer, pair=(1, 3, 20))
    assert page.panels[0][0].chosen == (1, 3, 20)
    tiles = page.below[1][0]
    row, column = tiles.shown.sheets
    network = rx.build("cifar_resnet56", weights="digits")
    images = rx.load_dataset("digits", split="test").normalized(slice(0, 33))
    maps = rx.feature_maps(network, images)
    for sheet, name in ((row, "layer1.3"), (column, "layer3.2")):
        assert name in sheet.heading
        assert sheet.kind == "residual"
        np.testing.assert_allclose(
            sheet.values(np.arange(len(sheet.tiles))),
            maps[name].maps,
            atol=np.abs(maps[name].maps).max() / 100,
        )
    assert any("Digits" in sentence or "digits" in sentence for sentence in page.conditions)
    other = shown(explorer, image="digits/3").below[1][0]
    assert not np.array_equal(other.shown.sheets[0].tiles, row.tiles)
    page = shown(explorer, depth=20)
    assert (explorer.pair, page.below) == (None, ())


def test_other_layers_are_shown_with_all_their_channels(explorer):
    shown(explorer, pair=(1, 20, 26), channel=31, tile_page=1)
    assert (explorer.channel, explorer.tile_page) == (31, 1), "what is asked for together"
    explorer.image = "digits/3"
    assert explorer.channel == 31, "the same layers"
    explorer.pair = (1, 1, 2)
    assert (explorer.channel, explorer.tile_page) == (-1, 0)
    explorer.channel = 3
    explorer.depth = 20
    assert (explorer.pair, explorer.channel) == (None, -1)


def test_the_classifier_and_networks_that_are_not_here_have_no_maps(explorer):
    page = shown(explorer, layers="all", comparing="seeds", pair=(0, 82, 2))
    first, second = page.below[1][0].shown.sheets
    assert "fc" in first
    assert "no maps" in first
    assert "don't ship" in second
    page = shown(explorer, layers="blocks", comparing="twins", pair=(0, 1, 2))
    assert [sheet.kind for sheet in page.below[1][0].shown.sheets] == ["plain", "residual"]


def test_through_depth_the_charts_are_the_table(explorer):
    page = shown(explorer, view="depth")
    distant, seeds, fewest = page.panels[0][0].charts
    table = rx.load_similarities("digits").table
    for chart, name in ((distant, "distant"), (seeds, "other_seed"), (fewest, "fewest_directions")):
        for series in chart.series[:: 2 if name == "distant" else 1]:
            rows = table[table["kind"] == series.kind].groupby("depth")[name]
            np.testing.assert_allclose(series.y, rows.mean())
            np.testing.assert_allclose(series.low, rows.min())
            np.testing.assert_allclose(series.high, rows.max())
    assert any("18 blocks of one seed" in sentence for sentence in page.conditions)
    assert min(fewest.series[0].low) < 1.5
    assert "single direction" in page.why
    page = shown(explorer, networks="cifar10")
    _, fewest = page.panels[0][0].charts
    assert min(fewest.series[0].y) > 5
    assert "direction" not in page.why


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pair": (2, 0, 0)}, "of 2 matrices with 27 rows and 27 columns"),
        ({"pair": (0, 27, 0)}, "27 rows"),
        ({"pair": (0, 1)}, "3 entries"),
        ({"depth": 57}, "Unknown depth"),
        ({"networks": "imagenette"}, "Unknown networks"),
        ({"comparing": "twin"}, "did you mean 'twins'"),
        ({"layers": "convs"}, "Unknown layers"),
        ({"networks": "cifar10", "comparing": "seeds"}, "one seed is recorded"),
        ({"depth": 20, "pair": (0, 20, 0)}, "9 rows and 9 columns"),
        ({"channel": -7}, "channel must be at least -1, got -7"),
        ({"tile_page": -3}, "tile_page must be at least 0"),
        ({"opacity": 9}, "opacity must be from 0 to 1"),
        ({"opacity": float("nan")}, "opacity must be from 0 to 1"),
    ],
)
def test_what_there_is_not_is_said_and_changes_nothing(explorer, changes, sentence):
    before = explorer.state
    with pytest.raises(rx.ExploreError, match=sentence):
        explorer.update(**changes)
    assert explorer.state == before


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"pair": (7, 700, 700)}, "of 2 matrices with 27 rows"),
        ({"networks": "cifar10", "comparing": "seeds"}, "one seed is recorded"),
    ],
)
def test_a_new_explorer_refuses_what_there_is_not(state, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.SimilarityExplorer(**state)


def test_what_is_planned_follows_from_the_state_alone():
    fresh = rx.SimilarityExplorer()
    asked = replace(fresh.state, networks="cifar10", depth=20, pair=(0, 1, 2))
    (look,) = fresh.plan(asked)
    assert (look.pair, look.cells.networks, look.cells.depth) == ((0, 1, 2), "cifar10", 20)


def test_a_page_is_baked_of_a_cell_that_the_explorer_has_not_shown(tmp_path):
    fresh = rx.SimilarityExplorer()
    path = tmp_path / "page.html"
    fresh.to_html(path, say=lambda text: None, networks="cifar10", depth=20, pair=(0, 1, 2), view="matrices")
    table, arrays = unpacked(path)
    first = whole(table, table, arrays)["scenes"][0]
    assert first["tree"]["panels"]
    assert "Plain-20, layer1.1" in str(first["tree"]["below"])


# --- networks of others -------------------------------------------------------------------------------------


@pytest.fixture
def images():
    return torch.randn(24, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_networks_of_others_are_measured_and_left_as_they_were(images):
    nets = {"one": rx.build("cifar_plain8"), "other": rx.build("cifar_resnet14")}
    before = [fingerprint(net) for net in nets.values()]
    explorer = rx.SimilarityExplorer(nets, images)
    page = shown(explorer)
    assert [fingerprint(net) for net in nets.values()] == before
    found = rx.similarity(nets["other"], nets["other"], images)
    blocks = [f"layer{s}.{k}" for s in (1, 2, 3) for k in (0, 1)]
    places = [found.rows.index(name) for name in blocks]
    np.testing.assert_allclose(matrices(page)[1].values, found.matrix[np.ix_(places, places)], rtol=1e-4)
    assert [m.title for m in matrices(page)] == ["one", "other"]
    assert page.sliders == ()
    assert page.question is None
    page = shown(explorer, comparing="twins", layers="all", pair=(0, 1, 2))
    assert matrices(page)[0].values.shape == (
        len(rx.similarity(nets["one"], nets["one"], images).rows),
        len(found.rows),
    )
    assert all(isinstance(sheet, Sheet) for sheet in page.below[1][0].shown.sheets)
    with pytest.raises(rx.ExploreError, match="one depth"):
        explorer.view = "depth"
    assert explorer.code.splitlines()[-1].startswith("rx.SimilarityExplorer(models=models, images=images, ")


@pytest.fixture
def photos():
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 256, (48, 48, 3), np.uint8)) for _ in range(5)]


def test_two_networks_are_measured_on_one_batch_in_the_form_of_the_last(photos):
    nets = {"one": rx.build("cifar_resnet8"), "other": rx.build("cifar_resnet8", seed=1)}
    for net, side in zip(nets.values(), (48, 16), strict=True):
        net.about = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "input_size": (3, side, side)}
    explorer = rx.SimilarityExplorer(nets, photos)
    batch = torch.cat([to_batch(photo, 16, (0.5,) * 3, (0.25,) * 3) for photo in photos])
    compared = {"itself": (("one", "one"), ("other", "other")), "twins": (("one", "other"),)}
    for comparing, pairs in compared.items():
        page = shown(explorer, comparing=comparing, layers="all")
        for matrix, (first, second) in zip(matrices(page), pairs, strict=True):
            found = rx.similarity(nets[first], nets[second], batch)
            np.testing.assert_allclose(matrix.values, found.matrix, rtol=1e-3, atol=1e-4)


def test_an_upload_is_looked_at_and_changes_no_measurement(photos, tmp_path):
    explorer = rx.SimilarityExplorer(rx.build("cifar_resnet8"), photos)
    before = matrices(shown(explorer))[0].values
    explorer.show_image(photos[0].rotate(90))
    page = shown(explorer, layers="all", pair=(0, 0, 1))
    assert any("5 images" in sentence for sentence in page.conditions)
    np.testing.assert_array_equal(matrices(shown(explorer, layers="blocks"))[0].values, before)
    table, arrays = unpacked(explorer.to_html(tmp_path / "page.html", say=lambda text: None))
    assert "Measured with 5 images" in str(whole(table, table, arrays))
    assert "Measured with 6 images" not in str(whole(table, table, arrays))


def test_of_networks_of_others_a_cell_that_there_is_not_is_said_once_they_are_measured(photos):
    explorer = rx.SimilarityExplorer(rx.build("cifar_resnet8"), photos, pair=(0, 700, 0))
    assert matrices(shown(explorer))[0].values.shape == (3, 3)
    assert explorer.pair is None
    assert "3 rows and 3 columns" in explorer.problem
    with pytest.raises(rx.ExploreError, match="3 rows"):
        explorer.pair = (0, 3, 0)
    for comparing, sentence in (("twins", "one network"), ("seeds", "recorded networks")):
        with pytest.raises(rx.ExploreError, match=sentence):
            rx.SimilarityExplorer(rx.build("cifar_resnet8"), photos, comparing=comparing)


def chain(layers, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        convs = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(layers)]
        return nn.Sequential(*(part for conv in convs for part in (conv, nn.Tanh())))


def test_networks_without_blocks_are_said_to_have_layers(images):
    nets = {"one": chain(4, 0), "other": chain(4, 1)}
    explorer = rx.SimilarityExplorer(nets, images)
    page = shown(explorer)
    named = [*matrices(page)[0].rows_named, page.panels[0][0].row]
    said = [page.headline, page.why, *page.conditions, *named]
    assert not any("block" in sentence for sentence in said)
    assert matrices(page)[0].rows_named == ["0", "2", "4", "6"]
    assert [part.key for part in page.ask] == ["comparing"], "there are no blocks to choose"
    one = matrices(page)[0].values
    far = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) >= 2
    assert round(float(one[far].mean()), 2) in numbers(page.headline)
    page = shown(explorer, comparing="twins")
    assert "block" not in page.headline.lower()
    assert "plain" not in page.why
    assert round(float(matrices(page)[0].values.diagonal().mean()), 2) in numbers(page.headline)


@pytest.mark.parametrize("nets", [lambda: chain(1, 0), lambda: [chain(1, 0), chain(4, 1)]])
def test_a_network_of_one_layer_has_none_to_compare(images, nets):
    page = shown(rx.SimilarityExplorer(nets(), images))
    assert "nan" not in page.headline
    assert "no two layers" in page.headline
    assert matrices(page)[0].values.shape == (1, 1)


class Silent(nn.Module):
    """Says the same of all images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 2)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("model", "count", "sentence"),
    [
        (lambda: rx.build("cifar_resnet8"), 3, "at least 4 images, got 3"),
        (Silent, 8, "gives the same for all images"),
    ],
)
def test_what_cannot_be_compared_is_said(images, model, count, sentence):
    explorer = rx.SimilarityExplorer(model(), images[:count])
    assert explorer.wait(60)
    assert sentence in explorer.problem


def test_too_little_memory_is_said(images, monkeypatch):
    monkeypatch.setattr("resnet_explore.analysis.similarity.free_memory", lambda device: 1000)
    explorer = rx.SimilarityExplorer(rx.build("cifar_resnet8"), images)
    assert explorer.wait(60)
    assert "choose fewer layers" in explorer.problem


def test_layers_that_are_constant_are_left_out_and_named(images):
    net = rx.build("cifar_plain8")
    with torch.no_grad():
        net.layer3[0].bn2.weight.zero_()
    explorer = rx.SimilarityExplorer(net, images)
    page = shown(explorer, layers="all")
    assert any("layer3.0" in sentence for sentence in page.conditions)
    assert "layer3.0" not in " ".join(matrices(page)[0].rows_named).replace("layer3.0.", "")
    assert [choice.missing != "" for choice in page.ask[0].choices] == [False, True, True]


# --- files --------------------------------------------------------------------------------------------------


def test_files_and_code(explorer, tmp_path):
    lines = explorer.save(tmp_path / "similarity.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == 2 * 27**2
    assert float(rows[0]["CKA"]) == 1
    for name in ("similarity.png", "similarity.svg"):
        assert explorer.save(tmp_path / name).stat().st_size > 10_000
    shown(explorer, depth=20, comparing="twins")
    assert explorer.code.splitlines()[-1] == "rx.SimilarityExplorer(guess=True, depth=20, comparing='twins')"


def called(explorer):
    """What the last line of the call gives."""
    *lines, last = explorer.call.splitlines()
    there = {}
    exec("\n".join(lines), there)
    return eval(last, there)


@pytest.mark.parametrize("layers", ["blocks", "all"])
@pytest.mark.parametrize("comparing", ["itself", "twins", "seeds"])
def test_the_call_gives_what_the_page_shows(explorer, comparing, layers):
    page = shown(explorer, depth=20, comparing=comparing, layers=layers)
    found = called(explorer)
    matrix = matrices(page)[-1]
    # The weights that ship are the recorded ones in half precision.
    np.testing.assert_allclose(getattr(found, "matrix", found), matrix.values, atol=0.004)
    assert matrix.kind == ("" if comparing == "twins" else "residual")


def test_the_call_of_the_charts_gives_their_table(explorer):
    page = shown(explorer, view="depth")
    table = called(explorer)
    for series in page.panels[0][0].charts[0].series[::2]:
        rows = table[table["kind"] == series.kind].groupby("depth")["distant"]
        np.testing.assert_allclose(series.y, rows.mean())


def test_it_is_baked_with_all_that_its_menus_offer(explorer, tmp_path):
    path = explorer.to_html(tmp_path / "page.html", say=lambda text: None, layers="blocks")
    table, _ = unpacked(path)
    assert path.stat().st_size < 2_000_000
    assert len(table["scenes"]) == 3 + 1 + 2 + 1
    assert all(scene["formats"] == [".png", ".svg", ".csv"] for scene in table["scenes"])


def test_sentences_are_those_that_were_read(explorer):
    said = []
    for data, comparing in (("digits", ("itself", "twins", "seeds")), ("cifar10", ("itself", "twins"))):
        shown(explorer, **{**START, "networks": data, "depth": 56})
        asked = explorer.settled_page().question
        if asked:
            said += [asked.text, asked.rule, asked.told, asked.why, *asked.replies.values()]
            said += [choice.label for choice in asked.choices]
        for what in comparing:
            for layers in ("blocks", "all"):
                for depth in explorer.page.sliders[0].choices:
                    page = shown(explorer, comparing=what, layers=layers, depth=depth.value)
                    said += [page.headline, page.why, *page.conditions, *(m.title for m in matrices(page))]
        page = shown(explorer, view="depth")
        said += [page.headline, page.why, *page.conditions]
    said += page.glossary.values()
    assert_kept("similarity", dict.fromkeys(filter(None, said)))
