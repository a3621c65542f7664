"""Step 2: one addition. A photo goes through a block of a trained network, whose skip can be taken away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resnet_explore.errors import ExploreError
from resnet_explore.paths import PHOTO_TWINS, PHOTO_WEIGHTS
from resnet_explore.widgets.core.outcome_panel import OutcomeBar, OutcomeBars, Side
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.core.view import Check, Choice, Over, Prose, Slider, View
from resnet_explore.widgets.core.words import percent
from resnet_explore.widgets.lesson import captions
from resnet_explore.widgets.lesson.panels import Sum
from resnet_explore.widgets.lesson.state import LessonState

FIELDS = ("skip", "channel")
BLOCK, PHOTO = "layer1.0", "temple"
_CHANNELS, _ANSWERS = 8, 2


@dataclass(frozen=True, eq=False)
class Looked:
    """What a photo becomes in the block, and what the network answers.

    skip, branch  float32 (C, h, w)
    channels      those whose sums vary most, in order
    shares        {whether the block adds: softmax over the classes, (classes,)}
    size          of the photo as the network takes it, in pixels a side
    picture       the photo, bytes of a JPEG or PNG
    """

    skip: np.ndarray
    branch: np.ndarray
    channels: Sequence[int]
    shares: Mapping[bool, np.ndarray]
    classes: Sequence[str]
    size: int
    picture: bytes


@dataclass(frozen=True)
class LookIntoBlock(Job):
    """Run a photo through the residual photo network, with and without one block's skip."""

    says = "A photo goes through the network ..."

    def run(self, task: Task) -> Looked:
        """Return what the block makes of it."""
        import torch

        from resnet_explore.analysis.activations.feature_maps import feature_maps
        from resnet_explore.analysis.skips.edited import edited
        from resnet_explore.figures.heatmaps import png
        from resnet_explore.inputs.images import sample_photos, to_batch
        from resnet_explore.models.presets import build

        model = build(PHOTO_TWINS[1], weights=PHOTO_WEIGHTS).eval()
        about: Mapping[str, Any] = model.about
        photo, size = sample_photos()[PHOTO].load(), int(about["input_size"][-1])
        batch = to_batch(photo, size, about["mean"], about["std"])
        layer = feature_maps(model, batch, [BLOCK])[BLOCK]
        shares = {}
        for joined in (True, False):
            with edited(model, skip={} if joined else {BLOCK: 0.0}), torch.no_grad():
                shares[joined] = model(batch).softmax(1)[0].numpy()
        skip, branch = (np.asarray(maps, np.float32) for maps in (layer.skip, layer.branch))
        lively = np.argsort(-(skip + branch).std((1, 2)), kind="stable")[:_CHANNELS]
        small = np.asarray(photo.resize((256, round(256 * photo.height / photo.width))))
        return Looked(
            skip, branch, [int(k) for k in lively], shares, tuple(about["classes"]), size, png(small)
        )


def check(state: LessonState) -> None:
    """Raise `ExploreError` for a channel that is not on the slider."""
    if not 0 <= state.channel < _CHANNELS:
        raise ExploreError(f"channel must be from 0 to {_CHANNELS - 1}, got {state.channel}.")


def plan(state: LessonState) -> Sequence[Job]:
    """Return what is computed."""
    return (LookIntoBlock(),)


def present(state: LessonState, found: Mapping[Job, Any]) -> View:
    """Return the page: the block drawn with its three pictures, and the answers below."""
    looked: Looked | None = found.get(LookIntoBlock())
    if looked is None:
        return View(panels=None, waiting="One block of a trained network, and a photo that goes through it.")
    stops = tuple(Choice(k, str(k + 1)) for k in range(len(looked.channels)))
    words = {True: captions.ADDITION, False: captions.ADDITION_TAKEN}
    return View(
        ask=(
            Check(
                "skip",
                "Add x (the skip)",
                "Whether what comes into the block is added to what its layers make",
            ),
        ),
        headline=Over("skip", {joined: _headline(looked, joined) for joined in (True, False)}),
        panels=((Prose("words", Over("skip", words)), _sum(looked), _answers(looked)),),
        sliders=(Slider("channel", "Channel", stops),),
        conditions=captions.addition_conditions(PHOTO_TWINS[1], BLOCK, looked.skip.shape, looked.size),
        glossary=captions.GLOSSARY,
    )


def _headline(looked: Looked, joined: bool) -> str:
    before, now = (_first(looked, each) for each in (True, joined))
    return captions.addition_headline(
        joined, looked.classes[now], looked.shares[joined][now], looked.classes[before]
    )


def _first(looked: Looked, joined: bool) -> int:
    return int(looked.shares[joined].argmax())


def _sum(looked: Looked) -> Sum:
    from resnet_explore.figures.heatmaps import PALETTES

    xs, branches, scales = {}, {}, {}
    for k, channel in enumerate(looked.channels):
        xs[k], branches[k] = looked.skip[channel], looked.branch[channel]
        scales[k] = float(max(np.abs(maps).max() for maps in (xs[k], branches[k], xs[k] + branches[k])))
    x, branch, scale = (Over("channel", each) for each in (xs, branches, scales))
    return Sum(
        "sum",
        x,
        branch,
        scale,
        captions.ADDITION_LAYERS,
        PALETTES["red and blue"],
        looked.picture,
        captions.ADDITION_SIGNS,
    )


def _answers(looked: Looked) -> OutcomeBars:
    """Return the first answers with and without the addition, to the same photo."""
    sides = {joined: (_side(looked, joined),) for joined in (True, False)}
    return OutcomeBars(
        "answers", Over("skip", sides), "Answers to the photo", reference=captions.ADDITION_BEFORE
    )


def _side(looked: Looked, joined: bool) -> Side:
    """Return the first answers of both, always in the same order, so that each can be followed."""
    shares, usual = looked.shares[joined], looked.shares[True]
    first = [k for each in (True, False) for k in np.argsort(-looked.shares[each], kind="stable")[:_ANSWERS]]
    bars = tuple(
        OutcomeBar(looked.classes[k], float(shares[k]), percent(100 * shares[k]), before=float(usual[k]))
        for k in dict.fromkeys(first)
    )
    return Side(captions.addition_side(joined), "residual", None, bars)
