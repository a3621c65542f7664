"""From the state of the playground and how far its race is to the page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.view import (
    Button,
    Choice,
    Column,
    Group,
    Menu,
    More,
    Number,
    Over,
    Part,
    Slider,
    Table,
    Text,
    View,
)
from resnet_explore.widgets.playground import captions
from resnet_explore.widgets.playground.charts import race_charts
from resnet_explore.widgets.playground.curves import (
    batch_error_at,
    error_at,
    gradients_at,
    loss_at,
    places,
)
from resnet_explore.widgets.playground.rows import MOST, Skips, first_skips, network_rows
from resnet_explore.widgets.playground.state import DATA, MOST_STEPS, NOW, OPENING, PlaygroundState

if TYPE_CHECKING:
    from resnet_explore.widgets.playground.jobs import Standing

RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_BATCHES = (16, 32, 64, 128, 256)
_COLUMNS = (
    Column("network"),
    Column("held-out error (%)", 1, tip="Of images that it is not trained on, in eval mode"),
    Column("place", tip="By held-out error; level: closer than two standard errors"),
    Column("training loss", 3, tip="Mean of the last five batches"),
    Column("training error (%)", 1, tip="Of the last five batches"),
    Column("gradients", tip="The largest layer's over the smallest's"),
    Column("skips"),
)


def present(state: PlaygroundState, standing: "Standing | None", here: bool) -> View:
    """Return the page; `here` says whether CIFAR-10 lies on this computer."""
    skips = state.skips or first_skips(state.networks)
    question = _question(state, standing)
    if standing is None:
        return View(
            ask=_ask(state, None, skips, here),
            panels=None,
            waiting=captions.WAITING,
            question=question,
            glossary=captions.GLOSSARY,
        )
    stops: tuple[int, ...] = (*(s for s in standing.kept if s < standing.steps), NOW)
    if state.playing or standing.steps < state.steps or state.step not in stops:
        stops = ()  # on its way it is drawn often, and each picture is of one step
    shown = {stop: standing.steps if stop == NOW else stop for stop in stops}
    headline: Any = _headline(standing, standing.steps)
    rows: Any = _rows(standing, standing.steps)
    if stops:
        headline = Over("step", {stop: _headline(standing, step) for stop, step in shown.items()})
        rows = Over("step", {stop: _rows(standing, step) for stop, step in shown.items()})
    return View(
        ask=_ask(state, standing, skips, here),
        headline=headline,
        why=captions.WHY,
        panels=((Charts("race", race_charts(standing, stops)),),),
        sliders=(_slider(standing),),
        below=((Table("table", _COLUMNS, rows, "sort"),),),
        conditions=captions.conditions(state, standing),
        glossary=captions.GLOSSARY,
        question=question,
    )


def _question(state: PlaygroundState, standing: "Standing | None") -> Question | None:
    """Return what is asked about the race that is run at first, None once anything else was chosen."""
    start = PlaygroundState()
    if state != replace(start, sort=state.sort, step=state.step):
        return None
    right, told = None, ""
    if standing is not None and standing.steps >= OPENING:
        errors = _errors(standing, OPENING)
        first = [name for name, place in places(errors, standing.held_out).items() if place == 1]
        right = "level" if len(first) > 1 else first[0].partition("-")[0]
        told = captions.opening_told(errors)
    choices = tuple(Choice(*pair) for pair in captions.OPENING_GUESSES.items())
    why = captions.WHY_AHEAD if right == "residual" else captions.WHY
    return Question(
        "playground/opening", captions.OPENING_QUESTION, choices, right, captions.OPENING_RULE, told, why
    )


def _slider(standing: "Standing") -> Slider:
    """Return the slider over the places that are kept; the last one is wherever the race is."""
    kept = tuple(Choice(step, f"{step}") for step in standing.kept if step < standing.steps)
    return Slider("step", "Look back", (*kept, Choice(NOW, "now")), play=True)


# --- what is asked ------------------------------------------------------------------------------------------


def _ask(state: PlaygroundState, standing: "Standing | None", skips: Skips, here: bool) -> Sequence[Part]:
    return (
        Group("go", (*_buttons(state, standing), _rates(state), *_for_all(skips))),
        *network_rows(state.networks, skips),
        Group("setup", (_add(skips), _data(state, here), _more(state))),
    )


def _buttons(state: PlaygroundState, standing: "Standing | None") -> tuple[Part, ...]:
    over = "" if standing is None else _why_over(standing)
    begun = standing is not None and standing.steps > 0
    return (
        Button(
            "play",
            "Pause" if state.playing else "Play",
            "Train on and on, from the step that is looked at",
            over if state.step == NOW else "",
            widest="Pause",
        ),
        Button("one", "Step", "Train one step", over),
        Button(
            "again",
            "Start again",
            "Back to step 0; what was stays as faint lines",
            "" if begun else "It is at step 0.",
        ),
    )


def _why_over(standing: "Standing") -> str:
    if not standing.running:
        return "No network is left whose loss is a number."
    return f"A race ends after {MOST_STEPS:,} steps." if standing.over else ""


def _rates(state: PlaygroundState) -> Menu:
    rates = sorted({*RATES, state.lr})
    choices = tuple(Choice(rate, f"{rate:g}") for rate in rates)
    return Menu("lr", "Learning rate", choices, "Of all networks; change it while they train")


def _add(skips: Skips) -> Button:
    return Button("add", "Add a network", missing=captions.FULL if len(skips) >= MOST else "")


def _data(state: PlaygroundState, here: bool) -> Menu:
    choices = []
    for name in DATA:
        missing = captions.NOT_HERE if name == "cifar10" and not here else ""
        if name == "folder" and not state.folder.strip():
            missing = captions.NO_FOLDER
        choices.append(Choice(name, captions.DATA[name], missing=missing))
    return Menu("data", "Data", tuple(choices))


def _more(state: PlaygroundState) -> More:
    batches = tuple(Choice(size, f"{size}") for size in sorted({*_BATCHES, state.batch_size}))
    return More(
        "more",
        (
            Menu("batch_size", "Images a step", batches),
            Number("seed", "Seed", 0, 9_999, tip="Of weights and batches"),
            Text("folder", "Your folder", "photos/<class>/<image>", "A folder of images of your own"),
        ),
    )


def _for_all(skips: Skips) -> tuple[Part, ...]:
    off = all(not factor for factor in skips)
    full = all(factor == 1 for factor in skips)
    return (
        Button(
            "take", "Take all skips away", "From the next step on", "No network has skips." if off else ""
        ),
        Button(
            "give",
            "Give all skips",
            "From the next step on, plain ones too",
            "All have their skips." if full else "",
        ),
    )


# --- what came of it ----------------------------------------------------------------------------------------


def _errors(standing: "Standing", step: int) -> dict[str, float]:
    """Return the held-out errors of those that are in the race at a step."""
    return {
        name: error_at(curve, step)
        for name, curve in standing.curves.items()
        if curve.broke_at is None or curve.broke_at >= step
    }


def _headline(standing: "Standing", step: int) -> str:
    errors = _errors(standing, step)
    return captions.outcome(standing, step, errors, places(errors, standing.held_out))


def _rows(standing: "Standing", step: int) -> list[list[Any]]:
    errors = _errors(standing, step)
    found = places(errors, standing.held_out)
    return [
        [
            name,
            errors.get(name),
            captions.place_words(name, found),
            _known(loss_at(curve, step)),
            _known(batch_error_at(curve, step)),
            captions.spread_words(gradients_at(curve, step)),
            captions.status(standing, name, step),
        ]
        for name, curve in standing.curves.items()
    ]


def _known(value: float) -> float | None:
    return value if value == value else None
