"""Published claims about gradients, one picture each: measured here and now, beside the paper's formula."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets

from resnet_explore.analysis.claim_curves import EXPERIMENTS, measure_claim
from resnet_explore.analysis.curves import Curves
from resnet_explore.errors import ExploreError
from resnet_explore.figures.claims import HEIGHT, WIDTH, claim_chart
from resnet_explore.figures.style import SCREEN_SCALE, Figure, new_figure, to_png
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.claim_words import CLAIM_WORDS
from resnet_explore.widgets.filmstrip import NO_TEXT, Filmstrip
from resnet_explore.widgets.picture_file import save_picture
from resnet_explore.widgets.words import error

_MORE = "More seeds are being measured ..."


class ClaimPictures(ipywidgets.VBox):
    """A menu of claims and the picture of the chosen one; the first seed comes at once, the others follow.

    seed  the first of those that are measured, of weights and inputs

    Nothing is measured before `show`. What was measured is kept, and what was interrupted goes on when it is
    chosen again. Attributes: `claim` (the menu), `keep` (the button), `strip` (the picture), `note`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.claim = ipywidgets.Dropdown(
            options=[(CLAIM_WORDS[name].label, name) for name in EXPERIMENTS], description="Claim",
            style={"description_width": "auto"}, layout={"width": "auto"},
        )  # fmt: skip
        self.keep = ipywidgets.Button(
            description="Save", icon="download", layout={"width": "auto"},
            tooltip="Save this picture with its conditions, and its numbers",
        )  # fmt: skip
        self.note = ipywidgets.HTML(layout={"min_height": "28px"})
        # A blank card of the size of what is to come, so that nothing jumps.
        blank = {"frames": [to_png(new_figure(WIDTH, HEIGHT))], "titles": [NO_TEXT], "captions": [NO_TEXT]}
        self.strip = Filmstrip(scale=SCREEN_SCALE, **blank)
        self._found: dict[str, Curves] = {}
        self._going: dict[str, Iterator[Curves]] = {}
        self._done: set[str] = set()
        self._background = Background(self._failed)
        wrap = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 8px"}
        super().__init__([ipywidgets.HBox([self.claim, self.keep], layout=wrap), self.note, self.strip])
        self.claim.observe(lambda _: self.show(), "value")
        self.keep.on_click(lambda _: self._save())

    @property
    def curves(self) -> Curves | None:
        """What has been measured of the chosen claim so far."""
        return self._found.get(self.claim.value)

    def show(self) -> None:
        """Measure the chosen claim in the background, or go on with it; what is known is shown at once."""
        name = self.claim.value
        self._background.cancel()
        if name in self._found:
            self._draw(name)
        else:
            said = f"Measuring: {CLAIM_WORDS[name].label} ..."
            self.note.value = ""
            self.strip.show(busy=True, message=said)
        if name not in self._done:
            self._background.start(lambda cancelled: self._measure(name, cancelled))

    def pause(self) -> None:
        """Stop measuring after what is being measured now."""
        self._background.cancel()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the chosen claim is measured for all its seeds, at most so many seconds."""
        self._background.wait(seconds)

    def save(self, path: str | Path = "claim.png") -> list[Path]:
        """Save the picture with its finding and conditions, and its numbers as .csv; return both paths.

        The .csv begins with lines "# key: value", which `pandas.read_csv(path, comment="#")` passes over.
        Raises ExploreError where nothing is shown or the files can't be written.
        """
        name, found = self.claim.value, self.curves
        if found is None:
            raise ExploreError("There is no picture to save yet.")
        words = CLAIM_WORDS[name]
        table = found.table
        measured = table["what"] == "measured"
        table.loc[measured, "seed"] += self.seed
        return save_picture(
            path, self._figure(name), words.title(found), words.caption(found, self.seed), table
        )

    def _save(self) -> None:
        try:
            saved = self.save(f"claim-{self.claim.value}-{time.strftime('%Y%m%d-%H%M%S')}.png")
            self.note.value = f"Saved {' and '.join(path.name for path in saved)} beside this notebook."
        except ExploreError as problem:
            self.note.value = error(str(problem))

    def _measure(self, name: str, cancelled: Callable[[], bool]) -> None:
        if name not in self._going:
            self._going[name] = measure_claim(name, CLAIM_WORDS[name].seeds, self.seed)
        while not cancelled():
            try:
                found = next(self._going[name], None)
            except Exception:
                del self._going[name]  # it ends there, and is begun anew when it is chosen again
                raise
            if found is None:
                self._done.add(name)
            else:
                self._found[name] = found
            if not cancelled():
                self._draw(name)
            if found is None:
                return

    def _figure(self, name: str) -> Figure:
        found = self._found[name]
        formulas = {label: (x, y) for label, (_, x, y) in found.formulas.items()}
        return claim_chart(found.measured, formulas, CLAIM_WORDS[name].scales)

    def _draw(self, name: str) -> None:
        words, found = CLAIM_WORDS[name], self._found[name]
        values: dict[str, Any] = {
            "frames": [to_png(self._figure(name))],
            "titles": [words.title(found)],
            "captions": [words.caption(found, self.seed)],
        }
        self.note.value = "" if name in self._done else _MORE
        self.strip.show(**values, busy=False)

    def _failed(self, sentence: str) -> None:
        self.strip.busy = False
        self.note.value = error(sentence)
