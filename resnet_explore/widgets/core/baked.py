"""A page that needs no Python: every view that a person can come to is computed beforehand.

The page is the explorers' own script; what stands in for the kernel is `browser/baked.js`, which looks the
view up. What a slider moves by itself is in a view anyway, so there is one view for each tab and each entry
of a menu that is baked, and not one for each position of a slider.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.packed import BakedView, html_page, packed
from resnet_explore.widgets.core.runner import Job, Runner
from resnet_explore.widgets.core.state import values_of
from resnet_explore.widgets.core.view import Group, More, Part, View, encode, settled

if TYPE_CHECKING:
    from resnet_explore.widgets.core.explorer import Explorer

MOST_VIEWS = 400
LIMIT_MB = 8.0


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
                view = explorer.presented(state, found)
                local, unused = encode(view).local, sorted(explorer.unused(state))
                made_for = {n: v for n, v in values_of(state).items() if n not in {*local, *unused}}
                return BakedView(state, view, explorer.call_of(state), made_for, unused)
            state = arrived


def scenes(
    explorer: "Explorer", starts: Sequence[Any], vary: Mapping[str, Sequence[Any] | None]
) -> list[BakedView]:
    """Return the views of states, and every view that can be reached from them by changing what is varied.

    starts  the first is the one that is shown at first
    vary    {a field of the state: the values that are baked, None for all that a control offers}

    Raises `ExploreError` if the first view can't be computed, or for more than 400 views. A later view that
    can't be computed is left out, be it that of a state or one that can be reached.
    """
    bench = _Bakery(explorer)
    try:
        return list(_explored(bench, starts, vary).values())
    finally:
        bench.runner.stop()


def _explored(
    bench: _Bakery, starts: Sequence[Any], vary: Mapping[str, Sequence[Any] | None]
) -> dict[str, BakedView]:
    first = bench.scene(starts[0])
    known = {_key(first): first}
    for start in starts[1:]:
        try:
            scene = _known(known, start) or bench.scene(start)
        except ExploreError:
            continue
        known[_key(scene)] = scene
        _require_few(known)
    waiting = list(known.values())
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
                _require_few(known, f", such as {name}=[{value!r}]")
            here.moves.add((name, json.dumps(value)))
    return known


def _require_few(known: Mapping[str, BakedView], example: str = "") -> None:
    if len(known) > MOST_VIEWS:
        raise ExploreError(f"The page would have more than {MOST_VIEWS} views: list fewer values{example}.")


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
    values = values_of(state)
    fitting = (s for s in known.values() if all(values[n] == value for n, value in s.made_for.items()))
    return next(fitting, None)


def _key(scene: BakedView) -> str:
    return json.dumps(scene.made_for, sort_keys=True)


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
    # A value that no control leads to, such as another step of a lesson, is where one can start, too.
    starts = [
        explorer.settled_from(start, {name: value}) for name, values in lists.items() for value in values
    ]
    found = scenes(explorer, [start, *starts], vary)
    code = {
        "name": type(explorer).__name__,
        "given": list(explorer.given_in_code()),
        "between": list(explorer.steps_in_code()),
        "notes": list(explorer.notes_in_code()),
        "first": {**values_of(type(start)()), **explorer.filled_in()},
    }
    first_view = settled(found[0].view, found[0].state)
    asked = first_view.question  # whose answer the title must not tell
    return html_page(str(asked.text if asked else first_view.headline), packed(found, code)), len(found)


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
