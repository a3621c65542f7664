"""What papers say about gradients, as curves: what is measured over depth, step or distance, and the formula.

Where `check_claims` has one number, `claim_curves` has what can be drawn, seed by seed.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from resnet_explore.analysis.gradients.claims.curve import Curves, Formula
from resnet_explore.analysis.gradients.claims.experiments import (
    equal_blocks,
    first_layers,
    noise,
    ratios_while_training,
    training,
)
from resnet_explore.analysis.gradients.flow import GradientFlow, gradient_flow
from resnet_explore.analysis.gradients.shattering import gradient_autocorrelation, input_gradients
from resnet_explore.analysis.gradients.skip_ratios import skip_ratios
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.mlp import MLP, MLPConfig
from resnet_explore.models.presets import build
from resnet_explore.models.threads import one_thread

KINDS = {"plain": "cifar_plain56", "residual": "cifar_resnet56"}
# In the deepest of these the slope turns round; at 56 layers it ends level.
_TRAINED = {"plain-56": "cifar_plain56", "residual-56": "cifar_resnet56", "plain-110": "cifar_plain110"}
YANG = math.sqrt(math.pi / (math.pi - 1))  # growth a layer, ReLU behind batch norm (Yang et al. 2019, sec. 4)
STEPS, DEEP_STEPS = 10, 25
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
BATCHES = (3, 4, 8, 16, 32, 64, 128)
LAGS = 20
_LINES = (("plain, 24 layers", 24, None), ("residual, 50 layers", 50, 0.1), ("plain, 2 layers", 2, None))
_GRID = 256  # points of the line, those of Balduzzi et al. 2017, Fig. 1


def claim_curves(name: str, seeds: int = 3, seed: int = 0) -> Curves:
    """Measure a claim for some seeds.

    name   of EXPERIMENTS
    seeds  how many, from `seed` on; of weights and inputs

    Raises ExploreError for an unknown name and for no seeds.
    """
    *_, last = measure_claim(name, seeds, seed)
    return last


def measure_claim(name: str, seeds: int, seed: int = 0) -> Iterator[Curves]:
    """Yield the curves again and again, each time with more in them; the last are those of `claim_curves`.

    Raises its errors when it is called, not when it is first asked.
    """
    if name not in EXPERIMENTS:
        raise unknown("claim", name, EXPERIMENTS)
    if not isinstance(seeds, int) or seeds < 1:
        raise ExploreError(f"seeds must be a whole number of at least 1, not {seeds!r}.")
    return _measure(EXPERIMENTS[name], range(seed, seed + seeds))


def _measure(experiment: Callable[[int], Iterator[Curves]], seeds: range) -> Iterator[Curves]:
    whole: Curves | None = None
    for seed in seeds:
        part, parts = whole, experiment(seed)
        while True:
            with one_thread():
                found = next(parts, None)
            if found is None:
                break
            part = found.joined(whole)
            yield part
        whole = part


def fitted_growth(x: np.ndarray, y: np.ndarray) -> float:
    """Return by what factor y grows from each x to the one below, by least squares of log y."""
    return float(np.exp(-np.polyfit(x, np.log(y), 1)[0]))


# --- growth from layer to layer -----------------------------------------------------------------------------


def _explosion(seed: int) -> Iterator[Curves]:
    flows = {k: gradient_flow(build(name, seed=seed), *_small(seed)) for k, name in KINDS.items()}
    measured = {kind: _inner(flow, flow.weight_gradient_norms) for kind, flow in flows.items()}
    x = measured["plain"][0]
    numbers = {f"{kind} ratio": y[0, :1] for kind, (_, y) in measured.items()}
    numbers |= {f"{k} growth": np.array([fitted_growth(x, y[0])]) for k, (x, y) in measured.items()}
    yield Curves(measured, {"√(π/(π−1)) a layer": ("plain", x, YANG ** (x[-1] - x))}, numbers)


def _modes(seed: int) -> Iterator[Curves]:
    images, labels = _small(seed)
    normed, bare = (build(KINDS["plain"], seed=seed, norm=norm) for norm in ("batch", "none"))
    flows = {
        "plain, train mode": gradient_flow(normed, images, labels, "train"),
        "eval mode": gradient_flow(normed, images, labels, "eval"),
        "no norm": gradient_flow(bare, images, labels, "train"),
    }
    measured = {name: _inner(flow, flow.weight_gradient_norms) for name, flow in flows.items()}
    x = measured["no norm"][0]
    numbers = {name: y[0, :1] for name, (_, y) in measured.items()}
    yield Curves(measured, {"level": ("no norm", x, np.ones(len(x)))}, numbers)


def _growth(seed: int) -> Iterator[Curves]:
    batch = 256
    networks = {
        "ReLU": MLPConfig(depth=24, width=512),
        "linear": MLPConfig(depth=24, width=512, activation="linear"),
        "ReLU, no norm": MLPConfig(depth=24, width=512, norm="none"),
    }
    rates = {
        "√(π/(π−1)) a layer": ("ReLU", YANG),
        "√((B−2)/(B−3)) a layer": ("linear", math.sqrt((batch - 2) / (batch - 3))),
    }
    measured, numbers = {}, {}
    formulas: dict[str, Formula] = {}
    for name, config in networks.items():
        flow = gradient_flow(MLP(config, seed), *noise(seed, batch, 1, 8, 8))
        norms = flow.activation_gradient_norms[1:-1]
        x = np.arange(2, 2 + len(norms))
        measured[name] = (x, (norms / norms[-1])[None])
        numbers[name] = np.array([flow.growth])
        formulas |= {k: (of, x, rate ** (x[-1] - x)) for k, (of, rate) in rates.items() if of == name}
        yield Curves(dict(measured), dict(formulas), dict(numbers))


def _inner(flow: GradientFlow, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the layers from the second convolution to the last, and norms over the last one's."""
    first, last = flow.convolutions[[1, -1]]
    return np.arange(first + 1, last + 2), (norms[first : last + 1] / norms[last])[None]


def _small(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return noise(seed, 64, 3, 8, 8)


# --- in training --------------------------------------------------------------------------------------------


def _reversal(seed: int) -> Iterator[Curves]:
    x, measured = np.arange(STEPS + 1), {}
    numbers: dict[str, np.ndarray] = {}
    for kind, model in _TRAINED.items():
        found = np.array(list(ratios_while_training(build(model, seed=seed), *_small(seed), STEPS, lr=0.1)))
        measured[kind] = (x, found[None])
        numbers |= {f"{kind} at {step}": found[[step]] for step in (0, STEPS)}
        yield Curves(dict(measured), {"as large at both ends": ("", x, np.ones(len(x)))}, dict(numbers))


def _without_norm(seed: int) -> Iterator[Curves]:
    x, measured, numbers = np.arange(DEEP_STEPS), {}, {}
    for name, init in (("Fixup", "fixup"), ("SkipInit, ReZero", "skipinit"), ("He", "he")):
        model = build("cifar_resnet110", seed=seed, norm="none", init=init, widths=(4, 8, 16))
        found = np.full(DEEP_STEPS, np.inf)
        for step, loss in zip(x, training(model, *noise(seed, 16, 3, 8, 8), lr=0.05), strict=False):
            found[step] = loss
        measured[name] = (x, found[None])
        numbers[name] = found[-1:]
        guess = {"a guess: ln 10": ("", x, np.full(len(x), math.log(10)))}
        yield Curves(dict(measured), guess, dict(numbers))


# --- skips and shattering -----------------------------------------------------------------------------------


def _branch_over_skip(seed: int) -> Iterator[Curves]:
    ratios = skip_ratios(build(equal_blocks(54), seed=seed), noise(seed, 16, 3, 8, 8)[0]).ratios
    x = np.arange(1, len(ratios) + 1)
    exponent = np.polyfit(np.log(x), np.log(ratios), 1)[0]
    measured = {"residual": (x, ratios[None])}
    yield Curves(measured, {"1/√l": ("residual", x, x**-0.5)}, {"exponent": np.array([exponent])})


def _wide(seed: int, depth: int) -> MLP:
    return MLP(MLPConfig(depth=depth, width=600, inputs=600, outputs=1), seed)


def _pairs(seed: int) -> Iterator[Curves]:
    network, images = _wide(seed, DEPTHS[-1]), noise(seed, 64, 1, 20, 30)[0]
    x, fine = np.array(DEPTHS), np.geomspace(DEPTHS[0], DEPTHS[-1], 60)
    measured = {}
    numbers: dict[str, np.ndarray] = {}
    formulas = {"1/2^L": ("plain", fine, 0.5**fine)}
    for name, scale in (("plain", None), ("residual, β = 1", 1.0), ("residual, β = 0.1", 0.1)):
        parts = (first_layers(network, depth, scale) for depth in DEPTHS)
        found = np.array([input_gradients(part, images).correlation for part in parts])
        measured[name] = (x, found[None])
        numbers |= {f"{name} at {depth}": found[[k]] for k, depth in enumerate(DEPTHS)}
        if scale is not None:
            label = "1/√(1+L)" if scale == 1 else "1/√(1+β²L)"
            formulas[label] = (name, fine, 1 / np.sqrt(1 + scale**2 * fine))
        yield Curves(dict(measured), dict(formulas), dict(numbers))


def _coupled(seed: int) -> Iterator[Curves]:
    network, x = first_layers(_wide(seed, 16), 16), np.array(BATCHES)
    found: dict[bool, list[float]] = {True: [], False: []}
    for batch in BATCHES:
        images = noise(seed, batch, 1, 20, 30)[0]
        for held, values in found.items():
            values.append(input_gradients(network, images, detach=held).correlation)
    names = {"statistics held constant": True, "through the statistics": False}
    fine = np.geomspace(BATCHES[0], BATCHES[-1], 60)
    yield Curves(
        {name: (x, np.array(found[held])[None]) for name, held in names.items()},
        {"−1/(B−1)": ("through the statistics", fine, -1 / (fine - 1))},
        {name: np.array([found[held][BATCHES.index(64)]]) for name, held in names.items()},
    )


def _along_a_line(seed: int) -> Iterator[Curves]:
    x, measured, numbers = np.arange(1, LAGS + 1), {}, {}
    for name, depth, scale in _LINES:
        config = MLPConfig(
            depth=depth, width=200, inputs=1, outputs=1, residual=scale is not None,
            branch_scale=scale or 1.0, bias_std=1.0,
        )  # fmt: skip
        found = gradient_autocorrelation(MLP(config, seed), lags=LAGS)
        measured[name] = (x, found[None, 1:])
        numbers[name] = found[[5]]
    brown = _brown_noise()[1:]
    formulas = {
        "white noise": ("plain, 24 layers", x, np.zeros(LAGS)),
        "brown noise": ("plain, 2 layers", x, brown),
    }
    yield Curves(measured, formulas, numbers)


def _brown_noise(walks: int = 500) -> np.ndarray:
    """Return the mean autocorrelation of random walks as long as the line, lags 0 to LAGS."""
    walk = np.random.default_rng(0).normal(size=(walks, _GRID)).cumsum(1)
    walk -= walk.mean(1, keepdims=True)
    products = [(walk[:, : _GRID - lag] * walk[:, lag:]).sum(1) for lag in range(LAGS + 1)]
    return (np.array(products) / products[0]).mean(1)


EXPERIMENTS: dict[str, Callable[[int], Iterator[Curves]]] = {
    "explosion": _explosion,
    "reversal": _reversal,
    "modes": _modes,
    "growth": _growth,
    "branch-over-skip": _branch_over_skip,
    "shattered-pairs": _pairs,
    "shattered-line": _along_a_line,
    "coupled": _coupled,
    "without-norm": _without_norm,
}
