"""From a folder of runs to a record small enough to ship: a table, half-precision weights, their origin."""

import datetime
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from resnet_explore.errors import ExploreError
from resnet_explore.training.runs import Run, RunFolder, collect, load_tensors, save_tensors, write_json


def record(out: str | Path, dest: str | Path, command: str, data: str = "", seed: int = 0) -> pd.DataFrame:
    """Write what a finished sweep found into `dest` and return its table.

    Writes history.csv (`collect(dest)` reads it), <model>.safetensors for every network of that seed, and
    about.json: the command, the commit, the data, the day. `data` says in words what the runs were trained
    on, where what `load_dataset` says of itself is not enough. Convolution and classifier weights are
    stored as float16, about three digits; everything else, which is small, as float32.

    Raises ExploreError, and writes nothing, if runs are missing or unfinished, or none has `seed`.
    """
    out, dest = Path(out), Path(dest)
    table = collect(out)
    unfinished = [run for run in table["run"].unique() if not RunFolder(out / run).finished]
    if unfinished:
        raise ExploreError(f"{len(unfinished)} runs in {out} are not finished, {unfinished[0]} for one.")
    if seed not in table["seed"].to_numpy():
        raise ExploreError(f"No run in {out} has seed {seed}, so there are no weights of it to record.")
    about = {
        "command": command,
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seeds": sorted(int(s) for s in table["seed"].unique()),
        "minutes": round(float(table["seconds"].sum()) / 60, 1),
        "torch": torch.__version__,
    }
    dest.mkdir(parents=True, exist_ok=True)
    for name in table.loc[table["seed"] == seed, "run"].unique():
        tensors, header = load_tensors(out / name / "checkpoint.safetensors")
        values = {key: json.loads(text) for key, text in header.items()}
        about["data"] = values["data"] = data or values["data"]
        values["provenance"] = f"{command} (seed {seed}; recorded at {about['commit']}, {about['date']})"
        path = dest / f"{Run(**values['run']).model}.safetensors"
        save_tensors(path, _halved(tensors), {key: json.dumps(value) for key, value in values.items()})
    table.to_csv(dest / "history.csv", index=False, float_format="%.6g")
    write_json(dest / "about.json", about)
    return table


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Variances and scales span more than float16 holds; a step counter is of no use to anyone.
    return {
        key: value.half() if value.ndim > 1 else value
        for key, value in tensors.items()
        if not key.endswith("num_batches_tracked")
    }


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
