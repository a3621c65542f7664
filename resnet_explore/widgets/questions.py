"""The menus of what is asked of two networks, and by which method."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets

from resnet_explore.analysis.answers import Place
from resnet_explore.analysis.targets import Difference
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.saliency_jobs import DEPTHS, PARTS, RANDOM, methods_for

OWN_CHOICE = "each network's own first choice"
NOTHING = "nothing else"


class Questions(ipywidgets.VBox):
    """Menus for method, class, what it is compared with and what is shown; `ask` is called on a change.

    Attributes: `method`, `target`, `rather`, `over`, `everywhere` (the controls), `place` (where it is asked,
    None for all over).
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        menu = {"layout": {"width": "98%"}, "style": {"description_width": "6em"}}
        self._tell, self._quiet = ask, False
        self._indices: dict[str, int] = {}
        self.place: Place | None = None
        self.method = ipywidgets.Dropdown(options=methods_for([]), description="Method", **menu)
        self.target = ipywidgets.Dropdown(options=[OWN_CHOICE], description="Ask about", **menu)
        self.rather = ipywidgets.Dropdown(options=[NOTHING], description="Rather than", **menu)
        self.over = ipywidgets.Dropdown(options=[DEPTHS, PARTS, RANDOM], description="Show", **menu)
        self.everywhere = ipywidgets.Button(
            description="Forget the place", layout={"display": "none", "width": "98%"}
        )
        super().__init__([self.method, self.target, self.everywhere, self.rather, self.over])
        for control in (self.method, self.target, self.rather, self.over):
            control.observe(self._ask, "value")
        self.everywhere.on_click(lambda _: self.at(None))

    def _ask(self, _change: object = None) -> None:
        if not self._quiet:
            self._tell()

    def offer(self, names: Sequence[str], methods: Mapping[str, str], compare: bool) -> None:
        """Begin anew with other networks: their classes, methods by title, and whether classes compare."""
        self._quiet = True  # new options change the value; ask once, not four times
        try:
            self.everywhere.layout.display = "none" if compare else ""
            self._stand_at(None)
            self.rather.layout.display = "" if compare else "none"
            self._name(enumerate(names))
            self.target.options, self.rather.options = [OWN_CHOICE, *names], [NOTHING, *names]
            if dict(self.method.options) != dict(methods):
                chosen = self.method.value
                self.method.options = dict(methods)
                self.method.value = chosen if chosen in methods.values() else next(iter(methods.values()))
        finally:
            self._quiet = False

    def offer_found(self, names: Mapping[int, str]) -> None:
        """Offer the classes that detectors have found, and keep the one that is asked about."""
        options = [OWN_CHOICE, *names.values()]
        if list(self.target.options) == options:
            return
        self._quiet = True
        try:
            chosen = self.target.value
            self._name(names.items())
            self.target.options = options
            self.target.value = chosen if chosen in options else OWN_CHOICE
        finally:
            self._quiet = False

    def _name(self, classes: Iterable[tuple[int, str]]) -> None:
        self._indices = {name: index for index, name in classes}

    def at(self, place: Place | None) -> None:
        """Ask about a place in the picture, (down, across) in shares; None for all of it."""
        self._stand_at(place)
        self._ask()

    def forget_place(self) -> None:
        """Another picture has other things there."""
        self._stand_at(None)

    def _stand_at(self, place: Place | None) -> None:
        self.place = place
        self.everywhere.layout.visibility = "hidden" if place is None else "visible"  # keeps its room

    @property
    def asked(self) -> Any:
        """A class, None for each network's first choice, or a `Difference`; ExploreError for half of one."""
        this, that = self.target.value, self.rather.value
        index = None if this == OWN_CHOICE else self._indices[this]
        if that == NOTHING:
            return index
        if index is None:
            raise ExploreError("Choose a class to ask about first, then what it is compared with.")
        if this == that:
            raise ExploreError(f"Nothing speaks for {this} rather than {that}: choose two classes.")
        return Difference(index, self._indices[that])


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names of classes; those that several bear, as two of ImageNet's do, with their number."""
    often = Counter(names)
    return [name if often[name] == 1 else f"{name} ({k})" for k, name in enumerate(names)]
