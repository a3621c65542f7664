"""What happens in one pass of a network, watched from three sides.

Hooks tell which modules run and what they return. A dispatch mode sees every write to memory, so also those
of in-place modules. A function mode sees the calls of torch functions, by the names that people write.
"""

import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from resnet_explore.analysis._outputs import call_name, tensors
from resnet_explore.models.dispatch import OperationMode, tensors_in

SAFE, CLONED, UNREACHABLE = "safe", "cloned", "not reachable"
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


@dataclass(frozen=True)
class Finding:
    """One output as `Capture` names it, or one thing that it can't reach.

    name    "layer1.0.relu:1"; for functional calls the module that they run in and theirs: "layer1.0: add"
    kind    the module's class, or "functional"
    status  "safe": nothing writes over it later; "cloned": something does, so that only a copy made in time
            is right, which is what `Capture` keeps; or "not reachable"
    why     a sentence
    nbytes  of a full copy
    """

    name: str
    kind: str
    status: str
    why: str
    nbytes: int = 0


@dataclass
class _Output:
    """A tensor that a module returned."""

    name: str
    kind: str
    call: int
    path: str
    nbytes: int
    overwritten: str = ""


@dataclass
class _Frame:
    """A module's call that is going on."""

    name: str
    module: nn.Module
    exception: BaseException | None  # one that was being handled when it began
    functions: list[tuple[str, weakref.ref[Tensor], int]] = field(default_factory=list)


class Watch:
    """Notes, while a model runs, what its modules return and what becomes of it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}
        self.owners = {id(p): name for name, m in model.named_modules() for p in m.parameters(recurse=False)}
        self.calls: Counter[str] = Counter()
        self.frames: list[_Frame] = []
        self.outputs: list[_Output] = []
        self.odd: list[Finding] = []
        self.functions: dict[str, dict[str, None]] = {}
        self.borrowed: dict[str, str] = {}  # module whose parameter was used -> by which module
        self.stored: dict[StorageWeakRef | int, list[_Output]] = {}
        self.failed = ""  # where an exception came from that is on its way out

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the model's modules and to torch."""
        with ExitStack() as stack:
            for module in self.names:
                if isinstance(module, torch.jit.RecursiveScriptModule):
                    continue  # some refuse hooks, the others never call them
                for handle in (
                    module.register_forward_pre_hook(self._enter, prepend=True),
                    module.register_forward_hook(self._leave, always_call=True),
                ):
                    stack.callback(handle.remove)
            stack.enter_context(_Functions(self))
            stack.enter_context(_Writes(self))
            yield

    @property
    def here(self) -> str:
        """Where the pass is, in words."""
        return (self.frames[-1].name if self.frames else "") or "the network itself"

    def _enter(self, module: nn.Module, _: Any) -> None:
        name, self.failed = self.names[module], ""
        self.calls[name] += 1
        self.frames.append(_Frame(name, module, sys.exception()))

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        if not self.frames or self.frames[-1].module is not module:
            return  # its pre-hooks raised before ours
        frame = self.frames.pop()
        if sys.exception() is not frame.exception:
            self.failed = self.failed or frame.name
            return
        kind, call = type(module).__name__, self.calls[frame.name]
        found = list(tensors(output))
        for path, tensor in found:
            made = _Output(frame.name, kind, call, path, tensor.numel() * tensor.element_size())
            self.outputs.append(made)
            self.stored.setdefault(_storage(tensor), []).append(made)
        # The same tensor may have been returned by a call and then written to by another.
        returned = {(id(tensor), tensor._version) for _, tensor in found}
        hidden = [name for name, made, version in frame.functions if (id(made()), version) not in returned]
        if hidden and not _is_built_in(module):
            self.functions.setdefault(frame.name, {}).update(dict.fromkeys(hidden))
        if not found and frame.name and output is not None:
            why = f"it returns a {type(output).__name__} without tensors in tuples, lists or dicts"
            self.odd.append(Finding(frame.name, kind, UNREACHABLE, why))

    def called(self, name: str, inputs: list[Tensor], results: list[Tensor]) -> None:
        """Note a call of a torch function."""
        if not self.frames:
            return
        frame = self.frames[-1]
        for tensor in inputs:
            owner = self.owners.get(id(tensor), frame.name)
            if owner != frame.name:
                self.borrowed.setdefault(owner, frame.name)
        if any(t.is_floating_point() for t in inputs) and any(t.is_floating_point() for t in results):
            frame.functions += [(name, weakref.ref(t), t._version) for t in results[:1]]

    def written(self, storage: StorageWeakRef | int, operation: str) -> None:
        """Note that an operation wrote over what some outputs lie in."""
        for output in self.stored.pop(storage, ()):
            by = self.frames[-1] if self.frames else None
            if by is not None and by.name and _is_built_in(by.module):
                output.overwritten = f"{by.name} ({type(by.module).__name__}, in-place)"
            else:
                output.overwritten = f"{operation} in {self.here}"

    def findings(self) -> Iterator[Finding]:
        """Yield what was noted."""
        for output in self.outputs:
            if not output.name:
                continue  # the network's own output is what the caller gets
            name = call_name(output.name, output.call, self.calls[output.name], output.path)
            status, why = SAFE, ""
            if output.overwritten:
                status, why = CLONED, f"later overwritten by {output.overwritten}"
            yield Finding(name, output.kind, status, why, output.nbytes)
        yield from dict.fromkeys(self.odd)
        for owner, names in self.functions.items():
            label = f"{owner}: {', '.join(names)}" if owner else ", ".join(names)
            inside = owner or "the network itself"
            why = f"functional: {inside} calls it, and no module returns the result"
            yield Finding(label, "functional", UNREACHABLE, why)
        for module, name in self.names.items():
            if name and name not in self.calls:
                yield Finding(name, type(module).__name__, UNREACHABLE, self._why_idle(name, module))

    def _why_idle(self, name: str, module: nn.Module) -> str:
        if isinstance(module, torch.jit.ScriptModule):
            return "TorchScript runs it, which passes over hooks"
        if isinstance(module, _CONTAINERS):
            return "a container, it only holds others"
        if name in self.borrowed:
            return f"never called: {self.borrowed[name] or 'the network itself'} uses its parameters directly"
        held = [n for n in self.names.values() if n.startswith(f"{name}.")]
        if any(n in self.calls for n in held):
            return "never called, though modules inside it are"
        return "never called in this pass"


class _Functions(TorchFunctionMode):
    """Hears of each torch function called from Python, but not of those that it calls itself."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name and name not in ("__get__", "__set__"):  # those read attributes such as .shape and .data
            operation = name.split(".")[0].strip("_")
            self.watch.called(operation, tensors_in((args, kwargs)), tensors_in(result))
        return result


class _Writes(OperationMode):
    """Hears of each write to memory that a tensor lies in."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            for i, argument in enumerate(func._schema.arguments):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    value = args[i] if i < len(args) else kwargs.get(argument.name)
                    for tensor in tensors_in(value):
                        name = func._schema.name.removeprefix("aten::")
                        self.watch.written(_storage(tensor), name)
        return func(*args, **kwargs)


def _storage(tensor: Tensor) -> StorageWeakRef | int:
    """Return what stands for the memory of a tensor without keeping it; its id if it has none of its own."""
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):  # sparse and other exotic tensors
        return id(tensor)


def _is_built_in(module: nn.Module) -> bool:
    """Whether a module is one of torch's own layers, whose insides nobody asks for."""
    return type(module).__module__.startswith("torch.nn.") and not any(True for _ in module.children())
