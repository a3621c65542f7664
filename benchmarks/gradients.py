"""What does it cost to measure gradients: beside a bare pass, with depth, and inside a training loop?

Contestants take turns, so that a busy moment of the machine hits all of them. Times are the processor's, on
one thread; ratios are medians over rounds.

    python -m benchmarks.gradients [--rounds 9]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

import resnet_explore as rx
from resnet_explore.figures.gradients import gradient_heatmap
from resnet_explore.figures.style import to_png

DEPTHS = (56, 110, 332, 1202)


def compare(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return each contestant's processor times in seconds; the order is turned in every round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for i in range(rounds + 1):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = time.process_time()
            contestants[name]()
            if i:  # the first round warms up
                times[name].append(time.process_time() - start)
    return times


def pass_of(depth: int, batch: int, size: int) -> dict[str, Callable[[], object]]:
    """Return a bare forward and backward pass of a network, and our measurement of the same."""
    model = rx.build(f"cifar_resnet{depth}").train()
    images, labels = torch.randn(batch, 3, size, size), torch.randint(10, (batch,))
    parameters = list(model.parameters())
    return {
        "bare": lambda: torch.autograd.grad(F.cross_entropy(model(images), labels), parameters),
        "gradient_flow": lambda: rx.gradient_flow(model, images, labels),
    }


def steps_of(depth: int, batch: int, size: int) -> dict[str, Callable[[], object]]:
    """Return one training step of a network, and the same step of its copy with a recorder at work."""
    contestants: dict[str, Callable[[], object]] = {}
    for name in ("bare", "recorded"):
        model = rx.build(f"cifar_resnet{depth}").train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        contestants[name] = _step(model, optimizer, batch, size)
        if name == "recorded":
            rx.GradientRecorder(model, optimizer)
    return contestants


def _step(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: int, size: int
) -> Callable[[], object]:
    images, labels = torch.randn(batch, 3, size, size), torch.randint(10, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def ratio(times: dict[str, list[float]], over: str, under: str) -> float:
    """Return the median over rounds of one contestant's time over another's."""
    return statistics.median(a / b for a, b in zip(times[over], times[under], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)

    times = compare(pass_of(56, 32, 32), options.rounds)
    bare = statistics.median(times["bare"])
    print(f"ResNet-56, 32 images of 32x32: bare forward and backward {bare * 1e3:.0f} ms")
    print(f"  gradient_flow {ratio(times, 'gradient_flow', 'bare'):.3f} x bare")

    for batch, size in ((32, 32), (32, 8)):
        times = compare(steps_of(56, batch, size), 3 * options.rounds)
        slow = 100 * (ratio(times, "recorded", "bare") - 1)
        print(f"  GradientRecorder slows a step on {batch} images of {size}x{size} by {slow:.1f} %")

    print("heatmap of 500 steps:")
    for depth in DEPTHS:
        norms = np.exp(np.random.default_rng(0).normal(size=(500, depth)))
        start = time.process_time()
        to_png(
            gradient_heatmap({kind: (np.arange(500), norms) for kind in ("plain", "residual")}, (1e-3, 1e3))
        )
        print(f"  {depth:5d} layers {(time.process_time() - start) * 1e3:7.0f} ms, both twins")

    print("a switch of the explorer, until its picture:")
    explorer = rx.GradientFlowExplorer(depths=(56,))
    explorer.wait()
    for data in ("digits", "noise"):
        for norm in ("group", "batch", "none"):
            start = time.perf_counter()
            explorer.update(data=data, norm=norm)
            explorer.wait()
            print(f"  {data}, 56 layers, norm {norm}: {(time.perf_counter() - start) * 1e3:.0f} ms")

    print("with depth, 4 images of 8x8:")
    for depth in DEPTHS:
        times = compare(pass_of(depth, 4, 8), max(3, options.rounds // 3))
        took = statistics.median(times["gradient_flow"])
        print(f"  {depth:5d} layers {took * 1e3:7.0f} ms, {took / depth * 1e3:.2f} ms a layer")


if __name__ == "__main__":
    main()
