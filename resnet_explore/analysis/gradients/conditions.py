"""Under what conditions a gradient is measured, as data; no torch is needed to name them."""

from dataclasses import dataclass, replace

STEPS = 10  # of SGD in one stride; the network after each is kept
OWN = "yours"
WITHOUT_NORM = ("skipinit", "fixup")  # ways to start that normalisation would undo


@dataclass(frozen=True)
class Conditions:
    """What a measurement depends on, beside the network's kind and depth.

    data        "digits", "cifar10", "noise" (32×32, random labels) or "yours"
    mode        "train" or "eval"
    norm        "batch", "group" or "none"
    start       "he", "rezero", "skipinit" or "fixup", of the residual network
    activation  "relu", "tanh", "gelu" or "linear"
    steps       of SGD that were taken, in strides of `STEPS`
    """

    data: str = "digits"
    mode: str = "train"
    norm: str = "batch"
    start: str = "he"
    activation: str = "relu"
    steps: int = 0

    @property
    def possible(self) -> bool:
        """Whether there is such a network: SkipInit and Fixup do without normalisation."""
        return self.norm == "none" or self.start not in WITHOUT_NORM

    def made_possible(self, keep_norm: bool = False) -> "Conditions":
        """Return the nearest conditions that describe a network.

        keep_norm  whether the norm stays, so that it is the start that gives way
        """
        if self.possible:
            return self
        return replace(self, start="he") if keep_norm else replace(self, norm="none")
