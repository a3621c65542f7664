"""A stand-in for an Apple chip's GPU on machines that have none, strict where the real one is.

Tensors "on mps" are wrappers around tensors of the processor. What torch refuses on an Apple chip raises
here: float64, operators that are missing there, tensors of two devices in one operation, and `.numpy()`. The
numbers are the processor's, so that results must be equal. What a real chip computes wrongly, and how fast it
is, nothing here can tell.
"""

import contextlib
import importlib
import platform
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

MPS = torch.device("mps", 0)
# What C++ is told instead, as it knows no mps here: a device without values, so that nothing reads them by
# accident. Ours differs by its number from the true "meta".
_ALIAS = torch.device("meta", 1)
# Missing on an Apple chip in torch 2.9, the oldest that we take.
MISSING = ("_linalg_eigh", "_linalg_svd", "linalg_eig", "_linalg_eigvals", "linalg_qr", "geqrf")
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
_NO_FLOAT64 = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."


class OnMps(Tensor):
    """A tensor that says that it is on "mps"."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnMps":
        if held.dtype == torch.float64:
            raise TypeError(_NO_FLOAT64)
        with torch.inference_mode(False):  # a view may be no inference tensor, and one kind is enough
            made = Tensor._make_wrapper_subclass(
                cls, held.shape, strides=held.stride(), dtype=held.dtype, device=_ALIAS
            )
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        pass

    @property
    def device(self) -> torch.device:
        return MPS

    @property
    def is_meta(self) -> bool:
        return False

    def tolist(self) -> Any:
        return self.detach().held.tolist()

    def __repr__(self, **_: Any) -> str:
        return f"OnMps({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Renaming(TorchFunctionMode):
    """Calls "mps" by the name under which C++ lets it pass."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        # A device stands among the arguments, never inside one; a deepcopy's memo takes long to look through.
        args = tuple(map(_alias, args))
        kwargs = {name: _alias(value) for name, value in (kwargs or {}).items()}
        if func is Tensor.to and len(args) > 1 and isinstance(args[1], OnMps):
            args = (args[0], _ALIAS, args[1].dtype, *args[2:])
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == _ALIAS:
            return func(*args, **{**kwargs, "device": "cpu"}).to(_ALIAS)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], OnMps):
            where = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(map(_index, where)), *args[2:])
        return func(*args, **kwargs)


def _index(part: Any) -> Any:
    """C++ would put a list's numbers on the device without values."""
    return torch.as_tensor(np.asarray(part)) if isinstance(part, (list, range, np.ndarray)) else part


def _alias(value: Any) -> Any:
    named = isinstance(value, (str, torch.device)) and str(value) in ("mps", "mps:0")
    return _ALIAS if named else value


class _Placing(TorchDispatchMode):
    """Sees what names the device and has no tensor on it, such as `torch.zeros(3, device="mps")`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    """Do on the processor what is asked of the stand-in, and refuse what it refuses."""
    name, given = func.overloadpacket.__name__, list(_flat((args, *kwargs.values())))
    there = [t for t in given if isinstance(t, OnMps)]
    asked = kwargs.get("device")
    if not there and asked != _ALIAS:
        return func(*args, **kwargs)
    stays = bool(there) if asked is None else asked == _ALIAS
    if asked == _ALIAS:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if there:
        if kwargs.get("dtype") == torch.float64:  # also on the way to the processor: torch converts first
            raise TypeError(_NO_FLOAT64)
        if name in MISSING:
            raise NotImplementedError(f"The operator 'aten::{name}' is not implemented for the MPS device.")
        strays = [t for t in given if isinstance(t, Tensor) and not isinstance(t, OnMps) and t.ndim]
        if strays and name not in ("copy_", "_to_copy", *_INDEXING):
            raise RuntimeError(f"Expected all tensors to be on the same device: {name} got mps:0 and cpu.")
    inner_kwargs = {key: _each(_unwrapped, value) for key, value in kwargs.items()}
    found = func(*_each(_unwrapped, args), **inner_kwargs)
    if not stays:
        return found
    known = {id(t.held): t for t in there}  # what was changed in place is the tensor that came
    if name == "copy_":
        return args[0]
    return _each(lambda v: _wrapped(v, known), found)


def _flat(values: Any) -> Iterator[Any]:
    """Yield what is in lists in lists: operators take and give nothing more nested, and much of it."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """Return a value changed, or a list with all in it changed."""
    if isinstance(value, (list, tuple)):
        return type(value)([_each(change, one) for one in value])
    return change(value)


def _wrapped(value: Any, known: dict[int, OnMps]) -> Any:
    return known.get(id(value), OnMps(value)) if isinstance(value, Tensor) else value


def _unwrapped(value: Any) -> Any:
    return value.held if isinstance(value, OnMps) else value


@contextlib.contextmanager
def answers(macos: tuple[int, int] = (14, 0), cuda: bool = False) -> Iterator[None]:
    """Let torch say of the machine that it is a Mac with an Apple chip; with `cuda` also one with a GPU."""
    # Not when tests are collected, which every worker does, and by way of our own import, which loads less.
    importlib.import_module("resnet_explore.training.fabric")
    from lightning_fabric.accelerators.mps import MPSAccelerator

    with contextlib.ExitStack() as stack:
        for place, changes in (
            (torch.backends.mps, {"is_available": lambda: True, "is_macos_or_newer": lambda *v: v <= macos}),
            (torch.cuda, {"is_available": lambda: cuda}),
            (torch.mps, {"get_rng_state": torch.get_rng_state, "set_rng_state": torch.set_rng_state}),
            (platform, {"processor": lambda: "arm"}),
        ):
            stack.enter_context(mock.patch.multiple(place, **changes))
        MPSAccelerator.is_available.cache_clear()
        stack.callback(MPSAccelerator.is_available.cache_clear)
        yield


@contextlib.contextmanager
def apple_chip() -> Iterator[None]:
    """Let "mps" be a device inside the with block, to compute on."""
    with answers(), _Renaming(), _Placing():
        yield


def from_mps(value: Any) -> Any:
    """Return what lies on the stand-in as a tensor of the processor; anything else as it is."""
    return value.detach().held if isinstance(value, OnMps) else value
