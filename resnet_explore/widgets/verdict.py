"""Is a heatmap better than chance? Measured beside the page and said as a table, a column a network."""

import copy
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
from torch import Tensor, nn

from resnet_explore.errors import CancelledError
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.saliency_jobs import verdicts
from resnet_explore.widgets.words import error

WAITING = "Measuring whether the maps are better than chance ..."
_METRICS = {
    "deletion": "Deletion (low is good)",
    "insertion": "Insertion (high is good)",
    "road": "ROAD (high is good)",
    "randomisation": "Likeness once all weights are random (low is good)",
    "stability": "Stability under noise (high is good)",
}
_PLACES = ("deletion", "insertion", "road")  # a blob in the middle is also an answer to where


class VerdictPanel(ipywidgets.HTML):
    """The verdict on two heatmaps, measure by measure as they are ready; a newer one ends the one before."""

    def __init__(self) -> None:
        super().__init__()
        self._background = Background(self._fail)

    def clear(self) -> None:
        """Stop measuring and show nothing."""
        self._background.cancel()
        self.value = ""

    def say(self, sentence: str) -> None:
        """Stop measuring and say why there is no verdict."""
        self.clear()
        self.value = f'<span class="rx-no-verdict">{html.escape(sentence)}</span>'

    def wait(self, seconds: float | None = None) -> None:
        """Wait until all is measured, at most so many seconds."""
        self._background.wait(seconds)

    def judge(
        self,
        names: Sequence[str],
        networks: Sequence[nn.Module],
        photo: Tensor,
        targets: Sequence[Any],
        method: str,
        blocks: Sequence[str],
        about: str,
    ) -> None:
        """Measure the maps of a method, one block of each network; `about` says which, for the reader.

        `targets` are classes, or a `Difference`.
        """
        found: list[dict[str, Any]] = [{} for _ in networks]
        self.value = WAITING
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
                    self.value = as_table(names, found, about)
            except CancelledError:
                return

        self._background.start(measure)

    def _fail(self, sentence: str) -> None:
        self.value = error(f"{sentence} So there is no verdict.")


def as_table(names: Sequence[str], found: Sequence[Mapping[str, Any]], about: str) -> str:
    """Return as HTML what is known so far: for each network {metric: Verdict}."""
    done = "; ".join(
        f"{name} passes {sum(v.passed for v in known.values())} of {len(known)}"
        for name, known in zip(names, found, strict=True)
    )
    done += "" if len(found[0]) == len(_METRICS) else " so far, still measuring"
    metrics = list(dict.fromkeys(metric for known in found for metric in known))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *names))
    cells = {metric: "".join(f"<td>{_cell(known[metric])}</td>" for known in found) for metric in metrics}
    rows = "".join(f"<tr><th>{_METRICS[metric]}</th>{row}</tr>" for metric, row in cells.items())
    explained = (
        f"{about}, for this photo alone. Chance: 19 random maps of the same size, mean ± standard deviation; "
        "centre: a blob in the middle. ✓ where no random map does as well; for the likeness, where the map "
        "is no more alike than they."
    )
    return (
        f'<div class="rx-card rx-verdict"><div class="rx-title">Better than chance? '
        f"{html.escape(done)}.</div>"
        f"<table><tr>{head}</tr>{rows}</table>"
        f'<p class="rx-caption">{html.escape(explained)}</p></div>'
    )


def _cell(verdict: Any) -> str:
    mark = "✓" if verdict.passed else "✗"
    chance = f"chance {verdict.random:.2f} ± {verdict.spread:.2f}, centre {verdict.centre:.2f}"
    if verdict.passed and verdict.metric in _PLACES and not verdict.beats_centre:
        chance += ", which is as good"
    return f'{mark} {verdict.value:.2f} <span class="rx-caption">{chance}</span>'
