"""The panel that shows channels as tiles: sorted, turned over, enlarged and read in the browser."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resnet_explore.figures.mosaic import (
    CORNER,
    CROSS,
    LEVELS,
    LOOKUP,
    MOST,
    Mosaic,
    draw_mosaics,
    levels,
    mosaic,
)
from resnet_explore.widgets.core.view import Now, Part

DEAD, SATURATED = 1, 2  # marks of a channel
SCALE, MEAN, MARK, FIRST_ORDER = 0, 1, 2, 3  # rows of `Sheet.channels`
OWN = "Each tile is on its own scale: the brightest colour is its largest magnitude."


@dataclass(frozen=True, eq=False)
class Sheet:
    """Maps of one layer as tiles.

    heading   what stands above them
    kind      "plain" or "residual", which colours the heading, "" for neither
    tiles     int8 (C, h, w), 127 times a map over its own largest magnitude; or colours, uint8 (C, h, w, 3)
    channels  float32 (3 + orders, C): each map's largest magnitude, its mean, its mark (`DEAD`, `SATURATED`),
              and for each order the channels in it
    orders    the names of the orders, keys of `Tiles.orders`
    shape     (C, H, W) of the layer's output, of which the tiles may be averages
    sign      what stands between it and the sheet before it, such as "+"
    """

    heading: str
    kind: str
    tiles: np.ndarray
    channels: np.ndarray
    orders: tuple[str, ...]
    shape: tuple[int, ...]
    sign: str = ""

    @property
    def colored(self) -> bool:
        """Whether tiles are colours, and no values."""
        return self.tiles.ndim == 4

    def ranked(self, order: str) -> np.ndarray:
        """Return all channels in an order, by number where there is no such order."""
        count = len(self.tiles)
        known = order if order in self.orders or order == "channel" else self.orders[0]
        if known == "channel":
            return np.arange(count)
        return self.channels[FIRST_ORDER + self.orders.index(known)].astype(int)

    def values(self, channels: np.ndarray, own: bool = False) -> np.ndarray:
        """Return maps, float (c, h, w), of their `own` scale as shares of it; or colours (c, h, w, 3)."""
        if self.colored:
            return self.tiles[channels]
        scales = np.ones(len(channels)) if own else self.channels[SCALE, channels]
        return self.tiles[channels] * (scales / LEVELS)[:, None, None]


def sheet(
    heading: str,
    kind: str,
    maps: np.ndarray,
    orders: Mapping[str, np.ndarray],
    marks: np.ndarray | None = None,
    shape: tuple[int, ...] = (),
    sign: str = "",
) -> Sheet:
    """Return maps, float (C, h, w) or colours, uint8 (C, h, w, 3), as tiles; `orders` are permutations."""
    colored, count = maps.ndim == 4, len(maps)
    tiles, scales = (maps, np.ones(count, np.float32)) if colored else levels(maps)
    means = np.zeros(count) if colored else maps.mean((1, 2))
    rows = [scales, means, np.zeros(count) if marks is None else marks, *orders.values()]
    return Sheet(
        heading,
        kind,
        tiles,
        np.stack(rows).astype(np.float32),
        tuple(orders),
        shape or maps.shape[:3],
        sign,
    )


@dataclass(frozen=True, eq=False)
class Shown:
    """What stands side by side at one place of the sliders.

    name      what it is, such as a block's name
    sheets    a `Sheet` each, or a sentence where there is none
    scale     the magnitude that the brightest colour stands for
    note      a sentence on what the tiles are
    scaled    a sentence on the scale
    together  how sheets side by side are sorted, in words; "" where there is nothing to say
    marked    whether a tile of any page is marked as dead or saturated
    """

    name: str
    sheets: Sequence[Sheet | str]
    scale: float = 1.0
    note: str = ""
    scaled: str = ""
    together: str = ""
    marked: bool = False


@dataclass(frozen=True, eq=False)
class Tiles(Part):
    """Channels as tiles, up to three sheets of them side by side; one channel can be enlarged.

    shown    a `Shown`, or what a slider picks one from
    orders   how tiles can be sorted, a `Choice` each; "channel", by number, needs no order in the sheets
    picture  uint8 (H, W, 3), what an enlarged channel lies over; None for nothing

    The fields `order`, `tile_page`, `own_scale`, `channel` (-1 shows all) and `opacity` of the state say the
    rest. Exact values of an enlarged channel come aside: {"of": {field: value} that they belong to, "maps":
    float32 (h, w) or (h, w, 3) or None for each sheet, "fields": receptive fields or None}. Until then values
    are those of the tiles, to within half a percent of a tile's largest.
    """

    kind: ClassVar[str] = "tiles"
    key: str
    shown: Any
    orders: Any
    picture: Any = None
    order: Any = field(default_factory=lambda: Now("order"))
    tile_page: Any = field(default_factory=lambda: Now("tile_page"))
    own_scale: Any = field(default_factory=lambda: Now("own_scale"))
    channel: Any = field(default_factory=lambda: Now("channel"))
    opacity: Any = field(default_factory=lambda: Now("opacity"))
    lookup: np.ndarray = field(default_factory=lambda: LOOKUP)

    @property
    def height(self) -> float:  # type: ignore[override]
        """CSS pixels that the tiles take in a saved picture, 0 where there are none."""
        return 500.0 if self.sheets else 0.0

    @property
    def sheets(self) -> list[Sheet]:
        """The sheets that there are."""
        return [one for one in self.shown.sheets if isinstance(one, Sheet)] if self.shown else []

    @property
    def _colored(self) -> bool:
        return all(one.colored for one in self.sheets)

    @property
    def _own(self) -> bool:
        return bool(self.own_scale) and not self._colored

    @property
    def _one(self) -> bool:
        """Whether one channel is enlarged."""
        return 0 <= self.channel < max((len(one.tiles) for one in self.sheets), default=0)

    @property
    def words(self) -> str:
        """What a saved picture says of its tiles."""
        return " ".join(
            filter(None, [self.shown.note, OWN if self._own else self.shown.scaled, *self._words()])
        )

    def draw(self, figure: Any) -> None:
        """Draw the page of tiles that is open, or the channel that is enlarged."""
        scale = None if self._colored else 1.0 if self._own else self.shown.scale
        drawn = list(self._enlarged(self._own) if self._one else self._mosaics(self._own))
        draw_mosaics(figure, drawn, scale, self.words)

    def _mosaics(self, own: bool) -> Iterator[Mosaic]:
        for one in self.sheets:
            places = self.places(one)
            marks = one.channels[MARK, places]
            yield Mosaic(one.heading, one.values(places, own), one.kind, one.sign, marks, places)

    def _enlarged(self, own: bool) -> Iterator[Mosaic]:
        scale = 1.0 if own else self.shown.scale
        for one in self.sheets:
            if self.channel >= len(one.tiles):
                continue
            tile = one.values(np.array([self.channel]), own)
            yield Mosaic(
                one.heading, tile if self.picture is None else self._over(tile, scale), one.kind, one.sign
            )

    def _over(self, tile: np.ndarray, scale: float) -> np.ndarray:
        """Return one tile over the picture, as colours (1, H, W, 3)."""
        from PIL import Image

        size = self.picture.shape[1::-1]
        colors = np.asarray(Image.fromarray(mosaic(tile, scale)).resize(size, Image.Resampling.NEAREST))
        mixed = self.opacity * colors + (1 - self.opacity) * self.picture
        return np.rint(mixed).astype(np.uint8)[None]

    def places(self, one: Sheet) -> np.ndarray:
        """Return the channels of a sheet on the page that is open, on the last one at most."""
        first = min(self.tile_page, (len(one.tiles) - 1) // MOST) * MOST
        return one.ranked(self.order)[first : first + MOST]

    def _words(self) -> Iterator[str]:
        if self._one:
            yield f"Channel {self.channel}" + ("." if self.picture is None else " over the picture.")
            return
        yield f"Tiles row by row {self.order_label}."
        most, first = max((len(one.tiles) for one in self.sheets), default=0), self.tile_page * MOST
        if most > MOST:
            yield f"Channels {first + 1} to {min(most, first + MOST)} of {most} in this order."
        if any(one.channels[MARK, self.places(one)].any() for one in self.sheets):
            yield f"{CROSS} dead: 0 everywhere; {CORNER} saturated: at its bound."

    @property
    def order_label(self) -> str:
        """What the order is called that the tiles are in."""
        known = all(self.order in (*one.orders, "channel") for one in self.sheets)
        first, order = self.orders[0].value, self.order
        order = order if known else first
        label = next(str(choice.label) for choice in self.orders if choice.value == order)
        return f"{label}, {self.shown.together}" if order == first and self.shown.together else label

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return all channels of each sheet, float32 (C, h, w), or colours, by the sheet's heading."""
        every = {one.heading: np.arange(len(one.tiles)) for one in self.sheets}
        values = {one.heading: one.values(every[one.heading]) for one in self.sheets}
        return {name: maps if maps.ndim == 4 else maps.astype(np.float32) for name, maps in values.items()}
