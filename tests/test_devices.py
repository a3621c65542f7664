"""Which device is taken, what it can do, and what is said of it; torch's answers are stood in for."""

import gc
import json
import os
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import resnet_explore as rx
from resnet_explore.analysis.capture.capture import Capture
from resnet_explore.cli import main as cli
from resnet_explore.models import devices
from resnet_explore.models.devices import device_for, exact, gpu_count, is_full, kind_for, layout_on, widest
from resnet_explore.models.memory import free_memory
from resnet_explore.training import executors, trainer
from resnet_explore.training.place import place_in_words, placed
from resnet_explore.training.plan import fast_precision
from resnet_explore.training.trainer import engine, prepare
from tests.apple import answers

TINY = {"depths": (8,), "kinds": ("plain",), "epochs": 1, "width": 2, "batch_size": 128}


@pytest.fixture
def gpu(monkeypatch):
    """Let torch say that there is a GPU, and of which generation it is."""

    def has(native=True, emulated=True, count=1):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True: native or (including_emulation and emulated),
        )

    return has


# --- which, and what it can do -----------------------------------------------------------------------------


def test_auto_takes_cuda_then_mps_then_the_processor(gpu):
    assert kind_for() == "cpu"
    with answers():
        assert kind_for() == "mps"
        assert [kind_for(kind) for kind in ("cpu", "mps")] == ["cpu", "mps"]
    with answers(cuda=True):
        assert kind_for() == "cuda"
        assert kind_for("mps") == "mps"
    gpu(count=3)
    assert [gpu_count(kind) for kind in ("cuda", "mps", "cpu")] == [3, 1, 0]


@pytest.mark.parametrize(("kind", "words"), [("cuda", "no GPU"), ("mps", "no Apple chip")])
def test_what_is_not_here_is_one_sentence_before_anything_is_written(tmp_path, capsys, kind, words):
    with pytest.raises(rx.ExploreError, match=f"There is {words} that torch can use here: choose"):
        rx.run_sweep(rx.Sweep(**TINY, accelerator=kind), tmp_path / "s")
    for jobs in ([], ["--jobs", "1"]):
        assert cli.main(["sweep", "--accelerator", kind, *jobs, "--out", str(tmp_path / "s")]) == 2
        assert f"There is {words}" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
    assert fast_precision(kind) == fast_precision("cpu"), "a cluster's machines may have it"


def test_capabilities_follow_the_device(gpu, monkeypatch):
    with answers():
        apple = device_for("mps")
    assert (apple.bf16, apple.fast_bf16, apple.layout) == (True, False, torch.contiguous_format)
    with answers(macos=(13, 3)):
        assert not device_for("mps").bf16
    for native, emulated in ((True, True), (False, True), (False, False)):
        gpu(native, emulated)
        assert (device_for("cuda").bf16, device_for("cuda").fast_bf16) == (native or emulated, native)
    assert device_for("cuda").layout == device_for("cpu").layout == torch.channels_last
    assert device_for("cpu").bf16
    assert all(device_for(kind).fused for kind in ("cuda", "cpu"))
    monkeypatch.setattr(devices, "_get_fused_kernels_supported_devices", lambda: ["cuda"])
    assert [device_for(kind).fused for kind in ("cuda", "cpu")] == [True, False]


def test_without_a_fused_step_sgd_takes_the_same_steps(monkeypatch):
    run = rx.Sweep(**TINY).runs()[0]
    made = []
    for kinds in (["cpu"], []):
        monkeypatch.setattr(devices, "_get_fused_kernels_supported_devices", lambda kinds=kinds: kinds)
        fabric, network = engine(run, "cpu"), rx.build(run.config(1, 10), seed=0)
        model, optimizer = prepare(fabric, run, network)
        assert bool(optimizer.param_groups[0]["fused"]) == bool(kinds)
        images, labels = torch.randn(8, 1, 8, 6, generator=torch.Generator().manual_seed(0)), torch.arange(8)
        for _ in range(3):
            trainer.train_step(fabric, run, model, optimizer, images, labels, 0.1)
        made.append(network.state_dict())
    for key, tensor in made[0].items():
        torch.testing.assert_close(made[1][key], tensor, rtol=1e-4, atol=1e-6)


def test_layouts_and_float_types_by_device():
    cpu, mps, cuda = (torch.device(kind) for kind in ("cpu", "mps", "cuda"))
    assert [widest(d) for d in (cpu, mps, cuda)] == [torch.float64, torch.float32, torch.float64]
    assert [layout_on(d) for d in (cpu, mps)] == [torch.channels_last, torch.contiguous_format]
    assert exact(torch.ones(2)).dtype == torch.float64


# --- precision ---------------------------------------------------------------------------------------------


def test_auto_is_bf16_only_where_it_is_known_to_be_fast(gpu):
    with answers():
        assert {run.precision for run in rx.Sweep("cifar10").runs()} == {"fp32"}
    for native in (True, False):
        gpu(native)
        assert {run.precision for run in rx.Sweep("cifar10").runs()} == {"bf16" if native else "fp32"}
        assert {run.precision for run in rx.Sweep("digits").runs()} == {"fp32"}


def test_a_precision_that_the_device_lacks_is_one_sentence(tmp_path, gpu):
    sweep = rx.Sweep(**TINY, precision="bf16", accelerator="mps")
    with answers(macos=(13, 6)):
        with pytest.raises(rx.ExploreError, match=r"bf16 can't be had .* before macOS 14: choose .* 'fp32'"):
            rx.run_sweep(sweep, tmp_path / "s")
        with pytest.raises(rx.ExploreError, match="before macOS 14"):
            engine(sweep.runs()[0], "mps")
    gpu(native=False, emulated=False)
    with pytest.raises(rx.ExploreError, match=r"bf16 can't be had on the GPU \(cuda\): choose"):
        rx.run_sweep(rx.Sweep(**TINY, precision=("fp32", "bf16")), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_fabric_gets_the_device_and_the_precision():
    with answers():
        for precision, plugin in (("bf16", "bf16-mixed"), ("fp32", "32-true")):
            fabric = engine(rx.Sweep(**TINY, precision=precision).runs()[0], "mps")
            assert (fabric.device.type, fabric._precision.precision) == ("mps", plugin)


def test_under_torchrun_an_apple_chip_is_no_place(monkeypatch):
    run = rx.Sweep(**TINY).runs()[0]
    monkeypatch.setattr(trainer, "distributed", lambda: True)
    with answers(), pytest.raises(rx.ExploreError, match="one GPU: without torchrun"):
        engine(run, "mps")


# --- what is said ------------------------------------------------------------------------------------------


def told(sweep):
    where = placed(sweep)
    return place_in_words(sweep, where), where.accelerator


def test_nothing_is_said_of_a_processor_that_does_what_is_asked(monkeypatch):
    for has_it, words in ((True, ""), (False, ", in fp32, as this processor has no instructions for bf16")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has_it=has_it: has_it)
        assert told(rx.Sweep("cifar10")) == (words, "cpu")
        assert told(rx.Sweep("cifar10", precision="fp32")) == ("", "cpu")
        assert told(rx.Sweep()) == ("", "cpu")


def test_a_gpu_and_what_it_lacks_are_said(gpu):
    gpu()
    assert told(rx.Sweep("cifar10")) == (", on the GPU (cuda) in bf16", "cuda")
    assert told(rx.Sweep()) == (", on the GPU (cuda) in fp32", "cuda")
    gpu(native=False)
    assert told(rx.Sweep("cifar10")) == (", on the GPU (cuda) in fp32, as it only emulates bf16", "cuda")
    assert told(rx.Sweep("cifar10", precision="bf16")) == (", on the GPU (cuda) in bf16", "cuda")


def test_an_apple_chip_and_what_it_lacks_are_said():
    with answers():
        words, kind = told(rx.Sweep("cifar10"))
        assert kind == "mps"
        assert words.startswith(
            ", on the Apple chip's GPU (mps) in fp32, as the first Apple chips only emulate"
        )
        assert told(rx.Sweep("cifar10", precision="bf16"))[0] == ", on the Apple chip's GPU (mps) in bf16"
        words, kind = told(rx.Sweep())
        assert kind == "cpu"
        assert words.startswith(", on the processor, whose cores")
        assert told(rx.Sweep(accelerator="mps")) == (", on the Apple chip's GPU (mps) in fp32", "mps")
        assert told(rx.Sweep(accelerator="cpu")) == ("", "cpu")
    with answers(macos=(13, 0)):
        assert told(rx.Sweep("cifar10"))[0].endswith("in fp32, as bf16 needs macOS 14 or newer")


@pytest.mark.training
def test_a_sweep_tells_where_it_trains_and_goes_on_in_its_precision(tmp_path):
    said, sweep = [], rx.Sweep(**TINY)
    with answers(), ThreadPoolExecutor(1) as pool:
        rx.run_sweep(sweep, tmp_path / "s", executor=pool, stop=lambda: True, began=said.append)
    with ThreadPoolExecutor(1) as pool:
        table = rx.run_sweep(sweep, tmp_path / "s", executor=pool, began=said.append)
    assert len(table) == 1
    assert said[0] == said[1] + (
        ", on the processor, whose cores together are likely to be faster than the Apple chip's GPU at "
        "networks this small (accelerator mps uses it)"
    )
    assert "accelerator" not in json.loads((tmp_path / "s" / "sweep.json").read_text())


# --- processes ---------------------------------------------------------------------------------------------


@pytest.mark.training
def test_one_process_trains_on_an_apple_chip_and_is_not_forked():
    with answers():
        with executors.usual_executor(10, "auto") as pool:
            assert pool._max_workers == 1
            assert pool._mp_context.get_start_method() == "spawn"
        with executors.usual_executor(10, "cpu") as pool:
            assert pool._max_workers == min(10, os.cpu_count())
            assert pool._mp_context.get_start_method() == "forkserver"


@pytest.mark.training
def test_jobs_share_the_gpus_that_may_be_used(gpu, monkeypatch):
    gpu(count=2)
    for given, names in ((None, {"0", "1"}), ("2,5", {"2", "5"})):
        if given:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert set(executors._visible_gpus(gpu_count("cuda"))) == names


# --- memory ------------------------------------------------------------------------------------------------

APPLE_FULL = RuntimeError(
    "MPS backend out of memory (MPS allocated: 8.89 GB, other allocations: 172.98 MB, max allowed: 9.07 GB). "
    "Tried to allocate 6.25 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper "
    "limit for memory allocations (may cause system failure)."
)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (APPLE_FULL, True),
        (RuntimeError("Invalid buffer size: 14.90 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("Expected all tensors to be on the same device"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_full_accelerator_is_told_from_other_errors(error, full):
    assert is_full(error) == full


def test_a_capture_that_fills_an_apple_chip_says_how_to_keep_less():
    def full(_tensor):
        raise APPLE_FULL

    model = rx.build("cifar_resnet8")
    with pytest.raises(rx.ExploreError, match="memory"), Capture(model, keep=full):
        model(torch.zeros(1, 3, 8, 8))


@pytest.mark.training
def test_what_would_fit_is_tried_when_the_failed_step_is_gone(tmp_path, monkeypatch):
    """On CUDA and MPS alike: a traceback kept alive would hold the memory that is to be tried."""
    real, alive, tried = trainer.train_step, [], []

    def small(fabric, run, model, optimizer, images, labels, lr):
        gc.collect()
        tried.append((len(images), sum(ref() is not None for ref in alive)))
        if len(images) > 40:
            held = torch.zeros(len(images))  # as the activations of the step that fails
            alive.append(weakref.ref(held))
            raise RuntimeError(f"MPS backend out of memory ({held.nbytes})")
        return real(fabric, run, model, optimizer, images, labels, lr)

    monkeypatch.setattr(trainer, "train_step", small)
    with ThreadPoolExecutor(1) as pool, pytest.raises(rx.ExploreError, match="batch_size=32 would fit"):
        rx.run_sweep(rx.Sweep(**TINY), tmp_path / "s", executor=pool)
    assert tried == [(128, 0), (64, 0), (32, 0)]


@pytest.mark.training
def test_other_errors_of_a_step_stay_what_they_are(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("a kernel of ours is broken")

    monkeypatch.setattr(trainer, "train_step", broken)
    with ThreadPoolExecutor(1) as pool, pytest.raises(rx.ExploreError, match="a kernel of ours is broken"):
        rx.run_sweep(rx.Sweep(**TINY), tmp_path / "s", executor=pool)


def test_an_apple_chip_has_at_most_what_the_machine_has(monkeypatch):
    here, mps = free_memory(torch.device("cpu")), torch.device("mps")
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 300)
    for recommended, own in ((1000, 700), (200, 0)):
        monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda recommended=recommended: recommended)
        assert free_memory(mps) == own
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 100 * here)
    assert free_memory(mps) < 2 * here
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    assert free_memory(torch.device("cuda")) == 5
