"""Networks against torchvision, the paper's counts, and slow re-derivations."""

import copy
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn

import resnet_explore as rx
from resnet_explore.models.peers import open_network, torchvision_kinds
from resnet_explore.models.presets import PRESETS, config_of, network_of, spelled_as, usual_name
from resnet_explore.models.shortcuts import PaddingShortcut

# He et al. 2015 gives these rounded; torchvision to the parameter.
IMAGENET = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
IMAGENET_MACS = {18: 1.814e9, 34: 3.664e9, 50: 4.089e9, 101: 7.801e9, 152: 11.514e9}


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def on_meta(name):
    """A network without values: shapes are all that counts need."""
    with torch.device("meta"):
        return network_of(config_of(name))


@pytest.mark.parametrize("depth", IMAGENET)
def test_imagenet_networks_have_torchvisions_weights(depth):
    ours = on_meta(f"resnet{depth}")
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    assert [v.shape for v in mine.values()] == [v.shape for v in other.values()]
    assert parameters(ours) == IMAGENET[depth]
    assert ours.config.depth == depth


# Deeper ones are more of the same blocks.
@pytest.mark.parametrize("depth", [18, 50])
def test_imagenet_networks_equal_torchvisions(depth):
    ours = rx.build(f"resnet{depth}", seed=3)
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"resnet{depth}")()
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()), assign=True)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(images), theirs.eval()(images))
    for model in (ours.train(), theirs.train()):
        F.cross_entropy(model(images), torch.tensor([1, 7])).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6, msg=name)


@settings(max_examples=8, deadline=None)
@given(n=st.integers(1, 16), plain=st.booleans())
def test_cifar_networks_have_the_closed_form_counts(n, plain):
    model = rx.build(f"cifar_{'plain' if plain else 'resnet'}{6 * n + 2}")
    summary = rx.describe(model, (3, 32, 32))
    assert parameters(model) == summary.parameters == 97_216 * n - 21_926
    assert summary.macs == 14_155_776 * n - 1_916_288
    assert model.config.depth == summary.depth == 6 * n + 2


@pytest.mark.parametrize(("n", "count"), [(3, 269_722), (18, 1_727_962), (200, 19_421_274)])
def test_cifar_counts_of_the_paper(n, count):
    assert parameters(on_meta(f"cifar_resnet{6 * n + 2}")) == count


def test_padding_shortcut_pads_both_sides_and_subsamples():
    x = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    y = PaddingShortcut(3, 8, stride=2)(x)
    assert y.shape == (2, 8, 2, 3)
    assert torch.equal(y[:, 2:5], x[:, :, ::2, ::2])
    assert not y[:, :2].any()
    assert not y[:, 5:].any()


@pytest.mark.parametrize("name", ["cifar_resnet20", "resnet18", "plain50"])
def test_twins_share_every_weight_that_both_have(name):
    plain, residual = rx.twins(name, seed=7)
    assert (plain.config.residual, residual.config.residual) == (False, True)
    shared = plain.state_dict()
    assert all(torch.equal(value, residual.state_dict()[key]) for key, value in shared.items())
    extra = set(residual.state_dict()) - set(shared)
    assert all("downsample" in key for key in extra)
    assert bool(extra) == (name != "cifar_resnet20")


def test_a_plain_network_is_its_twin_with_the_skips_cut():
    plain, residual = rx.twins("cifar_resnet20", seed=2)
    images = torch.randn(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(residual(images), plain(images))
        for stage in residual.stages:
            for block in stage:
                block.add.skip_scale = 0.0
        torch.testing.assert_close(residual(images), plain(images), rtol=0, atol=0)


def test_add_scales_branch_and_skip():
    block = rx.build("cifar_resnet8").layer2[0]
    x = torch.randn(1, 16, 6, 10, generator=torch.Generator().manual_seed(0))
    block.add.branch_scale, block.add.skip_scale = 0.5, 0.25
    with torch.no_grad():
        expected = (0.5 * block.branch(x) + 0.25 * block.shortcut(x)).relu()
        torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("cut", ["branch_scale", "skip_scale"])
def test_what_is_cut_adds_exactly_nothing_and_has_no_gradient(cut):
    block = rx.build("cifar_resnet8").layer1[0]
    x, f = (torch.randn(1, 16, 3, 5, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    gone, kept = f.requires_grad_(), x.requires_grad_()
    setattr(block.add, cut, 0.0)
    other = "skip_scale" if cut == "branch_scale" else "branch_scale"
    for factor in (1.0, -0.5):
        setattr(block.add, other, factor)
        made = block.add(gone, kept) if cut == "branch_scale" else block.add(kept, gone)
        assert torch.equal(made, factor * kept)
        zero, through = torch.autograd.grad(made.sum(), (gone, kept))
        assert not zero.any()
        assert (through == factor).all()
    infinite = torch.full_like(f, float("inf"))
    made = block.add(infinite, kept) if cut == "branch_scale" else block.add(kept, infinite)
    assert torch.isfinite(made).all()


def test_seeds_decide_weights_and_leave_the_global_state_alone():
    before = torch.random.get_rng_state()
    first, again, other = (rx.build("cifar_resnet8", seed=s).fc.weight for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_initial_weights_are_he_normal_fan_out():
    weight = rx.build("resnet18").layer3[1].conv2.weight
    expected = (2 / (256 * 9)) ** 0.5
    assert weight.std().item() == pytest.approx(expected, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=expected / 100)


def test_without_norm_there_is_none_and_convolutions_have_biases():
    model = rx.build("cifar_plain20", norm="none")
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert all(m.bias is not None for m in model.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("depth", IMAGENET)
def test_describe_measures_what_the_papers_count(depth):
    model = on_meta(f"resnet{depth}").train()
    summary = rx.describe(model)
    assert summary.macs == pytest.approx(IMAGENET_MACS[depth], rel=3e-4)
    assert (summary.parameters, summary.depth) == (IMAGENET[depth], depth)
    assert sum(p.macs for p in summary.parts) == summary.macs
    assert all(m.training for m in model.modules())
    assert not any(m._forward_hooks for m in model.modules())
    assert f"{IMAGENET[depth]:,}" in str(summary)


def test_describe_takes_other_peoples_networks_and_refuses_wrong_sizes():
    with torch.device("meta"):
        network = torchvision.models.vgg19()
    vgg = rx.describe(network)
    assert (vgg.parameters, vgg.depth) == (143_667_240, 19)
    assert vgg.macs == pytest.approx(19.632e9, rel=1e-4)
    with pytest.raises(rx.ExploreError, match=r"can't take an input of size \(5, 8, 8\)"):
        rx.describe(rx.build("cifar_resnet8"), (5, 8, 8))


def test_list_models_matches_patterns():
    assert rx.list_models("resnet[1-9]*") == [f"resnet{d}" for d in IMAGENET]
    assert "cifar_plain56" in rx.list_models("cifar_*") == rx.list_models("CIFAR_*")


@pytest.mark.parametrize(
    ("spelled", "usual"),
    [
        ("ResNet50", "resnet50"),
        ("ResNet-50", "resnet50"),
        ("Wide ResNet 50 2", "wide_resnet50_2"),
        ("WRN-28-10", "wrn28_10"),
        ("HRNet W18", "hrnet_w18"),
        ("CIFAR-ResNet-56", "cifar_resnet56"),
        ("cifar_preresnet 026", "cifar_preresnet26"),
        ("Cifar_PreResNet164", "cifar_preresnet164"),
        ("cifar_resnet9998", "cifar_resnet9998"),
    ],
)
def test_capitals_spaces_and_hyphens_in_names_do_not_matter(spelled, usual):
    assert usual_name(spelled) == usual_name(usual) == usual
    assert config_of(spelled) == config_of(usual)


def test_every_name_is_found_in_capitals_and_none_is_taken_for_another():
    assert all(usual_name(name.upper().replace("_", "-")) == name for name in PRESETS)
    assert all(spelled_as(name.upper(), torchvision_kinds()) == name for name in torchvision_kinds())
    assert spelled_as("RegNet-X-1-6GF", torchvision_kinds()) == "regnet_x_1_6gf"
    assert spelled_as("RegNetX16GF", torchvision_kinds()) is None, "16 or 1.6"


def test_a_name_in_capitals_finds_weights_and_twins():
    weights = rx.build("CIFAR ResNet-20", weights="digits").fc.weight
    assert torch.equal(weights, rx.build("cifar_resnet20", weights="digits").fc.weight)
    plain, residual = rx.twins("CIFAR-Plain-20", weights="digits")
    assert (plain.config.residual, residual.config.residual) == (False, True)
    assert torch.equal(residual.fc.weight, weights)


def test_torchvisions_names_are_read_off_without_importing_it():
    kinds = {name: getattr(torchvision.models, name) for name in ("detection", "segmentation", "video")}
    expected = {name: kind for kind in kinds for name in torchvision.models.list_models(module=kinds[kind])}
    classifiers = torchvision.models.list_models(module=torchvision.models)
    assert torchvision_kinds() == {n: "" for n in classifiers if n not in PRESETS} | expected
    network, size = open_network("SqueezeNet-1.1".replace(".", "_"))
    assert (type(network).__name__, size) == ("SqueezeNet", (3, 224, 224))


def test_numbers_of_numpy_are_taken_and_kept_as_pythons():
    numbers = np.array([1, 2], dtype=np.int16)
    config = rx.ResNetConfig(
        depths=numbers, widths=tuple(numbers * 8), num_classes=np.int64(7), branch_scale=np.float32(0.5)
    )
    assert config == rx.ResNetConfig(depths=(1, 2), widths=(8, 16), num_classes=7, branch_scale=0.5)
    kinds = {type(v) for v in (*config.depths, *config.widths, config.num_classes, config.branch_scale)}
    assert kinds == {int, float}
    assert json.dumps(vars(config))
    assert type(rx.HRNetConfig(width=np.int8(4)).width) is int
    assert type(rx.MLPConfig(depth=np.uint8(4)).depth) is int
    sweep = rx.Sweep(depths=numbers * 0 + [8, 14], seeds=np.arange(2))
    assert [run.id for run in sweep.runs()] == [r.id for r in rx.Sweep(depths=(8, 14), seeds=(0, 1)).runs()]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: rx.build("resnet5O"), "Unknown model 'resnet5O': did you mean .*'resnet50'"),
        (lambda: rx.build("cifar_resnet21"), r"must be 6n\+2 .* not 21; the nearest are 20 and 26"),
        (lambda: rx.build("cifar_plain2"), "the nearest are 8 and 14"),
        (lambda: rx.build("RESNET5O"), "Unknown model 'RESNET5O': did you mean 'resnet50'"),
        (
            lambda: rx.build("cifar_resnet60000002"),
            "60,000,002 layers are too many: 10,000 are the limit, since",
        ),
        (lambda: rx.build("cifar_plain" + "9" * 5000), "More than a billion layers are too many"),
        (lambda: rx.ResNetConfig(depths=(10**6,) * 4), "8,000,002 layers are too many"),
        (lambda: rx.HRNetConfig(blocks=10**6), "layers are too many"),
        (lambda: rx.MLPConfig(depth=10**6), "1,000,000 layers are too many"),
        (lambda: rx.Sweep(depths=(60_000_002,)), "60,000,002 layers are too many"),
        (lambda: rx.ResNetConfig(depths=(2.0,) * 4), "needs depths as whole numbers"),
        (lambda: rx.ResNetConfig(depths=np.ones((2, 2), int)), r"not \[\[1, 1\], \[1, 1\]\]"),
        (lambda: rx.ResNetConfig(num_classes=np.bool_(True)), "needs num_classes as a whole number"),
        (lambda: rx.build("resnet18", widht=3), "did you mean 'widths'"),
        (lambda: rx.build("resnet18", weights="IMAGENET1K_V3"), "did you mean 'IMAGENET1K_V1'"),
        (lambda: rx.build("plain18", weights="IMAGENET1K_V1"), "Unknown weights for plain18"),
        (lambda: rx.build("resnet18", weights="no/such/file.pth"), "There is no weights file"),
        (lambda: rx.ResNetConfig(block="botleneck"), "did you mean 'bottleneck'"),
        (
            lambda: rx.ResNetConfig(depths=(2, 0)),
            r"needs depths as whole numbers of at least 1, not \(2, 0\)",
        ),
        (lambda: rx.ResNetConfig(depths=(2, 2)), "one width for each stage"),
        (lambda: rx.ResNetConfig(groups=4), "apply to block='bottleneck' only"),
        (lambda: rx.ResNetConfig("bottleneck", groups=3, group_width=1.5), "needs group_width as a whole"),
        (lambda: rx.ResNetConfig(shortcut="padding", widths=(64, 32, 64, 64)), "widths that never shrink"),
        (lambda: rx.ResNetConfig(num_classes=True), "needs num_classes as a whole number"),
    ],
)
def test_mistakes_get_one_sentence(call, sentence):
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
