"""The trained twins that a command is asked for by the name of their weights."""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.cli.arguments import counts
from resnet_explore.errors import ExploreError, unknown

if TYPE_CHECKING:
    from resnet_explore.models.network import Network


def add_twins(parser: argparse.ArgumentParser, command: str) -> None:
    """Let a command be told which twins it is about, on which data, and where it writes."""
    add = parser.add_argument
    add("weights", nargs="?", default="digits", help="of twins that ship (default: %(default)s)")
    add("--root", help="where the data lie (default: downloaded to the cache)")
    add("--data", default="", help="what lies there, in words, for the record")
    add("--depths", type=counts, metavar="8,20,...", help="of the twins (default: all that ship)")
    add("--out", type=Path, help=f"folder to write to (default: runs/{command}-WEIGHTS)")


def depth_and_kind(name: str) -> tuple[int, bool]:
    """Return by what networks are sorted: layers, then the plain one first."""
    return int(re.findall(r"\d+", name)[-1]), "plain" not in name


def twins_of(weights: str) -> dict[int, list[str]]:
    """Return by depth the names of a set's networks, the plain one first.

    Raises ExploreError for weights that don't ship.
    """
    from resnet_explore.models.weights import list_weights

    shipped = list_weights()
    names = [row.model for row in shipped if row.weights == weights]
    if not names:
        raise unknown("weights:", weights, sorted({r.weights for r in shipped if "@" not in r.weights}))
    found: dict[int, list[str]] = {}
    for name in sorted(names, key=depth_and_kind):
        found.setdefault(depth_and_kind(name)[0], []).append(name)
    return found


def depths_of(weights: str, asked: "tuple[int, ...] | None") -> list[int]:
    """Return the depths that are asked for, all that ship for None.

    Raises ExploreError for weights and depths that don't ship.
    """
    twins = twins_of(weights)
    for depth in asked or ():
        if depth not in twins:
            raise unknown("depth", depth, map(str, twins))
    return sorted(asked or twins)


@dataclass(frozen=True, eq=False)
class NamedTwin:
    """A trained network: one that ships, or one of a sweep, of another seed."""

    name: str
    kind: str
    depth: int
    seed: int
    ships: bool
    net: "Network"

    def __str__(self) -> str:
        return f"{self.kind}-{self.depth}"


def trained_twins(weights: str, depths: Sequence[int], runs: Path | None) -> Iterator[NamedTwin]:
    """Return the networks that ship, then those of a sweep's other seeds; each is built when it is its turn.

    Raises ExploreError at once for a folder without runs, and for two runs of one network and seed.
    """
    twins = twins_of(weights)
    names = [name for depth in depths for name in twins[depth]]
    others = [] if runs is None else [row for row in _rows(runs) if row["name"] in names]
    first: dict[tuple[str, int], str] = {}
    for row in others:
        known = first.setdefault((row["name"], row["seed"]), row["run"])
        if known != row["run"]:
            raise ExploreError(
                f"{runs} holds two runs of {row['name']} with seed {row['seed']}, {known} and {row['run']}: "
                "move one of them away."
            )
    return _built(weights, names, others, runs)


def _rows(runs: Path) -> list[dict[str, Any]]:
    """Return what is known of each run of a sweep, and the name of its network."""
    from resnet_explore.training.runs import collect, model_name

    table = collect(runs).drop_duplicates("run").sort_values(["seed", "depth", "kind"])
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    return [{**row, "name": model_name(row["family"], row["kind"], row["depth"])} for row in rows]


def _built(
    weights: str, names: Sequence[str], others: Sequence[dict[str, Any]], runs: Path | None
) -> Iterator[NamedTwin]:
    from resnet_explore.models.presets import build
    from resnet_explore.training.runs import RunFolder

    def twin(name: str, seed: int | None, source: str) -> NamedTwin:
        net, (depth, residual) = build(name, weights=source), depth_and_kind(name)
        own = net.about["run"]["seed"] if seed is None else seed
        return NamedTwin(name, "residual" if residual else "plain", depth, int(own), seed is None, net)

    shipped: dict[str, int] = {}
    for name in names:
        one = twin(name, None, weights)
        shipped[name] = one.seed
        yield one
    for row in others if runs is not None else ():
        if row["seed"] != shipped[row["name"]]:
            yield twin(row["name"], row["seed"], str(RunFolder(runs / row["run"]).checkpoint))
