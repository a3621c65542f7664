"""What papers say about gradients, measured anew: one small function for each claim."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from resnet_explore.analysis.gradients.claims.experiments import equal_blocks, noise, training
from resnet_explore.analysis.gradients.flow import gradient_flow
from resnet_explore.analysis.gradients.shattering import gradient_autocorrelation, input_gradients
from resnet_explore.analysis.gradients.skip_ratios import skip_ratios
from resnet_explore.analysis.gradients.slope import LEVEL, STEEP
from resnet_explore.errors import unknown
from resnet_explore.models.mlp import MLP, MLPConfig
from resnet_explore.models.presets import build


@dataclass(frozen=True)
class Statement:
    """A sentence that can be measured.

    says      the claim, source where it stands, conditions what is measured here
    expected  the number that the source gives; low, high: between which ours has to lie, and why so wide
    measure   returns ours for a seed
    """

    says: str
    source: str
    conditions: str
    expected: str
    low: float
    high: float
    measure: Callable[[int], float]

    @property
    def within(self) -> str:
        """The bounds in words."""
        if self.high == float("inf"):
            return f"above {self.low:g}"
        return f"{self.low:g} to {self.high:g}".replace("-", "−")


def check_claims(names: str | Iterable[str] | None = None, seed: int = 0) -> pd.DataFrame:
    """Measure published claims and return a table, a row for each: what is said, where, and what we find.

    names  of CLAIMS; None for all of them, which take about half a minute
    seed   of weights and inputs

    Columns: claim, source, conditions, expected (by the source), measured (here), low and high, `within`
    the two in words, holds. The bounds allow for finite width and for the seed. Raises ExploreError for an
    unknown name.
    """
    chosen = list(CLAIMS) if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in CLAIMS:
            raise unknown("claim", name, CLAIMS)
    rows = []
    for claim in (CLAIMS[name] for name in chosen):
        found = claim.measure(seed)
        rows.append(
            {
                "claim": claim.says,
                "source": claim.source,
                "conditions": claim.conditions,
                "expected": claim.expected,
                "measured": found,
                "low": claim.low,
                "high": claim.high,
                "within": claim.within,
                "holds": claim.low <= found <= claim.high,
            }
        )
    return pd.DataFrame(rows, index=pd.Index(chosen, name="name"))


def _growth(activation: str, norm: str = "batch") -> Callable[[int], float]:
    def measure(seed: int) -> float:
        model = MLP(MLPConfig(depth=24, width=512, activation=activation, norm=norm), seed)
        return gradient_flow(model, *noise(seed, 256, 1, 8, 8)).growth

    return measure


def _ratio(name: str, mode: str = "train", steps: int = 0, **overrides: Any) -> Callable[[int], float]:
    def measure(seed: int) -> float:
        images, labels = noise(seed, 64, 3, 8, 8)
        model = build(name, seed=seed, **overrides)
        _train(model, images, labels, steps, lr=0.1)
        flow = gradient_flow(model, images, labels, mode=mode)
        second, last = flow.weight_gradient_norms[flow.convolutions[[1, -1]]]
        return float(second / last)

    return measure


def _train(model: nn.Module, images: Tensor, labels: Tensor, steps: int, lr: float) -> float:
    """Return the loss before the last of so many steps."""
    losses = list(islice(training(model, images, labels, lr), steps))
    return losses[-1] if losses else float("inf")


def _skip_exponent(seed: int) -> float:
    """Return the exponent p of branch/skip = l^p, fitted over 54 blocks of equal width."""
    ratios = skip_ratios(build(equal_blocks(54), seed=seed), noise(seed, 16, 3, 8, 8)[0]).ratios
    return float(np.polyfit(np.log(np.arange(1, 55)), np.log(ratios), 1)[0])


def _correlation(
    depth: int, residual: bool = False, scale: float = 1.0, detach: bool = True
) -> Callable[[int], float]:
    def measure(seed: int) -> float:
        config = MLPConfig(
            depth=depth, width=600, inputs=600, outputs=1, residual=residual, branch_scale=scale
        )
        return input_gradients(MLP(config, seed), noise(seed, 64, 1, 20, 30)[0], detach=detach).correlation

    return measure


def _autocorrelation(depth: int, residual: bool, scale: float = 1.0) -> Callable[[int], float]:
    def measure(seed: int) -> float:
        config = MLPConfig(
            depth=depth, width=200, inputs=1, outputs=1, residual=residual, branch_scale=scale, bias_std=1.0
        )
        networks = [MLP(config, 100 * seed + k) for k in range(5)]
        return float(np.mean([gradient_autocorrelation(net, lags=5)[5] for net in networks]))

    return measure


def _loss_without_norm(init: str) -> Callable[[int], float]:
    def measure(seed: int) -> float:
        model = build("cifar_resnet110", seed=seed, norm="none", init=init, widths=(4, 8, 16))
        return _train(model, *noise(seed, 16, 3, 8, 8), steps=25, lr=0.05)

    return measure


_YANG = "Yang et al. 2019, arXiv 1902.08129, section 4"
_BALDUZZI = "Balduzzi et al. 2017, arXiv 1702.08591"
_WIDE = "24 fully connected layers of 512, batch 256, noise, train mode, step 0"
_CIFAR = "weight gradient of convolution 2 over the last; batch 64 of 8×8 noise"
_PAIRS = "64 noise inputs of 600 numbers, width 600, batch statistics constant, mean cosine"
_LINE = "width 200, 256 points in -2..2, lag 5, mean of 5 networks"
_DEEP = "ResNet-110, width 4, norm='none', 25 steps of SGD on one batch of 16, final loss"

CLAIMS: dict[str, Statement] = {
    # Ten seeds gave 1.207 to 1.212, 1.011 to 1.019 (finite width adds to the limit) and 0.984 to 1.008.
    "growth-relu": Statement(
        "With ReLU and batch norm the gradient grows by √(π/(π−1)) a layer",
        _YANG, _WIDE, "1.211", 1.2, 1.22, _growth("relu"),
    ),
    "growth-linear": Statement(
        "Without a nonlinearity it hardly grows: √((B−2)/(B−3)) for batch size B",
        _YANG, _WIDE, "1.002", 0.99, 1.03, _growth("linear"),
    ),
    "growth-no-norm": Statement(
        "Without batch norm He's weights keep it level",
        "He et al. 2015, arXiv 1502.01852", _WIDE, "1", 0.97, 1.03, _growth("relu", "none"),
    ),
    # These ratios vary with the seed by a factor of up to six; the bounds are wider, and far from each other.
    "plain-explodes": Statement(
        "A plain network with batch norm explodes towards the image at step 0",
        _YANG, f"cifar_plain56, {_CIFAR}, train mode", "far above 1", STEEP, float("inf"),
        _ratio("cifar_plain56"),
    ),
    "residual-stays": Statement(
        "Its residual twin does not",
        _YANG, f"cifar_resnet56, {_CIFAR}, train mode", "about level", 1 / LEVEL, LEVEL,
        _ratio("cifar_resnet56"),
    ),
    # Ten seeds gave 0.04 to 0.96: level or shrinking, and no explosion any more.
    "plain-calms": Statement(
        "Ten steps of SGD take the explosion away",
        _YANG, f"cifar_plain56, {_CIFAR}, train mode, after ten steps at 0.1", "no longer above 1", 0, LEVEL,
        _ratio("cifar_plain56", steps=10),
    ),
    # Three seeds gave 1e-14 to 1e-19.
    "plain-reverses": Statement(
        "At 110 layers they turn it round: the gradient vanishes",
        _YANG, f"cifar_plain110, {_CIFAR}, train mode, after ten steps at 0.1", "far below 1", 0, 1 / STEEP,
        _ratio("cifar_plain110", steps=10),
    ),
    "eval-mode": Statement(
        "In eval mode at step 0, where batch norm does nothing, there is no explosion",
        "this project", f"cifar_plain56, {_CIFAR}, eval mode", "about level", 1 / LEVEL, LEVEL,
        _ratio("cifar_plain56", mode="eval"),
    ),
    "no-norm": Statement(
        "Nor is there without batch norm",
        "He et al. 2015, arXiv 1502.01852", f"cifar_plain56, norm='none', {_CIFAR}, train mode",
        "about level", 1 / LEVEL, LEVEL, _ratio("cifar_plain56", norm="none"),
    ),
    "branch-over-skip": Statement(
        "The l-th block adds l^p of what its skip carries, with p = −1/2",
        "De and Smith 2020, arXiv 2002.10444, section 2",
        "54 pre-activation blocks of width 16, 16 images of 8×8 noise, step 0; exponent of l",
        "-0.5", -0.7, -0.45, _skip_exponent,
    ),
    "shattered-plain-2": Statement(
        "The gradients of two inputs correlate as 1/2^L in plain networks",
        _BALDUZZI, f"L = 2; {_PAIRS}", "0.25", 0.22, 0.28, _correlation(2),
    ),
    "shattered-plain-4": Statement(
        "The gradients of two inputs correlate as 1/2^L in plain networks",
        _BALDUZZI, f"L = 4; {_PAIRS}", "0.0625", 0.04, 0.09, _correlation(4),
    ),
    "shattered-residual-16": Statement(
        "With skips they decay slowly",
        _BALDUZZI, f"L = 16, branch scale 0.1; {_PAIRS}", "0.93", 0.9, 0.95, _correlation(16, True, 0.1),
    ),
    "shattered-coupled": Statement(
        "Back through batch statistics the correlation of a plain network is −1/(B−1), whatever it does",
        "the chain rule", f"L = 16; {_PAIRS.replace('batch statistics constant', 'not constant')}",
        "-0.0159", -0.0165, -0.0145, _correlation(16, detach=False),
    ),
    "white-noise-plain": Statement(
        "Along a line, the gradient of a deep plain network is white noise",
        f"{_BALDUZZI}, Fig. 1", f"24 layers; {_LINE}", "0", -0.15, 0.15, _autocorrelation(24, False),
    ),
    "brown-noise-residual": Statement(
        "That of a residual one stays correlated",
        f"{_BALDUZZI}, Fig. 1", f"50 layers, branch scale 0.1; {_LINE}", "0.5", 0.35, 0.75,
        _autocorrelation(50, True, 0.1),
    ),
    # ln 10 = 2.303 is the loss of a guess.
    "he-without-norm": Statement(
        "With He's weights alone a residual network without normalisation blows up",
        "Zhang et al. 2019, arXiv 1901.09321, section 2", _DEEP, "infinite", 10, float("inf"),
        _loss_without_norm("he"),
    ),
    "fixup": Statement(
        "Fixup trains without normalisation at depth 110",
        "Zhang et al. 2019, arXiv 1901.09321", _DEEP, "below ln 10", 0, 2.2, _loss_without_norm("fixup"),
    ),
    "skipinit": Statement(
        "So does SkipInit, one scalar that starts at 0 on each branch",
        "De and Smith 2020, arXiv 2002.10444", _DEEP, "below ln 10", 0, 2.2, _loss_without_norm("skipinit"),
    ),
    "rezero": Statement(
        "And ReZero, which without norm is the same network",
        "Bachlechner et al. 2020, arXiv 2003.04887", _DEEP, "below ln 10", 0, 2.2,
        _loss_without_norm("rezero"),
    ),
}  # fmt: skip
