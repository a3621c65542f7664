"""The stream explorer: what each block of a residual network adds to its answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from resnet_explore.analysis.activations.recorded_probes import probed_depths
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.catalog.code import inputs_in_code
from resnet_explore.widgets.catalog.images import Images
from resnet_explore.widgets.catalog.looking import LookingExplorer
from resnet_explore.widgets.catalog.networks import own_networks, usual_networks
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.stream import captions
from resnet_explore.widgets.stream.jobs import Flow, Follow, Lose, Read, StreamLab, Weigh
from resnet_explore.widgets.stream.present import places_of, present
from resnet_explore.widgets.stream.state import StreamState

_OFFERED = ("imagenette", "cifar10", "digits")
_DIGIT = "digits/0"


class StreamExplorer(LookingExplorer):
    """Slide through the blocks of a residual network and see how its answer to an image adds up.

    A plain twin beside it has one path; what its head says is shown from where on it can be asked. More
    views: what skips carry beside what branches add, what really happens without a block, and how early a
    linear probe could read the answer.

    models  a residual network of your own, or two networks of which the last one is taken apart, or
            {name: network}; None for a menu of twins that ship
    images  what it is to look at: a float tensor (N, C, H, W) standardised as the model expects, a list of
            such images, an `ImageSet`, or PIL images; None for sample photos and uploads
    state   `StreamState`: view, networks, depth, image, target, rival, block, each a trait
    guess   True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are only looked at, never changed. Raises `ExploreError` for images in no form that is known and
    for a state that there is not; what can't be taken apart is said on the page.
    """

    State = StreamState
    bakes: ClassVar = {
        "view": None,
        "networks": ("imagenette", "digits"),
        "depth": (20, 56),
        "image": ("temple", "cat", "rocket", _DIGIT),
        "target": None,
    }

    def __init__(self, models: Any = None, images: Any = None, **state: Any) -> None:
        entries = usual_networks(_OFFERED) if models is None else {"own": own_networks(models)}
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
        if state.view == "early" and not self._has_probes(state):
            if {"view", "depth"} & names:
                raise ExploreError(f"{captions.no_probes(self._probed(state))}.")
            state = replace(state, view="adds")
        if state.view != "adds" and state.rival == state.target:
            state = replace(state, rival=None)  # no menu of this view shows it
        flow = self._known(state) if before is not None else None
        _require(state, flow, names)
        return state if flow is None or "block" in names else _within(state, flow)

    def _probed(self, state: StreamState) -> tuple[int, ...]:
        """Return of which depths of the networks there are probes."""
        return tuple(sorted(probed_depths(state.networks)))

    def _has_probes(self, state: StreamState) -> bool:
        depths = self._probed(state)
        return state.depth in depths if self.entries[state.networks].depths else bool(depths)

    def arrived(self, state: StreamState, found: Mapping[Job, Any]) -> StreamState:
        """Open on the block that adds most, and stay within what there is."""
        flow = found.get(self._job(state))
        if flow is None:
            return state
        count = len(flow.classes)
        target, rival = (k if k is not None and k < count else None for k in (state.target, state.rival))
        block = flow.largest(flow.first(target)) if state.block < 0 else state.block
        return _within(replace(state, target=target, rival=rival, block=block), flow)

    def filled_in(self) -> Mapping[str, Any]:
        """Return networks, depth, image and block of an explorer that has just been opened."""
        flow = self._known(self._state)
        block = -1 if flow is None else flow.largest(flow.first(self._state.target))
        return {**super().filled_in(), "block": block}

    # --- what is computed and shown -----------------------------------------------------------------------

    def plan(self, state: StreamState) -> Sequence[Job]:
        """Return the split of the answer, and what else the view shows."""
        return (self._job(state), *self._further(state))

    def _job(self, state: StreamState) -> Follow:
        return Follow(self.lab, state.networks, self._depth(state), state.image)

    def _further(self, state: StreamState) -> tuple[Job, ...]:
        further = {"skip": Weigh, "loss": Lose, "early": Read}.get(state.view)
        where = self.lab, state.networks, self._depth(state), state.image
        return () if further is None else (further(*where),)

    def worth_baking(self, state: StreamState) -> bool:
        """Photos for all classes, one digit for its own answer."""
        if state.networks == "digits":
            return state.image == _DIGIT and state.target is None
        return state.image != _DIGIT

    def unused(self, state: StreamState) -> Collection[str]:
        """Return what only the first view is about, and the depth of networks that have one only."""
        rival = () if state.view == "adds" else ("rival",)
        return rival if self.entries[state.networks].depths else (*rival, "depth")

    def present(self, state: StreamState, found: Mapping[Job, Any]) -> View:
        """Return the page."""
        images = self.lab.images.controls("image", self.entries[state.networks].data, state.image)
        further = next((found[job] for job in self._further(state) if job in found), None)
        flow = found.get(self._job(state))
        return present(state, self.entries, images, flow, further, self._probed(state))

    def call_in_code(self, state: StreamState) -> Sequence[str]:
        """Return what makes the numbers of the view, on an image that ships."""
        inputs = inputs_in_code(self.entries[state.networks], state.image)
        if not inputs:
            return ()
        if state.view == "loss":
            module = "resnet_explore.analysis.skips.without_each"
            return [f"from {module} import without_each", *inputs, "without_each(residual, image)"]
        if state.view == "skip":
            return [*inputs, "{name: one.ratio for name, one in rx.residual_stream(residual, image).items()}"]
        if state.view == "early":
            name = self.entries[state.networks].residual.replace("{}", "{depth}")
            probes = f'probes = rx.load_probes("{state.networks}", "{name}")'
            return [*inputs, probes, "probes.logits(residual, image)"]
        return [*inputs, "rx.logit_contributions(residual, image)"]


def _within(state: StreamState, flow: Flow) -> StreamState:
    """Return a state whose block is one that the view has."""
    places = places_of(state.view, flow)
    return replace(state, block=min(max(state.block, places[0]), places[-1]))


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
    if flow is not None and "block" in names and state.block >= 0:
        places = places_of(state.view, flow)
        if state.block not in places:
            raise ExploreError(
                f"block must be a number from {places[0]} to {places[-1]} in this view, got {state.block}."
            )
