"""An edit of both twins, by the numbers of their blocks, and what of it each network can bear."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_explore.analysis.topology.structure import TracedBlock
    from resnet_explore.widgets.skips.state import SkipState


@dataclass(frozen=True)
class Edit:
    """What is changed; the fields are those of `SkipState`."""

    deleted: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    skip: float = 1.0
    branch: float = 1.0

    @classmethod
    def of(cls, state: "SkipState") -> "Edit":
        """Return the edit that a state asks for."""
        return cls(state.deleted, state.cut, state.order, state.skip, state.branch)

    @property
    def nothing(self) -> bool:
        """Whether the networks are as they were trained."""
        return self == Edit()

    def at(self, dial: str, value: float) -> "Edit":
        """Return the same edit with a dial, "skip" or "branch", elsewhere."""
        return replace(self, skip=value) if dial == "skip" else replace(self, branch=value)


UNEDITED = vars(Edit())


def arguments(edit: Edit, blocks: "Sequence[TracedBlock]") -> dict[str, Any]:
    """Return what `edited` takes to make the edit, as far as these blocks can bear it."""
    places = dict(enumerate(blocks, 1))
    skip = {b.name: 0.0 if k in edit.cut else edit.skip for k, b in places.items() if b.sums}
    return {
        "delete": [places[k].name for k in edit.deleted if k in places and places[k].can_go],
        "order": _orders(edit.order, blocks),
        "skip": {name: factor for name, factor in skip.items() if factor != 1},
        "branch": {b.name: edit.branch for b in blocks} if edit.branch != 1 else {},
    }


def editing_in_code(edit: Edit, blocks: "Sequence[Sequence[TracedBlock]]") -> list[str]:
    """Return statements that make the edit in `plain` and `residual` and ask both about `image`.

    blocks  of the plain network and of the residual one
    """
    lines = ["answers = {}"]
    for name, own in zip(("plain", "residual"), blocks, strict=True):
        made = arguments(edit, own)
        changes = [f"{what}={made[what]!r}" for what in ("delete", "order") if made[what]]
        factors = ", ".join(
            f"{b.name!r}: {'0.0' if k in edit.cut else '{skip}'}" for k, b in enumerate(own, 1) if b.sums
        )
        if factors:
            changes.append(f"skip={{{factors}}}" if edit.cut else "skip={'*': {skip}}")
        lines += [
            f"with rx.edited({', '.join([name, *changes])}, branch={{'*': {{branch}}}}):",
            f'    answers["{name}"] = {name}(image).softmax(1)',
        ]
    return [*lines, "answers"]


def staying(edit: Edit, blocks: "Sequence[TracedBlock]") -> tuple[int, ...]:
    """Return the blocks that should be taken out and can't be."""
    return tuple(k for k in edit.deleted if k <= len(blocks) and not blocks[k - 1].can_go)


def partners(blocks: "Sequence[TracedBlock]", number: int) -> tuple[int, ...]:
    """Return the blocks of the same stage that could stand in a block's place, itself included."""
    one = blocks[number - 1]
    return tuple(
        k
        for k, other in enumerate(blocks, 1)
        if (other.stage, other.takes, other.gives) == (one.stage, one.takes, one.gives)
    )


def is_order(order: Sequence[int], blocks: "Sequence[TracedBlock]") -> bool:
    """Whether each block stands where one of its own shapes stood."""
    if sorted(order) != list(range(1, len(blocks) + 1)):
        return False
    return all(number in partners(blocks, place) for place, number in enumerate(order, 1))


def _orders(order: Iterable[int], blocks: "Sequence[TracedBlock]") -> dict[str, list[int]]:
    """Return for each stage that changes which of its blocks runs first, second, ..., counted from 0."""
    order = tuple(order)
    stages: dict[str, list[int]] = {}
    for place, block in enumerate(blocks, 1):
        stages.setdefault(block.stage, []).append(place)
    found = {}
    for stage, places in stages.items():
        numbers = [places.index(order[place - 1]) for place in places] if order else []
        if numbers != sorted(numbers):
            found[stage] = numbers
    return found
