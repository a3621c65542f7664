"""What norms by layer come to."""

import math

import numpy as np
import pytest

from resnet_explore.analysis.gradients.profiles import read_profile
from resnet_explore.analysis.gradients.slope import slope
from resnet_explore.analysis.topology.comparable import Alike, alike_in_record

BLOCKS = alike_in_record(["conv1", *(f"layer1.{block}.conv{k}" for block in range(6) for k in (1, 2)), "fc"])


def profile(of_layers, alike=BLOCKS):
    norms = np.array(of_layers, float)
    return read_profile(norms, alike, alike.norms(norms))


def layers_of(blocks, ratio=1.0):
    """Norms of a first layer, of blocks of two layers, one so many times the other, and of a last layer."""
    return [3.0, *(norm * share for norm in blocks for share in (1.0, ratio)), 8.0]


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        (0, "vanishes"),
        (0.0099, "vanishes"),
        (0.01, "shrinks"),
        (0.099, "shrinks"),
        (1 / 10, "stays level"),
        (10, "stays level"),
        (10.1, "grows"),
        (100, "grows"),
        (1e9, "explodes"),
        (math.inf, "explodes"),
    ],
)
def test_what_a_ratio_is_called(ratio, word):
    assert slope(ratio) == word


@pytest.mark.parametrize("between", [1.0, 600.0, 1 / 600])
@pytest.mark.parametrize(
    ("blocks", "ratio", "verdict", "steady"),
    [
        ([1.0, 1.1, 0.9, 1.0, 1.05, 1.0], 1, "stays level", True),
        ([3e4, 4e3, 5e2, 60, 8, 1.0], 3e4, "explodes", True),
        ([1, 8, 60, 5e2, 4e3, 3e4], 1 / 3e4, "vanishes", True),
        ([20, 12, 7, 4, 2, 1.0], 20, "grows", True),
        ([1, 2, 4, 7, 12, 20.0], 1 / 20, "shrinks", True),
        ([5, 4, 3, 2, 1.5, 1.0], 5, "stays level", True),
        ([900, 1, 700, 5, 800, 1.0], 900, "explodes", False),
        ([1, 800, 2, 900, 1, 600.0], 1 / 600, "vanishes", False),
        ([1, 0.1, 0.01, 0.01, 0.1, 1.0], 1, "stays level", False),
        ([1, 0.1, 0, 0.01, 0.1, 1.0], 1, "stays level", False),
    ],
)
def test_blocks_are_compared_with_blocks_whatever_their_layers_differ_by(
    blocks, ratio, verdict, steady, between
):
    """Fixup makes one of a block's convolutions much larger than the other: that is no slope."""
    found = profile(layers_of(blocks, between))
    assert (found.outcome, found.verdict, found.steady) == ("ratio", verdict, steady)
    assert found.ratio == pytest.approx(ratio)
    assert found.ends == ((2, 3), (12, 13))


def test_reasons_why_there_is_no_ratio():
    grows = np.array(layers_of([20, 12, 7, 4, 2, 1.0]))
    assert profile(grows * 1e-7).tiny
    assert not profile(grows).tiny
    assert profile(grows * 5e14).outcome == "overflow"
    assert profile(layers_of([np.inf, 1, 1, 1, 1, 1])).outcome == "no ratio"
    assert profile(np.full(14, np.nan)).outcome == "nothing finite"
    dead = profile(layers_of([0, 1, 2, 3, 4, 5]))
    assert (dead.outcome, dead.dead, dead.verdict) == ("dead end", ("first",), "")
    two = profile([9, 4, 1, 2.0], Alike("convolution", ((1,), (3,))))
    assert (two.ratio, two.parts, two.ends) == (2, "convolution", ((2,), (4,)))
    alone = profile([1, 2.0], Alike("layer", ()))
    assert (alone.outcome, alone.low, alone.high, alone.ends) == ("no ratio", 1, 2, ())


def test_zeros_are_counted():
    nothing = np.zeros(14)
    assert (profile(nothing).outcome, profile(nothing).zeros) == ("zeros", 14)
    nothing[[0, 13]] = 1, np.inf
    found = profile(nothing)
    assert (found.outcome, found.zeros, found.finite, found.layers) == ("zeros", 12, 13, 14)
