"""A chart as files: the picture with what it says, and its numbers as a table."""

from pathlib import Path

import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.figures.style import Figure, annotate, to_png


def save_picture(
    path: str | Path, figure: Figure, title: str, caption: str, table: pd.DataFrame
) -> list[Path]:
    """Write a figure with its finding and conditions, and the numbers as .csv beside it; return both paths.

    The figure itself is changed. Raises ExploreError where the files can't be written.
    """
    path = Path(path)
    try:
        path.write_bytes(to_png(annotate(figure, title, caption)))
        table.assign(conditions=caption).to_csv(path.with_suffix(".csv"), index=False)
    except OSError as problem:
        raise ExploreError(f"{path} can't be written ({problem.strerror or problem}).") from None
    return [path, path.with_suffix(".csv")]
