"""The switches of the gradient explorer: under what conditions networks are measured, and what is shown."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import ipywidgets

from resnet_explore.inputs.datasets import is_here
from resnet_explore.widgets.fetch import TITLES
from resnet_explore.widgets.gradient_lab import (
    ACTIVATION_NAMES,
    DATA,
    MODES,
    NORMS,
    OWN,
    STARTS,
    STEPS,
    Conditions,
)
from resnet_explore.widgets.gradient_views import SHOWN


class Switches:
    """Menus for conditions, and buttons for steps of SGD; `given` is what they all say.

    own      whether there are images of the reader's own
    changed  called with a sentence after a change, says whether what is asked for can be measured; where it
             can't, the menu or the steps go back

    Attributes: `data`, `mode`, `norm`, `start`, `activation` and `shown` (menus), `take` and `reset`
    (buttons), `steps`.
    """

    def __init__(self, own: bool, changed: Callable[[str], bool]) -> None:
        self.steps, self._changed, self._settling = 0, changed, False
        self._own = own
        self.data = menu("Data", self._sets(), OWN if own else "digits")
        self.mode = menu("Mode", {"train mode": "train", "eval mode": "eval"}, MODES["train"])
        self.norm = menu("Norm", NORMS)
        self.start = menu("Start", STARTS)
        self.activation = menu("Activation", ACTIVATION_NAMES)
        self.shown = menu("Shown", {name: name for name in SHOWN})
        self.take = ipywidgets.Button(
            description=f"Take {STEPS} SGD steps", icon="forward", layout={"width": "auto"},
            tooltip="Train what is shown a little, and measure again",
        )  # fmt: skip
        self.reset = ipywidgets.Button(
            description="Back to step 0", icon="undo", disabled=True, layout={"width": "auto"},
            tooltip="Show the networks as they were at the start",
        )  # fmt: skip
        self._asked = {self.norm: self.norm.value, self.start: self.start.value}  # by the reader, not by us
        self._anew = (self.data, self.norm, self.start, self.activation)  # another network begins at step 0
        for switch in (*self._anew, self.mode, self.shown):
            switch.observe(self._choose, "value")
        self.take.on_click(lambda _: self._go_to(self.steps + STEPS))
        self.reset.on_click(lambda _: self._go_to(0))

    @property
    def conditions(self) -> list[Any]:
        """The menus that say what is measured."""
        return [self.data, self.mode, self.norm, self.start, self.activation]

    @property
    def given(self) -> Conditions:
        """What the switches say."""
        data, mode, norm, start, activation = (switch.value for switch in self.conditions)
        return Conditions(data, mode, norm, start, activation, self.steps)

    def choose_data(self, name: str) -> None:
        """Choose a data set that has come since."""
        with self.quietly():
            before = self.data.value
            self.data.options = list(self._sets().items())
            self.data.value = before
        self.data.value = name

    def _sets(self) -> dict[str, str]:
        """Return what the menu of data sets says of each, and its name."""
        sets = {"your images": OWN, **DATA} if self._own else DATA
        missing = {name: TITLES[name] for name in sets.values() if name in TITLES and not is_here(name)}
        return {
            "{} (download, {})".format(*missing[name]) if name in missing else words: name
            for words, name in sets.items()
        }

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Inside, a change measures nothing."""
        self._settling = True
        try:
            yield
        finally:
            self._settling = False

    @property
    def settling(self) -> bool:
        """Whether a change is one of several that belong together."""
        return self._settling

    def _choose(self, change: Any) -> None:
        if self._settling:
            return
        owner, steps, asked = change["owner"], self.steps, dict(self._asked)
        before = {switch: switch.value for switch in asked} | {owner: change["old"]}
        sentence = self._agree(owner) if owner in asked else ""
        if owner in self._anew:
            self.steps = 0
        if not self._changed(sentence):
            self.steps, self._asked = steps, asked
            with self.quietly():
                for switch, value in before.items():
                    switch.value = value
        self.reset.disabled = not self.steps

    def _agree(self, owner: ipywidgets.Dropdown) -> str:
        """Make norm and start fit each other after a choice of one; say what became of the other.

        The other gives way for as long as it has to, and then is what the reader had chosen.
        """
        self._asked[owner] = owner.value
        other = self.start if owner is self.norm else self.norm
        before = other.value
        asked = replace(self.given, norm=self._asked[self.norm], start=self._asked[self.start])
        given, sentence = asked.made_possible(keep_norm=owner is self.norm)
        with self.quietly():
            self.norm.value, self.start.value = given.norm, given.start
        if sentence or other.value == before:
            return sentence
        return f"{other.description} is {other.label} again, as you had chosen."

    def _go_to(self, steps: int) -> None:
        before, self.steps = self.steps, steps
        if not self._changed(""):
            self.steps = before
        self.reset.disabled = not self.steps


def menu(name: str, options: Mapping[str, Any], value: Any = None) -> ipywidgets.Dropdown:
    """Return a menu as wide as its words; value None chooses the first."""
    chosen = next(iter(options.values()), None) if value is None else value
    return ipywidgets.Dropdown(
        options=list(options.items()), value=chosen, description=name,
        style={"description_width": "auto"}, layout={"width": "auto"},
    )  # fmt: skip
