"""The command that makes a folder of runs, and back: which runs a command makes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from resnet_explore.training.plan import Sweep
from resnet_explore.training.runs import Run

SWEEP = ("resnet-explore", "sweep")
ROOT = " --root "  # last in a command, so that it can be taken off again


def command_of(runs: Path) -> str:
    """Return the command that makes such a sweep; where its data lay is not noted with the runs."""
    words, usual = list(SWEEP), json.loads(json.dumps(asdict(Sweep())))
    try:
        made = json.loads((runs / "sweep.json").read_text())
    except (OSError, ValueError):  # of runs that are no sweep more can't be said
        return " ".join(words)
    words.append(made.pop("dataset"))
    if words[-1] == "digits":
        usual["precision"] = "fp32"  # what "auto" is for them everywhere
    for name, value in made.items():
        if name in usual and value != usual[name]:
            words.append("--" + name.replace("_", "-"))
            words.append(",".join(map(str, value)) if isinstance(value, list) else str(value))
    return " ".join(words)


def runs_of(command: str) -> list[Run]:
    """Return the runs that a command that `command_of` wrote makes; none for any other text."""
    words = command.partition(ROOT)[0].split()
    if tuple(words[:2]) != SWEEP or len(words) % 2 == 0:
        return []
    values: dict[str, Any] = {"dataset": words[2]}
    usual = {f.name: f.default for f in fields(Sweep) if f.default is not MISSING}
    try:
        for option, text in zip(words[3::2], words[4::2], strict=True):
            name = option.removeprefix("--").replace("-", "_")
            values[name] = _read(text, usual[name])
        return Sweep(**values).runs()
    except (KeyError, ValueError):  # an ExploreError is one too
        return []


def _read(text: str, usual: Any) -> Any:
    """Read an option's value as its default is: a list where that is one, or where there are several."""
    if usual == () or isinstance(usual, tuple):
        kind = type(usual[0]) if usual else int
        return tuple(kind(part) for part in text.split(","))
    kind = int if usual is None else type(usual)
    found = [kind(part) for part in text.split(",")]
    return found[0] if len(found) == 1 else tuple(found)


def fewest(commands: Iterable[str]) -> list[str]:
    """Return the commands without those whose runs another one makes, on the same data, too."""
    given = list(dict.fromkeys(commands))
    made = [(set(runs_of(command)), command.partition(ROOT)[2]) for command in given]

    def is_spare(i: int) -> bool:
        runs, root = made[i]
        return bool(runs) and any(
            runs <= others and root == place and (runs < others or j < i)
            for j, (others, place) in enumerate(made)
            if j != i
        )

    return [command for i, command in enumerate(given) if not is_spare(i)]


def one_after_another(commands: Sequence[str], name: str) -> list[str]:
    """Return commands so that they can be run in turn: several get folders of their own, and become a record.

    One alone has its usual folder; what is no sweep's command is left as it is.
    """
    parts = [command.partition(ROOT) for command in commands]
    if len(parts) < 2 or any(not sweep.startswith(" ".join(SWEEP)) for sweep, _, _ in parts):
        return list(commands)
    outs = [f"runs/{name}-{number}" for number in range(1, len(parts) + 1)]
    lines = [
        f"{sweep} --out {out}{root}{place}" for out, (sweep, root, place) in zip(outs, parts, strict=True)
    ]
    if len({place for _, _, place in parts}) == 1:  # `record` is told of one place
        lines.append(f"resnet-explore record {' '.join(outs)} records/{name}{''.join(parts[0][1:])}")
    return lines
