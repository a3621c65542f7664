"""Random numbers of a person's own code beside networks that are measured."""

import threading

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

import resnet_explore as rx
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.explain.targets import Target
from resnet_explore.models.chance import may_draw
from resnet_explore.models.peers import open_network, torchvision_kinds
from resnet_explore.models.presets import PRESETS


class Foreign(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, training=True)


class Watched(Target):
    """The first logit, and the random state at each time that it is asked for."""

    def __init__(self):
        self.states = []

    def scores(self, output, count):
        self.states.append(torch.get_rng_state())
        return output[:, 0]


class Own(nn.ReLU):
    """Somebody else's layer that is a kind of torch's."""


def hooked(register):
    layer = nn.Linear(3, 3)
    getattr(layer, f"register_{register}")(lambda *_: None)
    return layer


def patched():
    layer = nn.ReLU()
    layer.forward = lambda x: x + torch.rand(())
    return layer


def noisy_gradient():
    layer = nn.Linear(3, 3)
    layer.weight.register_hook(lambda gradient: gradient + torch.randn_like(gradient))
    return layer


DRAWING = {
    "dropout": lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)),
    "rrelu": nn.RReLU,
    "attention": lambda: nn.MultiheadAttention(4, 2, dropout=0.1),
    "lstm": lambda: nn.LSTM(3, 3, 2, dropout=0.1),
    "foreign": lambda: nn.Sequential(nn.ReLU(), Foreign()),
    "foreign subclass": Own,
    "hook": lambda: hooked("forward_hook"),
    "hook before": lambda: hooked("forward_pre_hook"),
    "hook behind": lambda: hooked("full_backward_hook"),
    "hook before the way back": lambda: hooked("full_backward_pre_hook"),
    "hook of a weight": noisy_gradient,
    "another forward": patched,
    "dropout on skips": lambda: rx.build("cifar_resnet8", skip_dropout=0.5),
    "stochastic depth": lambda: rx.build("cifar_resnet8", stochastic_depth=0.5),
    "torchvision": lambda: nn.Sequential(torchvision.ops.StochasticDepth(0.5, "row")),
}


@pytest.mark.parametrize("name", DRAWING)
def test_what_may_draw_is_known(name):
    assert may_draw(DRAWING[name]())


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_draws(name):
    net, _ = open_network(name)
    assert not may_draw(net)


DRAWLESS = {
    "residual": lambda: rx.build("cifar_resnet8"),
    "plain": lambda: rx.build("cifar_plain8"),
    "pre-activation": lambda: rx.build("cifar_preresnet110"),
    "torchvision": lambda: torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=3),
}


@pytest.mark.parametrize("name", DRAWLESS)
def test_what_is_said_not_to_draw_draws_nothing(name):
    net, images = DRAWLESS[name]().train(), torch.ones(2, 3, 32, 48)
    assert not may_draw(net)
    before = torch.get_rng_state()
    net(images).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_set_in_a_cell_stands_though_an_explorer_ends_measuring_then():
    begun, seeded = threading.Event(), threading.Event()

    def measure():
        with measuring(rx.build("cifar_resnet8")):
            begun.set()
            seeded.wait(60)

    beside = threading.Thread(target=measure)
    beside.start()
    assert begun.wait(60)
    torch.manual_seed(5)
    first = torch.rand(3)
    assert beside.is_alive()
    seeded.set()
    beside.join()
    second = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(6), torch.cat([first, second]))


def test_a_network_that_draws_leaves_the_stream_as_it_was():
    net, images = nn.Sequential(nn.Dropout(0.5)).train(), torch.ones(2, 3, 8, 12)
    before = torch.get_rng_state()
    with measuring(net):
        net(images)
        assert not torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loader_that_draws_leaves_the_stream_as_it_was():
    images = torch.rand(6, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    loader = torch.utils.data.DataLoader(images, batch_size=2, shuffle=True)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    before = torch.get_rng_state()
    rx.layer_statistics(net, loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_draws_leaves_the_stream_as_it_was():
    def loss(output, labels):
        return output.mean() * torch.rand(())

    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    before = torch.get_rng_state()
    rx.gradient_flow(net, torch.ones(2, 3, 3, 4), None, loss=loss)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("method", "draws"), [("saliency", False), ("smoothgrad", True)])
def test_no_seed_is_set_for_a_method_that_does_not_draw(method, draws):
    net, target, images = rx.build("cifar_resnet8"), Watched(), torch.rand(1, 3, 16, 24)
    before = torch.get_rng_state()
    rx.attribute(net, images, target, method, samples=2)
    kept = [torch.equal(state, before) for state in target.states]
    assert kept
    assert all(kept) != draws
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_of_torchvision_are_opened_without_drawing():
    before = torch.get_rng_state()
    detector = "ssdlite320_mobilenet_v3_large"
    for name in ("resnet18", "swin_t", "inception_v3", "r3d_18", "fcn_resnet50", detector):
        assert name in PRESETS or name in torchvision_kinds()
        open_network(name)
    assert torch.equal(torch.get_rng_state(), before)
