"""How large a network is: measured on the live module, so that there is no second description to go stale."""

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from resnet_explore.errors import ExploreError
from resnet_explore.models.dry_run import as_size, dry_run
from resnet_explore.models.trace import Call, Tracer

_SHOWN = 0.05 * 2**20  # fewer bytes would read as none

Field = tuple[int, ...] | None
# Rows that are no module, and what they mean.
_FORWARD, _IDLE = "(forward)", "(not called)"
_NOTES = {
    _FORWARD: "(forward) is what the network does outside of its parts, with the weights that it uses there.",
    _IDLE: "(not called) are weights of parts that such a pass does not call.",
}
_COLUMNS = ("part", "output", "parameters", "MACs", "layers", "receptive field", "activations")


@dataclass(frozen=True)
class SummaryPart:
    """One stage of a network.

    output            shape without the batch; of several outputs the first
    outputs           all of them
    parameters, macs, depth, receptive_field, activation_bytes   as in Summary; `depth` is by how much this
                      part lengthens the longest path, `receptive_field` that of its output
    """

    name: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    depth: int
    outputs: tuple[tuple[int, ...], ...] = ()
    receptive_field: Field = None
    activation_bytes: int = 0


@dataclass(frozen=True)
class Summary:
    """What `describe` measured; `str()` of it is a table, and notebooks show one.

    parameters        learnable numbers
    macs              multiply-adds of convolutions and fully connected layers for ONE input (papers say
                      "FLOPs")
    depth             layers with weights (convolutions and fully connected ones) on the longest path
    receptive_field   input pixels, along each axis, that one pixel of the last map can depend on, also beyond
                      the border; None where that is the whole input
    activation_bytes  memory of what one input's forward pass must keep in training for the backward pass,
                      each tensor once, in the network's precision; neither weights nor the input itself
    """

    input_size: tuple[int, ...]
    parts: tuple[SummaryPart, ...]
    parameters: int
    macs: int
    depth: int
    receptive_field: Field = None
    activation_bytes: int = 0

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table's cells as text, the total last."""
        rows = [
            (
                part.name,
                _shapes(part.outputs),
                f"{part.parameters:,}",
                f"{part.macs:,}",
                str(part.depth),
                _pixels(part.receptive_field) if part.output else "",
                _bytes(part.activation_bytes),
            )
            for part in self.parts
            if part.output or part.parameters or part.macs or part.activation_bytes >= _SHOWN
        ]
        total = (f"{self.parameters:,}", f"{self.macs:,}", str(self.depth), _pixels(self.receptive_field))
        return [*rows, ("total", "", *total, _bytes(self.activation_bytes))]

    def notes(self) -> list[str]:
        """Return a sentence for each row of the table that is no part of the network."""
        names = {row[0] for row in self.rows()}
        return [sentence for name, sentence in _NOTES.items() if name in names]

    def __str__(self) -> str:
        rows = [_COLUMNS, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))])
            for name, *cells in rows
        )
        return "\n".join([*(line.rstrip() for line in lines), *self.notes()])

    def _repr_html_(self) -> str:
        # Colours are the page's own, so that the table reads in a light and in a dark theme.
        left, right = ('style="text-align: left"', 'style="text-align: right; white-space: nowrap"')
        line = 'style="border-top: 1px solid currentColor; font-weight: bold"'
        *rows, total = self.rows()

        def cells(row: tuple[str, ...], tag: str = "td") -> str:
            first, *others = map(html.escape, row)
            scope = "col" if tag == "th" else "row"
            return f'<th scope="{scope}" {left}>{first}</th>' + "".join(
                f"<{tag} {right}>{cell}</{tag}>" for cell in others
            )

        size = "×".join(map(str, self.input_size))
        notes = "".join(f" {sentence}" for sentence in self.notes())
        return (
            '<table style="color: inherit; font-variant-numeric: tabular-nums">'
            f"<caption {left}>Measured for one input of {size}; MACs are multiply-adds of convolutions and "
            f"fully connected layers, activations what training keeps for the backward pass.{notes}</caption>"
            f"<thead><tr>{cells(_COLUMNS, 'th')}</tr></thead>"
            f"<tbody>{''.join(f'<tr>{cells(row)}</tr>' for row in rows)}</tbody>"
            f"<tfoot><tr {line}>{cells(total)}</tr></tfoot></table>"
        )


def describe(model: nn.Module, input_size: tuple[int, ...] = (3, 224, 224)) -> Summary:
    """Measure any module that takes one tensor of images, or of clips (C, T, H, W).

    input_size is (C, H, W) or (C, T, H, W), without the batch. Eval mode. Mostly shapes alone are traced; a
    network whose shapes depend on values (a detector) runs once, on noise. Raises ExploreError if the model
    can't take such an input. The model is left as it was.
    """
    size = as_size(input_size)
    watch = dry_run(model, size, Tracer)
    return Summary(
        input_size=size,
        parts=tuple(_parts(model, watch.calls)),
        parameters=_count(model, set()),
        macs=watch.macs,
        depth=watch.depth,
        receptive_field=_whole(watch.field),
        activation_bytes=sum(call.kept for call in watch.calls.values()),
    )


@dataclass(frozen=True)
class Window:
    """Which input pixels the places of a map can depend on, for each axis, also beyond the border.

    Place i sees the pixels from `start + i * jump` on, `field` of them; behind a transposed convolution or an
    interpolation that is true to within one pixel of the coarser map.
    """

    field: tuple[float, ...]
    jump: tuple[float, ...]
    start: tuple[float, ...]


def receptive_fields(model: nn.Module, input_size: tuple[int, ...] = (3, 224, 224)) -> dict[str, Window]:
    """Return the receptive field of each module's output, by its dotted name (Araujo et al. 2019).

    Modules whose output depends on the whole input, or that ran several times, are left out. Errors and
    conditions are those of `describe`.
    """
    calls = dry_run(model, input_size, Tracer).calls
    return {
        path: Window(call.field, call.jump, call.start)
        for path, call in calls.items()
        if call.field is not None and call.runs == 1
    }


def fields_if_known(model: nn.Module, input_size: tuple[int, ...]) -> dict[str, Window]:
    """Return `receptive_fields`, none of a network that can't be followed."""
    try:
        return receptive_fields(model, input_size)
    except ExploreError:
        return {}


def _parts(model: nn.Module, calls: dict[str, Call]) -> Iterator[SummaryPart]:
    """Yield what ran of the top-level children, or of what they hold if they hold stages.

    Each parameter counts where it is met first, so that the parts add up to the whole.
    """
    here, counted = calls[""], set[int]()
    parts: dict[str, nn.Module] = {}
    holders = [model]
    for name, child in model.named_children():
        if not any(path == name or path.startswith(f"{name}.") for path in calls):
            continue
        if _holds_stages(child, name, calls):
            holders.append(child)
            parts |= {f"{name}.{own}": module for own, module in child.named_children()}
        else:
            parts[name] = child
    own = sum(_count(holder, counted, recurse=False) for holder in holders)
    if here.macs or here.kept or own:
        yield SummaryPart(_FORWARD, (), own, here.macs, 0, activation_bytes=here.kept)
    for path, module in parts.items():
        if path in calls:
            yield _part(path, module, calls, counted)
    if idle := _count(model, counted):
        yield SummaryPart(_IDLE, (), idle, 0, 0)


def _part(path: str, module: nn.Module, calls: dict[str, Call], counted: set[int]) -> SummaryPart:
    call = calls[path]
    inside = [c for p, c in calls.items() if p == path or p.startswith(path + ".")]
    return SummaryPart(
        name=path,
        output=call.outputs[0] if call.outputs else (),
        parameters=_count(module, counted),
        macs=sum(c.macs for c in inside),
        depth=call.depth,
        outputs=tuple(call.outputs),
        receptive_field=_whole(call.field),
        activation_bytes=sum(c.kept for c in inside),
    )


def _holds_stages(module: nn.Module, path: str, calls: dict[str, Call]) -> bool:
    """Whether a module is a mere list, or a sequence of containers at more than one resolution."""
    if path not in calls:
        return True
    inner = [(f"{path}.{name}", child) for name, child in module.named_children()]
    if not isinstance(module, nn.Sequential) or not all(any(child.children()) for _, child in inner):
        return False
    shapes = [calls[name].outputs for name, _ in inner if name in calls]
    return len({tuple(shape[1:] for shape in outputs) for outputs in shapes}) > 1


def _count(module: nn.Module, counted: set[int], recurse: bool = True) -> int:
    """Count the parameters that are not counted yet, and remember them."""
    fresh = [p for p in module.parameters(recurse) if id(p) not in counted]
    counted.update(map(id, fresh))
    return sum(parameter.numel() for parameter in fresh)


def _whole(field: tuple[float, ...] | None) -> Field:
    return None if field is None else tuple(math.ceil(f) for f in field)


def _shapes(outputs: tuple[tuple[int, ...], ...]) -> str:
    outputs = tuple(shape for shape in outputs if shape)
    shown = ["×".join(map(str, shape)) for shape in outputs[:4]]
    return ", ".join([*shown, "…"] if len(outputs) > 4 else shown)


def _pixels(field: Field) -> str:
    if field is None:
        return "all"
    return str(field[0]) if len(set(field)) == 1 else "×".join(map(str, field))


def _bytes(number: int) -> str:
    return f"{number / 2**20:,.1f} MiB"
