"""All sentences of the gradient explorer, made of given numbers, against the file that keeps them.

`KEEP_SENTENCES=1 pytest tests/widgets/test_gradient_flow_words.py` writes the file anew.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

import resnet_explore as rx
from resnet_explore.analysis.gradients.claims.curve import Curves
from resnet_explore.analysis.gradients.claims.curves import (
    BATCHES,
    DEEP_STEPS,
    DEPTHS,
    EXPERIMENTS,
    STEPS,
    YANG,
)
from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.lab import Batch, GradientLab
from resnet_explore.analysis.gradients.profiles import Profile
from resnet_explore.figures.chart import Axis
from resnet_explore.widgets.gradient_flow import captions, claims
from resnet_explore.widgets.gradient_flow.charts import profile_chart
from resnet_explore.widgets.gradient_flow.claims import CLAIMS
from resnet_explore.widgets.gradient_flow.jobs import said_together
from resnet_explore.widgets.gradient_flow.questions import PUZZLES, first_question, puzzle_question
from resnet_explore.widgets.gradient_flow.recording import Recording
from tests.widgets.pages import assert_kept

ENDS = ((2, 3), (54, 55))
MOST_WORDS = 15


def ratio(value, **more):
    return Profile("ratio", value, low=0.1, high=400.0, layers=56, finite=56, ends=ENDS, **more)


ZEROS = Profile("zeros", low=0, high=1, layers=56, finite=56, zeros=54, ends=ENDS)
OTHERS = (
    ratio(1050.0), ratio(20.0), ratio(1.3), ratio(1 / 40), ratio(1e-11),
    Profile("ratio", 5.67, low=1.2e-7, high=3e-6, layers=56, finite=56, ends=ENDS), ZEROS,
    Profile("zeros", low=0, high=0, layers=56, finite=56, zeros=56, ends=ENDS),
    Profile("overflow", low=1, high=3e15, layers=56, finite=56, ends=ENDS),
    Profile("dead end", low=0, high=2, layers=56, finite=56, zeros=2, ends=ENDS, dead=("first", "last")),
    Profile("nothing finite", layers=56), Profile("no ratio", low=0.12, high=3.4, layers=3, finite=3),
)  # fmt: skip
RESIDUAL = ratio(3.73)


def batch(data, count=64, size=8):
    images = torch.zeros(count, 1, size, size)
    return Batch(images, None, images, None, data, 10, 8, 0.04)


def curves(name):
    """Curves of a claim with invented numbers, and the names that its sentence asks for."""
    x = np.arange(1, 55)
    line = (x, np.tile(x**-0.5, (2, 1)))
    lines = {
        "explosion": ("plain", "residual"),
        "reversal": ("plain-56", "residual-56", "plain-110"),
        "modes": ("plain, train mode", "eval mode", "no norm"),
        "growth": ("ReLU", "linear", "ReLU, no norm"),
        "branch-over-skip": ("residual",),
        "shattered-pairs": ("plain", "residual, β = 1", "residual, β = 0.1"),
        "shattered-line": ("plain, 24 layers", "residual, 50 layers", "plain, 2 layers"),
        "coupled": ("statistics held constant", "through the statistics"),
        "without-norm": ("Fixup", "SkipInit, ReZero", "He"),
    }[name]
    numbers = {
        "plain ratio": 1500, "residual ratio": 8.2, "plain growth": 1.143, "exponent": -0.47, "He": np.inf,
        "plain-56 at 0": 1500, "plain-56 at 10": 0.3, "plain-110 at 0": 5e6, "plain-110 at 10": 1e-6,
        "residual-56 at 0": 8, "residual-56 at 10": 3, "plain at 4": 0.062, "plain at 16": 0.0,
        "residual, β = 1 at 16": 0.39, "residual, β = 0.1 at 16": 0.95, "plain, train mode": 1500,
    }  # fmt: skip
    numbers = {k: v for k, v in numbers.items() if k == "exponent" or k.startswith(lines)}
    numbers |= {line_name: 1.234 for line_name in lines if line_name not in numbers}
    if name != "branch-over-skip":
        del numbers["exponent"]
    return Curves(dict.fromkeys(lines, line), {}, {k: np.full(2, float(v)) for k, v in numbers.items()})


def headlines():
    """Yield all findings."""
    for profile in OTHERS:
        yield captions.headline({"plain": profile, "residual": RESIDUAL}, {}, "weight_gradient")
    yield captions.headline({"plain": OTHERS[5], "residual": ZEROS}, {}, "weight_gradient")
    for shown in ("activation_gradient", "activation", "weight", "relative_gradient"):
        yield captions.headline({"plain": OTHERS[0], "residual": RESIDUAL}, {}, shown)
    yield captions.headline({"plain": OTHERS[1], "residual": RESIDUAL}, {}, "weight_gradient", 1234)
    twins = {"plain": OTHERS[0], "residual": RESIDUAL}
    yield captions.headline(twins, {"plain": "blown up at step 3"}, "weight_gradient")
    for profile in (OTHERS[1], OTHERS[3], ZEROS):
        yield captions.strength_headline({**twins, "skip": profile}, 0.5, "weight_gradient")
    yield captions.strength_headline({**twins, "skip": OTHERS[1]}, 0.3, "activation")
    own = {"mine": OTHERS[1], "other": OTHERS[3]}
    yield captions.own_headline(own, {}, "weight_gradient", 10)
    yield captions.own_headline(own, dict.fromkeys(own, "blown up"), "weight_gradient", 0)
    steps = np.array([0, 1, 21])
    yield captions.heatmap_headline(steps, {"plain": np.array([1000, 500, 3]), "residual": np.ones(3)})
    yield captions.heatmap_headline(steps, {"plain": np.array([5e6, 0.01, 1e-4]), "residual": np.ones(3)})
    yield captions.heatmap_headline(steps, {"plain": np.ones(3), "residual": np.ones(3)})
    for median, back in ((0.4, 1.3), (1.0, 1.0), (0.4, 0.8)):
        kinds = ("plain", "residual")
        yield captions.jacobian_headline(
            {kind: np.full(3, median) for kind in kinds}, {kind: np.full(3, back) for kind in kinds}
        )
    for name in EXPERIMENTS:
        yield f"{CLAIMS[name].finding(curves(name))}."
    for puzzle in PUZZLES:
        yield captions.puzzle_headline(puzzle.text, OTHERS[0])


def others():
    """Yield all that stands below and behind."""
    run = {"batch_size": 64, "width": 8, "schedule": "one-cycle", "lr": 0.04, "epochs": 8}
    recording = Recording("digits", {}, {}, {}, run, "scikit-learn's handwritten digits")
    given = Conditions(start="rezero", norm="none", activation="linear", steps=10)
    yield from captions.here_conditions(Conditions(), batch("digits"), 0, "weight_gradient")
    yield from captions.here_conditions(given, batch("noise", 32, 32), 3)
    yield from (captions.when_words(steps, batch("digits")) for steps in (0, 10))
    yield from captions.own_conditions(given, batch("yours", 1), 0, "weight", ["Networks: no norm."])
    for given in (Conditions(mode="eval"), Conditions(norm="group"), Conditions(norm="none", start="fixup")):
        yield captions.network_words(given)
    yield from captions.record_conditions(recording)
    for profile in (OTHERS[0], ratio(2.0, parts="convolution"), ratio(2.0, parts="layer"), OTHERS[-1]):
        yield captions.compared(profile, "weight_gradient")
    yield captions.compared(OTHERS[0], "activation")
    yield captions.between({"plain": ratio(900.0, steady=False), "residual": RESIDUAL})
    yield captions.strength_conditions(56)
    yield from captions.JACOBIAN_CONDITIONS
    ways = {"measured": np.array([1300.0]), "square": np.array([640.0]), "median": np.array([1e-10])}
    yield from captions.median_note({"plain": ways})
    for asked in (
        Conditions(), Conditions(steps=10), Conditions(mode="eval"), Conditions(norm="none"),
        Conditions(activation="linear"), Conditions(norm="none", start="fixup"), Conditions(norm="group"),
    ):  # fmt: skip
        yield captions.why(asked, "weight_gradient")
    yield from (captions.WHY_STRENGTH, captions.WHY_JACOBIAN, captions.WHY_OWN)
    for name, claim in CLAIMS.items():
        yield claim.label
        yield claim.why
        yield from claim.conditions(curves(name), 0)
        yield from claim.verdicts(curves(name))
    yield from (f"{word}: {words}" for word, words in captions.GLOSSARY.items())


def parts_of_the_page():
    """Yield what menus, buttons and charts say, and what is amiss with a person's own networks."""
    starts = ("fixup", "skipinit")
    yield from (captions.norm_words("none", start) for start in starts)
    yield from (captions.start_words("he", asked) for asked in starts)
    for asked in (
        first_question(56, {"plain": OTHERS[0], "residual": RESIDUAL}),
        *(puzzle_question(k, OTHERS[k]) for k in range(len(PUZZLES))),
    ):
        yield from (asked.text, *(choice.label for choice in asked.choices), asked.rule, asked.told)
        yield from asked.replies.values()
    for norms in ([1, 0, 3], [40, 2, 0.001], [40, 0, 2]):
        yield profile_chart("", {"plain": np.array(norms)}, Axis("norm", 0.1, 10, "log")).note
    images, labels = torch.randn(2, 1, 8, 8), torch.arange(2)
    own = {"mine": nn.Conv2d(1, 4, 3), "other": rx.build("cifar_resnet8", in_channels=1)}
    yield from captions.known_of(GradientLab(images, labels, own))
    frozen = {"frozen": (True, False, True), "names": ("a", "b", "c")}
    flow = SimpleNamespace(**frozen, images_finite=True, trouble="The loss is infinite.")
    yield from captions.frozen_words({"mine": flow})
    yield from (captions.trouble_words(flow, step) for step in (None, 7))
    yield from (captions.trouble_sentence("mine", flow, step) for step in (None, 7))
    flow.images_finite = False
    yield captions.trouble_words(flow, None)
    yield from said_together({"cold": "It is frozen.", "ice": "It is frozen.", "half": "It is in float16."})


def test_sentences_are_those_that_were_read():
    assert_kept("gradient_flow", [*headlines(), "", *others(), "", *parts_of_the_page()])


def test_a_headline_has_at_most_fifteen_words():
    assert {line: len(line.split()) for line in headlines() if len(line.split()) > MOST_WORDS} == {}


def test_a_why_has_three_sentences_at_most():
    whys = [value for name, value in vars(captions).items() if "WHY" in name]
    for said in (*whys, *(claim.why for claim in CLAIMS.values())):
        assert said.count(". ") <= 2, said


def test_claims_are_those_that_can_be_measured():
    assert list(CLAIMS) == list(EXPERIMENTS)
    assert (claims.STEPS, claims.DEEP_STEPS, claims.YANG) == (STEPS, DEEP_STEPS, YANG)
    assert (claims.DEPTHS, claims.BATCHES) == (DEPTHS, BATCHES)
