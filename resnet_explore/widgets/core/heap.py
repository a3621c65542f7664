"""Memory that a job has done with goes back to the system; glibc would keep most of it for the next job."""

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Return freed memory to the system: a few milliseconds, so at the end of jobs and not of key presses."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, which does so by itself or can't
        return None
