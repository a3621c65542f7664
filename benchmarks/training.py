"""Training images a second at 32x32: ours, a textbook loop, and the limit, the bare step.

    python -m benchmarks.training [rounds] [steps]

The textbook loop is what tutorials show: torchvision's transforms on PIL images, a DataLoader with two
workers, fp32, the contiguous layout. The bare step has its batch ready and measures nothing. All train the
same network on the same images, in turn and in alternating order; medians count. Targets on two cores: at
least 2x for ResNet-56 and 1.6x for ResNet-20 in bf16, 1.2x in fp32. The last line says what a run's notes
cost: gradients and responses, and each epoch's errors on 2,000 images of both sets; together at most 3 %.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import resnet_explore as rx
from resnet_explore.training.batches import batches
from resnet_explore.training.measure import LayerProbe, evaluate
from resnet_explore.training.runs import Run
from resnet_explore.training.trainer import PROBED_STEPS, engine, prepare, train_step

BATCH, EPOCHS = 128, 10
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
Step = Callable[[], None]


class Pictures(Dataset):
    """Images as torchvision's CIFAR10 gives them: an array turned into PIL, then transformed."""

    def __init__(self, images: rx.ImageSet) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).numpy()
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[i])), self.labels[i]


def noise_images(count: int) -> rx.ImageSet:
    """Return CIFAR-10's form without its content; a step takes as long on either."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.randint(10, (count,), generator=random)
    return rx.ImageSet("noise", "train", images, labels, tuple("abcdefghij"), MEAN, STD)


def textbook(data: rx.ImageSet, depth: int) -> Step:
    """Return one step of the textbook loop."""
    network = rx.build(f"cifar_resnet{depth}").train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(Pictures(data), BATCH, shuffle=True, num_workers=2, drop_last=True)

    def forever() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from loader

    source = forever()

    def step() -> None:
        images, labels = next(source)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def ours(data: rx.ImageSet, depth: int, precision: str, bare: bool = False, probe: bool = False) -> Step:
    """Return one step of our trainer, or of that without batches, or with a look at each layer."""
    sweep = rx.Sweep(
        "cifar10", depths=(depth,), kinds=("residual",), width=16, batch_size=BATCH, augment="crop"
    )
    run: Run = replace(sweep.runs()[0], precision=precision)
    fabric, network = engine(run, "cpu"), rx.build(f"cifar_resnet{depth}")
    model, optimizer = prepare(fabric, run, network)
    ready = next(batches(run, data, 0))

    def forever() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch = 0
        while True:
            yield from [ready] if bare else batches(run, data, epoch)
            epoch += 1

    source = forever()

    def step() -> None:
        images, labels = next(source)
        train_step(fabric, run, model, optimizer, images, labels, 0.1)

    def probed() -> None:
        with LayerProbe(network) as seen:
            step()
        seen.read()

    return probed if probe else step


def evaluation(data: rx.ImageSet, depth: int) -> Step:
    """Return what an epoch's errors take: a clean pass over some images of each set, in bf16."""
    sweep = rx.Sweep("cifar10", depths=(depth,), kinds=("residual",), width=16, precision="bf16")
    fabric, network = engine(sweep.runs()[0], "cpu"), rx.build(f"cifar_resnet{depth}")

    def both() -> None:
        for _ in ("train", "test"):
            evaluate(network, data, fabric.autocast, sweep.eval_images)

    return both


def measure(ways: dict[str, Step], rounds: int, steps: int) -> dict[str, float]:
    """Return each way's median seconds a step; rounds alternate the order."""
    for step in ways.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(rounds):
        for name in sorted(ways, reverse=bool(i % 2)):
            began = time.perf_counter()
            for _ in range(steps):
                ways[name]()
            seconds[name].append((time.perf_counter() - began) / steps)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main(rounds: int = 7, steps: int = 12) -> None:
    """Measure ResNet-20 and ResNet-56 and print images a second and ratios."""
    data = noise_images(BATCH * 40)
    for depth in (20, 56):
        ways = {"textbook fp32": textbook(data, depth)}
        for precision in ("bf16", "fp32"):
            ways[f"ours {precision}"] = ours(data, depth, precision)
            ways[f"bare step {precision}"] = ours(data, depth, precision, bare=True)
        ways["ours bf16, probed"] = ours(data, depth, "bf16", probe=True)
        found = measure(ways, rounds, steps)
        errors = measure({"errors": evaluation(data, depth)}, rounds, 1)["errors"]
        print(f"ResNet-{depth}, batch {BATCH}, {torch.get_num_threads()} threads")
        for name, seconds in found.items():
            ratio = found["textbook fp32"] / seconds
            print(f"  {name:18} {BATCH / seconds:6.0f} images/s   {ratio:4.2f} x textbook")
        for precision in ("bf16", "fp32"):
            share = found[f"bare step {precision}"] / found[f"ours {precision}"]
            print(f"  ours {precision} runs at {100 * share:.0f} % of the bare step")
        extra = found["ours bf16, probed"] - found["ours bf16"]
        whole = EPOCHS * (50_000 // BATCH) * found["ours bf16"] / 100
        layers = extra * (len(PROBED_STEPS) + EPOCHS) / whole
        print(
            f"  of {EPOCHS} epochs of CIFAR-10, looking at the layers takes {layers:.2f} % and finding "
            f"errors {EPOCHS * errors / whole:.1f} %"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
