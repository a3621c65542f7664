"""Page and kernel end up with the same state, in whatever order their messages cross."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View


@dataclass(frozen=True)
class PairState:
    """Of left and right one is 0. What gives way is remembered, and comes back."""

    left: int = 0
    right: int = 0
    left_asked: int = 0
    right_asked: int = 0
    steps: int = 0


class PairExplorer(Explorer):
    State = PairState

    def settle(self, state: PairState, names: frozenset[str]) -> PairState:
        if state.left == 3:
            raise ExploreError("left can't be 3.")
        if not names & {"left", "right"}:
            return state
        left = state.left if "left" in names else state.left_asked or state.left
        right = state.right if "right" in names else state.right_asked or state.right
        both = bool(left and right)
        left_asked = left if both and "right" in names else 0
        right_asked = right if both and not left_asked else 0
        return replace(
            state,
            left=0 if left_asked else left,
            right=0 if right_asked else right,
            left_asked=left_asked,
            right_asked=right_asked,
        )

    def present(self, state: PairState, found: Mapping[Job, Any]) -> View:
        return View(headline=f"{state.left} and {state.right}")

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        self.update(steps=self.state.steps + 1)


FIELDS = tuple(f.name for f in fields(PairState))


def carried(message: Any) -> Any:
    return json.loads(json.dumps(message))


class FrontEnd:
    """What page.js and the widget's model in the browser do with the state.

    Messages wait in both directions until one is taken. The model sends a change only once the kernel has
    done with the last one, and puts together what is changed meanwhile; what a button asks goes past it.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.to_page: list[dict[str, Any] | None] = []  # None: the kernel has done with a change
        self.to_kernel: list[tuple[str, dict[str, Any]]] = []
        self.model = self._of_page(explorer.get_state())
        self.unsent: dict[str, Any] = {}
        self.waiting: dict[str, Any] = {}
        self.sending = False
        explorer.comm.send = lambda data=None, buffers=None, **_: self.to_page.append(data.get("state", {}))

    def choose(self, field: str, value: int, slides: bool) -> None:
        if self.model[field] == value:
            return
        counts = [count for count, _ in self.model["_said"].values()]
        said = {**self.model["_said"], field: [1 + max([self.model["_heard"], *counts]), value]}
        for changes in (self.model, self.unsent):
            changes.update({"_said": said, field: value})
        if not slides:
            self.rest()

    def rest(self) -> None:
        self.waiting |= self.unsent
        self.unsent = {}
        self._send()

    def act(self) -> None:
        said = {name: entry for name, entry in self.model["_said"].items() if entry[0] > self.model["_heard"]}
        self.to_kernel.append(("act", carried({"act": "step", "said": said})))

    def kernel_takes_one(self) -> None:
        if not self.to_kernel:
            return
        kind, message = self.to_kernel.pop(0)
        if kind == "act":
            self.explorer._hear(self.explorer, message, [])
        else:
            self.explorer.set_state(message)
            self.to_page.append(None)

    def page_takes_one(self) -> None:
        if not self.to_page:
            return
        message = self.to_page.pop(0)
        if message is None:
            self.sending = False
            self._send()
            return
        before = dict(self.model)
        self.model.update(self._of_page(message))
        for field in FIELDS:
            count, chosen = self.model["_said"].get(field, [0, None])
            if self.model[field] != before[field] and count > self.model["_heard"]:
                self.model[field] = chosen

    def finish(self) -> None:
        self.rest()
        while self.to_kernel or self.to_page:
            self.kernel_takes_one()
            self.page_takes_one()

    def assert_agrees(self) -> None:
        self.finish()
        assert {field: self.model[field] for field in FIELDS} == vars(self.explorer.state)

    def _send(self) -> None:
        if self.waiting and not self.sending:
            self.to_kernel.append(("change", carried(self.waiting)))
            self.waiting, self.sending = {}, True

    @staticmethod
    def _of_page(state: dict[str, Any]) -> dict[str, Any]:
        return carried({name: state[name] for name in (*FIELDS, "_said", "_heard") if name in state})


@pytest.fixture
def front():
    explorer = PairExplorer()
    yield FrontEnd(explorer)
    explorer.close()


def test_a_choice_that_has_to_give_way_at_once_is_taken_back_on_the_page(front):
    """For the kernel nothing has changed then."""
    front.explorer.update(right=1)
    front.finish()
    front.choose("left", 1, slides=True)
    front.choose("right", 2, slides=True)
    front.assert_agrees()
    assert front.explorer.state == PairState(right=2, left_asked=1)


def test_a_button_repeats_no_choice_that_has_given_way_since(front):
    """The page says with it what it has had no answer to, though the kernel may have taken that already."""
    front.choose("left", 1, slides=False)
    front.kernel_takes_one()
    front.page_takes_one()
    front.choose("right", 2, slides=False)
    front.act()
    front.assert_agrees()
    assert front.explorer.state == PairState(right=2, left_asked=1, steps=1)


def test_a_choice_that_comes_after_its_button_does_not_undo_what_the_button_did(front):
    front.choose("steps", 5, slides=True)
    front.act()
    front.assert_agrees()
    assert front.explorer.state.steps == 6


def test_a_choice_that_comes_after_its_button_is_known_also_where_an_older_one_comes_between(front):
    front.choose("right", 3, slides=False)
    front.kernel_takes_one()
    front.choose("right", 1, slides=False)
    front.choose("left", 2, slides=True)
    front.act()
    front.assert_agrees()
    assert front.explorer.state == PairState(right=1, left_asked=2, steps=1)


@pytest.mark.parametrize("seed", range(8))
def test_page_and_kernel_agree_after_whatever_was_chosen(seed):
    """Choices, slides, buttons and changes in Python, while messages arrive at random times."""
    chance = random.Random(seed)
    for _ in range(50):
        explorer = PairExplorer()
        front = FrontEnd(explorer)
        for _ in range(chance.randint(3, 25)):
            does = chance.choice("cccbrkkppu")
            if does == "c":
                front.choose(
                    chance.choice(("left", "right", "steps")), chance.randrange(4), chance.random() < 0.3
                )
            elif does == "u":
                explorer.update(**{chance.choice(("left", "right")): chance.randrange(3)})
            else:
                {"b": front.act, "r": front.rest, "k": front.kernel_takes_one, "p": front.page_takes_one}[
                    does
                ]()
        front.assert_agrees()
        explorer.close()
