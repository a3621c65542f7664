"""Guess first, then look: questions about gradients whose answer is measured on the spot."""

import html
from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets

from resnet_explore.analysis.gradients import GradientFlow
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.gradient_lab import Bench, Conditions
from resnet_explore.widgets.gradient_words import VERDICTS, Reading
from resnet_explore.widgets.words import error

DEPTH = 56


@dataclass(frozen=True)
class Question:
    """A network whose gradient is to be guessed, from the last block to the first."""

    text: str
    kind: str
    given: Conditions
    skip: float = 1.0

    def measure(self, bench: Bench) -> GradientFlow:
        """Return what is true of it."""
        return bench.flow(self.kind, DEPTH, self.given, self.skip)


QUESTIONS = (
    Question("A new plain network, batch norm in train mode, before the first step.", "plain", Conditions()),
    Question("The same plain network after ten steps of SGD.", "plain", Conditions(steps=10)),
    Question("The new plain network again, in eval mode.", "plain", Conditions(mode="eval")),
    Question("A new plain network without any norm.", "plain", Conditions(norm="none")),
    Question("A new residual network with batch norm in train mode.", "residual", Conditions()),
    Question("The same residual network, its skips at half strength.", "residual", Conditions(), 0.5),
)


class GradientQuiz(ipywidgets.VBox):
    """A question, a guess, and what is measured: its first guess counts.

    `on_ask()` is called with each new question, `on_reveal(position, flow)` with each answer: it shows the
    picture and returns what is read of it, by which the guess is judged.

    Attributes: `question` (a menu), `guess` (radio buttons), `reveal` (a button), `verdict`, `right`
    (which questions were guessed right, by position).
    """

    def __init__(
        self,
        bench: Bench,
        on_ask: Callable[[], object],
        on_reveal: Callable[[int, GradientFlow], Reading],
    ) -> None:
        self.bench, self._on_ask, self._on_reveal = bench, on_ask, on_reveal
        self.right: dict[int, bool] = {}
        self._measured: GradientFlow | None = None  # the answer to the question that is asked
        self.question = ipywidgets.Dropdown(
            options=[(f"{i} of {len(QUESTIONS)}", i - 1) for i in range(1, len(QUESTIONS) + 1)],
            description="Question", layout={"width": "220px"},
        )  # fmt: skip
        self.text = ipywidgets.HTML()
        self.guess = ipywidgets.RadioButtons(
            options=[(words, word) for word, words in VERDICTS.items()], value=None,
            description="Your guess",
            layout={"width": "auto"},
        )  # fmt: skip
        self.guess.tooltip = "Your guess"
        self.reveal = ipywidgets.Button(
            description="Measure it", icon="eye", button_style="primary", disabled=True,
            tooltip="Measure, and compare with your guess",
        )  # fmt: skip
        self.verdict = ipywidgets.HTML(layout={"min_height": "28px"})  # so that an answer moves nothing
        super().__init__([self.question, self.text, self.guess, self.reveal, self.verdict])
        self.question.observe(lambda _: self._ask_another(), "value")
        self.guess.observe(lambda _: self._enable(), "value")
        self.reveal.on_click(lambda _: self._check())
        self._ask()

    def _ask(self) -> None:
        asked = QUESTIONS[self.question.value]
        self.text.value = (
            f"<b>{html.escape(asked.text)}</b><br>{DEPTH} layers, digits. From the last block to the first, "
            "towards the image, the gradient of the weights ..."
        )
        self.guess.value, self.verdict.value, self._measured = None, "", None

    def _ask_another(self) -> None:
        self._ask()
        self.show()

    def show(self) -> None:
        """Show the picture of the question if it was answered, none if it wasn't."""
        if self._measured is None:
            self._on_ask()
        else:
            self._on_reveal(self.question.value, self._measured)

    def _enable(self) -> None:
        self.reveal.disabled = self.guess.value is None

    def _check(self) -> None:
        position, guess = self.question.value, self.guess.value
        if guess is None:
            return
        self.verdict.value = "Measuring ..."
        try:
            flow = QUESTIONS[position].measure(self.bench)
        except ExploreError as problem:
            self.verdict.value = error(str(problem))
            return
        self._measured = flow
        truth = self._on_reveal(position, flow)
        right = guess == truth.verdict
        first = self.right.setdefault(position, right)
        opening = "Right" if right else f"You said that it {guess}"
        why = "" if right == first else ": a question's first guess counts"
        score = f"{sum(self.right.values())} of {len(self.right)} so far{why}."
        self.verdict.value = (
            f'<span role="status"><b>{opening}: it {truth.verdict}{truth.besides}.</b> Measured: '
            f"{html.escape(truth.measured)}. {score}</span>"
        )
