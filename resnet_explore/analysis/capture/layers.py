"""Which modules of a network are meant: by name, by pattern, or by a function that says."""

from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from resnet_explore.analysis._brief import counted
from resnet_explore.errors import ExploreError, unknown

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # which only hold others
_NORMS: tuple[tuple[type[nn.Module], str], ...] = (
    (_BatchNorm, "batch norm"),
    (nn.GroupNorm, "group norm"),
    (nn.LayerNorm, "layer norm"),
    (_InstanceNorm, "instance norm"),
)
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear, nn.MultiheadAttention)
_WILD = frozenset("*?[")  # what makes a name a pattern
_KNOWN = tuple(kind for kind, _ in _NORMS)
Layers = str | Sequence[str] | Callable[[str, nn.Module], bool] | None


def select_layers(model: nn.Module, layers: Layers = None) -> dict[str, nn.Module]:
    """Return the modules that `layers` means, by name, in the order of registration; see `Capture`.

    A module registered under two names is taken once. Raises ExploreError if a name or pattern fits nothing.
    """
    named = dict(model.named_modules(remove_duplicate=False))
    if layers is None:
        chosen = [name for name in named if name] or [""]
    elif callable(layers) and not isinstance(layers, (nn.Module, type)):
        chosen = [name for name, module in named.items() if layers(name, module)]
    else:
        patterns = [layers] if isinstance(layers, str) else layers
        if not isinstance(patterns, Sequence) or not all(isinstance(p, str) for p in patterns):
            raise ExploreError(
                "layers must be None, a name or pattern, a list of these, or a function of (name, module), "
                f"not {layers!r:.60}."
            )
        exact = {pattern for pattern in patterns if pattern in named}
        wild = [pattern for pattern in patterns if pattern not in exact or not _WILD.isdisjoint(pattern)]
        for pattern in wild:
            if pattern not in exact and not any(fnmatchcase(name, pattern) for name in named):
                raise unknown("layer", pattern, [name for name in named if name])
        chosen = [n for n in named if n in exact or any(fnmatchcase(n, pattern) for pattern in wild)]
    if not chosen:
        raise ExploreError(
            f"layers chooses none of the model's {counted(len(named), 'module')}; name at least one."
        )
    first = {id(named[name]): name for name in reversed(chosen)}
    return {name: named[name] for name in chosen if first[id(named[name])] == name}


def token_blocks(model: nn.Module) -> list[str]:
    """Return the blocks of a network that works on tokens, such as a ViT's, in the order of registration.

    They are the outermost modules of a class that occurs at least twice, each holding two linear layers or
    more (torch's attention by itself counts as two, and in a block around it as the one that it holds); but
    what holds such modules in a list is a stage of blocks, not a block.
    None unless they hold half of all layers with weights or more.
    """
    modules = dict(model.named_modules())
    held: Counter[str] = Counter()
    for name, module in modules.items():
        for holder in holders(name):
            held[holder] += isinstance(module, nn.Linear)
        if isinstance(module, nn.MultiheadAttention):
            held[name] += 1
    able = [n for n, m in modules.items() if n and held[n] >= 2 and type(m) not in CONTAINERS]
    listed = {n for n in able if isinstance(modules[n.rpartition(".")[0]], CONTAINERS)}
    stages = {holder for name in listed for holder in holders(name)}
    able = [name for name in able if name not in stages]
    classes = Counter(type(modules[name]) for name in able)
    several = {name for name in able if classes[type(modules[name])] >= 2}
    blocks = [name for name in able if name in several and several.isdisjoint(holders(name))]
    weighted = [name for name, module in modules.items() if isinstance(module, _WEIGHTED)]
    inside = sum(not set(blocks).isdisjoint(holders(name)) for name in weighted)
    return blocks if 2 * inside >= len(weighted) else []


def holders(name: str) -> list[str]:
    """Return the dotted names of the modules around a module, without the network itself."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def norms_of(model: nn.Module) -> str:
    """Return which normalisations a network has, in words: "batch norm", "no norm"."""
    found = dict.fromkeys(
        next((words for kind, words in _NORMS if isinstance(module, kind)), type(module).__name__)
        for module in model.modules()
        if isinstance(module, _KNOWN) or type(module).__name__.endswith("Norm")
    )
    return " and ".join(found) or "no norm"
