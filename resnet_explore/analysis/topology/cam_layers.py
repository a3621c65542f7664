"""Which layers are worth a map, in a network that we may never have seen?"""

from collections import Counter
from dataclasses import dataclass

from torch import nn

from resnet_explore.analysis.capture.layers import CONTAINERS, holders, token_blocks
from resnet_explore.analysis.topology.blocks import residual_blocks
from resnet_explore.errors import ExploreError, an


@dataclass(frozen=True)
class LayerChoice:
    """Layers in the order of registration, and in words why these.

    instead  what to take if none of them gives a map
    tokens   whether they are blocks of tokens: what they give has to be laid out; the last may have no map
    """

    names: tuple[str, ...]
    reason: str
    instead: tuple[str, ...] = ()
    tokens: bool = False


def choose_layers(model: nn.Module) -> LayerChoice:
    """Return the layers whose maps show how a network's view grows with depth.

    That is another question than which blocks there are (`structure(...).blocks`): a dense block of many
    layers has one map worth a look, and a network without blocks has maps, too.

    The first of these that the network has:
    1. residual blocks and their plain twins (ours, torchvision's, timm's): modules that have both a `conv1`
       and a `downsample`;
    2. blocks with linear layers, see `token_blocks`, if they hold half of all layers with weights or more, as
       in ViT and Swin. What they give has to be laid out as maps, see `TokenGrid`;
    3. blocks that repeat: the outermost modules of a class that occurs at least twice, each holding two
       layers with weights or more, one of them a convolution, such as MobileNet's InvertedResidual,
       DenseNet's _DenseBlock or ConvNeXt's CNBlock;
    4. every 2-D convolution, as in VGG.
    Raises ExploreError for a network without any of these.
    """
    modules = dict(model.named_modules())
    kind = type(model).__name__
    residual = residual_blocks(modules)
    if residual:
        classes = _classes(modules, residual)
        return LayerChoice(tuple(residual), f"{kind}: its {len(residual)} residual blocks ({classes}).")
    convolutions = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    repeated = _repeated(modules, convolutions)
    tokens = token_blocks(model)
    if tokens and tokens != repeated:
        reason = (
            f"{kind}: its {len(tokens)} repeated blocks ({_classes(modules, tokens)}) with linear layers; "
            "what they give is laid out as maps where it is known how it lies on the image."
        )
        return LayerChoice(tuple(tokens), reason, tuple(repeated or convolutions), tokens=True)
    if not convolutions:
        raise ExploreError(f"The model, {an(model)}, has no 2-D convolution, so it has no maps.")
    if repeated:
        classes = _classes(modules, repeated)
        reason = f"{kind}: its {len(repeated)} repeated blocks ({classes}), as it has no residual blocks."
        return LayerChoice(tuple(repeated), reason)
    reason = f"{kind}: all its {len(convolutions)} convolutions, as it has no blocks that repeat."
    return LayerChoice(tuple(convolutions), reason)


def block_names(model: nn.Module) -> list[str]:
    """Return the layers worth a map; see `choose_layers`, which also says why."""
    return list(choose_layers(model).names)


def _repeated(modules: dict[str, nn.Module], convolutions: list[str]) -> list[str]:
    """Return the outermost modules, no containers, whose class occurs twice and holds two layers."""
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    layers, spatial = _inside([*convolutions, *linear]), _inside(convolutions)
    able = [n for n, m in modules.items() if layers[n] >= 2 and spatial[n] and type(m) not in CONTAINERS]
    classes = Counter(type(modules[name]) for name in able)
    chosen: list[str] = []
    for name in able:  # an outer module is registered before what it holds
        held = any(name.startswith(f"{outer}.") for outer in chosen)
        if classes[type(modules[name])] >= 2 and not held:
            chosen.append(name)
    return chosen


def _inside(names: list[str]) -> Counter[str]:
    """Count for each module how many of these it holds."""
    return Counter(holder for name in names for holder in holders(name))


def _classes(modules: dict[str, nn.Module], names: list[str]) -> str:
    return ", ".join(dict.fromkeys(type(modules[name]).__name__ for name in names))
