"""Streamed statistics against those of everything at once, in numpy."""

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings, strategies as st
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.activations.statistics import as_channels, reduced


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


@pytest.fixture
def images():
    return torch.randn(7, 3, 9, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_batches_give_what_numpy_gives_of_all(images, mode):
    net, images = small().double(), images.double()  # as sums in float32 depend on the batch's size
    with torch.no_grad():
        net[0].bias += 100  # a large mean costs no digits
        net[3].bias[1] = -1e4  # a dead channel
        net[3].bias[2] = 1e4  # and one that ReLU6 holds at its bound
    batches = [images[:3], images[3:4], images[4:]] if mode == "eval" else [images]
    found = rx.layer_statistics(net, [(batch, "label") for batch in batches], mode=mode)
    net.train(mode == "train")
    with torch.no_grad(), rx.Capture(net) as seen:
        net(images)
    assert found.names == tuple(seen.outputs)
    assert (found.images, found.mode, found.kinds[2]) == (7, mode, "ReLU")
    for i, output in enumerate(seen.outputs.values()):
        whole = output.double().numpy()
        rows = np.moveaxis(whole, 1, 0).reshape(whole.shape[1], -1)
        channels = found.channels[i]
        assert channels.count == rows.shape[1]
        near = {"rtol": 1e-9, "atol": 1e-9}
        np.testing.assert_allclose(channels.mean, rows.mean(1), **near)
        np.testing.assert_allclose(channels.std, rows.std(1), **near)
        np.testing.assert_allclose(channels.zeros, (rows == 0).mean(1), atol=1e-6)
        np.testing.assert_allclose((channels.low, channels.high), (rows.min(1), rows.max(1)), **near)
        np.testing.assert_allclose((found.mean[i], found.std[i]), (whole.mean(), whole.std()), **near)
        np.testing.assert_allclose(found.zeros[i], (whole == 0).mean(), atol=1e-6)
        assert channels.dead.tolist() == (rows == 0).all(1).tolist()
        assert (found.dead[i], found.saturated[i]) == (channels.dead.sum(), channels.saturated.sum())
    assert found.channels[4].dead[1]
    assert found.channels[4].saturated[2]
    table = found.table
    assert table["layer"].tolist() == list(found.names)
    assert table["dead"][4] == found.dead[4] > 0


@settings(deadline=None, max_examples=50)
@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    cut=st.integers(1, 4),
    seed=st.integers(0, 99),
    shift=st.sampled_from([0.0, 1e3]),
)
def test_parts_add_up(shape, cut, seed, shift):
    shape[0] = 5
    whole = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift
    whole.relu_()
    merged = as_channels(reduced(whole[:cut])).with_more(as_channels(reduced(whole[cut:])))
    once = as_channels(reduced(whole))
    assert merged.count == once.count
    for name in ("mean", "std", "zeros", "low", "high"):
        np.testing.assert_allclose(getattr(merged, name), getattr(once, name), rtol=1e-9, atol=1e-9)
    assert merged.dead.tolist() == once.dead.tolist()


def test_tokens_have_their_channels_last():
    assert reduced(torch.zeros(2, 5, 3)).shape == (7, 3)
    assert reduced(torch.zeros(2, 5, 3, 4)).shape == (7, 5)
    for odd in (torch.zeros(3), torch.zeros(2, 3, dtype=torch.int64), torch.zeros(0, 4)):
        assert reduced(odd).numel() == 0


def test_the_model_is_left_as_found_and_little_is_kept(images):
    net = small().train()
    net[1].eval()
    random = torch.get_rng_state()
    before = fingerprint(net)
    rx.layer_statistics(net, (images for _ in range(3)), "2", mode="train")
    assert fingerprint(net) == before
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((small(), []), "images must hold at least one batch"),
        ((small(), 3), "images must be a float tensor .* or an iterable of such batches, not int"),
        ((small(), torch.zeros(3, 9, 12)), r"shape \(N, C, H, W\)"),
        ((small(), torch.zeros(1, 5, 9, 12)), r"can't take images of shape \(1, 5, 9, 12\): RuntimeError"),
        ((small(), torch.zeros(1, 3, 9, 12), "9"), "Unknown layer '9'"),
        ((small(), torch.zeros(1, 3, 9, 12), None, "test"), "Unknown mode 'test'"),
    ],
)
def test_what_can_not_be_measured_is_said(arguments, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.layer_statistics(*arguments)


def test_a_model_that_raises_or_returns_no_numbers():
    class Fails(nn.Module):
        def forward(self, x):
            raise KeyError("boo")

    class Words(nn.Module):
        def forward(self, x):
            return ["a dog"]

    images = torch.zeros(1, 3, 4, 5)
    with pytest.raises(rx.ExploreError, match=r"The model, a Fails, can't take .*: KeyError, 'boo'"):
        rx.layer_statistics(Fails(), images)
    with pytest.raises(rx.ExploreError, match="None of the layers returns a floating-point tensor"):
        rx.layer_statistics(Words(), images)


def test_a_detector_streams_too():
    torch.manual_seed(0)
    detector = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=64, max_size=96
    )
    found = rx.layer_statistics(detector, torch.rand(2, 3, 64, 80), "backbone.fpn")
    assert found.names == ("backbone.fpn[0]", "backbone.fpn[1]", "backbone.fpn[pool]")
