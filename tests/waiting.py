"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Return as soon as it has happened. It takes seconds, but minutes on a busy machine."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"after {seconds} s not yet: {what}"
        time.sleep(0.05)
