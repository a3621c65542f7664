"""One run, from a config to a history and a checkpoint; stopped or killed, it continues bit for bit.

The order of the images and their crops come from (seed, epoch) alone and the learning rate from the step
alone. So both twins see the same data, and weights and momentum are all that a continued run needs.
"""

import contextlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.inputs.datasets import ImageSet
from resnet_explore.models.presets import build
from resnet_explore.training.runs import Run, RunFolder, load_tensors, save_tensors

_PAD = 4  # He et al. 2015, section 4.2: pad 4 pixels on each side, crop at random, flip at random


def train_run(
    run: Run, train: ImageSet, test: ImageSet, folder: Path, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Train to the end, or until `stop()`, asked before each step, says so; return whether it got there.

    Writes what `runs` describes into `folder`, and continues from what it finds there. A stop loses the epoch
    that it interrupts, never a finished one.
    """
    files = RunFolder(folder)
    if files.finished:
        return True
    files.start(run)
    config = run.config(train.images.shape[1], len(train.classes))
    model, optimizer = prepare(run, build(config, seed=run.seed))
    first = _restore(model, optimizer, files)
    steps = steps_per_epoch(run, train)
    for epoch in range(first, run.epochs):
        began = time.perf_counter()
        for step, (images, labels) in enumerate(batches(run, train, epoch), start=epoch * steps):
            if stop():
                return False
            train_step(run, model, optimizer, images, labels, learning_rate(run, step, run.epochs * steps))
        seconds = time.perf_counter() - began
        row = {"epoch": epoch + 1, "step": (epoch + 1) * steps, "seconds": round(seconds, 3)}
        for name, data in (("train", train), ("test", test)):
            row[f"{name}_loss"], row[f"{name}_error"] = evaluate(model, data, run.precision)
        # The history first: `rewind` drops a line whose epoch the file below never came to hold.
        files.append(row)
        _save_resume(model, optimizer, files, epoch + 1)
    _finish(run, model, files, {"config": asdict(config), **about_data(train)})
    return True


def prepare(run: Run, model: nn.Module) -> tuple[nn.Module, torch.optim.SGD]:
    """Return the model, laid out for speed, in train mode, and its optimizer (SGD with momentum)."""
    if run.precision == "fp32":
        model = model.to(memory_format=torch.channels_last)  # helps fp32 on processors, hurts bf16
    optimizer = torch.optim.SGD(
        model.parameters(), lr=run.lr, momentum=run.momentum, weight_decay=run.weight_decay, fused=True
    )
    return model.train(), optimizer


def train_step(
    run: Run, model: nn.Module, optimizer: torch.optim.SGD, images: Tensor, labels: Tensor, lr: float
) -> Tensor:
    """Take one SGD step in place and return the loss before it, a scalar tensor."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    with autocast(run.precision):
        loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def first_steps(run: Run, model: nn.Module, data: ImageSet, steps: int) -> nn.Module:
    """Take the first steps of a run at its full rate `run.lr`, without warm-up; return the model."""
    model, optimizer = prepare(run, model)
    for images, labels in itertools.islice(batches(run, data, epoch=0), steps):
        train_step(run, model, optimizer, images, labels, run.lr)
    return model.eval()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread for a while.

    Networks this small gain nothing from more, and on a busy processor two that wait for each other at every
    layer take many times as long as one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def learning_rate(run: Run, step: int, total: int) -> float:
    """Return the one-cycle rate at a step: lr/25, up to lr at 30 % of the run, down to about 0, on cosines.

    Smith & Topin 2018 (arXiv 1708.07120), in the form and with the defaults of torch's OneCycleLR.
    """
    low, high, end = run.lr / 25, run.lr, run.lr / 25e4
    peak = 0.3 * total - 1
    if step <= peak:
        return _cosine(low, high, step / peak)
    return _cosine(high, end, (step - peak) / max(total - 1 - peak, 1e-9))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def steps_per_epoch(run: Run, data: ImageSet) -> int:
    """Return how many whole batches an epoch has; the few images left over wait for the next shuffle."""
    return max(1, len(data) // run.batch_size)


def batches(run: Run, data: ImageSet, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches (float images (B, C, H, W), labels (B,)), the same for both twins."""
    random = torch.Generator().manual_seed(run.seed * 1_000_003 + epoch)
    order = torch.randperm(len(data), generator=random)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) * 255 for v in (data.mean, data.std))
    size = min(run.batch_size, len(data))
    for i in range(steps_per_epoch(run, data)):
        chosen = order[i * size : (i + 1) * size]
        images = data.images[chosen].float().sub_(mean).div_(std)
        if run.augment:
            images = crop_and_flip(images, random)
        if run.precision == "fp32":
            images = images.contiguous(memory_format=torch.channels_last)
        yield images, data.labels[chosen]


def crop_and_flip(images: Tensor, random: torch.Generator) -> Tensor:
    """Shift each image by up to 4 pixels either way, zeros (the mean) moving in, and mirror half of them.

    Takes and returns (B, C, H, W). All images move in one gather; nothing is done per image.
    """
    count, _, height, width = images.shape
    padded = F.pad(images, (_PAD,) * 4)
    top, left = torch.randint(2 * _PAD + 1, (2, count, 1), generator=random)
    columns = torch.arange(width).expand(count, -1)
    mirrored = torch.rand(count, 1, generator=random) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns) + left
    rows = torch.arange(height) + top
    which = torch.arange(count).view(-1, 1, 1)
    return padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


@torch.inference_mode()
def evaluate(model: nn.Module, data: ImageSet, precision: str = "fp32") -> tuple[float, float]:
    """Return mean cross-entropy and error in percent, in eval mode; the model keeps the mode it was in."""
    was_training = model.training
    model.eval()
    loss, wrong = 0.0, 0
    for start in range(0, len(data), 500):
        index = slice(start, start + 500)
        with autocast(precision):
            logits = model(data.normalized(index)).float()
        labels = data.labels[index]
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        wrong += int((logits.argmax(1) != labels).sum())
    model.train(was_training)
    return loss / len(data), 100 * wrong / len(data)


def autocast(precision: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which forward passes run: "bf16" or "fp32"."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def _save_resume(model: nn.Module, optimizer: torch.optim.SGD, files: RunFolder, epoch: int) -> None:
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors[f"momentum.{name}"] = optimizer.state[parameter]["momentum_buffer"]
    save_tensors(files.resume, tensors, {"epoch": str(epoch)})


def _restore(model: nn.Module, optimizer: torch.optim.SGD, files: RunFolder) -> int:
    """Take up the state after the last saved epoch and return its number, 0 for a fresh run."""
    if not files.resume.is_file():
        files.rewind(0)
        return 0
    tensors, about = load_tensors(files.resume)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "momentum": {}}
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    model.load_state_dict(parts["model"])
    for name, parameter in model.named_parameters():
        buffer = torch.empty_like(parameter, requires_grad=False).copy_(parts["momentum"][name])
        optimizer.state[parameter]["momentum_buffer"] = buffer
    files.rewind(int(about["epoch"]))
    return int(about["epoch"])


def about_data(data: ImageSet) -> dict[str, Any]:
    """Return what a person needs to know of the training data in order to use the trained network."""
    return {
        "data": data.source,
        "classes": data.classes,
        "mean": data.mean,
        "std": data.std,
        "input_size": tuple(data.images.shape[1:]),
    }


def _finish(run: Run, model: nn.Module, files: RunFolder, about: dict[str, Any]) -> None:
    last = files.rows()[-1]
    about = {**about, "run": asdict(run), **{k: last[k] for k in ("train_error", "test_error")}}
    save_tensors(files.checkpoint, model.state_dict(), {k: json.dumps(v) for k, v in about.items()})
    files.resume.unlink(missing_ok=True)
