"""How long it takes to read thousands of runs into one table.

    python -m benchmarks.collect [runs]

The runs are made up: histories of 8 epochs, and 12 looks at the 56 layers of each. The target is a few
seconds for the epochs of 3,000 runs; their two million rows of layers take longer.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import resnet_explore as rx
from resnet_explore.training.plan import KINDS
from resnet_explore.training.runs import RunFolder

EPOCHS, STEPS_AN_EPOCH, LAYERS = 8, 22, 56
LOOKS = (0, 1, 3, 10, *(STEPS_AN_EPOCH * (epoch + 1) - 1 for epoch in range(EPOCHS)))


def write_runs(out: Path, count: int) -> None:
    """Write folders as `train_run` does, without weights."""
    errors = {"train_loss": 0.1, "train_error": 1.5, "test_loss": 0.2, "test_error": 2.5}
    values = [0.1234] * LAYERS
    look = {"layer": [f"layer{k}" for k in range(LAYERS)], "gradient_norm": values, "response_std": values}
    for run in rx.Sweep(depths=(LAYERS,), seeds=tuple(range(count // len(KINDS)))).runs():
        folder = RunFolder(out / run.id)
        folder.start(run)
        rows = ({"epoch": e, "step": e * STEPS_AN_EPOCH, "seconds": 1.0} for e in range(1, EPOCHS + 1))
        folder.history.write_text("".join(json.dumps({**row, **errors}) + "\n" for row in rows))
        folder.layers.write_text("".join(json.dumps({"step": step, **look}) + "\n" for step in LOOKS))


def main(count: int = 3000) -> None:
    """Write the runs, read them and print seconds."""
    readers: tuple[Callable[[Path], pd.DataFrame], ...] = (rx.collect, rx.collect_layers)
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder), count)
        for read in readers:
            began = time.perf_counter()
            rows = len(read(Path(folder)))
            seconds = time.perf_counter() - began
            print(f"{read.__name__:15} {count:,} runs, {rows:,} rows: {seconds:.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
