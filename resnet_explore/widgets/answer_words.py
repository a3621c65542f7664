"""What the saliency explorer says of the networks' answers, and of what they are asked about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from resnet_explore.analysis.answers import Answer, BoxAnswer, PixelAnswer
from resnet_explore.analysis.readings import Reading
from resnet_explore.analysis.targets import Box, Difference, Region
from resnet_explore.figures.style import COLORS
from resnet_explore.models.summary import Window
from resnet_explore.widgets.pairs import Pair
from resnet_explore.widgets.saliency_jobs import Explained
from resnet_explore.widgets.words import percent, signed

_ANSWERS = 5
_ALIKE = 1.02  # the first choice has this many times what each would have by chance, or is none
_COLUMNS = {
    "classes": "Answers",
    "pixels": "Share of the pixels",
    "boxes": "Score of the surest detection",
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

    def name(self, index: int) -> str:
        """Return what a class is called."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"


def answers(asked: Asked, maps: Sequence[Explained]) -> list[dict[str, Any]]:
    """Return what the networks answer most, with a bar for each network; none without classes."""
    count = max(len(cams.answer.shares) for cams in maps)
    if count < 2 and asked.pair.answers == "classes":
        return []
    shares = torch.zeros(len(maps), count, dtype=torch.float64)
    for row, cams in zip(shares, maps, strict=True):
        row[: len(cams.answer.shares)] = cams.answer.shares
    best = shares.amax(0).sort(descending=True, stable=True).indices[:_ANSWERS].tolist()
    if asked.pair.answers != "classes":
        best = [i for i in best if shares[:, i].any()]
    colours = list(COLORS.values())[-len(maps) :]
    return [
        {
            "key": asked.name(i),
            "label": asked.name(i),
            "bars": [
                {"share": float(p), "text": percent(100 * float(p)), "colour": colour}
                for p, colour in zip(shares[:, i], colours, strict=True)
            ],
        }
        for i in best
    ]


def finding(asked: Asked, names: Sequence[str], maps: Sequence[Explained]) -> str:
    """Say what the networks answer."""
    parts = [f"{name} {_says(asked, cams)}" for name, cams in zip(names, maps, strict=True)]
    return "; ".join(parts) + "."


def _says(asked: Asked, cams: Explained) -> str:
    answer = cams.answer
    best, share = asked.name(answer.best), percent(100 * float(answer.shares[answer.best]))
    if isinstance(answer, PixelAnswer):
        return f"sees {best} in {share} of the pixels"
    if isinstance(answer, BoxAnswer):
        count = len(answer.boxes)
        more = "" if count == 1 else f", the surest of its {count} detections"
        return f"finds {best} (score {share}{more})"
    if len(answer.shares) == 1:
        return f"answers {signed(float(cams.scores[0]), '.3g')}"
    if undecided(answer):
        return f"finds its {len(answer.shares):,} answers equally likely"
    return f"says {best} ({share})"


def undecided(answer: Answer) -> bool:
    """Whether a network has no first choice worth the name, as with random weights."""
    count = len(answer.shares)
    return answer.kind == "classes" and count > 1 and float(answer.shares.max()) * count < _ALIKE


def headings(asked: Asked, names: Sequence[str], maps: Sequence[Explained], part: str = "") -> list[str]:
    """Return what stands above the pictures: the name, a comma, what was asked, how sure the network is."""
    if not asked.reading.classes:
        words = ["no class"] * len(maps)
    else:  # beside the name of a part there is no room for how sure
        words = [in_words(asked, cams) + ("" if part else _sure(cams)) for cams in maps]
    part = f", {part}" if part else ""
    return [f"{name}{part}, asked about {about}" for name, about in zip(names, words, strict=True)]


def in_words(asked: Asked, cams: Explained) -> str:
    """Say what a network was asked about."""
    target = cams.target
    if isinstance(target, Difference):
        return f"{asked.name(target.this)} rather than {asked.name(target.that)}"
    if isinstance(target, Region):
        name = asked.name(target.index)
        if isinstance(target.where, tuple):
            return f"{name} at row {target.where[0]}, column {target.where[1]}"
        seen = bool(cams.answer.shares[target.index])
        return f"its {name} pixels" if seen else f"{name}, seen nowhere: over all pixels"
    if isinstance(target, Box):
        x0, y0, x1, y1 = (round(edge) for edge in target.box)
        return f"{asked.name(target.label or 0)} at x {x0} to {x1}, y {y0} to {y1}"
    if len(cams.answer.shares) == 1:
        return "its only number"
    return asked.name(target.index)  # type: ignore[attr-defined]


def _sure(cams: Explained) -> str:
    target, shares = cams.target, cams.answer.shares
    if isinstance(target, Box):
        return f" (score {percent(100 * float(cams.scores[0]))})"
    if isinstance(target, Difference | Region) or len(shares) == 1:
        return ""
    return f" ({percent(100 * float(shares[target.index]))})"  # type: ignore[attr-defined]


def box_of(asked: Asked, cams: Explained) -> tuple[float, ...] | None:
    """Return what was asked about as (x0, y0, x1, y1), in shares of the picture; None for all of it."""
    target = cams.target
    if isinstance(target, Box):
        (height, width), (x0, y0, x1, y1) = asked.size, target.box
        return x0 / width, y0 / height, x1 / width, y1 / height
    if isinstance(target, Region) and isinstance(target.where, tuple):
        (row, column), (height, width) = target.where, cams.answer.labels.shape  # type: ignore[attr-defined]
        return column / width, row / height, (column + 1) / width, (row + 1) / height
    return None


def beside_answers(asked: Asked, depth: str, networks: Sequence[Any], stage: str) -> tuple[str, str]:
    """Return what stands above and below the answers; `stage` says which weights are random, if any."""
    names = asked.pair.called(depth)
    places = [f"{name} {where}" for name, where in zip(names, ("above", "below"), strict=False)]
    heading = _COLUMNS[asked.pair.answers] + ("" if len(names) == 1 else f": {', '.join(places)}")
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
