"""Tasks whose answer is a count: paths, parameters, pixels."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

from torch import nn

from resnet_explore.errors import ExploreError
from resnet_explore.exercises.answers import as_function, as_number, as_numbers, run
from resnet_explore.exercises.registry import CODE, THINK, exercise
from resnet_explore.exercises.result import Remark, right, wrong
from resnet_explore.models.blocks import Block
from resnet_explore.models.config import ResNetConfig
from resnet_explore.models.presets import build, config_of
from resnet_explore.models.summary import describe

_BLOCKS = 9  # of a CIFAR network of 20 layers


@exercise(
    "Count the paths",
    THINK,
    4,
    "Pass two numbers: the paths through a residual network of nine blocks, and those that are left "
    "after one block is taken out.",
    "A path passes each block in one of two ways. Write down the paths of one block, of two, of three.",
)
def count_paths(answer: Any) -> Iterator[Remark]:
    """Yield remarks on (paths, paths left)."""
    whole, left = as_numbers(answer, 2, "two numbers")
    paths = list(product(("past", "through"), repeat=_BLOCKS))
    still = sum(path[0] == "past" for path in paths)  # paths that don't need the first block
    if whole == len(paths):
        yield right(f"Nine blocks have {len(paths)} paths.")
    else:
        sums, lengths = 2 * _BLOCKS, _BLOCKS + 1
        known = {
            sums: "You added the ways of the blocks. But each way through one goes on in both of the next.",
            lengths: "You counted lengths, from no block to all nine. Many paths have one length.",
            1: "That is the plain network. With skips there is a second way at each block.",
        }
        usual = "For each block a path has two ways to go on. Draw three blocks and count."
        yield wrong(f"{whole:g} is not the number of paths.", known.get(int(whole), usual))
    if left == still:
        yield right(f"{still} are left: those that went past the block.")
    elif left == whole - 1 or left == len(paths) - 1:
        yield wrong(f"{left:g} are not left.", "More than one path leads through a block. How many of all?")
    else:
        yield wrong(f"{left:g} are not left.", "Which paths can do without the block? Those go on as before.")


@exercise(
    "Count the parameters of ResNet-34",
    CODE,
    7,
    "Pass one number: all numbers that a ResNet-34 for 1,000 classes learns.",
    'Build one, rx.build("resnet34") or torchvision\'s, and let Python count: each parameter has numel().',
)
def count_parameters(answer: Any) -> Iterator[Remark]:
    """Yield a remark on the number of parameters."""
    count = as_number(answer, "a number")
    network = _resnet34()
    truth = sum(p.numel() for p in network.parameters())
    if count == truth:
        yield right(f"{truth:,}, as torchvision's has.")
        return
    said = f"{count:,.0f} is not it" if count >= 1000 else f"{count:g} is not it"
    for other, hint in _miscounts().items():
        if count == other:
            yield wrong(f"{said}.", hint)
            return
    if count < 1000 and abs(count - truth / 1e6) < 1:
        yield wrong(f"{said}.", "That is in millions. Give the whole number.")
        return
    much = "too many" if count > truth else "too few"
    yield wrong(
        f"{said}: {much}.", "Add up numel() over network.parameters(), of the network for 1,000 classes."
    )


@cache
def _resnet34() -> nn.Module:
    return build("resnet34")


@cache
def _miscounts() -> dict[int, str]:
    """Return counts that are often given, and what each lacks or has too many."""
    network = _resnet34()
    truth = sum(p.numel() for p in network.parameters())
    parts = {
        kind: sum(p.numel() for m in network.modules() if isinstance(m, kind) for p in m.parameters())
        for kind in (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    }
    skips = sum(
        p.numel()
        for m in network.modules()
        if isinstance(m, Block) and m.downsample
        for p in m.downsample.parameters()
    )
    biases = sum(p.numel() for name, p in network.named_parameters() if name.endswith("bias"))
    without = "That is without {}. They are learned, too."
    return {
        sum(t.numel() for t in network.state_dict().values()): "That counts batch norm's running means and "
        "variances as well. They are measured and not learned: parameters() leaves them out.",
        truth - parts[nn.BatchNorm2d]: without.format("batch norm's scales and shifts"),
        parts[nn.Conv2d]: without.format("the fully connected layer and batch norm"),
        truth - parts[nn.Linear]: without.format("the fully connected layer's numbers"),
        truth - biases: without.format("the biases, those of batch norm among them"),
        truth - skips: without.format("the convolutions on the skips where the shape changes"),
        sum(1 for _ in network.parameters()): "That counts the tensors. How many numbers does each hold?",
        describe(network).macs: "Those are multiply-adds. Count what is stored, not what is computed.",
        **{
            sum(p.numel() for p in build(name).parameters()): f"That is {title}."
            for name, title in (("resnet18", "ResNet-18"), ("resnet50", "ResNet-50"))
        },
    }


@exercise(
    "What does a skip cost?",
    CODE,
    8,
    "Pass three numbers: the parameters that a skip adds if it is the identity; if it is option A; and "
    "if it is a 1×1 convolution with batch norm; the last two from 16 to 32 channels.",
    'Compare the parameters of a block with those of its plain twin: ResNetConfig has shortcut="padding" '
    '(option A) and shortcut="projection".',
)
def shortcut_parameters(answer: Any) -> Iterator[Remark]:
    """Yield remarks on (identity, option A, projection)."""
    given = as_numbers(answer, 3, "three numbers")
    hints = {
        "the identity": "It hands on x as it is. What could it learn?",
        "option A": "It leaves out every other pixel and fills new channels with zeros. What could it learn?",
        "a projection": "Each of 32 new channels has a weight for each of 16 old ones, and then its norm.",
    }
    for (name, truth), count in zip(_skip_costs().items(), given, strict=True):
        if count == truth:
            yield right(f"{name[0].upper()}{name[1:]} adds {truth or 'none'}.")
        else:
            hint = _projection_hint(count, hints[name]) if truth else hints[name]
            yield wrong(f"{name[0].upper()}{name[1:]} does not add {count:g}.", hint)


def _projection_hint(count: float, usual: str) -> str:
    conv, norm = (sum(p.numel() for p in m.parameters()) for m in (_projection()[0], _projection()[1]))
    known = {
        conv: "The convolution is right. And batch norm behind it?",
        conv
        + norm // 2: "The convolution is right. Batch norm has two numbers a channel: a scale and a shift.",
        conv + norm + norm // 2: "This convolution has no bias: batch norm's shift would only undo it.",
        9 * conv + norm: "That is a 3×3 convolution. This one is 1×1.",
        conv + 2 * norm: "Running means and variances are measured and not learned.",
    }
    return known.get(int(count), usual)


@cache
def _projection() -> nn.Sequential:
    return _downsample("projection", 1)  # type: ignore[return-value]


def _downsample(shortcut: str, stage: int) -> nn.Module | None:
    """Return the skip of a stage's first block, 0 to 2, in the CIFAR network of 20 layers."""
    config = config_of("cifar_resnet20")
    if not isinstance(config, ResNetConfig):
        raise TypeError("cifar_resnet20 is a ResNet")
    block = build(config.replace(shortcut=shortcut)).get_submodule(f"layer{stage + 1}.0")
    return block.downsample if isinstance(block, Block) else None


def _skip_costs() -> dict[str, int]:
    skips = {
        "the identity": _downsample("padding", 0),
        "option A": _downsample("padding", 1),
        "a projection": _projection(),
    }
    return {name: sum(p.numel() for p in skip.parameters()) if skip else 0 for name, skip in skips.items()}


# Stacks of (kernel, stride), from the image on.
_STACKS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((3, 1),),
    ((3, 1), (3, 1)),
    ((5, 1), (3, 1), (1, 1)),
    ((3, 2), (3, 1)),
    ((3, 1), (3, 2), (3, 1)),
    ((7, 2), (3, 2), (3, 1), (3, 1), (3, 2), (3, 1)),
)


@exercise(
    "How far does a stack of convolutions see?",
    CODE,
    15,
    "Pass a function: f(layers) takes a list of (kernel, stride), from the image on, and returns how "
    "many pixels wide the receptive field of one output is. For two 3×3 convolutions, f([(3, 1), (3, "
    "1)]) is 5.",
    "Begin with 1 pixel. By how many pixels of the image does each layer widen the view? Strides before it "
    "spread its taps apart.",
)
def receptive_field(answer: Any) -> Iterator[Remark]:
    """Yield remarks on a function of layers."""
    function = as_function(answer, "f(layers)")
    wrongs = []
    for stack in _STACKS:
        told = _field_by(function, stack)
        truth = _field(stack)
        if told != truth:
            wrongs.append((stack, told, truth))
    if not wrongs:
        yield right(f"Right for all {len(_STACKS)} stacks, with and without strides.")
        return
    stack, told, truth = wrongs[0]
    strided = [any(stride > 1 for _, stride in one) for one, _, _ in wrongs]
    if all(strided):
        yield right("Right where all strides are 1.")
        hint = "Behind a stride of 2, neighbours lie 2 pixels apart. That counts for the layers after it."
    elif abs(told - truth) == 1:
        hint = "You are off by one. How far does no layer at all see? A kernel of 1 adds nothing."
    else:
        hint = (
            "Draw two 3×3 convolutions behind each other and mark all pixels that one output can depend on."
        )
    yield wrong(
        f"f({list(stack)}) gives {told:g}; this stack sees {'more' if told < truth else 'less'}.", hint
    )


def _field_by(function: Callable[..., Any], stack: Sequence[tuple[int, int]]) -> float:
    whose = f"f({list(stack)})"
    return as_number(run(whose, function, list(stack)), "a number", whose)


@cache
def _field(stack: tuple[tuple[int, int], ...]) -> int:
    """Return how far a stack sees, measured on convolutions."""
    size = (1, 256, 256)
    field = describe(nn.Sequential(*(nn.Conv2d(1, 1, *layer) for layer in stack)), size).receptive_field
    if field is None:
        raise ExploreError("The image is too small to measure how far this stack sees.")
    return field[0]
