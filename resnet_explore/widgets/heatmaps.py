"""Signed maps over a photo, two networks side by side, sent to the browser once and moved through there."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anywidget
import numpy as np
import traitlets as t

from resnet_explore.analysis.readings import READINGS, Reading
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.figures.heatmaps import PALETTES
from resnet_explore.widgets.picture_file import PROGRAM
from resnet_explore.widgets.scripts import STYLE, script


@dataclass(frozen=True)
class SeenBy:
    """The part of the input that the values of a map can depend on, along each axis, in input pixels.

    start   the middle of the first value's part, counted from the picture's edge
    jump    from the middle of one value's part to that of the next
    size    how wide a part is, also beyond the picture's edge
    side    how wide the whole input is
    """

    start: float
    jump: float
    size: float
    side: int


@dataclass(frozen=True)
class HeatmapStep:
    """One position of the block slider.

    maps     float (h, w) for each network, left to right; their sizes may differ
    tick     the position's name
    caption  the conditions, in a sentence
    seen_by  for each map what its values depend on, or None where that is not known
    scale    the magnitude of full colour, 0 for the maps' largest: for maps that belong together, and where a
             few values would leave the others pale
    title    the finding, where it is one of this position alone
    """

    maps: Sequence[np.ndarray]
    tick: str
    caption: str
    seen_by: Sequence[SeenBy | None] = ()
    scale: float = 0.0
    title: str = ""


@dataclass(frozen=True)
class HeatmapSeries:
    """One position of the depth slider: the networks of one depth, block by block.

    title     the finding
    headings  what stands above each picture
    names     what each network is called, () for its heading
    marks     what each network was asked about, (x0, y0, x1, y1) in shares of the picture, or None for all
    """

    steps: Sequence[HeatmapStep]
    tick: str
    title: str
    headings: Sequence[str]
    marks: Sequence[tuple[float, ...] | None] = ()
    names: Sequence[str] = ()

    @property
    def called(self) -> list[str]:
        """What each network is called, those of one name with a number."""
        names = list(self.names or self.headings)
        return [n if names.count(n) == 1 else f"{n} ({names[: k + 1].count(n)})" for k, n in enumerate(names)]


class HeatmapView(anywidget.AnyWidget):
    """Heatmaps laid over one photo in the browser: no kernel is needed to move, fade, recolour or read them.

    `show` says what there is to see; `outer` is what the second slider is called. `step` (the block), `depth`
    (or whatever the second slider moves through), `opacity` (0..1), `palette` (a name in
    `figures.heatmaps.PALETTES`) and `shared` (one scale for all blocks instead of one for each) follow the
    person's hand, and can be set here. While there is nothing to see, `message` stands in its place; over a
    picture it is laid for as long as `busy` is true.

    Colours are symmetric about 0: full colour is the largest magnitude in any of a step's maps, so that
    networks can be compared. The pointer, or the arrow keys, read raw values; where it is `askable`, a click
    or Enter there calls what `on_ask` was given. What is saved says by itself what it is: unit, signs and
    conditions stand in the pictures, `about` in the numbers.
    """

    _esm = script("heat_colours", "heat_pointing", "heat_paper", "heatmaps")
    _css = STYLE

    picture = t.Bytes().tag(sync=True)
    series: Any = t.List().tag(sync=True)
    maps = t.Bytes().tag(sync=True)
    palettes: Any = t.List().tag(sync=True)
    palette = t.Unicode(next(iter(PALETTES))).tag(sync=True, echo_update=False)
    # An echo of what the browser has already left would pull a slider back.
    step = t.Int(0).tag(sync=True, echo_update=False)
    depth = t.Int(0).tag(sync=True, echo_update=False)
    opacity = t.Float(0.75).tag(sync=True, echo_update=False)
    shared = t.Bool(False).tag(sync=True, echo_update=False)
    outer = t.Unicode("Depth").tag(sync=True)
    unit = t.Unicode("").tag(sync=True)
    meaning = t.Unicode("").tag(sync=True)  # of the signs, with {plus} and {minus} for the colours
    file = t.Unicode("heatmaps").tag(sync=True)
    program = t.Unicode(PROGRAM).tag(sync=True)
    message = t.Unicode("").tag(sync=True)
    busy = t.Bool(False).tag(sync=True)
    askable = t.Bool(False).tag(sync=True)

    def __init__(self, **values: Any) -> None:
        if values.get("palette", self.palette) not in PALETTES:
            raise unknown("palette", values["palette"], PALETTES)
        self._shown: tuple[HeatmapSeries, ...] = ()
        self.about: dict[str, str] = {}
        self._ask: Callable[[tuple[float, float]], object] | None = None
        super().__init__(
            palettes=[{"name": name, "colours": table.ravel().tolist()} for name, table in PALETTES.items()],
            **values,
        )
        self.on_msg(self._receive)

    def show(
        self,
        series: Sequence[HeatmapSeries],
        picture: bytes | None = None,
        step: int | None = None,
        depth: int | None = None,
        reading: Reading = READINGS["grad_cam"],
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Show other maps, and another photo if `picture`, the bytes of a PNG or JPEG, is given.

        reading  what the maps' numbers are
        about    by name, what a saved file should say of them; "file" is what it is called, without ending

        Sliders stay where the person left them, or at the last position if there are fewer now; `step` and
        `depth` move them. Raises ExploreError where maps are not float (h, w), one for each heading.
        """
        for one in series:
            for position in one.steps:
                _check(position, one)
        described, flat = [], []
        at = 0
        for one in series:
            steps = []
            for position in one.steps:
                entries = []
                for k, values in enumerate(position.maps):
                    seen = position.seen_by[k] if position.seen_by else None
                    entries.append(
                        {"at": at, "h": values.shape[0], "w": values.shape[1], "field": _share(seen)}
                    )
                    flat.append(np.asarray(values, "<f4").ravel())
                    at += values.size
                most = max(largest(values) for values in position.maps)
                scale = position.scale or most
                steps.append(
                    {
                        "maps": entries,
                        "tick": position.tick,
                        "title": position.title or one.title,
                        "caption": position.caption,
                        "scale": scale,
                        "beyond": most > scale,
                    }
                )
            marks = [list(mark) if mark else None for mark in one.marks]
            described.append(
                {
                    "steps": steps,
                    "tick": one.tick,
                    "headings": list(one.headings),
                    "names": one.called,
                    "marks": marks,
                }
            )
        self._shown = tuple(series)
        self.about = {name: words for name, words in (about or {}).items() if name != "file"}
        with self.hold_sync():
            if picture is not None:
                self.picture = picture
            self.maps = np.concatenate(flat).tobytes() if flat else b""
            self.series = described
            self.unit, self.meaning = reading.unit, reading.meaning
            self.file = (about or {}).get("file", "heatmaps")
            self.depth = min(self.depth if depth is None else depth, max(0, len(series) - 1))
            count = len(series[self.depth].steps) if series else 1
            self.step = min(self.step if step is None else step, count - 1)

    @t.observe("depth")
    def _keep_step_in_range(self, _change: Any) -> None:
        if self.series:
            steps = self.series[min(self.depth, len(self.series) - 1)]["steps"]
            self.step = min(self.step, len(steps) - 1)

    def on_ask(self, callback: Callable[[tuple[float, float]], object]) -> None:
        """Call `callback((down, across))` where the person asks about a place."""
        self._ask = callback

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the raw maps shown, by "<depth>/<block>/<network>".

        *Numbers* saves them, with a JSON string under "about" that says what they are.
        """
        return {
            "/".join(part for part in (one.tick, position.tick, name) if part): values
            for one in self._shown
            for position in one.steps
            for name, values in zip(one.called, position.maps, strict=True)
        }

    def _receive(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if "ask" in content and self._ask is not None:
            down, across = content["ask"]
            self._ask((float(down), float(across)))
        if content.get("save") == "numbers":
            buffer = io.BytesIO()
            about = json.dumps({**self.about, "unit": self.unit, "program": PROGRAM}, ensure_ascii=False)
            np.savez_compressed(buffer, **self.numbers(), about=np.array(about))  # type: ignore[arg-type]
            self.send({"file": f"{self.file}.npz"}, [buffer.getvalue()])


def _check(position: HeatmapStep, one: HeatmapSeries) -> None:
    for values in position.maps:
        if (
            not isinstance(values, np.ndarray)
            or values.ndim != 2
            or values.dtype.kind != "f"
            or not values.size
        ):
            came = (
                f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
            )
            raise ExploreError(f"A heatmap must be an array of float (h, w), not {came}.")
    if len(position.maps) != len(one.headings) or len(position.seen_by) not in (0, len(position.maps)):
        raise ExploreError(
            f"Step {position.tick!r} needs a map, and if any an entry of seen_by, for each of "
            f"{len(one.headings)} headings, not {len(position.maps)} and {len(position.seen_by)}."
        )


def largest(values: np.ndarray) -> float:
    """Return the largest magnitude of a map's finite values, 0 if it has none."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _share(seen: SeenBy | None) -> dict[str, float] | None:
    """Return the window as shares of the picture's side, and its size in pixels for the reader."""
    if seen is None:
        return None
    shares = {name: getattr(seen, name) / seen.side for name in ("start", "jump", "size")}
    return {**shares, "pixels": round(seen.size)}
