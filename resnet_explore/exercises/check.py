"""`check`: say of an answer what is right, what is not yet, and how to go on."""

from typing import Any, overload

import torch

from resnet_explore.exercises import blocks, counting, maps, seeing, without_skips  # noqa: F401  they register
from resnet_explore.exercises.answers import NotAnAnswerError, failed
from resnet_explore.exercises.registry import EXERCISES, find_exercise
from resnet_explore.exercises.result import CheckResult, ExerciseTable, Remark, result, wrong
from resnet_explore.models.chance import seeded

_ORDERED = sorted(EXERCISES.values(), key=lambda exercise: exercise.minutes)


@overload
def check() -> ExerciseTable: ...


@overload
def check(task: str, answer: Any = None) -> CheckResult: ...


def check(task: str | None = None, answer: Any = None) -> CheckResult | ExerciseTable:
    """Check an answer to one of the tasks of `notebooks/exercises.ipynb`; without a task, list them all.

    task    its name, such as "residual-block"
    answer  what the task asks for: numbers, a letter, a class or a function of your own. None, or `...`, if
            there is none yet

    An answer is judged by what it does: code is run, and its results are compared with what this package
    measures. A class may have other names, norms or biases than you see elsewhere. Random numbers are drawn
    aside, so that your own stay as they are. Gradients are computed, also within `torch.no_grad()`.

    Returns a `CheckResult`: `passed`, `right`, `wrong` and `hint`. Raises ExploreError, with the closest
    names, for a task that there is not. Whatever an answer is or does, it raises nothing.
    """
    if task is None:
        return ExerciseTable([(e.name, e.title, e.kind, f"{e.minutes} min") for e in _ORDERED])
    exercise = find_exercise(task)
    if answer is None or answer is ...:
        return CheckResult(exercise.title, False, hint=exercise.start, asks=exercise.asks)
    remarks: list[Remark] = []
    try:
        with seeded(0), torch.inference_mode(False), torch.enable_grad():
            for remark in exercise.check(answer):
                remarks.append(remark)
    except NotAnAnswerError as error:
        remarks.append(wrong(str(error), exercise.asks))
    except Exception as error:  # what is checked may be anything, and do anything
        remarks.append(wrong(str(failed("Your answer", error)), exercise.asks))
    return result(exercise.title, remarks)
