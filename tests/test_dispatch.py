"""What shapes answer, against what torch itself says of the same operations without values."""

import subprocess
import sys
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

import resnet_explore as rx
from resnet_explore.models.dispatch import OperationMode, Shapes

SIZES = st.integers(1, 12)
SHAPES = st.tuples(st.integers(1, 3), st.just(4), SIZES, SIZES)
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


class Fallen(OperationMode):
    """Notes what the shapes left to torch."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def outcome(run):
    try:
        result = run()
    except (RuntimeError, ValueError) as error:
        return type(error)
    results = result if isinstance(result, tuple) else (result,)
    return [
        (tuple(r.shape), r.stride(), r.dtype, r.device.type, r.untyped_storage().nbytes()) for r in results
    ]


def check(run, name):
    """Both say the same; returns whether the shapes answered without torch's help."""
    expected = outcome(run)
    with Fallen() as fallen, Shapes():
        found = outcome(run)
    assert found == expected
    return name not in fallen.names


def refused(run):
    return isinstance(outcome(run), type)


def empty(shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


@settings(max_examples=60, deadline=None)
@given(SHAPES, PAIRS, PAIRS, PAIRS, PAIRS, st.sampled_from([1, 2]), st.booleans())
def test_convolutions(shape, kernel, stride, padding, dilation, groups, bias):
    weight, offset = empty((6, 4 // groups, *kernel)), empty(6) if bias else None
    run = partial(F.conv2d, empty(shape), weight, offset, stride, padding, dilation, groups)
    assert check(run, "convolution") or refused(run)
    assert not check(partial(F.conv2d, empty(shape), empty((6, 3, *kernel))), "convolution")


@settings(max_examples=60, deadline=None)
@given(SHAPES, PAIRS, PAIRS, PAIRS, st.booleans())
def test_pools(shape, kernel, stride, dilation, ceil_mode):
    for padding in ((0, 0), tuple(k // 2 for k in kernel)):
        run = partial(F.max_pool2d, empty(shape), kernel, stride, padding, dilation, ceil_mode)
        assert check(run, "max_pool2d_with_indices") or ceil_mode or refused(run)
        run = partial(F.avg_pool2d, empty(shape), kernel, stride, padding, ceil_mode)
        assert check(run, "avg_pool2d") or ceil_mode or refused(run)
    assert check(partial(F.adaptive_avg_pool2d, empty(shape), kernel), "_adaptive_avg_pool2d")
    assert not check(partial(F.avg_pool2d, empty(shape), 2, padding=2), "avg_pool2d")


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_elementwise_operations_and_norms(shape, dtype):
    x, statistics = empty(shape, dtype), [empty(4, dtype) for _ in range(4)]
    gate = empty((shape[0], 4, 1, 1), dtype)
    for run, name in (
        (lambda: F.relu(x), "relu"),
        (lambda: F.relu_(x), "relu_"),
        (lambda: x.sigmoid(), "sigmoid"),
        (lambda: x + x, "add"),
        (lambda: torch.add(x, x, alpha=0.5), "add"),
        (lambda: x * gate, "mul"),
        (lambda: 0.5 * x, "mul"),
        (lambda: x.clone().add_(gate), "add_"),
        (lambda: x.mean((2, 3)), "mean"),
        (lambda: x.mean((-1, 1), keepdim=True), "mean"),
        (lambda: F.batch_norm(x, *statistics), "native_batch_norm"),
    ):
        assert check(run, name), name
    assert not check(lambda: x + empty((shape[0], 5, *shape[2:]), dtype), "add")
    assert not check(lambda: gate.clone().add_(empty((shape[0], 4, 7, 7), dtype)), "add_")
    assert not check(lambda: x + empty(shape, torch.float16), "add"), "torch knows what becomes of two types"
    turned = x.transpose(2, 3)
    assert turned.is_contiguous() or not check(lambda: F.relu(turned), "relu"), "torch knows in which order"


def test_linear_layers():
    linear = nn.Linear(5, 7, device="meta")
    assert check(lambda: F.linear(empty((3, 5)), linear.weight, linear.bias), "addmm")
    assert not check(lambda: F.linear(empty((3, 6)), linear.weight, linear.bias), "addmm")


def test_values_are_left_alone():
    x = torch.randn(2, 3, 5, 7)
    with Shapes():
        assert torch.equal(F.relu(x), x.clamp(min=0))
        assert F.conv2d(x, torch.ones(1, 3, 5, 7)).allclose(x.sum((1, 2, 3))[:, None, None, None], atol=1e-5)


@pytest.mark.parametrize("look", ["describe", "structure", "residual_stream"])
def test_a_compiled_network_is_looked_at_as_it_was_written(look):
    model = rx.build("cifar_resnet8")
    given = torch.rand(1, 3, 16, 24) if look == "residual_stream" else (3, 16, 24)
    expected, found = (
        getattr(rx, look)(each, given) for each in (model, torch.compile(model, backend="eager"))
    )
    if look == "describe":
        assert (found.macs, found.parameters, found.depth) == (
            expected.macs,
            expected.parameters,
            expected.depth,
        )
    elif look == "structure":
        assert [unit.skip for unit in found.units] == [unit.skip for unit in expected.units]
    else:
        ratios = [[float(stream.ratio) for stream in each.values()] for each in (expected, found)]
        assert ratios[0] == ratios[1]


def test_to_build_and_look_at_a_network_loads_no_compiler():
    code = """
import sys, torch, resnet_explore as rx
plain, residual = rx.twins("cifar_resnet20")
rx.describe(plain, (3, 32, 40)), rx.structure(rx.build("resnet50"))
rx.residual_stream(residual, torch.rand(1, 3, 32, 32))
for scale in (0.0, 0.5):
    rx.structure(rx.build("cifar_resnet8", skip_scale=scale), (3, 32, 40))
    with rx.edited(residual, skip={"*": scale}, delete="layer1.0"):
        rx.structure(residual, (3, 32, 40)), residual(torch.rand(1, 3, 32, 32))
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
