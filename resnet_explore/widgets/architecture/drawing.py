"""A network as boxes that are drawn: what stands in each, what feeds it, and what it holds."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from resnet_explore.widgets.core.view import Part

if TYPE_CHECKING:  # torch is loaded by what computes, behind the first page
    from resnet_explore.analysis.topology.structure import Operation, Structure, Unit

_MOST_STEPS = 80
_MOST_BOXES = 80  # more would be too narrow to be hit; equal neighbours are drawn as one "×n" then


@dataclass(frozen=True)
class Drawn:
    """One network as a row of boxes.

    color  "plain" or "residual"
    facts  a line on the whole network
    boxes  in the order of the forward pass: name, kind, count (of equal neighbours drawn as one), shape,
           parameters, macs, layers, skip, from (indices of the boxes that feed it, -1 the input), inside
           (its operations) and note (what it holds, where it is too much to draw)
    """

    title: str
    facts: str
    color: str
    boxes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Blueprint(Part):
    """Networks drawn below each other on one scale, boxes as high as their maps are large (logarithmic).

    opened  the state's field that holds (network, box) whose inside is shown, or ()
    """

    kind: ClassVar[str] = "blueprint"
    key: str
    networks: Sequence[Drawn]
    opened: str

    @property
    def height(self) -> float:  # type: ignore[override]
        """CSS pixels that all networks take in a saved picture."""
        return 170.0 * len(self.networks)

    def follows(self) -> tuple[str, ...]:
        """Return the field of the box that is open."""
        return (self.opened,)

    def draw(self, figure: Any) -> None:
        """Draw all networks, without what their boxes hold."""
        from resnet_explore.figures.blueprint import draw_networks

        draw_networks(figure, [(n.title, n.facts, n.color, n.boxes) for n in self.networks])

    def numbers(self) -> Iterable[Mapping[str, Any]]:
        """Return a row for each box of each network."""
        for network in self.networks:
            for box in network.boxes:
                columns = ("name", "kind", "count", "parameters", "macs", "layers", "skip")
                shape = "x".join(map(str, box["shape"]))
                yield {"network": network.title, **{c: box[c] for c in columns}, "output": shape}


def drawn(found: "Structure", title: str, facts: str, color: str) -> Drawn:
    """Return one network as it is drawn."""
    return Drawn(title, facts, color, tuple(_boxes(found)))


def _boxes(found: "Structure") -> Iterator[dict[str, Any]]:
    runs = _runs(found.units) if len(found.units) > _MOST_BOXES else [[k] for k in range(len(found.units))]
    box_of = {k: i for i, run in enumerate(runs) for k in run} | {-1: -1}
    for run in runs:
        unit = found.units[run[0]]
        sources = sorted({box_of[s] for k in run for s in found.units[k].inputs} - {box_of[run[0]]})
        yield {
            "name": unit.name if len(run) == 1 else f"{unit.name} to {found.units[run[-1]].name}",
            "kind": unit.kind,
            "count": len(run),
            "shape": list(unit.shape),
            "parameters": sum(found.units[k].parameters for k in run),
            "macs": sum(found.units[k].macs for k in run),
            "layers": sum(found.units[k].layers for k in run),
            "skip": unit.skip,
            "from": sources,
            **_inside(found.operations, unit),
        }


def _runs(units: Sequence["Unit"]) -> list[list[int]]:
    """Return the indices of units, equal neighbours in a chain together."""
    runs: list[list[int]] = []
    for k, unit in enumerate(units):
        before = units[k - 1] if k else unit
        same = [
            getattr(unit, n) == getattr(before, n) for n in ("kind", "shape", "skip", "parameters", "macs")
        ]
        if k and all(same) and unit.inputs == (k - 1,):
            runs[-1].append(k)
        else:
            runs.append([k])
    return runs


def _inside(operations: Sequence["Operation"], unit: "Unit") -> dict[str, Any]:
    """Return what a box holds, in words where it is too much to draw."""
    if len(unit.operations) <= _MOST_STEPS:
        return {"inside": list(_steps(operations, unit)), "note": ""}
    kinds = Counter(operations[i].kind for i in unit.operations)
    most = ", ".join(f"{number} × {kind}" for kind, number in kinds.most_common(6))
    return {"inside": [], "note": f"{len(unit.operations):,} operations, too many to draw: {most}, ..."}


def _steps(operations: Sequence["Operation"], unit: "Unit") -> Iterator[dict[str, Any]]:
    """Yield the operations of a box; inputs from outside of it are -1."""
    place = {i: k for k, i in enumerate(unit.operations)}
    for i in unit.operations:
        operation = operations[i]
        label, detail = _label(operation)
        yield {
            "name": operation.name,
            "label": label,
            "detail": detail,
            "shape": list(operation.shape),
            "parameters": operation.parameters,
            "macs": operation.macs,
            "from": sorted({place.get(source, -1) for source in operation.inputs}),
        }


def _label(operation: "Operation") -> tuple[str, str]:
    """Return what a layer is called, and its channels: "3×3 conv", and for stride 2 "64 → 128, /2"."""
    convolution = re.match(r"(\d+), (\d+), kernel_size=\(([^)]*)\), stride=\((\d+)", operation.details)
    if operation.kind.startswith("Conv") and convolution:
        into, out, kernel, stride = convolution.groups()
        groups = re.search(r"groups=(\d+)", operation.details)
        more = (f", /{stride}" if stride != "1" else "") + (f", {groups[1]} groups" if groups else "")
        return f"{'×'.join(kernel.split(', '))} conv", f"{into} → {out}{more}"
    linear = re.match(r"in_features=(\d+), out_features=(\d+)", operation.details)
    if linear:
        return "linear", f"{linear[1]} → {linear[2]}"
    padding = re.match(r"stride=(\d+), zero channels=(\d+)\+(\d+)", operation.details)
    if padding:
        stride, front, back = map(int, padding.groups())
        return "padding", f"/{stride}, {front + back} zero channels"
    return _SHORT.get(operation.kind, operation.kind), operation.details if operation.kind == "Add" else ""


_SHORT = {
    "BatchNorm2d": "BN",
    "BatchNorm3d": "BN",
    "native_batch_norm": "BN",
    "add": "+",
    "Add": "+",
    "mul": "×",
    "rsub": "1 − g",
    "cat": "concat",
    "relu": "ReLU",
    "MaxPool2d": "max pool",
    "AvgPool2d": "average pool",
    "AdaptiveAvgPool2d": "global average",
    "AdaptiveAvgPool3d": "global average",
    "mean": "global average",
}
