"""One run, from a config to a history and a checkpoint; stopped or killed, it continues bit for bit.

The only file that knows the engine, Lightning Fabric: the same loop runs on a processor, on a GPU, on several
under `torchrun`, in fp32 or bf16. Weights, momentum and whether the warm-up is over are all that a continued
run needs; everything random comes from (seed, epoch), see `batches`.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_explore.errors import ExploreError
from resnet_explore.inputs.datasets import ImageSet, in_words
from resnet_explore.models.devices import device_for, give_back_memory, is_full, refuse_precision
from resnet_explore.models.presets import build
from resnet_explore.models.skip_strength import scale_skips
from resnet_explore.training.batches import batches, steps_per_epoch
from resnet_explore.training.measure import LayerProbe, evaluate
from resnet_explore.training.runs import Run, RunFolder, load_tensors, save_tensors
from resnet_explore.training.schedule import WarmUp, learning_rate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Layers are looked at in these steps and in the last of each epoch.
PROBED_STEPS = (0, 1, 3, 10, 30)

logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would greet every run
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def train_run(
    run: Run,
    train: ImageSet,
    test: ImageSet,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    accelerator: str = "auto",
) -> bool:
    """Train to the end, or until `stop()`, asked before each step, says so; return whether it got there.

    Writes what `runs` describes into `folder`, and continues from what it finds there. A stop loses the epoch
    that it interrupts, never a finished one. `accelerator` is "cpu", "cuda", "mps" or "auto", the first of
    cuda, mps and cpu that there is.

    Raises ExploreError where the folder holds something else, a file of it is damaged, nothing can be
    written, the device is not there or can't do what is asked, or its memory does not suffice.
    """
    fabric = engine(run, accelerator)
    files = RunFolder(folder)
    if fabric.broadcast(fabric.is_global_zero and files.is_finished_by(run)):
        return True
    training = _Training(fabric, run, train, test, files)
    try:
        return training.go(stop)
    except RuntimeError as error:
        if not is_full(error):
            raise
    except OSError as error:
        raise ExploreError(f"{folder} can't be written to ({error.strerror or error}).") from None
    # Only here, where the error is gone: its traceback holds on to the step that failed, and to its memory.
    raise ExploreError(training.what_would_fit())


class _Training:
    """The state of one run while it trains."""

    def __init__(self, fabric: Fabric, run: Run, train: ImageSet, test: ImageSet, files: RunFolder) -> None:
        self.fabric, self.run, self.files, self.about = fabric, run, files, about_data(train, test)
        self.train, self.test = (_on(fabric.device, data) for data in (train, test))
        self.network = build(run.config(train.images.shape[1], len(train.classes)), seed=run.seed)
        self.model, self.optimizer = prepare(fabric, run, self.network)
        self.steps = steps_per_epoch(run, train)
        self.warm_up = WarmUp(run, self.steps)

    def go(self, stop: Callable[[], bool]) -> bool:
        if self.fabric.is_global_zero:
            self.files.start(self.run)
        self.fabric.barrier()  # the others read what the first has tidied
        for epoch in range(self._restore(), self.run.epochs):
            self.warm_up.start_epoch()
            scale_skips(self.network, self.run.skip_scale_in(epoch + 1))
            began = time.perf_counter()
            if not self._epoch(epoch, stop):
                return False
            self._note(epoch, time.perf_counter() - began)
        if self.fabric.is_global_zero:
            self._finish()
        self.fabric.barrier()
        return True

    def _epoch(self, epoch: int, stop: Callable[[], bool]) -> bool:
        """Take an epoch's steps; return False, at once, if `stop` says so."""
        first = epoch * self.steps
        mine = self.fabric.global_rank, self.fabric.world_size
        for step, batch in enumerate(batches(self.run, self.train, epoch, *mine), start=first):
            if stop():
                return False
            if step in self.run.keep_steps and self.fabric.is_global_zero:
                self._save(self.files.at_step(step), {"step": step})
            if step in PROBED_STEPS or step == first + self.steps - 1:
                with LayerProbe(self.network) as probe:
                    self._step(step, *batch)
                if self.fabric.is_global_zero:
                    self.files.append_layers({"step": step, **probe.read()})
            else:
                self._step(step, *batch)
        return True

    def _step(self, step: int, images: Tensor, labels: Tensor) -> None:
        lr = learning_rate(self.run, step, self.run.epochs * self.steps) * self.warm_up.factor
        logits = train_step(self.fabric, self.run, self.model, self.optimizer, images, labels, lr)
        if self.warm_up.going:
            wrong = (logits.argmax(1) != labels).float().mean() * 100
            self.warm_up.see(cast(Tensor, self.fabric.all_reduce(wrong)).item())

    def _note(self, epoch: int, seconds: float) -> None:
        """Write down an epoch and what a continued run needs."""
        if not self.fabric.is_global_zero:
            return
        last = epoch + 1 == self.run.epochs
        row = {"epoch": epoch + 1, "step": (epoch + 1) * self.steps, "seconds": round(seconds, 3)}
        for name, data in (("train", self.train), ("test", self.test)):
            count = None if last else self.run.eval_images
            found = evaluate(self.network, data, self.fabric.autocast, count)
            row[f"{name}_loss"], row[f"{name}_error"] = found
        # The history first: `rewind` drops a line whose epoch the file below never came to hold.
        self.files.append(row)
        self._save_resume(epoch + 1)

    def _save_resume(self, epoch: int) -> None:
        tensors = {f"model.{key}": value for key, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            tensors[f"momentum.{name}"] = self.optimizer.state[parameter]["momentum_buffer"]
        about = {"epoch": str(epoch), "warming_up": str(self.warm_up.going)}
        save_tensors(self.files.resume, tensors, about)

    def _restore(self) -> int:
        """Take up the state after the last saved epoch and return its number, 0 for a fresh run."""
        epoch = 0
        if self.files.resume.is_file():
            tensors, about = load_tensors(self.files.resume)
            parts: dict[str, dict[str, Tensor]] = {"model": {}, "momentum": {}}
            for key, value in tensors.items():
                part, _, name = key.partition(".")
                parts[part][name] = value
            self.network.load_state_dict(parts["model"])
            for name, parameter in self.network.named_parameters():
                buffer = torch.empty_like(parameter, requires_grad=False).copy_(parts["momentum"][name])
                self.optimizer.state[parameter]["momentum_buffer"] = buffer
            epoch, self.warm_up.going = int(about["epoch"]), about["warming_up"] == "True"
        if self.fabric.is_global_zero:
            self.files.rewind(epoch, epoch * self.steps)
        return epoch

    def _finish(self) -> None:
        last = self.files.rows()[-1]
        self._save(self.files.checkpoint, {key: last[key] for key in ("train_error", "test_error")})
        self.files.resume.unlink(missing_ok=True)

    def _save(self, path: Path, more: dict[str, Any]) -> None:
        config = asdict(self.network.config)
        about = {"config": config, **self.about, "run": self.run.noted(), **more}
        save_tensors(path, self.network.state_dict(), {k: json.dumps(v) for k, v in about.items()})

    def what_would_fit(self) -> str:
        """Say, after a device's memory ran out, how large a batch it holds; uses up the network."""
        memory = {"cuda": "The GPU's memory", "mps": "The Apple chip's memory"}.get(
            self.fabric.device.type, "The memory"
        )
        size = min(self.run.batch_size, len(self.train))
        while size > 1:
            size //= 2
            self.optimizer.zero_grad(set_to_none=True)
            give_back_memory(self.fabric.device)
            if self._holds(size):
                return (
                    f"{memory} does not hold a batch of {self.run.batch_size} images; "
                    f"batch_size={size} would fit."
                )
        return f"{memory} does not hold even one image of this size with this network."

    def _holds(self, size: int) -> bool:
        try:
            images, labels = next(batches(replace(self.run, batch_size=size), self.train, 0))
            train_step(self.fabric, self.run, self.model, self.optimizer, images, labels, lr=0.0)
        except RuntimeError as error:
            if not is_full(error):
                raise
            return False
        return True


# --- the engine -------------------------------------------------------------------------------------------


def engine(run: Run, accelerator: str = "auto") -> Fabric:
    """Return Fabric for a run: one device, or those that `torchrun` started this process for.

    Raises ExploreError if there is no such device here, or it can't compute in the run's precision.
    """
    # Not before there is something to train: it brings 280 MB, of which a recorded picture needs nothing.
    from resnet_explore.training.fabric import Fabric, LightningEnvironment, TorchElasticEnvironment

    device = device_for(accelerator)
    if distributed() and device.kind == "mps":
        if accelerator != "auto":
            raise ExploreError("An Apple chip has one GPU: without torchrun, one process trains on it.")
        device = device_for("cpu")
    refuse_precision(device, run.precision)
    accelerator = device.kind
    precision: Any = "bf16-mixed" if run.precision == "bf16" else "32-true"
    if not distributed():
        # Named outright: Fabric would else take a cluster's job for one of its own and ask for its nodes.
        return Fabric(accelerator=accelerator, devices=1, precision=precision, plugins=LightningEnvironment())
    fabric = Fabric(
        accelerator=accelerator,
        devices=int(os.environ["LOCAL_WORLD_SIZE"]),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        strategy="ddp",
        precision=precision,
        plugins=TorchElasticEnvironment(),
    )
    fabric.launch()
    return fabric


def distributed() -> bool:
    """Whether `torchrun` started this process as one of several."""
    launched = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    return launched and int(os.environ.get("WORLD_SIZE", 1)) > 1


# --- steps ------------------------------------------------------------------------------------------------


def prepare(fabric: Fabric, run: Run, network: nn.Module) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return the network, laid out for speed, on the device, in train mode, and SGD with momentum for it."""
    device = device_for(fabric.device.type)
    network = network.to(fabric.device).to(memory_format=device.layout)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=run.lr,
        momentum=run.momentum,
        weight_decay=run.weight_decay,
        fused=device.fused or None,
    )
    model, wrapped = fabric.setup(network, optimizer)
    return model.train(), wrapped


def train_step(
    fabric: Fabric,
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    lr: float,
) -> Tensor:
    """Take one SGD step in place and return the logits before it, (B, classes); gradients are kept."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    logits = model(images)
    fabric.backward(F.cross_entropy(logits, labels, label_smoothing=run.label_smoothing))
    optimizer.step()
    return logits.detach()


def first_steps(run: Run, network: nn.Module, data: ImageSet, steps: int) -> nn.Module:
    """Take the first steps of a run at its full rate `run.lr`, without warm-up; return the network."""
    fabric = engine(run, "cpu")
    model, optimizer = prepare(fabric, run, network)
    for images, labels in itertools.islice(batches(run, data, epoch=0), steps):
        train_step(fabric, run, model, optimizer, images, labels, run.lr)
    return network.eval()


def about_data(train: ImageSet, test: ImageSet) -> dict[str, Any]:
    """Return what a person needs to know of the data in order to use the trained network."""
    return {
        "data": in_words(train, test),
        "classes": train.classes,
        "mean": train.mean,
        "std": train.std,
        "input_size": tuple(train.images.shape[1:]),
    }


def _on(device: torch.device, data: ImageSet) -> ImageSet:
    return replace(data, images=data.images.to(device), labels=data.labels.to(device))
