"""The measure of plain words: Flesch's formula, and a counter of syllables that is right on common words."""

import re
from pathlib import Path

import pytest

from tests.reading_ease import plain, prose, reading_ease, syllables, words_before_first_code


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "a the skip block sums made changed eyes states gives net's they're isn't"),
        (2, "layer deeper image network table boxes wanted added taken little equal BN"),
        (3, "gradient origin animal important exercise initial"),
        (4, "parameters residual degradation architecture"),
    ],
)
def test_syllables_of_common_words(count, words):
    assert {word: syllables(word) for word in words.split()} == dict.fromkeys(words.split(), count)


def test_the_formula():
    # Seven words in two sentences, eight syllables.
    text = "The net is deep. Add a layer."
    assert reading_ease(text) == pytest.approx(206.835 - 1.015 * 7 / 2 - 84.6 * 8 / 7)


def test_marks_code_and_addresses_are_not_read():
    spoken = "Run the cell. See it in the paper."
    written = "**Run** the `cell`. See it in [the paper](https://arxiv.org/abs/1).\n```python\nx = y\n```"
    assert reading_ease(written) == reading_ease(spoken)
    assert "arxiv" not in plain(written)


def test_an_item_a_row_and_a_heading_end_a_sentence():
    assert reading_ease("# One word\n- two words\n- three words") == reading_ease(
        "One word. Two words. Three words."
    )
    assert reading_ease("| one | two |\n| --- | --- |\n| three | four |") == reading_ease(
        "One two. Three four."
    )


def test_plain_words_are_easier_than_a_paper():
    easy = "Each block adds its result to its input. So a deep net can still learn."
    hard = (
        "Architectural reparameterisation facilitates optimisation of substantially deeper representations."
    )
    assert reading_ease(easy) > 90 > 0 > reading_ease(hard)


def test_a_text_without_words_has_no_reading_ease():
    with pytest.raises(ValueError, match="no word"):
        reading_ease("12 + 3")


def test_words_before_the_first_code():
    cells = [
        {"cell_type": "markdown", "source": ["# Deeper\n", "It is **worse**."]},
        {"cell_type": "code", "source": ["import this"]},
        {"cell_type": "markdown", "source": ["After."]},
    ]
    assert words_before_first_code({"cells": cells}) == 4
    assert words_before_first_code({"cells": cells[:1]}) == 4
    assert "After." in prose({"cells": cells})
    assert "import" not in prose({"cells": cells})


NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_read_once(path):
    """What is not folded is plain English in short sentences, and little of it stands before the picture."""
    unfolded = re.sub(r"(?s)<details>.*?</details>|<!--.*?-->", "", prose(path))
    assert reading_ease(unfolded) >= 65
    assert words_before_first_code(path) <= 80
    sentences = [part.split() for part in re.split(r"[.!?:]\s|\n", plain(unfolded))]
    spoken = [words for words in sentences if len(words) > 4]
    assert sum(map(len, spoken)) / len(spoken) <= 14
