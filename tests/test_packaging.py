"""The wheel works where there is no checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_what_a_person_needs_and_no_more(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("notebooks", "data"):
        tracked = subprocess.run(
            ["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        assert tracked
        assert {f"resnet_explore/_share/{name}" for name in tracked} <= names
    assert {f"resnet_explore/widgets/{n}" for n in ("filmstrip.js", "upload.js", "card.css")} <= names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/")) or "/runs/" in n]
    assert [n for n in names if n.endswith("licenses/LICENSE")]


def test_an_installed_wheel_finds_its_notebooks_and_weights(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import resnet_explore as rx\n"
        "from resnet_explore import cli\n"
        "assert rx.__file__.startswith(sys.argv[1]), rx.__file__\n"
        "assert cli.main(['lab', '--copy-only', '--dir', sys.argv[2]]) == 0\n"
        "print(len(rx.list_weights()), rx.build('cifar_resnet20', weights='cifar10').about['input_size'])\n"
        "print(len(rx.DegradationExplorer().strip.frames))\n"
    )
    (tmp_path / "work").mkdir()
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site"), str(tmp_path / "work")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    copied = sorted(p.name for p in (tmp_path / "work" / "notebooks").glob("*.ipynb"))
    assert copied == sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))
    assert out.stdout.splitlines()[-2:] == ["12 [3, 32, 32]", "5"]
