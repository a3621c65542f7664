"""Recorded similarities of layers: what measures and writes them, and what reads them, without torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_explore.analysis._unreadable import UNREADABLE
from resnet_explore.errors import ExploreError, unknown
from resnet_explore.paths import shipped

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

    from resnet_explore.analysis.similarity import Similarity
    from resnet_explore.models.network import Network

KINDS = ("plain", "residual")
FAR = 3  # blocks at least a third of the depth apart are called distant
ALIKE = 0.9  # CKA above which a block is said to resemble another one
_STEPS, _NOTHING = 1000, -32768  # values are whole thousandths; what can't be compared


@dataclass(frozen=True, eq=False)
class Similarities:
    """What was recorded of the plain and residual networks of one data set.

    data     its name, such as "digits"
    arrays   the matrices by their path; ask `matrix`, `directions` and `layers` for them
    depths   layers of the networks, in order
    seeds    seeds of the networks, in order; matrices of all layers are there for the first
    images   how many test images they rest on

    In a matrix, rows and columns are layers in the order of execution, and NaN is what can't be compared:
    a layer that gives the same for all images, or for all but one.
    """

    data: str
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    depths: tuple[int, ...]
    seeds: tuple[int, ...]
    images: int

    def layers(self, depth: int, which: str = "blocks") -> tuple[str, ...]:
        """Return the names of the layers; `which` is "blocks" or "all" (convolutions and classifier, too)."""
        return tuple(map(str, self.arrays[f"{depth}/{which}/layers"]))

    def matrix(
        self, depth: int, what: str, kind: str = "", seed: int = 0, which: str = "blocks"
    ) -> np.ndarray:
        """Return debiased linear CKA, float64 (layers, layers).

        what   "itself"; "untrained", with itself before training; "twins", plain (rows) with residual
               (columns); "seeds", a network with the one of the next seed, the last with the first
        kind   "plain" or "residual"; "" for twins
        which  as for `layers`; "all" is recorded of the first seed alone, and not untrained
        """
        path = "/".join(filter(None, [str(depth), which, what, kind, str(seed)]))
        if path not in self.arrays:
            raise unknown("matrix", path, self.arrays)
        stored = self.arrays[path].astype(float)
        return np.where(stored == _NOTHING, np.nan, stored / _STEPS)

    def directions(self, depth: int, kind: str, seed: int = 0) -> np.ndarray:
        """Return for each block along how many directions images differ, float (blocks,).

        The participation ratio of the covariance's eigenvalues, (sum)² / sum of squares: 1 where all images
        lie on a line, at most the number of images; NaN where the block can't be compared, as in
        `matrix`.
        """
        known = np.isfinite(self.matrix(depth, "itself", kind, seed).diagonal())
        return np.where(known, self.arrays[f"{depth}/directions/{kind}/{seed}"].astype(float), np.nan)

    @cached_property
    def table(self) -> "pd.DataFrame":
        """A row for each network: depth, kind, seed, and what its matrix says in a few numbers.

        distant            mean CKA of blocks at least a third of the depth apart
        untrained_distant  the same before training, in eval mode
        like_last          share of the other blocks with a CKA above 0.9 to the last one, NaN where that is
                           constant
        constant           how many blocks give the same for all images, or for all but one
        fewest_directions  along how many directions images differ behind the block where these are fewest
        other_seed         mean CKA of each block with the same block of the next seed's network, NaN of one
        twin               mean CKA of each block with the same block of the twin
        """
        import pandas as pd

        return pd.DataFrame(self.rows)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `table`, {column: value}, which need no pandas."""
        return list(self._rows())

    def over_seeds(self, kind: str, column: str) -> np.ndarray:
        """Return a column of `table`, (depths, seeds)."""
        values = [row[column] for row in self.rows if row["kind"] == kind]
        return np.array(values, float).reshape(len(self.depths), len(self.seeds))

    def _rows(self) -> Iterator[dict[str, Any]]:
        for depth in self.depths:
            for kind in KINDS:
                for seed in self.seeds:
                    own = self.matrix(depth, "itself", kind, seed)
                    several = len(self.seeds) > 1
                    yield {
                        "depth": depth,
                        "kind": kind,
                        "seed": seed,
                        "distant": distant(own),
                        "untrained_distant": distant(self.matrix(depth, "untrained", kind, seed)),
                        "like_last": like_last(own),
                        "constant": int(np.isnan(own.diagonal()).sum()),
                        "fewest_directions": _least(self.directions(depth, kind, seed)),
                        "other_seed": same(self.matrix(depth, "seeds", kind, seed)) if several else np.nan,
                        "twin": same(self.matrix(depth, "twins", seed=seed)),
                    }


def distant(matrix: np.ndarray) -> float:
    """Return the mean CKA of layers at least a third of the depth apart, without those that are constant."""
    rows, columns = matrix.shape
    places = np.subtract.outer(np.arange(rows) * columns, np.arange(columns) * rows)
    far = FAR * np.abs(places) >= rows * columns
    return _mean(matrix[far])


def like_last(matrix: np.ndarray) -> float:
    """Return the share of the other layers whose CKA to the last one is above 0.9."""
    if np.isnan(matrix[-1, -1]):
        return float("nan")
    return float((matrix[-1, :-1] > ALIKE).mean())


def same(matrix: np.ndarray) -> float:
    """Return the mean CKA of each layer with the same one of another network; constant ones are left out."""
    return _mean(matrix.diagonal())


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _least(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else float("nan")


def load_similarities(data: str | Path = "digits") -> Similarities:
    """Return the recorded similarities of layers: what ships for a data set, or a file that `record` wrote.

    Raises `ExploreError` if there is no such record, or none that can be read.
    """
    path = shipped("data", "similarity", f"{data}.npz")
    path = path if path.is_file() else Path(data)
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            arrays = {name: file[name] for name in file.files}
        depths, seeds, (images,) = (arrays.pop(name) for name in ("depths", "seeds", "images"))
    except UNREADABLE:
        if path.is_file():
            raise ExploreError(f"{path} holds no similarities of layers that can be read.") from None
        names = sorted(file.stem for file in shipped("data", "similarity").glob("*.npz"))
        raise unknown("record of similarities", str(data), names) from None
    return Similarities(path.stem, arrays, tuple(map(int, depths)), tuple(map(int, seeds)), int(images))


# --- measuring ----------------------------------------------------------------------------------------------


def record(
    path: str | Path,
    networks: "Mapping[tuple[int, int], tuple[Network, Network]]",
    images: "Tensor",
    say: Any = print,
) -> Path:
    """Measure the similarities of trained twins and write them to one .npz, values as whole thousandths.

    networks  (plain, residual) by (depth, seed); every depth has every seed
    images    float (N, C, H, W), standardised as all networks expect

    Raises ExploreError, before anything is measured, where a depth lacks a seed.
    """
    depths, seeds = (sorted({key[k] for key in networks}) for k in (0, 1))
    if lacking := [(depth, seed) for depth in depths for seed in seeds if (depth, seed) not in networks]:
        depth, seed = lacking[0]
        raise ExploreError(
            f"networks must hold each seed of each depth, but {depth} layers lack seed {seed}."
        )
    arrays: dict[str, Any] = {"depths": depths, "seeds": seeds, "images": [len(images)]}
    for depth in depths:
        say(f"{depth} layers ...")
        pairs = [networks[depth, seed] for seed in seeds]
        arrays |= {f"{depth}/{name}": array for name, array in _measured(pairs, seeds, images).items()}
    path = Path(path)
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:  # by a name alone, numpy would append its own ending
        np.savez_compressed(file, **arrays)
    return unfinished.replace(path)


def _measured(
    pairs: "Sequence[tuple[Network, Network]]", seeds: Sequence[int], images: "Tensor"
) -> dict[str, np.ndarray]:
    """Return all that is recorded of the networks of one depth, those of each seed in order."""
    from resnet_explore.analysis.similarity import similarity
    from resnet_explore.analysis.topology.blocks_of import blocks_of
    from resnet_explore.models.presets import build

    residual = pairs[0][1]
    layers = similarity(residual, residual, images).rows  # none of a residual network's is constant
    blocks = [block.name for block in blocks_of(residual, tuple(images.shape[1:]))]
    found: dict[str, np.ndarray] = {"all/layers": np.array(layers), "blocks/layers": np.array(blocks)}

    def add(name: str, seed: int, one: "Similarity") -> None:
        found[f"blocks/{name}/{seed}"] = _stored(one, blocks)
        if seed == seeds[0] and not name.startswith("untrained"):
            found[f"all/{name}/{seed}"] = _stored(one, layers)

    for k, seed in enumerate(seeds):
        add("twins", seed, similarity(*pairs[k], images))
        for kind, network, following in zip(KINDS, pairs[k], pairs[(k + 1) % len(pairs)], strict=True):
            add(f"itself/{kind}", seed, similarity(network, network, images))
            fresh = build(network.config, seed=seed)
            add(f"untrained/{kind}", seed, similarity(fresh, fresh, images))
            if len(pairs) > 1:
                add(f"seeds/{kind}", seed, similarity(network, following, images))
            found[f"directions/{kind}/{seed}"] = _directions(network, images, blocks)
    return found


def _stored(found: "Similarity", layers: Sequence[str]) -> np.ndarray:
    """Return a matrix of all layers, int16 thousandths, where some may have been left out."""
    whole = np.full((len(layers), len(layers)), _NOTHING, np.int16)
    rows, columns = ([layers.index(n) for n in names if n in layers] for names in (found.rows, found.columns))
    own_rows, own_columns = (
        [k for k, n in enumerate(names) if n in layers] for names in (found.rows, found.columns)
    )
    values = found.matrix[np.ix_(own_rows, own_columns)]
    whole[np.ix_(rows, columns)] = np.rint(values * _STEPS)
    return whole


def _directions(network: "nn.Module", images: "Tensor", blocks: Sequence[str]) -> np.ndarray:
    import torch

    from resnet_explore.analysis._state import measuring
    from resnet_explore.analysis.capture.capture import Capture

    def ratio(output: "Tensor") -> "Tensor":
        flat = output.flatten(1).double()
        flat = flat - flat.mean(0)
        kernel = flat @ flat.T
        return (kernel.trace().square() / kernel.square().sum()).reshape(1)

    with measuring(network), Capture(network, list(blocks), keep=ratio) as seen, torch.no_grad():
        network.eval()(images)
    return np.array([seen.outputs[name].item() for name in blocks]).round(2).astype(np.float32)
