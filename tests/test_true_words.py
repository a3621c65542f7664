"""Numbers that notebooks and README say of gradients, against the record and measurements made here."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import resnet_explore as rx
from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.lab import GradientLab
from resnet_explore.analysis.gradients.slope import LEVEL, slope
from resnet_explore.widgets.core.words import factor, multiple, percent, power
from resnet_explore.widgets.gradient_flow.claims import CLAIMS
from resnet_explore.widgets.gradient_flow.questions import DEPTH, PUZZLES

ROOT = Path(__file__).parents[1]


def prose(name):
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def ratios(kind, depth, seeds=None):
    """First block's gradient over the last's as recorded on digits: {step: geometric mean over seeds}."""
    rows = rx.collect_layers(ROOT / "data/digits").query("kind == @kind and depth == @depth")
    found = {}
    for step, of_step in rows.groupby("step"):
        per_seed = []
        for seed, layers in of_step.groupby("seed"):
            norms = layers.sort_values("position")["gradient_norm"].to_numpy()
            if seeds is None or seed in seeds:
                per_seed.append(np.hypot(*norms[1:3]) / np.hypot(*norms[-3:-1]))
        found[step] = float(np.exp(np.log(per_seed).mean()))
    return found


def test_degradation_says_what_the_record_holds_of_gradients():
    said = prose("01_degradation")
    plain, deep = ratios("plain", 56), ratios("plain", 110)
    twins = [ratios("residual", depth)[0] for depth in (56, 110)]
    first, deepest = factor(plain[0]), factor(deep[0])
    assert f"the first block's is {first} times the last block's" in said
    assert f"In the residual network it is {factor(twins[0])} times" in said
    assert (
        f"begins at {deepest} times the last block's, in the residual network at {factor(twins[1])} times"
        in said
    )
    vanished = f"{multiple(deep[10])} by step 10 and 1/{power(1 / deep[43])} at the end of"
    assert vanished in said
    history = rx.collect(ROOT / "data/digits")
    ends = history.query("kind == 'plain' and depth == 110 and seed == 0").set_index("epoch")["step"]
    assert (ends[1], ends[2]) == (22, 44), "steps 21 and 43 are the last of the first two epochs"
    after = [ratio for step, ratio in plain.items() if step >= 21]
    assert {slope(ratio) for ratio in after} == {"stays level"}
    assert slope(plain[0]) == "explodes"


def test_degradation_says_the_recorded_errors():
    said = prose("01_degradation")
    history = rx.collect(ROOT / "data/digits")
    errors = history.query("epoch == 8").groupby(["kind", "depth"])["train_error"].mean()
    wrong = [percent(errors["plain", depth]) for depth in (56, 110)]
    assert "wrong on {} of its own training images, then on {}.".format(*wrong) in said
    assert f"their error is {percent(errors['residual', 110])} at 110 layers" in said


NUMBER = r"(1/)?(\d(?:[\d,.]*\d)?)( million)?"


def said_number(pattern, said):
    """Return the number where # stands in a sentence, such as 5 million or 1/7.3."""
    (found,) = re.finditer(pattern.replace("#", NUMBER), said)
    number = float(found[2].replace(",", "")) * (1e6 if found[3] else 1)
    return 1 / number if found[1] else number


def test_gradient_flow_says_what_is_measured_there():
    """Within what rounding, and another processor, may change; after steps of training more."""
    said, lab = prose("02_gradient_flow"), GradientLab()

    def ratio(kind, depth, **given):
        return lab.flow(kind, depth, Conditions(**given)).ratio

    plain, residual = ([ratio(kind, depth) for depth in (56, 110)] for kind in ("plain", "residual"))
    evaluated = [ratio("plain", depth, mode="eval") for depth in (56, 110)]
    claim = rx.claim_curves("explosion", CLAIMS["explosion"].seeds)
    for pattern, measured in {
        r"At 56 layers the first block's is # times the last's": plain[0],
        r"first block has # times the gradient of the last": plain[1],
        r"There it is # times\.": residual[0],
        r"In the residual twin it is # times: still level": residual[1],
        r"it is # times as large at the first block, which is level": evaluated[0],
        r"\(at 110 layers # times instead of": evaluated[1],
        r"\(at 110 layers \d+ times instead of #\)": plain[1],
        r"the first block's gradient is # times the last's. Half a skip": lab.flow(
            "residual", 56, Conditions(), 0.5
        ).ratio,
        r"plain-56 has # in the recorded training": ratios("plain", 56, (0,))[0],
        r"and # in \*Claims\*": claim.number("plain ratio"),
    }.items():
        assert measured == pytest.approx(said_number(pattern, said), rel=0.15), pattern
    assert max(residual) < LEVEL
    trained, told = ratio("plain", 56, steps=10), said_number(r"about level \(#\)", said)
    assert told / 2 < trained < 2 * told
    assert slope(trained) == "stays level"
    assert "has turned over: less than a millionth is left" in said
    assert ratio("plain", 110, steps=10) < 1e-6
    assert "*Step* at 21" in said
    assert slope(ratios("plain", 56, (0,))[21]) == "stays level"
    assert ratios("plain", 110, (0,))[21] < 1e-6


def test_one_question_in_six_is_about_a_slope_that_is_level_and_3_7_is():
    lab = GradientLab()
    flows = [lab.flow(asked.kind, DEPTH, asked.given, asked.strength) for asked in PUZZLES]
    answers = [slope(flow.ratio) for flow in flows]
    assert answers == [
        "explodes", "stays level", "stays level", "stays level", "stays level", "explodes",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 3])
def test_where_nothing_grows_a_ratio_is_level(seed):
    """The reason for LEVEL: seed 3 has the largest ratio of ten."""
    measured = rx.check_claims(["eval-mode", "no-norm"], seed=seed)["measured"]
    assert {slope(ratio) for ratio in measured} == {"stays level"}


def test_skips_say_what_edits_cost():
    said = prose("06_skips")
    digits = rx.load_dataset("digits", split="test")
    networks = {kind: rx.build(f"cifar_{kind}20", weights="digits").eval() for kind in ("plain", "resnet")}

    def wrong(kind, **edit):
        with torch.no_grad(), rx.edited(networks[kind], **edit):
            answers = networks[kind](digits.normalized()).argmax(1)
        return percent(100 * int((answers != digits.labels).sum()) / len(answers))

    fifth, swapped, dial = "layer2.1", {"layer3": [0, 2, 1]}, {"*": 0.8}
    for sentence in (
        f"Without block 5 the plain network is wrong on {wrong('plain', delete=[fifth])}, as if it guessed. "
        f"The residual one is wrong on {wrong('resnet', delete=[fifth])}, "
        f"and with all blocks on {wrong('resnet')}.",
        f"the residual network that suffers: {wrong('resnet', skip={fifth: 0})}.",
        f"The plain network is wrong on {wrong('plain', order=swapped)}. "
        f"The residual one does not mind: {wrong('resnet', order=swapped)}.",
        f"*All skips ×* down to 0.8: the residual network is wrong on {wrong('resnet', skip=dial)}.",
        f"bears that better: {wrong('resnet', branch=dial)}, where the plain one is wrong on "
        f"{wrong('plain', branch=dial)}.",
    ):
        assert sentence in said
