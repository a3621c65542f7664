"""What the saliency explorer says of its pictures: findings and conditions, read off the maps."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnet_explore.analysis.readings import PIXELS as OF_PIXELS
from resnet_explore.analysis.targets import Box, Difference, Region
from resnet_explore.widgets.answer_words import Asked, box_of, finding, headings, in_words
from resnet_explore.widgets.heatmaps import HeatmapSeries, HeatmapStep, SeenBy, largest
from resnet_explore.widgets.saliency_jobs import (
    AS_TRAINED,
    BRANCH,
    DEPTHS,
    PARTS,
    PIXELS,
    RANDOM,
    RANDOM_TO,
    SKIP,
    SUM,
    Explained,
    likeness,
)
from resnet_explore.widgets.words import first_of, percent, signed

_WEAK = 0.1  # of full colour, and a map is hardly seen
_PERCENTILE = 99  # of the magnitudes by pixels: the value of full colour
_PARTS = {
    SUM: "The whole map: what came by the skip and what by the branch, added up.",
    SKIP: "The part that came by the skip.",
    BRANCH: "The part that the branch made.",
}
_LEFT = "Rank correlation: 1 is unchanged, 0 nothing left, −1 turned into its opposite."
_SHARES = "Shares are of magnitudes, summed over the places."


def series(asked: Asked, found: Mapping[str, Sequence[Explained]]) -> list[HeatmapSeries]:
    """Return what to show for each depth."""
    shown = []
    for depth, maps in found.items():
        names = asked.pair.called(depth)
        steps = [
            HeatmapStep(
                maps=[cams[block][0].float().numpy() for cams, block in zip(maps, blocks, strict=True)],
                tick=_tick(blocks[-1]),
                caption=_caption(asked, maps, blocks, names),
                seen_by=_seen_by(asked, depth, blocks),
                scale=_full_colour(asked, maps, blocks),
            )
            for blocks in in_step(*(list(cams) for cams in maps))
        ]
        shown.append(_titled(asked, steps, depth, finding(asked, names, maps), names, maps))
    return shown


def random_series(asked: Asked, depth: str, found: Mapping[str, Sequence[Explained]]) -> list[HeatmapSeries]:
    """Return what to show while the networks of one depth lose their weights, from the logits down."""
    names, trained = asked.pair.called(depth), found[AS_TRAINED]
    shown = []
    for stage, maps in found.items():
        steps = []
        for blocks in in_step(*(list(cams) for cams in maps)):
            alike = [likeness(first, now, b) for first, now, b in zip(trained, maps, blocks, strict=True)]
            steps.append(
                HeatmapStep(
                    maps=[cams[block][0].float().numpy() for cams, block in zip(maps, blocks, strict=True)],
                    tick=_tick(blocks[-1]),
                    title=_survival(stage, names, blocks, alike),
                    caption=f"{_LEFT} {_caption(asked, maps, blocks, names, stage)}",
                    seen_by=_seen_by(asked, depth, blocks),
                    scale=_full_colour(asked, maps, blocks),
                )
            )
        shown.append(_titled(asked, steps, stage, "", names, maps))
    return shown


def _survival(stage: str, names: Sequence[str], blocks: Sequence[str], alike: Sequence[float]) -> str:
    """Say how much of the trained map of a block is left."""
    if stage == AS_TRAINED:
        return "As trained. Move Weights to make them random, from the answer down to the image."
    where = "" if blocks[-1] == PIXELS else f" of block {_tick(blocks[-1])}"
    left = " and ".join(f"{signed(r)} in {name}" for name, r in zip(names, alike, strict=True))
    return f"Weights {stage}: rank correlation with the trained map{where}: {left}."


def part_series(asked: Asked, depth: str, found: Mapping[str, Sequence[Explained]]) -> list[HeatmapSeries]:
    """Return what to show for the maps of one depth and their two parts, which share a block's scale."""
    names, whole = asked.pair.called(depth), found[SUM]
    missing = _left_out(names, whole)
    pairs = in_step(*(list(cams) for cams in whole))
    scales = [
        max(
            largest(maps[side][block][0].float().numpy())
            for maps in found.values()
            for side, block in enumerate(blocks)
        )
        for blocks in pairs
    ]
    shown = []
    for part, maps in found.items():
        steps = [
            HeatmapStep(
                maps=[cams[block][0].float().numpy() for cams, block in zip(maps, blocks, strict=True)],
                tick=_tick(blocks[-1]),
                title=_split(found, names, blocks),
                caption=f"{_PARTS[part]} {_SHARES}{missing} {_caption(asked, whole, blocks, names)}",
                seen_by=_seen_by(asked, depth, blocks),
                scale=scale,
            )
            for blocks, scale in zip(pairs, scales, strict=True)
        ]
        shown.append(_titled(asked, steps, part, "", names, maps, part))
    return shown


def _left_out(names: Sequence[str], maps: Sequence[Explained]) -> str:
    """Say which blocks aren't split."""
    return "".join(
        f" Blocks of {name} that can't be split: {first_of(cams.left_out)}."
        for name, cams in zip(names, maps, strict=True)
        if cams.left_out
    )


def _titled(
    asked: Asked,
    steps: Sequence[HeatmapStep],
    tick: str,
    title: str,
    names: Sequence[str],
    maps: Sequence[Explained],
    part: str = "",
) -> HeatmapSeries:
    marks = [box_of(asked, cams) for cams in maps]
    return HeatmapSeries(steps, tick, title, headings(asked, names, maps, part), marks, names)


def _split(found: Mapping[str, Sequence[Explained]], names: Sequence[str], blocks: Sequence[str]) -> str:
    """Say how much of a block's maps came by the skip."""
    said = []
    for side, (name, block) in enumerate(zip(names, blocks, strict=True)):
        skip, branch = (float(found[part][side][block][0].abs().sum()) for part in (SKIP, BRANCH))
        if skip:
            share = percent(100 * skip / (skip + branch))
            said.append(f"{name}: {share} of block {_tick(block)}'s map came by the skip")
        else:
            said.append(f"{name} has no skip" if branch else f"{name}: block {_tick(block)}'s map is empty")
    return f"{'; '.join(said)}."


def _full_colour(asked: Asked, maps: Sequence[Explained], blocks: Sequence[str]) -> float:
    """Return the magnitude of full colour, 0 for the largest there is."""
    return _strength(asked, maps, blocks) if asked.reading.by == OF_PIXELS else 0.0


def _strength(asked: Asked, maps: Sequence[Explained], blocks: Sequence[str]) -> float:
    """Return the largest magnitude in a few maps; by pixels one that few exceed.

    There some values are many times all others, and would leave the rest without colour.
    """
    values = [np.abs(cams[b][0].float().numpy()).ravel() for cams, b in zip(maps, blocks, strict=True)]
    share = _PERCENTILE if asked.reading.by == OF_PIXELS else 100
    return float(np.percentile(np.concatenate(values), share))


def in_step(*networks: Sequence[str]) -> list[tuple[str, ...]]:
    """Pair the blocks of networks by how deep they lie; twins pair one to one."""
    count = max(map(len, networks))
    return [tuple(blocks[i * len(blocks) // count] for blocks in networks) for i in range(count)]


def deepest(networks: Sequence[Explained]) -> int:
    """Return the last step at which a map shows anything: what lies behind a detector's box does not."""
    steps = in_step(*(list(cams) for cams in networks))
    seen = [any(cams[block][0].any() for cams, block in zip(networks, at, strict=True)) for at in steps]
    return max((k for k, any_seen in enumerate(seen) if any_seen), default=len(steps) - 1)


def _tick(block: str) -> str:
    return block.removeprefix("layer")


def _seen_by(asked: Asked, depth: str, blocks: Sequence[str]) -> list[SeenBy | None]:
    found: list[SeenBy | None] = []
    for block, windows in zip(blocks, asked.seen[depth], strict=True):
        window = windows.get(block)
        # Of other pictures than squares the view could not say where.
        if block == PIXELS or window is None or asked.size[0] != asked.size[1]:
            found.append(None)
        else:
            middle = window.start[1] + window.field[1] / 2
            found.append(SeenBy(middle, window.jump[1], window.field[1], asked.size[1]))
    return found


def citation(
    asked: Asked, entry: str, networks: Sequence[Any], maps: Sequence[Explained], over: str
) -> dict[str, str]:
    """Return by name what a saved heatmap must say of itself; "file" is what it is called."""
    classes = [in_words(asked, cams) if asked.reading.classes else "none" for cams in maps]
    known = [getattr(network, "about", None) or {} for network in networks]
    weights = dict.fromkeys(str(about.get("provenance", "")) for about in known)
    made_random = "; then made random, stage by stage" if over == RANDOM else ""
    view = {DEPTHS: "", PARTS: "by part"}.get(over, "random weights")
    said = " ".join([asked.reading.title, *dict.fromkeys(classes), view])
    slug = re.sub(r"\W+", "-", said).strip("-").lower()
    return {
        "file": f"heatmaps-{slug}",
        "method": asked.reading.title,
        "class": ", ".join(dict.fromkeys(classes)),
        "photo": asked.photo,
        "networks": entry,
        "shown": over,
        "weights": "; ".join([*filter(None, weights)] or ["not said"]) + made_random,
        "data": str(asked.about.get("data", "not said")),
        "signs": asked.reading.signs("positive", "negative"),
    }


def _caption(
    asked: Asked,
    maps: Sequence[Explained],
    blocks: Sequence[str],
    names: Sequence[str],
    stage: str = AS_TRAINED,
) -> str:
    sizes = [tuple(cams[block].shape[1:]) for cams, block in zip(maps, blocks, strict=True)]
    places = dict.fromkeys(f"{block} ({h}×{w})" for block, (h, w) in zip(blocks, sizes, strict=True))
    at = "of" if blocks[-1] == PIXELS else "at block"
    empty = [
        f" {name}: {reason[0].lower()}{reason[1:]}"
        for name, cams, block in zip(names, maps, blocks, strict=True)
        if (reason := cams.why_empty(block))
    ]
    faint = _faint(asked, maps, blocks, names) if stage == AS_TRAINED else ""
    height, width = asked.size
    sees = "the middle square, shown here, as " if asked.cropped else ""
    verb = "see" if asked.pair.answers != "boxes" else "get"  # a detector enlarges it first
    cut = f" Full colour from the {_PERCENTILE}th percentile." if asked.reading.by == OF_PIXELS else ""
    blind = "" if asked.reading.classes else " It knows no class: what is asked changes nothing."
    return (
        f"{asked.reading.title} {at} {' and '.join(places)}, in {asked.reading.unit}.{cut}{blind} Eval mode"
        f"{_weights(asked, stage)}; {f'the networks {verb}' if len(names) > 1 else f'the network {verb}s'} "
        f"{sees}{height}×{width} pixels. Picture: {asked.photo}.{''.join(empty)}{faint}"
        f"{_laid_out(maps, blocks, names)}"
    )


def _laid_out(maps: Sequence[Explained], blocks: Sequence[str], names: Sequence[str]) -> str:
    """Say how tokens became maps, and which blocks have none."""
    said = []
    for name, cams, block in zip(names, maps, blocks, strict=True):
        if block in cams.layouts:
            said.append(f" What this block of {name} gives: {cams.layouts[block]}.")
        reasons: dict[str, list[str]] = {}
        for layer, reason in cams.omitted.items():
            reasons.setdefault(reason, []).append(layer)
        said += [f" Not shown of {name}: {first_of(layers)}, as {why}." for why, layers in reasons.items()]
    return "".join(dict.fromkeys(said))


def _faint(asked: Asked, maps: Sequence[Explained], blocks: Sequence[str], names: Sequence[str]) -> str:
    """Say which network's map is too faint to be seen beside the other, as both share one scale."""
    full = _strength(asked, maps, blocks)
    shares = [
        _strength(asked, [cams], [b]) / full if full else 1.0 for cams, b in zip(maps, blocks, strict=True)
    ]
    return "".join(
        f" The scale is shared: {name} reaches {percent(100 * share)} of full colour."
        for name, share in zip(names, shares, strict=True)
        if share < _WEAK
    )


def _weights(asked: Asked, stage: str) -> str:
    """Say where the weights are from."""
    trained = f", trained on {asked.about['data'].partition(' (')[0]}" if "data" in asked.about else ""
    seed = f", seed {asked.about['run']['seed']}" if "run" in asked.about else ""
    if stage == AS_TRAINED:
        return trained + seed
    return (
        f"{trained}{seed}, then all weights from the answer down to {stage.removeprefix(RANDOM_TO)} "
        "drawn anew; the class stays the one that the trained weights were asked about"
    )


def judged(asked: Asked, blocks: Sequence[str], maps: Sequence[Explained]) -> str:
    """Say which maps a verdict is on, and what is watched where that isn't the probability of a class."""
    where = "of pixels" if blocks[-1] == PIXELS else f"at block {' and '.join(dict.fromkeys(blocks))}"
    words, target = f"{asked.reading.title} {where}", maps[0].target
    if isinstance(target, Difference):
        this, that = asked.name(target.this), asked.name(target.that)
        words += f", {this} rather than {that} (watched is how likely {this} is of the two)"
    elif isinstance(target, Region):
        words += ", of pixels (watched is the mean probability of their class)"
    elif isinstance(target, Box):
        words += ", of a detection (watched is its score)"
    return words
