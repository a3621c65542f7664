"""What every network of ours has: the config it came from, what is known of its weights, seeded weights."""

import math
import zlib
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from resnet_explore.models.blocks import Block
from resnet_explore.models.layers import Scale, Shift
from resnet_explore.models.shortcuts import Gate


class Network(nn.Module):
    """A network that was built from a config."""

    #: The name of the classifier.
    last = "fc"

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        #: What is known of loaded weights ("data", "classes", "mean", "std", "input_size"); empty if random.
        self.about: Mapping[str, Any] = {}

    @property
    def blocks(self) -> list[Block]:
        """All residual blocks, or their plain twins, in the order of the computation."""
        return [module for module in self.modules() if isinstance(module, Block)]

    def spread_survival(self, stochastic_depth: float) -> None:
        """Give block l of L the chance 1 - l/L * stochastic_depth to survive (Huang et al. 2016, eq. 4)."""
        blocks = self.blocks
        for index, block in enumerate(blocks, start=1):
            block.survival = 1 - index / len(blocks) * stochastic_depth

    def initialize(self, seed: int) -> Self:
        """Draw all weights anew and return the network itself.

        Convolutions: He normal, fan-out (He et al. 2015, arXiv 1502.01852, eq. 14; torchvision's choice);
        biases 0; norms 1 and 0; classifier: uniform in +-1/sqrt(fan_in), PyTorch's default. Each
        parameter has a random stream of its own, made from `seed` and its name, so that twins agree
        wherever both have a weight, and the global random state is left alone.
        """
        for path, module in self.named_modules():
            if isinstance(module, nn.Linear) or path == self.last:
                _uniform(module, _stream(seed, path))
            elif isinstance(module, nn.Conv2d):
                stream = _stream(seed, path)
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=stream)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | Scale | Shift):
                module.reset_parameters()
        for module in self.modules():
            if isinstance(module, Gate):
                module.reset_bias()
        if getattr(self.config, "init", "he") == "fixup" and self.config.residual:
            self._fix_up()
        return self

    @torch.no_grad()
    def _fix_up(self) -> None:
        """Shrink the branches' weights (Zhang et al. 2019, arXiv 1901.09321, section 3, rules 1 and 2).

        The classifier and the last of the m convolutions of each of the L branches become 0, the others
        shrink by L^(-1/(2m-2)). A plain network has no branches, so its weights stay as drawn.
        """
        for parameter in self.get_submodule(self.last).parameters():
            parameter.zero_()
        for block in self.blocks:
            branch = [m for name, m in block.named_children() if name.startswith("conv")]
            convolutions = [m for part in branch for m in part.modules() if isinstance(m, nn.Conv2d)]
            for convolution in convolutions[:-1]:
                convolution.weight *= len(self.blocks) ** (-1 / (2 * len(convolutions) - 2))
            convolutions[-1].weight.zero_()


def _uniform(layer: Any, stream: torch.Generator) -> None:
    """Draw a classifier's weights, then its bias, in +-1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    nn.init.uniform_(layer.weight, -bound, bound, generator=stream)
    nn.init.uniform_(layer.bias, -bound, bound, generator=stream)


def _stream(seed: int, path: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{path}".encode()))
