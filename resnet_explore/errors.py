"""One family of errors for mistakes that a person can make, each one sentence long."""

import errno
import socket
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_MOST_NAMES = 20  # names in a sentence
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


class ExploreError(ValueError):
    """A request that cannot be met; its message is one sentence: the argument, what came, what is allowed."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the sentence alone, since the mistake is not in our code."""
        return [f"{type(self).__name__}: {self}"]


class CancelledError(ExploreError):
    """What a person stopped; raised where their `cancel` said so."""


def an(thing: object) -> str:
    """Return what kind of thing it is: "a ResNet", "an Inception3"."""
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def require_module(model: Any, name: str = "model") -> None:
    """Raise ExploreError for what is no network, such as the name of one; `name` is that of the argument."""
    from torch import nn

    if not isinstance(model, nn.Module):
        build = f": resnet_explore.build({model!r:.40}) may give one" if isinstance(model, str) else ""
        raise ExploreError(f"{name} must be a torch.nn.Module, not {type(model).__name__}{build}.")


def why_not_downloaded(error: BaseException) -> str:
    """Return why a download failed, in a few plain words without numbers of errors."""
    reason = getattr(error, "reason", None) or error  # what a URLError holds
    if isinstance(reason, socket.gaierror) or getattr(reason, "errno", None) in _UNREACHABLE:
        return "no connection"
    if isinstance(reason, TimeoutError):
        return "the server did not answer in time"
    return str(getattr(reason, "strerror", None) or reason)


def unknown(what: str, name: object, options: Iterable[str], hint: str = "") -> ExploreError:
    """Return (not raise) the error for a name that is not among `options`, offering the closest ones.

    `what` is the noun ("model", "layer", ...); `hint` is appended where a list of options is not the
    whole truth, for example a pattern such as "cifar_resnet{6n+2}".
    """
    known = list(options)
    alike = {option.casefold(): option for option in reversed(known)}  # of two the first
    close = [alike[c] for c in get_close_matches(str(name).casefold(), alike, n=3, cutoff=0.5)]
    if close:
        offer = "did you mean " + " or ".join(repr(c) for c in close) + "?"
    else:
        shown = ", ".join(known[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")
        offer = f"known: {shown}." if known else "none exist."
    return ExploreError(f"Unknown {what} {name!r}: {offer}" + (f" {hint}" if hint else ""))
