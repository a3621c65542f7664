"""What came through the skip and what through the branch: the parts add up, and each is what it says."""

import functools

import pytest
import timm
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from witnesses import fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis.explain.methods.registry import BLOCKS, methods
from resnet_explore.analysis.explain.split import split_maps

IMAGES = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)).double()


def lived_in(net):
    net = net.double().train()
    with torch.no_grad():
        net(torch.randn(8, 3, 32, 48, generator=torch.Generator().manual_seed(1)).double() + 0.3)
    return net.eval()


NETS = {
    "ours": lambda: rx.build("cifar_resnet14"),
    "pre-activation": lambda: rx.build(
        "resnetv2_50", depths=(2, 2, 1), widths=(16, 32, 64), stem_width=8, num_classes=5
    ),
    "weighed skip": lambda: rx.build(
        rx.ResNetConfig(
            "basic",
            (2, 2),
            (8, 16),
            "cifar",
            shortcut="padding",
            num_classes=5,
            skip_scale=0.5,
            branch_scale=0.8,
        )
    ),
    "gated": lambda: rx.build(
        rx.ResNetConfig(
            "basic", (2, 2), (8, 16), "cifar", shortcut="padding", num_classes=5, gate="exclusive"
        )
    ),
    "torchvision": lambda: thin_resnet(BasicBlock, [2, 2, 2, 2], 5),
    "torchvision bottleneck": lambda: thin_resnet(Bottleneck, [1, 2, 1, 1], 5),
    "timm with squeeze and excitation": lambda: timm.create_model(
        "seresnet18", num_classes=5, zero_init_last=False, channels=(8, 16, 32, 64), stem_width=8
    ),
}


@functools.cache
def network(name):
    torch.manual_seed(0)
    return lived_in(NETS[name]())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", ["grad_cam", "hirescam", "xgrad_cam"])
def test_skip_and_branch_add_up_to_the_heatmap(name, method):
    net = network(name)
    before = fingerprint(net)
    parts = split_maps(net, IMAGES, [1, 4], method=method)
    whole = rx.class_activation_maps(net, IMAGES, [1, 4], method=method)
    assert list(parts.skip) == list(parts.branch) == list(whole)
    for layer, cam in whole.items():
        torch.testing.assert_close(parts.whole[layer], cam)
        sum_of_parts = parts.skip[layer] + parts.branch[layer]
        torch.testing.assert_close(sum_of_parts, cam, rtol=1e-9, atol=1e-12 * float(cam.abs().max()))
        assert parts.skip[layer].abs().max() > 0
        assert parts.branch[layer].abs().max() > 0
    assert fingerprint(net) == before


@pytest.mark.parametrize("method", [*methods(BLOCKS), "ablation_cam"])
def test_each_part_is_the_method_s_weights_on_what_the_part_carried(method):
    """Re-derived by hand for one block: the ReLU passes a sum whole or not at all."""
    net = lived_in(rx.build("cifar_resnet8"))
    block, layer = net.layer2[0], "layer2.0"
    parts = split_maps(net, IMAGES, 3, layer, method)
    with torch.no_grad():
        x = net.layer1(net.relu(net.bn1(net.conv1(IMAGES))))
        skip, branch = block.shortcut(x), block.branch(x)
        passed = (skip + branch > 0).double()
    weights = parts.whole.weights[layer]
    torch.testing.assert_close(parts.skip[layer], (weights * passed * skip).sum(1))
    torch.testing.assert_close(parts.branch[layer], (weights * passed * branch).sum(1))


def test_hirescam_of_the_output_is_that_of_the_sum_before_the_relu():
    net = lived_in(rx.build("cifar_resnet8"))
    parts = split_maps(net, IMAGES, 3, "layer2.0", "hirescam")
    at_sum = rx.class_activation_maps(net, IMAGES, 3, "layer2.0.add", "hirescam")
    total = parts.skip["layer2.0"] + parts.branch["layer2.0"]
    torch.testing.assert_close(total, at_sum["layer2.0.add"])


def test_a_plain_twin_has_nothing_through_a_skip():
    net = lived_in(rx.build("cifar_plain8"))
    parts = split_maps(net, IMAGES, 3)
    for layer, cam in parts.whole.items():
        assert (parts.skip[layer] == 0).all()
        assert torch.equal(parts.branch[layer], cam)


class Late(nn.Module):
    """A block in which more than a ReLU follows the sum, or in which nothing is summed."""

    def __init__(self, norm):
        super().__init__()
        self.conv1, self.downsample = nn.Conv2d(3, 3, 3, padding=1), None
        self.norm = norm

    def forward(self, x):
        return (self.norm(self.conv1(x) + x) if self.norm else self.conv1(x)).relu()


@pytest.mark.parametrize(
    ("norm", "sentence"),
    [(nn.Tanh(), "more than a ReLU follows the sum"), (None, "no sum of a skip and a branch was found")],
)
def test_what_cannot_be_split_is_said(norm, sentence):
    net = nn.Sequential(Late(norm), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)).double()
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence):
        split_maps(net, IMAGES, 1, "0")
    assert fingerprint(net) == before


def test_a_layer_that_runs_twice_cannot_be_split():
    net = thin_resnet(BasicBlock, [1, 1, 1, 1], 5).double()
    with pytest.raises(rx.ExploreError, match=r"'layer1\.0\.relu:1' is one of several runs"):
        split_maps(net, IMAGES, 1, "layer1.0.relu")


class Weighed(nn.Module):
    """Blocks whose sum is not, or not only, that of what came by the skip and what a branch made."""

    def __init__(self, way):
        super().__init__()
        self.conv1, self.downsample, self.way = nn.Conv2d(3, 3, 3, padding=1), None, way

    def forward(self, x):
        branch = self.conv1(x)
        if self.way == "half":
            return torch.add(x, branch, alpha=0.5)
        x += branch
        if self.way == "gate":
            x *= 0.7
            x += branch.sigmoid()
        elif self.way == "constant":
            x += 1.0
            x += branch.sigmoid()
        else:
            x += branch.sigmoid()
            x += branch.tanh()
        return torch.reshape(input=x, shape=x.shape) if self.way == "reshaped" else x


def net_with(way):
    torch.manual_seed(0)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)
    return nn.Sequential(nn.Conv2d(3, 3, 1), Weighed(way), *head)


@pytest.mark.parametrize("way", ["gate", "constant"])
def test_parts_that_do_not_add_up_are_refused(way):
    with pytest.raises(rx.ExploreError, match="In '1' more than a ReLU follows the sum"):
        split_maps(net_with(way), IMAGES.float(), 1, "1")


@pytest.mark.parametrize("way", ["half", "thrice", "reshaped"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_all_that_is_added_is_the_branch(way, dtype):
    net = net_with(way).to(dtype)
    parts = split_maps(net, IMAGES.to(dtype), 1, "1")
    with torch.no_grad():
        x = net[0](IMAGES.to(dtype))
        branch = net[1].conv1(x)
        made = 0.5 * branch if way == "half" else branch + branch.sigmoid() + branch.tanh()
    weights = parts.whole.weights["1"]
    close = {"rtol": 1e-4, "atol": 1e-6} if dtype != torch.bfloat16 else {"rtol": 0.05, "atol": 0.01}
    torch.testing.assert_close(parts.skip["1"], (weights * x).sum(1), **close)
    torch.testing.assert_close(parts.branch["1"], (weights * made).sum(1), **close)


class Named(nn.Module):
    """A block whose shortcut has a name of its own, and is as deep as its branch if that is one layer."""

    def __init__(self, layers):
        super().__init__()
        self.branch = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(layers)))
        self.proj = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return (self.branch(x) + self.proj(x)).relu()


def test_a_shortcut_is_found_whatever_its_name():
    torch.manual_seed(0)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)
    net = nn.Sequential(nn.Conv2d(3, 3, 1), Named(2), *head).double()
    parts = split_maps(net, IMAGES, 1, "1")
    with torch.no_grad():
        x = net[0](IMAGES)
        skip, branch = net[1].proj(x), net[1].branch(x)
    weights = parts.whole.weights["1"] * (skip + branch > 0)
    torch.testing.assert_close(parts.skip["1"], (weights * skip).sum(1))
    torch.testing.assert_close(parts.branch["1"], (weights * branch).sum(1))
