"""Random numbers: all of a process's threads draw them from one stream for each device."""

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
# Where nothing else draws; what others have written may.
_KNOWN = ("torch.nn.modules.", "torchvision.models.resnet", "resnet_explore.")


def may_draw(model: nn.Module) -> bool:
    """Whether a pass, forward and back, may draw random numbers, in training or not."""
    return any(map(_may_draw, model.modules()))


def _may_draw(module: nn.Module) -> bool:
    if isinstance(module, _DRAWING) or (isinstance(module, Block) and module.survival < 1):
        return True
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    ):
        return True
    if "forward" in module.__dict__ or not type(module).__module__.startswith(_KNOWN):
        return True
    return any(p is not None and p._backward_hooks for p in module._parameters.values())


def chance_kept(model: nn.Module, more: bool = False) -> AbstractContextManager[None]:
    """Return a context that puts back how random numbers go on, where passes of `model` may draw some.

    more  whether what else runs there may draw, such as a loader of images

    Where nothing draws, nothing is put back: that would also undo what another thread has drawn or seeded
    meanwhile, such as a cell of the notebook beside an explorer that measures.
    """
    return random_states_kept(model) if more or may_draw(model) else nullcontext()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let what the processor draws begin with a seed, and put back afterwards how it goes on."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: it would seed the GPUs too, which are not put back.
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def random_states_kept(model: nn.Module) -> Iterator[None]:
    """Put back the random states of the processor and of the GPUs that hold the model on leaving."""
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
