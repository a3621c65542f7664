"""What the saliency explorer computes: maps at each position of its sliders, and what chance would do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import as_images, run, why_not_finite
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.answers import Answer, Place, read_answer, read_logits
from resnet_explore.analysis.cam_layers import choose_layers
from resnet_explore.analysis.cam_methods import METHODS
from resnet_explore.analysis.cam_split import split_maps
from resnet_explore.analysis.cams import ActivationMaps, class_activation_maps
from resnet_explore.analysis.readings import PIXELS as OF_PIXELS
from resnet_explore.analysis.readings import READINGS, titles
from resnet_explore.analysis.sanity import cascade, rank_correlation
from resnet_explore.analysis.targets import Box, Classes, Target, as_target
from resnet_explore.errors import ExploreError
from resnet_explore.models.threads import one_thread

TITLES = titles()
PIXELS = "pixels"  # the one layer of a method that explains by the input
AS_TRAINED, RANDOM_TO = "as trained", "random to "
# What the explorer shows along its second slider.
DEPTHS, RANDOM = "the networks as trained", "weights made random from the top"
PARTS = "what came by skip and by branch"
SUM, SKIP, BRANCH = "both", "skip", "branch"
VERDICTS = ("deletion", "insertion", "road", "randomisation", "stability")
# Of a detection there are no more: a network with other weights finds other boxes, or none.
_OF_BOXES = VERDICTS[:3]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Explained(ActivationMaps):
    """Maps, with the network's answer, the target that they explain and the blocks that can't be split."""

    answer: Answer
    target: Target
    left_out: tuple[str, ...] = ()


Networks = tuple[nn.Module, ...]  # the left and the right one, or one alone
Maps = tuple[Explained, ...]  # of each of them
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """All that decides which maps there are.

    networks    the left and the right one, or one alone, by depth
    batch       the photo, (1, C, H, W)
    target      a class, None for each network's own first choice, or a `Difference`
    method      one of TITLES
    over        DEPTHS, or RANDOM or PARTS of the networks of one depth
    depth       that one
    answers     what kind of `Answer` the networks give
    place       where it is asked, of pixels and boxes
    background  the class of pixels that is nobody's first choice
    """

    networks: Mapping[str, Networks]
    batch: Tensor
    target: Any
    method: str
    over: str = DEPTHS
    depth: str = ""
    answers: str = "classes"
    place: Place | None = None
    background: int | None = None

    @property
    def slow(self) -> bool:
        """Whether it takes more than a moment, so that a person should be able to stop it."""
        return self.method not in METHODS or self.over == RANDOM or self.answers != "classes"

    def run(self, say: Say, cancelled: Callable[[], bool]) -> dict[str, Maps] | None:
        """Return the maps by position, of depth or of what was made random; None if cancelled."""
        found: dict[str, Maps] = {}
        if self.over == PARTS:
            return self._split(say, cancelled)
        positions = self._randomised(self.depth) if self.over == RANDOM else self._depths()
        with one_thread():
            for name, networks, targets in positions:
                if cancelled():
                    return None
                say(f"{TITLES[self.method]}: {name or 'at work'} ...")
                found[name] = tuple(
                    self._explain(network, target, say, cancelled)
                    for network, target in zip(networks, targets, strict=True)
                )
        return found

    def _depths(self) -> Iterator[tuple[str, Networks, tuple[Any, ...]]]:
        for depth, networks in self.networks.items():
            yield depth, networks, (None,) * len(networks)

    def _randomised(self, depth: str) -> Iterator[tuple[str, Networks, tuple[Any, ...]]]:
        """What is asked stays what the trained networks were asked."""
        networks = self.networks[depth]
        if self.answers == "boxes":
            raise ExploreError(
                "With random weights a detector finds other boxes, so there is nothing to compare."
            )
        targets = tuple(self._asked(network)[0] for network in networks)
        yield AS_TRAINED, networks, targets
        last: list[Any] = [None] * len(networks)
        for stages in zip_longest(*(cascade(network, self.batch) for network in networks)):
            last = [new or old for new, old in zip(stages, last, strict=True)]  # one that is done waits
            names = dict.fromkeys(stage.removeprefix("layer") for stage, _ in last)
            yield f"{RANDOM_TO}{' and '.join(names)}", tuple(twin for _, twin in last), targets

    def _asked(self, network: nn.Module) -> tuple[Target, Answer]:
        """Return what a network is asked, and what it answers."""
        with measuring(network), torch.no_grad():
            output = run(network.eval(), as_images(network, self.batch).clone())
        answer = read_answer(output, self.batch.shape[2:], self.background)
        target = self.target if isinstance(self.target, Target) else answer.target(self.target, self.place)
        return target, answer

    def _split(self, say: Say, cancelled: Callable[[], bool]) -> dict[str, Maps]:
        """Return the maps and their two parts; ExploreError for methods and networks that have none."""
        if READINGS[self.method].by == OF_PIXELS:
            raise ExploreError(
                f"{TITLES[self.method]} explains by the pixels, where nothing came by a skip: "
                "choose a method that explains by blocks, such as Grad-CAM."
            )
        say("Splitting each block's sum ...")
        with one_thread():
            both = [self._parts(network, cancelled) for network in self.networks[self.depth]]
        return {name: tuple(parts[name] for parts in both) for name in (SUM, SKIP, BRANCH)}

    def _parts(self, network: nn.Module, cancelled: Callable[[], bool]) -> dict[str, Explained]:
        target, answer = self._question(network)
        split = split_maps(network, self.batch, target, method=self.method, cancel=cancelled)
        parts = {SUM: split.whole, SKIP: split.skip, BRANCH: split.branch}
        return {
            name: replace(_with_answer(network, maps, target, answer), left_out=split.left_out)
            for name, maps in parts.items()
        }

    def _question(self, network: nn.Module) -> tuple[Target, Answer | None]:
        """Return what maps by blocks are asked, and the answer if they don't come with it, as logits do."""
        return (as_target(self.target), None) if self.answers == "classes" else self._asked(network)

    def _explain(
        self, network: nn.Module, target: Target | None, say: Say, cancelled: Callable[[], bool]
    ) -> Explained:
        """Explain a network's answer to `target`, None for what the job asks."""
        if READINGS[self.method].by == OF_PIXELS:
            asked, seen = self._asked(network)
            return _with_answer(network, self._by_pixels(network, target or asked), target or asked, seen)
        asked, answer = self._question(network)
        title = TITLES[self.method]
        maps = class_activation_maps(
            network,
            self.batch,
            target or asked,
            method=self.method,
            progress=lambda done, total: say(f"{title}: {done:,} of {total:,} trials."),
            cancel=cancelled,
        )
        return _with_answer(network, maps, target or asked, answer)

    def _by_pixels(self, network: nn.Module, target: Target) -> ActivationMaps:
        from resnet_explore.analysis.attribution import attribute

        found = attribute(network, self.batch, target, self.method)
        return ActivationMaps(
            maps={PIXELS: found.maps},
            weights={},
            targets=found.targets,
            logits=torch.empty(1, 0),
            scores=found.scores,
            asked=found.asked,
            method=self.method,
        )


def _with_answer(
    network: nn.Module, maps: ActivationMaps, target: Target, answer: Answer | None
) -> Explained:
    """Add to maps what they explain, settled, and the network's answer, None for the logits beside them."""
    if not torch.isfinite(maps.scores).all():
        raise ExploreError(
            f"The {type(network).__name__} gives values that are not finite numbers, though the image is "
            f"finite: {why_not_finite(network)}."
        )
    if isinstance(target, Classes):
        target = Classes(int(maps.targets[0]))
    here = {name: _on_processor(value) for name, value in vars(maps).items()}
    return Explained(**here, answer=answer or read_logits(maps.logits[0]), target=target)


def _on_processor(value: Any) -> Any:
    """Return tensors, also those of a mapping, where they can be drawn; anything else as it is."""
    if isinstance(value, Mapping):
        return {name: _on_processor(held) for name, held in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value


def likeness(trained: ActivationMaps, now: ActivationMaps, layer: str) -> float:
    """Return the rank correlation of a randomised network's map with the trained one's."""
    return float(rank_correlation(trained[layer][:1], now[layer][:1])[0])


def measures_of(target: Target) -> tuple[str, ...]:
    """Return what can be measured of maps that explain this."""
    return _OF_BOXES if isinstance(target, Box) else VERDICTS


def verdicts(
    network: nn.Module, batch: Tensor, target: Target, method: str, layer: str, cancelled: Callable[[], bool]
) -> Iterator[Any]:
    """Yield a `Verdict` for each measure, as it is ready."""
    from resnet_explore.analysis.verdict import explainer, judge

    way = explainer(method) if layer == PIXELS else explainer(method, layer)
    for metric in measures_of(target):
        with one_thread():
            yield judge(network, batch, way, target, [metric], cancel=cancelled)[metric]


def methods_for(networks: Sequence[nn.Module]) -> dict[str, str]:
    """Return {title: method} of those that can be applied: all, or without convolutions those by pixels."""
    by: tuple[str, ...] = ()
    try:
        for network in networks:
            choose_layers(network)
    except ExploreError:
        by = (OF_PIXELS,)
    return {title: name for name, title in titles(*by).items()}
