"""What a person can choose about gradients."""

from dataclasses import dataclass
from typing import Literal

from resnet_explore.analysis.gradients.conditions import Conditions

KINDS = ("plain", "residual")
HERE = "here"  # the source of what is measured now, beside the names of records
JACOBIAN_DEPTH = 56  # deeper networks have too many blocks to be measured while one waits
STRENGTHS = tuple(round(0.1 * k, 1) for k in range(11))


@dataclass(frozen=True)
class GradientFlowState:
    """A view, the conditions of what is measured, and where one is in it.

    view        "layers" (gradients by layer), "skip" (skips of every strength), "jacobians" (what each block
                does to small changes), "claims" (of papers), "guess" (questions)
    source      "here" for networks that are measured now, or the name of a record: "digits", "cifar10", ...
    depth       of the networks that are looked at
    step        of training at which they are looked at
    steps       how many steps of SGD have been taken here, a multiple of ten
    data, mode, norm, start, activation   the conditions: see `Conditions`
    norm_asked, start_asked   what norm and start go back to once they fit each other
    shown       what is drawn of each layer: "weight_gradient", "activation_gradient", "activation",
                "weight" or "relative_gradient" (weight gradient over weight)
    picture     of a record: "lines" at one step, or a "heatmap" of all
    strength    of the skips in the view "skip", 0 to 1
    claim       a name that `claim_curves` knows
    question    which one is asked, from 0
    """

    view: Literal["layers", "skip", "jacobians", "claims", "guess"] = "layers"
    source: str = HERE
    depth: int = 56
    step: int = 0
    steps: int = 0
    data: str = "digits"
    mode: Literal["train", "eval"] = "train"
    norm: Literal["batch", "group", "none"] = "batch"
    start: Literal["he", "rezero", "skipinit", "fixup"] = "he"
    activation: Literal["relu", "tanh", "gelu", "linear"] = "relu"
    norm_asked: str = ""
    start_asked: str = ""
    shown: Literal["weight_gradient", "activation_gradient", "activation", "weight", "relative_gradient"] = (
        "weight_gradient"
    )
    picture: Literal["lines", "heatmap"] = "lines"
    strength: float = 0.5
    claim: str = "explosion"
    question: int = 0

    def given(self, step: int | None = None) -> Conditions:
        """Return the conditions of a measurement, at the step that is looked at or another."""
        steps = self.step if step is None else step
        return Conditions(self.data, self.mode, self.norm, self.start, self.activation, steps)
