"""What does a plane through the weights of a 56-layer network cost?

Compared are `loss_landscape` and a plain loop that writes each point's weights into the network with
`load_state_dict` and runs it. They take turns, so that a busy moment of the machine hits both, and medians of
processor time are printed, with what 25 times 25 points would take.

    python -m benchmarks.landscape [--rounds 3] [--size 7] [--images 360] [--threads 1]
"""

import argparse
import time

import torch
import torch.nn.functional as F

import resnet_explore as rx
from benchmarks.analysis import compare
from resnet_explore.analysis.landscape.directions import random_directions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=7)
    parser.add_argument("--images", type=int, default=360)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = rx.build("cifar_resnet56", weights="digits").eval()
    data = rx.load_dataset("digits", "train")
    images, labels = data.normalized(torch.arange(options.images)), data.labels[: options.images]
    along, across = random_directions(model, 0)
    places = torch.linspace(-1, 1, options.size).tolist()

    def loop() -> None:
        found = {name: value.clone() for name, value in model.state_dict().items()}
        with torch.no_grad():
            for y in places:
                for x in places:
                    moved = {name: found[name] + x * along[name] + y * across[name] for name in along}
                    model.load_state_dict({**found, **moved})
                    float(F.cross_entropy(model(images), labels))
        model.load_state_dict(found)

    medians = compare(
        {
            "loss_landscape": lambda: rx.loss_landscape(model, images, labels, options.size),
            "plain loop": loop,
        },
        options.rounds,
        time.process_time,
    )
    print(
        f"cifar_resnet56, {options.size}×{options.size} points, {options.images} images of digits, "
        f"{options.rounds} rounds"
    )
    for name, seconds in medians.items():
        whole = seconds * (25 / options.size) ** 2
        print(f"  {name:<14} {seconds:8.2f} s   {whole:6.1f} s for 25×25")
    print(f"  {medians['loss_landscape'] / medians['plain loop']:.2f} x the time of the loop")


if __name__ == "__main__":
    main()
