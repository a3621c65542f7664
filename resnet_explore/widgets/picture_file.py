"""A chart as files: the picture with what it says, and its numbers as a table."""

from pathlib import Path
from typing import TYPE_CHECKING

from resnet_explore import __version__
from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import Figure, annotate, to_png, to_svg

if TYPE_CHECKING:
    import pandas as pd

PROGRAM = f"resnet_explore {__version__}"


def save_picture(
    path: str | Path, figure: Figure, title: str, caption: str, table: "pd.DataFrame"
) -> list[Path]:
    """Write a figure with its finding and conditions, and the numbers as .csv beside it; return both paths.

    The picture is an SVG if the name ends so, else a PNG. Both files name this program and its version. The
    figure itself is changed. Raises ExploreError where the files can't be written.
    """
    path = Path(path)
    form = to_svg if path.suffix.lower() == ".svg" else to_png
    try:
        path.write_bytes(form(annotate(figure, title, caption), PROGRAM))
        table.assign(conditions=caption, program=PROGRAM).to_csv(path.with_suffix(".csv"), index=False)
    except OSError as problem:
        raise ExploreError(f"{path} can't be written ({problem.strerror or problem}).") from None
    return [path, path.with_suffix(".csv")]
