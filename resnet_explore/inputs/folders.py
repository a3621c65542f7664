"""Folders of images as they lie on a disk: their classes and splits, and their pixels as one array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.images import ImageError, decode_unguarded, quiet, square_crop

if TYPE_CHECKING:
    import torch

_SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}

LAYOUT = "<class>/<image>, or train/<class>/<image> and test/<class>/<image>"
"""How images lie in a folder, as everything that speaks of it says."""


class UnreadableImagesError(ExploreError):
    """Images that can't be read and must not be left out; `found` says which, without what to do about it."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}: mend or remove them, or pass skip_unreadable=True.")
        self.found = found


Files = list[tuple[str, Path]]
"""Class name and file of each image of a split, in the order of the names."""


def usable_root(root: str | Path) -> Path:
    """Return `root` as a path that the system can be asked about, whether it is there or not."""
    try:
        path = Path(root).expanduser()  # RuntimeError: the home of an unknown ~user
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # ValueError: a zero byte; OSError: too long a name, a folder that may not be entered
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise ExploreError(f"The folder {str(root)!r:.80} cannot be used: {reason}.") from None
    return path


def image_splits(root: Path) -> tuple[dict[str, Files], bool]:
    """Return the splits that a root has as folders, or else those that `held_out` makes of its classes.

    And with them whether they were made so.
    """
    if not root.is_dir():
        raise ExploreError(
            f"{str(root)!r} is no folder." if root.exists() else f"There is no folder {str(root)!r}."
        )
    folders = {d.name for d in root.iterdir() if d.is_dir() and not d.name.startswith(".")}
    found = {split: image_files(root / d) for d, split in _SPLIT_FOLDERS.items() if d in folders}
    if found.get("train") or (folders and folders <= set(_SPLIT_FOLDERS)):
        if not found.get("train"):
            raise ExploreError(f"{root} has no images in train/<class>: they must lie as {LAYOUT}.")
        return {split: files for split, files in found.items() if files}, False
    files = image_files(root)
    if not files:
        raise ExploreError(f"{root} has no images that lie as {LAYOUT}.")
    names = sorted({label for label, _ in files})
    test = held_out([relative(file, root) for _, file in files], [names.index(label) for label, _ in files])
    parts = {
        "train": [f for f, held in zip(files, test, strict=True) if not held],
        "test": [f for f, held in zip(files, test, strict=True) if held],
    }
    return {split: part for split, part in parts.items() if part}, True


def image_files(folder: Path) -> Files:
    """Return the images in the sub-folders of `folder`, at any depth; what is hidden is passed over."""
    found: Files = []
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "__MACOSX")))
        inside = Path(path).relative_to(folder).parts
        if inside:
            images = (n for n in sorted(names) if Path(n).suffix.lower() in SUFFIXES and n[0] != ".")
            found += [(inside[0], Path(path, n)) for n in images]
    return sorted(found)


@dataclass(frozen=True)
class Survey:
    """What a folder of images holds, told without opening an image."""

    images: int  # of the train split
    classes: tuple[str, ...]
    fingerprint: str  # changes when a file is added, taken away or written anew


def survey(root: str | Path) -> Survey:
    """Look at a folder of images; ExploreError if it can't be one to train on."""
    path = usable_root(root).absolute()
    splits, _ = image_splits(path)
    classes = require_two_classes(path, splits["train"])
    stamps = [str(path)]
    for _, file in (item for split in splits.values() for item in split):
        with suppress(OSError):  # a link that leads nowhere: reading the images will say so
            status = file.stat()
            stamps.append(f"{relative(file, path)} {status.st_size} {status.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(stamps).encode()).hexdigest()
    return Survey(len(splits["train"]), classes, digest[:8])


def require_two_classes(root: Path, files: Files) -> tuple[str, ...]:
    """Return the classes of a train split in order; ExploreError if there is one only."""
    classes = tuple(sorted({label for label, _ in files}))
    if len(classes) < 2:
        raise ExploreError(f"{root} holds images of one class only ({classes[0]!r}); two are needed.")
    return classes


def default_size(files: list[Path]) -> int:
    with quiet():
        return 32 if 0 < max(map(_longest_side, files)) <= 32 else 64


def _longest_side(file: Path) -> int:
    """Return it from the header alone; 0 where that cannot be read."""
    try:
        with Image.open(file) as image:
            return max(image.size)
    except Exception:
        return 0


def read_images(
    root: Path, files: list[Path], size: int, skip: bool, others: Sequence[Path] = ()
) -> tuple[torch.Tensor, set[int]]:
    """Return (n, 3, size, size) and the positions of the files that are left out for being unreadable.

    Where there are such files and none may be left out, an ExploreError names them, and those among `others`.
    """
    pixels, problems = _decode(files, size)
    if problems and not skip:
        broken = [files[i] for i in problems] + [others[i] for i in _decode(others, size)[1]]
        raise UnreadableImagesError(
            f"{len(broken):,} of {len(files) + len(others):,} images in {root} cannot be read "
            f"({some(relative(file, root) for file in broken)})"
        )
    if len(problems) == len(files):
        raise ExploreError(f"None of the {len(files):,} images in {root} can be read.")
    kept = np.delete(pixels, sorted(problems), axis=0) if problems else pixels
    import torch  # here, since to look at a folder needs none

    return torch.from_numpy(kept), problems


def _decode(files: Sequence[Path], size: int) -> tuple[np.ndarray, set[int]]:
    """Return uint8 (n, 3, size, size), and the positions of those that can't be read, which hold anything."""
    pixels = np.empty((len(files), 3, size, size), dtype=np.uint8)
    problems: set[int] = set()

    def read(start: int) -> None:
        for i in range(start, min(start + 32, len(files))):
            try:
                pixels[i] = np.asarray(square_crop(decode_unguarded(files[i]), size)).transpose(2, 0, 1)
            except ImageError:
                problems.add(i)

    # 32 files to a task: with one, handing tasks over costs more than decoding a 32x32 JPEG (60 us)
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(read, range(0, len(files), 32)))
    return pixels, problems


def held_out(keys: Sequence[str], labels: Sequence[int]) -> np.ndarray:
    """Return a mask (N,) of the test images: a fifth of all, rounded up, and as near as may be of each class.

    Within a class those whose key has the smallest SHA-256 are taken, so the split depends neither on a
    random generator nor on the order of the images, and hardly changes when a few are added. What rounding
    down to whole images costs goes to the classes that lost most; no class is ever taken whole.
    """
    classes = np.asarray(labels)
    counts = np.bincount(classes)
    share = counts // 5
    missing = -(-len(classes) // 5) - share.sum()
    share[np.argsort(-(counts % 5), kind="stable")[:missing]] += 1
    share = np.minimum(share, np.maximum(counts - 1, 0))
    mask = np.zeros(len(classes), dtype=bool)
    for label, n in enumerate(share):
        members = np.flatnonzero(classes == label).tolist()
        mask[sorted(members, key=lambda i: hashlib.sha256(keys[i].encode()).digest())[:n]] = True
    return mask


def relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(map(repr, ordered[:3])) + (", ..." if len(ordered) > 3 else "")
