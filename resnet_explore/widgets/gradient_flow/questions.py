"""Guess first, then look: networks whose gradient is to be guessed, and how a guess is judged."""

from collections.abc import Mapping
from dataclasses import dataclass

from resnet_explore.analysis.gradients.conditions import Conditions
from resnet_explore.analysis.gradients.profiles import Profile
from resnet_explore.analysis.gradients.slope import EXPLODES, GROWS, SHRINKS, STAYS, VANISHES
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.view import Choice
from resnet_explore.widgets.gradient_flow import captions

DEPTH = 56


@dataclass(frozen=True)
class Puzzle:
    """A network whose gradient is to be guessed, from the last block to the first.

    strength  of its skips
    """

    text: str
    kind: str
    given: Conditions
    strength: float = 1.0


PUZZLES = (
    Puzzle("A new plain network, batch norm in train mode, before the first step", "plain", Conditions()),
    Puzzle("The same plain network after ten steps of SGD", "plain", Conditions(steps=10)),
    Puzzle("The new plain network again, in eval mode", "plain", Conditions(mode="eval")),
    Puzzle("A new plain network without any norm", "plain", Conditions(norm="none")),
    Puzzle("A new residual network with batch norm in train mode", "residual", Conditions()),
    Puzzle("The same residual network, its skips at half strength", "residual", Conditions(), 0.5),
)


def puzzle_question(number: int, profile: Profile | None) -> Question:
    """Return a puzzle as it is asked; profile is what was measured, None for nothing yet."""
    puzzle = PUZZLES[number]
    return Question(
        f"gradient_flow/puzzle-{number + 1}",
        f"{puzzle.text} ({DEPTH} layers, digits). From the last block to the first, its gradient ...",
        tuple(Choice(value, words) for value, words in captions.GUESSES.items()),
        None if profile is None else profile.verdict,
        captions.PUZZLE_RULE,
        "" if profile is None else captions.told(profile),
        captions.WHY_STRENGTH if puzzle.strength != 1 else captions.why(puzzle.given, "weight_gradient"),
        insists=True,
    )


def first_question(depth: int, profiles: Mapping[str, Profile] | None) -> Question:
    """Return the question that comes before the first picture; profiles are of new twins of this depth."""
    answers = {EXPLODES: "larger", GROWS: "larger", STAYS: "level", SHRINKS: "smaller", VANISHES: "smaller"}
    return Question(
        f"gradient_flow/first-block/{depth}",
        captions.first_question(depth),
        tuple(Choice(*pair) for pair in captions.FIRST_ANSWERS.items()),
        None if profiles is None else answers.get(profiles["plain"].verdict),
        captions.FIRST_RULE,
        "" if profiles is None else captions.first_told(profiles),
        captions.why(Conditions(), "weight_gradient"),
        captions.FIRST_REPLIES,
    )
