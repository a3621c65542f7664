"""The similarities that ship, in the form that the explorer shows; to read them needs no torch."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from resnet_explore.analysis.similarity_record import Similarities, load_similarities
from resnet_explore.paths import shipped
from resnet_explore.training.runs import history


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded of a data set's networks.

    errors  (plain, residual) in percent of the test images, by (depth, seed)
    """

    similarities: Similarities
    errors: Mapping[tuple[int, int], tuple[float, float]]


@functools.cache
def recorded(data: str) -> Recorded:
    """Return the record of a data set. Raises `ExploreError` where there is none."""
    record = load_similarities(data)
    last = {
        (row["kind"], row["depth"], row["seed"]): float(row["test_error"])
        for row in history(shipped("data", data))
        if row["epoch"] == row["epochs"]
    }
    errors = {
        (depth, seed): (last["plain", depth, seed], last["residual", depth, seed])
        for depth in record.depths
        for seed in record.seeds
    }
    return Recorded(record, errors)
