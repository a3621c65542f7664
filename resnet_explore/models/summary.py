"""How large a network is: measured on the live module, so that there is no second description to go stale."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from resnet_explore.errors import ExploreError


@dataclass(frozen=True)
class Part:
    """One top-level child of a network: output shape without the batch, parameters, multiply-adds, layers."""

    name: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    depth: int


@dataclass(frozen=True)
class Summary:
    """What `describe` measured; `str()` of it is a table.

    parameters   learnable numbers
    macs         multiply-adds of convolutions and fully connected layers for ONE image (papers say "FLOPs")
    depth        weighted layers on the main path; projections on shortcuts don't count
    """

    input_size: tuple[int, ...]
    parts: tuple[Part, ...]
    parameters: int
    macs: int
    depth: int

    def __str__(self) -> str:
        rows = [("part", "output", "parameters", "MACs", "layers")]
        rows += [
            (p.name, "x".join(map(str, p.output)), f"{p.parameters:,}", f"{p.macs:,}", str(p.depth))
            for p in self.parts
        ]
        rows += [("total", "", f"{self.parameters:,}", f"{self.macs:,}", str(self.depth))]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
            )
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in lines)


def describe(model: nn.Module, input_size: tuple[int, ...] = (3, 224, 224)) -> Summary:
    """Measure any module that takes one image tensor, without computing anything: shapes alone are traced.

    input_size is (C, H, W), without the batch. Raises ExploreError if the model can't take such an input.
    The model is left as it was.
    """
    macs: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}

    def count(path: str) -> Any:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                shapes[path] = tuple(output.shape[1:])
                if isinstance(module, nn.Conv2d | nn.Linear):
                    per_output = module.weight.numel() // module.weight.shape[0]
                    macs[path] = macs.get(path, 0) + output.numel() * per_output

        return hook

    handles = [m.register_forward_hook(count(path)) for path, m in model.named_modules()]
    was_training = {m: m.training for m in model.modules()}
    state = {k: torch.empty_like(v, device="meta") for k, v in model.state_dict(keep_vars=True).items()}
    try:
        model.eval()
        with torch.no_grad():
            functional_call(model, state, (torch.empty(1, *input_size, device="meta"),))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ExploreError(
            f"The model can't take an input of size {input_size} ({str(error).splitlines()[0]})."
        ) from None
    finally:
        for handle in handles:
            handle.remove()
        for module, training in was_training.items():
            module.training = training
    return _tabulate(model, input_size, macs, shapes)


def _tabulate(
    model: nn.Module, input_size: tuple[int, ...], macs: dict[str, int], shapes: dict[str, tuple[int, ...]]
) -> Summary:
    def layers(path: str) -> int:
        return 0 if "downsample" in path.split(".") else 1

    parts = []
    for name, child in model.named_children():
        inside = [path for path in macs if path == name or path.startswith(name + ".")]
        parameters = sum(p.numel() for p in child.parameters())
        total = sum(macs[p] for p in inside)
        parts.append(Part(name, shapes.get(name, ()), parameters, total, sum(map(layers, inside))))
    return Summary(
        input_size=tuple(input_size),
        parts=tuple(parts),
        parameters=sum(p.numel() for p in model.parameters()),
        macs=sum(macs.values()),
        depth=sum(map(layers, macs)),
    )
