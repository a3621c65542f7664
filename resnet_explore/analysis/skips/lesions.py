"""How much does each block matter? Delete a trained network's blocks, reorder, scale them; count errors.

Veit, Wilber and Belongie 2016 (arXiv 1605.06431, sections 4.1 to 4.3) do so with the first two: a residual
network's error rises little and smoothly, as it would of an ensemble that loses members, where a plain
network is at chance once a single layer is gone.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import combinations, groupby
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_classes, as_images, as_logits
from resnet_explore.analysis._brief import Brief
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.capture.layers import CONTAINERS
from resnet_explore.analysis.skips.edited import edited
from resnet_explore.analysis.skips.fresh_norms import Norms, take_anew
from resnet_explore.analysis.skips.passes import Passes, is_chain
from resnet_explore.analysis.topology.blocks_of import blocks_of
from resnet_explore.analysis.topology.structure import TracedBlock
from resnet_explore.analysis.wrapped import unwrapped
from resnet_explore.errors import ExploreError, an, unknown
from resnet_explore.models.dispatch import uncompiled

WHATS = ("delete", "shuffle", "skip", "branch")
COLUMNS = ("what", "blocks", "count", "seed", "tau", "factor", "error", "loss", "error_recalibrated")
_KEY = ("what", "blocks", "count", "seed", "factor")  # what makes two trials the same
_MOST_IMAGES, _MOST_NUMBERS = 256, 4_194_304  # in a batch: images, and numbers between two blocks


@dataclass(frozen=True, eq=False, repr=False)
class LesionStudy(Brief):
    """What `lesion_study` found.

    table     a row for each trial:
              what    as asked
              blocks  names with spaces between: those deleted; those that were moved, in the order in which
                      they run then; those scaled, "*" for all that have a skip, or all
              count   how many were deleted or scaled; how often two were swapped
              seed    of what was drawn; 0 where nothing is
              tau     Kendall's rank correlation of the order of all blocks with the one they had: 1 for the
                      same, -1 for the reverse
              factor  of skips or branches; NaN for others
              error   percent of the images whose largest logit is another class's, or not finite; NaN where a
                      plain block changes the shape and so can't be left out
              loss    mean cross-entropy, in nats
              error_recalibrated   the error after batch norm's statistics were taken anew; NaN if not asked
    unedited  "error" and "loss" of the network as it is
    """

    what: str
    table: pd.DataFrame
    unedited: Mapping[str, float]

    def __str__(self) -> str:
        by, unit = _SAID[self.what]
        errors = self.table.groupby(by)["error"].agg(["mean", "max"])
        found = [
            f"{value:g} {unit}: {row['mean']:.1f} (at most {row['max']:.1f})"
            for value, row in errors.iterrows()
            if np.isfinite(row["mean"])
        ]
        return (
            f"{self.what}: error {self.unedited['error']:.1f} % as it is; "
            f"mean over trials: {'; '.join(found) or 'none could be made'}."
        )


_SAID = {
    "delete": ("count", "gone"),
    "shuffle": ("count", "swaps"),
    "skip": ("factor", "times the skips"),
    "branch": ("factor", "times the branches"),
}


def lesion_study(
    model: nn.Module,
    images: Tensor,
    labels: Any,
    what: str = "delete",
    counts: Iterable[int] = (1, 2, 4, 8),
    factors: Iterable[float] = (0, 0.25, 0.5, 0.75, 1.25, 1.5),
    seeds: Iterable[int] = (0, 1, 2),
    recalibrate: Tensor | None = None,
    known: pd.DataFrame | None = None,
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
) -> LesionStudy:
    """Measure a network's errors with blocks deleted, reordered or scaled, in eval mode; see `edited`.

    images       float (N, C, H, W), standardised as the model expects; brought to its device and dtype
    labels       N class indices
    what         "delete": blocks whose branch adds nothing, plain ones passed by: each alone for a count of
                 1, for others that many, drawn for each seed from those that can be deleted. "shuffle": two
                 blocks of a stage whose shapes agree are swapped, count times, drawn for each seed. "skip",
                 "branch": all skips, or all branches, times each factor
    counts       of blocks, or swaps. Those that exceed what can be deleted are left out, so that networks of
                 several depths can be asked alike; at least one must fit
    recalibrate  training images, (M, C, H, W) with M at least 2: gives the error also after the running
                 statistics of all batch norms behind the first edited block were taken anew from them with
                 the edit in place, as means over their batches. Those before it are not stale, and stay
    known        an earlier `table`, or a DataFrame of the rows that `progress` got: trials that are not done
                 again. They must be of the same network and images
    progress     called with (trials done, in all, the row) after each. To raise in it ends the study

    What comes before the first edited block is computed once, if the blocks form a chain: of n deletions one
    by one that is half of the work. The model is left as found, also by exceptions. Raises ExploreError for
    images or labels that don't fit, an unknown `what`, counts below 1 or all beyond what can be deleted,
    seeds below 0, factors that are no finite numbers, and a network without blocks, without skips to scale,
    or without blocks to swap.

    Source: Veit, Wilber and Belongie 2016, Residual networks behave like ensembles of relatively shallow
    networks, arXiv 1605.06431, sections 4.1 (one block), 4.2 (several) and 4.3 (reordered; Kendall's tau).
    """
    if what not in WHATS:
        raise unknown("lesion", what, WHATS)
    counts, seeds = _whole("counts", counts, 1), _whole("seeds", seeds, 0)
    factors, done = _finite(factors), _known(known)
    net, batch = unwrapped(model), as_images(model, images)
    fresh = None if recalibrate is None else _as_training(model, recalibrate, batch)
    blocks = blocks_of(net, tuple(batch.shape[1:]))
    if not blocks:
        raise ExploreError(f"The model, {an(net)}, has no blocks, so there is nothing to edit.")
    trials = list(_trials(net, blocks, what, counts, factors, seeds))
    with measuring(net), uncompiled(), torch.no_grad():
        net.eval()
        bench = _Bench(net, blocks, batch, labels, fresh)
        rows = {trial: done[trial.key] for trial in trials if _answers(done.get(trial.key), trial, fresh)}
        for _, group in groupby(trials, key=lambda trial: trial.count):
            for trial in sorted(group, key=lambda trial: trial.start):  # so that no block is passed twice
                if trial not in rows:
                    rows[trial] = {**trial.about, **bench.measured(trial)}
                    if progress is not None:
                        progress(len(rows), len(trials), dict(rows[trial]))
    table = pd.DataFrame([rows[trial] for trial in trials], columns=list(COLUMNS))
    return LesionStudy(what, table, MappingProxyType(bench.unedited))


# --- what is asked -----------------------------------------------------------------------------------------


def possible_lesions(model: nn.Module, input_size: tuple[int, ...] | None = None) -> tuple[str, ...]:
    """Return what `lesion_study` can do to a network; see `blocks_of` for the size."""
    net = unwrapped(model)
    blocks = blocks_of(net, input_size)
    able = {
        "delete": blocks,
        "shuffle": _pairs(blocks, _lists(net, blocks)),
        "skip": any(block.sums for block in blocks),
        "branch": blocks,
    }
    return tuple(what for what in WHATS if able[what])


def _whole(name: str, values: Any, least: int) -> tuple[int, ...]:
    def fits(value: Any) -> bool:
        return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least

    allowed = f"whole numbers of at least {least}, such as (1, 2)"
    return tuple(dict.fromkeys(map(int, _listed(name, values, allowed, fits))))


def _finite(values: Any) -> tuple[float, ...]:
    def fits(value: Any) -> bool:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)

    allowed = "finite numbers, such as (0.5, 1.5)"
    return tuple(dict.fromkeys(map(float, _listed("factors", values, allowed, fits))))


def _listed(name: str, values: Any, allowed: str, fits: Callable[[Any], bool]) -> list[Any]:
    try:
        listed = [] if isinstance(values, str) else list(values)
    except TypeError:  # a number, also one of NumPy's
        listed = []
    if not listed or not all(map(fits, listed)):
        one = "the single " if fits(values) else ""
        raise ExploreError(f"{name} must be {allowed}, not {one}{values!r:.60}.")
    return sorted(listed) if isinstance(values, Set) else listed


def _as_training(model: nn.Module, images: Any, like: Tensor) -> Tensor:
    batch = as_images(model, images)
    if len(batch) < 2 or batch.shape[1:] != like.shape[1:]:
        shape = ", ".join(map(str, like.shape[1:]))
        raise ExploreError(
            f"recalibrate must be at least 2 images of shape ({shape}), not {tuple(batch.shape)}."
        )
    return batch


def _known(table: pd.DataFrame | None) -> dict[Hashable, dict[str, Any]]:
    """Return the rows of a table by what makes two trials the same."""
    if table is None or (isinstance(table, pd.DataFrame) and table.empty):
        return {}
    if not isinstance(table, pd.DataFrame) or not set(COLUMNS) <= set(table.columns):
        raise ExploreError(f"known must be the table of a lesion study, not {an(table)}.")
    rows = table[list(COLUMNS)].fillna({"blocks": ""}).to_dict("records")
    return {_key(row): {str(name): value for name, value in row.items()} for row in rows}


def _key(row: Mapping[Any, Any]) -> Hashable:
    values = (row[name] for name in _KEY)
    return tuple(None if isinstance(v, float) and math.isnan(v) else v for v in values)


def _answers(row: Mapping[str, Any] | None, trial: "_Trial", fresh: Tensor | None) -> bool:
    """Whether a row from before holds all that is asked."""
    if row is None:
        return False
    return trial.edits is None or fresh is None or not math.isnan(row["error_recalibrated"])


# --- trials ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Trial:
    """One edit.

    edits  what `edited` takes; None where it can't be made
    start  the first of the blocks, in the order of a pass, that is not as it was
    order  their names in the order in which they run; () for the usual one
    """

    about: Mapping[str, Any]
    edits: Mapping[str, Any] | None
    start: int
    order: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many blocks are edited, or swaps made."""
        return int(self.about["count"])

    @property
    def key(self) -> Hashable:
        """What it has in common only with itself."""
        return _key(self.about)


def _about(
    what: str, blocks: str, count: int, seed: int = 0, tau: float = 1.0, factor: float = math.nan
) -> dict[str, Any]:
    return {"what": what, "blocks": blocks, "count": count, "seed": seed, "tau": tau, "factor": factor}


def _trials(
    net: nn.Module,
    blocks: Sequence[TracedBlock],
    what: str,
    counts: Sequence[int],
    factors: Sequence[float],
    seeds: Sequence[int],
) -> Iterator[_Trial]:
    if what == "delete":
        yield from _deletions(blocks, counts, seeds)
    elif what == "shuffle":
        yield from _shuffles(net, blocks, counts, seeds)
    else:
        yield from _scalings(net, blocks, what, factors)


def _deletions(
    blocks: Sequence[TracedBlock], counts: Sequence[int], seeds: Sequence[int]
) -> Iterator[_Trial]:
    able = [i for i, block in enumerate(blocks) if block.can_go]
    most = max(1, len(able))
    if min(counts) > most:
        raise ExploreError(
            f"counts must hold a number up to {most}: no more blocks can be deleted; got {counts}."
        )
    for count in counts:
        if count == 1:
            for i, block in enumerate(blocks):
                edits = {"delete": [block.name]} if i in able else None
                yield _Trial(_about("delete", block.name, 1), edits, i)
        elif count <= len(able):
            for seed in seeds:
                chosen = sorted(np.random.default_rng((seed, count)).choice(able, count, replace=False))
                names = [blocks[i].name for i in chosen]
                about = _about("delete", " ".join(names), count, seed)
                yield _Trial(about, {"delete": names}, int(chosen[0]))


def _shuffles(
    net: nn.Module, blocks: Sequence[TracedBlock], counts: Sequence[int], seeds: Sequence[int]
) -> Iterator[_Trial]:
    stages = _lists(net, blocks)
    pairs = _pairs(blocks, stages)
    if not pairs:
        raise ExploreError(
            f"The model, {an(net)}, has no two blocks of a stage whose shapes agree, so none can be swapped."
        )
    for count in counts:
        for seed in seeds:
            order = list(range(len(blocks)))
            for pair in np.random.default_rng((seed, count)).integers(len(pairs), size=count):
                i, j = pairs[pair]
                order[i], order[j] = order[j], order[i]
            moved = [i for i, block in enumerate(order) if block != i]
            about = _about(
                "shuffle", " ".join(blocks[order[i]].name for i in moved), count, seed, kendall_tau(order)
            )
            numbers = {
                stage: [places.index(order[i]) for i in places]
                for stage, places in stages.items()
                if any(i in moved for i in places)
            }
            names = tuple(blocks[i].name for i in order)
            yield _Trial(about, {"order": numbers} if moved else {}, moved[0] if moved else 0, names)


def _pairs(blocks: Sequence[TracedBlock], stages: Mapping[str, Sequence[int]]) -> list[tuple[int, int]]:
    """Return which two can be swapped: blocks of one stage whose shapes agree."""
    return [
        (i, j)
        for places in stages.values()
        for i, j in combinations(places, 2)
        if (blocks[i].takes, blocks[i].gives) == (blocks[j].takes, blocks[j].gives)
    ]


def _lists(net: nn.Module, blocks: Sequence[TracedBlock]) -> dict[str, list[int]]:
    """Return which blocks stand in each list that runs through them as they stand there."""
    found: dict[str, list[int]] = {}
    for i, block in enumerate(blocks):
        found.setdefault(block.stage, []).append(i)
    standing = {
        stage: [f"{stage}.{key}" for key in net.get_submodule(stage)._modules]
        for stage in found
        if isinstance(net.get_submodule(stage), CONTAINERS)
    }
    return {
        stage: places
        for stage, places in found.items()
        if [name for name in standing.get(stage, ()) if name in {blocks[i].name for i in places}]
        == [blocks[i].name for i in places]
    }


def kendall_tau(order: Sequence[int]) -> float:
    """Return Kendall's tau of a permutation with the order 0, 1, ...: 1 - 4 inversions / (n (n - 1)).

    Source: Kendall 1938, A new measure of rank correlation.
    """
    inversions = sum(first > second for first, second in combinations(order, 2))
    return 1 - 4 * inversions / (len(order) * (len(order) - 1))


def _scalings(
    net: nn.Module, blocks: Sequence[TracedBlock], what: str, factors: Sequence[float]
) -> Iterator[_Trial]:
    able = [i for i, block in enumerate(blocks) if block.sums or what == "branch"]
    if not able:
        raise ExploreError(f"The model, {an(net)}, has no skips, so there is none to scale.")
    for factor in factors:
        edits = {} if factor == 1 else {what: {"*": factor}}
        yield _Trial(_about(what, "*", len(able), factor=factor), edits, able[0])


# --- measuring ---------------------------------------------------------------------------------------------


@dataclass
class _Bench:
    """A network with the images on which its edits are measured."""

    net: nn.Module
    blocks: Sequence[TracedBlock]
    images: Tensor
    labels: Any
    fresh: Tensor | None
    unedited: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        one = self.images[:1]
        logits = as_logits(answer(self.net, one.clone()), 1)
        self.labels = as_classes("labels", self.labels, logits.expand(len(self.images), -1))
        chain = is_chain(self.net, self.blocks, one)
        self._test = Passes(self.net, self.blocks, _batches(self.images, self.blocks), chain)
        if self.fresh is not None:
            self._norms = Norms(self.net, self.blocks, one)
            self._training = Passes(self.net, self.blocks, _batches(self.fresh, self.blocks), chain)
        self._test.go_to(0)
        self.unedited = self._scored(self._logits())

    def measured(self, trial: _Trial) -> dict[str, float]:
        """Return the error and loss of one trial."""
        if trial.edits is None:
            return {"error": math.nan, "loss": math.nan, "error_recalibrated": math.nan}
        if not trial.edits:
            again = math.nan if self.fresh is None else self.unedited["error"]
            return {**self.unedited, "error_recalibrated": again}
        self._test.go_to(trial.start)
        if self.fresh is not None:
            self._training.go_to(trial.start)
        with edited(self.net, input_size=tuple(self.images.shape[1:]), **trial.edits):
            found = self._scored(self._logits(trial.order))
            again = math.nan if self.fresh is None else self._recalibrated(trial)
        return {**found, "error_recalibrated": again}

    def _recalibrated(self, trial: _Trial) -> float:
        first = self.blocks[trial.start]
        # What takes another's place gets an input that it never saw, and so does a second sum of a block.
        norms = self._norms.behind(first.name, with_its_own=bool(trial.order) or len(first.sums) > 1)
        if not norms:
            return self._scored(self._logits(trial.order))["error"]
        take_anew(norms, lambda: [None for _ in self._training.outputs(trial.order)])
        return self._scored(self._logits(trial.order))["error"]

    def _logits(self, order: Sequence[str] = ()) -> Tensor:
        batches = zip(self._test.batches, self._test.outputs(order), strict=True)
        return torch.cat([as_logits(output, len(batch)) for batch, output in batches])

    def _scored(self, logits: Tensor) -> dict[str, float]:
        right = (logits.argmax(1) == self.labels) & logits.isfinite().all(1)
        error = 100 * (1 - int(right.sum()) / len(right))
        return {"error": error, "loss": float(F.cross_entropy(logits.cpu().double(), self.labels.cpu()))}


def _batches(images: Tensor, blocks: Sequence[TracedBlock]) -> list[Tensor]:
    """Return images in parts as even as can be, small enough for what stands between two blocks."""
    widest = max(math.prod(shape) for block in blocks for shape in (block.takes, block.gives))
    most = min(max(_MOST_NUMBERS // widest, 2), _MOST_IMAGES)
    parts = math.ceil(len(images) / most)
    return list(images.tensor_split(max(min(parts, len(images) // 2), 1)))
