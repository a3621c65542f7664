"""An explorer in a page: a frame with its own page, its picture for paper, and lines to put it elsewhere."""

from html import escape

from resnet_explore.pages.site.stories import Story, StoryWidget

_HEIGHT = 760  # pixels, where nothing tells the page around how high an explorer is


def explorer_html(shown: StoryWidget, story: Story, headline: str, page: str = "", under: bool = True) -> str:
    """Return an explorer in a page at the site's root.

    headline  says in words what its picture shows; "" where there is no picture
    page      of the explorer, by default the story's
    under     whether lines to embed it stand below
    """
    file = f"explorers/{page or story.name}.html"
    address = f"{file}#{shown.address}" if shown.address else file
    title = f"{story.title.partition(':')[0]} explorer"
    if "view" in shown.arguments:
        title += f", {shown.arguments['view']}"
    loading = "lazy" if under else "eager"
    still = (
        f'<img class="still" src="explorers/{shown.name}.png" alt="{escape(headline)}" loading="lazy">\n'
        '<p class="still-note">As this page opens.</p>\n'
        if headline
        else ""
    )
    return (
        f'<div class="explorer" id="{shown.name}">\n'
        f'<iframe src="{escape(address)}" title="{escape(title)}" data-name="{shown.name}" '
        f'loading="{loading}" allow="clipboard-write"></iframe>\n'
        f"{still}{_without_script(shown, headline)}{_under(shown, address, title) if under else ''}</div>\n"
    )


def in_the_notebook(shown: StoryWidget, story: Story) -> str:
    """Say in an explorer's place that it is left out here."""
    return (
        f'<div class="explorer" id="{shown.name}"><p class="note missing">This explorer is not part of this '
        f'site. It is in <a href="notebooks/{story.file}" download>the notebook</a>: '
        f"<code>{escape(shown.line)}</code></p></div>\n"
    )


def picture_html(file: str, alt: str, headline: str, caption: str) -> str:
    """Return a picture that nothing moves."""
    return (
        f'<figure class="wide"><img src="{escape(file)}" alt="{escape(alt)}" loading="lazy">'
        f"<figcaption><b>{escape(headline)}</b> {escape(caption)}</figcaption></figure>\n"
    )


def _without_script(shown: StoryWidget, headline: str) -> str:
    if not headline:
        return ""
    return (
        f'<noscript><p class="missing">Without JavaScript nothing moves here. '
        f'<a href="explorers/{shown.name}.png">A picture</a>: {escape(headline)}</p></noscript>\n'
    )


def _under(shown: StoryWidget, address: str, title: str) -> str:
    """Return the links below an explorer: its own page, and lines to embed it."""
    frame = (
        f'<iframe src="ADDRESS" title="{title}" width="100%" height="{_HEIGHT}" loading="lazy" '
        'allow="clipboard-write" style="border: 0"></iframe>'
    )
    lines = {
        "Slides and web pages": frame,
        "Moodle (in the editor's HTML view)": f"<p>{frame}</p>",
        "MyST": f":::{{iframe}} ADDRESS\n:width: 100%\n{title}\n:::",
        "Quarto": f"```{{=html}}\n{frame}\n```",
        "Python": f"import resnet_explore as rx\n\n{shown.line}",
    }
    rows = "".join(
        f"<dt>{escape(name)} "
        f'<button type="button" hidden aria-label="Copy: {escape(name)}">Copy</button></dt>'
        f'<dd><pre><code data-lines="{escape(text)}">{escape(text.replace("ADDRESS", address))}</code></pre>'
        "</dd>\n"
        for name, text in lines.items()
    )
    return (
        f'<div class="under"><a href="{escape(address)}">This explorer alone</a>\n'
        f'<details class="embed"><summary>Embed this</summary>\n<dl>{rows}</dl></details></div>\n'
    )
