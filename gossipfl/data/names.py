"""Natural order, one canonical text for each value, and "did you mean"; must not know what the words name."""

import difflib
import re
from collections.abc import Iterable

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)  # with a decimal comma, it seems
GROUPED = re.compile(
    r"[+-]?\d{1,3}(([.' ]\d{3})+(,\d+)?|(,\d{3})+(\.\d+)?)", re.ASCII
)  # with thousands separators
# As programs write numbers: "01" and "1E2" are codes, which are not 1 and 100.
_WRITTEN = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]\d+)?", re.ASCII)
_EXACT = 2.0**53  # below it every integer is a float
_LONG = 1e30  # from here on whole numbers are written with an exponent
TRUE, FALSE = "TRUE", "FALSE"


def natural(word: str) -> tuple[int, float, tuple[tuple[int, str], ...], str]:
    """A sort key that orders numbers by value, also those inside words.

    Numbers come first ("-1" "1" "2.5" "10"), then words ("b2" "b10"). Different words have different keys.
    """
    if NUMBER.fullmatch(word):
        return 0, float(word), (), word
    pieces = re.split(r"([0-9]+)", word)
    for place in range(1, len(pieces), 2):
        pieces[place] = pieces[place].lstrip("0")
    return 1, 0.0, tuple((len(p) if place % 2 else 0, p) for place, p in enumerate(pieces)), word


def text(value: object) -> str:
    """The only way to write a value as a level or class.

    2.0, "2.0" and " 2" are "2", and True, "true" and "True" are "TRUE". All other words stay as they are, with their blanks;
    also numbers that a float does not hold exactly ("900000000000000001") and codes ("01", "1E2").
    """
    word = str(value)
    plain = word.strip()
    if plain in {"true", "True", TRUE, "false", "False", FALSE}:
        return plain.upper()
    exact = number(plain)
    if exact is None:
        return plain if _WRITTEN.fullmatch(plain) else word
    return str(int(exact)) if exact.is_integer() and abs(exact) < _LONG else repr(exact)


def number(word: str) -> float | None:
    """The number that a word is; None if it is none, or if the word says more: "007", "1E2", "900000000000000001"."""
    plain = word.strip()
    if not _WRITTEN.fullmatch(plain):
        return None
    value = float(plain)
    if abs(value) < _EXACT:
        return value
    same = abs(value) < float("inf") and (not plain.lstrip("+-").isdigit() or int(value) == int(plain))
    return value if same else None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'iris'?` for the nearest option, otherwise the list of options."""
    options = sorted(options, key=natural)
    if near := difflib.get_close_matches(word, options, 1, 0.6):
        return f"; did you mean {near[0]!r}?"
    return f"; use one of {listed(options)}" if options else ""


def listed(words: Iterable[str], most: int = 12) -> str:
    """`'a', 'b', 'c' and 4 more`."""
    words = list(words)
    shown = ", ".join(map(repr, words[:most]))
    return shown + (f" and {len(words) - most} more" if len(words) > most else "")
