"""What can be asked about, and of whose networks: classes, differences, regions of a segmentation, boxes."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import detection, segmentation
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.resnet import Bottleneck
from torchvision.models.segmentation.fcn import FCN, FCNHead
from witnesses import fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis.explain.maps import maps_of_targets
from resnet_explore.analysis.explain.methods.registry import BLOCKS, methods
from resnet_explore.analysis.explain.targets import Box, Difference, Region
from resnet_explore.analysis.topology.cam_layers import block_names, choose_layers

IMAGES = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def gradient_at(net, layer, images, score):
    """The layer's output and the gradient of score(answer), by torch alone."""
    seen = []
    handle = net.get_submodule(layer).register_forward_hook(lambda m, a, output: seen.append(output))
    answer = net(images)
    handle.remove()
    return seen[0].detach(), torch.autograd.grad(score(answer), seen[0])[0]


# Classes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", methods(BLOCKS))
def test_several_targets_in_one_forward_pass_are_each_as_if_alone(method):
    net = rx.build("cifar_resnet20").eval()
    targets, passes = [3, [0, 9], None, Difference(2, 5), 3], []
    net.register_forward_hook(lambda *_: passes.append(1))
    before = fingerprint(net)
    together = maps_of_targets(net, IMAGES, targets, method=method)
    assert len(passes) == 1
    assert fingerprint(net) == before
    for maps, target in zip(together, targets, strict=True):
        alone = rx.class_activation_maps(net, IMAGES, target, method=method)
        assert list(maps) == list(alone) == block_names(net)
        assert maps.asked == alone.asked
        for layer in maps:
            torch.testing.assert_close(maps[layer], alone[layer])
    assert [maps.asked for maps in together[:2]] == ["class 3", "2 classes"]


@pytest.mark.parametrize("method", ["grad_cam", "hirescam"])
def test_a_difference_is_the_difference_of_the_maps_where_a_method_is_linear_in_the_gradient(method):
    net = rx.build("cifar_resnet8").eval()
    this, that = (rx.class_activation_maps(net, IMAGES, c, method=method) for c in (2, 5))
    both = rx.class_activation_maps(net, IMAGES, Difference(2, 5), method=method)
    for layer in both:
        torch.testing.assert_close(both[layer], this[layer] - that[layer], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(both.scores, this.scores - that.scores)
    assert both.targets.tolist() == [-1, -1]
    assert both.asked == "class 2 rather than class 5"


# Empty maps ----------------------------------------------------------------------------------------------


def test_an_empty_heatmap_says_why():
    net = rx.build("cifar_resnet8").eval()
    last = "layer3.0"
    with torch.no_grad():
        net.fc.weight[1], net.fc.weight[2], net.fc.weight[3] = -1, 1, 0
    against, speaks, silent = maps_of_targets(net, IMAGES, [1, 2, 3], last)
    assert against[last].max() <= 0
    assert against.positive()[last].max() == 0
    assert "All contributions are negative" in against.why_empty(last)
    assert speaks.why_empty(last, image=1) == ""
    assert "All contributions are zero" in silent.why_empty(last)
    with torch.no_grad():
        net.fc.weight[2, 0] = float("inf")
    assert "not finite" in rx.class_activation_maps(net, IMAGES, 2, last).why_empty(last)


# Segmentation --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    layers = {"layer4": "out", "layer3": "aux"}  # as in fcn_resnet50
    backbone = IntermediateLayerGetter(thin_resnet(Bottleneck, [1, 2, 3, 1], 4), layers)
    return FCN(backbone, FCNHead(256, 4), FCNHead(128, 4)).eval()


def masks():
    mask = torch.zeros(2, 32, 48, dtype=torch.bool)
    mask[0, :7, 5:], mask[1, 20:, :9] = True, True
    return mask


@pytest.mark.parametrize(
    ("where", "mean"),
    [
        ((30, 7), lambda plane: plane[:, 30, 7]),
        (masks()[0].numpy(), lambda plane: plane[:, masks()[0]].mean(1)),
        (masks(), lambda plane: torch.stack([p[m].mean() for p, m in zip(plane, masks(), strict=True)])),
    ],
    ids=["pixel", "mask", "mask of each image"],
)
def test_a_region_of_a_segmentation(segmenter, where, mean):
    layer = "backbone.layer3.2"
    maps = rx.class_activation_maps(segmenter, IMAGES, Region(2, where), method="hirescam")
    assert list(maps) == block_names(segmenter)
    a, g = gradient_at(segmenter, layer, IMAGES, lambda answer: mean(answer["out"][:, 2]).sum())
    torch.testing.assert_close(maps[layer], (a * g).sum(1), rtol=1e-3, atol=1e-5 * float((a * g).abs().max()))
    expected = mean(segmenter(IMAGES)["out"][:, 2]).detach()
    torch.testing.assert_close(maps.scores, expected)
    assert maps.logits.shape == (2, 0)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (None, "must return logits.*of a segmentation ask about a Region, of a detector about a Box"),
        (Region(4, (0, 0)), r"index must lie in 0\.\.3, not 4"),
        (Region(0, (32, 0)), r"where must lie inside the output, 32×48, not \(32, 0\)"),
        (Region(0, np.ones((3, 3))), r"mask with something in it, of shape \(32, 48\).*not \(3, 3\)"),
        (Region(0, np.zeros((32, 48))), "mask with something in it"),
        (Box((0, 0, 9, 9)), "A Box is asked of 2 dicts of boxes, labels and scores, not an OrderedDict of "),
    ],
)
def test_bad_questions_to_a_segmentation(segmenter, target, sentence):
    before = fingerprint(segmenter)
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.class_activation_maps(segmenter, IMAGES, target)
    assert fingerprint(segmenter) == before


def test_a_region_is_not_asked_of_a_classifier():
    with pytest.raises(
        rx.ExploreError, match=r"A Region is asked of logits of shape \(2, K, H, W\), not shape"
    ):
        rx.class_activation_maps(rx.build("cifar_resnet8"), IMAGES, Region(0, (0, 0)))


def test_a_segmentation_on_mobilenet():
    net = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    maps = rx.class_activation_maps(net, IMAGES, Region(1, (3, 3)))
    assert len(maps) == 15
    assert "InvertedResidual" in choose_layers(net).reason


# Detection -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    net = detection.retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=64, max_size=96, score_thresh=0.0
    )
    return net.eval()


def test_the_score_of_a_box(detector):
    images = IMAGES.sigmoid()
    found = detector(images)
    box = tuple(found[0]["boxes"][4].tolist())
    label = int(found[0]["labels"][4])
    before = fingerprint(detector)
    maps = rx.class_activation_maps(detector, images[:1], Box(box, label), method="hirescam")
    assert fingerprint(detector) == before
    assert tuple(maps) == choose_layers(detector).names
    assert len(maps) == 16
    torch.testing.assert_close(maps.scores, found[0]["scores"][4:5].detach())
    layer = "backbone.body.layer3.1"
    a, g = gradient_at(detector, layer, images[:1], lambda answer: answer[0]["scores"][4])
    torch.testing.assert_close(maps[layer], (a * g).sum(1), rtol=1e-3, atol=1e-5 * float((a * g).abs().max()))
    assert "the detection of class" in maps.asked


def test_where_nothing_is_detected_there_is_no_gradient_to_follow(detector):
    with pytest.raises(rx.ExploreError, match=r"No gradient of the detection of any class at .* reaches"):
        rx.class_activation_maps(detector, IMAGES.sigmoid(), Box((900, 900, 901, 901)))
    with pytest.raises(rx.ExploreError, match="A Box is asked of 2 dicts"):
        rx.class_activation_maps(rx.build("cifar_resnet8"), IMAGES, Box((0, 0, 9, 9)))


def test_a_box_takes_the_detection_that_overlaps_most():
    found = {
        "boxes": torch.tensor([[0.0, 0, 10, 10], [0, 0, 8, 8], [20, 20, 30, 30]]),
        "labels": torch.tensor([1, 2, 1]),
        "scores": torch.tensor([0.9, 0.8, 0.7]),
    }
    answer = [found]
    assert Box((0, 0, 8, 8)).scores(answer, 1) == 0.8
    assert Box((0, 0, 8, 8), label=1).scores(answer, 1) == 0.9
    assert Box((19, 19, 40, 40)).scores(answer, 1) == 0.7
    assert Box((0, 0, 8, 8), label=3).scores(answer, 1) == 0
    assert Box((50, 50, 60, 60)).scores([{key: value[:0] for key, value in found.items()}], 1) == 0


# Which layers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (torchvision.models.resnet50, "ResNet: its 16 residual blocks (Bottleneck)."),
        (torchvision.models.vgg16, "VGG: all its 13 convolutions, as it has no blocks that repeat."),
        (
            torchvision.models.densenet121,
            "DenseNet: its 4 repeated blocks (_DenseBlock), as it has no residual blocks.",
        ),
        (
            torchvision.models.mobilenet_v2,
            "MobileNetV2: its 17 repeated blocks (InvertedResidual), as it has no residual blocks.",
        ),
        (torchvision.models.convnext_tiny, "ConvNeXt: its 18 repeated blocks (CNBlock), as"),
        (
            lambda: torchvision.models.googlenet(init_weights=False, aux_logits=False),
            "GoogLeNet: its 9 repeated blocks (Inception)",
        ),
        (lambda: rx.build("cifar_plain8"), "ResNet: its 3 residual blocks (BasicBlock)."),
    ],
)
def test_layers_are_found_and_explained(make, reason):
    with torch.device("meta"):
        assert choose_layers(make()).reason.startswith(reason)


def test_layers_of_its_own_choice_that_have_no_map_are_left_out():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.cut, self.spare = (nn.Conv2d(3, 3, 1) for _ in range(3))
            self.squeeze = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            x = self.a(x)
            return self.squeeze((x + self.cut(x).detach()).mean((2, 3), keepdim=True)).flatten(1)

    assert list(rx.class_activation_maps(Net(), IMAGES, 1)) == ["a", "squeeze"]
