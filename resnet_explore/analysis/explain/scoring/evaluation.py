"""Which methods can be believed? Each judged by each metric on many images, for several networks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import stdtrit
from torch import Tensor, nn

from resnet_explore.analysis.explain.methods.registry import METHODS, PIXELS
from resnet_explore.analysis.explain.scoring.sanity import Explainer
from resnet_explore.analysis.explain.scoring.verdict import (
    METRICS,
    centre_blob,
    explainer,
    known_methods,
    known_metrics,
    random_maps,
    settled,
)
from resnet_explore.analysis.topology.blocks import stage_of
from resnet_explore.analysis.topology.cam_layers import choose_layers
from resnet_explore.errors import ExploreError, an, unknown
from resnet_explore.inputs.datasets import ImageSet
from resnet_explore.paths import shipped

RANDOM, CENTRE = "random", "centre"  # the two that know nothing of the image, as methods
_KEYS = ["network", "method", "layer", "image"]
_CHUNK = 8  # images at a time, which bounds the memory
_LEVEL = 0.975  # the quantile whose interval holds the mean in 95 % of cases
_MARGIN = 0.1  # how much more alike than random maps one may be that counts as gone with the weights
FEWEST = 5  # images below which nothing passes: a t interval of fewer leans on normality alone
RULE = (
    "✓: the 95 % confidence interval of the mean difference from random maps, image by image (Student's t), "
    f"lies above 0; for randomisation above −{_MARGIN}, so that a map is shown to be hardly more alike than "
    f"they. Of fewer than {FEWEST} images nothing is said."
)
"""When `passed` is true, as everything says that shows it."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    values  a row for each network, method and image, a column for each metric; "layer" is that of the map,
            "" for methods that explain pixels, "image" its position in the data set. The methods "random"
            and "centre" are maps of the same resolution that know nothing of the image
    about   what was asked, and if it was recorded command, commit, data and day
    """

    values: pd.DataFrame
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Those of METRICS that were measured."""
        return [name for name in self.values.columns if name in METRICS]

    @property
    def networks(self) -> list[str]:
        """Their names, in order."""
        return [str(name) for name in self.values["network"].unique()]

    @property
    def methods(self) -> list[str]:
        """The methods that were judged, in order, without the two that know nothing."""
        return [str(m) for m in self.values["method"].unique() if m not in (RANDOM, CENTRE)]

    def __str__(self) -> str:
        """Return for each network a table of methods by metrics that fits a page."""
        table = self.table()
        table["said"] = [
            f"{gain:+z.3f} {'✓' if ok else ' '}"
            for gain, ok in zip(table["gain"], table["passed"], strict=True)
        ]
        parts = [
            f"{name}: how much better than random maps, over {rows['images'].max()} images\n"
            + rows.pivot(index="method", columns="metric", values="said")
            .reindex(index=self.methods, columns=self.metrics)
            .rename_axis(index=None, columns=None)
            .to_string()
            for name, rows in table.groupby("network", sort=False)
        ]
        return "\n\n".join([*parts, RULE])

    def table(self) -> pd.DataFrame:
        """Return a row for each network, method and metric.

        value, error      mean over the images and its standard error
        random, centre    the means of maps that know nothing, of the same resolution
        gain, gain_error  how much better than random, image by image: the mean difference, positive where
                          better, and its standard error. For "randomisation" better is less alike
        centre_gain       that of the blob in the centre
        passed            gain > t gain_error, where t is Student's for 95 % and images - 1 (Student 1908): a
                          paired t-test. For "randomisation" gain > t gain_error - 0.1, a test of
                          non-inferiority (Schuirmann 1987): that no difference was found would be no evidence
                          that there is none. Never of fewer than 5 images. Each is a test by itself: if no
                          method were better than chance, one in 40 would pass
        images            how many

        `table.pivot(index="method", columns=["metric", "network"], values="value")` is the table of a paper.
        """
        by_way = {key: rows.set_index("image") for key, rows in self.values.groupby(_KEYS[:3], sort=False)}
        rows: list[dict[str, Any]] = []
        for (network, method, layer), found in by_way.items():
            blind = {name: by_way[network, name, layer] for name in (RANDOM, CENTRE)}
            if method not in blind:
                about = {"network": network, "method": method, "layer": layer}
                rows += [{**about, **_compared(name, found, blind)} for name in self.metrics]
        return pd.DataFrame(rows)


def evaluate(
    models: Mapping[str, nn.Module],
    data: ImageSet,
    methods: str | Sequence[str],
    metrics: str | Sequence[str] = tuple(METRICS),
    images: int = 32,
    layer: str | None = None,
    draws: int = 2,
    seed: int = 0,
    known: pd.DataFrame | None = None,
    progress: Callable[[int, int, pd.DataFrame], None] | None = None,
    watch: Callable[[str, str, int], None] | None = None,
) -> Evaluation:
    """Judge methods on a data set, beside random maps and a blob in the centre.

    models    networks by name, such as {"plain": ..., "residual": ...}, which take `data.normalized()`
    methods   of `class_activation_maps` and of `attribute`
    images    how many of the set, at least 2 as they need a standard error, drawn with `seed`, the same for
              all; each is explained for the class that the network gives it. See `Evaluation.table` for how
              many it takes to pass
    layer     of the methods that have one; None for the last block before the last stage, since at the last
              block several of them agree exactly
    draws     of random maps for each image; their mean is its value
    known     `values` of an evaluation that was broken off, which is gone on with
    progress  called with (ways judged, in all, the values so far) after each network and method
    watch     called with (network, method, images judged) before each few images

    The models are left as found. Raises ExploreError for an unknown method or metric, and what doesn't fit.
    """
    methods, metrics = known_methods(methods), known_metrics(metrics)
    if not isinstance(models, Mapping):
        raise ExploreError(f'models must be networks by name, such as {{"mine": model}}, not {an(models)}.')
    if not isinstance(data, ImageSet):
        raise ExploreError(f"data must be an ImageSet, as `load_folder` and others give, not {an(data)}.")
    if images < 2 or draws < 1:
        raise ExploreError(f"images must be at least 2 and draws at least 1, not {images!r} and {draws!r}.")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    chosen = order[:images].sort().values
    batch = data.normalized(chosen)
    asked = [
        (network, *way)
        for network, model in models.items()
        for way in _ways(methods, layer or block_before_last_stage(model))
    ]
    parts = [] if known is None else [known]
    done = set() if known is None else set(known[_KEYS[:3]].itertuples(index=False, name=None))
    for k, (network, method, at) in enumerate(asked, start=1):
        if (network, method, at) not in done:
            tell = None if watch is None else partial(watch, network, method)
            found = _judged(models[network], batch, method, at, metrics, draws, seed, tell)
            names = {"network": network, "method": method, "layer": at, "image": chosen.numpy()}
            parts.append(pd.DataFrame({**names, **found}))
        if progress is not None:
            progress(k, len(asked), pd.concat(parts, ignore_index=True))
    return Evaluation(pd.concat(parts, ignore_index=True))


def block_before_last_stage(model: nn.Module) -> str:
    """Return the last of `choose_layers` that lies in another stage than the very last one.

    Of blocks of tokens in one stage it is the last but one, as those that read a class token have no map of
    the last.
    """
    choice = choose_layers(model)
    names = choice.names
    last = stage_of(names[-1])
    alone = names[-2] if choice.tokens and len(names) > 1 else names[-1]
    return next((name for name in reversed(names) if stage_of(name) != last), alone)


def load_verdicts(where: str | Path = "imagenette") -> Evaluation:
    """Return a recorded evaluation: what ships for a data set's twins, or a folder that `judge` wrote.

    Raises ExploreError if there is none.
    """
    ours = shipped("data", str(where), "verdicts")
    folder = ours if ours.is_dir() else Path(where)
    try:
        about = json.loads((folder / "about.json").read_text())
        return Evaluation(pd.read_csv(folder / "values.csv", keep_default_na=False), about)
    except (OSError, ValueError):
        names = [path.parent.parent.name for path in shipped("data").glob("*/verdicts/about.json")]
        raise unknown("evaluation", str(where), names, "Or name a folder that `judge` wrote.") from None


def _ways(methods: Sequence[str], layer: str) -> list[tuple[str, str]]:
    """Return (method, layer), what knows nothing before those that are compared with it."""
    at = {method: "" if METHODS[method].by == PIXELS else layer for method in methods}
    ways = []
    for place in dict.fromkeys(at.values()):
        ways += [(blind, place) for blind in (RANDOM, CENTRE)]
        ways += [(method, place) for method in methods if at[method] == place]
    return ways


def _judged(
    model: nn.Module,
    batch: Tensor,
    method: str,
    layer: str,
    metrics: Sequence[str],
    draws: int,
    seed: int,
    watch: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Return the values of each metric, (N,)."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    for first in range(0, len(batch), _CHUNK):
        if watch is not None:
            watch(first)
        part = batch[first : first + _CHUNK]
        classes = settled(model, part)
        if method in (RANDOM, CENTRE):
            like = explainer("grad_cam", layer)(model, part, classes) if layer else part[:, 0]
            ways = [centre_blob(like)]
            if method == RANDOM:
                ways = [random_maps(like, seed + 1000 * (first * draws + k)) for k in range(draws)]
        else:
            ways = [_remembering(explainer(method, layer or None), model, part)]
        for name in metrics:
            measure = METRICS[name].measure
            found[name].append(np.mean([measure(model, part, classes, way, seed) for way in ways], axis=0))
    return {name: np.concatenate(values) for name, values in found.items()}


def _remembering(explain: Explainer, model: nn.Module, images: Tensor) -> Explainer:
    """Return an explainer that explains these images with this model once: every metric asks for that."""
    kept: list[Tensor] = []

    def remembered(net: nn.Module, batch: Tensor, classes: Tensor) -> Tensor:
        if net is not model or batch is not images:
            return explain(net, batch, classes)
        if not kept:
            kept.append(explain(net, batch, classes))
        return kept[0]

    return remembered


def _compared(name: str, found: pd.DataFrame, blind: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return one row of the table: a method's values of one metric beside those that know nothing."""
    metric, values, chance, centre = METRICS[name], *(v[name] for v in (found, blind[RANDOM], blind[CENTRE]))
    sign = -1 if metric.low_is_good else 1
    gains = sign * (values - chance)  # of the same images, by the index
    gain, error = float(gains.mean()), _standard_error(gains)
    return {
        "metric": name,
        "value": float(values.mean()),
        "error": _standard_error(values),
        "random": float(chance.mean()),
        "centre": float(centre.mean()),
        "gain": gain,
        "gain_error": error,
        "centre_gain": sign * float((centre - chance).mean()),
        "passed": _passed(gain, error, len(gains), _MARGIN if metric.lost_is_good else 0.0),
        "images": len(values),
    }


def _passed(gain: float, error: float, images: int, margin: float) -> bool:
    """Whether a mean gain is shown to be larger than `-margin`."""
    return images >= FEWEST and gain - float(stdtrit(images - 1, _LEVEL)) * error > -margin


def _standard_error(values: pd.Series) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
