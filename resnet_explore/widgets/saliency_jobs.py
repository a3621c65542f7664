"""What the saliency explorer computes: maps at each position of its sliders, and what chance would do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis._state import measuring
from resnet_explore.analysis.cam_methods import METHODS
from resnet_explore.analysis.cam_split import split_maps
from resnet_explore.analysis.cam_trials import TRIALS
from resnet_explore.analysis.cams import ActivationMaps, class_activation_maps
from resnet_explore.analysis.sanity import cascade, rank_correlation
from resnet_explore.errors import ExploreError
from resnet_explore.models.threads import one_thread

# Of captum, which takes a second to load, so it is loaded when first used.
PIXEL_METHODS = {
    "saliency": "Gradient",
    "input_x_gradient": "Input × gradient",
    "integrated_gradients": "Integrated gradients",
    "smoothgrad": "SmoothGrad",
    "guided_backprop": "Guided backprop",
    "guided_grad_cam": "Guided Grad-CAM",
    "deep_lift": "DeepLift",
    "occlusion": "Occlusion",
    "gradient_shap": "GradientSHAP",
}
TITLES = {**{name: method.title for name, method in METHODS.items()}, **TRIALS, **PIXEL_METHODS}
PIXELS = "pixels"  # the one layer of a method that explains by the input
AS_TRAINED = "as trained"
# What the explorer shows along its second slider.
DEPTHS, RANDOM = "the networks as trained", "weights made random from the top"
PARTS = "what came by skip and by branch"
SUM, SKIP, BRANCH = "both", "skip", "branch"
VERDICTS = ("deletion", "insertion", "road", "randomisation", "stability")

Maps = tuple[ActivationMaps, ...]  # of the left and the right network
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """All that decides which maps there are.

    networks  the left and the right one by depth
    batch     the photo, (1, C, H, W)
    target    as `class_activation_maps` takes it
    method    one of TITLES
    over      DEPTHS, or RANDOM or PARTS of the networks of one depth
    depth     that one
    """

    networks: Mapping[str, tuple[nn.Module, nn.Module]]
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

    def _depths(self) -> Iterator[tuple[str, tuple[nn.Module, nn.Module], tuple[Any, Any]]]:
        for depth, networks in self.networks.items():
            yield depth, networks, (self.target, self.target)

    def _randomised(self, depth: str) -> Iterator[tuple[str, tuple[nn.Module, nn.Module], tuple[Any, Any]]]:
        """What is asked stays what the trained networks were asked."""
        left, right = self.networks[depth]
        targets = (self.target, self.target)
        if self.target is None:
            with torch.no_grad():
                targets = (_likeliest(left, self.batch), _likeliest(right, self.batch))
        yield AS_TRAINED, (left, right), targets
        for (stage, one), (_, other) in zip(
            cascade(left, self.batch), cascade(right, self.batch), strict=False
        ):
            yield f"random to {stage.removeprefix('layer')}", (one, other), targets

    def _split(self, say: Say, cancelled: Callable[[], bool]) -> dict[str, Maps]:
        """Return the maps and their two parts; ExploreError for methods and networks that have none."""
        if self.method in PIXEL_METHODS:
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
        if self.method not in PIXEL_METHODS:
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
    network: nn.Module, batch: Tensor, target: int, method: str, layer: str, cancelled: Callable[[], bool]
) -> Iterator[Any]:
    """Yield a `Verdict` for each measure, as it is ready."""
    from resnet_explore.analysis.verdict import explainer, judge

    way = explainer(method) if layer == PIXELS else explainer(method, layer)
    for metric in VERDICTS:
        with one_thread():
            yield judge(network, batch, way, target, [metric], cancel=cancelled)[metric]
