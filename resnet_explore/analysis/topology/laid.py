"""What of a captured pass is a map of the image, as it stands or laid out, and what is none, and why."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.analysis.topology.tokens import TokenGrid, grids, reordered
from resnet_explore.errors import ExploreError


class NoMapError(ExploreError):
    """A layer that has no map; `reasons` says of each layer why, as far as that is known."""

    def __init__(self, sentence: str, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.reasons = dict(reasons or {})


@dataclass(frozen=True, eq=False)
class MapLayer:
    """A layer's output and its map.

    output  as the module gave it
    map     (N, C, h, w)
    module  that gave it, in the n-th of its calls, counted from 1, at `path` in what it returns, as "[0]"
    grid    how the map was laid out; None for an output that is a map as it stands
    """

    output: Tensor
    map: Tensor
    module: nn.Module
    call: int
    path: str
    grid: TokenGrid | None

    @property
    def aside(self) -> bool:
        """Whether the output holds more than the map, such as a class token."""
        return self.grid is not None and self.grid.left > 0

    def lay(self, output: Tensor) -> Tensor:
        """Return the map of an output, or of its gradient."""
        return output if self.grid is None else self.grid.lay(output)

    def put(self, maps: Tensor) -> Tensor:
        """Return the output of the first image, as often as there are maps, with these instead of its own."""
        if self.grid is None:
            return maps
        return self.grid.put(maps, self.output[:1].expand(len(maps), *self.output.shape[1:]))

    def of_image(self, i: int) -> "MapLayer":
        """Return the same of one image of the batch."""
        output, own = self.output[i : i + 1], self.map[i : i + 1]
        return MapLayer(output, own, self.module, self.call, self.path, self.grid)


def usable(seen: Capture, images: Tensor, skip: bool) -> tuple[dict[str, MapLayer], dict[str, str]]:
    """Return the captured outputs that are maps, and why others are none.

    Raises NoMapError for a layer that did not run or is no map, with `skip` only if none is left.
    """
    outputs, count = seen.outputs, len(images)
    if (seen.idle and not skip) or not outputs:
        names = ", ".join(repr(name) for name in seen.idle[:3])
        raise NoMapError(f"The model did not run {names}, so there is no map of it; choose other layers.")
    known: dict[str, TokenGrid | str] = {}
    if any(output.ndim > 2 for output in outputs.values()) and reordered(seen.nodes):
        with seen.paused():
            known = grids(seen.model, images, list(dict.fromkeys(map(module_name, outputs))))
    omitted = dict.fromkeys(seen.idle, "the model does not run it")
    found, modules = {}, seen.modules
    for name, output in outputs.items():
        grid = known.get(name, "")
        problem = why_no_map(output, count, grid)
        if not problem:
            laid = grid if isinstance(grid, TokenGrid) and not grid.plain else None
            own = output if laid is None else laid.lay(output)
            found[name] = MapLayer(output, own, modules[name], *call_and_path(name), laid)
        else:
            omitted[name] = problem
    # Beside its map a module may give more, such as "blocks.0[1]", its attention.
    given = {module_name(name) for name in found}
    strange = next((name for name in outputs if name not in found and module_name(name) not in given), None)
    if strange is not None and not (skip and found):
        reason = omitted[strange].removeprefix("it gives an ")
        raise NoMapError(f"Layer {strange!r} gives an {reason}.", omitted)
    return found, omitted


def why_no_map(output: Tensor, count: int, grid: TokenGrid | str) -> str:
    """Say why the output for so many images is no map; "" if it is, as it stands or by its grid."""
    needed = f"({count}, channels, height, width)"
    shape = f"it gives an output of shape {tuple(output.shape)}, but a map needs {needed}"
    if isinstance(grid, TokenGrid):
        return "" if grid.fits(output) and len(output) == count else shape
    if grid:
        return f"{shape}, and {grid}"
    return "" if output.ndim == 4 and len(output) == count else shape


def module_name(name: str) -> str:
    """Return the name of the module in a name as `Capture` gives it, such as "relu:2" or "fpn[0]"."""
    return re.split(r"[:\[]", name)[0]


def call_and_path(name: str) -> tuple[int, str]:
    """Return n and the rest of a name "relu:n[0]" as `Capture` gives it; 1 for a module that runs once."""
    call, path = re.fullmatch(r"[^:\[]*(?::(\d+))?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
    return int(call or 1), path
