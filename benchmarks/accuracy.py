"""Whether the fast trainer trains as well as a textbook loop: test errors of both, seed by seed.

    python -m benchmarks.accuracy [root] [depth] [seeds] [images] [epochs]

Both train the same network from the same weights with the same rates (one-cycle) on the same images of
CIFAR-10; `root` is a folder of train/<class>/<image>, without which the data are downloaded. The textbook
loop is the one of `benchmarks.training`: PIL images, a DataLoader, fp32. Ours runs in bf16, or in fp32 where
the processor doesn't compute in bf16. Printed are mean and standard deviation over at least two seeds, and
the mean of the paired differences with its standard error.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

import resnet_explore as rx
from benchmarks.training import BATCH, Pictures
from resnet_explore.models.threads import one_thread
from resnet_explore.training.measure import evaluate
from resnet_explore.training.runs import Run
from resnet_explore.training.schedule import learning_rate
from resnet_explore.training.trainer import engine, train_run


def textbook_error(run: Run, train: rx.ImageSet, test: rx.ImageSet) -> float:
    """Return the test error in percent after a textbook loop."""
    network = rx.build(run.config(3, len(train.classes)), seed=run.seed).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=run.lr, momentum=run.momentum, weight_decay=run.weight_decay
    )
    torch.manual_seed(run.seed)
    loader = DataLoader(Pictures(train), BATCH, shuffle=True, num_workers=1, drop_last=True)
    total = run.epochs * len(loader)
    for epoch in range(run.epochs):
        for i, (images, labels) in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(run, epoch * len(loader) + i, total)
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    return evaluate(network, test, engine(replace(run, precision="fp32"), "cpu").autocast)[1]


def our_error(run: Run, train: rx.ImageSet, test: rx.ImageSet) -> float:
    """Return the test error in percent after our trainer's run."""
    with tempfile.TemporaryDirectory() as folder:
        train_run(run, train, test, Path(folder) / "run", accelerator="cpu")
        return rx.collect(folder).test_error.iloc[-1]


def main(
    root: str | None = None, depth: int = 8, seeds: int = 6, images: int = 10_000, epochs: int = 5
) -> None:
    """Train both ways for every seed and print the errors."""
    train, test = (rx.load_dataset("cifar10", split, root=root) for split in ("train", "test"))
    some = torch.linspace(0, len(train) - 1, images).long()  # every class, in the folder's order
    train = replace(train, images=train.images[some], labels=train.labels[some])
    recipe = {"width": 16, "batch_size": BATCH, "lr": 0.1, "weight_decay": 5e-4, "augment": "crop"}
    sweep = rx.Sweep(
        "cifar10", depths=(depth,), kinds=("residual",), seeds=tuple(range(seeds)), epochs=epochs, **recipe
    )
    errors = []
    for run in sweep.runs():
        with one_thread():
            errors.append((textbook_error(run, train, test), our_error(run, train, test)))
        print(f"seed {run.seed}  textbook {errors[-1][0]:.2f} %  ours {errors[-1][1]:.2f} %", flush=True)
    theirs, ours = np.array(errors).T
    apart = ours - theirs
    print(f"ResNet-{depth}, {images} images of {train.source}, {epochs} epochs, {seeds} seeds, test error")
    print(f"  textbook, fp32   {theirs.mean():.2f} ± {theirs.std(ddof=1):.2f} %")
    print(f"  ours, {sweep.runs()[0].precision}       {ours.mean():.2f} ± {ours.std(ddof=1):.2f} %")
    print(f"  difference       {apart.mean():+.2f} ± {apart.std(ddof=1) / seeds**0.5:.2f} % (standard error)")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
