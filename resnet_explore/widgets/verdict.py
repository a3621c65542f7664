"""Is a heatmap better than chance? Measured beside the page and said as a table, a column a network."""

import copy
import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import ipywidgets
from torch import Tensor, nn

from resnet_explore.analysis.targets import Target
from resnet_explore.errors import CancelledError
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.saliency_jobs import VERDICTS, measures_of, verdicts
from resnet_explore.widgets.words import error, signed

if TYPE_CHECKING:  # it brings captum, which a page can do without until something is judged
    from resnet_explore.analysis.verdict import Verdict

WAITING = "Measuring whether the maps are better than chance ..."
_METRICS = {
    "deletion": "Deletion (low is good)",
    "insertion": "Insertion (high is good)",
    "road": "ROAD (high is good)",
    "randomisation": "Likeness to the map of random weights, without sign (low is good)",
    "stability": "Stability under noise (high is good)",
}


class VerdictPanel(ipywidgets.VBox):
    """The verdict on two heatmaps, measure by measure as they are ready; a newer one ends the one before.

    Attributes: `press` (begins what is offered), `halt` (ends it), `value` (what is said, HTML).
    """

    def __init__(self) -> None:
        hidden = {"layout": {"display": "none"}}
        self.press = ipywidgets.Button(
            description="Judge",
            icon="check",
            tooltip="Measure whether the map is better than chance",
            **hidden,
        )
        self.halt = ipywidgets.Button(description="Stop judging", icon="stop", **hidden)
        self._table = ipywidgets.HTML()
        super().__init__([self.press, self.halt, self._table])
        self._background = Background(self._fail)
        self._offered: Callable[[], None] | None = None
        self.press.on_click(lambda _: self._begin())
        self.halt.on_click(lambda _: self._end())

    @property
    def value(self) -> str:
        """What is said, as HTML."""
        return self._table.value

    def clear(self) -> None:
        """Stop measuring and show nothing."""
        self._background.cancel()
        self._table.value, self._offered = "", None
        self.press.layout.display = self.halt.layout.display = "none"

    def say(self, sentence: str) -> None:
        """Stop measuring and say why there is no verdict."""
        self.clear()
        self._table.value = f'<span class="rx-no-verdict">{html.escape(sentence)}</span>'

    def offer(self, sentence: str, begin: Callable[[], None]) -> None:
        """Say what a press would measure, and call `begin` then."""
        self.say(sentence)
        self._offered, self.press.layout.display = begin, ""

    def _begin(self) -> None:
        if self._offered is not None:
            self.press.layout.display, self.halt.layout.display = "none", ""  # before it can have ended
            self._offered()

    def _end(self) -> None:
        if self._offered is not None:
            self.offer("Stopped before all was measured.", self._offered)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all is measured, at most so many seconds."""
        self._background.wait(seconds)

    def judge(
        self,
        names: Sequence[str],
        networks: Sequence[nn.Module],
        photo: Tensor,
        targets: Sequence[Target],
        method: str,
        blocks: Sequence[str],
        about: str,
    ) -> None:
        """Measure the maps of a method, one block of each network; `about` says which, for the reader.

        `targets` are what they explain.
        """
        found: list[dict[str, Verdict]] = [{} for _ in networks]
        self._table.value = WAITING
        # Hooks of two threads on one network would see each other's passes.
        networks = copy.deepcopy(list(networks))

        def measure(cancelled: Callable[[], bool]) -> None:
            try:
                ways = [
                    verdicts(network, photo, target, method, block, cancelled)
                    for network, target, block in zip(networks, targets, blocks, strict=True)
                ]
                for both in zip(*ways, strict=True):
                    for known, verdict in zip(found, both, strict=True):
                        known[verdict.metric] = verdict
                    if cancelled():
                        return
                    self._table.value = as_table(names, found, about, measures_of(targets[0]))
                self.halt.layout.display = "none"
            except CancelledError:
                return

        self._background.start(measure)

    def _fail(self, sentence: str) -> None:
        self.halt.layout.display = "none"
        self._table.value = error(f"{sentence} So there is no verdict.")


def as_table(
    names: Sequence[str],
    found: Sequence[Mapping[str, "Verdict"]],
    about: str,
    measures: Sequence[str] = VERDICTS,
) -> str:
    """Return as HTML what is known so far of these measures: for each network {metric: Verdict}."""
    places, checks = ([_passed(known, sanity) for known in found] for sanity in (False, True))
    done = "; ".join(f"{name} in {passed}" for name, passed in zip(names, places, strict=True))
    if all(checks):
        done += f". Sanity checks passed: {' and '.join(checks)}"
    begins = "Better than chance?" if len(found[0]) == len(measures) else "Still measuring:"
    metrics = list(dict.fromkeys(metric for known in found for metric in known))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *names))
    cells = {metric: "".join(f"<td>{_cell(known[metric])}</td>" for known in found) for metric in metrics}
    rows = "".join(f"<tr><th>{_METRICS[metric]}</th>{row}</tr>" for metric, row in cells.items())
    explained = (
        f"{about}, for this photo alone. Chance: 19 random maps of the same size, mean ± standard deviation; "
        "centre: a blob in the middle. ✓ where no random map does as well; for the likeness, where the map "
        "is no more alike than they. Sanity checks, the last two, ask whether the map follows the network."
    )
    return (
        f'<div class="rx-card rx-verdict"><div class="rx-title">{begins} {html.escape(done)}.</div>'
        f"<table><tr>{head}</tr>{rows}</table>"
        f'<p class="rx-caption">{html.escape(explained)}</p></div>'
    )


def _passed(known: Mapping[str, "Verdict"], sanity: bool) -> str:
    """Return "1 of 3" of the measures of one kind, "" where none is known."""
    some = [verdict.passed for verdict in known.values() if verdict.sanity == sanity]
    return f"{sum(some)} of {len(some)}" if some else ""


def _cell(verdict: "Verdict") -> str:
    numbers = (verdict.value, verdict.random, verdict.spread, verdict.centre)
    value, random, spread, centre = (signed(one, f".{verdict.decimals}f") for one in numbers)
    mark = "✓" if verdict.passed else "✗"
    middle = "no centre" if math.isnan(verdict.centre) else f"centre {centre}"
    chance = f"chance {random} ± {spread}, {middle}"
    if verdict.passed and not verdict.sanity and not verdict.beats_centre:
        chance += ", which is as good"
    return f'{mark} {value} <span class="rx-caption">{chance}</span>'
