"""The gradient explorer: what really happens to gradients, every condition a switch."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.analysis.gradients.conditions import OWN, STEPS, Conditions
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.models.presets import config_of
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View
from resnet_explore.widgets.gradient_flow import captions, layers, present
from resnet_explore.widgets.gradient_flow.claims import CLAIMS
from resnet_explore.widgets.gradient_flow.code import measuring_in_code
from resnet_explore.widgets.gradient_flow.controls import Facts
from resnet_explore.widgets.gradient_flow.jobs import (
    FetchData,
    MeasureClaim,
    MeasureJacobians,
    MeasureOwn,
    MeasureTwins,
    ReadRecord,
)
from resnet_explore.widgets.gradient_flow.questions import DEPTH, PUZZLES
from resnet_explore.widgets.gradient_flow.recording import Recording, read_recording, recorded_names
from resnet_explore.widgets.gradient_flow.state import (
    HERE,
    JACOBIAN_DEPTH,
    STRENGTHS,
    GradientFlowState,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resnet_explore.analysis.gradients.flow import GradientFlow
    from resnet_explore.analysis.gradients.lab import GradientLab

_ANEW = {"data", "norm", "start", "activation"}  # another network begins at step 0


class GradientFlowExplorer(Explorer):
    """Gradients of plain and residual networks, layer by layer, under conditions that you choose.

    depths   of CIFAR-style networks
    models   a network of your own to look at instead, or {name: network} for several; they take `images`
    images   a batch of your own, float (N, C, H, W), standardised; for the twins it is offered as data
    labels   its classes, or whatever `loss` takes
    loss     a function of (model output, labels), for own networks whose output is no logits
    batch    how many images the gradient is taken over; None for 64 digits, 32 of 32x32, or all of yours
    seed     of weights, noise and the order of training images
    state    `GradientFlowState`: view, source, depth, step, mode, norm, start and more, each a trait
    guess    True to be asked before the first picture, or the path of a file that keeps the answers

    `flows` holds what is measured here, `lab` measures. Raises `ExploreError` for depths that don't exist,
    and for own images or labels that are missing or don't fit.
    """

    State = GradientFlowState
    bakes: ClassVar = {
        "view": None,
        "source": (HERE, "digits"),
        "mode": None,
        "norm": ("batch", "none"),
        "claim": None,
        "question": None,
    }

    def __init__(
        self,
        depths: Sequence[int] = (8, 20, 32, 56, 110),
        models: "nn.Module | Mapping[str, nn.Module] | None" = None,
        images: "Tensor | None" = None,
        labels: Any = None,
        loss: "Callable[[Any, Any], Tensor] | None" = None,
        batch: int | None = None,
        seed: int = 0,
        **state: Any,
    ) -> None:
        self.depths = _checked(depths)
        self.seed, self.records = seed, recorded_names()
        self._batch, self._given = batch, (models, images, labels, loss)
        self._recordings: dict[str, Recording] = {}
        self._claims: dict[str, Any] = {}
        self._fetching: set[str] = set()
        self._own: tuple[str, ...] = ()
        if any(given is not None for given in self._given):
            self._own = tuple(self.lab.models)
        if images is not None:
            state.setdefault("data", OWN)
        state.setdefault("depth", self.depths[len(self.depths) * 3 // 4])
        super().__init__(**state)

    @functools.cached_property
    def lab(self) -> "GradientLab":
        """The bench on which networks are built, trained a little and measured."""
        from resnet_explore.analysis.gradients.lab import GradientLab

        models, images, labels, loss = self._given
        return GradientLab(images, labels, models, loss, self._batch, self.seed)

    @functools.cached_property
    def facts(self) -> Facts:
        """What the pages are told beside the state."""
        own_images = self._given[1] is not None
        known = captions.known_of(self.lab) if self._own else ()
        return Facts(self.depths, self.records, self._own, own_images, self.seed, known)

    def call_in_code(self, state: GradientFlowState) -> Sequence[str]:
        """Return the measurement behind a view, () where a network was trained or given here."""
        if state.view == "claims":
            return ["", f"rx.claim_curves({state.claim!r}, {CLAIMS[state.claim].seeds}, {self.seed})"]
        if state.view == "guess" or self._own or self._batch:
            return ()
        return measuring_in_code(state, self.seed)

    # --- the state ----------------------------------------------------------------------------------------

    def unused(self, state: GradientFlowState) -> Collection[str]:
        """Return which claim and question are looked at, where none is; both have conditions of their own."""
        own = {"claims": "claim", "guess": "question"}
        if state.view in own:
            return {f.name for f in fields(state)} - {"view", own[state.view]}
        return set(own.values())

    def settle(self, state: GradientFlowState, names: frozenset[str]) -> GradientFlowState:
        """Make norm and start fit each other, and depth and step what there is."""
        self._check_names(state)
        state = _agreed(state, names)
        if self._own:
            state = replace(state, view="layers", source=HERE)
        if names & _ANEW and not names & {"step", "steps"}:
            state = replace(state, step=0, steps=0)
        return self._within_reach(state, names)

    def _check_names(self, state: GradientFlowState) -> None:
        sources, data = (
            (HERE, *self.records),
            [*captions.DATA, *([OWN] if self._given[1] is not None else [])],
        )
        for name, options in {"source": sources, "data": data, "claim": CLAIMS}.items():
            if getattr(state, name) not in options:
                raise unknown(name, getattr(state, name), options)
        if not 0 <= state.question < len(PUZZLES):
            raise ExploreError(f"question must be from 0 to {len(PUZZLES) - 1}, got {state.question}.")
        if state.steps < 0 or state.steps % STEPS:
            raise ExploreError(f"steps must be a multiple of {STEPS} from 0 on, got {state.steps}.")

    def _within_reach(self, state: GradientFlowState, names: frozenset[str]) -> GradientFlowState:
        """Take depth, step and strength to what the view has, or refuse what isn't there."""
        depths = self.depths_of(state)
        if not self._own and depths:
            state = replace(state, depth=_near("depth", state.depth, depths, names))
        if state.source == HERE and "step" in names and "steps" not in names:
            state = replace(state, steps=max(state.steps, -(-state.step // STEPS) * STEPS))
        steps = self._steps_of(state)
        if steps:
            state = replace(state, step=_near("step", state.step, steps, names))
        return replace(state, strength=_near("strength", state.strength, STRENGTHS, names))

    def depths_of(self, state: GradientFlowState) -> Sequence[int]:
        """Return the depths that a view goes through; () where that is not known yet, or doesn't matter."""
        if state.view == "layers" and state.source != HERE:
            recording = self._recordings.get(state.source)
            return recording.depths if recording else ()
        if state.view == "jacobians":
            return [depth for depth in self.depths if depth <= JACOBIAN_DEPTH] or self.depths[:1]
        return self.depths if state.view in ("layers", "skip") else ()

    def _steps_of(self, state: GradientFlowState) -> Sequence[int]:
        if state.view == "layers" and state.source != HERE:
            recording = self._recordings.get(state.source)
            return [int(step) for step in recording.steps[state.depth]] if recording else ()
        return range(0, state.steps + 1, STEPS)

    def arrived(self, state: GradientFlowState, found: Mapping[Job, Any]) -> GradientFlowState:
        """Take depth and step to what a recorded training has, once it is read."""
        return self._within_reach(state, frozenset())

    # --- jobs ---------------------------------------------------------------------------------------------

    def plan(self, state: GradientFlowState) -> Sequence[Job]:
        """Return what is to be measured: first where one is, then the others, shallow networks first."""
        if state.view == "claims":
            return (self._claim_job(state.claim),)
        if state.view == "guess":
            return (self._puzzle_job(state.question),)
        if state.view == "layers" and state.source != HERE:
            return (self._record_job(state.source),)
        if state.data in _DOWNLOADED and (state.data in self._fetching or not _is_here(state.data)):
            return (FetchData(state.data, self._fetching),)
        if self._own:
            return tuple(self._own_job(state, step) for step in _first(state.step, self._steps_of(state)))
        if state.view == "skip":
            strengths = sorted(STRENGTHS, key=lambda s: abs(s - state.strength))
            return (self._twins(state, state.depth), *(self._strength_job(state, s) for s in strengths))
        depths = _first(state.depth, self.depths_of(state))
        if state.view == "jacobians":
            return tuple(self._jacobian_job(state, depth) for depth in depths)
        steps = _first(state.step, self._steps_of(state))
        return tuple(self._twins(state, depth, step) for step in steps for depth in depths)

    def _lab(self) -> "GradientLab":
        return self.lab

    def _twins(self, state: GradientFlowState, depth: int, step: int | None = None) -> MeasureTwins:
        return MeasureTwins(self._lab, depth, state.given(step))

    def _strength_job(self, state: GradientFlowState, strength: float) -> MeasureTwins:
        return MeasureTwins(self._lab, state.depth, state.given(), ("residual",), strength)

    def _own_job(self, state: GradientFlowState, step: int) -> MeasureOwn:
        return MeasureOwn(self._lab, Conditions(state.data, state.mode, steps=step))

    def _jacobian_job(self, state: GradientFlowState, depth: int) -> MeasureJacobians:
        return MeasureJacobians(self._lab, depth, state.given())

    def _claim_job(self, name: str) -> MeasureClaim:
        return MeasureClaim(name, CLAIMS[name].seeds, self.seed, self._claims)

    def _record_job(self, name: str) -> ReadRecord:
        return ReadRecord(name, self._read)

    def _read(self, name: str) -> Recording:
        if name not in self._recordings:
            self._recordings[name] = read_recording(name)
        return self._recordings[name]

    def _puzzle_job(self, number: int) -> MeasureTwins:
        asked = PUZZLES[number]
        return MeasureTwins(self._lab, DEPTH, asked.given, (asked.kind,), asked.strength)

    # --- the page -----------------------------------------------------------------------------------------

    def present(self, state: GradientFlowState, found: Mapping[Job, Any]) -> View:
        """Return the page of the view that is open."""
        facts = self.facts
        if state.view == "claims":
            return present.claim_page(state, found.get(self._claim_job(state.claim)), self.seed)
        if state.view == "guess":
            return present.puzzle_page(state, found.get(self._puzzle_job(state.question)), self.seed)
        if state.view == "layers" and state.source != HERE:
            recording = found.get(self._record_job(state.source))
            return layers.record_page(state, recording, facts)
        if self._own:
            by_step = {step: found.get(self._own_job(state, step)) for step in self._steps_of(state)}
            return layers.own_page(state, by_step, facts)
        if state.view == "skip":
            strengths = {s: found.get(self._strength_job(state, s)) for s in STRENGTHS}
            return present.strength_page(state, found.get(self._twins(state, state.depth)), strengths, facts)
        depths = self.depths_of(state)
        if state.view == "jacobians":
            measured = {depth: found.get(self._jacobian_job(state, depth)) for depth in depths}
            return present.jacobian_page(state, measured, depths, facts)
        return layers.here_page(
            state,
            {(d, s): found.get(self._twins(state, d, s)) for d in depths for s in self._steps_of(state)},
            facts,
        )

    def act(self, name: str, detail: Any, buffers: Sequence[memoryview]) -> None:
        """Take steps of SGD."""
        if name == "take":
            steps = self.state.steps + STEPS
            self.update(steps=steps, step=steps)

    # --- what else may be asked ---------------------------------------------------------------------------

    @property
    def flows(self) -> "dict[Any, dict[str, GradientFlow]]":
        """What is measured here, once all of it is there.

        {depth: {kind: GradientFlow}} of the step that is looked at; of own networks {step: {name: ...}}, of
        skips {strength: {kind, and "skip": ...}}. Empty in the other views.
        """
        self.wait()
        state = self.state
        found = self._runner.found()
        if state.source != HERE and state.view == "layers":
            return {}
        if self._own:
            jobs = {step: self._own_job(state, step) for step in self._steps_of(state)}
            return {step: dict(found[job].flows) for step, job in jobs.items() if job in found}
        if state.view == "layers":
            twins = {depth: self._twins(state, depth) for depth in self.depths}
            return {depth: dict(found[job].flows) for depth, job in twins.items() if job in found}
        if state.view == "skip":
            ends = found[self._twins(state, state.depth)].flows
            skips = {s: found[self._strength_job(state, s)].flows["residual"] for s in STRENGTHS}
            return {s: {**ends, "skip": flow} for s, flow in skips.items()}
        return {}

    def filled_in(self) -> Mapping[str, Any]:
        """Return what a new explorer makes of what it was given."""
        return {
            "depth": self.depths[len(self.depths) * 3 // 4],
            **({"data": OWN} if self._given[1] is not None else {}),
        }

    def context_in_code(self) -> Sequence[str]:
        """Return the arguments beside the state that were given."""
        said = [] if self.depths == [8, 20, 32, 56, 110] else [f"depths={tuple(self.depths)}"]
        names = ("models", "images", "labels", "loss")
        said += [
            f"{name}={name}" for name, given in zip(names, self._given, strict=True) if given is not None
        ]
        said += [f"batch={self._batch}"] if self._batch is not None else []
        return [*said, *([f"seed={self.seed}"] if self.seed else [])]


_DOWNLOADED = ("cifar10",)


def _is_here(name: str) -> bool:
    from resnet_explore.inputs.datasets import is_here

    return is_here(name)


def _checked(depths: Any) -> list[int]:
    """Return the depths in order, each once; `ExploreError` for one that no CIFAR network has."""
    if isinstance(depths, str) or not hasattr(depths, "__iter__") or not list(depths):
        raise ExploreError(f"depths must be a list with at least one entry, not {depths!r}.")
    found = sorted({depth.item() if hasattr(depth, "item") else depth for depth in depths})
    for depth in found:
        config_of(f"cifar_plain{depth}")
    return found


def _first(wanted: int, others: Sequence[int]) -> list[int]:
    """Return what is wanted, then the others in their order."""
    return list(dict.fromkeys([wanted, *others]))


def _near(name: str, value: Any, options: Sequence[Any], names: frozenset[str]) -> Any:
    """Return the option nearest to a value; `ExploreError` where that very value was asked for."""
    if value in options:
        return value
    if name in names:
        raise unknown(name, value, map(str, options))
    return min(options, key=lambda option: abs(option - value))


def _agreed(state: GradientFlowState, names: frozenset[str]) -> GradientFlowState:
    """Make norm and start fit each other after a choice of one.

    The other gives way for as long as it has to, and then is what had been asked for.
    """
    if not names & {"norm", "start"}:
        return state
    norm = state.norm if "norm" in names else state.norm_asked or state.norm
    start = state.start if "start" in names else state.start_asked or state.start
    given = Conditions(norm=norm, start=start).made_possible(keep_norm="start" not in names)
    return replace(
        state,
        norm=given.norm,  # type: ignore[arg-type]
        start=given.start,  # type: ignore[arg-type]
        norm_asked="" if given.norm == norm else norm,
        start_asked="" if given.start == start else start,
    )
