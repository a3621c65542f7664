"""Read what came as an answer: numbers, choices, tensors; run a student's code and say where it failed."""

import math
import re
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.errors import ExploreError, an
from resnet_explore.paths import PACKAGE

_LIBRARIES = tuple({str(PACKAGE), *(sysconfig.get_paths()[k] for k in ("stdlib", "purelib", "platlib"))})
_LONGEST = 160  # letters of an error's message
# Digits, or groups of three behind one kind of separator: "3,7" is no way to write 37.
_WHOLE = r"(?:[0-9]+|[1-9][0-9]{0,2}(?P<between>[,_ ])[0-9]{3}(?:(?P=between)[0-9]{3})*)"
_NUMBER = re.compile(rf"[-+]?{_WHOLE}(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?\s*[×x]?", re.IGNORECASE)


class NotAnAnswerError(ExploreError):
    """What came can't be checked: it is something else than was asked, or code that fails. One sentence."""


def as_number(answer: Any, asked: str, whose: str = "") -> float:
    """Return a number: 1000, 1e3, a tensor's or an array's only value, or a text such as "1,000×".

    asked  what is asked for, as the end of "This asks for ..."
    whose  the call that gave it, if a student's code did
    """
    if isinstance(answer, str) and _NUMBER.fullmatch(answer.strip()):
        answer = float(re.sub(r"[,_ ×xX]", "", answer))
    if isinstance(answer, Tensor | np.ndarray | np.generic) and math.prod(answer.shape) == 1:
        answer = answer.item()
    if isinstance(answer, Real) and not isinstance(answer, bool) and math.isfinite(answer):
        return float(answer)
    if whose:
        raise NotAnAnswerError(f"{whose} gives back {named(answer)}, not {asked}.")
    raise NotAnAnswerError(f"This asks for {asked}, not for {named(answer)}.")


def as_numbers(answer: Any, count: int, asked: str) -> list[float]:
    """Return so many numbers, from a list, a tuple, an array, a tensor or the values of a dict."""
    parts = as_parts(answer, count, asked)
    return [as_number(part, asked) for part in parts]


def as_parts(answer: Any, count: int, asked: str) -> list[Any]:
    """Return the parts of an answer that has so many."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    elif isinstance(answer, Tensor | np.ndarray):
        answer = answer.tolist()
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        raise NotAnAnswerError(f"This asks for {asked}, not for {named(answer)}.")
    if len(answer) != count:
        raise NotAnAnswerError(f"This asks for {asked}; {len(answer)} came.")
    return list(answer)


def as_choice(answer: Any, choices: str) -> str:
    """Return one of the letters, in lower case."""
    letter = answer.strip().strip("().").lower() if isinstance(answer, str) else ""
    if len(letter) != 1 or letter not in choices:
        letters = ", ".join(f'"{one}"' for one in choices)
        raise NotAnAnswerError(f"This asks for one of the letters {letters}, not for {named(answer)}.")
    return letter


def as_function(answer: Any, takes: str) -> Callable[..., Any]:
    """Return a function that a student wrote; `takes` says how it is called, "f(network, images)"."""
    if isinstance(answer, nn.Module) or not callable(answer):
        raise NotAnAnswerError(
            f"This asks for a function, {takes}, not for {named(answer)}: pass the function itself, uncalled."
        )
    return answer


def as_tensor(value: Any, whose: str) -> Tensor:
    """Return what a student's code gave back as a tensor; arrays count."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        value = torch.as_tensor(value)
    if not isinstance(value, Tensor):
        hint = " Did it end without `return`?" if value is None else ""
        raise NotAnAnswerError(f"{whose} gives back {named(value)}, not a tensor.{hint}")
    return value


def run(whose: str, function: Callable[..., Any], *arguments: Any, **named_arguments: Any) -> Any:
    """Call a student's code. NotAnAnswerError says in one sentence in which line it fails, and how."""
    try:
        return function(*arguments, **named_arguments)
    except (Exception, SystemExit) as error:
        raise failed(whose, error) from None


def failed(whose: str, error: BaseException) -> NotAnAnswerError:
    """Return what is said of code that failed."""
    return NotAnAnswerError(f"{whose} stops{_where(error)}: {_what(error)}.")


def named(answer: Any) -> str:
    """Return what something is, in a few words: "a text ('abc')", "a network (ResNet)", "None"."""
    if answer is None:
        return "None"
    if isinstance(answer, bool):
        return str(answer)
    if isinstance(answer, str):
        return f"the text {_short(answer, 40)!r}"
    if isinstance(answer, Real):
        return f"the number {answer}"
    if isinstance(answer, Tensor | np.ndarray):
        return f"{an(answer)} of shape {tuple(answer.shape)}"
    if isinstance(answer, nn.Module):
        return f"a module ({type(answer).__name__})"
    if isinstance(answer, type):
        return f"the class {answer.__name__}"
    if callable(answer):
        return f"the function {getattr(answer, '__name__', type(answer).__name__)}"
    return an(answer)


def _where(error: BaseException) -> str:
    """Return " in line 7 (`x = self.conv(x)`)", the last line that is no library's; "" if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*_LIBRARIES, "<frozen")):
            line = _short((frame.line or "").strip(), 60)
            return f" in line {frame.lineno}" + (f" (`{line}`)" if line else "")
    return ""


def _what(error: BaseException) -> str:
    message = _short(" ".join(str(error).split()).rstrip("."), _LONGEST)
    name = type(error).__name__
    return f"{name}, {message}" if message else name


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def name_of(answer: Any) -> str:
    """Return what a student's class or function is called, for a sentence."""
    name = getattr(answer, "__name__", type(answer).__name__)
    return "Your function" if name == "<lambda>" else str(name)
