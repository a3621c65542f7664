"""Recorded landscapes and curvatures; reading them needs no torch."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from resnet_explore.analysis._unreadable import UNREADABLE
from resnet_explore.analysis.landscape.plane import Landscape
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.paths import shipped

PLANES, SHARPNESS = "planes.npz", "sharpness.csv"
SNAPSHOT_EVERY = 10
"""Updates from one snapshot of a recorded training to the next."""
Kind = Literal["plain", "residual"]


class PlaneKey(NamedTuple):
    """Which recorded plane: of which network, and "random-0", "random-0-train" or "training".

    "random-S" is the plane of two random directions of seed S with batch norm's running statistics,
    "random-S-train" the same plane with the statistics of the images, "training" that of a training's
    principal components.
    """

    kind: str
    depth: int
    plane: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.depth}/{self.plane}"


@dataclass(frozen=True)
class Sharpness:
    """How sharply the training loss of one trained network bends where it ended.

    kind, depth, seed    "plain" or "residual", layers, and the seed of the training
    mode                 how batch norm works, as in `Landscape`
    loss, error          of the network, in nats and percent
    eigenvalue           of the Hessian, the largest in magnitude, of all parameters
    eigenvalue_error     a true one lies within this of it
    normalised           the same in directions measured in filters' norms, which networks can be compared by
    normalised_error     as above
    lowest               the least normalised eigenvalue: below 0 the loss bends down somewhere
    low                  share of the points of random plane 0, from -1 to 1 along both directions, whose
                         loss is at most 1 nat; chance among ten classes is ln 10 = 2.3
    minima               how many points of it are lower than all around them, `points` times `points` in all
    points               along each axis
    """

    kind: str
    depth: int
    seed: int
    mode: str
    loss: float
    error: float
    eigenvalue: float
    eigenvalue_error: float
    normalised: float
    normalised_error: float
    lowest: float
    low: float
    minima: int
    points: int


def recorded_landscapes(data: str | Path = "digits") -> Mapping[PlaneKey, Landscape]:
    """Return recorded planes by (kind, depth, plane): what ships for "digits" or "cifar10", or of a folder.

    `recorded_landscapes("digits")["residual", 56, "random-0"]` is one. Raises ExploreError if there is no
    such record, or none that can be read.
    """
    path = _file(data, PLANES)
    found: dict[PlaneKey, Landscape] = {}
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            parts: dict[str, dict[str, Any]] = {}
            for name in arrays.files:
                plane, _, part = name.rpartition("/")
                parts.setdefault(plane, {})[part] = arrays[name]
        for name, part in parts.items():
            network, _, plane = name.partition("/")
            kind, _, depth = network.rpartition("-")
            found[PlaneKey(kind, int(depth), plane)] = _landscape(part)
    except UNREADABLE:
        raise ExploreError(f"{path} holds no landscapes that can be read.") from None
    return found


def recorded_sharpness(data: str | Path = "digits") -> tuple[Sharpness, ...]:
    """Return a row for each trained network and mode; see `recorded_landscapes` for what can be asked."""
    path, kinds = _file(data, SHARPNESS), {field.name: field.type for field in fields(Sharpness)}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if list(table.fieldnames or ()) == list(kinds):
                return tuple(
                    Sharpness(**{name: _value(kinds[name], text) for name, text in row.items()})
                    for row in table
                )
    except UNREADABLE:
        pass
    raise ExploreError(f"{path} holds no table of eigenvalues: other columns, or no numbers.")


def as_arrays(plane: Landscape) -> dict[str, np.ndarray]:
    """Return a landscape as arrays that `recorded_landscapes` reads."""
    found = {
        "loss": plane.loss.astype(np.float32),
        "error": plane.error.astype(np.float32),
        "x": plane.x,
        "y": plane.y,
        "about": np.array([plane.plane, plane.mode, str(plane.images)]),
    }
    if plane.trajectory is not None and plane.share is not None:
        found |= {"trajectory": plane.trajectory.astype(np.float32), "share": np.array(plane.share)}
    return found


def _landscape(part: Mapping[str, np.ndarray]) -> Landscape:
    plane, mode, images = map(str, part["about"])
    return Landscape(
        part["loss"].astype(np.float64),
        part["error"].astype(np.float64),
        part["x"],
        part["y"],
        plane,
        mode,
        int(images),
        part["trajectory"].astype(np.float64) if "trajectory" in part else None,
        float(part["share"]) if "share" in part else None,
    )


def _value(kind: Any, text: str) -> Any:
    return kind(text)


def _file(data: str | Path, name: str) -> Path:
    ours = shipped("data", "landscapes", str(data), name)
    path = ours if ours.is_file() else Path(data) / name
    if not path.is_file():
        names = sorted(path.parent.name for path in shipped("data", "landscapes").glob(f"*/{name}"))
        raise unknown("record of landscapes", str(data), names, "Or name a folder that holds one.")
    return path
