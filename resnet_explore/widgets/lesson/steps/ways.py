"""Step 5: many ways. Take blocks out of both trained twins, and see what is left."""

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.cuts_panel import Cuts, DrawnBlock, DrawnRow
from resnet_explore.widgets.core.outcome_panel import OutcomeBar, OutcomeBars, Side
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.view import Prose, View
from resnet_explore.widgets.core.words import percent
from resnet_explore.widgets.lesson import captions
from resnet_explore.widgets.lesson.panels import Ways
from resnet_explore.widgets.lesson.state import LessonState

FIELDS = ("deleted",)
DEPTH, DATA = 20, "digits"
BLOCKS = (DEPTH - 2) // 2  # He et al. 2015, section 4.2: 6n + 2 layers
_TWINS = {"plain": f"cifar_plain{DEPTH}", "residual": f"cifar_resnet{DEPTH}"}
_SHORT = 3  # blocks whose ways are drawn
_FIRST = (5,)  # out at first


@dataclass(frozen=True, eq=False)
class Left:
    """Both twins with some blocks taken out.

    rows    the twins as they are drawn
    errors  by kind, in percent of `images` test images
    """

    rows: Sequence[DrawnRow]
    errors: Mapping[str, float]
    images: int


@dataclass(frozen=True)
class TakeOut(Job):
    """Count the errors of both trained twins without some blocks."""

    deleted: tuple[int, ...]
    says = "Asking both networks ..."

    def run(self, task: Task) -> Left:
        """Return the twins and their errors."""
        errors = {kind: _error(kind, self.deleted) for kind in _TWINS}
        rows = [_row(kind, _opened(name)[1]) for kind, name in _TWINS.items()]
        return Left(rows, errors, len(_tests()[1]))


@dataclass(frozen=True)
class TakeOutEach(Job):
    """Count the residual network's errors without each block alone."""

    aside: ClassVar[bool] = True
    says = "Asking without each block ..."

    def run(self, task: Task) -> tuple[float, ...]:
        """Return them in percent, in the order of the blocks."""
        found = []
        for number in range(1, BLOCKS + 1):
            task.check()
            found.append(_error("residual", (number,)))
        return tuple(found)


_AT_WORK = threading.Lock()


def _error(kind: str, deleted: Sequence[int]) -> float:
    """Return a twin's error in percent without some blocks, as far as they can go."""
    import torch

    from resnet_explore.analysis.skips.edited import edited

    images, labels = _tests()
    model, blocks = _opened(_TWINS[kind])
    gone = [b.name for k, b in enumerate(blocks, 1) if k in deleted and b.can_go]
    # The networks are those of all lessons: between edit and answer nobody else may edit them.
    with _AT_WORK, edited(model, delete=gone), torch.no_grad():
        wrong = model(images).argmax(1) != labels
    return 100 * float(wrong.float().mean())


@functools.cache
def _opened(name: str) -> tuple[Any, Any]:
    from resnet_explore.analysis.topology.blocks_of import blocks_of
    from resnet_explore.models.presets import build

    model = build(name, weights=DATA).eval()
    return model, blocks_of(model, tuple(model.about["input_size"]))


@functools.cache
def _tests() -> tuple[Any, Any]:
    from resnet_explore.inputs.datasets import load_dataset

    tests = load_dataset(DATA, split="test")
    return tests.normalized(), tests.labels


def _row(kind: str, blocks: Sequence[Any]) -> DrawnRow:
    drawn = (
        DrawnBlock(k, b.name, b.stage, b.gives, b.skip, "" if b.can_go else captions.STAYS_WORDS, ())
        for k, b in enumerate(blocks, 1)
    )
    return DrawnRow(kind.capitalize(), kind, tuple(drawn))


def check(state: LessonState) -> None:
    """Raise `ExploreError` for a block that there is not."""
    if not set(state.deleted) <= set(range(1, BLOCKS + 1)):
        raise ExploreError(f"deleted must be blocks from 1 to {BLOCKS}, got {list(state.deleted)}.")


def plan(state: LessonState) -> Sequence[Job]:
    """Return what is counted: as cut, whole, and without each block alone, which is told later."""
    gone = tuple(sorted(set(state.deleted)))
    return (*dict.fromkeys((TakeOut(gone), TakeOut(()))), TakeOutEach())


def present(state: LessonState, found: Mapping[Job, Any]) -> View:
    """Return the page: both twins to be cut, their errors, and the ways through the blocks beside the cut."""
    gone = tuple(sorted(set(state.deleted)))
    left, before = (found.get(TakeOut(each)) for each in (gone, ()))
    if left is None or before is None:
        return View(panels=None, waiting="Two trained networks. What if a block is taken out?")
    taken = _taken_out(left, gone)
    bars = tuple(_side(kind, left.errors[kind], before) for kind in _TWINS)
    return View(
        headline=captions.ways_headline(gone, not taken["plain"], *left.errors.values()),
        panels=(
            (
                _words(before, None if gone in ((), _FIRST) else found.get(TakeOutEach())),
                Cuts("cuts", left.rows, gone, still=True, uncut=True),
            ),
            (OutcomeBars("errors", bars, reference=captions.WAYS_BEFORE),),
        ),
        below=(
            (Prose("left", (captions.ways_left(len(gone), BLOCKS),)),),
            (Ways("ways", _near(gone), taken),),
        ),
        conditions=captions.ways_conditions(left.images, DEPTH),
        glossary=captions.GLOSSARY,
    )


def _words(before: Left, each: tuple[float, ...] | None) -> Prose:
    """Return the paragraphs: what is seen, and, once another block was tried, which of them matter."""
    # Of an odd number of blocks half of the ways pass fewer than half.
    short = captions.WAYS[1].format(all=2**BLOCKS, few=(BLOCKS - 1) // 2)
    last = captions.WAYS_ASK if each is None else captions.ways_matter(each)
    return Prose("words", (captions.ways_learned(*before.errors.values()), captions.WAYS[0], short, last))


def _side(kind: str, error: float, before: Left) -> Side:
    usual = before.errors[kind] / 100
    return Side(kind.capitalize(), kind, OutcomeBar("errors", error / 100, percent(error), before=usual), ())


def _taken_out(left: Left, gone: Sequence[int]) -> Mapping[str, Sequence[int]]:
    """Return the blocks that each network lacks: some stay in the plain one."""
    return {
        row.color: tuple(block.number for block in row.blocks if block.number in gone and not block.stays)
        for row in left.rows
    }


def _near(gone: Sequence[int]) -> tuple[int, ...]:
    """Return three blocks in a row, the last one that is taken out in the middle where that can be."""
    middle = gone[-1] if gone else 2
    first = min(max(middle - 1, 1), BLOCKS - _SHORT + 1)
    return tuple(range(first, first + _SHORT))
