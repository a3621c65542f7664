"""Docstrings as HTML: paragraphs, lists of names in two columns or numpy's way, code, and what is raised."""

import re
from collections.abc import Callable
from html import escape

_ENTRY = re.compile(r"^(\S(?:.*?\S)?)(?: : |\s{2,})(\S.*)$")
_SECTION = re.compile(r"^([A-Z][\w ]+)\n-{3,}$", re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`|\barXiv[ :](\d{4}\.\d{4,5})|(https?://[^\s)>,]+)")

Link = Callable[[str], str | None]


def docstring_html(text: str, link: Link) -> str:
    """Return a cleaned docstring (`inspect.getdoc`) as HTML.

    link  gives the address of what stands in backticks, None where it has none
    """
    parts = _SECTION.split(text)
    html = _paragraphs(parts[0], link)
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        html += f'<p class="title">{escape(title)}</p>\n' + _numpy(title, body.strip("\n"), link)
    return html


def inline(text: str, link: Link) -> str:
    """Return a line of a docstring: code in backticks, links to names, to papers and to pages."""

    def shown(found: re.Match[str]) -> str:
        name, paper, url = found.groups()
        if paper:
            return f'<a href="https://arxiv.org/abs/{paper}">{escape(found[0])}</a>'
        if url:
            return f'<a href="{escape(url)}">{escape(url)}</a>'
        there = link(name)
        code = f"<code>{escape(name)}</code>"
        return code if there is None else f'<a href="{escape(there)}">{code}</a>'

    ends, html = 0, ""
    for found in _INLINE.finditer(text):
        html += escape(text[ends : found.start()]) + shown(found)
        ends = found.end()
    return html + escape(text[ends:])


def _paragraphs(text: str, link: Link) -> str:
    """Return what stands outside of numpy's sections, paragraph by paragraph."""
    html = ""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.split("\n")
        entries = _columns(lines)
        if not block.strip():
            continue
        if all(line.startswith("    ") for line in lines):
            code = "\n".join(line[4:] for line in lines)
            html += f'<pre tabindex="0" role="group" aria-label="Code"><code>{escape(code)}</code></pre>\n'
        elif entries:
            html += _list(entries, link)
        else:
            html += f"<p>{inline(' '.join(line.strip() for line in lines), link)}</p>\n"
    return html


def _columns(lines: list[str]) -> list[tuple[str, str]]:
    """Read "name   what it is" with its further lines indented below; [] where a block is no such list."""
    entries: list[tuple[str, str]] = []
    for line in lines:
        found = re.match(r"^(\S(?:.*?\S)?)\s{2,}(\S.*)$", line)
        if found:
            entries.append((found[1], found[2]))
        elif entries and line.startswith("   "):
            name, said = entries[-1]
            entries[-1] = name, f"{said} {line.strip()}"
        else:
            return []
    return entries


def _numpy(title: str, body: str, link: Link) -> str:
    """Return a section of numpy's: "name : what it is", or a name with the text indented below."""
    if title in ("Notes", "References", "Examples", "See Also"):
        return _paragraphs(body, link)
    entries: list[tuple[str, str]] = []
    for line in body.split("\n"):
        if line and not line.startswith(" "):
            found = _ENTRY.match(line)
            entries.append((found[1], found[2]) if found else (line, ""))
        elif entries:
            name, said = entries[-1]
            entries[-1] = name, f"{said} {line.strip()}".strip()
    return _list(entries, link)


def _list(entries: list[tuple[str, str]], link: Link) -> str:
    rows = "".join(
        f"<dt><code>{escape(name)}</code></dt><dd>{inline(said, link)}</dd>\n" for name, said in entries
    )
    return f"<dl>\n{rows}</dl>\n"
