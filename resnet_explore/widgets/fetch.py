"""Data that is not on this computer yet: one sentence, and a button that downloads it."""

import html
from collections.abc import Callable

import ipywidgets

from resnet_explore.inputs.datasets import load_dataset
from resnet_explore.inputs.download import FetchError
from resnet_explore.widgets.background import Background
from resnet_explore.widgets.words import error

TITLES = {"cifar10": ("CIFAR-10", "170 MB")}


class Fetch(ipywidgets.HBox):
    """Hidden until `offer`; downloads beside the page, so that all else can be used meanwhile.

    done  called with the data set's name once it is there

    Attributes: `said` (the sentence), `button`, `wait`.
    """

    def __init__(self, done: Callable[[str], object]) -> None:
        self._done, self._name = done, ""
        self._job = Background(self._failed)
        self.wait = self._job.wait
        self.said = ipywidgets.HTML()
        self.button = ipywidgets.Button(
            description="Download", icon="download", layout={"width": "auto"},
            tooltip="Download this data set once; it is kept on this computer",
        )  # fmt: skip
        self.button.on_click(lambda _: self._start())
        wrap = {"display": "none", "flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 8px"}
        super().__init__([self.said, self.button], layout=wrap)

    def offer(self, name: str) -> None:
        """Say that a data set is not here, beside the button; a download that runs is not disturbed."""
        if not self.button.disabled:
            title, size = TITLES[name]
            self._name = name
            self._say(f"{title} is not on this computer yet: it is downloaded once, {size}.")
        self.layout.display = ""

    def hide(self) -> None:
        """Take the offer away, unless a download runs."""
        if not self.button.disabled:
            self.layout.display = "none"

    def _start(self) -> None:
        self.button.disabled = True
        self._say(f"Downloading {TITLES[self._name][0]}. All else can be used meanwhile.")
        self._job.start(lambda _cancelled: self._load(self._name))

    def _load(self, name: str) -> None:
        try:
            load_dataset(name)
        except FetchError as problem:
            self._failed(problem.reason)
            return
        self.button.disabled = False
        self.hide()
        self._done(name)

    def _failed(self, sentence: str) -> None:
        self.button.disabled = False
        self.said.value = error(sentence)

    def _say(self, sentence: str) -> None:
        self.said.value = f'<span role="status">{html.escape(sentence)}</span>'
