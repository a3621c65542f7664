"""What `make lab` does before and around JupyterLab, on machines where something is missing or goes wrong."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from resnet_explore.cli.lab import run_jupyter

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Stands in for Python, so that no test installs anything: it answers the Makefile's question in earnest,
# makes an environment that holds only itself, and notes what it was asked for. FAIL names what is cut short.
STAND_IN = f"""#!/bin/sh
echo "$*" >> "$CALLS"
case "$2" in
    venv) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && [ "$FAIL" != venv ] && touch "$4/bin/activate" ;;
    pip) [ "$FAIL" != pip ] ;;
    resnet_explore) ;;
    *) exec {sys.executable} -c "import sys; $LACKING; exec(sys.argv[1])" "$2" ;;
esac
"""

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


@pytest.fixture
def make(tmp_path):
    """Run make where only the files that set-up reads lie; return the process, and what Python was asked."""
    folder = tmp_path / "a folder"  # people have them with spaces
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    python, calls = folder / "python", folder / "calls"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    # A make that runs these tests hands its own variables down.
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "ARGS", "PORT", "VENV")}

    def run(*words, fail="", lacking="pass", interpreter=python):
        calls.write_text("")
        done = subprocess.run(
            ["make", *words, f"PYTHON={interpreter}"],
            cwd=folder,
            env={**clean, "CALLS": str(calls), "FAIL": fail, "LACKING": lacking},
            capture_output=True,
            text=True,
        )
        asked = [line for line in calls.read_text().splitlines() if line.startswith("-m")]
        return done, [words.split()[1] for words in asked]

    run.folder = folder
    return run


@needs_make
@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [
        ("sys.version_info = (3, 9, 6)", "Python 3.9 (%s) is too old: install Python 3.11 or newer"),
        ("sys.modules['ensurepip'] = None", "can't make environments: install its venv module first"),
    ],
)
def test_a_python_that_will_not_do_gets_one_sentence_and_no_environment(make, lacking, sentence):
    done, asked = make("lab", lacking=lacking)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(said) == 1
    assert sentence.replace("%s", sys.executable) in said[0]
    assert (asked, (make.folder / ".venv").exists()) == ([], False)


@needs_make
def test_no_python_at_all(make):
    done, _ = make("lab", interpreter="python9")
    assert "There is no python9 here" in done.stderr
    assert done.returncode != 0


@needs_make
def test_an_interrupted_set_up_is_done_again_and_a_finished_one_is_not(make):
    assert make("lab", fail="venv")[1] == ["venv"]
    assert make("lab", fail="pip")[1] == ["venv", "pip"]
    assert make("lab", fail="pip")[1] == ["pip"]
    assert make("lab")[1] == ["pip", "resnet_explore"]
    assert make("lab")[1] == ["resnet_explore"]
    later = (make.folder / ".venv/.ready").stat().st_mtime + 5
    os.utime(make.folder / "pyproject.toml", (later, later))
    assert make("lab", fail="pip")[1] == ["pip"]
    assert make("lab", fail="pip")[1] == ["pip"], "a failed update leaves the environment unready"


@needs_make
def test_port_and_arguments_pass_through(make):
    make("lab", "PORT=9000", "ARGS=--no-browser --debug")
    last = (make.folder / "calls").read_text().splitlines()[-1]
    assert last == "-m resnet_explore lab --port 9000 --no-browser --debug"


@pytest.fixture
def taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_lab_starts_on_the_next_port_with_a_token_and_without_pop_ups(tmp_path, taken_port):
    own = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "COV"))}
    command = [sys.executable, "-m", "resnet_explore", "lab", "--port", str(taken_port), "--no-browser"]
    server = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**kept, **own},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        page = next(line.split()[-1] for line in server.stderr if "/00_start.ipynb?token=" in line)
        address, _, token = page.partition("/lab/tree/notebooks/00_start.ipynb?token=")
        assert address.startswith("http://127.0.0.1:")
        assert address != f"http://127.0.0.1:{taken_port}"
        assert "/login?" in _get(address + "/lab/tree/notebooks/00_start.ipynb").url
        assert _get(page).url == page
        with pytest.raises(urllib.error.HTTPError, match="403"):
            _get(address + "/api/contents/notebooks")
        listed = json.load(_get(f"{address}/api/contents/notebooks?token={token}"))["content"]
        assert {entry["name"] for entry in listed} == {path.name for path in NOTEBOOKS}
        plugin = "@jupyterlab/apputils-extension:notification"
        settings = json.load(_get(f"{address}/lab/api/settings/{plugin}?token={token}"))
        defaults = settings["schema"]["properties"]
        assert defaults["fetchNews"]["default"] == "false"
        assert defaults["checkForUpdates"]["default"] is False
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.mark.parametrize("own", [None, "4"])
def test_kernels_share_one_heap_unless_a_person_says_otherwise(tmp_path, monkeypatch, own):
    monkeypatch.setenv("MALLOC_ARENA_MAX", own or "")
    if own is None:
        monkeypatch.delenv("MALLOC_ARENA_MAX")
    seen = []
    # A stand-in for all of JupyterLab, which takes long to import and starts in the test above.
    lab = SimpleNamespace(launch_instance=lambda arguments: seen.append(os.environ["MALLOC_ARENA_MAX"]))
    monkeypatch.setitem(sys.modules, "jupyterlab", ModuleType("jupyterlab"))
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", SimpleNamespace(LabApp=lab))
    run_jupyter(tmp_path, 8888, [])
    assert seen == [own or "1"]


def _get(address):
    # No proxy, which a classroom may have. Jupyter names its address a moment before it answers there.
    opener, deadline = urllib.request.build_opener(urllib.request.ProxyHandler({})), time.monotonic() + 20
    while True:
        try:
            return opener.open(address, timeout=30)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_notebooks_are_as_the_hook_leaves_them(tmp_path):
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (entry,) = (hook["entry"] for hook in hooks if hook["id"] == "nbstripout")
    run = json.loads(NOTEBOOKS[0].read_text())
    next(cell for cell in run["cells"] if cell["cell_type"] == "code")["execution_count"] = 1
    spoiled = tmp_path / "run.ipynb"
    spoiled.write_text(json.dumps(run))
    verify = [sys.executable, "-m", *entry.split(), "--verify", *NOTEBOOKS, spoiled]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert done.returncode == 1
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [str(spoiled)]
