"""The panel that lays signed maps over a photo, side by side on one scale; all that moves is in the
browser."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.view import Now, Part

_OPACITY, _PALETTE, _SHARED = Now("opacity"), Now("palette"), Now("shared")
_TILE, _HEAD, _FOOT = 300.0, 26.0, 34.0  # CSS pixels of a picture, above and below it, in a saved file


@dataclass(frozen=True)
class SeenBy:
    """The part of the input that the values of a map can depend on, along each axis, as shares of its side.

    start   the middle of the first value's part, counted from the picture's edge
    jump    from the middle of one value's part to that of the next
    size    how wide a part is, also beyond the picture's edge
    pixels  the same in pixels of the input, for the reader
    """

    start: float
    jump: float
    size: float
    pixels: int


@dataclass(frozen=True)
class Heatmap:
    """One map over the photo.

    values   float32 (h, w), signed
    name     whose it is, for the read-out and for files
    heading  what stands above it after the name
    color    "plain", "residual" or "", of the name
    seen_by  what its values depend on, None where that is not known
    mark     what was asked about, (x0, y0, x1, y1) in shares of the picture, None for all of it
    """

    values: np.ndarray
    name: str
    heading: str = ""
    color: str = ""
    seen_by: SeenBy | None = None
    mark: Sequence[float] | None = None

    def __post_init__(self) -> None:
        values = self.values
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
        object.__setattr__(self, "values", np.ascontiguousarray(values, np.float32))


@dataclass(frozen=True)
class Step:
    """What is seen at one position of the sliders.

    maps    left to right, then the next row
    tick    the position's name, for files
    scale   the magnitude of full colour
    beyond  whether some values are larger
    """

    maps: Sequence[Heatmap]
    tick: str
    scale: float
    beyond: bool = False


def step(maps: Sequence[Heatmap], tick: str, scale: float | None = None) -> Step:
    """Return a step; by default the largest magnitude in any of its maps has full colour."""
    most = max(largest(one.values) for one in maps)
    return Step(maps, tick, most if scale is None else scale, scale is not None and most > scale)


def largest(values: np.ndarray) -> float:
    """Return the largest magnitude of a map's finite values, 0 if it has none."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


@dataclass(frozen=True)
class Palette:
    """A table of colours for -1 to 1, uint8 (256, 4), and the words for its two signs."""

    name: str
    plus: str
    minus: str
    colors: np.ndarray


def palettes() -> tuple[Palette, ...]:
    """Return all palettes, the usual one first."""
    from resnet_explore.figures.heatmaps import PALETTES, SIGNS

    return tuple(Palette(name, *SIGNS[name], table) for name, table in PALETTES.items())


@dataclass(frozen=True)
class Heatmaps(Part):
    """Maps over one photo. Colours are symmetric about 0: full colour is the step's scale.

    picture   the photo, bytes of a PNG or JPEG; `picture_key` says which it is
    steps     a `Step`, or `Over`s of them
    together  the scale that all steps share, used where the state's field `shared` is true
    unit      of the values
    meaning   of the signs, with {plus} and {minus} for the colours
    columns   how many maps stand side by side where there is room
    asks      the act that a click or Enter at a place calls with (down, across), "" for none
    alt       what is seen, for who can't see it
    crisp     whether each value is a square, so that it can be pointed at; else colours blend
    adds      the places of two maps and of their sum, which is read out as such; () for none
    opacity   of the colours over the photo, 0 to 1
    palette   the name of one of `palettes`
    shared    whether all steps share one scale
    """

    kind: ClassVar[str] = "heatmaps"
    key: str
    picture: bytes
    picture_key: str
    steps: Any
    together: Any
    unit: str
    meaning: str
    columns: int = 2
    asks: str = ""
    alt: Any = ""
    adds: Sequence[int] = ()
    crisp: bool = False
    opacity: Any = _OPACITY
    palette: Any = _PALETTE
    shared: Any = _SHARED
    palettes: Sequence["Palette"] = field(default_factory=palettes)

    @property
    def height(self) -> float:  # type: ignore[override]
        """CSS pixels of all rows in a saved picture."""
        rows = -(-len(self.steps.maps) // self.columns)
        return rows * (_TILE + _HEAD) + _FOOT

    def draw(self, figure: Any) -> None:
        """Draw the maps of one step, with their scale."""
        from resnet_explore.figures.heatmap_tiles import Tile, draw_tiles

        scale = self.together if self.shared else self.steps.scale
        tiles = [
            Tile(one.values, f"{one.name}, {one.heading}" if one.heading else one.name, one.color)
            for one in self.steps.maps
        ]
        draw_tiles(
            figure,
            self.picture,
            tiles,
            scale,
            self.unit,
            self.meaning,
            self.palette,
            self.opacity,
            self.columns,
        )

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Yield a row for each value of the step that is shown."""
        for one in self.steps.maps:
            for (row, column), value in np.ndenumerate(one.values):
                yield {
                    "map": self.steps.tick, "network": one.name, "row": row, "column": column,
                    self.unit: float(value),
                }  # fmt: skip

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the maps of the step that is shown, by "<position>/<name>"."""
        return {f"{self.steps.tick}/{one.name}": one.values for one in self.steps.maps}
