"""From a network to an ONNX graph whose skips and branches can be scaled while it runs.

The graph is written node by node, as the layers are few and `forward` is short: tracing by `torch.onnx` gives
the same numbers, but takes 5 to 15 seconds a network and twice the bytes. What is not known here is refused.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from resnet_explore.errors import ExploreError, an
from resnet_explore.models.blocks import Block
from resnet_explore.models.resnet import ResNet
from resnet_explore.models.shortcuts import PaddingShortcut

_OPSET, _IR = 17, 8
# What else `forward` of a network's parts can do would be left out in silence.
_PLAIN_FORWARD = {
    "gate": "none",
    "order": "post",
    "stochastic_depth": 0.0,
    "branch_scale": 1.0,
    "skip_scale": 1.0,
}


def to_onnx(network: ResNet) -> onnx.ModelProto:
    """Return a network as an ONNX graph, in eval mode.

    Inputs: `image`, float32 (N, C, H, W), standardised as the network takes it; `skip` and `branch`, float32
    (blocks,). Outputs: `logits`, (N, classes), and `block1`, `block2`, ..., what each block gives.

    A residual block gives act(branch F(x) + skip shortcut(x)), as in `edited`: 1 and 1 is the network,
    branch 0 deletes. A plain block gives branch F(x) + skip x, F being all of it, where it keeps the shape,
    and else branch F(x): 1 and 0 is the network itself, 0 and 1 passes it by.

    Weights that are exactly so in half precision are stored so. Raises ExploreError for a network with parts
    that can't be written.
    """
    config = network.config
    for name, value in _PLAIN_FORWARD.items():
        if getattr(config, name) != value:
            raise ExploreError(f"A network with {name}={getattr(config, name)!r} can't be written as ONNX.")
    graph = _Graph()
    x = graph.layers(["conv1", "bn1", "relu", "maxpool"], network, "image")
    blocks = network.blocks
    factors = {name: graph.split(name, len(blocks)) for name in ("skip", "branch")}
    for k, block in enumerate(blocks):
        x = graph.block(block, x, factors["skip"][k], factors["branch"][k], f"block{k + 1}")
    pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])], axis=1)
    fc = [graph.weight(network.fc.weight), graph.weight(network.fc.bias)]
    graph.node("Gemm", [pooled, *fc], "logits", transB=1)
    return graph.model(config.in_channels, config.num_classes, [_channels(block) for block in blocks])


def keeps_shape(block: Block) -> bool:
    """Whether a block's output has the shape of its input, so that it can be passed by without a skip."""
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    first, last = convolutions[0], [layer for layer in _branch(block) if isinstance(layer, nn.Conv2d)][-1]
    strides = {layer.stride for layer in _branch(block) if isinstance(layer, nn.Conv2d)}
    return strides == {(1, 1)} and first.in_channels == last.out_channels


def _branch(block: Block) -> list[nn.Module]:
    return [block.get_submodule(name) for name in block.before_add]


def _channels(block: Block) -> int:
    return [layer for layer in _branch(block) if isinstance(layer, nn.Conv2d)][-1].out_channels


class _Graph:
    """Nodes and weights as they are collected; every method that adds nodes returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, tensor: Tensor) -> str:
        """Store values in half precision where that changes none; the runtime casts them once, on loading."""
        values = tensor.detach().cpu().numpy().astype(np.float32)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            return self.constant(values)
        return self.node("Cast", [self.constant(half)], to=TensorProto.FLOAT)

    def split(self, vector: str, count: int) -> list[str]:
        names = [f"{vector}_{k}" for k in range(1, count + 1)]
        lengths = self.constant(np.ones(count, np.int64))
        self.nodes.append(helper.make_node("Split", [vector, lengths], names, axis=0))
        return names

    def block(self, block: Block, x: str, skip: str, branch: str, output: str) -> str:
        inside = self.layers(block.before_add, block, x)
        if block.add is not None:
            carried = x if block.downsample is None else self.layer(block.downsample, x)
            total = self.node("Add", [self.node("Mul", [inside, branch]), self.node("Mul", [carried, skip])])
            return self.layers(block.after_add, block, total, output)
        whole = self.layers(block.after_add, block, inside)
        if not keeps_shape(block):
            return self.node("Mul", [whole, branch], output)
        passed = self.node("Mul", [x, skip])
        return self.node("Add", [self.node("Mul", [whole, branch]), passed], output)

    def layers(self, names: list[str], of: nn.Module, x: str, output: str = "") -> str:
        for name in names:
            x = self.layer(of.get_submodule(name), x, output if name == names[-1] else "")
        return x

    def layer(self, layer: nn.Module, x: str, output: str = "") -> str:
        if isinstance(layer, nn.Sequential):
            return self.layers(list(layer._modules), layer, x, output)
        write = _LAYERS.get(type(layer))
        if write is None:
            raise ExploreError(f"A network with {an(layer)} can't be written as ONNX.")
        return write(self, layer, x, output)

    def model(self, channels: int, classes: int, widths: list[int]) -> onnx.ModelProto:
        inputs = [_values(name, [len(widths)]) for name in ("skip", "branch")]
        outputs = [_values(f"block{k}", ["N", width, f"H{k}", f"W{k}"]) for k, width in enumerate(widths, 1)]
        graph = helper.make_graph(
            self.nodes,
            "twin",
            [_values("image", ["N", channels, "H", "W"]), *inputs],
            [_values("logits", ["N", classes]), *outputs],
            initializer=self.weights,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="resnet_explore")
        onnx.checker.check_model(model, full_check=True)
        return model


def _values(name: str, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _conv(graph: _Graph, layer: nn.Conv2d, x: str, output: str) -> str:
    weights = [graph.weight(w) for w in (layer.weight, layer.bias) if w is not None]
    pads = [int(side) for side in layer.padding] * 2
    return graph.node(
        "Conv", [x, *weights], output, pads=pads, strides=list(layer.stride), group=layer.groups
    )


def _batch_norm(graph: _Graph, layer: nn.BatchNorm2d, x: str, output: str) -> str:
    """Write it as it is: the runtime folds it into the convolution, and its numbers stay half as long."""
    parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    return graph.node(
        "BatchNormalization",
        [x, *(graph.weight(part) for part in parts if part is not None)],
        output,
        epsilon=layer.eps,
    )


def _padding(graph: _Graph, layer: PaddingShortcut, x: str, output: str) -> str:
    strides = [layer.stride] * 2
    small = graph.node("AveragePool", [x], kernel_shape=[1, 1], strides=strides) if layer.stride > 1 else x
    return graph.node(
        "Pad", [small, graph.constant(np.array([0, layer.front, 0, 0, 0, layer.back, 0, 0]))], output
    )


def _max_pool(graph: _Graph, layer: nn.MaxPool2d, x: str, output: str) -> str:
    side, stride, pad = layer.kernel_size, layer.stride, layer.padding
    return graph.node("MaxPool", [x], output, kernel_shape=[side] * 2, strides=[stride] * 2, pads=[pad] * 4)


_LAYERS: dict[type[nn.Module], Callable[..., str]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: lambda graph, _, x, output: graph.node("Relu", [x], output),
    nn.Identity: lambda graph, _, x, output: graph.node("Identity", [x], output) if output else x,
    nn.MaxPool2d: _max_pool,
    PaddingShortcut: _padding,
}
