"""The notebooks as stories: their text, their code, and which explorer stands where."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import resnet_explore as rx

# What is true in a notebook only, and what stands in its place. Text says so in comments that nobody sees:
# <!-- notebook -->Run the cell.<!-- /notebook --><!-- site: Only the site says this. -->
_ONLY_THERE: Sequence[tuple[str, str]] = (
    (r"(?s)<!-- notebook -->.*?<!-- /notebook -->", ""),
    (r"(?s)<!-- site: (.*?) -->", r"\1"),
    (r"\*Opened this notebook again[^\n]*\*\n*", ""),
)


@dataclass(frozen=True)
class StoryText:
    """Text of a story, in Markdown."""

    markdown: str


@dataclass(frozen=True)
class StoryCode:
    """Code of a story."""

    source: str


@dataclass(frozen=True)
class StoryWidget:
    """An explorer, or another widget, in a story.

    name       its anchor, which no other has in the story: "skips", "skips-studies"
    kind       the public name of its class
    arguments  what it is made with
    """

    name: str
    kind: str
    arguments: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Where the explorer's own page shows this: "view=inside&deleted=[]", "" where it opens so.

        Who comes by an address is not asked anything, unless "guess=true" is a part of it.
        """
        if not set(self.arguments) - {"guess"}:
            return ""
        return urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in self.arguments.items()})

    @property
    def line(self) -> str:
        """The Python that makes it."""
        return f"rx.{self.kind}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


StoryPart = StoryText | StoryCode | StoryWidget


@dataclass(frozen=True)
class Story:
    """A notebook.

    name  of its page and of its explorer's, such as "gradient-flow"
    file  the notebook, such as "02_gradient_flow.ipynb"
    """

    name: str
    file: str
    parts: Sequence[StoryPart]

    @property
    def title(self) -> str:
        """The first heading, without Markdown."""
        first = next(part.markdown for part in self.parts if isinstance(part, StoryText))
        return first.partition("\n")[0].lstrip("# ")

    @property
    def explorers(self) -> list[StoryWidget]:
        """The explorers of the story; all are of one class."""
        widgets = [part for part in self.parts if isinstance(part, StoryWidget)]
        return [widget for widget in widgets if widget.kind.endswith("Explorer")]


def stories(folder: Path) -> list[Story]:
    """Return all numbered notebooks of a folder, in order."""
    return [story(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


def story(path: Path) -> Story:
    """Read a notebook as a story."""
    name = path.stem.partition("_")[2].replace("_", "-").replace("start", "lesson")
    parts: list[StoryPart] = []
    taken: set[str] = set()
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(StoryText(without_notebook(source)))
            continue
        made = made_by(source)
        if made is None:
            parts.append(StoryCode(source))
            continue
        kind, arguments = made
        own = name if kind.endswith("Explorer") else f"{name}-{kind.lower()}"
        if own in taken:
            marks = (arguments[each] for each in ("step", "view", "networks") if each in arguments)
            own = f"{own}-{next(marks, len(taken) + 1)}"
        taken.add(own)
        parts.append(StoryWidget(own, kind, arguments))
    return Story(name, path.name, parts)


def made_by(source: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return class and arguments of the widget that a cell makes, None for a cell that does anything else."""
    body = [each for each in ast.parse(source).body if not isinstance(each, ast.Import)]
    if len(body) == 2 and isinstance(body[0], ast.Assign) and isinstance(body[1], ast.Expr):
        [name] = body[0].targets
        if ast.unparse(name) != ast.unparse(body[1]):
            return None
    elif len(body) != 1 or not isinstance(body[0], ast.Expr):
        return None
    call = body[0].value
    if not isinstance(call, ast.Call) or call.args:
        return None
    kind = ast.unparse(call.func).removeprefix("rx.")
    if not (kind.endswith("Explorer") or kind == "VerdictChart") or not hasattr(rx, kind):
        return None
    try:
        return kind, {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except ValueError:
        return None


def without_notebook(markdown: str) -> str:
    """Return a notebook's text without what can only be done there, such as to run a cell."""
    for pattern, instead in _ONLY_THERE:
        markdown = re.sub(pattern, instead, markdown)
    return markdown.strip()


def questions(start: Path) -> list[tuple[str, str, str]]:
    """Return (notebook, question, answer) as the first notebook's table has them."""
    text = "\n".join(
        "".join(cell["source"]) for cell in json.loads(start.read_text(encoding="utf-8"))["cells"]
    )
    text = without_notebook(text)
    row = r"^\| \[[^\]]+\]\(([\w.]+\.ipynb)\) \| (.+?) \| (.+?) \|$"
    return [(file, question, answer) for file, question, answer in re.findall(row, text, re.MULTILINE)]
