"""A page that needs no Python: every view that a person can come to is computed beforehand.

The page is the explorers' own script; what stands in for the kernel is `browser/baked.js`, which looks the
view up. What a slider moves by itself is in a view anyway, so there is one view for each tab and each entry
of a menu that is baked, and not one for each position of a slider.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from resnet_explore import __version__
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.browser.bundle import STYLE, bundle
from resnet_explore.widgets.core.files import formats_of, kinds_of
from resnet_explore.widgets.core.runner import Job, Runner
from resnet_explore.widgets.core.view import (
    SCHEMA,
    Can,
    Encoded,
    Group,
    More,
    Part,
    View,
    encode,
    encode_aside,
    offline_parts,
    settled,
)

if TYPE_CHECKING:
    from resnet_explore.widgets.core.explorer import Explorer

MOST_VIEWS = 400
LIMIT_MB = 8.0


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


class _Bakery:
    """Computes the view of any state, beside what the explorer itself shows."""

    def __init__(self, explorer: "Explorer") -> None:
        self.explorer, self.problem = explorer, ""
        self.runner = Runner(lambda: None, self._failed, lambda: None, explorer.keep_most)

    def _failed(self, job: Job, sentence: str) -> None:
        self.problem = sentence

    def scene(self, state: Any) -> BakedView:
        """Return the finished view of a state; raises `ExploreError` where something can't be computed."""
        explorer, self.problem = self.explorer, ""
        while True:
            jobs = tuple(explorer.plan(state))
            self.runner.ask(jobs)
            self.runner.wait()
            if self.problem:
                raise ExploreError(self.problem)
            found = self.runner.found()
            arrived = explorer.arrived(state, found)
            if arrived == state and tuple(explorer.plan(state)) == jobs:
                view = explorer.present(state, found)
                local, unused = encode(view).local, sorted(explorer.unused(state))
                made_for = {n: v for n, v in _values(state).items() if n not in {*local, *unused}}
                return BakedView(state, view, explorer.call_of(state), made_for, unused)
            state = arrived


def scenes(explorer: "Explorer", start: Any, vary: Mapping[str, Sequence[Any] | None]) -> list[BakedView]:
    """Return the view of a state, and every view that can be reached from it by changing what is varied.

    vary  {a field of the state: the values that are baked, None for all that a control offers}

    Raises `ExploreError` if the first view can't be computed, or for more than 400 views. A later view that
    can't be computed is left out.
    """
    bench = _Bakery(explorer)
    try:
        return list(_explored(bench, start, vary).values())
    finally:
        bench.runner.stop()


def _explored(bench: _Bakery, start: Any, vary: Mapping[str, Sequence[Any] | None]) -> dict[str, BakedView]:
    first = bench.scene(start)
    known = {_key(first): first}
    waiting = [first]
    while waiting:
        here = waiting.pop(0)
        for name, value in _moves(here, vary):
            try:
                wanted = bench.explorer.settled_from(here.state, {name: value})
                there = _known(known, wanted)
                if there is None and not bench.explorer.worth_baking(wanted):
                    continue
                there = there or bench.scene(wanted)
            except ExploreError:
                continue  # its entry is greyed, as all that is not baked
            key = _key(there)
            if key not in known:
                known[key] = there
                waiting.append(there)
                if len(known) > MOST_VIEWS:
                    raise ExploreError(
                        f"The page would have more than {MOST_VIEWS} views: list fewer values, such as "
                        f"{name}=[{value!r}]."
                    )
            here.moves.add((name, json.dumps(value)))
    return known


def _moves(scene: BakedView, vary: Mapping[str, Sequence[Any] | None]) -> Iterator[tuple[str, Any]]:
    """Yield what a person can set in a view, of that which is varied; tabs come first."""
    shown = settled(scene.view, scene.state)
    for part in _controls(shown):
        for name, value in part.sets():
            allowed = vary.get(name, ())
            fits = allowed is None or json.dumps(value) in map(json.dumps, allowed)
            if fits and name in scene.made_for and value != scene.made_for[name]:
                yield name, value


def _controls(shown: View) -> Iterator[Part]:
    rows = [part for row in (*(shown.panels or ()), *shown.below) for part in row]
    waiting: list[Any] = [shown.tabs, *shown.ask, *shown.sliders, *rows]
    for part in waiting:  # which grows meanwhile
        if isinstance(part, Group):
            waiting.extend(part.parts)
        elif isinstance(part, More):
            waiting.extend(part.controls)
        elif isinstance(part, Part):
            yield part


def _known(known: Mapping[str, BakedView], state: Any) -> BakedView | None:
    """Return the view that is there for a state already."""
    values = _values(state)
    fitting = (s for s in known.values() if all(values[n] == value for n, value in s.made_for.items()))
    return next(fitting, None)


def _key(scene: BakedView) -> str:
    return json.dumps(scene.made_for, sort_keys=True)


def _values(state: Any) -> dict[str, Any]:
    return {f.name: getattr(state, f.name) for f in fields(state)}


# --- what of a view works without Python --------------------------------------------------------------------


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


# --- one file -----------------------------------------------------------------------------------------------


def baked_page(explorer: "Explorer", fixed: Mapping[str, Any]) -> tuple[str, int]:
    """Return a page of an explorer that needs no Python, and how many views it holds.

    fixed  {a field of the state: its value, or a list of all values that are baked}; what is not named is as
           the explorer shows it now, and varied as `explorer.bakes` says

    Raises `ExploreError` for a field or value that there is not, and for too many views.
    """
    first = {name: _first(name, value) for name, value in fixed.items()}
    start = explorer.settled_from(explorer.state, first)
    lists = {n: _listed(explorer, start, n, v) for n, v in fixed.items() if isinstance(v, list)}
    vary = {name: values for name, values in explorer.bakes.items() if name not in fixed} | lists
    found = scenes(explorer, start, vary)
    code = {
        "name": type(explorer).__name__,
        "given": list(explorer.context_in_code()),
        "between": list(explorer.steps_in_code()),
        "notes": list(explorer.notes_in_code()),
        "first": {**_values(type(start)()), **explorer.filled_in()},
    }
    packed = base64.b64encode(_packed(found, code)).decode()
    return _page(str(settled(found[0].view, found[0].state).headline), packed), len(found)


def _first(name: str, value: Any) -> Any:
    if value == []:
        raise ExploreError(f"{name} lists no value.")
    return value[0] if isinstance(value, list) else value


def _listed(explorer: "Explorer", start: Any, name: str, values: Sequence[Any]) -> list[Any]:
    """Return listed values as the state has them; raises `ExploreError` for one that there is not."""
    found = []
    for value in values:
        settled_value = getattr(explorer.settled_from(start, {name: value}), name)
        if json.dumps(settled_value) != json.dumps(value) and settled_value != value:
            raise ExploreError(f"{name}={value!r} can't be shown there.")
        found.append(settled_value)
    return found


def _packed(found: Sequence[BakedView], code: Mapping[str, Any]) -> bytes:
    """Return all views, compressed: a JSON, its length before it, and all buffers behind it, each once."""
    pool = _Pool()
    table = {
        "schema": SCHEMA,
        "fields": list(_values(found[0].state)),
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
        "state": _values(scene.state),
        "made_for": scene.made_for,
        "unused": scene.unused,
        "call": scene.call,
        "formats": _formats(view),
        "tree": pool.add(encode(view)),
        "aside": pool.add(encode_aside(view)),
    }


def _formats(view: View) -> list[str]:
    """Return the endings of what the page can write by itself: of numbers those in charts and tables."""
    kinds = {kind.kind for kind in kinds_of([view.panels, view.below])}
    can = {suffix for suffix in formats_of(view) if suffix in (".png", ".svg")}
    return [*sorted(can), *([".csv"] if kinds & {"charts", "table"} else [])]


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


def _page(title: str, packed: str) -> str:
    return _PAGE.format(
        old=_OLD,
        version=__version__,
        title=_escaped(title),
        style=STYLE.read_text(encoding="utf-8"),
        script=bundle("baked.js").replace("export default", "const baked ="),
        packed=packed,
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
