"""Build the site: pages, baked explorers, and the live page where its runtime can be had."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

import resnet_explore as rx
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.pages.live.runtime import fetch_runtime
from resnet_explore.pages.live.write import write_live
from resnet_explore.pages.site.embedded import explorer_html, in_the_notebook, picture_html
from resnet_explore.pages.site.layout import HERE, NAME, Entry, Page, missing_page, page_html, style, summary
from resnet_explore.pages.site.markdown import MarkdownPage, code_html, contents
from resnet_explore.pages.site.reference import public, reference_html
from resnet_explore.pages.site.stories import (
    Story,
    StoryCode,
    StoryPart,
    StoryText,
    StoryWidget,
    questions,
    stories,
)
from resnet_explore.paths import CHECKOUT, PACKAGE, shipped
from resnet_explore.widgets.browser.bundle import bundle
from resnet_explore.widgets.core.explorer import Explorer

ENTRY = "pages/browser/site/site.js"
MARK = "made-by-resnet-explore.txt"
"""By this file a folder is known as a site of ours, which may be replaced."""

_FRONT = {"view": "errors", "data": "digits"}  # what the front page shows
_GUIDE = ("In code", "Without Python", "Add your own block", "Figures")  # of the README

Say = Callable[[str], Any]


def explorer_names() -> list[str]:
    """Return the names of the explorers that a site holds, in the order of the notebooks."""
    return [story.name for story in stories(shipped("notebooks"))]


def build_site(
    folder: Path, only: Sequence[str] = (), say: Say = print, hint: Say = lambda line: None
) -> None:
    """Write the site into a folder, all of it or nothing.

    only  names of explorers; the pages of the others then say that theirs is left out
    say   is told a line for each page as it is written
    hint  is told what takes minutes before it begins

    Raises ExploreError for names that there are not, a folder that holds something else, and one that can't
    be written.
    """
    for name in only:
        if name not in explorer_names():
            raise unknown("explorer", name, explorer_names())
    folder = folder.resolve()
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        if folder.exists() and not _may_be_replaced(folder):
            raise ExploreError(f"{folder} holds something else than a site of ours: name another folder.")
        draft.mkdir(parents=True)
        _Site(draft, only, say, hint).write()
        _put_in_place(draft, folder)
    except OSError as error:
        raise ExploreError(f"The site can't be written to {folder} ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _may_be_replaced(folder: Path) -> bool:
    return folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def _put_in_place(draft: Path, folder: Path) -> None:
    """Rename twice, so that there is no moment with half a site."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = draft.with_suffix(".old")
    folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old)


class _Site:
    """A site as it is written into a folder, which is empty."""

    def __init__(self, folder: Path, only: Sequence[str], say: Say, hint: Say) -> None:
        self.folder, self.say, self.hint = folder, say, hint
        self.stories = stories(shipped("notebooks"))
        self.only = set(only or [story.name for story in self.stories])
        self.docs = sorted((CHECKOUT / "docs").glob("*.md")) if CHECKOUT else []
        self.entries = [
            Entry("index.html", "Start"),
            *(Entry(f"{story.name}.html", story.title.partition(":")[0]) for story in self.stories),
        ]
        self.pages = {
            "notebooks/00_start.ipynb": "index.html",
            **{f"notebooks/{story.file}": f"{story.name}.html" for story in self.stories},
            **{f"docs/{path.name}": f"docs/{path.stem}.html" for path in self.docs},
        }
        if self.docs:
            self.pages["README.md"] = "docs/guide.html"

    def write(self) -> None:
        """Write everything."""
        self.plain(MARK, f"A static site made by resnet_explore {rx.__version__}.\n")
        self.plain(".nojekyll", "")
        live = self.live()
        if live:
            self.entries.append(Entry("live/index.html", "Live"))
        self.entries.append(Entry("reference.html", "Reference"))
        if self.docs:
            self.entries.append(Entry("docs/guide.html", "Guide"))
        self.plain("site.css", style())
        script = bundle(ENTRY, PACKAGE).replace("export default", "const site =")
        self.plain("site.js", script + "site.start();\n")
        self.plain("404.html", missing_page())
        self.notebooks()
        self.page(self.front(live))
        for number, story in enumerate(self.stories):
            self.page(self.story(story, number))
        self.page(Page("reference.html", "Reference", _about_reference(), reference_html()))
        self.guide()

    def plain(self, path: str, content: str | bytes) -> None:
        """Write a file."""
        there = self.folder / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content.encode() if isinstance(content, str) else content)

    def page(self, page: Page) -> None:
        """Write a page in the site's frame, and say so."""
        html = page_html(page, self.entries)
        self.plain(page.path, html)
        self.say(f"{page.path}: {len(html.encode()) / 1e3:.0f} kB")

    def notebooks(self) -> None:
        """Put the notebooks beside the pages, for who wants to run them."""
        for path in sorted(shipped("notebooks").glob("*.ipynb")):
            self.plain(f"notebooks/{path.name}", path.read_bytes())

    def live(self) -> bool:
        """Write the live page, or say in a line why it is left out."""
        try:
            write_live(self.folder / "live", fetch_runtime())
        except ExploreError as missing:
            shutil.rmtree(self.folder / "live", ignore_errors=True)
            self.say(f"Left out: the page on which networks run. {missing}")
            return False
        path = self.folder / "live/index.html"
        back = f'<main>\n<nav><a style="color: inherit" href="../index.html">{NAME}</a></nav>'
        path.write_text(path.read_text(encoding="utf-8").replace("<main>", back, 1), encoding="utf-8")
        size = sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())
        self.say(f"live/index.html: {size / 1e6:.1f} MB with its networks and runtime")
        return True

    # --- explorers ---

    def baked(self, explorer: Explorer, path: str, story: Story, **fixed: Any) -> None:
        """Write an explorer as a page of its own, with a way to its story where nothing is around it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        self.hint(f"Computing all views of {path}")
        explorer.to_html(file, say=lambda line: self.say(line.replace(str(file), path)), **fixed)
        about = escape(summary(_first_words(story)))
        html = file.read_text(encoding="utf-8")
        html = html.replace("<title>", f'<meta name="description" content="{about}">\n<title>', 1)
        html = html.replace('<html lang="en">', '<html lang="en">\n<link rel="icon" href="data:,">', 1)
        back = (
            f'<p class="alone"><a href="../{story.name}.html">The story of this page</a></p>\n'
            "<style>.alone { margin: 8px 17px; font: 14px system-ui, sans-serif; }</style>\n"
            "<script>if (window.parent !== window) document.querySelector('.alone').remove();</script>\n"
        )
        head, end, tail = html.rpartition("</body>")
        file.write_text(head + back + end + tail, encoding="utf-8")

    def still(self, explorer: Explorer, path: str) -> str:
        """Write a picture of what an explorer shows, and return it in words; "" where it has no picture."""
        explorer.wait()
        try:
            self.plain(path, explorer.file(".png"))
        except ExploreError:
            return ""
        return str(explorer.settled_page().headline)

    def explorers(self, story: Story) -> dict[str, str]:
        """Bake a story's explorer, draw each of its places, and return the pictures' words by name."""
        if story.name not in self.only:
            return {}
        said = {}
        # All show one baked page, and the address of each says whether it asks.
        asks = {"guess": True} if any(shown.arguments.get("guess") for shown in story.explorers) else {}
        for shown in story.explorers:
            explorer = getattr(rx, shown.kind)(**{**shown.arguments, **asks})
            try:
                if shown.name == story.name:
                    self.baked(explorer, f"explorers/{story.name}.html", story, **_places(story, explorer))
                said[shown.name] = self.still(explorer, f"explorers/{shown.name}.png")
            finally:
                explorer.close()
        return said

    # --- pages ---

    def story(self, story: Story, number: int) -> Page:
        """Return a notebook's page, its explorers written beside it."""
        said, text = self.explorers(story), self.text(f"notebooks/{story.file}", f"{story.name}.html")
        parts = [self.part(part, story, text, said) for part in story.parts]
        head, rest = _after_title(parts[0])
        note = self.note(story)
        body = "".join([head, contents(text), note, rest, *parts[1:], self.onward(number)])
        return Page(text.path, story.title, summary(_first_words(story)), body)

    def note(self, story: Story) -> str:
        """Say what works here, and where the rest does."""
        live = Entry("live/index.html", "Live") in self.entries
        yours = ' Photos of your own work on <a href="live/index.html">the live page</a>.' if live else ""
        return (
            '<p class="note">What you see on this page works here, without Python. What is grey in '
            f'them, training, and networks of your own need <a href="notebooks/{story.file}" download>the '
            f"notebook</a>.{yours}</p>\n"
        )

    def part(self, part: StoryPart, story: Story, text: MarkdownPage, said: dict[str, str]) -> str:
        """Return what stands in a story for a cell of its notebook."""
        if isinstance(part, StoryText):
            return text.html(part.markdown)
        if isinstance(part, StoryCode):
            return code_html(part.source)
        if part.kind == "VerdictChart":
            chart = rx.VerdictChart()
            self.plain(f"explorers/{part.name}.png", chart.frames[0])
            return picture_html(
                f"explorers/{part.name}.png", chart.alts[0], chart.titles[0], chart.captions[0]
            )
        if part.name not in said:
            return in_the_notebook(part, story)
        return explorer_html(part, story, said[part.name])

    def onward(self, number: int) -> str:
        """Return links to the stories before and after."""
        before = self.entries[number]
        links = [f'<a href="{before.path}" rel="prev">← {escape(before.label)}</a>']
        if number + 2 < len(self.entries):
            after = self.entries[number + 2]
            links.append(f'<a href="{after.path}" rel="next">{escape(after.label)} →</a>')
        return f'<p class="onward">{"".join(links)}</p>\n'

    def front(self, live: bool) -> Page:
        """Return the first page, its curves written beside it."""
        story = next(each for each in self.stories if each.name == "degradation")
        explorer = rx.DegradationExplorer()
        try:
            self.baked(explorer, "explorers/front.html", story, **_FRONT)
            alt = self.still(explorer, "explorers/front.png")
        finally:
            explorer.close()
        self.slim("explorers/front.html")
        curves = explorer_html(
            StoryWidget("front", "DegradationExplorer", {}), story, alt, page="front", under=False
        )
        body = (HERE / "front.html").read_text(encoding="utf-8")
        parts = {
            "block": (HERE / "block.svg").read_text(encoding="utf-8"),
            "curves": curves,
            "doors": self.doors(live),
            "notebooks": self.how_to_get_them(),
        }
        for name, html in parts.items():
            body = body.replace(f"<!--{name}-->", html)
        about = (
            "Plain and residual networks side by side: move through depths, cut skips, and see what becomes "
            "of them. Runs in the browser."
        )
        return Page("index.html", NAME, about, body)

    def slim(self, path: str) -> None:
        """Leave headline, picture and slider of a baked page."""
        file = self.folder / path
        rule = (
            ".rx-page :is(.rx-top, .rx-ask, .rx-below, .rx-conditions, .rx-why) { display: none; }\n"
            "@media (max-width: 520px) { .rx-chart ~ .rx-chart { display: none; } }\n"
            ".alone { display: none; }\n</style>"
        )
        html = file.read_text(encoding="utf-8")
        file.write_text(html.replace("</style>", rule, 1), encoding="utf-8")

    def doors(self, live: bool) -> str:
        """Return the way to each story, with the question that it answers."""
        text = self.text("notebooks/00_start.ipynb", "index.html")
        html = ""
        if live:
            html += (
                '<li class="first"><a href="live/index.html">What do they say to your own digit or photo?</a>'
                "<p>Draw a digit or drop a photo: both networks answer in your browser. Take blocks out and "
                "watch.</p></li>\n"
            )
        html += (
            '<li class="first"><a href="lesson.html">The lesson: five steps, twenty minutes</a>'
            "<p>Draw a guess, take an addition away, watch what gradients do, cut a block.</p></li>\n"
        )
        for file, question, answer in questions(shipped("notebooks", "00_start.ipynb")):
            there = self.pages[f"notebooks/{file}"]
            label = next(entry.label for entry in self.entries if entry.path == there)
            html += f'<li><p class="of">{escape(label)}</p><a href="{there}">{escape(question)}</a>'
            html += f"{text.html(answer).strip()}</li>\n"
        return html

    def how_to_get_them(self) -> str:
        """Return one sentence with the notebooks' files."""
        files = sorted(path.name for path in shipped("notebooks").glob("*.ipynb"))
        links = ", ".join(
            f'<a href="notebooks/{name}" download>{Path(name).stem.partition("_")[0]}</a>' for name in files
        )
        return (
            "<code>make lab</code> in the project's folder installs and opens them, and "
            "<code>resnet-explore lab</code> does where the package is installed. As files: " + links + "."
        )

    def guide(self) -> None:
        """Write the pages of docs/, and what of the README is a guide."""
        if CHECKOUT is None:
            self.say("Left out: the guide, which lies in the source tree and not in an installed package.")
            return
        others = [self.doc(path) for path in self.docs]
        text = self.text("README.md", "docs/guide.html")
        html = text.html(_sections((CHECKOUT / "README.md").read_text(encoding="utf-8"), _GUIDE))
        links = "".join(
            f'<li><a href="{page.path.removeprefix("docs/")}">{escape(page.title)}</a></li>'
            for page in others
        )
        body = f"<h1>Guide</h1>\n{contents(text)}<ul>{links}</ul>\n{html}"
        self.page(Page("docs/guide.html", "Guide", "How to use resnet_explore in your own code.", body))
        for page in others:
            self.page(page)

    def doc(self, path: Path) -> Page:
        """Return a page of docs/, with the pictures that it shows beside it."""
        markdown = path.read_text(encoding="utf-8")
        for picture in re.findall(r"!\[[^\]]*\]\(([\w.-]+)\)", markdown):
            self.plain(f"docs/{picture}", (path.parent / picture).read_bytes())
            self.pages[f"docs/{picture}"] = f"docs/{picture}"
        text = self.text(f"docs/{path.name}", f"docs/{path.stem}.html")
        head, rest = _after_title(text.html(markdown))
        title, _, after = markdown.partition("\n")
        about = summary(_plain(after.strip().partition("\n\n")[0]))
        up = '<p><a href="guide.html">Guide</a></p>\n'
        return Page(text.path, title.lstrip("# "), about, up + head + contents(text) + rest)

    def text(self, source: str, path: str) -> MarkdownPage:
        """Return what turns Markdown of a file into HTML of a page."""
        return MarkdownPage(source, path, self.pages)


def _places(story: Story, explorer: Explorer) -> dict[str, list[Any]]:
    """Return values that explorers of a story are opened with and that no control leads to, by field."""
    names = sorted({field.name for field in fields(explorer.State)} - set(explorer.bakes))
    places: dict[str, list[Any]] = {}
    for name in names:
        opened: list[Any] = []
        for shown in story.explorers:
            value = shown.arguments.get(name, getattr(explorer.state, name))
            if value not in opened:
                opened.append(value)
        if len(opened) > 1:
            places[name] = opened
    return places


def _about_reference() -> str:
    return f"All {sum(map(len, public().values()))} public names of resnet_explore, from their docstrings."


def _after_title(html: str) -> tuple[str, str]:
    head, end, rest = html.partition("</h1>")
    return head + end + "\n", rest


def _first_words(story: Story) -> str:
    """Return the first paragraph of a story, without Markdown."""
    first = next(part.markdown for part in story.parts if isinstance(part, StoryText))
    return _plain(first.split("\n\n")[1])


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", markdown)


def _sections(markdown: str, titles: Sequence[str]) -> str:
    """Return some second-level sections of a text, in the order asked for."""
    parts = re.split(r"(?m)^## (.*)$", markdown)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return "\n\n".join(f"## {title}\n{found[title]}" for title in titles if title in found)
