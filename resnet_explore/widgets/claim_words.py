"""Published claims in words: what the menu says, what was found, under what conditions, on which axes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from resnet_explore.analysis.claim_curves import BATCHES, DEEP_STEPS, DEPTHS, STEPS, YANG
from resnet_explore.analysis.curves import Curves
from resnet_explore.analysis.slope import slope
from resnet_explore.figures.claims import Scales
from resnet_explore.widgets.gradient_words import LEVEL_MEANS, multiple, ratio_and_word
from resnet_explore.widgets.words import signed


@dataclass(frozen=True)
class Words:
    """What is said around a claim's picture.

    label    in the menu
    finding  the sentence above, made from what was measured
    measured what is drawn, how and of what; sources  where the claim stands
    seeds    for how many the claim is measured
    on       what a ratio depends on most, where the same network has another elsewhere
    """

    label: str
    finding: Callable[[Curves], str]
    measured: str
    sources: str
    scales: Scales
    seeds: int
    on: str = ""

    def title(self, curves: Curves) -> str:
        """Return what was found, a sentence that begins with a capital."""
        found = self.finding(curves)
        over = "one seed" if curves.seeds == 1 else f"median of {curves.seeds} seeds"
        on = f" {self.on}, {over}." if self.on else ""
        return f"{found[0].upper()}{found[1:]}.{on}"

    def caption(self, curves: Curves, first: int) -> str:
        """Return the conditions, the seeds counted from `first`."""
        if curves.seeds > 1:
            seeds = f"median (line) and range (band) of seeds {first} to {first + curves.seeds - 1}"
        else:
            seeds = f"seed {first}"
        return f"{self.measured}; {seeds} of weights and inputs. Dashed: {self.sources}."


def _explosion(c: Curves) -> str:
    return (
        f"first over last gradient: plain {_said(c.number('plain ratio'))}, "
        f"{c.number('plain growth'):.2f} a layer (theory {YANG:.2f}); "
        f"residual {_said(c.number('residual ratio'))}"
    )


def _said(ratio: float) -> str:
    return ratio_and_word(multiple(ratio), slope(ratio))


def _reversal(c: Curves) -> str:
    said = []
    for name in c.measured:
        first, last = (c.number(f"{name} at {step}") for step in (0, STEPS))
        said.append(f"{name} {multiple(first)} → {_said(last)}")
    return f"after {STEPS} steps: {'; '.join(said)}"


def _modes(c: Curves) -> str:
    train, evaluated, bare = (c.number(name) for name in ("plain, train mode", "eval mode", "no norm"))
    return (
        f"plain-56, first over last gradient: train {_said(train)}; eval {_said(evaluated)}; "
        f"no norm {_said(bare)}"
    )


def _growth(c: Curves) -> str:
    said = [
        f"with ReLU and batch norm the gradient grows {c.number('ReLU'):.3f} times a layer, the paper says "
        f"√(π/(π−1)) = {YANG:.3f}"
    ]
    if "linear" in c.numbers:
        said.append(f"without the ReLU {c.number('linear'):.3f} (1.002)")
    if "ReLU, no norm" in c.numbers:
        said.append(f"without the norm {c.number('ReLU, no norm'):.3f} (1)")
    return "; ".join(said)


def _branch(c: Curves) -> str:
    last = float(c.middle("residual")[-1])
    return (
        f"the l-th block adds l to the power of {signed(c.number('exponent'))} of what its skip carries, "
        f"where the paper says −0.5; block 54 adds {last:.3f} of it, where 1/√54 = {54**-0.5:.3f}"
    )


def _pairs(c: Curves) -> str:
    said = [
        f"the gradients of two inputs correlate by {signed(c.number('plain at 4'), '.3f')} after 4 plain "
        f"layers (1/2⁴ = {0.5**4:.4f}) and by {signed(c.number('plain at 16'), '.3f')} after 16"
    ]
    if "residual, β = 1" in c.measured:
        said.append(f"by {signed(c.number('residual, β = 1 at 16'))} after 16 with skips")
    if "residual, β = 0.1" in c.measured:
        said.append(f"by {signed(c.number('residual, β = 0.1 at 16'))} with branches scaled by 0.1")
    return "; ".join(said)


def _line(c: Curves) -> str:
    deep, skips, shallow = (signed(c.number(name)) for name in c.measured)
    brown = signed(float(c.formulas["brown noise"][2][4]))
    return (
        f"slopes 5 points apart on a line correlate by {deep} in a plain network of 24 layers, where white "
        f"noise has 0; by {skips} in a residual one of 50; by {shallow} in a plain one of 2, where brown "
        f"noise has {brown}"
    )


def _coupled(c: Curves) -> str:
    return (
        "back through the batch's statistics, the gradients of two of 64 inputs correlate by "
        f"{signed(c.number('through the statistics'), '.4f')}, where −1/63 = {signed(-1 / 63, '.4f')}; with "
        f"the statistics held constant by {signed(c.number('statistics held constant'), '.4f')}"
    )


def _without_norm(c: Curves) -> str:
    said = []
    for name in c.numbers:
        loss = c.number(name)
        trained = f"has a loss of {loss:.2f}" if math.isfinite(loss) else "has blown up"
        said.append(f"{name.replace(', ', ' (= ')}{')' if ', ' in name else ''} {trained}")
    return (
        f"without any norm, after {DEEP_STEPS} steps at 110 layers {', '.join(said)}; a guess has "
        f"{math.log(10):.2f}"
    )


_TWINS = (
    "CIFAR-style networks of 56 layers, stages of 16, 32 and 64 channels, He initialisation; 64 images of "
    "8×8 noise with random labels, mean cross-entropy"
)
_CONVOLUTIONS = (
    "Weight gradient of each 3×3 convolution over the last one's (Frobenius); first: the second convolution. "
    f"{LEVEL_MEANS} {_TWINS}"
)
_ON = "Noise 8×8, width 16"
_YANG = "Yang et al. 2019, arXiv 1902.08129, section 4"
_BALDUZZI = "Balduzzi et al. 2017, arXiv 1702.08591"
_LAYERS = "convolution (1 sees the image, not shown)"

CLAIM_WORDS: dict[str, Words] = {
    "explosion": Words(
        "Plain networks explode at step 0", _explosion,
        f"{_CONVOLUTIONS}; batch norm in train mode, step 0",
        f"{_YANG}, fully connected ReLU networks of infinite width and batch",
        Scales(_LAYERS, "weight gradient over the last one's", log="y"), seeds=5,
        on=f"{_ON}, 56 layers, train mode, step 0",
    ),
    "reversal": Words(
        "Ten steps take the explosion away", _reversal,
        "Weight gradient of convolution 2 over that of the last (Frobenius) at each step of SGD at rate 0.1, "
        f"momentum 0.9, on one batch. {LEVEL_MEANS} {_TWINS.replace('56', '56 or 110')}; batch norm in train "
        "mode; triangles: below the axis",
        f"as large at both ends; {_YANG}: after a step gradients flatten, those of deeper networks vanish",
        Scales("step of SGD", "gradient at the first over the last", log="y"), seeds=3,
        on=f"First over last gradient; {_ON[0].lower()}{_ON[1:]}, train mode",
    ),
    "modes": Words(
        "Eval mode and no norm: no explosion", _modes,
        f"{_CONVOLUTIONS}; step 0; in eval mode batch norm uses its first running statistics, 0 and 1",
        "He et al. 2015, arXiv 1502.01852, equation 14, whose weights keep the gradient level",
        Scales(_LAYERS, "weight gradient over the last one's", log="y"), seeds=3,
        on=f"{_ON}, step 0",
    ),
    "growth": Words(
        "Growth a layer: 1.21 with ReLU, 1 linear", _growth,
        "Activation gradient of each layer over the last one's (Frobenius, over the batch); plain fully "
        "connected networks, 24 layers of 512, 256 inputs of 64 numbers of noise, He initialisation, train "
        "mode, step 0",
        f"{_YANG}, infinitely wide networks, √(π/(π−1)) for an infinite batch",
        Scales("layer", "activation gradient over the last one's", log="y", limits=(0.5, 200)), seeds=3,
    ),
    "branch-over-skip": Words(
        "A block adds 1/√l of its skip", _branch,
        "Standard deviation of what the branch adds over that of what the skip carries, over images, "
        "channels and pixels; 54 pre-activation blocks of 16 channels, batch norm in train mode, He "
        "initialisation, 16 images of 8×8 noise, step 0",
        "De and Smith 2020, arXiv 2002.10444, section 2",
        Scales("block l", "branch over skip", "xy", (1, 2, 4, 9, 16, 25, 36, 54), (0.08, 2.5)), seeds=5,
    ),
    "shattered-pairs": Words(
        "Shattered gradients: two inputs", _pairs,
        "Mean cosine between the input gradients of two of 64 inputs of 600 numbers of noise; fully "
        "connected ReLU networks 600 wide, x + β F(x) with skips, β = 1 or 0.1; batch norm in train mode, "
        "its statistics held constant, step 0",
        f"{_BALDUZZI}: 1/2^L without skips, sublinear with them, here 1/√(1+β²L)",
        Scales("layers L", "correlation of gradients", log="x", marks=DEPTHS), seeds=3,
    ),
    "shattered-line": Words(
        "Shattered gradients: along a line", _line,
        "Autocorrelation of df/dx at 256 points in −2..2; fully connected ReLU networks 200 wide, first "
        "biases N(0, 1), 24 and 2 layers plain, 50 layers of x + 0.1 F(x); batch norm over the 256 points, "
        "its statistics held constant, step 0",
        f"{_BALDUZZI}, Figure 1, whose noises are drawn as expected over 256 points",
        Scales("distance in points", "autocorrelation of the slope"), seeds=10,
    ),
    "coupled": Words(
        "Statistics not held: −1/(B−1)", _coupled,
        "Mean cosine between the input gradients of two inputs of a batch of B, 600 numbers of noise each; "
        "plain fully connected ReLU network, 16 layers of 600, batch norm in train mode, step 0",
        "the chain rule: through mean and variance the gradients of a batch add up to 0",
        Scales("batch size B", "correlation of gradients", log="x", marks=BATCHES), seeds=3,
    ),
    "without-norm": Words(
        "110 layers train without a norm", _without_norm,
        "Loss before each step of SGD at rate 0.05, momentum 0.9, on one batch of 16 images of 8×8 noise, "
        "random labels; ResNet-110, stages of 4, 8 and 16 channels, no norm, where SkipInit and ReZero are "
        "the same network; triangles: beyond the axis or infinite. Fixup: Zhang et al. 2019, arXiv "
        "1901.09321; SkipInit: De and Smith 2020, arXiv 2002.10444; ReZero: Bachlechner et al. 2020, arXiv "
        "2003.04887",
        "the loss of a guess",
        Scales("step of SGD", "loss", limits=(1.5, 2.75)), seeds=2,
    ),
}  # fmt: skip
