"""Which runs of an experiment are there, which are missing, and how that is said in words."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.training.commands import runs_of
from resnet_explore.training.plan import KINDS, RECIPE
from resnet_explore.training.skip_scale import NONE

Place = tuple[str, int, int]
"""A run's kind, depth and seed."""


def missing(there: Iterable[Place], commands: Iterable[str]) -> tuple[list[Place], int]:
    """Return which runs of some commands are not among those that are there, and how many they make."""
    planned = {(run.kind, run.depth, run.seed) for command in commands for run in runs_of(command)}
    return sorted(planned - set(there)), len(planned)


def in_words(places: Sequence[Place], elsewhere: bool = False) -> str:
    """Return "seed 0", "seeds 1 and 2 at 20 and 56 layers" or "seed 1 of residual at 8 layers".

    elsewhere   the most frequent seeds come last and say "elsewhere", so that the whole is told; where all
                have the same, depths are not named
    """
    seeds: dict[int, dict[str, set[int]]] = {}
    for kind, depth, seed in places:
        seeds.setdefault(depth, {}).setdefault(kind, set()).add(seed)
    groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
    for depth, by_kind in sorted(seeds.items()):
        alike = len(by_kind) == len(KINDS) and len({frozenset(s) for s in by_kind.values()}) == 1
        for kind, here in sorted(by_kind.items())[: 1 if alike else None]:
            whose = "" if alike else f" of {kind}"
            groups.setdefault((tuple(sorted(here)), whose), []).append(depth)
    ordered = sorted(groups, key=lambda group: len(groups[group]))
    if elsewhere and len(ordered) == 1:
        return among(list(ordered[0][0])) + ordered[0][1]
    said = [
        f"{among(list(found))}{whose} at {among(groups[found, whose], '')} layers" for found, whose in ordered
    ]
    found, whose = ordered[-1]
    if elsewhere and not whose:
        said[-1] = f"{among(list(found))} elsewhere"
    return ", ".join(said)


def among(values: Sequence[object], what: str = "seed") -> str:
    """Return "seed 0" or "seeds 0, 1 and 2"; with no `what`, the values alone."""
    name = what and f"{what}{'s' if len(values) > 1 else ''} "
    if len(values) == 1:
        return f"{name}{values[0]}"
    return f"{name}{', '.join(map(str, values[:-1]))} and {values[-1]}"


def places_of(rows: Iterable[Mapping[str, Any]]) -> list[Place]:
    """Return the kind, depth and seed of each run in rows as `history` returns them."""
    return list(dict.fromkeys((str(row["kind"]), int(row["depth"]), int(row["seed"])) for row in rows))


def recipe_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return a row that says how runs of one recipe were trained: a plain one does not know of skips."""
    return next((row for row in rows if row["kind"] == "residual"), rows[0])


def require_one_recipe(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise ExploreError if runs differ in more than kind, depth and seed; rows as `history` returns them."""
    given = [name for name in ("dataset", "family", "size", *RECIPE) if rows and name in rows[0]]
    differ = [name for name in given if not agree(name, [row[name] for row in rows])]
    if differ:
        raise ExploreError(
            f"Runs shown together must share one recipe, and these differ in {', '.join(differ)}: "
            "choose some of them first."
        )


def same_recipe(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows are of runs that differ in kind, depth and seed at most."""
    names = ("dataset", "family", "size", *RECIPE)
    return all(agree(name, [one.get(name), other.get(name)]) for name in names)


def agree(name: str, values: Iterable[Any]) -> bool:
    """Whether a field of the recipe has one value in several runs."""
    found = {_as_recorded(value) for value in values}
    # A plain network has no skips, so it goes with any factor on those of its twin.
    return len(found - {NONE} if name == "skip_scale" else found) <= 1


def _as_recorded(value: Any) -> Any:
    """Return a value as it reads in a record too, which has six digits, and nan for what was not given."""
    if value is None or value != value:
        return None
    return f"{float(value):.6g}" if isinstance(value, Real) else value
