"""Downloads through torchvision: one sentence if one fails, and nothing left of it on the disk."""

from __future__ import annotations

import contextlib
import socket
import tarfile
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from resnet_explore.errors import ExploreError, why_not_downloaded

_OFFLINE = 'what works offline is load_dataset("digits") or load_dataset("folder", root=...)'


class FetchError(ExploreError):
    """Data is neither there nor to be had; `reason` says so without advice for those who write Python."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {_OFFLINE}.")
        self.reason = f"{reason}."


@contextlib.contextmanager
def fetching(title: str, archive: Path, download: bool) -> Iterator[None]:
    """Turn whatever torchvision raises when the data is neither there nor to be had into one sentence.

    `archive` is the file that a download would write, inside the root of the data.
    """
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # a network that swallows packets would keep a class waiting for minutes
    try:
        with _nothing_left_of(archive):
            yield
    except (OSError, RuntimeError, HTTPException, EOFError, tarfile.TarError) as error:
        if not download:
            where = f"{title} is not in {archive.parent}"
            if not archive.parent.is_dir():
                where = f"There is no folder {str(archive.parent)!r} with {title} in it"
            raise FetchError(f"{where}, and download is off") from None
        reason = why_not_downloaded(error)
        raise FetchError(f"{title} could not be downloaded to {archive.parent} ({reason})") from error
    finally:
        socket.setdefaulttimeout(patience)


@contextlib.contextmanager
def _nothing_left_of(archive: Path) -> Iterator[None]:
    """If the block fails or is interrupted, remove the archive and the folders that were not there before it.

    Folders go only if they are empty: what else appeared in them meanwhile is not ours.
    """
    made = [path for path in (archive, *archive.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:  # from the inside out
            with contextlib.suppress(OSError):
                path.unlink() if path == archive else path.rmdir()
        raise
