"""The data that can be shown: records that ship or are one's own, a table that was given, own images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_explore.training.coverage import require_one_recipe
from resnet_explore.training.recorded import Record, list_records, open_record
from resnet_explore.widgets.degradation.runs import Row, Runs

if TYPE_CHECKING:
    import pandas as pd

YOURS, GIVEN = "your-images", "given"
YOUR_IMAGES = "Your folder of images"


@dataclass(frozen=True, eq=False)
class RunSource:
    """Recorded runs on one set of data.

    key          how the state calls it
    title        how a menu calls it
    read_rows    returns its epochs
    read_layers  returns what was noted of the layers, None where nothing was
    data         what the networks were trained on, in words; "" for what the rows say
    record       where the runs lie and how they are made again, None for a table that was given
    """

    key: str
    title: str
    read_rows: Callable[[], Sequence[Row]]
    read_layers: "Callable[[], pd.DataFrame] | None"
    data: str = ""
    record: Record | None = None

    def runs(self) -> Runs:
        """Read the runs. Raises ExploreError if there are none, or if they differ in recipe."""
        rows = self.read_rows()
        require_one_recipe(rows)
        return Runs(rows)


def recorded_source(record: Record) -> RunSource:
    """Return a record as a source."""
    data = str(record.about.get("data", ""))
    return RunSource(record.name, record.title, record.rows, record.layers, data, record)


def sources(dataset: str, recorded: str | Path | None) -> Iterator[RunSource]:
    """Yield the records that can be chosen; the first is the one that *Train* repeats.

    recorded  a folder of one's own that comes first, None for the record of `dataset`
    """
    records = list_records()
    if recorded is not None:
        given = open_record(recorded)
        records = [given, *(r for r in records if r.path.resolve() != given.path.resolve())]
    else:
        records.sort(key=lambda record: record.name != dataset)
    return map(recorded_source, records)
