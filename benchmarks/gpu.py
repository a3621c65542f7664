"""What no processor can check: training, resuming, memory and measurements on a GPU or an Apple chip.

    python -m benchmarks.gpu [--accelerator auto]

Takes under 5 minutes; prints a line for each check and ends with status 1 if one failed. Speed is compared
with the bare step, a loop written by hand whose batch is ready; the two take turns, and medians count. No
speed is promised: below half of the bare step something must be wrong. Where there is no accelerator it says
so and ends well.
"""

import argparse
import contextlib
import functools
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

import resnet_explore as rx
from benchmarks.training import Step, measure, noise_images
from resnet_explore.analysis.gradients.flow import NORMS
from resnet_explore.models.devices import Device, device_for, give_back_memory, kind_for
from resnet_explore.training.batches import batches
from resnet_explore.training.runs import Run, RunFolder, load_tensors
from resnet_explore.training.trainer import engine, prepare, train_run, train_step

LEAST_SHARE = 0.5  # of the bare step's speed
MOST_OFF = 1e-3  # of the largest number, between a device's results and the processor's
LIMIT = 2_000_000_000  # bytes that the check of memory leaves to torch


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    depths, batch, rounds, steps  of the networks and loops that are timed, at 32x32
    epochs                        of the run that is interrupted
    too_many                      images in a batch that memory is not to hold
    photo                         side of the photo that ResNet-50 is asked about; None for a small network
    limit                         what makes the device's memory small for a while
    executor                      where the sweep is trained; None for the usual processes
    """

    depths: tuple[int, ...] = (20, 56)
    batch: int = 128
    rounds: int = 5
    steps: int = 20
    epochs: int = 4
    too_many: int = 8192
    photo: int | None = 224
    limit: Callable[[str], contextlib.AbstractContextManager[None]] | None = None
    executor: Executor | None = None


@dataclass(frozen=True)
class Found:
    """What a check found: whether all is as it should be, and in words what is."""

    ok: bool
    words: str


Check = Callable[[], Found]


def checks(kind: str, sizes: Sizes) -> dict[str, Check]:
    """Return all checks of a kind of device, "cuda", "mps" or "cpu", by name."""
    device = device_for(kind)
    precisions = ("bf16", "fp32") if device.bf16 else ("fp32",)
    speeds = {
        f"ResNet-{depth} in {precision}": functools.partial(speed, kind, sizes, depth, precision)
        for depth in sizes.depths
        for precision in precisions
    }
    return {
        "device": lambda: about(device),
        **speeds,
        "learns": functools.partial(learns, kind, sizes),
        **{f"resumes in {p}": functools.partial(resumes, kind, sizes, p) for p in precisions},
        "memory": functools.partial(memory, kind, sizes),
        **{
            f"{name} as on the processor": functools.partial(alike, kind, measurement)
            for name, measurement in MEASUREMENTS.items()
        },
        "Grad-CAM": functools.partial(grad_cam, kind, sizes),
    }


def about(device: Device) -> Found:
    """Say what the device is and what we take it to be capable of."""
    name = torch.cuda.get_device_name() if device.kind == "cuda" else device.kind
    bf16 = "computes in bf16" if device.fast_bf16 else "can do bf16" if device.bf16 else "no bf16"
    layout = str(device.layout).removeprefix("torch.")
    fused = "fused" if device.fused else "no fused"
    return Found(True, f"{name}, torch {torch.__version__}: {bf16}, {fused} SGD, {layout}")


# --- training ---------------------------------------------------------------------------------------------


def on_device(kind: str, count: int) -> rx.ImageSet:
    """Return noise in CIFAR-10's form that lies on the device."""
    data = noise_images(count)
    return replace(data, images=data.images.to(kind), labels=data.labels.to(kind))


def run_of(depth: int, batch: int, precision: str, epochs: int = 1) -> Run:
    """Return a run of a residual network of CIFAR-10's usual width."""
    sweep = rx.Sweep(
        "cifar10", depths=(depth,), kinds=("residual",), width=16, batch_size=batch, augment="crop",
        precision=precision, epochs=epochs,
    )  # fmt: skip
    return sweep.runs()[0]


def ours(kind: str, run: Run, data: rx.ImageSet) -> Step:
    """Return one step of our trainer, its batch included."""
    fabric, network = engine(run, kind), rx.build(run.config(3, 10), seed=0)
    model, optimizer = prepare(fabric, run, network)

    def forever() -> Iterator[tuple[Tensor, Tensor]]:
        epoch = 0
        while True:
            yield from batches(run, data, epoch)
            epoch += 1

    source = forever()
    return lambda: train_step(fabric, run, model, optimizer, *next(source), 0.1)


def bare(kind: str, run: Run, data: rx.ImageSet) -> Step:
    """Return one step as one would write it by hand, on a batch that is ready."""
    device = device_for(kind)
    network = rx.build(run.config(3, 10), seed=0).to(kind).to(memory_format=device.layout).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=run.momentum, weight_decay=run.weight_decay,
        fused=device.fused or None,
    )  # fmt: skip
    images, labels = next(batches(run, data, 0))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16, enabled=run.precision == "bf16"):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def speed(kind: str, sizes: Sizes, depth: int, precision: str) -> Found:
    """Compare our step with the bare one."""
    run, data = run_of(depth, sizes.batch, precision), on_device(kind, 8 * sizes.batch)
    ways = {"ours": ours(kind, run, data), "bare": bare(kind, run, data)}
    blocks = {name: functools.partial(_block, kind, way, sizes.steps) for name, way in ways.items()}
    seconds = {name: took / sizes.steps for name, took in measure(blocks, sizes.rounds, 1).items()}
    share = seconds["bare"] / seconds["ours"]
    speeds = ", ".join(f"{name} {sizes.batch / took:,.0f} images/s" for name, took in seconds.items())
    return Found(share >= LEAST_SHARE, f"{speeds}: {100 * share:.0f} % of the bare step's speed")


def _block(kind: str, step: Step, steps: int) -> None:
    for _ in range(steps):
        step()
    wait_for(kind)


def wait_for(kind: str) -> None:
    """Wait until the device has done all that it was given."""
    if kind != "cpu":
        torch.accelerator.synchronize()


def learns(kind: str, sizes: Sizes) -> Found:
    """Train the digits by a sweep, in the processes that it takes by itself."""
    sweep = rx.Sweep(depths=(8,), kinds=("residual",), epochs=sizes.epochs, accelerator=kind)
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        table = rx.run_sweep(sweep, Path(folder) / "s", executor=sizes.executor, began=said.append)
    error = table["test_error"].iloc[-1]
    return Found(error < 50, f"{error:.1f} % test error after {sizes.epochs} epochs. {said[0]}")


def resumes(kind: str, sizes: Sizes, precision: str) -> Found:
    """Interrupt a run and go on: it must end where it would have, as exactly as the device repeats itself."""
    run = replace(run_of(min(sizes.depths), 64, precision, sizes.epochs), width=4, augment="zoom")
    train, test = noise_images(256), noise_images(64)
    ends: dict[str, Mapping[str, Tensor]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, steps in (("whole", None), ("again", None), ("resumed", 6)):
            out = Path(folder) / name
            if steps is not None:
                left = iter(range(steps))
                train_run(run, train, test, out, lambda left=left: next(left, None) is None, kind)  # type: ignore[misc]
                if RunFolder(out).finished:
                    return Found(False, "the run was not interrupted")
            train_run(run, train, test, out, accelerator=kind)
            ends[name] = load_tensors(RunFolder(out).checkpoint)[0]
    off, yardstick = furthest(ends["resumed"], ends["whole"]), furthest(ends["again"], ends["whole"])
    if off == 0:
        return Found(True, "ends bit-equal")
    words = f"ends {off:.1e} off (of the largest weight); the same run twice, {yardstick:.1e}"
    return Found(off <= 10 * yardstick, words)


def furthest(found: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> float:
    """Return the largest difference between tensors, as a share of the largest number of each."""
    shares = []
    for name, tensor in true.items():
        one, other = (value.detach().cpu().double() for value in (found[name], tensor))
        shares.append(((one - other).abs().max() / other.abs().max().clamp(min=1e-30)).item())
    return max(shares)


# --- memory -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def little_memory(kind: str) -> Iterator[None]:
    """Leave torch `LIMIT` bytes of the device."""
    whole = torch.cuda.mem_get_info()[1] if kind == "cuda" else torch.mps.recommended_max_memory()
    limit = (torch.cuda if kind == "cuda" else torch.mps).set_per_process_memory_fraction
    give_back_memory(torch.device(kind))
    limit(LIMIT / whole)
    try:
        yield
    finally:
        limit(1.0)
        give_back_memory(torch.device(kind))


def memory(kind: str, sizes: Sizes) -> Found:
    """Ask for a batch that is too large: the sentence must name one that fits, and no needlessly small one.

    One four times as large must not fit; twice may just do so in a run that was not refused before.
    """
    run = run_of(max(sizes.depths), sizes.too_many, "fp32")
    train, test = noise_images(sizes.too_many), noise_images(8)
    with (sizes.limit or little_memory)(kind):
        sentence = refused(kind, run, train, test)
        named = re.search(r"batch_size=(\d+) would fit", sentence)
        if not named:
            return Found(False, sentence or f"{sizes.too_many} images fit")
        size = int(named[1])
        for wanted, fits in ((min(4 * size, sizes.too_many), False), (size, True)):
            # As many images as a batch has: one step, which is all that it takes.
            some = replace(train, images=train.images[:wanted], labels=train.labels[:wanted])
            told = refused(kind, replace(run, batch_size=wanted), some, test)
            if (told == "") != fits:
                return Found(False, f"{sentence} But of {wanted}: {told or 'they fit'}")
    return Found(True, sentence)


def refused(kind: str, run: Run, train: rx.ImageSet, test: rx.ImageSet) -> str:
    """Train a run and return why that can't be done, "" if it can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            train_run(run, train, test, Path(folder), accelerator=kind)
        except rx.ExploreError as error:
            return str(error)
    return ""


# --- measurements -----------------------------------------------------------------------------------------


def _captured(model: nn.Module, images: Tensor, _labels: Tensor) -> dict[str, Tensor]:
    with rx.Capture(model, gradients=True) as seen:
        model(images)[:, 0].sum().backward()
    model.zero_grad()
    return {**seen.outputs, **{f"gradient of {name}": g for name, g in seen.gradients.items()}}


def _norms(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    flow = rx.gradient_flow(model, images, labels, mode="train")
    return {name: torch.tensor(getattr(flow, name)) for name in NORMS}


MEASUREMENTS: Mapping[str, Callable[[nn.Module, Tensor, Tensor], Mapping[str, Tensor]]] = {
    "Capture": _captured,
    "gradient_flow": _norms,
    "class_activation_maps": lambda model, images, _: rx.class_activation_maps(model, images),
    "eigen_cam": lambda model, images, _: rx.class_activation_maps(model, images, method="eigen_cam"),
}


def alike(kind: str, measurement: Callable[..., Mapping[str, Tensor]]) -> Found:
    """Compare a measurement on the device with the processor's; in full fp32, without TF32."""
    random = torch.Generator().manual_seed(0)
    images, labels = torch.randn(8, 3, 32, 32, generator=random), torch.arange(8)
    found: list[Mapping[str, Tensor]] = []
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        for where in ("cpu", kind):
            model = rx.build("cifar_resnet20", seed=0).eval().to(where)
            found.append(measurement(model, images.to(where), labels.to(where)))
    finally:
        torch.backends.cudnn.allow_tf32 = before
    off = furthest(found[1], found[0])
    return Found(off <= MOST_OFF, f"at most {off:.1e} of the largest number off, of {len(found[0])} results")


def grad_cam(kind: str, sizes: Sizes) -> Found:
    """Compare Grad-CAM of all blocks with the forward and backward pass that it can't do without."""
    name, side = ("resnet50", sizes.photo) if sizes.photo else ("cifar_resnet8", 32)
    model, image = rx.build(name, seed=0).eval().to(kind), torch.randn(1, 3, side, side).to(kind)
    blocks = list(rx.class_activation_maps(model, image, 0))

    def passes() -> None:
        edges: list[Any] = []
        hooks = [
            model.get_submodule(block).register_forward_hook(lambda *a: edges.append(get_gradient_edge(a[2])))
            for block in blocks
        ]
        logits = model(image.clone().requires_grad_())
        for hook in hooks:
            hook.remove()
        torch.autograd.grad(logits[0, 0], edges)

    ways = {"ours": lambda: rx.class_activation_maps(model, image, 0), "bare": passes}
    waiting = {name: functools.partial(_block, kind, way, 1) for name, way in ways.items()}
    seconds = measure(waiting, 2 * sizes.rounds, 1)
    ratio = seconds["ours"] / seconds["bare"]
    return Found(
        ratio <= 1 / LEAST_SHARE,
        f"{name}, {len(blocks)} blocks: {1e3 * seconds['ours']:.1f} ms, {ratio:.2f} x forward and backward",
    )


# --- the table --------------------------------------------------------------------------------------------


def report(todo: Mapping[str, Check]) -> bool:
    """Do the checks, print a line for each, and return whether all are as they should be."""
    fine, width = True, max(map(len, todo))
    for name, check in todo.items():
        began = time.perf_counter()
        try:
            found = check()
        except Exception as error:  # the others are worth knowing all the same
            found = Found(False, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        fine = fine and found.ok
        took = time.perf_counter() - began
        print(f"{name:{width}}  {'ok' if found.ok else 'FAILED':6}  {took:5.1f} s  {found.words}", flush=True)
    return fine


def main(arguments: list[str] | None = None) -> int:
    """Check what is here and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accelerator", choices=("auto", "cuda", "mps"), default="auto")
    try:
        kind = kind_for(parser.parse_args(arguments).accelerator)
    except rx.ExploreError as error:  # one that was asked for outright
        print(error)
        return 1
    if kind == "cpu":
        print("There is no GPU or Apple chip that torch can use here, so nothing was checked.")
        return 0
    return 0 if report(checks(kind, Sizes())) else 1


if __name__ == "__main__":
    sys.exit(main())
