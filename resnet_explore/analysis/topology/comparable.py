"""Which parts of a network are alike, so that the first of them can be compared with the last.

The two convolutions of a block differ at any depth: Fixup scales one of them and starts the other at 0. So
blocks are compared with blocks, and where there are none, layers of one kind with each other.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TREND = 0.5  # rank correlation with depth from which on norms are said to go up, or down, steadily


@dataclass(frozen=True)
class Alike:
    """Parts of a network that are alike, in the order of execution.

    noun   "block", "convolution" or "layer"
    parts  the positions, from 0, of each one's layers; none if there are no two alike
    """

    noun: str
    parts: tuple[tuple[int, ...], ...]

    def norms(self, values: np.ndarray, last: bool = False) -> np.ndarray:
        """Return each part's norm, (parts, ...), from those of layers, (layers, ...).

        It is the root of the sum of squares over its layers, or with `last` what its last layer has: weights
        of several layers make one long vector, but activations pass from layer to layer.
        """
        if last:
            return np.array([values[part[-1]] for part in self.parts])
        with np.errstate(over="ignore"):  # beyond 1e154 a square is infinite, and so is what is said of it
            found = [np.sqrt(np.square(values[list(part)]).sum(0)) for part in self.parts]
        return np.array(found)

    @property
    def ends(self) -> tuple[tuple[int, ...], ...]:
        """The first part and the last; () if there are no two."""
        return (self.parts[0], self.parts[-1]) if len(self.parts) > 1 else ()

    def __str__(self) -> str:
        if not self.ends:
            return "no two parts of the network are alike"
        if self.noun != "block":
            kind = "" if self.noun == "layer" else f"{self.noun} at "
            first, last = (f"{kind}layer {part[0] + 1}" for part in self.ends)
            return f"{first} against {last}"
        return f"first block, {_span(self.ends[0])}, against last block, {_span(self.ends[1])}"


def alike(
    names: Sequence[str], kinds: Sequence[str], on_path: Sequence[bool], left_out: Sequence[bool] = ()
) -> Alike:
    """Find a network's like parts from what its layers are called; layers in a shortcut are no part of any.

    names  such as "layer1.0.conv1": a block is what is numbered and holds layers
    kinds  "conv HxW" or "linear"
    left_out  layers that can't be compared; a block with one is left out as well

    Of blocks those count that hold the same kinds of layers as most others. Without two of these it is
    convolutions that look at more than one pixel, without the first, which sees the image; then linear
    layers, without the first and the last.
    """
    path = [i for i, on in enumerate(on_path) if on]
    out = {i for i, left in enumerate(left_out) if left}
    blocks: dict[str, list[int]] = {}
    for i in path:
        parent = names[i].rpartition(".")[0]
        if parent and parent[-1].isdigit():
            blocks.setdefault(parent, []).append(i)
    built = {n: tuple(kinds[i] for i in layers) for n, layers in blocks.items() if not out & set(layers)}
    if built:
        (usual, count), *_ = Counter(built.values()).most_common(1)
        if count > 1:
            return Alike("block", tuple(tuple(blocks[name]) for name in built if built[name] == usual))
    spatial = [i for i in path if is_spatial(kinds[i])][1:]
    spatial = [i for i in spatial if i not in out]
    if len(spatial) > 1:
        return Alike("convolution", tuple((i,) for i in spatial))
    linear = [i for i in path[1:-1] if kinds[i] == "linear" and i not in out]
    return Alike("layer", tuple((i,) for i in linear) if len(linear) > 1 else ())


def alike_in_record(names: Sequence[str]) -> Alike:
    """Find like parts where names are all that is known, as in records of this package's networks."""
    kinds = ["conv 3x3" if "conv" in name else "linear" for name in names]
    return alike(names, kinds, [True] * len(names))


def trend(norms: np.ndarray) -> float:
    """Return the rank correlation of norms with depth (Spearman): 1 if each is larger than the one before."""
    ranks = np.unique(norms, return_inverse=True)[1]
    if len(norms) < 2 or not ranks.any():
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(norms)))[0, 1])


def is_spatial(kind: str) -> bool:
    """Whether a kind of layer is a convolution that looks at more than one pixel."""
    return kind.startswith("conv ") and set(kind.removeprefix("conv ").split("x")) != {"1"}


def _span(layers: tuple[int, ...]) -> str:
    first, last = layers[0] + 1, layers[-1] + 1
    return f"layer {first}" if first == last else f"layers {first}–{last}"
