"""The one file of a page that needs no Python: its views, packed, with the explorers' script and style."""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from resnet_explore import __version__
from resnet_explore.widgets.browser.bundle import STYLE, bundle
from resnet_explore.widgets.core.files import formats_of, kinds_of
from resnet_explore.widgets.core.state import values_of
from resnet_explore.widgets.core.view import SCHEMA, Can, Encoded, View, encode, encode_aside, offline_parts


@dataclass
class BakedView:
    """One view of a baked page: the state that it was computed for, and where one can go from it.

    call      the Python behind it, "" where there is none
    made_for  the fields that have to be so for this view; the page follows the others by itself
    unused    of the others those that the view doesn't depend on
    moves     what can be set here and is baked, {(field, value as JSON)}
    """

    state: Any
    view: View
    call: str
    made_for: Mapping[str, Any]
    unused: Sequence[str] = ()
    moves: set[tuple[str, str]] = field(default_factory=set)

    def can(self, name: str, value: Any) -> bool:
        """Whether the page has an answer where a field is set to a value."""
        local = name not in self.made_for
        return local or value == self.made_for[name] or (name, json.dumps(value)) in self.moves


def without_python(view: View, can: Can) -> View:
    """Return a view whose controls offer what `can(field, value)` allows; the rest says where it works."""
    return replace(
        view,
        tabs=offline_parts(view.tabs, can),
        ask=offline_parts(view.ask, can),
        sliders=offline_parts(view.sliders, can),
        panels=[offline_parts(row, can) for row in view.panels or ()],
        below=[offline_parts(row, can) for row in view.below],
    )


def packed(found: Sequence[BakedView], code: Mapping[str, Any]) -> bytes:
    """Return all views, compressed: a JSON, its length before it, and all buffers behind it, each once."""
    pool = _Pool()
    table = {
        "schema": SCHEMA,
        "fields": list(values_of(found[0].state)),
        "code": code,
        "scenes": [_scene(scene, pool) for scene in found],
    }
    text = json.dumps(
        {**table, "buffers": pool.places, "shared": pool.shared}, separators=(",", ":")
    ).encode()
    return gzip.compress(len(text).to_bytes(4, "little") + text + b"".join(pool.buffers), 9, mtime=0)


def _scene(scene: BakedView, pool: "_Pool") -> dict[str, Any]:
    view = without_python(scene.view, scene.can)
    return {
        "state": values_of(scene.state),
        "made_for": scene.made_for,
        "unused": scene.unused,
        "call": scene.call,
        "formats": _formats(view),
        "tree": pool.add(encode(view)),
        "aside": pool.add(encode_aside(view)),
    }


def _formats(view: View) -> list[str]:
    """Return the endings of what the page can write alone: numbers of charts, surfaces and tables."""
    kinds = {kind.kind for kind in kinds_of([view.panels, view.below])}
    can = {suffix for suffix in formats_of(view) if suffix in (".png", ".svg")}
    return [*sorted(can), *([".csv"] if kinds & {"charts", "matrices", "surfaces", "table"} else [])]


class _Pool:
    """What views share is kept once: equal buffers, and equal large parts of their trees."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = []
        self.places: list[tuple[int, int]] = []  # where each begins, and how long it is
        self.shared: list[Any] = []
        self._length = 0
        self._known: dict[bytes, int] = {}
        self._trees: dict[str, int] = {}

    def add(self, encoded: Encoded) -> Any:
        """Return a tree whose arrays are counted through all views."""
        return self._tree(encoded.tree, [self._buffer(bytes(buffer)) for buffer in encoded.buffers])

    def _buffer(self, data: bytes) -> int:
        name = hashlib.sha256(data).digest()
        if name not in self._known:
            self._known[name] = len(self.buffers)
            self.buffers.append(data)
            self.places.append((self._length, len(data)))
            self._length += len(data)
        return self._known[name]

    def _tree(self, tree: Any, places: Sequence[int]) -> Any:
        if isinstance(tree, list):
            return self._once([self._tree(entry, places) for entry in tree])
        if not isinstance(tree, dict):
            return tree
        if "$array" in tree:
            return {**tree, "$array": places[tree["$array"]]}
        return self._once({name: self._tree(entry, places) for name, entry in tree.items()})

    def _once(self, tree: Any) -> Any:
        text = json.dumps(tree, sort_keys=True)
        if len(text) < 200:  # characters, below which a reference saves nothing
            return tree
        if text not in self._trees:
            self._trees[text] = len(self.shared)
            self.shared.append(tree)
        return {"$shared": self._trees[text]}


_OLD = "This browser is too old for this page. It needs Chrome 123, Firefox 120, Safari 17.5 or newer."
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="resnet_explore {version}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; background: light-dark(#fff, #15171b); }}
body {{ margin: 0 auto; padding: 8px; max-width: 1136px; }}
{style}
</style>
<body>
<main><noscript>This page needs JavaScript, which is switched off in this browser.</noscript></main>
<script>
if (typeof DecompressionStream === "undefined" || !CSS.supports("color", "light-dark(red, red)"))
  document.querySelector("main").innerHTML = "<p role='alert'>{old}</p>";
</script>
<script type="module">
{script}
baked.open(document.querySelector("main"), "{packed}");
</script>
</body>
</html>
"""


def html_page(title: str, data: bytes) -> str:
    return _PAGE.format(
        old=_OLD,
        version=__version__,
        title=escape(title),
        style=STYLE.read_text(encoding="utf-8"),
        script=bundle("baked.js").replace("export default", "const baked ="),
        packed=base64.b64encode(data).decode(),
    )
