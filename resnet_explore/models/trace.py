"""One pass through any network, watched: multiply-adds, depth, receptive fields, what training would keep.

Every tensor carries a note of where it came from. Operations are watched below the modules, so that
functional calls, in-place layers and layers that are used twice are all seen.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

from resnet_explore.models.dispatch import OperationMode, noted, tensors_in


@dataclass(frozen=True)
class Origin:
    """What a tensor knows of its past: of several pasts the deepest and widest.

    depth   layers with weights on the longest path from the input
    field   input pixels that one of its pixels can depend on, for each axis; None: no longer local
    jump    input pixels from one of its pixels to the next
    start   the first input pixel that its first pixel can depend on; below 0 beyond the border
    """

    depth: int
    field: tuple[float, ...] | None
    jump: tuple[float, ...]
    start: tuple[float, ...]

    def window(
        self,
        kernel: Iterable[int],
        stride: Iterable[float],
        dilation: Iterable[int],
        padding: Iterable[float] | None = None,
    ) -> "Origin":
        """Return the origin of what a sliding window makes of this (Araujo et al. 2019, eq. 2 and 3)."""
        kernel, stride, dilation = tuple(kernel), tuple(stride), tuple(dilation)
        if self.field is None or len(kernel) != len(self.field):
            return replace(self, field=None)
        grown = zip(self.field, kernel, dilation, self.jump, strict=True)
        jumps = zip(self.jump, stride, strict=True)
        padded = zip(self.start, padding or [0] * len(kernel), self.jump, strict=True)
        return replace(
            self,
            field=tuple(f + (k - 1) * d * j for f, k, d, j in grown),
            jump=tuple(j * s for j, s in jumps),
            start=tuple(at - p * j for at, p, j in padded),
        )


def _join(origins: list[Origin]) -> Origin:
    if len(origins) == 1:
        return origins[0]
    fields = [o.field for o in origins]
    local = not any(f is None for f in fields)
    return Origin(
        depth=max(o.depth for o in origins),
        field=tuple(map(max, zip(*fields, strict=True))) if local else None,
        jump=tuple(map(max, zip(*(o.jump for o in origins), strict=True))),
        start=tuple(map(min, zip(*(o.start for o in origins), strict=True))),
    )


@dataclass
class Call:
    """What one module did in the pass; operations count for the innermost module that runs them."""

    outputs: list[tuple[int, ...]] = field(default_factory=list)
    field: tuple[float, ...] | None = None
    jump: tuple[float, ...] = ()
    start: tuple[float, ...] = ()
    depth: int = 0
    macs: int = 0
    kept: int = 0
    runs: int = 0


class Tracer(OperationMode):
    """Notes, while it is active, what every operation does to the origin of its tensors.

    calls     for each module's path ("" is the network itself) what it did
    macs      multiply-adds of all
    depth     layers with weights on the longest path
    field     the receptive field behind the last convolution or pooling that still has a map
    running   the paths of the modules that run at the moment, the innermost last
    """

    def __init__(self, image: Tensor, weights: Iterable[Tensor]) -> None:
        super().__init__()
        axes = image.ndim - 2
        self.calls: dict[str, Call] = defaultdict(Call)
        self.field: tuple[float, ...] | None = (1.0,) * axes
        self.macs = self.depth = 0
        self.running = [""]
        self._deepest = 0
        self._origins = WeakTensorKeyDictionary()
        self._origins[image] = Origin(0, (1.0,) * axes, (1.0,) * axes, (0.0,) * axes)
        # Storages stay referenced, so that no address is used twice.
        self._known = {s._cdata: s for s in (t.untyped_storage() for t in (image, *weights))}

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Watch every operation and module inside the with block; hooks are gone afterwards."""
        handles = []
        for path, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(path), with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave(path), with_kwargs=True))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept), self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = noted(self._origins, tensors_in((args, kwargs)))
        if sources:
            rule = _RULES.get(func.overloadpacket.__name__)
            origin = _join(sources)
            made = tensors_in(result)
            if rule is not None and made:
                origin = rule(self, origin, args, made[0])
            self.depth = max(self.depth, origin.depth)
            for tensor in made:
                self._origins[tensor] = origin
        return result

    def weigh(self, macs: int) -> None:
        """Count multiply-adds for the module that runs."""
        self.calls[self.running[-1]].macs += macs
        self.macs += macs

    def mapped(self, origin: Origin, result: Tensor) -> Origin:
        """Remember the receptive field of the deepest map, the last of equally deep ones."""
        is_map = origin.field is not None or math.prod(result.shape[2:]) > 1
        if is_map and origin.depth >= self._deepest:
            self.field, self._deepest = origin.field, origin.depth
        return origin

    def lose_place(self, origin: Origin) -> None:
        """Remember that from here on every place may depend on every other."""
        if origin.depth >= self._deepest:
            self.field, self._deepest = None, origin.depth

    def traced(self, tensor: Tensor) -> bool:
        """Whether the tensor depends on the input; weights do not."""
        return tensor in self._origins

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known[storage._cdata] = storage
            self.calls[self.running[-1]].kept += storage.nbytes()
        # Never the tensor itself: where an operation saves its own result, as ReLU does, the result would
        # hold its node of the graph, and the node the result: a ring through C++ that Python can't collect.
        with _disable_current_modes():  # this is no operation of the network
            return tensor.detach()

    def _enter(self, path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self.running.append(path)
            self.calls[path].runs += 1
            self.calls[path].depth -= self._depth_of((args, kwargs))

        return hook

    def _leave(self, path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, _kwargs: Any, output: Any) -> None:
            self.running.pop()
            call, tensors = self.calls[path], tensors_in(output)
            call.outputs = [tuple(t.shape[1:]) for t in tensors]
            call.depth += self._depth_of(output)
            known = noted(self._origins, tensors)
            call.field = None
            if known:
                origin = _join(known)
                call.field, call.jump, call.start = origin.field, origin.jump, origin.start

        return hook

    def _depth_of(self, values: Any) -> int:
        return max((origin.depth for origin in noted(self._origins, tensors_in(values))), default=0)


# --- what single operations do: (watch, joined origin of the inputs, arguments, result) -> origin ----------


def _convolution(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    x, weight, _, stride, padding, dilation, transposed, *_ = args
    per_pixel = math.prod(weight.shape[1:])
    kernel, axes = weight.shape[2:], weight.ndim - 2
    stride, dilation, padding = _each(stride, axes), _each(dilation, axes), _each(padding, axes)
    if transposed:
        watch.weigh(x.numel() * per_pixel)
        spread = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        kernel = [math.ceil((extent + 1) / s) for extent, s in zip(spread, stride, strict=True)]
        # Its first pixel stems from the input's pixels (padding - spread) / stride to padding / stride.
        before = [(extent - p) / s for extent, p, s in zip(spread, padding, stride, strict=True)]
        origin = origin.window(kernel, [1 / s for s in stride], [1] * axes, before)
    else:
        watch.weigh(result.numel() * per_pixel)
        origin = origin.window(kernel, stride, dilation, padding)
    return watch.mapped(replace(origin, depth=origin.depth + 1), result)


def _addmm(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    return _matmul(watch, origin, args[1:], result)


def _matmul(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    first, second = args[:2]
    if watch.traced(first) and watch.traced(second):
        return _attention(watch, origin, args, result)
    watch.weigh(result.numel() * first.shape[-1])
    return replace(origin, depth=origin.depth + 1)


def _pool(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    x, kernel, *rest = args
    axes = x.ndim - 2 if origin.field is None else len(origin.field)
    kernel = _each(kernel, axes)
    stride = _each(rest[0], axes) if rest and rest[0] else kernel
    padding = _each(rest[1], axes) if len(rest) > 1 else [0] * axes
    return watch.mapped(origin.window(kernel, stride, [1] * axes, padding), result)


def _adaptive_pool(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    before, after = args[0].shape[2:], result.shape[2:]
    if math.prod(after) == 1 < math.prod(before):
        return _everywhere(watch, origin, args, result)
    stride = [b / a for b, a in zip(before, after, strict=True)]
    kernel = [math.ceil(s) if s.is_integer() else math.ceil(s) + 1 for s in stride]
    return watch.mapped(origin.window(kernel, stride, [1] * len(stride)), result)


def _mean(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    x, dims = args[0], args[1] if len(args) > 1 and args[1] else list(range(args[0].ndim))
    spatial = [d % x.ndim for d in dims if d % x.ndim >= 2 and x.shape[d] > 1]
    return _everywhere(watch, origin, args, result) if spatial else origin


def _upsample(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    factor = [before / after for before, after in zip(args[0].shape[2:], result.shape[2:], strict=True)]
    return origin.window([1] * len(factor), factor, [1] * len(factor))


def _interpolate(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    axes = result.ndim - 2
    return _upsample(watch, origin.window([2] * axes, [1] * axes, [1] * axes, [0.5] * axes), args, result)


def _view(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    """A map laid out as one row of features (VGG's flatten, an image given to an MLP) is no map any more."""
    flat = args[0].ndim >= 4 and result.ndim <= 2 and math.prod(args[0].shape[2:]) > 1
    if flat and not origin.depth:  # no layer has seen a map
        watch.lose_place(origin)
    return _everywhere(watch, origin, args, result) if flat else origin


def _attention(watch: Tracer, origin: Origin, args: Any, result: Tensor) -> Origin:
    """Two traced tensors multiplied: no layer, but every place may see every other."""
    watch.lose_place(origin)
    return _everywhere(watch, origin, args, result)


def _everywhere(_watch: Tracer, origin: Origin, _args: Any, _result: Tensor) -> Origin:
    return replace(origin, field=None)


def _each(value: Any, axes: int) -> list[int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * axes if len(values) == 1 else values


_ATTENTION = (
    *("attention_math", "flash_attention", "flash_attention_for_cpu", "efficient_attention"),
    *("cudnn_attention", "fused_attention_overrideable"),
)
_RULES: dict[str, Callable[[Tracer, Origin, Any, Tensor], Origin]] = {
    "convolution": _convolution,
    "addmm": _addmm,
    "mm": _matmul,
    **dict.fromkeys(("bmm", "baddbmm"), _attention),
    **dict.fromkeys((f"_scaled_dot_product_{kind}" for kind in _ATTENTION), _attention),
    "roi_align": _everywhere,
    **dict.fromkeys(
        ("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d"), _pool
    ),
    **dict.fromkeys((f"_adaptive_avg_pool{n}d" for n in (2, 3)), _adaptive_pool),
    **dict.fromkeys((f"adaptive_max_pool{n}d" for n in (2, 3)), _adaptive_pool),
    **dict.fromkeys(("mean", "sum", "amax"), _mean),
    **dict.fromkeys((f"upsample_nearest{n}d" for n in (1, 2, 3)), _upsample),
    **dict.fromkeys(("upsample_bilinear2d", "upsample_trilinear3d"), _interpolate),
    **dict.fromkeys(("view", "_unsafe_view", "reshape"), _view),
}
