"""The stream explorer: what each block of a residual network adds to its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.code import inputs_in_code
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import LookingExplorer
from resnet_explore.widgets.catalog.networks import own_networks, usual_networks
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.jobs import Flow, Follow, StreamLab
from resnet_explore.widgets.stream.present import present
from resnet_explore.widgets.stream.state import StreamState

_OFFERED = ("imagenette", "cifar10", "digits")


class StreamExplorer(LookingExplorer):
    """Slide through the blocks of a residual network and see how its answer to an image adds up.

    A plain twin beside it has one path; what its head says is shown from where on it can be asked.

    models  a residual network of your own, or two networks of which the last one is taken apart, or
            {name: network}; None for a menu of twins that ship
    images  what it is to look at: a float tensor (N, C, H, W) standardised as the model expects, a list of
            such images, an `ImageSet`, or PIL images; None for sample photos and uploads
    state   `StreamState`: networks, depth, image, target, rival, block, each a trait
    guess   True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are only looked at, never changed. Raises `ExploreError` for images in no form that is known and
    for a state that there is not; what can't be taken apart is said on the page.
    """

    State = StreamState
    bakes: ClassVar = {"image": ("temple", "cat", "rocket"), "target": None}

    def __init__(self, models: Any = None, images: Any = None, **state: Any) -> None:
        usual = usual_networks()
        entries = (
            {key: usual[key] for key in _OFFERED if key in usual}
            if models is None
            else {"own": own_networks(models)}
        )
        self.lab = StreamLab(entries, Images(images))
        super().__init__(entries, self.lab.images, {"models": models, "images": images}, **state)

    @property
    def flow(self) -> Flow:
        """What was found at the present state. Raises `ExploreError` as long as there is nothing."""
        found = self._known(self._state)
        if found is None:
            raise ExploreError("There is nothing to save yet.")
        return found

    def _known(self, state: StreamState) -> Flow | None:
        return self._runner.found().get(self._job(state))

    # --- the state ----------------------------------------------------------------------------------------

    def settle(self, state: StreamState, names: frozenset[str]) -> StreamState:
        """Find networks, depth and image that go together; other networks have other classes and blocks."""
        before, moved = self._before, self._moved(state)
        state = super().settle(state, names)
        if before is not None and moved:
            kept = {"target", "rival"} & names
            state = replace(
                state,
                target=state.target if "target" in kept else None,
                rival=state.rival if "rival" in kept else None,
            )
        if before is not None and (moved or state.depth != before.depth) and "block" not in names:
            state = replace(state, block=-1)
        _require(state, self._known(state) if before is not None else None, names)
        return state

    def arrived(self, state: StreamState, found: Mapping[Job, Any]) -> StreamState:
        """Open on the block that adds most, and stay within what there is."""
        flow = found.get(self._job(state))
        if flow is None:
            return state
        count = len(flow.classes)
        target, rival = (k if k is not None and k < count else None for k in (state.target, state.rival))
        block = flow.largest(flow.first(target)) if state.block < 0 else state.block
        return replace(state, target=target, rival=rival, block=min(block, len(flow.places) - 1))

    def filled_in(self) -> Mapping[str, Any]:
        """Return networks, depth, image and block of an explorer that has just been opened."""
        flow = self._known(self._state)
        block = -1 if flow is None else flow.largest(flow.first(self._state.target))
        return {**super().filled_in(), "block": block}

    # --- what is computed and shown -----------------------------------------------------------------------

    def plan(self, state: StreamState) -> Sequence[Job]:
        """Return the split of the answer that is shown."""
        return (self._job(state),)

    def _job(self, state: StreamState) -> Follow:
        return Follow(self.lab, state.networks, self._depth(state), state.image)

    def present(self, state: StreamState, found: Mapping[Job, Any]) -> View:
        """Return the page."""
        images = self.lab.images.controls("image", self.entries[state.networks].data, state.image)
        return present(state, self.entries, images, found.get(self._job(state)))

    def call_in_code(self, state: StreamState) -> Sequence[str]:
        """Return what takes the residual network's answer apart, on an image that ships."""
        inputs = inputs_in_code(self.entries[state.networks], state.image)
        return [*inputs, "rx.logit_contributions(residual, image)"] if inputs else ()


def _require(state: StreamState, flow: Flow | None, names: frozenset[str]) -> None:
    """Raise `ExploreError` for a class or a block that there is not, as far as that is known."""
    if state.block < -1:
        raise ExploreError(f"block must be at least 0, or -1 for the one that adds most, got {state.block}.")
    for name in ("target", "rival"):
        value = getattr(state, name)
        if value is not None and (value < 0 or (flow is not None and value >= len(flow.classes))):
            if flow is None:
                raise ExploreError(f"{name} must be the number of a class, got {value}.")
            raise ExploreError(captions.out_of_range(name, value, flow.classes))
    if state.target is not None and state.target == state.rival:
        raise ExploreError("A class is no rival of itself: choose two classes.")
    if flow is not None and "block" in names and state.block >= len(flow.places):
        raise ExploreError(f"block must be a number up to {len(flow.places) - 1}, got {state.block}.")
