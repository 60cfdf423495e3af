"""Natural order, one canonical text for each value, and "did you mean"; must not know what the words name."""

import difflib
import re
from collections.abc import Iterable

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_EXACT = 2.0**53  # below it every integer is a float


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
    """The only way to write a value as a level: 2.0, "2.0" and " 2" are "2"; True is "1"; words do not change."""
    word = str(float(value)) if isinstance(value, bool | int | float) else str(value).strip()
    if not NUMBER.fullmatch(word):
        return word
    number = float(word)
    if abs(number) < _EXACT and number.is_integer():
        return str(int(number))
    return word if word.isdigit() or abs(number) == float("inf") else repr(number)


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
