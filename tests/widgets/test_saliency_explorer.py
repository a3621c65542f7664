"""The saliency explorer without a browser: photos in, heatmaps of two networks out."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.explain.answers import read_answer
from resnet_explore.analysis.explain.maps import class_activation_maps
from resnet_explore.analysis.explain.scoring.sanity import rank_correlation
from resnet_explore.analysis.explain.scoring.verdict import Verdict, explainer
from resnet_explore.analysis.explain.targets import Difference
from resnet_explore.inputs.images import to_batch
from resnet_explore.widgets.catalog.networks import NamedNetwork, Networks
from resnet_explore.widgets.core.state import values_of
from resnet_explore.widgets.core.view import Over
from resnet_explore.widgets.core.words import first_of
from resnet_explore.widgets.saliency import captions, jobs
from resnet_explore.widgets.saliency.jobs import in_step
from tests.widgets.pages import numbers, shown

pytestmark = pytest.mark.usefixtures("unjudged")
ABOUT = {"classes": [f"thing {k}" for k in range(10)], "mean": (0.5,) * 3, "std": (0.25,) * 3}
ABOUT |= {"input_size": (3, 32, 32)}


def twins(key="twins", depths=(8, 14), side=32):
    """Random CIFAR twins, which take milliseconds."""

    def load(depth):
        pair = rx.twins(f"cifar_resnet{depth}", seed=0, widths=(4, 8, 16))
        return NamedNetwork(f"Plain-{depth}", "plain", pair.plain), NamedNetwork(
            f"Residual-{depth}", "residual", pair.residual
        )

    return Networks(key, key, load, depths, about={**ABOUT, "input_size": (3, side, side)})


def cat(side=32):
    return to_batch(rx.sample_photos()["cat"].load(), side, ABOUT["mean"], ABOUT["std"])


def network(depth=14, side=1):
    return twins().load(depth)[side].model


def drawn(net, scale=0.3):
    """Give a network weights of a generator of its own."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=draw))
    return net


def small_network(classes=5):
    layers = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    return drawn(nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, classes)))


def png(value, shape):
    buffer = io.BytesIO()
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def shared():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "verdicts", lambda *_: iter(()))
        made = opened({"twins": twins()})
    yield made, values_of(made.state)
    made.close()


@pytest.fixture
def explorer(unjudged, shared):
    """One for the tests that only change its state; each begins with its first one."""
    made, first = shared
    shown(made, **first)
    return made


@pytest.fixture
def fresh(unjudged):
    """One of its own for tests that bring photos or stop it."""
    made = opened({"twins": twins()})
    yield made
    made.close()


def opened(*arguments, **more):
    made = rx.SaliencyExplorer(*arguments, **more)
    assert made.wait(120)
    return made


def maps(explorer, **changes):
    """Return the values of the maps that are seen."""
    return [one.values for one in shown(explorer, **changes).panels[0][0].steps.maps]


def found_by(explorer):
    """Return what the page's sentences were made of."""
    assert explorer.wait(120)
    return explorer._runner.found()[explorer._explain(explorer.state, explorer.depth)]


def control(page, key):
    parts = [part for one in page.ask for part in (one, *getattr(one, "controls", ()))]
    return next(part for part in parts if part.key == key)


def labels(choices):
    return [choice.label for choice in choices]


def upload(explorer, name, data, batch=None):
    detail = {"name": name, "batch": batch or name}
    explorer._hear(explorer, {"act": "image.upload", "detail": detail}, [data])
    return next(part for part in shown(explorer).ask if part.kind == "upload")


# --- what is seen -------------------------------------------------------------------------------------------


def test_every_block_of_every_depth_is_on_the_page_and_the_slider_scrubs_there(explorer):
    steps = explorer.page.panels[0][0].steps
    assert isinstance(steps, Over)
    assert {depth: len(each.each) for depth, each in steps.each.items()} == {8: 3, 14: 6}
    assert (explorer.depth, explorer.block) == (14, 6)
    for side in (0, 1):
        expected = class_activation_maps(network(14, side), cat())
        for block, layer in ((6, "layer3.1"), (1, "layer1.0")):
            found = steps.each[14].each[block].maps[side].values
            np.testing.assert_allclose(found, expected[layer][0], rtol=1e-4, atol=1e-6)
    slider = next(part for part in explorer.page.sliders if part.key == "depth")
    assert slider.carries == {"block": {8: (1, 2, 3), 14: (1, 2, 3, 4, 5, 6)}}
    page = shown(explorer)
    assert labels(page.sliders[0].choices) == ["1", "2", "3", "4", "5", "6"]
    assert page.sliders[0].choices[3].tip == "layer2.1", "what the block is in the network"
    assert [(one.name, one.color) for one in page.panels[0][0].steps.maps] == [
        ("Plain-14", "plain"),
        ("Residual-14", "residual"),
    ]
    assert len(page.headline.split()) <= 15


def test_it_opens_on_the_last_block_with_more_than_a_few_cells():
    about = {**ABOUT, "input_size": (3, 64, 64)}
    net = NamedNetwork("ResNet", "residual", rx.build("resnet18", num_classes=10, widths=(4, 8, 16, 32)))
    shallow = opened({"one": Networks("one", "one", lambda _: (net,), about=about)})
    side = {1: 16, 3: 8, 5: 4, 7: 2}  # blocks of stages 1 to 4
    assert [shallow.maps[0][layer].shape[-1] for layer in list(shallow.maps[0])[::2]] == list(side.values())
    assert shallow.block == 4, "8 cells a side, where the last have 2"
    assert shown(shallow, block=8).panels[0][0].steps.maps[0].values.shape == (2, 2)


def test_the_depth_takes_the_block_along_and_other_photos_leave_it(explorer):
    explorer.block = 2
    assert shown(explorer, image="coffee").panels[0][0].steps.tick == "layer1.1"
    assert shown(explorer, depth=8, block=3).panels[0][0].steps.tick == "layer3.0"
    explorer.update(block=60)
    assert explorer.wait(60)
    assert explorer.block == 3


def test_what_a_value_sees_is_its_receptive_field(explorer):
    seen = shown(explorer, depth=8, block=1).panels[0][0].steps.maps[1].seen_by
    # The stem and a block of two, 3x3 each: 7 pixels, around each pixel.
    assert (seen.start, seen.jump, seen.size, seen.pixels) == (0.5 / 32, 1 / 32, 7 / 32, 7)


def test_one_scale_for_both_networks_and_one_for_all_blocks(explorer):
    panel = shown(explorer).panels[0][0]
    assert panel.steps.scale == pytest.approx(max(np.abs(one.values).max() for one in panel.steps.maps))
    steps = explorer.page.panels[0][0].steps.each[14].each.values()
    assert panel.together == pytest.approx(max(step.scale for step in steps))
    assert (panel.opacity, panel.palette, panel.shared) == (0.75, "red and blue", False)
    explorer.update(opacity=0.5, palette="brown and teal", shared=True)
    panel = shown(explorer).panels[0][0]
    assert (panel.opacity, panel.palette, panel.shared) == (0.5, "brown and teal", True)


def test_a_few_extreme_pixels_do_not_leave_the_rest_without_colour():
    class Spot(nn.Module):
        """Looks at one pixel a thousand times as much as at all others."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.linspace(-1, 1, 24 * 40).reshape(24, 40))
            self.weight.data[3, 5] = 1000.0

        def forward(self, x):
            score = (x.sum(1) * self.weight).sum((1, 2))
            return torch.stack([score, -score], 1)

    step = shown(opened(Spot(), torch.rand(1, 3, 24, 40))).panels[0][0].steps
    values = np.abs(step.maps[0].values)
    assert values.max() > 1000
    assert step.scale == pytest.approx(np.percentile(values, 99))
    assert step.beyond


# --- what is asked ------------------------------------------------------------------------------------------


def test_what_is_asked_about_is_a_class_or_one_rather_than_another(explorer):
    three = maps(explorer, target=3)
    assert [one.targets.tolist() for one in explorer.maps] == [[3], [3]]
    five = maps(explorer, target=5)
    difference = maps(explorer, rather=3)
    for both, one, other in zip(difference, five, three, strict=True):
        np.testing.assert_allclose(both, one - other, atol=1e-5)
    assert numbers(shown(explorer).panels[0][0].steps.maps[1].heading) == [5, 3]
    with pytest.raises(rx.ExploreError, match="choose two classes"):
        explorer.update(rather=5)
    assert (explorer.target, explorer.rather) == (5, 3)
    explorer.target = None
    assert explorer.rather is None
    with pytest.raises(rx.ExploreError, match="Choose a class to ask about first"):
        explorer.rather = 2
    explorer.target = 12
    assert explorer.wait(60)
    assert explorer.problem.startswith("target ")
    assert numbers(explorer.problem) == [0, 9, 10, 12], "its bounds, how many classes, what was given"
    assert explorer.target is None, "back to what is shown"


def test_answers_are_the_likeliest_of_both_and_buttons(explorer):
    sure = [torch.softmax(one.logits[0], 0) for one in explorer.maps]
    best = torch.stack(sure).amax(0).topk(5).indices.tolist()
    choices = shown(explorer).panels[0][1]
    assert choices.key == "target"
    assert [answer.value for answer in choices.answers] == best
    for answer in choices.answers:
        expected = [float(p[answer.value]) for p in sure]
        assert [bar.share for bar in answer.bars] == pytest.approx(expected)
        assert [bar.color for bar in answer.bars] == ["plain", "residual"]
    assert "only 10 classes" in choices.note, "what they can't know stands beside the answers"
    assert "Chelsea" in " ".join(shown(explorer, target=best[2]).conditions)
    assert explorer.maps[0].targets.tolist() == [best[2]]


@pytest.mark.parametrize(
    "method", ["grad_cam_plus_plus", "hirescam", "xgrad_cam", "layercam", "eigen_cam", "integrated_gradients"]
)
def test_each_method_explains_and_says_its_unit(explorer, method):
    before = maps(explorer, block=2)
    page = shown(explorer, method=method)
    assert explorer.maps[0].method == method
    now = [one.values for one in page.panels[0][0].steps.maps]
    assert now[0].shape != before[0].shape or not np.allclose(now[0], before[0])
    info = jobs.METHODS[method]
    assert (page.panels[0][0].unit, page.panels[0][0].meaning) == (info.unit, info.meaning)
    assert page.panels[0][0].steps.maps[1].heading.endswith("no class") == (method == "eigen_cam")


def test_pixels_are_explained_by_captum(explorer):
    found = maps(explorer, method="integrated_gradients")
    expected = rx.attribute(network(14), cat(), None, "integrated_gradients").maps[0]
    np.testing.assert_allclose(found[1], expected, rtol=1e-3, atol=1e-5)
    assert labels(shown(explorer).sliders[0].choices) == ["pixels"]


def test_trials_can_be_stopped_and_the_picture_stays(fresh):
    kept = maps(fresh, method="ablation_cam")
    assert fresh.maps[0].method == "ablation_cam"
    fresh.method = "score_cam"
    fresh._hear(fresh, {"act": "stop"}, [])
    assert fresh.wait(60)
    assert fresh.method in ("ablation_cam", "score_cam")
    if fresh.method == "ablation_cam":
        np.testing.assert_array_equal(maps(fresh)[0], kept[0])


def test_slow_methods_compute_the_depth_that_is_looked_at(explorer):
    explorer.method = "score_cam"
    assert [job.depth for job in explorer.plan(explorer.state) if isinstance(job, jobs.Explain)] == [14]
    explorer.method = "grad_cam"
    planned = [job for job in explorer.plan(explorer.state) if isinstance(job, jobs.Explain)]
    assert [job.depth for job in planned] == [14, 8], "what is seen first"


# --- photos -------------------------------------------------------------------------------------------------


def test_uploads_stand_in_the_strip_and_none_is_lost(fresh):
    first = maps(fresh)
    said = upload(fresh, "wide.png", png(200, (50, 90)))
    assert (said.said, said.wrong) == ("wide.png arrived.", False)
    assert fresh.image == "upload-1"
    assert "your photo wide.png" in " ".join(shown(fresh).conditions)
    assert not np.allclose(maps(fresh)[1], first[1])
    for k in range(14):
        fresh.show_image(Image.new("RGB", (40, 30), (k, 0, 0)), f"photo {k}")
    strip = control(shown(fresh), "image")
    assert [one.value for one in strip.choices[-15:]] == [f"upload-{k}" for k in range(1, 16)]
    np.testing.assert_allclose(maps(fresh, image="cat")[1], first[1], atol=1e-6)
    upload(fresh, "wide.png", png(200, (50, 90)))
    assert fresh.image == "upload-1", "the same file again is the one in the strip"


def test_of_several_files_all_are_taken_and_what_is_wrong_with_one_is_said(fresh):
    files = [("a.png", png(50, (30, 40))), ("page.png", b"<html></html>"), ("b.png", png(90, (30, 40)))]
    for name, data in files:
        said = upload(fresh, name, data, batch="one")
    assert fresh.image == "upload-2"
    assert said.wrong
    assert said.said.startswith("page.png ")
    assert not any(name in said.said for name in ("a.png", "b.png")), "of what is right nothing is said"
    assert said.taken == 3
    said = upload(fresh, "c.png", png(10, (30, 40)))
    assert (said.wrong, said.said) == (False, "c.png arrived.")


def test_a_bad_upload_keeps_the_picture(fresh):
    before = maps(fresh)
    for name, data in (("page.png", b"<html></html>"), ("cut.png", png(9, (40, 30))[:60])):
        said = upload(fresh, name, data)
        assert said.wrong
        assert name in said.said
        assert fresh.image == "cat"
        np.testing.assert_array_equal(maps(fresh)[1], before[1])


# --- networks -----------------------------------------------------------------------------------------------


def test_networks_that_cannot_be_loaded_are_said_and_the_menu_goes_back():
    def offline(_):
        raise rx.ExploreError("No network; offline there are the CIFAR-10 twins.")

    explorer = opened({"twins": twins(), "far": Networks("far", "far", offline)})
    before = maps(explorer)
    explorer.networks = "far"
    assert explorer.wait(60)
    assert explorer.problem.startswith("No network; offline")
    assert "Still showing" in explorer.problem
    assert explorer.networks == "twins"
    np.testing.assert_array_equal(maps(explorer)[1], before[1])


def test_other_networks_keep_the_nearest_depth_and_forget_the_class():
    explorer = opened({"one": twins("one"), "many": twins("many", (8, 20, 32))}, depth=14, target=3)
    shown(explorer, networks="many")
    assert (explorer.depth, explorer.target, explorer.block) == (8, None, 3)
    with pytest.raises(rx.ExploreError, match="Unknown depth 13"):
        explorer.depth = 13
    assert explorer.depth == 8


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"image": "rockte"}, "did you mean 'rocket'"),
        ({"sample": "rockte"}, "did you mean 'rocket'"),
        ({"networks": "cifar"}, "did you mean 'cifar10'"),
        ({"method": "gradcam"}, "did you mean 'grad_cam'"),
        ({"palette": "red and green"}, "did you mean 'red and blue'"),
        ({"view": "maps"}, "Unknown view 'maps'"),
        ({"colour": 1}, "Unknown argument 'colour'"),
        ({"opacity": "half"}, "opacity must be a number"),
    ],
)
def test_what_there_is_not_is_answered_with_the_closest(state, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.SaliencyExplorer(**state)


def test_any_two_networks_stand_side_by_side():
    models = torchvision.models
    about = {**ABOUT, "input_size": (3, 64, 64)}
    two = (
        NamedNetwork("SqueezeNet", "", models.squeezenet1_1(weights=None, num_classes=10)),
        NamedNetwork("MobileNet", "", models.mobilenet_v3_small(weights=None, num_classes=10)),
    )
    explorer = opened({"mine": Networks("mine", "mine", lambda _: two, about=about)})
    assert explorer.problem == ""
    left, right = (len(one) for one in explorer.maps)
    assert left != right
    assert len(shown(explorer).sliders[0].choices) == max(left, right)


def test_blocks_of_unequal_networks_go_in_step():
    steps = in_step(["a1", "a2"], ["b1", "b2", "b3", "b4"])
    assert steps == [("a1", "b1"), ("a1", "b2"), ("a2", "b3"), ("a2", "b4")]


def test_a_network_of_ones_own_and_its_images():
    net, images = small_network(), torch.rand(3, 3, 24, 40)
    explorer = opened(net, images, classes=["a", "b", "c", "d", "e"])
    assert labels(control(shown(explorer), "target").choices)[1:] == ["a", "b", "c", "d", "e"]
    expected = class_activation_maps(net, images[:1])
    (name,) = expected
    np.testing.assert_allclose(maps(explorer)[0], expected[name][0], atol=1e-6)
    with Image.open(io.BytesIO(shown(explorer).panels[0][0].picture)) as picture:
        assert picture.width / picture.height == pytest.approx(40 / 24, abs=0.01)
    last = class_activation_maps(net, images[2:])[name][0]
    np.testing.assert_allclose(maps(explorer, image="image-2")[0], last, atol=1e-6)
    said = map(numbers, shown(explorer).conditions)
    assert [24, 40, 2, 3] in said, "the network's input, and which image of how many"
    with pytest.raises(rx.ExploreError, match="look at the images that they were given"):
        explorer.show_image(Image.new("RGB", (9, 8)))
    assert not any(part.kind == "upload" for part in shown(explorer).ask)
    assert "rx.SaliencyExplorer(models=models, images=images, classes=['a', " in explorer.code


def test_two_networks_of_ones_own_on_photos():
    two = {"ResNet, a": small_network(), "ResNet, b": small_network()}
    explorer = opened(two, [Image.new("RGB", (50, 40), "red"), Image.new("RGB", (30, 40), "blue")])
    assert [one.name for one in shown(explorer).panels[0][0].steps.maps] == list(two)
    assert control(shown(explorer), "target").choices[1].label == "class 0"
    assert [224, 224, 0, 2] in map(numbers, shown(explorer).conditions)
    explorer.show_image(Image.new("RGB", (20, 30)), "an upload")
    assert len(control(shown(explorer), "image").choices) == 3
    assert {key.rpartition("/")[2] for key in explorer.arrays(shown(explorer))} == set(two)


def test_a_persons_networks_are_only_looked_at(monkeypatch):
    """Hooks of two threads on one network would see each other's passes: copies are asked and judged."""
    used = []
    monkeypatch.setattr(jobs, "verdicts", lambda network, *_: used.append(network) or iter(()))
    net = small_network().train()
    explorer = opened(net, torch.rand(1, 3, 24, 40))
    asked = [one.model for one in explorer.lab.open("own", 0, "image-0").networks]
    assert len({id(one) for one in (net, *used, *asked)}) == 3
    assert all(module.training for module in net.modules())


class Raising(nn.Module):
    def forward(self, x):
        raise KeyError("weights")


@pytest.mark.parametrize(
    ("models", "more", "sentence"),
    [
        ("vgg11", {}, "model must be a torch.nn.Module, not str"),
        (small_network(), {"images": "photo.jpg"}, "images must be a float tensor .*, not str"),
        (None, {"images": torch.rand(1, 3, 8, 9)}, "go with a network of your own"),
        ({}, {}, "at least one"),
        ([small_network()] * 3, {}, "or two to be put side by side, not 3"),
    ],
)
def test_what_is_no_network_or_image_is_refused(models, more, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.SaliencyExplorer(models, **more)


@pytest.mark.parametrize(
    ("models", "more", "sentence"),
    [
        (small_network(), {"images": torch.rand(2, 1, 8, 9)}, "can't take images of shape"),
        (small_network(), {"images": torch.rand(2, 3, 8, 9), "classes": ["a"]}, "must name 5 answers, not 1"),
        ([small_network(5), small_network(4)], {"images": torch.rand(1, 3, 8, 9)}, "these have 5 and 4"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(2)),
            {"images": torch.rand(1, 3, 8, 9)},
            "boxes, labels and scores, but this network returns shape (1, 4, 42).",
        ),
        (Raising(), {"images": torch.rand(1, 3, 8, 9)}, "KeyError, 'weights'"),
        (
            [small_network(), nn.Conv2d(3, 5, 3)],
            {"images": torch.rand(1, 3, 8, 9)},
            "answers of one kind, but these give classes and pixels",
        ),
    ],
)
def test_networks_and_images_that_do_not_fit_are_answered_in_a_sentence(models, more, sentence):
    explorer = opened(models, **more)
    assert sentence in explorer.problem
    assert "Still showing" not in explorer.problem
    assert explorer.page.panels is None
    assert explorer.maps == ()


# --- parts and random weights -------------------------------------------------------------------------------


def test_what_came_by_skip_and_by_branch_adds_up_on_one_scale(explorer):
    whole = maps(explorer, depth=8, block=2)[1]
    panel = shown(explorer, view="parts").panels[0][0]
    assert panel.columns == 3
    assert [one.name for one in panel.steps.maps] == ["Residual-8"] * 3, "a plain network has no skip to show"
    both, skip, branch = (one.values for one in panel.steps.maps)
    np.testing.assert_allclose(both, whole, atol=1e-6)
    np.testing.assert_allclose(skip + branch, both, atol=1e-5)
    assert np.abs(skip).max() > 0
    assert panel.steps.scale == pytest.approx(max(np.abs(v).max() for v in (both, skip, branch)))
    sums = np.abs(skip).sum(), np.abs(branch).sum()
    assert shown(explorer).headline == captions.split_finding("Residual-8", 2, *sums)
    assert numbers(shown(explorer).headline)[1:] == [round(100 * sums[0] / sum(sums)), 2]
    with pytest.raises(rx.ExploreError, match="explains by the pixels, where nothing came by a skip"):
        explorer.method = "saliency"
    missing = {c.value: c.missing for c in control(shown(explorer), "method").choices}
    assert missing["saliency"]
    assert not missing["hirescam"]
    shown(explorer, view="blocks", method="saliency")
    shown(explorer, view="parts")
    assert explorer.method == "grad_cam", "a method that can be split"


def test_the_blocks_that_cannot_be_split_are_named():
    net = drawn(torchvision.models.mobilenet_v3_small(weights=None, num_classes=10), 0.05)
    explorer = opened(net, torch.rand(1, 3, 64, 64))
    whole = list(explorer.maps[0])
    conditions = shown(explorer, view="parts").conditions
    missing = [block for block in whole if block not in explorer.maps[0]]
    assert missing
    assert len(missing) < len(whole)
    assert any(said.endswith(f": {first_of(missing)}.") for said in conditions)


def test_maps_change_as_weights_are_made_random_from_the_top(explorer):
    trained = maps(explorer)
    page = shown(explorer, view="weights")
    stages = [choice.value for choice in page.sliders[0].choices]
    assert stages[:3] == ["", "fc", "layer3.1"]
    assert stages[-1] == "conv1"
    named = labels(page.sliders[0].choices)
    assert (*named[:4], named[-1]) == ("none", "fc", "block 6", "block 5", "conv1"), (
        "as the other slider says"
    )
    np.testing.assert_array_equal(maps(explorer, stage="")[1], trained[1])
    now = maps(explorer, stage="conv1")
    assert not np.allclose(now[1], trained[1])
    for values, before in zip(now, trained, strict=True):
        pair = (torch.from_numpy(each.copy())[None] for each in (before, values))
        expected = f"{rank_correlation(*pair)[0]:.2f}".replace("-", "−")
        assert expected in shown(explorer).headline
    sure = float(torch.softmax(explorer.maps[0].logits[0], 0)[explorer.maps[0].targets[0]])
    assert shown(explorer).panels[0][1].answers[0].bars[0].share >= sure - 1e-6
    assert shown(explorer).panels[0][1].note == captions.answers_note(found_by(explorer), "conv1")
    assert shown(explorer).below == ()
    assert shown(explorer, view="blocks").sliders[-1].key == "depth"


# --- verdicts -----------------------------------------------------------------------------------------------


def verdict(explorer):
    return shown(explorer).aside["verdict"]


@pytest.fixture(scope="module")
def at_first():
    """Twins of 8 layers that see 16 pixels a side, and the verdict on their last block."""
    made = opened({"twins": twins(depths=(8,), side=16)}, block=3)
    yield made, values_of(made.state)
    made.close()


@pytest.fixture
def judging(judged, at_first):
    """One explorer for the tests of verdicts; each measures another one besides."""
    made, first = at_first
    shown(made, **first)
    yield made
    made.unobserve_all("_aside")


def is_said(number, words):
    """Whether a text holds a number, with as many digits as tell it from chance."""
    return any(words.startswith(f"{number:.{digits}f}") for digits in (2, 3, 4))


def test_a_verdict_stands_below_the_block_that_is_shown(judging):
    found = verdict(judging)
    assert found.of == (8, 3)
    assert [len(row.cells) for row in found.rows] == [2] * 5
    assert found.note.startswith(jobs.METHODS["grad_cam"].title)
    assert numbers(found.note)[0] == 3, "the block"
    target = int(judging.maps[1].targets[0])
    expected = rx.judge(network(8), cat(16), explainer("grad_cam", "layer3.0"), target, ["deletion"])
    assert is_said(expected["deletion"].value, found.rows[0].cells[1].value)
    assert found.rows[0].cells[1].passed == expected["deletion"].passed
    assert found.press == ""
    judging.block = 2
    assert verdict(judging).of == (8, 2)


def test_a_verdict_that_is_not_complete_counts_nothing(judging):
    said = []
    judging.observe(lambda _: said.append(judging.page.aside["verdict"].title), "_aside")
    judging.block = 1
    verdict(judging)
    measuring = captions.verdict_title((), (), complete=False)
    assert {title for title in said if " of " not in title} == {measuring}
    assert all(" of 3" in title for title in said if title != measuring)
    passed = [[row.cells[side].passed for row in verdict(judging).rows] for side in (0, 1)]
    (better, sane), (better_residual, sane_residual) = [(sum(one[:3]), sum(one[3:])) for one in passed]
    counts = [8, better, 3, 8, better_residual, 3, sane, 2, sane_residual, 2]
    assert numbers(said[-1]) == counts, "three measures and two checks of each network"


def test_a_difference_is_judged_by_how_likely_the_one_is_of_the_two(judging):
    shown(judging, target=5, rather=3)
    found = verdict(judging)
    assert numbers(found.note)[:4] == [3, 5, 3, 5], "thing 5, of the two"
    batch, net, curve = cat(16), network(8).eval(), []
    cam = class_activation_maps(net, batch, Difference(5, 3))["layer3.0"]
    large = nn.functional.interpolate(cam[:, None], (16, 16), mode="bilinear")[0, 0].flatten()
    order = large.argsort(descending=True, stable=True)
    for step in range(17):  # deletion, pixel by pixel, derived anew
        image = batch.clone().flatten(2)
        image[..., order[: round(step / 16 * 256)]] = 0
        with torch.no_grad():
            curve.append(float(net(image.reshape(batch.shape))[0, [5, 3]].softmax(0)[0]))
    assert is_said(np.trapezoid(curve, dx=1 / 16), found.rows[0].cells[1].value)


def test_slow_methods_are_judged_when_asked_and_a_verdict_can_be_stopped(fresh):
    shown(fresh, method="score_cam")
    found = verdict(fresh)
    assert (found.press, found.act, found.rows) == ("Judge", "judge", ())
    assert "hundreds of passes" in found.note
    fresh._hear(fresh, {"act": "judge"}, [])
    assert [job for job in fresh.plan(fresh.state) if isinstance(job, jobs.Judge)]
    assert verdict(fresh).act == "halt"
    fresh._hear(fresh, {"act": "halt"}, [])
    assert not [job for job in fresh.plan(fresh.state) if isinstance(job, jobs.Judge)]
    assert verdict(fresh).act == "judge"


# --- files --------------------------------------------------------------------------------------------------


def test_what_is_saved_says_what_it_is(explorer, tmp_path):
    shown(explorer, target=4, block=2)
    for suffix in (".png", ".svg", ".pdf"):
        assert explorer.save(tmp_path / f"maps{suffix}").stat().st_size > 10_000
    asked = shown(explorer).panels[0][0].steps.maps[1].heading
    assert numbers(asked)[0] == 4
    assert asked in (tmp_path / "maps.svg").read_text()
    with np.load(explorer.save(tmp_path / "maps.npz")) as saved:
        about = " ".join(saved["conditions"])
        assert set(shown(explorer).conditions) <= set(saved["conditions"].tolist())
        assert "layer1.1" in about
        assert "SaliencyExplorer(models" in about
        assert saved["14/layer1.1/Residual-14"].shape == (32, 32)
        np.testing.assert_allclose(saved["14/layer1.1/Residual-14"], maps(explorer)[1], atol=1e-7)
        assert len(saved) == 1 + 2 * (3 + 6)
    lines = explorer.save(tmp_path / "maps.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    first = next(row for row in rows if row["table"] == "maps" and row["network"] == "Residual-14")
    assert float(first["logits"]) == pytest.approx(float(maps(explorer)[1][0, 0]), rel=1e-5)
    assert {row["table"] for row in rows} >= {"maps", "target"}


# --- sentences ----------------------------------------------------------------------------------------------

SENTENCES = Path(__file__).with_name("saliency_sentences.json")


def of_other_answers(found):
    """Yield what is said of networks that answer otherwise, with the maps of those that are here."""
    logits = {"sure": torch.tensor([0.0, 3.0]), "unsure": torch.zeros(2), "of one": torch.tensor([-1.5])}
    answers = {name: read_answer(values[None], (24, 40)) for name, values in logits.items()}
    pixels = torch.zeros(1, 2, 24, 40)
    pixels[0, 1, :6] = 1
    answers["of pixels"] = read_answer(pixels, (24, 40))
    boxes = torch.tensor([[2.0, 3.0, 14.0, 9.0], [20.0, 12.0, 40.0, 24.0]])
    detected = {"boxes": boxes, "labels": torch.tensor([1, 0]), "scores": torch.tensor([0.4, 0.8])}
    answers["of boxes"] = read_answer([detected], (24, 40))
    usual = captions.conditions(found, found.blocks[5])
    positions = [
        replace(one, maps=replace(one.maps, scores=torch.tensor([0.8]))) for one in found.positions[""]
    ]
    for name, answer in answers.items():
        targets = [answer.target()]
        targets += [Difference(1, 0)] if name == "sure" else []
        targets += [answer.target(None, (0.2, 0.1))] if answer.kind != "classes" else []
        for target in targets:
            asked = [replace(one, answer=answer, target=target) for one in positions]
            opened = replace(found.opened, kind=answer.kind)
            other = replace(found, opened=opened, positions={"": tuple(asked)})
            yield [
                name,
                captions.finding(other),
                captions.heading(other, asked[0]),
                captions.answers_title(other),
                captions.judged(other, 6),
                *(said for said in captions.conditions(other, other.blocks[5]) if said not in usual),
            ]


def of_refusals():
    """Yield what is said where nothing can be shown or judged."""
    yield captions.split_finding("Residual-8", 2, 0, 0)
    yield captions.survival(None, "", ())
    yield captions.faint("Plain-8", 0.03)
    yield from (captions.offered(why, "Grad-CAM at block 6") for why in ("undecided", "slow", "stopped"))
    passed, failed = (
        Verdict("deletion", value, 0.5, 0.1, 0.4, as_good, 19, 1) for value, as_good in ((0.1, 0), (0.9, 19))
    )
    yield captions.verdict_title(
        ["Plain-8", "Residual-8"], [{"deletion": failed}, {"deletion": passed}], True
    )
    nothing = read_answer(
        [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)}], (24, 40)
    )
    for question in ((), (1,), (None, (0.5, 0.5))):
        yield refusal(nothing.target, *question)
    network, image = small_network(), torch.rand(1, 3, 24, 40)
    explorer = rx.SaliencyExplorer(network, image, view="parts")
    for change in ({"method": "saliency"}, {"rather": 2}, {"target": 2, "rather": 2}):
        yield refusal(explorer.update, **change)
    explorer.target = 12
    assert explorer.wait(60)
    yield explorer.problem
    with torch.no_grad():
        network[0].bias[0] = torch.nan
    yield opened(network, image)._problem


def refusal(do, *arguments, **more):
    with pytest.raises(rx.ExploreError) as refused:
        do(*arguments, **more)
    return str(refused.value)


def test_sentences_are_those_of_the_snapshot():
    """Compare what is said of the photo twins and of other answers; delete the file to write it anew."""
    explorer, found = opened(), {}
    for view in ("blocks", "parts", "weights"):
        page = shown(explorer, view=view, stage="fc" if view == "weights" else "")
        panel, *beside = page.panels[0]
        found[view] = {
            "headline": page.headline,
            "why": page.why,
            "headings": [f"{one.name}: {one.heading}" for one in panel.steps.maps],
            "signs": panel.meaning,
            "answers": [choices.note for choices in beside],
            "conditions": list(page.conditions),
            "verdict": [[said.title, said.note] for said in page.aside.values()],
        }
        assert len(page.headline.split()) <= 15
    shown(explorer, view="blocks")
    found["other answers"] = list(of_other_answers(found_by(explorer)))
    found["refusals"] = list(of_refusals())
    if not SENTENCES.is_file():
        SENTENCES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(SENTENCES.read_text())
