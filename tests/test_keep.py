"""What a capture costs in memory, and what is lost by keeping less."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

import resnet_explore as rx
from benchmarks.capture import memory
from resnet_explore.analysis.capture.keep import READY, Levels


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def capture(net, images, **options):
    with rx.Capture(net, gradients=True, **options) as seen:
        net(images).square().sum().backward()
    return seen


def test_what_is_kept_of_outputs_and_gradients(net, images):
    full = capture(net, images)
    half = capture(net, images, keep="half")
    levels = capture(net, images, keep="uint8")
    small = capture(net, images, keep=rx.Keep(size=8))
    for kind in ("outputs", "gradients"):
        for name, exact in getattr(full, kind).items():
            assert torch.equal(getattr(half, kind)[name], exact.half())
            coarse = getattr(levels, kind)[name]
            bound = (exact.max() - exact.min()) / 510
            assert coarse.dtype == exact.dtype
            assert (coarse - exact).abs().max() <= bound * (1 + 1e-4)
            torch.testing.assert_close(getattr(small, kind)[name], F.avg_pool2d(exact, (4, 4)))
    assert full.nbytes == 2 * 3 * 2 * 4 * 24 * 32 * 4
    assert half.nbytes * 2 == levels.nbytes * 4 == full.nbytes
    assert small.nbytes * 16 == full.nbytes


@settings(deadline=None, max_examples=60)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    size=st.one_of(st.none(), st.integers(1, 9)),
    dtype=st.sampled_from([None, torch.float16, torch.bfloat16, torch.uint8, torch.float64]),
    made=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_any_keep_is_near_and_shares_nothing(shape, size, dtype, made, scale, seed):
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale).to(made)
    kept = rx.Keep(dtype=dtype, size=size)(tensor)
    small = rx.Keep(size=size)(tensor)
    assert max(small.shape[2:], default=1) <= (size or 9) or tensor.ndim != 4
    values = kept.tensor() if isinstance(kept, Levels) else kept
    assert values.shape == small.shape
    assert values.dtype == (made if dtype in (None, torch.uint8) else dtype)
    span = float(tensor.max() - tensor.min()) if dtype is torch.uint8 else 0.0
    rough = max((torch.finfo(d).eps for d in (made, dtype) if d not in (None, torch.uint8)), default=0)
    allowed = span / 510 * 1.001 + 2 * rough * float(tensor.abs().max()) + 1e-7
    assert float((values.double() - small.double()).abs().max()) <= allowed
    before = values.clone()
    tensor.add_(1)
    assert torch.equal(kept.tensor() if isinstance(kept, Levels) else kept, before)


def test_what_is_not_a_finite_float_is_not_forced_into_levels():
    levels = READY["uint8"]
    odd = torch.tensor([1.0, float("nan"), float("inf")])
    assert torch.equal(levels(odd), odd.half()) or levels(odd).isnan()[1]
    assert levels(odd).dtype == torch.float16
    assert levels(torch.tensor([-3, 1 << 40])).tolist() == [-3, 1 << 40]
    assert levels(torch.tensor([True])).dtype == torch.bool
    assert levels(torch.empty(0, 3)).shape == (0, 3)
    assert levels(torch.full((5,), 2.5)).tensor().tolist() == [2.5] * 5


def test_sides_keep_their_proportion():
    shape = rx.Keep(size=10)(torch.zeros(1, 1, 40, 100)).shape
    assert shape == (1, 1, 4, 10)
    assert rx.Keep(size=4)(torch.zeros(1, 1, 2, 400)).shape == (1, 1, 1, 4)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: rx.Keep(device="gpu7"), "device 'gpu7' can't be used here"),
        (lambda: rx.Keep(dtype=torch.int8), r"dtype must be one of torch\.float64.*not torch\.int8"),
        (lambda: rx.Keep(size=0), "size must be a positive whole number of pixels, not 0"),
        (lambda: rx.Keep(size=2.5), r"not 2\.5"),
        (
            lambda: rx.Capture(nn.ReLU(), keep="thumbnail"),
            "Unknown keep 'thumbnail': did you mean 'thumbnails'",
        ),
        (lambda: rx.Capture(nn.ReLU(), keep="statistics"), "data set, batch by batch, rx.layer_statistics"),
        (lambda: rx.Capture(nn.ReLU(), keep=3), "keep must be a name"),
    ],
)
def test_what_can_not_be_kept_is_said(make, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        make()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
        MemoryError(),
    ],
)
def test_when_memory_ends_a_sentence_says_what_to_do(net, images, error):
    kept = []

    def full_after_one(tensor):
        if kept:
            raise error
        kept.append(1)
        return tensor.clone()

    with pytest.raises(rx.ExploreError, match=r"keep '1', 0 MB, beside the 1 output before.*thumbnails"):  # noqa: SIM117
        with rx.Capture(net, keep=full_after_one):
            net(images)
    with (
        pytest.raises(RuntimeError, match="mine"),
        rx.Capture(net, keep=lambda _: (_ for _ in ()).throw(RuntimeError("mine"))),
    ):
        net(images)


def test_the_peak_of_memory_is_what_was_asked_for():
    """ResNet-152 at 224x224, all blocks, by torch's own account of what is allocated."""
    model = rx.build("resnet152", num_classes=2)
    found = memory(model, ["full", "uint8", "thumbnails"])
    full = found["full"][0]
    assert full == 4 * (3 * 256 * 56**2 + 8 * 512 * 28**2 + 36 * 1024 * 14**2 + 3 * 2048 * 7**2)
    for keep in ("full", "uint8"):
        asked, extra = found[keep]
        assert 0.7 * asked <= extra <= 1.15 * asked, keep  # less than all, as a bare pass peaks early
    assert max(found["thumbnails"]) <= 0.05 * full
