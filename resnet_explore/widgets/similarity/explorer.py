"""The similarity explorer: do layers repeat each other?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import LookingExplorer
from resnet_explore.widgets.catalog.networks import own_networks, usual_networks
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.similarity import captions
from resnet_explore.widgets.similarity.grids import Grid, recorded_grids
from resnet_explore.widgets.similarity.jobs import Compare, Look, ReadSimilarities, SimilarityLab, sides_of
from resnet_explore.widgets.similarity.present import Sources, present, why_not
from resnet_explore.widgets.similarity.state import SimilarityState

_OFFERED = ("digits", "cifar10")
_WHOSE = ("networks", "depth", "comparing", "layers", "view")  # a cell belongs to these


class SimilarityExplorer(LookingExplorer):
    """See which layers of plain and residual networks do the same, at any depth; click two to see their maps.

    models  a network of your own, or two, or {name: network}: measured here; None for a menu of twins that
            ship, whose similarities are recorded
    images  what is measured with and looked at, at least 4: a float tensor (N, C, H, W) standardised as the
            models expect, a list of such images, an `ImageSet`, or PIL images; None for sample photos or
            digits. What is uploaded is only looked at
    state   `SimilarityState`: networks, depth, comparing, layers, pair and more, each a trait
    guess   True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are only looked at, never changed. Raises `ExploreError` for images in no form that is known and
    for a state that there is not; what can't be compared is said on the page.
    """

    State = SimilarityState
    bakes: ClassVar = {"view": None, "networks": None, "comparing": None, "layers": None}

    def __init__(self, models: Any = None, images: Any = None, **state: Any) -> None:
        usual = usual_networks()
        entries = (
            {key: usual[key] for key in _OFFERED if key in usual}
            if models is None
            else {"own": own_networks(models)}
        )
        self.lab = SimilarityLab(entries, Images(images))
        super().__init__(entries, self.lab.images, {"models": models, "images": images}, **state)

    # --- the state ----------------------------------------------------------------------------------------

    def settle(self, state: SimilarityState, names: frozenset[str]) -> SimilarityState:
        """Find networks, depth, image and what is compared that go together."""
        before, moved = self._before, self._moved(state)
        state = super().settle(state, names)
        deepest = SimilarityState().depth
        if moved and "depth" not in names and deepest in self.entries[state.networks].depths:
            state = replace(state, depth=deepest)
        if not self.entries[state.networks].depths and state.view == "depth":
            if "view" in names:
                raise ExploreError(captions.ONE_DEPTH)
            state = replace(state, view="matrices")
        lacks = why_not(self._sources(state)).get(state.comparing) if before is not None else None
        if lacks:
            if "comparing" in names:
                raise ExploreError(captions.cannot_compare(state.comparing, lacks))
            state = replace(state, comparing="itself")
        others = before is not None and any(getattr(state, n) != getattr(before, n) for n in _WHOSE)
        if (others and "pair" not in names) or state.view == "depth":
            state = replace(state, pair=None)
        self._require_pair(state)
        return state

    def arrived(self, state: SimilarityState, found: Mapping[Job, Any]) -> SimilarityState:
        """Compare what can be compared, now that it is known what is recorded."""
        lacks = why_not(self._sources(state, found))
        state = replace(state, comparing="itself") if state.comparing in lacks else state
        grids = self._grids(state, found)
        there = grids is None or state.pair is None or _is_in(state.pair, grids)
        return state if there else replace(state, pair=None)

    def _require_pair(self, state: SimilarityState) -> None:
        grids = self._grids(state, self._found())
        if state.pair is None or grids is None:
            return
        if not _is_in(state.pair, grids):
            raise ExploreError(captions.no_pair([(len(grid.rows), len(grid.columns)) for grid in grids]))

    def filled_in(self) -> Mapping[str, Any]:
        """Return networks, depth and image of an explorer that has just been opened."""
        filled = dict(super().filled_in())
        usual = SimilarityState().depth
        depths = self.entries[self._state.networks].depths
        return {**filled, "depth": usual if usual in depths else filled["depth"]}

    # --- what is computed and shown -----------------------------------------------------------------------

    def plan(self, state: SimilarityState) -> Sequence[Job]:
        """Return what is compared, and behind it what the chosen layers say."""
        look = self._look(state, self._found())
        return (self._first(state), *([] if look is None else [look]))

    def _found(self) -> Mapping[Job, Any]:
        return self._runner.found()

    def _first(self, state: SimilarityState) -> ReadSimilarities | Compare:
        own = not self.entries[state.networks].depths
        return Compare(self.lab, state.networks) if own else ReadSimilarities(state.networks)

    def _grids(self, state: SimilarityState, found: Mapping[Job, Any]) -> tuple[Grid, ...] | None:
        """Return the matrices that are shown, None as long as they are not known."""
        sources = self._sources(state, found)
        if sources.recorded is not None:
            return recorded_grids(sources.recorded.similarities, state.depth, state.comparing, state.layers)
        return sources.measured.grids(state.comparing, state.layers) if sources.measured else None

    def _look(self, state: SimilarityState, found: Mapping[Job, Any]) -> Look | None:
        grids = self._grids(state, found) if state.pair and state.view == "matrices" else None
        if grids is None or state.pair is None or not _is_in(state.pair, grids):
            return None
        which, row, column = state.pair
        sources = self._sources(state, found)
        kinds = sources.measured.kinds if sources.measured else ("plain", "residual")
        sides = sides_of(grids[which], row, column, kinds)
        return Look(self.lab, state.networks, self._depth(state), state.image, sides)

    def _sources(self, state: SimilarityState, found: Mapping[Job, Any] | None = None) -> Sources:
        there = self._found() if found is None else found
        first = there.get(self._first(state))
        own = not self.entries[state.networks].depths
        return Sources(measured=first) if own else Sources(recorded=first)

    def present(self, state: SimilarityState, found: Mapping[Job, Any]) -> View:
        """Return the page."""
        sources = self._sources(state, found)
        look = self._look(state, found)
        looked = None if look is None else found.get(look)
        # Without two layers that look at an image none is asked for, and no image is read.
        data = self.entries[state.networks].data
        images = self.lab.images.controls("image", data, state.image) if looked else ()
        return present(state, self.entries, images, replace(sources, looked=looked))

    def unused(self, state: SimilarityState) -> Collection[str]:
        """Return what the charts over depth don't depend on."""
        return ("comparing", "layers", "pair") if state.view == "depth" else ()

    def call_in_code(self, state: SimilarityState) -> Sequence[str]:
        """Return what compares the layers of networks that ship."""
        data = state.networks
        if not self.entries[data].depths:
            return ()
        if state.view == "depth":
            return [f'rx.load_similarities("{data}").table']
        if state.comparing == "seeds":
            return [f'rx.load_similarities("{data}").matrix({{depth}}, "seeds", "residual")']
        first = "residual" if state.comparing == "itself" else "plain"
        return [
            f'plain, residual = rx.twins("cifar_resnet{{depth}}", weights="{data}")',
            f'images = rx.load_dataset("{data}", split="test").normalized(slice(0, 500))',
            f"rx.similarity({first}, residual, images)",
        ]


def _is_in(pair: tuple[int, int, int], grids: Sequence[Grid]) -> bool:
    """Whether there is such a cell."""
    which, row, column = pair
    if not 0 <= which < len(grids):
        return False
    return 0 <= row < len(grids[which].rows) and 0 <= column < len(grids[which].columns)
