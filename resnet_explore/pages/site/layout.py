"""What all pages of the site have: head, navigation, and links that work below any path."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from resnet_explore import __version__
from resnet_explore.widgets.browser.bundle import STYLE

HERE = Path(__file__).parent
NAME = "What does a skip connection do?"


@dataclass(frozen=True)
class Page:
    """One page: where it lies in the site, such as "docs/guide.html", and what its link is called."""

    path: str
    title: str
    description: str
    body: str


@dataclass(frozen=True)
class Entry:
    """A link of the navigation."""

    path: str
    label: str


def to_root(path: str) -> str:
    """Return how to get from a page to the site's folder: "../" for "docs/guide.html"."""
    return "../" * path.count("/")


def page_html(page: Page, entries: Sequence[Entry]) -> str:
    """Return a page as a file."""
    up = to_root(page.path)
    title = page.title if page.title == NAME else f"{page.title} · {NAME}"
    links = "".join(_link(entry, page.path, up) for entry in entries)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="resnet_explore {__version__}">
<meta name="description" content="{escape(page.description)}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}site.css">
<script src="{up}site.js" defer></script>
</head>
<body>
<a class="skip-link" href="#content">To the text</a>
<header><nav aria-label="Pages"><ul>{links}</ul></nav></header>
<main id="content" tabindex="-1">
{page.body}
</main>
</body>
</html>
"""


def _link(entry: Entry, path: str, up: str) -> str:
    here = ' aria-current="page"' if entry.path == path else ""
    return f'<li><a href="{up}{entry.path}"{here}>{escape(entry.label)}</a></li>'


def style() -> str:
    """Return the site's stylesheet, in the colours that the explorers have."""
    explorers = STYLE.read_text(encoding="utf-8")
    colors = "\n".join(re.findall(r"^  --rx-[\w-]+: .*;$", explorers[: explorers.index("}")], re.MULTILINE))
    return f":root {{\n{colors}\n}}\n" + (HERE / "site.css").read_text(encoding="utf-8")


def missing_page() -> str:
    """Return what a host shows for an address without a page; it can't know how deep that lies."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="There is no page at this address.">
<title>No such page · {NAME}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; background: light-dark(#fff, #15171b); }}
body {{ max-width: 70ch; margin: 15vh auto 0; padding: 0 16px; font: 17px/1.6 system-ui, sans-serif; }}
</style>
</head>
<body>
<main>
<h1>There is no page here.</h1>
<p>Perhaps it was renamed. Try <a href="./">the pages of this folder</a>, or
<a href="../">of the one above</a>.</p>
</main>
</body>
</html>
"""


def summary(text: str, most: int = 160) -> str:
    """Return the beginning of a text as a description, cut between words."""
    words = " ".join(text.split())
    if len(words) <= most:
        return words
    return words[:most].rsplit(" ", 1)[0].rstrip(",;:. ") + " …"
