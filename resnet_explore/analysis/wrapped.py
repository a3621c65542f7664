"""The network inside a wrapper: what DataParallel and torch.compile put around a module hides its layers."""

import torch
from torch import nn

from resnet_explore.errors import ExploreError, an, require_module

_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module that holds the layers; same weights, no copy.

    Raises ExploreError for what is no module, has no weights yet, or lets nobody watch its layers.
    """
    require_module(model)
    while True:
        inner = model.module if isinstance(model, _PARALLEL) else getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            break
        model = inner
    if isinstance(model, torch.jit.ScriptModule):
        raise ExploreError(
            "The model is TorchScript, whose layers run where nobody can watch them; give the module that it "
            "was made from."
        )
    require_weights(model)
    return model


def require_weights(model: nn.Module) -> None:
    """Raise ExploreError for a model on the meta device."""
    if any(p.is_meta for p in model.parameters()):
        raise ExploreError(f"The model, {an(model)}, is on the meta device: it has shapes but no weights.")
