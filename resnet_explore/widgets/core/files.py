"""What is shown as a file: the picture with its headline and conditions, or its numbers as a table."""

import contextlib
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from resnet_explore import __version__
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.view import Part, View, settled

PROGRAM = f"resnet_explore {__version__}"
FORMATS = (".png", ".svg", ".pdf", ".csv")
WIDTH = 960  # CSS pixels


def save_view(view: View, state: Any, suffix: str, code: str) -> bytes:
    """Return what a view shows at a state, as the bytes of a file with this ending.

    Raises `ExploreError` for another ending, or where nothing is shown that can be written so.
    """
    if suffix not in FORMATS:
        raise ExploreError(f"The file's name must end in {', '.join(FORMATS)}, not {suffix or 'nothing'!r}.")
    shown = settled(view, state)
    rows = [[panel for panel in row if panel is not None] for row in shown.panels or ()]
    if suffix == ".csv":
        return _numbers(shown, [panel for row in rows for panel in row], code)
    rows = [row for row in ([panel for panel in row if panel.height] for row in rows) if row]
    if not rows:
        raise ExploreError("There is no picture here to save: its numbers go into a .csv.")
    return _picture(shown, rows, suffix, code)


def written(path: Path, data: bytes) -> Path:
    """Write a file under a temporary name, rename it, and return where it lies."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ExploreError(f"{path} can't be written ({problem.strerror or problem}).") from None
    return path


def _picture(view: View, rows: Sequence[Sequence[Part]], suffix: str, code: str) -> bytes:
    from resnet_explore.figures.style import annotate, new_figure

    heights = [max(panel.height for panel in row) for row in rows]
    figure = new_figure(WIDTH, sum(heights))
    for row, part in zip(rows, _split(figure, heights, across=False), strict=True):
        for panel, place in zip(row, _split(part, [1] * len(row), across=True), strict=True):
            panel.draw(place)
    caption = " ".join([*view.conditions, f"Made with {PROGRAM}: {code}"])
    annotate(figure, str(view.headline), caption)
    about = {"Title": str(view.headline), ("Software" if suffix == ".png" else "Creator"): PROGRAM}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], facecolor=figure.get_facecolor(), metadata=about)
    return buffer.getvalue()


def _split(figure: Any, shares: Sequence[float], across: bool) -> list[Any]:
    ratios = {"width_ratios" if across else "height_ratios": list(shares)}
    rows, columns = (1, len(shares)) if across else (len(shares), 1)
    return list(figure.subfigures(rows, columns, squeeze=False, **ratios).flat)


def _numbers(view: View, panels: Sequence[Part], code: str) -> bytes:
    tables = {panel.key: list(panel.numbers()) for panel in panels}
    tables = {key: rows for key, rows in tables.items() if rows}
    if not tables:
        raise ExploreError("There are no numbers here to save.")
    about = {"code": code, "headline": view.headline}
    if view.conditions:
        about["conditions"] = " ".join(view.conditions)
    return as_csv(about, tables)


def as_csv(about: Mapping[str, Any], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Return tables, {name: rows}, as .csv below lines "# key: value" of what is true of all rows.

    The program's name comes first; `pandas.read_csv(path, comment="#")` passes over these lines.
    """
    buffer = io.StringIO()
    about = {"program": PROGRAM, **about}
    for key, value in about.items():
        buffer.write(f"# {key}: {' '.join(str(value).split())}\n")
    _write_rows(buffer, tables)
    return buffer.getvalue().encode()


def _write_rows(buffer: io.StringIO, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write all rows below one head; where there are several tables the first column says which."""
    rows = list(_rows(tables))
    head = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(buffer, head, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _rows(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    for key, table in tables.items():
        for row in table:
            yield {"table": key, **row} if len(tables) > 1 else dict(row)
