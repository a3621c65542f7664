"""What do heatmaps of all 16 blocks of ResNet-50 cost for one 224x224 image, here and elsewhere?

One class: our one pass; a bare forward pass and the backward pass that it needs, down to the first block,
which no method can do without; torchcam's one pass over the same blocks; captum's LayerGradCam and
pytorch-grad-cam, which take one layer at a time, called for each block. Five classes: ours against ours for
one. The contestants take turns, so that a busy moment of the machine hits all of them; medians are printed.

    python -m benchmarks.cams [--rounds 15] [--threads 1]
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import torch
import torchvision
from captum.attr import LayerGradCam
from torch import nn
from torch.autograd.graph import get_gradient_edge

import resnet_explore as rx
from resnet_explore.analysis.explain.maps import maps_of_targets
from resnet_explore.analysis.topology.cam_layers import block_names

OURS, BARE, TORCHCAM = "class_activation_maps", "bare forward + backward", "torchcam, one pass"
CAPTUM, LOOPED, FIVE = "captum, block by block", "pytorch-grad-cam, block by block", "five classes, ours"


def contestants(model: nn.Module, image: torch.Tensor) -> dict[str, Callable[[], object]]:
    import torchcam.methods
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    blocks = block_names(model)
    modules = [model.get_submodule(block) for block in blocks]
    captums = [LayerGradCam(model, module) for module in modules]

    def bare() -> None:
        edges: list[object] = []
        hooks = [m.register_forward_hook(lambda *a: edges.append(get_gradient_edge(a[2]))) for m in modules]
        logits = model(image.clone().requires_grad_())
        for hook in hooks:
            hook.remove()
        torch.autograd.grad(logits[0, 0], edges)

    def torchcams() -> None:
        with torchcam.methods.GradCAM(model, modules) as extractor:
            extractor(0, model(image))

    def looped() -> None:
        for module in modules:
            with GradCAM(model, [module]) as cam:
                cam(image, [ClassifierOutputTarget(0)])

    return {
        BARE: bare,
        OURS: lambda: rx.class_activation_maps(model, image, 0),
        TORCHCAM: torchcams,
        FIVE: lambda: maps_of_targets(model, image, range(5)),
        CAPTUM: lambda: [cam.attribute(image, target=0, relu_attributions=False) for cam in captums],
        LOOPED: looped,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of the others
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = torchvision.models.resnet50().eval()
    runs = contestants(model, torch.randn(1, 3, 224, 224))
    slow = (CAPTUM, LOOPED)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(options.rounds + 1):
        names = list(runs)[i % len(runs) :] + list(runs)[: i % len(runs)]
        for name in names:
            if name in slow and i % 5:  # seconds each; often enough in one of five rounds
                continue
            start = time.perf_counter()
            runs[name]()
            if i:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"resnet50, 16 blocks, one 224x224 image, {options.rounds} rounds, {options.threads} thread(s)")
    for name, seconds in medians.items():
        ratio = seconds / medians[OURS]
        print(
            f"  {name:<34} {seconds * 1e3:8.0f} ms (best {min(times[name]) * 1e3:6.0f})  {ratio:6.2f} x ours"
        )
    paired = statistics.median(a / b for a, b in zip(times[OURS], times[BARE], strict=True))
    against = statistics.median(a / b for a, b in zip(times[OURS], times[TORCHCAM], strict=True))
    print(f"round by round: ours / bare {paired:.3f}, ours / torchcam {against:.3f}")


if __name__ == "__main__":
    main()
