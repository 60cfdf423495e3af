"""The names of peers: which are allowed and how they are sorted; must not know graphs or files."""

import re
from collections.abc import Sequence
from numbers import Integral

_DIGITS = re.compile("([0-9]+)")
LONGEST = 64


def natural(name: str) -> tuple[tuple[tuple[str, int, str], ...], str]:
    """The key that sorts names as people do: "2" before "10", "a2" before "a10"."""
    parts = _DIGITS.split(name)
    numbers = [part.lstrip("0") for part in parts[1::2]]  # of any size: compared by length, then by digits
    return tuple(zip(parts[::2], map(len, [*numbers, ""]), [*numbers, ""], strict=True)), name


def name_of(value: object) -> str:
    """A peer's name, from a string or a whole number.

    Names become folders and log lines: 1 to 64 printable characters, at least one letter or digit, no slash, no dot at the
    start, no blank at the start or end.

    Raises:
        ValueError: the value cannot be a name; the message is the second half of a sentence.
    """
    if isinstance(value, bool) or not isinstance(value, str | Integral):
        raise ValueError(f"{_short(value)} is not a valid peer name: use text or a whole number")
    name = str(value)
    printable = name.isprintable() and name == name.strip() and any(map(str.isalnum, name))
    if len(name) > LONGEST or not printable:
        raise ValueError(
            f"{_short(name)} is not a valid peer name: use at most {LONGEST} printable characters, with a letter or digit"
        )
    if name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError(f"{_short(name)} is not a valid peer name: remove slashes and a dot at the start")
    return name


def several(names: Sequence[object], most: int = 8) -> str:
    """`a, b, c and 5 more`."""
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
