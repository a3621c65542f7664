"""What the saliency explorer says: findings, conditions and answers, read off the maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from resnet_explore.analysis.cams import ActivationMaps
from resnet_explore.figures.style import COLORS
from resnet_explore.models.summary import Window
from resnet_explore.widgets.heatmaps import HeatmapSeries, HeatmapStep, SeenBy, largest
from resnet_explore.widgets.pairs import Pair
from resnet_explore.widgets.saliency_jobs import AS_TRAINED, BRANCH, PIXELS, SKIP, SUM, likeness
from resnet_explore.widgets.words import percent

_ANSWERS = 5
_PARTS = {
    SUM: "The whole map: what came by the skip and what by the branch, added up.",
    SKIP: "The part that came by the skip.",
    BRANCH: "The part that the branch made.",
}


@dataclass(frozen=True)
class Asked:
    """The conditions of a picture.

    method   as the paper calls it
    photo    what the photo is, in words
    size     height and width of the networks' input
    about    what the networks carry of their training
    seen     receptive fields by depth: of the left and the right network, by layer
    """

    pair: Pair
    classes: Sequence[str]
    method: str
    photo: str
    size: tuple[int, int]
    about: Mapping[str, Any]
    seen: Mapping[str, Sequence[Mapping[str, Window]]]


def series(asked: Asked, found: Mapping[str, Sequence[ActivationMaps]]) -> list[HeatmapSeries]:
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
            )
            for blocks in in_step(*(list(cams) for cams in maps))
        ]
        headings = [
            f"{name}, asked about {_target(cams, asked.classes)}"
            for name, cams in zip(names, maps, strict=True)
        ]
        shown.append(HeatmapSeries(steps, depth, _finding(names, maps, asked.classes), headings))
    return shown


def random_series(
    asked: Asked, depth: str, found: Mapping[str, Sequence[ActivationMaps]]
) -> list[HeatmapSeries]:
    """Return what to show while the networks of one depth lose their weights, from the logits down."""
    names, trained = asked.pair.called(depth), found[AS_TRAINED]
    shown = []
    for stage, maps in found.items():
        pairs = in_step(*(list(cams) for cams in maps))
        alike = [
            [likeness(first, now, block) for first, now, block in zip(trained, maps, blocks, strict=True)]
            for blocks in pairs
        ]
        means = [sum(abs(one[side]) for one in alike) / len(alike) for side in (0, 1)]
        steps = [
            HeatmapStep(
                maps=[cams[block][0].float().numpy() for cams, block in zip(maps, blocks, strict=True)],
                tick=_tick(blocks[-1]),
                caption=f"Rank correlation with the trained map {r[0]:.2f} and {r[1]:.2f}. "
                + _caption(asked, maps, blocks, names),
                seen_by=_seen_by(asked, depth, blocks),
            )
            for blocks, r in zip(pairs, alike, strict=True)
        ]
        title = (
            "As trained. Move the slider to make weights random, from the answer down to the image."
            if stage == AS_TRAINED
            else f"{stage.capitalize()}: the maps' rank correlation with the trained ones is {means[0]:.2f} "
            f"({names[0]}) and {means[1]:.2f} ({names[1]}), its size, as a mean of all blocks."
        )
        headings = [
            f"{name}, asked about {_target(cams, asked.classes)}"
            for name, cams in zip(names, trained, strict=True)
        ]
        shown.append(HeatmapSeries(steps, stage, title, headings))
    return shown


def part_series(
    asked: Asked, depth: str, found: Mapping[str, Sequence[ActivationMaps]]
) -> list[HeatmapSeries]:
    """Return what to show for the maps of one depth and their two parts, which share a block's scale."""
    names, whole = asked.pair.called(depth), found[SUM]
    pairs = in_step(*(list(cams) for cams in whole))
    shares = [_share_of_skip(found, side, block) for side, block in enumerate(pairs[-1])]
    title = "; ".join(
        f"{name}: {percent(100 * share)} of the map at the last block came by the skip"
        if share > 0
        else f"{name} has no skip"
        for name, share in zip(names, shares, strict=True)
    )
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
                caption=f"{_PARTS[part]} {_caption(asked, whole, blocks, names)}",
                seen_by=_seen_by(asked, depth, blocks),
                scale=scale,
            )
            for blocks, scale in zip(pairs, scales, strict=True)
        ]
        headings = [f"{name}, {part}" for name in names]
        shown.append(HeatmapSeries(steps, part, f"{title}.", headings))
    return shown


def answers(asked: Asked, maps: Sequence[ActivationMaps]) -> list[dict[str, Any]]:
    """Return the likeliest classes of both networks, with a bar for each network; none without classes."""
    sure = [_probabilities(cams) for cams in maps]
    if any(len(p) != len(asked.classes) for p in sure):
        return []
    best = torch.stack(sure).amax(0).topk(min(_ANSWERS, len(asked.classes))).indices
    return [
        {
            "label": asked.classes[int(i)],
            "bars": [
                {"share": float(p[i]), "text": percent(100 * float(p[i])), "colour": colour}
                for p, colour in zip(sure, COLORS.values(), strict=True)
            ],
        }
        for i in best
    ]


def in_step(left: Sequence[str], right: Sequence[str]) -> list[tuple[str, str]]:
    """Pair the blocks of two networks by how deep they lie; twins pair one to one."""
    count = max(len(left), len(right))
    return [(left[i * len(left) // count], right[i * len(right) // count]) for i in range(count)]


def _share_of_skip(found: Mapping[str, Sequence[ActivationMaps]], side: int, block: str) -> float:
    """Return what share of the two parts' magnitudes, summed over the places, is the skip's."""
    skip, branch = (float(found[part][side][block][0].abs().sum()) for part in (SKIP, BRANCH))
    return skip / (skip + branch) if skip + branch > 0 else 0.0


def _tick(block: str) -> str:
    return block.removeprefix("layer")


def _seen_by(asked: Asked, depth: str, blocks: Sequence[str]) -> list[SeenBy | None]:
    found: list[SeenBy | None] = []
    for block, windows in zip(blocks, asked.seen[depth], strict=True):
        window = windows.get(block)
        if block == PIXELS or window is None:
            found.append(None)
        else:
            middle = window.start[1] + window.field[1] / 2
            found.append(SeenBy(middle, window.jump[1], window.field[1], asked.size[1]))
    return found


def _probabilities(cams: ActivationMaps) -> torch.Tensor:
    return torch.softmax(cams.logits[0].float(), 0)


def _target(cams: ActivationMaps, classes: Sequence[str]) -> str:
    index = int(cams.targets[0])
    if index < 0:
        words = str(cams.asked).split()
        return " ".join(classes[int(w)] if w.isdigit() else w for w in words if w != "class")
    return f"{classes[index]} ({percent(100 * float(_probabilities(cams)[index]))})"


def _finding(names: Sequence[str], maps: Sequence[ActivationMaps], classes: Sequence[str]) -> str:
    parts = []
    for name, cams in zip(names, maps, strict=True):
        sure = _probabilities(cams)
        best = int(sure.argmax())
        parts.append(f"{name} says {classes[best]} ({percent(100 * float(sure[best]))})")
    return "; ".join(parts) + "."


def _caption(
    asked: Asked, maps: Sequence[ActivationMaps], blocks: Sequence[str], names: Sequence[str]
) -> str:
    sizes = [tuple(cams[block].shape[1:]) for cams, block in zip(maps, blocks, strict=True)]
    places = dict.fromkeys(f"{block} ({h}×{w})" for block, (h, w) in zip(blocks, sizes, strict=True))
    at = "of" if blocks[-1] == PIXELS else "at block"
    empty = [
        f" {name}: {reason[0].lower()}{reason[1:]}"
        for name, cams, block in zip(names, maps, blocks, strict=True)
        if (reason := cams.why_empty(block))
    ]
    height, width = asked.size
    trained = f", trained on {asked.about['data'].partition(' (')[0]}" if "data" in asked.about else ""
    seed = f", seed {asked.about['run']['seed']}" if "run" in asked.about else ""
    return (
        f"{asked.method} {at} {' and '.join(places)}. Eval mode{trained}{seed}; the networks see the "
        f"middle square, shown here, as {height}×{width} pixels. Picture: {asked.photo}.{''.join(empty)}"
    )
