"""The experiments that ship under data/: each a folder that `record` wrote, with what it says of itself."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError
from resnet_explore.paths import shipped
from resnet_explore.training.commands import ROOT
from resnet_explore.training.coverage import Place, in_words, missing
from resnet_explore.training.runs import collect, collect_layers, history

if TYPE_CHECKING:
    import pandas as pd

_TITLES = {
    "digits": "Digits (8×8, grey)",
    "cifar10": "CIFAR-10 (32×32)",
    "imagenette": "Imagenette (photos)",
}


@dataclass(frozen=True)
class Record:
    """One folder of recorded runs; `about` is its about.json, empty where it has none."""

    path: Path
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The folder's name, such as "digits"."""
        return self.path.name

    @property
    def title(self) -> str:
        """What a menu calls it."""
        return _TITLES.get(self.name, self.name)

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that make it again, on the data as they are downloaded."""
        return tuple(command.partition(ROOT)[0] for command in self._given())

    @property
    def on_other_data(self) -> bool:
        """Whether it was trained on other data than its commands download."""
        return any(ROOT in command for command in self._given())

    def _given(self) -> list[str]:
        given = self.about.get("commands") or [self.about.get("command", "")]
        return [command for command in given if command]

    def table(self) -> "pd.DataFrame":
        """Return its epochs, as `collect` does."""
        return collect(self.path)

    def rows(self) -> list[dict[str, Any]]:
        """Return its epochs, as `history` does."""
        return history(self.path)

    def missing(self, there: Iterable[Place]) -> str:
        """Say which runs of its commands are not among those that are there, "" if none."""
        lacking, planned = missing(there, self.commands)
        return (
            f"{len(lacking)} of {planned} runs are not recorded yet: {in_words(lacking)}" if lacking else ""
        )

    def layers(self) -> "pd.DataFrame":
        """Return what was noted of its layers, as `collect_layers` does; ExploreError if nothing was."""
        if (self.path / "history.csv").is_file() and not (self.path / "layers.parquet").is_file():
            raise ExploreError(f"The record {self.name!r} was made without a look at the layers.")
        return collect_layers(self.path)


def open_record(path: str | Path) -> Record:
    """Return a folder that `record` or `run_sweep` wrote as a record; what it holds is read later."""
    path = Path(path)
    about = path / "about.json"
    return Record(path.absolute(), json.loads(about.read_text()) if about.is_file() else {})


def list_records() -> list[Record]:
    """Return the records that ship: the digits, which anybody can repeat at once, and then by name."""
    found = [open_record(path.parent) for path in shipped("data").glob("*/history.csv")]
    return sorted(found, key=lambda record: (record.name != "digits", record.name))
