"""The pages of docs/ do what they say: their code runs, in order, in a folder of its own."""

import re
import runpy
from pathlib import Path
from unittest.mock import patch

import pytest

import resnet_explore as rx
from resnet_explore.analysis.explain.methods.registry import METHODS

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {"__name__": f"docs_{page.stem.replace('-', '_')}"}
    with patch.dict(METHODS):  # takes back what a page registers
        for block in blocks:
            exec(compile(block, str(page), "exec"), names)
    assert (tmp_path / "signs.svg").exists() or page.stem != "add-an-explorer"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page):
    """Paths in backticks exist, but for what the reader is to make."""
    for path in re.findall(
        r"`((?:resnet_explore|tests|notebooks|docs|benchmarks|data)/[\w./-]*)`", page.read_text()
    ):
        assert (DOCS.parent / path).exists() or "signs" in path, path


def test_lesson_plans_take_as_long_as_they_say():
    plans = re.split(r"^## (\d+) minutes", (DOCS / "teaching.md").read_text(), flags=re.MULTILINE)[1:]
    for minutes, plan in zip(plans[::2], plans[1::2], strict=True):
        rows = re.findall(r"^\| (\d+) \|", plan.partition("\n## ")[0], re.MULTILINE)
        assert sum(map(int, rows)) == int(minutes)
    assert plans[::2] == ["20", "45", "90"]


def test_every_exercise_is_solved_for_teachers():
    solved = re.findall(
        r'^assert rx\.check\("([\w-]+)", .*\)\.passed$', (DOCS / "teaching.md").read_text(), re.MULTILINE
    )
    assert sorted(solved) == sorted(row[0] for row in rx.check().rows)


def test_the_readme_counts_the_methods_that_there_are():
    assert f"; {len(METHODS)} methods," in (DOCS.parent / "README.md").read_text()


def test_the_picture_of_the_rooms_is_of_this_code():
    edges = runpy.run_path(str(DOCS / "rooms.py"))["edges"]()
    said = "; ".join(f"{room} imports {other}" for room, other in sorted(edges))
    assert said in (DOCS / "rooms.svg").read_text(), "`make rooms` draws it anew"
