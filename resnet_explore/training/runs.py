"""One training run as data, what it leaves on disk, and all runs of a folder as one table.

    <sweep>/sweep.json                        what the folder is for
    <sweep>/<run id>/config.json              the run
    <sweep>/<run id>/history.jsonl            one line per finished epoch
    <sweep>/<run id>/layers.jsonl             one line per step in which the layers were looked at
    <sweep>/<run id>/step-10.safetensors      the weights before step 10, where they were asked for
    <sweep>/<run id>/resume.safetensors       weights and momentum after the last epoch; gone when finished
    <sweep>/<run id>/checkpoint.safetensors   the final weights, with the network's config in their header

Whole files are written under a temporary name and renamed, so that a reader, or a run continued after a
crash, never sees half of one.
"""

import contextlib
import csv
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from resnet_explore.errors import ExploreError
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.presets import config_of
from resnet_explore.training.skip_scale import ALL, NONE, skip_scale

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

# Part of each run's id: raised when the same config would no longer give the same numbers.
FORMAT = 2


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
    schedule: str
    lr: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    augment: str
    precision: str
    size: int | None
    eval_images: int
    keep_steps: tuple[int, ...]
    skip_scale: str = ALL

    @property
    def model(self) -> str:
        """The network's name, such as "cifar_plain56"."""
        return model_name(self.family, self.kind, self.depth)

    @property
    def id(self) -> str:
        """A folder name: what a person looks for, then a hash of everything that decides the result."""
        text = json.dumps([FORMAT, self.noted()], sort_keys=True)
        return f"{self.kind}{self.depth}-seed{self.seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def noted(self) -> dict[str, Any]:
        """Return the fields as files hold them, without what came later than the first and is as usual."""
        fields = asdict(self)
        if self.skip_scale == usual_skip_scale(self.kind):
            del fields["skip_scale"]
        return fields

    def skip_scale_in(self, epoch: int) -> float:
        """Return the factor on all skips in an epoch, 1 for the first; 1 also where there are none."""
        return 1.0 if self.skip_scale == NONE else skip_scale(self.skip_scale).at(epoch)

    def config(self, in_channels: int, num_classes: int) -> ResNetConfig:
        """Return the trained network's config for images of so many channels and classes."""
        config = cast(ResNetConfig, config_of(self.model))
        return config.replace(
            widths=tuple(self.width * 2**stage for stage in range(len(config.widths))),
            in_channels=in_channels,
            num_classes=num_classes,
            skip_scale=self.skip_scale_in(self.epochs),
        )


def model_name(family: str, kind: str, depth: int) -> str:
    """Return "cifar_plain56", "resnet18" and so on; the name need not exist."""
    prefix = "cifar_" if family == "cifar" else ""
    return f"{prefix}{'resnet' if kind == 'residual' else 'plain'}{depth}"


def usual_skip_scale(kind: str) -> str:
    """Return the factor on the skips of a run that says nothing of it, as those before there was one."""
    return NONE if kind == "plain" else ALL


class RunFolder:
    """Where one run's files lie, and how they are read and written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.history = path / "history.jsonl"
        self.layers = path / "layers.jsonl"
        self.resume = path / "resume.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.checkpoint.is_file()

    def is_finished_by(self, run: Run) -> bool:
        """Whether this run has ended here; ExploreError for another version's folder or a damaged file."""
        try:
            theirs = json.loads(self.config.read_text())
        except FileNotFoundError:
            return False
        except ValueError:
            theirs = {}  # a crash while it was written; nothing else can have been then
        if theirs and theirs != _as_json(run):
            raise ExploreError(
                f"{self.path} was written by another version of resnet_explore (format "
                f"{theirs.get('format', 1)}; this is {FORMAT}): move it away and run the sweep again."
            )
        if self.finished:
            load_tensors(self.checkpoint, header_only=True)
        return self.finished

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Tell whether this run is ours for as long as the block lasts: nobody trains it elsewhere.

        The operating system holds the lock and lets go of it when a process dies, however it does. On a
        network drive that needs one with locks, as NFS has them since version 4.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                yield True
        except Timeout:
            yield False

    def is_locked(self) -> bool:
        """Whether somebody trains this run at the moment; writes nothing."""
        if not (self.path / ".lock").is_file():
            return False
        with self.lock() as free:
            return not free

    def at_step(self, step: int) -> Path:
        """Return where the weights before a step are kept."""
        return self.path / f"step-{step}.safetensors"

    def start(self, run: Run) -> None:
        """Make the folder and note what it is for."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config, _as_json(run))

    def rows(self) -> list[dict[str, Any]]:
        """Return the finished epochs, oldest first; a line cut short by a crash does not count."""
        return _lines(self.history)

    def layer_rows(self) -> list[dict[str, Any]]:
        """Return what was seen of the layers, a row for each step looked at: lists of names and numbers."""
        return _lines(self.layers)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one epoch to the history."""
        _append(self.history, row)

    def append_layers(self, row: Mapping[str, Any]) -> None:
        """Add one look at the layers."""
        _append(self.layers, row)

    def rewind(self, epochs: int, steps: int) -> None:
        """Keep the first epochs and steps only: what the file to resume from knows of."""
        for path, rows, key, last in (
            (self.history, self.rows(), "epoch", epochs),
            (self.layers, self.layer_rows(), "step", steps - 1),
        ):
            if path.is_file():
                kept = "".join(json.dumps(row) + "\n" for row in rows if row[key] <= last)
                write_text(path, kept)


def _as_json(run: Run) -> dict[str, Any]:
    return json.loads(json.dumps({**run.noted(), "format": FORMAT}))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def save_tensors(path: Path, tensors: "Mapping[str, Tensor]", about: Mapping[str, str]) -> None:
    """Write tensors with a header of strings, whole or not at all."""
    from safetensors.torch import save_file

    dense = {key: value.detach().contiguous() for key, value in tensors.items()}
    try:
        _replace(path, lambda p: save_file(dense, p, metadata=dict(about)))
    except SafetensorError as error:  # what it makes of a full disk
        raise OSError(str(error)) from None


def load_tensors(path: Path, header_only: bool = False) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Return what `save_tensors` wrote, or the header alone; ExploreError for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            keys = [] if header_only else file.keys()
            return {key: file.get_tensor(key) for key in keys}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ExploreError(
            f"{path} is damaged ({error}); delete the folder {path.parent} and run the sweep again."
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    _replace(path, lambda p: p.write_text(text))


def history(out: str | Path) -> list[dict[str, Any]]:
    """Return what `collect` does as rows, {column: value}: they need neither pandas nor torch.

    None is what was not given. Raises ExploreError as `collect` does.
    """
    out = Path(out)
    if (out / "history.csv").is_file():
        with (out / "history.csv").open(encoding="utf-8", newline="") as file:
            rows = [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(file)]
        if not rows or not {"kind", "depth", "seed", "epoch", "epochs"} <= set(rows[0]):
            raise ExploreError(f"{out / 'history.csv'} holds no epochs of runs.")
        return [{"skip_scale": usual_skip_scale(row["kind"]), **row} for row in rows]
    by_epoch = {
        (config["run"], row["epoch"]): {**config, **row}
        for config, folder in _folders(out)
        for row in folder.rows()
    }
    if not by_epoch:
        raise ExploreError(f"No run in {out} has finished an epoch yet.")
    order = ("kind", "depth", "seed", "epoch")
    return sorted(by_epoch.values(), key=lambda row: tuple(row[name] for name in order))


def _value(name: str, text: str | None) -> Any:
    """Return what a cell of history.csv holds."""
    if not text:
        return None
    if name == "skip_scale":  # a text in all rows, and "0.5" is one of them
        return text
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def collect(out: str | Path) -> "pd.DataFrame":
    """Return every finished epoch under `out` as a table: the run's fields, then the epoch's numbers.

    `out` is a folder that `run_sweep` wrote, finished or not, or one that `record` made from it. Errors, in
    percent, and losses are in eval mode, on training images without augmentation and on test images; on
    `eval_images` of each, and on all after the last epoch. One row per run and epoch, ordered by kind, depth,
    seed and epoch. Raises ExploreError if there is no such folder or nothing in it.
    """
    import pandas as pd

    out = Path(out)
    if (out / "history.csv").is_file():
        table = pd.read_csv(out / "history.csv", dtype={"skip_scale": str})
        if "skip_scale" not in table and {"kind", "epoch"} <= set(table):
            table.insert(list(table).index("epoch"), "skip_scale", table["kind"].map(usual_skip_scale))
        return table
    return pd.DataFrame(history(out))


def collect_layers(out: str | Path) -> "pd.DataFrame":
    """Return what the runs under `out` noted of their layers: one row per run, step and layer.

    Columns: run, kind, depth, width, seed, step (0 is the first), position (of the layer, from 1), layer,
    gradient_norm (Frobenius, of the training loss by the layer's weight) and response_std (of its output
    after batch norm; He et al. 2015, Fig. 7), both of that step's training batch in train mode. Arguments
    and errors are those of `collect`.
    """
    import pandas as pd

    out = Path(out)
    if (out / "layers.parquet").is_file():
        return pd.read_parquet(out / "layers.parquet")
    names = ("run", "kind", "depth", "width", "seed")
    # A frame for each of thousands of looks would take minutes to join: lists first, one frame at the end.
    looks = [
        (config, look)
        for config, folder in _folders(out)
        for look in {row["step"]: row for row in folder.layer_rows()}.values()
    ]
    if not looks:
        raise ExploreError(f"No run in {out} has taken a step yet.")
    counts = [len(look["layer"]) for _, look in looks]
    columns: dict[str, Any] = {
        name: np.repeat([config[name] for config, _ in looks], counts) for name in names
    }
    columns["position"] = np.concatenate([np.arange(1, count + 1) for count in counts])
    columns["step"] = np.repeat([look["step"] for _, look in looks], counts)
    for name in ("layer", "gradient_norm", "response_std"):
        columns[name] = list(itertools.chain.from_iterable(look[name] for _, look in looks))
    table = pd.DataFrame(columns)
    return table.sort_values(["kind", "depth", "seed", "step", "position"], ignore_index=True)


def _folders(out: Path) -> Iterator[tuple[dict[str, Any], RunFolder]]:
    if not out.is_dir():
        raise ExploreError(f"There is no folder of runs {out}.")
    for path in sorted(out.glob("*/config.json")):
        config = json.loads(path.read_text())
        if config.pop("format", 1) == FORMAT:
            config.setdefault("skip_scale", usual_skip_scale(config["kind"]))
            yield {"run": path.parent.name, **config}, RunFolder(path.parent)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        if temporary.stat().st_mode != mode:  # safetensors lets nobody else read what it writes
            temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
