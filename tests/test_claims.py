"""Published claims, measured; and the measures themselves against slow derivations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.gradients.claims.checks import CLAIMS


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_hold_for_a_seed_that_their_bounds_were_not_made_from(name):
    table = rx.check_claims(name, seed=1234)
    assert list(table.index) == [name]
    row = table.iloc[0]
    assert row["holds"], f"{row['claim']}: expected {row['expected']}, measured {row['measured']:.4g}"


def test_what_each_claim_is_about_decides_it():
    """The same measure without the cause: skips removed, statistics not detached, norm switched off."""
    images = torch.randn(32, 1, 10, 10, generator=torch.Generator().manual_seed(0))

    def correlation(residual, detach=True):
        config = rx.MLPConfig(depth=8, width=200, inputs=100, outputs=1, residual=residual)
        return rx.input_gradients(rx.MLP(config), images, detach=detach).correlation

    assert correlation(True) > 0.2 > 0.05 > abs(correlation(False))
    assert correlation(False, detach=False) == pytest.approx(-1 / 31, abs=0.01)
    with pytest.raises(rx.ExploreError, match="did you mean 'fixup'"):
        rx.check_claims("fixupp")


def test_input_gradients_are_those_of_each_input_alone():
    net = rx.MLP(rx.MLPConfig(depth=3, width=20, inputs=12, outputs=4, residual=True), seed=3)
    images = torch.randn(5, 1, 3, 4)
    before = fingerprint(net)
    found = rx.input_gradients(net, images, seed=9)
    assert fingerprint(net) == before
    direction = torch.randn(4, generator=torch.Generator().manual_seed(9))
    direction /= direction.norm()
    with torch.no_grad():  # the statistics of this batch, layer by layer
        x, held = net.first(images.flatten(1)), []
        for layer in net.layers:
            held.append((x.mean(0), x.var(0, correction=0)))
            normal = (x - held[-1][0]) / (held[-1][1] + layer.norm.eps).sqrt()
            x = x + layer.linear(F.relu(normal))
    expected = []
    for image in images:
        leaf = image.flatten().clone().requires_grad_()
        x = net.first(leaf)
        for layer, (mean, var) in zip(net.layers, held, strict=True):
            x = x + layer.linear(F.relu((x - mean) / (var + layer.norm.eps).sqrt()))
        expected.append(torch.autograd.grad(net.last(x) @ direction, leaf)[0].double().numpy())
    np.testing.assert_allclose(found.gradients, expected, rtol=1e-3, atol=1e-6)
    unit = np.array(expected) / np.linalg.norm(expected, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert found.correlation == pytest.approx((cosines.sum() - 5) / 20, abs=1e-5)
    assert (found.mode, found.detached) == ("train", True)
    coupled = rx.input_gradients(net, images, detach=False)
    assert not coupled.detached
    assert not np.allclose(coupled.gradients, found.gradients, rtol=0.1)
    assert fingerprint(net) == before


def test_autocorrelation_of_a_known_slope():
    class Sine(nn.Module):
        def forward(self, x):
            return x.flatten(1).sin()

    # The slope is cos(x); over whole periods its autocorrelation at a lag is (1 - lag / n) cos(lag dx).
    found = rx.gradient_autocorrelation(Sine(), lags=50, low=0, high=20 * np.pi * 399 / 400, points=400)
    lags = np.arange(51)
    np.testing.assert_allclose(found, (1 - lags / 400) * np.cos(lags * 20 * np.pi / 400), atol=0.02)
    with pytest.raises(rx.ExploreError, match="lags must be from 1 to points - 1, here 9, not 10"):
        rx.gradient_autocorrelation(Sine(), lags=10, points=10)


@pytest.mark.parametrize("order", ["post", "pre"])
def test_skip_ratios_are_those_of_branch_and_shortcut(order):
    model = rx.build("cifar_resnet14", order=order, widths=(4, 6, 8), in_channels=1, branch_scale=0.5).train()
    images = torch.randn(4, 1, 12, 9, generator=torch.Generator().manual_seed(2))
    before = fingerprint(model)
    found = rx.skip_ratios(model, images)
    assert fingerprint(model) == before
    seen = {}
    for block in model.blocks:
        block.register_forward_pre_hook(lambda module, args: seen.setdefault(module, args[0]))
    model(images)
    expected = []
    for block in model.blocks:
        x = block.split(seen[block])
        expected.append((0.5 * block.branch(x)).std(correction=0) / block.shortcut(x).std(correction=0))
    np.testing.assert_allclose(found.ratios, torch.stack(expected).detach(), rtol=1e-4)
    assert [model.get_submodule(name) for name in found.names] == model.blocks
    with pytest.raises(rx.ExploreError, match="has no skip connections that can be looked at"):
        rx.skip_ratios(rx.build("cifar_plain8"), torch.randn(2, 3, 8, 8))


def test_skip_ratios_of_networks_of_others_and_of_vectors():
    images = torch.randn(4, 3, 40, 24, generator=torch.Generator().manual_seed(2))
    ours, theirs = rx.build("resnet18", num_classes=5), torchvision.models.resnet18(num_classes=5)
    theirs.load_state_dict(ours.state_dict())
    mine, other = rx.skip_ratios(ours, images), rx.skip_ratios(theirs, images)
    assert mine.names == other.names
    np.testing.assert_array_equal(mine.ratios, other.ratios)
    net = rx.MLP(rx.MLPConfig(depth=3, width=20, inputs=3 * 40 * 24, residual=True, branch_scale=0.5))
    assert rx.skip_ratios(net, images).names == ("layers.0", "layers.1", "layers.2")
    vit = torchvision.models.VisionTransformer(8, 4, 2, 2, 16, 32, num_classes=5)
    assert rx.skip_ratios(vit, images[:, :, :8, :8], "eval").names == tuple(
        f"encoder.layers.encoder_layer_{k}:{n}" for k in (0, 1) for n in (1, 2)
    )


def test_a_wide_network_is_what_its_config_says():
    config = rx.MLPConfig(depth=2, width=3000, inputs=8, outputs=5, bias_std=0.5)
    net, twin = rx.MLP(config, seed=1), rx.MLP(rx.MLPConfig(**{**vars(config), "residual": True}), seed=1)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert net.layers[0].linear.weight.var().item() == pytest.approx(2 / 3000, rel=0.01)
    assert net.first.weight.var().item() == pytest.approx(1 / 8, rel=0.05)
    assert net.first.bias.std().item() == pytest.approx(0.5, rel=0.05)
    assert net(torch.randn(3, 2, 4)).shape == (3, 5)
    for field, value, sentence in (
        ("width", 0, "needs width as a whole number of at least 1, not 0"),
        ("activation", "relo", "did you mean 'relu'"),
        ("norm", "group", "known: batch, none"),
    ):
        with pytest.raises(rx.ExploreError, match=sentence):
            rx.MLPConfig(**{field: value})
