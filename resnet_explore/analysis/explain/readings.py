"""How to read each method's numbers: its title, what it explains by, its unit, and what a sign means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

BLOCKS, TRIALS, PIXELS = "blocks", "trials", "pixels"


@dataclass(frozen=True)
class Reading:
    """What a method's numbers are.

    title    as the paper calls it
    by       BLOCKS, TRIALS (blocks too, but every channel is tried) or PIXELS
    unit     of a value
    meaning  of positive and negative values, with the colours as {plus} and {minus}
    classes  whether it explains a class; False for what looks the same whichever is asked about
    slow     whether it takes hundreds of passes
    """

    title: str
    by: str
    unit: str = "logits"
    meaning: str = "{plus} speaks for what is asked about, {minus} against it"
    classes: bool = True
    slow: bool = False

    def of_score(self) -> "Reading":
        """Return the reading where a score in 0..1 is explained, as that of a detection, and no logit."""
        return replace(self, unit=self.unit.replace("logits", "score"))

    def signs(self, plus: str, minus: str) -> str:
        """Return the meaning of the signs in a sentence, for a picture in these two colours."""
        words = self.meaning.format(plus=plus, minus=minus)
        return f"{words[0].upper()}{words[1:]}."


_SLOPE = "{plus}: a larger value of this pixel would raise the score; {minus}: lower it"
_ON = "{plus}: on in channels that speak for what is asked about; {minus}: negative in them"
_PER_INPUT = "logits per unit of input"

READINGS: Mapping[str, Reading] = MappingProxyType(
    {
        "grad_cam": Reading("Grad-CAM", BLOCKS),
        # Its alpha has g^2 below, so that the product is no share of the logit.
        "grad_cam_plus_plus": Reading("Grad-CAM++", BLOCKS, "weighted logits", _ON),
        "hirescam": Reading("HiResCAM", BLOCKS),
        "xgrad_cam": Reading("XGrad-CAM", BLOCKS),
        "layercam": Reading("LayerCAM", BLOCKS, "logits, positive gradients only", _ON),
        "eigen_cam": Reading(
            "Eigen-CAM",
            BLOCKS,
            "activation",
            "it knows no class: {plus} is where the layer's main pattern is on, {minus} where it is reversed",
            classes=False,
        ),
        "score_cam": Reading("Score-CAM", TRIALS, "activation, averaged by scores", _ON, slow=True),
        "ablation_cam": Reading("Ablation-CAM", TRIALS, "activation × share of the score lost", slow=True),
        "saliency": Reading("Gradient", PIXELS, _PER_INPUT, _SLOPE),
        "input_x_gradient": Reading("Input × gradient", PIXELS),
        "integrated_gradients": Reading("Integrated gradients", PIXELS),
        "smoothgrad": Reading("SmoothGrad", PIXELS, _PER_INPUT, _SLOPE),
        "guided_backprop": Reading(
            "Guided backprop", PIXELS, f"{_PER_INPUT}, cut at each ReLU", "{plus}: raises the score on paths "
            "that only raise it; {minus}: lowers it there"
        ),
        "guided_grad_cam": Reading(
            "Guided Grad-CAM", PIXELS, "logits² per unit of input", "guided backprop where Grad-CAM is "
            "positive: {plus} raises the score, {minus} lowers it"
        ),
        "deep_lift": Reading("DeepLift", PIXELS),
        "occlusion": Reading("Occlusion", PIXELS, slow=True),
        "gradient_shap": Reading("GradientSHAP", PIXELS),
    }
)  # fmt: skip


def titles(*by: str) -> dict[str, str]:
    """Return titles by name, of methods that explain by these; of all without any."""
    return {name: one.title for name, one in READINGS.items() if not by or one.by in by}
