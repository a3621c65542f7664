"""Explorers that follow each other: one depth, block, photo and pair of networks through all of them."""

from collections.abc import Callable, Mapping
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import LookingExplorer
from resnet_explore.widgets.core.explorer import Explorer

SHARED = ("networks", "depth", "block", "image")


class Link:
    """What joins explorers; `unlink()` lets each go its own way again."""

    def __init__(self, explorers: tuple[Explorer, ...]) -> None:
        self._moving = False
        self._watching: list[tuple[Explorer, Callable[[Any], None], list[str]]] = []
        for explorer in explorers:
            follow = self._follower(explorer, [other for other in explorers if other is not explorer])
            names = [name for name in SHARED if name in _fields(explorer)]
            explorer.observe(follow, names)
            self._watching.append((explorer, follow, names))

    def unlink(self) -> None:
        """Let each explorer go its own way; what they show now stays."""
        for explorer, follow, names in self._watching:
            explorer.unobserve(follow, names)
        self._watching = []

    def _follower(self, explorer: Explorer, others: list[Explorer]) -> Callable[[Any], None]:
        def follow(change: Any) -> None:
            if self._moving:
                return  # an explorer that follows is not followed
            self._moving = True
            try:
                for other in others:
                    bring(explorer, other)
            finally:
                self._moving = False

        return follow


def link(*explorers: Explorer) -> Link:
    """Join explorers, so that a change of depth, block, image or networks in one is made in the others.

    The first one leads: the others go where it is at once. What another one can't show, such as a depth that
    its networks don't have, it leaves as it is. Photos that were brought to one are there in all.

    Returns a `Link`, whose `unlink()` separates them. Raises `ExploreError` for fewer than two explorers, for
    what is none, and where two have none of these fields in common.
    """
    if len(explorers) < 2:
        raise ExploreError(f"link takes two explorers or more, got {len(explorers)}.")
    for each in explorers:
        if not isinstance(each, Explorer):
            raise ExploreError(f"link takes explorers, not {type(each).__name__}.")
    first, *others = explorers
    for other in others:
        if not _common(first, other):
            names = f"{type(first).__name__} and {type(other).__name__}"
            raise ExploreError(f"{names} have none of {', '.join(SHARED)} in common.")
    for other in others:
        bring(first, other)
    return Link(explorers)


def bring(leader: Explorer, follower: Explorer) -> None:
    """Bring an explorer to the shared fields of another one, as far as it can show them."""
    wanted = {name: _carried(name, leader, follower) for name in _common(leader, follower)}
    changes = {name: value for name, value in wanted.items() if value != getattr(follower.state, name)}
    # Together first, since a depth may exist with the new networks only; else those that go by themselves.
    if changes and not follower.attempt(**changes):
        for name, value in changes.items():
            follower.attempt(**{name: value})


def _carried(name: str, leader: Explorer, follower: Explorer) -> Any:
    """Return a field's value for another explorer, where a photo that was brought to one gets an id."""
    value = getattr(leader.state, name)
    ours, theirs = _images(leader), _images(follower)
    if name != "image" or ours is None or theirs is None or not str(value).startswith("upload-"):
        return value
    try:
        return theirs.take_over(ours, value)
    except ExploreError:
        return getattr(follower.state, name)


def _images(explorer: Explorer) -> Images | None:
    return explorer.images if isinstance(explorer, LookingExplorer) else None


def _fields(explorer: Explorer) -> Mapping[str, Any]:
    return vars(explorer.state)


def _common(one: Explorer, other: Explorer) -> list[str]:
    return [name for name in SHARED if name in _fields(one) and name in _fields(other)]
