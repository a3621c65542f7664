"""Paths through a network's branches: how many, how large a gradient, against each path on its own."""

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from scipy.stats import binom
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx

IMAGES = torch.randn(3, 3, 12, 16, generator=torch.Generator().manual_seed(0)).double()
LABELS = [0, 2, 1]


def lived_in(net):
    net = net.double().train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(8, 3, 12, 16, generator=torch.Generator().manual_seed(1)).double())
    return net.eval()


def small(**changes):
    config = rx.ResNetConfig("basic", (2, 2), (8, 16), "cifar", num_classes=5, **changes)
    return rx.build(config)


class Thin(torchvision.models.ResNet):
    """Torchvision's network with an eighth of the channels."""

    def _make_layer(self, block, planes, *rest, **options):
        self.inplanes = min(self.inplanes, planes // 8)
        return super()._make_layer(block, planes // 8, *rest, **options)


def theirs():
    net = Thin(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
    net.conv1, net.bn1, net.maxpool = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Identity()
    net.fc = nn.Linear(64, 5)
    return net


def twice():
    """A network that runs one block two times."""
    block = small().layer1[1]

    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.block, self.fc = nn.Conv2d(3, 8, 3), block, nn.Linear(8, 5)

        def forward(self, x):
            return self.fc(self.block(self.block(self.conv(x))).mean((2, 3)))

    return Again()


NETS = {
    "padding": lambda: small(shortcut="padding"),
    "projection": lambda: small(shortcut="projection", skip_scale=0.7),
    "pre-activation": lambda: small(order="pre"),
    "torchvision": theirs,
}


def along(net, branches):
    """Return the gradient (N, C, H, W) along the one path through these branches, by hand."""
    images = IMAGES.clone().requires_grad_()
    if hasattr(net, "layer1"):
        x = net.maxpool(F.relu(net.bn1(net.conv1(images))))
        blocks = [b for i in range(1, 5) if hasattr(net, f"layer{i}") for b in getattr(net, f"layer{i}")]
    else:
        x, blocks = net.stem(images), [b for stage in net.stages for b in stage]
    for number, block in enumerate(blocks):
        pre = hasattr(block, "norm1")
        if pre:
            start = F.relu(block.norm1(x))
            made = block.conv2(F.relu(block.norm2(block.conv1(start))))
            x = start if block.first else x
        else:
            made = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
        kept = x if block.downsample is None else block.downsample(x)
        if hasattr(block, "add"):
            kept, made = block.add.skip_scale * kept, block.add.branch_scale * made
        x = made + kept.detach() if number in branches else made.detach() + kept
        x = x if pre else F.relu(x)
    if hasattr(net, "layer1"):
        logits = net.fc(x.mean((2, 3)))
    else:
        logits = net.head.fc(F.relu(net.norm(x)).mean((2, 3), keepdim=True)).flatten(1)
    loss = F.cross_entropy(logits, torch.tensor(LABELS), reduction="sum")
    return torch.autograd.grad(loss, images)[0]


@pytest.mark.parametrize("name", NETS)
def test_every_path_of_a_small_network_is_the_one_by_hand(name):
    torch.manual_seed(0)
    net = lived_in(NETS[name]())
    before = fingerprint(net)
    found = rx.path_lengths(net, IMAGES, LABELS, samples=6)
    assert fingerprint(net) == before
    assert found.paths == found.sampled == (1, 4, 6, 4, 1)
    whole = torch.zeros_like(IMAGES)
    for length in range(5):
        gradients = [along(net, branches) for branches in combinations(range(4), length)]
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients])
        assert found.gradient[length] == pytest.approx(norms.mean().item(), rel=1e-9)
        assert found.spread[length] == pytest.approx(norms.std(correction=0).item(), rel=1e-6, abs=1e-15)
        whole += sum(gradients)
    images = IMAGES.clone().requires_grad_()
    loss = F.cross_entropy(net(images), torch.tensor(LABELS), reduction="sum")
    torch.testing.assert_close(whole, torch.autograd.grad(loss, images)[0])


def test_in_a_linear_network_of_equal_layers_the_shares_are_binomial():
    """x + b W x, eight times, with W = 1: a path of length k has gradient b^k, as a coin has its chances."""
    config = rx.MLPConfig(8, 1, 48, 3, residual=True, branch_scale=0.5, activation="linear", norm="none")
    net = rx.MLP(config)
    with torch.no_grad():
        for layer in net.layers:
            layer.linear.weight.fill_(1.0)
    found = rx.path_lengths(net, torch.rand(5, 3, 4, 4), [0, 1, 2, 0, 1], samples=2)
    np.testing.assert_allclose(found.gradient / found.gradient[0], 0.5 ** np.arange(9), rtol=1e-5)
    np.testing.assert_allclose(found.share, binom(8, 1 / 3).pmf(np.arange(9)), rtol=1e-5)
    assert found.share_up_to(8) == pytest.approx(1)
    assert found.share_up_to(2) == pytest.approx(binom(8, 1 / 3).cdf(2), rel=1e-5)
    law = binom(8, 1 / 3)
    assert found.effective == (int(law.ppf(0.05)), int(law.ppf(0.95)))


def test_counts_are_those_of_the_paper():
    """Veit et al. count 54 modules; 0.45 % of their paths lead through 5 to 17."""
    net = rx.build("cifar_resnet110", order="pre", widths=(1, 2, 2))
    found = rx.path_lengths(net, torch.rand(1, 3, 8, 8), [0], samples=1)
    assert len(found.paths) == 55
    assert sum(found.paths) == 2**54
    assert sum(found.paths[5:18]) / 2**54 == pytest.approx(0.0045367, rel=1e-4)
    assert sum(found.paths[19:36]) / 2**54 == pytest.approx(0.9802, rel=1e-4)
    assert found.share.sum() == pytest.approx(1)
    assert list(found.table["length"]) == list(range(55))


def test_a_block_that_adds_twice_has_two_branches():
    torch.manual_seed(0)
    net = torchvision.models.VisionTransformer(8, 4, 2, 2, 16, 32, num_classes=5).eval()
    nn.init.normal_(net.heads.head.weight)
    images = torch.rand(2, 3, 8, 8)
    found = rx.path_lengths(net, images, [0, 1], samples=1)
    assert found.paths == (1, 4, 6, 4, 1)
    assert found.sampled == (1, 1, 1, 1, 1)
    assert found.gradient[0] == 0, "past all branches nothing of the image reaches the class token"
    assert (found.gradient[1:] > 0).all()
    assert "2^4 paths" in str(found)


def test_draws_are_those_of_the_seed():
    net = small()
    draws = [rx.path_lengths(net, IMAGES.float(), LABELS, samples=2, seed=s).gradient for s in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


@pytest.mark.parametrize(
    ("net", "changes", "sentence"),
    [
        (small(residual=False), {}, "a ResNet, has no skips"),
        (small(), {"samples": 0}, "samples must be a whole number of at least 1, not 0"),
        (small(), {"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        (small(), {"labels": [0, 1]}, "labels must be 3 whole numbers"),
        (small(), {"labels": [0, 1, 9]}, r"labels must lie in 0\.\.4"),
        (small(in_channels=1), {}, "can't take"),
        (twice(), {}, r"The block '.*' runs 2 times in a pass"),
    ],
)
def test_what_cannot_be_measured_is_said(net, changes, sentence):
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.path_lengths(net, IMAGES.float(), **{"labels": LABELS, **changes})
    assert fingerprint(net) == before


def test_long_paths_bring_back_little_but_not_nothing():
    """In single precision the squares of 1e-25 are 0."""
    net = lived_in(small()).float()
    with torch.no_grad():
        net.fc.weight.mul_(1e-25)
        net.fc.bias.zero_()
    found = rx.path_lengths(net, IMAGES.float(), LABELS)
    with torch.no_grad():
        net.fc.weight.mul_(1e5)
    more = rx.path_lengths(net, IMAGES.float(), LABELS)
    np.testing.assert_allclose(more.gradient, 1e5 * found.gradient, rtol=1e-4)
    assert (found.gradient > 0).all()
