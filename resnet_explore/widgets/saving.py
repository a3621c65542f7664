"""Feature maps as files: a figure (PNG, SVG), a table of channels (CSV), the maps themselves (NPZ)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from resnet_explore.errors import ExploreError
from resnet_explore.figures.mosaic import MOST, mosaics_figure
from resnet_explore.widgets.mosaics import Mosaics
from resnet_explore.widgets.scenes import Scene, rows_of

FORMATS = {
    "PNG, the picture": ".png",
    "SVG, the picture": ".svg",
    "CSV, a row per channel": ".csv",
    "NPZ, all maps": ".npz",
}


def save(path: Path, scene: Scene, shown: Mosaics, whole: Callable[[], dict[str, np.ndarray]]) -> None:
    """Write what is shown, or the numbers behind it, in the form that the ending says.

    .png .svg  the mosaics of the block and view that are shown, in the chosen order, up to 64 channels
    .csv       statistics of every channel of every block, both networks
    .npz       arrays "network/block/output", "/skip" and "/branch" at full size, which `whole` gives
    """
    if path.suffix not in FORMATS.values():
        endings = ", ".join(FORMATS.values())
        raise ExploreError(f"The file's name must end in {endings}, not {path.suffix or 'nothing'!r}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            pd.DataFrame(rows_of(scene)).to_csv(path, index=False)
        elif path.suffix == ".npz":
            np.savez_compressed(path, **cast(dict[str, Any], whole()))
        else:
            _picture(shown).savefig(path)
    except OSError as problem:
        raise ExploreError(f"{path} can't be written ({problem.strerror or problem}).") from None


def free_name(path: Path) -> Path:
    """Return the path itself, or with the first number behind it that no file has yet."""
    names = [path, *(path.with_stem(f"{path.stem}-{k}") for k in range(2, 10_000))]
    return next(name for name in names if not name.exists())


def _picture(shown: Mosaics) -> Any:
    """Return the figure of what the browser shows, from the bytes that it was sent."""
    given = getattr(shown, shown.view) or shown.maps
    chosen = given["sets"][min(shown.depth, len(given["sets"]) - 1)]
    step = chosen["steps"][min(shown.index, len(chosen["steps"]) - 1)]
    panels = {
        panel["heading"]: _ordered(given["bytes"], panel, shown.order)
        for panel in step["panels"]
        if "shape" in panel
    }
    if not panels:
        raise ExploreError(f"There is no picture to save: {step['title']}")
    most = max(panel["shape"][0] for panel in step["panels"] if "shape" in panel)
    cut = f" The first {MOST} of {most} channels." if most > MOST else ""
    caption = f"{step['caption']}{cut} {chosen.get('caption', '')}"
    scale = None if all(maps.ndim == 4 for maps in panels.values()) else step["scale"]
    return mosaics_figure(panels, scale, step["title"], caption)


def _ordered(data: bytes, panel: dict, order: str) -> np.ndarray:
    """Return a panel's first tiles in the order that is chosen: float (C, h, w), or colours (C, h, w, 3)."""
    count, *size = panel["shape"]
    at = panel["at"]
    scales = np.frombuffer(data, np.float32, count, at)
    at += 8 * count + -(-count // 4) * 4
    ranks = {}
    for name in panel["orders"]:
        ranks[name] = np.frombuffer(data, np.uint32, count, at)
        at += 4 * count
    colored = panel["colored"]
    pixels = count * int(np.prod(size)) * (3 if colored else 1)
    tiles = np.frombuffer(data, np.uint8 if colored else np.int8, pixels, at)
    tiles = tiles.reshape(count, *size, *([3] if colored else []))
    chosen = np.arange(count) if order == "channel" else ranks.get(order, ranks["activation"])
    chosen = chosen[:MOST]
    return tiles[chosen] if colored else tiles[chosen] * (scales[chosen] / 127)[:, None, None]
