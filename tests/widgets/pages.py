"""An explorer's page as tests look at it."""

import base64
import gzip
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.view import View, settled

_PACKED = re.compile(r'baked\.open\([^)]*\), "([^"]+)"')


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


def table(path: Path) -> dict[str, Any]:
    """Return what a page without Python has packed, as its script reads it."""
    packed = gzip.decompress(base64.b64decode(_PACKED.findall(path.read_text(encoding="utf-8"))[0]))
    length = int.from_bytes(packed[:4], "little")
    found: dict[str, Any] = json.loads(packed[4 : 4 + length])
    return found


def whole(tree: Any, shared: Sequence[Any]) -> Any:
    """Return a tree of such a table with what its views share put in."""
    if isinstance(tree, list):
        return [whole(entry, shared) for entry in tree]
    if not isinstance(tree, dict):
        return tree
    if "$shared" in tree:
        return whole(shared[tree["$shared"]], shared)
    return {name: whole(entry, shared) for name, entry in tree.items()}
