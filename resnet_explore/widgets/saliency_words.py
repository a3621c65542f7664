"""What the saliency explorer says: findings, conditions and answers, read off the maps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from resnet_explore.analysis.cams import ActivationMaps
from resnet_explore.analysis.readings import Reading
from resnet_explore.analysis.targets import Difference
from resnet_explore.figures.style import COLORS
from resnet_explore.models.summary import Window
from resnet_explore.widgets.heatmaps import HeatmapSeries, HeatmapStep, SeenBy, largest
from resnet_explore.widgets.pairs import Pair
from resnet_explore.widgets.saliency_jobs import AS_TRAINED, BRANCH, PIXELS, RANDOM_TO, SKIP, SUM, likeness
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

    reading  of the method: its title, and what its numbers are
    photo    what the photo is, in words
    cropped  whether networks see the photo's middle square, or all of it
    size     height and width of the networks' input
    about    what the networks carry of their training
    seen     receptive fields by depth: of the left and the right network, by layer
    """

    pair: Pair
    classes: Sequence[str]
    reading: Reading
    photo: str
    cropped: bool
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
        headings = _headings(asked, names, maps)
        shown.append(HeatmapSeries(steps, depth, _finding(names, maps, asked.classes), headings))
    return shown


def random_series(
    asked: Asked, depth: str, found: Mapping[str, Sequence[ActivationMaps]]
) -> list[HeatmapSeries]:
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
                    caption=_caption(asked, maps, blocks, names, stage),
                    seen_by=_seen_by(asked, depth, blocks),
                )
            )
        shown.append(HeatmapSeries(steps, stage, "", _headings(asked, names, maps)))
    return shown


def _survival(stage: str, names: Sequence[str], blocks: Sequence[str], alike: Sequence[float]) -> str:
    """Say how much of the trained map of a block is left."""
    if stage == AS_TRAINED:
        return "As trained. Move Weights to make them random, from the answer down to the image."
    where = "of pixels" if blocks[-1] == PIXELS else f"of block {_tick(blocks[-1])}"
    left = " and ".join(f"{_number(r)} in {name}" for name, r in zip(names, alike, strict=True))
    return (
        f"Weights {stage}: the rank correlation of the map {where} with the trained one is {left} "
        "(1: unchanged, 0: nothing is left)."
    )


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def part_series(
    asked: Asked, depth: str, found: Mapping[str, Sequence[ActivationMaps]]
) -> list[HeatmapSeries]:
    """Return what to show for the maps of one depth and their two parts, which share a block's scale."""
    names, whole = asked.pair.called(depth), found[SUM]
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
                caption=f"{_PARTS[part]} {_caption(asked, whole, blocks, names)}",
                seen_by=_seen_by(asked, depth, blocks),
                scale=scale,
            )
            for blocks, scale in zip(pairs, scales, strict=True)
        ]
        headings = [f"{name}, {part}" for name in names]
        shown.append(HeatmapSeries(steps, part, "", headings))
    return shown


def _split(found: Mapping[str, Sequence[ActivationMaps]], names: Sequence[str], blocks: Sequence[str]) -> str:
    """Say how much of a block's maps came by the skip."""
    shares = [_share_of_skip(found, side, block) for side, block in enumerate(blocks)]
    words = "; ".join(
        f"{name}: {percent(100 * share)} of the map of block {_tick(block)} came by the skip"
        if share > 0
        else f"{name} has no skip"
        for name, share, block in zip(names, shares, blocks, strict=True)
    )
    return f"{words}."


def answers(asked: Asked, maps: Sequence[ActivationMaps]) -> list[dict[str, Any]]:
    """Return the likeliest classes of both networks, with a bar for each network; none without classes."""
    sure = [_probabilities(cams) for cams in maps]
    if any(len(p) != len(asked.classes) for p in sure):
        return []
    best = torch.stack(sure).amax(0).topk(min(_ANSWERS, len(asked.classes))).indices
    colours = list(COLORS.values())[-len(sure) :]
    return [
        {
            "key": asked.classes[int(i)],
            "label": asked.classes[int(i)],
            "bars": [
                {"share": float(p[i]), "text": percent(100 * float(p[i])), "colour": colour}
                for p, colour in zip(sure, colours, strict=True)
            ],
        }
        for i in best
    ]


def in_step(*networks: Sequence[str]) -> list[tuple[str, ...]]:
    """Pair the blocks of networks by how deep they lie; twins pair one to one."""
    count = max(map(len, networks))
    return [tuple(blocks[i * len(blocks) // count] for blocks in networks) for i in range(count)]


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
        # Of other pictures than squares the view could not say where.
        if block == PIXELS or window is None or asked.size[0] != asked.size[1]:
            found.append(None)
        else:
            middle = window.start[1] + window.field[1] / 2
            found.append(SeenBy(middle, window.jump[1], window.field[1], asked.size[1]))
    return found


def _probabilities(cams: ActivationMaps) -> torch.Tensor:
    return torch.softmax(cams.logits[0].float(), 0)


def _headings(asked: Asked, names: Sequence[str], maps: Sequence[ActivationMaps]) -> list[str]:
    """Return what stands above the pictures: the name, a comma, what was asked, how sure the network is."""
    if not asked.reading.classes:
        return [f"{name}, asked about no class" for name in names]
    return [
        f"{name}, asked about {_target(cams, asked.classes)}" for name, cams in zip(names, maps, strict=True)
    ]


def citation(
    asked: Asked, entry: str, networks: Sequence[Any], maps: Sequence[ActivationMaps], over: str
) -> dict[str, str]:
    """Return by name what a saved heatmap must say of itself; "file" is what it is called."""
    if not asked.reading.classes:
        classes = ["none"]
    else:
        classes = [_target(cams, asked.classes).partition(" (")[0] for cams in maps]
    known = [getattr(network, "about", None) or {} for network in networks]
    weights = dict.fromkeys(str(about.get("provenance", "")) for about in known)
    slug = re.sub(r"\W+", "-", " ".join([asked.reading.title, *dict.fromkeys(classes)])).strip("-").lower()
    return {
        "file": f"heatmaps-{slug}",
        "method": asked.reading.title,
        "class": ", ".join(classes),
        "photo": asked.photo,
        "networks": entry,
        "shown": over,
        "weights": "; ".join(filter(None, weights)) or "not said",
        "data": str(asked.about.get("data", "not said")),
        "signs": asked.reading.signs("positive", "negative"),
    }


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
    asked: Asked,
    maps: Sequence[ActivationMaps],
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
    height, width = asked.size
    sees = "the middle square, shown here, as " if asked.cropped else ""
    blind = "" if asked.reading.classes else " It knows no class: what is asked changes nothing."
    return (
        f"{asked.reading.title} {at} {' and '.join(places)}, in {asked.reading.unit}.{blind} Eval mode"
        f"{_weights(asked, stage)}; {'the networks see' if len(names) > 1 else 'the network sees'} "
        f"{sees}{height}×{width} pixels. Picture: {asked.photo}.{''.join(empty)}"
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


def judged(asked: Asked, blocks: Sequence[str], target: Any) -> str:
    """Say which maps a verdict is on."""
    where = "of pixels" if blocks[-1] == PIXELS else f"at block {' and '.join(dict.fromkeys(blocks))}"
    words = f"{asked.reading.title} {where}"
    if isinstance(target, Difference):
        this, that = asked.classes[target.this], asked.classes[target.that]
        words += f", {this} rather than {that} (watched is how likely {this} is of the two)"
    return words


def beside_answers(asked: Asked, depth: str, networks: Sequence[Any], stage: str) -> tuple[str, str]:
    """Return what stands above and below the answers; `stage` says which weights are random, if any."""
    names = asked.pair.called(depth)
    places = [f"{name} {where}" for name, where in zip(names, ("above", "below"), strict=False)]
    heading = "Answers" if len(names) == 1 else f"Answers: {', '.join(places)}"
    if stage:
        return heading, f"With weights {stage}; the maps stay those of the class that was asked about before."
    return heading, f"Press an answer to ask about it. {_how_good(networks)}"


def _how_good(networks: Sequence[Any]) -> str:
    """Say how often the networks are wrong, where that is known."""
    about = [getattr(network, "about", None) or {} for network in networks]
    errors = [percent(a["test_error"]) for a in about if a.get("test_error") is not None]
    if len(errors) < len(about):
        return ""
    who = "They get" if len(errors) > 1 else "It gets"
    return f"{who} {' and '.join(errors)} of the test images wrong; data: {about[0]['data']}."
