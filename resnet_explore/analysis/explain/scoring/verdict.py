"""Is a heatmap better than chance? One line with its number, against random maps and a blob in the centre."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer, as_images
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.explain.attribution import attribute
from resnet_explore.analysis.explain.maps import class_activation_maps, last_with_map
from resnet_explore.analysis.explain.methods.registry import PIXELS, method_info
from resnet_explore.analysis.explain.scoring.faithfulness import deletion, insertion, road
from resnet_explore.analysis.explain.scoring.sanity import Explainer, cascade, rank_correlation, stability
from resnet_explore.analysis.explain.targets import Classes, as_target
from resnet_explore.errors import CancelledError, ExploreError, an, unknown
from resnet_explore.models.threads import one_thread

_LEVEL = 0.05
_ROUNDING = 1e-4  # of a value, in float32 and over many passes
_SMALL = 64 * 64  # pixels; more threads than one only wait for each other then


@dataclass(frozen=True)
class Verdict:
    """What a measure says of a way to explain, beside what it says of chance; `str()` is one line.

    metric        one of METRICS
    value         the mean over the images
    random        the mean over the draws of random maps, and `spread` their standard deviation
    centre        of a blob in the centre, which knows nothing of the image; NaN where there is no centre, in
                  maps of two cells a side or less
    as_good       how many of the `draws` of random maps did as well or better
    images        how many images it rests on
    """

    metric: str
    value: float
    random: float
    spread: float
    centre: float
    as_good: int
    draws: int
    images: int

    @property
    def chance(self) -> float:
        """How likely chance does as well, (as_good + 1) / (draws + 1): a randomisation test's p-value."""
        return (self.as_good + 1) / (self.draws + 1)

    @property
    def passed(self) -> bool:
        """Whether it is better than chance; for "randomisation" whether the map is gone with the weights."""
        wins = self.chance <= _LEVEL
        return not wins if METRICS[self.metric].lost_is_good else wins

    @property
    def beats_centre(self) -> bool:
        """Whether it does better than the blob in the centre, or there is none."""
        if math.isnan(self.centre):
            return True
        return self.value < self.centre if METRICS[self.metric].low_is_good else self.value > self.centre

    @property
    def sanity(self) -> bool:
        """Whether its measure is a sanity check, see `Metric`."""
        return METRICS[self.metric].sanity

    @property
    def decimals(self) -> int:
        """How many decimals it takes to compare the numbers, at least 2.

        One digit of the spread, or two of the value without one; for a tick one of how far it is off chance.
        """
        apart = abs(self.value - self.random) if self.passed else 0
        sizes = (self.spread or abs(self.value) / 10, apart)
        return min(max([2, *(math.ceil(-math.log10(size)) for size in sizes if size > 0)]), 9)

    def __str__(self) -> str:
        metric, form = METRICS[self.metric], f"z.{max(3, self.decimals)}f"
        centre = f"a centre blob gets {self.centre:{form}}"
        if math.isnan(self.centre):
            centre = "in a map of so few cells there is no centre"
        better = "lower" if metric.low_is_good else "higher"
        chance = f"{self.random:{form}} ± {self.spread:{form}}"
        head = f"{metric.title} {self.value:{form}} ({better} is better)"
        over = f"{self.images} image{'s' * (self.images > 1)}"
        if metric.lost_is_good:
            finding = "depends on the weights" if self.passed else "hardly depends on the weights"
            rest = f"{self.as_good} of {self.draws} random pairs are as alike"
        else:
            finding = "better than chance" if self.passed else "not better than chance"
            rest = f"{self.as_good} of {self.draws} random maps do as well"
        return f"{head}: {finding}, as {rest} ({chance}); {centre}; {over}."


class Verdicts(dict[str, Verdict]):
    """{metric: Verdict}; printed, a line for each."""

    def __repr__(self) -> str:
        return "\n".join(str(verdict) for verdict in self.values())


@dataclass(frozen=True)
class Metric:
    """A measure: (model, images, classes, explainer, seed) -> one number for each image, (N,).

    sanity   whether it asks if the map follows the network at all, not whether it points at what counts
    """

    title: str
    measure: Callable[[nn.Module, Tensor, Tensor, Explainer, int], np.ndarray]
    low_is_good: bool = False
    lost_is_good: bool = False
    sanity: bool = False


def _deletion(model: nn.Module, x: Tensor, y: Tensor, explain: Explainer, seed: int) -> np.ndarray:
    return deletion(model, x, explain(model, x, y), y, steps=16).areas


def _insertion(model: nn.Module, x: Tensor, y: Tensor, explain: Explainer, seed: int) -> np.ndarray:
    return insertion(model, x, explain(model, x, y), y, steps=16).areas


def _road(model: nn.Module, x: Tensor, y: Tensor, explain: Explainer, seed: int) -> np.ndarray:
    return road(model, x, explain(model, x, y), y, shares=(0.1, 0.3, 0.5, 0.7, 0.9), seed=seed)


def _randomisation(model: nn.Module, x: Tensor, y: Tensor, explain: Explainer, seed: int) -> np.ndarray:
    original, twin = explain(model, x, y), model
    if not getattr(explain, "blind", False):
        for _, twin in cascade(model, x, seed):  # noqa: B007 - one copy, in the end all random
            pass
    return np.abs(rank_correlation(original, explain(twin, x, y)))


def _stability(model: nn.Module, x: Tensor, y: Tensor, explain: Explainer, seed: int) -> np.ndarray:
    return stability(model, x, y, explain, seed=seed)


METRICS: Mapping[str, Metric] = {
    "deletion": Metric("Deletion", _deletion, low_is_good=True),
    "insertion": Metric("Insertion", _insertion),
    "road": Metric("ROAD", _road),
    "randomisation": Metric(
        "Likeness after all weights are random",
        _randomisation,
        low_is_good=True,
        lost_is_good=True,
        sanity=True,
    ),
    "stability": Metric("Stability under noise", _stability, sanity=True),
}


def known_metrics(names: str | Sequence[str]) -> list[str]:
    """Return one or several metrics as a list; ExploreError, with the closest names, for an unknown one."""
    known = [names] if isinstance(names, str) else list(names)
    for name in known:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    return known


def known_methods(methods: str | Sequence[str]) -> list[str]:
    """Return one or several methods as a list; ExploreError, with the closest names, for an unknown one."""
    known = [methods] if isinstance(methods, str) else list(methods)
    for method in known:
        method_info(method)
    return known


def explainer(method: str, layer: str | None = None, **options: Any) -> Explainer:
    """Return a method by name as a function (model, images, classes) -> raw maps (N, h, w).

    method   any of `class_activation_maps` or of `attribute`
    layer    of the former; None for the last of `choose_layers` that has a map. Where a network ends in
             global average pooling several methods agree there: compare them one stage earlier
    options  of the method
    """
    if method_info(method).by != PIXELS:
        ways: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()  # each network's layer

        def explain(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
            if layer is None and model not in ways:
                ways[model] = last_with_map(model, images, classes)
            found = class_activation_maps(model, images, classes, layer or ways[model], method, **options)
            return next(iter(found.values()))

        return explain
    return lambda model, x, classes: attribute(model, x, classes, method, **options).maps


def random_maps(like: Tensor, seed: int) -> Explainer:
    """Return an explainer that knows nothing: each call draws new maps of the shape (N, h, w) of `like`."""
    draw = torch.Generator().manual_seed(seed)
    return _blind(lambda model, images, classes: torch.randn(like.shape, generator=draw).to(images))


def centre_blob(like: Tensor) -> Explainer:
    """Return an explainer that always points at the centre: a Gaussian of a quarter of each side."""
    height, width = like.shape[1:]
    rows, columns = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in (height, width))
    blob = torch.exp(-2 * (rows[:, None] ** 2 + columns**2))
    return _blind(lambda model, images, classes: blob.to(images).expand(like.shape))


def _blind(explain: Explainer) -> Explainer:
    """Mark an explainer that does not look at the network, so that none need be made random for it."""
    explain.blind = True  # type: ignore[attr-defined]
    return explain


def judge(
    model: nn.Module,
    images: Tensor,
    explain: Explainer | str,
    targets: Any = None,
    metrics: str | Sequence[str] = ("deletion", "insertion", "road", "randomisation", "stability"),
    draws: int = 19,
    seed: int = 0,
    cancel: Callable[[], bool] | None = None,
) -> Verdicts:
    """Say of a way to explain whether it is better than chance, by each metric: {metric: Verdict}.

    explain  an `Explainer`, or the name of a method
    targets  as in `class_activation_maps`
    metrics  some of METRICS. deletion, insertion and road ask whether the map points at what is used;
             randomisation, whether it is gone once all weights are random; stability, whether it stays when
             the image gets a little noise
    draws    of random maps of the same resolution; fewer than 19 can't tell at the level of 5 %
    cancel   asked between measurements; if it says True, `CancelledError` is raised

    Random maps and a blob in the centre are measured in the same way, so a value can be read. The model is
    left as found. Raises ExploreError for what doesn't fit.
    """
    metrics = known_metrics(metrics)
    if not metrics:
        raise ExploreError(f"metrics must name at least one of {', '.join(METRICS)}.")
    if draws < 1:
        raise ExploreError(f"draws must be at least 1, not {draws!r}.")
    way = explainer(explain) if isinstance(explain, str) else explain
    if not callable(way):
        raise ExploreError(
            "explain must be the name of a method or a function (model, images, classes) -> maps, as the "
            f"measures explain other images too, not {an(way)}."
        )
    batch = as_images(model, images)
    classes = settled(model, batch, targets)
    like = way(model, batch, classes)
    flat = int((like.flatten(1) == like.flatten(1)[:, :1]).all(1).sum())
    if flat:
        which = "The map is" if len(like) == 1 else f"{flat} of {len(like)} maps are"
        raise ExploreError(f"{which} the same everywhere, so there is nothing to judge.")
    found = Verdicts()
    for name in metrics:
        metric = METRICS[name]
        ways = [way, centre_blob(like), *(random_maps(like, seed + i) for i in range(draws))]
        values = []
        for one in ways:
            if cancel is not None and cancel():
                raise CancelledError(f"Stopped while {name} was measured.")
            with one_thread() if batch[0, 0].numel() <= _SMALL else nullcontext():
                values.append(float(metric.measure(model, batch, classes, one, seed).mean()))
        value, centre, *chance = values
        if max(like.shape[1:]) <= 2:
            centre = math.nan  # its blob is the same everywhere
        sign = -1 if metric.low_is_good and not metric.lost_is_good else 1
        # What differs by rounding alone is as good: a network that is never sure gives numbers that all do.
        least = sign * value - _ROUNDING * abs(value)
        found[name] = Verdict(
            metric=name,
            value=value,
            random=float(np.mean(chance)),
            spread=float(np.std(chance)),
            centre=centre,
            as_good=sum(sign * c >= least for c in chance),
            draws=draws,
            images=len(batch),
        )
    return found


def settled(model: nn.Module, images: Tensor, targets: Any = None) -> Any:
    """Return `targets` checked: classes as int64 (N,), by default the likeliest; another target settled."""
    with measuring(model), torch.no_grad():
        output = answer(model.eval(), images.clone())
        target = as_target(targets).settle(output, len(images))
        target.scores(output, len(images))  # raises where it can't be asked of this network
    return target.index if isinstance(target, Classes) else target
