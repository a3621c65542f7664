"""Where a pass sums what a skip carried and what a branch added: for those who need the summands' values.

How a network is wired needs none: `structure` says that. Here each sum is found while a real pass runs, by
the same rule. A sum of two maps of one shape, of which one has passed fewer weighted layers than the other,
is where a skip ends: the shallower summand is what the skip carried, the deeper one what the branch added.
What is added to such a sum later belongs to the branch, however deep it is; and our `Add` says itself which
is which. Operations are watched below the modules, so `x + F(x)`, `out += identity` and a module that adds
are all seen, in one pass.

A block of a transformer adds twice to one stream, what its attention made and what its MLP made of the sum.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis.topology.blocks import skip_side
from resnet_explore.analysis.topology.places import Places
from resnet_explore.analysis.topology.tokens import REORDERS, TokenGrid, grid_of, slow_attention
from resnet_explore.models.dispatch import OperationMode, noted, tensors_in, uncompiled
from resnet_explore.models.shortcuts import Add

_WEIGHTED = ("convolution", "_convolution", "addmm", "mm", "linear", "_native_multi_head_attention")
_SUMS = ("add", "add_")
_SAME = ("view", "_unsafe_view", "clone", "alias", "detach", "_to_copy", "squeeze", "unsqueeze")


@dataclass(frozen=True, eq=False, repr=False)
class Stream(Brief):
    """One sum: what the skip carried and what the branch added, (N, C, h, w) each, as they were summed.

    Scales and gates of the block are in them already; norm and ReLU behind the sum are not. Tokens are laid
    out as such maps where it is known how they lie on the image, and `layout` says so in words; else they
    stay as they are, (N, tokens, C) mostly, and it says why. It is "" for maps as they stand.
    """

    skip: Tensor
    branch: Tensor
    layout: str = ""

    @property
    def ratio(self) -> Tensor:
        """The branch's L2 norm over the skip's, (N,); inf where the skip carries zeros alone."""
        return self.branch.flatten(1).norm(dim=1) / self.skip.flatten(1).norm(dim=1)


class Streams(dict[str, Stream]):
    """Sums by the module that holds them, in the order of execution.

    Where a module adds more than once to one stream, each sum has a name of its own, "blocks.0:1" and
    "blocks.0:2", and `streams["blocks.0"]` is both as one: what the skip carried into the first, and all that
    the branches added until the last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.whole: dict[str, Stream] = {}

    def __missing__(self, name: str) -> Stream:
        return self.whole[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self.whole

    def get(self, name: str, default: Any = None) -> Any:
        """Return the stream of that name, or `default`."""
        return super().get(name, self.whole.get(name, default))


class Sums(OperationMode):
    """Follows, while it is active, how many weighted layers each tensor has passed, and notes sums.

    keep      what to keep of each summand; by default a copy, since an in-place sum overwrites one of them
    finish    what to make of that, with the sum's name, once the module is left and it is known which are one
    axes      how many a summand has at least: 3 for maps and tokens, 2 for vectors as well
    reorders  whether anything can have brought values into another order, so that they are no maps
    """

    def __init__(
        self,
        model: nn.Module,
        keep: Callable[[Tensor], Any] = torch.clone,
        layers: Collection[str] | None = None,
        finish: Callable[[str, Any], Any] | None = None,
        axes: int = 3,
    ) -> None:
        super().__init__()
        # A module without parts of its own that adds (our `Add`) stands for the block around it.
        self._names = {module: name for name, module in model.named_modules() if any(module.children())}
        self._adding = [module for module in model.modules() if isinstance(module, Add)]
        self._keep, self._layers, self._finish, self._axes = keep, layers, finish, axes
        self._depths = WeakTensorKeyDictionary()
        self._running = [_Call("")]
        self._found = Streams()
        self._entered: dict[str, list[str]] = {}  # the names of each module's sums
        self.reorders = False
        self._away = False

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Let somebody else compute with what passes by, unwatched."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    @contextmanager
    def watching(self, images: Tensor) -> Iterator[Streams]:
        """Watch what happens to `images` inside the block; the streams that are yielded fill meanwhile."""
        self._depths[images] = 0
        with ExitStack() as stack:
            stack.enter_context(slow_attention())
            for module, name in self._names.items():
                for handle in (
                    module.register_forward_pre_hook(self._enter(name), prepend=True),
                    module.register_forward_hook(self._leave, always_call=True),
                ):
                    stack.callback(handle.remove)
            for add in self._adding:
                stack.callback(add.register_forward_pre_hook(self._told).remove)
            stack.enter_context(self)
            yield self._found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._away:
            return func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        known = noted(self._depths, tensors_in((args, kwargs)))
        made = self._stream(*args[:2], **kwargs or {}) if len(known) == 2 and name in _SUMS else None
        result = func(*args, **(kwargs or {}))
        if known:
            depth, call = max(known) + (name in _WEIGHTED), self._running[-1]
            for tensor in tensors_in(result):
                self._depths[tensor] = depth
                self.reorders |= name in REORDERS and tensor.ndim > 2
            if made is not None:
                self._note(call, *made)
                call.carried[result] = True
            elif call.sums and args[0] in call.carried:
                if name in _SAME:
                    call.carried[result] = True
                elif result is args[0]:  # changed in place, as by a factor: no longer the sum
                    del call.carried[result]
        return result

    def _stream(self, first: Tensor, second: Tensor, alpha: float = 1) -> tuple[Stream, bool] | None:
        """Return what is summed, if a skip ends here, and whether it adds to the stream of the sum before."""
        call = self._running[-1]
        if first.ndim < self._axes or first.shape != second.shape:
            return None
        if self._layers is not None and call.name not in self._layers:
            return None
        carried = first in call.carried, second in call.carried
        side = skip_side([self._depths[first], self._depths[second]])
        if side is None and carried[0] == carried[1]:
            return None
        side = carried.index(True) if side is None else side
        summed = first.detach(), second.detach() if alpha == 1 else second.detach() * alpha
        kept = [self._keep(summand) for summand in (summed[side], summed[1 - side])]
        return Stream(*kept), carried[side]

    def _told(self, _module: nn.Module, summands: tuple[Tensor, Tensor]) -> None:
        """Hear from our `Add` which is the branch: one that is dropped, or as deep as its projection, too."""
        branch, skip = summands
        below = self._depths.get(skip, 0)
        self._depths[branch] = max(self._depths.get(branch, 0), below + 1)

    def _note(self, call: "_Call", stream: Stream, goes_on: bool) -> None:
        """Enter a sum in place of what its module had, so that the order is that of the last sums."""
        call.sums = [*call.sums, stream] if goes_on else [stream]
        call.carried = WeakTensorKeyDictionary()
        for name in self._entered.pop(call.name, []):
            self._found.pop(name)
        self._found.whole.pop(call.name, None)
        names = [call.name]
        if len(call.sums) > 1:
            names = [f"{call.name}:{k}" for k in range(1, 1 + len(call.sums))]
            self._found.whole[call.name] = _as_one(call.sums)
        self._found.update(zip(names, call.sums, strict=True))
        self._entered[call.name] = names

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(_module: nn.Module, _inputs: Any) -> None:
            self._running.append(_Call(name))

        return enter

    def _leave(self, *_: Any) -> None:
        call = self._running.pop()
        if self._finish is None or not call.sums:
            return
        for streams, names in ((self._found, self._entered[call.name]), (self._found.whole, [call.name])):
            for name in names:
                if name in dict.keys(streams):
                    stream = streams[name]
                    streams[name] = Stream(
                        *(self._finish(name, kept) for kept in (stream.skip, stream.branch))
                    )


@dataclass
class _Call:
    """A module's call that is going on, its sums so far in one stream, and what carries that stream on."""

    name: str
    sums: list[Stream] = field(default_factory=list)
    carried: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)


def _as_one(sums: list[Stream]) -> Stream:
    """Return what the skip carried into the first of some sums, and all that was added until the last."""
    last = sums[-1]
    if not isinstance(last.skip, Tensor) or not last.skip.ndim:  # what is kept are no values
        return last
    shape = last.skip.shape
    added = torch.stack([one.branch.reshape(shape) for one in sums]).sum(0)
    return Stream(sums[0].skip.reshape(shape), added)


def sum_grids(
    model: nn.Module, images: Tensor, layers: Collection[str] | None = None
) -> dict[str, TokenGrid | str]:
    """Return for each sum of a network, by name, how it lies on the image, or why that is not known."""
    image = as_images(model, images[:1])
    places = Places(image)
    with (
        torch.no_grad(),
        uncompiled(),
        places,
        Sums(model, partial(grid_of, places), layers).watching(image) as found,
    ):
        answer(model, image)
    return {name: s.skip for streams in (found, found.whole) for name, s in streams.items()}  # type: ignore
