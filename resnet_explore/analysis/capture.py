"""What passes through a network: the outputs of its modules, and the gradients that come back to them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from resnet_explore.analysis._state import left_as_found
from resnet_explore.errors import ExploreError, unknown

Layers = str | Sequence[str] | Callable[[str, nn.Module], bool] | None


class Capture:
    """Watch modules while the model runs.

        with Capture(model, ["layer2.*", "fc"], gradients=True) as seen:
            model(images).sum().backward()
        seen.outputs["layer2.0"], seen.gradients["layer2.0"]

    layers     None for every module inside the model; a name, a shell pattern ("layer2.*" takes in everything
               below layer2), a list of these; or a function of (name, module) that says which
    gradients  also record the gradient that any backward pass brings to each output
    keep       what to keep of each output and gradient, a function of a tensor; None for a full copy
    restore    put the model back as it was on leaving: training flags, requires_grad, .grad and buffers.
               With False only the hooks are removed, for watching a training step.

    Outputs are copied when they are made, so an in-place operation later in the network can't rewrite them,
    and a gradient belongs to the output as it was made: that of a batch norm is taken before the in-place
    ReLU after it. Functional calls (F.relu, +) are not modules and can't be watched.

    Names: a module that runs once goes by its own name. One that runs several times, a shared ReLU or a
    model called twice, gives "relu:1", "relu:2", in order. A tuple or dict of tensors gives "lstm[0]",
    "lstm[1][0]", "head[logits]"; what is not a tensor is left out.

    Raises ExploreError for a layer that doesn't exist (the closest names are offered), and, on a call of the
    model under torch.no_grad(), if gradients are wanted.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Layers = None,
        gradients: bool = False,
        *,
        keep: Callable[[Tensor], Tensor] | None = None,
        restore: bool = True,
    ) -> None:
        self.model = model
        self._watched = select_layers(model, layers)
        self._gradients = gradients
        self._keep = keep
        self._restore = restore
        self._records: list[_Record] = []
        self._edges: list[tuple[_Record, GradientEdge]] = []
        self._calls: Counter[str] = Counter()
        self._open: ExitStack | None = None

    def __enter__(self) -> Self:
        if self._open is not None:
            raise ExploreError("This Capture is in use already; make another one for a second `with` block.")
        self.clear()
        with ExitStack() as stack:
            if self._restore:
                stack.enter_context(left_as_found(self.model))
            if self._gradients:
                stack.callback(self.model.register_forward_pre_hook(_need_graph).remove)
            for name, module in self._watched.items():
                stack.callback(module.register_forward_hook(self._hook(name)).remove)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        # The edges would keep the graph alive, and the graph's hooks our records: a ring through C++, where
        # Python's garbage collector can't see it.
        self._edges.clear()
        stack, self._open = self._open, None
        if stack is not None:
            stack.close()

    def clear(self) -> None:
        """Forget what was captured, so that the next run starts with plain names again."""
        self._records.clear()
        self._edges.clear()
        self._calls.clear()

    @property
    def outputs(self) -> "Captured":
        """The output of each watched module, in the order of execution: tensors without a graph."""
        return Captured({self._key(r): r.output for r in self._records})

    @property
    def gradients(self) -> "Captured":
        """The gradient of what was differentiated with respect to each output, with the output's shape.

        It is that of the latest backward pass, which may also run after the `with` block.
        """
        if not self._gradients:
            raise ExploreError("Gradients were not recorded: use Capture(model, layers, gradients=True).")
        found = {self._key(r): r.gradient for r in self._records if r.gradient is not None}
        return Captured(found, awaited=[self._key(r) for r in self._records])

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The module behind each name of `outputs`."""
        return {self._key(r): self._watched[r.layer] for r in self._records}

    @property
    def idle(self) -> list[str]:
        """The watched modules that have not run."""
        return [name for name in self._watched if name not in self._calls]

    def differentiate(self, scalar: Tensor, again: bool = False) -> "Captured":
        """Return the gradient of `scalar` with respect to each captured output, in one backward pass.

        Works inside the `with` block, with gradients=False too. It stops at the earliest captured output
        and computes no parameter's gradient. An output that `scalar` doesn't depend on is left out. With
        `again` the graph is kept for another call.
        """
        if scalar.numel() != 1 or not scalar.requires_grad:
            raise ExploreError(
                "differentiate() takes one number that was computed with gradients on, not a tensor of shape "
                f"{tuple(scalar.shape)} with requires_grad={scalar.requires_grad}."
            )
        edges = [edge for _, edge in self._edges]
        gradients: Sequence[Tensor | None] = ()
        if edges:
            gradients = torch.autograd.grad(scalar, edges, retain_graph=again, allow_unused=True)
        keep = self._keep or (lambda gradient: gradient)
        pairs = zip(self._edges, gradients, strict=True)
        found = {self._key(record): keep(grad) for (record, _), grad in pairs if grad is not None}
        return Captured(found, awaited=[self._key(r) for r in self._records])

    def _hook(self, layer: str) -> Callable[[nn.Module, Any, Any], None]:
        keep = self._keep or torch.clone

        def record(module: nn.Module, args: Any, output: Any) -> None:
            self._calls[layer] += 1
            for path, tensor in _tensors(output):
                made = _Record(layer, self._calls[layer], path, keep(tensor.detach()))
                self._records.append(made)
                if tensor.requires_grad:
                    self._edges.append((made, get_gradient_edge(tensor)))
                    if self._gradients:
                        tensor.register_hook(_receiver(made, keep))

        return record

    def _key(self, record: "_Record") -> str:
        call = f":{record.call}" if self._calls[record.layer] > 1 else ""
        return f"{record.layer}{call}{record.path}"


class Captured(dict[str, Tensor]):
    """Tensors by layer, in the order of execution; a name that isn't there is answered with a sentence."""

    def __init__(self, tensors: Mapping[str, Tensor], awaited: Sequence[str] = ()) -> None:
        super().__init__(tensors)
        self._awaited = awaited

    def __missing__(self, key: str) -> Tensor:
        if key in self._awaited:
            raise ExploreError(
                f"No gradient has reached {key!r}: call backward() on something that depends on it, and let "
                "the weights before it or the images require gradients."
            )
        hint = "A layer that ran several times is called name:1, name:2, ..."
        raise unknown("captured layer", key, self, hint)


def select_layers(model: nn.Module, layers: Layers = None) -> dict[str, nn.Module]:
    """Return the modules that `layers` means, by name, in the order of registration; see `Capture`.

    A module registered under two names is taken once. Raises ExploreError if a name or pattern fits nothing.
    """
    named = dict(model.named_modules(remove_duplicate=False))
    if layers is None:
        chosen = [name for name in named if name] or [""]
    elif callable(layers) and not isinstance(layers, (nn.Module, type)):
        chosen = [name for name, module in named.items() if layers(name, module)]
    else:
        patterns = [layers] if isinstance(layers, str) else layers
        if not isinstance(patterns, Sequence) or not all(isinstance(p, str) for p in patterns):
            raise ExploreError(
                "layers must be None, a name or pattern, a list of these, or a function of (name, module), "
                f"not {layers!r:.60}."
            )
        for pattern in patterns:
            if not any(_fits(name, pattern) for name in named):
                raise unknown("layer", pattern, [name for name in named if name])
        chosen = [name for name in named if any(_fits(name, pattern) for pattern in patterns)]
    if not chosen:
        raise ExploreError(f"layers chooses none of the model's {len(named)} modules; name at least one.")
    first = {id(named[name]): name for name in reversed(chosen)}
    return {name: named[name] for name in chosen if first[id(named[name])] == name}


@dataclass
class _Record:
    """One output of one call of one module, and the latest gradient that came back to it."""

    layer: str
    call: int
    path: str
    output: Tensor
    gradient: Tensor | None = None


def _receiver(record: _Record, keep: Callable[[Tensor], Tensor]) -> Callable[[Tensor], None]:
    def receive(gradient: Tensor) -> None:
        record.gradient = keep(gradient.detach())

    return receive


def _need_graph(model: nn.Module, args: Any) -> None:
    if not torch.is_grad_enabled():
        raise ExploreError(
            "Capture(gradients=True) can record none as the model was called under torch.no_grad(); "
            "call it with gradients on, or leave gradients=False."
        )


def _tensors(output: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield path, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _tensors(value, f"{path}[{key}]")
    elif isinstance(output, (tuple, list)):
        for i, value in enumerate(output):
            yield from _tensors(value, f"{path}[{i}]")


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
