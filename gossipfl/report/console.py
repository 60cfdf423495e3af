"""The terminal; must not know what is printed on it."""

import sys

from rich.console import Console


def visible(text: str) -> str:
    """The text with control characters, which names in files may have, as escapes; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def console() -> Console:
    """A console on the current sys.stdout: 120 columns wide where that is a file or a pipe."""
    return Console(
        file=sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if sys.stdout.isatty() else 120,
    )
