"""The source distribution builds the wheel, and the wheel works where there is no checkout."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import resnet_explore as rx

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    root = folder / source.name.removesuffix(".tar.gz")
    subprocess.run([*build, "wheel"], cwd=root, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_what_a_person_needs_and_no_more(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    places = {"notebooks": "resnet_explore/_share/", "data": "resnet_explore/_share/", "resnet_explore": ""}
    for folder, place in places.items():
        command = ["git", "ls-files", folder]
        tracked = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
        assert tracked
        assert {place + name for name in tracked} <= names
    assert {
        "resnet_explore/widgets/browser/page.js",
        "resnet_explore/widgets/browser/filmstrip/filmstrip.js",
        "resnet_explore/jupyter/overrides.json",
    } <= names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/")) or "/runs/" in n]
    assert [n for n in names if n.endswith("licenses/LICENSE")]


def test_an_installed_wheel_finds_its_notebooks_and_weights(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import resnet_explore as rx\n"
        "from resnet_explore.cli import main as cli\n"
        "assert rx.__file__.startswith(sys.argv[1]), rx.__file__\n"
        "assert cli.main(['lab', '--copy-only', '--dir', sys.argv[2]]) == 0\n"
        "print(len(rx.list_weights()), rx.build('cifar_resnet20', weights='cifar10').about['input_size'])\n"
        "print(len(rx.DegradationExplorer().page.sliders[0].choices))\n"
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
    assert out.stdout.splitlines()[-2:] == [f"{len(rx.list_weights())} [3, 32, 32]", "5"]
