"""The command line, as a person types it."""

import contextlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
import psutil
import pytest
from PIL import Image

import resnet_explore as rx
from resnet_explore import paths
from resnet_explore.cli import lab, main as cli
from resnet_explore.cli.terminal import LiveTable, duration
from resnet_explore.paths import shipped
from resnet_explore.training.commands import command_of, runs_of
from resnet_explore.training.runs import RunFolder
from resnet_explore.training.sweep import Progress


def run(capsys, *arguments):
    status = cli.main(list(arguments))
    return status, *capsys.readouterr()


def test_help_answers_without_loading_anything_heavy():
    code = (
        "import sys; from resnet_explore.cli import main as cli\n"
        "try: cli.main(['--help'])\n"
        "finally: print([m for m in ('torch', 'pandas', 'matplotlib', 'PIL') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "usage: resnet-explore" in out
    assert out.splitlines()[-1] == "[]"


def test_info_takes_all_networks_ours_and_torchvisions(capsys):
    status, out, _ = run(capsys, "info", "vgg19", "hrnet_w18", "cifar_preresnet20")
    assert status == 0
    heads = [line for line in out.splitlines() if "multiply-adds for" in line]
    assert heads == [
        "vgg19: 19 layers, 143,667,240 parameters, 19,632,062,464 multiply-adds for an image of 224×224",
        "hrnet_w18: 101 layers, 21,299,004 parameters, 4,283,537,072 multiply-adds for an image of 224×224",
        "cifar_preresnet20: 20 layers, 269,722 parameters, 40,551,040 multiply-adds for an image of 32×32",
    ]
    status, out, _ = run(capsys, "info", "r3d_18", "--size", "56")
    assert "multiply-adds for an image of 16×56×56" in out


def test_a_wrong_name_is_answered_before_torch_is_imported():
    code = (
        "import sys; from resnet_explore.cli.main import main; status = main(['info', 'resnet5O']); "
        "print(status, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert "Unknown model 'resnet5O': did you mean 'resnet50'" in done.stderr


def test_info_and_list(capsys, monkeypatch):
    status, out, _ = run(capsys, "info", "resnet50", "cifar_plain20")
    assert status == 0
    assert "resnet50: 50 layers, 25,557,032 parameters, 4,089,184,256 multiply-adds" in out
    assert "cifar_plain20: 20 layers, 269,722 parameters, 40,551,040 multiply-adds" in out
    assert out.splitlines()[-1].startswith("activations: what a part keeps for the backward pass")
    status, out, _ = run(capsys, "list", "resnet[1-9]*")
    assert out.split() == ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "such as vgg19" in run(capsys, "list", "resnet[1-9]*")[2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "resnet5"], "did you mean 'resnet50'"),
        (["info", "vgg91"], "did you mean 'vgg19'"),
        (["info", "cifar_resnet21"], "the nearest are 20 and 26"),
        (["list", "vgg*"], "takes torchvision's other networks by name"),
        (["sweep", "digit"], "did you mean 'digits'"),
        (["sweep", str(shipped("data"))], f"`resnet-explore sweep folder --root {shipped('data')}`"),
        (["sweep", "--depths", "21"], "must be 6n+2"),
        (["sweep", "--lr", "inf"], "lr as a finite number above 0, not inf"),
        (["sweep", "--momentum", "0"], "momentum as a number above 0 and below 1, not 0.0"),
        (["sweep", "--weight-decay", "-1"], "weight_decay as a finite number of at least 0, not -1.0"),
        (["sweep", "--precision", "fp8"], "did you mean 'fp32'"),
        (["record", "no-such-runs", "dest"], "There is no folder of runs"),
        (["lab", "--copy-only", "--dir", __file__], "can't be copied"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.training
def test_a_sweep_prints_each_epoch_goes_on_and_is_recorded(capsys, tmp_path):
    words = ["sweep", "digits", "--depths", "8", "--epochs", "2", "--width", "2", "--jobs", "1"]
    words += ["--out", str(tmp_path / "s")]
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert sum("train error" in line for line in out.splitlines()) == 4
    assert "4/4  residual-8" in out
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*.safetensors")}
    status, out, _ = run(capsys, *words)
    lines = [line for line in out.splitlines() if "train error" in line]
    assert (status, len(lines)) == (0, 2), "nothing is trained, so no epochs are told"
    assert all("epoch   2/2" in line and line.endswith("done earlier") for line in lines)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*.safetensors")}
    status, _, err = run(capsys, *words, "--lr", "0.5")
    assert status == 2
    assert "belongs to another sweep (it differs in lr); choose another folder with --out." in err
    assert "record" not in err, "no record holds two recipes"
    status, _, err = run(capsys, *words, "--seeds", "3")
    assert f"with --out. `resnet-explore record {tmp_path / 's'} OTHER DEST` makes one record" in err
    status, out, _ = run(capsys, "record", str(tmp_path / "s"), str(tmp_path / "r"))
    assert (status, (tmp_path / "r" / "history.csv").is_file()) == (0, True)
    about = tmp_path / "r" / "about.json"
    command = "resnet-explore " + " ".join(words[:8])
    assert json.loads(about.read_text())["commands"] == [command]
    run(capsys, "record", str(tmp_path / "s"), str(tmp_path / "r"), "--root", "here")
    assert json.loads(about.read_text())["commands"] == [f"{command} --root here"]
    status, _, err = run(capsys, "record", str(tmp_path / "s"), str(tmp_path / "r" / "history.csv"))
    assert (status, "The record can't be written to" in err) == (2, True)


def test_status_and_collect_read_the_folder(capsys, tmp_path):
    out, words = str(tmp_path / "s"), ["--depths", "8", "--width", "2", "--batch-size", "128", "--jobs", "1"]
    run(capsys, "sweep", *words, "--epochs", "2", "--out", out)
    run_ids = sorted(path.parent.name for path in (tmp_path / "s").glob("*/config.json"))
    residual = tmp_path / "s" / run_ids[1]
    (residual / "checkpoint.safetensors").unlink()
    for lines, state in ((1, "stopped"), (0, "waiting")):
        history = residual / "history.jsonl"
        history.write_text("".join(history.read_text().splitlines(keepends=True)[:lines]))
        status, text, _ = run(capsys, "status", out)
        head, first, second, _, total = text.splitlines()
        assert status == 0
        assert head.split()[:3] == ["run", "seed", "epoch"]
        assert re.fullmatch(r"plain-8 +0 +2/2 +\S+ % +\S+ % +\d+ +finished", first)
        assert second.startswith("residual-8")
        assert second.endswith(state)
        assert total == f"{out}: 1 finished, 1 {state}"
    with RunFolder(residual).lock():
        assert run(capsys, "status", out)[1].endswith("1 finished, 1 training\n")
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        table = tmp_path / "new" / f"table{suffix}"
        assert run(capsys, "collect", out, str(table))[0] == 0
        pd.testing.assert_frame_equal(
            read(table)[["run", "epoch", "train_error"]], rx.collect(out)[["run", "epoch", "train_error"]]
        )
        assert run(capsys, "collect", out, str(table), "--layers")[0] == 0
        assert {"layer", "gradient_norm", "response_std"} <= set(read(table).columns)
    status, _, err = run(capsys, "collect", out, str(tmp_path / "table.xlsx"))
    assert (status, "as .csv or .parquet, not as .xlsx" in err) == (2, True)
    status, _, err = run(capsys, "status", str(tmp_path))
    assert (status, "is no folder of a sweep's runs" in err) == (2, True)
    status, _, err = run(capsys, "status", str(tmp_path / "gone"))
    assert (status, f"There is no folder {tmp_path / 'gone'}." in err) == (2, True)


def test_the_live_table_is_drawn_over_itself(monkeypatch):
    sweep, stream = rx.Sweep(depths=(8, 14), epochs=2), io.StringIO()
    runs = sweep.runs()
    monkeypatch.setattr("resnet_explore.cli.terminal._REDRAW_SECONDS", 0)
    live = LiveTable(runs, stream)
    live.draw("Starting")
    assert stream.getvalue() == "Starting: 4 waiting\n"
    numbers = {"train_error": 12.345, "test_error": 50.0, "seconds": 2.0}

    def progress(done, *rows):
        given = [{"run": run.id, "epoch": epoch, "step": 22 * epoch, **numbers} for run, epoch in rows]
        live.take(Progress(tuple(given), done, 8, seconds=200.0))

    live.say("Training on made-up digits.")
    assert stream.getvalue().endswith("\x1b[1A\r\x1b[JTraining on made-up digits.\nStarting: 4 waiting\n")
    progress(2, (runs[0], 1), (runs[1], 1))
    drawn = stream.getvalue().split("\x1b[1A\r\x1b[J")[-1].splitlines()
    assert drawn[0] == "2 of 8 epochs in 3 min: 2 training, 2 waiting"
    assert drawn[2].split() == [
        "plain-8",
        *["0", "1/2", "12.35", "%", "50.00", "%", "704", "2", "s", "training"],
    ]
    progress(3, (runs[0], 2))
    assert (
        stream.getvalue()
        .split("\x1b[4A\r\x1b[J")[-1]
        .splitlines()[0]
        .endswith("1 finished, 1 training, 2 waiting")
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (89, "89 s"), (150, "2 min"), (7500, "2 h 05 min"), (math.nan, "?")]
)
def test_durations_are_said_in_words(seconds, text):
    assert duration(seconds) == text


def test_an_unreachable_scheduler_is_a_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("resnet_explore.training.executors._DASK_SECONDS", 1)
    status, _, err = run(capsys, "sweep", "--dask", "tcp://127.0.0.1:1", "--out", str(tmp_path / "s"))
    assert (status, len(err.strip().splitlines())) == (2, 1)
    assert "No Dask scheduler answers at 'tcp://127.0.0.1:1'" in err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "words", [["info", "resnet18", "--size", "0"], ["lab", "--port", "70000"], ["list", "--depths", "8"], []]
)
def test_words_that_make_no_sense_are_answered_with_the_usage(capsys, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert "usage: resnet-explore" in capsys.readouterr().err


def test_a_sweep_has_an_option_for_every_field_and_tells_its_default(capsys):
    with pytest.raises(SystemExit):
        cli.main(["sweep", "--help"])
    # One entry for each argument: they start two columns in, and their texts go on further to the right.
    entries = re.split(r"\n  (?=\S)", capsys.readouterr().out)
    helps = {entry.split()[0]: " ".join(entry.split()[1:]) for entry in entries}
    for field in fields(rx.Sweep):
        text = helps["dataset" if field.name == "dataset" else "--" + field.name.replace("_", "-")]
        told = re.search(r"\(default: (\S+)\)", text)
        if told:
            assert type(field.default)(told[1]) == field.default
        else:
            assert field.name in ("depths", "kinds", "seeds", "keep_steps", "root", "size", "skip_unreadable")


@pytest.mark.training
def test_a_sweep_that_a_file_stopped_says_how_far_it_is(capsys, monkeypatch, tmp_path):
    """The file appears with the first epoch, as when a person puts it there."""
    out = tmp_path / "s"
    monkeypatch.setattr(cli, "_print_epochs", lambda *_: (out / "STOP").touch())
    words = ["sweep", "--depths", "8,14", "--epochs", "30", "--width", "2", "--jobs", "1", "--out", str(out)]
    status, said, _ = run(capsys, *words)
    assert status == 0
    table = rx.collect(out)
    done = (table["epoch"] == 30).sum()
    assert done < 4
    first, last = said.splitlines()
    assert first == "Training on scikit-learn's handwritten digits: 1,437 training and 360 test images."
    assert last == f"Stopped: {done} of 4 runs are finished in {out}; the same command goes on from there."


def test_the_command_read_from_a_folder_makes_the_same_sweep(monkeypatch, tmp_path):
    other = {"family": "imagenet", "depths": (34, 18), "kinds": ("plain",), "seeds": (3, 1), "epochs": 2}
    other |= {"width": (4, 8), "batch_size": 7, "lr": (1e-5, 1.0), "momentum": 0.5, "weight_decay": 5e-4}
    other |= {"schedule": "steps", "label_smoothing": 0.1, "augment": ("crop", "zoom"), "size": 48}
    other |= {"skip_scale": ("0", "0.5", "1-then-0-after-1", "1-to-0-by-2")}
    sweep = rx.Sweep("folder", **other, eval_images=9, keep_steps=(0, 10), precision="bf16")
    (tmp_path / "sweep.json").write_text(json.dumps(asdict(sweep)))
    made = []
    monkeypatch.setattr(rx, "run_sweep", lambda sweep, **_: made.append(sweep) or [], raising=False)
    command = command_of(tmp_path)
    assert cli.main(command.split()[1:]) == 0
    assert (command.split()[0], made) == ("resnet-explore", [sweep])
    assert runs_of(command) == runs_of(f"{command} --root a b") == sweep.runs()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize("record", sorted(shipped("data").glob("*/about.json")), ids=lambda p: p.parent.name)
def test_make_experiments_makes_what_is_recorded(monkeypatch, record):
    made = []
    monkeypatch.setattr(rx, "run_sweep", lambda sweep, **_: made.append(sweep) or [], raising=False)
    root = Path(__file__).resolve().parents[1]
    lines = subprocess.run(
        ["make", "-n", "experiments"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in lines:
        if "resnet-explore sweep" in line:
            assert cli.main(line.split()[1:]) == 0
    offered = {run for sweep in made for run in sweep.runs()}
    recorded = {run for command in json.loads(record.read_text())["commands"] for run in runs_of(command)}
    assert recorded
    assert recorded <= offered
    assert set(rx.collect(record.parent)["run"]) <= {run.id for run in offered}


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m resnet_explore list | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("resnet_explore.training.sweep.run_sweep", interrupted)
    monkeypatch.setattr("resnet_explore.run_sweep", interrupted, raising=False)
    status, _, err = run(capsys, "sweep", "digits", "--out", str(tmp_path / "s"))
    assert status == 130
    assert "the same command goes on from there" in err


def commands_under(pid):
    """Return the command lines of a process's descendants."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            found.append(" ".join(child.cmdline()))
    return found


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no groups of processes to signal")
@pytest.mark.parametrize("moment", ["while workers start", "while they train"])
@pytest.mark.training
def test_ctrl_c_reaches_all_processes_and_is_one_line(tmp_path, moment):
    words = ["sweep", "--depths", "8,110", "--epochs", "99", "--jobs", "2", "--out", str(tmp_path / "s")]
    # A shell that runs `make test &` lets it ignore Ctrl-C, and what it starts would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sweep = subprocess.Popen(
        [sys.executable, "-m", "resnet_explore", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as in a terminal, where Ctrl-C goes to the whole group
    )
    signal.signal(signal.SIGINT, before)
    try:
        if moment == "while they train":
            assert "Training on scikit-learn's handwritten digits" in sweep.stdout.readline()
            assert "epoch   1/99" in sweep.stdout.readline()
        else:
            deadline = time.monotonic() + 60
            while not any("forkserver" in words for words in commands_under(sweep.pid)):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        os.killpg(sweep.pid, signal.SIGINT)
        _, err = sweep.communicate(timeout=60)
    finally:
        if sweep.poll() is None:
            os.killpg(sweep.pid, signal.SIGKILL)
            sweep.communicate()
    assert sweep.returncode == 130
    assert len(err.splitlines()) == 1
    assert "the same command goes on from there" in err


def test_notebooks_are_copied_but_never_over_a_changed_file(capsys, tmp_path):
    words = ["lab", "--copy-only", "--dir", str(tmp_path)]
    assert run(capsys, *words)[0] == 0
    folder = tmp_path / "notebooks"
    shipped = {p.name: p.read_bytes() for p in paths.shipped("notebooks").glob("*.ipynb")}
    assert {p.name: p.read_bytes() for p in folder.glob("*.ipynb")} == shipped
    (folder / "01_degradation.ipynb").write_text("mine")
    # A file as an older version shipped it: its sum is in the manifest, its text is not today's.
    (folder / "02_gradient_flow.ipynb").write_text("ours, of old")
    manifest = json.loads((folder / lab.MANIFEST).read_text())
    manifest["sha256"]["02_gradient_flow.ipynb"] = lab._sum(b"ours, of old")
    (folder / lab.MANIFEST).write_text(json.dumps(manifest))
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "Kept as you changed them: 01_degradation.ipynb" in out
    assert (folder / "01_degradation.ipynb").read_text() == "mine"
    assert (folder / "02_gradient_flow.ipynb").read_bytes() == shipped["02_gradient_flow.ipynb"]


def test_in_the_source_tree_the_notebooks_are_opened_in_place(capsys, monkeypatch):
    monkeypatch.chdir(paths.CHECKOUT)
    status, out, _ = run(capsys, "lab", "--copy-only")
    assert (status, "in the source tree itself" in out) == (0, True)
    assert not (paths.CHECKOUT / "notebooks" / lab.MANIFEST).exists()


def test_an_unreadable_manifest_never_costs_a_persons_work(capsys, tmp_path):
    words = ["lab", "--copy-only", "--dir", str(tmp_path)]
    run(capsys, *words)
    (tmp_path / "notebooks" / "00_start.ipynb").write_text("mine")
    (tmp_path / "notebooks" / lab.MANIFEST).write_text("{")
    assert "Kept as you changed them: 00_start.ipynb" in run(capsys, *words)[1]
    assert (tmp_path / "notebooks" / "00_start.ipynb").read_text() == "mine"


def test_a_folder_that_is_a_file_gets_one_sentence(capsys, tmp_path):
    (tmp_path / "notebooks").write_text("in the way")
    status, _, err = run(capsys, "lab", "--copy-only", "--dir", str(tmp_path))
    assert status == 2
    assert "can't be copied" in err


def test_a_presentation_adds_an_extension_for_this_run_only(tmp_path):
    usual, hall = (
        dict(argument.split("=") for argument in lab.jupyter_arguments(tmp_path, 9000, [], workspaces=aside))
        for aside in (None, tmp_path / "aside")
    )
    changed = {option for option in hall if usual.get(option) != hall[option]}
    assert changed == {
        "--LabApp.default_url",
        "--LabApp.app_settings_dir",
        "--LabApp.extra_labextensions_path",
        "--LabApp.workspaces_dir",
    }
    [manifest] = Path(hall["--LabApp.extra_labextensions_path"]).glob("*/package.json")
    build = json.loads(manifest.read_text())["jupyterlab"]["_build"]
    assert (manifest.parent / build["load"]).is_file()
    overrides = [Path(each["--LabApp.app_settings_dir"], "overrides.json") for each in (usual, hall)]
    assert all(json.loads(path.read_text()) for path in overrides)
    own = lab.jupyter_arguments(tmp_path, 9000, ["--LabApp.default_url=/lab"], workspaces=tmp_path)
    assert [each for each in own if "default_url" in each] == ["--LabApp.default_url=/lab"]


def test_jupyterlab_listens_on_this_machine_alone_with_its_token(tmp_path):
    arguments = lab.jupyter_arguments(tmp_path, 9000, ["--no-browser"])
    text = " ".join(arguments)
    assert "--ServerApp.ip=127.0.0.1" in text
    assert "9000" in text
    assert "--no-browser" in arguments
    assert "token" not in text.lower()
    assert "--allow-root" not in arguments
    assert "--allow-root" in lab.jupyter_arguments(tmp_path, 9000, [], root=True)
    other = " ".join(lab.jupyter_arguments(tmp_path, 9000, ["--ip=0.0.0.0"]))
    assert "127.0.0.1" not in other


def test_the_module_runs_too():
    here = Path(__file__).parent
    out = subprocess.run(
        [sys.executable, "-m", "resnet_explore", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=here,
        env={**os.environ},
    )
    assert out.stdout.startswith("resnet-explore 0.")


def test_what_a_heatmap_does_not_show_of_a_file_is_said_in_a_line(capsys, tmp_path):
    frames = [Image.new("RGB", (50, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (12_000, 9_000), "teal").save(tmp_path / "large.jpg")
    assert cli.main(["saliency", str(tmp_path), "--out", str(tmp_path / "heatmaps")]) == 0
    large, _, moving, _ = capsys.readouterr().out.splitlines()
    assert large.endswith("large.jpg: read at 3000×2250 instead of 12000×9000 pixels.")
    assert moving.endswith("moving.gif: an animation, of which the first frame is used.")
