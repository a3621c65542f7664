"""The drawing of networks, its table and its slider, without a browser."""

import csv
import json
from collections.abc import Iterator
from functools import partial

import pytest
import torchvision
from ipywidgets.widgets import widget
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.topology.structure import structure
from resnet_explore.paths import shipped
from resnet_explore.widgets.architecture import captions
from resnet_explore.widgets.architecture.drawing import drawn
from resnet_explore.widgets.architecture.jobs import ReadNetwork
from resnet_explore.widgets.architecture.present import present
from resnet_explore.widgets.architecture.state import ArchitectureState
from tests.widgets import pages
from tests.widgets.pages import assert_kept, numbers

FAMILY = {row["model"]: row for row in csv.DictReader(shipped("data", "family.csv").read_text().splitlines())}


@pytest.fixture(scope="module")
def explorer():
    made = rx.ArchitectureExplorer("cifar_plain20", "cifar_resnet20")
    assert made.wait(60)
    return made


shown = partial(pages.shown, seconds=60)


def networks(explorer, **changes):
    return shown(explorer, **changes).panels[0][0].networks


def test_twins_are_drawn_alike_but_for_their_skips(explorer):
    plain, residual = networks(explorer, left="cifar_plain20", right="cifar_resnet20", view="networks")
    assert [box["name"] for box in plain.boxes] == [box["name"] for box in residual.boxes]
    assert [box["shape"] for box in plain.boxes] == [box["shape"] for box in residual.boxes]
    assert {box["skip"] for box in plain.boxes} == {""}
    skips = [box["skip"] for box in residual.boxes]
    assert (skips.count("identity"), skips.count("padding")) == (7, 2)
    assert (plain.color, residual.color) == ("plain", "residual")


def test_inside_a_bottleneck_stand_its_three_convolutions():
    found = structure(rx.build("resnet50"), (3, 64, 96))
    box = next(b for b in drawn(found, "", "", "").boxes if b["name"] == "layer2.0")
    steps = [(step["label"], step["detail"]) for step in box["inside"] if "conv" in step["label"]]
    assert steps == [
        ("1×1 conv", "256 → 128"),
        ("3×3 conv", "128 → 128, /2"),
        ("1×1 conv", "128 → 512"),
        ("1×1 conv", "256 → 512, /2"),
    ]
    add = next(step for step in box["inside"] if step["label"] == "+")
    assert [box["inside"][source]["label"] for source in add["from"]] == ["BN", "BN"]
    assert box["inside"][0]["from"] == [-1], "the block's input comes from outside"


def test_what_is_too_long_to_draw_is_counted():
    found = structure(rx.build("cifar_resnet302"), (3, 32, 32))
    boxes = drawn(found, "", "", "").boxes
    assert len(found.units) == 153
    assert [box["count"] for box in boxes] == [1, 50, 1, 49, 1, 49, 1, 1]
    assert [box["from"] for box in boxes[1:]] == [[k] for k in range(7)]
    assert sum(box["parameters"] for box in boxes) == found.parameters
    assert boxes[1]["name"] == "layer1.0 to layer1.49"


def test_networks_of_ones_own_are_drawn_and_a_bad_one_is_a_sentence():
    models = {"dense": lambda: torchvision.models.densenet121(weights=None), "bad": nn.Linear(7, 2)}
    explorer = rx.ArchitectureExplorer("dense", "resnet18", models=models, input_size=(3, 32, 48))
    before = networks(explorer)
    menu = explorer.page.ask[0]
    assert [(choice.label, choice.group) for choice in menu.choices[:2]] == [
        ("dense", "Yours"),
        ("bad", "Yours"),
    ]
    assert (before[0].color, before[0].title) == ("residual", "dense")
    with pytest.raises(rx.ExploreError, match=r"\(3, 32, 48\)") as refused:
        structure(models["bad"], (3, 32, 48))
    assert networks(explorer, right="bad") == before
    assert explorer.problem.startswith(str(refused.value))
    assert explorer.right == "resnet18"
    shown(explorer, right="resnet34")
    assert explorer.problem == ""
    assert "rx.ArchitectureExplorer(models=models, input_size=(3, 32, 48), left='dense')" in explorer.code


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (3, "models['mine'] is 3, no torch.nn.Module and no function that makes one."),
        (lambda: 1 / 0, "The function that makes mine raised ZeroDivisionError('division by zero')."),
        (lambda: "net", "models['mine'] is 'net', no torch.nn.Module and no function that makes one."),
        ([], "models['mine'] is [], no torch.nn.Module and no function that makes one."),
    ],
)
def test_what_makes_no_network_gets_one_sentence(entry, sentence):
    explorer = rx.ArchitectureExplorer("mine", "cifar_resnet8", models={"mine": entry})
    assert explorer.wait(60)
    assert explorer.problem == sentence
    assert shown(explorer, left="cifar_plain8").panels


def test_names_are_spelled_as_the_menus_do_or_refused_with_the_closest(explorer):
    shown(explorer, left="CIFAR-ResNet 14", opened=(0, 1))
    assert explorer.left == "cifar_resnet14"
    shown(explorer, right="alexnet", left="cifar_plain20")
    assert explorer.right in [choice.value for choice in explorer.page.ask[1].choices]
    assert explorer.opened == (), "what is open is a box of the networks before"
    for change in ({"left": "resent50"}, {"depth": 19}, {"view": "deep"}, {"series": "cifr"}):
        before = explorer.state
        with pytest.raises(rx.ExploreError, match="did you mean"):
            explorer.update(**change)
        assert explorer.state == before
    with pytest.raises(rx.ExploreError, match="did you mean 'resnet50'"):
        rx.ArchitectureExplorer("resent50")


def test_depth_moves_along_two_series_in_the_browser(explorer):
    shown(explorer, view="depth", series="imagenet", depth=18)
    slider = explorer.page.sliders[0]
    assert [choice.value for choice in slider.choices] == [18, 34, 50, 101, 152]
    count = explorer._view["count"]
    last = shown(explorer, depth=152)
    assert numbers(last.headline) == [152, 60.19, 11.51, 1451]
    assert [chart.chosen for chart in last.panels[0][0].charts] == [152] * 3
    assert explorer._view["count"] == count, "nothing new is sent for it"
    parameters, macs, field = last.panels[0][0].charts
    rows = [FAMILY[f"resnet{depth}"] for depth in (18, 34, 50, 101, 152)]
    for chart, name, unit in (
        (parameters, "parameters", 1e6),
        (macs, "macs", 1e9),
        (field, "receptive_field", 1),
    ):
        assert list(chart.series[0].y) == pytest.approx([float(row[name]) / unit for row in rows])
    assert [mark.y for mark in field.marks] == [224]
    shown(explorer, series="cifar")
    assert explorer.depth == 164, "the nearest depth that is there"
    assert explorer.page.sliders[0].choices[-1].value == 1202


def test_the_page_is_a_function_of_state_and_results():
    structures = {name: ReadNetwork(name).run(None) for name in ("cifar_plain8", "cifar_resnet8")}
    state = ArchitectureState(*structures)
    names = [*structures, "resnet18"]
    assert present(state, structures, names, ()) == present(state, structures, names, ())
    late = present(state, {**structures, "cifar_resnet8": None}, names, ())
    assert (late.panels, late.ask) == (None, present(state, structures, names, ()).ask)


def test_a_network_is_announced_before_it_is_built():
    said = ReadNetwork("cifar_resnet44").says
    assert "cifar_resnet44" in said
    assert numbers(said) == [44, 21], "the blocks are known, too"
    said = ReadNetwork("mine", (3, 4, 4), (nn.Linear(2, 2),)).says
    assert ("mine" in said, numbers(said)) == (True, [])


def test_the_table_has_every_listed_network(explorer):
    table = shown(explorer, view="family").panels[0][0]
    by_name = {row["Network"]: row for row in table.numbers()}
    assert set(by_name) == {*rx.list_models(), "vgg16", "vgg19"}
    accuracies = ["ImageNet top-1 %", "newer recipe %", "CIFAR-10 top-1 %", "Source"]
    assert [by_name["resnet50"][title] for title in accuracies[:3]] == [76.13, 80.858, None]
    assert [by_name["cifar_resnet20"][title] for title in accuracies[:3]] == [None, None, 91.25]
    assert [by_name["plain50"][title] for title in accuracies] == [None] * 4
    assert [by_name["wrn28_10"][title] for title in ("Layers", "by name")] == [26, 28]
    assert [by_name["res2net50_26w_4s"][title] for title in ("Layers", "by name")] == [74, 50]
    assert by_name["hrnet_w18"]["by name"] is None
    otherwise = {name for name, row in by_name.items() if row["by name"] not in (None, row["Layers"])}
    assert otherwise == {"res2net50_26w_4s", "res2net101_26w_4s", "wrn28_10"}, "which the conditions explain"


def test_what_depends_on_values_is_not_given_to_two_decimals():
    bare = {"weights": None, "weights_backbone": None}
    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(**bare, min_size=64)
    mlp = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    explorer = rx.ArchitectureExplorer(
        "detector", "vgg16", models={"detector": model}, input_size=(3, 64, 96)
    )
    assert "(they depend on what it finds)" in networks(explorer)[0].facts
    for size, words in (((8,), "an input of 8,"), ((5, 8), "an input of 5×8,")):
        explorer = rx.ArchitectureExplorer("mine", "mine", models={"mine": mlp}, input_size=size)
        assert words in networks(explorer)[0].facts


def test_the_stride_in_the_first_convolution_adds_what_the_conditions_say(explorer):
    model = torchvision.models.resnet50(weights=None)
    for block in model.modules():
        if isinstance(block, torchvision.models.resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    ours = FAMILY["resnet50"]["receptive_field"]
    first = max(rx.describe(model, (3, 224, 160)).receptive_field)
    words = f"{first - int(ours)} pixels further ({first} instead of {ours} at 50 layers)"
    assert words in " ".join(shown(explorer, view="depth", series="imagenet").conditions)


def test_files_hold_what_is_shown(explorer, tmp_path):
    networks(explorer, view="networks", left="cifar_plain20", right="cifar_resnet20")
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        assert explorer.save(tmp_path / f"drawing{ending}").read_bytes().startswith(start)
    lines = explorer.save(tmp_path / "new" / "drawing.csv").read_text().splitlines()
    about, rows = (
        [line for line in lines if line[0] == "#"],
        csv.DictReader(line for line in lines if line[0] != "#"),
    )
    assert about[1] == f"# code: {explorer.code.splitlines()[-1]}"
    blocks = [row for row in rows if row["network"] == "cifar_resnet20"]
    assert sum(int(row["parameters"]) for row in blocks) == int(FAMILY["cifar_resnet20"]["parameters"])
    shown(explorer, view="family")
    with pytest.raises(rx.ExploreError, match=r"its numbers go into a \.csv"):
        explorer.save(tmp_path / "family.png")
    with pytest.raises(rx.ExploreError, match=r"must end in .*\.csv, .*, not '\.gif'"):
        explorer.save(tmp_path / "family.gif")
    (tmp_path / "file").touch()
    with pytest.raises(rx.ExploreError, match="can't be written"):
        explorer.save(tmp_path / "file" / "family.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "drawing.pdf",
        "drawing.png",
        "drawing.svg",
        "file",
        "new",
    ]


def test_a_page_is_at_most_four_models_and_small(explorer):
    before = set(widget._instances)
    other = rx.ArchitectureExplorer("cifar_plain8", "cifar_resnet8")
    assert other.wait(60)
    assert len(set(widget._instances) - before) <= 4
    assert len(json.dumps(explorer._view["tree"])) < 150_000


@pytest.mark.parametrize(
    "name", ["resnet18", "resnext50_32x4d", "res2net50_26w_4s", "hrnet_w18", "cifar_preresnet110", "wrn28_10"]
)
def test_the_shipped_numbers_are_what_describe_measures(name):
    row, side = FAMILY[name], 32 if FAMILY[name]["family"] == "CIFAR" else 224
    found = rx.describe(rx.build(name), (3, side, side))
    assert [found.depth, found.parameters, found.macs, max(found.receptive_field)] == [
        int(row[key]) for key in ("depth", "parameters", "macs", "receptive_field")
    ]


@pytest.mark.parametrize("name", ["resnet50", "wide_resnet101_2", "vgg19"])
def test_accuracies_are_those_of_torchvisions_metadata(name):
    entries = {
        w.name: w.meta["_metrics"]["ImageNet-1K"]["acc@1"] for w in torchvision.models.get_model_weights(name)
    }
    assert float(FAMILY[name]["accuracy"]) == entries["IMAGENET1K_V1"]
    assert FAMILY[name]["newer"] == str(entries.get("IMAGENET1K_V2", ""))


@pytest.mark.parametrize("name", ["resnext101_64x4d", "resnetv2_50", "resnetv2_101"])
def test_newer_recipes_are_not_mixed_with_the_first_ones(name):
    assert FAMILY[name]["accuracy"] == ""
    assert float(FAMILY[name]["newer"]) > 80


# --- sentences ----------------------------------------------------------------------------------------------


def comparisons() -> Iterator[str]:
    """Yield what sets two networks apart."""
    for pair in (
        ("resnet152", "vgg19"),
        ("resnet34", "resnet50"),
        ("resnet50", "resnetv2_50"),
        ("resnet18", "resnet18"),
        ("cifar_resnet8", "vgg16"),
        ("cifar_plain8", "cifar_resnet8"),
    ):
        yield captions.comparison(*((name, ReadNetwork(name).run(None)) for name in pair))


def others(explorer: rx.ArchitectureExplorer) -> Iterator[str]:
    """Yield what stands on the pages, of networks one by one, and what is told before one is built."""
    explorer.update(left="cifar_plain20", right="cifar_resnet20", series="imagenet", depth=152)
    for view in ("networks", "depth", "family"):
        page = shown(explorer, view=view)
        yield f"== {view}"
        yield from filter(None, (page.headline, page.why, *page.conditions))
    yield "== one network"
    for name in ("res2net50_26w_4s", "resnet18"):
        yield captions.facts(name, ReadNetwork(name).run(None))
    yield ReadNetwork("cifar_resnet44").says
    yield ReadNetwork("mine", (3, 4, 4), (nn.Linear(2, 2),)).says
    yield from (f"{word}: {words}" for word, words in captions.GLOSSARY.items())


def test_sentences_are_those_that_were_read(explorer):
    headlines = list(comparisons())
    assert_kept("architecture", [*headlines, *others(explorer)])
    assert all(len(headline.split()) <= 15 for headline in headlines)
