"""What is a block? Said once, for those who ask a trace and for those who only look at what is registered.

Which blocks a pass runs through, which of them have a skip and where its sum is says `structure(...).blocks`.
Without a pass one can only say what looks like a block; that is enough to choose what to show.
"""

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from resnet_explore.analysis.capture.layers import CONTAINERS, holders

_SHORTCUTS = {"downsample", "shortcut"}
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


def smallest_blocks(weighted: Mapping[str, int], modules: Mapping[str, nn.Module]) -> list[str]:
    """Return the smallest modules, no mere containers and not the network, that hold two weighted layers.

    weighted  how many weighted layers each module holds; those that are missing are no candidates
    """
    able = [n for n in modules if n and weighted.get(n, 0) >= 2 and type(modules[n]) not in CONTAINERS]
    return innermost(able)


def innermost(names: Iterable[str]) -> list[str]:
    """Return those of some modules that hold none of the others, in their order."""
    names = list(names)
    outer = {holder for name in names for holder in holders(name)} | {""}
    return [name for name in names if name not in outer]


def residual_blocks(modules: Mapping[str, nn.Module]) -> list[str]:
    """Return the modules that are built like a ResNet's blocks or their plain twins, ours and others'.

    They have both a `conv1` and a `downsample`, which is None where the skip is the identity or missing.
    """
    return [n for n, m in modules.items() if hasattr(m, "conv1") and hasattr(m, "downsample")]


def stage_of(name: str) -> str:
    """Return the module that a block stands in, with the others that work at its resolution: its stage."""
    return name.rpartition(".")[0]


def in_shortcut(name: str, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a module lies in a block's shortcut, by name: in one called `downsample` or `shortcut`.

    Beside a list of blocks it is what lies between two stages, on everything's way, as in timm's Swin.
    """
    around = [*holders(name), name]
    return any(
        path.rpartition(".")[2] in _SHORTCUTS and not _holds_blocks(modules[stage_of(path)])
        for path in around
    )


def skip_side(depths: Sequence[int]) -> int | None:
    """Return which of what is joined came by a skip: the first that passed the fewest weighted layers.

    None if all have passed equally many, as then nothing was passed by.
    """
    shallow = min(depths)
    return None if shallow == max(depths) else list(depths).index(shallow)


def _holds_blocks(module: nn.Module) -> bool:
    lists = (child for child in module.children() if isinstance(child, CONTAINERS))
    return any(
        sum(isinstance(layer, _LAYERS) for layer in part.modules()) >= 2
        for parts in lists
        for part in parts.children()
        if not isinstance(part, CONTAINERS)
    )
