"""How results print: arrays by their kind and shape, long lists by their ends, never thousands of numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

_MOST_ENTRIES = 4  # entries of a list that are printed


class Brief:
    """A dataclass (with repr=False) that prints on one line, however much it holds."""

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        said = (f"{field.name}={brief(getattr(self, field.name))}" for field in fields)
        return f"{type(self).__name__}({', '.join(said)})"


def brief(value: Any) -> str:
    """Return a value as text of moderate length: "float64 (56,)" for an array, "('a', ..., 'z') [56]"."""
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, Mapping) and not isinstance(value, Brief):
        return "{" + _ends([f"{key!r}: {brief(held)}" for key, held in value.items()]) + "}" + _count(value)
    if isinstance(value, (tuple, list)):
        return "(" + _ends([brief(held) for held in value]) + ")" + _count(value)
    if type(value).__name__ == "DataFrame":  # without loading pandas
        return f"DataFrame {value.shape}"
    return repr(value)


def counted(count: int, noun: str, more: str = "s") -> str:
    """Return "1 module" or "3 modules"."""
    return f"{count:,} {noun}{more * (count != 1)}"


def _ends(said: list[str]) -> str:
    return ", ".join(said if len(said) <= _MOST_ENTRIES else [*said[: _MOST_ENTRIES // 2], "...", said[-1]])


def _count(values: Any) -> str:
    return f" [{len(values)}]" if len(values) > _MOST_ENTRIES else ""
