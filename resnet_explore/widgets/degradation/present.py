"""From the state of the degradation explorer to its page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.training.plan import KINDS
from resnet_explore.training.published import CIFAR_TEST_ERROR, IMAGENET_TOP1_ERROR
from resnet_explore.widgets.catalog.layers import OfDepth
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.view import (
    Button,
    Check,
    Choice,
    Code,
    Column,
    Group,
    Menu,
    Number,
    Over,
    Part,
    ProgressBar,
    Prose,
    Slider,
    Table,
    Tabs,
    Text,
    View,
)
from resnet_explore.widgets.degradation import captions, charts
from resnet_explore.widgets.degradation.jobs import Layers, Trained
from resnet_explore.widgets.degradation.runs import Runs
from resnet_explore.widgets.degradation.sources import YOUR_IMAGES, YOURS
from resnet_explore.widgets.degradation.state import DegradationState

if TYPE_CHECKING:
    from resnet_explore.widgets.degradation.sources import RunSource

LARGEST_SEED = 2**31 - 1

_TABS = Tabs(
    "view",
    (
        Choice("errors", "Errors", "Training error against depth, and learning curves"),
        Choice("gradients", "Gradients", "Gradient norms layer by layer, step by step"),
        Choice("responses", "Responses", "How strongly each layer answers, step by step"),
        Choice("paper", "Beside the paper", "Our numbers and those of He et al. 2015"),
    ),
)


@dataclass(frozen=True, eq=False)
class Given:
    """What a page is made of beside the state.

    sources     that can be chosen, the first is what *Train* repeats
    runs        that are shown, None where there are none
    layers      what these runs noted: by depth, a sentence on why there is nothing, or None while it is read
    ghosts      recorded runs that stand behind one's own
    trained     what was trained here on the data that are chosen, None for nothing
    training    {title: how far it is} of a training on other data that goes on
    whose       "Recorded runs" or "Trained here"
    data        what the networks were trained on, in words
    lacking     which runs of a record are missing, "" for none
    begun       whether a run that *Train* would go on with lies there
    offer       what *Train* would do, or why it can't do anything
    bad_offer   whether that says what is wrong
    why_not     why nothing can be trained here, "" where it can
    repeat      the commands that make a record again, with a sentence; () where *Train* does
    """

    sources: Sequence["RunSource"]
    runs: Runs | None = None
    layers: Layers | str | None = None
    ghosts: Runs | None = None
    trained: Trained | None = None
    training: Mapping[str, Trained] = field(default_factory=dict)
    whose: str = ""
    data: str = ""
    lacking: str = ""
    begun: bool = False
    offer: str = ""
    bad_offer: bool = False
    why_not: str = ""
    repeat: tuple[str, Sequence[str]] | tuple[()] = ()


def present(state: DegradationState, given: Given) -> View:
    """Return the page."""
    frame: dict[str, Any] = {
        "tabs": _TABS,
        "ask": _ask(state, given),
        "below": _below(state, given),
        "glossary": captions.GLOSSARY,
    }
    if given.runs is None:
        nothing = captions.LIES_THERE if given.begun else captions.NOTHING_TRAINED
        if state.data == YOURS and not state.folder.strip():
            nothing = captions.NAME_A_FOLDER
        return View(waiting=nothing, **frame)
    if not given.runs.rows and given.ghosts is None:
        return View(waiting=captions.NO_EPOCH, sliders=(_depth_slider(given.runs),), **frame)
    if state.view == "paper":
        return _paper_page(given, given.runs, frame)
    if state.view == "errors":
        return _errors_page(state, given, given.runs, frame)
    return _layers_page(state, given, given.runs, frame)


# --- above and below ----------------------------------------------------------------------------------------


def _ask(state: DegradationState, given: Given) -> Sequence[Part]:
    data = [Choice(source.key, source.title) for source in given.sources]
    menu = Menu("data", "Data", (*data, Choice(YOURS, YOUR_IMAGES)))
    if state.data == YOURS:
        path = Text(
            "folder", "Folder", "such as ~/photos", "Where your images lie, on the computer that runs Python"
        )
        return menu, path, Check("skip_unreadable", captions.LEAVE_OUT)
    runs = Choice("recorded", "Recorded"), Choice("own", "Trained here")
    return menu, Menu("runs", "Runs", runs)


def _below(state: DegradationState, given: Given) -> Sequence[Sequence[Part]]:
    going = [trained for trained in (given.trained, *given.training.values()) if trained and trained.going]
    busy, idle = (captions.IS_TRAINING, "") if going else ("", captions.NOT_TRAINING)
    controls = Group(
        "train-line",
        (
            Button(
                "train",
                "Train",
                "Train these networks here, now, or go on with them",
                missing=busy or given.why_not,
            ),
            Button("stop-training", "Stop", "Stop; finished epochs are kept", missing=idle),
            Number("seed", "Seed", 0, LARGEST_SEED, tip="All chance of a training comes from it"),
            _progress(given),
        ),
    )
    if not given.repeat:
        return ((controls,),)
    sentence, commands = given.repeat
    parts = Prose("repeat-words", (sentence,)), Code("repeat", commands)
    return (controls,), (Group("again", parts, "How these runs are made again"),)


def _progress(given: Given) -> ProgressBar:
    for title, other in given.training.items():
        if other.going:
            return ProgressBar("progress", other.share or 0.0, f"{title}: {other.sentence}")
    trained = given.trained
    if trained is None or given.offer:
        return ProgressBar("progress", None, given.offer or given.why_not, given.bad_offer)
    share = trained.share if trained.share is not None else (0.0 if trained.going else None)
    return ProgressBar("progress", share, trained.sentence, trained.failed)


def _depth_slider(runs: Runs) -> Slider:
    return Slider("depth", "Depth", tuple(Choice(depth, str(depth)) for depth in runs.depths), play=True)


# --- errors -------------------------------------------------------------------------------------------------


def _errors_page(state: DegradationState, given: Given, runs: Runs, frame: Mapping[str, Any]) -> View:
    going, first = (
        (given.trained.going, given.trained.first)
        if given.trained and runs is given.trained.runs
        else (False, {})
    )
    headlines = {d: captions.errors(runs, d, first.get(d, math.nan), going) for d in runs.depths}
    shown = runs if runs.rows else given.ghosts
    said = (
        captions.error_conditions(runs, given.whose, given.data, given.lacking, bool(given.ghosts))
        if runs.rows
        else ()
    )
    return View(
        headline=Over("depth", headlines),
        why=captions.TWINS_WHY,
        panels=((Charts("errors", charts.error_charts(runs, given.ghosts, going), chooses="depth"),),),
        sliders=(_depth_slider(runs),),
        conditions=said if shown is runs else (captions.GHOSTS,),
        question=_question(state, runs) if state.runs == "recorded" else None,
        **frame,
    )


def _question(state: DegradationState, runs: Runs) -> Question | None:
    """Return what is asked about recorded runs, if they were trained at several depths."""
    ends = runs.depths[0], runs.depths[-1]
    plain, residual = ([runs.mean(kind, depth) for depth in ends] for kind in KINDS)
    if ends[0] == ends[1] or not np.isfinite([*plain, *residual]).all():
        return None
    rise = plain[1] - plain[0]
    return Question(
        f"degradation/training-error/{state.data}",
        captions.deeper_question(*ends),
        tuple(Choice(*pair) for pair in captions.DEEPER.items()),
        "same" if abs(rise) <= captions.SAME else "rises" if rise > 0 else "falls",
        captions.DEEPER_RULE,
        captions.deeper_told(*ends, plain, residual),
        captions.DEEPER_WHY if rise > captions.SAME else captions.TWINS_WHY,
        captions.DEEPER_REPLIES if rise > captions.SAME else {},
    )


# --- layers -------------------------------------------------------------------------------------------------


def stops(steps: Sequence[int], value: int) -> dict[int, int]:
    """Return {value of the state: step} for a slider over steps.

    The state's own value stands for the nearest step, and -1 for the last one.
    """
    if not steps:
        return {}
    last = steps[-1]
    nearest = last if value == -1 else min(steps, key=lambda step: abs(step - value))
    return {value if step == nearest else -1 if step == last else step: step for step in steps}


def _layers_page(state: DegradationState, given: Given, runs: Runs, frame: Mapping[str, Any]) -> View:
    layers, depths = given.layers, _depth_slider(runs)
    if layers is None:
        return View(panels=None, waiting=captions.READING_LAYERS, sliders=(depths,), **frame)
    if isinstance(layers, str) or not layers:
        waiting = layers if isinstance(layers, str) else captions.no_layers_of(state.depth)
        return View(waiting=waiting, sliders=(depths,), **frame)
    name = "gradient_step" if state.view == "gradients" else "response_step"
    at = stops(sorted({step for found in layers.values() for step in found.steps}), getattr(state, name))
    ends = {int(row["step"]): int(row["epoch"]) for row in runs.rows}
    steps = tuple(Choice(value, f"{step:,}", captions.moment(step, ends)) for value, step in at.items())
    shown = {depth: _layers_of(state.view, depth, layers.get(depth), at) for depth in runs.depths}
    said = (given.whose, given.data, given.lacking)
    return View(
        headline=Over("depth", {depth: headline for depth, (_, headline) in shown.items()}),
        why=captions.GRADIENTS_WHY if state.view == "gradients" else captions.RESPONSES_WHY,
        panels=((Over("depth", {depth: panel for depth, (panel, _) in shown.items()}),),),
        sliders=(depths, Slider(name, "Step", steps, play=True)),
        conditions=Over(
            "depth",
            {d: captions.layer_conditions(runs, layers.get(d), state.view, *said) for d in runs.depths},
        ),
        **frame,
    )


def _layers_of(view: str, depth: int, found: OfDepth | None, at: Mapping[int, int]) -> tuple[Part, Any]:
    """Return the panel and the headline of a depth; `at` maps the slider's values to steps."""
    if found is None:
        sentence = captions.no_layers_of(depth)
        return Prose("layers-none", (sentence,)), sentence
    if view == "gradients":
        panel = Charts("gradients", (charts.gradient_chart(found, at),))
        ratios = {
            value: {kind: charts.first_over_last(found, kind, step) for kind in KINDS}
            for value, step in at.items()
        }
        headlines = {value: captions.gradient(depth, at[value], each) for value, each in ratios.items()}
        return panel, Over("gradient_step", headlines)
    panel = Charts("responses", charts.response_charts(found, at))
    headlines = {
        value: captions.response(depth, step, charts.mean_responses(found, step))
        for value, step in at.items()
    }
    return panel, Over("response_step", headlines)


# --- beside the paper ---------------------------------------------------------------------------------------

_COLUMNS = (
    Column("Depth", 0, tip="Layers with weights"),
    Column("Error, in %, of"),
    Column("Plain", 2, twin="plain"),
    Column("± plain", 2, tip="Standard deviation over seeds"),
    Column("Residual", 2, twin="residual"),
    Column("± residual", 2, tip="Standard deviation over seeds"),
    Column("Seeds"),
)
_THEIRS = "He et al."


def _paper_page(given: Given, runs: Runs, frame: Mapping[str, Any]) -> View:
    rows = [*_ours(runs), *_theirs()]
    places = {depth: tuple(k for k, row in enumerate(rows) if row[0] == depth) for depth in runs.depths}
    shaded = [k for k, row in enumerate(rows) if row[1].startswith(_THEIRS)]
    return View(
        headline=captions.beside(runs) if runs.rows else captions.no_layers_of(runs.depths[0]),
        why=captions.PAPER_WHY,
        panels=((Table("paper", _COLUMNS, rows, "sort", Over("depth", places), shaded),),),
        sliders=(_depth_slider(runs),),
        conditions=captions.paper_conditions(runs, given.whose, given.data, given.lacking)
        if runs.rows
        else (),
        **frame,
    )


def _ours(runs: Runs) -> list[tuple[Any, ...]]:
    rows = []
    for depth in runs.depths:
        counts = {kind: int(np.isfinite(runs.final(kind)[runs.depths.index(depth)]).sum()) for kind in KINDS}
        seeds = str(counts["plain"])
        if counts["plain"] != counts["residual"]:
            seeds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        for split, words in (("train", "Ours, training"), ("test", "Ours, test")):
            numbers = [f(kind, depth, split) for kind in KINDS for f in (runs.mean, runs.deviation)]
            rows.append((depth, words, *map(_known, numbers), seeds))
    return rows


def _theirs() -> list[tuple[Any, ...]]:
    imagenet = [
        (depth, f"{_THEIRS}, ImageNet (Table 2)", errors["plain"], None, errors["residual"], None, None)
        for depth, errors in IMAGENET_TOP1_ERROR.items()
    ]
    cifar = [
        (
            depth,
            f"{_THEIRS}, CIFAR-10 (Table 6)",
            None,
            None,
            error,
            None,
            "best of 5" if depth == 110 else None,
        )
        for depth, error in CIFAR_TEST_ERROR.items()
    ]
    return [*imagenet, *cifar]


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
