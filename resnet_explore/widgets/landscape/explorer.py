"""The landscape explorer: the loss around plain and residual networks, over planes of their weights."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.widgets.catalog.networks import own_networks
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import Choice, View
from resnet_explore.widgets.landscape import captions
from resnet_explore.widgets.landscape.jobs import MeasurePlane
from resnet_explore.widgets.landscape.own import OwnNetworks
from resnet_explore.widgets.landscape.planes import MODES, RANDOM, TRAINING, plane_key, seed_of
from resnet_explore.widgets.landscape.present import depths_of, present
from resnet_explore.widgets.landscape.records import TITLES, recorded, records
from resnet_explore.widgets.landscape.state import LandscapeState

if TYPE_CHECKING:
    from resnet_explore.analysis.landscape.plane import Landscape

_OWN, _SIZE = "own", 13
_OWN_DEPTH, _OWN_STEP = 0, -1  # of networks that were given: there is nothing to choose


class LandscapeExplorer(Explorer):
    """Turn the loss around a plain network and around its residual twin: is it smoother with skips?

    models  a network of your own, or two, or {name: network}; None for the planes that ship
    images  what their loss is of: a float tensor (N, C, H, W), standardised as the model expects
    labels  N class indices
    size    points along each axis of their planes, odd
    state   `LandscapeState`: view, data, depth, plane, mode, step, sort, each a trait
    guess   True to be asked before the first picture, or the path of a file that keeps the answers

    Networks are only looked at, never changed. Raises `ExploreError` for models without images and labels,
    and for a state that there is not; images that don't fit are said on the page.
    """

    State = LandscapeState
    bakes: ClassVar = {"view": None, "data": None, "plane": None, "mode": None}

    def __init__(
        self, models: Any = None, images: Any = None, labels: Any = None, size: int = _SIZE, **state: Any
    ) -> None:
        self._given = {"models": models, "images": images, "labels": labels}
        self._size, self._own = size, None
        if models is not None:
            if images is None or labels is None:
                raise ExploreError("The loss of your own models needs images and labels, too.")
            self._own = OwnNetworks(own_networks(models), images, labels, size)
        elif images is not None or labels is not None:
            raise ExploreError("images and labels are for models of your own: give models, too.")
        super().__init__(**state)

    # --- the state ------------------------------------------------------------------------------------------

    def settle(self, state: LandscapeState, names: frozenset[str]) -> LandscapeState:
        """Find data, depth, plane and step that go together."""
        if self._own is not None:
            return self._settle_own(state, names)
        if state.data not in records():
            raise unknown("data", state.data, records())
        planes = recorded(state.data)
        if state.plane not in planes.planes and "plane" not in names:
            state = replace(state, plane=planes.planes[0])
        if state.plane not in planes.planes:
            raise unknown("plane", state.plane, planes.planes)
        if state.view == "numbers" and not planes.sharpness:
            if "view" in names:
                raise ExploreError(captions.NO_NUMBERS)
            state = replace(state, view="surface")
        modes = planes.modes(state.plane)
        if state.mode not in modes and "mode" in names:
            raise unknown("mode", state.mode, modes)
        state = state if state.mode in modes else replace(state, mode=modes[0])
        depths = depths_of(state, planes)
        if "depth" in names and state.depth not in depths:
            raise unknown("depth", state.depth, map(str, depths))
        last = len(planes.snapshots) - 1
        if not -1 <= state.step <= last and "step" in names:
            raise ExploreError(
                f"step must be a snapshot from 0 to {last}, or -1 for the last, not {state.step}."
            )
        walked = state.step if "step" in names and state.step >= 0 else min(state.step, last)
        depth = min(depths, key=lambda there: abs(there - state.depth))
        return replace(state, depth=depth, step=walked if walked >= 0 else last)

    def _settle_own(self, state: LandscapeState, names: frozenset[str]) -> LandscapeState:
        if "data" in names and state.data != _OWN:
            raise ExploreError(
                "These are networks of your own: open another explorer for the recorded planes."
            )
        if "depth" in names and state.depth != _OWN_DEPTH:
            raise ExploreError(
                f"depth must be left out, not {state.depth}: your own networks are as deep as they are."
            )
        if "step" in names and state.step != _OWN_STEP:
            raise ExploreError(
                f"step must be left out, not {state.step}: around your own networks no training is recorded."
            )
        if state.plane not in RANDOM:
            raise unknown("plane", state.plane, RANDOM)
        if state.view == "numbers":
            raise ExploreError(captions.NO_NUMBERS)
        return replace(state, data=_OWN, depth=_OWN_DEPTH, step=_OWN_STEP)

    def filled_in(self) -> Mapping[str, Any]:
        """Return data, depth and step of an explorer that has just been opened."""
        if self._own is not None:
            return {"data": _OWN, "depth": _OWN_DEPTH}
        return {"step": len(recorded(self._state.data).snapshots) - 1}

    # --- what is computed and shown -------------------------------------------------------------------------

    def plan(self, state: LandscapeState) -> Sequence[Job]:
        """Return the plane of given networks; those that ship are recorded."""
        return () if self._own is None else (self._job(self._own, state),)

    def present(self, state: LandscapeState, found: Mapping[Job, Any]) -> View:
        """Return the page."""
        if self._own is None:
            planes = recorded(state.data)
            choices = [Choice(data, TITLES[data]) for data in records()]
            return present(state, choices, planes, planes.planes, planes.modes(state.plane))
        return present(state, (), found.get(self._job(self._own, state)), RANDOM, MODES)

    def _job(self, own: OwnNetworks, state: LandscapeState) -> MeasurePlane:
        return MeasurePlane(own, state.plane, state.mode)

    def unused(self, state: LandscapeState) -> Collection[str]:
        """Return what the open view does not depend on."""
        if state.view == "numbers":
            return ("plane", "step")
        return ("sort", "mode") if state.plane == TRAINING else ("sort", "step")

    # --- in code --------------------------------------------------------------------------------------------

    def context_in_code(self) -> Sequence[str]:
        """Return the arguments that were given beside the state."""
        given = [f"{name}={name}" for name, value in self._given.items() if value is not None]
        return [*given, f"size={self._size}"] if self._own is not None and self._size != _SIZE else given

    def call_in_code(self, state: LandscapeState) -> Sequence[str]:
        """Return what measures the residual network's plane or sharpness, or reads a training's plane."""
        if self._own is not None:
            return ()
        if state.view != "numbers" and state.plane == TRAINING:
            key = f'"residual", {{depth}}, "{TRAINING}"'
            return [
                "from resnet_explore.analysis.landscape.recorded import recorded_landscapes",
                "",
                f'recorded_landscapes("{state.data}")[{key}]',
            ]
        measure = (
            f'rx.top_hessian_eigenvalue(residual, images, labels, mode="{state.mode}", normalised=True)'
            if state.view == "numbers"
            else f"rx.loss_landscape(residual, images, labels, seed={seed_of(state.plane)}, "
            f'mode="{state.mode}", size={_points(state)})'
        )
        return [
            "import torch",
            "",
            f'plain, residual = rx.twins("cifar_resnet{{depth}}", weights="{state.data}")',
            f'data = rx.load_dataset("{state.data}")',
            "chance = torch.Generator().manual_seed(0)",
            f"some = torch.randperm(len(data), generator=chance)[:{_images(state)}]",
            "images, labels = data.normalized(some), data.labels[some]",
            measure,
        ]


def _points(state: LandscapeState) -> int:
    """Return how many points a recorded plane has along each axis."""
    return len(_first(state).x)


def _images(state: LandscapeState) -> int:
    return _first(state).images


def _first(state: LandscapeState) -> "Landscape":
    planes, key = recorded(state.data), plane_key(state.plane, state.mode)
    return planes.of(planes.depths(key)[-1], key)[-1][1]
