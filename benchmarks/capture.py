"""What does it cost to capture all 16 blocks of ResNet-50, and how much memory all 50 of ResNet-152?

Time: a bare forward pass; the same with no more than hooks that copy and keep each block's output, which no
tool that keeps outputs safe can do without; our Capture; and the tools that others use. They take turns, so
that a busy moment of the machine hits all of them; medians are printed.

Memory: how much more is alive at the peak than in the same bare pass, beside the bytes that were asked for.

    python -m benchmarks.capture [--rounds 15] [--threads 1]
"""

import argparse
import importlib.util
import itertools
from collections.abc import Callable, Iterable
from time import perf_counter, process_time

import torch
import torchvision
from captum.attr import LayerActivation
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torchvision.models.feature_extraction import create_feature_extractor

import resnet_explore as rx
from benchmarks.analysis import compare
from resnet_explore.analysis.capture.keep import READY
from resnet_explore.analysis.topology.cam_layers import block_names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    times(options.rounds, options.threads)
    print("resnet152, 50 blocks, one 224x224 image: bytes asked for, and how much the peak rises by")
    for keep, (asked, extra) in memory(rx.build("resnet152"), READY).items():
        print(f"  {keep:<24} {asked / 1e6:8.1f} MB {extra / 1e6:8.1f} MB   {extra / asked:6.2f} x asked")


def times(rounds: int, threads: int) -> None:
    """Print medians for ResNet-50."""
    torch.manual_seed(0)
    model = torchvision.models.resnet50().eval()
    image = torch.randn(1, 3, 224, 224)
    blocks = block_names(model)
    extract = create_feature_extractor(model, blocks)
    activation = LayerActivation(model, [model.get_submodule(block) for block in blocks])

    def bare_and_copies() -> None:
        kept: list[torch.Tensor] = []
        hooks = [
            model.get_submodule(block).register_forward_hook(lambda m, a, output: kept.append(output.clone()))
            for block in blocks
        ]
        model(image)
        for hook in hooks:
            hook.remove()

    def ours() -> None:
        with rx.Capture(model, blocks):
            model(image)

    contestants: dict[str, Callable[[], object]] = {
        "bare forward": lambda: model(image),
        "bare forward + copies": bare_and_copies,
        "Capture": ours,
        "torchvision, references": lambda: extract(image),
        "captum, references": lambda: activation.attribute(image),
    }
    # The processor's time, not the clock's, where one thread does all: other work on the machine tells less.
    clock = process_time if threads == 1 else perf_counter
    with torch.no_grad():
        medians = compare(contestants, rounds, clock)
        # Last and alone, as importing it puts a wrapper around every function of torch.
        if importlib.util.find_spec("torchlens"):
            torchlens = importlib.import_module("torchlens")
            slow = {"torchlens, copies": lambda: torchlens.extract(model, image, blocks)}
            medians |= compare(slow, 3, clock)
        else:
            print("torchlens is left out: it is not installed")
    print(f"resnet50, {len(blocks)} blocks, one 224x224 image, {rounds} rounds, threads: {threads}")
    bare = medians["bare forward"]
    for name, seconds in medians.items():
        print(f"  {name:<24} {seconds * 1e3:8.1f} ms   {seconds / bare - 1:+8.1%} of a bare forward")
    beyond = (medians["Capture"] - medians["bare forward + copies"]) / bare
    print(f"  Capture beyond the copying itself: {beyond:+.1%} of a bare forward")


def memory(model: nn.Module, kept: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return for each way to keep outputs the bytes that they take, and the peak's rise over a bare pass."""
    image = torch.randn(1, 3, 224, 224)
    blocks = block_names(model)
    found = {}
    with torch.no_grad():
        bare = peak(lambda: model(image))
        for keep in kept:
            with rx.Capture(model, blocks, keep=keep) as seen:
                found[keep] = (peak(lambda: model(image)) - bare, seen.nbytes)
    return {keep: (asked, extra) for keep, (extra, asked) in found.items()}


def peak(run: Callable[[], object]) -> int:
    """Return how many bytes of tensors are alive at most at once while it runs, by torch's own account."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive = itertools.accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))
    return max(alive)


if __name__ == "__main__":
    main()
