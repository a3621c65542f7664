"""Published claims in words: what the menu says, what was found, under what conditions, on which axes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from resnet_explore.figures.chart import Axis
from resnet_explore.widgets.core.words import factor, multiple, power, signed
from resnet_explore.widgets.gradient_flow.captions import LEVEL_MEANS

if TYPE_CHECKING:
    from resnet_explore.analysis.gradients.claims.curve import Curves

Scale = Literal["linear", "log"]
# As in analysis.claim_curves, which measures them and needs torch.
STEPS, DEEP_STEPS = 10, 25
DEPTHS, BATCHES = (1, 2, 4, 8, 16, 32, 64), (3, 4, 8, 16, 32, 64, 128)
YANG = math.sqrt(math.pi / (math.pi - 1))


@dataclass(frozen=True)
class Claim:
    """What is said around a claim's picture.

    label    in the menu
    finding  the headline, made from what was measured
    why      how it comes about
    measured what is drawn, how and of what, a sentence each
    sources  where the claim stands
    tested   {a name of `check_claims`: the number of the curves that it is about}
    seeds    for how many it is measured
    ticks    where x is labelled, () for round numbers; limits of y, None for what holds all that is finite
    """

    label: str
    finding: "Callable[[Curves], str]"
    why: str
    measured: Sequence[str]
    sources: str
    tested: Mapping[str, str]
    x_label: str
    y_label: str
    seeds: int = 3
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    ticks: Sequence[float] = ()
    limits: tuple[float, float] | None = None

    def conditions(self, curves: "Curves", first: int) -> tuple[str, ...]:
        """Return the conditions, the seeds counted from `first`."""
        if curves.seeds > 1:
            seeds = f"Lines: median of seeds {first} to {first + curves.seeds - 1}; bands: their range."
        else:
            seeds = f"Seed {first} of weights and inputs."
        more = "" if curves.seeds >= self.seeds else " Open marks: more seeds are being measured."
        return (*self.measured, seeds + more, f"Dashed: {self.sources}.")

    def verdicts(self, curves: "Curves") -> Iterator[str]:
        """Yield for each statement whether it holds here, by the bounds of `check_claims`."""
        from resnet_explore.analysis.gradients.claims.checks import CLAIMS as CHECKS

        for name, number in self.tested.items():
            if number not in curves.numbers:
                continue  # it is still being measured
            check, found = CHECKS[name], curves.number(number)
            holds = "holds here" if check.low <= found <= check.high else "does not hold here"
            expected = check.expected.replace("-", "−")
            yield f"{check.says}: {holds} (expected {expected}, found {_said(found)})."

    def x(self, curves: "Curves") -> Axis:
        """Return the horizontal axis."""
        values = np.concatenate([x for x, _ in curves.measured.values()])
        low, high = float(values.min()), float(values.max())
        if self.x_scale == "log":
            return Axis(self.x_label, low * 0.92, high * 1.08, "log", ticks=self.ticks, whole=True)
        room = 0.02 * (high - low)
        return Axis(self.x_label, low - room, high + room, whole=True)

    def y(self, curves: "Curves") -> Axis:
        """Return the vertical axis."""
        if self.limits:
            return Axis(self.y_label, *self.limits, self.y_scale)
        found = [y for _, y in curves.measured.values()]
        formulas = [y for _, _, y in curves.formulas.values()]
        values = np.concatenate([np.ravel(y) for y in [*found, *formulas]])
        if self.y_scale == "log":
            values = np.clip(values[np.isfinite(values) & (values > 0)], 1e-14, 1e10)
        return Axis.around(self.y_label, values, scale=self.y_scale, zero=False)


def _said(value: float) -> str:
    """Return a number of whatever size."""
    if not math.isfinite(value):
        return "infinite"
    if 0 < value < 1e-3 or value >= 1e4:
        return f"about {power(value)}"
    return factor(value) if value >= 1e3 else signed(value, ".3g")


def _explosion(c: "Curves") -> str:
    plain, residual = (multiple(c.number(f"{kind} ratio")) for kind in ("plain", "residual"))
    growth = c.number("plain growth")
    said = f"Plain gradients grow {growth:.2f}× a layer (theory: {YANG:.2f}), {plain} in all"
    return f"{said} (residual: {residual})"


def _reversal(c: "Curves") -> str:
    changes = [
        f"{name} from {multiple(c.number(f'{name} at 0'))} to {multiple(c.number(f'{name} at {STEPS}'))}"
        for name in c.measured
        if name.startswith("plain")
    ]
    return f"In {STEPS} steps: {', '.join(changes)}"


def _modes(c: "Curves") -> str:
    train, evaluated, bare = (
        multiple(c.number(name)) for name in ("plain, train mode", "eval mode", "no norm")
    )
    return f"First over last gradient: {train} in train mode, {evaluated} in eval mode, {bare} without norm"


def _growth(c: "Curves") -> str:
    said = f"Gradients grow {c.number('ReLU'):.3f}× a layer with ReLU and batch norm (theory: {YANG:.3f})"
    return said + (f", {c.number('linear'):.3f}× without ReLU" if "linear" in c.numbers else "")


def _branch(c: "Curves") -> str:
    last = float(c.middle("residual")[-1])
    return f"Block 54 adds {last:.3f} of what its skip carries (theory: 1/√54 = {54**-0.5:.3f})"


def _pairs(c: "Curves") -> str:
    said = f"Two inputs' gradients correlate by {signed(c.number('plain at 4'), '.3f')} after 4 plain layers"
    if "residual, β = 1" not in c.measured:
        return f"{said} (theory: {0.5**4:.3f})"
    return f"{said}, {signed(c.number('residual, β = 1 at 16'))} after 16 with skips"


def _line(c: "Curves") -> str:
    deep, skips, _ = (signed(c.number(name)) for name in c.measured)
    return f"Slopes 5 points apart correlate by {deep} (24 plain layers) and {skips} (50 residual layers)"


def _coupled(c: "Curves") -> str:
    found = signed(c.number("through the statistics"), ".4f")
    theory = signed(-1 / 63, ".4f")
    return f"Through batch statistics, two of 64 gradients correlate by {found} (theory: {theory})"


def _without_norm(c: "Curves") -> str:
    said = []
    for name in c.numbers:
        loss = c.number(name)
        said.append(f"{name.partition(',')[0]} {f'{loss:.2f}' if math.isfinite(loss) else 'blows up'}")
    return f"Loss after {DEEP_STEPS} steps without norm: {', '.join(said)}"


_TWINS = (
    "CIFAR-style networks of 56 layers with stages of 16, 32 and 64 channels, He initialisation.",
    "64 images of 8×8 noise with random labels, mean cross-entropy.",
)
_CONVOLUTIONS = (
    "Drawn: weight gradient of each 3×3 convolution over the last one's (Frobenius norm). First is the "
    f"second convolution. {LEVEL_MEANS}"
)
_YANG = "Yang et al. 2019, arXiv 1902.08129, section 4"
_BALDUZZI = "Balduzzi et al. 2017, arXiv 1702.08591"
_LAYERS = "convolution (1 sees the image, not shown)"
_OVER_LAST = "weight gradient over the last one's"

CLAIMS: dict[str, Claim] = {
    "explosion": Claim(
        "Plain networks explode at step 0", _explosion,
        "A ReLU's outputs have a mean above 0, which the next batch norm subtracts. What is left is smaller, "
        "so the norm scales it up, and with it the gradient that comes back: by √(π/(π−1)) a layer. A skip "
        "adds a way on which nothing is scaled.",
        (_CONVOLUTIONS, *_TWINS, "Batch norm in train mode, step 0."),
        f"{_YANG}, for fully connected ReLU networks of infinite width and batch",
        {"plain-explodes": "plain ratio", "residual-stays": "residual ratio"},
        _LAYERS, _OVER_LAST, 5, y_scale="log",
    ),
    "reversal": Claim(
        "Ten steps take the explosion away", _reversal,
        "The layers with the largest gradients, the first ones, move most at each step of SGD. Soon what "
        "they hand on carries hardly any gradient back to them: the deeper the network, the less.",
        (
            f"Drawn: weight gradient of convolution 2 over that of the last (Frobenius norm). {LEVEL_MEANS}",
            "Networks of 56 or 110 layers with stages of 16, 32 and 64 channels, He initialisation, batch "
            "norm in train mode.",
            "SGD at rate 0.1, momentum 0.9, on one batch: 64 images of 8×8 noise with random labels.",
        ),
        f"as large at both ends; {_YANG}: after a step gradients flatten, those of deeper networks vanish",
        {"plain-calms": "plain-56 at 10", "plain-reverses": "plain-110 at 10"},
        "step of SGD", "gradient at the first over the last", y_scale="log",
    ),
    "modes": Claim(
        "Eval mode and no norm: no explosion", _modes,
        "In eval mode batch norm uses its running statistics, which are 0 and 1 in a new network: it does "
        "nothing. So a measurement in eval mode is one of a network without norm, and says nothing of "
        "training.",
        (_CONVOLUTIONS, *_TWINS, "Step 0."),
        "He et al. 2015, arXiv 1502.01852, equation 14, whose weights keep the gradient level",
        {"plain-explodes": "plain, train mode", "eval-mode": "eval mode", "no-norm": "no norm"},
        _LAYERS, _OVER_LAST, y_scale="log",
    ),
    "growth": Claim(
        "Growth a layer: 1.21 with ReLU, 1 linear", _growth,
        "It is the ReLU behind a batch norm that makes gradients grow, by √(π/(π−1)) a layer in wide "
        "networks. Take away either of the two, and they keep their length.",
        (
            "Drawn: activation gradient of each layer over the last one's (Frobenius norm, over the batch).",
            "Plain fully connected networks of 24 layers with 512 units, He initialisation, train mode, "
            "step 0.",
            "256 inputs of 64 numbers of noise.",
        ),
        f"{_YANG}, infinitely wide networks, √(π/(π−1)) for an infinite batch",
        {"growth-relu": "ReLU", "growth-linear": "linear", "growth-no-norm": "ReLU, no norm"},
        "layer", "activation gradient over the last one's", y_scale="log", limits=(0.5, 200),
    ),
    "branch-over-skip": Claim(
        "A block adds 1/√l of its skip", _branch,
        "Each block adds a branch of the same size to a sum that grows like √l, since variances add up. So "
        "the later a block, the less it changes: it is nearly the identity.",
        (
            "Drawn: standard deviation of what the branch adds over that of what the skip carries, over "
            "images, channels and pixels.",
            "54 pre-activation blocks of 16 channels, batch norm in train mode, He initialisation, step 0.",
            "16 images of 8×8 noise.",
        ),
        "De and Smith 2020, arXiv 2002.10444, section 2",
        {"branch-over-skip": "exponent"},
        "block l", "branch over skip", 5, "log", "log", (1, 2, 4, 9, 16, 25, 36, 54), (0.08, 2.5),
    ),
    "shattered-pairs": Claim(
        "Shattered gradients: two inputs", _pairs,
        "Each ReLU lets two inputs through different units, so half of what their gradients share is lost at "
        "each plain layer. With skips most of a gradient comes back past the ReLUs.",
        (
            "Drawn: mean cosine between the input gradients of two of 64 inputs of 600 numbers of noise.",
            "Fully connected ReLU networks 600 wide, x + β F(x) with skips, β = 1 or 0.1.",
            "Batch norm in train mode, its statistics held constant, step 0.",
        ),
        f"{_BALDUZZI}: 1/2^L without skips, sublinear with them, here 1/√(1+β²L)",
        {"shattered-plain-4": "plain at 4", "shattered-residual-16": "residual, β = 0.1 at 16"},
        "layers L", "correlation of gradients", x_scale="log", ticks=DEPTHS,
    ),
    "shattered-line": Claim(
        "Shattered gradients: along a line", _line,
        "In a deep plain network the gradient at one point says nothing of the gradient beside it: it is "
        "like white noise. Skips keep neighbours alike, as in a shallow network, and SGD can follow them.",
        (
            "Drawn: autocorrelation of df/dx at 256 points in −2..2.",
            "Fully connected ReLU networks 200 wide, first biases N(0, 1): 24 and 2 layers plain, 50 "
            "layers of x + 0.1 F(x).",
            "Batch norm over the 256 points, its statistics held constant, step 0.",
        ),
        f"{_BALDUZZI}, Figure 1, whose noises are drawn as expected over 256 points",
        {"white-noise-plain": "plain, 24 layers", "brown-noise-residual": "residual, 50 layers"},
        "distance in points", "autocorrelation of the slope", 10,
    ),
    "coupled": Claim(
        "Statistics not held: −1/(B−1)", _coupled,
        "Mean and variance of a batch tie its inputs together: what one gains the others lose. Their "
        "gradients add up to 0, so any two of them correlate by −1/(B−1).",
        (
            "Drawn: mean cosine between the input gradients of two inputs of a batch of B, 600 numbers of "
            "noise each.",
            "Plain fully connected ReLU network, 16 layers of 600, batch norm in train mode, step 0.",
        ),
        "the chain rule: through mean and variance the gradients of a batch add up to 0",
        {"shattered-coupled": "through the statistics"},
        "batch size B", "correlation of gradients", x_scale="log", ticks=BATCHES,
    ),
    "without-norm": Claim(
        "110 layers train without a norm", _without_norm,
        "Without a norm, He's weights let the sum over skips grow block by block, and SGD blows it up. "
        "Fixup, SkipInit and ReZero begin with branches that add nothing, so the network begins as the "
        "identity.",
        (
            "Drawn: loss before each step of SGD at rate 0.05, momentum 0.9, on one batch of 16 images of "
            "8×8 noise with random labels.",
            "ResNet-110 with stages of 4, 8 and 16 channels and no norm, where SkipInit and ReZero are the "
            "same network. Triangles: beyond the axis or infinite.",
            "Fixup: Zhang et al. 2019, arXiv 1901.09321; SkipInit: De and Smith 2020, arXiv 2002.10444; "
            "ReZero: Bachlechner et al. 2020, arXiv 2003.04887.",
        ),
        "the loss of a guess",
        {"he-without-norm": "He", "fixup": "Fixup", "skipinit": "SkipInit, ReZero"},
        "step of SGD", "loss", 2, limits=(1.5, 2.75),
    ),
}  # fmt: skip
