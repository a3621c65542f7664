"""What does it cost to map all 16 blocks of ResNet-50 for one 224x224 image?

Compared are our one pass, a bare forward and backward pass of the same model, which no method can do without,
and captum's LayerGradCam called for one block after the other. The three take turns, so that a busy moment of
the machine hits all of them, and medians are printed.

    python -m benchmarks.analysis [--rounds 9] [--threads 1]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from captum.attr import LayerGradCam

import resnet_explore as rx
from resnet_explore.analysis.topology.cam_layers import block_names


def compare(
    contestants: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return each contestant's median time in seconds; the order is turned in every round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for i in range(rounds + 1):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = clock()
            contestants[name]()
            if i:  # the first round warms up
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = torchvision.models.resnet50().eval()
    image = torch.randn(1, 3, 224, 224)
    blocks = block_names(model)
    captums = [LayerGradCam(model, model.get_submodule(block)) for block in blocks]

    def bare() -> None:
        torch.autograd.grad(model(image)[0, 0], list(model.parameters()))

    medians = compare(
        {
            "bare forward + backward": bare,
            "class_activation_maps": lambda: rx.class_activation_maps(model, image, 0),
            "captum, block by block": lambda: [
                cam.attribute(image, target=0, relu_attributions=False) for cam in captums
            ],
        },
        options.rounds,
    )
    ours = medians["class_activation_maps"]
    print(
        f"resnet50, {len(blocks)} blocks, one 224x224 image, {options.rounds} rounds, "
        f"{options.threads} thread{'s' * (options.threads > 1)}"
    )
    for name, seconds in medians.items():
        print(f"  {name:<24} {seconds * 1e3:8.0f} ms   {seconds / ours:6.2f} x ours")


if __name__ == "__main__":
    main()
