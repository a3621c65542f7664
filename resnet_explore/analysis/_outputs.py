"""What a module returns may be anything; the tensors in it, and the names that they go by."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def tensors(output: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor in tuples, lists and dicts with its way there: "", "[0]", "[1][logits]"."""
    if isinstance(output, Tensor):
        yield path, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors(value, f"{path}[{key}]")
    elif isinstance(output, (tuple, list)):
        for i, value in enumerate(output):
            yield from tensors(value, f"{path}[{i}]")


def call_name(layer: str, call: int, calls: int, path: str = "") -> str:
    """Return the name of one of a module's `calls` calls, counted from 1, or of a tensor in its output."""
    return f"{layer}:{call}{path}" if calls > 1 else f"{layer}{path}"
