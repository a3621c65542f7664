"""The saliency explorer: photos in, heatmaps of two networks out, at every block and depth."""

import html
import io
import re

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import resnet_explore as rx
from resnet_explore import paths
from resnet_explore.analysis.cams import class_activation_maps
from resnet_explore.analysis.sanity import rank_correlation
from resnet_explore.analysis.targets import Difference
from resnet_explore.analysis.verdict import explainer
from resnet_explore.inputs.images import to_batch
from resnet_explore.widgets import saliency_jobs
from resnet_explore.widgets.pairs import Pair, usual_pairs
from resnet_explore.widgets.questions import NOTHING, OWN_CHOICE
from resnet_explore.widgets.saliency import DEPTHS, PARTS, RANDOM
from resnet_explore.widgets.saliency_words import in_step
from resnet_explore.widgets.words import percent
from tests.made_up import write_weights

ABOUT = {"classes": [f"thing {k}" for k in range(10)], "mean": (0.5,) * 3, "std": (0.25,) * 3}
ABOUT |= {"input_size": (3, 32, 32)}


def pair(depths=("8", "14"), names=("Plain-{}", "Residual-{}")):
    """Random CIFAR twins, which take milliseconds."""

    def load(depth):
        twins = rx.twins(f"cifar_resnet{depth}", seed=0, widths=(4, 8, 16))
        return twins.plain, twins.residual

    return Pair(names, load, depths, ABOUT)


def is_said(number, words):
    """Whether a text holds a number, with as many digits as tell it from chance."""
    return any(f"{number:.{digits}f}" in words for digits in (2, 3, 4))


def png(value, shape):
    buffer = io.BytesIO()
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def judged():
    """For tests that read a verdict."""


@pytest.fixture(autouse=True)
def unjudged(request, monkeypatch):
    """Where no verdict is read none is measured: each is hundreds of passes beside the test."""
    if "judged" not in request.fixturenames:
        monkeypatch.setattr("resnet_explore.widgets.verdict.verdicts", lambda *_: iter(()))


@pytest.fixture
def explorer(unjudged):
    return rx.SaliencyExplorer({"twins": pair()})


def shown(explorer, depth=0, step=-1, side=1):
    """Return what the browser has of one map."""
    entry = explorer.view.series[depth]["steps"][step]["maps"][side]
    numbers = np.frombuffer(explorer.view.maps, "<f4")[entry["at"] : entry["at"] + entry["h"] * entry["w"]]
    return numbers.reshape(entry["h"], entry["w"])


def test_every_block_of_every_depth_is_there_and_begins_at_the_last(explorer):
    assert [len(one["steps"]) for one in explorer.view.series] == [3, 6]
    assert (explorer.view.depth, explorer.view.step) == (1, 5)
    plain, residual = pair().load("14")
    batch = to_batch(rx.sample_photos()["cat"].load(), 32, ABOUT["mean"], ABOUT["std"])
    for side, model in enumerate((plain, residual)):
        expected = class_activation_maps(model, batch)
        np.testing.assert_allclose(
            shown(explorer, 1, -1, side), expected["layer3.1"][0], rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(shown(explorer, 1, 0, side), expected["layer1.0"][0], rtol=1e-4, atol=1e-6)
        best = int(expected.targets[0])
        assert f"says thing {best} (" in explorer.view.series[1]["steps"][0]["title"]
    last = explorer.view.series[1]["steps"][-1]
    assert last["tick"] == "3.1"
    assert last["caption"].startswith(
        "Grad-CAM at block layer3.1 (8×8), in logits. Eval mode; the networks see the middle"
    )
    assert [h.split(",")[0] for h in explorer.view.series[0]["headings"]] == ["Plain-8", "Residual-8"]


def test_what_is_asked_about_is_a_class_or_one_rather_than_another(explorer):
    explorer.target.value = "thing 3"
    assert [cams.targets.tolist() for cams in explorer.maps] == [[3], [3]]
    three = shown(explorer)
    explorer.target.value = "thing 5"
    five = shown(explorer)
    explorer.rather.value = "thing 3"
    np.testing.assert_allclose(shown(explorer), five - three, atol=1e-5)
    assert "asked about thing 5 rather than thing 3" in explorer.view.series[0]["headings"][1]
    explorer.rather.value = "thing 5"
    assert "Nothing speaks for thing 5 rather than thing 5: choose two classes" in explorer.note.value
    explorer.target.value = OWN_CHOICE
    assert "Choose a class to ask about first" in explorer.note.value
    explorer.rather.value = NOTHING
    assert explorer.note.value == ""


def test_answers_are_the_likeliest_of_both_and_buttons(explorer):
    sure = [torch.softmax(cams.logits[0], 0) for cams in explorer.maps]
    best = torch.stack(sure).amax(0).topk(5).indices.tolist()
    items = explorer.answers.items
    assert [item["label"] for item in items] == [f"thing {k}" for k in best]
    for item, k in zip(items, best, strict=True):
        assert [bar["share"] for bar in item["bars"]] == pytest.approx([float(p[k]) for p in sure])
    explorer.answers.chosen = items[2]["key"]
    assert explorer.target.value == items[2]["label"]
    assert explorer.maps[0].targets.tolist() == [best[2]]
    assert explorer.answers.chosen == items[2]["key"]
    explorer.view.depth = 0
    assert "Plain-8 above, Residual-8 below" in explorer.answers.heading


@pytest.mark.parametrize("method", ["grad_cam_plus_plus", "hirescam", "xgrad_cam", "layercam", "eigen_cam"])
def test_the_method_menu_changes_the_maps(explorer, method):
    before = shown(explorer, step=1)
    explorer.method.value = method
    assert explorer.maps[0].method == method
    assert not np.allclose(shown(explorer, step=1), before)
    assert explorer.view.series[0]["steps"][0]["caption"].startswith(f"{explorer.method.label} at block")


def test_trials_run_beside_the_page_and_can_be_stopped(explorer):
    before = explorer.view.maps
    explorer.method.value = "ablation_cam"
    explorer._background.wait(60)
    assert explorer.maps[0].method == "ablation_cam"
    assert explorer.view.maps != before
    assert not explorer.view.busy
    assert explorer.stop.layout.display == "none"
    kept = explorer.view.maps
    explorer.method.value = "score_cam"
    explorer.stop.click()
    explorer._background.wait(60)
    assert "Stopped. The picture is the one before." in explorer.note.value
    assert explorer.view.maps == kept


def test_photos_collect_in_a_strip_and_can_be_gone_back_to(explorer):
    assert explorer.photos.strip.items == []
    first = explorer.view.maps
    explorer.photos.upload._receive(explorer.photos.upload, {"name": "wide.png"}, [png(200, (50, 90))])
    assert not explorer.photos.upload.error
    assert "your photo wide.png" in explorer.view.series[0]["steps"][0]["caption"]
    assert explorer.photos.sample.label == "your photo wide.png"
    one, other = explorer.photos.strip.items
    assert (other["label"], explorer.photos.strip.chosen) == ("your photo wide.png", other["key"])
    assert explorer.view.maps != first
    explorer.photos.strip.chosen = one["key"]
    assert explorer.view.maps == first
    assert "Chelsea" in explorer.view.series[0]["steps"][0]["caption"]
    assert explorer.photos.sample.value == "cat", "the menu names what is shown"
    explorer.photos.strip.chosen = other["key"]
    assert explorer.photos.sample.label == "your photo wide.png"
    explorer.photos.sample.value = "cat"
    assert explorer.view.maps == first
    assert len(explorer.photos.strip.items) == 2, "it was in the strip already"
    for k in range(14):
        explorer.show_image(Image.new("RGB", (40, 30), (k, 0, 0)), f"photo {k}")
    assert len(explorer.photos.strip.items) == 12
    assert explorer.photos.strip.items[-1]["label"] == "photo 13"


def test_a_click_opens_the_photo_that_was_seen_or_none(explorer):
    for k in range(11):
        explorer.show_image(Image.new("RGB", (40, 30), (20 * k, 0, 0)), f"photo {k}")
    gone, kept = (explorer.photos.strip.items[k]["key"] for k in (0, 3))
    explorer.show_image(
        Image.new("RGB", (40, 30)), "the thirteenth"
    )  # drops the oldest before the click comes
    explorer.photos.strip.chosen = gone
    assert explorer.photos.photo.about == "the thirteenth"
    explorer.photos.strip.chosen = kept
    assert explorer.photos.photo.about == "photo 2"


def test_several_files_at_once_are_all_taken_and_what_is_wrong_with_one_is_said(explorer):
    zone = explorer.photos.upload
    files = [("a.png", png(50, (30, 40))), ("page.png", b"<html></html>"), ("b.png", png(90, (30, 40)))]
    for name, data in files:
        zone._receive(zone, {"name": name, "batch": "one"}, [data])
    assert [item["label"] for item in explorer.photos.strip.items[1:]] == [
        "your photo a.png",
        "your photo b.png",
    ]
    assert zone.error
    assert zone.status.startswith("page.png: ")
    zone._receive(zone, {"name": "c.png", "batch": "two"}, [png(10, (30, 40))])
    assert (zone.error, zone.status) == (False, "c.png arrived.")


def test_a_bad_upload_keeps_the_picture(explorer):
    before = explorer.view.maps, explorer.view.picture
    for name, data in (("page.png", b"<html></html>"), ("cut.png", png(9, (40, 30))[:60])):
        explorer.photos.upload._receive(explorer.photos.upload, {"name": name}, [data])
        assert explorer.photos.upload.error
        assert name in explorer.photos.upload.status
        assert (explorer.view.maps, explorer.view.picture) == before
        assert not explorer.view.busy
    assert explorer.photos.strip.items == []


def test_a_pair_that_cannot_be_loaded_is_said_and_the_menu_goes_back():
    def offline(_):
        raise rx.ExploreError("No network; offline there are the CIFAR-10 twins.")

    explorer = rx.SaliencyExplorer({"twins": pair(), "far": Pair(("c", "d"), offline, about=ABOUT)})
    before = explorer.view.maps
    explorer.pair.value = "far"
    assert "No network" in explorer.note.value
    assert "Still showing twins." in explorer.note.value
    assert (explorer.pair.value, explorer.view.maps, explorer.view.busy) == ("twins", before, False)
    assert explorer.target.value == OWN_CHOICE
    assert "did you mean &#x27;rocket&#x27;" in rx.SaliencyExplorer(sample="rockte").note.value


def test_other_networks_begin_at_their_deepest_and_a_depth_that_is_shown_stays():
    explorer = rx.SaliencyExplorer({"one": pair(("8",)), "many": pair(("8", "14", "20"))})
    explorer.pair.value = "many"
    assert explorer.view.depth == 2
    explorer.view.depth = 1
    explorer.method.value = "hirescam"
    explorer.over.value = PARTS
    assert "Residual-14" in explorer.view.series[0]["headings"][1]
    explorer.over.value = DEPTHS
    assert explorer.view.depth == 1


def test_networks_that_nobody_described_are_asked_for():
    foreign = torchvision.models.squeezenet1_1(weights=None, num_classes=10)
    explorer = rx.SaliencyExplorer({"mine": Pair(("a", "b"), lambda _: (foreign, foreign))})
    assert "Nothing says what a SqueezeNet takes and answers" in explorer.note.value
    assert "classes, input_size, mean, std" in explorer.note.value
    assert explorer.view.series == []


def test_any_two_models_stand_side_by_side():
    models = torchvision.models
    about = {**ABOUT, "input_size": (3, 64, 64)}
    two = models.vgg11(weights=None, num_classes=10), models.mobilenet_v3_small(weights=None, num_classes=10)
    explorer = rx.SaliencyExplorer({"mine": Pair(("VGG", "MobileNet"), lambda _: two, about=about)})
    assert explorer.note.value == ""
    left, right = (len(cams) for cams in explorer.maps)
    assert len(explorer.view.series[0]["steps"]) == max(left, right)
    assert left != right


def test_the_same_photo_again_is_the_one_in_the_strip(explorer):
    for name, shade in (("a.png", 9), ("b.png", 90), ("a.png", 9), ("a.png", 91)):
        explorer.photos.upload._receive(explorer.photos.upload, {"name": name}, [png(shade, (40, 30))])
        assert name in explorer.view.about["photo"]
    labels = [item["label"] for item in explorer.photos.strip.items]
    assert [label.split()[-1] for label in labels[-3:]] == ["a.png", "b.png", "a.png"]
    assert len(labels) == 4, "and the sample"


def test_the_blocks_that_cannot_be_split_are_named():
    net = drawn(torchvision.models.mobilenet_v3_small(weights=None, num_classes=10), 0.05)
    about = {**ABOUT, "input_size": (3, 64, 64)}
    explorer = rx.SaliencyExplorer({"mine": Pair(("Mobile",), lambda _: (net,), about=about)})
    whole = list(explorer.maps[0])
    explorer.over.value = PARTS
    split = list(explorer.maps[0])
    missing = [block for block in whole if block not in split]
    assert missing
    assert split
    caption = explorer.view.series[0]["steps"][0]["caption"]
    assert f"Blocks of Mobile that can't be split: {', '.join(missing[:5])}" in caption


def drawn(net, scale=0.3):
    """Give a network weights of a generator of its own: verdicts that still run put back the global one."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=draw))
    return net


def small_network(classes=5):
    layers = torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    return drawn(torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, classes)))


def test_a_network_of_ones_own_and_its_images():
    net, images = small_network(), torch.rand(3, 3, 24, 40)
    explorer = rx.SaliencyExplorer(net, images, classes=["a", "b", "c", "d", "e"])
    assert list(explorer.target.options)[1:] == ["a", "b", "c", "d", "e"]
    expected = class_activation_maps(net, images[:1])
    (name,) = expected
    np.testing.assert_allclose(shown(explorer, side=0), expected[name][0], atol=1e-6)
    with Image.open(io.BytesIO(explorer.view.picture)) as picture:
        assert picture.width / picture.height == pytest.approx(40 / 24, abs=0.01)
    explorer.photos.sample.value = 2
    np.testing.assert_allclose(
        shown(explorer, side=0), class_activation_maps(net, images[2:])[name][0], atol=1e-6
    )
    assert (
        "the network sees 24×40 pixels. Picture: image 2 of 3"
        in explorer.view.series[0]["steps"][0]["caption"]
    )
    explorer.over.value = RANDOM
    explorer._background.wait(60)
    assert explorer.view.series[1]["tick"].startswith("random to ")
    with pytest.raises(rx.ExploreError, match="look at the images that they were given"):
        explorer.show_image(Image.new("RGB", (9, 8)))


def test_networks_whose_names_begin_alike_up_to_a_comma_both_keep_their_numbers():
    two = {"ResNet, a": small_network(), "ResNet, b": small_network()}
    explorer = rx.SaliencyExplorer(two, [Image.new("RGB", (50, 40), "red")])
    numbers = explorer.view.numbers()
    steps = len(explorer.view.series[0]["steps"])
    assert len(numbers) == 2 * steps
    assert {key.rpartition("/")[2] for key in numbers} == set(two)


def test_two_networks_of_ones_own_beside_each_other_on_photos():
    two = {"mine": small_network(), "yours": small_network()}
    explorer = rx.SaliencyExplorer(
        two, [Image.new("RGB", (50, 40), "red"), Image.new("RGB", (30, 40), "blue")]
    )
    assert [h.split(",")[0] for h in explorer.view.series[0]["headings"]] == ["mine", "yours"]
    assert explorer.target.options[1] == "class 0"
    assert "224×224 pixels. Picture: image 0 of 2" in explorer.view.series[0]["steps"][0]["caption"]
    explorer.show_image(Image.new("RGB", (20, 30)), "an upload")
    assert len(explorer.photos.strip.items) == 2


class Raising(torch.nn.Module):
    def forward(self, x):
        raise KeyError("weights")


@pytest.mark.parametrize(
    ("models", "more", "sentence"),
    [
        ("vgg11", {}, "model must be a torch.nn.Module, not str"),
        (small_network(), {"images": "photo.jpg"}, "images must be a float tensor .*, not str"),
        (small_network(), {"images": torch.rand(2, 1, 8, 9)}, "can't take images of shape"),
        (small_network(), {"images": torch.rand(2, 3, 8, 9), "classes": ["a"]}, "must name 5 answers, not 1"),
        ([small_network(5), small_network(4)], {"images": torch.rand(1, 3, 8, 9)}, "these have 5 and 4"),
        (
            torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(2)),
            {"images": torch.rand(1, 3, 8, 9)},
            r"boxes, labels and scores, but this network returns shape \(1, 4, 42\)\.",
        ),
        (Raising(), {"images": torch.rand(1, 3, 8, 9)}, "of shape .1, 3, 8, 9.: KeyError, 'weights'"),
        (
            [small_network(), torch.nn.Conv2d(3, 5, 3)],
            {"images": torch.rand(1, 3, 8, 9)},
            "answers of one kind, but these give classes and pixels",
        ),
        (None, {"images": torch.rand(1, 3, 8, 9)}, "go with a network of your own"),
    ],
)
def test_networks_and_images_that_do_not_fit_are_answered_in_a_sentence(models, more, sentence):
    explorer = rx.SaliencyExplorer(models, **more)
    assert re.search(sentence, html.unescape(explorer.note.value))
    assert "the one before" not in explorer.note.value
    assert (explorer.view.series, explorer.view.message) == ([], "There is nothing to show.")
    assert not explorer.view.busy


def test_the_photo_twins_come_first_once_they_ship_then_all_depths(tmp_path, monkeypatch):
    data = tmp_path / "data"
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    (downloaded,) = usual_pairs()
    assert "downloads" in downloaded
    write_weights(data / "cifar10", "cifar_resnet20", 32, widths=(4, 8, 16))
    assert len(usual_pairs()) == 1, "one of two twins is no pair"
    write_weights(data / "cifar10", "cifar_plain20", 32, widths=(4, 8, 16))
    assert next(iter(usual_pairs())) == "CIFAR-10 twins, 20 layers"
    for name in ("cifar_plain8", "cifar_resnet8", "cifar_plain56"):
        write_weights(data / "cifar10", name, 32, widths=(4, 8, 16))
    entry, twins = next(iter(usual_pairs().items()))
    assert (entry, twins.depths) == ("CIFAR-10 twins, 8 to 20 layers", ("8", "20"))
    left, right = twins.load("20")
    assert (left.config, right.config.depth) == (right.config.plain(), 20)
    for name in ("plain18", "resnet18"):
        write_weights(data / "imagenette", name, 64, widths=(4, 8, 16, 32))
    explorer = rx.SaliencyExplorer()
    assert explorer.pair.value == "Imagenette photo twins, 18 layers"
    assert len(explorer.pair.options) == 3
    assert [len(one["steps"]) for one in explorer.view.series] == [8]
    assert explorer.photos.sample.value == "temple"
    assert "as 64×64 pixels" in explorer.view.series[0]["steps"][0]["caption"]
    assert "Plain-18 says" in explorer.view.series[0]["steps"][0]["title"]
    assert "They get 23 % and 23 % of the test images wrong; data: made-up photos." in explorer.answers.note
    explorer.pair.value = entry
    assert [one["tick"] for one in explorer.view.series] == ["8", "20"]
    assert explorer.photos.sample.value == "temple", "the photo stays"
    assert "at least one pair" in rx.SaliencyExplorer({}).note.value


def test_blocks_of_unequal_networks_go_in_step():
    steps = in_step(["a1", "a2"], ["b1", "b2", "b3", "b4"])
    assert steps == [("a1", "b1"), ("a1", "b2"), ("a2", "b3"), ("a2", "b4")]


def test_a_verdict_stands_beside_the_block_that_is_shown(judged, explorer):
    explorer.verdict.wait(120)
    said = re.sub(r"<[^>]*>", " ", explorer.verdict.value)
    assert re.search(
        r"chance\? Plain-14 in \d of 3; Residual-14 in \d of 3\. Sanity checks passed: \d of 2 and \d of 2\.",
        said,
    )
    assert "Grad-CAM at block layer3.1, for this photo alone." in said
    targets = [int(cams.targets[0]) for cams in explorer.maps]
    batch = to_batch(rx.sample_photos()["cat"].load(), 32, ABOUT["mean"], ABOUT["std"])
    expected = rx.judge(
        pair().load("14")[1], batch, explainer("grad_cam", "layer3.1"), targets[1], ["deletion"]
    )
    assert is_said(expected["deletion"].value, said)
    explorer.view.step = 2
    explorer.verdict.wait(120)
    assert "Grad-CAM at block layer2.0" in explorer.verdict.value


def test_a_difference_is_judged_by_how_likely_the_one_is_of_the_two(judged, explorer):
    explorer.target.value, explorer.rather.value = "thing 5", "thing 3"
    explorer.verdict.wait(120)
    said = re.sub(r"<[^>]*>", " ", explorer.verdict.value)
    assert "thing 5 rather than thing 3 (watched is how likely thing 5 is of the two)" in said
    assert "Sanity checks passed" in said
    batch = to_batch(rx.sample_photos()["cat"].load(), 32, ABOUT["mean"], ABOUT["std"])
    net, curve = pair().load("14")[1].eval(), []
    cam = class_activation_maps(net, batch, Difference(5, 3))["layer3.1"]
    large = torch.nn.functional.interpolate(cam[:, None], (32, 32), mode="bilinear")[0, 0].flatten()
    order = large.argsort(descending=True, stable=True)
    for step in range(17):  # deletion, pixel by pixel, derived anew
        image = batch.clone().flatten(2)
        image[..., order[: round(step / 16 * 1024)]] = 0
        with torch.no_grad():
            curve.append(float(net(image.reshape(batch.shape))[0, [5, 3]].softmax(0)[0]))
    area = np.trapezoid(curve, dx=1 / 16)
    (row,) = re.findall(r"Deletion \(low is good\)(.*?)Insertion", said)
    assert is_said(area, row.split("✗")[-1].split("✓")[-1])


def test_pixel_methods_are_judged_and_slow_ones_when_asked(judged, explorer, monkeypatch):
    explorer.method.value = "input_x_gradient"
    explorer._background.wait(60)
    explorer.verdict.wait(120)
    assert "Input × gradient of pixels, for this photo alone" in explorer.verdict.value
    assert explorer.judge.layout.display == "none"
    asked = []
    monkeypatch.setattr(explorer.verdict, "judge", lambda *rest: asked.append(rest[4]))
    explorer.method.value = "score_cam"
    explorer._background.wait(60)
    assert "Score-CAM at block layer3.1: a verdict takes hundreds of passes" in explorer.verdict.value
    assert (explorer.judge.layout.display, asked) == ("", [])
    explorer.judge.click()
    assert asked == ["score_cam"]


def test_each_method_says_its_unit_and_eigen_cam_that_it_knows_no_class(explorer):
    assert explorer.view.unit == "logits"
    explorer.method.value = "eigen_cam"
    assert explorer.view.unit == "activation"
    assert "knows no class" in explorer.view.meaning
    assert explorer.view.series[0]["headings"][1] == "Residual-8, asked about no class"
    assert "knows no class" in explorer.view.series[0]["steps"][0]["caption"]


def test_what_is_saved_can_be_cited(explorer):
    explorer.target.value = "thing 4"
    assert explorer.view.file == "heatmaps-grad-cam-thing-4"
    about = explorer.view.about
    assert (about["method"], about["class"], about["networks"]) == ("Grad-CAM", "thing 4", "twins")
    assert "Chelsea" in about["photo"]


def test_maps_change_as_weights_are_made_random_from_the_top(explorer):
    trained = shown(explorer, depth=1)
    explorer.over.value = RANDOM
    explorer._background.wait(120)
    stages = [one["tick"] for one in explorer.view.series]
    assert stages[:3] == ["as trained", "random to fc", "random to 3.1"]
    assert stages[-1] == "random to conv1"
    assert explorer.view.outer == "Weights"
    np.testing.assert_array_equal(shown(explorer, depth=0), trained)
    assert not np.allclose(shown(explorer, depth=-1), trained)
    first, last = (explorer.view.series[k]["steps"][-1]["caption"] for k in (0, -1))
    assert "drawn anew" not in first
    assert "down to conv1 drawn anew; the class stays" in last
    expected = rank_correlation(
        *(torch.from_numpy(shown(explorer, depth=k, side=0).copy())[None] for k in (0, -1))
    )
    number = f"{expected[0]:.2f}".replace("-", "−")
    title = explorer.view.series[-1]["steps"][-1]["title"]
    assert f"with the trained map of block 3.1: {number} in Plain-14" in title
    assert "There is a verdict for whole maps of trained networks" in explorer.verdict.value
    explorer.view.depth = len(stages) - 1
    sure = [float(torch.softmax(cams.logits[0], 0)[cams.targets[0]]) for cams in explorer.maps]
    heading = explorer.view.series[-1]["headings"][0]
    assert f"({percent(100 * sure[0])})" in heading, "as sure as the network is whose map it is"
    assert explorer.answers.note.startswith("With weights random to conv1")
    explorer.over.value = DEPTHS
    assert [one["tick"] for one in explorer.view.series] == ["8", "14"]
    assert explorer.view.outer == "Depth"


def test_pixels_are_explained_by_captum_beside_the_page(explorer):
    explorer.method.value = "integrated_gradients"
    explorer._background.wait(120)
    assert [len(one["steps"]) for one in explorer.view.series] == [1, 1]
    assert shown(explorer).shape == (32, 32)
    batch = to_batch(rx.sample_photos()["cat"].load(), 32, ABOUT["mean"], ABOUT["std"])
    expected = rx.attribute(pair().load("14")[1], batch, None, "integrated_gradients").maps[0]
    np.testing.assert_allclose(shown(explorer, depth=1), expected, rtol=1e-3, atol=1e-5)
    assert explorer.view.series[0]["steps"][0]["caption"].startswith(
        "Integrated gradients of pixels (32×32), in logits."
    )


def test_what_came_by_skip_and_by_branch_adds_up_on_one_scale(explorer):
    explorer.view.depth = 0
    whole = [shown(explorer, 0, k).copy() for k in range(3)]
    explorer.over.value = PARTS
    assert [one["tick"] for one in explorer.view.series] == ["both", "skip", "branch"]
    assert (explorer.view.outer, explorer.view.depth) == ("Part", 0)
    assert [one["headings"][1] for one in explorer.view.series][1].startswith(
        "Residual-8, skip, asked about thing "
    )
    for k in range(3):
        both, skip, branch = (shown(explorer, part, k) for part in range(3))
        np.testing.assert_allclose(both, whole[k], atol=1e-6)
        np.testing.assert_allclose(skip + branch, both, atol=1e-5)
        assert np.abs(skip).max() > 0
        assert (shown(explorer, 1, k, side=0) == 0).all()
        scales = {one["steps"][k]["scale"] for one in explorer.view.series}
        sides = [shown(explorer, part, k, side) for part in range(3) for side in (0, 1)]
        assert scales == {max(float(np.abs(values).max()) for values in sides)}
    skip, branch = (np.abs(shown(explorer, part)).sum() for part in (1, 2))
    titles = [step["title"] for step in explorer.view.series[1]["steps"]]
    assert len(set(titles)) == 3, "each of its own block"
    title = titles[-1]
    assert title.startswith("Plain-8 has no skip; Residual-8: ")
    assert float(re.search(r"Residual-8: (\d+)", title)[1]) == pytest.approx(
        100 * skip / (skip + branch), abs=0.6
    )
    assert "There is a verdict for whole maps" in explorer.verdict.value
    kept = explorer.view.maps
    explorer.method.value = "saliency"
    explorer._background.wait(60)
    assert "explains by the pixels, where nothing came by a skip" in explorer.note.value
    assert explorer.view.maps == kept
    explorer.method.value = "hirescam"
    explorer.over.value = DEPTHS
    assert [one["tick"] for one in explorer.view.series] == ["8", "14"]


def test_what_a_value_sees_is_its_receptive_field(explorer):
    field = explorer.view.series[0]["steps"][0]["maps"][1]["field"]
    # The stem and a block of two, 3x3 each: 7 pixels, around each pixel.
    assert field == {"start": 0.5 / 32, "jump": 1 / 32, "size": 7 / 32, "pixels": 7}


def test_what_runs_beside_the_page_never_touches_the_networks_that_are_shown(monkeypatch):
    """Hooks of two threads on one network would see each other's passes."""
    used = []
    monkeypatch.setattr(
        "resnet_explore.widgets.verdict.verdicts", lambda network, *_: used.append(network) or iter(())
    )
    explorer = rx.SaliencyExplorer({"twins": pair()})
    explorer.verdict.wait(60)
    assert len(used) == 2
    run = saliency_jobs.Job.run
    monkeypatch.setattr(
        saliency_jobs.Job,
        "run",
        lambda job, *rest: used.extend(n for both in job.networks.values() for n in both) or run(job, *rest),
    )
    explorer.over.value = RANDOM
    explorer._background.wait(60)
    assert len(used) == 6
    loaded = [network for both in explorer._loaded["twins"].values() for network in both]
    assert not {id(network) for network in used} & {id(network) for network in loaded}
