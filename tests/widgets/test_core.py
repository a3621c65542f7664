"""The explorer core: state, jobs and views, on an explorer that squares numbers when it is told to."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import ipywidgets
import numpy as np
import pytest
from hypothesis import given, strategies as st

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job, Runner, Task
from resnet_explore.widgets.core.state import changed
from resnet_explore.widgets.core.view import (
    Choice,
    Menu,
    Now,
    Over,
    Part,
    Prose,
    Slider,
    View,
    encode,
    settled,
)
from tests.widgets.pages import assert_kept

GATES: dict[int, threading.Event] = {}


@dataclass(frozen=True)
class Square(Job):
    """Squares a number as soon as its gate is open; 13 can't be squared, 14 by a mistake of ours."""

    number: int
    says: ClassVar[str] = "Squaring ..."  # type: ignore[misc]

    def run(self, task: Task) -> int:
        while not GATES.setdefault(self.number, _open()).wait(0.01):
            task.check()
        if self.number == 13:
            raise ExploreError("Not 13.")
        if self.number == 14:
            raise ZeroDivisionError("division by zero")
        task.publish(-1)
        return self.number**2


def _open() -> threading.Event:
    gate = threading.Event()
    gate.set()
    return gate


@dataclass(frozen=True)
class NumberState:
    number: int = 2
    color: Literal["red", "blue"] = "red"
    shade: float = 0.5
    marked: tuple[int, ...] = ()


class NumberExplorer(Explorer):
    """Shows squares."""

    State = NumberState

    def settle(self, state: NumberState, names: frozenset[str]) -> NumberState:
        if state.number < 0:
            raise ExploreError(f"number must be 0 or more, got {state.number}.")
        return state

    def plan(self, state: NumberState) -> Sequence[Job]:
        return (Square(state.number),)

    def present(self, state: NumberState, found: Mapping[Job, Any]) -> View:
        square = found.get(Square(state.number))
        menu = Menu("color", "Color", (Choice("red", "Red"), Choice("blue", "Blue")))
        if square is None:
            return View(panels=None, ask=(menu,), waiting="Numbers are squared here.")
        shades = tuple(Choice(shade, str(shade)) for shade in (0.5, 1.0))
        text = Over("shade", {shade.value: f"{square} at {shade.label}" for shade in shades})
        return View(
            headline=f"{state.number}² = {square}",
            ask=(menu,),
            panels=((Prose("text", (text,)),),),
            sliders=(Slider("shade", "Shade", shades),),
        )


@pytest.fixture(autouse=True)
def gates():
    GATES.clear()
    yield
    for gate in GATES.values():
        gate.set()


@pytest.fixture
def explorer():
    made = NumberExplorer()
    assert made.wait(10)
    yield made
    for gate in GATES.values():
        gate.set()
    made.wait(10)


def closed(number: int) -> threading.Event:
    GATES[number] = threading.Event()
    return GATES[number]


def headline(explorer: Explorer) -> str:
    return explorer._view["tree"]["headline"]


# --- the state ----------------------------------------------------------------------------------------------


def test_fields_are_arguments_and_traits(explorer):
    seen = []
    explorer.observe(lambda change: seen.append((change["old"], change["new"])), "number")
    explorer.number = 3
    explorer.update(number=5, color="blue")
    assert explorer.wait(10)
    assert seen == [(2, 3), (3, 5)]
    assert (explorer.state, headline(explorer)) == (NumberState(5, "blue"), "5² = 25")
    other = NumberExplorer(number=7, marked=[1, 2])
    assert other.wait(10)
    assert (other.marked, headline(other)) == ((1, 2), "7² = 49")
    assert other.code.endswith("\nrx.NumberExplorer(number=7, marked=(1, 2))")


def test_two_explorers_can_be_linked(explorer):
    other = NumberExplorer()
    link = ipywidgets.link((explorer, "number"), (other, "number"))
    explorer.number = 6
    other.number = 8
    assert explorer.wait(10)
    assert other.wait(10)
    assert headline(explorer) == headline(other) == "8² = 64"
    link.unlink()


# Changes that can't be shown; the first argument of each is what is wrong with it.
REFUSED = (
    {"number": -1},
    {"number": 1.5},
    {"number": float("nan")},
    {"number": True},
    {"number": "2"},
    {"color": "bleu"},
    {"colour": "blue"},
    {"marked": "12"},
    {"marked": [1, "x"]},
    {"shade": None},
    {"number": -1, "color": "blue"},
)


def refusal(**changes: Any) -> str:
    """Return why an explorer does not begin with these values."""
    with pytest.raises(ExploreError, match=next(iter(changes))) as problem:
        NumberExplorer(**changes)
    return str(problem.value)


@pytest.mark.parametrize("changes", REFUSED, ids=str)
def test_a_change_that_cannot_be_shown_changes_nothing_and_is_said(explorer, changes):
    before = explorer.state, explorer._view
    with pytest.raises(ExploreError) as problem:
        explorer.update(**changes)
    assert str(problem.value) == explorer.problem == refusal(**changes)
    assert (explorer.state, explorer._view) == before
    explorer.number = 3
    assert explorer.problem == ""


def test_what_the_page_asks_in_vain_is_taken_back_there(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send_state", lambda key=None: sent.append(key))
    explorer.set_state({"number": -1})
    assert explorer.number == 2
    assert explorer.problem == refusal(number=-1)
    assert ["number"] in sent
    explorer.set_state({"number": 4.0, "marked": [3]})
    assert (explorer.number, explorer.marked) == (4, (3,))


def test_of_choices_that_come_together_those_stay_that_can_be_shown(explorer, monkeypatch):
    """The page sends together what was chosen while the kernel was busy; one bad choice doesn't undo the
    others."""
    sent = []
    monkeypatch.setattr(explorer, "send_state", lambda key=None: sent.append(key))
    explorer.set_state({"_said": {"color": [4, "blue"], "number": [5, -1]}, "color": "blue", "number": -1})
    assert (explorer.color, explorer.number) == ("blue", 2)
    assert explorer.problem == refusal(number=-1)
    assert ["number"] in sent, "and the page hears of the bad one"
    assert explorer._heard == 5


def test_a_state_may_not_hide_what_explorers_have():
    @dataclass(frozen=True)
    class Hiding:
        code: str = ""

    with pytest.raises(TypeError, match="can't be called code"):
        type("HidingExplorer", (Explorer,), {"State": Hiding})


STATES = st.builds(
    NumberState, st.integers(0, 50), st.sampled_from(["red", "blue"]), st.floats(0, 1), st.tuples()
)


@given(STATES)
def test_a_state_survives_the_way_through_json(state):
    values = {"number": float(state.number), "color": state.color, "shade": state.shade, "marked": []}
    assert changed(NumberState(), values) == state


# --- results ------------------------------------------------------------------------------------------------


def test_the_picture_stands_until_there_is_another(explorer):
    gate = closed(9)
    explorer.number = 9
    assert explorer._view["tree"]["panels"] is None
    assert explorer._busy == "Squaring ..." or _soon(lambda: explorer._busy == "Squaring ...")
    gate.set()
    assert explorer.wait(10)
    assert (headline(explorer), explorer._busy) == ("9² = 81", "")


def test_a_late_result_is_not_shown_for_another_state(explorer):
    """Whatever is published late, what stands on the page belongs to the state that it says."""
    gates = [closed(number) for number in (20, 21, 22)]
    shown = []
    explorer.observe(lambda change: shown.append(change["new"]), "_view")
    for number in (20, 21, 22):
        explorer.number = number
    for gate in gates:
        gate.set()
    assert explorer.wait(10)
    assert headline(explorer) == "22² = 484"
    for view in shown:
        if view["tree"]["panels"] is not None:
            assert view["tree"]["headline"].split("²")[0] == str(view["made_for"]["number"])
    assert [view["count"] for view in shown] == sorted({view["count"] for view in shown})


def test_every_publication_may_be_late(explorer, monkeypatch):
    """A publication that another thread holds up until the state has moved on shows the new state."""
    publish, held, go = explorer._runner._published, threading.Event(), threading.Event()

    def late():
        held.set()
        go.wait(10)
        publish()

    monkeypatch.setattr(explorer._runner, "_published", late)
    explorer.number = 30
    assert held.wait(10)
    explorer.number = 2
    go.set()
    assert explorer.wait(10)
    assert headline(explorer) == "2² = 4"
    assert explorer._view["made_for"]["number"] == 2


def test_what_was_computed_is_kept(explorer):
    closed(2)
    explorer.number = 3
    assert explorer.wait(10)
    explorer.number = 2  # its gate is shut now
    assert headline(explorer) == "2² = 4"


def test_a_job_that_fails_is_said_and_the_state_goes_back(explorer):
    explorer.number = 13
    assert explorer.wait(10)
    assert (explorer.number, headline(explorer)) == (2, "2² = 4")
    assert explorer.problem.startswith("Not 13.")
    explorer.number = 14
    assert explorer.wait(10)
    assert explorer.number == 2
    assert "ZeroDivisionError: division by zero" in explorer.problem


def test_an_explorer_may_begin_with_what_fails():
    explorer = NumberExplorer(number=13)
    assert explorer.wait(10)
    assert (explorer.number, explorer.problem) == (13, "Not 13.")
    explorer.number = 3
    assert explorer.wait(10)
    assert (headline(explorer), explorer.problem) == ("3² = 9", "")


def test_waiting_inside_of_an_observer_is_refused(explorer):
    refused = []

    def look(_change):
        with pytest.raises(ExploreError, match="would wait for itself") as problem:
            explorer.wait()
        refused.append(problem)

    explorer.observe(look, "number")
    explorer.number = 3
    assert explorer.wait(10)
    assert len(refused) == 1


def test_a_button_acts_on_what_was_chosen_before_it_and_clears_what_was_refused(explorer, monkeypatch):
    seen = []
    monkeypatch.setattr(explorer, "act", lambda name, *_: seen.append((name, explorer.number)))
    explorer.set_state({"number": -1})
    assert explorer.problem
    explorer._hear(explorer, {"act": "count", "said": {"number": [1, 6]}}, [])
    assert (seen, explorer.problem) == ([("count", 6)], "")


def test_stop_leaves_what_is_there_as_it_is(explorer):
    """Something is shown already, and more of it would come."""
    gate = closed(41)
    explorer._runner.ask([Square(2), Square(41)])
    explorer._hear(explorer, {"act": "stop"}, [])
    assert explorer.wait(10)
    assert (explorer.number, headline(explorer)) == (2, "2² = 4")
    assert not gate.is_set()
    explorer.number = 3
    assert explorer.wait(10)
    assert headline(explorer) == "3² = 9"


def test_a_closed_explorer_computes_nothing_more():
    explorer = NumberExplorer()
    assert explorer.wait(10)
    closed(42)
    explorer.number = 42
    explorer.close()
    assert explorer.wait(10)


def test_stop_goes_back(explorer):
    closed(40)
    explorer.number = 40
    explorer._hear(explorer, {"act": "stop"}, [])
    assert explorer.wait(10)
    assert (explorer.number, headline(explorer)) == (2, "2² = 4")


def test_what_a_slider_scrubs_is_there_already(explorer):
    count = explorer._view["count"]
    explorer.shade = 1.0
    assert explorer._view["count"] == count
    text = settled(explorer.page, explorer.state).panels[0][0].paragraphs
    assert text == ("4 at 1.0",)


# --- the runner ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beside(Job):
    """Waits for the other lane's job to be done."""

    lane: ClassVar[str] = "beside"
    number: int

    def run(self, task: Task) -> str:
        assert GATES.setdefault(100, threading.Event()).wait(10)
        return "beside"


def _soon(true, seconds: float = 10) -> bool:
    return any(true() or threading.Event().wait(0.01) for _ in range(int(100 * seconds)))


def test_lanes_run_side_by_side_and_the_newest_question_comes_first():
    told = []
    runner = Runner(lambda: told.append(dict(runner.found())), lambda *_: None, lambda: None)
    runner.ask([Beside(1), Square(3)])
    assert _soon(lambda: runner.found().get(Square(3)) == 9)
    assert not runner.complete
    GATES[100].set()
    assert runner.wait(10)
    assert runner.complete
    assert runner.found() == {Beside(1): "beside", Square(3): 9}
    assert {Square(3): -1} in told, "what is there first is shown first"


class Aside(Beside):
    aside = True
    says = "Going on for long ..."


def test_what_goes_on_aside_is_no_part_of_the_picture():
    runner = Runner(lambda: None, lambda *_: None, lambda: None)
    runner.ask([Aside(1), Square(3)])
    assert _soon(lambda: runner.found().get(Square(3)) == 9)
    assert (runner.complete, runner.sentence) == (True, "")
    assert not runner.wait(0.05), "it still runs"
    GATES[100].set()
    assert runner.wait(10)
    assert runner.found()[Aside(1)] == "beside"


def test_only_so_many_results_are_kept():
    runner = Runner(lambda: None, lambda *_: None, lambda: None, keep_most=3)
    for number in range(20, 30):
        runner.ask([Square(number)])
        assert runner.wait(10)
    assert len(runner._results) <= 4
    runner.ask([Square(number) for number in range(20, 30)])
    assert runner.wait(10)
    assert len(runner.found()) == 10, "what is wanted is never forgotten"


def test_no_thread_is_left(explorer):
    before = set(threading.enumerate())  # others may still have something to end
    explorer.number = 3
    assert explorer.wait(10)
    assert _soon(lambda: set(threading.enumerate()) <= before)


# --- the view -----------------------------------------------------------------------------------------------


KINDS = st.sampled_from(["float32", "float64", "int8", "uint8", "int32", "bool"])


@given(KINDS, st.integers(0, 4), st.integers(1, 5))
def test_arrays_arrive_as_they_are(kind, rows, columns):
    array = np.arange(rows * columns).reshape(rows, columns).astype(kind)[:, ::-1]
    encoded = encode(View(panels=((Prose("a", (array, array.astype(">f8"))),),)))
    first, second = encoded.tree["panels"][0][0]["paragraphs"]
    assert (first["shape"], first["dtype"]) == ([rows, columns], kind)
    back = np.frombuffer(encoded.buffers[first["$array"]], kind).reshape(rows, columns)
    np.testing.assert_array_equal(back, array)
    turned = np.frombuffer(encoded.buffers[second["$array"]], "<f8")
    np.testing.assert_array_equal(turned, array.ravel().astype(float))


def test_what_depends_on_a_field_is_named_and_picked():
    view = View(
        headline=Over("number", {1: Over("color", {"red": "a", "blue": "b"}), 2: "c"}),
        panels=((Prose("p", (Over("shade", {0.5: "x"}),)),),),
    )
    assert encode(view).local == ["color", "number", "shade"]
    assert settled(view, NumberState(1, "blue")).headline == "b"
    assert settled(view, NumberState(2)).headline == "c"
    assert settled(view, NumberState(7)).headline is None


def test_python_ends_while_something_is_computed():
    code = """
import time
from dataclasses import dataclass
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View

class Endless(Job):
    def run(self, task):
        while True:
            task.check()
            time.sleep(0.01)

@dataclass(frozen=True)
class State:
    number: int = 0

class Waits(Explorer):
    State = State
    job = Endless()

    def plan(self, state):
        return (self.job,)

    def present(self, state, found):
        return View()

Waits()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class Picky(NumberExplorer):
    """Shows nothing of 3: neither its square nor what comes on the way."""

    def present(self, state: NumberState, found: Mapping[Job, Any]) -> View:
        if found.get(Square(3)) is not None:
            raise ZeroDivisionError("a scale without an end")
        return super().present(state, found)


def test_what_can_t_be_shown_is_said_and_the_page_goes_on():
    explorer = Picky(number=3)
    assert explorer.wait(10)
    assert "a scale without an end" in explorer.problem
    explorer.number = 4
    assert explorer.wait(10)
    assert "16" in explorer.page.headline


@dataclass(frozen=True)
class Position:
    number: int = 0


@dataclass(frozen=True)
class Grid(Part):
    """A panel of numbers that shows where the person is."""

    kind: ClassVar[str] = "grid"
    key: str
    values: Any
    at: Any

    def arrays(self):
        return {"values": self.values}


class Reads(Explorer):
    """Shows a grid, and aside the number that is looked at."""

    State = Position

    def present(self, state, found):
        values = np.arange(6.0)
        aside = {"grid": {"value": values[state.number]}}
        return View(headline="A grid.", panels=((Grid("grid", values, Now("number")),),), aside=aside)


def test_what_changes_often_travels_aside():
    explorer = Reads()
    (panel,) = explorer._view["tree"]["panels"][0]
    assert panel["at"] == {"$now": "number"}
    assert "number" not in explorer._view["made_for"], "the page follows it by itself"
    count = explorer._view["count"]
    explorer.number = 4
    assert explorer._view["count"] == count
    assert explorer._aside["tree"] == {"grid": {"value": 4.0}}
    assert settled(explorer.page, explorer.state).panels[0][0].at == 4


def test_arrays_of_panels_are_saved_and_only_what_can_be_is_offered(tmp_path):
    explorer = Reads()
    assert explorer._view["formats"] == [".npz"]
    with np.load(explorer.save(tmp_path / "grid.npz")) as saved:
        assert saved["values"].tolist() == [0, 1, 2, 3, 4, 5]
        assert saved["conditions"][0] == "A grid."
    with pytest.raises(ExploreError, match="no picture here"):
        explorer.save(tmp_path / "grid.png")


def test_a_file_is_of_what_the_page_shows_even_if_it_has_not_said_so_yet():
    explorer, sent = Reads(), []
    explorer.send = lambda content, buffers=None: sent.append((content, buffers))
    explorer._hear(explorer, {"act": "save", "detail": ".npz", "said": {"number": [1, 3]}}, [])
    assert explorer.number == 3
    ((content, (data,)),) = sent
    assert content == {"file": "reads.npz", "page": None}
    assert data


# --- sentences ----------------------------------------------------------------------------------------------


def sentences() -> Iterator[str]:
    """Yield what the core says of what can't be shown, computed or saved."""
    for changes in REFUSED:
        yield f"{changes}: {refusal(**changes)}"
    explorer = NumberExplorer()
    for number in (13, 14):
        assert explorer.wait(10)
        explorer.number = number
        assert explorer.wait(10)
        yield explorer.problem
    for made, name in ((Reads(), "a.png"), (Reads(), "a.csv"), (explorer, "a.npz"), (explorer, "a.gif")):
        with pytest.raises(ExploreError) as problem:
            made.save(name)
        yield str(problem.value)


def test_sentences_are_those_that_were_read():
    assert_kept("core", sentences())
