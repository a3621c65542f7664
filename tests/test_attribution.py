"""captum's methods: on any network, against slow re-derivations, the network left as found."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import Bottleneck
from witnesses import fingerprint, thin_resnet

import resnet_explore as rx
from resnet_explore.analysis.explain.attribution import attribute
from resnet_explore.analysis.explain.methods.registry import PIXELS, methods
from resnet_explore.analysis.explain.targets import Difference, Region

IMAGES = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(0)).double()


def lived_in(net):
    torch.manual_seed(0)
    net = net.double().train()
    with torch.no_grad():
        net(torch.randn(8, 3, 24, 32).double() + 0.3)
    return net.eval()


def small():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(5, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(6),
    ).double()


@pytest.fixture(scope="module")
def net():
    net = small()
    net(IMAGES[..., :9, :11])
    return net.eval()


X = IMAGES[..., :9, :11].contiguous()


def gradient(net, x, target):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x)[:, target].sum(), x)[0]


def test_saliency_and_input_x_gradient(net):
    torch.testing.assert_close(attribute(net, X, 2, "saliency").values, gradient(net, X, 2))
    torch.testing.assert_close(attribute(net, X, 2, "input_x_gradient").values, X * gradient(net, X, 2))


@pytest.mark.parametrize("baseline", [None, torch.full((1, 3, 9, 11), 0.3).double()])
def test_integrated_gradients_are_the_integral_and_add_up(net, baseline):
    found = attribute(net, X, 2, baseline=baseline, steps=40, batch_size=7)
    start = torch.zeros_like(X) if baseline is None else baseline.expand_as(X)
    places, weights = np.polynomial.legendre.leggauss(40)
    expected = sum(
        w / 2 * gradient(net, start + (1 + p) / 2 * (X - start), 2)
        for p, w in zip(places, weights, strict=True)
    )
    torch.testing.assert_close(found.values, expected * (X - start))
    fell = (net(X) - net(start))[:, 2].detach()
    torch.testing.assert_close(found.values.sum((1, 2, 3)), fell, rtol=0.05, atol=0.01)


def test_smoothgrad_is_the_mean_gradient_of_noisy_copies(net):
    found = attribute(net, X, 2, "smoothgrad", samples=6, noise=0.2, seed=5)
    for i, image in enumerate(X.split(1)):
        torch.manual_seed(5)
        deviation = 0.2 * (image.max() - image.min())
        noise = torch.normal(0, torch.full((6, *image.shape[1:]), float(deviation)))
        torch.testing.assert_close(found.values[i], gradient(net, image + noise, 2).mean(0))


class GuidedRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (x > 0)


def guided(net, x, target):
    x = leaf = x.clone().requires_grad_()
    for layer in net:
        x = GuidedRelu.apply(x) if isinstance(layer, nn.ReLU) else layer(x)
    return torch.autograd.grad(x[:, target].sum(), leaf)[0]


def test_guided_backprop_and_guided_grad_cam(net):
    expected = guided(net, X, 2)
    torch.testing.assert_close(attribute(net, X, 2, "guided_backprop").values, expected)
    cam = rx.class_activation_maps(net, X, 2, "2")["2"].relu()[:, None]
    large = F.interpolate(cam, X.shape[2:], mode="bilinear")
    torch.testing.assert_close(attribute(net, X, 2, "guided_grad_cam").values, expected * large)
    chosen = attribute(net, X, 2, "guided_grad_cam", layer="0").values
    assert not torch.allclose(chosen, expected * large)


def test_deep_lift_follows_the_rescale_rule(net):
    """Multipliers by hand: through a ReLU, the difference of outputs over the difference of inputs."""
    found = attribute(net, X, 2, "deep_lift").values
    x, blank = X, torch.zeros_like(X)
    layers, ratios = list(net), []
    for layer in layers:
        y, other = layer(x), layer(blank)
        if isinstance(layer, nn.ReLU):
            ratios.append(((y - other) / (x - blank)).detach())
        x, blank = y, other
    assert not any(ratio.isnan().any() for ratio in ratios)
    z = leaf = X.clone().requires_grad_()
    waiting = iter(ratios)
    for layer in layers:
        z = z * next(waiting) if isinstance(layer, nn.ReLU) else layer(z)
    multipliers = torch.autograd.grad(z[:, 2].sum(), leaf)[0]
    torch.testing.assert_close(found, multipliers * X)
    fell = (net(X) - net(torch.zeros_like(X)))[:, 2]
    torch.testing.assert_close(found.sum((1, 2, 3)), fell.detach())


def test_occlusion_by_loops(net):
    found = attribute(net, X, 2, "occlusion", window=3, stride=3).values
    expected, counted = torch.zeros_like(X), torch.zeros_like(X)
    with torch.no_grad():
        # Where the stride does not fit, captum's last square hangs over the edge.
        for top in range(0, 9, 3):
            for left in range(0, 11, 3):
                hidden = X.clone()
                hidden[..., top : top + 3, left : left + 3] = 0
                fell = (net(X) - net(hidden))[:, 2]
                expected[..., top : top + 3, left : left + 3] += fell[:, None, None, None]
                counted[..., top : top + 3, left : left + 3] += 1
    torch.testing.assert_close(found, expected / counted, rtol=1e-4, atol=1e-6)


def test_gradient_shap_tends_to_the_integral_and_is_seeded(net):
    state = np.random.get_state()[1].copy()
    few, again, other = (attribute(net, X, 2, "gradient_shap", seed=s).values for s in (1, 1, 2))
    assert torch.equal(few, again)
    assert not torch.equal(few, other)
    assert (np.random.get_state()[1] == state).all()
    many = attribute(net, X, 2, "gradient_shap", samples=400).values
    exact = attribute(net, X, 2, "integrated_gradients", steps=100).values
    assert (many - exact).abs().max() < 0.1 * exact.abs().max()
    two = torch.stack([torch.zeros(3, 9, 11), torch.ones(3, 9, 11)]).double()
    mixed = attribute(net, X, 2, "gradient_shap", samples=400, baseline=two).values
    halves = [attribute(net, X, 2, baseline=one[None], steps=100).values for one in two]
    assert (mixed - sum(halves) / 2).abs().max() < 0.3 * exact.abs().max()


# Networks as people have them ----------------------------------------------------------------------------

NETS = {
    "torchvision, with ReLUs in place and called three times": lambda: thin_resnet(
        Bottleneck, [1, 1, 1, 1], 6
    ),
    "ours": lambda: rx.build("cifar_resnet8"),
    "plain": lambda: rx.build("cifar_plain8"),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", methods(PIXELS))
def test_every_method_leaves_every_network_and_its_surroundings_as_found(method, name):
    net = lived_in(NETS[name]()).train()
    net(IMAGES).sum().backward()
    net.conv1.weight.requires_grad_(False)
    before, state, mine = fingerprint(net), torch.get_rng_state(), IMAGES.clone()
    found = attribute(net, IMAGES, [1, 4], method, samples=3, steps=5, window=12)
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(IMAGES, mine)
    assert found.values.shape == IMAGES.shape
    assert found.maps.shape == (2, 24, 32)
    assert not found.values.requires_grad
    assert found.values.abs().sum() > 0
    assert found.targets.tolist() == [1, 4]
    expected = net.eval()(IMAGES)[[0, 1], [1, 4]]
    torch.testing.assert_close(found.scores, expected.detach())
    for i, target in enumerate([1, 4]):
        alone = attribute(net, IMAGES[i : i + 1], target, method, samples=3, steps=5, window=12)
        torch.testing.assert_close(alone.values[0], found.values[i])


@pytest.mark.parametrize("method", ["guided_backprop", "deep_lift", "saliency"])
def test_an_activation_that_is_shared_and_in_place_is_the_same_as_many(method):
    torchvisions = lived_in(NETS["torchvision, with ReLUs in place and called three times"]())
    config = rx.ResNetConfig("bottleneck", (1, 1, 1, 1), (8, 16, 32, 64), stem_width=8, num_classes=6)
    ours = rx.build(config).double().eval()
    ours.load_state_dict(torchvisions.state_dict())
    one, other = (attribute(net, IMAGES, 3, method).values for net in (torchvisions, ours))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("method", methods(PIXELS))
def test_other_questions(method):
    net = lived_in(rx.build("cifar_resnet8"))
    found = attribute(net, IMAGES, Difference(2, 5), method, samples=3, steps=5, window=12)
    assert found.asked == "class 2 rather than class 5"
    assert found.targets.tolist() == [-1, -1]
    if method in ("saliency", "integrated_gradients", "occlusion", "smoothgrad", "gradient_shap"):
        this, that = (attribute(net, IMAGES, c, method, samples=3, steps=5, window=12) for c in (2, 5))
        torch.testing.assert_close(found.values, this.values - that.values)


def test_a_region_of_each_image():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).double()
    mask = torch.zeros(2, 24, 32, dtype=torch.bool)
    mask[0, :5], mask[1, :, 9:] = True, True
    found = attribute(net, IMAGES, Region(1, mask), "saliency").values
    for i in range(2):
        x = IMAGES[i : i + 1].clone().requires_grad_()
        [expected] = torch.autograd.grad(net(x)[0, 1][mask[i]].mean(), x)
        torch.testing.assert_close(found[i], expected[0])


def test_an_empty_map_says_why():
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    with torch.no_grad():
        net[0].weight.fill_(-1)
    assert "All contributions are negative" in attribute(net, IMAGES, 0, "saliency").why_empty(1)


# What can't be applied -----------------------------------------------------------------------------------


class Functional(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.conv, self.fc, self.act = nn.Conv2d(3, 4, 3), nn.Linear(4, 6), act

    def forward(self, x):
        return self.fc(self.act(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("act", "arguments", "sentence"),
    [
        (F.relu, {"method": "guided_backprop"}, "this Functional calls relu as a function"),
        (torch.relu_, {"method": "deep_lift"}, "this Functional calls relu_ as a function"),
        (
            nn.SiLU(),
            {"method": "guided_grad_cam"},
            "guided_grad_cam changes ReLUs, but this Functional has none",
        ),
        (nn.SiLU(), {"method": "deep_lift"}, "deep_lift has no rule for something in this Functional"),
        (nn.ReLU(), {"method": "grad"}, "Unknown method 'grad'"),
        (nn.ReLU(), {"sample": 3}, "Unknown option 'sample': did you mean 'samples'"),
        (nn.ReLU(), {"samples": 0}, "samples must be at least 1, not 0"),
        (nn.ReLU(), {"noise": -1}, "noise must not be negative"),
        (
            nn.ReLU(),
            {"baseline": torch.zeros(3, 24, 32)},
            r"baseline must have shape \(M, 3, 24, 32\), not \(3,",
        ),
        (nn.ReLU(), {"baseline": torch.zeros(2, 3, 24, 32)}, "takes one baseline image, not 2"),
        (
            nn.ReLU(),
            {"method": "guided_grad_cam", "layer": "conv1"},
            "Unknown layer 'conv1': did you mean 'conv'",
        ),
        (nn.ReLU(), {"targets": 6}, r"targets must lie in 0\.\.5"),
    ],
)
def test_what_cannot_be_applied_is_one_sentence(act, arguments, sentence):
    torch.manual_seed(0)
    net = Functional(act).double()
    with torch.no_grad():
        net.conv.weight *= 10
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence) as caught:
        attribute(net, IMAGES, **{"targets": 1, **arguments})
    assert "\n" not in str(caught.value)
    assert fingerprint(net) == before


@pytest.mark.parametrize(
    "method", ["saliency", "integrated_gradients", "smoothgrad", "occlusion", "gradient_shap"]
)
def test_the_others_take_any_network(method):
    assert (
        attribute(Functional(F.silu).double(), IMAGES, 1, method, samples=2, steps=3).values.abs().sum() > 0
    )


def test_threads_explain_one_after_the_other_and_get_what_each_gets_alone(net):
    alone = {m: attribute(net, X, 1, m, samples=3).values for m in ("smoothgrad", "gradient_shap")}
    with ThreadPoolExecutor(4) as pool:
        asked = [*alone] * 6
        found = pool.map(lambda method: attribute(copy.deepcopy(net), X, 1, method, samples=3), asked)
        for method, one in zip(asked, found, strict=True):
            torch.testing.assert_close(one.values, alone[method])
