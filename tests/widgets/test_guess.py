"""Questions before a picture: what an explorer asks, and the file that keeps answers."""

import json
import multiprocessing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import resnet_explore as rx
from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.guess import Guesses, Question
from resnet_explore.widgets.core.still import _picture
from resnet_explore.widgets.core.view import Choice, Prose, Slider, View, encode

ASKED = Question(
    "test/sum", "What is 2 + 2?", (Choice(3, "three"), Choice(4, "four")), 4, "By counting.", "It is 4."
)


@dataclass(frozen=True)
class SumState:
    n: int = 2


class SumExplorer(Explorer):
    """Shows a sum, and may ask for it before."""

    State = SumState
    asked = ASKED

    def present(self, state, found):
        return View(
            headline="It is 4.",
            panels=((Prose("text", ("4",)),),),
            sliders=(Slider("n", "n", (Choice(2, "2"), Choice(3, "3"))),),
            question=self.asked if state.n == 2 else None,
        )


def say(explorer, name, detail):
    """Let the page say something."""
    explorer._hear(None, {"act": name, "detail": detail}, [])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "class" / "answers.jsonl"


def test_nothing_is_asked_unless_the_reader_wants_it():
    assert SumExplorer().page.question is None
    assert SumExplorer().open_question is None
    assert SumExplorer(guess=True).page.question == ASKED
    assert SumExplorer(guess=True, n=3).page.question is None, "of another state it makes no sense"


def test_a_question_may_insist(monkeypatch):
    monkeypatch.setattr(SumExplorer, "asked", replace(ASKED, insists=True))
    assert SumExplorer().open_question.key == "test/sum"


@pytest.mark.parametrize("wrong", [3, None, "", " ", ["a"]])
def test_what_is_no_file_is_refused_in_a_sentence(wrong):
    with pytest.raises(rx.ExploreError, match="guess must be True, False or the path"):
        SumExplorer(guess=wrong)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(rx.ExploreError, match="is a folder"):
        SumExplorer(guess=tmp_path)


@pytest.mark.parametrize("name", ["guess", "guesses"])
def test_a_state_has_no_field_of_that_name(name):
    state = dataclass(frozen=True)(type("OddState", (), {"__annotations__": {name: int}, name: 1}))
    with pytest.raises(TypeError, match="have one of their own"):
        type("OddExplorer", (Explorer,), {"State": state})


def test_code_keeps_where_answers_go(path):
    assert SumExplorer(guess=True, n=3).code.endswith("SumExplorer(guess=True, n=3)")
    assert SumExplorer(guess=path).code.endswith(f"SumExplorer(guess={str(path)!r})")
    assert SumExplorer().code.endswith("SumExplorer()")


def test_answers_go_to_the_file_and_to_the_page(path):
    explorer = SumExplorer(guess=path)
    assert explorer._counts == {"test/sum": {}}
    for answer in (3, 4, 4):
        say(explorer, "guess", ["test/sum", answer])
    assert explorer._counts == {"test/sum": {"3": 1, "4": 2}}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["question"], line["answer"], line["right"]) for line in lines] == [
        ("test/sum", 3, False), ("test/sum", 4, True), ("test/sum", 4, True),
    ]  # fmt: skip
    table = SumExplorer(guess=path).guesses.table
    assert table.columns.tolist() == ["question", "answer", "count", "share", "right"]
    assert table.to_dict("list") == {
        "question": ["test/sum"] * 2, "answer": [4, 3], "count": [2, 1],
        "share": pytest.approx([2 / 3, 1 / 3]), "right": [True, False],
    }  # fmt: skip


def test_usual_answers_lie_beside_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    say(SumExplorer(guess=True), "guess", ["test/sum", 4])
    assert len(Path("runs/guesses.jsonl").read_text().splitlines()) == 1


def test_without_a_file_answers_are_kept_as_long_as_the_explorer(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SumExplorer, "asked", replace(ASKED, insists=True))
    explorer = SumExplorer()
    say(explorer, "guess", ["test/sum", 3])
    assert explorer.guesses.counts("test/sum") == {"3": 1}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("detail", [["test/sum", 5], ["test/other", 4]])
def test_an_answer_that_there_is_not_is_refused(path, detail):
    explorer = SumExplorer(guess=path)
    say(explorer, "guess", detail)
    assert "There is no answer" in explorer.problem
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_said_and_loses_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    explorer = SumExplorer(guess=tmp_path / "file" / "answers.jsonl")
    for answer in (3, 4):
        say(explorer, "guess", ["test/sum", answer])
    assert explorer.problem.count(". ") == 0
    assert "can't be written" in explorer.problem
    assert explorer._counts["test/sum"] == {"3": 1, "4": 1}
    assert len(explorer.guesses.table) == 2


def test_a_damaged_line_costs_itself_alone(path):
    guesses = Guesses(path)
    guesses.learn(ASKED)
    guesses.add("test/sum", 3)
    with path.open("ab") as file:
        file.write(b'{"question": "test/sum", "answ')  # cut off in the middle, without an end of line
    guesses.add("test/sum", 4)
    with path.open("ab") as file:
        file.write(b'\xff\xfe\n[1]\n{"question": 3, "answer": 4}\n{"question": "test/sum"}\n\n')
    guesses.add("test/sum", 4)
    assert guesses.counts("test/sum") == {"3": 1, "4": 2}


def answer_many(path, answer):
    guesses = Guesses(path)
    for _ in range(200):
        guesses.add("test/sum", answer)


def test_two_processes_write_to_one_file(path):
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=answer_many, args=(path, answer)) for answer in (3, 4)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert Guesses(path).counts("test/sum") == {"3": 200, "4": 200}
    assert len(path.read_text().splitlines()) == 400


def test_an_answer_given_before_it_was_measured_is_judged_later(path):
    guesses = Guesses(path)
    guesses.learn(replace(ASKED, right=None))
    guesses.add("test/sum", 4)
    assert guesses.table["right"].tolist() == [None]
    guesses.learn(ASKED)
    guesses.learn(replace(ASKED, right=None))  # as a page that waits again would
    assert guesses.table["right"].tolist() == [True]
    assert Guesses(path).table["right"].tolist() == [None], "who has not measured it does not know"


def test_answers_show_themselves(path):
    guesses = Guesses(path)
    assert "No guesses yet" in repr(guesses)
    assert "No guesses yet" in guesses._repr_html_()
    guesses.learn(replace(ASKED, text="What is 1 < 2?"))
    for answer in (3, 4, 4):
        guesses.add("test/sum", answer)
    assert repr(guesses).splitlines()[0] == f"3 guesses in {path}"
    assert "four: 2 (67%) right" in repr(guesses)
    html = guesses._repr_html_()
    assert "What is 1 &lt; 2?" in html
    assert html.count("✓ right") == 1


def test_the_picture_of_a_notebook_without_kernel_asks_first(path):
    explorer = SumExplorer(guess=path)
    before, _, folded = _picture(explorer, "name").partition("<details>")
    assert ASKED.text in before
    assert "It is 4." not in before
    assert "It is 4." in folded
    explorer._guessed = {"test/sum": 3}
    assert ASKED.text not in _picture(explorer, "name")


def test_a_question_is_data_with_its_view():
    tree = encode(SumExplorer(guess=True).page).tree
    assert tree["question"]["choices"][1]["value"] == 4
    assert json.loads(json.dumps(tree)) == tree
