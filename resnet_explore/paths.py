"""Where the notebooks and the recorded data lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SHARE = PACKAGE / "_share"
"""What a wheel carries; `tool.hatch.build.targets.wheel.sources` in pyproject.toml puts it there."""

CHECKOUT: Path | None = None if SHARE.is_dir() else PACKAGE.parent
"""The root of the source tree that this package runs from, or None when it was installed from a wheel."""

PHOTO_TWINS, PHOTO_WEIGHTS = ("plain18", "resnet18"), "imagenette"
"""The networks, and what their weights are called, that photos are shown to where nobody says otherwise."""


def shipped(*parts: str) -> Path:
    """Return where something that ships with us lies, e.g. `shipped("data", "digits")`; it need not exist."""
    return (CHECKOUT or SHARE).joinpath(*parts)
