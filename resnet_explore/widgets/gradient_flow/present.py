"""From the state of the gradient explorer to its page: skip strength, blocks, claims and questions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resnet_explore.figures.chart import Axis
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.view import Button, Choice, Menu, Over, Part, Prose, Slider, View
from resnet_explore.widgets.gradient_flow import captions, controls
from resnet_explore.widgets.gradient_flow.charts import (
    claim_chart,
    norm_axis,
    profile_chart,
    ratio_chart,
    spectra_axis,
    spectra_chart,
    way_back,
    way_back_axis,
    way_back_chart,
)
from resnet_explore.widgets.gradient_flow.claims import CLAIMS
from resnet_explore.widgets.gradient_flow.controls import TABS, Facts
from resnet_explore.widgets.gradient_flow.jobs import Measured
from resnet_explore.widgets.gradient_flow.layers import (
    norms_of,
    profile_of,
    profiles_of,
    remarks,
)
from resnet_explore.widgets.gradient_flow.questions import DEPTH, PUZZLES, puzzle_question
from resnet_explore.widgets.gradient_flow.state import KINDS, STRENGTHS, GradientFlowState

if TYPE_CHECKING:
    from resnet_explore.analysis.gradients.claims.curve import Curves


# --- skip strength ------------------------------------------------------------------------------------------


def strength_page(
    state: GradientFlowState, twins: Measured | None, measured: Mapping[float, Measured | None], facts: Facts
) -> View:
    """Return the page of skips of every strength; `measured` is {strength: ...}, twins are its ends."""
    ask = (
        controls.depth_menu(facts.depths), *controls.condition_menus(state),
        *controls.step_controls(state, menu=True), controls.more_switches(state, facts),
    )  # fmt: skip
    known = {s: found for s, found in measured.items() if found is not None}
    if twins is None or state.strength not in known:
        waiting = "One network whose skips carry a share of what they got."
        return View(tabs=TABS, ask=ask, panels=None, waiting=waiting)
    shown, given = state.shown, state.given()
    ends, guides = profiles_of(twins, shown), norms_of(twins, shown)
    norms = {s: norms_of(found, shown)["residual"] for s, found in known.items()}
    profiles = {s: profile_of(found.flows["residual"], shown) for s, found in known.items()}
    axis = norm_axis(captions.AXES[shown], [*norms.values(), *guides.values()])
    charts = {
        s: profile_chart(f"{state.depth} layers", {f"skip × {s:g}": values}, axis, profiles[s].ends, guides)
        for s, values in norms.items()
    }
    ratios = [profiles[s].ratio if s in known else float("nan") for s in STRENGTHS]
    x = Axis("strength of the skips", -0.05, 1.05, name="strength")
    over = ratio_chart(
        "First block over last block", x, STRENGTHS, {"skip": ratios},
        Over("strength", {s: s for s in STRENGTHS}), [*ratios, *(p.ratio for p in ends.values())],
    )  # fmt: skip
    headlines = {s: captions.strength_headline({**ends, "skip": profiles[s]}, s, shown) for s in known}
    waiting_words = dict.fromkeys(STRENGTHS, "Being measured ...")
    return View(
        tabs=TABS,
        ask=ask,
        headline=Over("strength", waiting_words | headlines),
        why=captions.WHY_STRENGTH,
        panels=((Charts("profiles", (Over("strength", charts), over), chooses="strength"),),),
        sliders=(
            Slider("strength", "Skip strength", tuple(Choice(s, f"{s:g}") for s in STRENGTHS), play=True),
        ),
        conditions=(
            *captions.here_conditions(given, twins.batch, facts.seed, shown),
            f"Looked at: {captions.when_words(given.steps, twins.batch)}.",
            captions.strength_conditions(state.depth),
            remarks(twins, shown)[0],
        ),
        glossary=captions.GLOSSARY,
    )


# --- block by block -----------------------------------------------------------------------------------------


def jacobian_page(
    state: GradientFlowState, measured: Mapping[int, Any], depths: Sequence[int], facts: Facts
) -> View:
    """Return the page of singular values; `measured` is {depth: what `MeasureJacobians` returns, or None}."""
    ask = (
        *controls.condition_menus(state), *controls.step_controls(state, menu=True),
        controls.more_switches(state, facts, shown=False),
    )  # fmt: skip
    known = {depth: found for depth, found in measured.items() if found is not None}
    if state.depth not in known:
        waiting = "How many times each block stretches small changes of its input."
        return View(tabs=TABS, ask=ask, panels=None, waiting=waiting)
    spectra = {d: {kind: s for kind, (s, _) in found.items()} for d, (found, _) in known.items()}
    ways = {
        d: {kind: way_back(s, flow) for kind, (s, flow) in found.items()} for d, (found, _) in known.items()
    }
    axis, back_axis = spectra_axis(list(spectra.values())), way_back_axis(list(ways.values()))
    charts = (
        *(
            Over("depth", {d: spectra_chart(kind, found[kind], axis) for d, found in spectra.items()})
            for kind in KINDS
        ),
        Over("depth", {d: way_back_chart(way, back_axis) for d, way in ways.items()}),
    )
    headlines = {
        d: captions.jacobian_headline(
            {kind: s.quantile(0.5) for kind, s in found.items()}, {kind: s.back for kind, s in found.items()}
        )
        for d, found in spectra.items()
    }
    batch, given = known[state.depth][1], state.given()
    waiting_words = dict.fromkeys(depths, "Being measured ...")
    return View(
        tabs=TABS,
        ask=ask,
        headline=Over("depth", waiting_words | headlines),
        why=captions.WHY_JACOBIAN,
        panels=(
            (Charts("spectra", charts),),
            tuple(
                Over(
                    "depth",
                    {d: Prose(f"note{k}", captions.median_note(way)[k : k + 1]) for d, way in ways.items()},
                )
                for k in range(2)
            ),
        ),
        sliders=(controls.depth_slider(depths),),
        conditions=(
            *captions.JACOBIAN_CONDITIONS,
            *captions.here_conditions(given, batch, facts.seed),
            f"Looked at: {captions.when_words(given.steps, batch)}.",
        ),
        glossary=captions.GLOSSARY,
    )


# --- claims -------------------------------------------------------------------------------------------------


def claim_page(state: GradientFlowState, curves: "Curves | None", seed: int) -> View:
    """Return the page of a paper's claim, None for one of which nothing is measured yet."""
    claim = CLAIMS[state.claim]
    ask = (Menu("claim", "Claim", tuple(Choice(name, each.label) for name, each in CLAIMS.items())),)
    if curves is None:
        return View(tabs=TABS, ask=ask, panels=None, waiting="A paper's claim, measured here and now.")
    return View(
        tabs=TABS,
        ask=ask,
        headline=f"{claim.finding(curves)}.",
        why=claim.why,
        panels=(
            (Charts("claim", (claim_chart(curves, claim),)),),
            (Prose("verdicts", tuple(claim.verdicts(curves))),),
        ),
        conditions=claim.conditions(curves, seed),
        glossary=captions.GLOSSARY,
    )


# --- guess first --------------------------------------------------------------------------------------------


def puzzle_page(state: GradientFlowState, truth: Measured | None, seed: int) -> View:
    """Return the page of a puzzle; truth is None as long as it is not measured."""
    asked, number = PUZZLES[state.question], state.question
    numbers = tuple(Choice(k, f"{k + 1} of {len(PUZZLES)}") for k in range(len(PUZZLES)))
    ask: tuple[Part, ...] = (Menu("question", "Question", numbers),)
    if number + 1 < len(PUZZLES):
        ask = (*ask, Button("next", "Next question", puts={"question": number + 1}))
    if truth is None:
        waiting = "A gradient is measured while you think."
        return View(
            tabs=TABS,
            ask=ask,
            panels=None,
            waiting=waiting,
            question=puzzle_question(number, None),
            glossary=captions.GLOSSARY,
        )
    profile = profile_of(truth.flows[asked.kind], "weight_gradient")
    norms = norms_of(truth, "weight_gradient")
    axis = norm_axis(captions.AXES["weight_gradient"], list(norms.values()))
    skip = f"Every block is F(x) + {asked.strength:g} x. " if asked.strength != 1 else ""
    question = puzzle_question(number, profile)
    return View(
        tabs=TABS,
        ask=ask,
        headline=captions.puzzle_headline(asked.text, profile),
        why=question.why,
        panels=((Charts("answer", (profile_chart(f"{DEPTH} layers, digits", norms, axis, profile.ends),)),),),
        conditions=(
            *captions.here_conditions(asked.given, truth.batch, seed, "weight_gradient"),
            f"{skip}Looked at: {captions.when_words(asked.given.steps, truth.batch)}.",
            *remarks(truth, "weight_gradient"),
        ),
        glossary=captions.GLOSSARY,
        question=question,
    )
