"""The lab without a page: what is measured once, steps of SGD, activations, conditions that exclude."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.lab import KEEP_MOST, GradientLab
from resnet_explore.models.activations import with_activation
from resnet_explore.training.live import LiveTraining


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10),
    )  # fmt: skip


def noise(count):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


def test_a_lab_measures_once():
    lab = GradientLab()
    first = lab.flow("plain", 8, Conditions())
    assert lab.flow("plain", 8, Conditions()) is first
    assert lab.flow("plain", 8, Conditions(steps=20)).loss < first.loss
    assert lab.flow("plain", 8, Conditions()) is first
    assert lab.broke_at("plain", 8, Conditions(steps=20)) is None


def test_a_strength_of_0_is_plain_and_of_1_residual():
    lab, given = GradientLab(batch=16), Conditions()
    for strength, kind in ((0.0, "plain"), (1.0, "residual")):
        ours = lab.flow("residual", 8, given, strength).weight_gradient_norms
        np.testing.assert_allclose(ours, lab.flow(kind, 8, given).weight_gradient_norms, rtol=1e-3)


def test_conditions_that_exclude_each_other():
    asked = Conditions(norm="group", start="fixup")
    assert not asked.possible
    assert asked.made_possible() == Conditions(norm="none", start="fixup")
    assert asked.made_possible(keep_norm=True) == Conditions(norm="group", start="he")
    assert Conditions(norm="group", start="rezero").possible


def test_live_training_is_sgd_with_momentum():
    images, labels = noise(20)
    model, twin = small(), small()
    training = LiveTraining(model, images, labels, lr=0.1, batch_size=8, seed=3)
    training.take(2)
    training.take(3)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    random = torch.Generator().manual_seed(3)
    for _ in range(5):
        chosen = torch.randperm(20, generator=random)[:8]
        optimizer.zero_grad()
        F.cross_entropy(twin(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert training.steps == 5
    assert all(p.grad is None for p in model.parameters())


def test_another_activation_takes_every_place():
    model = with_activation(rx.build("cifar_resnet8"), "gelu")
    kinds = [type(m) for m in model.modules()]
    assert nn.ReLU not in kinds
    assert kinds.count(nn.GELU) == 7
    linear = with_activation(rx.build("cifar_plain8", norm="none"), "linear")
    x = torch.randn(2, 3, 8, 8)
    assert torch.allclose(linear(3 * x) - linear(0 * x), 3 * (linear(x) - linear(0 * x)), atol=1e-4)
    with pytest.raises(rx.ExploreError, match="did you mean 'relu'"):
        with_activation(model, "rely")


def test_the_last_networks_are_kept_and_others_come_to_the_same_weights():
    lab, first = GradientLab(), Conditions(steps=10)
    before = lab.network("plain", 8, first)
    assert lab.network("plain", 8, first) is before
    weights = {name: value.clone() for name, value in before.state_dict().items()}
    for k in range(KEEP_MOST):
        lab.flow("residual", 8, Conditions(), skip=k / 100)
    again = lab.network("plain", 8, first)
    assert again is not before
    assert all(torch.equal(value, weights[name]) for name, value in again.state_dict().items())
