"""Guess first, then look: questions about gradients whose answer is measured on the spot."""

from dataclasses import dataclass

from resnet_explore.analysis.gradients.conditions import Conditions

DEPTH = 56


@dataclass(frozen=True)
class Question:
    """A network whose gradient is to be guessed, from the last block to the first.

    strength  of its skips
    """

    text: str
    kind: str
    given: Conditions
    strength: float = 1.0


QUESTIONS = (
    Question("A new plain network, batch norm in train mode, before the first step", "plain", Conditions()),
    Question("The same plain network after ten steps of SGD", "plain", Conditions(steps=10)),
    Question("The new plain network again, in eval mode", "plain", Conditions(mode="eval")),
    Question("A new plain network without any norm", "plain", Conditions(norm="none")),
    Question("A new residual network with batch norm in train mode", "residual", Conditions()),
    Question("The same residual network, its skips at half strength", "residual", Conditions(), 0.5),
)
