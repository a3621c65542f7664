"""The feature-map explorer without a browser: what it sends, for our twins and for other networks."""

import csv
import io
import re

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.footprint import footprint, in_words
from resnet_explore.widgets import saving
from resnet_explore.widgets.exhibits import start_of
from resnet_explore.widgets.pictures import Picture, pictures_of
from resnet_explore.widgets.saving import FORMATS, free_name
from resnet_explore.widgets.words import factor, percent

IMAGES = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def explorer():
    found = rx.FeatureMapExplorer()
    found.finish()
    return found


def moving():
    """An animation of two frames."""
    buffer, frames = io.BytesIO(), [Image.new("RGB", (50, 30), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def at_20(explorer):
    """Where the twins of 20 layers stand among the depths, however many of those ship."""
    return [scene.tick for scene in explorer.scenes].index("20 layers")


def panel_of(view, depth, index, k):
    """Read one panel back as the browser does: (scales, means, marks, orders, tiles)."""
    panel, data = view["sets"][depth]["steps"][index]["panels"][k], view["bytes"]
    count, height, width = panel["shape"]
    at = panel["at"]

    def take(kind, length):
        nonlocal at
        array = np.frombuffer(data, kind, length, at)
        at += -(-array.nbytes // 4) * 4
        return array

    scales, means, marks = take(np.float32, count), take(np.float32, count), take(np.uint8, count)
    orders = {name: take(np.uint32, count) for name in panel["orders"]}
    depths = 3 if panel["colored"] else 1
    tiles = take(np.uint8 if panel["colored"] else np.int8, count * height * width * depths)
    return scales, means, marks, orders, tiles.reshape(count, height, width, depths)


def another(explorer):
    """An image that is not shown."""
    return next(key for key in explorer.picture.options.values() if key != explorer.picture.value)


def sentence(explorer):
    """What is said, without markup."""
    return explorer.note.value.replace("&#x27;", "'").replace("&quot;", '"')


def test_the_first_view_is_a_photo_in_the_eyes_of_trained_twins(explorer):
    shown = explorer.mosaics.maps["sets"][explorer.mosaics.depth]
    step = shown["steps"][0]
    assert [panel["heading"] for panel in step["panels"]] == ["Plain-20", "Residual-20"]
    assert "Chelsea the cat" in shown["caption"]
    assert "over 7 images, this one among them" in shown["caption"]
    assert "Branch ÷ skip: of this image alone. Dead, saturated and the other curves: " in shown["caption"]
    assert "branch adds" in step["title"]
    assert len(shown["steps"]) == 9
    assert Image.open(io.BytesIO(explorer.mosaics.picture["bytes"])).size == (32, 32)
    assert explorer.picture.label == "Chelsea the cat"


@pytest.mark.parametrize(
    ("depths", "start"),
    [((20, 56), 0), ((8, 14, 20, 32, 44, 56), 2), ((8, 14, 32), 1), ((8, 56), 1), ((18,), 0)],
)
def test_20_layers_are_shown_first_or_else_the_middle_depth(depths, start):
    assert start_of(depths) == start


def test_tiles_are_the_networks_own_values(explorer):
    depth = at_20(explorer)
    scene = explorer.scenes[depth]
    for index in (0, 4, 8):
        for k, layer in enumerate(scene.steps[index]):
            scales, means, _, orders, tiles = panel_of(explorer.mosaics.maps, depth, index, k)
            values = tiles[..., 0] * scales[:, None, None] / 127
            assert np.abs(values - layer.maps).max() <= scales.max() / 250
            assert means == pytest.approx(layer.maps.mean((1, 2)), abs=1e-5)
            both = np.sum([np.abs(other.maps).mean((1, 2)) for other in scene.steps[index]], 0)
            assert list(orders["activation"]) == sorted(range(len(both)), key=lambda c: -both[c])
            apart = np.abs(scene.steps[index][0].maps - scene.steps[index][1].maps).mean((1, 2))
            assert (np.diff(apart[orders["difference"]]) <= 0).all()


def test_the_parts_are_those_of_the_residual_twin(explorer):
    depth = at_20(explorer)
    step = explorer.mosaics.parts["sets"][depth]["steps"][3]
    assert [p["heading"] for p in step["panels"]] == [
        "Residual-20: what the skip carried",
        "Residual-20: what the branch added",
    ]
    scales, _, _, orders, tiles = panel_of(explorer.mosaics.parts, depth, 3, 0)
    layer = explorer.scenes[depth].measured[1]["layer2.0"]
    assert np.abs(tiles[..., 0] * scales[:, None, None] / 127 - layer.skip).max() <= scales.max() / 250
    assert (scales == 0).sum() == 16, "option A pads half of the channels with zeros"
    assert np.array_equal(orders["activation"], panel_of(explorer.mosaics.maps, depth, 3, 1)[3]["activation"])
    assert f"adds {factor(layer.ratio)} times" in step["title"]


def test_filters_are_colours_of_the_first_layer(explorer):
    *_, tiles = panel_of(explorer.mosaics.filters, 0, 0, 1)
    weights = explorer.scenes[0].subjects[1].model.conv1.weight.detach().numpy()
    expected = weights.transpose(0, 2, 3, 1) / np.abs(weights).max() * 127 + 128
    assert np.abs(tiles - expected).max() <= 0.51


def test_exact_values_on_demand(explorer):
    depth = at_20(explorer)
    maps = explorer.exact("maps", depth, 8, 5)
    for found, layer in zip(maps, explorer.scenes[depth].steps[8], strict=True):
        assert found == pytest.approx(layer.maps[5], abs=1e-4)
    skip, branch = explorer.exact("parts", depth, 8, 5)
    assert torch.relu(torch.tensor(skip + branch)).numpy() == pytest.approx(maps[1], abs=1e-4)
    assert explorer.exact("maps", depth, 0, 99) == [None, None]
    sent = []
    explorer.mosaics.send = lambda content, buffers: sent.append((content, buffers))
    explorer.mosaics._handle_custom_msg({"want": ["maps", str(depth), "8", "5"]}, [])
    (content, buffers), *more = sent
    assert not more
    assert content == {"place": ["maps", str(depth), "8", "5"], "shapes": [[8, 8], [8, 8]]}
    assert np.frombuffer(buffers[1], np.float32) == pytest.approx(maps[1].ravel())


def test_receptive_fields_and_curves_follow(explorer):
    depth = at_20(explorer)
    window = explorer.mosaics.windows[depth][1]["layer1.0"]
    assert window == {"field": (7.0, 7.0), "jump": (1.0, 1.0), "start": (-3.0, -3.0)}
    assert len(explorer.mosaics.charts["pictures"]) == len(explorer.mosaics.charts["places"])
    assert len(explorer.mosaics.charts["places"][depth]) == 5
    assert "Branch ÷ skip, Residual-20" in explorer.mosaics.charts["alts"][depth]


def test_another_photo_and_an_upload(explorer):
    before = explorer.mosaics.maps["bytes"]
    explorer.picture.value = "rocket"
    assert explorer.mosaics.maps["bytes"] != before
    assert explorer.mosaics.parts == {}, "what belongs to the old photo is gone"
    explorer.finish()
    assert explorer.mosaics.parts
    buffer = io.BytesIO()
    Image.new("RGB", (50, 30), "red").save(buffer, "PNG")
    explorer.upload._receive(None, {"name": "red.png"}, [buffer.getvalue()])
    caption = explorer.mosaics.maps["sets"][0]["caption"]
    assert "over 8 images, this one among them. Picture: your photo red.png" in caption
    assert explorer.picture.label == "your photo red.png"
    kept = explorer.mosaics.maps["bytes"]
    explorer.upload._receive(None, {"name": "page.html"}, [b"<!doctype html><p>hello"])
    assert explorer.upload.error
    assert explorer.upload.status.startswith("page.html: ")
    assert explorer.mosaics.maps["bytes"] == kept
    explorer.upload._receive(None, {"name": "moving.gif"}, [moving()])
    assert explorer.upload.status == "moving.gif: an animation, of which the first frame is used."
    explorer.show_image(rx.sample_photos()["cat"].load(), "a cat")
    assert "Picture: a cat." in explorer.mosaics.maps["sets"][0]["caption"]
    assert explorer.picture.label == "a cat"
    explorer.picture.value = "rocket"
    assert "a cat" not in dict(explorer.picture.options)
    assert explorer.picture.value == "rocket"


def test_nothing_of_the_last_networks_stays_under_the_new_ones(explorer):
    explorer.finish()
    assert explorer.mosaics.charts
    assert explorer.mosaics.filters
    names = {name.split()[0]: name for name in explorer.exhibit.options}
    explorer.upload.say("red.png arrived.")
    explorer.mosaics.view = "filters"
    explorer.exhibit.value = names["Digits"]
    assert explorer.upload.status == ""
    assert explorer.mosaics.charts == explorer.mosaics.parts == {}
    assert explorer.mosaics.windows == []
    panel = explorer.mosaics.filters["sets"][0]["steps"][0]["panels"][0]
    assert not panel["colored"], "what is looked at is that of the new networks at once"
    explorer.mosaics.view = "parts"
    explorer.picture.value = 1
    assert explorer.mosaics.filters == {}
    assert len(explorer.mosaics.parts["sets"]) == len(explorer.mosaics.maps["sets"])
    assert "test image 1 " in explorer.mosaics.parts["sets"][0]["caption"]
    explorer.mosaics.view = "maps"
    explorer.picture.value = 0


def test_digits_have_depths(explorer):
    explorer.exhibit.value = next(name for name in explorer.exhibit.options if name.startswith("Digits"))
    explorer.finish()
    sets = explorer.mosaics.maps["sets"]
    depths = [int(s["tick"].removesuffix(" layers")) for s in sets]
    assert {8, 20, 32, 56, 110} <= set(depths)
    assert depths == sorted(depths)
    assert [len(s["steps"]) for s in sets] == [(depth - 2) // 2 for depth in depths]
    assert depths[explorer.mosaics.depth] == 20, "the first of these, not where the last ones stood"
    assert explorer.picture.label.endswith("(test image 0)")
    assert "over 32 images, this one among them" in sets[0]["caption"]
    assert len(explorer.mosaics.charts["pictures"]) == len(depths)
    image = rx.load_dataset("digits", split="test").normalized(slice(0, 1))
    model = rx.build("cifar_resnet32", weights="digits")
    with rx.Capture(model, "layer2.1") as seen, torch.no_grad():
        model(image)
    depth = depths.index(32)
    index = [step["tick"] for step in sets[depth]["steps"]].index("layer2.1")
    assert explorer.exact("maps", depth, index, 3)[1] == pytest.approx(
        seen.outputs["layer2.1"][0, 3].numpy(), abs=1e-4
    )
    assert not explorer.mosaics.filters["sets"][0]["steps"][0]["panels"][0]["colored"]


def test_without_a_network_connection_it_stays_where_it_was(explorer, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nonexistent/torch")
    monkeypatch.setattr("torch.hub.download_url_to_file", _no_network)
    before, shown = explorer.exhibit.value, explorer.mosaics.maps["bytes"]
    image = explorer.picture.value
    explorer.exhibit.value = explorer.exhibit.options[-1]
    assert "could not be downloaded" in sentence(explorer)
    assert f"Still showing {before}." in sentence(explorer)
    assert explorer.exhibit.value == before
    assert explorer.mosaics.maps["bytes"] == shown
    assert not explorer.mosaics.busy
    explorer.picture.value = another(explorer)
    assert explorer.mosaics.maps["bytes"] != shown, "it works on with the networks that it has"
    explorer.picture.value = image


def _no_network(*_args, **_kwargs):
    raise OSError("no network")


# --- networks of other people ------------------------------------------------------------------------------


def vgg():
    features = torchvision.models.vgg.make_layers([8, "M", 16, "M", 16], batch_norm=True)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5))


def segmentation():
    return torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=3)


def detection():
    return torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=48, max_size=64
    )


@pytest.mark.parametrize(
    ("make", "first", "count", "skips"),
    [
        (vgg, "0.2", 3, False),
        (lambda: torchvision.models.DenseNet(8, (2, 2), 16), "features.denseblock1.denselayer1", 4, False),
        (segmentation, "backbone.layer1.0", 17, True),
        (detection, "backbone.body.1", 24, True),
    ],
    ids=[
        "vgg",
        "densenet",
        "segmentation",
        "detection",
    ],  # of the last, nine maps are the pyramid's and heads'
)
def test_any_network_with_no_other_preparation(make, first, count, skips):
    torch.manual_seed(0)
    model = make().train()
    before = fingerprint(model)
    explorer = rx.FeatureMapExplorer(model, IMAGES.sigmoid())
    explorer.finish()
    assert fingerprint(model) == before
    steps = explorer.mosaics.maps["sets"][0]["steps"]
    assert steps[0]["tick"] == first
    assert len(steps) == count
    assert explorer.mosaics.message == ""
    assert bool(explorer.mosaics.parts) == skips
    assert ("no view of skip and branch" in sentence(explorer)) != skips
    assert first in explorer.mosaics.windows[0][0]
    last = explorer.scenes[0].steps[-1][0]
    exact = explorer.exact("maps", 0, count - 1, 0)[0]
    assert exact == pytest.approx(last.maps[0], abs=1e-3)
    first_shown = explorer.mosaics.maps["bytes"]
    explorer.picture.value = 1
    assert explorer.mosaics.maps["bytes"] != first_shown
    assert explorer.mosaics.charts == {}, "curves of the last image are no curves of this one"
    explorer.finish()
    assert explorer.mosaics.charts["pictures"][0].startswith(b"\x89PNG")


def test_two_networks_of_ones_own_under_their_names():
    pair = {"mine": rx.build("cifar_resnet8"), "yours": torchvision.models.DenseNet(8, (2, 2), 16)}
    explorer = rx.FeatureMapExplorer(pair, IMAGES)
    steps = explorer.mosaics.maps["sets"][0]["steps"]
    assert len(steps) == 4, "the longer one sets the number of steps"
    assert [p["heading"].split(",")[0] for p in steps[0]["panels"]] == ["mine", "yours"]
    assert all(set(p["orders"]) == {"activation"} for p in steps[0]["panels"]), "nothing to compare"


def test_each_image_counts_once():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    explorer = rx.FeatureMapExplorer(net, IMAGES)
    with torch.no_grad():
        outputs = net(IMAGES)
    for k in (0, 1):
        explorer.picture.value = k
        layer = explorer.scenes[0].measured[0]["1"]
        assert explorer.scenes[0].measured[0].count == 2
        assert layer.statistics.mean == pytest.approx(outputs.mean((0, 2, 3)).numpy(), abs=1e-5)
        assert layer.maps == pytest.approx(outputs[k].numpy(), abs=1e-5), "the one that is shown is the first"
        assert "over 2 images, this one among them." in explorer.mosaics.maps["sets"][0]["caption"]


@pytest.mark.parametrize(("shown", "count"), [(0, 32), (5, 32), (31, 32), (40, 33)])
def test_the_first_32_of_a_data_set_count_and_one_further_behind(shown, count):
    digits = rx.load_dataset("digits", split="test")
    pictures = pictures_of(digits)
    batch = pictures.batch(pictures.picture(shown))
    assert len(batch) == count
    assert torch.equal(batch[:1], digits.normalized(slice(shown, shown + 1)))
    places = {*range(32), shown}
    by_hand = sum(float(digits.normalized(slice(k, k + 1)).mean()) for k in places) / len(places)
    assert float(batch.mean()) == pytest.approx(by_hand, abs=1e-5)
    upload = Picture(torch.zeros(1, 1, 8, 8), "an upload")
    assert len(pictures.batch(upload)) == 33


def test_of_large_images_only_the_one_shown_counts_and_that_is_said():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    photos = [rx.sample_photos()[name].load() for name in ("cat", "coffee")]
    alone = "over this image alone, as it is larger than 64×64."
    for images, says in (
        (photos, alone),
        (torch.rand(2, 3, 65, 64), alone),
        (torch.rand(2, 3, 64, 64), "over 2 images, this one among them."),
        (torch.rand(1, 3, 40, 56), "over this image."),
    ):
        assert says in rx.FeatureMapExplorer(net, images).mosaics.maps["sets"][0]["caption"]


def test_images_in_other_forms():
    model = rx.build("cifar_resnet8", in_channels=1)
    digits = rx.FeatureMapExplorer(model, rx.load_dataset("digits", split="test"))
    assert digits.picture.label == "0 (test image 0)"
    photos = [rx.sample_photos()[name].load() for name in ("cat", "coffee")]
    assert len(rx.FeatureMapExplorer(rx.build("cifar_resnet8"), photos).picture.options) == 2
    assert len(rx.FeatureMapExplorer(rx.build("cifar_resnet8"), list(IMAGES)).picture.options) == 2
    assert rx.FeatureMapExplorer(rx.build("cifar_resnet8"), IMAGES[0]).scenes
    assert rx.FeatureMapExplorer(rx.build("cifar_resnet8"), IMAGES.numpy()).scenes
    chosen = rx.FeatureMapExplorer(rx.build("cifar_resnet8"), IMAGES, layers="*.conv1")
    assert [s["tick"] for s in chosen.mosaics.maps["sets"][0]["steps"]] == [
        f"layer{k}.0.conv1" for k in (1, 2, 3)
    ]


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        raise ZeroDivisionError("a bug of mine")


def spoiled(*which):
    """The images, some of which hold a value that is no finite number."""
    images = IMAGES.clone()
    images[list(which), 1, 5, 7] = torch.tensor([np.nan, np.inf])[: len(which)]
    return images


@pytest.mark.parametrize(
    ("models", "images", "says"),
    [
        (Raises(), IMAGES, "can't take images of shape (2, 3, 40, 56): ZeroDivisionError, a bug of mine"),
        (nn.Sequential(nn.Flatten(), nn.Linear(6720, 2)), IMAGES, "has no 2-D convolution"),
        (rx.build("cifar_resnet8"), IMAGES[:, :1], "can't take images of shape"),
        (rx.build("cifar_resnet8"), (IMAGES * 50).byte(), "images must be a float tensor"),
        (rx.build("cifar_resnet8"), "cat.png", "not str"),
        (rx.build("cifar_resnet8"), [], "images is empty; give at least one"),
        (rx.build("cifar_resnet8"), [IMAGES[0], "cat.png"], "not a list of Tensor and str"),
        (rx.build("cifar_resnet8"), [IMAGES[0], IMAGES[1, :, :20]], "must have one size"),
        (rx.build("cifar_resnet8"), spoiled(0), "image 0 holds values that are not finite numbers."),
        (rx.build("cifar_resnet8"), list(spoiled(1)), "image 1 holds values that are not finite numbers."),
        (rx.build("cifar_resnet8"), spoiled(0, 1), "image 0 and 1 more of 2 hold values that are not"),
        ("resnet50", IMAGES, "must be a torch.nn.Module, not str"),
        ([rx.build("cifar_resnet8")] * 3, IMAGES, "two to be put side by side, not 3"),
    ],
    ids=[
        *("raises", "no convolution", "channels", "bytes", "path", "empty", "mixed", "sizes"),
        *("nan", "second", "both", "name", "three"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence_in_the_widget(models, images, says):
    explorer = rx.FeatureMapExplorer(models, images)
    assert says in sentence(explorer)
    assert explorer.mosaics.message == "There is nothing to show."
    assert not explorer.mosaics.busy
    explorer.finish()
    explorer._save_as_chosen()
    assert "nothing to save" in explorer.saved.value


def test_the_saliency_explorer_refuses_the_same_images():
    explorer = rx.SaliencyExplorer(rx.build("cifar_resnet8"), spoiled(1))
    assert "image 1 holds values that are not finite numbers" in explorer.note.value


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda w: w[0, 0, 0, 0].fill_(np.nan), "its own layer2.0.conv1.weight holds such values"),
        (lambda w: w.fill_(3e38), "its numbers grow too large on the way"),
    ],
)
def test_a_network_that_gives_no_finite_numbers_is_told_where_it_begins(spoil, why):
    model = rx.build("cifar_resnet8").eval()
    with torch.no_grad():
        spoil(model.layer2[0].conv1.weight)
    explorer = rx.FeatureMapExplorer({"Mine": model}, IMAGES)
    assert "Mine gives values that are not finite numbers in 2 of 3 layers, first in layer2.0" in sentence(
        explorer
    )
    assert why in sentence(explorer)
    assert explorer.mosaics.message == "There is nothing to show."


def test_an_upload_without_finite_numbers_leaves_the_picture_before(explorer):
    before, buffer = explorer.mosaics.maps, io.BytesIO()
    Image.fromarray(np.full((30, 40), np.nan, np.float32)).save(buffer, "TIFF")
    explorer.upload._receive(None, {"name": "depth.tif"}, [buffer.getvalue()])
    assert "not finite numbers" in explorer.upload.status
    assert explorer.upload.error
    assert explorer.mosaics.maps is before


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")], ids=["parallel", "compiled"]
)
def test_wrapped_networks_are_looked_into(wrap):
    explorer = rx.FeatureMapExplorer(wrap(rx.build("cifar_resnet8")), IMAGES)
    step = explorer.mosaics.maps["sets"][0]["steps"][0]
    assert step["tick"] == "layer1.0"
    assert step["panels"][0]["heading"] == "ResNet", "the network's name, not the wrapper's"


def test_files(explorer, tmp_path):
    explorer.exhibit.value = explorer.exhibit.options[0]
    explorer.finish()
    explorer.mosaics.set_state({"index": 4, "order": "difference"})
    sizes = {ending: explorer.save(tmp_path / f"maps{ending}").stat().st_size for ending in FORMATS.values()}
    assert min(sizes.values()) > 1000
    picture = np.asarray(Image.open(tmp_path / "maps.png"))
    explorer.mosaics.set_state({"view": "parts"})
    explorer.save(tmp_path / "parts.png")
    assert not np.array_equal(picture, np.asarray(Image.open(tmp_path / "parts.png")))
    explorer.mosaics.set_state({"view": "filters"})
    explorer.save(tmp_path / "filters.svg")
    text = (tmp_path / "maps.svg").read_text()
    assert text.count("<image") == 3
    program, about, *lines = (tmp_path / "maps.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert len(rows) == 2 * 3 * (16 + 32 + 64)
    scene = explorer.scenes[at_20(explorer)]
    layer = scene.measured[1]["layer3.1"]
    row = next(
        r for r in rows if (r["network"], r["block"], r["channel"]) == ("Residual-20", "layer3.1", "7")
    )
    assert float(row["mean"]) == pytest.approx(layer.statistics.mean[7])
    assert float(row["block_branch_over_skip"]) == pytest.approx(layer.ratio)
    with np.load(tmp_path / "maps.npz") as arrays:
        assert arrays["Residual-20/layer3.1/output"] == pytest.approx(layer.maps, abs=1e-4)
        assert "Plain-20/layer3.1/skip" not in arrays
        assert arrays["image"].shape == (3, 32, 32)
        assert arrays["conditions"].dtype.kind == "U", "an array that opens without pickle"
        said = list(arrays["conditions"])
    network = scene.subjects[1].model
    assert said[1].startswith(
        "Residual-20: cifar_resnet20, weights 'cifar10', trained on a JPEG-recompressed "
    )
    assert f"test error {percent(network.about['test_error'])}" in said[1]
    assert f"seed {network.about['run']['seed']}, " in said[1]
    assert "Chelsea the cat" in said[2]
    assert said[3] == f"Made with resnet_explore {rx.__version__}."
    assert about == f"# conditions: {' '.join(said[:3])}"
    assert program == f"# program: resnet_explore {rx.__version__}"
    blocks = [r for r in rows if (r["network"], r["block"]) == ("Plain-20", "layer2.1")]
    for order, place in (("activation", "place_by_activation"), ("difference", "place_by_difference")):
        ranks = panel_of(explorer.mosaics.maps, at_20(explorer), 4, 0)[3][order]
        assert [r["channel"] for r in sorted(blocks, key=lambda r: int(r[place]))] == [str(c) for c in ranks]
    with pytest.raises(rx.ExploreError, match=r"must end in .png, .svg, .csv, .npz, not '.gif'"):
        explorer.save(tmp_path / "maps.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(rx.ExploreError, match="can't be written"):
        explorer.save(tmp_path / "file" / "maps.png")


def test_a_saved_picture_is_what_is_shown(explorer, tmp_path):
    explorer.exhibit.value = explorer.exhibit.options[0]
    explorer.finish()
    before = {"view": "maps", "index": 8, "order": "channel", "channel": -1, "own_scale": False}

    def saved(**state):
        explorer.mosaics.set_state(before | state)
        text = explorer.save(tmp_path / "shown.svg").read_text()
        explorer.mosaics.set_state(before | {"opacity": 0.7})
        return text, re.findall(r"data:image/png;base64,[^\"]+", text)[0]

    words, plain = saved()
    assert "Channel 5" not in words
    assert "The brightest colour is ±" in words
    words, own = saved(own_scale=True)
    assert "Each tile is on its own scale" in words
    assert "The brightest colour is ±" not in words
    words, one = saved(channel=5)
    assert "Channel 5 over" in words
    _, through = saved(channel=5, opacity=0.3)
    assert len({plain, own, one, through}) == 4


def test_a_saved_picture_can_be_cited(explorer, tmp_path):
    explorer.exhibit.value = explorer.exhibit.options[0]
    explorer.finish()
    before = {"view": "maps", "index": 4, "order": "activation", "channel": -1, "own_scale": False}
    orders = {
        "activation": "Tiles row by row by activation, both together.",
        "difference": "Tiles row by row by how much the twins differ.",
        "channel": "Tiles row by row by channel.",
    }
    for order, words in orders.items():
        explorer.mosaics.set_state(before | {"order": order})
        with Image.open(explorer.save(tmp_path / "maps.png")) as picture:
            said = picture.text
        assert said["Software"] == f"resnet_explore {rx.__version__}"
        assert said["Title"].startswith("layer2.1: ")
        assert words in said["Description"]
        assert "What comes out of layer2.1" in said["Description"]
        assert "Plain-20: cifar_plain20, weights 'cifar10', trained on" in said["Description"]
        assert "Chelsea the cat" in said["Description"]
        assert "The brightest colour is ±" in said["Description"]
    explorer.mosaics.set_state(before | {"view": "filters"})
    text = explorer.save(tmp_path / "filters.svg").read_text()
    assert "by size of the weights, both together" in text
    assert f"resnet_explore {rx.__version__}" in text
    explorer.mosaics.set_state(before)


def test_one_filter_lies_over_no_image(tmp_path):
    grey = rx.FeatureMapExplorer(rx.build("cifar_resnet8", in_channels=1), torch.rand(1, 1, 24, 40))
    grey.finish()
    grey.mosaics.set_state({"view": "filters", "channel": 3})
    text = grey.save(tmp_path / "filter.svg").read_text()
    assert "Channel 3." in text
    assert "over the picture" not in text
    weights = grey.scenes[0].subjects[0].model.conv1.weight.detach().numpy()
    assert np.array_equal(grey.exact("filters", 0, 0, 3)[0], weights[3, 0])
    assert grey.exact("filters", 0, 0, 99) == [None]
    color = rx.FeatureMapExplorer(rx.build("cifar_resnet8"), IMAGES)
    weights = color.scenes[0].subjects[0].model.conv1.weight.detach().numpy()
    assert np.array_equal(color.exact("filters", 0, 0, 3)[0], weights[3].transpose(1, 2, 0))


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = Head()
        self.act = nn.ReLU()

    def forward(self, x):
        return self.head(self.act(self.act(self.conv(x))))


class Head(nn.Module):
    def forward(self, x):
        return {"small": x[..., ::2], "both": (x, x + 1)}


@pytest.mark.parametrize(
    ("layers", "index", "says"),
    [
        ("head", 0, "Brackets say which part of what a layer returns, by name or counted from 0."),
        ("head", 2, "by name or counted from 0; a second pair, which part of that."),
        ("act", 1, "A number after a colon says which call of a layer"),
    ],
)
def test_signs_in_the_names_of_layers_are_explained(layers, index, says):
    explorer = rx.FeatureMapExplorer(Pyramid(), IMAGES, layers=layers)
    assert says in explorer.mosaics.maps["sets"][0]["steps"][index]["caption"]
    plain = rx.FeatureMapExplorer(Pyramid(), IMAGES, layers="conv").mosaics.maps["sets"][0]["steps"][0]
    assert "Brackets" not in plain["caption"]
    assert "colon" not in plain["caption"]


@pytest.mark.parametrize("size", [(4000, 3), (3, 4000)], ids=["wide", "tall"])
def test_a_thin_photo_gives_a_picture(explorer, tmp_path, size):
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "PNG")
    explorer.upload._receive(None, {"name": "thin.png"}, [buffer.getvalue()])
    assert not explorer.upload.error
    assert "your photo thin.png" in explorer.mosaics.maps["sets"][0]["caption"]


def test_dead_channels_and_later_pages_in_a_saved_picture(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 70, 3), nn.ReLU())
    with torch.no_grad():
        net[0].bias[-3:] = -100
    explorer = rx.FeatureMapExplorer(net, IMAGES)
    for page, channels, dead in ((0, "1 to 64", False), (1, "65 to 70", True)):
        explorer.mosaics.set_state({"page": page, "order": "channel"})
        text = explorer.save(tmp_path / "page.svg").read_text()
        assert f"Channels {channels} of 70" in text
        assert ("× dead" in text) == dead


def test_a_network_too_large_for_the_memory_is_not_run(monkeypatch):
    model, ran = rx.build("cifar_resnet8"), []
    model.register_forward_hook(lambda *_: ran.append(1))
    need = footprint(model, IMAGES, largest=56)
    module = "resnet_explore.analysis.footprint.free_memory"
    monkeypatch.setattr(module, lambda _: IMAGES.nbytes + need.running)
    said = sentence(rx.FeatureMapExplorer(model, IMAGES))
    assert "so it was not run" in said
    assert f"{in_words(need.kept)} of it for maps, and {in_words(IMAGES.nbytes + need.running)} are" in said
    assert not ran
    # With room enough, but not plenty, it runs, and says what it takes.
    monkeypatch.setattr(module, lambda _: 2 * (need.running + need.kept) + IMAGES.nbytes)
    explorer, heard = rx.FeatureMapExplorer(model, IMAGES), []
    explorer.mosaics.observe(lambda change: heard.append(change["new"]), "message")
    explorer.picture.value = 1
    assert heard[0].startswith("Running the networks (ResNet: about ")
    assert ran
    monkeypatch.setattr("resnet_explore.widgets.feature_maps.free_memory", lambda _: 1000)
    with pytest.raises(rx.ExploreError, match=r"All maps at full size are \d+ MB and 0 MB"):
        explorer.save("never.npz")


def test_tiles_that_would_be_too_many_are_averaged_and_that_is_said(monkeypatch):
    monkeypatch.setattr("resnet_explore.widgets.feature_maps._MOST", 40_000)
    explorer = rx.FeatureMapExplorer(rx.build("cifar_resnet8"), IMAGES)
    panel = explorer.mosaics.maps["sets"][0]["steps"][0]["panels"][0]
    assert panel["shape"] == [16, 20, 28]
    assert panel["full"] == (16, 40, 56)
    assert "Tiles of ResNet are averaged to 28 pixels a side" in sentence(explorer)
    assert explorer.exact("maps", 0, 0, 3)[0].shape == (40, 56)


def test_the_button_saves_what_the_browser_shows_even_if_it_has_not_said_so_yet(
    explorer, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    explorer.format.value = "SVG, the picture"
    mosaics, asked, echoed = explorer.mosaics, [], []
    monkeypatch.setattr(mosaics, "send", lambda content, buffers=None: asked.append(content))
    mosaics.set_state({"order": "activation"})
    explorer.keep.click()
    assert asked == [{"where": True}]
    assert not list(tmp_path.iterdir()), "not before it is known what is shown"
    monkeypatch.setattr(mosaics, "send_state", lambda key=None: echoed.append(key))
    where = {"view": "maps", "depth": 0, "index": 2, "order": "channel", "page": 0, "busy": True}
    for _ in range(2):  # two pages with the widget answer; one click is one file
        mosaics._answer(mosaics, {"where": where}, [])
    (saved,) = tmp_path.iterdir()
    assert "Tiles row by row by channel." in saved.read_text()
    assert (mosaics.order, mosaics.index, mosaics.busy) == ("channel", 2, False)
    assert not {"order", "index"} & set(map(str, echoed)), "the browser knows: it may have moved on since"
    mosaics.set_state({"order": "activation", "index": 0, "depth": at_20(explorer)})
    explorer.format.value = "PNG, the picture"


def test_the_button_writes_beside_the_notebook_and_over_nothing(explorer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explorer._save_as_chosen()
    explorer._save_as_chosen()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["feature_maps-2.png", "feature_maps.png"]
    assert "Saved as <b>feature_maps-2.png</b>" in explorer.saved.value
    assert "Saved" not in explorer.note.value, "beside the button, not far above it"
    monkeypatch.setattr(saving, "free_name", lambda path: tmp_path / "feature_maps.png" / path)
    explorer._save_as_chosen()
    assert "can&#x27;t be written" in explorer.saved.value
    explorer.picture.value = another(explorer)
    assert explorer.saved.value == "", "it is no word on what is shown now"
    assert free_name(tmp_path / "other.png") == tmp_path / "other.png"
