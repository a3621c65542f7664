"""Recorded lesion studies and path lengths as tables; reading them needs no torch."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_explore.errors import unknown
from resnet_explore.paths import shipped

if TYPE_CHECKING:
    import pandas as pd

_NETWORK = re.compile(r"(?:cifar_)?(plain|resnet)(\d+)")
_NUMBERS = ("tau", "factor", "error", "loss", "error_recalibrated", "paths")
_KINDS = {"plain": "plain", "resnet": "residual"}


def load_lesions(where: str | Path = "digits") -> "pd.DataFrame":
    """Return recorded lesion studies: what ships for a set of weights, or a folder that `lesions` wrote.

    A row for each trial, as in `LesionStudy.table`, with the columns weights, network ("cifar_plain20"), kind
    ("plain" or "residual") and depth before. Of each network there is one row more, with what="whole" and a
    count of 0: its error and loss as it is. Raises ExploreError if there is no such record.
    """
    return _read(where, "lesions.csv")


def load_paths(where: str | Path = "digits") -> "pd.DataFrame":
    """Return recorded path lengths of residual networks, a row for each length; see `load_lesions`.

    Columns weights, network, kind, depth, length, and paths, gradient, spread and share as in `PathLengths`.
    """
    return _read(where, "paths.csv")


def _read(where: str | Path, name: str) -> "pd.DataFrame":
    import pandas as pd

    ours = shipped("data", "skips", str(where))
    folder = ours if ours.is_dir() else Path(where)
    try:
        table = pd.read_csv(folder / name)
    except (OSError, ValueError):
        names = sorted(path.parent.name for path in shipped("data", "skips").glob(f"*/{name}"))
        raise unknown(
            "record of lesions", str(where), names, "Or name a folder that `resnet-explore lesions` wrote."
        ) from None
    if "blocks" in table:
        table["blocks"] = table["blocks"].fillna("")
    table = table.astype({name: float for name in _NUMBERS if name in table})
    found = table["network"].str.extract(_NETWORK)
    table.insert(0, "weights", folder.resolve().name)
    table.insert(2, "kind", found[0].map(_KINDS))
    table.insert(3, "depth", found[1].astype(int))
    return table
