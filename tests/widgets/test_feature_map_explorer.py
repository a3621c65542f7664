"""The feature-map explorer without a browser: what it measures, plans and shows, of our twins and others."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis._batch import why_not_finite
from resnet_explore.analysis.activations.memory import footprint, foretold
from resnet_explore.models.memory import in_words
from resnet_explore.widgets.catalog.images import Images, own_images
from resnet_explore.widgets.core.tiles_panel import MARK, SCALE, Sheet
from resnet_explore.widgets.core.view import Over
from resnet_explore.widgets.feature_maps import captions
from resnet_explore.widgets.feature_maps.jobs import Measure, ReadChannel
from tests.widgets.pages import numbers, shown, what_is_seen

IMAGES = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))
START = {"view": "maps", "networks": "cifar10", "depth": 20, "image": "cat", "block": 1, "channel": -1}
PLAIN = {"order": "activation", "tile_page": 0, "own_scale": False, "opacity": 0.7}


class OfOneDepth(rx.FeatureMapExplorer):
    """Measures the depth that is looked at, and not also those to which the slider could move."""

    def plan(self, state):
        return what_is_seen(super().plan(state))


@pytest.fixture(scope="module")
def twins():
    made = OfOneDepth()
    assert made.wait(120)
    yield made
    made.close()


@pytest.fixture
def explorer(twins):
    shown(twins, **START, **PLAIN)
    return twins


@pytest.fixture
def fresh():
    """One to which no photo was brought."""
    return OfOneDepth()


def tiles(explorer, **changes):
    """Return the panel of tiles after a change."""
    return shown(explorer, **changes).panels[0][0]


def exact(explorer, **changes):
    """Return the exact maps of the channel that is enlarged."""
    return shown(explorer, **changes).aside["tiles"]["maps"]


def own(*arguments, **more):
    """Return an explorer of somebody's own networks, and what went wrong."""
    explorer = rx.FeatureMapExplorer(*arguments, **more)
    assert explorer.wait(120)
    return explorer, explorer.problem


def values(sheet):
    return sheet.values(np.arange(len(sheet.tiles)))


def png_of(image, form="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def upload(explorer, name, data):
    explorer._hear(explorer, {"act": "image.upload", "detail": {"name": name, "batch": name}}, [data])
    page = shown(explorer)
    return next(part for part in page.ask if part.kind == "upload")


# --- twins that ship ----------------------------------------------------------------------------------------


def test_the_first_view_is_a_photo_in_the_eyes_of_trained_twins(explorer):
    page = shown(explorer)
    panel = page.panels[0][0]
    assert [(one.heading, one.kind) for one in panel.sheets] == [
        ("Plain-20", "plain"),
        ("Residual-20", "residual"),
    ]
    assert panel.picture.shape == (32, 32, 3)
    assert [slider.key for slider in page.sliders] == ["block", "depth"]
    assert [choice.value for choice in page.sliders[0].choices] == list(range(1, 10))
    assert page.sliders[0].choices[4].tip == "layer2.1", "what the block is in the network"
    assert [7] in map(numbers, page.conditions), "over how many images"
    assert len(page.headline.split()) <= 15


def test_tiles_are_the_networks_own_values(explorer):
    for block in (1, 5, 9):
        sheets = tiles(explorer, block=block).sheets
        layers = explorer.scene.steps[block - 1]
        strength = np.sum([np.abs(layer.maps).mean((1, 2)) for layer in layers], 0)
        apart = np.abs(layers[0].maps - layers[1].maps).mean((1, 2))
        for sheet, layer in zip(sheets, layers, strict=True):
            assert np.abs(values(sheet) - layer.maps).max() <= sheet.channels[SCALE].max() / 250
            assert (np.diff(strength[sheet.ranked("activation")]) <= 0).all()
            assert (np.diff(apart[sheet.ranked("difference")]) <= 0).all()
            assert sheet.ranked("channel").tolist() == list(range(len(layer.maps)))


def test_x_and_what_the_branch_adds_stand_beside_their_sum(explorer):
    page = shown(explorer, view="parts", block=4)
    skip, branch, both = page.panels[0][0].sheets
    assert [one.sign for one in (skip, branch, both)] == ["", "+", "="]
    layer = explorer.scene.steps[3][1]
    for sheet, maps in ((skip, layer.skip), (branch, layer.branch), (both, layer.skip + layer.branch)):
        assert np.abs(values(sheet) - maps).max() <= sheet.channels[SCALE].max() / 250
    assert (skip.channels[SCALE] == 0).sum() == 16, "option A pads half of the channels with zeros"
    output = tiles(explorer, view="maps").sheets[1]
    assert np.array_equal(skip.ranked("activation"), output.ranked("activation")), "a channel keeps its place"
    assert page.headline == captions.parts_headline(4, "Residual-20", layer)
    assert numbers(page.headline) == [20, 4, pytest.approx(layer.ratio, rel=0.05)]


def test_exact_values_of_an_enlarged_channel_come_aside(explorer):
    count = explorer._view["count"]
    maps = exact(explorer, block=9, channel=5)
    assert explorer._view["count"] == count, "the tiles did not travel again"
    layers = explorer.scene.steps[8]
    for found, layer in zip(maps, layers, strict=True):
        assert found == pytest.approx(layer.maps[5], abs=1e-4)
    assert explorer.page.aside["tiles"]["of"] == {**START, "block": 9, "channel": 5}
    parts = exact(explorer, view="parts", channel=5)
    assert parts[0] + parts[1] == pytest.approx(parts[2], abs=1e-6)
    assert np.maximum(parts[2], 0) == pytest.approx(maps[1], abs=1e-4), "a ReLU follows the sum"
    assert exact(explorer, view="maps", channel=99) == [None, None]
    field = shown(explorer, block=1, channel=0).aside["tiles"]["fields"][1]
    assert field == {"field": (7.0, 7.0), "jump": (1.0, 1.0), "start": (-3.0, -3.0)}


def test_another_view_shows_all_its_channels_again(explorer):
    shown(explorer, channel=3)
    assert explorer.channel == 3
    shown(explorer, view="parts")
    assert explorer.channel == -1


def test_filters_are_colours_of_the_first_layer(explorer):
    panel = tiles(explorer, view="filters")
    weights = explorer.scene.networks[1].model.conv1.weight.detach().numpy()
    expected = weights.transpose(0, 2, 3, 1) / np.abs(weights).max() * 127 + 128
    assert np.abs(panel.sheets[1].tiles - expected).max() <= 0.51
    assert panel.picture is None
    assert exact(explorer, channel=2)[1] == pytest.approx(weights[2].transpose(1, 2, 0))


def test_all_depths_are_in_the_view_and_a_block_keeps_its_share_of_the_way():
    explorer = rx.FeatureMapExplorer()
    assert explorer.wait(120)
    page = explorer.page
    shown_panel = page.panels[0][0].shown
    assert isinstance(shown_panel, Over)
    assert list(shown_panel.each) == [8, 14, 20, 32, 44, 56]
    assert [len(blocks.each) for blocks in shown_panel.each.values()] == [3, 6, 9, 15, 21, 27]
    assert page.sliders[1].carries["block"][56] == list(range(1, 28))
    count = explorer._view["count"]
    shown(explorer, block=9)
    shown(explorer, depth=56)
    assert explorer.block == 27
    shown(explorer, depth=8, block=2)
    assert (explorer.depth, explorer.block) == (8, 2)
    assert explorer._view["count"] == count, "the browser has all of it"


def test_curves_go_through_all_blocks(explorer):
    charts = {chart.title: chart for chart in shown(explorer, block=4).below[0][0].charts}
    assert [one.name for one in charts["Mean of outputs"].series] == ["Plain-20", "Residual-20"]
    means = [layers[1].maps.mean() for layers in explorer.scene.steps]
    assert charts["Mean of outputs"].series[1].y == pytest.approx(means, abs=1e-5)
    assert len(charts["Spread after norms"].series[0].x) == 18, "two norms in each of nine blocks"
    assert {chart.chosen for chart in charts.values()} == {4}
    (ratio,) = shown(explorer, view="parts").below[0][0].charts
    assert [one.name for one in ratio.series] == ["Residual-20"]
    assert ratio.series[0].y == pytest.approx([layers[1].ratio for layers in explorer.scene.steps])


def test_what_is_looked_at_is_computed_first(explorer):
    lab = explorer.lab
    jobs = rx.FeatureMapExplorer.plan(explorer, explorer.state)
    assert jobs[0] == Measure(lab, "cifar10", 20, "cat")
    assert {job.depth for job in jobs[1:]} == {8, 14, 32, 44, 56}
    enlarged = rx.FeatureMapExplorer.plan(explorer, explorer.state.__class__(channel=3, block=2))
    assert enlarged[1] == ReadChannel(lab, "maps", "cifar10", 20, "cat", 2, 3)


def test_as_long_as_other_depths_are_measured_the_view_has_one(explorer):
    jobs = explorer.plan(explorer.state)
    found = explorer._runner.found()
    page = explorer.present(explorer.state, {jobs[0]: found[jobs[0]]})
    assert list(page.panels[0][0].shown.each) == list(range(1, 10))
    assert page.sliders[1].carries["block"] == {}
    assert explorer.present(explorer.state, {}).panels is None


# --- images -------------------------------------------------------------------------------------------------


def test_another_photo_and_an_upload(fresh):
    before = values(tiles(fresh).sheets[0])
    after = values(tiles(fresh, image="rocket").sheets[0])
    assert not np.array_equal(before, after)
    said = upload(fresh, "red.png", png_of(Image.new("RGB", (50, 30), "red")))
    assert (said.said, said.wrong) == ("red.png arrived.", False)
    assert fresh.image == "upload-1"
    conditions = shown(fresh).conditions
    assert [8] in map(numbers, conditions), "over how many images"
    assert any("red.png" in sentence for sentence in conditions)
    said = upload(fresh, "page.html", b"<!doctype html><p>hello")
    assert said.wrong
    assert said.said.startswith("page.html ")
    assert fresh.image == "upload-1"
    fresh.show_image(rx.sample_photos()["cat"].load(), "a cat")
    assert "Picture: a cat." in shown(fresh).conditions
    shown(fresh, image="rocket")
    assert not any(part.said for part in fresh.page.ask if part.kind == "upload"), "that is of another photo"


@pytest.mark.parametrize("size", [(4000, 3), (3, 4000)], ids=["wide", "tall"])
def test_a_thin_photo_gives_a_picture(explorer, size):
    said = upload(explorer, "thin.png", png_of(Image.new("RGB", size, "teal")))
    assert not said.wrong
    assert "thin.png" in " ".join(shown(explorer).conditions)


def test_an_upload_without_finite_numbers_leaves_the_picture_before(explorer):
    before = explorer.state
    said = upload(
        explorer, "depth.tif", png_of(Image.fromarray(np.full((30, 40), np.nan, np.float32)), "TIFF")
    )
    assert "not finite numbers" in said.said
    assert said.wrong
    assert explorer.state == before


def test_digits_have_depths_and_test_images(explorer):
    page = shown(explorer, networks="digits")
    assert (explorer.depth, explorer.image, explorer.block) == (20, "digits/0", 1)
    assert [choice.value for choice in page.sliders[1].choices] == [8, 20, 32, 56, 110]
    assert [32] in map(numbers, page.conditions), "over how many images"
    shown(explorer, depth=32)
    block = [layers[1].name for layers in explorer.scene.steps].index("layer2.1") + 1
    image = rx.load_dataset("digits", split="test").normalized(slice(0, 1))
    model = rx.build("cifar_resnet32", weights="digits")
    with rx.Capture(model, "layer2.1") as seen, torch.no_grad():
        model(image)
    expected = seen.outputs["layer2.1"][0, 3].numpy()
    assert exact(explorer, block=block, channel=3)[1] == pytest.approx(expected, abs=1e-4)
    assert not tiles(explorer, view="filters").sheets[0].colored
    shown(explorer, networks="cifar10")
    assert (explorer.depth, explorer.image) == (20, "cat")


@pytest.mark.parametrize(("k", "count"), [(0, 32), (5, 32), (31, 32), (40, 33)])
def test_the_first_32_of_a_data_set_count_and_one_further_behind(k, count):
    digits = rx.load_dataset("digits", split="test")
    images = Images(digits)
    batch = images.batch(f"image-{k}", images.form)
    assert len(batch) == count
    assert torch.equal(batch[:1], digits.normalized(slice(k, k + 1)))
    places = {*range(32), k}
    by_hand = sum(float(digits.normalized(slice(i, i + 1)).mean()) for i in places) / len(places)
    assert float(batch.mean()) == pytest.approx(by_hand, abs=1e-5)


def test_of_large_images_only_the_one_shown_counts_and_that_is_said():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    photos = [rx.sample_photos()[name].load() for name in ("cat", "coffee")]
    alone = "All numbers are of this image alone, as it is larger than 64×64."
    for images, says in (
        (photos, alone),
        (torch.rand(2, 3, 65, 64), alone),
        (torch.rand(2, 3, 64, 64), "over 2 images, this one among them."),
        (torch.rand(1, 3, 40, 56), "All numbers are of this image alone."),
    ):
        explorer, _ = own(net, images)
        assert says in " ".join(shown(explorer).conditions)


def test_each_image_counts_once():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    explorer, _ = own(net, IMAGES)
    with torch.no_grad():
        outputs = net(IMAGES)
    for k in (0, 1):
        shown(explorer, image=f"image-{k}")
        (measured,) = explorer.scene.measured
        assert measured.count == 2
        assert measured["1"].statistics.mean == pytest.approx(outputs.mean((0, 2, 3)).numpy(), abs=1e-5)
        assert measured["1"].maps == pytest.approx(outputs[k].numpy(), abs=1e-5), "the one shown is the first"


def test_zeros_are_counted_on_the_image_that_is_shown(explorer):
    said = set()
    for image in ("cat", "rocket"):
        page = shown(explorer, image=image, block=4)
        zeros = [100 * (layer.maps == 0).mean() for layer in explorer.scene.steps[3]]
        assert page.headline == captions.maps_headline(
            4, ["Plain-20", "Residual-20"], explorer.scene.steps[3]
        )
        assert numbers(page.headline) == [4, round(zeros[0]), 20, round(zeros[1]), 20]
        curves = next(chart for chart in page.below[0][0].charts if chart.title == "Zeros in outputs")
        assert [line.y[3] for line in curves.series] == pytest.approx(zeros, abs=1e-4)
        said.add(page.headline)
    assert len(said) == 2


def test_images_in_other_forms():
    grey, _ = own(rx.build("cifar_resnet8", in_channels=1), rx.load_dataset("digits", split="test"))
    assert grey.page.ask[0].choices[0].label == "0 (test image 0)"
    photos = [rx.sample_photos()[name].load() for name in ("cat", "coffee")]
    for images, count in ((photos, 2), (list(IMAGES), 2), (IMAGES[0], 1), (IMAGES.numpy(), 2)):
        explorer, problem = own(rx.build("cifar_resnet8"), images)
        assert not problem
        assert explorer.scene
        assert own_images(images).count == count
    chosen, _ = own(rx.build("cifar_resnet8"), IMAGES, layers="*.conv1")
    assert [layers[0].name for layers in chosen.scene.steps] == [f"layer{k}.0.conv1" for k in (1, 2, 3)]


def test_networks_that_see_grey_look_at_digits():
    explorer, problem = own(rx.build("cifar_resnet8", in_channels=1))
    assert not problem
    assert explorer.image == "digits/0"


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
        pytest.param(vgg, "0.2", 3, False, id="vgg"),
        pytest.param(
            lambda: torchvision.models.DenseNet(8, (2, 2), 16), "features.denseblock1.denselayer1", 4, False,
            id="densenet",
        ),
        pytest.param(segmentation, "backbone.layer1.0", 17, True, id="segmentation"),
        # Of the last, nine maps are the pyramid's and heads'.
        pytest.param(detection, "backbone.body.1", 24, True, id="detection"),
    ],
)  # fmt: skip
def test_any_network_with_no_other_preparation(make, first, count, skips):
    torch.manual_seed(0)
    model = make().train()
    before = fingerprint(model)
    explorer, problem = own(model, IMAGES.sigmoid())
    assert problem == ""
    assert fingerprint(model) == before
    assert [explorer.scene.steps[0][0].name, len(explorer.scene.steps)] == [first, count]
    last = explorer.scene.steps[-1][0]
    assert exact(explorer, block=count, channel=0)[0] == pytest.approx(last.maps[0], abs=1e-3)
    assert fingerprint(model) == before
    parts = shown(explorer, view="parts", channel=-1)
    assert (parts.headline == captions.NO_PARTS) != skips
    assert bool(parts.below[0][0].charts) == skips
    first_shown = values(tiles(explorer, view="maps").sheets[0])
    assert not np.array_equal(first_shown, values(tiles(explorer, image="image-1").sheets[0]))


def test_two_networks_of_ones_own_under_their_names():
    pair = {"mine": rx.build("cifar_resnet8"), "yours": torchvision.models.DenseNet(8, (2, 2), 16)}
    explorer, _ = own(pair, IMAGES)
    page = shown(explorer)
    assert len(page.sliders[0].choices) == 4, "the longer one sets the number of steps"
    sheets = page.panels[0][0].sheets
    assert [one.heading.split(",")[0] for one in sheets] == ["mine", "yours"]
    assert all(one.orders == ("activation",) for one in sheets), "nothing to compare"
    assert page.panels[0][0].shown.together == captions.APART
    assert [slider.key for slider in page.sliders] == ["block"]
    assert explorer.code.endswith("\nrx.FeatureMapExplorer(models=models, images=images)")


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
        ("resnet50", IMAGES, "must be a torch.nn.Module, not str"),
    ],
    ids=["raises", "no convolution", "channels", "name"],
)
def test_what_cannot_be_measured_is_a_sentence_on_the_page(models, images, says):
    explorer, problem = own(models, images)
    assert says in problem
    assert explorer.page.panels is None
    with pytest.raises(rx.ExploreError, match="nothing"):
        explorer.save("never.csv")


@pytest.mark.parametrize(
    ("models", "images", "says"),
    [
        (rx.build("cifar_resnet8"), (IMAGES * 50).byte(), "images must be a float tensor"),
        (rx.build("cifar_resnet8"), "cat.png", "not str"),
        (rx.build("cifar_resnet8"), [], "images is empty; give at least one"),
        (rx.build("cifar_resnet8"), [IMAGES[0], "cat.png"], "not a list of Tensor and str"),
        (rx.build("cifar_resnet8"), [IMAGES[0], IMAGES[1, :, :20]], "must have one size"),
        (rx.build("cifar_resnet8"), spoiled(0), "image 0 holds values that are not finite numbers."),
        (rx.build("cifar_resnet8"), list(spoiled(1)), "image 1 holds values that are not finite numbers."),
        (rx.build("cifar_resnet8"), spoiled(0, 1), "image 0 and 1 more of 2 hold values that are not"),
        ([rx.build("cifar_resnet8")] * 3, IMAGES, "two to be put side by side, not 3"),
    ],
    ids=["bytes", "path", "empty", "mixed", "sizes", "nan", "second", "both", "three"],
)
def test_arguments_that_fit_no_form_are_refused(models, images, says):
    with pytest.raises(rx.ExploreError) as refused:
        rx.FeatureMapExplorer(models, images)
    assert says in str(refused.value)


def test_a_state_that_there_is_not_is_refused_and_changes_nothing(explorer):
    before = explorer.state
    for change, says in (
        ({"networks": "cifar"}, "did you mean 'cifar10'"),
        ({"depth": 21}, "did you mean"),
        ({"image": "cta"}, "did you mean 'cat'"),
        ({"block": 0}, "block must be at least 1"),
        ({"block": 10}, "block must be a number from 1 to 9"),
        ({"opacity": 1.5}, "opacity must be from 0 to 1"),
        ({"order": "activity"}, "did you mean 'activation'"),
        ({"blok": 1}, "did you mean 'block'"),
    ):
        with pytest.raises(rx.ExploreError, match=says):
            explorer.update(**change)
        assert explorer.state == before


def test_a_block_beyond_the_last_one_is_the_last_one():
    explorer, _ = own(rx.build("cifar_resnet8"), IMAGES, block=9)
    assert explorer.block == 3
    assert tiles(explorer).shown.name == "block 3"


def test_without_a_network_connection_it_stays_where_it_was(explorer, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nonexistent/torch")
    monkeypatch.setattr("torch.hub.download_url_to_file", _no_network)
    before = explorer.state
    with pytest.raises(rx.ExploreError, match="could not be downloaded") as why:
        rx.build("resnet18", weights="IMAGENET1K_V1")
    shown(explorer, networks="imagenet")
    assert explorer.problem.startswith(str(why.value))
    assert explorer.state == before
    assert tiles(explorer, image="rocket").sheets, "it works on with the networks that it has"


def _no_network(*_args, **_kwargs):
    raise OSError("no network")


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
    _, problem = own({"Mine": model}, IMAGES)
    layers = ["layer2.0", "layer3.0"]
    assert problem == captions.not_finite("Mine", layers, 3, why_not_finite(model))
    assert why in problem


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda m: torch.compile(m, backend="eager")], ids=["parallel", "compiled"]
)
def test_wrapped_networks_are_looked_into(wrap):
    explorer, _ = own(wrap(rx.build("cifar_resnet8")), IMAGES)
    panel = tiles(explorer)
    assert panel.shown.name == "block 1"
    assert panel.sheets[0].heading == "ResNet", "the network's name, not the wrapper's"


def test_a_network_too_large_for_the_memory_is_not_run(monkeypatch):
    model, ran = rx.build("cifar_resnet8"), []
    model.register_forward_hook(lambda *_: ran.append(1))
    need = footprint(model, IMAGES, largest=56)
    module = "resnet_explore.analysis.activations.memory.free_memory"
    free = IMAGES.nbytes + need.running
    monkeypatch.setattr(module, lambda _: free)
    _, said = own(model, IMAGES)
    needed, kept, left = (numbers(in_words(size))[0] for size in (free + need.kept, need.kept, free))
    assert numbers(said) == [needed, *IMAGES.shape, kept, left]
    assert not ran
    # With room enough, but not plenty, it runs, and says what it takes.
    monkeypatch.setattr(module, lambda _: 2 * (need.running + need.kept) + IMAGES.nbytes)
    explorer, _ = own(model, IMAGES)
    told, heard = foretold(model, IMAGES, largest=56), []
    assert told
    explorer.observe(lambda change: heard.append(change["new"]), "_busy")
    shown(explorer, image="image-1")
    assert any(f"ResNet: {told}" in sentence for sentence in heard)
    assert ran
    monkeypatch.setattr(module, lambda _: 1000)
    with pytest.raises(rx.ExploreError, match=r"All maps at full size are \d+ MB and 0 MB"):
        explorer.save("never.npz")


def test_tiles_that_would_be_too_many_are_averaged_and_that_is_said(monkeypatch):
    monkeypatch.setattr("resnet_explore.widgets.feature_maps.jobs.MOST", 40_000)
    explorer, _ = own(rx.build("cifar_resnet8"), IMAGES)
    page = shown(explorer)
    (sheet,) = page.panels[0][0].sheets
    assert (sheet.tiles.shape, sheet.shape) == ((16, 20, 28), (16, 40, 56))
    assert [28, 3] in [numbers(sentence)[:2] for sentence in page.conditions], "of how many layers"
    assert exact(explorer, channel=3)[0].shape == (40, 56)


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
    ("layers", "says"),
    [
        ("head", "by name or counted from 0; a second pair, which part of that."),
        ("act", "A number after a colon says which call of a layer"),
    ],
)
def test_signs_in_the_names_of_layers_are_explained(layers, says):
    explorer, _ = own(Pyramid(), IMAGES, layers=layers)
    assert says in " ".join(shown(explorer).conditions)
    plain, _ = own(Pyramid(), IMAGES, layers="conv")
    assert not {"Brackets", "colon"} & set(" ".join(shown(plain).conditions).split())


# --- files --------------------------------------------------------------------------------------------------


def test_numbers_and_arrays_of_all_blocks_are_saved(explorer, tmp_path):
    shown(explorer, block=5, order="difference")
    lines = explorer.save(tmp_path / "maps.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == 2 * 3 * (16 + 32 + 64)
    layer = explorer.scene.measured[1]["layer3.1"]
    row = next(
        r for r in rows if (r["network"], r["block"], r["channel"]) == ("Residual-20", "layer3.1", "7")
    )
    assert float(row["mean"]) == pytest.approx(layer.maps[7].mean(), abs=1e-5)
    assert float(row["block_branch_over_skip"]) == pytest.approx(layer.ratio)
    blocks = [r for r in rows if (r["network"], r["block"]) == ("Plain-20", "layer2.1")]
    for order, place in (("activation", "place_by_activation"), ("difference", "place_by_difference")):
        ranks = tiles(explorer).sheets[0].ranked(order)
        assert [r["channel"] for r in sorted(blocks, key=lambda r: int(r[place]))] == [str(c) for c in ranks]
    with np.load(explorer.save(tmp_path / "maps.npz")) as arrays:
        assert arrays["Residual-20/layer3.1/output"] == pytest.approx(layer.maps, abs=1e-4)
        assert "Plain-20/layer3.1/skip" not in arrays
        assert arrays["image"].shape == (3, 32, 32)
        assert arrays["conditions"].dtype.kind == "U", "an array that opens without pickle"
        said = " ".join(arrays["conditions"])
    network = explorer.scene.networks[1].model
    assert f"seed {network.about['run']['seed']}, " in said
    assert "Chelsea the cat" in said
    assert f"Made with resnet_explore {rx.__version__}" in said


def test_a_saved_picture_is_what_is_shown_and_can_be_cited(explorer, tmp_path):
    pictures = {}
    for name, change in {
        "tiles": {"order": "channel"},
        "own": {"order": "channel", "own_scale": True},
        "one": {"channel": 5},
        "through": {"channel": 5, "opacity": 0.3},
        "parts": {"view": "parts"},
        "filters": {"view": "filters"},
    }.items():
        shown(explorer, **START, **PLAIN)
        shown(explorer, **change)
        with Image.open(explorer.save(tmp_path / f"{name}.png")) as picture:
            pictures[name] = picture.copy(), picture.info
    assert len({picture.tobytes() for picture, _ in pictures.values()}) == 6
    about = pictures["tiles"][1]
    assert about["Software"] == f"resnet_explore {rx.__version__}"
    page = shown(explorer, **START, **PLAIN)
    assert about["Title"] == page.headline
    assert all(sentence in about["Description"] for sentence in page.conditions)
    assert explorer.scene.networks[0].cited in about["Description"]


def test_words_on_a_saved_picture(explorer):
    words = {
        "by channel.": {"order": "channel"},
        "by how much the twins differ.": {"order": "difference"},
        "by activation, both together.": {"order": "activation"},
        "Each tile is on its own scale": {"own_scale": True},
        "Channel 5 over the picture.": {"channel": 5},
    }
    for said, change in words.items():
        assert said in tiles(explorer, **{**PLAIN, "channel": -1, **change}).words
    shown(explorer, **PLAIN, channel=-1)
    by_size = f"{captions.FILTER_ORDERS[0].label}, {captions.TOGETHER}."
    assert by_size in tiles(explorer, view="filters").words
    grey, _ = own(
        rx.build("cifar_resnet8", in_channels=1), torch.rand(1, 1, 24, 40), view="filters", channel=3
    )
    assert tiles(grey).words.endswith("Channel 3."), "weights lie over no image"


def test_dead_channels_and_later_pages(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 70, 3), nn.ReLU())
    with torch.no_grad():
        net[0].bias[-3:] = -100
    explorer, _ = own(net, IMAGES)
    for page, channels, dead in ((0, "1 to 64", False), (1, "65 to 70", True)):
        panel = tiles(explorer, tile_page=page, order="channel")
        assert f"Channels {channels} of 70" in panel.words
        assert ("× dead" in panel.words) == dead
    assert panel.sheets[0].channels[MARK, -3:].tolist() == [1, 1, 1]
    assert panel.shown.note.endswith(captions.dead(["Sequential"], explorer.scene.steps[-1]))
    assert numbers(panel.shown.note)[-2:] == [3, 70], "dead channels, and of how many"


def test_a_place_that_cannot_be_written_and_another_ending_are_refused(explorer, tmp_path):
    with pytest.raises(rx.ExploreError, match=r"must end in .png, .svg, .pdf, .csv, .npz, not '.gif'"):
        explorer.save(tmp_path / "maps.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(rx.ExploreError, match="can't be written"):
        explorer.save(tmp_path / "file" / "maps.csv")


# --- sentences ----------------------------------------------------------------------------------------------

SENTENCES = Path(__file__).with_name("feature_map_sentences.json")


def of_other_cases():
    """Yield what is said of networks with dead channels, without skips, too large or gone wrong."""
    layer = SimpleNamespace(
        name="2",
        kind="ReLU",
        shape=(70, 40, 56),
        maps=np.zeros((70, 20, 28)),
        ratio=None,
        here=SimpleNamespace(overall=(0.1, 1.0, 0.03)),
        statistics=SimpleNamespace(dead=np.arange(70) < 3),
    )
    yield captions.maps_headline(2, ["Mine"], [layer])
    yield captions.parts_headline(2, "Mine", layer)
    yield captions.filters_headline([(16, 3, 3, 3), (64, 3, 7, 7)])
    yield captions.output(2, [layer])
    yield captions.dead(["Mine"], [layer])
    yield captions.filters_note(1, False)
    yield captions.filters_note(4, False)
    yield captions.averaged("Mine", 28, 3, "5 MB")
    yield captions.not_finite("Mine", ["2", "4"], 3, "its numbers grow too large on the way")
    yield captions.too_large("5 MB", "1 MB")
    yield from captions.signs(["act:1", "head[both][0]"])


def test_sentences_are_those_of_the_snapshot(explorer):
    """Compare all that is said in three views and other cases; delete the file to write it anew."""
    found = {}
    for view in ("maps", "parts", "filters"):
        page = shown(explorer, view=view)
        found[view] = {
            "headline": page.headline,
            "why": page.why,
            "note": page.panels[0][0].shown.note,
            "scaled": page.panels[0][0].shown.scaled,
            "headings": [one.heading for one in page.panels[0][0].sheets if isinstance(one, Sheet)],
            "charts": [chart.title for row in page.below for panel in row for chart in panel.charts],
            "conditions": list(page.conditions),
        }
    found["other cases"] = list(of_other_cases())
    if not SENTENCES.is_file():
        SENTENCES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(SENTENCES.read_text())


def test_an_image_that_is_shown_is_listed_also_where_it_is_not_usually_offered(explorer):
    """A photo says nothing to networks for digits, but a person may choose both before the kernel answers."""
    explorer.update(networks="digits", image="flower")
    menu = next(part for part in explorer.page.ask if part is not None and part.key == "image")
    assert [choice.value for choice in menu.choices[:2]] == ["flower", "digits/0"]
