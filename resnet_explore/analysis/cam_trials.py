"""Weighing channels by trial instead of by gradient: what does each one alone show, and who misses it?"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.analysis._batch import answer
from resnet_explore.analysis.targets import Target
from resnet_explore.errors import CancelledError, ExploreError

Progress = Callable[[int, int], None]
Calls = Mapping[str, tuple[nn.Module, int]]  # by layer, the module and which of its calls is meant

TRIALS = ("score_cam", "ablation_cam")


@torch.no_grad()
def trial_weights(
    model: nn.Module,
    images: Tensor,
    method: str,
    activations: Mapping[str, Tensor],
    calls: Calls,
    targets: Sequence[Target],
    scores: Sequence[Tensor],
    batch_size: int = 32,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[dict[str, Tensor]]:
    """Return for each target the weights (N, C, 1, 1) by layer.

    score_cam     softmax over the channels of the score of x * minmax(up(A_k)): the image seen through
                  channel k (Wang et al. 2020, arXiv 1910.01279). The paper subtracts the score of a blank
                  image, which the softmax cancels; x is standardised, so a mask hides it in the mean colour.
    ablation_cam  (y - y_k) / |y|, y_k being the score without channel k (Desai & Ramaswamy 2020). The paper
                  divides by y; for a negative y that would turn what speaks for the target against it.
    """
    if batch_size < 1:
        raise ExploreError(f"batch_size must be at least 1, not {batch_size!r}.")
    total = len(images) * sum(a.shape[1] for a in activations.values())
    count = _Count(total, progress, cancel)
    found: list[dict[str, list[Tensor]]] = [{layer: [] for layer in activations} for _ in targets]
    for layer, outputs in activations.items():
        for i in range(len(images)):
            image, output, own = images[i : i + 1], outputs[i : i + 1], [t.of_image(i) for t in targets]
            if method == "score_cam":
                trials = _seen_through(model, image, output, batch_size)
            else:
                before = [score[i] for score in scores]
                trials = _without(model, image, output, calls[layer], own, before, batch_size)
            answers = [
                torch.stack([target.scores(out, size) for target in own])
                for out, size in count.through(trials)
            ]
            for k, values in enumerate(torch.cat(answers, 1)):
                y = scores[k][i]
                weigh = values.softmax(0) if method == "score_cam" else (y - values) / _nonzero(y.abs())
                found[k][layer].append(weigh)
    return [{layer: torch.stack(w)[:, :, None, None] for layer, w in each.items()} for each in found]


class _Count:
    """Counts trials, tells of them, and stops when asked to."""

    def __init__(self, total: int, progress: Progress | None, cancel: Callable[[], bool] | None) -> None:
        self.total, self.done = total, 0
        self.progress, self.cancel = progress, cancel

    def through(self, trials: Iterator[tuple[object, int]]) -> Iterator[tuple[object, int]]:
        """Yield the trials' answers."""
        while True:
            if self.cancel is not None and self.cancel():
                raise CancelledError(f"Stopped after {self.done:,} of {self.total:,} trials.")
            made = next(trials, None)
            if made is None:
                return
            self.done += made[1]
            if self.progress is not None:
                self.progress(self.done, self.total)
            yield made


def _seen_through(
    model: nn.Module, image: Tensor, output: Tensor, batch_size: int
) -> Iterator[tuple[object, int]]:
    for channels in output[0].split(batch_size):
        masks = F.interpolate(channels[:, None], image.shape[2:], mode="bilinear", align_corners=False)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        yield answer(model, image * ((masks - low) / _nonzero(high - low))), len(channels)


def _without(
    model: nn.Module,
    image: Tensor,
    output: Tensor,
    call: tuple[nn.Module, int],
    targets: Sequence[Target],
    before: Sequence[Tensor],
    batch_size: int,
) -> Iterator[tuple[object, int]]:
    """Yield answers with each channel of one layer set to 0.

    What comes before the layer is the same in all trials, so it is computed for one image, and the batch
    begins at the layer: whatever passes by it, as a skip does, is broadcast where the two meet. Networks for
    which that does not work, such as a concatenation with an earlier layer, get copies of the image instead.
    """
    copies = not _may_begin_at(model, image, output, call, targets, before)
    channels = output.shape[1]
    for first in range(0, channels, batch_size):
        gone = range(first, min(first + batch_size, channels))
        trials = output.repeat(len(gone), 1, 1, 1)
        trials[range(len(gone)), list(gone)] = 0
        seen = image.repeat(len(gone), 1, 1, 1) if copies else image
        yield _run_with(model, seen, call, trials), len(gone)


def _may_begin_at(
    model: nn.Module,
    image: Tensor,
    output: Tensor,
    call: tuple[nn.Module, int],
    targets: Sequence[Target],
    before: Sequence[Tensor],
) -> bool:
    """Whether a batch of two that begins at the layer gives the known scores twice."""
    try:
        made = _run_with(model, image, call, output.repeat(2, 1, 1, 1))
        return all(
            torch.allclose(target.scores(made, 2), score.expand(2), rtol=1e-3, atol=1e-4)
            for target, score in zip(targets, before, strict=True)
        )
    except (RuntimeError, ExploreError, IndexError):
        return False


def _run_with(model: nn.Module, images: Tensor, call: tuple[nn.Module, int], output: Tensor) -> object:
    """Run the model with one call of one module giving `output` instead."""
    module, wanted = call
    calls = 0

    def replace(*_: object) -> Tensor | None:
        nonlocal calls
        calls += 1
        return output if calls == wanted else None

    handle = module.register_forward_hook(replace)
    try:
        return model(images.clone())
    finally:
        handle.remove()


def _nonzero(values: Tensor) -> Tensor:
    return torch.where(values == 0, torch.ones_like(values), values)
