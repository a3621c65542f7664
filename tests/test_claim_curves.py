"""Published claims as curves: against the papers' formulas, and against slow derivations."""

import functools
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import resnet_explore as rx
from resnet_explore.analysis.gradients.claims.curve import Curves
from resnet_explore.analysis.gradients.claims.curves import EXPERIMENTS, YANG, fitted_growth, measure_claim
from resnet_explore.analysis.gradients.claims.experiments import (
    first_layers,
    noise,
    ratios_while_training,
    training,
)
from resnet_explore.analysis.gradients.slope import LEVEL, slope


@functools.cache
def curves(name):
    """One seed, which no bound was made from."""
    return rx.claim_curves(name, seeds=1, seed=1234)


def measured(name, curve):
    x, y = curves(name).measured[curve]
    assert y.shape == (1, len(x))
    return x, y[0]


def formula(name, label, x):
    _, at, values = curves(name).formulas[label]
    return np.interp(x, at, values)


def second_over_last(flow):
    """The weight gradient of the second of a CIFAR-style network's convolutions over that of the last."""
    return flow.weight_gradient_norms[1] / flow.weight_gradient_norms[-2]


def test_a_plain_network_explodes_at_step_0_and_its_twin_does_not():
    x, plain = measured("explosion", "plain")
    assert list(x) == list(range(2, 56)), "all 3x3 convolutions but the first"
    assert plain[-1] == 1
    assert 200 < plain[0] < 50_000
    assert np.corrcoef(x, np.log(plain))[0, 1] < -0.98, "a straight line on a logarithmic axis"
    assert 1.1 < fitted_growth(x, plain) < YANG
    assert formula("explosion", "√(π/(π−1)) a layer", 2) == pytest.approx(1.2112**53, rel=2e-3)
    assert measured("explosion", "residual")[1].max() < LEVEL
    images, labels = noise(1234, 64, 3, 8, 8)
    truth = rx.gradient_flow(rx.build("cifar_plain56", seed=1234), images, labels)
    assert plain[0] == pytest.approx(second_over_last(truth), rel=1e-4)


def test_ten_steps_take_the_explosion_away_and_turn_it_round_at_110_layers():
    x, plain = measured("reversal", "plain-56")
    assert list(x) == list(range(11))
    assert plain[0] == pytest.approx(measured("explosion", "plain")[1][0], rel=1e-3)
    assert (slope(plain[0]), slope(curves("reversal").number("plain-56 at 0"))) == ("explodes", "explodes")
    assert plain[10] == curves("reversal").number("plain-56 at 10") < LEVEL
    assert {slope(ratio) for ratio in measured("reversal", "residual-56")[1]} == {"stays level"}
    deep = measured("reversal", "plain-110")[1]
    assert (slope(deep[0]), slope(deep[10])) == ("explodes", "vanishes")


def test_ratios_while_training_are_those_of_gradient_flow_after_so_many_steps():
    images, labels = noise(3, 12, 1, 8, 6)
    network, twin = (rx.build("cifar_resnet14", seed=3, in_channels=1, widths=(2, 4, 4)) for _ in range(2))
    found = list(ratios_while_training(network, images, labels, 4, lr=0.05))
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9)
    expected = []
    for _ in range(5):
        expected.append(second_over_last(rx.gradient_flow(twin, images, labels)))
        twin.train()
        optimizer.zero_grad()
        F.cross_entropy(twin(images), labels).backward()
        optimizer.step()
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_a_training_that_blows_up_ends():
    network = rx.build("cifar_plain8", in_channels=1, widths=(2, 4, 4), norm="none")
    losses = list(itertools.islice(training(network, *noise(0, 6, 1, 8, 6), lr=1e6), 50))
    assert len(losses) < 50
    assert losses[-1] == np.inf
    assert np.isfinite(losses[:-1]).all()


def test_eval_mode_at_step_0_is_the_network_without_batch_norm():
    evaluated, bare = (measured("modes", name)[1] for name in ("eval mode", "no norm"))
    np.testing.assert_allclose(evaluated, bare, rtol=0.02)
    assert 0.05 < bare[0] < 20 < 200 < measured("modes", "plain, train mode")[1][0]


def test_growth_a_layer_is_that_of_the_formulas():
    for name, label in (("ReLU", "√(π/(π−1)) a layer"), ("linear", "√((B−2)/(B−3)) a layer")):
        x, norms = measured("growth", name)
        assert list(x) == list(range(2, 26))
        expected = formula("growth", label, x)
        np.testing.assert_allclose(norms, expected, rtol=0.2 if name == "ReLU" else 0.6)
    assert curves("growth").number("ReLU") == pytest.approx(YANG, abs=0.012)
    assert curves("growth").number("linear") < 1.03
    assert curves("growth").number("ReLU, no norm") == pytest.approx(1, abs=0.03)


def test_a_block_adds_one_over_the_root_of_its_position():
    x, ratios = measured("branch-over-skip", "residual")
    assert list(x) == list(range(1, 55))
    late = x >= 9
    assert np.abs(np.log(ratios[late] * np.sqrt(x[late]))).max() < np.log(1.6)
    assert np.abs(np.log(ratios[late] * np.sqrt(x[late]))).mean() < np.log(1.2)
    np.testing.assert_allclose(formula("branch-over-skip", "1/√l", x), 1 / np.sqrt(x))
    assert -0.7 < curves("branch-over-skip").number("exponent") < -0.45


def test_correlation_of_two_inputs_halves_at_each_plain_layer_and_decays_slowly_with_skips():
    depths = [1, 2, 4, 8, 16, 32, 64]
    x, plain = measured("shattered-pairs", "plain")
    assert list(x) == depths
    np.testing.assert_allclose(plain, 0.5 ** np.array(depths, float), atol=0.03)
    for name, scale, room in (("residual, β = 1", 1.0, 0.07), ("residual, β = 0.1", 0.1, 0.04)):
        np.testing.assert_allclose(
            measured("shattered-pairs", name)[1], 1 / np.sqrt(1 + scale**2 * np.array(depths)), atol=room
        )


def test_first_layers_are_a_network_of_that_depth():
    network = rx.MLP(rx.MLPConfig(depth=5, width=20, inputs=12, outputs=2), seed=4)
    images = torch.randn(7, 1, 3, 4)
    for depth, scale in ((3, 0.3), (2, None), (5, 1.0)):
        config = rx.MLPConfig(
            depth=depth, width=20, inputs=12, outputs=2, residual=scale is not None, branch_scale=scale or 1.0
        )
        twin = rx.MLP(config, seed=9)
        for (_, ours), (_, theirs) in zip(
            first_layers(network, depth, scale).named_parameters(), twin.named_parameters(), strict=True
        ):
            theirs.data.copy_(ours)
        torch.testing.assert_close(first_layers(network, depth, scale).train()(images), twin.train()(images))


def test_slopes_along_a_line_are_white_where_deep_and_plain_brown_where_shallow():
    several = rx.claim_curves("shattered-line", seeds=5, seed=50)
    white, between, brown = (several.middle(name) for name in several.measured)
    assert list(several.measured) == ["plain, 24 layers", "residual, 50 layers", "plain, 2 layers"]
    assert np.abs(white).max() < 0.2
    assert brown[4] > between[4] > white[4] + 0.2
    np.testing.assert_allclose(brown[:5], several.formulas["brown noise"][2][:5], atol=0.12)
    # A walk of n steps, less its mean, falls off by about 6 lags / n at first: 1 - 3 |lag| / (n / 2) ...
    assert several.formulas["brown noise"][2][0] == pytest.approx(0.97, abs=0.01)
    assert not several.formulas["white noise"][2].any()


def test_what_is_not_detached_couples_the_batch():
    x, through = measured("coupled", "through the statistics")
    np.testing.assert_allclose(through, -1 / (x - 1), rtol=0.1)
    held = measured("coupled", "statistics held constant")[1]
    assert np.abs(held[x >= 8]).max() < 0.05


def test_without_norm_only_the_right_start_trains():
    found = curves("without-norm")
    for name in ("Fixup", "SkipInit, ReZero"):
        losses = found.middle(name)
        assert len(losses) == 25
        assert losses[-1] < 2.2 < np.log(10)
        assert losses[0] == pytest.approx(np.log(10), abs=0.05)
    assert found.middle("He")[-1] == np.inf
    same = [rx.build("cifar_resnet14", norm="none", init=i, widths=(2, 4, 4)) for i in ("rezero", "skipinit")]
    images = torch.randn(3, 3, 8, 6)
    assert torch.equal(*(network(images) for network in same))


def test_seeds_are_rows_and_more_come_with_each_yield():
    found = list(measure_claim("branch-over-skip", 2, seed=7))
    assert [c.seeds for c in found] == [1, 2]
    x, y = found[-1].measured["residual"]
    assert y.shape == (2, len(x))
    for k, seed in enumerate((7, 8)):
        alone = rx.claim_curves("branch-over-skip", 1, seed)
        np.testing.assert_array_equal(y[[k]], alone.measured["residual"][1])
        assert found[-1].numbers["exponent"][k] == alone.numbers["exponent"][0]
    np.testing.assert_array_equal(found[-1].middle("residual"), np.median(y, 0))
    assert str(found[-1]).startswith("1 curves, 2 seeds: exponent -0.5")


def test_parts_of_a_seed_do_not_hide_the_seeds_before():
    x = np.arange(2)
    one = Curves({"a": (x, np.ones((1, 2))), "b": (x, np.zeros((1, 2)))}, {}, {"n": np.ones(1)})
    part = Curves({"a": (x, np.full((1, 2), 3.0))}, {"f": ("a", x, x)}, {"n": np.full(1, 3.0)})
    both = part.joined(one)
    assert {name: len(y) for name, (_, y) in both.measured.items()} == {"a": 2, "b": 1}
    assert both.seeds == 1
    assert list(both.numbers["n"]) == [1, 3]
    assert list(both.middle("a")) == [2, 2]
    table = both.table
    assert len(table) == 4 + 2 + 2
    assert list(table.query("curve == 'a' and seed == 1")["y"]) == [3, 3]
    assert list(table.query("what == 'formula'")["y"]) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("explosive",), "did you mean 'explosion'"),
        (("growth", 0), "at least 1, not 0"),
        (("growth", 1.5), "1.5"),
    ],
)
def test_what_can_not_be_measured_is_one_sentence(arguments, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.claim_curves(*arguments)


def test_every_experiment_is_tested_here():
    assert set(EXPERIMENTS) == {
        "explosion", "reversal", "modes", "growth", "branch-over-skip", "shattered-pairs", "shattered-line",
        "coupled", "without-norm",
    }  # fmt: skip
