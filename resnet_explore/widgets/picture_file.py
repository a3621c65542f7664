"""A chart as files: the picture with what it says, and its numbers as a table.

Every .csv that explorers write begins with lines "# key: value", which say once what is true of all its rows;
`pandas.read_csv(path, comment="#")` passes over them.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore import __version__
from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import Figure, annotate, to_png, to_svg

if TYPE_CHECKING:
    import pandas as pd

PROGRAM = f"resnet_explore {__version__}"


def save_picture(
    path: str | Path,
    figure: Figure,
    title: str,
    caption: str,
    table: "pd.DataFrame",
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a figure with its finding and conditions, and the numbers as .csv beside it; return both paths.

    about  what is true of the whole table, {"conditions": ...} and more; None for the caption

    The picture is an SVG if the name ends so, else a PNG. Both files name this program and its version. The
    figure itself is changed. Raises ExploreError where the files can't be written.
    """
    path = Path(path)
    form = to_svg if path.suffix.lower() == ".svg" else to_png
    try:
        path.write_bytes(form(annotate(figure, title, caption), PROGRAM))
        save_table(path.with_suffix(".csv"), table, about or {"conditions": caption})
    except OSError as problem:
        raise ExploreError(f"{path} can't be written ({problem.strerror or problem}).") from None
    return [path, path.with_suffix(".csv")]


def save_table(path: Path, table: "pd.DataFrame", about: Mapping[str, Any]) -> None:
    """Write a table as .csv below lines "# key: value" of what is true of all rows, this program the first.

    Texts stand in quotes, where a # begins no comment. Raises OSError where that can't be written.
    """
    said = {"program": PROGRAM, **about}
    lines = [f"# {key}: {' '.join(str(value).split())}\n" for key, value in said.items()]
    rows = table.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    path.write_text("".join(lines) + rows, encoding="utf-8", newline="\n")
