"""The recorded experiments as a menu, and how each of them is made again."""

import html
from pathlib import Path

import pandas as pd

from resnet_explore.training.commands import one_after_another
from resnet_explore.training.recorded import Record, list_records, open_record


def record_menu(dataset: str, recorded: str | Path | None) -> dict[str, Record]:
    """Return {menu entry: record}; the first is the one that *Train* repeats."""
    records = list_records()
    if recorded is not None:
        given = open_record(recorded)
        records = [given, *(r for r in records if r.path.resolve() != given.path.resolve())]
    else:
        records.sort(key=lambda record: record.name != dataset)
    menu: dict[str, Record] = {}
    for record in records:
        menu.setdefault(record.title, record)
    return menu


def how_to_repeat(record: Record, table: pd.DataFrame) -> str:
    """Say in HTML how long a record's runs took, and by which commands they are trained again."""
    minutes, runs = record.about.get("minutes"), table["run"].nunique()
    took = f"took {minutes:.0f} minutes of training, summed" if minutes else "take long"
    they = "they, and those that are missing," if record.missing(table) else "they"
    if not record.commands:
        return ""
    commands = "".join(map(_command, one_after_another(record.commands, record.name)))
    original = ""
    if record.on_other_data:
        original = (
            "As they stand they download the original data and train on those, where errors may differ; "
            "<code>--root FOLDER</code> names data of yours."
        )
    return f"These {runs} runs {took}. In a terminal {they} are trained again by{commands}{original}"


def _command(command: str) -> str:
    """Return a command in HTML that breaks into lines at spaces only."""
    words = "".join(
        f'<span style="white-space:nowrap">{html.escape(word)}</span> ' for word in command.split()
    )
    return f'<code style="display:block;line-height:1.5;max-width:954px">{words.rstrip()}</code>'
