"""Deletion, insertion and ROAD: against slow loops and pytorch-grad-cam, and where the truth is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import gaussian_filter1d
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.explain.scoring.faithfulness import deletion, impute, insertion, road

IMAGES = torch.randn(3, 3, 12, 16, generator=torch.Generator().manual_seed(0)).double()


CHECKS = 1.0 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2).double()  # gone when blurred


class Corner(nn.Module):
    """Looks at nothing but the checks in one corner: there the truth is known."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0).double())

    def forward(self, x):
        seen = (x[:, :, :4, :4] * CHECKS).mean((1, 2, 3))
        return torch.stack([seen * self.weight, -seen], 1)


def bright():
    images = IMAGES.clone()
    images[:, :, :4, :4] += 4 * CHECKS
    return images


def corner_map():
    maps = torch.zeros(3, 12, 16).double()
    maps[:, :4, :4] = 1
    return maps


def by_loops(net, start, end, maps, targets, steps):
    """Step by step, pixel by pixel."""
    rows = []
    for i, target in enumerate(targets):
        values = maps[i].flatten().tolist()
        order = sorted(range(len(values)), key=lambda p: (-values[p], p))
        row = []
        for step in range(steps + 1):
            image = start[i].clone()
            for pixel in order[: round(step / steps * len(order))]:
                r, c = divmod(pixel, image.shape[2])
                image[:, r, c] = end[i, :, r, c]
            row.append(net(image[None]).softmax(1)[0, target].item())
        rows.append(row)
    return np.array(rows)


def test_deletion_and_insertion_by_loops():
    net = rx.build("cifar_resnet8").double().eval()
    maps = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(2)).double()
    targets, before = [1, 5, 9], fingerprint(net)
    gone = deletion(net, IMAGES, maps, targets, steps=7, batch_size=3)
    np.testing.assert_allclose(
        gone.probabilities, by_loops(net, IMAGES, torch.zeros_like(IMAGES), maps, targets, 7), atol=1e-9
    )
    np.testing.assert_allclose(gone.shares, np.arange(8) / 7)
    np.testing.assert_allclose(gone.areas, np.trapezoid(gone.probabilities, gone.shares), atol=1e-12)
    blurred = IMAGES.numpy()
    for axis in (2, 3):  # 3x3 pixels for images as small as these
        blurred = gaussian_filter1d(blurred, 5 * 3 / 11, axis, mode="mirror", radius=1)
    come = insertion(net, IMAGES, maps, targets, steps=7)
    expected = by_loops(net, torch.from_numpy(blurred), IMAGES, maps, targets, 7)
    np.testing.assert_allclose(come.probabilities, expected, atol=1e-6)
    assert fingerprint(net) == before


def test_a_blur_is_rise_s_at_224_pixels():
    image = torch.randn(1, 1, 224, 230, generator=torch.Generator().manual_seed(0)).double()

    class Centre(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0, 100, 100], 0 * x[:, 0, 0, 0]], 1)

    first = insertion(Centre(), image, torch.zeros(1, 7, 7), [0], steps=1).probabilities[0, 0]
    blurred = image.numpy()
    for axis in (2, 3):
        blurred = gaussian_filter1d(blurred, 5, axis, mode="mirror", radius=5)
    assert first == pytest.approx(1 / (1 + np.exp(-blurred[0, 0, 100, 100])), abs=1e-6)


@pytest.mark.parametrize("small", [False, True])
def test_a_map_that_knows_the_truth_wins_and_its_opposite_loses(small):
    net, images, maps = Corner(), bright(), corner_map()
    maps = maps[:, ::4, ::4] if small else maps
    right, wrong = ([f(net, images, m, [0, 0, 0]) for f in (deletion, insertion)] for m in (maps, -maps))
    assert (right[0].areas < wrong[0].areas - 0.2).all()
    assert (right[1].areas > wrong[1].areas + 0.05).all()
    good, bad = (road(net, images, m, [0, 0, 0]) for m in (maps, -maps))
    assert (good > 0.1).all()
    np.testing.assert_allclose(good, -bad, atol=0.02)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_imputation_is_pytorch_grad_cam_s(share):
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    image = IMAGES[0].float()
    missing = np.random.default_rng(1).random((12, 16)) < share
    expected = NoisyLinearImputer(noise=0)(image, torch.from_numpy(1.0 - missing).float())
    torch.testing.assert_close(impute(image, missing), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_imputed_pixels_are_weighted_means_of_their_neighbours(height, width, seed):
    random = np.random.default_rng(seed)
    missing = random.random((height, width)) < 0.7
    missing[random.integers(height), random.integers(width)] = False
    image = torch.from_numpy(random.normal(size=(1, height, width)))
    filled = impute(image, missing)
    assert torch.equal(filled[0][~missing], image[0][~missing])
    for r, c in zip(*np.nonzero(missing), strict=True):
        total, weights = 0.0, 0.0
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if (down or right) and 0 <= r + down < height and 0 <= c + right < width:
                    weight = 1 / 12 if down and right else 1 / 6
                    total, weights = total + weight * filled[0, r + down, c + right], weights + weight
        assert filled[0, r, c] == pytest.approx(float(total / weights), abs=1e-9)


def test_road_by_loops():
    net = rx.build("cifar_resnet8").double().eval()
    maps = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(2)).double()
    found = road(net, IMAGES, maps, [1, 5, 9], shares=(0.25, 0.5), noise=0, batch_size=1)
    for i, target in enumerate([1, 5, 9]):
        values = maps[i].flatten().numpy()
        means = []
        for order in (np.argsort(values), np.argsort(-values)):  # the least relevant first, then the most
            sure = []
            for gone in (48, 96):
                missing = np.zeros(192, bool)
                missing[order[:gone]] = True
                image = impute(IMAGES[i], missing.reshape(12, 16))
                sure.append(net(image[None]).softmax(1)[0, target].item())
            means.append(np.mean(sure))
        assert found[i] == pytest.approx((means[0] - means[1]) / 2, abs=1e-9)
    noisy = [road(net, IMAGES, maps, [1, 5, 9], shares=(0.5,), seed=s) for s in (1, 1, 2)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"maps": torch.zeros(2, 4, 4)}, r"maps must be a tensor \(3, h, w\).*not \(2, 4, 4\)"),
        ({"maps": np.zeros((3, 4, 4))}, r"maps must be a tensor \(3, h, w\).*not ndarray"),
        ({"maps": torch.full((3, 4, 4), float("nan"))}, "maps must be finite"),
        ({"targets": [1, 2]}, "targets must be 3 whole numbers"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"images": IMAGES[0]}, "for a single image pass"),
    ],
)
def test_bad_input(change, sentence):
    arguments = {"images": IMAGES, "maps": torch.zeros(3, 4, 4), "targets": [1, 2, 3], **change}
    net = rx.build("cifar_resnet8").double()
    before = fingerprint(net)
    with pytest.raises(rx.ExploreError, match=sentence):
        deletion(net, **arguments)
    assert fingerprint(net) == before


def test_bad_shares_and_nothing_left():
    net = rx.build("cifar_resnet8").double()
    with pytest.raises(rx.ExploreError, match=r"shares must lie between 0 and 1, not \(0.5, 1\)"):
        road(net, IMAGES, torch.zeros(3, 4, 4), [1, 2, 3], shares=(0.5, 1))
    with pytest.raises(rx.ExploreError, match="Not all of an image's pixels"):
        impute(IMAGES[0], np.ones((12, 16), bool))
    assert torch.equal(impute(IMAGES[0], np.zeros((12, 16), bool)), IMAGES[0])
