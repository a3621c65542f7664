"""The lesson as an explorer: five steps, each of them one picture beside its paragraph."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.lesson.state import LessonState
from resnet_explore.widgets.lesson.steps import addition, deeper, gradients, training, ways

_STEPS: Mapping[str, Any] = {
    "deeper": deeper,
    "addition": addition,
    "training": training,
    "gradients": gradients,
    "ways": ways,
}


class LessonExplorer(Explorer):
    """One step of the lesson in `00_start.ipynb`.

    step   "deeper" (deeper should not be worse), "addition" (one addition), "training" (both),
           "gradients" (is it the gradient?) or "ways" (many ways)
    state  `LessonState`: what is moved in the steps, each a trait

    Raises `ExploreError` for a step, a depth, an update or a block that there is not, and for a drawing that
    leaves its axis.
    """

    State = LessonState
    bakes: ClassVar = {"deleted": None}

    def __init__(self, step: str = "deeper", **state: Any) -> None:
        self._shelf = training.Shelf()
        super().__init__(step=step, **state)

    def settle(self, state: LessonState, names: frozenset[str]) -> LessonState:
        """Check what was asked for; the end of a drawing follows the drawing."""
        for step in (addition, training, gradients, ways):
            step.check(state)
        return deeper.settle(state)

    def plan(self, state: LessonState) -> Sequence[Job]:
        """Return what the step needs."""
        if state.step == "training":
            return training.plan(state, self._shelf)
        jobs: Sequence[Job] = _STEPS[state.step].plan(state)
        return jobs

    def present(self, state: LessonState, found: Mapping[Job, Any]) -> View:
        """Return the page of the step."""
        view: View = _STEPS[state.step].present(state, found)
        return view

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Train both twins, each time from the next seed, or stop them where they are."""
        if name == "train":
            self.update(runs=self.state.runs + 1)
        elif name == "halt":
            self._shelf.halted.add(self.state.runs)

    def unused(self, state: LessonState) -> Collection[str]:
        """Return the fields of the other steps."""
        used = {"step", *_STEPS[state.step].FIELDS}
        return [field.name for field in fields(state) if field.name not in used]

    def worth_baking(self, state: LessonState) -> bool:
        """Two blocks out are enough for a page without Python."""
        return len(state.deleted) <= 2
