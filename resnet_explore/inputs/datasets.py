"""Labelled images, each set one uint8 tensor: digits and made-up ones (offline), CIFAR-10, any folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.inputs.digits import digit_rows
from resnet_explore.inputs.download import fetching
from resnet_explore.inputs.folders import (
    default_size,
    held_out,
    image_files,
    image_splits,
    read_images,
    relative,
    require_two_classes,
    some,
    usable_root,
)
from resnet_explore.inputs.images import square_crop, standardise
from resnet_explore.inputs.patterns import PATTERNS, drawn_pattern

_IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
_IMAGENETTE_COUNT = 9_469 + 3_925
_SPLIT_OFF = "a fifth split off at random"

_Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images and labels of one split, small enough to be held in memory.

    images     uint8 (N, C, H, W), contiguous, C is 1 (grey) or 3 (RGB)
    labels     int64 (N,), each an index into `classes`
    mean, std  per channel, in units of 0..1, always of the training split; a constant channel has std 1
    source     what was read, in words
    skipped    files of this split that could not be read, relative to the root (see `skip_unreadable`)

    Raises `ExploreError` where these do not fit together.
    """

    name: str
    split: str
    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = ""
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, labels, channels = self.images, self.labels, len(self.mean)
        if images.dtype != torch.uint8 or images.ndim != 4 or not images.is_contiguous() or not len(images):
            raise ExploreError(
                f"images must be contiguous uint8 of shape (N, C, H, W) with N > 0, not {_form(images)}."
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ExploreError(f"labels must be int64 of shape ({len(images)},), not {_form(labels)}.")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ExploreError(f"classes must be two or more different names, not {self.classes!r}.")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise ExploreError(
                f"labels must lie in 0..{len(self.classes) - 1}, not in {labels.min()}..{labels.max()}."
            )
        if channels not in (1, 3) or channels != images.shape[1] or channels != len(self.std):
            raise ExploreError(
                f"mean and std must have one value for each of the {images.shape[1]} channels (1 or 3), "
                f"not {channels} and {len(self.std)}."
            )
        if not all(0 <= m <= 1 and 0 < s <= 1 for m, s in zip(self.mean, self.std, strict=True)):
            raise ExploreError(f"mean and std must be in units of 0..1, not {self.mean} and {self.std}.")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "×".join(str(n) for n in self.images.shape[1:])
        kinds = f"{len(self.classes)} classes"
        return f"ImageSet({self.name!r}, {self.split!r}: {len(self):,} images of {shape}, {kinds})"

    def normalized(
        self,
        index: int | slice | Sequence[int] | torch.Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> torch.Tensor:
        """Return (v / 255 - mean) / std of all images, or of those that `index` selects as a tensor would.

        Shape (n, C, H, W), or (C, H, W) for a single number. Computed in float32, then cast to `dtype`.
        """
        chosen = self.images if index is None else self.images[index]
        return standardise(chosen, self.mean, self.std).to(dtype)


def load_dataset(
    name: str,
    split: str = "train",
    *,
    root: str | Path | None = None,
    size: int | None = None,
    download: bool = True,
    skip_unreadable: bool = False,
) -> ImageSet:
    """Return one split of a data set as an `ImageSet`.

    "digits"      1,797 handwritten digits inside scikit-learn (no network): grey, 8x8; values v of 0..16
                  become round(v * 255 / 16). Split into 1,437 train and 360 test by `held_out`.
    "cifar10"     32x32; train and test; through torchvision.
    "imagenette"  160x160; train and val, which is also test; through torchvision.
    "spirals", "circles", "xor"
                  made-up points in the plane, each drawn as a soft dot in 8x8 grey pixels, two classes:
                  1,440 train and 360 test, always the same (see `inputs.patterns`).
    "folder"      `root/<class>/<image>`, split by `held_out` into train and test; or
                  `root/<split>/<class>/<image>` with train, val, test, where val stands in for a missing
                  test. Short side resized and centre cropped to 64x64, or 32x32 if no image is larger.

    `root` holds the data of "cifar10" and "imagenette", by default in $RESNET_EXPLORE_DATA or
    ~/.cache/resnet_explore; what is not there is downloaded unless `download` is false. A root that
    is laid out as `train/<class>/<image>` is read as it stands. `size` resizes, as `square_crop` does.
    With `skip_unreadable` broken files are left out and listed in `.skipped`; without it they are an error.

    Raises `ExploreError` for an unknown name or split, a root without usable images, and a download
    that failed.
    """
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ExploreError(f"size must be a positive whole number of pixels or None, not {size!r}.")
    if name == "digits":
        return _digits(split, size)
    if name in PATTERNS:
        return _pattern(name, split, size)
    if name == "cifar10":
        return _cifar10(split, _home(name, root), size, download, skip_unreadable)
    if name == "imagenette":
        return _imagenette(split, _home(name, root), size, download, skip_unreadable)
    if name == "folder":
        if root is None or not str(root).strip():  # "" would be the current folder
            raise ExploreError('load_dataset("folder") needs root=..., the folder that holds the images.')
        return _folder(name, split, usable_root(root), size, skip_unreadable)
    hint = ""
    with suppress(ExploreError):  # it may be anything
        if usable_root(name).is_dir():
            hint = f'For the images in that folder: load_dataset("folder", root="{name}").'
    raise unknown("dataset", name, ("digits", "cifar10", "imagenette", "folder", *PATTERNS), hint)


def image_counts(train: ImageSet, test: ImageSet) -> str:
    """Say how many images two splits have, how they came to be two, and how many were left out."""
    lost = len(train.skipped) + len(test.skipped)
    notes = [
        test.source.removeprefix(train.source).removeprefix(", ") if train.source else "",
        f"{lost:,} unreadable left out" if lost else "",
    ]
    counts = f"{len(train):,} training and {len(test):,} test images"
    return counts + (f" ({'; '.join(filter(None, notes))})" if any(notes) else "")


def in_words(train: ImageSet, test: ImageSet) -> str:
    """Return what was read, and of which a person can't know it, how many images."""
    known = train.name != "folder" and not train.skipped and not test.skipped
    return train.source if known else f"{train.source}, {image_counts(train, test)}"


def is_here(name: str, root: str | Path | None = None) -> bool:
    """Whether `load_dataset(name)` needs no download; `root` as there."""
    if name in ("digits", "folder", *PATTERNS):
        return True
    home = _home(name, root)
    unpacked = {"cifar10": ("cifar-10-batches-py",), "imagenette": ("imagenette2-160",)}
    return any((home / part).is_dir() for part in ("train", *unpacked.get(name, ())))


# --- the four sources -------------------------------------------------------------------------------------


def _digits(split: str, size: int | None) -> ImageSet:
    _known(split, ("train", "test"))
    rows = digit_rows()
    pixels = np.rint(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    classes_of = rows[:, -1].astype(np.int64)
    classes = tuple(str(c) for c in range(10))
    return _split_off("digits", split, pixels, classes_of, size, classes, "scikit-learn's handwritten digits")


def _pattern(name: str, split: str, size: int | None) -> ImageSet:
    _known(split, ("train", "test"))
    pixels, classes_of = drawn_pattern(name)
    _, classes, words = PATTERNS[name]
    source = f"made-up points ({words}), each a soft dot in an image"
    return _split_off(name, split, pixels, classes_of, size, classes, source)


def _split_off(
    name: str,
    split: str,
    pixels: np.ndarray,
    classes_of: np.ndarray,
    size: int | None,
    classes: tuple[str, ...],
    source: str,
) -> ImageSet:
    """Return the split that `held_out` makes of uint8 (N, H, W) and int64 (N,)."""
    images, labels = _tensor(pixels, size), torch.from_numpy(classes_of)
    test = torch.from_numpy(held_out([f"{name}/{i}" for i in range(len(labels))], classes_of.tolist()))
    chosen = test if split == "test" else ~test
    mean, std = channel_statistics(images[~test])
    return ImageSet(name, split, images[chosen], labels[chosen], classes, mean, std, source)


def _cifar10(split: str, root: Path, size: int | None, download: bool, skip: bool) -> ImageSet:
    if image_files(root / "train"):
        return _folder("cifar10", split, root, size or 32, skip, "CIFAR-10 read from an image folder")
    _known(split, ("train", "test"))
    from torchvision.datasets import CIFAR10

    with fetching("CIFAR-10", root / CIFAR10.filename, download), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"dtype\(\): align")  # Python 2 pickles, NumPy 2.4
        train = CIFAR10(root, train=True, download=download)
        chosen = train if split == "train" else CIFAR10(root, train=False)
    mean, std = channel_statistics(_tensor(train.data, size))
    images, labels = _tensor(chosen.data, size), torch.tensor(chosen.targets)
    return ImageSet("cifar10", split, images, labels, tuple(train.classes), mean, std, "CIFAR-10")


def _imagenette(split: str, root: Path, size: int | None, download: bool, skip: bool) -> ImageSet:
    size = size or 160
    if image_files(root / "train"):
        return _folder("imagenette", split, root, size, skip, "Imagenette read from an image folder")
    short_side = "160" if size <= 160 else "320"
    folder = root / f"imagenette2-{short_side}"  # where torchvision unpacks it
    if not folder.is_dir():
        from torchvision.datasets import Imagenette

        with fetching("Imagenette", folder.with_suffix(".tgz"), download):
            Imagenette(root, size=f"{short_side}px", download=download)
    found = sum(len(image_files(folder / part)) for part in ("train", "val"))
    if found != _IMAGENETTE_COUNT:
        raise ExploreError(
            f"{folder} holds {found:,} of Imagenette's {_IMAGENETTE_COUNT:,} images: delete it, load again."
        )
    return _folder("imagenette", split, folder, size, skip, f"Imagenette, {short_side} px")


def _folder(name: str, split: str, root: Path, size: int | None, skip: bool, source: str = "") -> ImageSet:
    splits, made = image_splits(root)
    source = source or f"image folder {root}"
    if split == "test" and "test" not in splits and "val" in splits:
        part, source = "val", f"{source}, its val split"
    else:
        part = _known(split, splits)
        if part == "test" and made:
            source += f", {_SPLIT_OFF}"
    labels = {label: i for i, label in enumerate(require_two_classes(root, splits["train"]))}
    strangers = {label for label, _ in splits[part]} - set(labels)
    if strangers:
        raise ExploreError(f"The {part} split of {root} has classes that train lacks: {some(strangers)}.")

    paths = {p: [file for _, file in splits[p]] for p in {part, "train"}}
    size = size or default_size(paths["train"])  # of train for every split, so that their sizes agree
    others = [file for p in splits if p != part for _, file in splits[p]]
    images, lost = read_images(root, paths[part], size, skip, others)
    mean, std = _train_statistics(root, paths["train"], size, skip, images if part == "train" else None)
    return ImageSet(
        name,
        split,
        images,
        torch.tensor([labels[label] for i, (label, _) in enumerate(splits[part]) if i not in lost]),
        tuple(_IMAGENETTE.get(c, c) if name == "imagenette" else c for c in labels),
        mean,
        std,
        source,
        tuple(relative(paths[part][i], root) for i in sorted(lost)),
    )


_remembered: dict[int, _Statistics] = {}


def _train_statistics(
    root: Path, files: list[Path], size: int, skip: bool, images: torch.Tensor | None
) -> _Statistics:
    """Return those of the train split, whose `images` a caller has at hand or not.

    Remembered for as long as the files stay what they are: whoever loads train and then test should not
    wait for the decoding of train twice.
    """
    key = hash((size, tuple(stamp(file) for file in files)))
    if key not in _remembered:
        _remembered[key] = channel_statistics(
            read_images(root, files, size, skip)[0] if images is None else images
        )
    return _remembered[key]


def stamp(file: Path) -> tuple[str, int, int]:
    """Return what changes when a file does; a link that leads nowhere is a file that cannot be read."""
    try:
        status = file.stat()
    except OSError:
        return str(file), -1, -1
    return str(file), status.st_size, status.st_mtime_ns


# --- small things -----------------------------------------------------------------------------------------


def channel_statistics(images: torch.Tensor) -> _Statistics:
    """Return mean and (population) standard deviation per channel of uint8 (N, C, H, W), in units of 0..1.

    Counted exactly, from each channel's histogram. A channel of one value gets 1, so that one can divide.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for c in range(images.shape[1]):
        share = torch.bincount(images[:, c].flatten(), minlength=256).double() / images[:, c].numel()
        mean = (share * levels).sum()
        deviation = (share * (levels - mean) ** 2).sum().sqrt()
        means.append(float(mean))
        stds.append(float(deviation) if share.max() < 1 else 1.0)
    return tuple(means), tuple(stds)


def _home(name: str, root: str | Path | None) -> Path:
    if root is not None:
        return usable_root(root)
    return usable_root(os.environ.get("RESNET_EXPLORE_DATA") or "~/.cache/resnet_explore") / name


def _known(split: str, options: Iterable[str]) -> str:
    if split not in options:
        raise unknown("split", split, options)
    return split


def _tensor(pixels: np.ndarray, size: int | None) -> torch.Tensor:
    """Return uint8 (N, H, W) or (N, H, W, 3) as contiguous (N, C, size, size)."""
    if size and size != pixels.shape[1]:
        pixels = np.stack([np.asarray(square_crop(Image.fromarray(p), size)) for p in pixels])
    planes = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(planes))


def _form(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
