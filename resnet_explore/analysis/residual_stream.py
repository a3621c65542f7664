"""What the skip carried and what the branch added, at every sum of a network, also one that we did not write.

A sum of two maps of one shape, of which one has passed fewer weighted layers than the other, is where a skip
ends: the shallower summand is what the skip carried, the deeper one what the branch added. Operations are
watched below the modules, so `x + F(x)`, `out += identity` and a module that adds are all seen, in one pass.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.models.dispatch import OperationMode, uncompiled

_WEIGHTED = ("convolution", "_convolution", "addmm", "mm")
_SUMS = ("add", "add_")


@dataclass(frozen=True, eq=False, repr=False)
class Stream(Brief):
    """One sum: what the skip carried and what the branch added, (N, C, h, w) each, as they were summed.

    Scales and gates of the block are in them already; norm and ReLU behind the sum are not.
    """

    skip: Tensor
    branch: Tensor

    @property
    def ratio(self) -> Tensor:
        """The branch's L2 norm over the skip's, (N,); inf where the skip carries zeros alone."""
        return self.branch.flatten(1).norm(dim=1) / self.skip.flatten(1).norm(dim=1)


def residual_stream(
    model: nn.Module, images: Tensor, layers: Collection[str] | None = None
) -> dict[str, Stream]:
    """Return the sums of one pass in eval mode, by the module that holds them, in the order of execution.

    images  float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    layers  only the sums of these modules

    Of several sums in one module the last one counts. Empty for a network without skips. The model is left as
    it was. Raises ExploreError for images that don't fit.
    """
    batch = as_images(model, images)
    with measuring(model):
        model.eval()
        with torch.no_grad(), uncompiled(), Sums(model, layers=layers).watching(batch) as found:
            answer(model, batch)
    return found


class Sums(OperationMode):
    """Follows, while it is active, how many weighted layers each tensor has passed, and notes sums.

    `keep` says what to keep of each summand; by default a copy, since an in-place sum overwrites one of them.
    """

    def __init__(
        self,
        model: nn.Module,
        keep: Callable[[Tensor], Tensor] = torch.clone,
        layers: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        # A module without parts of its own that adds (our `Add`) stands for the block around it.
        self._names = {module: name for name, module in model.named_modules() if any(module.children())}
        self._keep, self._layers = keep, layers
        self._depths = WeakTensorKeyDictionary()
        self._running: list[str] = []
        self._found: dict[str, Stream] = {}

    @contextmanager
    def watching(self, images: Tensor) -> Iterator[dict[str, Stream]]:
        """Watch what happens to `images` inside the block; the dict that is yielded fills meanwhile."""
        self._depths[images] = 0
        with ExitStack() as stack:
            for module, name in self._names.items():
                for handle in (
                    module.register_forward_pre_hook(self._enter(name), prepend=True),
                    module.register_forward_hook(self._leave, always_call=True),
                ):
                    stack.callback(handle.remove)
            stack.enter_context(self)
            yield self._found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        known = [self._depths[t] for t in _tensors((args, kwargs)) if t in self._depths]
        if len(known) == 2 and name in _SUMS:
            self._note(*args[:2])
        result = func(*args, **(kwargs or {}))
        if known:
            depth = max(known) + (name in _WEIGHTED)
            for tensor in _tensors(result):
                self._depths[tensor] = depth
        return result

    def _note(self, first: Tensor, second: Tensor) -> None:
        owner = self._running[-1] if self._running else ""
        depths = self._depths[first], self._depths[second]
        if first.ndim != 4 or first.shape != second.shape or depths[0] == depths[1]:
            return
        if self._layers is None or owner in self._layers:
            skip, branch = (first, second) if depths[0] < depths[1] else (second, first)
            self._found.pop(owner, None)  # so that the order is that of the last sums
            self._found[owner] = Stream(self._keep(skip.detach()), self._keep(branch.detach()))

    def _enter(self, name: str) -> Callable[..., None]:
        def enter(_module: nn.Module, _inputs: Any) -> None:
            self._running.append(name)

        return enter

    def _leave(self, *_: Any) -> None:
        self._running.pop()


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
