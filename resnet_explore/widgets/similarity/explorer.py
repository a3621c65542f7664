"""The similarity explorer: do layers repeat each other?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import TILE_BOUNDS, LookingExplorer, require_bounds
from resnet_explore.widgets.catalog.networks import OWN, own_networks, usual_networks
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.similarity import captions
from resnet_explore.widgets.similarity.jobs import Cells, Compare, Look, SimilarityLab, require_cell
from resnet_explore.widgets.similarity.present import Sources, present
from resnet_explore.widgets.similarity.records import recorded
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
        entries = usual_networks(_OFFERED) if models is None else {OWN: own_networks(models)}
        self.lab = SimilarityLab(entries, Images(images))
        super().__init__(entries, self.lab.images, {"models": models, "images": images}, **state)

    # --- the state ----------------------------------------------------------------------------------------

    def settle(self, state: SimilarityState, names: frozenset[str]) -> SimilarityState:
        """Find networks, depth, image, what is compared and a cell that go together."""
        before, moved = self._before, self._moved(state)
        state = super().settle(state, names)
        require_bounds(state, TILE_BOUNDS)
        deepest = SimilarityState().depth
        if moved and "depth" not in names and deepest in self.entries[state.networks].depths:
            state = replace(state, depth=deepest)
        if state.networks == OWN and state.view == "depth":
            if "view" in names:
                raise ExploreError(captions.ONE_DEPTH)
            state = replace(state, view="matrices")
        lacks = self._lacks(state.networks).get(state.comparing)
        if lacks:
            if "comparing" in names:
                raise ExploreError(captions.cannot_compare(state.comparing, lacks))
            state = replace(state, comparing="itself")
        return self._settle_cell(state, names, before)

    def _settle_cell(
        self, state: SimilarityState, names: frozenset[str], before: SimilarityState | None
    ) -> SimilarityState:
        """Find a cell that the matrices have; other layers have other channels, so all are shown of them."""
        moved = before is not None and any(getattr(state, n) != getattr(before, n) for n in _WHOSE)
        if (moved and "pair" not in names) or state.view == "depth":
            state = replace(state, pair=None)
        grids = None if state.pair is None else self.lab.grids(self._cells(state))
        if grids is not None and state.pair is not None:
            require_cell(grids, state.pair)
        if before is not None and state.pair != before.pair:
            usual = {name: getattr(self.State(), name) for name in ("channel", "tile_page")}
            state = replace(state, **{name: value for name, value in usual.items() if name not in names})
        return state

    def _lacks(self, networks: str) -> dict[str, str]:
        """Return what can't be compared of an entry, and why."""
        if networks != OWN:
            return {} if len(recorded(networks).similarities.seeds) > 1 else {"seeds": captions.ONE_SEED}
        alone = len(self.entries[OWN].load(0)) < 2
        return {"seeds": captions.NO_SEEDS, **({"twins": captions.NOT_TWO} if alone else {})}

    def retreat(self, job: Job) -> SimilarityState | None:
        """Return the state before; in a new explorer whose layers can't be looked at, one without them."""
        fresh = self._last is None and isinstance(job, Look)
        return replace(self._state, pair=None) if fresh else self._last

    def filled_in(self) -> Mapping[str, Any]:
        """Return networks, depth and image of an explorer that has just been opened."""
        filled = dict(super().filled_in())
        usual = SimilarityState().depth
        depths = self.entries[self._state.networks].depths
        return {**filled, "depth": usual if usual in depths else filled["depth"]}

    # --- what is computed and shown -----------------------------------------------------------------------

    def plan(self, state: SimilarityState) -> Sequence[Job]:
        """Return what is compared where it is not recorded, and behind it what the chosen layers say."""
        own: list[Job] = [Compare(self.lab)] if state.networks == OWN else []
        look = self._look(state)
        return own if look is None else [*own, look]

    def _cells(self, state: SimilarityState) -> Cells:
        return Cells(state.networks, self._depth(state), state.comparing, state.layers)

    def _look(self, state: SimilarityState) -> Look | None:
        if state.pair is None or state.view == "depth":
            return None
        return Look(self.lab, self._cells(state), state.pair, state.image)

    def present(self, state: SimilarityState, found: Mapping[Job, Any]) -> View:
        """Return the page."""
        look, own = self._look(state), state.networks == OWN
        sources = Sources(
            self._lacks(state.networks),
            recorded=None if own else recorded(state.networks),
            measured=found.get(Compare(self.lab)) if own else None,
            looked=None if look is None else found.get(look),
        )
        # Without two layers that look at an image none is asked for, and no image is read.
        data = self.entries[state.networks].data
        images = self.lab.images.controls("image", data, state.image) if sources.looked else ()
        return present(state, self.entries, images, sources)

    def unused(self, state: SimilarityState) -> Collection[str]:
        """Return what the charts over depth don't depend on."""
        return ("comparing", "layers", "pair") if state.view == "depth" else ()

    def call_in_code(self, state: SimilarityState) -> Sequence[str]:
        """Return what compares the layers of networks that ship."""
        data = state.networks
        if data == OWN:
            return ()
        if state.view == "depth":
            return [f'rx.load_similarities("{data}").table']
        record = f'rx.load_similarities("{data}")'
        if state.comparing == "seeds":
            return [f'{record}.matrix({{depth}}, "seeds", "residual", which="{state.layers}")']
        first = "residual" if state.comparing == "itself" else "plain"
        blocks = [f"blocks = {record}.layers({{depth}})"] if state.layers == "blocks" else []
        chosen = ", blocks, blocks" if blocks else ""
        images = recorded(data).similarities.images
        return [
            f'plain, residual = rx.twins("cifar_resnet{{depth}}", weights="{data}")',
            f'images = rx.load_dataset("{data}", split="test").normalized(slice(0, {images}))',
            *blocks,
            f"rx.similarity({first}, residual, images{chosen})",
        ]
