"""What the saliency explorer says: findings, conditions and names, read off what was computed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resnet_explore.analysis.explain.methods.registry import PIXELS as OF_PIXELS
from resnet_explore.widgets.core.view import Choice
from resnet_explore.widgets.core.words import first_of, percent, signed
from resnet_explore.widgets.saliency.jobs import PIXELS, Explained, Found, undecided

OWN_CHOICE = "each network's first choice"
_PERCENTILE = 99
_LONG = 14  # letters of a label below a slider
_TITLES = {"classes": "Answers", "pixels": "Share of the pixels", "boxes": "Surest detections"}

GLOSSARY = {
    "logits": "The network's raw scores, one for each class; the softmax turns them into probabilities.",
    "logit": "The network's raw score for a class; the softmax turns all of them into probabilities.",
    "eval mode": "As the network is used after training: batch normalisation takes its stored statistics.",
    "rank correlation": "1 where two maps order their places alike, 0 where they have nothing in common, -1 "
    "where one is the other's opposite.",
    "branch": "The layers of a block, whose output is added to what came by the skip.",
    "skip": "The way on which a block's input is added to its output, past the block's layers.",
    "seed": "The number that all chance of a training comes from: starting weights and order of the images.",
    "percentile": "The 99th percentile is the value below which 99 % of all values lie.",
}

WHY = {
    "blocks": "The map shows how much each place of a block's output speaks for the class that is asked "
    "about. One forward and one backward pass give the maps of all blocks at once. Both networks share one "
    "scale at each block, so a pale map is a weak one.",
    "parts": "A residual block adds two things up: what came by the skip and what its branch made of it. The "
    "map is linear in that sum, so it splits into two maps that add up to it exactly. All three share one "
    "scale.",
    "weights": "From the answer down to the image, layer after layer gets random weights, and the same class "
    "is explained again. A map that stays the same does not show what the network has learnt. Likeness is "
    "the rank correlation with the trained network's map: 1 is unchanged, 0 nothing left, −1 its opposite.",
}


# --- the question that comes first --------------------------------------------------------------------------

SAME, OTHER = 0.75, 0.25  # rank correlations of two maps
PLACES = {"same": "the same", "partly": "partly the same", "other": "other places"}
PLACES_RULE = (
    f"Judged by the rank correlation of the two maps that are shown first: from {SAME:g} on the same, up to "
    f"{OTHER:g} other places. It is 1 where both maps order all places alike, 0 where they have nothing in "
    "common."
)
PLACES_REPLIES = {"same": "They had the same start and the same images, so one may expect that."}
PLACES_WHY = (
    "Twins start with equal weights and see the same images, yet training takes them apart: each finds "
    "features of its own, and these speak for the answer at places of their own. At the last block a map "
    "has a few coarse cells only, so there two maps agree more easily."
)


def places_question(photo: str) -> str:
    """Return what is asked about two maps."""
    return (
        f"Two networks that differ by their skips alone look at the photo “{photo}”. Do the same "
        "places of it speak for their answers?"
    )


def places_told(block: int, alike: float, last: float) -> str:
    """Return how alike the maps are at a block, and at the last one."""
    there = f"The rank correlation is {signed(alike)} at block {block}"
    return f"{there}, and {signed(last)} at the last block."


def stop(blocks: Sequence[str], block: int) -> Choice:
    """Return a stop of the block slider: its number, with the layers that it stands for."""
    if blocks[-1] == PIXELS:
        return Choice(block, PIXELS)
    return Choice(block, str(block), " and ".join(map(_short, dict.fromkeys(blocks))))


def stage_name(found: Found, stage: str) -> str:
    """Return what a stage of random weights is called: by its block's number, where it is one."""
    numbers = {name: f"block {k}" for k, blocks in enumerate(found.blocks, 1) for name in blocks}
    names = (numbers.get(name, _short(name)) for name in stage.split("+"))
    return " + ".join(dict.fromkeys(names)) if stage else "none"


def _short(layer: str) -> str:
    return layer if len(layer) <= _LONG else f"…{layer[1 - _LONG :]}"


# --- findings -----------------------------------------------------------------------------------------------


def finding(found: Found) -> str:
    """Say what the networks answer."""
    pairs = zip(found.opened.names, found.positions[""], strict=True)
    return f"{', '.join(_says(found, name, one, k) for k, (name, one) in enumerate(pairs))}."


def _says(found: Found, name: str, one: Explained, k: int) -> str:
    answer, opened = one.answer, found.opened
    best, share = opened.called(answer.best), percent(100 * float(answer.shares[answer.best]))
    if answer.kind == "pixels":
        return f"{name} {best} ({share})" if k else f"{name} sees {best} ({share} of pixels)"
    if answer.kind == "boxes":
        return f"{name} finds {best} ({share})"
    if len(answer.shares) == 1:
        return f"{name} answers {signed(float(one.maps.scores[0]), '.3g')}"
    if undecided(answer):
        return f"{name} finds all answers equally likely"
    return f"{name} says {best} ({share})"


def split_finding(name: str, block: int, skip: float, branch: float) -> str:
    """Say how much of a block's map came by the skip; the two are sums of magnitudes."""
    if not skip + branch:
        return f"{name}: block {block}'s map is empty."
    return f"{name}: {percent(100 * skip / (skip + branch))} of block {block}'s map came by the skip."


def survival(found: Found, stage: str, alike: Sequence[float]) -> str:
    """Say how much of the trained map of a block is left once weights are random."""
    if not stage:
        return "All weights are as trained. Move the slider to make them random."
    left = ", ".join(f"{signed(r)} ({name})" for name, r in zip(found.opened.names, alike, strict=True))
    return f"Random down to {stage_name(found, stage)}: the map's likeness is {left}."


# --- what was asked -----------------------------------------------------------------------------------------


def heading(found: Found, one: Explained) -> str:
    """Return what stands above a map beside the network's name: what was asked, and how sure it is."""
    if not found.info.classes:
        return "asked about no class"
    return f"asked about {asked_about(found, one)}{_sure(one)}"


def asked_about(found: Found, one: Explained) -> str:
    """Say what a network was asked about."""
    from resnet_explore.analysis.explain.targets import Box, Difference, Region

    target, opened = one.target, found.opened
    if isinstance(target, Difference):
        return f"{opened.called(target.this)} rather than {opened.called(target.that)}"
    if isinstance(target, Region):
        name = opened.called(target.index)
        if isinstance(target.where, tuple):
            return f"{name} at row {target.where[0]}, column {target.where[1]}"
        seen = bool(one.answer.shares[target.index])
        return f"its {name} pixels" if seen else f"{name}, which it sees nowhere"
    if isinstance(target, Box):
        x0, y0, x1, y1 = (round(edge) for edge in target.box)
        return f"{opened.called(target.label or 0)} at x {x0} to {x1}, y {y0} to {y1}"
    if len(one.answer.shares) == 1:
        return "its only number"
    return opened.called(target.index)


def _sure(one: Explained) -> str:
    from resnet_explore.analysis.explain.targets import Box, Difference, Region

    target, shares = one.target, one.answer.shares
    if isinstance(target, Box):
        return f" (score {percent(100 * float(one.maps.scores[0]))})"
    if isinstance(target, Difference | Region) or len(shares) == 1:
        return ""
    return f" ({percent(100 * float(shares[target.index]))})"


def answers_title(found: Found) -> str:
    """Return what stands above the answers."""
    return _TITLES[found.opened.kind]


def answers_note(found: Found, stage: str = "") -> str:
    """Return what is to be said of the answers: above all that a network names one of its classes anyway."""
    if stage:
        return (
            f"Weights are random down to {stage_name(found, stage)}. The maps are still about the same class."
        )
    count, several = len(found.opened.classes), len(found.opened.networks) > 1
    known = f"know only {count} classes and name" if several else f"knows only {count} classes and names"
    few = f"{'They' if several else 'It'} {known} one of them for every photo. "
    limited = found.opened.kind == "classes" and 1 < count <= 100
    return f"{few if limited else ''}{_how_good(found)}Press an answer to ask about it."


def _how_good(found: Found) -> str:
    """Say how often the networks are wrong, where that is known."""
    about = [getattr(one.model, "about", None) or {} for one in found.opened.networks]
    errors = [percent(a["test_error"]) for a in about if a.get("test_error") is not None]
    if len(errors) < len(about):
        return ""
    return f"{'They get' if len(errors) > 1 else 'It gets'} {' and '.join(errors)} of test images wrong. "


# --- conditions ---------------------------------------------------------------------------------------------


def conditions(found: Found, blocks: Sequence[str], stage: str = "", position: str = "") -> tuple[str, ...]:
    """Return what a picture's reader must know."""
    return (
        *_what(found, blocks, position),
        *_of_networks(found, stage),
        *_of_maps(found, blocks, stage, position),
    )


def _what(found: Found, blocks: Sequence[str], position: str) -> Iterator[str]:
    explained = found.positions[position]
    sizes = [tuple(one.maps[block].shape[1:]) for one, block in zip(explained, blocks, strict=True)]
    places = dict.fromkeys(f"{block} ({h}×{w} cells)" for block, (h, w) in zip(blocks, sizes, strict=True))
    at = "of the" if blocks[-1] == PIXELS else f"at block {found.blocks.index(tuple(blocks)) + 1},"
    yield f"{found.info.title} {at} {' and '.join(places)}, in {found.info.unit}."
    if found.info.by == OF_PIXELS:
        yield f"Full colour is the {_PERCENTILE}th percentile, as a few pixels are far above all others."
    if not found.info.classes:
        yield f"{found.info.title} knows no class: what is asked about changes nothing."


def _of_networks(found: Found, stage: str) -> Iterator[str]:
    about = found.opened.about
    trained = f" Trained on {about['data'].partition(' (')[0]}" if "data" in about else ""
    seed = f", seed {about['run']['seed']}" if trained and "run" in about else ""
    yield f"Eval mode.{trained}{seed}{'.' if trained else ''}"
    if stage:
        yield (
            f"All weights from the answer down to {stage.replace('+', ' and ')} are random. The maps are "
            "still about the class that the trained networks were asked about."
        )
    height, width = found.size
    sees = "the middle square as " if found.cropped else ""
    verb = "get" if found.opened.kind == "boxes" else "see"  # a detector enlarges it first
    who = f"The networks {verb}" if len(found.opened.networks) > 1 else f"The network {verb}s"
    yield f"{who} {sees}{height}×{width} pixels. Picture: {found.about}."


def _of_maps(found: Found, blocks: Sequence[str], stage: str, position: str) -> Iterator[str]:
    explained, names = found.positions[position], found.opened.names
    for name, one in zip(names, explained, strict=True):
        if one.answer.kind == "boxes":
            yield f"{name} finds {len(one.answer.boxes)} boxes; its surest is named above."
    for name, one, block in zip(names, explained, blocks, strict=True):
        if reason := one.maps.why_empty(block):
            yield f"{name}: {reason[0].lower()}{reason[1:]}"
        if block in one.maps.layouts:
            yield f"What this block of {name} gives: {one.maps.layouts[block]}."
        reasons: dict[str, list[str]] = {}
        for layer, reason in one.maps.omitted.items():
            reasons.setdefault(reason, []).append(layer)
        for reason, layers in reasons.items():
            yield f"Not shown of {name}: {first_of(layers)}, as {reason}."
        if one.left_out:
            yield f"Blocks of {name} that can't be split: {first_of(one.left_out)}."


def faint(name: str, share: float) -> str:
    """Say that a network's map is too faint to be seen beside the other, as both share one scale."""
    return f"{name}'s map is pale: on the shared scale it reaches {percent(100 * share)} of full colour."


# --- verdicts -----------------------------------------------------------------------------------------------

MEASURES = {
    "deletion": (
        "Deletion: low is good",
        "The pixels that the map names first are taken away: how sure does it stay?",
    ),
    "insertion": ("Insertion: high is good", "They are brought back first: how soon is it sure again?"),
    "road": (
        "ROAD: high is good",
        "As deletion, but the holes are filled in, so that the network does not see them.",
    ),
    "randomisation": (
        "Likeness after random weights: low is good",
        "A map that stays is not about what was learnt.",
    ),
    "stability": (
        "Stability under noise: high is good",
        "A map should hardly change where the photo hardly does.",
    ),
}
VERDICT_NOTE = (
    "Chance is 19 random maps of the same size: mean ± standard deviation. Centre is a blob in the middle. "
    "✓ means that no random map does as well. For the likeness it means: no larger than theirs. All this is "
    "for this photo alone."
)


def judged(found: Found, block: int) -> str:
    """Say which maps a verdict is on, and what is watched where that isn't the probability of a class."""
    from resnet_explore.analysis.explain.targets import Box, Difference, Region

    where = "of the pixels" if found.blocks[block - 1][-1] == PIXELS else f"at block {block}"
    words, target = f"{found.info.title} {where}", found.positions[""][0].target
    if isinstance(target, Difference):
        this, that = found.opened.called(target.this), found.opened.called(target.that)
        return f"{words}, {this} rather than {that}, judged by how likely {this} is of the two"
    if isinstance(target, Region):
        return f"{words}, judged by the mean probability of the pixels' class"
    return f"{words}, judged by the box's score" if isinstance(target, Box) else words


def verdict_title(names: Sequence[str], verdicts: Sequence[Mapping[str, Any]], complete: bool) -> str:
    """Say how many measures each network's map has passed."""
    if not complete:
        return "Better than chance? Measuring ..."
    places, checks = ([_passed(known, sanity) for known in verdicts] for sanity in (False, True))
    done = ", ".join(f"{name} in {passed}" for name, passed in zip(names, places, strict=True))
    more = f". Sanity checks passed: {' and '.join(checks)}" if all(checks) else ""
    return f"Better than chance? {done}{more}."


def _passed(known: Mapping[str, Any], sanity: bool) -> str:
    """Return "1 of 3" of the measures of one kind, "" where none is known."""
    some = [verdict.passed for verdict in known.values() if verdict.sanity == sanity]
    return f"{sum(some)} of {len(some)}" if some else ""


def beside_chance(verdict: Any) -> str:
    """Return what chance and a blob in the centre get."""
    numbers = (verdict.random, verdict.spread, verdict.centre)
    random, spread, centre = (signed(one, f".{verdict.decimals}f") for one in numbers)
    middle = "no centre" if math.isnan(verdict.centre) else f"centre {centre}"
    as_good = ", as good" if verdict.passed and not verdict.sanity and not verdict.beats_centre else ""
    return f"chance {random} ± {spread}, {middle}{as_good}"


def offered(why: str, about: str) -> str:
    """Say why nothing was measured yet."""
    reasons = {
        "undecided": "no answer is likelier than the others",
        "slow": "it takes hundreds of passes",
        "stopped": "you stopped it",
    }
    return f"Not judged yet, as {reasons[why]}: {about}."
