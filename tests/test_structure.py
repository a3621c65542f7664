"""How networks are wired, read off the live module: counts of the papers, skips of every sort."""

from collections import OrderedDict
from typing import NamedTuple

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils._pytree import tree_leaves

import resnet_explore as rx
from resnet_explore.models.dispatch import tensors_in


def bare(name, **options):
    """Return a network of torchvision without values: shapes are all that its structure needs."""
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None, **options)


@pytest.mark.parametrize(
    ("name", "depth", "parameters", "macs"),
    [
        ("resnet18", 18, 11_689_512, 1.814e9),
        ("resnet50", 50, 25_557_032, 4.089e9),
        ("resnext50_32x4d", 50, 25_028_904, 4.230e9),
        ("wide_resnet50_2", 50, 68_883_240, 11.398e9),
        ("vgg19", 19, 143_667_240, 19.632e9),
    ],
)
def test_counts_are_the_published_ones(name, depth, parameters, macs):
    found = rx.structure(bare(name))
    assert (found.depth, found.parameters) == (depth, parameters)
    assert found.macs == pytest.approx(macs, rel=2e-4)


def test_ours_and_torchvisions_resnet_have_the_same_units():
    ours, theirs = (
        rx.structure(rx.build("resnet34"), (3, 96, 64)),
        rx.structure(bare("resnet34"), (3, 96, 64)),
    )
    for a, b in zip(ours.units, theirs.units, strict=True):
        assert (a.name, a.kind, a.shape, a.skip, a.macs, a.layers) == (
            *(b.name, b.kind, b.shape, b.skip, b.macs, b.layers),
        )
    assert ours.units[0].shape == (64, 48, 32)


def test_skips_are_named_by_what_they_pass():
    residual = [unit.skip for unit in rx.structure(rx.build("cifar_resnet14"), (3, 32, 32)).units]
    assert residual == ["", *["identity"] * 2, "padding", "identity", "padding", "identity", "", ""]
    assert not any(unit.skip for unit in rx.structure(rx.build("cifar_plain14"), (3, 32, 32)).units)
    skips = [unit.skip for unit in rx.structure(bare("resnet50")).units if unit.kind == "Bottleneck"]
    assert skips == ["projection", "identity", "identity"] + (["projection"] + ["identity"] * 3) + (
        ["projection"] + ["identity"] * 5
    ) + ["projection", "identity", "identity"]


@pytest.mark.parametrize(
    ("changes", "skip"),
    [
        ({"gate": "exclusive"}, "gated"),
        ({"gate": "shortcut_only"}, "gated"),
        ({"shortcut": "projection_all"}, "projection"),
        ({"skip_scale": 0.5}, "identity"),
        ({"init": "rezero"}, "identity"),
        ({"order": "pre"}, "identity"),
        ({"skip_dropout": 0.5}, "identity"),
        ({"residual": False}, ""),
    ],
)
def test_variants_of_the_skip_are_told_apart(changes, skip):
    units = rx.structure(rx.build("cifar_resnet14", **changes), (3, 16, 24)).units
    assert next(unit for unit in units if unit.name.endswith(("layer1.1", "stages.0.blocks.1"))).skip == skip


def test_a_dense_net_feeds_every_layer_with_all_before_it():
    units = rx.structure(bare("densenet121"), (3, 64, 96)).units
    layers = [i for i, unit in enumerate(units) if "denseblock1.denselayer" in unit.name]
    assert [len(units[i].inputs) for i in layers] == [1, 2, 3, 4, 5, 6]
    assert units[layers[-1]].inputs == (layers[0] - 1, *layers[:-1])


@pytest.mark.parametrize(
    ("model", "skips"),
    [
        (lambda: bare("resnet50"), 16),
        (lambda: bare("vgg11"), 0),
        (lambda: bare("googlenet", init_weights=False), 0),  # branches side by side pass nothing by
        # The last of n layers, and what follows, see all before: 1 + ... + n; four stages of a dense net.
        (lambda: bare("densenet121"), sum(n * (n + 1) // 2 for n in (6, 12, 24, 16))),
    ],
)
def test_skips_are_counted(model, skips):
    assert rx.structure(model(), (3, 64, 96)).skips == skips


def test_a_mobile_nets_skips_are_found():
    units = rx.structure(bare("mobilenet_v2"), (3, 64, 96)).units
    assert [unit.skip for unit in units].count("identity") == 10


class OneLayer(nn.Module):
    """A branch of a single layer, with its ReLU as a function or as a module."""

    def __init__(self, activation):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.activation = activation

    def forward(self, x):
        return x + self.activation(self.norm(self.conv(x)))


@pytest.mark.parametrize("activation", [F.relu, nn.ReLU(), F.gelu])
def test_a_skip_past_one_layer_counts_however_it_is_written(activation):
    model = nn.Sequential(nn.Conv2d(3, 16, 3), OneLayer(activation), OneLayer(activation))
    assert rx.structure(model, (3, 32, 24)).skips == 2


@pytest.mark.parametrize(
    ("model", "skips", "idle"),
    [
        (lambda: bare("swin_t"), 24, 0),  # two in each of twelve blocks; weights reach functions of windows
        (lambda: bare("vit_b_16"), 24, 0),
        (
            lambda: bare("googlenet", init_weights=False),
            0,
            6_379_984,
        ),  # two auxiliary heads rest in eval mode
        (lambda: bare("inception_v3", init_weights=False), 0, 3_326_696),  # a pooled copy beside is no skip
        (
            lambda: torchvision.models.detection.fasterrcnn_resnet50_fpn(
                weights=None, weights_backbone=None, min_size=64, max_size=96
            ),
            16,
            0,
        ),
    ],
    ids=["swin", "vit", "googlenet", "inception", "faster-rcnn"],
)
def test_parameters_are_all_of_the_networks_and_skips_those_of_its_maps(model, skips, idle):
    network = model()
    found = rx.structure(network, (3, 224, 224))
    assert (found.skips, found.idle) == (skips, idle)
    assert found.parameters == sum(p.numel() for p in network.parameters())


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).relu())


def test_a_weight_with_two_names_counts_once():
    shared = nn.Linear(8, 8)
    for network, parameters in ((nn.Sequential(shared, nn.ReLU(), shared), 72), (Tied(), 80)):
        assert rx.describe(network, (8,)).parameters == rx.structure(network, (8,)).parameters == parameters
        assert rx.structure(network, (8,)).idle == 0


class Functional(nn.Module):
    """Written as people do: a reused ReLU, `F` functions, an in-place sum, a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, (3, 1), padding=(1, 0), bias=False)
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        start = self.relu(self.first(x))
        out = F.relu(self.second(start) * self.gain)
        out += start
        return self.relu(out).mean((2, 3))


def test_functional_code_is_followed():
    model = Functional()
    found = rx.structure(model, (1, 6, 9))
    names = [op.name for op in found.operations]
    assert names == ["first", "relu:1", "second", "/mul", "/relu", "/add", "relu:2", "/mean"]
    by_name = dict(zip(names, found.operations, strict=True))
    assert by_name["/add"].inputs == (4, 1), "the sum has the branch and the start"
    assert by_name["second"].shape == (4, 6, 9)
    assert by_name["second"].macs == 4 * 6 * 9 * 4 * 3
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert all(p.device.type == "cpu" for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_what_takes_no_such_input_is_said_in_a_sentence():
    with pytest.raises(rx.ExploreError, match=r"can't take an input of size \(3, 32, 32\)") as caught:
        rx.structure(rx.build("cifar_resnet8", in_channels=1), (3, 32, 32))
    assert "\n" not in str(caught.value)


class Sorted(nn.Module):
    """What it computes depends on the values it sees, in loose arithmetic between two layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)

    def forward(self, x):
        x = self.first(x)
        bright = x[:, x[0].mean((1, 2)).topk(1).indices]
        kept = x * (bright > bright.mean())
        return self.up(kept[:, :, :1]) if bool(kept.sum() > 1e9) else self.up(kept)


def test_values_are_used_where_shapes_are_not_enough_and_loose_arithmetic_is_one_box():
    found = rx.structure(Sorted(), (1, 7, 9))
    first, loose, up = found.units
    assert (first.name, up.name) == ("first", "up")
    assert loose.kind == f"{len(loose.operations)} operations"
    assert (loose.inputs, up.inputs) == ((0,), (1,))
    assert up.macs == 4 * 5 * 7 * 2 * 2 * 2, "each of the 4 x 5 x 7 inputs meets 2 filters of 2 x 2"
    assert up.shape == (2, 10, 14)


class Named(NamedTuple):
    """As some networks return."""

    mask: torch.Tensor
    size: tuple[int, int]


def test_tensors_are_found_in_the_order_in_which_torch_finds_them():
    a, b, c, d = torch.ones(4, 1)
    nested = [(a, 1.5, None, "b"), {"x": [b, {"y": a}]}, Named(c, (3, 5)), OrderedDict(z=d), torch.float32]
    for values in (nested, a, None, torch.Size([3]), tuple(nested)):
        expected = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
        assert [id(t) for t in tensors_in(values)] == [id(t) for t in expected]
    assert len(tensors_in(nested)) == 5


# --- blocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "blocks", "skips"),
    [
        ("resnet50", 16, 16),
        ("mobilenet_v3_small", 11, 6),
        ("convnext_tiny", 18, 18),
        ("vit_b_16", 12, 12),
        ("swin_t", 12, 12),
        ("densenet121", 58, 0),
    ],
)
def test_blocks_stand_in_order_and_know_their_skips(name, blocks, skips):
    found = rx.structure(bare(name)).blocks
    assert len(found) == blocks
    assert sum(bool(block.sums) for block in found) == sum(bool(block.skip) for block in found) == skips


def test_the_trace_and_our_networks_agree_on_blocks_and_skips():
    for name in ("cifar_resnet14", "cifar_plain14", "resnetv2_50", "res2net50_26w_4s"):
        model = rx.build(name)
        found = rx.structure(model, (3, 32, 48)).blocks
        assert [model.get_submodule(block.name) for block in found] == model.blocks
        for block, module in zip(found, model.blocks, strict=True):
            assert bool(block.sums) == (module.add is not None)
            assert bool(block.skip in ("padding", "projection")) == (module.downsample is not None)


def test_what_stands_on_either_side_of_a_sum():
    blocks = {block.name: block for block in rx.structure(bare("resnet18"), (3, 64, 96)).blocks}
    plain, changed = blocks["layer1.0"], blocks["layer2.0"]
    assert (plain.stage, plain.kind, plain.takes, plain.gives) == (
        "layer1",
        "BasicBlock",
        (64, 16, 24),
        (64, 16, 24),
    )
    (end,) = plain.sums
    assert end.shortcut == ()
    assert end.branch == tuple(f"layer1.0.{layer}" for layer in ("conv1", "bn1", "relu:1", "conv2", "bn2"))
    assert changed.sums[0].shortcut == ("layer2.0.downsample.0", "layer2.0.downsample.1")
    assert (changed.takes, changed.gives) == ((64, 16, 24), (128, 8, 12))


def test_sums_inside_a_branch_end_no_skip_and_are_counted_over():
    block = rx.structure(rx.build("res2net50_26w_4s"), (3, 64, 64)).blocks[1]
    assert [(end.call, block.sum_calls) for end in block.sums] == [(3, 3)]
    (vit,) = rx.structure(torchvision.models.VisionTransformer(8, 4, 1, 2, 16, 32), (3, 8, 8)).blocks
    assert [end.call for end in vit.sums] == [1, 2]


def test_squeeze_and_excitation_belongs_to_the_block_that_it_gates():
    units = rx.structure(timm.create_model("seresnet18"), (3, 64, 96)).units
    assert [unit.skip for unit in units if unit.kind == "BasicBlock"].count("identity") == 5
    assert "SEModule" not in {unit.kind for unit in units}
    units = rx.structure(bare("mobilenet_v3_small"), (3, 64, 96)).units
    assert [unit.kind for unit in units].count("InvertedResidual") == 11


def test_a_skip_past_a_scaled_branch_counts():
    assert rx.structure(bare("convnext_tiny")).skips == 18


def test_what_lies_between_stages_is_on_the_path():
    """timm calls it downsample, as torchvision calls a projection."""
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    net = timm.create_model("convnext_atto", num_classes=3, depths=(1, 1, 1, 1), dims=(8, 8, 16, 16))
    flow = rx.gradient_flow(net, images, [0, 1])
    assert any("downsample" in name for name in flow.names)
    assert all(flow.on_path)
    flow = rx.gradient_flow(rx.build("cifar_resnet8", shortcut="projection"), images, [0, 1])
    assert [n for n, on in zip(flow.names, flow.on_path, strict=True) if not on] == [
        "layer2.0.downsample.0",
        "layer3.0.downsample.0",
    ]


@pytest.mark.parametrize("size", [3, "3", (3, 0, 8), (), (3, 8.5, 8), None])
def test_a_size_that_is_none_is_refused_in_one_sentence(size):
    model = rx.build("cifar_resnet8")
    for measure in (rx.structure, rx.describe):
        with pytest.raises(rx.ExploreError, match="input_size must be such as"):
            measure(model, size)
    if size is not None:
        with (
            pytest.raises(rx.ExploreError, match="input_size must be such as"),
            rx.edited(model, input_size=size),
        ):
            pass
