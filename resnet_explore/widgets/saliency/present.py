"""From the state of the saliency explorer, and what was found for it, to its page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from resnet_explore.analysis.explain.methods.registry import METHODS, PIXELS as OF_PIXELS, methods
from resnet_explore.widgets.catalog.networks import Networks
from resnet_explore.widgets.core.guess import Question
from resnet_explore.widgets.core.heatmap_panel import Heatmap, Heatmaps, SeenBy, Step, palettes, step
from resnet_explore.widgets.core.view import (
    AnswerBars,
    Bar,
    Button,
    Check,
    Choice,
    Choices,
    Menu,
    More,
    Named,
    Over,
    Part,
    Slider,
    Tabs,
    View,
)
from resnet_explore.widgets.core.words import percent, signed
from resnet_explore.widgets.saliency import captions
from resnet_explore.widgets.saliency.jobs import (
    BRANCH,
    PIXELS,
    SKIP,
    WHOLE,
    Explained,
    Found,
    Judged,
    likeness,
    rank_likeness,
)
from resnet_explore.widgets.saliency.state import SaliencyState
from resnet_explore.widgets.saliency.verdict_panel import Cell, Row, VerdictRows, VerdictTable

# What the first question is about: who has changed one of them is past it.
_ASKED = ("networks", "image", "view", "method", "target", "rather", "place")
_FEW_CELLS = 6  # a side; a map of so few says little about where
_WEAK = 0.1  # of full colour, and a map is hardly seen
_PERCENTILE = 99  # of the magnitudes by pixels: the value of full colour
_ANSWERS = 5
_PARTS = {WHOLE: "the whole map", SKIP: "what came by the skip", BRANCH: "what the branch made"}
_GROUPS = {"blocks": "By blocks", "trials": "By blocks, each channel tried", "pixels": "By pixels"}
_TABS = Tabs(
    "view",
    (
        Choice("blocks", "Where it looked", "The map of each block"),
        Choice("parts", "Skip and branch", "What of each map came by the skip and what the branch made"),
        Choice("weights", "Random weights", "What is left of the maps once weights are random"),
    ),
)


def present(
    state: SaliencyState,
    entries: Mapping[str, Networks],
    pictures: Sequence[Part],
    found: Mapping[int, Found],
    verdict: Judged | str | None,
) -> View:
    """Return the page.

    pictures  the controls that choose an image
    found     by depth, those that are there
    verdict   what was measured of this block's maps, or why nothing is ("slow", "stopped"); None for a
              verdict that is yet to come
    """
    here = found.get(state.depth) or next(iter(found.values()), None)
    ask = (*pictures, *_menus(state, entries, here))
    waiting = "Heatmaps of two networks on one photo, block by block."
    asked = _question(state, entries, found.get(state.depth))
    if state.depth not in found:
        return View(
            tabs=_TABS, ask=ask, panels=None, waiting=waiting, question=asked, glossary=captions.GLOSSARY
        )
    page = {"blocks": _blocks, "parts": _parts, "weights": _weights}[state.view]
    about = found[state.depth]
    return View(
        tabs=_TABS,
        ask=ask,
        why=captions.WHY[state.view],
        glossary=captions.GLOSSARY,
        below=((VerdictTable("verdict"),),) if state.view == "blocks" else (),
        aside={"verdict": _verdict(about, state, verdict)} if state.view == "blocks" else {},
        waiting=waiting,
        question=asked,
        **page(state, entries, found),
    )


def _question(state: SaliencyState, entries: Mapping[str, Networks], found: Found | None) -> Question | None:
    """Return what is asked about the first photo of the networks that come first; of nothing else."""
    usual = SaliencyState()
    if usual.networks not in entries:
        return None
    photo = entries[usual.networks].sample
    first = replace(usual, image=photo)
    if any(getattr(state, name) != getattr(first, name) for name in _ASKED):
        return None
    right, told = (None, "") if found is None else found.once(_likeness)
    return Question(
        f"saliency/{state.networks}/{photo}",
        captions.places_question(photo),
        tuple(Choice(*pair) for pair in captions.PLACES.items()),
        right,
        captions.PLACES_RULE,
        told,
        captions.PLACES_WHY,
        captions.PLACES_REPLIES if right != "same" else {},
    )


def _likeness(found: Found) -> tuple[str, str]:
    """Return how alike two networks' maps are at the block that is shown first, as answer and in words."""
    clear, (left, right) = clear_block(found), found.positions[""]
    alike, last = (
        rank_likeness(left.maps[a], right.maps[b]) for a, b in (found.blocks[clear - 1], found.blocks[-1])
    )
    answer = "same" if alike >= captions.SAME else "other" if alike <= captions.OTHER else "partly"
    return answer, captions.places_told(clear, alike, last)


# --- what is asked ------------------------------------------------------------------------------------------


def _menus(state: SaliencyState, entries: Mapping[str, Networks], here: Found | None) -> list[Part]:
    kind = "classes" if here is None else here.opened.kind
    ours = tuple(Choice(key, entry.label, entry.tip) for key, entry in entries.items())
    classes = _classes(here)
    own = Choice(None, captions.OWN_CHOICE)
    parts: list[Part] = [] if len(ours) < 2 else [Menu("networks", "Networks", ours)]
    parts += [Menu("method", "Method", _methods(state, here)), Menu("target", "Ask about", (own, *classes))]
    if kind != "classes":
        nowhere = "" if state.place else "Click into a picture to ask about a place"
        parts.append(Button("everywhere", "Forget the place", missing=nowhere))
    rarely: list[Part] = []
    if kind == "classes":
        rarely.append(Menu("rather", "Rather than", (Choice(None, "no other class"), *classes)))
    rarely += [
        Slider("opacity", "Opacity", tuple(Choice(round(k / 20, 2), f"{5 * k} %") for k in range(21))),
        Menu("palette", "Colours", tuple(Choice(one.name, one.name) for one in palettes())),
        Check("shared", "One scale for all blocks"),
    ]
    return [*parts, More("more", rarely)]


def _methods(state: SaliencyState, here: Found | None) -> tuple[Choice, ...]:
    can = tuple(methods()) if here is None else here.opened.methods
    whole = "explains by the pixels, where nothing came by a skip"
    return tuple(
        Choice(
            name,
            METHODS[name].title,
            group=_GROUPS[METHODS[name].by],
            missing=whole if state.view == "parts" and METHODS[name].by == OF_PIXELS else "",
        )
        for name in can
    )


def _classes(here: Found | None) -> list[Choice]:
    """Return the classes that can be asked about; of a detector those that it has found."""
    if here is None:
        return []
    if here.opened.kind != "boxes":
        return [Choice(k, name) for k, name in enumerate(here.opened.classes)]
    first = next(iter(here.positions.values()))
    seen = sorted({int(k) for one in first for k in one.answer.shares.nonzero()})
    return [Choice(k, here.opened.called(k)) for k in seen]


# --- the three views ----------------------------------------------------------------------------------------


def _blocks(
    state: SaliencyState, entries: Mapping[str, Networks], found: Mapping[int, Found]
) -> dict[str, Any]:
    here = found[state.depth]
    depths = entries[state.networks].depths
    steps = {depth: one.once(_steps) for depth, one in found.items()}
    panel = _panel(
        state,
        here,
        Over("depth", {depth: _over_blocks(each) for depth, each in steps.items()}),
        Over("depth", {depth: max(one.scale for one in each) for depth, each in steps.items()}),
        Over("depth", {depth: one.once(captions.finding) for depth, one in found.items()}),
    )
    ticks = {depth: _ticks(found.get(depth, here)) for depth in (depths or (0,))}
    sliders = [Slider("block", "Block", Over("depth", ticks) if depths else ticks[0], play=True)]
    if len(depths) > 1:
        counts = {depth: tuple(range(1, len(one.blocks) + 1)) for depth, one in found.items()}
        stops = tuple(Choice(depth, str(depth)) for depth in depths)
        sliders.append(Slider("depth", "Depth", stops, play=True, carries={"block": counts}))
    return {
        "headline": panel.alt,
        "panels": ((panel, Over("depth", {depth: one.once(_answers) for depth, one in found.items()})),),
        "sliders": tuple(sliders),
        "conditions": Over("depth", {d: _over_blocks(one.once(_conditions)) for d, one in found.items()}),
    }


def _parts(
    state: SaliencyState, entries: Mapping[str, Networks], found: Mapping[int, Found]
) -> dict[str, Any]:
    here = found[state.depth]
    steps, headlines, conditions = here.once(_split)
    headline = _over_blocks(headlines)
    panel = _panel(state, here, _over_blocks(steps), max(one.scale for one in steps), headline, columns=3)
    return {
        "headline": headline,
        "panels": ((panel,),),
        "sliders": (Slider("block", "Block", _ticks(here), play=True),),
        "conditions": _over_blocks(conditions),
    }


def _split(found: Found) -> tuple[list[Step], list[str], list[tuple[str, ...]]]:
    """Return for each block the maps and their two parts, of networks that have skips, and what to say."""
    sides = [k for k, one in enumerate(found.positions[SKIP]) if _any(one)] or [0]
    steps, headlines = [], []
    for k, blocks in enumerate(found.blocks, 1):
        maps = [
            _heatmap(found, found.positions[part][side], side, blocks[side], words)
            for side in sides
            for part, words in _PARTS.items()
        ]
        steps.append(step(maps, _name(blocks)))
        last, block = sides[-1], blocks[sides[-1]]
        skip, branch = (_total(found.positions[part][last], block) for part in (SKIP, BRANCH))
        headlines.append(captions.split_finding(found.opened.names[last], k, skip, branch))
    return steps, headlines, [captions.conditions(found, blocks, position=WHOLE) for blocks in found.blocks]


def _any(one: Explained) -> bool:
    return any(bool(values.any()) for values in one.maps.values())


def _total(one: Explained, block: str) -> float:
    return float(one.maps[block][0].abs().sum())


def _weights(
    state: SaliencyState, entries: Mapping[str, Networks], found: Mapping[int, Found]
) -> dict[str, Any]:
    here = found[state.depth]
    steps = {stage: here.once(_steps, stage) for stage in here.positions}
    headline = Over("stage", {stage: _over_blocks(here.once(_survival, stage)) for stage in here.positions})
    panel = _panel(
        state,
        here,
        Over("stage", {stage: _over_blocks(each) for stage, each in steps.items()}),
        Over("stage", {stage: max(one.scale for one in each) for stage, each in steps.items()}),
        headline,
    )
    stages = tuple(Choice(stage, captions.stage_name(here, stage)) for stage in here.positions)
    return {
        "headline": headline,
        "panels": ((panel, Over("stage", {stage: here.once(_answers, stage) for stage in here.positions})),),
        "sliders": (
            Slider("stage", "Random down to", stages, play=True),
            Slider("block", "Block", _ticks(here), play=True),
        ),
        "conditions": Over(
            "stage", {stage: _over_blocks(here.once(_conditions, stage)) for stage in here.positions}
        ),
    }


def _survival(found: Found, stage: str) -> list[str]:
    """Say of each block how much of the trained map is left."""
    said = []
    for blocks in found.blocks:
        pairs = zip(found.positions[""], found.positions[stage], blocks, strict=True)
        alike = [likeness(trained.maps, now.maps, block) for trained, now, block in pairs]
        said.append(captions.survival(found, stage, alike))
    return said


def _over_blocks(each: Sequence[Any]) -> Any:
    """Return what depends on the block; where there is but one step it is shown wherever the slider was."""
    return Over("block", dict(enumerate(each, 1))) if len(each) > 1 else each[0]


def _ticks(found: Found) -> tuple[Choice, ...]:
    return tuple(captions.stop(blocks, k) for k, blocks in enumerate(found.blocks, 1))


def _conditions(found: Found, stage: str = "") -> list[tuple[str, ...]]:
    said = []
    for blocks in found.blocks:
        if stage:
            said.append(captions.conditions(found, blocks, stage, stage))
            continue
        full = _strength(found, "", list(enumerate(blocks)))
        shares = [_strength(found, "", [pair]) / full if full else 1.0 for pair in enumerate(blocks)]
        faint = [
            captions.faint(name, share)
            for name, share in zip(found.opened.names, shares, strict=True)
            if share < _WEAK
        ]
        said.append((*captions.conditions(found, blocks), *faint))
    return said


# --- maps ---------------------------------------------------------------------------------------------------


def _panel(
    state: SaliencyState, found: Found, steps: Any, together: Any, alt: Any, columns: int = 2
) -> Heatmaps:
    return Heatmaps(
        "maps",
        picture=found.picture,
        picture_key=state.image,
        steps=steps,
        together=together,
        unit=found.info.unit,
        meaning=found.info.meaning,
        columns=columns,
        asks="ask" if found.opened.kind != "classes" else "",
        alt=alt,
    )


def _steps(found: Found, position: str = "") -> list[Step]:
    steps = []
    for blocks in found.blocks:
        explained = found.positions[position]
        maps = [
            _heatmap(found, one, k, block, captions.heading(found, one))
            for k, (one, block) in enumerate(zip(explained, blocks, strict=True))
        ]
        pixels = found.info.by == OF_PIXELS
        scale = _strength(found, position, list(enumerate(blocks))) if pixels else None
        steps.append(step(maps, _name(blocks), scale))
    return steps


def _name(blocks: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(blocks))


def _heatmap(found: Found, one: Explained, side: int, block: str, heading: str) -> Heatmap:
    return Heatmap(
        values=one.maps[block][0].float().numpy(),
        name=found.opened.names[side],
        heading=heading,
        color=color_of(found, side),
        seen_by=_seen_by(found, side, block),
        mark=_mark(found, one),
    )


def color_of(found: Found, side: int) -> str:
    """Return the colour of a network's name."""
    kind = found.opened.networks[side].kind
    return kind if kind in ("plain", "residual") else ""


def _seen_by(found: Found, side: int, block: str) -> SeenBy | None:
    window, (height, width) = found.opened.windows[side].get(block), found.size
    if block == PIXELS or window is None or height != width:  # of others than squares nobody could say where
        return None
    middle = window.start[1] + window.field[1] / 2
    return SeenBy(middle / width, window.jump[1] / width, window.field[1] / width, round(window.field[1]))


def _mark(found: Found, one: Explained) -> tuple[float, ...] | None:
    """Return what was asked about as (x0, y0, x1, y1), in shares of the picture; None for all of it."""
    from resnet_explore.analysis.explain.targets import Box, Region

    target, (height, width) = one.target, found.size
    if isinstance(target, Box):
        x0, y0, x1, y1 = target.box
        return x0 / width, y0 / height, x1 / width, y1 / height
    if isinstance(target, Region) and isinstance(target.where, tuple):
        (row, column), (height, width) = target.where, one.answer.labels.shape
        return column / width, row / height, (column + 1) / width, (row + 1) / height
    return None


def _strength(found: Found, position: str, blocks: Sequence[tuple[int, str]]) -> float:
    """Return the largest magnitude in a few maps, of these sides; by pixels one that few exceed.

    There some values are many times all others, and would leave the rest without colour.
    """
    values = [
        np.abs(found.positions[position][k].maps[block][0].float().numpy()).ravel() for k, block in blocks
    ]
    share = _PERCENTILE if found.info.by == OF_PIXELS else 100
    return float(np.percentile(np.concatenate(values), share))


def clear_block(found: Found) -> int:
    """Return the last block, from 1, whose maps have more than a few cells and show anything."""
    explained = next(iter(found.positions.values()))
    fine, seen = 0, 0
    for k, blocks in enumerate(found.blocks, 1):
        maps = [one.maps[block][0] for one, block in zip(explained, blocks, strict=True)]
        if any(bool(values.any()) for values in maps):
            seen = k
            if min(min(values.shape) for values in maps) > _FEW_CELLS:
                fine = k
    return fine or seen or len(found.blocks)


# --- answers and verdicts -----------------------------------------------------------------------------------


def _names(found: Found) -> tuple[Named, ...]:
    return tuple(Named(name, color_of(found, k)) for k, name in enumerate(found.opened.names))


def _answers(found: Found, stage: str = "") -> Choices | None:
    """Return what the networks answer most, with a bar for each network; none without classes."""
    explained = found.positions[stage]
    count = max(len(one.answer.shares) for one in explained)
    if count < 2 and found.opened.kind == "classes":
        return None
    shares = np.zeros((len(explained), count))
    for row, one in zip(shares, explained, strict=True):
        row[: len(one.answer.shares)] = one.answer.shares.numpy()
    best = np.argsort(-shares.max(0), kind="stable")[:_ANSWERS].tolist()
    if found.opened.kind != "classes":
        best = [i for i in best if shares[:, i].any()]
    answers = tuple(
        AnswerBars(
            i, found.opened.called(i), tuple(_bar(found, k, float(p)) for k, p in enumerate(shares[:, i]))
        )
        for i in best
    )
    return Choices(
        "target", captions.answers_title(found), _names(found), answers, captions.answers_note(found, stage)
    )


def _bar(found: Found, side: int, share: float) -> Bar:
    return Bar(share, percent(100 * share), color_of(found, side))


def _verdict(found: Found, state: SaliencyState, verdict: Judged | str | None) -> VerdictRows:
    of, question = (state.depth, state.block), "Better than chance?"
    about = captions.judged(found, min(max(state.block, 1), len(found.blocks)))
    if isinstance(verdict, str) or (verdict is not None and verdict.put_off):
        why = verdict if isinstance(verdict, str) else verdict.put_off
        return VerdictRows(of, question, note=captions.offered(why, about), press="Judge", act="judge")
    known = verdict.verdicts if verdict is not None else ()
    measures = verdict.measures if verdict is not None else tuple(captions.MEASURES)
    names = _names(found)
    nothing = (None,) * len(names)
    rows = tuple(
        Row(*captions.MEASURES[metric], tuple(_cell(one.get(metric)) for one in known) or nothing)
        for metric in measures
    )
    complete = verdict is not None and verdict.complete
    title = captions.verdict_title(found.opened.names, known, complete)
    press = {} if complete else {"press": "Stop", "act": "halt"}
    return VerdictRows(of, title, names, rows, f"{about}. {captions.VERDICT_NOTE}", **press)


def _cell(verdict: Any) -> Cell | None:
    if verdict is None:
        return None
    return Cell(
        verdict.passed, signed(verdict.value, f".{verdict.decimals}f"), captions.beside_chance(verdict)
    )
