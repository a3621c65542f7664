"""Where the notebooks and the recorded data lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "notebooks" / "00_start.ipynb").is_file() else None


def shipped(*parts: str) -> Path:
    """Return the path of something that ships with us, e.g. `shipped("data", "digits")`."""
    return (CHECKOUT or PACKAGE / "_share").joinpath(*parts)
