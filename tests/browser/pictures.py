"""The README's pictures, taken from the running notebooks: `make pictures`.

A picture is a card of a notebook as it opens. Its headline is written down beside it, and a test fails when the
notebook says something else: then the picture is to be taken anew.
"""

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator

from tests.browser.lab import CHECKOUT, LabServer, NotebookPage, open_browser

FOLDER = CHECKOUT / "data" / "pictures"
HEADLINES = FOLDER / "headlines.json"


@dataclass(frozen=True)
class Picture:
    """What a picture shows: of a notebook the first card that fits, and what is awaited in it.

    press  keys to press before it is taken
    done   what is refined behind the first picture and awaited before it is taken
    """

    notebook: str
    card: str
    drawn: str
    press: tuple[tuple[str, str], ...] = ()
    done: str = ""

    def open(self, notebook: NotebookPage) -> Locator:
        """Wait until the card of a notebook that has been run is drawn, and return it."""
        notebook.show_first_code()
        notebook.skip_question()
        card = notebook.page.locator(self.card).first
        card.locator(self.drawn).first.wait_for(timeout=60_000)
        card.scroll_into_view_if_needed()
        return card

    def headline(self, notebook: NotebookPage) -> str:
        """Return what the card says, with plain spaces."""
        titles = self.open(notebook).locator(
            ".rx-title .rx-now:visible, p.rx-title:visible, .rx-headline:visible"
        )
        return " ".join(titles.filter(has_text=re.compile(r"\w")).first.inner_text().split())


def assert_up_to_date(name: str, notebook: NotebookPage) -> None:
    """Fail unless a picture's notebook, as it opens, still says what it said when the picture was taken."""
    recorded = json.loads(HEADLINES.read_text())[name]
    assert PICTURES[name].headline(notebook) == recorded, "`make pictures` takes the README's pictures anew"


CANVAS = ".rx-canvas[data-drawn]:visible"
PICTURES = {
    "lesson": Picture("00_start", ".rx-page:has(.rx-sum)", ".rx-sum-map"),
    "degradation": Picture("01_degradation", ".rx-page", ".rx-plot"),
    "gradient_flow": Picture("02_gradient_flow", ".rx-page", "svg.rx-plot .rx-plot-line"),
    "saliency": Picture(
        "03_saliency",
        ".rx-page:has(canvas.rx-heat)",
        "canvas.rx-heat",
        done=".rx-verdict-head:has(button[hidden])",
    ),
    "architectures": Picture("04_architectures", ".rx-page", ".rx-box"),
    "feature_maps": Picture("05_feature_maps", ".rx-page:has(.rx-sheet)", ".rx-plot"),
    "skips": Picture("06_skips", ".rx-page", ".rx-outcome-bar"),
    "stream": Picture("07_stream", ".rx-page", ".rx-plot"),
    "landscape": Picture("08_landscape", ".rx-page", ".rx-surface-canvas"),
    "similarity": Picture("10_similarity", ".rx-page", ".rx-matrix"),
}


def main() -> None:
    """Take every picture and write down its headline."""
    headlines = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        LabServer(Path(folder) / "lab") as server,
        open_browser() as context,
    ):
        for name, picture in PICTURES.items():
            notebook = NotebookPage(server, context, f"notebooks/{picture.notebook}.ipynb", height=1600)
            notebook.run_all()
            headlines[name] = picture.headline(notebook)
            for control, key in picture.press:
                picture.open(notebook).locator(control).press(key)
                picture.open(notebook).locator(control).blur()
            assert picture.headline(notebook) == headlines[name], (
                "keys change what is shown, not what it says"
            )
            if picture.done:
                picture.open(notebook).locator(picture.done).wait_for(timeout=300_000)
            notebook.page.wait_for_timeout(1000)  # what is refined behind the first picture
            picture.open(notebook).screenshot(path=FOLDER / f"{name}.png")
            notebook.close()
            print(f"{name}: {headlines[name]}", flush=True)
    HEADLINES.write_text(json.dumps(headlines, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
