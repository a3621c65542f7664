"""An explorer's state: a frozen dataclass of plain values whose fields become traits."""

import threading
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import traitlets as t

from resnet_explore.errors import ExploreError, unknown


class StateTrait(t.Any):
    """A field of the state. To set it is to ask for a change of the state, so it passes `Explorer.update`."""

    def set(self, obj: Any, value: Any) -> None:
        """Set the value where the explorer is just doing so; else ask it for the change."""
        if obj._setting == threading.get_ident():
            super().set(obj, value)
        elif value != obj._state_value(self.name):
            obj.update(**{str(self.name): value})


def traits_of(state: type) -> dict[str, StateTrait]:
    """Return a synced trait for each field of a state's dataclass."""
    # An echo of what the page said would pull a slider back that has moved on since.
    return {f.name: StateTrait(_default(f)).tag(sync=True, echo_update=False) for f in fields(state)}


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    raise TypeError(
        f"The field {field.name} of a state needs a default: an explorer opens without arguments."
    )


def changed(state: Any, changes: Mapping[str, Any]) -> Any:
    """Return the state with some fields changed, each checked against its annotation.

    Raises `ExploreError` for a field that there is not, or a value of another type or outside of a Literal.
    """
    kind = type(state)
    hints = get_type_hints(kind)
    for name in changes:
        if name not in hints:
            raise unknown("argument", name, hints)
    checked = {name: _checked(name, value, hints[name]) for name, value in changes.items()}
    return kind(**{f.name: getattr(state, f.name) for f in fields(kind)} | checked)


def values_of(state: Any) -> dict[str, Any]:
    """Return a state's fields, {name: value}."""
    return {f.name: getattr(state, f.name) for f in fields(state)}


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return the value as the annotation wants it: JSON has no tuples and may write 1.0 for 1."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in inside:
            raise unknown(name, value, [str(option) for option in inside])
        return value
    if origin in (Union, types.UnionType):
        return _checked_union(name, value, inside)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise ExploreError(f"{name} must be a list, got {value!r:.60}.")
        each = inside[:1] * len(value) if inside[-1:] == (...,) else inside
        if len(each) != len(value):
            raise ExploreError(f"{name} must have {len(each)} entries, got {list(value)!r:.60}.")
        return tuple(_checked(name, entry, one) for entry, one in zip(value, each, strict=True))
    if hint is Any:
        return value
    if hint is bool or isinstance(value, bool):
        fits = hint is bool and isinstance(value, bool)
    elif hint is int:
        fits = isinstance(value, int | float) and float(value).is_integer()
        value = int(value) if fits else value
    elif hint is float:
        fits = isinstance(value, int | float)
        value = float(value) if fits else value
    else:
        fits = isinstance(value, hint)
    if not fits:
        raise ExploreError(f"{name} must be {_NOUNS.get(hint, hint.__name__)}, got {value!r:.60}.")
    return value


def _checked_union(name: str, value: Any, options: tuple[Any, ...]) -> Any:
    if value is None and type(None) in options:
        return None
    problems = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _checked(name, value, option)
        except ExploreError as problem:
            problems.append(problem)
    raise problems[0]


_NOUNS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
