"""What a check says: in a terminal as lines, in a notebook as a card that reads in light and dark themes."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CARD = (
    "color: inherit; max-width: 44rem; line-height: 1.5; padding: 0.4rem 0.9rem; "
    "border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-left: 0.4rem solid {edge}"
)
_HEADS = ("name", "task", "what you do", "takes about")
_GREEN, _AMBER, _GREY = "#2da44e", "#bf8700", "#8b949e"


@dataclass(frozen=True)
class Remark:
    """One thing that a check found; `hint` says how to go on where it is not right."""

    passed: bool
    words: str
    hint: str = ""


def right(words: str) -> Remark:
    """Return a remark on what is right."""
    return Remark(True, words)


def wrong(words: str, hint: str) -> Remark:
    """Return a remark on what is not right yet."""
    return Remark(False, words, hint)


@dataclass(frozen=True, repr=False)
class CheckResult:
    """What `check` found. A notebook shows it as a card, a terminal as a few lines.

    title    of the task
    begun    whether there was an answer at all
    right    what is right, a sentence each
    wrong    what is not right yet
    hint     how to go on, "" if the task is done
    asks     what an answer is; said where there is none
    """

    title: str
    begun: bool
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    hint: str = ""
    asks: str = ""

    @property
    def passed(self) -> bool:
        """Whether the task is done."""
        return self.begun and bool(self.right) and not self.wrong

    @property
    def headline(self) -> str:
        """How it stands, in a few words."""
        stands = "Done" if self.passed else "Not yet" if self.begun else "Nothing to check yet"
        return f"{stands}: {self.title}"

    def __repr__(self) -> str:
        lines = [
            self.headline,
            *([f"  {self.asks}"] if self.asks else []),
            *(f"  ✓ {words}" for words in self.right),
        ]
        lines += [f"  ✗ {words}" for words in self.wrong]
        return "\n".join([*lines, *([f"  Hint: {self.hint}"] if self.hint else [])])

    def _repr_html_(self) -> str:
        # The words take the page's own colour, so that they read on white and on black.
        edge = _GREEN if self.passed else _AMBER if self.begun else _GREY
        marked = [("✓", "right", words) for words in self.right] + [("✗", "not yet", w) for w in self.wrong]
        items = "".join(
            f'<li style="margin: 0.1rem 0"><span role="img" aria-label="{spoken}">{mark}</span> '
            f"{html.escape(words)}</li>"
            for mark, spoken, words in marked
        )
        found = f'<ul style="list-style: none; margin: 0.3rem 0; padding: 0">{items}</ul>' if items else ""
        asks = f'<p style="margin: 0.3rem 0">{html.escape(self.asks)}</p>' if self.asks else ""
        hint = f'<p style="margin: 0.3rem 0"><b>Hint:</b> {html.escape(self.hint)}</p>' if self.hint else ""
        return (
            f'<div class="rx-checked" role="status" style="{_CARD.format(edge=edge)}">'
            f'<p style="margin: 0.3rem 0"><b>{html.escape(self.headline)}</b></p>{asks}{found}{hint}</div>'
        )


def result(title: str, remarks: Iterable[Remark]) -> CheckResult:
    """Return the remarks as one result; the hint is that of the first which is not right."""
    remarks = tuple(remarks)
    failed = [remark for remark in remarks if not remark.passed]
    return CheckResult(
        title,
        True,
        tuple(remark.words for remark in remarks if remark.passed),
        tuple(remark.words for remark in failed),
        failed[0].hint if failed else "",
    )


@dataclass(frozen=True, repr=False)
class ExerciseTable:
    """The list of all tasks: name, title, what one does, minutes."""

    rows: Sequence[tuple[str, str, str, str]]

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = (
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in self.rows
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cell = '<td style="text-align: left">{}</td>'
        heads = "".join(f'<th scope="col" style="text-align: left">{head}</th>' for head in _HEADS)
        rows = (
            "<tr>"
            + cell.format(f"<code>{html.escape(name)}</code>")
            + "".join(cell.format(html.escape(words)) for words in rest)
            + "</tr>"
            for name, *rest in self.rows
        )
        body = f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f'<table style="color: inherit">{body}</table>'
