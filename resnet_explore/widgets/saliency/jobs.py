"""What the saliency explorer computes: maps at each position of its sliders, and what chance would do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

from resnet_explore.analysis.explain.methods.registry import METHODS, PIXELS as OF_PIXELS, MethodInfo
from resnet_explore.errors import ExploreError
from resnet_explore.widgets.core.runner import Job, Task
from resnet_explore.widgets.saliency.lab import Opened, SaliencyLab

PIXELS = "pixels"  # the one layer of a method that explains by the input
WHOLE, SKIP, BRANCH = "whole", "skip", "branch"  # positions of "parts"
AS_TRAINED = ""  # the first position of "weights"
SIDE = 512  # pixels of each shown picture
_OF_BOXES = ("deletion", "insertion", "road")  # with other weights a detector finds other boxes, or none
VERDICTS = (*_OF_BOXES, "randomisation", "stability")


@dataclass(frozen=True, eq=False)
class Explained:
    """One network's maps, with its answer and the target that they explain.

    maps      an `ActivationMaps` of one image
    left_out  blocks that can't be split
    """

    maps: Any
    answer: Any
    target: Any
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """What one job has found.

    positions  {position of the outer slider: what was found of each network}, one "" where there is none
    picture    the photo as a JPEG, `about` in words what it is, `cropped` whether it is its middle square
    size       height and width of the networks' input
    method     the one that was used; a network without convolutions is explained by its pixels
    """

    opened: Opened
    positions: Mapping[str, tuple[Explained, ...]]
    method: str
    picture: bytes
    about: str
    cropped: bool
    size: tuple[int, int]
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def once(self, make: Callable[..., Any], *rest: Any) -> Any:
        """Return `make(self, *rest)`, made once: a page is presented again at every rest of a slider."""
        key = (make, *rest)
        if key not in self.kept:
            self.kept[key] = make(self, *rest)
        return self.kept[key]

    @property
    def info(self) -> MethodInfo:
        """What is to be known of the method."""
        known = METHODS[self.method]
        return known.of_score() if self.opened.kind == "boxes" else known

    @cached_property
    def blocks(self) -> list[tuple[str, ...]]:
        """The layers of each step of the block slider, one for each network."""
        first = next(iter(self.positions.values()))
        return in_step(*(list(one.maps) for one in first))


def in_step(*networks: list[str]) -> list[tuple[str, ...]]:
    """Pair the blocks of networks by how deep they lie; twins pair one to one."""
    count = max(map(len, networks))
    return [tuple(blocks[i * len(blocks) // count] for blocks in networks) for i in range(count)]


@dataclass(frozen=True)
class Explain(Job):
    """Explain an image to networks of one depth. The fields are those of the state."""

    networks: str
    depth: int
    image: str
    method: str
    view: str = "blocks"
    target: int | None = None
    rather: int | None = None
    place: tuple[float, ...] = ()
    lab: SaliencyLab = field(compare=False, repr=False, default=None)  # type: ignore[assignment]
    says: str = field(compare=False, repr=False, default="Explaining ...")

    def run(self, task: Task) -> Found:
        """Return a `Found`. Raises `ExploreError` for what can't be asked of these networks."""
        from resnet_explore.figures.heatmaps import photo_jpeg
        from resnet_explore.models.threads import one_thread

        task.say("Loading the networks ...")
        opened = self.lab.open(self.networks, self.depth, self.image)
        task.say(f"{METHODS[self.method].title} at work ...")
        method = self.method if self.method in opened.methods else opened.methods[0]
        picture = self.lab.images.picture(self.image)
        batch = self.lab.batch(opened.about, self.image)
        work = _Work(opened, batch, method, self._asked(opened), self.place or None, task)
        with opened.lock, one_thread():
            positions = {"blocks": work.blocks, "parts": work.parts, "weights": work.weights}[self.view]()
        return Found(
            opened=opened,
            positions=positions,
            method=method,
            picture=photo_jpeg(picture.seen(SIDE), SIDE),
            about=picture.about,
            cropped=picture.cropped,
            size=(int(batch.shape[2]), int(batch.shape[3])),
        )

    def _asked(self, opened: Opened) -> Any:
        """Return a class, None for each network's first choice, or a `Difference`."""
        from resnet_explore.analysis.explain.targets import Difference

        known = len(opened.classes)
        for name, index in (("target", self.target), ("rather", self.rather)):
            if index is not None and opened.kind != "boxes" and not 0 <= index < known:
                raise ExploreError(
                    f"{name} must lie in 0..{known - 1}, as there are {known} classes, not {index}."
                )
        if self.target is None or self.rather is None:
            return self.target
        return Difference(self.target, self.rather)


@dataclass(frozen=True)
class _Work:
    """One question to opened networks; whoever asks holds their lock."""

    opened: Opened
    batch: Any
    method: str
    target: Any
    place: Any
    task: Task

    @property
    def networks(self) -> tuple[Any, ...]:
        return tuple(one.model for one in self.opened.networks)

    def blocks(self) -> dict[str, tuple[Explained, ...]]:
        return {"": tuple(self.explained(network) for network in self.networks)}

    def weights(self) -> dict[str, tuple[Explained, ...]]:
        """Explain again and again while weights become random; what is asked stays what was asked first."""
        from resnet_explore.analysis.explain.scoring.sanity import cascade

        if self.opened.kind == "boxes":
            raise ExploreError(
                "With random weights a detector finds other boxes, so there is nothing to compare."
            )
        targets = [self.asked(network)[0] for network in self.networks]
        found = {AS_TRAINED: self._pair(self.networks, targets)}
        last: list[Any] = [None] * len(targets)
        for stages in zip_longest(*(cascade(network, self.batch) for network in self.networks)):
            self.task.check()
            last = [new or old for new, old in zip(stages, last, strict=True)]  # one that is done waits
            stage = "+".join(dict.fromkeys(name for name, _ in last))
            self.task.say(f"{METHODS[self.method].title} with random weights down to {stage} ...")
            found[stage] = self._pair([twin for _, twin in last], targets)
        return found

    def _pair(self, networks: Any, targets: list[Any]) -> tuple[Explained, ...]:
        return tuple(self.explained(n, target) for n, target in zip(networks, targets, strict=True))

    def parts(self) -> dict[str, tuple[Explained, ...]]:
        """Split each map; ExploreError for methods and networks that have no parts."""
        if METHODS[self.method].by == OF_PIXELS:
            raise ExploreError(
                f"{METHODS[self.method].title} explains by the pixels, where nothing came by a skip: "
                "choose a method that explains by blocks, such as Grad-CAM."
            )
        self.task.say("Splitting each block's sum ...")
        both = [self._split(network) for network in self.networks]
        return {part: tuple(parts[part] for parts in both) for part in (WHOLE, SKIP, BRANCH)}

    def _split(self, network: Any) -> dict[str, Explained]:
        from resnet_explore.analysis.explain.split import split_maps

        target, answer = self._question(network)
        split = split_maps(network, self.batch, target, method=self.method, cancel=self.task.is_cancelled)
        parts = {WHOLE: split.whole, SKIP: split.skip, BRANCH: split.branch}
        return {
            part: replace(_explained(network, maps, target, answer), left_out=split.left_out)
            for part, maps in parts.items()
        }

    def explained(self, network: Any, target: Any = None) -> Explained:
        """Explain a network's answer to `target`, None for what is asked."""
        from resnet_explore.analysis.explain.maps import class_activation_maps

        self.task.check()
        if METHODS[self.method].by == OF_PIXELS:
            asked, seen = self.asked(network)
            return _explained(network, self._by_pixels(network, target or asked), target or asked, seen)
        asked, answer = self._question(network)
        title = METHODS[self.method].title
        maps = class_activation_maps(
            network,
            self.batch,
            target or asked,
            method=self.method,
            progress=lambda done, total: self.task.say(f"{title}: {done:,} of {total:,} trials."),
            cancel=self.task.is_cancelled,
        )
        return _explained(network, maps, target or asked, answer)

    def asked(self, network: Any) -> tuple[Any, Any]:
        """Return what a network is asked, and what it answers."""
        import torch

        from resnet_explore.analysis._batch import as_images, run
        from resnet_explore.analysis._state import measuring
        from resnet_explore.analysis.explain.answers import read_answer
        from resnet_explore.analysis.explain.targets import Target

        with measuring(network), torch.no_grad():
            output = run(network.eval(), as_images(network, self.batch).clone())
        answer = read_answer(output, self.batch.shape[2:], self.opened.background)
        if isinstance(self.target, Target):
            return self.target, answer
        return answer.target(self.target, self.place), answer

    def _question(self, network: Any) -> tuple[Any, Any]:
        """Return what maps by blocks are asked, and the answer if they don't come with it, as logits do."""
        from resnet_explore.analysis.explain.targets import as_target

        return (as_target(self.target), None) if self.opened.kind == "classes" else self.asked(network)

    def _by_pixels(self, network: Any, target: Any) -> Any:
        import torch

        from resnet_explore.analysis.explain.attribution import attribute
        from resnet_explore.analysis.explain.maps import ActivationMaps

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


def _explained(network: Any, maps: Any, target: Any, answer: Any) -> Explained:
    """Return maps with what they explain, settled, and the answer, None for the logits beside them."""
    import torch

    from resnet_explore.analysis._batch import why_not_finite
    from resnet_explore.analysis.explain.answers import read_logits
    from resnet_explore.analysis.explain.targets import Classes

    if not torch.isfinite(maps.scores).all():
        raise ExploreError(
            f"The {type(network).__name__} gives values that are not finite numbers, though the image is "
            f"finite: {why_not_finite(network)}."
        )
    if isinstance(target, Classes):
        target = Classes(int(maps.targets[0]))
    here = {name: _on_processor(value) for name, value in vars(maps).items()}
    return Explained(type(maps)(**here), answer or read_logits(maps.logits[0]), target)


def _on_processor(value: Any) -> Any:
    """Return tensors, also those of a mapping, where they can be drawn; anything else as it is."""
    from torch import Tensor

    if isinstance(value, Mapping):
        return {name: _on_processor(held) for name, held in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value


# --- verdicts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Judged:
    """Verdicts so far, {metric: Verdict} for each network, of so many measures; of none where it was put off.

    put_off  why nothing was measured, "" where something was
    """

    verdicts: tuple[Mapping[str, Any], ...] = ()
    measures: tuple[str, ...] = VERDICTS
    put_off: str = ""

    @property
    def complete(self) -> bool:
        """Whether all is measured."""
        return bool(self.verdicts) and len(self.verdicts[-1]) == len(self.measures)


@dataclass(frozen=True)
class Judge(Job):
    """Measure whether the maps of one block are better than chance; of several networks at once.

    insist  whether it was asked for, so that it is measured also where there is little to judge
    """

    lane = "verdict"

    explain: Explain
    block: int
    insist: bool = False
    says: str = field(
        compare=False, repr=False, default="Measuring whether the maps are better than chance ..."
    )

    def run(self, task: Task) -> Judged:
        """Return a `Judged`, published measure by measure."""
        found = self.explain.run(task)
        task.say(self.says)
        explained = found.positions[""]
        if not self.insist and all(undecided(one.answer) for one in explained):
            return Judged(put_off="undecided")
        blocks = found.blocks[min(self.block, len(found.blocks)) - 1]
        measures = _OF_BOXES if found.opened.kind == "boxes" else VERDICTS
        batch = self.explain.lab.batch(found.opened.about, self.explain.image)
        ways = [
            verdicts(network, batch, one.target, found.method, block, measures, task.is_cancelled)
            for network, one, block in zip(found.opened.copies(), explained, blocks, strict=True)
        ]
        known: list[dict[str, Any]] = [{} for _ in ways]
        for both in zip(*ways, strict=True):
            for so_far, verdict in zip(known, both, strict=True):
                so_far[verdict.metric] = verdict
            task.publish(Judged(tuple(map(dict, known)), measures))
        return Judged(tuple(known), measures)


def verdicts(
    network: Any,
    batch: Any,
    target: Any,
    method: str,
    layer: str,
    measures: tuple[str, ...],
    cancelled: Callable[[], bool],
) -> Iterator[Any]:
    """Yield a `Verdict` for each measure, as it is ready."""
    from resnet_explore.analysis.explain.scoring.verdict import explainer, judge
    from resnet_explore.models.threads import one_thread

    way = explainer(method) if layer == PIXELS else explainer(method, layer)
    for metric in measures:
        with one_thread():
            yield judge(network, batch, way, target, [metric], cancel=cancelled)[metric]


def undecided(answer: Any) -> bool:
    """Whether a network has no first choice worth the name, as with random weights."""
    count = len(answer.shares)
    return answer.kind == "classes" and count > 1 and float(answer.shares.max()) * count < _ALIKE


_ALIKE = 1.02  # the first choice has this many times what each would have by chance, or is none


def likeness(trained: Any, now: Any, layer: str) -> float:
    """Return the rank correlation of a randomised network's map with the trained one's."""
    return rank_likeness(trained[layer], now[layer])


def rank_likeness(one: Any, other: Any) -> float:
    """Return the rank correlation of the first of each maps (N, h, w)."""
    from resnet_explore.analysis.explain.scoring.sanity import rank_correlation

    return float(rank_correlation(one[:1], other[:1])[0])
