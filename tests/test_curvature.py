"""Eigenvalues of the Hessian against the whole matrix, and what they are good for."""

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.errors import CancelledError


def small(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.Conv2d(3, 3, 2, groups=3),
        nn.Dropout(0.5),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 4),
    ).double()
    with torch.no_grad():
        net.train()(torch.randn(20, 1, 5, 7).double())
    return net


def batch():
    random = torch.Generator().manual_seed(1)
    return torch.randn(6, 1, 5, 7, generator=random, dtype=torch.float64), torch.arange(6) % 4


def spectrum(net, images, labels, mode="eval", normalised=False):
    """All eigenvalues, of the whole matrix."""
    net = copy.deepcopy(net).eval()
    if mode == "train":
        net[1].train()
    weights = {n: p.detach() for n, p in net.named_parameters() if not normalised or p.ndim > 1}
    sizes = [w.numel() for w in weights.values()]

    def loss(flat):
        parts = zip(weights.items(), flat.split(sizes), strict=True)
        moved = {name: part.reshape(weight.shape) for (name, weight), part in parts}
        return F.cross_entropy(torch.func.functional_call(net, moved, (images,)), labels)

    hessian = torch.autograd.functional.hessian(loss, torch.cat([w.flatten() for w in weights.values()]))
    if normalised:
        norms = torch.cat([w[i].norm().expand(w[i].numel()) for w in weights.values() for i in range(len(w))])
        hessian = norms[:, None] * hessian * norms
    return torch.linalg.eigvalsh(hessian)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_ends_of_the_spectrum_are_those_of_the_whole_matrix(mode, normalised, seed):
    net, (images, labels) = small(seed), batch()
    net.train()
    before = fingerprint(net)
    found = rx.top_hessian_eigenvalue(net, images, labels, steps=60, mode=mode, normalised=normalised)
    assert fingerprint(net) == before
    values = spectrum(net, images, labels, mode, normalised)
    top = values[values.abs().argmax()].item()
    assert found.value == pytest.approx(top, rel=1e-4)
    assert abs(found.value - top) <= found.error + 1e-9
    assert found.lowest == pytest.approx(values[0].item(), rel=1e-3)
    assert found.highest == pytest.approx(values[-1].item(), rel=1e-3)
    assert found.parameters == len(values)
    assert found.steps <= 61


def test_few_steps_say_how_far_off_they_may_be():
    net, (images, labels) = small(), batch()
    values = spectrum(net, images, labels)
    for steps in (1, 2, 4):
        found = rx.top_hessian_eigenvalue(net, images, labels, steps=steps)
        assert (values - found.value).abs().min() <= found.error
        assert found.steps == steps + 1


class Saddle(nn.Module):
    """The loss of one image, ln(1 + e^z), bends with z = -5 a^2 + b in a: at a = 0 down alone."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, images):
        z = -5 * self.a**2 + self.b
        return torch.stack([z, 0 * z], 1).expand(len(images), 2)


def test_the_largest_in_magnitude_may_be_negative():
    found = rx.top_hessian_eigenvalue(Saddle(), torch.zeros(1, 1, 2, 2), [1])
    assert found.value == pytest.approx(-5, rel=1e-4)
    assert found.highest == pytest.approx(0.25, rel=1e-4)
    assert found.value == pytest.approx(found.lowest, rel=1e-4)


def test_where_the_loss_is_flat_it_is_0():
    found = rx.top_hessian_eigenvalue(Constant(), torch.zeros(2, 1, 2, 2), [0, 1])
    assert (found.value, found.error) == (0, 0)


class Constant(nn.Module):
    """Has a parameter that does nothing."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))

    def forward(self, images):
        return images.flatten(1)[:, :2] + 0 * self.weight[0]


def test_rescaled_filters_change_the_plain_eigenvalue_alone():
    net, (images, labels) = small(), batch()
    larger = copy.deepcopy(net)
    with torch.no_grad():
        larger[0].weight *= 5
        larger[0].bias *= 5
    ask = {"images": images, "labels": labels, "steps": 60, "mode": "train"}
    plain, fair = (
        [rx.top_hessian_eigenvalue(one, **ask, normalised=n).value for one in (net, larger)]
        for n in (False, True)
    )
    assert fair[0] == pytest.approx(fair[1], rel=1e-3)
    assert plain[0] != pytest.approx(plain[1], rel=1e-2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"mode": "both"}, "Unknown mode"),
        ({"labels": [0]}, "labels must be 6 whole numbers"),
        ({"model": small().half()}, "half precision"),
        ({"model": nn.Flatten()}, "no parameters"),
        ({"model": nn.Flatten(), "normalised": True}, "no convolution or linear layer"),
        ({"images": batch()[0][:1], "labels": [0], "mode": "train"}, "at least 2 images"),
        ({"steps": 10**12, "model": rx.build("cifar_resnet8", in_channels=1)}, "choose fewer steps"),
    ],
)
def test_mistakes_are_one_sentence(change, sentence):
    images, labels = batch()
    asked = {"model": small(), "images": images, "labels": labels}
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.top_hessian_eigenvalue(**{**asked, **change})


def test_what_is_not_finite_is_said():
    net, (images, labels) = small(), batch()
    with torch.no_grad():
        net[8].weight[0, 0] = float("nan")
    with pytest.raises(rx.ExploreError, match="not finite"):
        rx.top_hessian_eigenvalue(net, images, labels)


def test_weights_made_in_inference_mode_are_said():
    with torch.inference_mode():
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(rx.ExploreError, match="made in inference mode"):
        rx.top_hessian_eigenvalue(net, torch.zeros(2, 1, 2, 2), [0, 1])


def test_it_stops_when_asked_and_leaves_the_model_as_found():
    net, (images, labels) = small(), batch()
    before, asked = fingerprint(net), iter([False, False, True])
    with pytest.raises(CancelledError, match="Stopped after 2 of"):
        rx.top_hessian_eigenvalue(net, images, labels, cancel=lambda: next(asked))
    assert fingerprint(net) == before


def test_a_seed_says_where_it_starts_and_the_result_prints_on_a_line():
    net, (images, labels) = small(), batch()
    one, other = (rx.top_hessian_eigenvalue(net, images, labels, seed=7) for _ in range(2))
    assert dataclasses.asdict(one) == dataclasses.asdict(other)
    assert "\n" not in str(one)
