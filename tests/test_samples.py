import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx

SMALL = {"widths": (2, 4, 4), "in_channels": 1, "num_classes": 3}


def batch(count=6, size=(7, 9), seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, *size, generator=generator)
    return images, torch.randint(3, (count,), generator=generator)


class Held(nn.Module):
    """Batch norm with the statistics of one batch written in by hand."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.mean, self.var = norm, None, None

    def forward(self, x):
        if self.mean is None:
            self.mean, self.var = x.mean((0, 2, 3)).detach(), x.var((0, 2, 3), correction=0).detach()
        mean, var = self.mean[:, None, None], self.var[:, None, None]
        scaled = (x - mean) / (var + self.norm.eps).sqrt()
        return scaled * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]


def held(model, images):
    """A copy whose batch norms use this batch's statistics as constants, without our code."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, Held(child))
    model(images)
    return model


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_gradients_are_those_of_each_image_alone(mode):
    model = rx.build("cifar_resnet8", **SMALL)
    model.train()(batch(seed=1)[0])  # running statistics of their own
    images, labels = batch()
    witness = held(model, images) if mode == "train" else copy.deepcopy(model).eval()
    gradients, layers, losses = [], [], []
    for image, label in zip(images, labels, strict=True):
        witness.zero_grad()
        loss = F.cross_entropy(witness(image[None]), label[None])
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in witness.parameters()]).double().numpy())
        weights = [m.weight.grad for m in witness.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        layers.append([w.norm().item() for w in weights])
    gradients = np.array(gradients)
    norms = np.linalg.norm(gradients, axis=1)

    found = rx.sample_gradients(model, images, labels, mode)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4)
    np.testing.assert_allclose(found.norms, norms, rtol=1e-4)
    np.testing.assert_allclose(found.layer_norms, np.array(layers).T, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(found.cosines, gradients @ gradients.T / np.outer(norms, norms), atol=1e-5)
    mean = gradients.mean(0)
    trace = ((gradients - mean) ** 2).sum() / (len(images) - 1)
    signal = mean @ mean - trace / len(images)
    if signal > 0:
        assert found.noise_scale == pytest.approx(trace / signal, rel=1e-3)
    else:
        assert np.isnan(found.noise_scale)
    assert found.names[0] == "conv1"
    assert found.agreement == pytest.approx((found.cosines.sum() - 6) / 30)


def test_the_mean_of_the_gradients_is_the_gradient_of_the_batch():
    """In eval mode images don't act on each other, so |mean|^2 is the mean of the Gram matrix."""
    model = rx.build("cifar_plain8", **SMALL)
    images, labels = batch()
    found = rx.sample_gradients(model, images, labels, "eval")
    F.cross_entropy(model(images), labels).backward()
    whole = sum(p.grad.double().square().sum() for p in model.parameters())
    gram = found.cosines * np.outer(found.norms, found.norms)
    assert gram.mean() == pytest.approx(float(whole), rel=1e-4)


def test_noise_scale_recovers_a_known_ratio():
    """Gradients G + noise: with a linear model and loss w.x the gradient of an image is the image itself."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(400, 1, 4, 5, generator=generator) + 0.5
    net = nn.Sequential(nn.Flatten(), nn.Linear(20, 1, bias=False))
    found = rx.sample_gradients(net, images, None, loss=lambda output, _: output.sum())
    # tr(S) = 20, |G|^2 = 20 / 4, so 4; 400 images know it to some 10 %.
    assert found.noise_scale == pytest.approx(4, rel=0.25)
    assert found.layer_noise_scales[0] == found.noise_scale
    np.testing.assert_allclose(found.norms, images.flatten(1).norm(dim=1), rtol=1e-5)
    pair = torch.stack([images[0], -images[0]])
    opposite = rx.sample_gradients(net, pair, None, loss=lambda output, _: output.sum())
    assert np.isnan(opposite.noise_scale), "their mean is 0"
    assert opposite.agreement == pytest.approx(-1)


def test_own_loss_frozen_parts_and_inplace_relus():
    model = torchvision.models.resnet18(num_classes=4)
    for parameter in list(model.parameters())[:-4]:
        parameter.requires_grad_(False)
    before = fingerprint(model)
    images = torch.randn(3, 3, 32, 40)
    found = rx.sample_gradients(
        model, images, torch.zeros(3, 4), loss=lambda output, target: F.mse_loss(output, target)
    )
    assert fingerprint(model) == before
    assert found.names == ("fc",)
    assert (found.norms > 0).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"labels": None}, "labels are missing: pass one class index per image"),
        ({"labels": [0, 1, 2, 3, 0, 1]}, r"labels must lie in 0\.\.2"),
        ({"images": batch()[0][:1], "labels": [0], "mode": "eval"}, "images must be two or more"),
        ({"mode": "evil"}, "did you mean 'eval'"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(arguments, sentence):
    model = rx.build("cifar_resnet8", **SMALL)
    images, labels = batch()
    before = fingerprint(model)
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.sample_gradients(model, **{"images": images, "labels": labels, **arguments})
    assert fingerprint(model) == before


def test_what_cannot_be_measured_is_said():
    images, labels = batch()
    model = rx.build("cifar_resnet8", **SMALL)
    model.requires_grad_(False)
    with pytest.raises(rx.ExploreError, match="no trainable parameters"):
        rx.sample_gradients(model, images, labels)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(rx.ExploreError, match="1 keeps no running statistics"):
        rx.sample_gradients(net, images, labels)
    shared = nn.BatchNorm2d(1)
    net = nn.Sequential(shared, shared, nn.Flatten(), nn.Linear(63, 3))
    with pytest.raises(rx.ExploreError, match="0 runs twice in a pass"):
        rx.sample_gradients(net, images, labels)
    large = nn.Sequential(nn.Flatten(), nn.Linear(63, 3_000_000, device="meta"))
    with pytest.raises(rx.ExploreError, match="don't fit into 4 GB: pass at most 5 images"):
        rx.sample_gradients(large, images, labels)
