"""The trained twins that a command is asked for by the name of their weights."""

import re

from resnet_explore.errors import unknown


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
