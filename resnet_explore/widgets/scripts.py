"""The browser's side of the widgets: their style, and scripts that stand on their own."""

from pathlib import Path

_HERE = Path(__file__).parent

STYLE = _HERE / "card.css"


def script(*names: str) -> str:
    """Return the ES module that is made of these scripts of this folder, of which the last exports `render`.

    A notebook has no address for a second file, offline least of all, so a widget's script can import
    nothing: its parts, and before them what all widgets share (`page.js`), are joined to one.
    """
    return "\n".join((_HERE / f"{name}.js").read_text(encoding="utf-8") for name in ("page", *names))
