"""Saliency of networks that answer otherwise than with logits of an image: pixels, boxes, dicts, lists."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis._batch import why_not_finite
from resnet_explore.analysis.explain.answers import read_answer
from resnet_explore.analysis.explain.attribution import attribute
from resnet_explore.analysis.explain.methods.registry import METHODS
from resnet_explore.analysis.explain.scoring.faithfulness import deletion
from resnet_explore.analysis.explain.split import split_maps
from resnet_explore.analysis.explain.targets import Box, Region
from resnet_explore.widgets.saliency import captions
from tests.widgets.pages import numbers
from tests.widgets.test_saliency_explorer import (
    control,
    drawn,
    found_by,
    is_said,
    labels,
    maps,
    opened,
    shown,
    small_network,
    verdict,
)

pytestmark = pytest.mark.usefixtures("unjudged")
IMAGES = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(3))


class Segmenter(nn.Module):
    """Logits of three classes for each pixel, which depend on the pixels around it, in a dict."""

    def __init__(self, classes=3):
        super().__init__()
        layers = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, classes, 3, padding=1)
        self.body = drawn(nn.Sequential(*layers))

    def forward(self, x):
        logits = self.body(x - x.mean((2, 3), keepdim=True))
        logits = nn.functional.interpolate(logits, x.shape[2:], mode="bilinear")
        return {"aux": logits[:, :1], "out": logits}


class Detector(nn.Module):
    """Two boxes of which the surer lies right below; their scores depend on what is in them."""

    def __init__(self):
        super().__init__()
        self.body = drawn(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()))

    def forward(self, x):
        found = []
        for seen in self.body(x):
            surer = seen[:, 12:, 20:].mean().sigmoid()
            scores = torch.stack([surer * 0.5, surer])
            boxes = x.new_tensor([[2.0, 3.0, 14.0, 9.0], [20.0, 12.0, 40.0, 24.0]])
            found.append({"boxes": boxes, "labels": torch.tensor([7, 2]), "scores": scores})
        return found


class Nothing(Detector):
    def forward(self, x):
        return [{name: part[:0] for name, part in one.items()} for one in super().forward(x)]


class Wrapped(nn.Module):
    """The logits of a network beside other outputs."""

    def __init__(self, net, form):
        super().__init__()
        self.net, self.form = net, form

    def forward(self, x):
        logits = self.net(x)
        return {
            "dict": {"features": logits[:, :2] * 0, "logits": logits},
            "list": [logits, logits * 0],
            "nested": ({"answer": logits},),
        }[self.form]


def heading(explorer):
    return shown(explorer).panels[0][0].steps.maps[0].heading


def asked_at(explorer, down, across):
    explorer._hear(explorer, {"act": "ask", "detail": [down, across]}, [])
    return shown(explorer)


@pytest.mark.parametrize("form", ["dict", "list", "nested"])
def test_logits_are_found_beside_other_outputs(form):
    net = small_network()
    wrapped = Wrapped(net, form)
    expected = rx.class_activation_maps(net, IMAGES[:1])
    for method in ("saliency", "integrated_gradients"):
        found, alone = (attribute(one, IMAGES, None, method) for one in (wrapped, net))
        torch.testing.assert_close(found.values, alone.values)
    ours, plain = (
        rx.judge(one, IMAGES, "grad_cam", metrics=["deletion", "stability"]) for one in (wrapped, net)
    )
    assert repr(ours) == repr(plain)
    explorer = opened(wrapped, IMAGES)
    assert explorer.problem == ""
    np.testing.assert_allclose(maps(explorer)[0], expected["0"][0], atol=1e-6)
    assert explorer.maps[0].targets.tolist() == expected.targets.tolist()


def test_a_segmentation_is_asked_about_the_pixels_of_a_class_and_about_one():
    net = Segmenter()
    explorer = opened(net, IMAGES, classes=["background", "cat", "dog"])
    assert explorer.problem == ""
    labels_of = net(IMAGES[:1])["out"][0].argmax(0)
    counts = torch.bincount(labels_of.flatten(), minlength=3).tolist()
    best = 1 + int(counts[2] > counts[1])  # not the background
    expected = rx.class_activation_maps(net, IMAGES[:1], Region(best, (labels_of == best).numpy()))
    np.testing.assert_allclose(maps(explorer)[0], expected["body.2"][0], atol=1e-6)
    name = ["background", "cat", "dog"][best]
    assert shown(explorer).headline.startswith(f"Segmenter sees {name} (")
    assert name in heading(explorer)
    assert numbers(heading(explorer)) == [], "no place was asked about"
    answers = {answer.label: answer.bars[0].share for answer in shown(explorer).panels[0][1].answers}
    assert answers[name] == pytest.approx(counts[best] / labels_of.numel())
    assert control(shown(explorer), "everywhere").missing

    page = asked_at(explorer, 5.5 / 24, 30.5 / 40)
    there = int(labels_of[5, 30])
    expected = rx.class_activation_maps(net, IMAGES[:1], Region(there, (5, 30)))
    np.testing.assert_allclose(maps(explorer)[0], expected["body.2"][0], atol=1e-6)
    assert numbers(heading(explorer)) == [5, 30]
    mark = page.panels[0][0].steps.maps[0].mark
    assert mark == pytest.approx([30 / 40, 5 / 24, 31 / 40, 6 / 24])
    assert "pixels" in shown(explorer, target=2).headline
    assert explorer.place == (5.5 / 24, 30.5 / 40)
    assert "dog" in heading(explorer)
    assert numbers(heading(explorer)) == [5, 30]
    assert not control(shown(explorer), "everywhere").missing
    explorer._hear(explorer, {"act": "everywhere"}, [])
    assert explorer.place == ()
    assert numbers(heading(explorer)) == []
    asked_at(explorer, 0.5, 0.5)
    assert shown(explorer, image="image-1").panels[0][0].steps.maps[0].mark is None, "other things are there"


def test_a_segmentation_is_judged_by_how_sure_it_is_of_the_pixels(judged):
    net = Segmenter()
    labels_of = net(IMAGES[:1])["out"][0].argmax(0)
    explorer = opened(net, IMAGES)
    best = found_by(explorer).positions[""][0].target.index
    assert verdict(explorer).press == "Judge"
    explorer._hear(explorer, {"act": "judge"}, [])
    found = verdict(explorer)
    target = Region(best, (labels_of == best).numpy())
    expected = rx.judge(net, IMAGES[:1], "grad_cam", target, ["deletion", "insertion"])
    assert is_said(expected["deletion"].value, found.rows[0].cells[0].value)
    assert found.note.startswith(captions.judged(found_by(explorer), explorer.block))
    with torch.no_grad():
        inside = net(IMAGES[:1])["out"].softmax(1)[0, best][labels_of == best].mean()
        zero = net(torch.zeros_like(IMAGES[:1]))["out"].softmax(1)[0, best][labels_of == best].mean()
    curve = deletion(net, IMAGES[:1], torch.rand(1, 3, 5), target, steps=2)
    assert curve.probabilities[0, 0] == pytest.approx(float(inside), rel=1e-5)
    assert curve.probabilities[0, -1] == pytest.approx(float(zero), rel=1e-5)


@pytest.mark.parametrize("view", ["blocks", "weights"])
@pytest.mark.parametrize("make", [Segmenter, Detector, small_network], ids=["pixels", "boxes", "classes"])
def test_a_headline_of_two_networks_has_at_most_fifteen_words(make, view):
    explorer = opened({"Plain-110": make(), "Residual-110": make()}, IMAGES)
    if view == "weights" and make is not Detector:  # which finds other boxes then
        shown(explorer, view=view)
        shown(explorer, stage=list(explorer.page.sliders[0].choices)[-1].value)
    headline = shown(explorer).headline
    assert "Plain-110" in headline
    assert "Residual-110" in headline
    assert len(headline.split()) <= 15, headline


def test_one_class_of_pixels_is_there_where_its_logit_is_positive():
    answer = read_answer(torch.tensor([[[[1.0, -1.0, -2.0], [3.0, 0.5, -1.0]]]]), (2, 3))
    assert answer.shares.tolist() == [0.5]
    np.testing.assert_array_equal(answer.target().where, [[1, 0, 0], [1, 1, 0]])
    nowhere = read_answer(-torch.ones(1, 1, 2, 3), (2, 3))
    assert nowhere.target().where.all()


def test_a_detector_is_asked_about_its_surest_box_a_class_and_a_place(judged):
    net = Detector()
    explorer = opened(net, IMAGES)
    assert explorer.problem == ""
    expected = rx.class_activation_maps(net, IMAGES[:1], Box((20, 12, 40, 24), 2))
    np.testing.assert_allclose(maps(explorer)[0], expected["body.0"][0], atol=1e-7)
    assert np.abs(maps(explorer)[0]).max() > 0
    page, answer = shown(explorer), read_answer(net(IMAGES[:1]), IMAGES.shape[2:])
    sure = {index: pytest.approx(100 * float(answer.shares[index]), abs=0.5) for index in (2, 7)}
    assert numbers(page.headline) == [2, sure[2]]
    assert [2] in map(numbers, page.conditions), "how many boxes it finds"
    assert labels(control(page, "target").choices)[1:] == ["class 2", "class 7"]
    assert page.panels[0][0].unit == "score"
    assert [answer.value for answer in page.panels[0][1].answers] == [2, 7]
    assert page.panels[0][0].steps.maps[0].mark == pytest.approx([0.5, 0.5, 1.0, 1.0])
    shown(explorer, target=7)
    assert numbers(heading(explorer)) == [7, 2, 14, 3, 9, sure[7]], "class, x, y and score"
    shown(explorer, target=None)
    asked_at(explorer, 5 / 24, 4 / 40)
    assert "class 7" in heading(explorer)
    before = maps(explorer)[0]
    asked_at(explorer, 0.99, 0.01)
    with pytest.raises(rx.ExploreError) as nothing:
        answer.target(None, (0.99, 0.01))
    assert explorer.problem.startswith(str(nothing.value))
    np.testing.assert_array_equal(maps(explorer)[0], before)
    explorer._hear(explorer, {"act": "everywhere"}, [])
    explorer._hear(explorer, {"act": "judge"}, [])
    passed = [row.cells[0].passed for row in verdict(explorer).rows]
    assert len(passed) == 3
    assert numbers(verdict(explorer).title) == [sum(passed), 3]
    shown(explorer, view="weights")
    assert "finds other boxes" in explorer.problem
    assert explorer.view == "blocks"


def test_a_detector_that_finds_nothing_says_so():
    explorer = opened(Nothing(), IMAGES)
    with pytest.raises(rx.ExploreError) as nothing:
        read_answer(Nothing()(IMAGES[:1]), IMAGES.shape[2:]).target()
    assert explorer.problem == str(nothing.value)
    assert explorer.page.panels is None


def test_torchvision_s_segmentation_and_detection_need_no_preparation():
    models, scene = torchvision.models, torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    segmenter = models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    explorer = opened(segmenter, scene)
    assert explorer.problem == ""
    assert len(shown(explorer).sliders[0].choices) > 10
    assert len(shown(explorer).panels[0][1].answers) >= 1
    make = models.detection.fasterrcnn_mobilenet_v3_large_320_fpn
    detector = make(weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96)
    explorer = opened(detector, scene)
    assert explorer.problem == ""
    assert shown(explorer).panels[0][0].steps.maps[0].mark is not None
    assert len(shown(explorer).sliders[0].choices) > 10


def test_a_network_without_convolutions_is_explained_by_pixels():
    net = drawn(nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 40, 9), nn.ReLU(), nn.Linear(9, 4)), 0.02)
    explorer = opened(net, IMAGES)
    assert explorer.problem == ""
    assert explorer.method == "saliency"
    assert "grad_cam" not in [choice.value for choice in control(shown(explorer), "method").choices]
    expected = attribute(net, IMAGES[:1], None, "saliency").maps[0]
    np.testing.assert_allclose(maps(explorer)[0], expected, atol=1e-6)
    stages = shown(explorer, view="weights").sliders[0].choices
    assert [choice.value for choice in stages] == ["", "3", "1"]
    shown(explorer, view="parts")
    assert explorer.problem.startswith(METHODS["saliency"].title), "which has no parts"
    assert explorer.view == "weights", "back to what is shown"


class Faint(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = small_network(700)

    def forward(self, x):
        return self.net(x) * 1e-9


def test_a_network_that_is_sure_of_nothing_is_said_to_be_and_names_one_first_choice(judged):
    explorer = opened(Faint(), IMAGES)
    found = found_by(explorer)
    about = captions.judged(found, explorer.block)
    assert verdict(explorer).note == captions.offered("undecided", about)
    best = int(Faint()(IMAGES[:1]).argmax())
    assert shown(explorer).headline == captions.finding(found)
    assert numbers(shown(explorer).headline) == [], "it names no answer and no share"
    assert numbers(heading(explorer)) == [best, 0.1]
    assert shown(explorer).panels[0][1].answers[0].value == best
    explorer._hear(explorer, {"act": "judge"}, [])
    found = verdict(explorer)
    assert not any(row.cells[0].passed for row in found.rows[:3]), "rounding is no evidence"
    assert found.rows[0].cells[0].value == "0.0014"


def test_the_block_slider_stays_where_it_is_while_there_is_but_one_step():
    net = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(6)), nn.Flatten(), nn.Linear(2880, 4))
    explorer = opened(net, IMAGES)
    assert explorer.block == 6
    explorer.block = 3
    assert len(shown(explorer, method="saliency").sliders[0].choices) == 1
    assert maps(explorer)[0].shape == (24, 40)
    shown(explorer, method="hirescam")
    assert explorer.block == 3


def test_a_map_that_is_faint_beside_the_other_is_said_to_be():
    strong, weak = small_network(), small_network()
    with torch.no_grad():
        weak[-1].weight.mul_(0.03)
        weak[-1].bias.copy_(strong[-1].bias)
    target = int(strong(IMAGES[:1]).argmax())
    explorer = opened({"strong": strong, "weak": weak}, IMAGES, target=target)
    assert captions.faint("weak", 0.03) in shown(explorer).conditions
    assert not any("pale" in sentence for sentence in shown(opened(weak, IMAGES)).conditions)


def test_a_network_that_gives_no_finite_numbers_is_told_why():
    net = small_network()
    with torch.no_grad():
        net[4].weight[0, 0] = float("nan")
    explorer = opened(net, IMAGES)
    assert why_not_finite(net) in explorer.problem
    assert "4.weight" in explorer.problem, "where it lies"
    assert explorer.page.panels is None


def test_a_network_with_one_number_is_asked_about_it_and_judged_by_its_sigmoid():
    net = small_network(classes=1)
    explorer = opened(net, IMAGES)
    number = net(IMAGES[:1]).item()
    assert shown(explorer).headline == f"Sequential answers {number:.3g}.".replace("-", "−")
    assert numbers(heading(explorer)) == [], "there is no class to name, and no share"
    assert shown(explorer).panels[0][1] is None
    curve = deletion(net, IMAGES[:1], torch.rand(1, 3, 5), 0, steps=2)
    assert curve.probabilities[0, 0] == pytest.approx(float(torch.tensor(number).sigmoid()), abs=1e-6)


def test_what_is_not_finite_or_the_same_everywhere_is_refused_in_code_too():
    net, spoiled = small_network(), IMAGES.clone()
    spoiled[1, 0, 3, 5] = float("nan")
    for measure in (rx.class_activation_maps, rx.layer_statistics, attribute):
        with pytest.raises(rx.ExploreError, match="image 1 holds values that are not finite numbers"):
            measure(net, spoiled)
    with pytest.raises(rx.ExploreError, match="1 of 2 maps are the same everywhere"):
        rx.judge(net, IMAGES, lambda model, x, y: torch.stack([torch.zeros(3, 5), torch.rand(3, 5)]))
    with pytest.raises(rx.ExploreError, match="metrics must name at least one of deletion"):
        rx.judge(net, IMAGES, "grad_cam", metrics=[])


def test_what_does_not_fit_a_judgement_is_one_sentence_and_one_name_is_enough():
    net = rx.build("cifar_resnet8")
    with torch.device("meta"):
        weightless = torchvision.models.resnet18()
    for model, explain, words in (
        (net, torch.zeros(1, 3, 3), "explain must be the name of a method or a function .* not a Tensor"),
        (weightless, "grad_cam", "a ResNet, is on the meta device"),
    ):
        with pytest.raises(rx.ExploreError, match=words):
            rx.judge(model, IMAGES, explain)
    for models, data, words in (
        (net, None, "models must be networks by name, .* not a ResNet"),
        ({"mine": net}, IMAGES, "data must be an ImageSet, .* not a Tensor"),
    ):
        with pytest.raises(rx.ExploreError, match=words):
            rx.evaluate(models, data, "grad_cam")
    with pytest.raises(rx.ExploreError, match="Unknown method 'grad_cm'"):
        rx.evaluate({"mine": net}, IMAGES, "grad_cm")
    assert list(rx.judge(net, IMAGES, "grad_cam", metrics="insertion", draws=1)) == ["insertion"]


def test_maps_without_a_centre_are_compared_with_none():
    net = torchvision.models.resnet18(weights=None).eval()
    found = rx.judge(net, torch.rand(1, 3, 64, 64), "grad_cam", metrics="deletion", draws=2)["deletion"]
    assert np.isnan(found.centre)
    assert found.beats_centre
    for said in (str(found), captions.beside_chance(found)):
        assert "no centre" in said
        assert "nan" not in said


def test_a_detector_begins_at_a_block_that_leads_to_its_box():
    net = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    explorer = opened(net, [rx.sample_photos()["cat"].load()])
    assert shown(explorer).panels[0][0].steps.scale > 0
    found = found_by(explorer)
    assert found.cropped
    said = captions.conditions(found, found.blocks[explorer.block - 1])
    assert shown(explorer).conditions[: len(said)] == said


def test_blocks_without_a_skip_are_left_out_of_the_split_unless_asked_for():
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v3_small(weights=None).eval()
    whole = rx.class_activation_maps(net, IMAGES[:1])
    split = split_maps(net, IMAGES[:1])
    assert 0 < len(split.whole) < len(whole)
    for layer in split.whole:
        torch.testing.assert_close(split.skip[layer] + split.branch[layer], whole[layer])
    assert set(split.left_out) == set(whole) - set(split.whole)
    missing = next(layer for layer in whole if layer not in split.whole)
    with pytest.raises(rx.ExploreError, match="no sum of a skip and a branch was found"):
        split_maps(net, IMAGES[:1], layers=missing)
