"""Feature maps as files: a figure (PNG, SVG), a table of channels (CSV), the maps themselves (NPZ)."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from resnet_explore.errors import ExploreError
from resnet_explore.figures.mosaic import CORNER, CROSS, LEVELS, MOST, mosaic, mosaics_figure
from resnet_explore.figures.style import Figure
from resnet_explore.widgets.mosaics import Mosaics
from resnet_explore.widgets.picture_file import PROGRAM, save_table
from resnet_explore.widgets.scenes import Scene, rows_of

OWN = "Each tile is on its own scale: the brightest colour is its largest magnitude."

FORMATS = {
    "PNG, the picture": ".png",
    "SVG, the picture": ".svg",
    "CSV, the channels": ".csv",
    "NPZ, all maps": ".npz",
}


def save(path: Path, scene: Scene, shown: Mosaics, whole: Callable[[], dict[str, np.ndarray]]) -> None:
    """Write what is shown, or the numbers behind it, in the form that the ending says.

    .png .svg  what is shown: a page of tiles in the chosen order, or one channel over the picture
    .csv       statistics of every channel of every block, both networks, and its place among the tiles
    .npz       arrays "network/block/output", "/skip" and "/branch" at full size, which `whole` gives

    All say under what conditions: the picture in its caption and its metadata, the .npz in "conditions", the
    .csv in lines above its head, see `save_table`.
    """
    if path.suffix not in FORMATS.values():
        endings = ", ".join(FORMATS.values())
        raise ExploreError(f"The file's name must end in {endings}, not {path.suffix or 'nothing'!r}.")
    conditions = _conditions(scene, shown)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            import pandas as pd

            save_table(path, pd.DataFrame(rows_of(scene)), {"conditions": " ".join(conditions[:-1])})
        elif path.suffix == ".npz":
            arrays = whole() | {"conditions": np.array(conditions)}
            np.savez_compressed(path, **cast(dict[str, Any], arrays))
        else:
            figure, title, caption = _picture(shown, conditions)
            program = {"Software" if path.suffix == ".png" else "Creator": PROGRAM}
            figure.savefig(path, metadata={"Title": title, "Description": caption, **program})
    except OSError as problem:
        raise ExploreError(f"{path} can't be written ({problem.strerror or problem}).") from None


def free_name(path: Path) -> Path:
    """Return the path itself, or with the first number behind it that no file has yet."""
    names = [path, *(path.with_stem(f"{path.stem}-{k}") for k in range(2, 10_000))]
    return next(name for name in names if not name.exists())


def _conditions(scene: Scene, shown: Mosaics) -> list[str]:
    """Return sentences on networks, weights, image and program: what it takes to make the same again."""
    sets = shown.maps["sets"]
    seen = sets[min(shown.depth, len(sets) - 1)]["caption"]
    return [*(f"{subject.cited}." for subject in scene.subjects), seen, f"Made with {PROGRAM}."]


def _order_words(order: str, panels: list["_Tiles"], bare: bool) -> str:
    """Say what the order of the tiles is; the same words as on the page."""
    if order == "channel":
        words = "by channel"
    elif order == "difference" and all(order in panel.ranks for panel in panels):
        words = "by how much the twins differ"
    else:
        words = "by size of the weights" if bare else "by activation"
        if len(panels) > 1:
            together = len({panel.count for panel in panels}) == 1
            words += ", both together" if together else ", each by itself"
    return f"Tiles row by row {words}."


def _picture(shown: Mosaics, conditions: list[str]) -> tuple[Figure, str, str]:
    """Return the figure of what the browser shows, from the bytes that it was sent, its title and caption."""
    given = getattr(shown, shown.view) or shown.maps
    chosen = given["sets"][min(shown.depth, len(given["sets"]) - 1)]
    step = chosen["steps"][min(shown.index, len(chosen["steps"]) - 1)]
    panels = [_Tiles(given["bytes"], panel) for panel in step["panels"] if "shape" in panel]
    if not panels:
        raise ExploreError(f"There is no picture to save: {step['title']}")
    colored = all(panel.colored for panel in panels)
    own = shown.own_scale and not colored
    words = [step["caption"], OWN if own else step["scaled"]]
    bare = shown.view == "filters" and bool(shown.filters)  # weights lie over no image
    if 0 <= shown.channel < max(panel.count for panel in panels):
        words.append(f"Channel {shown.channel}" + ("." if bare else " over the picture."))
        under = None if bare else np.asarray(Image.open(io.BytesIO(shown.picture["bytes"])).convert("RGB"))
        drawn = {
            panel.heading: panel.over(under, shown.channel, 1.0 if own else step["scale"], own, shown.opacity)
            for panel in panels
            if shown.channel < panel.count
        }
        marks, numbers = {}, {}
    else:
        places = {panel.heading: panel.shown(shown.order, shown.page) for panel in panels}
        drawn = {panel.heading: panel.values(places[panel.heading], own) for panel in panels}
        marks = {panel.heading: panel.marks[places[panel.heading]] for panel in panels}
        numbers = places
        words.append(_order_words(shown.order, panels, bare))
        most, first = max(panel.count for panel in panels), shown.page * MOST
        if most > MOST:
            words.append(f"Channels {first + 1} to {min(most, first + MOST)} of {most} in this order.")
        if any(each.any() for each in marks.values()):
            words.append(f"{CROSS} dead: 0 everywhere; {CORNER} saturated: at its bound.")
    caption = " ".join(filter(None, [*words, *conditions]))
    scale = None if colored else 1.0 if own else step["scale"]
    figure = mosaics_figure(drawn, scale, step["title"], caption, marks, numbers)
    return figure, step["title"], caption


class _Tiles:
    """A panel read back as the browser does; the order of its arrays is that of `Sheet.panel`."""

    def __init__(self, data: bytes, panel: dict[str, Any]) -> None:
        self.heading, self.colored = panel["heading"], panel["colored"]
        self.count, *size = panel["shape"]
        at = panel["at"]

        def take(kind: Any, length: int) -> np.ndarray:
            nonlocal at
            array = np.frombuffer(data, kind, length, at)
            at += -(-array.nbytes // 4) * 4
            return array

        self.scales, _ = take(np.float32, self.count), take(np.float32, self.count)
        self.marks = take(np.uint8, self.count)
        self.ranks = {name: take(np.uint32, self.count) for name in panel["orders"]}
        shape = (self.count, *size, *([3] if self.colored else []))
        self.tiles = take(np.uint8 if self.colored else np.int8, int(np.prod(shape))).reshape(shape)

    def shown(self, order: str, page: int) -> np.ndarray:
        """Return which channels are on a page, the last page that there is at most."""
        every = np.arange(self.count)
        ranks = every if order == "channel" else self.ranks.get(order, self.ranks["activation"])
        first = min(page, (self.count - 1) // MOST) * MOST
        return ranks[first : first + MOST]

    def values(self, channels: np.ndarray, own: bool) -> np.ndarray:
        """Return maps, float (c, h, w), of their `own` scale as shares of it; or colours (c, h, w, 3)."""
        if self.colored:
            return self.tiles[channels]
        scales = np.ones(len(channels)) if own else self.scales[channels]
        return self.tiles[channels] * (scales / LEVELS)[:, None, None]

    def over(
        self, under: np.ndarray | None, channel: int, scale: float, own: bool, opacity: float
    ) -> np.ndarray:
        """Return one channel over a picture (H, W, 3), as colours (1, H, W, 3)."""
        tile = self.values(np.array([channel]), own)
        if under is None:
            return tile
        colors = Image.fromarray(mosaic(tile, scale)).resize(under.shape[1::-1], Image.Resampling.NEAREST)
        return np.rint(opacity * np.asarray(colors) + (1 - opacity) * under).astype(np.uint8)[None]
