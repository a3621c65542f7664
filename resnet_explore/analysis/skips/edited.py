"""The same network with other skips: blocks deleted, put in another order, skips and branches scaled.

Veit et al. 2016 (arXiv 1605.06431, section 4) delete blocks of a trained network and put them in another
order: y = x + F(x) without F is x, so a residual network goes on working, where a plain one, which has no
other way, does not.
"""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn

from resnet_explore.analysis._state import ModelState, turn_of
from resnet_explore.analysis.capture.layers import CONTAINERS
from resnet_explore.analysis.skips.block_sums import IN_PLACE, BlockSums, refuse_out_of_reach, wrapped_forward
from resnet_explore.analysis.topology.blocks_of import blocks_of, traces_kept
from resnet_explore.analysis.topology.structure import SkipSum, TracedBlock
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError, an, unknown
from resnet_explore.models.dispatch import uncompiled
from resnet_explore.models.shortcuts import Add, scaled

_LOCK = threading.Lock()
_EDITED: WeakSet[nn.Module] = WeakSet()  # blocks and stages
_FOUND: WeakKeyDictionary[nn.Module, list["_Stay"]] = WeakKeyDictionary()


@contextmanager
def edited(
    model: nn.Module,
    *,
    delete: str | Sequence[str] = (),
    order: Mapping[str, Sequence[int]] | None = None,
    skip: Mapping[str, float] | None = None,
    branch: Mapping[str, float] | None = None,
    input_size: tuple[int, ...] | None = None,
) -> Iterator[nn.Module]:
    """Edit a network's blocks while inside; afterwards it is exactly as it was found.

    A block gives y = act(s x + b F(x)), with s = b = 1 in the network itself, where x stands for what its
    shortcut carries, the projection too, and act is nothing or the ReLU behind the sum, which stays.

    delete      blocks whose branch adds nothing (b = 0). A plain block, which has no skip, is passed by
                whole: y is its input
    order       for each stage, such as "layer1", which of its blocks runs first, second, ..., counted from 0.
                Blocks keep their names
    skip        s for each block. A plain block has none
    branch      b for each block; of a plain block all that it gives is scaled
    input_size  (C, H, W) of an image that the network can take, to find its blocks; None tries usual ones

    Blocks are named as in `structure(model).blocks`, "layer2.1", or by patterns such as "layer3.*"; of
    several that fit a block the last one counts, and patterns for `skip` mean the blocks that have one. The
    network is any whose skips `structure` finds: ours, torchvision's ResNets, others. A block that adds
    twice, such as a transformer's, is scaled at both sums. What measures a network measures the edited one
    inside. On leaving, training flags and buffers, such as batch norm's statistics, are put back as well;
    weights and their .grad are left to who changes them.

    Raises ExploreError, and changes nothing, for blocks and stages that don't exist, a plain block to be
    deleted whose output has another shape than its input, a skip to be scaled where there is none, factors
    that are no finite numbers, an order that is no permutation or moves a block to where its shapes don't
    fit, and a block that is being edited already.

    Source: Veit, Wilber and Belongie 2016, Residual networks behave like ensembles of relatively shallow
    networks, arXiv 1605.06431.
    """
    net = unwrapped(model)
    blocks = {block.name: block for block in blocks_of(net, input_size)}
    if not blocks:
        raise ExploreError(f"The model, {an(net)}, has no blocks, so there is nothing to edit.")
    names = [delete] if isinstance(delete, str) else delete
    if not isinstance(order or {}, Mapping):
        raise ExploreError(f"order must be a dict from stages to numbers of their blocks, not {order!r:.60}.")
    factors = _factors(net, blocks, names, skip or {}, branch or {})
    orders = {_stage(blocks, name): numbers for name, numbers in (order or {}).items()}
    edits: list[_Edit] = [_edit(net.get_submodule(name), blocks[name], *f) for name, f in factors.items()]
    edits += [_reordering(net, blocks, stage, numbers) for stage, numbers in orders.items()]
    with _running_as_written(model), traces_kept(net):
        with turn_of(net):  # not while another thread measures, in eval mode perhaps
            changes = _made(net, edits)
        try:
            yield model
        finally:
            with turn_of(net):
                changes.close()


def _made(net: nn.Module, edits: Sequence["_Edit"]) -> ExitStack:
    """Make all edits or, where one is refused, none; they are undone when what is returned is closed."""
    with ExitStack() as stack:
        stack.enter_context(_staying(net))
        with _LOCK:
            _refuse_edited(edits)
            for edit in edits:
                stack.enter_context(edit.made())
        return stack.pop_all()


# --- what is asked -----------------------------------------------------------------------------------------


def _factors(
    net: nn.Module,
    blocks: Mapping[str, TracedBlock],
    delete: Sequence[str],
    skip: Mapping[str, float],
    branch: Mapping[str, float],
) -> dict[str, tuple[float, float, bool]]:
    """Return (skip, branch, deleted) of the blocks that are changed."""
    if not isinstance(delete, Sequence) or not all(isinstance(name, str) for name in delete):
        raise ExploreError(f"delete must be names of blocks or patterns, not {delete!r:.60}.")
    deleted = dict.fromkeys(name for pattern in delete for name in _named(pattern, blocks))
    for name in deleted:
        _refuse_to_delete(blocks[name])
    scales = {"skip": dict.fromkeys(blocks, 1.0), "branch": dict.fromkeys(blocks, 1.0)}
    for what, asked in (("skip", skip), ("branch", branch)):
        if not isinstance(asked, Mapping):
            raise ExploreError(f"{what} must be a dict from blocks to factors, not {asked!r:.60}.")
        for pattern, factor in asked.items():
            if not isinstance(factor, Real) or isinstance(factor, bool) or not math.isfinite(factor):
                raise ExploreError(f"{what} of {pattern!r} must be a finite number, not {factor!r:.60}.")
            fitting = _named(pattern, blocks)
            if what == "skip":
                fitting = _with_skip(net, pattern, [blocks[name] for name in fitting])
            scales[what].update(dict.fromkeys(fitting, float(factor)))
    found = {name: (scales["skip"][name], scales["branch"][name], name in deleted) for name in blocks}
    return {name: factors for name, factors in found.items() if factors != (1.0, 1.0, False)}


def _named(pattern: Any, blocks: Mapping[str, TracedBlock]) -> list[str]:
    if pattern in blocks:
        return [pattern]
    fitting = [name for name in blocks if fnmatchcase(name, str(pattern))]
    if not fitting:
        raise unknown("block", str(pattern), blocks)
    return fitting


def _with_skip(net: nn.Module, pattern: str, fitting: list[TracedBlock]) -> list[str]:
    able = [block.name for block in fitting if block.sums]
    if not able:
        whose = f"The block {pattern!r}" if len(fitting) == 1 else f"No block of {pattern!r} in {an(net)}"
        verb = "has no skip" if len(fitting) == 1 else "has a skip"
        raise ExploreError(f"{whose} {verb}, so there is none to scale.")
    return able


def _refuse_to_delete(block: TracedBlock) -> None:
    if not block.can_go:
        raise ExploreError(
            f"The block {block.name!r} can't be deleted: it has no skip, and what passes it by has the wrong "
            f"shape, {block.takes} where {block.gives} is needed."
        )


def _stage(blocks: Mapping[str, TracedBlock], name: Any) -> str:
    """Return the list of blocks that a stage's name means: its own, or that of the one list inside of it."""
    stages = dict.fromkeys(block.stage for block in blocks.values())
    inside = [stage for stage in stages if stage == name or stage.startswith(f"{name}.")]
    if len(inside) != 1:
        raise unknown("stage", str(name), stages)
    return inside[0]


# --- edits -------------------------------------------------------------------------------------------------


class _Edit:
    """One change of one module."""

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module = name, module

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the change while inside."""
        _EDITED.add(self.module)
        try:
            with self.changed():
                yield
        finally:
            _EDITED.discard(self.module)

    def changed(self) -> AbstractContextManager[None]:
        """Return a context in which the module is changed."""
        raise NotImplementedError


def _edit(module: nn.Module, block: TracedBlock, skip: float, branch: float, deleted: bool) -> _Edit:
    branch = 0.0 if deleted else branch
    add = getattr(module, "add", None)
    if isinstance(add, Add):
        return _Weighed(block.name, module, add, skip, branch)
    if not block.sums:
        return _Passed(block.name, module, branch, deleted)
    refuse_out_of_reach(block)
    return _Summed(block, module, skip, branch)


class _Weighed(_Edit):
    """A block of ours: its sum has the two factors as numbers."""

    def __init__(self, name: str, module: nn.Module, add: Add, skip: float, branch: float) -> None:
        super().__init__(name, module)
        self.add, self.skip, self.branch = add, skip, branch

    @contextmanager
    def changed(self) -> Iterator[None]:
        found = self.add.skip_scale, self.add.branch_scale
        self.add.skip_scale, self.add.branch_scale = found[0] * self.skip, found[1] * self.branch
        try:
            yield
        finally:
            self.add.skip_scale, self.add.branch_scale = found


class _Wrapped(_Edit):
    """A module that computes something else around its own forward."""

    def forward(self, run: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the module gives instead of `run(*args, **kwargs)`."""
        raise NotImplementedError

    def changed(self) -> AbstractContextManager[None]:
        """Return a context in which the module's forward is ours."""
        return wrapped_forward(self.module, self.forward)


class _Passed(_Wrapped):
    """A plain block that is passed by, or whose output is scaled."""

    def __init__(self, name: str, module: nn.Module, branch: float, deleted: bool) -> None:
        super().__init__(name, module)
        self.branch, self.deleted = branch, deleted

    def forward(self, run: Any, *args: Any, **kwargs: Any) -> Any:
        # It runs all the same: whoever looks at its layers sees them, and their gradients are 0, not missing.
        given, made = next((a for a in args if isinstance(a, Tensor)), None), run(*args, **kwargs)
        if not isinstance(made, Tensor) or (self.deleted and given is None):
            raise ExploreError(f"The block {self.name!r} can't be edited: it gives {an(made)}, not a tensor.")
        if self.deleted and given is not None:
            return torch.where(given.new_ones((), dtype=torch.bool), given, made)
        return scaled(made, self.branch)


class _Summed(_Wrapped):
    """A block of others: the sums at which its skip ends are computed of scaled summands."""

    def __init__(self, block: TracedBlock, module: nn.Module, skip: float, branch: float) -> None:
        super().__init__(block.name, module)
        self.block, self.skip, self.branch = block, skip, branch

    def forward(self, run: Any, *args: Any, **kwargs: Any) -> Any:
        return _ScaledSums(self.block, self.skip, self.branch).around(run, *args, **kwargs)


class _ScaledSums(BlockSums):
    def __init__(self, block: TracedBlock, skip: float, branch: float) -> None:
        super().__init__(block)
        self._skip, self._branch = skip, branch

    def ended(self, add: Any, first: Tensor, second: Tensor, end: SkipSum, options: dict[str, Any]) -> Any:
        factors = self._skip, self._branch
        by_first, by_second = factors if end.skip_first else factors[::-1]
        if (
            add.__name__ not in IN_PLACE
        ):  # in their order, by which whoever counts sums tells skip from branch
            return add(scaled(first, by_first), scaled(second, by_second), **options)
        if by_first != 1:  # who sums in place looks for the result there
            first.copy_(scaled(first, by_first)) if by_first == 0 else first.mul_(by_first)
        return add(first, scaled(second, by_second), **options)


class _Reordered(_Edit):
    """A stage whose blocks run in another order; each keeps its name."""

    def __init__(self, name: str, module: nn.Module, keys: list[str]) -> None:
        super().__init__(name, module)
        self.keys = keys

    @contextmanager
    def changed(self) -> Iterator[None]:
        parts = self.module._modules
        found = dict(parts)
        self._arrange({key: found[key] for key in self.keys})
        try:
            yield
        finally:
            self._arrange(found)

    def _arrange(self, parts: Mapping[str, nn.Module | None]) -> None:
        self.module._modules.clear()
        self.module._modules.update(parts)


def _reordering(
    net: nn.Module, blocks: Mapping[str, TracedBlock], stage: str, numbers: Sequence[int]
) -> _Reordered:
    module = net.get_submodule(stage)
    if not isinstance(module, CONTAINERS):
        raise ExploreError(
            f"The blocks of {stage or an(net)!r} can't be put in another order, as they stand in no list."
        )
    keys = list(module._modules)
    places = [i for i, key in enumerate(keys) if f"{stage}.{key}" in blocks]
    numbers = list(numbers) if isinstance(numbers, Iterable) else [numbers]
    if sorted(map(str, numbers)) != sorted(map(str, range(len(places)))):
        raise ExploreError(
            f"order of {stage!r} must hold each number from 0 to {len(places) - 1} once, not {numbers!r:.60}."
        )
    arranged = list(keys)
    for place, number in zip(places, numbers, strict=True):
        arranged[place] = keys[places[int(number)]]
        there, moved = blocks[f"{stage}.{keys[place]}"], blocks[f"{stage}.{arranged[place]}"]
        if (there.takes, there.gives) != (moved.takes, moved.gives):
            raise ExploreError(
                f"order of {stage!r} can't put {moved.name!r} in the place of {there.name!r}: it turns "
                f"{moved.takes} into {moved.gives}, the other {there.takes} into {there.gives}."
            )
    return _Reordered(stage, module, arranged)


def _refuse_edited(edits: Sequence[_Edit]) -> None:
    for edit in edits:
        if edit.module in _EDITED:
            raise ExploreError(
                f"{edit.name!r} is being edited already: leave that edit first, or say both in one."
            )


# --- how the network is left -------------------------------------------------------------------------------


@dataclass(eq=False)
class _Stay:
    """Somebody's stay in an edited network, and how it was found."""

    found: ModelState


@contextmanager
def _staying(net: nn.Module) -> Iterator[None]:
    """On leaving put back training flags and buffers; of several who overlap the last one to leave does."""
    with _LOCK:
        stays = _FOUND.setdefault(net, [])
        stay = _Stay(ModelState(net))
        stays.append(stay)
    try:
        yield
    finally:
        with _LOCK:
            after = stays.index(stay) + 1
            if after == len(stays):
                stay.found.put_back()
            else:  # who came later, in another thread, found what we had changed
                stays[after].found = stay.found
            stays.remove(stay)


def _running_as_written(model: nn.Module) -> AbstractContextManager[object]:
    """Let a network that was compiled run as it was written, as what is compiled knows nothing of edits."""
    compiled = any(
        hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) for m in model.modules()
    )
    return uncompiled() if compiled else nullcontext()
