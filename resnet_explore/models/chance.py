"""Random numbers in a pass: all of a process's threads draw them from one stream for each device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from resnet_explore.models.blocks import Block

# Those of torch whose passes draw; all others of its layers don't.
_DRAWING = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    nn.MultiheadAttention,
    nn.RNNBase,
)
_KNOWN = ("torch.nn.modules.", "resnet_explore.")  # what others have written may draw anything


def may_draw(model: nn.Module) -> bool:
    """Whether a pass may draw random numbers, in training or not."""
    return any(map(_may_draw, model.modules()))


def _may_draw(module: nn.Module) -> bool:
    if isinstance(module, Block) and module.survival < 1:
        return True
    known = type(module).__module__.startswith(_KNOWN) and not isinstance(module, _DRAWING)
    return not known or bool(module._forward_hooks or module._forward_pre_hooks)


def chance_kept(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context that puts back how random numbers go on, where passes of `model` may draw some.

    Where they don't, nothing is put back: that would also undo what another thread has drawn or seeded
    meanwhile, such as a cell of the notebook beside an explorer that measures.
    """
    return random_states_kept(model) if may_draw(model) else nullcontext()


@contextmanager
def random_states_kept(model: nn.Module) -> Iterator[None]:
    """Put back the random states of the processor and of the model's other devices on leaving."""
    cuda: list[int] = []
    if torch.cuda.is_initialized():
        cuda = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            if apple is not None:
                torch.mps.set_rng_state(apple)
