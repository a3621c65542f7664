"""What passes through a network: the outputs of its modules, and the gradients that come back to them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from resnet_explore.analysis._brief import counted
from resnet_explore.analysis._outputs import call_name, tensors
from resnet_explore.analysis._state import left_as_found, refuse_replicas
from resnet_explore.analysis.capture._aliases import Writes, hands_on, viewed
from resnet_explore.analysis.capture.keep import Levels, as_keep
from resnet_explore.analysis.capture.layers import Layers, select_layers
from resnet_explore.analysis.capture.report import check
from resnet_explore.errors import ExploreError, require_module, unknown
from resnet_explore.models.devices import is_full
from resnet_explore.models.dispatch import uncompiled


class Capture:
    """Watch modules while the model runs.

        with Capture(model, ["layer2.*", "fc"], gradients=True) as seen:
            model(images).sum().backward()
        seen.outputs["layer2.0"], seen.gradients["layer2.0"]

    layers     None for every module inside the model; a name, a shell pattern ("layer2.*" takes in everything
               below layer2), a list of these; or a function of (name, module) that says which
    gradients  also record the gradient that any backward pass brings to each output
    keep       what to keep of each output and gradient: None for a full copy; "cpu", "half", "uint8" or
               "thumbnails" to need less memory; `rx.Keep` for other devices, dtypes and sizes; or any
               function of a tensor. For numbers over a whole data set see `layer_statistics`.
    restore    put the model back as it was on leaving: training flags, requires_grad, .grad and buffers.
               With False only the hooks are removed, for watching a training step.

    Outputs are copied when they are made, so an in-place operation later in the network can't rewrite them,
    and a gradient belongs to the output as it was made: that of a batch norm is taken before the in-place
    ReLU after it. Functional calls (F.relu, +) are not modules and can't be watched; `Capture.check(model)`
    lists them, and what would have been overwritten. A model that went through torch.compile runs
    uncompiled inside the block, as compiled code passes over its modules.

    Names: a module that runs once goes by its own name. One that runs several times, a shared ReLU or a
    model called twice, gives "relu:1", "relu:2", in order. A tuple or dict of tensors gives "lstm[0]",
    "lstm[1][0]", "head[logits]"; what is not a tensor is left out.

    Raises ExploreError for a layer that doesn't exist (the closest names are offered), TorchScript, a model
    that DataParallel copies to several devices, and, on a call of the model, if there is no memory for a copy
    or if gradients are wanted under torch.no_grad().
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Layers = None,
        gradients: bool = False,
        *,
        keep: str | Callable[[Tensor], Any] | None = None,
        restore: bool = True,
    ) -> None:
        require_module(model)
        self.model = model
        self._watched = select_layers(model, layers)
        self._gradients = gradients
        self._keep = as_keep(keep)
        self._whole = keep is None
        self._restore = restore
        self._records: list[_Record] = []
        self._edges: list[tuple[_Record, GradientEdge, Writes | None]] = []
        self._calls: Counter[str] = Counter()
        self._open: ExitStack | None = None
        self._paused = False

    check = staticmethod(check)

    def __repr__(self) -> str:
        watched = f"{counted(len(self._watched), 'module')} of a {type(self.model).__name__}"
        also = ", gradients too" if self._gradients else ""
        held = f"{counted(len(self._records), 'output')}, {self.nbytes / 1e6:.1f} MB"
        return f"<Capture of {watched}{also}: {held if self._records else 'nothing has run yet'}>"

    def __enter__(self) -> Self:
        if self._open is not None:
            raise ExploreError("This Capture is in use already; make another one for a second `with` block.")
        refuse_replicas(self.model)
        self.clear()
        with ExitStack() as stack:
            stack.enter_context(uncompiled())
            if self._restore:
                stack.enter_context(left_as_found(self.model))
            if self._gradients:
                stack.callback(self.model.register_forward_pre_hook(_need_graph).remove)
            for name, module in self._watched.items():
                stack.callback(self._watch(module, name).remove)
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

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Look away while the model runs inside this block, so that names stay what they are."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    @property
    def nodes(self) -> list[Any]:
        """The nodes of the graph that made the outputs, inside the `with` block."""
        return [edge.node for _, edge, _ in self._edges]

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
    def nbytes(self) -> int:
        """How many bytes the outputs and gradients take as they are kept."""
        return sum(_nbytes(r.output) + _nbytes(r.gradient) for r in self._records)

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
        edges = [edge for _, edge, _ in self._edges]
        gradients: Sequence[Tensor | None] = ()
        if edges:
            gradients = torch.autograd.grad(scalar, edges, retain_graph=again, allow_unused=True)
        keep = (lambda gradient: gradient) if self._whole else self._keep
        found: dict[str, Any] = {}
        for (record, _, written), gradient in zip(self._edges, gradients, strict=True):
            key = self._key(record)
            if gradient is not None and (written is None or (key not in found and written)):
                found[key] = keep(gradient.reshape(record.shape))
        return Captured(found, awaited=[self._key(r) for r in self._records])

    def _watch(self, module: nn.Module, name: str) -> RemovableHandle:
        try:
            return module.register_forward_hook(self._hook(name))
        except RuntimeError as error:
            if not isinstance(module, torch.jit.ScriptModule):
                raise
            raise ExploreError(
                f"{name or 'The model'} is TorchScript, which runs without Python and its hooks: nothing in "
                "it can be captured, so choose other layers or build the network in Python."
            ) from error

    def _hook(self, layer: str) -> Callable[[nn.Module, Any, Any], Any]:
        def record(module: nn.Module, args: Any, output: Any) -> Any:
            if self._paused:
                return output
            self._calls[layer] += 1
            if hands_on(module, args, output):
                output = output.view_as(output)
            for path, tensor in tensors(output):
                made = _Record(layer, self._calls[layer], path, self._kept(tensor, layer), tensor.shape)
                self._records.append(made)
                if tensor.requires_grad:
                    self._follow(made, tensor)
            return output

        return record

    def _follow(self, record: "_Record", tensor: Tensor) -> None:
        """Ask for the gradient of a tensor, or that of the tensor that it is a view of, see `_aliases`."""
        base = viewed(tensor)
        sources: list[tuple[Tensor, Writes | None]] = [(tensor, None)]
        if base is not None:
            sources.append((base, Writes(base)))
        for source, written in sources:
            self._edges.append((record, get_gradient_edge(source), written))
            if self._gradients:
                source.register_hook(_receiver(record, self._kept, written))

    def _kept(self, tensor: Tensor, layer: str) -> Any:
        try:
            return self._keep(tensor.detach())
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            raise ExploreError(
                f"No memory is left to keep {layer!r}, {_megabytes(tensor)}, beside the "
                f"{counted(len(self._records), 'output')} before it ({self.nbytes / 1e6:.0f} MB): "
                'ask for fewer layers or images, or for less of each, as with keep="thumbnails".'
            ) from None

    def _key(self, record: "_Record") -> str:
        return call_name(record.layer, record.call, self._calls[record.layer], record.path)


class Captured(Mapping[str, Tensor]):
    """Tensors by layer, in the order of execution; a name that isn't there is answered with a sentence.

    What is kept as uint8 is turned into floats each time that it is read.
    """

    def __init__(self, kept: Mapping[str, Any], awaited: Sequence[str] = ()) -> None:
        self._kept = dict(kept)
        self._awaited = awaited

    def __getitem__(self, key: str) -> Tensor:
        if key in self._kept:
            kept = self._kept[key]
            return kept.tensor() if isinstance(kept, Levels) else kept
        if key in self._awaited:
            raise ExploreError(
                f"No gradient has reached {key!r}: call backward() on something that depends on it, and let "
                "the weights before it or the images require gradients."
            )
        hint = "A layer that ran several times is called name:1, name:2, ...; Capture.check(model) lists all."
        raise unknown("captured layer", key, self, hint)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the tensor of that name, or `default`."""
        return self[key] if key in self._kept else default

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"Captured({', '.join(self._kept)})"


@dataclass
class _Record:
    """One output of one call of one module, and the latest gradient that came back to it."""

    layer: str
    call: int
    path: str
    output: Any
    shape: torch.Size
    gradient: Any = None
    own: bool = False  # whether the gradient came by a node of its own


def _receiver(
    record: _Record, keep: Callable[[Tensor, str], Any], written: Writes | None
) -> Callable[[Tensor], None]:
    def receive(gradient: Tensor) -> None:
        if written is None:
            record.own = True
        elif record.own or not written:
            return
        record.gradient = keep(gradient.reshape(record.shape), record.layer)

    return receive


def _need_graph(model: nn.Module, args: Any) -> None:
    if not torch.is_grad_enabled():
        raise ExploreError(
            "Capture(gradients=True) can record none as the model was called under torch.no_grad(); "
            "call it with gradients on, or leave gradients=False."
        )


def _out_of_memory(error: BaseException) -> bool:
    # On the processor torch raises a plain RuntimeError.
    return is_full(error) or isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def _megabytes(tensor: Tensor) -> str:
    return f"{tensor.numel() * tensor.element_size() / 1e6:.0f} MB"


def _nbytes(kept: Any) -> int:
    kept = kept.levels if isinstance(kept, Levels) else kept
    return kept.nbytes if isinstance(kept, Tensor) else 0
