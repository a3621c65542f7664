"""Sweeps that resume, that nobody can mix up, on processes, threads, a cluster, and under torchrun."""

import contextlib
import functools
import gc
import json
import multiprocessing
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

import resnet_explore as rx
from resnet_explore.training import executors, sweep as sweeping, trainer
from resnet_explore.training.runs import RunFolder, load_tensors
from tests.waiting import wait_until

pytestmark = pytest.mark.training

TINY = {"depths": (8,), "epochs": 3, "width": 2, "batch_size": 128}
LONGER = rx.Sweep(depths=(20,), epochs=4, width=4)  # long enough to be interrupted


def trained_alone(sweep, out):
    """Train without a process or a neighbour more, and return the folder."""
    with ThreadPoolExecutor(1) as pool:
        rx.run_sweep(sweep, out, executor=pool)
    return out


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny sweep, to compare with."""
    return trained_alone(rx.Sweep(**TINY), tmp_path_factory.mktemp("tiny") / "s")


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """Return the folder of one kind of the longer sweep, to compare with."""

    @functools.cache
    def of(kind):
        return trained_alone(replace(LONGER, kinds=(kind,)), tmp_path_factory.mktemp(kind) / "s")

    return of


@pytest.fixture
def own_tiny(tiny, tmp_path):
    """The folder of a tiny sweep, to spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "s"))


def weights(out, run):
    return load_tensors(Path(out, run.id, "checkpoint.safetensors"))[0]


def assert_same_weights(sweep, out, other):
    for run in sweep.runs():
        a, b = weights(out, run), weights(other, run)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


# --- sweeps ------------------------------------------------------------------------------------------------


def test_a_sweep_in_processes_reports_every_epoch_once(tmp_path):
    seen = []
    sweep = rx.Sweep(**TINY, seeds=(0, 1))
    table = rx.run_sweep(sweep, tmp_path / "s", progress=seen.append)
    assert len(table) == 2 * 2 * 3
    rows = [(row["run"], row["epoch"]) for progress in seen for row in progress.rows]
    assert len(rows) == len(set(rows)) == 12
    assert (seen[-1].epochs_done, seen[-1].epochs_total, seen[-1].finished) == (12, 12, True)
    assert list(table.groupby(["kind", "depth", "seed"])["epoch"].max()) == [3, 3, 3, 3]
    again = rx.run_sweep(sweep, tmp_path / "s")
    assert again.equals(table)


def test_a_run_that_goes_on_keeps_its_precision_and_its_names(tmp_path):
    sweep = rx.Sweep(**TINY, precision="bf16")
    rx.run_sweep(sweep, tmp_path / "s", stop=lambda: True)
    asked = rx.Sweep(**TINY)  # where "auto" is fp32
    assert sweeping.settled(asked, tmp_path / "s").runs() == sweep.runs()
    assert sweeping.settled(asked, tmp_path / "new").runs() == asked.runs()


def test_a_callers_executor_is_used_and_left_open(tmp_path):
    sweep = rx.Sweep(**{**TINY, "epochs": 1})
    with ThreadPoolExecutor(1) as pool:
        table = rx.run_sweep(sweep, tmp_path / "s", executor=pool)
        assert pool.submit(int, "7").result() == 7
    assert len(table) == 2


def test_stop_and_go_on(tmp_path):
    sweep = rx.Sweep(**{**TINY, "epochs": 10_000})  # so that no machine is at the end before the stop comes

    def until_there_are_more_epochs_than(known):
        seen = []
        enough = lambda: bool(seen) and seen[-1].epochs_done > known  # noqa: E731
        return rx.run_sweep(sweep, tmp_path / "s", progress=seen.append, stop=enough)

    kept = until_there_are_more_epochs_than(0)
    later = until_there_are_more_epochs_than(len(kept))
    assert 0 < len(kept) < len(later) < 2 * 10_000
    merged = kept.merge(later, on=["run", "epoch"], suffixes=("", "_later"))
    assert len(merged) == len(kept)
    assert (merged["train_error"] == merged["train_error_later"]).all()
    assert (merged["seconds"] == merged["seconds_later"]).all(), "finished epochs were not trained again"


def test_kill_9_and_go_on_is_bit_equal(tmp_path, longer):
    sweep, out = replace(LONGER, kinds=("plain",)), tmp_path / "s"
    folder = RunFolder(out / sweep.runs()[0].id)
    with executors.processes(1) as pool:
        pool.submit(trained_alone, sweep, out)
        try:
            wait_until(folder.rows, "an epoch is finished")
        finally:
            for worker in multiprocessing.active_children():
                worker.kill()
    assert not folder.finished
    trained_alone(sweep, out)
    assert_same_weights(sweep, out, longer("plain"))


def script(folder, *lines):
    """Save a script that uses the package."""
    path = folder / "saved.py"
    path.write_text("\n".join(["import resnet_explore as rx", *lines]))
    return path


def test_a_script_without_a_guard_is_told_what_is_missing(tmp_path, capsys):
    path = script(
        tmp_path,
        "try:",
        f"    rx.run_sweep(rx.Sweep(depths=(8,), epochs=1, width=2), {str(tmp_path / 's')!r})",
        "except rx.ExploreError as problem:",
        "    print(problem)",
    )
    runpy.run_path(str(path), run_name="__main__")  # its workers read it, as those of any script
    told = capsys.readouterr().out.splitlines()[-1]
    assert 'below `if __name__ == "__main__":`' in told


def test_a_script_that_needs_results_outside_of_its_guard_is_told_where_they_belong(tmp_path):
    path = script(
        tmp_path,
        "from pathlib import Path",
        "if __name__ == '__main__':",
        f"    rx.run_sweep(rx.Sweep(depths=(8,), epochs=1, width=2), {str(tmp_path / 's')!r})",
        "try:",
        f"    rx.collect({str(tmp_path / 'none')!r})",
        "except rx.ExploreError as problem:",
        f"    Path({str(tmp_path)!r}, __name__).write_text(str(problem))",
        "    raise",
    )
    with pytest.raises(rx.ExploreError, match="all that is slow or needs its results, must stand below"):
        runpy.run_path(str(path), run_name="__main__")
    assert "There is no folder of runs" in (tmp_path / "__mp_main__").read_text(), "the worker's own error"
    assert not (tmp_path / "__main__").exists()


def test_the_readmes_script_runs_to_its_end(tmp_path):
    readme = Path(__file__).resolve().parents[1].joinpath("README.md").read_text()
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "run_sweep" in b)
    start = block.index('if __name__ == "__main__":')
    smaller = block[start:].replace("seeds=(0, 1, 2)", "epochs=1, width=2").replace("(8, 56)", "(8,)")
    command = [sys.executable, str(script(tmp_path, smaller))]
    out = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert out.returncode == 0, out.stderr
    assert "[2 rows" in out.stdout
    assert len(rx.collect(tmp_path / "runs" / "mine")) == 2


def test_another_sweeps_folder_is_refused_and_left_alone(tmp_path, own_tiny):
    before = {p: p.read_bytes() for p in own_tiny.rglob("*") if p.is_file()}
    with pytest.raises(rx.ExploreError, match=r"belongs to another sweep \(it differs in lr, seeds\)"):
        rx.run_sweep(rx.Sweep(**TINY, lr=0.01, seeds=(3,)), own_tiny)
    assert before == {p: p.read_bytes() for p in own_tiny.rglob("*") if p.is_file()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(rx.ExploreError, match="is no folder of runs"):
        rx.run_sweep(rx.Sweep(**TINY), tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_failing_run_is_named_and_the_others_end(tmp_path):
    sweep = rx.Sweep(**TINY)
    bad = tmp_path / "s" / sweep.runs()[0].id
    rx.run_sweep(sweep, tmp_path / "s", stop=lambda: True)
    bad.mkdir(exist_ok=True)
    (bad / "resume.safetensors").write_bytes(b"not a checkpoint at all")
    with pytest.raises(rx.ExploreError, match=rf"1 of 2 runs .* failed: .*damaged.*\({bad.name}\)$"):
        rx.run_sweep(sweep, tmp_path / "s")
    # The bad run may have had its first epoch before the stop came; the other one must have all of its own.
    table = rx.collect(tmp_path / "s")
    assert table.loc[table["run"] != bad.name, "epoch"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kinds": ("plane",)}, "Unknown kind in Sweep: 'plane': did you mean 'plain'"),
        ({"depths": (21,)}, r"must be 6n\+2"),
        ({"depths": ()}, "needs depths as a list with at least one entry"),
        ({"epochs": 0}, "needs epochs as a whole number of at least 1, not 0"),
        ({"lr": -1.0}, "needs lr as a finite number above 0, not -1.0"),
        ({"family": "cifra"}, "did you mean 'cifar'"),
        ({"family": "imagenet", "depths": (20,)}, "Unknown model 'plain20'"),
    ],
)
def test_impossible_sweeps_name_the_field(fields, sentence):
    with pytest.raises(rx.ExploreError, match=sentence):
        rx.Sweep(**fields)


def test_an_unknown_dataset_writes_nothing(tmp_path):
    with pytest.raises(rx.ExploreError, match="did you mean 'digits'"):
        rx.run_sweep(rx.Sweep(dataset="digit", depths=(8,)), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_collect_without_runs(tmp_path):
    with pytest.raises(rx.ExploreError, match="There is no folder of runs"):
        rx.collect(tmp_path / "none")
    with pytest.raises(rx.ExploreError, match=r"No run in .* has finished an epoch"):
        rx.collect(tmp_path)


# --- failures ----------------------------------------------------------------------------------------------


def test_a_full_disk_is_named_and_the_others_end(tmp_path, monkeypatch, tiny):
    sweep = rx.Sweep(**TINY)
    full = sweep.runs()[0].id
    save = trainer.save_tensors

    def no_room(path, *rest):
        if full in str(path):
            raise OSError(28, os.strerror(28))
        save(path, *rest)

    monkeypatch.setattr(trainer, "save_tensors", no_room)
    with ThreadPoolExecutor(1) as pool, pytest.raises(rx.ExploreError, match=r"1 of 2 runs .*No space left"):
        rx.run_sweep(sweep, tmp_path / "s", executor=pool)
    monkeypatch.undo()
    assert len(rx.collect(tmp_path / "s")) == 4, "an epoch that was written down, and the three of the other"
    trained_alone(sweep, tmp_path / "s")
    assert_same_weights(sweep, tmp_path / "s", tiny)


def test_safetensors_own_complaint_about_a_full_disk_is_told_alike(tmp_path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(rx.ExploreError, match=r"can't be written to .*No space"),
    ):
        rx.run_sweep(rx.Sweep(**TINY), tmp_path / "s", executor=pool)


def test_a_damaged_final_checkpoint_is_named_and_repaired_when_deleted(own_tiny, tiny):
    sweep = rx.Sweep(**TINY)
    path = own_tiny / sweep.runs()[1].id / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(rx.ExploreError, match=rf"1 of 1 runs .*{path.name} is damaged .* delete the folder"):
        trained_alone(sweep, own_tiny)
    path.unlink()
    trained_alone(sweep, own_tiny)
    assert_same_weights(sweep, own_tiny, tiny)


def test_folders_of_another_version_are_named_and_kept(own_tiny):
    sweep = rx.Sweep(**TINY)
    config = own_tiny / sweep.runs()[0].id / "config.json"
    config.write_text(config.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(rx.ExploreError, match=r"another version of resnet_explore \(format 1; this is 2\)"):
        trained_alone(sweep, own_tiny)
    assert set(rx.collect(own_tiny)["kind"]) == {"residual"}, "what the other version wrote is no row of ours"
    identity = own_tiny / "sweep.json"
    identity.write_text(identity.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(rx.ExploreError, match="was made by another version"):
        trained_alone(sweep, own_tiny)


@pytest.mark.parametrize(
    ("holds", "sentence"), [(30, "batch_size=16 would fit"), (0, "not hold even one image")]
)
def test_too_little_gpu_memory_is_told_with_what_would_fit(tmp_path, monkeypatch, holds, sentence):
    real = trainer.train_step

    def small(fabric, run, model, optimizer, images, labels, lr):
        if len(images) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(fabric, run, model, optimizer, images, labels, lr)

    monkeypatch.setattr(trainer, "train_step", small)
    with ThreadPoolExecutor(1) as pool, pytest.raises(rx.ExploreError, match=sentence) as told:
        rx.run_sweep(rx.Sweep(**TINY), tmp_path / "s", executor=pool)
    assert "2 of 2 runs" in str(told.value)
    assert "and 1 more" in str(told.value), "equal reasons are told once"


def test_broken_images_are_listed_and_left_out_when_asked(tmp_path):
    from PIL import Image

    for label, color in (("cat", "red"), ("dog", "blue")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (12, 8), color).save(tmp_path / "data" / label / f"{i}.png")
    (tmp_path / "data" / "cat" / "3.png").write_bytes(b"no picture")
    fields = {**TINY, "dataset": "folder", "root": str(tmp_path / "data"), "batch_size": 4, "size": 8}
    with pytest.raises(rx.ExploreError, match=r"cat/3.png"):
        rx.run_sweep(rx.Sweep(**fields), tmp_path / "s")
    assert not (tmp_path / "s").exists()
    with ThreadPoolExecutor(1) as pool:
        table = rx.run_sweep(rx.Sweep(**fields, skip_unreadable=True), tmp_path / "s", executor=pool)
    assert len(table) == 6
    header = load_tensors(next((tmp_path / "s").glob("*/checkpoint.safetensors")), header_only=True)[1]
    assert json.loads(header["data"]) == (
        f"image folder {tmp_path / 'data'}, 18 training and 5 test images (a fifth split off at random; "
        "1 unreadable left out)"
    )
    one = {**fields, "root": str(tmp_path / "one")}
    (tmp_path / "one").mkdir()
    (tmp_path / "data" / "dog").rename(tmp_path / "one" / "dog")
    with pytest.raises(rx.ExploreError, match="one class only"):
        rx.run_sweep(rx.Sweep(**one), tmp_path / "t")


# --- who trains what ---------------------------------------------------------------------------------------


def test_a_run_that_another_trains_is_waited_for(tmp_path, monkeypatch):
    sweep = rx.Sweep(**{**TINY, "kinds": ("plain",)})
    trained = []
    real = sweeping.train_run
    monkeypatch.setattr(sweeping, "train_run", lambda run, *rest: trained.append(run.id) or real(run, *rest))
    rx.run_sweep(sweep, tmp_path / "s", stop=lambda: True)
    place = tmp_path / "s" / sweep.runs()[0].id
    shutil.rmtree(place, ignore_errors=True)  # it may have trained to its end before it was stopped
    folder = RunFolder(place)
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as caller:
        with folder.lock() as mine:
            assert mine
            with folder.lock() as again:
                assert not again, "in one process too there is one lock"
            trained.clear()
            table = caller.submit(rx.run_sweep, sweep, tmp_path / "s", pool)
            time.sleep(1)
            assert not trained
            assert not table.done()
        assert len(table.result(timeout=60)) == 3
    assert len(trained) == 1


def test_with_gpus_each_process_sees_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with executors.usual_executor(runs=10, accelerator="auto") as pool:
        assert pool._max_workers == 2
        seen = set(pool.map(_visible_gpus, range(40)))
    assert seen <= {"0", "1"}
    assert seen
    assert executors.usual_executor(3, "cpu")._max_workers == min(3, os.cpu_count())


def test_workers_load_nothing_that_training_does_not_need():
    with executors.processes(1) as pool:
        assert pool.submit(_loaded, ("torchmetrics", "torchvision", "matplotlib")).result() == []
        assert pool.submit(_loaded, ("torch", "lightning_fabric")).result() == ["torch", "lightning_fabric"]


def _loaded(names):
    return [name for name in names if name in sys.modules]


def _visible_gpus(_):
    time.sleep(0.02)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_torchrun_trains_what_is_missing_with_all_its_processes(tmp_path):
    sweep = rx.Sweep(depths=(8,), epochs=2, width=4, batch_size=128)
    with ThreadPoolExecutor(1) as pool:
        alone = rx.run_sweep(sweep, tmp_path / "s", executor=pool)
    shutil.rmtree(tmp_path / "s" / sweep.runs()[1].id)
    words = ["sweep", "digits", "--depths", "8", "--epochs", "2", "--width", "4", "--batch-size", "128"]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "resnet_explore", *words, "--out", str(tmp_path / "s")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("train error") == 3, "one process speaks for all"
    assert done.stdout.count("done earlier") == 1
    table = rx.collect(tmp_path / "s")
    assert list(table["epoch"]) == [1, 2, 1, 2]
    assert table["train_error"].max() < 90
    # Batch norm sees half a batch in each process, so numbers are near each other and not equal.
    apart = (table["train_loss"] - alone["train_loss"]).abs()
    assert (apart[:2] == 0).all()
    assert 0 < apart[2:].max() < 0.4


@contextlib.contextmanager
def cluster(folder, workers=2):
    """A real scheduler and worker processes on this machine; yields its address and the workers."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5"}
    dask = str(Path(sys.executable).with_name("dask"))
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    worker = [dask, "worker", address, *here, "--nthreads", "1", "--no-nanny", "--death-timeout", "300"]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "dask.log").open("w"))

        def start(command):
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
            # Killed, and not asked to end: a Dask worker without nanny that is asked cancels the task that
            # sends its last message, and may then wait half a minute for it.
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        start([dask, "scheduler", *here, "--port", str(port), "--protocol", "tcp"])
        yield address, [start([*worker, "--local-directory", str(folder)]) for _ in range(workers)]


def test_dask_workers_lose_and_double_nothing_and_stop_when_their_client_leaves(tmp_path, longer):
    out = tmp_path / "s"
    with cluster(tmp_path) as (address, workers):
        left = rx.Sweep(depths=(8,), kinds=("plain",), epochs=10_000, width=2, batch_size=128)
        folder = RunFolder(tmp_path / "left" / left.runs()[0].id)
        with executors.dask(address) as executor:
            executor.submit(sweeping._work, left.runs()[0], str(tmp_path / "left"), left)
            wait_until(folder.rows, "the run has begun")
        wait_until(lambda: not folder.is_locked(), "the run has ended with its client")
        assert not folder.finished
        assert all(worker.poll() is None for worker in workers), "its worker lives on"

        killed = []

        def kill_one(progress):
            if not killed and any(row["epoch"] == 2 for row in progress.rows):
                workers[0].kill()
                killed.append(workers[0].pid)

        with executors.dask(address) as executor:
            table = rx.run_sweep(LONGER, out, executor=executor, progress=kill_one)
        assert killed, "the kill came before the end"
    assert not table.duplicated(["run", "epoch"]).any()
    for run in LONGER.runs():
        assert [row["epoch"] for row in RunFolder(out / run.id).rows()] == [1, 2, 3, 4]
    for kind in LONGER.kinds:
        assert_same_weights(replace(LONGER, kinds=(kind,)), out, longer(kind))


def test_a_scheduler_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "_DASK_SECONDS", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with (
        pytest.raises(rx.ExploreError, match=f"No Dask scheduler answers at '{address}'"),
        executors.dask(address),
    ):
        pass
    assert time.monotonic() - began < 10
    with (
        pytest.raises(rx.ExploreError, match="No Dask scheduler answers at 'nonsense'"),
        executors.dask("nonsense"),
    ):
        pass
    gc.collect()  # what is left of the clients goes without a word: a traceback in it would fail this test


def test_without_dask_the_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(rx.ExploreError, match=r"pip install 'resnet-explore\[cluster\]'"),
        executors.dask("tcp://x"),
    ):
        pass
