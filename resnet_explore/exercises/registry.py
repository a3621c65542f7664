"""All tasks by name: what is asked, how long it takes, and what checks an answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from resnet_explore.errors import unknown
from resnet_explore.exercises.result import Remark

SEE, THINK, CODE = "look", "think", "write code"

Checker = Callable[[Any], Iterator[Remark]]


@dataclass(frozen=True)
class Exercise:
    """What is to be known of a task.

    name     as `check` takes it, "residual-block"
    title    what one is to do
    kind     SEE (read it off an explorer), THINK or CODE
    minutes  that it takes
    asks     what an answer is
    start    the first hint, for who has no answer yet
    check    yields what is right and what is not; the first that fails may end it. Raises `NotAnAnswerError`
             for what is none
    """

    name: str
    title: str
    kind: str
    minutes: int
    asks: str
    start: str
    check: Checker


EXERCISES: dict[str, Exercise] = {}
"""Each task by name, in the order in which their modules are imported; `check` lists them by minutes."""


def exercise(title: str, kind: str, minutes: int, asks: str, start: str) -> Callable[[Checker], Checker]:
    """Register a checker under its function's name, with `-` for `_`."""

    def register(check: Checker) -> Checker:
        name = check.__name__.replace("_", "-")
        EXERCISES[name] = Exercise(name, title, kind, minutes, asks, start, check)
        return check

    return register


def find_exercise(name: object) -> Exercise:
    """Return the task of that name; ExploreError with the closest names if there is none."""
    tidy = name.strip().lower().replace("_", "-").replace(" ", "-") if isinstance(name, str) else name
    if not isinstance(tidy, str) or tidy not in EXERCISES:
        raise unknown("task", name, EXERCISES)
    return EXERCISES[tidy]
