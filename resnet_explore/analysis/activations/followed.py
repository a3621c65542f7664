"""What becomes of each summand of a residual stream on its way to the answer, though networks are not linear.

A pass is written down as operations that are linear in what flows along the skips, once two things are held
at what the pass itself made of them: the factor of every activation (a ReLU lets a value through or not: 1 or
0; any other f multiplies x by f(x)/x) and the factor of every norm that measures its own input (one over the
standard deviation of a layer or group norm; its centring is linear). Then each summand can be pushed through
alone, and what all of them come to is what the network gave.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from resnet_explore.analysis.topology.structure import SkipSum, TracedBlock
from resnet_explore.analysis.topology.sum_calls import SumCalls
from resnet_explore.analysis.topology.tokens import slow_attention
from resnet_explore.errors import ExploreError
from resnet_explore.models.dispatch import OperationMode, tensors_in

_aten = torch.ops.aten
_SAME = ("clone", "alias", "detach", "contiguous", "lift_fresh", "dropout", "native_dropout")
_VIEWS = ("view", "_unsafe_view", "reshape", "_reshape_alias")
# Each gives of a sum the sum of what it gives of the summands, and of zeros zeros.
_LINEAR = (
    *("permute", "transpose", "t", "slice", "select", "expand", "unsqueeze", "squeeze", "narrow", "unfold"),
    *("roll", "flip", "repeat", "index", "index_select", "pixel_shuffle", "pixel_unshuffle", "im2col", "neg"),
    *("mean", "sum", "_adaptive_avg_pool2d", "avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d"),
    *("split", "split_with_sizes", "chunk", "unbind", "reflection_pad2d", "replication_pad2d", "mm", "bmm"),
)
# f(0) = 0, so f(x) is a factor times x.
_ACTIVATIONS = (
    *("relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "silu", "gelu", "mish", "hardswish"),
    *("tanh", "clamp_min", "prelu", "_prelu_kernel", "hardshrink", "softshrink"),
)
_BATCH_NORMS = (
    "native_batch_norm",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
    "miopen_batch_norm",
)


@dataclass(eq=False)
class Node:
    """One operation on the stream.

    linear    what it makes of one summand of each parent
    constant  what it adds of its own, whatever it gets; None for nothing
    actual    the operation itself, where that is not `linear` plus `constant`
    pools     whether it is the mean over all places of a map (N, C, h, w)
    """

    number: int
    parents: tuple["Node", ...] = ()
    linear: Callable[..., Tensor] = field(default=lambda x: x)
    constant: Tensor | None = None
    actual: Callable[..., Tensor] | None = None
    pools: bool = False

    def run(self, *inputs: Tensor) -> Tensor:
        """Return what the operation gives of other inputs than those of the pass."""
        if self.actual is not None:
            return self.actual(*inputs)
        made = self.linear(*inputs)
        return made if self.constant is None else made + self.constant


@dataclass(eq=False, kw_only=True)
class Start(Node):
    """Where the stream begins: all that the layers before the first block gave."""

    value: Tensor


@dataclass(eq=False, kw_only=True)
class StreamSum(Node):
    """A sum at which a block's skip ends: its one parent is what the skip carried."""

    block: str
    added: Tensor


@dataclass(eq=False, kw_only=True)
class Plain(Node):
    """What a block without a skip gave: nothing from before passes it by."""

    block: str
    value: Tensor


class _Lost:
    """Marks what was made of the stream by an operation that can't be followed."""

    def __init__(self, operation: str) -> None:
        self.operation = operation


class _Before:
    """Marks what was made of the image before the first block."""


class Followed(OperationMode):
    """Writes down, while it is active, which operations the stream passes."""

    def __init__(self, model: nn.Module, blocks: Sequence[TracedBlock]) -> None:
        super().__init__()
        self._model, self._blocks = model, blocks
        self._state = WeakTensorKeyDictionary()
        self._count = 0
        self._away = False
        self._sums = _Ends(self)

    @contextmanager
    def watching(self, images: Tensor) -> Iterator[None]:
        """Follow what becomes of `images` inside."""
        self._state[images] = _Before()
        with ExitStack() as stack:
            stack.enter_context(slow_attention())
            for block in self._blocks:
                module = self._model.get_submodule(block.name)
                if block.sums:
                    stack.callback(module.register_forward_pre_hook(self._sums.enter(block)).remove)
                    stack.callback(module.register_forward_hook(self._sums.leave(block)).remove)
                else:
                    stack.callback(module.register_forward_hook(self._passed(block)).remove)
            stack.enter_context(self._sums)
            stack.enter_context(self)
            yield

    def node_of(self, tensor: Tensor) -> Node:
        """Return the operation that made what the network gave.

        Raises ExploreError if the stream was lost on the way there.
        """
        state = self._state.get(tensor)
        if isinstance(state, Node):
            return state
        if isinstance(state, _Lost):
            raise ExploreError(
                "What the blocks add can't be followed to the logits: no rule says what the operation "
                f"{state.operation!r} makes of each of them; it can be where only activations, norms, "
                "poolings and linear layers stand behind the sums."
            )
        raise ExploreError("The logits are not made of what the blocks with skips give.")

    # --- what a block begins with and ends with ------------------------------------------------------------

    def begin(self, tensor: Tensor) -> None:
        """Let the stream begin with a block's input, unless it has begun."""
        if not isinstance(self._state.get(tensor), (Node, _Lost)):
            self._state[tensor] = self._started(tensor)

    def sum(self, made: Tensor, skip: "Node | _Lost", block: str, added: Tensor) -> None:
        """Note a sum at which a block's skip ends."""
        if isinstance(skip, Node):
            self._state[made] = StreamSum(self._next(), (skip,), block=block, added=added)
        else:
            self._state[made] = skip

    def skip(self, tensor: Tensor) -> "Node | _Lost":
        """Return how what a skip carried was made."""
        self.begin(tensor)
        return self._state[tensor]

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Compute unwatched."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def _passed(self, block: TracedBlock) -> Callable[..., None]:
        def leave(_module: nn.Module, _inputs: Any, output: Any) -> None:
            for tensor in tensors_in(output):
                if isinstance(self._state.get(tensor), (Node, _Lost)):
                    value = self._copy(tensor)
                    self._state[tensor] = Plain(self._next(), block=block.name, value=value)

        return leave

    def _started(self, tensor: Tensor) -> Start:
        return Start(self._next(), value=self._copy(tensor))

    def _copy(self, tensor: Tensor) -> Tensor:
        with self.looking_away():
            return tensor.detach().clone()

    def _next(self) -> int:
        self._count += 1
        return self._count

    # --- operations ----------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._away:
            return func(*args, **kwargs)
        given = tensors_in((args, kwargs))
        states = [self._state[t] for t in given if t in self._state]
        if not states:
            return func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if not any(isinstance(state, Node) for state in states):
            result = func(*args, **kwargs)
            lost = next((state for state in states if isinstance(state, _Lost)), None)
            self._mark(result, lost or states[0])
            return result
        inputs = args
        if func._schema.is_mutable and isinstance(args[0], Tensor):  # it is about to be overwritten
            inputs = (args[0].clone(), *args[1:])
            self._state[inputs[0]] = self._state.get(args[0])
        result = func(*args, **kwargs)
        made = self._rule(name, func, inputs, kwargs, result)
        self._mark(result, _Lost(name.strip("_")))
        base = args[0]._base if inputs is not args else None
        if base is not None:  # whoever goes on with the whole has a part that was written over
            self._state[base] = _Lost(name.strip("_"))
        for tensor, node in zip(tensors_in(result), made, strict=False):
            self._state[tensor] = node
        return result

    def _mark(self, result: Any, state: Any) -> None:
        for tensor in tensors_in(result):
            self._state[tensor] = state

    def _node(self, value: Any) -> Node | None:
        state = self._state.get(value) if isinstance(value, Tensor) else None
        return state if isinstance(state, Node) else None

    def _rule(self, name: str, func: Any, args: Any, kwargs: Any, result: Any) -> list[Node]:
        """Return the nodes of an operation's results; none where no rule says what it does to summands."""
        plain = name.rstrip("_")
        if plain in ("add", "sub"):
            return self._added(plain, args, kwargs)
        if plain in ("mul", "div"):
            return self._scaled(plain, args, kwargs)
        if plain == "cat":
            return self._joined(args, kwargs)
        first = self._node(args[0]) if args and isinstance(args[0], Tensor) else None
        if plain in ("addmm", "linear"):
            return self._product(plain, args, kwargs)
        others = any(self._node(t) for t in tensors_in((args[1:], kwargs)))
        if first is None or others:
            return []
        if plain in _ACTIVATIONS:
            return [self._activated(plain, func, first, args, kwargs, tensors_in(result)[0])]
        if plain in _SAME or (plain == "_to_copy" and args[0].dtype == tensors_in(result)[0].dtype):
            return [self.made((first,))]
        if plain == "as_strided" and torch.equal(args[0], result):  # a pooling that sets its own strides
            return [self.made((first,))]
        if plain in _VIEWS:
            shape = tuple(result.shape)
            return [self.made((first,), lambda x: x.reshape(shape))]
        if plain == "constant_pad_nd":
            return [] if any(args[2:]) else [self.made((first,), lambda x: func(x, args[1]))]
        if plain in _LINEAR:
            return self._linear(plain, func, first, args, kwargs, result)
        if plain in ("convolution", "_convolution"):
            return [self._convolved(func, first, args)]
        if plain in _BATCH_NORMS:
            return [self._batch_normed(first, args)]
        if plain == "native_layer_norm":
            return [self._layer_normed(first, args, result)]
        if plain == "native_group_norm":
            return [self._group_normed(first, args, result)]
        if plain == "max_pool2d_with_indices":
            return [self._max_pooled(func, first, args, kwargs, result)]
        return []

    def made(
        self,
        parents: tuple[Node, ...],
        linear: Callable[..., Tensor] = lambda x: x,
        constant: Tensor | None = None,
        actual: Callable[..., Tensor] | None = None,
        pools: bool = False,
    ) -> Node:
        """Return the next operation on the stream."""
        return Node(self._next(), parents, linear, constant, actual, pools)

    def _linear(self, name: str, func: Any, first: Node, args: Any, kwargs: Any, result: Any) -> list[Node]:
        rest = args[1:]
        if isinstance(result, Tensor):
            pools = args[0].ndim == 4 and _is_mean_over_places(name, args, kwargs, result)
            return [self.made((first,), lambda x: func(x, *rest, **kwargs), pools=pools)]
        parts = range(len(tensors_in(result)))
        return [self.made((first,), lambda x, i=i: func(x, *rest, **kwargs)[i]) for i in parts]

    def _added(self, name: str, args: Any, kwargs: Any) -> list[Node]:
        sign = kwargs.get("alpha", 1) * (-1 if name == "sub" else 1)
        nodes = [self._entering(value) for value in args[:2]]
        if any(isinstance(node, _Lost) for node in nodes):
            return []
        one, other = nodes
        if isinstance(one, Node) and isinstance(other, Node):
            return [self.made((one, other), lambda x, y: x + sign * y)]
        if isinstance(one, Node):
            return [self.made((one,), _shaped(args), sign * torch.as_tensor(args[1]).to(args[0]))]
        return [self.made((other,), lambda x: sign * _shaped(args)(x), torch.as_tensor(args[0]).to(args[1]))]

    def _entering(self, value: Any) -> Any:
        """Return how a summand was made; one from before the first block enters the stream here."""
        state = self._state.get(value) if isinstance(value, Tensor) else None
        return self._started(value) if isinstance(state, _Before) else state

    def _scaled(self, name: str, args: Any, kwargs: Any) -> list[Node]:
        one, other = (self._node(value) for value in args[:2])
        if kwargs or (one and other) or (name == "div" and other):
            return []
        node, factor = (one, args[1]) if one else (other, args[0])
        if node is None:
            return []
        factor = factor.detach().clone() if isinstance(factor, Tensor) else factor
        if name == "div":
            return [self.made((node,), lambda x: x / factor)]
        return [self.made((node,), lambda x: x * factor)]

    def _joined(self, args: Any, kwargs: Any) -> list[Node]:
        parts = list(args[0])
        axis = args[1] if len(args) > 1 else kwargs.get("dim", 0)
        states = [self._entering(part) for part in parts]
        if any(isinstance(state, _Lost) for state in states):
            return []
        followed = tuple(state for state in states if isinstance(state, Node))
        alone = [None if isinstance(s, Node) else p for s, p in zip(states, parts, strict=True)]
        nothing = [None if p is None else torch.zeros_like(p) for p in alone]

        def join(*summands: Tensor) -> Tensor:
            waiting = iter(summands)
            return torch.cat([next(waiting) if part is None else part for part in nothing], axis)

        constant = None
        if any(part is not None for part in alone):
            fixed = [torch.zeros_like(p) if a is None else a for a, p in zip(alone, parts, strict=True)]
            constant = torch.cat(fixed, axis)
        return [self.made(followed, join, constant)]

    def _product(self, name: str, args: Any, kwargs: Any) -> list[Node]:
        bias, x, weight = args[:3] if name == "addmm" else (args[2] if len(args) > 2 else None, *args[:2])
        node = self._node(x)
        if node is None or kwargs or self._node(weight) or (bias is not None and self._node(bias)):
            return []
        weight = weight.detach() if name == "addmm" else weight.detach().T
        return [self.made((node,), lambda x: x @ weight, None if bias is None else bias.detach())]

    def _convolved(self, func: Any, first: Node, args: Any) -> Node:
        _, weight, bias, *rest = args
        weight = weight.detach()
        constant = None
        if bias is not None:
            constant = bias.detach().reshape(-1, *[1] * (weight.ndim - 2))
        return self.made((first,), lambda x: func(x, weight, None, *rest), constant)

    def _activated(self, name: str, func: Any, first: Node, args: Any, kwargs: Any, result: Tensor) -> Node:
        x, rest = args[0], args[1:]
        factor: Tensor = result > 0 if name == "relu" else torch.where(x != 0, result / x, 0)
        plain = func if not func._schema.is_mutable else getattr(_aten, name)
        return self.made((first,), lambda x: x * factor, actual=lambda x: plain(x, *rest, **kwargs))

    def _batch_normed(self, first: Node, args: Any) -> Node:
        x, weight, bias, mean, variance = args[:5]
        if mean is None or args[5] is True:  # it measures what it gets
            variance, mean = torch.var_mean(x, [0, *range(2, x.ndim)], correction=0)
        scale = (variance + args[-1]).rsqrt() * (1 if weight is None else weight)
        constant = (0 if bias is None else bias) - mean * scale
        form = (-1, *[1] * (x.ndim - 2))
        scale, constant = (v.detach().to(x.dtype).reshape(form) for v in (scale, constant))
        return self.made((first,), lambda x: x * scale, constant)

    def _layer_normed(self, first: Node, args: Any, result: Any) -> Node:
        _, shape, weight, bias, eps = args
        axes, factor = tuple(range(-len(shape), 0)), result[2].detach()
        weight = None if weight is None else weight.detach()
        bias = None if bias is None else bias.detach()

        def linear(x: Tensor) -> Tensor:
            centred = (x - x.mean(axes, keepdim=True)) * factor.to(x.dtype)
            return centred if weight is None else centred * weight

        return self.made((first,), linear, bias, lambda x: F.layer_norm(x, shape, weight, bias, eps))

    def _group_normed(self, first: Node, args: Any, result: Any) -> Node:
        x, weight, bias, count, channels, _, groups, eps = args
        factor, form = result[2].detach().reshape(count, groups, 1), (-1, *[1] * (x.ndim - 2))
        weight = torch.ones(channels).to(x) if weight is None else weight.detach()
        bias = torch.zeros(channels).to(x) if bias is None else bias.detach()

        def linear(x: Tensor) -> Tensor:
            parted = x.reshape(count, groups, -1)
            centred = (parted - parted.mean(-1, keepdim=True)) * factor.to(x.dtype)
            return centred.reshape(x.shape) * weight.reshape(form)

        return self.made(
            (first,), linear, bias.reshape(form), lambda x: F.group_norm(x, groups, weight, bias, eps)
        )

    def _max_pooled(self, func: Any, first: Node, args: Any, kwargs: Any, result: Any) -> Node:
        rest, where = args[1:], result[1]

        def linear(x: Tensor) -> Tensor:
            return x.flatten(-2).gather(-1, where.flatten(-2)).reshape(where.shape)

        return self.made((first,), linear, actual=lambda x: func(x, *rest, **kwargs)[0])


class _Ends(SumCalls):
    """Tells the sums at which the skips of blocks end from others, and skip from branch."""

    def __init__(self, followed: Followed) -> None:
        super().__init__()
        self._followed = followed
        self._running: list[tuple[TracedBlock, int]] = []

    def enter(self, block: TracedBlock) -> Callable[..., None]:
        """Return what is to run before a block."""

        def hook(_module: nn.Module, inputs: Any) -> None:
            for tensor in tensors_in(inputs):
                if tensor.is_floating_point():
                    self._followed.begin(tensor)
            self._running.append((block, self.count))

        return hook

    def leave(self, block: TracedBlock) -> Callable[..., None]:
        """Return what is to run behind a block."""

        def hook(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            _, before = self._running.pop()
            if self.count - before != block.sum_calls:
                raise ExploreError(
                    f"The block {block.name!r} can't be taken apart: it adds {self.count - before} times "
                    f"now, but {block.sum_calls} when it was looked at, so its skip can't be told."
                )

        return hook

    def summed(self, add: Callable[..., Any], first: Tensor, second: Tensor, **options: Any) -> Any:
        end = self._end()
        if end is None:
            return add(first, second, **options)
        block, _ = self._running[-1]
        alpha = options.get("alpha", 1)
        with self._followed.looking_away():
            added = (alpha * second if end.skip_first else first).detach().clone()
        skip = self._followed.skip(first if end.skip_first else second)
        if isinstance(skip, Node) and not end.skip_first and alpha != 1:
            skip = self._followed.made((skip,), lambda x: alpha * x)
        with self._followed.looking_away():
            made = add(first, second, **options)
        self._followed.sum(made, skip, block.name, added)
        return made

    def _end(self) -> SkipSum | None:
        if not self._running:
            return None
        block, before = self._running[-1]
        return next((end for end in block.sums if end.call == self.count - before), None)


def _shaped(args: Any) -> Callable[[Tensor], Tensor]:
    """Return what brings a summand to the shape of a sum with something larger."""
    shapes = [value.shape if isinstance(value, Tensor) else () for value in args[:2]]
    shape = torch.broadcast_shapes(*shapes)
    return lambda x: x.expand(shape)


def _is_mean_over_places(name: str, args: Any, kwargs: Any, result: Tensor) -> bool:
    """Whether an operation turns a map (N, C, h, w) into its mean over all places."""
    if name == "mean":
        axes = args[1] if len(args) > 1 else kwargs.get("dim")
        return sorted(axis % 4 for axis in axes or ()) == [2, 3]
    if result.ndim != 4 or tuple(result.shape[2:]) != (1, 1):
        return False
    if name == "avg_pool2d":
        kernel = [*args[1]] * (2 if len(args[1]) == 1 else 1)
        return list(args[0].shape[2:]) == kernel
    return name == "_adaptive_avg_pool2d"
