"""Why a worker died before it got any work: what it raised while it read the person's script anew.

`concurrent.futures` says only that the pool is broken. Here the server that workers are forked from is
started with a file's name, and each worker writes there what ends it.
"""

import multiprocessing
import os
import sys
from contextlib import suppress
from multiprocessing.util import get_temp_dir
from pathlib import Path

_PLACE = "RESNET_EXPLORE_LAST_WORDS"


def start_server(modules: list[str]) -> None:
    """Start the server that workers are forked from, with modules loaded, unless it runs.

    Forgets old words.
    """
    from multiprocessing import forkserver

    with suppress(OSError):
        _file().unlink(missing_ok=True)
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__, *modules])
    os.environ[_PLACE] = str(_file())
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[_PLACE]  # of no concern to whatever else the person starts


def last_words() -> str:
    """Return the last error of a worker that died outside of its work, as "NameError: ...", "" if none."""
    try:
        return _file().read_text(errors="replace").strip()
    except OSError:
        return ""


def _file() -> Path:
    return Path(get_temp_dir(), "last-words")  # this process's own folder, gone when it ends


def _write_down(place: str) -> None:
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: object) -> None:
        lines = [line for line in str(error).splitlines() if line.strip()]
        with suppress(OSError):
            Path(place).write_text(f"{kind.__name__}: {lines[0].strip()}" if lines else kind.__name__)
        usual(kind, error, trace)  # type: ignore[arg-type]

    sys.excepthook = hook


if place := os.environ.pop(_PLACE, ""):  # there is one in the server alone, which loads this first
    _write_down(place)
