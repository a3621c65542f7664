"""Markdown as HTML, with links between files of the repository turned into links between pages."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from resnet_explore.errors import ExploreError
from resnet_explore.pages.site.layout import to_root

# The only HTML that text may hold: a part that is folded away. Behind an empty line it is Markdown again.
_FOLD = re.compile(r"<details>\s*<summary>([^<>]*)</summary>")
_END_OF_FOLD = "</details>"


@dataclass
class MarkdownPage:
    """What a page is made of in Markdown.

    source    the file that it stands in, such as "notebooks/01_degradation.ipynb": its links start there
    path      the page that it is for
    pages     {a file of the repository: the site's file in its place}; links to others lose their link
    headings  (level, anchor, words) of all that was rendered so far
    """

    source: str
    path: str
    pages: Mapping[str, str]
    headings: list[tuple[int, str, str]] = field(default_factory=list)

    def html(self, markdown: str) -> str:
        """Return Markdown as HTML; headings get anchors. Raises ExploreError without the extra `site`."""
        try:
            import mistune
        except ModuleNotFoundError:
            raise ExploreError(
                "The site needs mistune, which `pip install 'resnet-explore[site]'` brings."
            ) from None

        page = self

        class Renderer(mistune.HTMLRenderer):
            def heading(self, text: str, level: int, **attrs: Any) -> str:
                return f'<h{level} id="{page.anchor(level, text)}">{text}</h{level}>\n'

            def link(self, text: str, url: str, title: str | None = None) -> str:
                there = page.resolved(url)
                return text if there is None else f'<a href="{escape(there)}">{text}</a>'

            def image(self, text: str, url: str, title: str | None = None) -> str:
                there = page.resolved(url)
                return "" if there is None else f'<img src="{escape(there)}" alt="{text}" loading="lazy">'

            def block_html(self, html: str) -> str:
                text = html.strip()
                if fold := _FOLD.fullmatch(text):
                    return f"<details>\n<summary>{escape(fold[1])}</summary>\n"
                return f"{text}\n" if text == _END_OF_FOLD else f"<p>{escape(text)}</p>\n"

            def block_code(self, code: str, info: str | None = None) -> str:
                return code_html(code)

        html = str(mistune.create_markdown(renderer=Renderer(), plugins=["table"])(markdown))
        around = '<div class="wide" tabindex="0" role="group" aria-label="A table">'
        return html.replace("<table>", f"{around}<table>").replace("</table>", "</table></div>")

    def anchor(self, level: int, words: str) -> str:
        """Note a heading and return its anchor, which no other has on this page."""
        plain = re.sub(r"<[^>]+>", "", words)
        stem = re.sub(r"[^a-z0-9]+", "-", re.sub(r"&\w+;", "", plain).lower()).strip("-") or "part"
        taken = {anchor for _, anchor, _ in self.headings}
        anchor = next(a for n in range(1, 999) if (a := stem if n == 1 else f"{stem}-{n}") not in taken)
        self.headings.append((level, anchor, words))
        return anchor

    def resolved(self, url: str) -> str | None:
        """Return a link of the source as the page has it, None where the site has no such page."""
        if re.match(r"https?:|mailto:|#", url):
            return url
        file, mark, anchor = url.partition("#")
        target = self.pages.get(posixpath.normpath(posixpath.join(posixpath.dirname(self.source), file)))
        return None if target is None else f"{to_root(self.path)}{target}{mark}{anchor}"


def code_html(code: str) -> str:
    """Return a block of code, which the keyboard can scroll."""
    return f'<pre tabindex="0" role="group" aria-label="Code"><code>{escape(code.rstrip())}</code></pre>\n'


def contents(text: MarkdownPage) -> str:
    """Return links to the second-level headings of a page, "" where there are fewer than three."""
    found = [(anchor, words) for level, anchor, words in text.headings if level == 2]
    if len(found) < 3:
        return ""
    links = "".join(
        f'<li><a href="#{anchor}">{re.sub("<[^>]+>", "", words)}</a></li>' for anchor, words in found
    )
    return f'<nav class="contents" aria-label="On this page"><ul>{links}</ul></nav>\n'
