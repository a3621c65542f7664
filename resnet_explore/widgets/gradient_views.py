"""What the gradient explorer's slider moves through: one class a view, each measured position by position."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis.gradients import GradientFlow
from resnet_explore.errors import ExploreError
from resnet_explore.figures.gradients import GradientProfile, decades
from resnet_explore.figures.style import WIDE, Figure
from resnet_explore.training.plan import KINDS
from resnet_explore.widgets.gradient_lab import Bench, Conditions, described, in_brief
from resnet_explore.widgets.gradient_words import LEVEL_MEANS, Reading, compared, finding, read
from resnet_explore.widgets.words import first_of

if TYPE_CHECKING:
    import pandas as pd

# Menu entry: the field of GradientFlow, the noun of the sentence above the picture, the axis.
SHOWN = {
    "weight gradient": ("weight_gradient_norms", "gradient", "gradient norm of the weights"),
    "activation gradient": ("activation_gradient_norms", "gradient", "gradient norm of the activations"),
    "activations": ("activation_norms", "activations", "norm of the activations"),
    "weights": ("weight_norms", "weights", "norm of the weights"),
    "gradient / weight": ("relative_gradients", "gradient", "weight gradient over weight"),
}
ALPHAS = tuple(round(0.1 * k, 1) for k in range(11))


Profiles = Callable[[float, float], GradientProfile]  # gives one of a width and height, perhaps used before


class View:
    """Positions of a slider. `name` and `ticks` are what it says; results are measured one at a time.

    Subclasses say how a position is measured, what is drawn of it, and in which words.
    """

    name = "Depth"
    ticks: Sequence[str] = ()

    @property
    def axis(self) -> str:
        """What a caption says of a logarithmic axis."""
        shared = "One logarithmic axis for all positions of the slider"
        beyond = "triangles: beyond it, crosses: exactly 0"
        return f"{shared if len(self.ticks) > 1 else 'Logarithmic axis'}; {beyond}."

    def measure(self, position: int) -> Any:
        """Return what is to be seen at a position."""
        raise NotImplementedError

    def limits(self, results: Sequence[Any]) -> tuple[float, float]:
        """Return the axis that fits all results measured so far."""
        raise NotImplementedError

    def draw(self, result: Any, limits: tuple[float, float], size: tuple[int, int] = WIDE) -> Figure:
        """Return the picture of a result, of a width and height in CSS pixels."""
        raise NotImplementedError

    def anew(self) -> "View":
        """Return a view that draws on figures of its own."""
        return self

    def title(self, position: int, result: Any) -> str:
        """Return the finding, read aloud."""
        raise NotImplementedError

    def caption(self, position: int, result: Any = None) -> str:
        """Return the conditions; result is what was measured, None if that is yet to come."""
        raise NotImplementedError

    def lacks(self, position: int) -> str:
        """Return what could not be measured there though the rest could, and why; "" if nothing."""
        return ""

    def table(self, results: Mapping[int, Any]) -> "pd.DataFrame":
        """Return the numbers behind the pictures."""
        raise NotImplementedError

    def about_table(self) -> dict[str, Any]:
        """Return what is true of all rows of the table, whatever the position: "conditions" and more."""
        return {"conditions": self.caption(0)}


class LinesView(View):
    """A view whose pictures are a `GradientProfile`, which is drawn once of each size and then moved."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def anew(self) -> View:
        """Return the same view with figures of its own."""
        other = copy.copy(self)
        other._profiles = GradientProfile
        return other


@dataclass(frozen=True)
class Live:
    """What the views share that measure networks now: the bench, the conditions and what is shown."""

    bench: Bench
    given: Conditions
    shown: str = "weight gradient"

    def facts(self, given: Conditions, kind: str) -> dict[str, Any]:
        """Return the conditions in which the rows of a table differ, as columns."""
        start = "" if self.bench.models else "he" if kind == "plain" else given.start
        return {"start": start, "step": given.steps}

    def shared_facts(self) -> dict[str, Any]:
        """Return the conditions that all rows of a table share."""
        given, batch = self.given, self.bench.batch(self.given.data)
        known = {} if self.bench.models else {"norm": given.norm, "activation": given.activation}
        size = {"batch": len(batch.images), "seed": self.bench.seed}
        return {"mode": given.mode, **known, "data": batch.words, **size}


class ProfileView(LinesView):
    """Norms by layer, a line for each network; results are {kind: GradientFlow}."""

    guides: tuple[str, ...] = ()

    def __init__(self, live: Live, profiles: Profiles) -> None:
        super().__init__(profiles)
        self.live = live
        self._field, self._noun, self._label = SHOWN[live.shown]

    def limits(self, results: Sequence[Mapping[str, GradientFlow]]) -> tuple[float, float]:
        """Return whole decades around everything that can be drawn."""
        return decades(np.concatenate([getattr(f, self._field) for flows in results for f in flows.values()]))

    def draw(
        self, result: Mapping[str, GradientFlow], limits: tuple[float, float], size: tuple[int, int] = WIDE
    ) -> Figure:
        """Return the lines."""
        norms = {kind: getattr(flow, self._field) for kind, flow in result.items()}
        ends = {part for flow in result.values() for part in flow.alike.ends}
        return self._profiles(*size).draw(norms, limits, self._label, self.guides, sorted(ends))

    def title(self, position: int, result: Mapping[str, GradientFlow]) -> str:
        """Return what each line does towards the image, and under which conditions."""
        said = {kind: self.reading(flow) for kind, flow in result.items() if kind not in self.guides}
        bench, given = self.live.bench, self._given(position)
        on = in_brief(given, bench.batch(given.data), bench.seed, own=bool(bench.models))
        return finding(self._where(position), self.live.shown, said, on)

    def reading(self, flow: GradientFlow) -> Reading:
        """Return what the norms that are shown come to."""
        norms, parts = getattr(flow, self._field), flow.part_norms(self._field)
        absent = "undefined (weight 0)" if self._field == "relative_gradients" else "no gradient (frozen)"
        return read(norms, flow.alike, parts, self._trouble(flow), self._noun, absent)

    def caption(self, position: int, result: Mapping[str, GradientFlow] | None = None) -> str:
        """Return all conditions, and which layers the title compares."""
        bench, given = self.live.bench, self._given(position)
        conditions = described(given, bench.batch(given.data), bench.seed, bench.about)
        what = self._label[0].upper() + self._label[1:]
        alikes = {kind: flow.alike for kind, flow in (result or {}).items()}
        ends = compared(alikes, last=self._field.startswith("activation"))
        for kind, flow in (result or {}).items():
            if any(flow.frozen):
                still = [str(i + 1) for i, frozen in enumerate(flow.frozen) if frozen]
                ends += f" {kind} has {len(still)} frozen of {len(flow.names)} layers: {first_of(still)}."
        if self._noun == "gradient" and ends:
            ends += f" {LEVEL_MEANS}"
        return f"{what} (Frobenius, over the batch); {conditions}{self._besides(position)}. {self.axis}{ends}"

    def table(self, results: Mapping[int, Mapping[str, GradientFlow]]) -> "pd.DataFrame":
        """Return a row for each position, network and layer with all norms."""
        import pandas as pd

        parts = []
        for position, flows in sorted(results.items()):
            for kind, flow in flows.items():
                rows = flow.table.assign(loss=flow.loss, **self._facts(position, kind))
                rows.insert(0, "layer_number", range(1, len(rows) + 1))
                rows.insert(0, "network", kind)
                if self.name.lower() not in rows:
                    rows.insert(0, self.name.lower(), self.ticks[position])
                parts.append(rows)
        return pd.concat(parts, ignore_index=True)

    def about_table(self) -> dict[str, Any]:
        """Return the conditions, without what is true of one position only."""
        bench, last = self.live.bench, self._given(len(self.ticks) - 1)
        conditions = described(last, bench.batch(last.data), bench.seed, bench.about)
        said = f"Norms of each layer (Frobenius, over the batch); {conditions}{self._everywhere()}."
        return {"conditions": said, **self.live.shared_facts()}

    def _facts(self, position: int, kind: str) -> dict[str, Any]:
        return self.live.facts(self._given(position), kind)

    def _given(self, position: int) -> Conditions:
        return self.live.given

    def _trouble(self, flow: GradientFlow) -> str:
        if not flow.trouble:
            return ""
        if not flow.images_finite:
            return "the images hold numbers that are not finite"
        step = self.live.bench.broken.get(flow)
        if step is None:
            return f"the numbers have blown up. {flow.trouble}".rstrip(".")
        # What is broken where, all weights have it by now.
        return f"the numbers have blown up, the loss was first not finite at step {step}"

    def _where(self, position: int) -> str:
        return f"{self.ticks[position]} layers"

    def _besides(self, position: int) -> str:
        return ""

    def _everywhere(self) -> str:
        """Return what of `_besides` is true at all positions."""
        return self._besides(0)


class DepthView(ProfileView):
    """The twins at each depth, their skips at a strength."""

    def __init__(self, live: Live, profiles: Profiles, depths: Sequence[int], skip: float = 1.0) -> None:
        super().__init__(live, profiles)
        self.depths, self._skip = list(depths), skip
        self.ticks = [str(depth) for depth in depths]

    def measure(self, position: int) -> dict[str, GradientFlow]:
        """Measure both twins."""
        bench, depth = self.live.bench, self.depths[position]
        return {kind: bench.flow(kind, depth, self.live.given, self._skip) for kind in KINDS}

    def _besides(self, position: int) -> str:
        return "" if self._skip == 1 else f"; every block is F(x) + {self._skip:g} x"


class SkipView(ProfileView):
    """A residual network whose skips carry a share of what they got, between its plain and residual form."""

    name = "Skip strength"
    guides = KINDS

    def __init__(self, live: Live, profiles: Profiles, depth: int) -> None:
        super().__init__(live, profiles)
        self.depth, self.ticks = depth, [f"{alpha:g}" for alpha in ALPHAS]

    def measure(self, position: int) -> dict[str, GradientFlow]:
        """Measure the network with weakened skips, and its two ends."""
        bench, given, alpha = self.live.bench, self.live.given, ALPHAS[position]
        ends = {kind: bench.flow(kind, self.depth, given) for kind in KINDS}
        return {**ends, f"skip × {alpha:g}": bench.flow("residual", self.depth, given, alpha)}

    def _where(self, position: int) -> str:
        return f"{self.depth} layers"  # the line is called by the strength

    def _besides(self, position: int) -> str:
        return f"; every block is F(x) + {ALPHAS[position]:g} x; thin lines: plain (0) and residual (1)"

    def _everywhere(self) -> str:
        return f"; {self.depth} layers; every block is F(x) + (skip strength) x"


class OwnView(ProfileView):
    """The reader's own networks after each stride of SGD."""

    name = "Step"

    def __init__(self, live: Live, profiles: Profiles, steps: Sequence[int]) -> None:
        super().__init__(live, profiles)
        self.steps, self.ticks = list(steps), [str(step) for step in steps]
        self._lacking: dict[int, str] = {}

    def measure(self, position: int) -> dict[str, GradientFlow]:
        """Measure all that can be measured; ExploreError says of each network why not, if none can."""
        given, flows = self._given(position), {}
        failed: dict[str, list[str]] = {}
        for name in self.live.bench.models:
            try:
                self.live.bench.flow(name, 0, self._given(0))  # what can't be measured there isn't trained
                flows[name] = self.live.bench.flow(name, 0, given)
            except ExploreError as problem:
                failed.setdefault(str(problem), []).append(name)
        lacking = " ".join(f"{', '.join(names)}: {problem}" for problem, names in failed.items())
        if not flows:
            raise ExploreError(lacking)
        self._lacking[position] = lacking
        return flows

    def lacks(self, position: int) -> str:
        """Return which networks could not be measured, and why."""
        return self._lacking.get(position, "")

    def caption(self, position: int, result: Mapping[str, GradientFlow] | None = None) -> str:
        """Return all conditions, which layers the title compares, and what is lacking."""
        lacking = self.lacks(position)
        return super().caption(position, result) + (f" Not shown: {lacking}" if lacking else "")

    def _given(self, position: int) -> Conditions:
        return Conditions(self.live.given.data, self.live.given.mode, steps=self.steps[position])

    def _where(self, position: int) -> str:
        return f"Step {self.steps[position]}"
