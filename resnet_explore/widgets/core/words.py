"""How explorers say numbers."""

import math
from collections.abc import Sequence


def percent(value: float) -> str:
    """Return "0 %", "under 0.1 %", "0.3 %" or "74 %": a decimal only where it says something."""
    if not math.isfinite(value):
        return "?"
    if 0 < value < 0.05:
        return "under 0.1 %"
    return f"{value:.1f} %" if 0.05 <= value < 9.95 else f"{value:.0f} %"


def signed(value: float, form: str = ".2f") -> str:
    """Return a number with a minus sign, and none before a zero."""
    said = f"{value:{form}}"
    return said.lstrip("-") if float(said) == 0 else said.replace("-", "−")


def factor(value: float) -> str:
    """Return how many times: "1.2", "38", "4,500", "6 million"."""
    if not math.isfinite(value):
        return "?"
    if value >= 1e9:
        return power(value)
    if value >= 1e6:
        return f"{value / 1e6:,.0f} million"
    digits = max(0, 1 - math.floor(math.log10(value))) if value > 0 else 1
    rounded = round(value, 1 - math.floor(math.log10(value))) if value > 0 else 0.0
    return f"{rounded:,.{digits if value < 10 else 0}f}"


def multiple(ratio: float) -> str:
    """Return a ratio as "1,700×", or "1/17" for what is much smaller, "1/10⁸" from a millionth down."""
    if not ratio:
        return "0×"
    if ratio > 0.5:
        return f"{factor(ratio)}×"
    return f"1/{factor(1 / ratio) if ratio > 1e-6 else power(1 / ratio)}"


def power(value: float) -> str:
    """Return the nearest power of ten, such as "10⁻⁷"."""
    exponent = f"{math.floor(math.log10(value) + 0.5):d}" if value > 0 else "-∞"
    return "10" + exponent.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def data_in_brief(name: str) -> str:
    """Return what a data set is called where every word counts: "digits", "CIFAR-10"."""
    return {"cifar10": "CIFAR-10", "imagenette": "Imagenette", "folder": "your images"}.get(name, name)


def listed(names: Sequence[str]) -> str:
    """Return names as "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def first_of(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
