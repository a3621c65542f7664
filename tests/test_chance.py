"""Random numbers of a person's own code beside networks that are measured."""

import threading

import pytest
import torch
import torchvision
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis._state import measuring
from resnet_explore.models.chance import may_draw
from resnet_explore.models.peers import open_network, torchvision_kinds
from resnet_explore.models.presets import PRESETS


class Foreign(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, training=True)


class Hooked(nn.ReLU):
    """One of torch's layers with something behind it."""


def hooked():
    layer = nn.ReLU()
    layer.register_forward_hook(lambda _module, _inputs, output: output + torch.rand(()))
    return layer


DRAWING = {
    "dropout": lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)),
    "rrelu": nn.RReLU,
    "attention": lambda: nn.MultiheadAttention(4, 2, dropout=0.1),
    "lstm": lambda: nn.LSTM(3, 3, 2, dropout=0.1),
    "foreign": lambda: nn.Sequential(nn.ReLU(), Foreign()),
    "foreign subclass": Hooked,
    "hook": hooked,
    "dropout on skips": lambda: rx.build("cifar_resnet8", skip_dropout=0.5),
    "stochastic depth": lambda: rx.build("cifar_resnet8", stochastic_depth=0.5),
    "torchvision": lambda: torchvision.models.swin_t(num_classes=2),
}


@pytest.mark.parametrize("name", DRAWING)
def test_what_may_draw_is_known(name):
    assert may_draw(DRAWING[name]())


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_draws(name):
    net, _ = open_network(name)
    assert not may_draw(net)


@pytest.mark.parametrize("name", ["cifar_resnet8", "cifar_plain8", "cifar_preresnet110"])
def test_what_is_said_not_to_draw_draws_nothing(name):
    net, images = rx.build(name).train(), torch.ones(2, 3, 12, 16)
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
    begun.wait(60)
    torch.manual_seed(5)
    first = torch.rand(3)
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


def test_networks_of_torchvision_are_opened_without_drawing():
    before = torch.get_rng_state()
    detector = "ssdlite320_mobilenet_v3_large"
    for name in ("resnet18", "swin_t", "inception_v3", "r3d_18", "fcn_resnet50", detector):
        assert name in PRESETS or name in torchvision_kinds()
        open_network(name)
    assert torch.equal(torch.get_rng_state(), before)
