"""From folders of runs to a record small enough to ship: tables, half-precision weights, their origin."""

import datetime
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from resnet_explore.errors import ExploreError
from resnet_explore.training.commands import ROOT, fewest, one_after_another
from resnet_explore.training.coverage import places_of, require_one_recipe
from resnet_explore.training.recorded import Record
from resnet_explore.training.runs import (
    Run,
    RunFolder,
    collect,
    collect_layers,
    load_tensors,
    save_tensors,
    write_json,
    write_text,
)
from resnet_explore.training.summary import behind_numbers, summarize, to_markdown


@dataclass(frozen=True)
class Provenance:
    """A folder of runs, the command that makes them, and where their data lay if not downloaded."""

    runs: Path
    command: str
    root: str | None = None

    @property
    def origin(self) -> str:
        """The command with the place of the data."""
        return f"{self.command}{ROOT}{self.root}" if self.root else self.command


def record(
    sources: Sequence[Provenance],
    dest: str | Path,
    data: str = "",
    seed: int = 0,
    finished_only: bool = False,
    add: bool = False,
) -> pd.DataFrame:
    """Write what finished sweeps of one data set found into `dest` and return its table.

    Writes history.csv (`collect(dest)` reads it), layers.parquet (`collect_layers(dest)`), of every network
    with that seed <model>.safetensors and <model>@<step>.safetensors where a step's weights were kept, and
    about.json and README.md: the commands, the commit, the data, the day, the time, the errors. `data` says
    what the runs were trained on, where what `load_dataset` says of itself is not enough. Convolution and
    classifier weights are stored as float16, about three digits; the rest, which is small, as float32.

    finished_only  leave out runs that are not finished yet
    add            keep what `dest` records already, and what it says of the data if `data` says nothing, so
                   that a record grows with its seeds and depths

    Raises ExploreError, and writes nothing, if there are no runs or unfinished ones, if they differ in
    recipe, if two are of one network and seed, or if none has `seed`.
    """
    dest = Path(dest)
    parts = [_read(source, finished_only) for source in sources]
    runs = {
        run: (RunFolder(source.runs / run), source.origin)
        for source, part in zip(sources, parts, strict=True)
        for run in part.table["run"].unique()
    }
    if add:
        parts.append(_recorded(dest))
        data = data or parts[-1].data
    table = pd.concat([part.table for part in parts]).drop_duplicates(["run", "epoch"])
    table = table.sort_values(["kind", "depth", "seed", "epoch"], ignore_index=True)
    require_one_recipe(_rows(table))
    _refuse_ambiguous(table, seed)
    about = {
        "commands": fewest(command for part in parts for command in part.commands),
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seeds": sorted(int(s) for s in table["seed"].unique()),
        "minutes": round(float(table["seconds"].sum()) / 60, 1),
        "torch": torch.__version__,
        "data": parts[-1].data,
    }
    dest.mkdir(parents=True, exist_ok=True)
    with_seed = set(table.loc[table["seed"] == seed, "run"])
    for run, (folder, origin) in runs.items():
        if run in with_seed:
            origin += f" (seed {seed}; recorded at {about['commit']}, {about['date']})"
            about["data"] = _record_weights(folder, dest, data, origin)
    table.to_csv(dest / "history.csv", index=False, float_format="%.6g")
    layers = pd.concat([part.layers for part in parts]).drop_duplicates(["run", "step", "layer"])
    layers = layers.sort_values(["kind", "depth", "seed", "step", "position"])
    _shrunk(layers).to_parquet(dest / "layers.parquet", index=False, compression="zstd")
    write_json(dest / "about.json", about)
    write_text(dest / "README.md", _page(dest.resolve().name, about, table))
    return table


@dataclass(frozen=True)
class _Part:
    """What one source adds to a record."""

    table: pd.DataFrame
    layers: pd.DataFrame
    commands: Sequence[str]
    data: str = ""


def _read(source: Provenance, finished_only: bool) -> _Part:
    table, layers = collect(source.runs), collect_layers(source.runs)
    unfinished = [run for run in table["run"].unique() if not RunFolder(source.runs / run).finished]
    if unfinished and not finished_only:
        raise ExploreError(f"{len(unfinished)} runs are not finished, {unfinished[0]} for one.")
    table, layers = (part[~part["run"].isin(unfinished)] for part in (table, layers))
    if table.empty:
        raise ExploreError(f"No run in {source.runs} is finished yet.")
    return _Part(table, layers, [source.origin])


def _recorded(dest: Path) -> _Part:
    try:
        about = json.loads((dest / "about.json").read_text())
        return _Part(collect(dest), collect_layers(dest), about["commands"], about["data"])
    except (OSError, ValueError, KeyError):
        raise ExploreError(f"There is no record in {dest} to add to.") from None


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _refuse_ambiguous(table: pd.DataFrame, seed: int) -> None:
    if seed not in table["seed"].to_numpy():
        raise ExploreError(f"No run has seed {seed}, so there are no weights of it to record.")
    runs = table.drop_duplicates("run")
    twice = runs[runs.duplicated(["kind", "depth", "seed"])]
    if len(twice):
        raise ExploreError(f"Two runs are of one network and seed, {twice['run'].iloc[0]} for one.")


def _page(name: str, about: Mapping[str, Any], table: pd.DataFrame) -> str:
    """Return what a person reads first, in Markdown."""
    lines = [f"# {name}", "", f"Trained on {about['data']}. Made by", ""]
    lines += [f"    {command}" for command in one_after_another(about["commands"], name)]
    downloading = [command.partition(ROOT)[0] for command in about["commands"]]
    if downloading != about["commands"]:
        lines += ["", "and on the data as they are downloaded, where errors may differ, by", ""]
        lines += [f"    {command}" for command in one_after_another(downloading, name)]
    runs, seconds = table["run"].nunique(), float(table["seconds"].sum())
    took = f"{seconds:.2g} seconds" if seconds < 90 else f"{about['minutes']:g} minutes"
    if lacking := Record(Path(name), about).missing(places_of(_rows(table))):
        lines += ["", f"**{lacking}.**"]
    return "\n".join(
        [
            *lines,
            "",
            f"Recorded at commit {about['commit']} on {about['date']} with torch {about['torch']}; "
            f"{took} of training steps for the {runs} runs below, summed, each on one core; measuring their "
            "errors is not counted.",
            "",
            to_markdown(summarize(table)),
            "",
            "Errors are those after the last epoch, in eval mode, on all training images, not augmented, and",
            f"all test images; {behind_numbers(table)}.",
            "",
        ]
    )


def _record_weights(folder: RunFolder, dest: Path, data: str, origin: str) -> str:
    """Write one run's weights, at its end and at the steps kept, and return what it was trained on."""
    for path in (folder.checkpoint, *folder.path.glob("step-*.safetensors")):
        tensors, header = load_tensors(path)
        values = {key: json.loads(text) for key, text in header.items()}
        values |= {"data": data or values["data"], "provenance": origin}
        name = _run(values["run"]).model
        if "step" in values:
            name += f"@{values['step']}"
        header = {key: json.dumps(value) for key, value in values.items()}
        save_tensors(dest / f"{name}.safetensors", _halved(tensors), header)
    return values["data"]


def _run(fields: Mapping[str, object]) -> Run:
    return Run(**{**fields, "keep_steps": tuple(fields["keep_steps"])})  # type: ignore[arg-type]


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Variances and scales span more than float16 holds; a step counter is of no use to anyone.
    return {
        key: value.half() if value.ndim > 1 else value
        for key, value in tensors.items()
        if not key.endswith("num_batches_tracked")
    }


def _shrunk(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the table with small types: numbers have four digits, and texts repeat."""
    types = {
        **dict.fromkeys(("run", "kind", "layer"), "category"),
        **dict.fromkeys(("gradient_norm", "response_std"), "float32"),
        **dict.fromkeys(("depth", "width", "position"), "int16"),
        "step": "int32",
    }
    return layers.astype(types)


def commit(source: Path = Path(__file__).parents[1]) -> str:
    """Return the short name of the source's commit, "unknown" where there is none.

    "a86fccf, with changes" says that files of the source were changed or added since.
    """

    def git(*words: str) -> str:
        found = subprocess.run(["git", *words], cwd=source, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    try:
        name, changes = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}, with changes" if changes else name
