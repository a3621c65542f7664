"""Saliency of networks that answer otherwise than with logits of an image: pixels, boxes, dicts, lists."""

import html
import io
import re

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.answers import read_answer
from resnet_explore.analysis.attribution import attribute
from resnet_explore.analysis.cam_split import split_maps
from resnet_explore.analysis.faithfulness import deletion
from resnet_explore.analysis.targets import Box, Classes, Region
from resnet_explore.widgets.answer_words import answers
from resnet_explore.widgets.questions import OWN_CHOICE
from resnet_explore.widgets.saliency import DEPTHS, PARTS, RANDOM
from resnet_explore.widgets.verdict import VerdictPanel, as_table
from tests.test_saliency_explorer import drawn, is_said, png, shown, small_network

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
        for maps in self.body(x):
            surer = maps[:, 12:, 20:].mean().sigmoid()
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


def said(explorer):
    return html.unescape(re.sub("<[^>]*>", "", explorer.note.value))


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
    explorer = rx.SaliencyExplorer(wrapped, IMAGES)
    assert said(explorer) == ""
    np.testing.assert_allclose(shown(explorer, side=0), expected["0"][0], atol=1e-6)
    assert explorer.maps[0].targets.tolist() == expected.targets.tolist()


def test_a_segmentation_is_asked_about_the_pixels_of_a_class_and_about_one():
    net = Segmenter()
    explorer = rx.SaliencyExplorer(net, IMAGES, classes=["background", "cat", "dog"])
    explorer._background.wait(60)
    assert said(explorer) == ""
    labels = net(IMAGES[:1])["out"][0].argmax(0)
    counts = torch.bincount(labels.flatten(), minlength=3).tolist()
    best = 1 + int(counts[2] > counts[1])  # not the background
    expected = rx.class_activation_maps(net, IMAGES[:1], Region(best, (labels == best).numpy()))
    np.testing.assert_allclose(shown(explorer, side=0), expected["body.2"][0], atol=1e-6)
    name = ["background", "cat", "dog"][best]
    assert f"Segmenter sees {name} in " in explorer.view.series[0]["steps"][0]["title"]
    assert explorer.view.series[0]["headings"] == [f"Segmenter, asked about its {name} pixels"]
    shares = {item["label"]: item["bars"][0]["share"] for item in explorer.answers.items}
    assert shares[name] == pytest.approx(counts[best] / labels.numel())
    assert explorer.answers.heading == "Share of the pixels"

    explorer.view._receive(explorer.view, {"ask": [5.5 / 24, 30.5 / 40]}, [])
    explorer._background.wait(60)
    there = int(labels[5, 30])
    expected = rx.class_activation_maps(net, IMAGES[:1], Region(there, (5, 30)))
    np.testing.assert_allclose(shown(explorer, side=0), expected["body.2"][0], atol=1e-6)
    assert "at row 5, column 30" in explorer.view.series[0]["headings"][0]
    assert explorer.view.series[0]["marks"] == [pytest.approx([30 / 40, 5 / 24, 31 / 40, 6 / 24])]
    explorer.target.value = "dog"
    explorer._background.wait(60)
    assert explorer.maps[0].target.index == 2
    assert explorer.maps[0].target.where == (5, 30)
    assert explorer.questions.everywhere.layout.visibility == "visible"
    explorer.questions.everywhere.click()
    explorer._background.wait(60)
    assert np.asarray(explorer.maps[0].target.where).shape == (24, 40)
    assert explorer.questions.everywhere.layout.visibility == "hidden"


def test_a_segmentation_is_judged_by_how_sure_it_is_of_the_pixels():
    net = Segmenter()
    labels = net(IMAGES[:1])["out"][0].argmax(0)
    explorer = rx.SaliencyExplorer(net, IMAGES)
    explorer._background.wait(60)
    best = explorer.maps[0].target.index
    assert "press Judge" in explorer.verdict.value
    explorer.judge.click()
    assert explorer.judge.layout.display == "none"
    explorer.verdict.halt.click()
    assert "Stopped before all was measured." in explorer.verdict.value
    assert explorer.judge.layout.display == ""
    explorer.judge.click()
    explorer.verdict.wait(120)
    target = Region(best, (labels == best).numpy())
    expected = rx.judge(net, IMAGES[:1], "grad_cam", target, ["deletion", "insertion"])
    assert is_said(expected["deletion"].value, explorer.verdict.value)
    assert "watched is the mean probability of their class" in explorer.verdict.value
    with torch.no_grad():
        inside = net(IMAGES[:1])["out"].softmax(1)[0, best][labels == best].mean()
        zero = net(torch.zeros_like(IMAGES[:1]))["out"].softmax(1)[0, best][labels == best].mean()
    curve = deletion(net, IMAGES[:1], torch.rand(1, 3, 5), target, steps=2)
    assert curve.probabilities[0, 0] == pytest.approx(float(inside), rel=1e-5)
    assert curve.probabilities[0, -1] == pytest.approx(float(zero), rel=1e-5)


def test_one_class_of_pixels_is_there_where_its_logit_is_positive():
    answer = read_answer(torch.tensor([[[[1.0, -1.0, -2.0], [3.0, 0.5, -1.0]]]]), (2, 3))
    assert answer.shares.tolist() == [0.5]
    np.testing.assert_array_equal(answer.target().where, [[1, 0, 0], [1, 1, 0]])
    nowhere = read_answer(-torch.ones(1, 1, 2, 3), (2, 3))
    assert nowhere.target().where.all()


def test_a_detector_is_asked_about_its_surest_box_a_class_and_a_place():
    net = Detector()
    explorer = rx.SaliencyExplorer(net, IMAGES)
    explorer._background.wait(60)
    assert said(explorer) == ""
    expected = rx.class_activation_maps(net, IMAGES[:1], Box((20, 12, 40, 24), 2))
    np.testing.assert_allclose(shown(explorer, side=0), expected["body.0"][0], atol=1e-7)
    assert np.abs(shown(explorer, side=0)).max() > 0
    assert "Detector finds class 2 (score " in explorer.view.series[0]["steps"][0]["title"]
    assert "the surest of its 2 detections" in explorer.view.series[0]["steps"][0]["title"]
    assert list(explorer.target.options) == [OWN_CHOICE, "class 2", "class 7"]
    assert explorer.view.unit == "score"
    assert [item["label"] for item in explorer.answers.items] == ["class 2", "class 7"]
    assert explorer.view.series[0]["marks"] == [pytest.approx([0.5, 0.5, 1.0, 1.0])]
    explorer.answers.chosen = "class 7"
    explorer._background.wait(60)
    assert "asked about class 7 at x 2 to 14, y 3 to 9 (score " in explorer.view.series[0]["headings"][0]
    explorer.target.value = OWN_CHOICE
    explorer._background.wait(60)
    explorer.questions.at((5 / 24, 4 / 40))
    explorer._background.wait(60)
    assert explorer.maps[0].target.label == 7
    before = explorer.view.maps
    explorer.questions.at((0.99, 0.01))
    explorer._background.wait(60)
    assert said(explorer) == "The detector finds nothing around this place. The picture is the one before."
    assert explorer.view.maps == before
    explorer.questions.at(None)
    explorer._background.wait(60)
    explorer.judge.click()
    explorer.verdict.wait(120)
    assert "of 3" in explorer.verdict.value
    assert "Still measuring" not in explorer.verdict.value
    assert explorer.verdict.halt.layout.display == "none"
    explorer.over.value = RANDOM
    explorer._background.wait(60)
    assert "finds other boxes" in said(explorer)


def test_a_detector_that_finds_nothing_says_so():
    explorer = rx.SaliencyExplorer(Nothing(), IMAGES)
    explorer._background.wait(60)
    assert said(explorer) == "The detector finds nothing in this image."
    assert (explorer.view.message, explorer.view.busy) == ("There is nothing to show.", False)


def test_torchvision_s_segmentation_and_detection_need_no_preparation():
    models, scene = torchvision.models, torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    segmenter = models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    explorer = rx.SaliencyExplorer(segmenter, scene)
    explorer._background.wait(120)
    assert said(explorer) == ""
    assert len(explorer.view.series[0]["steps"]) > 10
    assert len(explorer.answers.items) >= 1
    make = models.detection.fasterrcnn_mobilenet_v3_large_320_fpn
    detector = make(weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96)
    explorer = rx.SaliencyExplorer(detector, scene)
    explorer._background.wait(120)
    assert said(explorer) == ""
    assert isinstance(explorer.maps[0].target, Box)
    assert len(explorer.view.series[0]["steps"]) > 10


def test_a_network_without_convolutions_is_explained_by_pixels():
    net = drawn(nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 40, 9), nn.ReLU(), nn.Linear(9, 4)), 0.02)
    explorer = rx.SaliencyExplorer(net, IMAGES)
    explorer._background.wait(60)
    assert said(explorer) == ""
    assert "grad_cam" not in dict(explorer.method.options).values()
    assert explorer.method.value == "saliency"
    expected = attribute(net, IMAGES[:1], None, "saliency").maps[0]
    np.testing.assert_allclose(shown(explorer, side=0), expected, atol=1e-6)
    explorer.over.value = RANDOM
    explorer._background.wait(60)
    assert [one["tick"] for one in explorer.view.series] == ["as trained", "random to 3", "random to 1"]
    explorer.over.value = PARTS
    explorer._background.wait(60)
    assert "explains by the pixels" in said(explorer)
    assert not explorer.view.busy


def test_a_network_that_is_sure_of_nothing_is_said_to_be_and_names_one_first_choice():
    class Faint(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small_network(700)

        def forward(self, x):
            return self.net(x) * 1e-9

    explorer = rx.SaliencyExplorer(Faint(), IMAGES)
    assert "little to judge where no answer is likelier" in explorer.verdict.value
    explorer.judge.click()
    explorer.verdict.wait(120)
    best = int(Faint()(IMAGES[:1]).argmax())
    assert explorer.view.series[0]["steps"][0]["title"] == "Faint finds its 700 answers equally likely."
    assert explorer.view.series[0]["headings"] == [f"Faint, asked about class {best} (0.1 %)"]
    assert explorer.answers.items[0]["label"] == f"class {best}"
    assert answers(explorer._shown[1], explorer.maps)[0]["key"] == f"class {best}"
    verdicts = rx.judge(Faint(), IMAGES[:1], "grad_cam", Classes(best), ["deletion", "insertion", "road"])
    assert not any(one.passed for one in verdicts.values()), "rounding is no evidence"
    assert "✓ 0.00 " not in explorer.verdict.value
    assert "✗ 0.0014 " in explorer.verdict.value


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

    explorer = rx.SaliencyExplorer(Spot(), IMAGES)
    explorer._background.wait(60)
    step = explorer.view.series[0]["steps"][0]
    values = np.abs(shown(explorer, side=0))
    assert values.max() > 1000
    assert step["scale"] == pytest.approx(np.percentile(values, 99))
    assert step["beyond"]
    assert "Full colour from the 99th percentile." in step["caption"]


def test_what_is_saved_has_a_name_of_its_own_in_each_view():
    explorer = rx.SaliencyExplorer(small_network(), IMAGES)
    whole = explorer.view.file
    explorer.over.value = RANDOM
    explorer._background.wait(60)
    assert explorer.view.file == f"{whole}-random-weights"
    buffer = []
    explorer.view.send = lambda content, buffers: buffer.extend(buffers)
    explorer.view._receive(explorer.view, {"save": "numbers"}, [])
    with np.load(io.BytesIO(buffer[0])) as saved:
        assert "random to" in " ".join(saved)


def test_an_upload_has_an_entry_in_the_menu_while_it_is_shown_and_a_full_strip_is_said():
    explorer = rx.SaliencyExplorer(small_network())
    photos, upload = explorer.photos, explorer.photos.upload
    for k in range(12):
        upload._receive(upload, {"name": f"{k}.png"}, [png(10 * k, (20, 30))])
        said_of_it = upload.status
    entries = list(photos.sample.options.items())
    assert entries[0] == ("your photo 11.png", "")
    assert photos.sample.label == "your photo 11.png"
    assert said_of_it == "11.png: the strip holds 12 photos, so the oldest has left it."
    assert photos.strip.items[0]["label"] == "your photo 0.png"
    first = entries[1]
    photos.sample.value = first[1]
    assert next(iter(photos.sample.options.items())) == first
    assert photos.photo.name == first[1]


def test_the_block_slider_stays_where_it_is_on_the_way_through():
    net = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(6)), nn.Flatten(), nn.Linear(2880, 4))
    explorer = rx.SaliencyExplorer(net, IMAGES)
    assert explorer.view.step == 5
    explorer.view.step = 2
    explorer.method.value = "saliency"
    explorer._background.wait(60)
    assert len(explorer.view.series[0]["steps"]) == 1
    explorer.over.value = RANDOM
    explorer._background.wait(60)
    explorer.method.value = "hirescam"
    explorer._background.wait(60)
    explorer.over.value = DEPTHS
    assert explorer.view.step == 2


def test_a_map_that_is_faint_beside_the_other_is_said_to_be():
    strong, weak = small_network(), small_network()
    with torch.no_grad():
        weak[-1].weight.mul_(0.03)
        weak[-1].bias.copy_(strong[-1].bias)
    target = int(strong(IMAGES[:1]).argmax())
    explorer = rx.SaliencyExplorer({"strong": strong, "weak": weak}, IMAGES)
    explorer.target.value = f"class {target}"
    assert (
        "The scale is shared: weak reaches 3.0 % of full colour."
        in (explorer.view.series[0]["steps"][0]["caption"])
    )
    alone = rx.SaliencyExplorer(weak, IMAGES)
    assert "The scale is shared" not in alone.view.series[0]["steps"][0]["caption"]


def test_a_network_that_gives_no_finite_numbers_is_told_why():
    net = small_network()
    with torch.no_grad():
        net[4].weight[0, 0] = float("nan")
    explorer = rx.SaliencyExplorer(net, IMAGES)
    assert "not finite numbers, though the image is finite: its own 4.weight holds such" in said(explorer)
    assert explorer.view.series == []


def test_a_network_with_one_number_is_asked_about_it_and_judged_by_its_sigmoid():
    net = small_network(classes=1)
    explorer = rx.SaliencyExplorer(net, IMAGES)
    number = net(IMAGES[:1]).item()
    said_of_it = f"Sequential answers {number:.3g}.".replace("-", "−")
    assert explorer.view.series[0]["steps"][0]["title"] == said_of_it
    assert explorer.view.series[0]["headings"] == ["Sequential, asked about its only number"]
    assert explorer.answers.items == []
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
    assert "in a map of so few cells there is no centre" in str(found)
    assert "no centre" in as_table(["Mine"], [{"deletion": found}], "Grad-CAM")


def test_a_detector_begins_at_the_last_block_that_leads_to_its_box():
    net = torchvision.models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    explorer = rx.SaliencyExplorer(net, [rx.sample_photos()["cat"].load()])
    explorer._background.wait(120)
    steps = explorer.view.series[0]["steps"]
    assert steps[explorer.view.step]["scale"] > 0
    assert all(step["scale"] == 0 for step in steps[explorer.view.step + 1 :])
    assert "the network gets the middle square" in steps[0]["caption"]


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


def test_a_verdict_that_ends_at_once_leaves_no_stop_behind():
    panel = VerdictPanel()
    panel.offer("Press.", lambda: setattr(panel.halt.layout, "display", "none"))
    panel.press.click()
    assert (panel.press.layout.display, panel.halt.layout.display) == ("none", "none")
