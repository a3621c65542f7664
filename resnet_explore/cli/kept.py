"""What commands say of measurements that they keep in a folder, and about.json beside them."""

import datetime
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def interrupted(out: Path, first: str) -> str:
    """Return what to say after Ctrl-C; `first` is what would have come first, such as "network was run"."""
    if not (out / "about.json").is_file():
        return f"Stopped before the first {first}."
    return f"Stopped. What is measured is kept in {out}; the same command goes on from there."


def require_folder(out: Path) -> None:
    """Make a folder where there is none; OSError if it then takes no file."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass


def provenance(
    command: str, commit: str, minutes: float, data: str, images: int, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what about.json says: how the measurements came about, on which of so many test images."""
    import torch

    return {
        "command": command,
        "commit": commit,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "minutes": round(minutes, 1),
        "torch": torch.__version__,
        "data": data,
        "test images": images,
        "asked": asked,
    }


def command_line(name: str, first: str, asked: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Return the command that was given: of its options those that are not as usual."""
    words = [f"resnet-explore {name}", first]
    for option, value in asked.items():
        if option in usual and value != usual[option]:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{option.replace('_', '-')}", text]
    return " ".join(words)
