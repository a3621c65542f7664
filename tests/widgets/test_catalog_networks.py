"""Which networks menus offer, and a person's own."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import resnet_explore as rx
from resnet_explore.widgets.catalog.networks import Loaded, Networks, own_networks, usual_networks


def test_the_menu_needs_no_torch():
    code = (
        "import sys; from resnet_explore.widgets.catalog.networks import usual_networks;"
        "print(list(usual_networks()), 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['cifar10', 'digits', 'imagenette', 'random', 'imagenet'] False"


def test_some_networks_are_offered_in_the_order_that_is_asked_for():
    assert list(usual_networks(("imagenet", "digits", "nothing"))) == ["imagenet", "digits"]


@pytest.mark.parametrize(
    ("depths", "start"),
    [((20, 56), 20), ((8, 14, 20, 32, 44, 56), 20), ((8, 14, 32), 14), ((8, 56), 56), ((), 0)],
)
def test_20_layers_are_shown_first_or_else_the_middle_depth(depths, start):
    assert Networks("any", "Any", lambda _: (), depths).start == start


def test_twins_of_every_depth_ship_and_say_what_they_are():
    entry = usual_networks()["digits"]
    assert entry.depths == (8, 20, 32, 56, 110)
    assert [entry.nearest(depth) for depth in (1, 40, 500)] == [8, 32, 110]
    plain, residual = entry.load(8)
    assert [(one.name, one.kind) for one in (plain, residual)] == [
        ("Plain-8", "plain"),
        ("Residual-8", "residual"),
    ]
    assert all(said in residual.cited for said in ("Residual-8: cifar_resnet8, ", "'digits'", "seed 0, "))


def test_networks_of_an_entry_are_loaded_once_and_go_with_it():
    loads = []

    def load(depth):
        loads.append(depth)
        return own_networks(nn.DataParallel(rx.build("cifar_resnet8"))).load(0)

    loaded = Loaded()
    one, two = Networks("one", "One", load, (8, 14)), Networks("two", "Two", load)
    first = loaded(one, 8)
    assert type(first[0].model).__name__ == "ResNet", "what is wrapped around a network is taken off"
    assert loaded(one, 8) is first
    loaded(one, 14)
    loaded(two, 0)
    assert loaded(one, 8) is not first
    assert loads == [8, 14, 0, 8]


def test_networks_of_ones_own():
    net = rx.build("cifar_resnet8")
    assert [(n.name, n.kind) for n in own_networks(net).load(0)] == [("ResNet", "residual")]
    two = own_networks([net, rx.build("cifar_plain8")]).load(0)
    assert [(n.name, n.kind) for n in two] == [("ResNet 1", "plain"), ("ResNet 2", "residual")]
    assert [n.name for n in own_networks({"mine": net, "yours": net}).load(0)] == ["mine", "yours"]
    assert own_networks(net).data == ""
    assert own_networks(rx.build("cifar_resnet8", in_channels=1)).data == "digits"
    with pytest.raises(rx.ExploreError, match="two to be put side by side, not 3"):
        own_networks([net] * 3)
    with pytest.raises(rx.ExploreError, match=r"must be a torch.nn.Module, not Tensor"):
        Loaded()(own_networks([torch.zeros(1)]), 0)
