"""What a word on the command line must be: a count, a list of numbers, a port; else one clear sentence."""

import argparse


def count(text: str) -> int:
    """Read a whole number, 0 or more."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return number


def positive(text: str) -> int:
    """Read a whole number, 1 or more."""
    if count(text) == 0:
        raise argparse.ArgumentTypeError("at least 1, not 0")
    return count(text)


def several(text: str) -> int:
    """Read a whole number, 2 or more."""
    if (number := count(text)) < 2:
        raise argparse.ArgumentTypeError(f"at least 2, not {number}")
    return number


def odd(text: str) -> int:
    """Read an odd whole number, 3 or more: points along an axis, one of them in the middle."""
    if (number := count(text)) < 3 or number % 2 == 0:
        raise argparse.ArgumentTypeError(f"an odd number of at least 3, not {number}")
    return number


def odd_or_none(text: str) -> int:
    """Read an odd whole number, 3 or more, or 0 for none."""
    return count(text) and odd(text)


def counts(text: str) -> tuple[int, ...]:
    """Read whole numbers, separated by commas."""
    return tuple(count(part) for part in words(text))


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers, separated by commas."""
    try:
        return tuple(float(part) for part in words(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, or list of numbers") from None


def words(text: str) -> tuple[str, ...]:
    """Read words, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def port(text: str) -> int:
    """Read the number of a port."""
    number = count(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return number
