"""The script for machines with a GPU, run small on the processor: so that it runs where it counts."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from benchmarks import gpu
from resnet_explore.models.threads import one_thread
from resnet_explore.training import trainer
from tests.apple import answers

pytestmark = pytest.mark.training

FEW = gpu.Sizes(depths=(8,), batch=4, rounds=2, steps=1, epochs=2, too_many=32, photo=None)


@contextlib.contextmanager
def holds(images):
    """Let a training step take no more images, as if memory did not suffice."""
    real = trainer.train_step

    def small(fabric, run, model, optimizer, batch, labels, lr):
        if len(batch) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(fabric, run, model, optimizer, batch, labels, lr)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "train_step", small)
        yield


@pytest.fixture
def sizes():
    with one_thread(), ThreadPoolExecutor(1) as pool:
        yield gpu.replace(FEW, limit=lambda _: holds(12), executor=pool)


def test_every_check_passes_on_the_processor(sizes, capsys):
    todo = gpu.checks("cpu", gpu.replace(sizes, epochs=4))
    # How fast steps so small are, beside one another, says nothing.
    slow = {name for name in todo if name.startswith(("ResNet-", "Grad-CAM"))}
    assert gpu.report({name: check for name, check in todo.items() if name not in slow})
    lines = capsys.readouterr().out.splitlines()
    words = {line.split("  ")[0]: line for line in lines}
    assert "channels_last" in words["device"]
    assert "% test error after 4 epochs. scikit-learn's handwritten digits" in words["learns"]
    assert "ends bit-equal" in words["resumes in bf16"]
    assert "batch_size=8 would fit" in words["memory"]
    for name in gpu.MEASUREMENTS:
        assert "at most 0.0e+00 of the largest number off" in words[f"{name} as on the processor"]
    for name in slow:
        found = todo[name]()
        assert ("images/s" in found.words) or ("x forward and backward" in found.words)


def test_what_is_wrong_fails(sizes, capsys):
    assert not gpu.memory("cpu", gpu.replace(sizes, limit=lambda _: contextlib.nullcontext())).ok
    shifts = iter((0.0, 0.01))
    found = gpu.alike("cpu", lambda _model, images, _labels: {"maps": images + next(shifts)})
    assert not found.ok
    assert 1e-3 < float(found.words.split()[2]) < 1e-2

    def broken():
        raise RuntimeError("no kernel image is available\nfor this device")

    assert not gpu.report({"fine": lambda: gpu.Found(True, "as it should be"), "broken": broken})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["ok", "FAILED"]
    assert lines[1].endswith("RuntimeError: no kernel image is available")


def test_without_a_gpu_it_says_so_and_fails_only_if_one_was_asked_for(capsys):
    for arguments, status in (([], 0), (["--accelerator", "mps"], 1)):
        assert gpu.main(arguments) == status
        said = capsys.readouterr().out
        assert "torch can use here" in said
        assert said.count("\n") == 1


def test_with_one_it_checks_that_kind_and_its_status_tells(monkeypatch):
    asked = []
    monkeypatch.setattr(gpu, "checks", lambda kind, _: asked.append(kind))
    for fine in (True, False):
        monkeypatch.setattr(gpu, "report", lambda _, fine=fine: fine)
        with answers():
            assert gpu.main([]) == (0 if fine else 1)
    assert asked == ["mps", "mps"]
