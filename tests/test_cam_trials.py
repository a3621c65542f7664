"""Score-CAM and Ablation-CAM: against slow loops, in batches, told of, stopped."""

import functools

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock
from witnesses import fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis.explain.maps import maps_of_targets
from resnet_explore.analysis.explain.targets import Classes, Difference, Region
from resnet_explore.errors import CancelledError

IMAGES = torch.randn(2, 3, 20, 28, generator=torch.Generator().manual_seed(0)).double()


def lived_in(net):
    torch.manual_seed(0)
    net = net.double().train()
    with torch.no_grad():
        net(torch.randn(8, 3, 20, 28).double() + 0.3)
    return net.eval()


def outputs_of(net, layer, images, replace=None, call=1):
    """Run the net; return its answer and the layer's output, or run it with that output replaced."""
    seen = []

    def hook(module, args, output):
        seen.append(output.clone())
        return replace(output.clone()) if replace and len(seen) == call else None

    handle = net.get_submodule(layer).register_forward_hook(hook)
    with torch.no_grad():
        answer = net(images.clone())
    handle.remove()
    return answer, seen[call - 1]


def score_cam_by_loops(net, layer, image, target):
    _, a = outputs_of(net, layer, image)
    values = []
    for k in range(a.shape[1]):
        mask = F.interpolate(a[:, k : k + 1], image.shape[2:], mode="bilinear", align_corners=False)
        spread = mask.max() - mask.min()
        mask = (mask - mask.min()) / spread if spread > 0 else torch.zeros_like(mask)
        values.append(net(image * mask)[0, target].item())
    weights = torch.tensor(values).double().softmax(0)
    return sum(w * a[0, k] for k, w in enumerate(weights))


def ablation_cam_by_loops(net, layer, image, target, call=1):
    answer, a = outputs_of(net, layer, image, call=call)
    y, cam = answer[0, target].item(), 0
    for k in range(a.shape[1]):

        def cut(output, k=k):
            output[:, k] = 0
            return output

        cut_answer, _ = outputs_of(net, layer, image, cut, call)
        cam = cam + (y - cut_answer[0, target].item()) / abs(y) * a[0, k]
    return cam


BY_LOOPS = {"score_cam": score_cam_by_loops, "ablation_cam": ablation_cam_by_loops}
TARGETS = [4, 9]


@functools.cache
def by_loops(method, layer):
    """Return a network and the maps of both images by slow loops: what no size of batches changes."""
    net = lived_in(rx.build("cifar_resnet8"))
    asked = zip(IMAGES.split(1), TARGETS, strict=True)
    return net, [BY_LOOPS[method](net, layer, image, target).detach() for image, target in asked]


@pytest.mark.parametrize("method", BY_LOOPS)
@pytest.mark.parametrize("layer", ["layer1.0", "layer2.0.conv1", "layer3.0"])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_trials_follow_their_formula(method, layer, batch_size):
    net, expected = by_loops(method, layer)
    before = fingerprint(net)
    maps = rx.class_activation_maps(net, IMAGES, TARGETS, layer, method, batch_size=batch_size)
    assert fingerprint(net) == before
    for found, cam in zip(maps[layer], expected, strict=True):
        torch.testing.assert_close(found, cam, rtol=1e-6, atol=1e-9)


def test_a_network_in_which_earlier_layers_are_concatenated():
    """There a batch can't begin at a layer, so copies of the image are run."""
    net = lived_in(torchvision.models.DenseNet(4, (2, 2), 8, num_classes=10))
    layer = "features.denseblock1.denselayer1.conv2"
    maps = rx.class_activation_maps(net, IMAGES, 3, layer, "ablation_cam")
    expected = ablation_cam_by_loops(net, layer, IMAGES[:1], 3)
    torch.testing.assert_close(maps[layer][0], expected.detach(), rtol=1e-6, atol=1e-9)


def test_the_call_that_is_meant_is_ablated():
    net = lived_in(thin_resnet(BasicBlock, [1, 1, 1, 1], 10))
    maps = rx.class_activation_maps(net, IMAGES[:1], 3, "layer1.0.relu", "ablation_cam")
    assert list(maps) == ["layer1.0.relu:1", "layer1.0.relu:2"]
    for call, layer in enumerate(maps, start=1):
        expected = ablation_cam_by_loops(net, "layer1.0.relu", IMAGES[:1], 3, call)
        torch.testing.assert_close(maps[layer][0], expected.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["score_cam", "ablation_cam"])
def test_several_targets_share_their_trials(method):
    net, forwards = lived_in(rx.build("cifar_resnet8")), []
    net.fc.register_forward_hook(lambda *_: forwards.append(1))
    targets = [2, [5, 7], Difference(1, 8), None]
    together = maps_of_targets(net, IMAGES, targets, "layer2.0", method)
    shared = len(forwards)
    for maps, target in zip(together, targets, strict=True):
        forwards.clear()
        alone = rx.class_activation_maps(net, IMAGES, target, "layer2.0", method)
        assert len(forwards) == shared
        torch.testing.assert_close(maps["layer2.0"], alone["layer2.0"])


def test_of_a_negative_score_what_speaks_for_the_target_stays_positive():
    net = lived_in(rx.build("cifar_resnet8"))
    with torch.no_grad():
        high = net.fc.bias.clone()
        net.fc.bias += 100
        above = rx.class_activation_maps(net, IMAGES, 1, "layer3.0", "ablation_cam")
        net.fc.bias.copy_(high - 100)
        below = rx.class_activation_maps(net, IMAGES, 1, "layer3.0", "ablation_cam")
    assert (above.scores > 0).all()
    assert (below.scores < 0).all()
    by_unit = [maps["layer3.0"] * maps.scores.abs()[:, None, None] for maps in (above, below)]
    torch.testing.assert_close(*by_unit)


@pytest.mark.parametrize("method", ["score_cam", "ablation_cam"])
def test_progress_is_told_and_a_cancel_is_heard(method):
    net, told = lived_in(rx.build("cifar_resnet8")), []
    layers = ["layer1.0", "layer3.0"]
    rx.class_activation_maps(
        net, IMAGES, 1, layers, method, batch_size=10, progress=lambda *seen: told.append(seen)
    )
    total = 2 * (16 + 64)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (total, total)
    assert {seen[1] for seen in told} == {total}
    before = fingerprint(net)
    with pytest.raises(CancelledError, match="Stopped after 26 of 160 trials"):
        rx.class_activation_maps(net, IMAGES, 1, layers, method, batch_size=10, cancel=Patience(4))
    assert fingerprint(net) == before


class Patience:
    """Says stop the moment it has been asked more often than `times`."""

    def __init__(self, times):
        self.times = times

    def __call__(self):
        self.times -= 1
        return self.times < 0


def test_a_batch_of_none_is_refused():
    with pytest.raises(rx.ExploreError, match="batch_size must be at least 1, not 0"):
        rx.class_activation_maps(rx.build("cifar_resnet8"), IMAGES, method="score_cam", batch_size=0)


def test_a_segmentation_can_be_tried_too():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).double()
    mask = torch.zeros(2, 20, 28, dtype=torch.bool)
    mask[0, :5], mask[1, :, 9:] = True, True
    maps = rx.class_activation_maps(net, IMAGES, Region(1, mask), "1", "ablation_cam")
    _, a = outputs_of(net, "1", IMAGES[1:])
    y = net(IMAGES[1:])[0, 1][mask[1]].mean()
    expected = sum(
        (net[2].weight[1, k, 0, 0] * a[0, k][mask[1]]).mean() / y.abs() * a[0, k] for k in range(4)
    )
    torch.testing.assert_close(maps["1"][1], expected.detach())
    assert maps.asked == "class 1 at a region"
    assert str(Classes()) == "the likeliest class"
