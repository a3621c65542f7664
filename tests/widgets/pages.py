"""An explorer's page as tests look at it."""

import base64
import gzip
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resnet_explore.widgets.core.explorer import Explorer
from resnet_explore.widgets.core.runner import Job
from resnet_explore.widgets.core.view import View, settled
from resnet_explore.widgets.skips.jobs import Turn

_PACKED = re.compile(r'baked\.open\([^)]*\), "([^"]+)"')


def shown(explorer: Explorer, *, seconds: float = 120, **changes: Any) -> View:
    """Return the page after a change, as it is at the explorer's state once all is computed."""
    if changes:
        explorer.update(**changes)
    assert explorer.wait(seconds)
    return settled(explorer.page, explorer.state)


def what_is_seen(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs of what a page shows, without those of other depths and stops of its sliders.

    These are most of what is measured, and most tests don't look at them.
    """
    depth = next((job.depth for job in jobs if hasattr(job, "depth")), None)  # the most urgent is first
    return [job for job in jobs if not isinstance(job, Turn) and getattr(job, "depth", depth) == depth]


def unpacked(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return what a baked page has packed, as its script reads it: a table, and the bytes of its arrays."""
    found = _PACKED.search(path.read_text())
    assert found
    packed = gzip.decompress(base64.b64decode(found[1]))
    length = int.from_bytes(packed[:4], "little")
    return json.loads(packed[4 : 4 + length]), packed[4 + length :]


def whole(tree: Any, table: dict[str, Any], arrays: bytes) -> Any:
    """Return a tree of such a table with all that it shares with others, and its arrays as NumPy's."""
    if isinstance(tree, list):
        return [whole(entry, table, arrays) for entry in tree]
    if not isinstance(tree, dict):
        return tree
    if "$shared" in tree:
        return whole(table["shared"][tree["$shared"]], table, arrays)
    if "$array" in tree and tree["dtype"] != "bytes":
        start, length = table["buffers"][tree["$array"]]
        kind = np.dtype(tree["dtype"]).newbyteorder("<")
        return np.frombuffer(arrays[start : start + length], kind).reshape(tree["shape"])
    return {name: whole(entry, table, arrays) for name, entry in tree.items()}


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
    """Return the table that a baked page has packed."""
    return unpacked(path)[0]
