"""Measured feature maps made into what `Mosaics` shows: panels, findings as titles, conditions below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_explore.analysis.feature_maps import FeatureMaps, Layer, difference
from resnet_explore.analysis.map_layers import first_filters
from resnet_explore.figures.mosaic import common_scale, filter_colors
from resnet_explore.figures.statistics import Curves, statistics_chart
from resnet_explore.figures.style import to_png
from resnet_explore.widgets.exhibits import Subject
from resnet_explore.widgets.mosaics import DEAD, SATURATED, Sheet
from resnet_explore.widgets.pictures import SMALL, Picture
from resnet_explore.widgets.words import factor, percent


@dataclass(frozen=True, eq=False)
class Scene:
    """One depth: the networks, and for each of them what was measured."""

    tick: str
    subjects: tuple[Subject, ...]
    measured: tuple[FeatureMaps, ...]

    @property
    def steps(self) -> list[tuple[Layer, ...]]:
        """For each step of the block slider a layer of each network; twins pair one to one."""
        names = [list(maps) for maps in self.measured]
        count = max(map(len, names))
        return [
            tuple(maps[own[i * len(own) // count]] for maps, own in zip(self.measured, names, strict=True))
            for i in range(count)
        ]

    @property
    def streaming(self) -> int | None:
        """Which network's skips are shown: the last that has any."""
        have = [
            k
            for k, maps in enumerate(self.measured)
            if any(layer.ratio is not None for layer in maps.values())
        ]
        return have[-1] if have else None


def orders(layers: Sequence[Layer]) -> list[dict[str, np.ndarray]]:
    """Return each layer's channels by activation and by how much the twins differ, largest first.

    Where the layers have the same channels, all get one order, so that a channel keeps its place.
    """
    if len({len(layer.maps) for layer in layers}) > 1:
        return [{"activation": _descending(layer.activation)} for layer in layers]
    found = {"activation": _descending(np.sum([layer.activation for layer in layers], 0))}
    apart = difference(*layers) if len(layers) == 2 else None
    if apart is not None:
        found["difference"] = _descending(apart)
    return [found] * len(layers)


def maps_view(scenes: Sequence[Scene], picture: Picture) -> dict[str, Any]:
    """Return the view of what comes out of each block."""
    sheet = Sheet()
    sets = []
    for scene in scenes:
        steps = []
        for layers in scene.steps:
            panels = [
                sheet.panel(
                    _heading(subject.name, layer, layers),
                    subject.color,
                    layer.maps,
                    order,
                    _marks(layer),
                    full=layer.shape,
                    layer=layer.name,
                    network=k,
                )
                for k, (subject, layer, order) in enumerate(
                    zip(scene.subjects, layers, orders(layers), strict=True)
                )
            ]
            scale = common_scale([layer.maps for layer in layers])
            steps.append(
                {
                    "tick": layers[-1].name,
                    "title": finding(scene, layers),
                    "caption": _output(layers),
                    "scaled": _scale_words(scale, len(layers)),
                    "scale": scale,
                    "panels": panels,
                }
            )
        sets.append({"tick": scene.tick, "steps": steps, "caption": _conditions(scene, picture)})
    return sheet.view(sets)


def parts_view(scenes: Sequence[Scene], picture: Picture) -> dict[str, Any]:
    """Return the view of what skips carried and branches added; {} where no network has skips."""
    sheet = Sheet()
    sets = []
    for scene in scenes:
        which = scene.streaming
        if which is None:
            return {}
        subject, steps = scene.subjects[which], []
        for layers in scene.steps:
            layer, order = layers[which], orders(layers)[which]
            place = {"full": layer.shape, "layer": layer.name, "network": which}
            steps.append(_parts_step(sheet, subject, layer, order, place))
        sets.append({"tick": scene.tick, "steps": steps, "caption": _conditions(scene, picture)})
    return sheet.view(sets)


def _parts_step(
    sheet: Sheet, subject: Subject, layer: Layer, order: dict[str, np.ndarray], place: dict[str, Any]
) -> dict[str, Any]:
    names = ("what the skip carried", "what the branch added")
    if layer.skip is None or layer.branch is None or layer.ratio is None:
        words = f"{layer.name} has no sum in which a skip ends."
        panels: list[dict[str, Any]] = [{"heading": "", "message": words} for _ in names]
        return {
            "tick": layer.name,
            "title": words,
            "caption": "",
            "scaled": "",
            "scale": 1.0,
            "panels": panels,
        }
    scale = common_scale([layer.skip, layer.branch])
    if len(layer.skip) != len(layer.maps):  # the block does more after the sum than norm and ReLU
        order = {
            "activation": _descending(np.abs(layer.skip).mean((1, 2)) + np.abs(layer.branch).mean((1, 2)))
        }
    panels = [
        sheet.panel(f"{subject.name}: {name}", subject.color, maps, order, **place)
        for name, maps in zip(names, (layer.skip, layer.branch), strict=True)
    ]
    return {
        "tick": layer.name,
        "title": f"{layer.name} of {subject.name}: the branch adds {factor(layer.ratio)} times "
        "what the skip carries.",
        "caption": "The two summands, before any norm or ReLU behind the sum; the ratio is that of their "
        "L2 norms. Channels have the places of the block's outputs.",
        "scaled": _scale_words(scale, 2),
        "scale": scale,
        "panels": panels,
    }


def filters_view(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return the view of first-layer filters; {} if a network has none."""
    sheet = Sheet()
    sets = []
    for scene in scenes:
        panels, sizes, scale = [], [], 1.0
        found = [named for named in map(first_filters, (s.model for s in scene.subjects)) if named]
        if len(found) < len(scene.subjects):
            return {}
        sizes_of = [np.abs(weights).mean((1, 2, 3)) for _, weights in found]
        together = len({len(size) for size in sizes_of}) == 1  # then a filter has one place in both
        for k, (subject, (name, weights)) in enumerate(zip(scene.subjects, found, strict=True)):
            rgb = weights.shape[1] == 3
            tiles = filter_colors(weights) if rgb else weights.mean(1)
            scale = scale if rgb else common_scale([tiles], share=1.0)
            strength = _descending(np.sum(sizes_of, 0) if together else sizes_of[k])
            order, largest = {"activation": strength}, float(np.abs(weights).max())
            panels.append(
                sheet.panel(f"{subject.name}, {name}", subject.color, tiles, order, largest=largest)
            )
            sizes.append(f"{weights.shape[0]} filters of {weights.shape[2]}×{weights.shape[3]}")
        colours = (
            "Weights over red, green and blue; grey is 0, and one network's filters share a scale."
            if rgb
            else "Weights."
            if weights.shape[1] == 1
            else f"Weights, averaged over {weights.shape[1]} input channels."
        )
        step = {
            "tick": "first layer",
            "title": f"The first layer: {' and '.join(dict.fromkeys(sizes))}.",
            "caption": colours,
            "scaled": "",
            "scale": scale,
            "panels": panels,
        }
        sets.append({"tick": scene.tick, "steps": [step]})
    return sheet.view(sets)


def charts(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return statistics through depth, a chart for each scene, for `Mosaics.charts`."""
    drawn = [statistics_chart(chart_panels(scene), len(scene.steps)) for scene in scenes]
    return {
        "pictures": [to_png(figure) for figure, _ in drawn],
        "places": [places for _, places in drawn],
        "alts": [_chart_words(scene) for scene in scenes],
    }


def chart_panels(scene: Scene) -> dict[str, Curves]:
    """Return mean, standard deviation and zeros of block outputs, responses after norms, and ratios."""
    blocks = len(scene.steps)
    rows = [
        (subject.kind, np.array([layer.statistics.overall for layer in layers]), np.array(ratios, float))
        for subject, layers, ratios in (
            (subject, layers, [np.nan if layer.ratio is None else layer.ratio for layer in layers])
            for subject, layers in zip(scene.subjects, zip(*scene.steps, strict=True), strict=True)
        )
    ]
    x = np.arange(1, blocks + 1)
    panels: dict[str, Curves] = {
        "Mean of outputs": {kind: (x, values[:, 0]) for kind, values, _ in rows},
        "Std of outputs": {kind: (x, values[:, 1]) for kind, values, _ in rows},
        "Zeros in outputs (%)": {kind: (x, 100 * values[:, 2]) for kind, values, _ in rows},
        "Std after norm (Fig. 7)": {
            subject.kind: _responses(measured, blocks)
            for subject, measured in zip(scene.subjects, scene.measured, strict=True)
        },
    }
    if scene.streaming is not None:
        panels["Branch ÷ skip"] = {kind: (x, ratio) for kind, _, ratio in rows if np.isfinite(ratio).any()}
    return panels


def _responses(measured: FeatureMaps, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where on the axis of blocks each norm lies, and the deviation behind it."""
    names = [name for name in measured.responses if any(name.startswith(f"{block}.") for block in measured)]
    if not names:  # layers that are no blocks
        values = np.array(list(measured.responses.values()))
        return np.linspace(1, blocks, len(values)), values
    x = []
    for k, block in enumerate(measured):
        inside = sum(name.startswith(f"{block}.") for name in names)
        x += [(k + (i + 1) / inside) * blocks / len(measured) for i in range(inside)]
    return np.array(x), np.array([measured.responses[name] for name in names])


# --- words -----------------------------------------------------------------------------------------------


def finding(scene: Scene, layers: Sequence[Layer]) -> str:
    """Return what sets the networks apart at this block, in a sentence or two."""
    pairs = list(zip(scene.subjects, layers, strict=True))
    zeros = ", ".join(
        f"{percent(100 * layer.statistics.overall[2])} in {subject.name}" for subject, layer in pairs
    )
    counts = [(subject.name, layer.shape[0], int(layer.statistics.dead.sum())) for subject, layer in pairs]
    dead = ", ".join(f"{_count(some, of)} in {name}" for name, of, some in counts)
    dead = f"dead channels: {dead}" if any(some for *_, some in counts) else "no channel is dead"
    ratio = next((layer.ratio for layer in reversed(layers) if layer.ratio is not None), None)
    count = scene.measured[0].count
    over, here = (f" over {count} images", "In this one the") if count > 1 else ("", "The")
    branch = "" if ratio is None else f" {here} branch adds {factor(ratio)} times what the skip carries."
    return f"{layers[-1].name}: {dead}; zeros{over}: {zeros}.{branch}"


def _count(some: int, of: int) -> str:
    return f"none of {of}" if not some else f"{some} of {of}"


def _output(layers: Sequence[Layer]) -> str:
    def words(layer: Layer) -> str:
        count, height, width = layer.shape
        shown = layer.maps.shape[1:]
        less = "" if shown == (height, width) else f", shown averaged to {shown[0]}×{shown[1]}"
        return f"{layer.name} ({layer.kind}, {count} maps of {height}×{width}{less})"

    laid = "".join(dict.fromkeys(f" {layer.name}: {layer.layout}." for layer in layers if layer.layout))
    what = " and ".join(dict.fromkeys(map(words, layers)))
    return f"What comes out of {what}.{laid}{_brackets(layers)}"


def _brackets(layers: Sequence[Layer]) -> str:
    """Say what the signs in a layer's name mean, where it has any."""
    names = "".join(layer.name for layer in layers)
    calls = " A number after a colon says which call of a layer that is called more than once." * (
        ":" in names
    )
    items = " Brackets say which part of what a layer returns, by name or counted from 0" * ("[" in names)
    return calls + items + ("; a second pair, which part of that." if "][" in names else "." if items else "")


def _scale_words(scale: float, count: int) -> str:
    both = ", the same for both" if count > 1 else ""
    return f"The brightest colour is ±{scale:.2g}{both}; the largest 0.1 % lie beyond."


def _conditions(scene: Scene, picture: Picture) -> str:
    count = scene.measured[0].count
    alone = "this image" if picture.small else f"this image alone, as it is larger than {SMALL}×{SMALL}"
    over = alone if count == 1 else f"{count} images, this one among them"
    what = "Dead, saturated and the curves"
    if count > 1 and scene.streaming is not None:
        what = "Branch ÷ skip: of this image alone. Dead, saturated and the other curves"
    return f"Eval mode. {what}: over {over}. Picture: {picture.about}."


def _chart_words(scene: Scene) -> str:
    curves = chart_panels(scene)
    parts = []
    for title, lines in curves.items():
        for (_, values), subject in zip(lines.values(), scene.subjects[-len(lines) :], strict=True):
            shown = values[np.isfinite(values)]
            if len(shown):
                parts.append(f"{title}, {subject.name}: from {shown[0]:.2g} to {shown[-1]:.2g}")
    return "Statistics through depth. " + "; ".join(parts)


def _heading(name: str, layer: Layer, layers: Sequence[Layer]) -> str:
    return name if len({other.name for other in layers}) == 1 else f"{name}, {layer.name}"


def _marks(layer: Layer) -> np.ndarray:
    return layer.statistics.dead * DEAD + layer.statistics.saturated * SATURATED


def _descending(values: np.ndarray) -> np.ndarray:
    return np.argsort(-values, kind="stable")


def rows_of(scene: Scene) -> Iterator[dict[str, Any]]:
    """Yield a row for each network, block and channel: the numbers behind the tiles."""
    for layers in scene.steps:
        apart = difference(*layers) if len(layers) == 2 else None
        for subject, layer, order in zip(scene.subjects, layers, orders(layers), strict=True):
            numbers = layer.statistics
            places = {name: np.argsort(ranks) + 1 for name, ranks in order.items()}
            for k in range(layer.shape[0]):
                yield {
                    "network": subject.name,
                    "block": layer.name,
                    "channel": k,
                    "mean": numbers.mean[k],
                    "std": numbers.std[k],
                    "zeros": numbers.zeros[k],
                    "smallest": numbers.low[k],
                    "largest": numbers.high[k],
                    "dead": bool(numbers.dead[k]),
                    "saturated": bool(numbers.saturated[k]),
                    "activation_on_this_image": layer.activation[k],
                    "difference_between_networks": None if apart is None else apart[k],
                    "place_by_activation": places["activation"][k],
                    "place_by_difference": places["difference"][k] if "difference" in places else None,
                    "block_branch_over_skip": layer.ratio,
                }
