"""A network as it is in train mode, with the statistics of batch norm held constant."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._state import measuring
from resnet_explore.errors import ExploreError


@contextmanager
def held_statistics(model: nn.Module, images: Tensor, mode: str) -> Iterator[Any]:
    """Inside, the model maps each image by itself; yields its output for `images`, without a graph.

    mode  "train": every batch norm uses the statistics of this batch, as in train mode, but as constants: a
          gradient doesn't pass through them, so that one image's answer doesn't depend on the others;
          "eval": its running statistics

    Dropout doesn't drop. The model is left as found. Raises ExploreError for batch norms without running
    statistics, which have no place to hold any, and in "train" for one that runs twice in a pass.
    """
    norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    for name, layer in norms.items():
        if layer.running_mean is None:
            raise ExploreError(
                f"{name} keeps no running statistics, so images can't be looked at one by one: "
                "set track_running_stats=True."
            )
    with measuring(model):
        model.eval()
        if mode == "train":
            found = _statistics(model, images, norms)
            for name, (mean, variance) in found.items():
                norms[name].get_buffer("running_mean").copy_(mean)
                norms[name].get_buffer("running_var").copy_(variance)
        with torch.no_grad():
            output = answer(model, images)
        yield output


def _statistics(
    model: nn.Module, images: Tensor, norms: dict[str, _BatchNorm]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and (biased) variance of what each batch norm gets from this batch; changes their mode."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str, layer: _BatchNorm) -> Any:
        def look(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if name in found:
                raise ExploreError(f"{name} runs twice in a pass, so it has no one set of batch statistics.")
            dims = [d for d in range(args[0].ndim) if d != 1]
            variance, mean = torch.var_mean(args[0], dims, correction=0)
            found[name] = mean, variance

        return layer.register_forward_pre_hook(look).remove

    with ExitStack() as stack, torch.no_grad():
        for name, layer in norms.items():
            layer.train()
            stack.callback(watch(name, layer))
        answer(model, images)
    for layer in norms.values():
        layer.eval()
    return found
