"""Every variant of the skip against the papers' formulas, written out slowly from the weights alone."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

import resnet_explore as rx
from resnet_explore.models.layers import Scale, Shift


def pictures(height=12, width=20, channels=3, seed=0, number=2):
    return torch.randn(number, channels, height, width, generator=torch.Generator().manual_seed(seed))


def small(**changes):
    return rx.ResNetConfig(
        **{"depths": (2, 1), "widths": (4, 8), "stem": "cifar", "num_classes": 5, "in_channels": 3, **changes}
    )


def lively(config, seed=0):
    """Return a network whose every weight and statistic is random, so that nothing cancels by chance."""
    network = rx.build(config, seed=seed)
    random = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=random))
            elif value.is_floating_point() and value.ndim < 2:
                value.add_(0.3 * torch.randn(value.shape, generator=random))
    return network


class Slow:
    """A network computed from its config and state_dict by the papers' formulas, in float64 and eval mode."""

    def __init__(self, network):
        self.config = network.config
        self.state = {k: v.double() for k, v in network.state_dict().items()}

    def __call__(self, x):
        c, pre = self.config, self.config.order == "pre"
        x = self.conv(x.double(), "stem.conv" if pre else "conv1")
        if not pre:
            x = self.norm(x, "bn1").relu()
        for stage, depth in enumerate(c.depths):
            for index in range(depth):
                name = f"stages.{stage}.blocks.{index}" if pre else f"layer{stage + 1}.{index}"
                out = c.widths[stage] * (4 if c.block == "bottleneck" else 1)
                x = self.block(x, name, out, 2 if stage and not index else 1, first=not index)
        if pre:
            x = self.norm(x, "norm")
        if c.order in ("pre", "relu_only_pre"):
            x = x.relu()
        name = "head.fc" if pre else "fc"
        weight, bias = self.state[f"{name}.weight"].flatten(1), self.state[f"{name}.bias"]
        return x.mean((2, 3)) @ weight.T + bias

    def conv(self, x, name, stride=1):
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)

    def norm(self, x, name):
        if self.config.norm == "none":
            return x
        weight, bias = (self.state[f"{name}.{p}"][:, None, None] for p in ("weight", "bias"))
        if self.config.norm == "batch":
            mean, var = (self.state[f"{name}.running_{p}"][:, None, None] for p in ("mean", "var"))
            return (x - mean) / (var + 1e-5).sqrt() * weight + bias
        channels = x.shape[1]
        per_group = max(2, channels // 32)  # two channels where 32 groups would be too many
        parts = []
        for start in range(0, channels, per_group):
            group = x[:, start : start + per_group]
            mean = group.mean((1, 2, 3), keepdim=True)
            parts.append((group - mean) / (((group - mean) ** 2).mean((1, 2, 3), keepdim=True) + 1e-5).sqrt())
        return torch.cat(parts, 1) * weight + bias

    def block(self, x, name, out, stride, first):
        """He et al. 2016, Fig. 4 (a) to (e), for two convolutions or three."""
        c = self.config
        strides = [stride, 1] if c.block == "basic" else [1, stride, 1]
        last = len(strides)

        def conv(x, i):
            return self.conv(x, f"{name}.conv{i}", strides[i - 1])

        def norm(x, i):
            return self.norm(x, f"{name}.{'norm' if c.order == 'pre' else 'bn'}{i}")

        start = norm(x, 1).relu() if c.order == "pre" and first else x
        f = x
        if c.order == "relu_only_pre":
            for i in range(1, last + 1):
                f = norm(conv(f.relu(), i), i)
        elif c.order == "pre":
            for i in range(1, last + 1):
                f = conv(norm(f, i).relu(), i)
        else:
            for i in range(1, last):
                f = norm(conv(f, i), i).relu()
            f = conv(f, last)
            if c.order != "bn_after_add":
                f = norm(f, last)
            if c.order == "relu_before_add":
                f = f.relu()
        if c.residual:
            f = self.added(start, f, name, out, stride)
        if c.order == "bn_after_add":
            f = norm(f, last)
        return f.relu() if c.order in ("post", "bn_after_add") else f

    def added(self, x, f, name, out, stride):
        c = self.config
        skip = x
        if c.shortcut == "projection_all" or stride != 1 or x.shape[1] != out:
            if c.shortcut == "padding":
                extra = out - x.shape[1]
                front = torch.zeros(len(x), extra // 2, *f.shape[2:], dtype=x.dtype)
                back = torch.zeros(len(x), extra - extra // 2, *f.shape[2:], dtype=x.dtype)
                skip = torch.cat([front, x[:, :, ::stride, ::stride], back], 1)
            elif c.order == "pre":
                skip = self.conv(x, f"{name}.downsample.conv", stride)
            else:
                skip = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        if c.init in ("rezero", "skipinit"):
            f = self.state[f"{name}.alpha.value"] * f
        if c.gate != "none":
            g = 1 / (1 + (-self.conv(x, f"{name}.gate.conv", stride)).exp())
            skip = (1 - g) * skip
            f = g * f if c.gate == "exclusive" else f
        return c.branch_scale * f + c.skip_scale * skip


def assert_computes_the_formula(network):
    images = pictures()
    with torch.no_grad():
        torch.testing.assert_close(
            network.double()(images.double()), Slow(network)(images), rtol=1e-9, atol=1e-9
        )


CHOICES = {
    "block": ("basic", "bottleneck"),
    "order": ("post", "bn_after_add", "relu_before_add", "relu_only_pre", "pre"),
    "shortcut": ("projection", "padding", "projection_all"),
    "norm": ("batch", "group", "none"),
    "gate": ("none", "exclusive", "shortcut_only"),
    "init": ("he", "rezero"),
    "residual": (True, False),
    "branch_scale": (1.0, 0.5),
    "skip_scale": (1.0, 0.5, 0.0),
}
ONE_BY_ONE = [(field, value) for field, values in CHOICES.items() for value in values[1:]]


@pytest.mark.parametrize(("field", "value"), [*ONE_BY_ONE, ("init", "skipinit")])
def test_each_value_computes_its_formula_and_matters(field, value):
    also = {"norm": "none"} if value == "skipinit" else {}
    usual, changed = lively(small(**also)), lively(small(**also, **{field: value}))
    assert_computes_the_formula(changed)
    images = pictures()
    with torch.no_grad():
        assert not torch.allclose(usual(images), changed.float()(images))


@settings(max_examples=40, deadline=None)
@given(st.fixed_dictionaries({field: st.sampled_from(values) for field, values in CHOICES.items()}))
def test_all_values_go_together(fields):
    network = lively(small(**fields))
    assert_computes_the_formula(network)
    assert_computes_the_formula(lively(network.config.plain()))


@settings(max_examples=20, deadline=None)
@given(st.fixed_dictionaries({field: st.sampled_from(values) for field, values in CHOICES.items()}))
def test_branch_and_shortcut_are_what_the_block_adds(fields):
    network = lively(small(**{**fields, "residual": True}))
    for block, x in zip(network.blocks, (4, 16 if fields["block"] == "bottleneck" else 4), strict=False):
        x = pictures(channels=x)
        with torch.no_grad():
            start = block.split(x)
            branch, skip = block.branch(start), block.shortcut(start)
            if block.gate is not None:
                branch, skip = block.gate(start, branch, skip)
            expected = fields["branch_scale"] * branch + fields["skip_scale"] * skip
            torch.testing.assert_close(block(x), block.activate(expected))


def test_the_gate_starts_with_its_bias_and_exclusive_gates_share_one():
    network = rx.build(small(gate="exclusive", gate_bias=-6.0))
    gate = network.layer1[0].gate
    assert gate.conv.bias.tolist() == [-6.0] * 4
    x = pictures(channels=4)
    with torch.no_grad():
        branch, skip = gate(x, torch.ones_like(x), torch.ones_like(x))
    torch.testing.assert_close(branch + skip, torch.ones_like(x))
    assert skip.mean() > 0.9  # b = -6 lets the skip through


def test_dropout_on_the_shortcut_drops_in_training_only():
    plain, network = rx.build(small()), rx.build(small(skip_dropout=0.25))
    assert list(plain.state_dict()) == list(network.state_dict())
    images = pictures()
    with torch.no_grad():
        assert torch.equal(plain(images), network(images))
        block = network.layer1[1].train()
        x = 1 + torch.rand(64, 4, 16, 16)
        skip = block.shortcut(x)
    dropped = skip == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(skip[~dropped], x[~dropped] / 0.75)


def test_stochastic_depth_decays_linearly_and_acts_in_training_only():
    network, usual = (rx.build("cifar_resnet110", stochastic_depth=p, widths=(2, 2, 2)) for p in (0.5, 0))
    assert [b.survival for b in network.blocks] == [1 - block / 54 * 0.5 for block in range(1, 55)]
    assert [b.survival for b in usual.blocks] == [1] * 54
    images = pictures()
    with torch.no_grad():
        assert torch.equal(network(images), usual(images))


@pytest.mark.parametrize("order", ["post", "pre"])
def test_stochastic_depth_drops_a_branch_for_the_whole_batch(order):
    block = lively(small(stochastic_depth=0.5, order=order, depths=(2, 2))).blocks[-1].train()
    for layer in block.modules():  # batch statistics would change from step to step
        layer.momentum = 0.0
    assert block.survival == 0.5
    x = pictures(channels=8)
    torch.manual_seed(0)
    kept = 0
    with torch.no_grad():
        branch, skip = block.branch(x), block.shortcut(x)
        for _ in range(400):
            out = block(x)
            if torch.equal(out, block.activate(skip)):
                continue
            torch.testing.assert_close(out, block.activate(branch / 0.5 + skip))
            kept += 1
    assert kept / 400 == pytest.approx(0.5, abs=0.08)  # 3.2 standard deviations


@pytest.mark.parametrize(("init", "norm"), [("rezero", "batch"), ("skipinit", "none")])
def test_rezero_and_skipinit_begin_as_the_identity_and_learn(init, norm):
    network = rx.build(small(init=init, norm=norm, order="pre")).train()
    block = network.blocks[1]
    x = pictures(channels=4)
    assert torch.equal(block(x), x)
    F.cross_entropy(network(pictures()), torch.tensor([0, 3])).backward()
    grads = {n: p.grad.abs().sum().item() for n, p in block.named_parameters()}
    assert grads["alpha.value"] > 0
    assert grads["conv1.weight"] == 0
    assert not any(isinstance(m, Scale) for m in rx.build(network.config.plain()).modules())


def fixup_forward(state, depths, x):
    """The network of Zhang et al. 2019, Fig. 1 right, written out: scalars before each layer, no norm."""

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x + state[f"{name}.shift.value"], weight, None, stride, weight.shape[-1] // 2)

    x = (conv(x, "conv1") + state["bn1.value"]).relu()
    for stage, depth in enumerate(depths, start=1):
        for index in range(depth):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and not index else 1
            out = (conv(x, f"{name}.conv1", stride) + state[f"{name}.bn1.value"]).relu()
            out = conv(out, f"{name}.conv2") * state[f"{name}.bn2.0.value"] + state[f"{name}.bn2.1.value"]
            x = (out + (conv(x, f"{name}.downsample.0", stride) if stride == 2 else x)).relu()
    return F.linear(x.mean((2, 3)) + state["fc.shift.value"], state["fc.weight"], state["fc.bias"])


def test_fixup_computes_the_papers_network():
    network = rx.build(small(init="fixup", norm="none", depths=(2, 2)))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
        torch.testing.assert_close(
            network(pictures()), fixup_forward(network.state_dict(), (2, 2), pictures())
        )


@pytest.mark.parametrize(("block", "m"), [("basic", 2), ("bottleneck", 3)])
def test_fixup_starts_as_the_paper_says(block, m):
    config = small(block=block, init="fixup", norm="none", depths=(3, 6), widths=(32, 32))
    network, usual = rx.build(config, seed=2), rx.build(config.replace(init="he"), seed=2)
    shrink = 9 ** (-1 / (2 * m - 2))
    for ours, theirs in zip(network.blocks, usual.blocks, strict=True):
        for i in range(1, m):
            expected = shrink * getattr(theirs, f"conv{i}").weight
            torch.testing.assert_close(getattr(ours, f"conv{i}").weight, expected)
        assert not getattr(ours, f"conv{m}").weight.any()
    assert torch.equal(network.conv1.weight, usual.conv1.weight)
    assert not network(pictures()).any()
    assert all(m.value == 1 for m in network.modules() if isinstance(m, Scale))
    assert all(m.value == 0 for m in network.modules() if isinstance(m, Shift))
    assert rx.build(config.plain())(pictures()).std() > 0.01  # its twin has no branches to silence


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (3, 1), (6, 2), (16, 8), (24, 8), (64, 32), (256, 32)]
)
def test_group_norm_has_32_groups_of_at_least_two_channels(channels, groups):
    layer = rx.build(small(norm="group", widths=(channels, 4))).bn1
    assert isinstance(layer, nn.GroupNorm)
    assert (layer.num_groups, layer.num_channels) == (groups, channels)


@pytest.mark.parametrize(("order", "norm"), [(o, n) for o in CHOICES["order"] for n in ("batch", "none")])
def test_signals_and_gradients_reach_both_ends(order, norm):
    network = rx.build(small(order=order, norm=norm)).train()
    loss = F.cross_entropy(network(pictures()), torch.tensor([0, 3]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(p.grad is not None for p in network.parameters())
    assert network.get_submodule("stem.conv" if order == "pre" else "conv1").weight.grad.any()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"residual": False, "stochastic_depth": 0.5}, "residual=False needs stochastic_depth=0"),
        ({"stochastic_depth": 1.0}, "stochastic_depth as at least 0 and below 1, not 1.0"),
        ({"skip_dropout": -0.1}, "skip_dropout as at least 0 and below 1, not -0.1"),
        ({"branch_scale": float("nan")}, "branch_scale as a finite number, not nan"),
        ({"skip_scale": "0.5"}, "skip_scale as a finite number, not '0.5'"),
        ({"gate_bias": -6.0}, "gate_bias needs a gate: 'exclusive' or 'shortcut_only'"),
        ({"gate": "shortcut"}, "Unknown gate in ResNetConfig: 'shortcut': did you mean 'shortcut_only'"),
        ({"order": "preact"}, "Unknown order in ResNetConfig: 'preact': did you mean 'pre'"),
        ({"shortcut": "C"}, "known: projection, padding, projection_all"),
        ({"norm": "layer"}, "Unknown norm in ResNetConfig: 'layer'"),
        ({"init": "fixup"}, "init='fixup' does without normalisation, so it needs norm='none'"),
        ({"init": "skipinit"}, "init='skipinit' does without normalisation"),
        ({"init": "fixup", "norm": "none", "order": "pre"}, "init='fixup' is defined for order='post' only"),
        ({"stem_width": 0}, "stem_width as a whole number of at least 1, not 0"),
        ({"stem_width": 8, "shortcut": "padding"}, r"never shrink, not \(4, 8\) after stem_width=8"),
    ],
)
def test_what_describes_no_network_is_refused(changes, sentence):
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        small(**changes)
    assert "\n" not in str(caught.value)


def test_the_plain_twin_of_any_variant():
    config = small(stochastic_depth=0.3, gate="exclusive", gate_bias=-1.0, skip_dropout=0.2)
    assert config.plain() == config.replace(residual=False, stochastic_depth=0)
    plain = rx.build(config.plain())
    assert [k for k in plain.state_dict() if "gate" in k or "downsample" in k] == []
    assert all(b.add is None and b.gate is None and b.downsample is None for b in plain.blocks)
