"""How is a network wired? Read off one pass through the live module, also one that we did not write.

This is the one place that says which blocks a pass runs through, in order, which of them have a skip, where
its sum is and what stands on either side of it: `structure(...).blocks`.

Every tensor operation of the pass is noted with the module it belongs to and the operations that made its
inputs. So a skip connection is found as what it is, a second way to the same sum, whether it is a module, a
`+`, or an in-place `+=`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from resnet_explore.analysis.capture.layers import CONTAINERS, holders
from resnet_explore.analysis.topology.blocks import innermost, skip_side, smallest_blocks, stage_of
from resnet_explore.analysis.topology.sum_calls import SumCalls
from resnet_explore.models.dispatch import noted, tensors_in
from resnet_explore.models.dry_run import as_size, dry_run
from resnet_explore.models.shortcuts import Add
from resnet_explore.models.trace import Tracer

_FORMS = ("new_zeros", "new_ones", "zeros_like", "ones_like")
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
    sum_call the how-manieth of the pass's sums of two tensors, as `SumCalls` counts them, it is; 0 if none
    summands indices of the operations that made its first and its second summand, if it is such a sum
    """

    name: str
    kind: str
    owner: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    details: str = ""
    parameters: int = 0
    macs: int = 0
    sum_call: int = 0
    summands: tuple[int, ...] = ()

    @property
    def bare(self) -> bool:
        """Whether it stands in a forward as it is, as a `+` does, and is no leaf module."""
        return "/" in self.name


@dataclass(frozen=True)
class Unit:
    """One box of a drawing: a block, a layer outside of blocks with its norm and activation, or arithmetic.

    operations      their indices, in order
    inputs          indices of the units that feed it; -1 is the network's input
    skip            "" or how the input also reaches the sum: "identity", "padding", "projection", "gated"
                    or, for what is put beside instead of added, "concatenation"
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
class SkipSum:
    """A sum at which a block's skip ends.

    operation         its index
    branch, shortcut  names of the operations inside the block on either side of it alone, in order; the
                      shortcut is () where the skip carries the block's input, or the sum before, as it is
    call              the how-manieth sum of two tensors in a call of the block it is, from 1; 0 where that
                      can't be told, as in a module that weighs both summands itself
    skip_first        whether the skip's is the first summand
    """

    operation: int
    branch: tuple[str, ...]
    shortcut: tuple[str, ...]
    call: int
    skip_first: bool


@dataclass(frozen=True)
class TracedBlock:
    """A block that a pass runs through: a module that sums what its skip carries, or the plain twin of one.

    stage         the module in which it stands with others, such as "layer1"
    kind          the class of the module
    skip          as in `Unit`; "" for a plain block
    sums          where its skip ends, in order: one mostly, two in a transformer's block, none in a plain one
    sum_calls     how many sums of two tensors a call of it makes, inside its branch, too
    takes, gives  shapes of what it gets and returns, without the batch
    runs          how often the pass called it
    """

    name: str
    stage: str
    kind: str
    skip: str
    sums: tuple[SkipSum, ...]
    sum_calls: int
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    runs: int

    @property
    def can_go(self) -> bool:
        """Whether a network can do without it: it has a skip, or hands on what has the shape that it gets."""
        return bool(self.sums) or self.takes == self.gives


@dataclass(frozen=True)
class Structure:
    """A network's operations in the order of execution, the units that one would draw, and its blocks."""

    input_shape: tuple[int, ...]
    operations: tuple[Operation, ...]
    units: tuple[Unit, ...]
    idle: int = 0
    blocks: tuple[TracedBlock, ...] = ()

    @property
    def parameters(self) -> int:
        """Learnable numbers, each counted once; `idle` ones took no part, such as auxiliary heads'."""
        return self.idle + sum(unit.parameters for unit in self.units)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and matrix products for one image."""
        return sum(unit.macs for unit in self.units)

    @property
    def depth(self) -> int:
        """Weighted layers on the longest way from input to output."""
        return max(_layers_before(self.operations, range(len(self.operations))).values(), default=0)

    @property
    def skips(self) -> int:
        """How many ways pass something by: those of blocks, and what is joined to something made of it.

        Joined are feature maps or vectors, by a sum or side by side; arithmetic on boxes does not count.
        """
        unit_of = {i: k for k, unit in enumerate(self.units) for i in unit.operations}
        ends = {end.operation for block in self.blocks for end in block.sums}
        before: list[set[int]] = []  # for each unit, all that lead to it
        past = 0
        for unit in self.units:
            sources = {s for s in unit.inputs if s >= 0}
            before.append(sources.union(*(before[s] for s in sources)))
            for i in unit.operations:
                if i in ends:
                    past += not unit.skip
                elif _is_join(self.operations[i]):
                    joined = {unit_of[s] for s in self.operations[i].inputs if s >= 0} & sources
                    past += sum(any(s in before[other] for other in joined) for s in joined)
        return past + sum(bool(unit.skip) for unit in self.units)


def structure(model: nn.Module, input_size: tuple[int, ...] = (3, 224, 224)) -> Structure:
    """Return how a module that takes one image tensor is wired; `input_size` is (C, H, W), or longer.

    The pass is that of `describe`, so counts agree and the model is left as it was. Raises ExploreError if it
    can't take such an input.
    """
    watch = dry_run(model, input_size, _Wiring)
    modules = dict(model.named_modules())
    operations = tuple(_operations(watch, modules))
    idle = sum(p.numel() for p in model.parameters()) - sum(op.parameters for op in operations)
    units = tuple(_units(operations, modules))
    blocks = tuple(_traced_blocks(watch, operations, units, modules))
    return Structure(as_size(input_size), operations, units, idle, blocks)


@dataclass
class _Step:
    """An operation while it is being noted."""

    path: str
    run: int
    operation: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    macs: int
    parameters: int
    sum_call: int = 0
    summands: tuple[int, ...] = ()


@dataclass
class _Passing:
    """The first call of a module: how many sums came before its begin and its end, and what it got."""

    before: int
    takes: tuple[int, ...] = ()
    after: int = 0


class _Wiring(Tracer):
    """Notes each operation, which module's forward it runs in, and what made its inputs."""

    def __init__(self, image: Tensor, weights: Iterable[Tensor]) -> None:
        weights = list(weights)
        super().__init__(image, weights)
        self.steps: list[_Step] = []
        self._made = WeakTensorKeyDictionary({image: -1})  # which step made a tensor
        # Which parameters a tensor is made of and nothing else. A functional call takes those of a module
        # that never runs, so it is the operations that tell who uses them.
        self._learned = WeakTensorKeyDictionary({w: {i} for i, w in enumerate(weights) if w.requires_grad})
        self._sizes = [w.numel() for w in weights]
        self._counted: set[int] = set()
        self._leaves: set[str] = set()
        self._sums = SumCalls()
        self.passings: dict[str, _Passing] = {}

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Watch, as `Watch` does."""
        self._leaves = {path for path, module in model.named_modules() if _is_leaf(module)}
        with super().watching(model), self._sums:
            yield

    def _enter(self, path: str) -> Callable[..., None]:
        enter = super()._enter(path)

        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            enter(module, args, kwargs)
            given = next(iter(tensors_in((args, kwargs))), None)
            shape = () if given is None else tuple(given.shape[1:])
            self.passings.setdefault(path, _Passing(self._sums.count, shape))

        return hook

    def _leave(self, path: str) -> Callable[..., None]:
        leave = super()._leave(path)

        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            leave(module, args, kwargs, output)
            if self.calls[path].runs == 1:
                self.passings[path].after = self._sums.count

        return hook

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self.macs
        result = super().__torch_dispatch__(func, types, args, kwargs)
        operation = func.overloadpacket.__name__
        # A mask takes only its form from a tensor and is not made of it.
        inputs, outputs = [] if operation in _FORMS else tensors_in((args, kwargs)), tensors_in(result)
        sources = tuple(dict.fromkeys(noted(self._made, inputs)))
        learned = set[int]().union(*noted(self._learned, inputs))
        if sources and outputs:
            made = self._note(operation, sources, outputs[0], self.macs - before, learned)
            if self._sums.inside and operation.rstrip("_") in _SUMS:
                made.sum_call = self._sums.count
                made.summands = tuple(self._made.get(t, -1) for t in inputs)
            for tensor in outputs:
                self._made[tensor] = len(self.steps) - 1
        elif learned:
            for tensor in outputs:
                self._learned[tensor] = learned
        return result

    def _note(
        self, operation: str, sources: tuple[int, ...], output: Tensor, macs: int, learned: set[int]
    ) -> _Step:
        path = self.running[-1]
        parameters = sum(self._sizes[i] for i in learned - self._counted)
        self._counted |= learned
        shape = tuple(output.shape[1:])
        step = _Step(path, self.calls[path].runs, operation, sources, shape, macs, parameters)
        last = self.steps[-1] if self.steps else None
        if last and path in self._leaves and (last.path, last.run) == (step.path, step.run):
            # A leaf's further operations belong to the one entry it has.
            own = len(self.steps) - 1
            last.inputs = tuple(dict.fromkeys([*last.inputs, *(s for s in sources if s != own)]))
            last.shape, last.macs = shape, last.macs + macs
            last.parameters += parameters
            return last
        self.steps.append(step)
        return step


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _operations(watch: _Wiring, modules: Mapping[str, nn.Module]) -> Iterator[Operation]:
    for step in watch.steps:
        module = modules[step.path]
        leaf = _is_leaf(module)
        name = step.path + (f":{step.run}" if watch.calls[step.path].runs > 1 else "")
        kind = type(module).__name__ if leaf else step.operation.rstrip("_")
        yield Operation(
            name=name if leaf else f"{name}/{kind}",
            kind=kind,
            owner=step.path.rpartition(".")[0] if leaf else step.path,
            shape=step.shape,
            inputs=step.inputs,
            details=module.extra_repr() if leaf else "",
            parameters=step.parameters,
            macs=step.macs,
            sum_call=step.sum_call,
            summands=step.summands,
        )


# --- what belongs together -------------------------------------------------------------------------------


def _units(operations: tuple[Operation, ...], modules: Mapping[str, nn.Module]) -> Iterator[Unit]:
    blocks = _blocks(operations, modules)
    groups: list[tuple[str, list[int]]] = []  # a block's name, or "" for what stands outside of blocks
    for i, operation in enumerate(operations):
        block = next((b for b in _holders(operation) if b in blocks), "")
        if groups and block == groups[-1][0] and (block or _goes_with(operations, groups[-1][1], i)):
            groups[-1][1].append(i)
        else:
            groups.append((block, [i]))
    unit_of = {i: k for k, (_, members) in enumerate(groups) for i in members} | {-1: -1}
    for k, (block, members) in enumerate(groups):
        inside = [operations[i] for i in members]
        sources = dict.fromkeys(unit_of[s] for op in inside for s in op.inputs)
        yield Unit(
            name=block or inside[0].name,
            kind=type(modules[block]).__name__ if block else _kind(inside),
            operations=tuple(members),
            inputs=tuple(source for source in sources if source != k),
            shape=inside[-1].shape,
            parameters=sum(op.parameters for op in inside),
            macs=sum(op.macs for op in inside),
            layers=max(_layers_before(operations, members).values()),
            skip=_skip(operations, members),
        )


def _kind(inside: list[Operation]) -> str:
    return f"{len(inside)} operations" if inside[0].bare and len(inside) > 2 else inside[0].kind


def _blocks(operations: tuple[Operation, ...], modules: Mapping[str, nn.Module]) -> set[str]:
    """Return the smallest modules with two weighted layers that are no gate, as squeeze-and-excitation is.

    A class made of a Sequential is none either, as r2plus1d's pair of convolutions in place of one.
    """
    weighted: dict[str, list[Operation]] = {}
    last: dict[str, Operation] = {}
    for operation in operations:
        for holder in _holders(operation):
            weighted.setdefault(holder, []).extend([operation] * bool(operation.macs))
            last[holder] = operation
    able = {n: len(held) for n, held in weighted.items() if not isinstance(modules[n], CONTAINERS)}
    gates = {
        name
        for name in smallest_blocks(able, modules)
        if last[name].kind == "mul"
        and all(_places(op) < _places(last[name]) for op in weighted[name])
        and any(able.get(holder, 0) >= 2 for holder in holders(name))
    }
    return set(smallest_blocks({name: n for name, n in able.items() if name not in gates}, modules))


def _places(operation: Operation) -> int:
    return math.prod(operation.shape[1:])


def _holders(operation: Operation) -> Iterator[str]:
    """Yield the dotted names of the modules around an operation, from the inside out, without the network."""
    if operation.owner:
        yield operation.owner
        yield from reversed(holders(operation.owner))


def _goes_with(operations: tuple[Operation, ...], members: list[int], i: int) -> bool:
    """Whether what stands outside of blocks belongs to the box before: a norm, a ReLU, more arithmetic."""
    operation, last = operations[i], operations[members[-1]]
    if operation.macs:
        return False
    same = operation.shape == last.shape or operation.kind in ("flatten", "view")
    finishes = operation.inputs == (members[-1],) and same
    return finishes or (operation.bare and last.bare and operation.owner == last.owner)


def _layers_before(
    operations: tuple[Operation, ...], members: Iterable[int], choose: Callable[..., int] = max
) -> dict[int, int]:
    """Return for each operation the number of weighted layers on the longest way to it, from outside on.

    With choose=min it is that of the shortest way.
    """
    found: dict[int, int] = {}
    for i in members:
        operation = operations[i]
        before = choose((found.get(s, 0) for s in operation.inputs), default=0)
        found[i] = before + (1 if operation.macs else 0)
    return found


def _is_join(operation: Operation) -> bool:
    return operation.kind in _SUMS + _CONCATENATIONS and len(operation.inputs) > 1


def _skip(operations: tuple[Operation, ...], members: list[int]) -> str:
    """Say how a block's input also reaches one of its sums, past its longest way, or ""."""
    inside, layers = set(members), _layers_before(operations, members)
    for i in reversed(members):
        operation = operations[i]
        if not _is_join(operation) and not _is_sum_of_maps(operations, operation):
            continue
        shortest = _skipped(operation, layers)
        if shortest is None:
            continue
        if operation.kind in _CONCATENATIONS:
            if layers.get(shortest, 0) or (
                shortest in inside and "pool" in operations[shortest].kind.lower()
            ):
                continue  # branches side by side, as in Inception
            return "concatenation"
        return _carried(operations, members, i, shortest)
    return ""


def _carried(operations: tuple[Operation, ...], members: list[int], join: int, skip: int) -> str:
    """Say what a block's skip does to what it carries from where the branch leaves it until a join."""
    others = (s for s in operations[join].inputs if s != skip)
    made = set[int]().union(*(_way_to(operations, members, other) for other in others))
    if skip not in members or skip in made:
        return "identity"
    if _layers_before(operations, members, min)[skip]:
        return "projection"
    return "gated" if operations[skip].kind == "mul" else "padding"


# --- blocks and the sums at which their skips end ---------------------------------------------------------


def _traced_blocks(
    watch: _Wiring,
    operations: tuple[Operation, ...],
    units: tuple[Unit, ...],
    modules: Mapping[str, nn.Module],
) -> Iterator[TracedBlock]:
    """Yield the innermost modules that hold a skip's sum, and blocks that neither hold nor are in such."""
    members: dict[str, list[int]] = {}
    holding: dict[str, list[int]] = {}
    for i, operation in enumerate(operations):
        for holder in _holders(operation):
            members.setdefault(holder, []).append(i)
        if operation.owner and _is_sum_of_maps(operations, operation):
            holding.setdefault(operation.owner, []).append(i)
    ends = {name: _stream(operations, members[name], sums) for name, sums in holding.items()}
    summing = set(innermost(name for name, found in ends.items() if found))
    around = {holder for name in summing for holder in holders(name)} | summing
    others = {unit.name for unit in units if _is_block(unit, modules)} - around
    names = summing | {name for name in others if summing.isdisjoint(holders(name))}
    for name in sorted(names, key=lambda name: members[name][0]):
        inside, passing = members[name], watch.passings[name]
        found = ends[name] if name in summing else {}
        yield TracedBlock(
            name=name,
            stage=stage_of(name),
            kind=type(modules[name]).__name__,
            skip=_carried(operations, inside, *next(iter(found.items()))) if found else "",
            sums=tuple(_skip_sum(operations, inside, i, s, passing.before) for i, s in found.items()),
            sum_calls=passing.after - passing.before,
            takes=passing.takes,
            gives=operations[inside[-1]].shape,
            runs=watch.calls[name].runs,
        )


def _is_block(unit: Unit, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a unit is a block: no bare operation, no layer, nothing that only calls its parts in turn."""
    module = modules.get(unit.name)
    return module is not None and not isinstance(module, CONTAINERS) and not _is_leaf(module)


def _is_sum_of_maps(operations: tuple[Operation, ...], operation: Operation) -> bool:
    # A module that adds is a sum whatever it is called.
    if not (operation.kind in _SUMS or operation.summands) or len(operation.inputs) != 2:
        return False
    return all(s < 0 or operations[s].shape == operation.shape for s in operation.inputs)


def _stream(operations: tuple[Operation, ...], members: list[int], sums: list[int]) -> dict[int, int]:
    """Return those of a block's sums that lie on its skip's way: the last, and each that it comes from.

    With what came by the skip to each. Others are inside a branch, as Res2Net's.
    """
    layers = _layers_before(operations, members)
    skips = {i: skip for i in sums if (skip := _skipped(operations[i], layers)) is not None}
    found = list(skips)[-1:]
    while found:
        way = _way_to(operations, members, skips[found[0]])
        before = [i for i in skips if i in way]
        if not before:
            break
        found.insert(0, before[-1])
    return {i: skips[i] for i in found}


def _skipped(operation: Operation, layers: Mapping[int, int]) -> int | None:
    """Return which operation made what came by the skip to a join, None where none did.

    layers  how many weighted layers what each operation made has passed
    """
    side = skip_side([layers.get(source, 0) for source in operation.inputs])
    if side is None and operation.kind == Add.__name__:
        side = len(operation.inputs) - 1  # ours gets the branch, then the skip, which may be as deep
    return None if side is None else operation.inputs[side]


def _skip_sum(
    operations: tuple[Operation, ...], members: list[int], i: int, skip: int, calls_before: int
) -> SkipSum:
    (other,) = (source for source in operations[i].inputs if source != skip)
    carried, made = (_way_to(operations, members, end) for end in (skip, other))
    branch, shortcut = (
        tuple(operations[k].name for k in sorted(side)) for side in (made - carried, carried - made)
    )
    # A module that adds may have made one of them itself, by a factor.
    first, second = operations[i].summands or (i, i)
    skip_first = first == skip or second == other
    call = operations[i].sum_call - calls_before if skip_first or second == skip or first == other else 0
    return SkipSum(i, branch, shortcut, call, skip_first)


def _way_to(operations: tuple[Operation, ...], members: Collection[int], end: int) -> set[int]:
    """Return all operations among some that lead to one, with itself."""
    inside, way, waiting = set(members), set[int](), [end]
    while waiting:
        at = waiting.pop()
        if at in inside and at not in way:
            way.add(at)
            waiting.extend(operations[at].inputs)
    return way
