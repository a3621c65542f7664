"""How easy a text is to read, by Flesch's formula, and how much of it stands before the first picture.

    python -m tests.reading_ease notebooks/*.ipynb

Flesch (1948): reading ease = 206.835 - 1.015 words/sentences - 84.6 syllables/words. 60 to 70 is plain
English, below 30 a scientific paper. Syllables are counted by a rule (`syllables`), and a list's short items
count as sentences: compare texts by it, don't grade one.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
_ENDS = re.compile(r"[.!?]+(?=[\s)”\"]|$)|\n{2,}")
_VOWELS = re.compile(r"[aeiouy]+")
# Neighbours that are two vowels: layer, dual, gradient, radio, theory, being; but initial, region, equal.
_APART = re.compile(r"[aeiou](?=y[aeiou](?!s?$))|(?<!q)u(?=a)|(?<![tcsg])i(?=a|o|en)|e(?=o|ing)")
# What a reader does not read aloud: code blocks, formulas, pictures, HTML, bare addresses.
_SILENT = re.compile(r"```.*?```|\$\$.*?\$\$|!\[[^\]]*\]\([^)]*\)|<[^>]+>|https?://\S+", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_TABLE_RULE = re.compile(r"^[|\s:-]+$", re.MULTILINE)
_MARKS = re.compile(r"[*_`#>|~]+")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+", re.MULTILINE)


def reading_ease(text: str) -> float:
    """Return Flesch's reading ease of a text in Markdown; higher is easier.

    A sentence ends at `.`, `!` or `?` before a blank, at an empty line, and at the end of an item of a list
    or of a row of a table. A heading is a sentence. Numbers are no words.

    Raises ValueError for a text without a word.
    """
    sentences = [words for part in _ENDS.split(plain(text)) if (words := _WORD.findall(part))]
    count = sum(map(len, sentences))
    if not count:
        raise ValueError("there is no word in this text")
    spoken = sum(syllables(word) for words in sentences for word in words)
    return 206.835 - 1.015 * count / len(sentences) - 84.6 * spoken / count


def words_before_first_code(notebook: Path | Mapping[str, Any]) -> int:
    """Return how many words stand before the first code cell: what is read before there is a picture.

    All words count if there is no code cell.
    """
    before = 0
    for cell in _cells(notebook):
        if cell["cell_type"] == "code":
            break
        before += len(_WORD.findall(plain("".join(cell["source"]))))
    return before


def prose(notebook: Path | Mapping[str, Any]) -> str:
    """Return the text of a notebook's cells in Markdown, joined by empty lines."""
    return "\n\n".join("".join(c["source"]) for c in _cells(notebook) if c["cell_type"] == "markdown")


def syllables(word: str) -> int:
    """Return the syllables of an English word, at least 1, by a rule.

    Groups of vowels count (y is one), and neighbours that are spoken apart ("gradient") count twice. An `e`
    at the end is silent unless it follows a consonant and `l` ("table"). So is the `e` of `-ed` but for
    `-ted` and `-ded`, and that of `-es` but after a hiss ("boxes"). A word in capitals is spelled: each
    letter is a syllable, W three.
    """
    if len(word) > 1 and word.isupper():
        return sum(3 if letter == "W" else 1 for letter in word if letter.isalpha())
    small = word.lower().replace("’", "'")
    small = re.sub(r"'(?:s|re|ve|ll|d|m|t)$", "", small)
    count = len(_VOWELS.findall(small)) + len(_APART.findall(small))
    silent = r"[^aeiouy]e$" if not re.search(r"[^aeiouy]le$", small) else r"$^"
    if re.search(silent, small) or re.search(r"[^aeioutdy]ed$|[^aeiouycsxzhgl]es$", small):
        count -= 1
    return max(count, 1)


def plain(text: str) -> str:
    """Return the words of a text in Markdown, without marks; an item or a row ends a paragraph."""
    text = _LINK.sub(r"\1", _SILENT.sub(" ", text))
    text = _TABLE_RULE.sub("", text)
    text = re.sub(r"^\|.*$", lambda row: f"{row[0]}\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^#+.*$", lambda heading: f"{heading[0]}\n\n", text, flags=re.MULTILINE)
    return _MARKS.sub(" ", _ITEM.sub("\n\n", text))


def _cells(notebook: Path | Mapping[str, Any]) -> list[dict[str, Any]]:
    content = json.loads(notebook.read_text()) if isinstance(notebook, Path) else notebook
    cells: list[dict[str, Any]] = content["cells"]
    return cells


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        ease, first = reading_ease(prose(path)), words_before_first_code(path)
        print(f"{path.name:28} ease {ease:5.1f}, {first} words before the first code")
