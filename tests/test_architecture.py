"""The house rules, checked: who may import whom, and what may stand where."""

import ast
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import resnet_explore as rx
from resnet_explore.pages.live.write import ENTRY as LIVE
from resnet_explore.pages.site.build import ENTRY as SITE
from resnet_explore.widgets.browser.bundle import HERE, bundle
from tests.slow import listed

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "resnet_explore"
PAGES = PACKAGE / "pages" / "browser"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# A room imports only rooms to its left; errors, paths and the version are open to all.
ROOMS = {
    "models": set(),
    "inputs": set(),
    "training": {"models", "inputs"},
    "analysis": {"models", "inputs", "training"},
    "exercises": {"models", "inputs", "training", "analysis"},
    "figures": set(),
    "widgets": {"models", "inputs", "training", "analysis", "figures"},
    "pages": {"models", "inputs", "training", "analysis", "figures", "widgets"},
    "cli": {"models", "inputs", "training", "analysis", "figures", "pages"},
}
# Inside analysis a folder is a question; what stands beside the folders serves all of them.
QUESTIONS = {
    "capture": set(),
    "topology": {"capture"},
    "gradients": {"capture", "topology"},
    "activations": {"capture", "topology"},
    "explain": {"capture", "topology"},
    "landscape": set(),
    "skips": {"capture", "topology"},
}
# Inside widgets: the core knows no explorer, and no explorer another.
COMMON = {"browser": {"browser"}, "core": {"core", "browser"}, "catalog": {"catalog", "core", "browser"}}
OPEN = {"errors", "paths", "__version__"}
# Third parties that are at home in some places only.
HOMES = {
    "captum": ("analysis/explain/methods/pixels.py",),
    "ipywidgets": ("widgets/",),
    "anywidget": ("widgets/",),
    "traitlets": ("widgets/",),
    "lightning_fabric": ("training/fabric.py", "training/trainer.py"),
    "skimage": ("inputs/", "analysis/explain/scoring/sanity.py"),
    "sklearn": ("inputs/", "analysis/activations/probes.py"),
    "matplotlib": ("figures/",),
    "onnx": ("pages/live/export.py",),
    "mistune": ("pages/site/markdown.py",),
}
NOT_IN_FIGURES = {"torch", "torchvision", "ipywidgets"}


STUB = ast.parse((PACKAGE / "__init__.pyi").read_text())
HOME = {
    alias.name: node.module for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names
}


@functools.cache
def imports(path):
    """Return the absolute dotted names that a module imports, inside functions too.

    `from a import b` gives "a.b": b may be a module, and so a room. A public name stands for its own room.
    """
    package, found = path.relative_to(ROOT).with_suffix("").parts[:-1], []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                home = HOME.get(alias.name) if base == "resnet_explore" else None
                found.append(f"{base}.{home or alias.name}")
    return found


def where(path):
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=where)
def test_imports_go_one_way(path):
    room = where(path).split("/")[0]
    for name in imports(path):
        top, *rest = name.split(".")
        homes = HOMES.get(top)
        assert homes is None or where(path).startswith(homes), f"{name} is at home in {homes}"
        if room == "figures":
            assert top not in NOT_IN_FIGURES
        if top == "resnet_explore" and rest and room in ROOMS:
            assert rest[0] in ROOMS[room] | OPEN | {room}, f"{where(path)} must not import {name}"


ANALYSIS = PACKAGE / "analysis"
ASKED = sorted(path for question in QUESTIONS for path in (ANALYSIS / question).rglob("*.py"))


@pytest.mark.parametrize("path", ASKED, ids=where)
def test_questions_build_on_what_stands_to_their_left(path):
    question = path.relative_to(ANALYSIS).parts[0]
    for name in imports(path):
        if name.startswith("resnet_explore.analysis."):
            other = name.split(".")[2]
            assert other not in QUESTIONS or other in QUESTIONS[question] | {question}, (
                f"must not import {name}"
            )


# Questions of one measurement each, which need no folder.
ALONE = {"similarity.py", "similarity_record.py"}


def test_what_serves_all_questions_asks_none():
    assert {path.name for path in ANALYSIS.iterdir() if path.is_dir() and path.name[0] != "_"} == set(
        QUESTIONS
    )
    for path in ANALYSIS.glob("*.py"):
        for name in imports(path) if path.name not in ALONE else ():
            assert name.split(".")[2:3] not in [[question] for question in QUESTIONS], where(path)


WIDGETS = PACKAGE / "widgets"
PARTS = sorted(path for folder in WIDGETS.iterdir() if folder.is_dir() for path in folder.rglob("*.py"))


@pytest.mark.parametrize("path", PARTS, ids=where)
def test_the_core_knows_no_explorer_and_no_explorer_another(path):
    part = path.relative_to(WIDGETS).parts[0]
    allowed = COMMON.get(part, {part, *COMMON})
    for name in imports(path):
        if name.startswith("resnet_explore.widgets."):
            assert name.split(".")[2] in allowed, f"{where(path)} must not import {name}"


def test_the_pages_are_made_of_all_modules():
    """Every module of the browser's side is in one of the scripts that pages run."""
    scripts = "".join(map(bundle, ("page.js", "baked.js", "filmstrip/filmstrip.js")))
    modules = {path.relative_to(HERE).as_posix() for path in HERE.rglob("*.js")}
    assert {name for name in modules if f'modules["{name}"] = ' in scripts} == modules


def test_the_static_pages_are_made_of_all_of_their_modules():
    script = bundle(LIVE, PACKAGE) + bundle(SITE, PACKAGE)
    modules = {where(path) for path in PAGES.rglob("*.js")}
    assert {name for name in modules if f'modules["{name}"] = ' in script} == modules


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.js")), ids=where)
def test_scripts_are_documented_and_at_home(path):
    assert path.read_text().startswith("/* "), "every script says what it is for"
    assert HERE in path.parents or PAGES in path.parents or PACKAGE / "jupyter" in path.parents


@pytest.mark.parametrize("path", MODULES, ids=where)
def test_modules_are_documented_and_quiet(path):
    text = path.read_text()
    assert re.match(r'"""\S', text), "every module says what it is for"
    suspect = re.search(r"\b(assert|print)\b", text)  # or it need not be read as Python
    for node in ast.walk(ast.parse(text)) if suspect else ():
        assert not isinstance(node, ast.Assert), "assert is for tests"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert where(path) in ("cli/main.py", "cli/lab.py")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_hold_prose_imports_and_calls(path):
    notebook = json.loads(path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            assert cell["execution_count"] is None
            tree = ast.parse("".join(cell["source"]))
            assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda) for n in ast.walk(tree))


def test_slow_tests_are_listed_by_names_that_exist():
    for name in listed():
        path, _, function = name.partition("::")
        assert re.search(rf"^def {function}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_there_are_notebooks_to_check():
    assert [p.stem[:2] for p in NOTEBOOKS] == [*(f"{number:02}" for number in range(11)), "ex"]


def test_editors_know_every_public_name(tmp_path):
    assert sorted(HOME) == rx.__all__
    assert (PACKAGE / "py.typed").exists()
    typed = tmp_path / "typed.py"
    typed.write_text("import resnet_explore as rx\nreveal_type(rx.build)\nrx.biuld\n")
    home = PACKAGE / HOME["build"].replace(".", "/")
    # Nothing else is read: torch alone takes mypy 20 seconds.
    files = [typed, PACKAGE / "__init__.pyi", home.with_suffix(".py")]
    command = [sys.executable, "-m", "mypy", "--follow-imports=skip", "--cache-dir", tmp_path, *files]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert 'Revealed type is "def (model: ' in found.stdout
    assert 'Module has no attribute "biuld"' in found.stdout


@pytest.mark.parametrize("name", rx.__all__)
def test_public_names_exist_and_are_documented(name):
    assert getattr(rx, name).__doc__


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Explorer"):
        _ = rx.Explorer
    assert set(dir(rx)) >= set(rx.__all__)


def test_importing_the_package_loads_nothing_heavy():
    code = "import resnet_explore, sys; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_first_views_load_nothing_large_that_they_do_not_show():
    """Each of these takes 30 to 280 MB of every open notebook, and its seconds; see benchmarks/memory.py."""
    code = """
import sys, resnet_explore as rx, torch
def loaded(*names):
    return [name for name in names if name in sys.modules]
rx.GradientFlowExplorer(depths=[8, 14]).wait()
rx.FeatureMapExplorer().wait()
rx.SkipExplorer().wait()
rx.SaliencyExplorer(method="score_cam", networks="cifar10", depth=8).wait()
rx.judge(rx.build("cifar_resnet8"), torch.rand(1, 3, 16, 24), "grad_cam", draws=2)  # as its verdict does
print(loaded("pandas", "pyarrow"))
rx.DegradationExplorer(), rx.ArchitectureExplorer()
print(loaded("torch._dynamo", "sympy", "torchvision", "lightning_fabric", "captum", "matplotlib.pyplot"))
print(loaded("sklearn", "skimage", "scipy.stats"))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n") == ["[]", "[]", "[]", ""]


def test_no_two_classes_have_one_name():
    found = {}
    for path in MODULES:
        for name in re.findall(r"^ *class (\w+)[:(]", path.read_text(), re.MULTILINE):
            found.setdefault(name, []).append(where(path))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
