"""One training run as data, what it leaves on disk, and all runs of a folder as one table.

    <sweep>/sweep.json                        what the folder is for
    <sweep>/<run id>/config.json              the run
    <sweep>/<run id>/history.jsonl            one line per finished epoch
    <sweep>/<run id>/resume.safetensors       weights and momentum after the last of these; gone when finished
    <sweep>/<run id>/checkpoint.safetensors   the final weights, with the config in their header

Whole files are written under a temporary name and renamed, so that a reader, or a run continued after a
crash, never sees half of one.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from resnet_explore.errors import ExploreError
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.presets import config_of

# Part of each run's id: raised when the same config would no longer give the same numbers.
FORMAT = 1


@dataclass(frozen=True)
class Run:
    """One network trained once. Equal runs give equal weights on one machine; `Sweep` explains the fields."""

    dataset: str
    family: str
    kind: str
    depth: int
    width: int
    seed: int
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    augment: bool
    precision: str

    @property
    def model(self) -> str:
        """The network's name, such as "cifar_plain56"."""
        return model_name(self.family, self.kind, self.depth)

    @property
    def id(self) -> str:
        """A folder name: what a person looks for, then a hash of everything that decides the result."""
        text = json.dumps([FORMAT, asdict(self)], sort_keys=True)
        return f"{self.kind}{self.depth}-seed{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def config(self, in_channels: int, num_classes: int) -> ResNetConfig:
        """Return the network's config for images of so many channels and classes."""
        config = config_of(self.model)
        widths = tuple(self.width * 2**stage for stage in range(len(config.widths)))
        return config.replace(widths=widths, in_channels=in_channels, num_classes=num_classes)


def model_name(family: str, kind: str, depth: int) -> str:
    """Return "cifar_plain56", "resnet18" and so on; the name need not exist."""
    prefix = "cifar_" if family == "cifar" else ""
    return f"{prefix}{'resnet' if kind == 'residual' else 'plain'}{depth}"


class RunFolder:
    """Where one run's files lie, and how they are read and written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = path / "history.jsonl"
        self.resume = path / "resume.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.checkpoint.is_file()

    def start(self, run: Run) -> None:
        """Make the folder and note what it is for."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "config.json", asdict(run))

    def rows(self) -> list[dict[str, Any]]:
        """Return the finished epochs, oldest first; a line cut short by a crash does not count."""
        if not self.history.is_file():
            return []
        rows = []
        for line in self.history.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                rows.append(json.loads(line))
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one epoch to the history."""
        with self.history.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rewind(self, epochs: int) -> None:
        """Keep the history's first epochs only: what the file to resume from knows of."""
        kept = [row for row in self.rows() if row["epoch"] <= epochs]
        if self.history.is_file():
            _replace(self.history, lambda p: p.write_text("".join(json.dumps(row) + "\n" for row in kept)))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors with a header of strings, whole or not at all."""
    dense = {key: value.detach().contiguous() for key, value in tensors.items()}
    _replace(path, lambda p: save_file(dense, p, metadata=dict(about)))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return what `save_tensors` wrote; ExploreError for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ExploreError(
            f"{path} is damaged ({error}); delete the folder {path.parent} and run the sweep again."
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    _replace(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n"))


def collect(out: str | Path) -> pd.DataFrame:
    """Return every finished epoch under `out` as a table: the run's fields, then the epoch's numbers.

    `out` is a folder that `run_sweep` wrote, finished or not, or one that `record` made from it. Errors and
    losses are on the clean training set and the test set, errors in percent. One row per run and epoch,
    ordered by kind, depth, seed and epoch. Raises ExploreError if there is no such folder or nothing in it.
    """
    out = Path(out)
    if (out / "history.csv").is_file():
        return pd.read_csv(out / "history.csv")
    if not out.is_dir():
        raise ExploreError(f"There is no folder of runs {out}.")
    rows = [{**config, **row} for config, folder in _folders(out) for row in folder.rows()]
    if not rows:
        raise ExploreError(f"No run in {out} has finished an epoch yet.")
    table = pd.DataFrame(rows).drop_duplicates(["run", "epoch"], keep="last")
    return table.sort_values(["kind", "depth", "seed", "epoch"], ignore_index=True)


def _folders(out: Path) -> Iterator[tuple[dict[str, Any], RunFolder]]:
    for path in sorted(out.glob("*/config.json")):
        yield {"run": path.parent.name, **json.loads(path.read_text())}, RunFolder(path.parent)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
