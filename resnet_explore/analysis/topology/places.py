"""Where on the image does each value of a pass come from? Followed through every operation, by rules.

A token of a transformer stands in a list, and what tells where it lies are the operations that brought it
there: a patch embedding, a reshape, windows cut out and rolled, a reordering. So each pixel gets a place, and
with each operation of one pass the places move as the values do. What only moves values moves places in the
same way; a convolution or a pool puts each result at the middle of its window; a product with weights over
the channels stays where its input was, and attention where its query was; of a sum of two the finer place
counts. A value mixed from everywhere, or made by an operation without a rule, lies nowhere, until a skip adds
to it something that has a place. So a place is never a guess: it means that order was kept all the way.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from resnet_explore.analysis.topology._middles import SCALED, WINDOWS, between, inside, window_middles
from resnet_explore.models.dispatch import OperationMode, tensors_in

_SHAPES = ("view", "_unsafe_view", "_reshape_alias", "reshape")
_MOVES = frozenset(
    (
        *("permute", "transpose", "t", "slice", "select", "split", "split_with_sizes", "unbind", "expand"),
        *("squeeze", "unsqueeze", "cat", "stack", "roll", "flip", "repeat", "index", "index_select"),
        *("gather", "constant_pad_nd", "unfold", "im2col", "pixel_shuffle", "pixel_unshuffle", "narrow"),
        *("channel_shuffle", "native_channel_shuffle", "movedim", "reflection_pad2d", "replication_pad2d"),
        *("rot90", "chunk", "diagonal"),
    )
)
_COPIES = ("alias", "detach", "clone", "_to_copy", "contiguous", "lift_fresh", "copy")
# Torch marks most operations of one value at a time itself; these it does not.
_POINTWISE = (
    *("addcmul", "addcdiv", "lerp", "masked_fill", "where", "native_dropout", "dropout", "clamp", "rsub"),
    *("hardswish", "hardsigmoid", "hardtanh", "mish", "softplus", "threshold", "prelu", "_prelu_kernel"),
    *("leaky_relu", "elu", "relu6", "silu", "selu", "celu"),
)
_ATTENTION = ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")
_ALONG = ("_softmax", "_log_softmax", "_safe_softmax", "cumsum", "_fused_rms_norm")
_NORMS = ("layer_norm", "group_norm", "batch_norm", "instance_norm")
_REDUCTIONS = ("mean", "sum", "amax", "amin", "max", "min", "logsumexp", "linalg_vector_norm", "norm", "std")
_PRODUCTS = {"mm": 0, "bmm": 0, "linear": 0, "addmm": 1, "baddbmm": 1}  # by where the first factor stands
_OVERWRITES = ("copy_", "fill_", "zero_", "index_put_", "scatter_", "index_copy_", "masked_scatter_", "set_")
_FINE = 1 / 256  # pixels within which two places are one
_FARTHEST = 2**20  # so many of these are the farthest place that is told apart, 4,096 pixels

Found = Tensor | None  # the number of each value's place, 0 for nowhere; None where all lie nowhere


class Places(OperationMode):
    """Follows, while it is active, where on `image`, (1, C, H, W), the values made of it lie.

    A place is a number, a row of `table`: its y and x in pixels and how large it is.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        height, width = image.shape[-2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([rows, columns, torch.ones_like(rows)], -1).reshape(-1, 3)
        self.table = torch.cat([torch.full((1, 3), torch.nan), pixels.float()]).double()
        numbers = 1 + torch.arange(height * width).reshape(height, width)
        self._places = WeakTensorKeyDictionary({image: numbers.expand(image.shape)})
        # Of the places that are no pixels, in order: each as one whole number, and its row in the table.
        self._keys = self._numbers = torch.zeros(0, dtype=torch.int64)
        self._stands = WeakTensorKeyDictionary()
        self._spoiled = WeakTensorKeyDictionary()  # what was written over, by whose memory it is

    def of(self, tensor: Tensor) -> Found:
        """Return the row of `table` for each value, int64 of the tensor's shape; None if all lie nowhere."""
        return None if _base(tensor) in self._spoiled else self._places.get(tensor)

    def stands(self, tensor: Tensor) -> bool:
        """Whether a tensor that lies nowhere is a map (N, C, h, w) all the same, as a convolution made it."""
        return tensor in self._stands

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = [t for t in tensors_in((args, kwargs)) if t in self._places]
        result = func(*args, **kwargs)
        if known:
            name = func.overloadpacket.__name__
            if name in _OVERWRITES:
                self._overwritten(args, result)
                return result
            try:
                found = self._rule(name, func, args, kwargs, result)
            except Exception:  # no rule, so nowhere
                found = None
            outputs = tensors_in(result)
            found = found if isinstance(found, (list, tuple)) else [found]
            for tensor, places in zip_longest(outputs, found[: len(outputs)]):
                fits = places is not None and places.shape == tensor.shape
                self._places[tensor] = places if fits else None
                if not fits and tensor.ndim == 4:
                    made = name in WINDOWS or name in SCALED or any(norm in name for norm in _NORMS[1:])
                    kept = name in _COPIES or torch.Tag.pointwise in func.tags or name in _POINTWISE
                    if made or (kept and any(t in self._stands and t.shape == tensor.shape for t in known)):
                        self._stands[tensor] = True
        return result

    def _overwritten(self, args: Any, result: Tensor) -> None:
        """Forget what was written over with something that lies elsewhere, and all that shares its memory."""
        old = self.of(result)
        new = self.of(args[1]) if len(args) == 2 and isinstance(args[1], Tensor) else None
        same = old is not None and new is not None and torch.equal(old, new.expand(old.shape))
        if result in self._places and old is not None and not same:
            self._spoiled[_base(result)] = True
        elif result not in self._places:
            self._places[result] = None if new is None else new.expand(result.shape)

    def _rule(self, name: str, func: Any, args: Any, kwargs: Any, result: Any) -> Any:
        """Return the places of an operation's results, of the first or of each."""
        if name in _SHAPES:
            places = self.of(args[0])
            return None if places is None else _thin(places.reshape(result.shape))
        if name in _COPIES:
            return self.of(args[0])
        if name in _MOVES:
            return self._moved(name, func, args, kwargs)
        if name in _ALONG or any(norm in name for norm in _NORMS):
            return self.of(args[0])
        if torch.Tag.pointwise in func.tags or name.rstrip("_") in _POINTWISE:
            return self._together([self.of(t) for t in tensors_in((args, kwargs))], result.shape)
        given = {a.name: v for a, v in zip(func._schema.arguments, args, strict=False)} | kwargs
        if name in _REDUCTIONS:
            return self._reduced(given, tensors_in(result)[0].shape)
        if name in _PRODUCTS:
            first, second = args[_PRODUCTS[name] :][:2]
            return self._product(first, second, tensors_in(result)[0].shape)
        if name.startswith("_scaled_dot_product") or name in _ATTENTION:
            return self._rows(args[0], tensors_in(result)[0].shape)
        if name in WINDOWS or name in SCALED:
            return self._windows(name, given, args[0], tensors_in(result)[0].shape)
        raise _NoRuleError

    def _moved(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Move places as the operation moves values."""

        def places(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if leaf in self._places and not leaf.is_floating_point():
                raise _NoRuleError  # an order that depends on the image
            if leaf.is_floating_point():
                found = self.of(leaf)
                return torch.zeros(1, dtype=torch.int64).expand(leaf.shape) if found is None else found
            return leaf.cpu()

        if name == "constant_pad_nd":
            args, kwargs = args[:2], {}
        args, kwargs = tree_map(places, (args, kwargs))
        try:
            moved = func(*args, **kwargs)
        except (RuntimeError, NotImplementedError):  # some move floats alone
            args, kwargs = tree_map(lambda x: x.double() if _is_number(x) else x, (args, kwargs))
            moved = tree_map(lambda x: x.round().long(), func(*args, **kwargs))
        return tree_map(_thin, moved)

    def _together(self, several: Sequence[Found], shape: Sequence[int]) -> Found:
        """Return the places of a sum or product: of two that differ the finer one, and of equals none."""
        total: Found = None
        for places in (_tight(p) for p in several if p is not None):
            if total is None:
                total = places
            elif not torch.equal(total, places):
                total, other = torch.broadcast_tensors(total, places)
                here, there = self.table[total], self.table[other]
                # Two windows of one cell, such as a pool's and a strided convolution's, differ by half of it.
                apart = (here[..., :2] - there[..., :2]).abs().amax(-1) > 0.75 * here[..., 2]
                coarser = here[..., 2] > there[..., 2] + _FINE
                lost = apart & ~coarser & (here[..., 2] > there[..., 2] - _FINE)
                total = torch.where((total == 0) | coarser & (other > 0), other, total.masked_fill(lost, 0))
        return None if total is None else total.expand(shape)

    def _merged(self, places: Tensor, axes: Sequence[int]) -> tuple[Tensor, bool]:
        """Return the middle of the places along some axes, of length 1 then, and whether each was one place.

        What lies nowhere doesn't count. Where it is the same middle everywhere, it says nothing: nowhere.
        """
        axes = [axis % places.ndim for axis in axes]
        shape = [1 if axis in axes else size for axis, size in enumerate(places.shape)]
        places = _tight(places)
        high = places.amax(axes, keepdim=True)
        low = torch.where(places > 0, places, high).amin(axes, keepdim=True)
        mixed = low != high
        if not mixed.any():
            return high.expand(shape), True
        order = [*(a for a in range(places.ndim) if a not in axes), *axes]
        rows = self.table[places.permute(order).reshape(high.numel(), -1)][mixed.flatten()]
        least, most = (_extreme(rows, sign) for sign in (-1, 1))
        middle = rows.nanmean(1)
        middle[:, 2] = most[:, 2] + (most - least)[:, :2].amax(1)
        high = high.clone()
        told = bool(((middle - middle[0])[:, :2].abs() > _FINE).any())
        high[mixed] = self._numbered(middle) if told else 0
        return high.expand(shape), False

    def _numbered(self, rows: Tensor) -> Tensor:
        """Return the numbers of places, (..., 3), and enter new ones into the table; 0 for NaN."""
        flat = rows.reshape(-1, 3)
        grains = (flat / _FINE).round().nan_to_num(nan=-_FARTHEST).long() + _FARTHEST
        if (grains < 0).any() or (grains >= 2 * _FARTHEST).any():
            raise _NoRuleError
        keys = (grains[:, 0] * 2 * _FARTHEST + grains[:, 1]) * 2 * _FARTHEST + grains[:, 2]
        keys, which = torch.unique(keys, return_inverse=True)
        new = keys[~torch.isin(keys, self._keys)]
        if len(new):
            first = torch.zeros(len(keys), dtype=torch.int64).scatter_(0, which, torch.arange(len(flat)))
            place = torch.searchsorted(keys, new)
            numbers = torch.arange(len(self.table), len(self.table) + len(new))
            self.table = torch.cat([self.table, flat[first[place]]])
            self._keys, order = torch.cat([self._keys, new]).sort()
            self._numbers = torch.cat([self._numbers, numbers])[order]
        found = self._numbers[torch.searchsorted(self._keys, keys)][which]
        return found.masked_fill(flat.isnan().any(1), 0).reshape(rows.shape[:-1])

    def _reduced(self, given: dict[str, Any], shape: Sequence[int]) -> Found:
        places, axes = self.of(given["self"]), given.get("dim")
        if places is None or axes is None or axes == []:
            return None
        axes = [axes] if isinstance(axes, int) else list(axes)
        return self._merged(places, axes)[0].reshape(shape) if len(shape) or places.ndim else None

    def _product(self, first: Tensor, second: Tensor, shape: Sequence[int]) -> Found:
        """Return places of a matrix product: those of the first factor's rows, else the second's columns."""
        one, two = self.of(first), self.of(second)
        alone = one is None or two is None
        for places, axis in ((one, -1), (two, -2)):
            if places is not None:
                kept, exact = self._merged(places, [axis])
                if (exact or alone) and kept.any():
                    return kept.expand(shape)
        return None

    def _rows(self, query: Tensor, shape: Sequence[int]) -> Found:
        places = self.of(query)
        if places is None:
            return None
        kept, exact = self._merged(places, [-1])
        return kept.expand(shape) if exact else None

    def _windows(self, name: str, given: dict[str, Any], source: Tensor, shape: Sequence[int]) -> Found:
        """Return the middles of a convolution's or a pool's windows, or of what an enlargement makes."""
        places = self.of(source)
        if places is None or places.ndim != len(shape) or places.ndim < 3:
            return None
        places = self._merged(places, [1])[0]
        where: list[Tensor] = []
        for axis, (before, after) in enumerate(zip(places.shape[2:], shape[2:], strict=True)):
            middles = window_middles(name, given, axis, before, after)
            if middles is None:
                return None
            where.append(middles)
        stretch = max(source.shape[axis] / shape[axis] for axis in range(2, len(shape)))
        if stretch < 1.5 and all(inside(m, n) for m, n in zip(where, places.shape[2:], strict=True)):
            for axis, middles in enumerate(where, start=2):
                places = places.index_select(axis, middles.long())
            return places.expand(shape)
        rows = self.table[places]
        for axis, middles in enumerate(where, start=2):
            rows = between(rows, axis, middles)
        rows[..., 2] *= max(1.0, stretch)
        return self._numbered(rows).expand(shape)


class _NoRuleError(Exception):
    """An operation of which no rule says where its results lie."""


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.dtype == torch.int64


def _base(tensor: Tensor) -> Tensor:
    return tensor if tensor._base is None else tensor._base


def _tight(places: Tensor) -> Tensor:
    """Return places with each axis along which they are repeated in memory cut to length 1."""
    for axis in range(places.ndim):
        if places.stride(axis) == 0 and places.shape[axis] > 1:
            places = places.narrow(axis, 0, 1)
    return places


def _thin(places: Tensor) -> Tensor:
    """Return the same places without memory for an axis along which they are all alike, such as channels."""
    shape = places.shape
    for axis in range(1, places.ndim):
        if places.shape[axis] > 1 and places.stride(axis):
            first, last = places.narrow(axis, 0, 1), places.narrow(axis, -1, 1)
            if torch.equal(first, last) and torch.equal(first.expand(places.shape), places):
                places = first
    return places.expand(shape)


def _extreme(rows: Tensor, sign: int) -> Tensor:
    """Return the largest, or for -1 the smallest, along axis 1, without NaN."""
    return sign * (sign * rows).nan_to_num(nan=-torch.inf).amax(1)
