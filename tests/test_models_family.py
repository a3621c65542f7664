"""ResNet's relatives against torchvision's and timm's networks and the papers' counts."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import nn

import resnet_explore as rx
from resnet_explore.models import blocks
from resnet_explore.models.hrnet import HRNetConfig
from resnet_explore.models.presets import config_of, network_of

README = Path(__file__).resolve().parents[1] / "README.md"

# Parameters to the last one; G multiply-adds at 224 x 224 as the libraries' own networks give them.
TORCHVISION = {
    "resnext50_32x4d": (25_028_904, 4.230),
    "resnext101_32x8d": (88_791_336, 16.414),
    "resnext101_64x4d": (83_455_272, 15.460),
    "wide_resnet50_2": (68_883_240, 11.398),
    "wide_resnet101_2": (126_886_696, 22.753),
}
TIMM = {
    "res2net50_26w_4s": (25_699_120, 4.255),
    "res2net101_26w_4s": (45_206_688, 8.067),
    "resnetv2_50": (25_549_352, 4.089),
    "resnetv2_101": (44_541_480, 7.801),
    "hrnet_w18": (21_299_004, 4.284),
    "hrnet_w32": (41_232_680, 8.921),
    "hrnet_w48": (77_469_864, 17.278),
}
CIFAR = {
    "cifar_preresnet110": 1_727_962,
    "cifar_preresnet164": 1_703_258,
    "cifar_preresnet1001": 10_327_706,
    "wrn28_10": 36_479_194,
}


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def shapes(model):
    return [(key, value.shape) for key, value in model.state_dict().items()]


def on_meta(config):
    with torch.device("meta"):
        return network_of(config)


def pictures(height, width, channels=3, seed=0):
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [*TORCHVISION, *TIMM])
def test_keys_order_and_counts_are_the_librarys(name):
    count, gmacs = (TORCHVISION | TIMM)[name]
    ours = on_meta(config_of(name))
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)() if name in TORCHVISION else timm.create_model(name)
    assert shapes(ours) == shapes(theirs)
    assert parameters(ours) == count
    assert round(rx.describe(ours).macs / 1e9, 3) == gmacs


def shaken(model):
    """Return the model with batch norms as training leaves them: no map is a multiple of another."""
    random = torch.Generator().manual_seed(9)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                values.data += 0.2 * torch.randn(values.shape, generator=random)
            module.running_var.mul_(4 * torch.rand(module.running_var.shape, generator=random) + 0.5)
    return model


def assert_equal_outputs(ours, theirs, images):
    theirs.load_state_dict(shaken(ours).state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))
        assert torch.equal(ours.train()(images), theirs.train()(images))


# The full networks' keys are compared above; for the outputs fewer blocks, and where it can be narrower ones.
@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnext101_64x4d", "wide_resnet50_2"])
def test_outputs_equal_torchvisions(name):
    ours = rx.build(name, seed=3, depths=(1, 2, 1, 1))
    with torch.device("meta"):
        theirs = torchvision.models.ResNet(
            torchvision.models.resnet.Bottleneck,
            [1, 2, 1, 1],
            groups=ours.config.groups,
            width_per_group=ours.config.group_width,
        )
    assert_equal_outputs(ours, theirs, pictures(32, 64))


@pytest.mark.parametrize(("scales", "groups", "width"), [(4, 1, 26), (2, 1, 48), (3, 4, 16)])
def test_outputs_equal_timms_res2net(scales, groups, width):
    four = {"depths": (1, 2, 1, 1), "widths": (16, 24, 32, 48), "stem_width": 64}
    ours = rx.build("res2net50_26w_4s", seed=1, scales=scales, groups=groups, group_width=width, **four)
    theirs = timm.models.resnet.ResNet(
        timm.models.res2net.Bottle2neck,
        [1, 2, 1, 1],
        channels=(16, 24, 32, 48),
        base_width=width,
        cardinality=groups,
        block_args={"scale": scales},
    )
    assert shapes(ours) == shapes(theirs)
    assert_equal_outputs(ours, theirs, pictures(64, 96))


def test_outputs_equal_timms_resnetv2():
    ours = rx.build("resnetv2_50", seed=1, depths=(2, 1, 2, 1), widths=(24, 32, 48, 64), stem_width=64)
    theirs = timm.models.resnetv2.ResNetV2(
        [2, 1, 2, 1],
        channels=(96, 128, 192, 256),
        conv_layer=timm.layers.create_conv2d,
        norm_layer=timm.layers.BatchNormAct2d,
    )
    assert shapes(ours) == shapes(theirs)
    assert_equal_outputs(ours, theirs, pictures(64, 96))


def test_outputs_equal_timms_hrnet():
    width, modules, blocks = 4, (1, 2, 1), 2
    ours = rx.build(HRNetConfig(width, modules, blocks), seed=1)
    stages = {
        f"stage{i + 1}": {
            "num_modules": modules[i - 1],
            "num_branches": i + 1,
            "block_type": "BASIC",
            "num_blocks": (blocks,) * (i + 1),
            "num_channels": tuple(width * 2**j for j in range(i + 1)),
            "fuse_method": "SUM",
        }
        for i in (1, 2, 3)
    }
    theirs = timm.models.hrnet.HighResolutionNet({**timm.models.hrnet.cfg_cls["hrnet_w18"], **stages})
    assert shapes(ours) == shapes(theirs)
    assert_equal_outputs(ours, theirs, pictures(64, 96))


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_relatives_have_the_authors_counts(name):
    assert parameters(on_meta(config_of(name))) == CIFAR[name]


def test_names_that_follow_a_rule():
    assert config_of("cifar_preresnet20").depths == (3, 3, 3)
    assert config_of("cifar_preresnet164").block == "bottleneck"
    assert [config_of(f"cifar_preresnet{d}").depth for d in (110, 164, 1001)] == [110, 164, 1001]
    assert {*TORCHVISION, *TIMM, *CIFAR} <= set(rx.list_models())


@pytest.mark.parametrize("name", ["resnext50_32x4d", "res2net50_26w_4s", "cifar_preresnet20", "hrnet_w18"])
def test_every_relative_has_its_plain_twin(name):
    smaller = {"hrnet_w18": {"modules": (1, 1, 1), "width": 4}, "cifar_preresnet20": {}}
    plain, residual = rx.twins(name, seed=4, **smaller.get(name, {"depths": (1, 2, 1, 1)}))
    assert (plain.config.residual, residual.config.residual) == (False, True)
    values = residual.state_dict()
    assert all(torch.equal(value, values[key]) for key, value in plain.state_dict().items())
    assert all("downsample" in key for key in set(values) - set(plain.state_dict()))
    images = pictures(64, 96)
    with torch.no_grad():
        assert not torch.allclose(plain(images), residual(images))
        for block in residual.blocks:
            block.add.skip_scale = 0.0
        assert torch.equal(plain(images), residual(images))


def test_the_stages_of_all_networks_hold_their_blocks():
    for name in ("resnet18", "res2net50_26w_4s", "resnetv2_50"):
        network = on_meta(config_of(name))
        assert [len(stage) for stage in network.stages] == list(network.config.depths)
        assert [block for stage in network.stages for block in stage] == network.blocks


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: HRNetConfig(width=0), "HRNetConfig needs width as a whole number of at least 1, not 0"),
        (lambda: HRNetConfig(modules=(1, 4)), r"modules for stages 2, 3 and 4, not \(1, 4\)"),
        (lambda: rx.build("hrnet_w18", widht=4), "Unknown HRNetConfig field 'widht': did you mean 'width'"),
        (lambda: rx.build("hrnet_w8"), "Unknown model 'hrnet_w8': did you mean .*'hrnet_w18'"),
        (lambda: rx.build("resnet2net50"), "did you mean"),
        (lambda: rx.build("cifar_preresnet21"), "the nearest are 20 and 26"),
        (lambda: rx.build(18), "from a name, a ResNetConfig or an HRNetConfig, not 18"),
        (
            lambda: rx.build("resnext50_32x4d", depths=(1, 1), widths=(24, 48)),
            "groups=32 must divide the inner width 48",
        ),
        (
            lambda: rx.build("res2net50_26w_4s", depths=(3, 0, 6, 3)),
            "needs depths as whole numbers of at least 1",
        ),
        (
            lambda: rx.build("res2net50_26w_4s", scales=65),
            "scales=65 must not exceed the width",
        ),
        (lambda: rx.build("res2net50_26w_4s", widths=(2, 4, 8, 16)), "group_width=26 leaves no channel"),
        (lambda: rx.build("res2net50_26w_4s", order="pre"), "scales above 1 go with order='post' only"),
        (lambda: rx.build("resnet18", scales=2), "scales apply to block='bottleneck' only"),
        (lambda: rx.ResNet(config_of("resnetv2_50")), "`build` makes a PreActResNet of it"),
    ],
)
def test_mistakes_get_one_sentence(call, sentence):
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


# --- a block of one's own ----------------------------------------------------------------------------------


@pytest.fixture
def no_new_blocks():
    yield
    for known in (blocks.BLOCKS, blocks.SIZES):
        known.pop("squeeze_excite", None)


def test_the_readmes_block_of_ones_own_works(no_new_blocks):
    section = README.read_text().split("## Add your own block")[1].split("\n## ")[0]
    names = {}
    exec(section.split("```python")[1].split("```")[0], names)
    residual, plain = names["residual"], names["plain"]
    assert residual.config.depth == 20
    x = torch.randn(2, 3, 32, 24)
    assert residual(x).shape == plain(x).shape == (2, 10)
    stem = residual.relu(residual.bn1(residual.conv1(x)))
    block, h = residual.layer2[1], residual.layer2[0](residual.layer1(stem))
    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(h)))))
    torch.testing.assert_close(block(h), torch.relu(branch * block.weigh(branch) + h))
    squeezes = sum(p.numel() for b in residual.blocks for p in b.weigh.parameters())
    assert rx.describe(residual, (3, 32, 32)).parameters == 269_722 + squeezes
    with pytest.raises(rx.ExploreError, match="There is a block 'basic' already"):
        rx.add_block("basic", names["SqueezeExcite"], layers=2)
    with pytest.raises(rx.ExploreError, match=r"Unknown block .*: did you mean 'squeeze_excite'"):
        rx.ResNetConfig("squeeze_exite")
