"""An explorer of powers, with each kind of control, for tests of pages without Python."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.figures.chart import Axis, Chart, Series
from resnet_explore.widgets.core.chart_panel import Charts
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.view import (
    Button,
    Check,
    Choice,
    Menu,
    More,
    Number,
    Over,
    Prose,
    Slider,
    Tabs,
    Text,
    Upload,
    View,
)

BASES, POWERS = (2, 3, 5, 7), (1, 2, 3)


@dataclass(frozen=True)
class PowerState:
    view: Literal["curve", "words", "about"] = "curve"
    base: int = 2
    power: int = 2
    logarithmic: bool = False
    offset: int = 0
    note: str = ""


@dataclass(frozen=True)
class Powers(Job):
    """The powers of a number; 5 has none."""

    base: int

    def run(self, task: Task) -> dict[int, int]:
        if self.base == 5:
            raise ExploreError("Not 5.")
        return {power: self.base**power for power in POWERS}


class PowerExplorer(Explorer):
    """Shows powers of a number."""

    State = PowerState
    bakes: ClassVar = {"view": None, "base": None}

    def unused(self, state: PowerState) -> Collection[str]:
        return {"base", "power"} if state.view == "about" else ()

    def settle(self, state: PowerState, names: frozenset[str]) -> PowerState:
        if state.base not in BASES:
            raise ExploreError(f"base must be one of {BASES}, got {state.base}.")
        return state

    def plan(self, state: PowerState) -> Sequence[Job]:
        return (Powers(state.base),)

    def present(self, state: PowerState, found: Mapping[Job, Any]) -> View:
        tabs = Tabs("view", (Choice("curve", "Curve"), Choice("words", "Words"), Choice("about", "About")))
        ask = (
            Menu("base", "Base", tuple(Choice(base, f"base {base}") for base in BASES)),
            More(
                "more",
                (Check("logarithmic", "Logarithmic"), Number("offset", "Offset", 0, 9), Text("note", "Note")),
            ),
            Button("go", "Go"),
            Upload("photo"),
        )
        if state.view == "about":
            said = Prose("about", ("A power is a number multiplied by itself.",))
            return View("Powers grow.", ((said,),), tabs, ask)
        slider = Slider("power", "Power", tuple(Choice(power, f"{power}") for power in POWERS))
        powers = found.get(Powers(state.base))
        if powers is None:
            return View(tabs=tabs, ask=ask, panels=None, waiting="Powers come here.")
        headlines = {power: f"{state.base} to the {power} is {value}." for power, value in powers.items()}
        if state.view == "words":  # one power at a time: its slider asks the kernel
            said = Prose("said", (headlines[state.power],))
            return View(headlines[state.power], ((said,),), tabs, ask, (slider,))
        x, y = np.array(POWERS, dtype=float), np.array([*powers.values()], dtype=float)
        series = (Series("value", x, y, "plain", low=y - 0.5, high=y + 0.5),)
        chart = Chart("Powers", Axis("power", 0.5, 3.5), Axis.around("value", y, unit="%"), series)
        conditions = (f"Whole numbers, <exact> & small. {'They are multiplied out. ' * 8}",)
        return View(
            Over("power", headlines),
            ((Charts("curve", (chart,)),),),
            tabs,
            ask,
            (slider,),
            conditions=conditions,
        )


QUESTION = Question(
    "test/sum", "What is 2 + 2?", (Choice("3", "three"), Choice("4", "four"), Choice("5", "five")), "4",
    "By counting.", "It is 4.", "Two and two more.", {"3": "Close."},
)  # fmt: skip


class AskedPowers(PowerExplorer):
    """Asks before it shows the first power."""

    def present(self, state: PowerState, found: Mapping[Job, Any]) -> View:
        view = super().present(state, found)
        return replace(view, question=QUESTION) if state.base == 2 and state.view == "curve" else view
