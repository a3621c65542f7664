"""Rows of a grid kept in a file as they are ready, so that a long measurement goes on where it stopped."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resnet_explore.analysis._unreadable import UNREADABLE
from resnet_explore.errors import ExploreError


class GridFile:
    """Loss and error of the rows that are done.

    path   of the file; None keeps nothing
    asked  says which grid it is: a file of another one is refused
    shape  (rows, columns)

    Raises ExploreError for a file of another grid or of something else, and for what is no path.
    """

    def __init__(self, path: str | Path | None, asked: str, shape: tuple[int, int]) -> None:
        if not isinstance(path, str | Path | None):
            raise ExploreError(f"path must be the name of a file, not {path!r:.60}.")
        self._path, self._asked = None if path is None else Path(path), asked
        self.loss, self.error = np.full(shape, np.nan), np.full(shape, np.nan)
        self.done = np.zeros(shape[0], dtype=bool)
        if self._path is not None and self._path.exists():
            self._read(self._path)

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file, np.load(file) as found:
                if str(found["asked"]) != self._asked:
                    raise ExploreError(
                        f"{path} holds another landscape, of other weights, images, plane or grid: choose "
                        "another path."
                    )
                self.loss, self.error, self.done = found["loss"], found["error"], found["done"]
        except UNREADABLE as error:
            if isinstance(error, ExploreError):
                raise
            raise ExploreError(f"{path} holds no landscape that was begun: choose another path.") from None

    def add(self, row: int, loss: np.ndarray, error: np.ndarray) -> None:
        """Keep a row, in the file too; ExploreError if that can't be written."""
        self.loss[row], self.error[row], self.done[row] = loss, error, True
        if self._path is None:
            return
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                np.savez(file, loss=self.loss, error=self.error, done=self.done, asked=np.array(self._asked))
            unfinished.replace(self._path)
        except OSError as error:
            raise ExploreError(f"{self._path} can't be written to ({error.strerror}).") from None


def digest(parts: Iterable[Tensor | np.ndarray | str]) -> str:
    """Return what tells one list of arrays and words from another."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            found.update(f"{part.dtype}{tuple(part.shape)}".encode())
            part = part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        found.update(
            np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        )
    return found.hexdigest()
