"""What is shown as a file: the picture with its headline and conditions, its numbers, or its arrays."""

import contextlib
import csv
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resnet_explore import __version__
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.view import Over, Part, View

PROGRAM = f"resnet_explore {__version__}"
FORMATS = (".png", ".svg", ".pdf", ".csv", ".npz")
_NEEDS = ("draw", "numbers", "arrays")  # of these methods a panel has to have its own
WIDTH = 960  # CSS pixels
_DRAWING = threading.Lock()  # Matplotlib draws one figure at a time


def save_view(
    shown: View,
    suffix: str,
    code: str,
    numbers: Callable[[View], Mapping[str, Iterable[Mapping[str, Any]]]],
    arrays: Callable[[View], Mapping[str, Any]],
) -> bytes:
    """Return a view, settled at a state, as the bytes of a file with this ending.

    `numbers` and `arrays` give the tables of a .csv and the arrays of a .npz. Raises `ExploreError` for
    another ending, or where nothing is shown that can be written so.
    """
    if suffix not in FORMATS:
        raise ExploreError(f"The file's name must end in {', '.join(FORMATS)}, not {suffix or 'nothing'!r}.")
    if suffix == ".csv":
        return _numbers(shown, numbers(shown), code)
    if suffix == ".npz":
        return _arrays(shown, arrays(shown), code)
    rows = [row for row in ([panel for panel in row if panel.height] for row in _rows_of(shown)) if row]
    if not rows:
        raise ExploreError("There is no picture here to save: its numbers go into a .csv.")
    with _DRAWING:
        return _picture(shown, rows, suffix, code)


def panels_of(shown: View) -> list[Part]:
    """Return the panels of a view that is settled at a state."""
    return [panel for row in _rows_of(shown) for panel in row]


def _rows_of(shown: View) -> list[list[Part]]:
    return [[panel for panel in row if panel is not None] for row in (*(shown.panels or ()), *shown.below)]


def formats_of(view: View) -> list[str]:
    """Return the endings that a view, settled or not, can be written with."""
    kinds = set(kinds_of([view.panels, view.below]))
    can = {name: any(getattr(kind, name) is not getattr(Part, name) for kind in kinds) for name in _NEEDS}
    needs = {".csv": "numbers", ".npz": "arrays"}
    return [suffix for suffix in FORMATS if can[needs.get(suffix, "draw")]]


def kinds_of(value: Any) -> Iterator[type[Part]]:
    """Yield the classes of all panels, in whatever rows and `Over`s they stand."""
    if isinstance(value, Part):
        yield type(value)
    elif isinstance(value, Over):
        for entry in value.each.values():
            yield from kinds_of(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from kinds_of(entry)


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
    from resnet_explore.figures.style import new_figure, strip, wrapped

    title = wrapped(str(view.headline), WIDTH, large=True)
    caption = wrapped(" ".join([*view.conditions, f"Made with {PROGRAM}: {code}"]), WIDTH)
    heights = [title.height, *(max(panel.height for panel in row) for row in rows), caption.height]
    figure = new_figure(WIDTH, sum(heights))
    head, *parts, foot = _split(figure, heights, across=False)
    strip(head, title)
    for row, part in zip(rows, parts, strict=True):
        for panel, place in zip(row, _split(part, [1] * len(row), across=True), strict=True):
            panel.draw(place)
    strip(foot, caption)
    about = {"Title": str(view.headline), "Description": " ".join(caption.lines)}
    about["Software" if suffix == ".png" else "Creator"] = PROGRAM
    if suffix == ".pdf":
        about["Subject"] = about.pop("Description")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], facecolor=figure.get_facecolor(), metadata=about)
    return buffer.getvalue()


def _split(figure: Any, shares: Sequence[float], across: bool) -> list[Any]:
    ratios = {"width_ratios" if across else "height_ratios": list(shares)}
    rows, columns = (1, len(shares)) if across else (len(shares), 1)
    return list(figure.subfigures(rows, columns, squeeze=False, wspace=0, hspace=0, **ratios).flat)


def _arrays(view: View, arrays: Mapping[str, Any], code: str) -> bytes:
    if not arrays:
        raise ExploreError("There are no arrays here to save.")
    buffer = io.BytesIO()
    about = [str(view.headline), *view.conditions, f"Made with {PROGRAM}: {code}"]
    np.savez_compressed(buffer, **{**arrays, "conditions": np.array(about)})
    return buffer.getvalue()


def _numbers(view: View, given: Mapping[str, Iterable[Mapping[str, Any]]], code: str) -> bytes:
    tables = {key: list(rows) for key, rows in given.items()}
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
