"""What the saliency explorer computes: maps at each position of its sliders, and what chance would do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.cam_methods import METHODS
from resnet_explore.analysis.cam_split import split_maps
from resnet_explore.analysis.cams import ActivationMaps, class_activation_maps
from resnet_explore.analysis.readings import PIXELS as OF_PIXELS
from resnet_explore.analysis.readings import READINGS, titles
from resnet_explore.analysis.sanity import cascade, rank_correlation
from resnet_explore.analysis.targets import Difference
from resnet_explore.errors import ExploreError
from resnet_explore.models.summary import Window, receptive_fields
from resnet_explore.models.threads import one_thread

TITLES = titles()
PIXELS = "pixels"  # the one layer of a method that explains by the input
AS_TRAINED, RANDOM_TO = "as trained", "random to "
# What the explorer shows along its second slider.
DEPTHS, RANDOM = "the networks as trained", "weights made random from the top"
PARTS = "what came by skip and by branch"
SUM, SKIP, BRANCH = "both", "skip", "branch"
VERDICTS = ("deletion", "insertion", "road", "randomisation", "stability")

Networks = tuple[nn.Module, ...]  # the left and the right one, or one alone
Maps = tuple[ActivationMaps, ...]  # of each of them
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """All that decides which maps there are.

    networks  the left and the right one, or one alone, by depth
    batch     the photo, (1, C, H, W)
    target    as `class_activation_maps` takes it
    method    one of TITLES
    over      DEPTHS, or RANDOM or PARTS of the networks of one depth
    depth     that one
    """

    networks: Mapping[str, Networks]
    batch: Tensor
    target: Any
    method: str
    over: str = DEPTHS
    depth: str = ""

    @property
    def slow(self) -> bool:
        """Whether it takes more than a moment, so that a person should be able to stop it."""
        return self.method not in METHODS or self.over == RANDOM

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
            yield depth, networks, (self.target,) * len(networks)

    def _randomised(self, depth: str) -> Iterator[tuple[str, Networks, tuple[Any, ...]]]:
        """What is asked stays what the trained networks were asked."""
        networks = self.networks[depth]
        targets = (self.target,) * len(networks)
        if self.target is None:
            with torch.no_grad():
                targets = tuple(_likeliest(network, self.batch) for network in networks)
        yield AS_TRAINED, networks, targets
        last: list[Any] = [None] * len(networks)
        for stages in zip_longest(*(cascade(network, self.batch) for network in networks)):
            last = [new or old for new, old in zip(stages, last, strict=True)]  # one that is done waits
            names = dict.fromkeys(stage.removeprefix("layer") for stage, _ in last)
            yield f"{RANDOM_TO}{' and '.join(names)}", tuple(twin for _, twin in last), targets

    def _split(self, say: Say, cancelled: Callable[[], bool]) -> dict[str, Maps]:
        """Return the maps and their two parts; ExploreError for methods and networks that have none."""
        if READINGS[self.method].by == OF_PIXELS:
            raise ExploreError(
                f"{TITLES[self.method]} explains by the pixels, where nothing came by a skip: "
                "choose a method that explains by blocks, such as Grad-CAM."
            )
        say("Splitting each block's sum ...")
        with one_thread():
            both = [
                split_maps(network, self.batch, self.target, method=self.method, cancel=cancelled)
                for network in self.networks[self.depth]
            ]
        return {
            SUM: tuple(split.whole for split in both),
            SKIP: tuple(split.skip for split in both),
            BRANCH: tuple(split.branch for split in both),
        }

    def _explain(
        self, network: nn.Module, target: Any, say: Say, cancelled: Callable[[], bool]
    ) -> ActivationMaps:
        if READINGS[self.method].by != OF_PIXELS:
            title = TITLES[self.method]
            return class_activation_maps(
                network,
                self.batch,
                target,
                method=self.method,
                progress=lambda done, total: say(f"{title}: {done:,} of {total:,} trials."),
                cancel=cancelled,
            )
        from resnet_explore.analysis.attribution import attribute

        found = attribute(network, self.batch, target, self.method)
        with measuring(network), torch.no_grad():
            logits = answer(network.eval(), self.batch.clone())
        return ActivationMaps(
            maps={PIXELS: found.maps},
            weights={},
            targets=found.targets,
            logits=logits,
            scores=found.scores,
            asked=found.asked,
            method=self.method,
        )


def _likeliest(network: nn.Module, batch: Tensor) -> int:
    with measuring(network):
        return int(answer(network.eval(), batch.clone()).argmax())


def likeness(trained: ActivationMaps, now: ActivationMaps, layer: str) -> float:
    """Return the rank correlation of a randomised network's map with the trained one's."""
    return float(rank_correlation(trained[layer][:1], now[layer][:1])[0])


def verdicts(
    network: nn.Module, batch: Tensor, target: Any, method: str, layer: str, cancelled: Callable[[], bool]
) -> Iterator[Any]:
    """Yield a `Verdict` for each measure, as it is ready; `target` is a class or a `Difference`."""
    from resnet_explore.analysis.verdict import explainer, judge

    if isinstance(target, Difference):
        network, target, layer = _Rather(network, target), 0, layer if layer == PIXELS else f"net.{layer}"
    way = explainer(method) if layer == PIXELS else explainer(method, layer)
    for metric in VERDICTS:
        with one_thread():
            yield judge(network, batch, way, target, [metric], cancel=cancelled)[metric]


class _Rather(nn.Module):
    """A network that answers only which of two classes it is: (y_this - y_that, 0).

    The first number is what a `Difference` asks about, and its probability is that of this class where there
    were only the two.
    """

    def __init__(self, net: nn.Module, asked: Difference) -> None:
        super().__init__()
        self.net, self.asked = net, asked

    def forward(self, x: Tensor) -> Tensor:
        apart = self.asked.scores(self.net(x), len(x))
        return torch.stack([apart, torch.zeros_like(apart)], 1)


def windows(network: nn.Module, input_size: tuple[int, int, int]) -> Mapping[str, Window]:
    """Return receptive fields by layer; none where the network can't be followed."""
    try:
        return receptive_fields(network, input_size)
    except ExploreError:
        return {}
