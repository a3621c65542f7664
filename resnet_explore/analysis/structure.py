"""How is a network wired? Read off one pass through the live module, also one that we did not write.

Every tensor operation of the pass is noted with the module it belongs to and the operations that made its
inputs. So a skip connection is found as what it is, a second way to the same sum, whether it is a module, a
`+`, or an in-place `+=`. Nothing is computed: the pass runs on the meta device, where tensors are shapes.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnet_explore.analysis._state import measuring
from resnet_explore.errors import ExploreError

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_SUMS, _CONCATENATIONS = ("add", "Add"), ("cat", "stack")


@dataclass(frozen=True)
class Operation:
    """One step of the pass: a leaf module's call, or an operation outside of any leaf.

    name     the module's dotted name, with ":2" for its second call; for a bare operation that of the module
             whose forward holds it, with the operation, as in "layer1.0/add"
    kind     the module's class, or the operation's name, such as "add" or "flatten"
    owner    dotted name of the module that holds the call; "" for the network itself
    shape    of the output without the batch
    inputs   indices of the operations that made its inputs; -1 is the network's input
    details  what the module says of itself; parameters and macs (for one image) are numbers
    """

    name: str
    kind: str
    owner: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    details: str = ""
    parameters: int = 0
    macs: int = 0


@dataclass(frozen=True)
class Unit:
    """One box of a drawing: a block, or a layer outside of blocks with its norm and activation.

    operations      their indices, in order
    inputs          indices of the units that feed it; -1 is the network's input
    skip            "" or how the input also reaches the sum: "identity", "padding", "projection" or, for what
                    is put beside instead of added, "concatenation"
    shape           of the output; parameters and macs are sums; layers is the number of weighted layers on
                    its longest way
    """

    name: str
    kind: str
    operations: tuple[int, ...]
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    macs: int
    layers: int
    skip: str = ""


@dataclass(frozen=True)
class Structure:
    """A network's operations in the order of execution, and the units that one would draw."""

    input_shape: tuple[int, ...]
    operations: tuple[Operation, ...]
    units: tuple[Unit, ...]

    @property
    def parameters(self) -> int:
        """Learnable numbers of the modules that ran, each counted once."""
        return sum(unit.parameters for unit in self.units)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and matrix products for one image."""
        return sum(unit.macs for unit in self.units)

    @property
    def depth(self) -> int:
        """Weighted layers on the longest way from input to output."""
        return max(_layers_before(self.operations, range(len(self.operations))).values(), default=0)


def structure(model: nn.Module, input_size: tuple[int, ...] = (3, 224, 224)) -> Structure:
    """Return how a module that takes one image tensor is wired; `input_size` is (C, H, W), or longer.

    The model is left as it was. Raises ExploreError if it can't take such an input, or if what it does
    depends on the values that it sees, as in detection.
    """
    try:
        with measuring(model):
            twin = copy.deepcopy(model).to("meta").eval()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ExploreError(f"The model can't be copied to be looked at ({_first_line(error)}).") from None
    image = torch.zeros((1, *input_size), device="meta")
    tracer = _Tracer(twin)
    try:
        with torch.no_grad(), tracer.listening(), tracer:
            tracer.made[id(image)] = -1
            tracer.alive.append(image)
            twin(image)
    except Exception as error:
        size = "x".join(map(str, input_size))
        raise ExploreError(
            f"The model can't be followed with an input of {size} ({_first_line(error)})."
        ) from None
    operations = tuple(tracer.operations())
    return Structure(tuple(input_size), operations, tuple(_units(operations, model)))


class _Tracer(TorchDispatchMode):
    """Notes each operation and which module's forward it runs in."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.names = {module: name for name, module in model.named_modules()}
        self.calls: dict[nn.Module, int] = {}
        self.stack: list[tuple[nn.Module, int]] = []
        self.made: dict[int, int] = {}  # id of a tensor -> index of what made it
        self.alive: list[Any] = []  # an id is only good for as long as its tensor lives
        self.steps: list[dict[str, Any]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow which module runs."""
        with ExitStack() as stack:
            for module in self.names:
                for handle in (
                    module.register_forward_pre_hook(self._enter, prepend=True),
                    module.register_forward_hook(self._leave, always_call=True),
                ):
                    stack.callback(handle.remove)
            yield

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        self.calls[module] = self.calls.get(module, 0) + 1
        self.stack.append((module, self.calls[module]))

    def _leave(self, *_: Any) -> None:
        self.stack.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        sources = tuple(dict.fromkeys(self.made[id(t)] for t in inputs if id(t) in self.made))
        outputs = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        if sources and outputs:
            index = self._step(str(func.overloadpacket), sources, inputs, outputs[0])
            for tensor in outputs:
                self.made[id(tensor)] = index
                self.alive.append(tensor)
        return result

    def _step(self, operation: str, sources: tuple[int, ...], inputs: list[Tensor], output: Tensor) -> int:
        module, call = self.stack[-1]
        leaf = not any(True for _ in module.children())
        key = (module, call) if leaf else None
        macs = _macs(operation, inputs, output)
        if key is not None and self.steps and self.steps[-1]["key"] == key:
            last = self.steps[-1]  # a leaf's further operations belong to the one entry it has
            index = len(self.steps) - 1
            last["inputs"] += tuple(s for s in sources if s != index and s not in last["inputs"])
            last["shape"], last["macs"] = tuple(output.shape[1:]), last["macs"] + macs
            return index
        self.steps.append(
            {
                "key": key,
                "module": module,
                "leaf": leaf,
                "call": call,
                "operation": operation,
                "inputs": sources,
                "shape": tuple(output.shape[1:]),
                "macs": macs,
            }
        )
        return len(self.steps) - 1

    def operations(self) -> Iterator[Operation]:
        """Yield what was noted."""
        counted: set[nn.Module] = set()
        for step in self.steps:
            module, leaf, name = step["module"], step["leaf"], self.names[step["module"]]
            if self.calls[module] > 1:
                name += f":{step['call']}"
            kind = type(module).__name__ if leaf else step["operation"].removeprefix("aten.").rstrip("_")
            own = 0 if module in counted else sum(p.numel() for p in module.parameters(recurse=False))
            counted.add(module)
            yield Operation(
                name=name if leaf else f"{name}/{kind}",
                kind=kind,
                owner=self.names[module].rpartition(".")[0] if leaf else self.names[module],
                shape=step["shape"],
                inputs=step["inputs"],
                details=module.extra_repr() if leaf else "",
                parameters=own,
                macs=step["macs"],
            )


# --- what belongs together -------------------------------------------------------------------------------


def _units(operations: tuple[Operation, ...], model: nn.Module) -> Iterator[Unit]:
    blocks = _blocks(operations, model)
    modules = dict(model.named_modules())
    groups: list[tuple[str, list[int]]] = []  # a block's name, or "" for a layer on its own
    for i, operation in enumerate(operations):
        block = next((b for b in _holders(operation) if b in blocks), "")
        if groups and block == groups[-1][0] and (block or _trails(operations, groups[-1][1], i)):
            groups[-1][1].append(i)
        else:
            groups.append((block, [i]))
    unit_of = {i: k for k, (_, members) in enumerate(groups) for i in members} | {-1: -1}
    for k, (block, members) in enumerate(groups):
        inside = [operations[i] for i in members]
        sources = dict.fromkeys(unit_of[s] for op in inside for s in op.inputs)
        yield Unit(
            name=block or inside[0].name,
            kind=type(modules[block]).__name__ if block else inside[0].kind,
            operations=tuple(members),
            inputs=tuple(source for source in sources if source != k),
            shape=inside[-1].shape,
            parameters=sum(op.parameters for op in inside),
            macs=sum(op.macs for op in inside),
            layers=max(_layers_before(operations, members).values()),
            skip=_skip(operations, members) if block else "",
        )


def _blocks(operations: tuple[Operation, ...], model: nn.Module) -> set[str]:
    """Return the names of the smallest modules, no mere containers, that hold two weighted layers."""
    weighted: dict[str, int] = {}
    for operation in operations:
        for holder in _holders(operation):
            weighted[holder] = weighted.get(holder, 0) + (1 if operation.macs else 0)
    candidates = {
        name
        for name, module in model.named_modules()
        if name and weighted.get(name, 0) >= 2 and not isinstance(module, _CONTAINERS)
    }
    return {name for name in candidates if not any(c.startswith(f"{name}.") for c in candidates)}


def _holders(operation: Operation) -> Iterator[str]:
    """Yield the dotted names of the modules around an operation, from the inside out, without the network."""
    name = operation.owner
    while name:
        yield name
        name = name.rpartition(".")[0]


def _trails(operations: tuple[Operation, ...], members: list[int], i: int) -> bool:
    """Whether a layer outside of blocks only finishes what the ones before it began: a norm, a ReLU."""
    operation = operations[i]
    follows = operation.inputs == (members[-1],)
    same = operation.shape == operations[members[-1]].shape or operation.kind in ("flatten", "view")
    return follows and same and not operation.macs


def _layers_before(operations: tuple[Operation, ...], members: Any) -> dict[int, int]:
    """Return for each operation the number of weighted layers on the longest way to it, from outside on."""
    found: dict[int, int] = {}
    for i in members:
        operation = operations[i]
        found[i] = max((found.get(s, 0) for s in operation.inputs), default=0) + (1 if operation.macs else 0)
    return found


def _skip(operations: tuple[Operation, ...], members: list[int]) -> str:
    """Say how a block's input also reaches one of its sums, past its longest way, or ""."""
    inside, layers = set(members), _layers_before(operations, members)
    for i in reversed(members):
        operation = operations[i]
        if operation.kind not in _SUMS + _CONCATENATIONS or len(operation.inputs) < 2:
            continue
        shortest = min(operation.inputs, key=lambda s: layers.get(s, 0))
        if layers.get(shortest, 0) >= max(layers.get(s, 0) for s in operation.inputs):
            continue
        if operation.kind in _CONCATENATIONS:
            return "concatenation"
        if shortest not in inside:
            return "identity"
        return "projection" if layers[shortest] else "padding"
    return ""


def _macs(operation: str, inputs: list[Tensor], output: Tensor) -> int:
    """Return the multiply-adds of a convolution or matrix product of one image, 0 for all else."""
    if operation in ("aten.convolution", "aten._convolution"):
        weight = inputs[1]
        return output[0].numel() * math.prod(weight.shape[1:])
    if operation in ("aten.addmm", "aten.mm"):
        return output[0].numel() * inputs[-1].shape[0]
    return 0


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
