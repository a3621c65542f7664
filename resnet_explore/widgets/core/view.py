"""What is on an explorer's page, as data: frozen dataclasses that turn into JSON and a list of buffers.

A panel or a control is a frozen dataclass with a `kind`, which names the browser's module that draws it, and
a `key`, by which the page knows it again in the next view. `Over` stands wherever something depends on a
field that a slider moves: the page picks the entry by itself, without asking the kernel. `Now` is a field's
value itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from typing import Any, ClassVar

import numpy as np

SCHEMA = 1
_ELSEWHERE = "This works in the notebook."
_MANY = 24  # entries of a menu

Can = Callable[[str, Any], bool]


@dataclass(frozen=True)
class Over:
    """One entry for each value of a field of the state; the page shows the one of the value that it has now.

    Anything in a view may be an `Over`: a headline, a panel, one number of a chart; entries may hold others.
    """

    field: str
    each: Mapping[Any, Any]


@dataclass(frozen=True)
class Now:
    """The value that a field of the state has now, in the kernel and on the page."""

    field: str


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

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Return what a person can set with it, (field, value), as far as that can be listed.

        Asked of a part that is settled at a state, and has no `Over` any more.
        """
        return ()

    def offline(self, can: Can) -> "Part | None":
        """Return the part as it stands where no Python is, None where it makes no sense there.

        can  whether there is an answer where a field is set to a value
        """
        return self

    def draw(self, figure: Any) -> None:
        """Draw a panel on a matplotlib (sub)figure."""
        raise NotImplementedError

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows of a table with what a panel shows, {column: value}."""
        return ()

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the arrays that a panel shows, under names that say what they are."""
        return {}


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

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield each entry that can be chosen."""
        return ((self.key, choice.value) for choice in self.choices if not choice.missing)

    def offline(self, can: Can) -> Part:
        """Grey what has no answer."""
        return replace(self, choices=[_greyed(self.key, choice, can) for choice in self.choices])


@dataclass(frozen=True)
class Menu(Part):
    """One of several values. `key` is the state's field."""

    kind: ClassVar[str] = "menu"
    key: str
    label: str
    choices: Sequence[Choice]
    tip: str = ""

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield each entry that can be chosen."""
        return ((self.key, choice.value) for choice in self.choices if not choice.missing)

    def offline(self, can: Can) -> Part:
        """Grey what has no answer; of many entries, as of hundreds of images, leave it out."""
        choices = [_greyed(self.key, choice, can) for choice in self.choices]
        if len(choices) > _MANY:
            choices = [choice for choice in choices if not choice.missing]
        return replace(self, choices=choices)


@dataclass(frozen=True)
class Slider(Part):
    """One of an ordered row of values, moved in the browser. `key` is the state's field.

    choices  the stops in order, `Choice`s or an `Over` of them; their labels are printed below the track, and
             read out with their tips
    play     whether a button runs through them
    carries  {another slider's field: {a value of this one: the other's values there, in order}}: it keeps its
             share of the way when this one moves, as a block does in a deeper network
    """

    kind: ClassVar[str] = "slider"
    key: str
    label: str
    choices: Any
    play: bool = False
    tip: str = ""
    carries: Mapping[str, Mapping[Any, Sequence[Any]]] = field(default_factory=dict)

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield each stop."""
        return ((self.key, choice.value) for choice in self.choices or ())

    def offline(self, can: Can) -> Part:
        """Keep the stops that have an answer."""
        if isinstance(self.choices, Over):
            return self
        return replace(self, choices=[c for c in self.choices or () if can(self.key, c.value)])


@dataclass(frozen=True)
class Check(Part):
    """Yes or no. `key` is the state's field."""

    kind: ClassVar[str] = "check"
    key: str
    label: str
    tip: str = ""
    missing: str = ""

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield yes and no, if it can be changed."""
        return () if self.missing else ((self.key, False), (self.key, True))

    def offline(self, can: Can) -> Part:
        """Grey it if one of both has no answer."""
        return self if can(self.key, False) and can(self.key, True) else _missing(self)


@dataclass(frozen=True)
class Number(Part):
    """A number that is typed or stepped. `key` is the state's field; low, high and step bound it.

    missing  why it can't be changed now, "" where it can
    """

    kind: ClassVar[str] = "number"
    key: str
    label: str
    low: float
    high: float
    step: float = 1
    tip: str = ""
    missing: str = ""

    def offline(self, can: Can) -> Part:
        """Grey it: what it asks is not known beforehand."""
        return _missing(self)


@dataclass(frozen=True)
class Text(Part):
    """A line of text; it counts once Enter is pressed or it is left. `key` is the state's field.

    hint     what stands there greyed as long as nothing is typed
    missing  why it can't be changed now, "" where it can
    """

    kind: ClassVar[str] = "text"
    key: str
    label: str
    hint: str = ""
    tip: str = ""
    missing: str = ""

    def offline(self, can: Can) -> Part:
        """Grey it: what it asks is not known beforehand."""
        return _missing(self)


@dataclass(frozen=True)
class Button(Part):
    """Something to be done: a press calls `Explorer.act(key)`, or sets fields.

    missing  why it can't be pressed now, "" where it can
    puts     {field of the state: value} that a press sets; the page does so by itself
    widest   the longest label that it has at times, for which there is always room
    """

    kind: ClassVar[str] = "button"
    key: str
    label: str
    tip: str = ""
    missing: str = ""
    puts: Mapping[str, Any] = field(default_factory=dict)
    widest: str = ""

    def offline(self, can: Can) -> Part:
        """Grey it, unless the page does it by itself."""
        return self if self.puts else _missing(self)


@dataclass(frozen=True)
class Thumb:
    """One entry of a strip of pictures: a value of the state's field, what it shows, and its bytes."""

    value: Any
    label: str
    picture: bytes


@dataclass(frozen=True)
class Thumbs(Part):
    """One of several pictures, in a strip of one row that scrolls. `key` is the state's field."""

    kind: ClassVar[str] = "thumbs"
    key: str
    label: str
    choices: Sequence[Thumb]

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield each picture."""
        return ((self.key, choice.value) for choice in self.choices)

    def offline(self, can: Can) -> Part:
        """Keep the pictures that have an answer."""
        return replace(self, choices=[c for c in self.choices if can(self.key, c.value)])


@dataclass(frozen=True)
class Upload(Part):
    """A place to drop, paste or choose photos.

    Each file comes as `Explorer.act(key, {"name", "note", "count", "batch"}, [its bytes])`: `note` says how
    the browser changed it, `count` which of several it is; those that came together share a `batch`. Files
    above 4 MB or 2048 pixels a side arrive shrunk to 1600 (strips only as far as their short side bears),
    upright as EXIF says, as PNG or, where that stays above 6 MB, JPEG; all others arrive byte for byte, also
    those that are no images.

    said, wrong  what is to be said of the last files, and whether that is an error
    taken        how many files have come so far; so the page knows that the last one is answered
    """

    kind: ClassVar[str] = "upload"
    key: str
    said: str = ""
    wrong: bool = False
    taken: int = 0

    def offline(self, can: Can) -> None:
        """Leave it out: nobody takes a photo there."""


@dataclass(frozen=True)
class Named:
    """A network's name in its colour: "plain", "residual" or ""."""

    name: str
    color: str = ""


@dataclass(frozen=True)
class Bar:
    """A share of 0 to 1 as a bar, with its number in words, in the colour of "plain", "residual" or ""."""

    share: float
    text: str
    color: str = ""


@dataclass(frozen=True)
class AnswerBars:
    """One answer: a value of the state's field, what it is called, a bar for each network."""

    value: Any
    label: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Choices(Part):
    """Answers of networks, of which one can be pressed. `key` is the state's field.

    names    whose bars they are, in order
    note     what is to be said of them
    missing  why none can be pressed, "" where they can
    """

    kind: ClassVar[str] = "choices"
    key: str
    label: str
    names: Sequence[Named]
    answers: Sequence[AnswerBars]
    note: str = ""
    missing: str = ""

    def sets(self) -> Iterable[tuple[str, Any]]:
        """Yield each answer."""
        return ((self.key, answer.value) for answer in self.answers)

    def offline(self, can: Can) -> Part:
        """Grey them if none of them can be asked about."""
        return self if any(can(self.key, answer.value) for answer in self.answers) else _missing(self)

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each answer."""
        for answer in self.answers:
            shares = (bar.share for bar in answer.bars)
            yield {"answer": answer.label, **dict(zip((n.name for n in self.names), shares, strict=True))}


@dataclass(frozen=True)
class More(Part):
    """Controls that are rarely changed, folded behind a word."""

    kind: ClassVar[str] = "more"
    key: str
    controls: Sequence[Part]
    label: str = "More"

    def offline(self, can: Can) -> Part:
        """Do so with each."""
        return replace(self, controls=offline_parts(self.controls, can))


@dataclass(frozen=True)
class Group(Part):
    """Parts in a line, which breaks where there is no room.

    folded  words on which they unfold, "" where they are always there
    """

    kind: ClassVar[str] = "group"
    key: str
    parts: Sequence[Any]
    folded: str = ""

    def offline(self, can: Can) -> Part:
        """Do so with each."""
        return replace(self, parts=offline_parts(self.parts, can))


def offline_parts(parts: Any, can: Can) -> Any:
    """Return parts, also those in an `Over`, as they stand where no Python is."""
    if isinstance(parts, Over):
        return replace(parts, each={at: offline_parts(entry, can) for at, entry in parts.each.items()})
    if isinstance(parts, list | tuple):
        left = (offline_parts(part, can) for part in parts)
        return [part for part in left if part is not None]
    return parts.offline(can) if isinstance(parts, Part) else parts


def _missing(part: Any) -> Any:
    return replace(part, missing=part.missing or _ELSEWHERE)


def _greyed(name: str, choice: Choice, can: Can) -> Choice:
    return choice if choice.missing or can(name, choice.value) else replace(choice, missing=_ELSEWHERE)


# --- panels -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prose(Part):
    """Paragraphs of plain text, or an `Over` of them.

    elsewhere  what stands in their place where no Python is, None for the same
    """

    kind: ClassVar[str] = "prose"
    key: str
    paragraphs: Any
    elsewhere: Any = None

    def offline(self, can: Can) -> Part:
        """Say what can be done there."""
        return self if self.elsewhere is None else replace(self, paragraphs=self.elsewhere, elsewhere=None)


@dataclass(frozen=True)
class Code(Part):
    """Lines for a terminal or a cell, to be copied."""

    kind: ClassVar[str] = "code"
    key: str
    lines: Sequence[str]


@dataclass(frozen=True)
class ProgressBar(Part):
    """How far something is that goes on beside the page.

    share     of it that is done, from 0 to 1; None where there is nothing to be shown
    sentence  what is being done, or came of it
    failed    whether the sentence says what went wrong
    """

    kind: ClassVar[str] = "progress"
    key: str
    share: float | None
    sentence: str
    failed: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table.

    digits  decimals of its numbers, None for texts
    best    -1 where the first click puts the largest on top
    tip     what it means
    twin    "plain" or "residual" where it speaks of one of the two, which gives its head the colour
    """

    title: str
    digits: int | None = None
    best: int = 1
    tip: str = ""
    twin: str = ""


@dataclass(frozen=True)
class Table(Part):
    """Rows of texts and numbers, sorted by a click on a column's head; None is what is not known.

    sort    the state's field that holds (column, 1 or -1), by what is sorted and whether up or down
    marked  the places of the rows that stand out, such as those of what is looked at
    shaded  the places of the rows that come from elsewhere
    """

    kind: ClassVar[str] = "table"
    key: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    sort: str
    marked: Any = ()
    shaded: Sequence[int] = ()

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
    below       rows of panels and controls under the sliders: what belongs to the picture and is not the
                picture
    conditions  sentences folded below all that
    waiting     what stands in the picture's place as long as there is none
    glossary    {word: explanation} for words of this page that not everybody knows
    aside       {a panel's key: small things of it that change oftener than the rest}, such as exact values at
                one place; they travel in a message of their own
    question    a `Question` that comes before all this, until it is answered or skipped
    """

    headline: Any = ""
    panels: Sequence[Sequence[Any]] | None = ()
    tabs: Tabs | None = None
    ask: Sequence[Part] = ()
    sliders: Sequence[Part] = ()
    below: Sequence[Sequence[Any]] = ()
    why: Any = ""
    conditions: Any = ()
    waiting: str = ""
    glossary: Mapping[str, str] = field(default_factory=dict)
    aside: Mapping[str, Any] = field(default_factory=dict)
    question: Any = None


@dataclass(frozen=True)
class Encoded:
    """A view as it is sent.

    tree     for JSON. An array is {"$array": its place among the buffers, "dtype", "shape"}, little-endian
             and C-contiguous; an `Over` is {"$over": field, "at": [values], "each": [entries]}, a `Now`
             {"$now": field}
    buffers  the arrays' bytes
    local    the fields that the page follows by itself: what it shows for their values is there already
    """

    tree: Any
    buffers: list[memoryview]
    local: list[str]


_PLAIN = frozenset({str, int, float, bool, type(None)})  # most of a page, so they are told from parts first


def encode(view: View) -> Encoded:
    """Return a view, without what stands aside, in the form that the page takes."""
    return _encoded(replace(view, aside={}))


def encode_aside(view: View) -> Encoded:
    """Return what stands aside of a view in the form that the page takes."""
    return _encoded(view.aside)


def _encoded(value: Any) -> Encoded:
    buffers: list[memoryview] = []
    local: set[str] = set()
    tree = _encode(value, buffers, local)
    return Encoded(tree, buffers, sorted(local))


def _encode(value: Any, buffers: list[memoryview], local: set[str]) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Now):
        local.add(value.field)
        return {"$now": value.field}
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
    """Return what is shown at a state: every `Over` and `Now` replaced, also inside of other parts."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Now):
        return getattr(state, value.field)
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
