"""Is a heatmap better than chance? Against networks in which the truth is known, and slow loops."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from torch import nn
from witnesses import fingerprint

import resnet_explore as rx
from resnet_explore.analysis.explain.scoring.sanity import (
    agreement,
    cascading_randomisation,
    rank_correlation,
    stability,
)
from resnet_explore.analysis.explain.scoring.verdict import (
    METRICS,
    Verdict,
    centre_blob,
    explainer,
    judge,
    random_maps,
)
from resnet_explore.errors import CancelledError

IMAGES = torch.randn(3, 3, 16, 20, generator=torch.Generator().manual_seed(0)).double()


def lived_in(net):
    torch.manual_seed(0)
    net = net.double().train()
    with torch.no_grad():
        net(torch.randn(8, 3, 16, 20).double() + 0.3)
    return net.eval()


@pytest.fixture(scope="module")
def net():
    return lived_in(rx.build("cifar_resnet8"))


# Randomisation and stability -----------------------------------------------------------------------------


def test_rank_correlation_is_scipy_s():
    one, other = torch.randn(2, 4, 5, 6).double()
    other[1] = -(one[1] ** 3)
    one[2, 0] = one[2, 1]  # ties
    found = rank_correlation(one, other)
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(found, expected)
    assert found[1] == pytest.approx(-1)
    assert rank_correlation(torch.ones(1, 2, 2), torch.randn(1, 2, 2))[0] == 0
    with pytest.raises(rx.ExploreError, match="same shape"):
        rank_correlation(one, other[:, :2])


def test_weights_become_random_from_the_logits_down(net):
    seen, before = [], fingerprint(net)
    classes = torch.tensor([1, 2, 3])

    def explain(model, images, targets):
        assert targets is classes
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return rx.class_activation_maps(model, images, targets, "layer2.0")["layer2.0"]

    found = cascading_randomisation(net, IMAGES, classes, explain, seed=4)
    assert fingerprint(net) == before
    assert found.stages == ("fc", "layer3.0", "layer2.0", "layer1.0", "conv1")
    original, *stages = seen
    gone = set()
    for stage, weights in zip(found.stages, stages, strict=True):
        gone |= {n for n in original if n.startswith(stage) and ("conv" in n or "fc" in n)}
        changed = {n for n in original if not torch.equal(weights[n], original[n])}
        assert changed == gone
    for name in gone:
        last = stages[-1][name]
        if name.endswith("weight"):
            assert last.abs().max() <= 0.02
            assert last.std() == pytest.approx(0.0088, rel=0.15)  # of a normal cut off at two deviations
        else:
            assert (last == 0).all()


def test_likeness_is_measured_as_it_says(net):
    classes, maps = torch.tensor([1, 2, 3]), []

    def explain(model, images, targets):
        maps.append(rx.class_activation_maps(model, images, targets, "layer1.0")["layer1.0"])
        return maps[-1]

    found = cascading_randomisation(net, IMAGES, classes, explain)
    original = maps[0]
    for s, after in enumerate(maps[1:]):
        np.testing.assert_allclose(found.signed[s], rank_correlation(original, after))
        np.testing.assert_allclose(found.absolute[s], rank_correlation(original.abs(), after.abs()))
        for i in range(3):
            a, b = (m[i].abs().numpy() for m in (original, after))
            a, b = ((m - m.min()) / (m.max() - m.min()) for m in (a, b))
            expected = structural_similarity(a, b, data_range=1.0)
            assert found.ssim[s, i] == pytest.approx(expected, abs=1e-6)


def test_stability_is_the_mean_likeness_to_noisy_copies(net):
    given, way = [], explainer("grad_cam", "layer2.0")

    def explain(model, images, targets):
        given.append(images.clone())
        return way(model, images, targets)

    classes = torch.tensor([1, 2, 3])
    found = stability(net, IMAGES, classes, explain, noise=0.2, repeats=3, seed=1)
    original, *noisy = [way(net, images, classes) for images in given]
    np.testing.assert_allclose(found, np.mean([rank_correlation(original, other) for other in noisy], axis=0))
    spread = torch.stack([images - given[0] for images in given[1:]]).std((0, 2, 3, 4))
    torch.testing.assert_close(spread, 0.2 * IMAGES.std((1, 2, 3)), rtol=0.1, atol=0)
    assert (stability(net, IMAGES, classes, way, noise=0) == 1).all()
    maps = [way(net, images, classes) for images in given]
    pairs = [rank_correlation(maps[i], maps[j]) for i in range(4) for j in range(i)]
    np.testing.assert_allclose(agreement(maps), np.mean(pairs, axis=0))
    with pytest.raises(rx.ExploreError, match="repeats at least 1"):
        stability(net, IMAGES, classes, way, repeats=0)
    with pytest.raises(rx.ExploreError, match="at least two"):
        agreement(maps[:1])


# Verdicts ------------------------------------------------------------------------------------------------

CHECKS = 1.0 - 2.0 * ((torch.arange(8)[:, None] + torch.arange(8)) % 2).double()


class Corner(nn.Module):
    """Looks at nothing but the checks in one corner, so there the truth is known."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.conv.weight[1] = -1.0

    def forward(self, x):
        return (self.conv(x)[:, :, :8, :8] * CHECKS).mean((2, 3))


def in_corner():
    images = 0.3 * IMAGES.clone()
    images[:, :, :8, :8] += CHECKS
    return images


def knows(model, images, classes):
    maps = torch.zeros(len(images), 16, 20).double()
    maps[:, :8, :8] = 1
    return maps


def test_the_truth_is_better_than_chance_and_a_lie_is_not():
    net, images = Corner().double(), in_corner()[:2]
    metrics = ("deletion", "insertion", "road")
    right = judge(net, images, knows, metrics=metrics)
    wrong = judge(net, images, lambda *given: -knows(*given), metrics=metrics)
    for name in metrics:
        assert right[name].passed
        assert right[name].beats_centre
        assert right[name].as_good == 0
        assert right[name].chance == 0.05
        assert not wrong[name].passed
        assert wrong[name].as_good == 19
        assert wrong[name].chance == 1
    assert right["deletion"].value < right["deletion"].random < wrong["deletion"].value
    line = str(right["deletion"])
    assert line.startswith(
        f"Deletion {right['deletion'].value:.3f} (lower is better): better than chance, as 0 of"
    )
    assert "a centre blob gets" in line
    assert "\n" not in line
    assert ": not better than chance, as 19 of 19" in str(wrong["road"])


def test_chance_is_not_better_than_chance(net):
    like = torch.zeros(3, 4, 5)
    found = judge(net, IMAGES, random_maps(like, seed=99), metrics=("insertion", "stability"))
    assert not any(verdict.passed for verdict in found.values())


def test_what_does_not_look_at_the_network_fails_the_randomisation_check(net):
    like = torch.zeros(3, 4, 5)
    blob = judge(net, IMAGES, centre_blob(like), metrics=("randomisation", "stability"))
    assert blob["randomisation"].value == pytest.approx(1)
    assert not blob["randomisation"].passed
    assert "hardly depends on the weights" in str(blob["randomisation"])
    assert blob["stability"].value == pytest.approx(1)
    chance = judge(net, IMAGES, random_maps(like, seed=99), metrics=("randomisation",))["randomisation"]
    assert chance.passed
    assert "depends on the weights, as" in str(chance)


def test_verdicts_leave_the_network_as_found_repeat_and_can_be_stopped(net):
    before = fingerprint(net)
    one, again = (judge(net, IMAGES, "grad_cam", draws=2, seed=3) for _ in range(2))
    assert fingerprint(net) == before
    assert one == again
    assert list(one) == list(METRICS)
    assert all(isinstance(verdict, Verdict) and verdict.images == 3 for verdict in one.values())
    answers = iter([False, False, True])
    with pytest.raises(CancelledError, match="Stopped while deletion was measured"):
        judge(net, IMAGES, "grad_cam", cancel=lambda: next(answers))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"metrics": ["delete"]}, "Unknown metric 'delete': did you mean 'deletion'"),
        ({"draws": 0}, "draws must be at least 1, not 0"),
        ({"explain": "gradcam"}, "Unknown method 'gradcam': did you mean 'grad_cam'"),
        ({"targets": [1, 2]}, "targets must be 3 whole numbers"),
    ],
)
def test_bad_input(net, arguments, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        judge(net, IMAGES, **{"explain": "grad_cam", **arguments})
