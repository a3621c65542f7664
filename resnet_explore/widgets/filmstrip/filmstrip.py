"""Pictures sent to the browser once and moved through there: by slider, arrow keys or play button."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from resnet_explore.errors import ExploreError, unknown
from resnet_explore.widgets.browser.bundle import bundle

STYLE = Path(__file__).parent / "card.css"

_SIGNATURES = (b"\x89PNG", b"RIFF", b"\xff\xd8")
_TEXTS = ("titles", "captions", "alts", "ticks")
_LISTS = ("frames", "overlays", *_TEXTS, "headings")
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(_LISTS, ((list, tuple), "list")),
    **dict.fromkeys(("index", "interval_ms"), (int, "whole number")),
    **dict.fromkeys(("scale", "opacity"), ((int, float), "number")),
}


class Filmstrip(anywidget.AnyWidget):
    """A picture per step, scrubbed in the browser with no kernel in between.

    Lists hold one entry per step, or a single one that serves every step; texts may also be left out.
    Pictures are drawn at `1 / scale` CSS pixels per pixel, never wider than the card. An overlay may be
    smaller than its frame: it is stretched over it bilinearly, as `interpolate(align_corners=False)` does,
    and laid on at `opacity`.

    `index` moves at once in the browser and reaches Python when the slider rests; setting it here moves the
    picture there. The opacity slider works in the browser alone; its value comes along with the next index.

    While there are no pictures, `message` stands in their place. With pictures it is laid over them for as
    long as `busy` is true.

    Raises `ExploreError` where lists do not fit each other, a picture is not PNG, WebP or JPEG bytes, or a
    number is out of range. Use `show` to change several traits that belong together.
    """

    _esm = bundle("filmstrip/filmstrip.js")
    _css = STYLE

    frames = t.List(t.Bytes()).tag(sync=True)
    overlays = t.List(t.Bytes()).tag(sync=True)
    titles = t.List(t.Unicode()).tag(sync=True)
    captions = t.List(t.Unicode()).tag(sync=True)
    alts = t.List(t.Unicode()).tag(sync=True)
    headings: Any = t.List().tag(sync=True)  # one row of str, or a row per step
    name = t.Unicode("Step").tag(sync=True)
    ticks = t.List(t.Unicode()).tag(sync=True)
    # An echo of an index that the browser has already left would pull the slider back.
    index = t.Int(0).tag(sync=True, echo_update=False)
    playing = t.Bool(False).tag(sync=True)
    interval_ms = t.Int(700).tag(sync=True)
    scale = t.Float(1.0).tag(sync=True)
    opacity = t.Float(0.5).tag(sync=True, echo_update=False)
    show_opacity = t.Bool(False).tag(sync=True)
    show_slider = t.Bool(True).tag(sync=True)  # False where another widget's slider is linked to `index`
    narrow = t.Bool(False).tag(sync=True)  # the browser says whether there is little room
    message = t.Unicode("").tag(sync=True)
    busy = t.Bool(False).tag(sync=True)

    def __init__(self, **values: Any) -> None:
        defaults = {name: trait.default() for name, trait in self.class_traits(sync=True).items()}
        _check(defaults | values)
        super().__init__(**values)

    @property
    def steps(self) -> int:
        """How many positions the slider has."""
        return _steps({"frames": self.frames, "overlays": self.overlays})

    def show(self, **values: Any) -> None:
        """Set several traits as one change: `strip.show(frames=pictures, titles=findings, busy=False)`.

        The browser gets one message and redraws once. Unless `index` is given it stays where the person has
        left it, or at the last step if there are fewer now.
        """
        names = self.trait_names(sync=True)
        for name in values:
            if name not in names:
                raise unknown("trait", name, [n for n in names if not n.startswith("_")])
        merged = {name: getattr(self, name) for name in names} | values
        if "index" not in values and _steps(merged):
            merged["index"] = values["index"] = min(self.index, _steps(merged) - 1)
        _check(merged)
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                setattr(self, name, value)

    @t.validate(*_LISTS, "index", "opacity", "scale", "interval_ms")
    def _fits(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        values = {n: getattr(self, n) for n in self.trait_names(sync=True)} | {name: value}
        if name in ("frames", "overlays") and _steps(values):
            values["index"] = min(values["index"], _steps(values) - 1)  # follows, see below
        _check(values)
        return value

    @t.observe("frames", "overlays")
    def _keep_index_in_range(self, _change: Any) -> None:
        if self.steps:
            self.index = min(self.index, self.steps - 1)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser says; an index that crossed with newer, fewer pictures is clamped."""
        if "index" in sync_data and self.steps:
            sync_data = sync_data | {"index": min(max(sync_data["index"], 0), self.steps - 1)}
        super().set_state(sync_data)


def _steps(values: Mapping[str, Any]) -> int:
    return max(len(values["frames"]), len(values["overlays"]))


def _check(values: Mapping[str, Any]) -> None:
    """Raise `ExploreError` unless the traits in `values` make a strip that can be shown."""
    for name, (kind, noun) in _KINDS.items():
        if not isinstance(values[name], kind):
            raise ExploreError(f"{name} must be a {noun}, got {values[name]!r:.40}.")
    for name in ("frames", "overlays"):
        for k, picture in enumerate(values[name]):
            if not isinstance(picture, bytes) or not picture.startswith(_SIGNATURES):
                got = f"{picture[:4]!r}..." if isinstance(picture, bytes) else type(picture).__name__
                raise ExploreError(f"{name}[{k}] must be the bytes of a PNG, WebP or JPEG, got {got}.")
    steps = _steps(values)
    for name in _LISTS:
        count = len(values[name])
        if name == "headings" and not _is_rows(values[name]):
            count = 1
        if steps and count not in (0, 1, steps):
            raise ExploreError(f"{name} has {count} entries for {steps} steps: give {steps}, or one for all.")
    index = values["index"]
    if not 0 <= index < (steps or index + 1):
        raise ExploreError(f"index must be from 0 to {max(steps - 1, 0)}, got {index}.")
    if not 0 <= values["opacity"] <= 1:
        raise ExploreError(f"opacity must be from 0 to 1, got {values['opacity']}.")
    if not values["scale"] > 0:
        raise ExploreError(f"scale must be above 0 (pixels per CSS pixel), got {values['scale']}.")
    if values["interval_ms"] < 50:
        raise ExploreError(f"interval_ms must be at least 50, got {values['interval_ms']}.")


def _is_rows(headings: Any) -> bool:
    """Tell a row of headings per step from one row for all; anything else is an error."""
    if all(isinstance(h, str) for h in headings):
        return False
    if all(isinstance(row, list | tuple) and all(isinstance(h, str) for h in row) for row in headings):
        return True
    raise ExploreError(f"headings must be a list of str, or one such list per step, got {headings!r:.80}.")
