"""The static site: that it is whole, leads nowhere astray, and replaces nothing that isn't a site."""

import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import pytest

import resnet_explore as rx
from resnet_explore.cli.main import main
from resnet_explore.errors import ExploreError
from resnet_explore.pages.site import build as build_module
from resnet_explore.pages.site.build import MARK, build_site
from resnet_explore.pages.site.docstrings import docstring_html
from resnet_explore.pages.site.markdown import MarkdownPage
from resnet_explore.pages.site.reference import signature
from resnet_explore.pages.site.stories import (
    Story,
    StoryCode,
    StoryText,
    StoryWidget,
    made_by,
    questions,
    stories,
    without_notebook,
)
from tests.widgets.made_up import AskedPowers
from tests.widgets.pages import unpacked, whole

ROOT = Path(__file__).resolve().parents[2]
# Where a page may lead out of the site: what it cites.
CITED = {"arxiv.org", "distill.pub", "transformer-circuits.pub"}


def offline():
    raise ExploreError("onnxruntime-web could not be downloaded (no connection).")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A site with one explorer, and what was said while it was built."""
    folder, said = tmp_path_factory.mktemp("made") / "site", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "fetch_runtime", offline)
        build_site(folder, ["degradation"], said.append)
    return folder, said


@pytest.fixture(scope="module")
def site(built):
    return built[0]


class Page(HTMLParser):
    """What a page holds: anchors, links, words, and what a checker of barriers would look for first."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.words, self.titles, self.lang, self.skipped = set(), [], [], [], "", 0
        self.without_alt = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, given):
        given = dict(given)
        self.skipped += tag in ("script", "style")
        if tag == "html":
            self.lang = given.get("lang")
        if tag in ("title", "h1", "meta"):
            self.titles.append((tag, given.get("name")))
        if tag == "img" and not given.get("alt"):
            self.without_alt.append(given)
        if "id" in given:
            assert given["id"] not in self.ids, f"twice: {given['id']}"
            self.ids.add(given["id"])
        self.links += [given[name] for name in ("href", "src") if name in given]

    def handle_endtag(self, tag):
        self.skipped -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.skipped:
            self.words.append(data)

    @property
    def text(self):
        return squeezed("".join(self.words))


def squeezed(text):
    return re.sub(r"\s+", "", text)


@functools.cache
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_link_leads_somewhere_and_none_out_but_citations(site):
    found = pages(site)
    wrong = []
    for name, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if link == "data:," or (parts.scheme == "https" and parts.netloc in CITED):
                continue
            path, anchor = urldefrag(link)
            there = (site / name).parent / path if path else site / name
            whole = there / "index.html" if path.endswith("/") else there
            if name == "404.html" and path in ("./", "../"):
                continue  # which is right from where it is shown
            inside = whole.resolve().is_relative_to(site.resolve()) and whole.is_file()
            target = found.get(whole.resolve().relative_to(site.resolve()).as_posix()) if inside else None
            known = not anchor or "=" in anchor or (target and anchor in target.ids)
            if parts.scheme or parts.netloc or path.startswith("/") or not inside or not known:
                wrong.append(f"{name}: {link}")
    assert not wrong


def test_nothing_is_loaded_from_elsewhere(site):
    for path in (*site.glob("*.css"), *site.glob("*.js"), *site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"@import|url\((?!#|\$)|importScripts|<link[^>]+https?:|src=.https?:", text), (
            path
        )


def test_every_page_says_what_it_is(site):
    for name, page in pages(site).items():
        assert page.lang == "en", name
        assert ("title", None) in page.titles, name
        assert ("meta", "description") in page.titles, name
        assert not page.without_alt, name
        if not name.startswith("explorers/"):
            assert page.titles.count(("h1", None)) == 1, name


def test_every_public_name_has_its_place(site):
    page = pages(site)["reference.html"]
    assert set(rx.__all__) <= page.ids
    text = page.text
    for said in ("Raises ExploreError for an unknown name or field", "arXiv 1605.06431", "limit_mb"):
        assert squeezed(said) in text


def in_words(markdown):
    """Return Markdown without its marks, as a page's text has it."""
    text = re.sub(r"</?(?:details|summary)>", "", markdown)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s*(?:#+|-|\d+\.)\s", "", text)
    return squeezed(re.sub(r"[*`|]", "", text))


def test_stories_are_told_whole(site):
    found = pages(site)
    for story in stories(ROOT / "notebooks"):
        page = found[f"{story.name}.html"]
        for part in story.parts:
            if isinstance(part, StoryText):
                lines = [line for line in part.markdown.split("\n") if line.strip("|-: ")]
                assert [line for line in lines if in_words(line) not in page.text] == []
            elif isinstance(part, StoryCode):
                assert squeezed(part.source) in page.text
            else:
                assert part.name in page.ids or (site / f"explorers/{part.name}.png").is_file()


def test_nobody_is_told_to_run_a_cell(site):
    for story in stories(ROOT / "notebooks"):
        text = (site / f"{story.name}.html").read_text(encoding="utf-8")
        assert not re.search("run the cell[^s]|missing\\?|▶|next notebook", text, re.IGNORECASE)


def test_text_says_what_holds_in_a_notebook_or_on_the_site_only():
    told = "1. Look. <!-- notebook -->\n2. Press *Train*.\n\nWait. <!-- /notebook -->\n3. Done."
    assert without_notebook(told) == "1. Look. \n3. Done."
    assert (
        without_notebook("<!-- notebook -->Run.<!-- /notebook --><!-- site: Move *it*. -->") == "Move *it*."
    )
    assert (
        without_notebook("A.\n\n*Opened this notebook again and nothing moves? Run it.*\n\nB.") == "A.\n\nB."
    )


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_folds_and_marks_of_notebooks_are_whole(path):
    """They open and close within a cell, here and on the site, and there is no other HTML."""
    fold = r"<details>\n<summary>[^<>]+</summary>\n\n[^<>]+\n\n</details>"
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            source = re.sub(r"`[^`\n]*`", "", "".join(cell["source"]))
            there = re.sub(r"(?s)<!-- /?notebook -->|<!-- site: .*? -->", "", source)
            for text in (there, without_notebook(source)):
                assert "<" not in re.sub(fold, "", text)
            begun = re.findall(r"(?m)^\s*(?:[-*]|\d+\.)?\s*<!-- .*-->[ \t]*\S.*$", source)
            assert not begun, "JupyterLab takes a line that begins with a comment for HTML"


# Controls, and choices of menus, that are grey where there is no Python.
GREY = {
    "degradation": {"Train", "Stop", "Seed", "Runs", "Your folder of images"},
    "gradient-flow": {"Take 10 SGD steps", "Start", "Shown", "Activation: none (linear)"},
    "saliency": {"Answers", "Ask about", "Rather than", "Networks", "Judge"},
    "feature-maps": {"Networks", "Digits twins"},
    "architectures": {"resnet152", "hrnet_w18"},
    "skips": {"Layers", "Networks", "Undo", "Surprise me"},
}


@pytest.mark.parametrize("name", GREY)
def test_no_story_names_what_is_grey_there(name):
    (story,) = (story for story in stories(ROOT / "notebooks") if story.name == name)
    told = "\n".join(part.markdown for part in story.parts if isinstance(part, StoryText))
    assert not GREY[name] & set(re.findall(r"\*([^*\n]+)\*", told))


def test_all_explorers_of_the_notebooks_are_found():
    shown = {story.name: [each.name for each in story.explorers] for story in stories(ROOT / "notebooks")}
    assert shown["skips"] == ["skips", "skips-imagenette", "skips-inside", "skips-studies", "skips-training"]
    assert {name: names[0] for name, names in shown.items()} == {name: name for name in shown}
    asked = questions(ROOT / "notebooks/00_start.ipynb")
    assert [file for file, _, _ in asked] == [story.file for story in stories(ROOT / "notebooks")[1:]]


def test_only_cells_that_make_nothing_else_become_explorers():
    assert made_by("import resnet_explore as rx\n\nrx.SkipExplorer()") == ("SkipExplorer", {})
    assert made_by("e = rx.SkipExplorer(view='inside', deleted=())\ne") == (
        "SkipExplorer",
        {"view": "inside", "deleted": ()},
    )
    for source in (
        "e = rx.SkipExplorer()\nf",
        "rx.SkipExplorer(model)",
        "rx.SkipExplorer(models=m)",
        "rx.build('a')",
    ):
        assert made_by(source) is None
    assert (
        StoryWidget("skips", "SkipExplorer", {"view": "inside", "deleted": ()}).address
        == "view=inside&deleted=%5B%5D"
    )
    asking = StoryWidget("skips", "SkipExplorer", {"guess": True, "depth": 20})
    assert (asking.address, asking.line) == ("guess=true&depth=20", "rx.SkipExplorer(guess=True, depth=20)")
    assert StoryWidget("skips", "SkipExplorer", {"guess": True}).address == ""


def test_what_is_built_is_said_with_its_size(built):
    said = "\n".join(built[1])
    assert re.search(r"^explorers/degradation\.html: \d\.\d MB, \d+ views$", said, re.MULTILINE)
    assert re.search(r"^degradation\.html: \d+ kB$", said, re.MULTILINE)
    assert "Left out: the page on which networks run. onnxruntime-web could not be downloaded" in said


def test_what_is_left_out_says_so(site):
    assert not (site / "live").exists()
    assert "live/index.html" not in (site / "index.html").read_text()
    assert (site / "explorers/degradation.html").is_file()
    assert not (site / "explorers/skips.html").exists()
    page = pages(site)["skips.html"]
    assert (
        squeezed("This explorer is not part of this site. It is in the notebook: rx.SkipExplorer(guess=True)")
        in page.text
    )
    assert "notebooks/06_skips.ipynb" in page.links


def test_a_story_that_asks_anywhere_is_baked_with_its_questions(tmp_path, monkeypatch):
    monkeypatch.setattr(rx, "PowerExplorer", AskedPowers, raising=False)
    parts = [
        StoryText("# Powers\n\nThey grow."),
        StoryWidget("powers", "PowerExplorer", {"offset": 0}),
        StoryWidget("powers-asked", "PowerExplorer", {"offset": 1, "guess": True}),
    ]
    site = build_module._Site(tmp_path, ["powers"], lambda line: None, lambda line: None)
    said = site.explorers(Story("powers", "10_powers.ipynb", parts))
    assert said == {"powers": "2 to the 2 is 4.", "powers-asked": "2 to the 2 is 4."}
    asked = {}
    page, arrays = unpacked(tmp_path / "explorers/powers.html")
    for scene in page["scenes"]:
        state, view = scene["state"], whole(scene["tree"], page, arrays)
        asked[state["view"], state["base"], state["offset"]] = view["question"] is not None
    assert [place for place, asks in asked.items() if asks] == [("curve", 2, 0), ("curve", 2, 1)]
    assert asked["curve", 3, 0] is False


def test_what_explorers_of_a_story_are_opened_with_is_baked_if_it_is_of_their_state():
    opened = [{"offset": 0, "base": 2, "guess": True}, {"offset": 1, "base": 3, "guess": True}]
    story = Story("powers", "10_powers.ipynb", [StoryWidget("powers", "PowerExplorer", a) for a in opened])
    explorer = AskedPowers()
    assert build_module._places(story, explorer) == {"offset": [0, 1]}, "a menu leads to the bases"
    explorer.close()


def test_each_explorer_of_the_skips_opens_with_its_networks():
    (story,) = (story for story in stories(ROOT / "notebooks") if story.name == "skips")
    explorer = rx.SkipExplorer()
    places = build_module._places(story, explorer)
    assert places == {"networks": ["digits", "imagenette"]}
    for shown in story.explorers:
        fields = {name: value for name, value in shown.arguments.items() if name != "guess"}
        assert explorer.worth_baking(explorer.settled_from(explorer.state, fields))
    photos, two = rx.SkipExplorer(networks="imagenette"), {"networks": "imagenette", "deleted": (1, 2)}
    assert photos.worth_baking(photos.settled_from(photos.state, two)), "of itself, all is there"
    assert not explorer.worth_baking(photos.settled_from(photos.state, two))
    photos.close()
    explorer.close()


def test_the_live_page_leads_back(tmp_path, monkeypatch):
    def write_live(folder, runtime):
        folder.mkdir()
        (folder / "index.html").write_text(f"<main>\n<h1>{runtime}</h1></main>")

    monkeypatch.setattr(build_module, "write_live", write_live)
    monkeypatch.setattr(build_module, "fetch_runtime", lambda: "there")
    said = []
    assert build_module._Site(tmp_path, [], said.append, said.append).live()
    page = Page(tmp_path / "live/index.html")
    assert page.links == ["../index.html"]
    assert "there" in page.text
    assert said == ["live/index.html: 0.0 MB with its networks and runtime"]


def test_the_notebooks_lie_beside_the_pages(site):
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / path.name).read_bytes() == path.read_bytes()
        assert json.loads(path.read_text())["cells"]


# --- where it is written ---


@pytest.fixture
def quick(monkeypatch):
    """Builds that write no more than a file, unless told to stop."""

    def write(self):
        self.plain(MARK, "")
        self.plain("index.html", "new")

    monkeypatch.setattr(build_module._Site, "write", write)
    return monkeypatch


def test_a_site_is_replaced_as_a_whole(tmp_path, quick):
    build_site(tmp_path / "site")
    (tmp_path / "site" / "old.html").write_text("")
    build_site(tmp_path / "site")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["index.html", MARK, "site"]


def test_an_empty_folder_is_taken(tmp_path, quick):
    build_site(tmp_path)
    assert (tmp_path / "index.html").is_file()


def test_what_is_no_site_of_ours_is_refused(tmp_path, quick):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ExploreError, match="something else than a site"):
        build_site(tmp_path)
    with pytest.raises(ExploreError, match="something else than a site"):
        build_site(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_build_that_is_stopped_leaves_what_was_there(tmp_path, quick):
    build_site(tmp_path / "site")

    def stopped(self):
        self.plain("index.html", "half")
        raise KeyboardInterrupt

    quick.setattr(build_module._Site, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        build_site(tmp_path / "site")
    assert (tmp_path / "site" / "index.html").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path, quick):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExploreError, match="can't be written"):
        build_site(tmp_path / "file" / "site")


def test_an_unknown_explorer_gets_one_sentence(tmp_path, capsys):
    assert main(["site", str(tmp_path / "site"), "--only", "degredation"]) == 2
    assert capsys.readouterr().err == (
        "resnet-explore: Unknown explorer 'degredation': did you mean 'degradation'?\n"
    )
    assert not [*tmp_path.iterdir()]


# --- text ---


def test_links_between_files_become_links_between_pages():
    known = {"notebooks/02_gradient_flow.ipynb": "gradient-flow.html", "docs/rooms.svg": "docs/rooms.svg"}
    text = MarkdownPage("notebooks/01_degradation.ipynb", "degradation.html", known)
    assert '<a href="gradient-flow.html#a">' in text.html("[next](02_gradient_flow.ipynb#a)")
    assert text.html("[code](../resnet_explore/paths.py)").strip() == "<p>code</p>"
    deep = MarkdownPage("docs/a.md", "docs/a.html", known)
    assert '<a href="../gradient-flow.html">' in deep.html("[x](../notebooks/02_gradient_flow.ipynb)")
    assert '<img src="../docs/rooms.svg" alt="Rooms &lt;1&gt;"' in deep.html("![Rooms <1>](rooms.svg)")


def test_text_is_escaped():
    text = MarkdownPage("docs/a.md", "docs/a.html", {})
    html = text.html('# a <b> & "c"\n\n<script>alert(1)</script> `<i>`\n\n[x](javascript:alert(1))')
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "javascript" not in html
    assert "<script" not in docstring_html("A <script>.\n\nx  <script>\n\n    <script>", lambda name: None)


def test_folds_are_the_only_html_that_passes():
    text = MarkdownPage("docs/a.md", "docs/a.html", {})
    html = text.html("<details>\n<summary>More: a & b</summary>\n\n- **one**\n\n</details>\n\nAfter.")
    assert html.startswith("<details>\n<summary>More: a &amp; b</summary>\n<ul>\n<li><strong>one</strong>")
    assert html.endswith("</details>\n<p>After.</p>\n")
    for other in (
        '<details onclick="go()"><summary>a</summary>',
        "<details><summary><b>a</b></summary>",
        "<details>a",
        "</details><script>go()</script>",
    ):
        assert "<details" not in text.html(other)
        assert not re.search("</details>|<script|<b>", text.html(other))


def test_equal_headings_get_anchors_of_their_own():
    text = MarkdownPage("docs/a.md", "docs/a.html", {})
    html = text.html("## The `end` & more\n\n## The end & more\n")
    assert re.findall('id="([^"]*)"', html) == ["the-end-more", "the-end-more-2"]


def test_both_kinds_of_docstrings_are_read():
    ours = docstring_html(
        "Say.\n\nimages  float (N,)\n        more\nmode    one\n\nRaises `ExploreError`: arXiv 1512.03385.",
        lambda name: f"#{name}",
    )
    assert "<dt><code>images</code></dt><dd>float (N,) more</dd>" in ours
    assert '<a href="#ExploreError"><code>ExploreError</code></a>' in ours
    assert '<a href="https://arxiv.org/abs/1512.03385">arXiv 1512.03385</a>' in ours
    numpys = docstring_html(
        "Say.\n\nParameters\n----------\npath : where\n    and more\n\nRaises\n------\nKeyError\n    For it.",
        lambda name: None,
    )
    assert '<p class="title">Parameters</p>' in numpys
    assert "<dt><code>path</code></dt><dd>where and more</dd>" in numpys
    assert "<dt><code>KeyError</code></dt><dd>For it.</dd>" in numpys


def test_signatures_are_short_and_the_same_in_every_build():
    assert signature(rx.load_dataset, "load_dataset").startswith(
        "load_dataset(\n    name: str,\n    split: str = 'train',"
    )
    for name in rx.__all__:
        found = signature(getattr(rx, name), name)
        assert "0x" not in found
        assert "torch." not in found
