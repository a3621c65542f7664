"""Numbers as a table in a file.

Every .csv that explorers write begins with lines "# key: value", which say once what is true of all its rows;
`pandas.read_csv(path, comment="#")` passes over them.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore import __version__

if TYPE_CHECKING:
    import pandas as pd

PROGRAM = f"resnet_explore {__version__}"


def save_table(path: Path, table: "pd.DataFrame", about: Mapping[str, Any]) -> None:
    """Write a table as .csv below lines "# key: value" of what is true of all rows, this program the first.

    Texts stand in quotes, where a # begins no comment. Raises OSError where that can't be written.
    """
    said = {"program": PROGRAM, **about}
    lines = [f"# {key}: {' '.join(str(value).split())}\n" for key, value in said.items()]
    rows = table.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    path.write_text("".join(lines) + rows, encoding="utf-8", newline="\n")
