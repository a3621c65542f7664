"""Debiased linear CKA against slow sums, its invariances, and what it refuses."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.similarity import hsic, hsic_with_itself


def slow_hsic(k, other):
    """Song et al. 2012: the U-statistic over all quadruples of different images."""
    n = len(k)
    total = 0.0
    quadruples = list(itertools.permutations(range(n), 4))
    for i, j, q, r in quadruples:
        total += k[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q])
    return float(total) / len(quadruples)


def kernel(x):
    return (x @ x.T).fill_diagonal_(0.0)


@settings(max_examples=12, deadline=None)
@given(st.integers(4, 7), st.integers(1, 5), st.integers(0, 10_000))
def test_hsic_is_the_mean_over_all_quadruples(n, width, seed):
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(n, width, generator=random, dtype=torch.float64) for _ in range(2))
    k, other = kernel(x), kernel(y)
    assert hsic(k[None], other[None]).item() == pytest.approx(slow_hsic(k, other), abs=1e-9)
    assert hsic_with_itself(k[None]).item() == pytest.approx(hsic(k[None], k[None]).item(), abs=1e-9)


class Side(nn.Module):
    """Gives what it is made with, for the images in their order."""

    def __init__(self, **outputs):
        super().__init__()
        self.names = list(outputs)
        self.values = outputs
        for name in outputs:
            self.add_module(name, nn.Identity())
        self.at = 0

    def forward(self, images):
        for name in self.names:
            out = getattr(self, name)(self.values[name][self.at : self.at + len(images)])
        self.at = (self.at + len(images)) % len(self.values[self.names[0]])
        return out


def test_rotation_scale_and_shift_change_nothing_and_what_is_independent_is_0():
    random = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(256, 64, generator=random) for _ in range(2))
    turn = torch.linalg.qr(torch.randn(64, 64, generator=random)).Q
    sides = Side(x=x), Side(turned=3 * x @ turn + 100, other=noise)
    found = rx.similarity(*sides, torch.zeros(256, 1, 2, 3), ["x"], ["turned", "other"])
    assert found.matrix[0, 0] == pytest.approx(1, abs=1e-4)
    assert abs(found.matrix[0, 1]) < 0.02
    centred = [(v - v.mean(0)).double() for v in (x, noise)]
    a, b = (v @ v.T for v in centred)
    biased = float((a * b).sum() / (a.norm() * b.norm()))
    assert biased > 0.15, "the usual estimate calls independent data alike"


def test_batches_are_summed_before_the_ratio(model_pair):
    plain, residual, images = model_pair
    found = rx.similarity(plain, residual, images, ["layer2.0"], ["layer3.0"], batch_size=5)
    sums = np.zeros(3)
    for part in torch.tensor_split(images, 3):
        with torch.no_grad(), rx.Capture(plain.eval(), ["layer2.0"]) as a:
            plain(part)
        with torch.no_grad(), rx.Capture(residual.eval(), ["layer3.0"]) as b:
            residual(part)
        k, other = (kernel(o.flatten(1).double()) for o in (a.outputs["layer2.0"], b.outputs["layer3.0"]))
        sums += slow_hsic(k, other), slow_hsic(k, k), slow_hsic(other, other)
    assert found.matrix[0, 0] == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]), abs=1e-3)
    assert found.images == 14


@pytest.fixture
def model_pair():
    twins = rx.twins("cifar_resnet8", in_channels=1, widths=(4, 8, 8), seed=0)
    images = torch.randn(14, 1, 12, 8, generator=torch.Generator().manual_seed(1))
    return twins.plain, twins.residual, images


def test_with_itself_the_diagonal_is_1_and_models_stay_as_found(model_pair):
    plain, residual, images = model_pair
    residual.train()
    before = fingerprint(residual)
    found = rx.similarity(residual, residual, images)
    np.testing.assert_allclose(np.diag(found.matrix), 1, atol=1e-9)
    np.testing.assert_allclose(found.matrix, found.matrix.T, atol=1e-9)
    assert found.rows == found.columns
    assert {"conv1", "layer1.0.conv1", "layer1.0", "fc"} <= set(found.rows)
    assert fingerprint(residual) == before
    assert residual.training
    across = rx.similarity(plain, residual, images)
    assert across.matrix.shape == (len(across.rows), len(across.columns))
    assert np.isfinite(across.matrix).all()
    assert (across.matrix < 1.2).all()


def test_rows_are_in_the_order_of_execution(model_pair):
    _, residual, images = model_pair
    rows = rx.similarity(residual, residual, images).rows
    assert rows.index("layer1.0.conv2") < rows.index("layer1.0") < rows.index("layer2.0.conv1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": torch.zeros(3, 1, 12, 8)}, "at least 4 images, got 3"),
        ({"batch_size": 3}, "batch_size must be at least 4"),
        ({"layers_a": "layer9"}, "layer9"),
        ({"images": torch.ones(6, 1, 12, 8), "layers_a": "conv1"}, "'conv1' gives the same for all images"),
        ({"images": torch.ones(6, 1, 12, 8)}, "Every layer gives the same"),
        ({"images": torch.zeros(6, 3, 12, 8)}, "can't take images"),
    ],
)
def test_what_can_not_be_compared_is_refused(model_pair, change, words):
    plain, residual, images = model_pair
    with pytest.raises(rx.ExploreError, match=words):
        rx.similarity(plain, residual, **{"images": images, **change})


@pytest.mark.parametrize("name", ["model_a", "model_b"])
def test_the_name_of_a_network_is_no_network(model_pair, name):
    plain, residual, images = model_pair
    given = {"model_a": plain, "model_b": residual, name: "cifar_resnet8"}
    with pytest.raises(rx.ExploreError, match=rf"{name} must be a torch.nn.Module, not str: .*build\('cifar"):
        rx.similarity(images=images, **given)


def test_too_large_kernels_are_refused(model_pair, monkeypatch):
    plain, residual, images = model_pair
    monkeypatch.setattr("resnet_explore.analysis.similarity.free_memory", lambda device: 1000)
    with pytest.raises(rx.ExploreError, match="smaller batch_size"):
        rx.similarity(plain, residual, images)


def test_memory_is_asked_for_the_layers_that_are_compared(model_pair, monkeypatch):
    plain, residual, images = model_pair
    kernel_bytes = 8 * len(images) ** 2
    monkeypatch.setattr("resnet_explore.analysis.similarity.free_memory", lambda device: 4 * kernel_bytes)
    assert rx.similarity(plain, residual, images, ["fc"], ["fc"]).matrix.shape == (1, 1)
    assert rx.similarity(plain, plain, images, "layer1.0.conv?", "layer1.0.conv?").matrix.shape == (2, 2)
    with pytest.raises(rx.ExploreError, match="kernels of 3 layers"):
        rx.similarity(plain, residual, images, ["fc"], "layer1.0.conv?")


def test_layers_that_are_not_finite_are_left_out_and_named(model_pair):
    plain, residual, images = model_pair
    whole = rx.similarity(plain, residual, images)
    with torch.no_grad():
        residual.layer3[0].conv2.weight[0, 0, 0, 0] = math.nan
    found = rx.similarity(plain, residual, images)
    assert found.not_finite == ("layer3.0.conv2", "layer3.0", "fc")
    assert found.columns == whole.columns[:-3]
    np.testing.assert_allclose(found.matrix, whole.matrix[:, :-3])
    with pytest.raises(rx.ExploreError, match=r"'layer3\.0' gives NaN or infinity"):
        rx.similarity(plain, residual, images, layers_b=["conv1", "layer3.0"])
    with torch.no_grad():
        residual.conv1.weight.fill_(math.inf)
    with pytest.raises(rx.ExploreError, match="not finite"):
        rx.similarity(plain, residual, images)


def test_layers_that_are_constant_are_left_out_and_named():
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.live, self.dead = nn.Linear(4, 4), nn.Linear(4, 4)
            nn.init.zeros_(self.dead.weight)

        def forward(self, images):
            flat = images.flatten(1)
            return self.live(flat) + self.dead(flat)

    model = Dead()
    found = rx.similarity(model, model, torch.randn(8, 1, 2, 2))
    assert found.rows == ("live",)
    assert found.constant == ("dead",)
