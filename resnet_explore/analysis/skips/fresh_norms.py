"""Batch norm's running statistics taken anew, where an edit made them stale."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis.topology.structure import TracedBlock


class Norms:
    """A network's batch norms that have running statistics, by when a pass comes to them."""

    def __init__(self, net: nn.Module, blocks: Sequence[TracedBlock], image: Tensor) -> None:
        self._clock = 0
        self._begins: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._last: dict[_BatchNorm, int] = {}
        with ExitStack() as stack:
            for block in blocks:
                module = net.get_submodule(block.name)
                stack.callback(module.register_forward_pre_hook(self._note(self._begins, block.name)).remove)
                stack.callback(module.register_forward_hook(self._note(self._ends, block.name)).remove)
            for module in net.modules():
                if isinstance(module, _BatchNorm) and module.running_mean is not None:
                    stack.callback(module.register_forward_hook(self._note_norm).remove)
            answer(net, image.clone())

    def _note(self, times: dict[str, int], name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self._clock += 1
            times.setdefault(name, self._clock)

        return hook

    def _note_norm(self, norm: _BatchNorm, *_: object) -> None:
        self._clock += 1
        self._last[norm] = self._clock

    def behind(self, block: str, with_its_own: bool = False) -> list[_BatchNorm]:
        """Return those that run after a block has, or after it has begun."""
        since = (self._begins if with_its_own else self._ends)[block]
        return [norm for norm, last in self._last.items() if last > since]


def take_anew(norms: Sequence[_BatchNorm], run: Callable[[], object]) -> None:
    """Let norms take their running statistics from what they see while `run` runs, all else in eval mode.

    They become means over its batches: of each one's mean and of its unbiased variance. Inside, these norms
    standardise by the batch, as in training.
    """
    momenta = [(norm, norm.momentum) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True  # None: the mean of all batches
        run()
    finally:
        for norm, momentum in momenta:
            norm.momentum, norm.training = momentum, False
