"""Wide fully connected networks, the ones that theory speaks about, plain or with skips."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from resnet_explore.errors import unknown
from resnet_explore.models.config import count, refuse_too_deep
from resnet_explore.models.shortcuts import Add

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "linear": nn.Identity,
}


@dataclass(frozen=True)
class MLPConfig:
    """x + b W phi(norm(x)), `depth` times, or in a plain network W phi(norm(x)) (Balduzzi et al. 2017).

    depth, width   how many such layers between the first and the last, and their units
    inputs         numbers in one image; the network flattens what it gets
    outputs        numbers that come out
    residual       False gives the plain twin, with equal weights for equal seeds
    branch_scale   b, on the branch
    activation     "relu", "tanh", "gelu" or "linear"
    norm           "batch" or "none"
    bias_std       standard deviation of the first layer's biases; all others are 0

    Weights are N(0, 2/fan_in), those of the first and the last layer N(0, 1/fan_in). Raises ExploreError for
    values that describe no network.
    """

    depth: int = 10
    width: int = 512
    inputs: int = 64
    outputs: int = 10
    residual: bool = False
    branch_scale: float = 1.0
    activation: str = "relu"
    norm: str = "batch"
    bias_std: float = 0.0

    def __post_init__(self) -> None:
        for name in ("depth", "width", "inputs", "outputs"):
            object.__setattr__(self, name, count("MLPConfig", name, getattr(self, name)))
        refuse_too_deep(self.depth)
        if self.activation not in ACTIVATIONS:
            raise unknown("activation in MLPConfig:", self.activation, ACTIVATIONS)
        if self.norm not in ("batch", "none"):
            raise unknown("norm in MLPConfig:", self.norm, ("batch", "none"))


class MLPLayer(nn.Module):
    """One layer: norm, activation, weights, and in a residual network the addition."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(config.width) if config.norm == "batch" else nn.Identity()
        self.activation = ACTIVATIONS[config.activation]()
        self.linear = _linear(config.width, config.width)
        self.add = Add(config.branch_scale) if config.residual else None

    def forward(self, x: Tensor) -> Tensor:
        branch = self.linear(self.activation(self.norm(x)))
        return branch if self.add is None else self.add(branch, x)


class MLP(nn.Module):
    """Takes (N, ...) with `inputs` numbers for each of N, returns (N, outputs); built in eval mode."""

    def __init__(self, config: MLPConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.first = _linear(config.inputs, config.width)
        self.layers = nn.ModuleList(MLPLayer(config) for _ in range(config.depth))
        self.last = _linear(config.width, config.outputs)
        self._initialize(seed)
        self.eval()

    @torch.no_grad()
    def _initialize(self, seed: int) -> None:
        stream = torch.Generator().manual_seed(seed)
        for layer in (m for m in self.modules() if isinstance(m, nn.Linear)):
            gain = 1 if layer in (self.first, self.last) else 2
            layer.weight.normal_(0, (gain / layer.in_features) ** 0.5, generator=stream)
            layer.bias.zero_()
        self.first.bias.normal_(0, self.config.bias_std, generator=stream)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a layer whose weights are still to be drawn; PyTorch would draw its own first."""
    return skip_init(nn.Linear, inputs, outputs)
