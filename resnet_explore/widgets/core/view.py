"""What is on an explorer's page, as data: frozen dataclasses that turn into JSON and a list of buffers.

A panel or a control is a frozen dataclass with a `kind`, which names the browser's module that draws it, and
a `key`, by which the page knows it again in the next view. `Over` stands wherever something depends on a
field that a slider moves: the page picks the entry by itself, without asking the kernel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np

SCHEMA = 1


@dataclass(frozen=True)
class Over:
    """One entry for each value of a field of the state; the page shows the one of the value that it has now.

    Anything in a view may be an `Over`: a headline, a panel, one number of a chart; entries may hold others.
    """

    field: str
    each: Mapping[Any, Any]


class Part:
    """A control or a panel. Subclasses are frozen dataclasses; `kind` is what the browser calls them.

    height  CSS pixels that a panel takes in a saved picture, 0 where it can't be drawn
    """

    kind: ClassVar[str]
    height: ClassVar[float] = 0
    key: str

    def follows(self) -> tuple[str, ...]:
        """Return the fields of the state that the page follows by itself, beside those of an `Over`."""
        return ()

    def draw(self, figure: Any) -> None:
        """Draw a panel on a matplotlib (sub)figure."""
        raise NotImplementedError

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows of a table with what a panel shows, {column: value}."""
        return ()


# --- controls -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """One entry of a menu or a tab.

    value    what the state's field becomes
    label    what a person reads
    tip      more about it, shown on hover
    missing  why it can't be chosen now, "" where it can
    group    the heading that it stands under in a menu
    """

    value: Any
    label: str
    tip: str = ""
    missing: str = ""
    group: str = ""


@dataclass(frozen=True)
class Tabs(Part):
    """Views of which one is open. `key` is the state's field."""

    kind: ClassVar[str] = "tabs"
    key: str
    choices: Sequence[Choice]
    label: str = "View"


@dataclass(frozen=True)
class Menu(Part):
    """One of several values. `key` is the state's field."""

    kind: ClassVar[str] = "menu"
    key: str
    label: str
    choices: Sequence[Choice]
    tip: str = ""


@dataclass(frozen=True)
class Slider(Part):
    """One of an ordered row of values, moved in the browser. `key` is the state's field.

    choices  the stops in order; their labels are what is read out and printed below the track
    play     whether a button runs through them
    """

    kind: ClassVar[str] = "slider"
    key: str
    label: str
    choices: Sequence[Choice]
    play: bool = False
    tip: str = ""


@dataclass(frozen=True)
class Check(Part):
    """Yes or no. `key` is the state's field."""

    kind: ClassVar[str] = "check"
    key: str
    label: str
    tip: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Number(Part):
    """A number that is typed or stepped. `key` is the state's field; low, high and step bound it."""

    kind: ClassVar[str] = "number"
    key: str
    label: str
    low: float
    high: float
    step: float = 1
    tip: str = ""


@dataclass(frozen=True)
class Button(Part):
    """Something to be done: a press calls `Explorer.act(key)`.

    missing  why it can't be pressed now, "" where it can
    """

    kind: ClassVar[str] = "button"
    key: str
    label: str
    tip: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Options(Part):
    """One of a few values, all in sight below each other. `key` is the state's field."""

    kind: ClassVar[str] = "options"
    key: str
    label: str
    choices: Sequence[Choice]


@dataclass(frozen=True)
class More(Part):
    """Controls that are rarely used, folded behind a word; open, they stand in a row of their own."""

    kind: ClassVar[str] = "more"
    key: str
    label: str
    controls: Sequence[Part]


# --- panels -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prose(Part):
    """Paragraphs of plain text."""

    kind: ClassVar[str] = "prose"
    key: str
    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    digits  decimals of its numbers, None for texts
    best    -1 where the first click puts the largest on top
    tip     what it means
    """

    title: str
    digits: int | None = None
    best: int = 1
    tip: str = ""


@dataclass(frozen=True)
class Table(Part):
    """Rows of texts and numbers, sorted by a click on a column's head; None is what is not known.

    sort  the state's field that holds (column, 1 or -1), by what is sorted and whether up or down
    """

    kind: ClassVar[str] = "table"
    key: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    sort: str

    def follows(self) -> tuple[str, ...]:
        """Return the field of the order."""
        return (self.sort,)

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows as they are, in the order that was given."""
        titles = [column.title for column in self.columns]
        return [dict(zip(titles, row, strict=True)) for row in self.rows]


# --- the page -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A whole page, from top to bottom.

    tabs        the control that turns pages, if there are several
    ask         what is asked: menus, checks and buttons above the picture
    headline    the finding in at most 15 words
    why         how the number comes about, behind a "Why?" beside the headline
    panels      rows of panels; those of one row stand side by side where there is room. None leaves the
                picture that stands there, dimmed, with its headline and sliders
    sliders     directly under the picture
    conditions  sentences folded below the sliders
    waiting     what stands in the picture's place as long as there is none
    glossary    {word: explanation} for words of this page that not everybody knows
    """

    headline: Any = ""
    panels: Sequence[Sequence[Any]] | None = ()
    tabs: Tabs | None = None
    ask: Sequence[Part] = ()
    sliders: Sequence[Part] = ()
    why: Any = ""
    conditions: Any = ()
    waiting: str = ""
    glossary: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoded:
    """A view as it is sent.

    tree     for JSON. An array is {"$array": its place among the buffers, "dtype", "shape"}, little-endian
             and C-contiguous; an `Over` is {"$over": field, "at": [values], "each": [entries]}
    buffers  the arrays' bytes
    local    the fields that the page follows by itself: what it shows for their values is there already
    """

    tree: Any
    buffers: list[memoryview]
    local: list[str]


def encode(view: View) -> Encoded:
    """Return a view in the form that the page takes."""
    buffers: list[memoryview] = []
    local: set[str] = set()
    tree = _encode(view, buffers, local)
    return Encoded(tree, buffers, sorted(local))


def _encode(value: Any, buffers: list[memoryview], local: set[str]) -> Any:
    if isinstance(value, Over):
        local.add(value.field)
        at, each = ([_encode(v, buffers, local) for v in part] for part in (value.each, value.each.values()))
        return {"$over": value.field, "at": at, "each": each}
    if is_dataclass(value) and not isinstance(value, type):
        tree = {f.name: _encode(getattr(value, f.name), buffers, local) for f in fields(value)}
        if not isinstance(value, Part):
            return tree
        local.update(value.follows())
        return {"kind": value.kind, **tree}
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        buffers.append(memoryview(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()))
        return {"$array": len(buffers) - 1, "dtype": array.dtype.name, "shape": list(array.shape)}
    if isinstance(value, bytes | memoryview):
        buffers.append(memoryview(value))
        return {"$array": len(buffers) - 1, "dtype": "bytes", "shape": [len(value)]}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name): _encode(entry, buffers, local) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(entry, buffers, local) for entry in value]
    return value


def settled(value: Any, state: Any) -> Any:
    """Return what is shown at a state: every `Over` replaced by its entry, also inside of other parts."""
    if isinstance(value, Over):
        at = getattr(state, value.field)
        return settled(value.each[at], state) if at in value.each else None
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: settled(getattr(value, f.name), state) for f in fields(value)}
        return type(value)(**changed)
    if isinstance(value, Mapping):
        return {name: settled(entry, state) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(settled(entry, state) for entry in value)
    return value
