"""The digits sweep in parallel processes against the same ten runs one after another on one thread.

    python -m benchmarks.sweep [rounds]

Both are timed as a person has them, `run_sweep` with the start of its processes. The order
alternates; medians count. The target is a ratio of at least 1.5 and at most 45 s on two cores.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import resnet_explore as rx
from resnet_explore.models.threads import one_thread
from resnet_explore.training.trainer import train_run


def in_parallel(folder: Path) -> None:
    """Train the ten runs as the notebook does."""
    rx.run_sweep(rx.Sweep(), folder)


def one_by_one(folder: Path) -> None:
    """Train the ten runs in a plain loop on one thread."""
    train, test = rx.load_dataset("digits"), rx.load_dataset("digits", split="test")
    with one_thread():
        for run in rx.Sweep().runs():
            train_run(run, train, test, folder / run.id)


def main(rounds: int = 3) -> None:
    """Time both, alternating, and print medians and their ratio."""
    seconds: dict[str, list[float]] = {"in parallel": [], "one by one": []}
    ways = {"in parallel": in_parallel, "one by one": one_by_one}
    for i in range(rounds):
        for name in sorted(ways, reverse=bool(i % 2)):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                ways[name](Path(folder) / "runs")
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name:12} median {medians[name]:5.1f} s  (from {min(values):.1f} to {max(values):.1f})")
    print(f"ratio        {medians['one by one'] / medians['in parallel']:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
