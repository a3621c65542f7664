"""Feature maps as tiles, sent to the browser once and there sorted, scrubbed, enlarged and read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets as t

from resnet_explore.figures.mosaic import LOOKUP, levels
from resnet_explore.widgets.scripts import STYLE, script

Exact = Callable[[str, int, int, int], Sequence[np.ndarray | None]]
"""(view, depth, index, channel) -> for each panel the exact map (h, w), if coloured (h, w, 3), or None."""

DEAD, SATURATED = 1, 2  # marks of a channel
WHERE = ("view", "depth", "index", "order", "page", "own_scale", "channel", "opacity")


class Mosaics(anywidget.AnyWidget):
    """Up to two panels of tiles, a slider over blocks and one over depths.

    maps, parts, filters  the three views; each is what `Sheet.view` returns, or {} while there is none
    picture  {"bytes": PNG, "size": [height, width] in pixels of the network's input}
    windows  receptive fields, {layer: {"field": ..., "jump": ..., "start": ...}} for each depth and network
    charts   {"pictures": a PNG per depth, "alts": ..., "places": where the line goes}, see `statistics_chart`
    view, depth, index, order, page, own_scale, channel, opacity   where the person is; channel -1 shows all

    `on_exact` registers what answers for the exact values of an enlarged map, `on_shown` what is to be done
    as soon as the browser shows new maps; `in_step` does something once these traits are where the person is.
    """

    _esm = script("mosaic_tiles", "mosaic_panel", "mosaic_curves", "mosaic_exact", "mosaic_words", "mosaics")
    _css = STYLE

    lookup: Any = t.List(LOOKUP.tolist()).tag(sync=True)
    maps: Any = t.Dict().tag(sync=True)
    parts: Any = t.Dict().tag(sync=True)
    filters: Any = t.Dict().tag(sync=True)
    picture: Any = t.Dict().tag(sync=True)
    windows: Any = t.List().tag(sync=True)
    charts: Any = t.Dict().tag(sync=True)
    view = t.Enum(("maps", "parts", "filters"), "maps").tag(sync=True, echo_update=False)
    order = t.Enum(("activation", "difference", "channel"), "activation").tag(sync=True, echo_update=False)
    index = t.Int(0).tag(sync=True, echo_update=False)
    depth = t.Int(0).tag(sync=True, echo_update=False)
    page = t.Int(0).tag(sync=True, echo_update=False)
    channel = t.Int(-1).tag(sync=True, echo_update=False)
    own_scale = t.Bool(False).tag(sync=True, echo_update=False)
    opacity = t.Float(0.7).tag(sync=True, echo_update=False)
    message = t.Unicode("").tag(sync=True)
    busy = t.Bool(False).tag(sync=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._exact: Exact | None = None
        self._shown: Callable[[], None] | None = None
        self._then: Callable[[], None] | None = None
        self.on_msg(self._answer)

    def on_exact(self, exact: Exact) -> None:
        """Let `exact` answer what the values of an enlarged map are."""
        self._exact = exact

    def on_shown(self, callback: Callable[[], None]) -> None:
        """Call this once the browser has drawn maps and waits for the rest."""
        self._shown = callback

    def in_step(self, then: Callable[[], None]) -> None:
        """Ask the browser where the person is, and call `then` when it has answered.

        The traits alone may lag behind: a move is sent after a rest, and later still while the kernel is
        busy, as ipywidgets holds back what changes meanwhile. A button's click overtakes it.
        """
        self._then = then
        self.send({"where": True})

    def show(self, **values: Any) -> None:
        """Set several traits as one message."""
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)

    def _answer(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if "shown" in content and self._shown is not None:
            self._shown()
        if "where" in content and self._then is not None:  # once, however many pages show this
            self.set_state({name: value for name, value in content["where"].items() if name in WHERE})
            then, self._then = self._then, None
            then()
        want = content.get("want")
        if want and self._exact is not None:
            view, *place = want
            maps = self._exact(str(view), *map(int, place))
            shapes = [None if m is None else list(m.shape) for m in maps]
            data = [b"" if m is None else np.ascontiguousarray(m, np.float32).tobytes() for m in maps]
            self.send({"place": want, "shapes": shapes}, data)


class Sheet:
    """Collects panels of tiles as one run of bytes and what the browser has to know of each."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def view(self, sets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return a view for `Mosaics`: sets (a depth each) of steps (a block each) of panels."""
        return {"sets": list(sets), "bytes": b"".join(self._parts)}

    def panel(
        self,
        heading: str,
        color: str,
        maps: np.ndarray,
        orders: Mapping[str, np.ndarray],
        marks: np.ndarray | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Add maps, float (C, h, w) or uint8 colours (C, h, w, 3); `orders` are permutations of channels."""
        colored = maps.ndim == 4
        tiles, scales = (maps, np.ones(len(maps), np.float32)) if colored else levels(maps)
        at = self._length
        self._add(scales)
        self._add((np.zeros(len(maps)) if colored else maps.mean((1, 2))).astype(np.float32))
        self._add(np.zeros(len(maps), np.uint8) if marks is None else marks.astype(np.uint8))
        for order in orders.values():
            self._add(order.astype(np.uint32))
        self._add(tiles)
        return {
            "heading": heading,
            "color": color,
            "shape": list(maps.shape[:3]),
            "at": at,
            "orders": list(orders),
            "colored": colored,
            **more,
        }

    def _add(self, array: np.ndarray) -> None:
        data = np.ascontiguousarray(array).tobytes()
        data += bytes(-len(data) % 4)  # so that numbers of four bytes begin where the browser can read them
        self._parts.append(data)
        self._length += len(data)
