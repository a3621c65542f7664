"""From an edit and what came of it to the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from resnet_explore.widgets.catalog.networks import Networks
from resnet_explore.widgets.core.cuts_panel import Cuts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.outcome_panel import OutcomeBar, OutcomeBars, Side
from resnet_explore.widgets.core.view import (
    Button,
    Choice,
    Group,
    Menu,
    Over,
    Part,
    Prose,
    Slider,
    Tabs,
    View,
)
from resnet_explore.widgets.skips import captions, effects, inside, studies, training
from resnet_explore.widgets.skips.drawing import drawn
from resnet_explore.widgets.skips.edit import UNEDITED, Edit
from resnet_explore.widgets.skips.jobs import DIAL, Outcome, Outcomes
from resnet_explore.widgets.skips.lab import OpenTwins
from resnet_explore.widgets.skips.state import SkipState

_TABS = Tabs(
    "view",
    (
        Choice("edit", "Cut and turn", "Take blocks out, cut skips, turn them down, and watch the answer"),
        Choice("inside", "Inside a block", "x, F(x) and x + F(x) as pictures"),
        Choice("effects", "What it does", "Gradients, heatmaps and feature maps before and after"),
        Choice("studies", "Many edits", "Errors against what was taken out, moved or turned down"),
        Choice("training", "While training", "Skips that change while a network learns"),
    ),
)
# What the first question is about: who has changed one of them is past it.
_ASKED = ("networks", "depth", "deleted", "cut", "order", "skip", "branch")
_LOOKING = ("edit", "inside", "effects")  # at one image
_ANSWERS = 3  # so many are shown of each network


@dataclass(frozen=True)
class Findings:
    """What is known of the present networks and edit.

    twins    None as long as they are being loaded
    now      what came of the edit, None as long as that is not known
    before   what the networks do without one, None as long as that is not known
    turned   for each dial that was tried, the outcomes by its values
    image    what the image is, in words
    picture  the image itself, bytes of a PNG
    undo     whether something can be undone
    found    what else was computed for the view, by name
    """

    twins: OpenTwins | None
    now: Outcomes | None = None
    before: Outcomes | None = None
    turned: Mapping[str, Mapping[float, Outcomes]] = field(default_factory=dict)
    image: str = ""
    picture: bytes = b""
    undo: bool = False
    found: Mapping[str, Any] = field(default_factory=dict)


def present(
    state: SkipState, entries: Mapping[str, Networks], images: Sequence[Part], scene: Findings
) -> View:
    """Return the page of the view that is open."""
    menu = Menu("networks", "Networks", tuple(Choice(e.key, e.label, e.tip) for e in entries.values()))
    ask = ([menu] if len(entries) > 1 else []) + (list(images) if state.view in _LOOKING else [])
    if state.view == "training":  # recorded of one depth of the digits, whatever is looked at elsewhere
        return replace(training_view(scene), tabs=_TABS, glossary=captions.GLOSSARY)
    depths = depth_slider(entries[state.networks].depths)
    twins = scene.twins
    if twins is None:
        asked = _out_question(state, None) if state.view == "edit" else None
        return View(
            tabs=_TABS,
            ask=ask,
            panels=None,
            waiting=captions.WAITING,
            sliders=depths,
            question=asked,
            glossary=captions.GLOSSARY,
        )
    view = _VIEWS[state.view](state, scene, twins)
    return replace(
        view, tabs=_TABS, ask=[*ask, *view.ask], sliders=[*view.sliders, *depths], glossary=captions.GLOSSARY
    )


def depth_slider(depths: Sequence[int]) -> tuple[Slider, ...]:
    """Return the slider of depths, none where there is no choice."""
    stops = tuple(Choice(depth, str(depth)) for depth in depths)
    return (Slider("depth", "Layers", stops),) if stops else ()


# --- cut and turn -------------------------------------------------------------------------------------------


def edit_view(state: SkipState, scene: Findings, twins: OpenTwins) -> View:
    """Return the page on which the networks are edited."""
    edit = Edit.of(state)
    names = [network.name for network in twins.networks]
    tests = "" if twins.held_out is None else twins.held_out.about
    cited = [network.cited for network in twins.networks]
    sliders = (dial("skip", "All skips ×", state.skip), dial("branch", "All branches ×", state.branch))
    question = _out_question(state, scene.now)
    if scene.now is None:
        return View(panels=None, sliders=sliders, waiting=captions.WAITING, question=question)

    skips = [any(block.skip for block in blocks) for blocks in twins.blocks]

    def headline(value: tuple[float, float], outcomes: Outcomes) -> str:
        changed = edit.at("skip", value[0]).at("branch", value[1])
        firsts = [twins.called(int(o.shares.argmax())) if o.shares is not None else "?" for o in outcomes]
        return captions.headline(
            changed, names, [o.error for o in outcomes], firsts, [len(o.stays) for o in outcomes], skips
        )

    both = over_dials(state, scene, lambda _, outcomes: sides(twins, outcomes, scene.before))
    asked = f"Answers to {scene.image}"
    bars = OutcomeBars("outcome", both, asked, scene.picture, state.image, twins.missing)
    return View(
        headline=over_dials(state, scene, headline),
        why=captions.why(edit),
        panels=((cuts_of(state, twins),), (tools(state, scene.undo),), (bars,)),
        sliders=sliders,
        conditions=captions.edit_conditions(names, cited, tests, twins.missing),
        question=question,
    )


def _out_question(state: SkipState, now: Outcomes | None) -> Question | None:
    """Return the question that the first edit answers; there is none about others."""
    asked = [getattr(state, name) for name in _ASKED]
    if asked != [getattr(SkipState(), name) for name in _ASKED]:
        return None
    right, told = None, ""
    if now is not None:
        plain, residual = (outcome.error for outcome in now)
        fails = plain > captions.FAILS, residual > captions.FAILS
        right = {(True, False): "plain", (False, True): "residual", (True, True): "both"}.get(
            fails, "neither"
        )
        told = captions.out_told(state.deleted[0], plain, residual)
    return Question(
        f"skips/block-{state.deleted[0]}-out/{state.networks}-{state.depth}",
        captions.out_question(state.depth, state.deleted[0]),
        tuple(Choice(*pair) for pair in captions.OUT_ANSWERS.items()),
        right,
        captions.OUT_RULE,
        told,
        captions.WHY["deleted"],
        captions.OUT_REPLIES,
    )


def cuts_of(state: SkipState, twins: OpenTwins, errors: Sequence[np.ndarray] = ()) -> Cuts:
    """Return both networks' blocks, to be edited; `errors` are those without each block."""
    return Cuts("cuts", drawn(twins, errors), state.deleted, state.cut, state.order)


def over_dials(
    state: SkipState, scene: Findings, make: Callable[[tuple[float, float], Outcomes], Any]
) -> Any:
    """Return what is shown at each stop of the dials, as far as both have been tried.

    From where they stand either dial can be turned: who turns both is answered by the kernel.
    """
    here = make((state.skip, state.branch), scene.now) if scene.now is not None else None
    skips, branches = scene.turned.get("skip", {}), scene.turned.get("branch", {})
    at_skip: Any = here
    if branches:
        each = {b: make((state.skip, b), o) for b, o in branches.items()}
        at_skip = Over("branch", {**each, state.branch: here})
    if not skips:
        return at_skip
    each = {s: make((s, state.branch), o) for s, o in skips.items()}
    return Over("skip", {**each, state.skip: at_skip})


def dial(key: str, label: str, now: float) -> Slider:
    """Return a dial from 0 to 1.5; where it stands it can stop, too."""
    stops = tuple(Choice(value, f"{value:g}") for value in sorted({*DIAL, now}))
    return Slider(key, label, stops)


def tools(state: SkipState, undo: bool) -> Group:
    """Return what undoes, resets and surprises."""
    nothing = "" if not Edit.of(state).nothing else "nothing is changed"
    buttons = (
        Button("undo", "Undo", "Take the last change back", missing="" if undo else "nothing to undo"),
        Button("reset", "Reset", "Both networks as they were trained", nothing, UNEDITED),
        Button("surprise", "Surprise me", "Change something at random"),
    )
    return Group("tools", buttons)


def sides(twins: OpenTwins, outcomes: Outcomes, before: Outcomes | None) -> tuple[Side, ...]:
    """Return what each network does, beside what it did before."""
    return tuple(
        _side(twins, network.name, network.kind, now, before[k] if before else None)
        for k, (network, now) in enumerate(zip(twins.networks, outcomes, strict=True))
    )


def _side(twins: OpenTwins, name: str, color: str, now: Outcome, before: Outcome | None) -> Side:
    error = None
    if now.of:
        low, high = now.interval
        error = OutcomeBar(
            "Error",
            now.error / 100,
            captions.error_text(now.wrong, now.of),
            low / 100,
            high / 100,
            before.error / 100 if before is not None and before.of else None,
        )
    return Side(name, color, error, tuple(_answers(twins, now, before)), captions.stays_note(now.stays))


def _answers(twins: OpenTwins, now: Outcome, before: Outcome | None) -> list[OutcomeBar]:
    if now.shares is None:
        return []
    was = before.shares if before is not None else None
    found = []
    for k in np.argsort(-now.shares, kind="stable")[:_ANSWERS]:
        share = float(now.shares[k])
        found.append(
            OutcomeBar(
                twins.called(int(k)),
                share,
                f"{100 * share:.0f} %",
                before=None if was is None else float(was[k]),
            )
        )
    return found


# --- inside a block -----------------------------------------------------------------------------------------


def inside_view(state: SkipState, scene: Findings, twins: OpenTwins) -> View:
    """Return the page that shows a block's sum."""
    sums = scene.found.get("sums")
    if sums is None:
        return View(panels=None, waiting=captions.WAITING)
    return View(
        headline=inside.headlines(Edit.of(state), twins, sums),
        why=captions.WHY["inside"],
        panels=((inside.pictures(state, twins, sums),),),
        sliders=(*inside.sliders(state, sums), dial("skip", "All skips ×", state.skip)),
        below=((replace(cuts_of(state, twins), looked="block"),), (tools(state, scene.undo),)),
        conditions=captions.INSIDE_CONDITIONS,
    )


# --- before and after ---------------------------------------------------------------------------------------


def effects_view(state: SkipState, scene: Findings, twins: OpenTwins) -> View:
    """Return the page that compares before and after."""
    menu = Menu("effect", "Compare", tuple(Choice(*pair) for pair in captions.EFFECTS.items()))
    shown = _effect(state, scene, twins)
    below = ((cuts_of(state, twins),), (tools(state, scene.undo),))
    if shown is None:
        return View(ask=(menu,), panels=None, below=below, waiting=captions.WAITING)
    headline, panel, sliders = shown
    return View(
        ask=(menu,),
        headline=headline,
        why=captions.WHY["effects"],
        panels=((panel,),),
        sliders=sliders,
        below=below,
        conditions=captions.EFFECT_CONDITIONS[state.effect],
    )


def _effect(state: SkipState, scene: Findings, twins: OpenTwins) -> tuple[Any, Part, Sequence[Part]] | None:
    before, after = scene.found.get("before"), scene.found.get("after")
    if before is None or after is None:
        return None
    if state.effect == "gradients":
        if not before:
            return captions.NO_TESTS, Prose("nothing", (captions.NO_TESTS,)), ()
        told = effects.gradient_headline(twins, before, after)
        return told, effects.gradient_charts(twins, before, after), ()
    if state.effect == "heatmaps":
        shown = effects.heat(twins, before, after, scene.picture, state.image)
        return effects.heat_headline(twins, before, after), shown, ()
    said = effects.map_headlines(twins, before, after)
    return said, effects.map_pictures(state, twins, before, after), inside.sliders(state, after)


# --- many edits ---------------------------------------------------------------------------------------------


def studies_view(state: SkipState, scene: Findings, twins: OpenTwins) -> View:
    """Return the page of errors after many edits."""
    menu = Menu("study", "Show", tuple(Choice(*pair) for pair in captions.STUDIES.items()))
    found = _each(state, scene, twins) if state.study == "each" else _study(state, scene)
    view = View(panels=None, waiting=captions.WAITING) if found is None else found
    conditions = captions.STUDY_CONDITIONS[state.study]
    return replace(view, ask=(menu, *view.ask), why=captions.WHY["studies"], conditions=conditions)


def _each(state: SkipState, scene: Findings, twins: OpenTwins) -> View:
    table = scene.found.get("studies")
    errors = scene.found.get("singles")
    if table is None or errors is None:
        return View(panels=None, waiting=captions.WAITING, question=_worst_question(state, twins))
    told = list(errors)
    if np.isnan(told[-1]).all() and "lesions" in table:  # without test images what was recorded is shown
        told = studies.singles(table["lesions"], twins)
    if np.isnan(told[-1]).all():
        return View(headline=captions.NO_STUDY, panels=((Prose("nothing", (twins.missing,)),),))
    worst = studies.worst(told[-1])
    error = float(told[-1][worst - 1])
    medians = [float(np.nanmedian(own)) for own in told]
    headline = captions.each_headline([n.name for n in twins.networks], medians, worst, error)
    said = captions.worst_told(twins.networks[-1].name, worst, error, medians[-1])
    asked = _worst_question(state, twins, worst, said)
    return View(headline=headline, panels=((cuts_of(state, twins, told),),), question=asked)


def _worst_question(
    state: SkipState, twins: OpenTwins, right: int | None = None, told: str = ""
) -> Question | None:
    usual, name = SkipState(), twins.networks[-1].name
    if (state.networks, state.depth) != (usual.networks, usual.depth):
        return None  # who moves through depths is not asked at each of them
    return Question(
        f"skips/worst-block/{name}",
        captions.worst_question(name),
        tuple(Choice(k, f"block {k}") for k in range(1, twins.count + 1)),
        right,
        captions.WORST_RULE,
        told,
        captions.WHY["worst"],
    )


def _study(state: SkipState, scene: Findings) -> View | None:
    tables = scene.found.get("studies")
    if tables is None:
        return None
    if state.study == "paths":
        if "paths" not in tables:
            return View(headline=captions.NO_PATHS, panels=((Prose("nothing", (captions.NO_PATHS,)),),))
        table = tables["paths"]
        return View(headline=studies.paths_headline(table), panels=((studies.paths(table),),))
    table = tables.get("lesions")
    if table is None or (state.study in ("count", "order") and studies.rows_of(table, state.study).empty):
        return View(headline=captions.NO_STUDY, panels=((Prose("nothing", (captions.NO_STUDY,)),),))
    chart = (
        studies.dials(table)
        if state.study == "dial"
        else studies.swept(table, state.study, scene.now, Edit.of(state))
    )
    return View(headline=studies.study_headline(state.study, table), panels=((chart,),))


def training_view(scene: Findings) -> View:
    """Return the page of skips that change while a network learns."""
    table = scene.found.get("training")
    if table is None:
        return View(panels=None, waiting=captions.WAITING)
    return View(
        headline=training.headline(table),
        why=captions.WHY["training"],
        panels=((training.curves(table),),),
        conditions=training.conditions(table),
    )


_VIEWS: Mapping[str, Callable[[SkipState, Findings, OpenTwins], View]] = {
    "edit": edit_view,
    "inside": inside_view,
    "effects": effects_view,
    "studies": studies_view,
}
