"""Gradients layer by layer: of twins measured here, of recorded trainings, and of a person's own networks."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.profiles import Profile, read_profile
from resnet_explore.figures.chart import Axis, Chart
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.matrix_panel import Matrices, Matrix
from resnet_explore.widgets.core.view import Choice, Over, Slider, View
from resnet_explore.widgets.gradient_flow import captions, controls
from resnet_explore.widgets.gradient_flow.charts import (
    norm_axis,
    profile_chart,
    ratio_chart,
    title_of,
    waiting_chart,
)
from resnet_explore.widgets.gradient_flow.controls import TABS, Facts
from resnet_explore.widgets.gradient_flow.jobs import Measured, said_together
from resnet_explore.widgets.gradient_flow.questions import first_question
from resnet_explore.widgets.gradient_flow.state import KINDS, GradientFlowState

if TYPE_CHECKING:
    from resnet_explore.analysis.gradients.flow import GradientFlow
    from resnet_explore.widgets.gradient_flow.recording import Recording

FIELDS = {
    "weight_gradient": "weight_gradient_norms",
    "activation_gradient": "activation_gradient_norms",
    "activation": "activation_norms",
    "weight": "weight_norms",
    "relative_gradient": "relative_gradients",
}
RATIO = "First block over last block"
WAITING = "Gradient norms of plain and residual twins, layer by layer."


def norms_of(measured: Measured, shown: str) -> dict[str, np.ndarray]:
    """Return what is drawn of each network, (layers,)."""
    return {kind: getattr(flow, FIELDS[shown]) for kind, flow in measured.flows.items()}


def profile_of(flow: "GradientFlow", shown: str) -> Profile:
    """Return what the norms that are shown come to."""
    field = FIELDS[shown]
    return read_profile(getattr(flow, field), flow.alike, flow.part_norms(field))


def profiles_of(measured: Measured, shown: str) -> dict[str, Profile]:
    """Return what the norms of each network come to."""
    return {kind: profile_of(flow, shown) for kind, flow in measured.flows.items()}


def troubles_of(measured: Measured) -> dict[str, str]:
    """Return in a few words what is wrong with the numbers of each network, "" for nothing."""
    return {kind: captions.trouble_words(f, measured.broke.get(kind)) for kind, f in measured.flows.items()}


def remarks(measured: Measured, shown: str) -> tuple[str, ...]:
    """Return the conditions that hold at one position: what is compared, and what is amiss."""
    profiles = profiles_of(measured, shown)
    said = list(dict.fromkeys(captions.compared(profile, shown) for profile in profiles.values()))
    if len(said) > 1:
        said = [f"{name}: {captions.compared(profile, shown)}" for name, profile in profiles.items()]
    said.append(captions.between(profiles))
    said += [captions.trouble_sentence(n, f, measured.broke.get(n)) for n, f in measured.flows.items()]
    said += captions.frozen_words(measured.flows)
    said += [f"Not shown: {sentence}" for sentence in said_together(measured.lacking)]
    return (" ".join(filter(None, said)),)


def _ends(profiles: Mapping[str, Profile]) -> list[tuple[int, ...]]:
    """Return the layers to be shaded: the ends of the first network that has some."""
    return list(next((p.ends for p in profiles.values() if p.ends), ()))


def _ratio(profile: Profile) -> float:
    return profile.ratio if profile.outcome == "ratio" else float("nan")


# --- twins, measured here -----------------------------------------------------------------------------------


def here_page(
    state: GradientFlowState, measured: Mapping[tuple[int, int], Measured | None], facts: Facts
) -> View:
    """Return the page of the twins; `measured` is {(depth, step): ...}, None for what is to come."""
    ask = (
        controls.source_menu(facts), *controls.condition_menus(state), *controls.step_controls(state),
        controls.more_switches(state, facts),
    )  # fmt: skip
    known = {at: found for at, found in measured.items() if found is not None}
    asked = _question(state, known, facts)
    if not any(step == state.step for _, step in known):
        return View(
            tabs=TABS, ask=ask, panels=None, waiting=WAITING, question=asked, glossary=captions.GLOSSARY
        )
    shown, steps = state.shown, sorted({step for _, step in measured})
    profiles = {at: profiles_of(found, shown) for at, found in known.items()}

    def everywhere(make: Callable[[Measured, tuple[int, int]], Any], missing: Callable[[int], Any]) -> Over:
        """Return what is made of each position, and what stands where nothing is measured yet."""
        return _over(facts.depths, steps, lambda at: make(known[at], at) if at in known else missing(at[0]))

    axis = norm_axis(
        captions.AXES[shown], [v for found in known.values() for v in norms_of(found, shown).values()]
    )
    charts = everywhere(
        lambda found, at: profile_chart(f"{at[0]} layers", norms_of(found, shown), axis, _ends(profiles[at])),
        lambda depth: waiting_chart(axis, depth),
    )
    given, batch = state.given(), known[next(iter(known))].batch
    both: tuple[Any, ...] = (charts,)
    if len(facts.depths) > 1:
        both = (charts, _depth_ratios(profiles, facts.depths, steps))
    return View(
        tabs=TABS,
        ask=ask,
        headline=everywhere(
            lambda found, at: captions.headline(profiles[at], troubles_of(found), shown),
            lambda depth: f"Measuring {depth} layers ...",
        ),
        why=Over("step", {step: captions.why(state.given(step), shown) for step in steps}),
        panels=((Charts("profiles", both, chooses="depth"),),),
        sliders=(controls.depth_slider(facts.depths), *controls.step_sliders(state)),
        conditions=(
            *captions.here_conditions(given, batch, facts.seed, shown),
            Over("step", {step: f"Looked at: {captions.when_words(step, batch)}." for step in steps}),
            everywhere(lambda found, at: remarks(found, shown)[0], lambda _: "Not measured yet."),
        ),
        glossary=captions.GLOSSARY,
        question=asked,
    )


def _question(
    state: GradientFlowState, known: Mapping[tuple[int, int], Measured], facts: Facts
) -> Question | None:
    """Return the question that comes first, None once other gradients are looked at."""
    if state.given(0) != Conditions() or state.shown != "weight_gradient":
        return None
    depth = facts.usual_depth
    found = known.get((depth, 0))
    return first_question(depth, None if found is None else profiles_of(found, state.shown))


def _over(depths: Sequence[int], steps: Sequence[int], make: Callable[[tuple[int, int]], Any]) -> Over:
    return Over("depth", {d: Over("step", {s: make((d, s)) for s in steps}) for d in depths})


def _depth_ratios(
    profiles: Mapping[tuple[int, int], Mapping[str, Profile]], depths: Sequence[int], steps: Sequence[int]
) -> Over:
    """Return the ratios over depth, a chart for each step."""
    x = Axis.around("depth (layers with weights)", depths, name="depth", whole=True)

    def ratios(step: int) -> dict[str, list[float]]:
        empty = Profile("no ratio")
        at = [profiles.get((depth, step), {}) for depth in depths]
        return {kind: [_ratio(found.get(kind, empty)) for found in at] for kind in KINDS}

    by_step = {step: ratios(step) for step in steps}
    every = [value for found in by_step.values() for values in found.values() for value in values]
    chosen = Over("depth", {depth: depth for depth in depths})
    return Over(
        "step", {s: ratio_chart(RATIO, x, depths, found, chosen, every) for s, found in by_step.items()}
    )


# --- recorded trainings -------------------------------------------------------------------------------------


def record_page(state: GradientFlowState, recording: "Recording | None", facts: Facts) -> View:
    """Return the page of a recorded training, None for one that is being read."""
    ask = (controls.source_menu(facts), controls.picture_menu())
    if recording is None:
        return View(tabs=TABS, ask=ask, panels=None, waiting=WAITING)
    if state.picture == "heatmap":
        return _heatmap_page(ask, recording)
    depths, steps = recording.depths, [int(step) for step in recording.steps[state.depth]]
    label = captions.AXES["weight_gradient"]
    axes = {d: norm_axis(label, [v.ravel() for v in recording.norms[d].values()]) for d in depths}

    def everywhere(make: Callable[[int, int], Any]) -> Over:
        return Over(
            "depth",
            {d: Over("step", {int(s): make(d, k) for k, s in enumerate(recording.steps[d])}) for d in depths},
        )

    profiles = {d: _recorded_profiles(recording, d) for d in depths}
    charts = everywhere(
        lambda d, k: profile_chart(
            f"{d} layers, step {recording.steps[d][k]:,}",
            {kind: norms[k] for kind, norms in recording.norms[d].items()},
            axes[d],
            _ends(profiles[d][k]),
        )
    )
    return View(
        tabs=TABS,
        ask=ask,
        headline=everywhere(
            lambda d, k: captions.headline(profiles[d][k], {}, "weight_gradient", int(recording.steps[d][k]))
        ),
        why=Over("step", {step: captions.record_why(step) for step in steps}),
        panels=((Charts("profiles", (charts, _step_ratios(recording, profiles))),),),
        sliders=(
            controls.depth_slider(depths),
            Slider("step", "Step", tuple(Choice(step, f"{step:,}") for step in steps), play=True),
        ),
        conditions=(
            *captions.record_conditions(recording),
            everywhere(
                lambda d, k: " ".join(
                    filter(
                        None,
                        (
                            captions.compared(profiles[d][k]["plain"], "weight_gradient"),
                            captions.between(profiles[d][k]),
                        ),
                    )
                )
            ),
        ),
        glossary=captions.GLOSSARY,
    )


def _recorded_profiles(recording: "Recording", depth: int) -> list[dict[str, Profile]]:
    """Return what the norms of each step come to."""
    alike = recording.alike[depth]
    return [
        {
            kind: read_profile(norms[k], alike, alike.norms(norms[k]))
            for kind, norms in recording.norms[depth].items()
        }
        for k in range(len(recording.steps[depth]))
    ]


def _step_ratios(recording: "Recording", profiles: Mapping[int, Sequence[Mapping[str, Profile]]]) -> Over:
    """Return the ratios over the noted steps, a chart for each depth; steps stand at equal distances."""
    found = {
        depth: {kind: [_ratio(at[kind]) for at in by_step] for kind in KINDS}
        for depth, by_step in profiles.items()
    }

    def chart(depth: int) -> Chart:
        every = [value for values in found[depth].values() for value in values]
        steps = recording.steps[depth]
        at = np.arange(len(steps))
        ticks = tuple((float(k), f"{step:,}") for k, step in enumerate(steps))
        x = Axis("noted step of SGD", -0.4, len(steps) - 0.6, name="step", ticks=ticks)
        chosen = Over("step", {int(step): k for k, step in enumerate(steps)})
        return ratio_chart(RATIO, x, at, found[depth], chosen, every)

    return Over("depth", {depth: chart(depth) for depth in recording.depths})


def _heatmap_page(ask: Any, recording: "Recording") -> View:
    """Return all noted steps of a recorded training as one image a twin, at each depth."""
    every = np.concatenate([v.ravel() for twins in recording.norms.values() for v in twins.values()])
    # A handful of numbers of the deepest network reach so far that all others would look alike.
    low, high = (10 ** math.floor(math.log10(v)) for v in np.nanquantile(every[every > 0], (0.01, 0.99)))
    panels, headlines, compared = {}, {}, {}
    for depth in recording.depths:
        steps, ratios = recording.steps[depth], {}
        names = [f"{step:,}" for step in steps]
        for kind in KINDS:
            parts = recording.parts(depth, kind)
            ratios[kind] = parts[:, 0] / parts[:, -1]
        maps = [
            Matrix(title_of(k), v.T.astype(np.float32), names, k) for k, v in recording.norms[depth].items()
        ]
        label = captions.AXES["weight_gradient"]
        panels[depth] = Matrices("steps", maps, max(low, high * 1e-7), high * 10.0, label, "step", "layer")
        headlines[depth] = captions.heatmap_headline(steps, ratios)
        compared[depth] = captions.compared(
            _recorded_profiles(recording, depth)[0]["plain"], "weight_gradient"
        )
    return View(
        tabs=TABS,
        ask=ask,
        headline=Over("depth", headlines),
        why=captions.record_why(1),
        panels=((Over("depth", panels),),),
        sliders=(controls.depth_slider(recording.depths),),
        conditions=(
            *captions.record_conditions(recording),
            "A column is a noted step, however far the next. One scale of colours for all depths.",
            Over("depth", compared),
        ),
        glossary=captions.GLOSSARY,
    )


# --- own networks -------------------------------------------------------------------------------------------


def own_page(state: GradientFlowState, measured: Mapping[int, Measured | None], facts: Facts) -> View:
    """Return the page of a person's own networks; `measured` is {step: what was measured}."""
    mode, *_ = controls.condition_menus(state)
    ask = (mode, *controls.step_controls(state), controls.more_switches(state, facts))
    known = {step: found for step, found in measured.items() if found is not None}
    if state.step not in known:
        return View(ask=ask, panels=None, waiting="Gradient norms of your networks, layer by layer.")
    shown, batch = state.shown, known[state.step].batch
    profiles = {step: profiles_of(found, shown) for step, found in known.items()}
    axis = norm_axis(
        captions.AXES[shown], [v for found in known.values() for v in norms_of(found, shown).values()]
    )

    def everywhere(make: Callable[[Measured, int], Any], missing: Any) -> Over:
        return Over("step", {s: make(known[s], s) if s in known else missing for s in measured})

    layers = max(len(flow.names) for flow in known[state.step].flows.values())
    charts = everywhere(
        lambda found, step: profile_chart(
            f"Step {step}", norms_of(found, shown), axis, _ends(profiles[step])
        ),
        waiting_chart(axis, layers),
    )
    return View(
        ask=ask,
        headline=everywhere(
            lambda found, step: captions.own_headline(profiles[step], troubles_of(found), shown, step),
            "Measuring ...",
        ),
        why=captions.WHY_OWN,
        panels=((Charts("profiles", (charts,)),),),
        sliders=controls.step_sliders(state),
        conditions=(
            *captions.own_conditions(state.given(), batch, facts.seed, shown, facts.known),
            Over("step", {step: f"Looked at: {captions.when_words(step, batch)}." for step in measured}),
            everywhere(lambda found, step: remarks(found, shown)[0], "Not measured yet."),
        ),
        glossary=captions.GLOSSARY,
    )
