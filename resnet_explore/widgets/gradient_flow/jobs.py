"""What is computed about gradients: networks measured here, records read, claims measured anew."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.gradient_flow.state import KINDS

if TYPE_CHECKING:  # torch is loaded by what computes, behind the first page
    from resnet_explore.analysis.gradients.claims.curve import Curves
    from resnet_explore.analysis.gradients.flow import GradientFlow
    from resnet_explore.analysis.gradients.jacobian import JacobianSpectra
    from resnet_explore.analysis.gradients.lab import Batch, GradientLab
    from resnet_explore.widgets.gradient_flow.recording import Recording

OpenLab = Callable[[], "GradientLab"]


@dataclass(frozen=True)
class Measured:
    """Gradients of some networks under the same conditions.

    flows    {kind, or the name of an own network: GradientFlow}
    batch    what they were taken over
    broke    {kind: the step at which the loss was first not finite}
    lacking  {name: why a network could not be measured}
    """

    flows: "Mapping[str, GradientFlow]"
    batch: "Batch"
    broke: Mapping[str, int] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasureTwins(Job):
    """Measure the twins of a depth, or one of them, with skips of a strength."""

    lab: OpenLab = field(compare=False, repr=False)
    depth: int
    given: Conditions
    kinds: tuple[str, ...] = KINDS
    strength: float = 1.0

    @property
    def says(self) -> str:  # type: ignore[override]
        """What is done."""
        training = f" after {self.given.steps} steps of SGD" if self.given.steps else ""
        return f"Measuring gradients of {self.depth} layers{training} ..."

    def run(self, task: Task) -> Measured:
        """Return the gradients of each kind."""
        lab, flows, broke = self.lab(), {}, {}
        for kind in self.kinds:
            task.check()
            flows[kind] = lab.flow(kind, self.depth, self.given, self.strength)
            step = lab.broke_at(kind, self.depth, self.given, self.strength)
            if step is not None:
                broke[kind] = step
        return Measured(flows, lab.batch(self.given.data), broke)


@dataclass(frozen=True)
class MeasureOwn(Job):
    """Measure all of a person's own networks that can be measured."""

    lab: OpenLab = field(compare=False, repr=False)
    given: Conditions
    says: str = field(default="Measuring your networks ...", compare=False)

    def run(self, task: Task) -> Measured:
        """Return the gradients of each; `ExploreError` says of each why not, if none can be measured."""
        lab, flows, broke = self.lab(), {}, {}
        lacking: dict[str, str] = {}
        untrained = Conditions(self.given.data, self.given.mode)
        for name in lab.models:
            task.check()
            try:
                lab.flow(name, 0, untrained)  # what can't be measured isn't trained
                flows[name] = lab.flow(name, 0, self.given)
            except ExploreError as problem:
                lacking[name] = str(problem)
                continue
            step = lab.broke_at(name, 0, self.given)
            if step is not None:
                broke[name] = step
        if not flows:
            raise ExploreError(" ".join(said_together(lacking)))
        return Measured(flows, lab.batch(self.given.data), broke, lacking)


def said_together(lacking: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each reason, with the names of all that have it."""
    for problem in dict.fromkeys(lacking.values()):
        yield f"{', '.join(name for name, other in lacking.items() if other == problem)}: {problem}"


@dataclass(frozen=True)
class MeasureJacobians(Job):
    """Measure how each block of the twins stretches small changes, beside their gradients.

    The result is {kind: (JacobianSpectra, GradientFlow)}, with the batch.
    """

    lab: OpenLab = field(compare=False, repr=False)
    depth: int
    given: Conditions

    @property
    def says(self) -> str:  # type: ignore[override]
        """What is done."""
        return f"Measuring singular values of {self.depth} layers, block by block ..."

    def run(self, task: Task) -> "tuple[dict[str, tuple[JacobianSpectra, GradientFlow]], Batch]":
        """Return both of each twin."""
        lab, found = self.lab(), {}
        for kind in KINDS:
            task.check()
            flow = lab.flow(kind, self.depth, self.given)
            found[kind] = lab.spectra(kind, self.depth, self.given), flow
        return found, lab.batch(self.given.data)


@dataclass(frozen=True)
class ReadRecord(Job):
    """Read what a recorded training noted of its layers."""

    name: str
    read: "Callable[[str], Recording]" = field(compare=False, repr=False)
    says: str = field(default="Reading the recorded training ...", compare=False)

    def run(self, task: Task) -> "Recording":
        """Return the recording."""
        return self.read(self.name)


@dataclass(frozen=True)
class MeasureClaim(Job):
    """Measure a paper's claim seed by seed, going on where it was left.

    going  what has been begun: {name: (the iterator of more and more curves, the last of them)}
    """

    name: str
    seeds: int
    first: int
    going: "dict[str, tuple[Iterator[Curves], Curves | None]]" = field(compare=False, repr=False)
    says: str = field(default="Measuring the claim, seed by seed ...", compare=False)

    def run(self, task: Task) -> "Curves":
        """Return the curves of all seeds, and publish those of the first ones."""
        from resnet_explore.analysis.gradients.claims.curves import measure_claim

        if self.name not in self.going:
            self.going[self.name] = measure_claim(self.name, self.seeds, self.first), None
        parts, found = self.going[self.name]
        while True:
            task.check()
            try:
                part = next(parts, None)
            except BaseException:
                del self.going[self.name]  # it ends there, and is begun anew when it is chosen again
                raise
            if part is None:
                break
            found = part
            self.going[self.name] = parts, found
            task.publish(found)
        if found is None:
            raise ExploreError(f"The claim {self.name!r} has no curves.")
        return found


@dataclass(frozen=True)
class FetchData(Job):
    """Download a data set; all else can be used meanwhile.

    fetching  holds its name as long as it is half there
    """

    lane: ClassVar[str] = "download"
    name: str
    fetching: set[str] = field(compare=False, repr=False)
    says: str = field(default="Downloading the data ...", compare=False)

    def run(self, task: Task) -> Any:
        """Return True once it lies on this computer."""
        from resnet_explore.inputs.datasets import load_dataset
        from resnet_explore.inputs.download import FetchError

        self.fetching.add(self.name)
        try:
            load_dataset(self.name)
        except FetchError as problem:
            raise ExploreError(problem.reason) from None
        finally:
            self.fetching.discard(self.name)
        return True
