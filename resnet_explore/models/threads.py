"""How many threads torch uses."""

import contextlib
import threading
from collections.abc import Iterator

import torch


class _Limits(threading.local):
    """How many limits the present thread is in."""

    here = 0


_LOCK = threading.Lock()
_LIMITS = _Limits()
_everywhere, _usual = 0, 0


def usual_threads() -> int:
    """Return how many threads torch uses where nobody limits them."""
    return _usual if _everywhere else torch.get_num_threads()


@contextlib.contextmanager
def at_most(threads: int) -> Iterator[None]:
    """Let torch use no more than so many threads for a while, in the thread that asks for it."""
    global _everywhere, _usual
    with _LOCK:
        _usual = usual_threads()
        # A new thread begins with what was set last in any: by a limit of another one, perhaps.
        before = torch.get_num_threads() if _LIMITS.here else _usual
        _everywhere, _LIMITS.here = _everywhere + 1, _LIMITS.here + 1
        torch.set_num_threads(min(threads, before))
    try:
        yield
    finally:
        with _LOCK:
            _everywhere, _LIMITS.here = _everywhere - 1, _LIMITS.here - 1
            torch.set_num_threads(before)


def one_thread() -> contextlib.AbstractContextManager[None]:
    """Let torch use one thread for a while.

    Networks this small gain nothing from more, and on a busy processor two that wait for each other at every
    layer take many times as long as one.
    """
    return at_most(1)
