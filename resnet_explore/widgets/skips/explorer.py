"""The skip explorer: take blocks out of trained twins, turn their skips down, and watch the answer."""

import functools
import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.code import inputs_in_code
from resnet_explore.widgets.catalog.images import Images, Picture
from resnet_explore.widgets.catalog.looking import LookingExplorer
from resnet_explore.widgets.catalog.networks import Networks, own_networks, usual_networks
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.skips.edit import UNEDITED, Edit, editing_in_code, is_order
from resnet_explore.widgets.skips.jobs import (
    DIAL,
    Answers,
    Gradients,
    Heat,
    LookInside,
    Open,
    ReadStudies,
    ReadTraining,
    Singles,
    Turn,
)
from resnet_explore.widgets.skips.lab import OpenTwins, SkipLab
from resnet_explore.widgets.skips.present import Findings, present
from resnet_explore.widgets.skips.state import SkipState

_EDITS = ("deleted", "cut", "order", "skip", "branch")
_USUAL = 9  # blocks of the networks that the first edit is meant for
_MOST_UNDONE = 100
_SIDE = 128  # pixels of the image as it is shown


# What a page without Python holds: up to two blocks out, or skips cut, of twins of 20 layers.
_BAKED = tuple(out for count in range(3) for out in combinations(range(1, _USUAL + 1), count))


class SkipExplorer(LookingExplorer):
    """Edit two trained networks that differ by their skips alone, and watch both answer.

    models  a network of your own, two of them to be put side by side, or {name: network}; None for a menu of
            twins that ship
    images  for your own networks, in the forms that other explorers take; an `ImageSet`, which has labels,
            gives the error, too
    state   `SkipState`: view, networks, depth, image, deleted, cut, order, skip, branch, block, channel,
            effect, study, each a trait
    guess   True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are edited while they are measured only, and are left as they were found. Raises `ExploreError`
    for a block, an order or a factor that there is not.
    """

    State = SkipState
    bakes: ClassVar = {
        "view": None,
        "deleted": _BAKED,
        "cut": _BAKED,
        "effect": None,
        "study": None,
    }
    keep_most = 24  # the maps of 56 layers take 4 MB

    def unused(self, state: SkipState) -> Collection[str]:
        """Return what only other tabs are about."""
        others = {"effects": {"effect"}, "studies": {"study"}}
        edit = {*_EDITS, "networks", "depth", "image"} if state.view == "training" else set()
        return edit.union(*(fields for view, fields in others.items() if view != state.view))

    def worth_baking(self, state: SkipState) -> bool:
        """Two edits are only where they are made, in other tabs one block is out at most.

        Of networks that are not shown now, as the photo twins on the site, one block is out and nothing else.
        """
        out, cut = len(state.deleted), len(state.cut)
        if state.networks != self.state.networks:
            return state.view == "edit" and out <= 1 and not cut
        if state.view == "edit":
            return out + cut <= 2
        return out <= 1 and not cut

    def __init__(self, models: Any = None, images: Any = None, **state: Any) -> None:
        entries = _trained(usual_networks()) if models is None else {"own": own_networks(models)}
        self.lab = SkipLab(entries, Images(images), images)
        self._undone: list[dict[str, Any]] = []
        self._random = random.Random()
        super().__init__(entries, self.lab.images, {"models": models, "images": images}, **state)

    # --- what there is --------------------------------------------------------------------------------------

    def settle(self, state: SkipState, names: frozenset[str]) -> SkipState:
        """Find networks, depth and image that go together; another depth keeps the edit."""
        state = self._settle_edit(super().settle(state, names), names, self._before)
        for name in ("skip", "branch"):
            value = getattr(state, name)
            if not (math.isfinite(value) and 0 <= value <= DIAL[-1]):
                raise ExploreError(f"{name} must be a number from 0 to {DIAL[-1]}, got {value!r}.")
        return state

    def _settle_edit(self, state: SkipState, names: frozenset[str], before: SkipState | None) -> SkipState:
        """Check what blocks are named, and carry them over to networks of another depth."""
        there, count = self._twins(state), self.lab.count(state.networks, self._depth(state))
        was = _USUAL if before is None else self.lab.count(before.networks, self._depth(before))
        other = before is None or (before.networks, before.depth) != (state.networks, state.depth)
        if other and "order" not in names:
            state = replace(state, order=())
        if other and was is not None and count is not None:
            state = _carried(state, names, was, count)
        state = replace(state, deleted=tuple(sorted(set(state.deleted))), cut=tuple(sorted(set(state.cut))))
        if count is None:
            return state
        for name in ("deleted", "cut"):
            wrong = [k for k in getattr(state, name) if not 1 <= k <= count]
            if wrong and name in names:
                raise ExploreError(f"{name} must hold numbers of blocks, 1 to {count}, got {wrong[0]}.")
            kept: Any = {name: tuple(k for k in getattr(state, name) if k not in wrong)}
            state = replace(state, **kept)
        if state.order and sorted(state.order) != list(range(1, count + 1)):
            raise ExploreError(
                f"order must hold each block from 1 to {count} once, got {list(state.order)!r:.60}."
            )
        if sorted(state.order) == list(state.order):
            state = replace(state, order=())
        state = replace(state, block=min(max(1, state.block), count), channel=max(0, state.channel))
        return state if there is None else _possible(state, names, there)

    def _twins(self, state: SkipState) -> OpenTwins | None:
        return self.lab.known(state.networks, self._depth(state))

    def arrived(self, state: SkipState, found: Mapping[Job, Any]) -> SkipState:
        """Return the state with blocks that there are, once that is known."""
        return state if self._twins(state) is None else self._fitting(state)

    def _fitting(self, state: SkipState) -> SkipState:
        try:
            return self._settle_edit(state, frozenset(), state)
        except ExploreError:  # an order that was asked for before the blocks were known
            return replace(state, order=())

    # --- what is computed and shown -------------------------------------------------------------------------

    def plan(self, state: SkipState) -> Sequence[Job]:
        """Return what the open view needs, the answer to the present edit first."""
        where = self._where(state)
        needed = self._needed(state)
        jobs = [*needed.values()] if state.view == "training" else [Open(*where), *needed.values()]
        if state.view == "edit":
            jobs += [self._turn(state, dial) for dial in ("skip", "branch")]
        return tuple(dict.fromkeys(jobs))

    def _where(self, state: SkipState) -> tuple[SkipLab, str, int]:
        return self.lab, state.networks, self._depth(state)

    def _needed(self, state: SkipState) -> dict[str, Job]:
        """Return what the open view shows, by name."""
        where, edit = self._where(state), Edit.of(state)
        now, before = (Answers(*where, state.image, one) for one in (edit, Edit()))
        if state.view == "edit":
            return {"now": now, "unedited": before}
        if state.view == "inside":
            return {"sums": LookInside(*where, state.image, edit)}
        if state.view == "effects":
            return {"after": self._effect(state, edit), "before": self._effect(state, Edit())}
        if state.view == "studies":
            each = {"singles": Singles(*where)} if state.study == "each" else {}
            return {"studies": ReadStudies(*where), "now": now, "unedited": before, **each}
        return {"training": ReadTraining()}

    def _effect(self, state: SkipState, edit: Edit) -> Job:
        where = self._where(state)
        if state.effect == "gradients":
            return Gradients(*where, edit)
        return (Heat if state.effect == "heatmaps" else LookInside)(*where, state.image, edit)

    def _turn(self, state: SkipState, dial: str) -> Turn:
        rest = Edit.of(state).at(dial, 1.0)  # the same wherever this dial stands
        return Turn(*self._where(state), state.image, rest, dial)

    def present(self, state: SkipState, found: Mapping[Job, Any]) -> View:
        """Return the page of the view that is open."""
        jobs = {dial: self._turn(state, dial) for dial in ("skip", "branch")}
        shown = {name: found.get(job) for name, job in self._needed(state).items()}
        picture = self.images.picture(state.image)
        scene = Findings(
            found.get(Open(*self._where(state))),
            shown.get("now"),
            shown.get("unedited"),
            {dial: found[job] for dial, job in jobs.items() if job in found},
            picture.about,
            _shown(picture),
            bool(self._undone),
            shown,
        )
        images = self.images.controls("image", self.entries[state.networks].data, state.image)
        return present(state, self.entries, images, scene)

    def update(self, **changes: Any) -> None:
        """Change several fields of the state together, which can be undone; see `Explorer.update`."""
        with self.held():  # each message comes in a thread of its own
            kept = self._undone
            self._undone = self._undone_after(changes)
            try:
                super().update(**changes)
            except ExploreError:
                self._undone = kept
                raise

    def _undone_after(self, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what can be undone once these changes are made."""
        before = {name: getattr(self._state, name) for name in (*_EDITS, "networks", "depth")}
        asked = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
        new = {name for name in before if asked.get(name, before[name]) != before[name]}
        if new & {"networks", "depth"}:
            return []  # the numbers are those of other blocks
        if not new:
            return self._undone
        return [*self._undone, {name: before[name] for name in _EDITS}][-_MOST_UNDONE:]

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Undo, surprise, or take a photo that was uploaded."""
        acts = {"undo": self.undo, "surprise": self.surprise}
        if name in acts:
            acts[name]()
        else:
            super().act(name, detail, buffers)

    def undo(self) -> None:
        """Take the last change of the networks back."""
        with self.held():
            if self._undone:
                before = self._undone[-1]
                self._undone = self._undone[:-1]  # before the page is made, which says whether there is more
                super().update(**before)

    def reset(self) -> None:
        """Bring both networks back to how they were trained."""
        self.update(**UNEDITED)

    def surprise(self) -> None:
        """Change something at random: a few blocks out, skips cut, or two blocks swapped."""
        twins = self._twins(self._state)
        if twins is None:
            return
        pick = self._random
        numbers = range(1, twins.count + 1)
        kind = pick.choice(["deleted", "cut", "order"])
        pairs = [(a, b) for a in numbers for b in twins.partners[a - 1] if a < b]
        if kind == "order" and pairs:
            a, b = pick.choice(pairs)
            swap = {a: b, b: a}
            self.update(deleted=(), cut=(), order=tuple(swap.get(k, k) for k in numbers))
            return
        skipping = [k for k in numbers if k <= len(twins.last) and twins.last[k - 1].skip]
        among = skipping if kind == "cut" and skipping else list(numbers)
        some = tuple(sorted(pick.sample(among, min(len(among), pick.choice([1, 2, 3])))))
        asked = "cut" if kind == "cut" and skipping else "deleted"
        self.update(**{"deleted": (), "cut": (), "order": (), asked: some})

    def call_in_code(self, state: SkipState) -> Sequence[str]:
        """Return what edits both networks and asks them, of the view that cuts."""
        there, inputs = self._twins(state), inputs_in_code(self.entries[state.networks], state.image)
        if state.view != "edit" or there is None or not inputs:
            return ()
        return [*inputs, *editing_in_code(Edit.of(state), there.blocks)]


@functools.lru_cache(8)  # a page is made several times of one image
def _shown(picture: Picture) -> bytes:
    """Return an image as it is shown, as a PNG."""
    from resnet_explore.figures.heatmaps import png

    return png(np.asarray(picture.seen(_SIDE)))


def _trained(entries: Mapping[str, Networks]) -> dict[str, Networks]:
    """Return those whose answers mean something, the digits first: their test images are always there."""
    order = sorted(entries.values(), key=lambda entry: entry.key != "digits")
    return {entry.key: entry for entry in order if entry.trained}


def _possible(state: SkipState, names: frozenset[str], there: OpenTwins) -> SkipState:
    """Return the state with skips that there are. Raises `ExploreError` for what these networks can't do."""
    lacking = [k for k in state.cut if k > len(there.last) or not there.last[k - 1].skip]
    if lacking and "cut" in names:
        raise ExploreError(f"cut must hold blocks that have a skip; block {lacking[0]} has none.")
    if state.order and not all(is_order(state.order, blocks) for blocks in there.blocks):
        raise ExploreError(
            "order must leave each block in its own stage and where a block of its shapes stood, got "
            f"{list(state.order)!r:.60}."
        )
    return replace(state, cut=tuple(k for k in state.cut if k not in lacking))


def _carried(state: SkipState, names: frozenset[str], was: int, there: int) -> SkipState:
    """Return blocks of a network with `was` blocks as those at the same share of the way through `there`."""

    def at(number: int) -> int:
        return 1 + round((number - 1) / max(1, was - 1) * (there - 1))

    changes: dict[str, Any] = {
        name: tuple(map(at, getattr(state, name))) for name in ("deleted", "cut") if name not in names
    }
    if "block" not in names:
        changes["block"] = at(state.block)
    return replace(state, **changes)
