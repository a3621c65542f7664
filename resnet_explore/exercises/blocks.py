"""The task of writing a residual block, judged by what the block does and not by how it is written."""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from resnet_explore.exercises.answers import NotAnAnswerError, as_tensor, name_of, named, run
from resnet_explore.exercises.registry import CODE, exercise
from resnet_explore.exercises.result import Remark, right, wrong

_CHANNELS = 16
_SIZE = (12, 9)  # not square, so that height and width can't be mixed up unnoticed
_ALMOST = 1e-4


@exercise(
    "Write a residual block",
    CODE,
    15,
    "Pass a class (or a function that makes the block): MyBlock(16) takes and gives (N, 16, height, width).",
    "Make a torch.nn.Module with two 3×3 convolutions, each with batch norm, and a ReLU between them. In its "
    "forward, keep x: you need it again at the end.",
)
def residual_block(answer: Any) -> Iterator[Remark]:
    """Yield remarks on a class, a function that makes a block, or a block."""
    whose = "Your block"
    block = _made(answer)
    x = torch.randn(2, _channels(block), *_SIZE)
    y = as_tensor(run(whose, block, x.clone()), whose)
    if y.shape != x.shape:
        yield _other_shape(x, y)
        return
    yield right(f"The shape stays: {tuple(y.shape)} in, {tuple(y.shape)} out.")
    given = x.clone()
    with torch.no_grad():
        run(whose, block, given)
    if not torch.equal(given, x):
        yield wrong(
            "The block changes its input: x is another tensor after the call.",
            "`x += ...` and in-place layers write into x itself. Who else holds x, the backward pass "
            "among them, then finds other numbers. Make a new tensor for the sum.",
        )
        return
    if not any(p.numel() for p in block.parameters()):
        yield wrong(
            "The block has nothing to learn: it has no weights.",
            "Make the convolutions in __init__, as attributes of self; then the block knows their weights.",
        )
        return
    yield from _the_sum(block, x)


def _the_sum(block: nn.Module, x: Tensor) -> Iterator[Remark]:
    """Judge the skip, with the branch at 0, then the branch."""
    skip = _skip_fault(block, x)
    if skip is not None:
        yield skip
        return
    yield right("With all weights at 0, F(x) is 0 and x comes out: the skip carries x itself.")
    yield from _the_branch(_with_weights(block, _drawn), x)


def _skip_fault(block: nn.Module, x: Tensor) -> Remark | None:
    """Return what is wrong with the skip, None if nothing is: without a branch, x comes out, or ReLU(x)."""
    silent = _with_weights(block, torch.zeros_like)
    for training in (True, False):
        y = _forward(silent.train(training), x)
        if _passes(x, y):
            continue
        mode = "train" if training else "eval"
        if not y.any():
            return wrong(
                f"With all weights at 0, 0 comes out instead of x ({mode} mode).",
                "Is x added at the end, just as it came? A layer on the skip, a norm say, would change it.",
            )
        above = x > 1
        factor = (y[above] / x[above]).median()
        found = "something other than x comes out"
        if _same(y[above], x[above]):
            found = "x comes out where it is large, and something else where it is not"
        elif _same(y[above], factor * x[above]):
            found = f"{factor:.3g} times x comes out"
        return wrong(
            f"With all weights at 0, {found} ({mode} mode).",
            "Then F(x) adds nothing, so that x should come out as it came. Behind the sum only "
            "what keeps all that is above 0 may stand, as a ReLU does.",
        )
    leaf = x.clone().requires_grad_()
    fault, [gradient] = _backward(_forward(silent, leaf), [leaf])
    if fault is not None:
        return fault
    if gradient is None or not _same(gradient[x > 0], torch.ones_like(x[x > 0])):
        return wrong(
            "The sum is right, but no gradient comes back through the skip.",
            "Add x itself: with x.detach(), x.data or no_grad the backward pass does not know of it.",
        )
    return None


def _passes(x: Tensor, y: Tensor) -> bool:
    """Return whether y is x, or x behind an activation that keeps what is above 0, as ReLU does."""
    up = x > 0
    shrunk = (y[~up] >= x[~up] - _ALMOST) & (y[~up] <= _ALMOST)
    return _same(y[up], x[up]) and bool(shrunk.all())


def _the_branch(block: nn.Module, x: Tensor) -> Iterator[Remark]:
    """Judge F with random weights, seen as the block's output less its input."""
    far = x.abs() + 10  # so large that a ReLU behind the sum seldom cuts
    added = _forward(block.train(), far) - far
    if not added.abs().max() > _ALMOST:
        yield wrong(
            "The branch adds nothing, whatever its weights are.",
            "Is what the convolutions give part of the sum that is returned?",
        )
        return
    if not (added < -_ALMOST).any():
        yield wrong(
            "F(x) is never below 0: a ReLU comes before the sum.",
            "A branch that can only add can't take anything back. Add first, then comes the ReLU.",
        )
        return
    yield right("F(x) can be above and below 0.")
    if not _bends(block.eval(), x):
        yield wrong(
            "F is linear: nothing bends between the convolutions.",
            "Two convolutions with nothing between them can do no more than one. What comes between them?",
        )
        return
    yield right("F bends: there is an activation inside.")
    reach = _reach(block.eval(), x)
    if reach < 2:
        yield wrong("F looks at single pixels.", "A 3×3 convolution with padding 1 sees the neighbours, too.")
        return
    yield right(f"A pixel sees its neighbours: {reach}×{reach} pixels of x.")
    yield _gradients(block.train(), x)


def _gradients(block: nn.Module, x: Tensor) -> Remark:
    weights = [p for p in block.parameters() if p.requires_grad]
    fault, found = _backward(_forward(block, x).square(), weights)
    if fault is not None:
        return fault
    missing = sum(gradient is None for gradient in found)
    if missing or not weights:
        return wrong(
            f"No gradient reaches {missing} of the {len(weights)} tensors of weights.",
            "Is each layer that __init__ makes used in forward, and none under no_grad?",
        )
    return right("Gradients reach all weights.")


def _backward(output: Tensor, inputs: list[Any]) -> tuple[Remark | None, Sequence[Tensor | None]]:
    """Return what is wrong with the backward pass, or None, and the gradients."""
    if not output.requires_grad or not inputs:
        return None, [None] * len(inputs)
    try:
        return None, torch.autograd.grad(output.sum(), inputs, allow_unused=True)
    except RuntimeError as error:
        if "inplace" not in str(error):
            raise
        fault = wrong(
            "The backward pass fails: something that it needs was written over.",
            "An operation in place (`+=`, inplace=True) changed a tensor after it was used. Make a new one.",
        )
        return fault, [None] * len(inputs)


def _forward(block: nn.Module, x: Tensor) -> Tensor:
    """Run the block."""
    # A copy that is no leaf: a student's `x += ...` is then the block's own affair.
    return as_tensor(run("Your block", block, x * 1), "Your block")


def _bends(block: nn.Module, x: Tensor) -> bool:
    """Return whether F(x) + F(-x) differs from 2 F(0), judged where the ReLU behind the sum passes all."""
    with torch.no_grad():
        ups, downs, rests = (_forward(block, z) for z in (x, -x, torch.zeros_like(x)))
    open_ = (ups > 0) & (downs > 0) & (rests > 0)
    if not open_.any():
        return True  # nothing to judge by
    gap = (ups - x + downs + x - 2 * rests)[open_]
    return bool(gap.abs().max() > 10 * _ALMOST)


def _reach(block: nn.Module, x: Tensor) -> int:
    """Return over how many rows a change of one pixel is seen in F."""
    far, touched = x.abs() + 10, x.abs() + 10
    row, column = _SIZE[0] // 2, _SIZE[1] // 2
    touched[:, :, row, column] += 5
    with torch.no_grad():
        change = (_forward(block, touched) - _forward(block, far) - (touched - far)).abs().amax((0, 1))
    return int((change.amax(1) > _ALMOST).sum())


# --- from what came to a block -----------------------------------------------------------------------------


def _made(answer: Any) -> nn.Module:
    """Return a block of the student's that can be changed at will."""
    if isinstance(answer, nn.Module):
        return run("Copying your block", copy.deepcopy, answer)
    if not callable(answer):
        raise NotAnAnswerError(f"This asks for a class, not for {named(answer)}.")
    positional, by_name = _arguments(answer)
    shown = ", ".join([*map(str, positional), *(f"{name}={value}" for name, value in by_name.items())])
    whose = f"{name_of(answer)}({shown})"
    block = run(whose, answer, *positional, **by_name)
    if not isinstance(block, nn.Module):
        raise NotAnAnswerError(f"{whose} makes {named(block)}, not a torch.nn.Module.")
    return block


def _arguments(make: Callable[..., Any]) -> tuple[list[int | None], dict[str, int | None]]:
    """Return what to call a class or function with: mostly channels, for each argument without a default."""
    if getattr(make, "__init__", None) is nn.Module.__init__:
        return [], {}  # a class without an __init__ of its own
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return [_CHANNELS], {}
    positional: list[int | None] = []
    by_name: dict[str, int | None] = {}
    for parameter in parameters:
        if parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.append(_CHANNELS)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            by_name[parameter.name] = _value(parameter.name)
        else:
            positional.append(_value(parameter.name))
    return positional, by_name


def _value(name: str) -> int | None:
    small = name.lower()
    if "downsample" in small or "shortcut" in small:
        return None
    if "kernel" in small:
        return 3
    ones = ("stride", "group", "dilation", "expansion", "pad")
    return 1 if any(word in small for word in ones) else _CHANNELS


def _channels(block: nn.Module) -> int:
    """Return how many channels a block takes: its first layer's, which may not be ours."""
    for module in block.modules():
        for field in ("in_channels", "num_features", "num_channels"):
            count = getattr(module, field, 0)
            if isinstance(count, int) and count > 0:
                return count
    return _CHANNELS


def _with_weights(block: nn.Module, value: Callable[[Tensor], Tensor]) -> nn.Module:
    """Return a copy with other parameters, which has seen no images."""
    other = run("Copying your block", copy.deepcopy, block)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(value(parameter))
    for module in other.modules():
        if isinstance(module, _NormBase):
            module.reset_running_stats()
    return other


def _drawn(parameter: Tensor) -> Tensor:
    """Return random values, so that a branch that starts at 0 is heard, too."""
    fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
    spread = 0.5 if parameter.ndim < 2 else fan_in**-0.5
    return torch.randn_like(parameter) * spread + (0.3 if parameter.ndim < 2 else 0.0)


def _other_shape(x: Tensor, y: Tensor) -> Remark:
    said = f"{tuple(x.shape)} goes in and {tuple(y.shape)} comes out."
    if y.ndim == 2:
        return wrong(
            said, "That looks like a whole network with its answers. One block gives maps, as it gets."
        )
    return wrong(said, "x and F(x) can be added only if they have one shape. Which padding keeps it?")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=_ALMOST, rtol=_ALMOST)
