"""The feature-map explorer: what every channel says to one image, block by block and depth by depth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.code import inputs_in_code
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import TILE_BOUNDS, LookingExplorer, require_bounds
from resnet_explore.widgets.catalog.networks import own_networks, usual_networks
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.feature_maps.jobs import FeatureMapLab, Measure, ReadChannel, whole_maps
from resnet_explore.widgets.feature_maps.present import present
from resnet_explore.widgets.feature_maps.scene import Scene, rows_of
from resnet_explore.widgets.feature_maps.state import FeatureMapState

if TYPE_CHECKING:
    from resnet_explore.analysis.capture.capture import Layers


class FeatureMapExplorer(LookingExplorer):
    """Slide through the blocks of one or two networks and see what each channel makes of an image.

    models  a network of your own, two of them to be put side by side, or {name: network}; None for a menu
            of twins that ship
    images  what it is to look at: a float tensor (N, C, H, W) standardised as the model expects, a list of
            such images, an `ImageSet`, or PIL images; None for sample photos and uploads. Statistics are
            over the one that is shown and, where images are no larger than 64x64, the first 32 with it
    layers  which layers to show, as in `Capture`; None for its blocks, or else its activations
    state   `FeatureMapState`: view, networks, depth, image, block, order, tile_page, own_scale, channel,
            opacity, each a trait
    guess   True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are only looked at, never changed. Raises `ExploreError` for images in no form that is known and
    for a state that there is not; what can't be measured is said on the page.
    """

    State = FeatureMapState
    bakes: ClassVar = {"view": None}  # the maps of one image take 3 MB
    keep_most = 6  # a scene of ResNet-50 takes 100 MB

    def __init__(self, models: Any = None, images: Any = None, layers: "Layers" = None, **state: Any) -> None:
        entries = usual_networks() if models is None else {"own": own_networks(models)}
        self.lab = FeatureMapLab(entries, Images(images), layers)
        given = {"models": models, "images": images, "layers": layers}
        super().__init__(entries, self.lab.images, given, **state)

    # --- what there is --------------------------------------------------------------------------------------

    def settle(self, state: FeatureMapState, names: frozenset[str]) -> FeatureMapState:
        """Find networks, depth and image that go together; a block keeps its share of the way."""
        before, moved = self._before, self._moved(state)
        state = super().settle(state, names)
        require_bounds(state, {"block": (1, None), **TILE_BOUNDS})
        if before is None:
            return state
        state = self._settle_block(state, names, before, moved)
        if "channel" not in names and (moved or before.view != state.view):
            state = replace(state, channel=-1)
        return state

    def _settle_block(
        self, state: FeatureMapState, names: frozenset[str], before: FeatureMapState, moved: bool
    ) -> FeatureMapState:
        blocks = self._blocks(state)
        if "block" in names:
            if blocks is not None and state.block > blocks:
                raise ExploreError(f"block must be a number from 1 to {blocks}, got {state.block}.")
            return state
        if moved:
            return replace(state, block=1)
        there = self._blocks(before)
        if state.depth == before.depth or blocks is None or there is None:
            return state
        share = (before.block - 1) / max(1, there - 1)
        return replace(state, block=1 + round(share * (blocks - 1)))

    def _blocks(self, state: FeatureMapState) -> int | None:
        return self.lab.blocks(state.networks, self._depth(state), state.image)

    # --- what is computed and shown -------------------------------------------------------------------------

    def plan(self, state: FeatureMapState) -> Sequence[Job]:
        """Return a pass of the depth that is shown, the channel that is enlarged, and all other depths."""
        at = self._depth(state)
        others = [depth for depth in self.entries[state.networks].depths if depth != at]
        channel = [self._reading(state)] if state.channel >= 0 else []
        return (self._measuring(state, at), *channel, *(self._measuring(state, depth) for depth in others))

    def _measuring(self, state: FeatureMapState, depth: int) -> Measure:
        return Measure(self.lab, state.networks, depth, state.image)

    def _reading(self, state: FeatureMapState) -> ReadChannel:
        place = state.view, state.networks, self._depth(state), state.image, state.block, state.channel
        return ReadChannel(self.lab, *place)

    def arrived(self, state: FeatureMapState, found: Mapping[Job, Any]) -> FeatureMapState:
        """Return the state with a block that there is."""
        scene = found.get(self._measuring(state, self._depth(state)))
        return state if scene is None else replace(state, block=min(state.block, len(scene.steps)))

    def present(self, state: FeatureMapState, found: Mapping[Job, Any]) -> View:
        """Return the page of the view that is open."""
        depths = self.entries[state.networks].depths or (0,)
        jobs = {depth: self._measuring(state, depth) for depth in depths}
        scenes = {depth: found[job] for depth, job in jobs.items() if job in found}
        images = self.lab.images.controls("image", self.entries[state.networks].data, state.image)
        return present(state, self.entries, images, scenes, found.get(self._reading(state)))

    # --- files ----------------------------------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """What was measured at the present depth. Raises `ExploreError` as long as there is nothing."""
        found = self._runner.found().get(self._measuring(self._state, self._depth(self._state)))
        if found is None:
            raise ExploreError("There is nothing to save yet.")
        return found

    def numbers(self, shown: View) -> Mapping[str, Iterable[Mapping[str, Any]]]:
        """Return a row for each channel of each block of the present depth."""
        return {"channels": rows_of(self.scene)}

    def arrays(self, shown: View) -> Mapping[str, Any]:
        """Return all maps of the present depth at full size."""
        state = self._state
        return whole_maps(self.lab, self.scene, state.networks, self._depth(state), state.image)

    def call_in_code(self, state: FeatureMapState) -> Sequence[str]:
        """Return what measures both networks' maps, or what their skips carry, on an image that ships."""
        inputs = inputs_in_code(self.entries[state.networks], state.image)
        if not inputs or state.view == "filters":
            return ()
        if state.view == "parts":
            return [*inputs, "rx.residual_stream(residual, image)"]
        return [*inputs, "[rx.feature_maps(model, image) for model in (plain, residual)]"]
