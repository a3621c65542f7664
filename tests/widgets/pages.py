"""An explorer's page as tests look at it."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.view import View, settled


def shown(explorer: Explorer, *, seconds: float = 120, **changes: Any) -> View:
    """Return the page after a change, as it is at the explorer's state once all is computed."""
    if changes:
        explorer.update(**changes)
    assert explorer.wait(seconds)
    return settled(explorer.page, explorer.state)


def assert_kept(name: str, sentences: Iterable[str]) -> None:
    """Compare sentences, a line each, with the file of those that were read and found good.

    With KEEP_SENTENCES=1 in the environment the file is written anew.
    """
    path = Path(__file__).parent / "sentences" / f"{name}.txt"
    said = "\n".join(sentences) + "\n"
    if os.environ.get("KEEP_SENTENCES"):
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")


def numbers(sentence: str) -> list[float]:
    """Return the numbers of a sentence in their order, whatever words stand around them."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", sentence)]
