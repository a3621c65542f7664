"""Captures of public networks against out-of-place copies of them, and what captures of ours leave behind."""

import copy
import functools

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck
from witnesses import fingerprint, probed

import resnet_explore as rx
from resnet_explore.models.presets import PRESETS


def vgg(make):
    """Return a VGG whose classifier has not its usual 120 million weights."""
    net = make()
    for place, sizes in ((0, (512 * 7 * 7, 64)), (3, (64, 64)), (6, (64, 3))):
        net.classifier[place] = nn.Linear(*sizes)
    return net


# One network for each way of building blocks in torchvision: deeper and wider ones repeat the same modules.
TORCHVISION = {
    "basic": lambda: torchvision.models.ResNet(BasicBlock, [1, 2, 1, 1], num_classes=3),
    "bottleneck": lambda: torchvision.models.ResNet(Bottleneck, [1, 2, 1, 1], num_classes=3),
    "vgg11": lambda: vgg(torchvision.models.vgg11),
    "vgg11_bn": lambda: vgg(torchvision.models.vgg11_bn),
    "densenet": lambda: torchvision.models.DenseNet(32, (2, 2, 2, 2), 64, num_classes=3),
    "mobilenet_v2": lambda: torchvision.models.mobilenet_v2(num_classes=3),
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(num_classes=3),
}
TIMM = {
    "res2net50_26w_4s": lambda: timm.create_model("res2net50_26w_4s", layers=[1, 2, 1, 1], num_classes=3),
    "hrnet_w18_small": lambda: timm.create_model("hrnet_w18_small", num_classes=3),
    "resnetv2_50": lambda: timm.create_model("resnetv2_50", layers=[1, 2, 1, 1], num_classes=3),
}


def without_initialisation(make):
    """Return the network that `make` builds, with cheap weights: to draw millions takes long.

    They repeat a short random series, scaled as He et al. do, so that signals neither vanish nor explode.
    """
    with torch.device("meta"):
        net = make()
    net = net.to_empty(device="cpu")
    series = torch.randn(10_007, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            fan_in = max(1, tensor[0].numel()) if tensor.ndim > 1 else 16
            flat, scaled = tensor.view(-1), (series * (2 / fan_in) ** 0.5).to(tensor.dtype)
            whole = len(flat) // len(series) * len(series)
            flat[:whole].view(-1, len(series)).copy_(scaled)
            flat[whole:].copy_(scaled[: len(flat) - whole])
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.abs_().add_(0.5)
                module.weight.add_(1)
                module.num_batches_tracked.zero_()
    return net


def kinds(make):
    """The classes of a network's modules, and of what holds them: how it is built, but for its size."""
    with torch.device("meta"):
        return {type(module) for module in make().modules()}


def test_no_other_network_of_these_families_is_built_of_anything_else():
    families = ("resnet", "wide_resnet", "resnext", "vgg", "densenet", "mobilenet")
    known = [kinds(make) for make in TORCHVISION.values()]
    for name in torchvision.models.list_models(torchvision.models):
        if name.startswith(families):
            make = functools.partial(torchvision.models.get_model, name)
            assert kinds(make) in known, f"{name} belongs in the list"


@pytest.mark.parametrize("name", [*TORCHVISION, *TIMM])
def test_outputs_and_gradients_are_those_of_an_out_of_place_copy(name):
    net = without_initialisation({**TORCHVISION, **TIMM}[name]).requires_grad_(False)
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    for train in (True, False):
        net.train(train)
        copied = copy.deepcopy(net, {id(p): p for p in net.parameters()})
        made = probed(copied)
        torch.manual_seed(2)  # for dropout
        score = copied(images).square().sum()
        expected = made()
        leaves = [leaf for _, leaf in expected.values()]
        gradients = dict(zip(expected, torch.autograd.grad(score, leaves, allow_unused=True), strict=True))
        torch.manual_seed(2)
        with rx.Capture(net, gradients=True) as seen:
            torch.autograd.grad(net(images).square().sum(), images)
        assert set(seen.outputs) == set(expected)
        assert set(seen.gradients) == {path for path, gradient in gradients.items() if gradient is not None}
        for path, output in seen.outputs.items():
            assert torch.equal(output, expected[path][0]), path
            assert output.isfinite().all()
        for path, gradient in seen.gradients.items():
            away = (gradient - gradients[path]).abs().max()
            assert away <= 1e-5 * gradients[path].abs().max(), path


# How the model is left ---------------------------------------------------------------------------------


def small(config):
    """Return a preset's config with few channels and blocks, but all that makes its architecture."""
    few = {"num_classes": 3, "in_channels": 2}
    if isinstance(config, rx.HRNetConfig):
        return config.replace(width=4, modules=(1, 2, 1), blocks=2, **few)
    few["depths"] = tuple(min(depth, 2) for depth in config.depths)
    few["widths"] = tuple(8 * 2**i for i in range(len(config.widths)))
    few["stem_width"] = None if config.stem_width is None else 8
    if config.groups > 1:
        few["groups"], few["group_width"] = 2, 32
    return config.replace(**few)


SMALL = {
    small(config): name for name, config in reversed(PRESETS.items())
}  # many presets differ in size alone


class SabotageError(Exception):
    pass


def sabotage(module, args):
    raise SabotageError


@pytest.mark.parametrize("config", SMALL, ids=SMALL.values())
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_after_any_capture_a_model_is_what_it_was(config, data):
    net = rx.build(config)
    modules = dict(net.named_modules())
    layers = data.draw(
        st.none() | st.lists(st.sampled_from(sorted(modules)), min_size=1, max_size=6), "layers"
    )
    broken = data.draw(st.none() | st.sampled_from(sorted(modules)), "module that raises")
    gradients, train = data.draw(st.booleans(), "gradients"), data.draw(st.booleans(), "train")
    keep = data.draw(st.sampled_from([None, "half", "uint8", "thumbnails"]), "keep")
    frozen = data.draw(st.sets(st.sampled_from(sorted(dict(net.named_parameters()))), max_size=3), "frozen")
    images = torch.randn(2, 2, 64, 32, generator=torch.Generator().manual_seed(0))
    net.train(train)
    next(reversed(modules.values())).train(not train)
    for path in frozen:
        net.get_parameter(path).requires_grad_(False)
    net(images).square().sum().backward()

    def answer():
        statistics = [buffer.clone() for buffer in net.buffers()]  # quicker than to run a deepcopy
        with torch.no_grad():
            found = net(images)
            for buffer, own in zip(net.buffers(), statistics, strict=True):
                buffer.copy_(own)
        return found

    handle = modules[broken].register_forward_pre_hook(sabotage) if broken is not None else None
    before, capture = fingerprint(net), rx.Capture(net, layers, gradients, keep=keep)
    try:
        with capture:
            net.train(not train)
            net(images).square().sum().backward()
    except SabotageError:
        assert broken is not None
    assert fingerprint(net) == before
    if handle is not None:
        handle.remove()
    expected = answer()
    with capture:
        net(images)
    assert torch.equal(answer(), expected)
