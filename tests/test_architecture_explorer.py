"""The drawing of networks, its table and its slider, without a browser."""

import csv
import re

import pytest
import torchvision
from torch import nn
from traitlets import TraitError

import resnet_explore as rx
from resnet_explore.analysis.structure import structure
from resnet_explore.paths import shipped
from resnet_explore.widgets.architecture import DEPTH, TABLE
from resnet_explore.widgets.blueprint import blueprint

FAMILY = {row["model"]: row for row in csv.DictReader(shipped("data", "family.csv").read_text().splitlines())}


@pytest.fixture(scope="module")
def explorer():
    return rx.ArchitectureExplorer("cifar_plain20", "cifar_resnet20")


def test_twins_are_drawn_alike_but_for_their_skips(explorer):
    plain, residual = explorer.drawing.networks
    assert [box["name"] for box in plain["boxes"]] == [box["name"] for box in residual["boxes"]]
    assert [box["shape"] for box in plain["boxes"]] == [box["shape"] for box in residual["boxes"]]
    assert {box["skip"] for box in plain["boxes"]} == {""}
    assert [box["skip"] for box in residual["boxes"]].count("identity") == 7
    assert [box["skip"] for box in residual["boxes"]].count("padding") == 2
    assert "20 weighted layers on the longest way, 0.27 M parameters" in plain["facts"]
    assert "no skip connections" in plain["facts"]
    assert "9 skip connections" in residual["facts"]
    assert "the same 20 layers; 9 skips set them apart" in explorer.drawing.title


def test_inside_a_bottleneck_stand_its_three_convolutions():
    found = structure(rx.build("resnet50"), (3, 64, 96))
    box = next(b for b in blueprint(found, "", "", "")["boxes"] if b["name"] == "layer2.0")
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
    found = structure(rx.build("cifar_resnet602"), (3, 32, 32))
    boxes = blueprint(found, "", "", "")["boxes"]
    assert len(found.units) == 303
    assert [box["count"] for box in boxes] == [1, 100, 1, 99, 1, 99, 1, 1]
    assert [box["from"] for box in boxes[1:]] == [[k] for k in range(7)]
    assert sum(box["parameters"] for box in boxes) == found.parameters
    assert boxes[1]["name"] == "layer1.0 to layer1.99"


def test_resnet152_against_vgg19(explorer):
    explorer.left.value, explorer.right.value = "resnet152", "vgg19"
    assert explorer.drawing.title == (
        "resnet152 has 152 layers against 19 in vgg19, yet 2.39 times fewer parameters and 1.71 times fewer "
        "multiply-adds."
    )


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        (
            "resnet34",
            "resnet50",
            "resnet50 has 50 layers against 34 in resnet34, with 1.17 times the parameters",
        ),
        (
            "resnet50",
            "resnetv2_50",
            "has as many layers as resnetv2_50 (50), with as many parameters and as many",
        ),
        ("resnet18", "resnet18", "resnet18, twice."),
        (
            "cifar_resnet8",
            "vgg16",
            "vgg16 has 16 layers against 8 in cifar_resnet8, with 1,838 times the parameters.",
        ),
    ],
)
def test_titles_say_what_sets_two_networks_apart(explorer, left, right, sentence):
    explorer.left.value, explorer.right.value = "cifar_plain20", right
    if left not in explorer.left.options:
        explorer.left.options = [*explorer.left.options, left]
    explorer.left.value = left
    assert sentence in explorer.drawing.title


def test_a_network_of_ones_own_is_drawn_and_a_bad_one_is_a_sentence():
    models = {"dense": lambda: torchvision.models.densenet121(weights=None), "bad": nn.Linear(7, 2)}
    explorer = rx.ArchitectureExplorer("dense", "resnet18", models=models, input_size=(3, 32, 48))
    assert list(explorer.left.options)[:2] == ["dense", "bad"]
    drawn = explorer.drawing.networks
    assert "skip connections" in drawn[0]["facts"]
    assert "no skip" not in drawn[0]["facts"]
    explorer.right.value = "bad"
    assert "can&#x27;t take an input of size (3, 32, 48)" in explorer.note.value
    assert "Still showing the ones before" in explorer.note.value
    assert explorer.drawing.networks == drawn
    explorer.right.value = "resnet18"
    assert explorer.note.value == ""


def test_views_are_three():
    explorer = rx.ArchitectureExplorer("cifar_plain8", "cifar_resnet8")
    with pytest.raises(TraitError, match="no 'Breadth' among Two networks, Depth, The family"):
        explorer.view.value = "Breadth"
    assert explorer.view.value == "Two networks"


def test_unknown_names_offer_the_closest():
    with pytest.raises(rx.ExploreError, match="did you mean 'resnet50'"):
        rx.ArchitectureExplorer("resent50")


def test_depth_moves_along_two_series(explorer):
    explorer.view.value = DEPTH
    assert explorer.strip.ticks == ["18", "34", "50", "101", "152"]
    assert explorer.strip.titles[-1].startswith("152 layers: 60.19 M parameters, 11.51 G multiply-adds")
    explorer.series.value = explorer.series.options[1]
    assert (explorer.strip.ticks[0], explorer.strip.ticks[-1]) == ("8", "1202")
    assert "25 pixels across, less than the image's 32" in explorer.strip.titles[0]
    assert len(set(explorer.strip.frames)) == len(explorer.strip.ticks)


def test_the_table_has_every_listed_network(explorer):
    explorer.view.value = TABLE
    names = [row[0] for row in explorer.table.rows]
    assert set(names) == {*rx.list_models(), "vgg16", "vgg19"}
    assert all(len(row) == len(explorer.table.columns) for row in explorer.table.rows)
    titles = [column["title"] for column in explorer.table.columns]
    by_name = {row[0]: dict(zip(titles, row, strict=True)) for row in explorer.table.rows}
    accuracies = ["ImageNet top-1 %", "newer recipe %", "CIFAR-10 top-1 %", "Source"]
    assert [by_name["resnet50"][title] for title in accuracies[:3]] == [76.13, 80.858, None]
    assert [by_name["cifar_resnet20"][title] for title in accuracies[:3]] == [None, None, 91.25]
    assert [by_name["plain50"][title] for title in accuracies] == [None] * 4
    assert [by_name["wrn28_10"][title] for title in ("Layers", "by name")] == [26, 28]
    assert [by_name["res2net50_26w_4s"][title] for title in ("Layers", "by name")] == [74, 50]
    assert by_name["hrnet_w18"]["by name"] is None
    otherwise = {name for name, row in by_name.items() if row["by name"] not in (None, row["Layers"])}
    assert otherwise == {"res2net50_26w_4s", "res2net101_26w_4s", "wrn28_10"}, "which the caption explains"
    assert explorer.table.title.endswith("vgg19 about 72.4 % with 5.62 times the parameters.")


def test_why_a_name_says_another_depth(explorer):
    explorer.left.value = "res2net50_26w_4s"
    assert "74 weighted layers on the longest way (50 by its name" in explorer.drawing.networks[0]["facts"]


def test_a_network_is_announced_before_it_is_built():
    explorer = rx.ArchitectureExplorer("cifar_plain20", "cifar_resnet20")
    said = []
    explorer.drawing.observe(lambda change: said.append(change["new"]), "message")
    explorer.right.value = "cifar_resnet44"
    assert said == ["Building cifar_resnet44 with its 21 blocks and following an image through it ...", ""]
    explorer.right.value = "cifar_resnet20"
    assert len(said) == 2, "what has been read is drawn at once"


def test_what_depends_on_values_is_not_given_to_two_decimals():
    bare = {"weights": None, "weights_backbone": None}
    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(**bare, min_size=64)
    explorer = rx.ArchitectureExplorer(
        "detector", "vgg16", models={"detector": model}, input_size=(3, 64, 96)
    )
    assert "they depend on what it finds" in explorer.drawing.networks[0]["facts"]
    explorer.models["other"] = rx.build("resnet18")
    explorer.right.options = [*explorer.right.options, "other"]
    explorer.right.value = "other"
    assert re.search(r"and about \d+\.\d times the multiply-adds", explorer.drawing.title)


def test_the_stride_in_the_first_convolution_adds_what_the_caption_says(explorer):
    model = torchvision.models.resnet50(weights=None)
    for block in model.modules():
        if isinstance(block, torchvision.models.resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    explorer.view.value = DEPTH
    explorer.series.value = explorer.series.options[0]
    ours = FAMILY["resnet50"]["receptive_field"]
    first = max(rx.describe(model, (3, 224, 160)).receptive_field)
    words = f"{first - int(ours)} pixels further ({first} instead of {ours} at 50 layers)"
    assert words in explorer.strip.captions[0]


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


def _broken():
    return 1 / 0


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (3, "is 3, no torch.nn.Module"),
        (_broken, "raised ZeroDivisionError"),
        (lambda: "net", "no torch.nn.Mod"),
    ],
)
def test_what_makes_no_network_gets_one_sentence(entry, sentence):
    explorer = rx.ArchitectureExplorer("mine", "cifar_resnet8", models={"mine": entry})
    assert sentence in explorer.note.value


def test_inputs_that_are_no_images_are_described_as_they_are():
    mlp = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    facts = [
        rx.ArchitectureExplorer("mine", "mine", models={"mine": mlp}, input_size=size).drawing.networks[0][
            "facts"
        ]
        for size in ((8,), (5, 8))
    ]
    assert "an input of 8," in facts[0]
    assert "an input of 5×8," in facts[1]
