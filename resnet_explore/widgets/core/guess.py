"""Guess first: a question that comes before a picture, and the file in which a class keeps its answers."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.view import Choice

if TYPE_CHECKING:
    import pandas as pd

USUAL_FILE = Path("runs/guesses.jsonl")  # beside the runs of trainings

Answer = str | int


@dataclass(frozen=True)
class Question:
    """What a reader is asked before they see a view.

    The page shows it in place of the view until it is answered or skipped, then a verdict above the view.

    key      which question it is, in the file of answers: "degradation/digits"; equal keys are one question
    text     the question
    choices  the answers to choose from; their values are texts or whole numbers
    right    the value of the right one, by what was measured; None while that is not known
    rule     one sentence on how answers are judged
    told     one sentence with the number that was measured
    why      two or three sentences on how that comes about
    replies  {a choice's value as a text: a sentence for who has chosen it}
    insists  whether it is asked even where an explorer was opened without `guess=True`
    """

    key: str
    text: str
    choices: Sequence[Choice]
    right: Any = None
    rule: str = ""
    told: str = ""
    why: str = ""
    replies: Mapping[str, str] = field(default_factory=dict)
    insists: bool = False


class Guesses:
    """Answers to questions: those in a file, which others may be writing to as well, and those that are not.

    In a notebook it shows how they are distributed; `table` has the numbers.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.questions: dict[str, Question] = {}  # what is known of those that were asked here
        self._kept: list[dict[str, Any]] = []  # what is in no file
        self._lock = threading.Lock()

    @classmethod
    def opened(cls, guess: Any) -> "Guesses":
        """Return the answers that an explorer's argument `guess` stands for.

        Raises `ExploreError` for what is neither True, False nor the path of a file.
        """
        if isinstance(guess, bool):
            return cls(USUAL_FILE if guess else None)
        if not isinstance(guess, str | Path) or not str(guess).strip():
            raise ExploreError(f"guess must be True, False or the path of a file of answers, got {guess!r}.")
        path = Path(guess).expanduser()
        if path.is_dir():
            raise ExploreError(f"guess must name a file for the answers; {path} is a folder.")
        return cls(path)

    def learn(self, question: Question) -> None:
        """Remember what a question is about, and its right answer once that is known."""
        with self._lock:
            known = self.questions.get(question.key)
            if known is None or question.right is not None:
                self.questions[question.key] = question

    def add(self, key: str, answer: Answer) -> str:
        """Keep an answer; return a sentence if it could not be written to the file, else ""."""
        with self._lock:
            right = self._judged(key, answer)
            line = {"question": key, "answer": answer, "right": right, "time": _now()}
            problem = "" if self.path is None else _appended(self.path, line)
            if self.path is None or problem:
                self._kept.append(line)
            return problem

    def _judged(self, key: str, answer: Answer) -> bool | None:
        asked = self.questions.get(key)
        return None if asked is None or asked.right is None else answer == asked.right

    def answers(self) -> list[dict[str, Any]]:
        """Return all: {"question", "answer", "right", "time"}, `right` None where that is not known."""
        with self._lock:
            found = [*(_lines(self.path) if self.path else ()), *self._kept]
            for line in found:
                known = self._judged(line["question"], line["answer"])
                line["right"] = line.get("right") if known is None else known
            return found

    def counts(self, key: str) -> dict[str, int]:
        """Return how often each answer to a question was given, {answer as a text: count}."""
        return dict(Counter(str(line["answer"]) for line in self.answers() if line["question"] == key))

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each answer that was given: question, answer, count, share (of the question's), right."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=["question", "answer", "count", "share", "right"])

    def _rows(self) -> list[dict[str, Any]]:
        answers = self.answers()
        rights = {(line["question"], line["answer"]): line["right"] for line in answers}
        rights |= {(n["question"], n["answer"]): n["right"] for n in answers if n["right"] is not None}
        counted = Counter((line["question"], line["answer"]) for line in answers)
        asked = Counter(line["question"] for line in answers)
        return [
            {"question": key, "answer": answer, "count": n, "share": n / asked[key], "right": rights[at]}
            for key in asked
            for at, n in counted.most_common()
            for answer in [at[1]]
            if at[0] == key
        ]

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.path else ""
        rows = self._rows()
        if not rows:
            return f"No guesses yet{where}."
        lines = [
            f"{_said(self, row)}: {row['count']} ({row['share']:.0%}){' right' * bool(row['right'])}"
            for row in rows
        ]
        total = sum(row["count"] for row in rows)
        return "\n".join([f"{total} guess{'es' * (total != 1)}{where}", *lines])

    def _repr_html_(self) -> str:
        rows = self._rows()
        if not rows:
            return f"<p>{escape(repr(self))}</p>"
        body = []
        for key in dict.fromkeys(row["question"] for row in rows):
            asked = self.questions.get(key)
            body.append(_HEAD.format(escape(asked.text if asked else key)))
            body += [_bar(self, row) for row in rows if row["question"] == key]
        return f'<table style="border-collapse: collapse">{"".join(body)}</table>'


_HEAD = '<tr><th colspan="3" style="padding-top: 10px; text-align: left">{}</th></tr>'
_BAR = (
    '<tr><td style="text-align: left">{answer}</td><td style="width: 240px">'
    '<div style="width: {share:.1f}%; min-width: 2px; height: 12px; background: {color}"></div></td>'
    '<td style="text-align: left">{count} ({share:.0f} %){right}</td></tr>'
)


def _bar(guesses: Guesses, row: Mapping[str, Any]) -> str:
    return _BAR.format(
        answer=escape(_label(guesses, row)),
        share=100 * row["share"],
        count=row["count"],
        color="#2a8c55" if row["right"] else "#8a919c",
        right=" ✓ right" if row["right"] else "",
    )


def _said(guesses: Guesses, row: Mapping[str, Any]) -> str:
    asked = guesses.questions.get(row["question"])
    return f"{asked.text if asked else row['question']} {_label(guesses, row)}"


def _label(guesses: Guesses, row: Mapping[str, Any]) -> str:
    asked = guesses.questions.get(row["question"])
    labels = {choice.value: choice.label for choice in asked.choices} if asked else {}
    return str(labels.get(row["answer"], row["answer"]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _appended(path: Path, line: Mapping[str, Any]) -> str:
    """Write a line in one piece behind what others have written; return a sentence where that fails."""
    text = json.dumps(line, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = _ends_whole(path)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(file, f"{'' if whole else chr(10)}{text}\n".encode())
        finally:
            os.close(file)
    except OSError as problem:
        reason = problem.strerror or problem
        return f"{path} can't be written ({reason}): the answer is kept as long as this explorer is open."
    return ""


def _ends_whole(path: Path) -> bool:
    """Whether the last line is complete; else what is added would be lost with it."""
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"  # others may have written more meanwhile
    except OSError:  # there is no file yet, or nothing in it
        return True


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the answers in a file; a line that is damaged is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        kinds = {"question": str, "answer": str | int}
        if isinstance(line, dict) and all(isinstance(line.get(name), kind) for name, kind in kinds.items()):
            yield line
