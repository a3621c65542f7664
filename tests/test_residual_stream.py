"""What skips carried and branches added, against the blocks' own protocol and against hooks."""

import pytest
import torch
import torchvision
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.activations.residual_stream import residual_stream
from resnet_explore.models.blocks import Block

IMAGES = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))


def ours(model):
    """Skip and branch of each block by its own protocol, from the input that it got."""
    inputs = {}
    hooks = [
        block.register_forward_pre_hook(lambda m, args: inputs.__setitem__(m, args[0].clone()))
        for block in model.blocks
    ]
    with torch.no_grad():
        model(IMAGES)
        found = {}
        for name, block in model.named_modules():
            if isinstance(block, Block):
                x = block.split(inputs[block])
                branch, skip = block.branch(x), block.shortcut(x)
                if block.gate is not None:
                    branch, skip = block.gate(x, branch, skip)
                found[name] = (skip * block.add.skip_scale, branch * block.add.branch_scale)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shortcut": "projection_all"},
        {"skip_scale": 0.5, "branch_scale": 0.25},
        {"gate": "exclusive", "gate_bias": -1.0},
        {"order": "pre"},
        {"order": "relu_before_add"},
    ],
    ids=str,
)
def test_our_blocks_by_their_own_protocol(changes):
    model = rx.build(rx.build("cifar_resnet14").config.replace(**changes))
    streams, expected = residual_stream(model, IMAGES), ours(model)
    assert list(streams) == list(expected)
    for name, (skip, branch) in expected.items():
        assert streams[name].skip.equal(skip), name
        assert streams[name].branch.equal(branch), name
        for n in range(2):
            ratio = branch[n].double().square().sum().sqrt() / skip[n].double().square().sum().sqrt()
            assert float(streams[name].ratio[n]) == pytest.approx(float(ratio), rel=1e-5)


def test_an_in_place_sum_overwrites_nothing():
    """torchvision writes `out += identity`; equal weights have to give equal summands."""
    model, other = rx.build("resnet18", num_classes=10), torchvision.models.resnet18(num_classes=10)
    other.load_state_dict(model.state_dict())
    mine, theirs = residual_stream(model, IMAGES), residual_stream(other, IMAGES)
    assert list(mine) == list(theirs)
    assert len(mine) == 8
    assert all(mine[k].skip.equal(theirs[k].skip) and mine[k].branch.equal(theirs[k].branch) for k in mine)


def test_the_last_sum_of_a_block_is_its_skip():
    model = rx.build("res2net50_26w_4s")  # each block also sums inside its branch
    streams = residual_stream(model, IMAGES)
    assert list(streams) == [name for name, m in model.named_modules() if isinstance(m, Block)]
    assert all(stream.skip.shape == stream.branch.shape for stream in streams.values())
    assert streams["layer1.0"].skip.shape[1] == 256


def test_networks_that_put_the_skip_elsewhere():
    mobile = torchvision.models.mobilenet_v2(weights=None)
    assert list(residual_stream(mobile, IMAGES)) == [
        f"features.{k}" for k, m in enumerate(mobile.features) if getattr(m, "use_res_connect", False)
    ]
    assert residual_stream(rx.build("cifar_plain8"), IMAGES) == {}
    dense = torchvision.models.DenseNet(8, (2, 2), 16, num_classes=3)
    assert residual_stream(dense, IMAGES) == {}


class Weighed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        branch = self.conv(x)
        x = torch.add(x, branch, alpha=0.25)
        x += branch.tanh()
        return x


def test_the_branch_is_all_that_is_added_and_as_it_is_added():
    net = nn.Sequential(Weighed())
    stream = residual_stream(net, IMAGES)["0"]
    with torch.no_grad():
        branch = net[0].conv(IMAGES)
    assert stream.skip.equal(IMAGES)
    torch.testing.assert_close(stream.branch, 0.25 * branch + branch.tanh())


@pytest.mark.parametrize("dropped", [False, True])
def test_our_sums_say_themselves_which_is_the_branch(dropped):
    """Also where the projection is as deep as the branch, or the branch is dropped in training."""

    class Single(Block):
        def __init__(self, config, in_channels, width, stride):
            super().__init__(config, convolutions=1)
            self.conv1, self.bn1, self.relu1 = (
                nn.Conv2d(in_channels, width, 3, stride, 1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            self.connect(config, in_channels, width, stride)

    config = rx.ResNetConfig("basic", (1,), (8,), "cifar", shortcut="projection_all")
    block = Single(config, 8, 8, 1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), block)
    if dropped:
        block.survival = 0.0
        found = rx.skip_ratios(net, IMAGES)
        assert (found.names, found.branch.tolist()) == (("1",), [0.0])
    else:
        net.eval()
        stream = residual_stream(net, IMAGES)["1"]
        with torch.no_grad():
            assert stream.branch.equal(block.branch(net[0](IMAGES)))


def test_only_the_layers_asked_for():
    assert list(residual_stream(rx.build("cifar_resnet8"), IMAGES, ["layer2.0"])) == ["layer2.0"]


class Raises(nn.Module):
    def forward(self, x):
        raise KeyError("no such thing")


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    model = rx.build("cifar_resnet8").train()
    if fails:
        model.layer3.append(Raises())
    before = fingerprint(model)
    if fails:
        with pytest.raises(KeyError):
            residual_stream(model, IMAGES)
    else:
        residual_stream(model, IMAGES)
    assert fingerprint(model) == before
