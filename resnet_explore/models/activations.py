"""The same network with another activation."""

from typing import TypeVar

from torch import nn

from resnet_explore.errors import unknown
from resnet_explore.models.mlp import ACTIVATIONS

Module = TypeVar("Module", bound=nn.Module)


def with_activation(model: Module, name: str) -> Module:
    """Put another activation in place of every ReLU module, in place, and return the model.

    name  "relu" (nothing changes), "tanh", "gelu" or "linear". Weights stay as they are, drawn for ReLU.

    Raises ExploreError for another name.
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    if name != "relu":
        for parent in list(model.modules()):
            for key, child in list(parent.named_children()):
                if isinstance(child, nn.ReLU):
                    setattr(parent, key, ACTIVATIONS[name]())
    return model
