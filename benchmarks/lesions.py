"""What does it cost to delete each block of a 56-layer network, one by one?

Compared are `lesion_study`, which computes once what comes before a deleted block, and the same network
edited and run whole for each. They take turns, so that a busy moment of the machine hits both, and medians
of processor time are printed.

    python -m benchmarks.lesions [--rounds 5] [--images 128] [--threads 1]
"""

import argparse
import time

import torch

import resnet_explore as rx
from benchmarks.analysis import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = rx.build("cifar_resnet56", seed=0).eval()
    images = torch.randn(options.images, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(options.images, dtype=torch.long)
    blocks = [block.name for block in rx.structure(model, (3, 32, 32)).blocks]

    def whole() -> None:
        with torch.no_grad():
            model(images)
            for block in blocks:
                with rx.edited(model, delete=block):
                    model(images)

    medians = compare(
        {"lesion_study": lambda: rx.lesion_study(model, images, labels, counts=(1,)), "run whole": whole},
        options.rounds,
        time.process_time,
    )
    ratio = medians["lesion_study"] / medians["run whole"]
    print(f"cifar_resnet56, {len(blocks)} deletions, {options.images} images, {options.rounds} rounds")
    for name, seconds in medians.items():
        print(f"  {name:<14} {seconds:8.2f} s")
    print(f"  {ratio:.2f} x the time of whole passes")


if __name__ == "__main__":
    main()
